//! `fd_flags_get` and `fd_flags_set`: attributes of an inode, as `chattr` has them.

use crate::call::Halt;
use crate::call::Manage;
use crate::call::Request;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::rights;

/// `FS_COMPR_FL`.
const COMPRESSED: u32 = 0x4;

pub(super) async fn fd_flags_get(frame: &mut Frame<'_>, fd: u32, result: u32) -> Outcome {
    frame.place(result, 4)?;
    frame.handle(fd, rights::FD_FILESTAT_GET, AbiErrno::Notty)?;
    Err(Halt::Unsupported("fd_flags_get").into())
}

pub(super) async fn fd_flags_set(frame: &mut Frame<'_>, fd: u32, flags: u32) -> Outcome {
    let (handle, _) = frame.handle(fd, rights::FD_FILESTAT_SET_SIZE, AbiErrno::Notty)?;
    if flags & !COMPRESSED != 0 {
        return Err(Halt::Unsupported("fd_flags_set with flags other than FS_COMPR_FL").into());
    }
    let on = flags & COMPRESSED != 0;
    frame.ask_done(Request::Manage(Manage::SetCompression { handle, on })).await
}

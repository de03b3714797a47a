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
/// `FS_NOCOW_FL`.
const NO_COW: u32 = 0x80_0000;

pub(super) async fn fd_flags_get(frame: &mut Frame<'_>, fd: u32, result: u32) -> Outcome {
    frame.place(result, 4)?;
    frame.handle(fd, rights::FD_FILESTAT_GET, AbiErrno::Notty)?;
    Err(Halt::Unsupported("fd_flags_get").into())
}

pub(super) async fn fd_flags_set(frame: &mut Frame<'_>, fd: u32, flags: u32) -> Outcome {
    let (handle, _) = frame.handle(fd, rights::FD_FILESTAT_SET_SIZE, AbiErrno::Notty)?;
    if flags & !(COMPRESSED | NO_COW) != 0 {
        let what = "fd_flags_set with flags other than FS_COMPR_FL and FS_NOCOW_FL";
        return Err(Halt::Unsupported(what).into());
    }
    if flags == COMPRESSED | NO_COW {
        return Err(AbiErrno::Inval.into());
    }
    let (compressed, no_cow) = (flags == COMPRESSED, flags == NO_COW);
    // What is cleared goes first: the two exclude each other.
    let mut asked = [
        Manage::SetNoCow { handle, on: no_cow },
        Manage::SetCompression { handle, on: compressed },
    ];
    if no_cow {
        asked.reverse();
    }
    for asked in asked {
        frame.ask_done(Request::Manage(asked)).await?;
    }
    Ok(())
}

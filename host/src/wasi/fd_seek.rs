//! `fd_seek` and `fd_tell`.

use crate::call::FileKind;
use crate::call::Request;
use crate::call::Value;
use crate::call::Whence;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

async fn seek(
    frame: &mut Frame<'_>,
    fd: u32,
    (offset, whence): (i64, Whence),
    needed: u64,
    result: u32,
) -> Outcome {
    let place = frame.place(result, 8)?;
    let (handle, kind) = frame.handle(fd, needed, AbiErrno::Spipe)?;
    if kind == FileKind::Directory {
        // Preview1 gives no directory the right to seek: its cookies are `fd_readdir`'s.
        return Err(AbiErrno::Notcapable.into());
    }
    let request = Request::Seek { handle, offset, whence };
    let Value::Offset(offset) = frame.ask(request).await? else { unexpected() };
    frame.write(&place, &offset.to_le_bytes());
    Ok(())
}

fn decode_whence(whence: u32) -> Result<Whence, Failure> {
    match whence {
        0 => Ok(Whence::Set),
        1 => Ok(Whence::Current),
        2 => Ok(Whence::End),
        // The extension's own: wasi-libc hands them on as they are.
        3 => Ok(Whence::Data),
        4 => Ok(Whence::Hole),
        5.. => Err(AbiErrno::Inval.into()),
    }
}

pub(super) async fn fd_seek(
    frame: &mut Frame<'_>,
    fd: u32,
    offset: i64,
    whence: u32,
    result: u32,
) -> Outcome {
    let whence = decode_whence(whence)?;
    // Asking where one is needs less than going elsewhere.
    let is_tell = offset == 0 && whence == Whence::Current;
    let needed = if is_tell { rights::FD_TELL } else { rights::FD_SEEK };
    seek(frame, fd, (offset, whence), needed, result).await
}

pub(super) async fn fd_tell(frame: &mut Frame<'_>, fd: u32, result: u32) -> Outcome {
    seek(frame, fd, (0, Whence::Current), rights::FD_TELL, result).await
}

//! `fd_close`, `fd_renumber`, `fd_prestat_get`, `fd_prestat_dir_name`.

use bytes::Bytes;

use crate::call::HandleId;
use crate::call::Lock;
use crate::call::Request;
use crate::wasi::abi;
use crate::wasi::errno::AbiErrno;
use crate::wasi::fds::Descriptor;
use crate::wasi::fds::Target;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;

/// A duplicate keeps the description open; the root is open before the process is, and after.
fn is_kept(frame: &mut Frame<'_>, handle: HandleId) -> bool {
    handle == HandleId::ROOT || frame.process().fds.is_shared(handle)
}

async fn release(frame: &mut Frame<'_>, descriptor: &Descriptor) -> Outcome {
    match descriptor.target {
        Target::Stdin | Target::Stdout | Target::Stderr => Ok(()),
        // The process's record locks go all the same.
        Target::Handle { handle, .. } if is_kept(frame, handle) => {
            frame.ask_done(Request::Lock(Lock::CloseDuplicate { handle })).await
        }
        Target::Handle { handle, .. } => frame.ask_done(Request::Close { handle }).await,
    }
}

/// `fd_close`. A descriptor is gone whatever the file system answers; where that is an error, it is
/// the file system that says what a further close of the number is told.
pub(super) async fn fd_close(frame: &mut Frame<'_>, fd: u32) -> Outcome {
    if let Some(handle) = frame.process().fds.take_failed(fd) {
        return close(frame, fd, handle).await;
    }
    let closed = frame.process().fds.remove(fd)?;
    match closed.target {
        Target::Handle { handle, .. } if !is_kept(frame, handle) => close(frame, fd, handle).await,
        Target::Handle { .. } | Target::Stdin | Target::Stdout | Target::Stderr => {
            release(frame, &closed).await
        }
    }
}

async fn close(frame: &mut Frame<'_>, fd: u32, handle: HandleId) -> Outcome {
    let closed = frame.ask_done(Request::Close { handle }).await;
    if let Err(Failure::Errno(errno)) = &closed
        && *errno != AbiErrno::Badf
    {
        frame.process().fds.close_failed(fd, handle);
    }
    closed
}

pub(super) async fn fd_renumber(frame: &mut Frame<'_>, from: u32, to: u32) -> Outcome {
    let Some(replaced) = frame.process().fds.renumber(from, to)? else {
        return Ok(());
    };
    match release(frame, &replaced).await {
        // As of `dup2`: what closing says is lost with the descriptor that was replaced.
        Ok(()) | Err(Failure::Errno(_)) => Ok(()),
        Err(Failure::End(end)) => Err(Failure::End(end)),
    }
}

fn preopen_name(frame: &mut Frame<'_>, fd: u32) -> Result<Bytes, Failure> {
    Ok(frame.process().fds.get(fd)?.preopen.clone().ok_or(AbiErrno::Badf)?)
}

pub(super) async fn fd_prestat_get(frame: &mut Frame<'_>, fd: u32, result: u32) -> Outcome {
    let place = frame.place(result, abi::PRESTAT_BYTES)?;
    let name = preopen_name(frame, fd)?;
    let name_len = u32::try_from(name.len()).map_err(|_| AbiErrno::Overflow)?;
    let mut prestat = [0; abi::PRESTAT_BYTES as usize];
    prestat[4..].copy_from_slice(&name_len.to_le_bytes());
    frame.write(&place, &prestat);
    Ok(())
}

pub(super) async fn fd_prestat_dir_name(
    frame: &mut Frame<'_>,
    fd: u32,
    buffer: u32,
    len: u32,
) -> Outcome {
    let place = frame.place(buffer, len)?;
    let name = preopen_name(frame, fd)?;
    if name.len() > place.len() {
        return Err(AbiErrno::Nametoolong.into());
    }
    frame.write(&place, &name);
    Ok(())
}

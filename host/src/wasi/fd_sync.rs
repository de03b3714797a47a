//! `fd_sync`, `fd_datasync`, `fd_allocate`, `fd_advise`: of directories too, where POSIX has it so.

use crate::call::AllocateMode;
use crate::call::Request;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::rights;

pub(super) async fn fd_sync(frame: &mut Frame<'_>, fd: u32) -> Outcome {
    let (handle, _) = frame.handle(fd, rights::FD_SYNC, AbiErrno::Inval)?;
    frame.ask_done(Request::Fsync { handle }).await
}

pub(super) async fn fd_datasync(frame: &mut Frame<'_>, fd: u32) -> Outcome {
    let (handle, _) = frame.handle(fd, rights::FD_DATASYNC, AbiErrno::Inval)?;
    frame.ask_done(Request::Fdatasync { handle }).await
}

pub(super) async fn fd_allocate(frame: &mut Frame<'_>, fd: u32, offset: u64, len: u64) -> Outcome {
    let (handle, _) = frame.handle(fd, rights::FD_ALLOCATE, AbiErrno::Spipe)?;
    if len == 0 {
        return Err(AbiErrno::Inval.into());
    }
    frame.ask_done(Request::Allocate { handle, offset, len, mode: AllocateMode::Extend }).await
}

pub(super) async fn fd_advise(
    frame: &mut Frame<'_>,
    fd: u32,
    _offset: u64,
    _len: u64,
    advice: u32,
) -> Outcome {
    let (handle, _) = frame.handle(fd, rights::FD_ADVISE, AbiErrno::Spipe)?;
    // normal, sequential, random, willneed, dontneed, noreuse
    if advice > 5 {
        return Err(AbiErrno::Inval.into());
    }
    frame.ask_done(Request::Advise { handle }).await
}

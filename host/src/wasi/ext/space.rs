//! `fd_syncfs`, `fd_statfs`, `fd_sync_range`, `fd_fallocate`.

use crate::call::FileKind;
use crate::call::Halt;
use crate::call::Manage;
use crate::call::Request;
use crate::call::Value;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

/// Longest name of a file (`NAME_MAX`).
const NAME_BYTES_MAX: u64 = 255;

/// `SYNC_FILE_RANGE_WRITE`; its neighbours 1 and 4 wait, which promises nothing either, but may
/// answer an error.
const RANGE_WRITE: u32 = 2;
const RANGE_ALL: u32 = 7;

pub(super) async fn fd_syncfs(frame: &mut Frame<'_>, fd: u32) -> Outcome {
    frame.handle(fd, rights::FD_SYNC, AbiErrno::Inval)?;
    frame.ask_done(Request::SyncAll).await
}

pub(super) async fn fd_statfs(frame: &mut Frame<'_>, fd: u32, result: u32) -> Outcome {
    let place = frame.places(result, 8, 8)?;
    frame.handle(fd, rights::FD_FILESTAT_GET, AbiErrno::Nosys)?;
    let answer = frame.ask(Request::Manage(Manage::Space)).await?;
    let Value::Space { block_size_bytes, block_count, free_count } = answer else { unexpected() };
    let available_count = free_count;
    let block_size = u64::from(block_size_bytes);
    // Inodes are not counted: any number of files fits that has room.
    let numbers = [block_size, block_count, free_count, available_count, 0, 0, NAME_BYTES_MAX, 0];
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    frame.write(&place, &bytes);
    Ok(())
}

pub(super) async fn fd_sync_range(
    frame: &mut Frame<'_>,
    fd: u32,
    offset: u64,
    len: u64,
    flags: u32,
) -> Outcome {
    let (handle, kind) = frame.handle(fd, rights::FD_DATASYNC, AbiErrno::Spipe)?;
    if kind == FileKind::Directory {
        return Err(AbiErrno::Spipe.into());
    }
    let is_range = offset.checked_add(len).is_some_and(|end| i64::try_from(end).is_ok());
    if flags & !RANGE_ALL != 0 || !is_range {
        return Err(AbiErrno::Inval.into());
    }
    match flags {
        0 => Ok(()),
        RANGE_WRITE => {
            frame.ask_done(Request::Manage(Manage::SyncRange { handle, offset, len })).await
        }
        _ => Err(Halt::Unsupported("fd_sync_range with flags that wait").into()),
    }
}

pub(super) async fn fd_fallocate(
    frame: &mut Frame<'_>,
    fd: u32,
    mode: u32,
    offset: u64,
    len: u64,
) -> Outcome {
    let (handle, _) = frame.handle(fd, rights::FD_ALLOCATE, AbiErrno::Spipe)?;
    if mode != 0 {
        return Err(Halt::Unsupported("fd_fallocate with a mode").into());
    }
    if len == 0 {
        return Err(AbiErrno::Inval.into());
    }
    frame.ask_done(Request::Allocate { handle, offset, len }).await
}

//! `fd_syncfs`, `fd_statfs`, `fd_sync_range`, `fd_fallocate`.

use crate::call::AllocateMode;
use crate::call::FileKind;
use crate::call::Halt;
use crate::call::Manage;
use crate::call::Request;
use crate::call::Value;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

/// Longest name of a file (`NAME_MAX`).
const NAME_BYTES_MAX: u64 = 255;

/// `SYNC_FILE_RANGE_WRITE`; its neighbours 1 and 4 wait for the medium, before and after.
const RANGE_WRITE: u32 = 2;
const RANGE_ALL: u32 = 7;

const KEEP_SIZE: u32 = 0x01;
const PUNCH_HOLE: u32 = 0x02;
const COLLAPSE_RANGE: u32 = 0x08;
const ZERO_RANGE: u32 = 0x10;
const INSERT_RANGE: u32 = 0x20;
const UNSHARE_RANGE: u32 = 0x40;
const MODES_ALL: u32 =
    KEEP_SIZE | PUNCH_HOLE | COLLAPSE_RANGE | ZERO_RANGE | INSERT_RANGE | UNSHARE_RANGE;

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
    if flags == 0 {
        return Ok(());
    }
    // What is under way is waited for by whoever writes back: to wait alone begins nothing else.
    let wait = flags != RANGE_WRITE;
    frame.ask_done(Request::Manage(Manage::SyncRange { handle, offset, len, wait })).await
}

pub(super) async fn fd_fallocate(
    frame: &mut Frame<'_>,
    fd: u32,
    mode: u32,
    offset: u64,
    len: u64,
) -> Outcome {
    let (handle, _) = frame.handle(fd, rights::FD_ALLOCATE, AbiErrno::Spipe)?;
    let is_negative = [offset, len].iter().any(|number| i64::try_from(*number).is_err());
    if len == 0 || is_negative {
        return Err(AbiErrno::Inval.into());
    }
    let mode = decode_mode(mode)?;
    frame.ask_done(Request::Allocate { handle, offset, len, mode }).await
}

/// What the flags ask for; as on Linux, some of them are nonsense together and some not supported.
fn decode_mode(mode: u32) -> Result<AllocateMode, Failure> {
    const PUNCH: u32 = PUNCH_HOLE | KEEP_SIZE;
    const ZERO_KEEP: u32 = ZERO_RANGE | KEEP_SIZE;
    match mode {
        0 => Ok(AllocateMode::Extend),
        KEEP_SIZE => Ok(AllocateMode::KeepSize),
        PUNCH => Ok(AllocateMode::PunchHole),
        ZERO_RANGE => Ok(AllocateMode::ZeroRange),
        ZERO_KEEP => Ok(AllocateMode::ZeroRangeKeepSize),
        COLLAPSE_RANGE => Ok(AllocateMode::CollapseRange),
        INSERT_RANGE => Ok(AllocateMode::InsertRange),
        _ if mode & !MODES_ALL != 0 => Err(AbiErrno::Notsup.into()),
        _ if mode & PUNCH_HOLE != 0 && mode & (ZERO_RANGE | PUNCH) != PUNCH => {
            Err(AbiErrno::Notsup.into())
        }
        _ if mode & !KEEP_SIZE == UNSHARE_RANGE => {
            Err(Halt::Unsupported("fd_fallocate with FALLOC_FL_UNSHARE_RANGE").into())
        }
        _ => Err(AbiErrno::Inval.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::process::End;

    #[test]
    fn modes_mean_what_linux_says_and_unsharing_ends_the_run() {
        assert_eq!(decode_mode(0).ok(), Some(AllocateMode::Extend));
        assert_eq!(decode_mode(3).ok(), Some(AllocateMode::PunchHole));
        assert_eq!(decode_mode(0x11).ok(), Some(AllocateMode::ZeroRangeKeepSize));
        let halts = |mode| matches!(decode_mode(mode), Err(Failure::End(End::Halted(_))));
        assert!(halts(0x40) && halts(0x41));
        let errno = |mode| match decode_mode(mode) {
            Err(Failure::Errno(errno)) => Some(errno),
            Ok(_) | Err(Failure::End(_)) => None,
        };
        for mode in [0x02, 0x12, 0x13, 0x04, 0x80] {
            assert_eq!(errno(mode), Some(AbiErrno::Notsup), "{mode}");
        }
        for mode in [0x09, 0x21, 0x28, 0x18, 0x50, 0x0b] {
            assert_eq!(errno(mode), Some(AbiErrno::Inval), "{mode}");
        }
    }
}

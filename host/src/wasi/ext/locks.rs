//! `fd_flock` and `fd_lock`: advisory locks, with Linux's numbers.

use crate::call::HandleId;
use crate::call::HeldLock;
use crate::call::Lock;
use crate::call::LockKind;
use crate::call::LockOwner;
use crate::call::Request;
use crate::call::Value;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;

const LOCK_SH: u32 = 1;
const LOCK_EX: u32 = 2;
const LOCK_NB: u32 = 4;
const LOCK_UN: u32 = 8;

const F_GETLK: u32 = 5;
const F_SETLK: u32 = 6;
const F_SETLKW: u32 = 7;
const F_OFD_GETLK: u32 = 36;
const F_OFD_SETLK: u32 = 37;
const F_OFD_SETLKW: u32 = 38;

const F_RDLCK: u32 = 0;
const F_WRLCK: u32 = 1;
const F_UNLCK: u32 = 2;

/// What `fd_lock` tells of a lock: start, length, kind, process.
const HELD_BYTES: u32 = 24;

/// The description, which any descriptor of a file or directory has.
fn handle(frame: &Frame<'_>, fd: u32) -> Result<HandleId, Failure> {
    Ok(frame.handle(fd, 0, AbiErrno::Inval)?.0)
}

pub(super) async fn fd_flock(frame: &mut Frame<'_>, fd: u32, operation: u32) -> Outcome {
    let handle = handle(frame, fd)?;
    let kind = match operation & !LOCK_NB {
        LOCK_SH => Some(LockKind::Shared),
        LOCK_EX => Some(LockKind::Exclusive),
        LOCK_UN => None,
        _ => return Err(AbiErrno::Inval.into()),
    };
    let wait = operation & LOCK_NB == 0;
    frame.ask_done(Request::Lock(Lock::Whole { handle, kind, wait })).await
}

fn kind_of(number: u32) -> Result<Option<LockKind>, Failure> {
    match number {
        F_RDLCK => Ok(Some(LockKind::Shared)),
        F_WRLCK => Ok(Some(LockKind::Exclusive)),
        F_UNLCK => Ok(None),
        _ => Err(AbiErrno::Inval.into()),
    }
}

/// Where a lock begins, and how long it is: one of negative length ends before its start.
fn range_of(start: u64, len: u64) -> Result<(u64, u64), Failure> {
    let (start, len) = (start.cast_signed(), len.cast_signed());
    let from = if len < 0 { start.checked_add(len) } else { Some(start) };
    let from = from.and_then(|from| u64::try_from(from).ok());
    Ok((from.ok_or(AbiErrno::Inval)?, len.unsigned_abs()))
}

fn encode(held: Option<HeldLock>) -> [u8; HELD_BYTES as usize] {
    let number = match held.map(|held| held.kind) {
        Some(LockKind::Shared) => F_RDLCK,
        Some(LockKind::Exclusive) => F_WRLCK,
        None => F_UNLCK,
    };
    let (start, len) = held.map_or((0, 0), |held| (held.start, held.len));
    // As on Linux, a description is process -1.
    let process = held.map_or(0, |held| held.process.map_or(u32::MAX, |process| process.0));
    let mut bytes = [0; HELD_BYTES as usize];
    bytes[..8].copy_from_slice(&start.to_le_bytes());
    bytes[8..16].copy_from_slice(&len.to_le_bytes());
    bytes[16..20].copy_from_slice(&number.to_le_bytes());
    bytes[20..].copy_from_slice(&process.to_le_bytes());
    bytes
}

pub(super) async fn fd_lock(
    frame: &mut Frame<'_>,
    fd: u32,
    command: u32,
    kind: u32,
    start: u64,
    len: u64,
    result: u32,
) -> Outcome {
    let place = frame.place(result, HELD_BYTES)?;
    let handle = handle(frame, fd)?;
    let owner = match command {
        F_GETLK | F_SETLK | F_SETLKW => LockOwner::Process,
        F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW => LockOwner::Description,
        _ => return Err(AbiErrno::Inval.into()),
    };
    let kind = kind_of(kind)?;
    let (start, len) = range_of(start, len)?;
    if ![F_GETLK, F_OFD_GETLK].contains(&command) {
        let wait = [F_SETLKW, F_OFD_SETLKW].contains(&command);
        let asked = Lock::Record { handle, kind, start, len, wait, owner };
        return frame.ask_done(Request::Lock(asked)).await;
    }
    let kind = kind.ok_or(AbiErrno::Inval)?;
    let answer = frame.ask(Request::Lock(Lock::Test { handle, kind, start, len, owner })).await?;
    let Value::Lock(held) = answer else { unexpected() };
    frame.write(&place, &encode(held));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_length_ends_before_the_start() {
        let range = |start: i64, len: i64| {
            range_of(start.cast_unsigned(), len.cast_unsigned()).map_err(|_| ())
        };
        assert_eq!(range(10, 5), Ok((10, 5)));
        assert_eq!(range(10, -4), Ok((6, 4)));
        assert_eq!(range(10, -10), Ok((0, 10)));
        assert_eq!(range(10, -11), Err(()));
        assert_eq!(range(-1, 0), Err(()));
        assert_eq!(range(i64::MIN, i64::MIN), Err(()));
        assert_eq!(range(i64::MAX, i64::MIN), Err(()));
    }
}

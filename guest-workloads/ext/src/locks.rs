//! Locks on whole files (`flock`), which an open file has, and on bytes (`fcntl`), which a process
//! has, and loses with any descriptor of the file that it closes.

use std::fs::File;
use std::io;

use crate::answer::answer;
use crate::answer::descriptor;
use crate::answer::signed;
use crate::imports;

const LOCK_SHARED: i32 = 1;
const LOCK_EXCLUSIVE: i32 = 2;
const LOCK_WITHOUT_WAITING: i32 = 4;
const UNLOCK: i32 = 8;

const TEST: i32 = 5;
const SET: i32 = 6;
const SET_WAITING: i32 = 7;
const NO_LOCK: i32 = 2;

/// What a lock on bytes keeps others from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From exclusive locks (`F_RDLCK`): the file has to be open for reading.
    Shared,
    /// From all locks (`F_WRLCK`): the file has to be open for writing.
    Exclusive,
}

impl Kind {
    fn number(self) -> i32 {
        match self {
            Self::Shared => 0,
            Self::Exclusive => 1,
        }
    }
}

/// A lock on bytes that another process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What it keeps others from.
    pub kind: Kind,
    /// The first byte.
    pub start: u64,
    /// How many bytes; 0 is to the end of any file.
    pub size_bytes: u64,
    /// The number of the process.
    pub process: u32,
}

/// Waits for a lock that others may share.
///
/// # Errors
/// What the host answered.
pub fn lock_shared(file: &File) -> io::Result<()> {
    lock(file, LOCK_SHARED)
}

/// Waits for a lock of this open file's alone.
///
/// # Errors
/// What the host answered.
pub fn lock_exclusive(file: &File) -> io::Result<()> {
    lock(file, LOCK_EXCLUSIVE)
}

/// Takes a lock that others may share, or none.
///
/// # Errors
/// What the host answered: EAGAIN where another has one of its own.
pub fn try_lock_shared(file: &File) -> io::Result<()> {
    lock(file, LOCK_SHARED | LOCK_WITHOUT_WAITING)
}

/// Takes a lock of this open file's alone, or none.
///
/// # Errors
/// What the host answered: EAGAIN where another has one.
pub fn try_lock_exclusive(file: &File) -> io::Result<()> {
    lock(file, LOCK_EXCLUSIVE | LOCK_WITHOUT_WAITING)
}

/// Lets go of the lock.
///
/// # Errors
/// What the host answered.
pub fn unlock(file: &File) -> io::Result<()> {
    lock(file, UNLOCK)
}

fn lock(file: &File, operation: i32) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    answer(unsafe { imports::fd_flock(descriptor(file), operation) })
}

/// Waits for a lock on bytes; a size of 0 is to the end of any file.
///
/// # Errors
/// What the host answered: EDEADLK where the wait would never end.
pub fn lock_range(file: &File, kind: Kind, start: u64, size_bytes: u64) -> io::Result<()> {
    range(file, SET_WAITING, kind.number(), start, size_bytes).map(drop)
}

/// Takes a lock on bytes, or none; a size of 0 is to the end of any file.
///
/// # Errors
/// What the host answered: EAGAIN where another process has one in the way.
pub fn try_lock_range(file: &File, kind: Kind, start: u64, size_bytes: u64) -> io::Result<()> {
    range(file, SET, kind.number(), start, size_bytes).map(drop)
}

/// Lets go of bytes; a size of 0 is to the end of any file.
///
/// # Errors
/// What the host answered.
pub fn unlock_range(file: &File, start: u64, size_bytes: u64) -> io::Result<()> {
    range(file, SET, NO_LOCK, start, size_bytes).map(drop)
}

/// A lock that is in the way of such a lock on bytes, if one is.
///
/// # Errors
/// What the host answered.
pub fn test_range(
    file: &File,
    kind: Kind,
    start: u64,
    size_bytes: u64,
) -> io::Result<Option<Held>> {
    let told = range(file, TEST, kind.number(), start, size_bytes)?;
    let kind = match told.kind {
        0 => Kind::Shared,
        1 => Kind::Exclusive,
        _ => return Ok(None),
    };
    let (start, size_bytes) = (told.start.unsigned_abs(), told.length.unsigned_abs());
    Ok(Some(Held { kind, start, size_bytes, process: told.process }))
}

fn range(
    file: &File,
    command: i32,
    kind: i32,
    start: u64,
    size_bytes: u64,
) -> io::Result<imports::HeldLock> {
    let (start, length) = (signed(start)?, signed(size_bytes)?);
    let mut held = imports::HeldLock::default();
    // SAFETY: `held` is a live local of the layout that the host writes.
    let errno =
        unsafe { imports::fd_lock(descriptor(file), command, kind, start, length, &raw mut held) };
    answer(errno).map(|()| held)
}

//! Locks on whole files: `flock`.

use std::fs::File;
use std::io;

use crate::answer::answer;
use crate::answer::descriptor;
use crate::imports;

const LOCK_SHARED: i32 = 1;
const LOCK_EXCLUSIVE: i32 = 2;
const LOCK_WITHOUT_WAITING: i32 = 4;
const UNLOCK: i32 = 8;

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

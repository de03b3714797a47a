//! Frozen copies of the whole tree.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

use crate::answer::answer;
use crate::imports;

const SYMLINK_FOLLOW: i32 = 1;
/// Read, seek, tell, and what paths and sizes need: preview1's numbers, without any that change.
const RIGHTS: i64 = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 18 | 1 << 21;

/// Takes a snapshot; it is durable at the answer.
///
/// # Errors
/// What the host answered: EEXIST where the name is taken.
pub fn create(name: &str) -> io::Result<()> {
    // SAFETY: the name is a live borrow of its length.
    answer(unsafe { imports::fs_snapshot(name.as_ptr(), name.len()) })
}

/// Ends a snapshot.
///
/// # Errors
/// What the host answered: ENOENT where there is none.
pub fn delete(name: &str) -> io::Result<()> {
    // SAFETY: the name is a live borrow of its length.
    answer(unsafe { imports::fs_snapshot_delete(name.as_ptr(), name.len()) })
}

/// The root directory of a snapshot.
#[derive(Debug)]
pub struct Snapshot(OwnedFd);

impl Snapshot {
    /// Opens a snapshot.
    ///
    /// # Errors
    /// What the host answered: ENOENT where there is none.
    pub fn open(name: &str) -> io::Result<Self> {
        let mut opened = 0;
        // SAFETY: the name is a live borrow of its length, `opened` a live local.
        let errno =
            unsafe { imports::fs_snapshot_open(name.as_ptr(), name.len(), &raw mut opened) };
        answer(errno)?;
        // SAFETY: the host has just given this descriptor to us, and nobody else holds it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(opened) }))
    }

    /// Opens a file in it, to be read.
    ///
    /// # Errors
    /// What the host answered.
    pub fn file(&self, name: &str) -> io::Result<File> {
        let mut opened = 0;
        // SAFETY: the name is a live borrow of its length, `opened` a live local.
        let errno = unsafe {
            imports::path_open(
                self.0.as_raw_fd(),
                SYMLINK_FOLLOW,
                name.as_ptr(),
                name.len(),
                0,
                RIGHTS,
                RIGHTS,
                0,
                &raw mut opened,
            )
        };
        answer(errno)?;
        // SAFETY: the host has just given this descriptor to us, and nobody else holds it.
        Ok(unsafe { File::from_raw_fd(opened) })
    }
}

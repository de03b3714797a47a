//! Files: holes, space, copies of ranges, syncs, further descriptors and names.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;

use crate::answer::FIRST_PREOPEN;
use crate::answer::answer;
use crate::answer::descriptor;
use crate::answer::signed;
use crate::imports;

const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

/// `FALLOC_FL_KEEP_SIZE`: the file's size stays.
pub const KEEP_SIZE: i32 = 0x01;
/// `FALLOC_FL_PUNCH_HOLE`: the range becomes a hole; with [`KEEP_SIZE`] only.
pub const PUNCH_HOLE: i32 = 0x02;
/// `FALLOC_FL_COLLAPSE_RANGE`: the range goes, and what is after it moves down.
pub const COLLAPSE_RANGE: i32 = 0x08;
/// `FALLOC_FL_ZERO_RANGE`: the range becomes zeros.
pub const ZERO_RANGE: i32 = 0x10;
/// `FALLOC_FL_INSERT_RANGE`: a hole comes in, and what is after it moves up.
pub const INSERT_RANGE: i32 = 0x20;
/// `FALLOC_FL_UNSHARE_RANGE`: the range's space is this file's alone.
pub const UNSHARE_RANGE: i32 = 0x40;

/// `RENAME_NOREPLACE`: fails where the new name is taken.
pub const NO_REPLACE: i32 = 1;
/// `RENAME_EXCHANGE`: both names stay, and change places.
pub const EXCHANGE: i32 = 2;

/// What `statfs` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The eight numbers, in the order of the import: see `host/docs/extension.md`.
    pub numbers: [u64; 8],
}

/// Where the next data begins, from `offset` on (`SEEK_DATA`); the file's offset moves there.
///
/// # Errors
/// What the host answered: ENXIO where there is no more.
pub fn seek_data(file: &File, offset: u64) -> io::Result<u64> {
    seek(file, offset, SEEK_DATA)
}

/// Where the next hole begins, from `offset` on (`SEEK_HOLE`); the file's offset moves there.
///
/// # Errors
/// What the host answered: ENXIO beyond the end.
pub fn seek_hole(file: &File, offset: u64) -> io::Result<u64> {
    seek(file, offset, SEEK_HOLE)
}

fn seek(file: &File, offset: u64, whence: i32) -> io::Result<u64> {
    let mut found = 0;
    // SAFETY: `found` is a live local.
    let errno =
        unsafe { imports::fd_seek(descriptor(file), signed(offset)?, whence, &raw mut found) };
    answer(errno).map(|()| found)
}

/// `fallocate`, with its modes: 0, or some of the constants here.
///
/// # Errors
/// What the host answered.
pub fn fallocate(file: &File, mode: i32, offset: u64, size_bytes: u64) -> io::Result<()> {
    let (offset, size_bytes) = (signed(offset)?, signed(size_bytes)?);
    // SAFETY: the call takes numbers only.
    answer(unsafe { imports::fd_fallocate(descriptor(file), mode, offset, size_bytes) })
}

/// `copy_file_range`, at given offsets; less than asked for may be copied.
///
/// # Errors
/// What the host answered.
pub fn copy_range(
    from: &File,
    from_offset: u64,
    to: &File,
    to_offset: u64,
    size_bytes: u64,
) -> io::Result<u64> {
    let mut copied = 0;
    let (from_offset, to_offset) = (signed(from_offset)?, signed(to_offset)?);
    let size_bytes = signed(size_bytes)?;
    let (from, to) = (descriptor(from), descriptor(to));
    // SAFETY: `copied` is a live local.
    let errno = unsafe {
        imports::fd_copy_range(from, from_offset, to, to_offset, size_bytes, 0, &raw mut copied)
    };
    answer(errno).map(|()| u64::from(copied))
}

/// `FICLONERANGE`: the range of `to` shares the space of the range of `from`; a size of 0 is up to
/// the end.
///
/// # Errors
/// What the host answered; then nothing was cloned.
pub fn clone_range(
    from: &File,
    from_offset: u64,
    size_bytes: u64,
    to: &File,
    to_offset: u64,
) -> io::Result<()> {
    let (from_offset, to_offset) = (signed(from_offset)?, signed(to_offset)?);
    let size_bytes = signed(size_bytes)?;
    let (from, to) = (descriptor(from), descriptor(to));
    // SAFETY: the call takes numbers only.
    answer(unsafe { imports::fd_clone_range(from, from_offset, size_bytes, to, to_offset) })
}

/// `FICLONE`: `to` becomes a clone of `from`.
///
/// # Errors
/// What the host answered; then nothing was cloned.
pub fn clone(from: &File, to: &File) -> io::Result<()> {
    clone_range(from, 0, 0, to, 0)
}

/// `FIDEDUPERANGE`: shares the space of equal ranges; says whether they were equal.
///
/// # Errors
/// What the host answered.
pub fn dedupe_range(
    from: &File,
    from_offset: u64,
    size_bytes: u64,
    to: &File,
    to_offset: u64,
) -> io::Result<bool> {
    let mut differs = 0;
    let (from_offset, to_offset) = (signed(from_offset)?, signed(to_offset)?);
    let size_bytes = signed(size_bytes)?;
    let (from, to) = (descriptor(from), descriptor(to));
    // SAFETY: `differs` is a live local.
    let errno = unsafe {
        imports::fd_dedupe_range(from, from_offset, size_bytes, to, to_offset, &raw mut differs)
    };
    answer(errno).map(|()| differs == 0)
}

/// `syncfs`: all of the file system on which `file` is.
///
/// # Errors
/// What the host answered.
pub fn sync_all_files(file: &File) -> io::Result<()> {
    // SAFETY: the call takes a number alone.
    answer(unsafe { imports::fd_syncfs(descriptor(file)) })
}

/// `sync_file_range`, which promises nothing [DUR-SFR-01]; a size of 0 is up to the end.
///
/// # Errors
/// What the host answered.
pub fn write_range_back(file: &File, offset: u64, size_bytes: u64) -> io::Result<()> {
    // SYNC_FILE_RANGE_WRITE.
    const BEGIN: i32 = 2;
    let (offset, size_bytes) = (signed(offset)?, signed(size_bytes)?);
    // SAFETY: the call takes numbers only.
    answer(unsafe { imports::fd_sync_range(descriptor(file), offset, size_bytes, BEGIN) })
}

/// `statfs` of the file system on which `file` is.
///
/// # Errors
/// What the host answered.
pub fn space(file: &File) -> io::Result<Space> {
    let mut numbers = [0; 8];
    // SAFETY: `numbers` is a live local of the size that the host writes.
    let errno = unsafe { imports::fd_statfs(descriptor(file), &raw mut numbers) };
    answer(errno).map(|()| Space { numbers })
}

/// `dup`: a further descriptor of the same open file, with one offset for both.
///
/// # Errors
/// What the host answered.
pub fn duplicate(file: &File) -> io::Result<File> {
    let mut new = 0;
    // SAFETY: `new` is a live local.
    answer(unsafe { imports::fd_dup(descriptor(file), &raw mut new) })?;
    // SAFETY: the host has just given this descriptor to us, and nobody else holds it.
    Ok(unsafe { File::from_raw_fd(new) })
}

/// Gives an open file a name, also one that had none (`O_TMPFILE` and `linkat`).
///
/// # Errors
/// What the host answered.
pub fn link(file: &File, name: &str) -> io::Result<()> {
    // SAFETY: the name is a live borrow of its length.
    let errno =
        unsafe { imports::fd_link(descriptor(file), FIRST_PREOPEN, name.as_ptr(), name.len()) };
    answer(errno)
}

/// `renameat2`, with [`NO_REPLACE`] or [`EXCHANGE`].
///
/// # Errors
/// What the host answered.
pub fn rename(from: &str, to: &str, flags: i32) -> io::Result<()> {
    // SAFETY: both names are live borrows of their lengths.
    answer(unsafe {
        imports::path_rename2(
            FIRST_PREOPEN,
            from.as_ptr(),
            from.len(),
            FIRST_PREOPEN,
            to.as_ptr(),
            to.len(),
            flags,
        )
    })
}

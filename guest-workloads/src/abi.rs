//! The calls of `wasi_snapshot_preview1` that std does not reach: positioned reads and writes,
//! descriptor flags, hard and symbolic links, allocation, all that a stat tells, times.
//!
//! Names are relative to the first preopened directory. An error number is preview1's own, so it
//! is printed as a number and never as a word.
#![allow(unsafe_code, reason = "the only module that calls the imports of preview1 directly")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;

use crate::uninterrupted;

/// The first preopened directory: descriptors 0 to 2 are the standard streams.
const FIRST_PREOPEN: u32 = 3;

/// The error number for a descriptor that cannot be used like this.
pub const BAD_DESCRIPTOR: i32 = 8;

/// Follow symbolic links in the last component.
const SYMLINK_FOLLOW: u32 = 1;

/// Create the file if it is not there.
pub const CREATE: u16 = 1;
/// Fail unless it is a directory.
pub const DIRECTORY: u16 = 2;
/// Fail if it is there.
pub const EXCLUSIVE: u16 = 4;
/// Cut it to zero bytes.
pub const TRUNCATE: u16 = 8;

/// Write at the end of the file.
pub const APPEND: u16 = 1;
/// Each write returns when its data is durable. [DUR-OSYNC-01]
pub const DATA_SYNC: u16 = 2;
/// Each write returns when its data and metadata are durable. [DUR-OSYNC-01]
pub const SYNC: u16 = 16;
/// `O_DIRECT`: reads and writes go past the cache, and cover whole blocks. The host's own.
pub const DIRECT: u16 = 0x100;
/// `O_TMPFILE`, of a directory: a file without a name. The host's own.
pub const UNNAMED: u16 = 0x400;

/// Rights: read, seek, write, sync, sizes and times; those of directories besides.
const RIGHTS: u64 = (1 << 29) - 1;

#[repr(C)]
struct Slice {
    start: *const u8,
    length: usize,
}

/// What preview1 writes for a file.
#[repr(C)]
#[derive(Default)]
struct RawStatus {
    device: u64,
    number: u64,
    kind: u8,
    links: u64,
    size: u64,
    accessed: u64,
    modified: u64,
    changed: u64,
}

/// What a stat told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The file's number.
    pub number: u64,
    /// One of [`KIND_DIRECTORY`], [`KIND_FILE`], [`KIND_SYMLINK`].
    pub kind: u8,
    /// How many names it has.
    pub links: u64,
    /// In bytes.
    pub size: u64,
    /// When its bytes were changed, in nanoseconds.
    pub modified: u64,
}

/// A directory, in [`Status`].
pub const KIND_DIRECTORY: u8 = 3;
/// A regular file.
pub const KIND_FILE: u8 = 4;
/// A symbolic link.
pub const KIND_SYMLINK: u8 = 7;

impl From<RawStatus> for Status {
    fn from(raw: RawStatus) -> Self {
        let RawStatus { number, kind, links, size, modified, .. } = raw;
        Self { number, kind, links, size, modified }
    }
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn fd_pread(fd: u32, slices: *const Slice, count: usize, at: u64, done: *mut usize) -> u16;
    fn fd_pwrite(fd: u32, slices: *const Slice, count: usize, at: u64, done: *mut usize) -> u16;
    fn fd_close(fd: u32) -> u16;
    fn fd_allocate(fd: u32, at: u64, size: u64) -> u16;
    fn fd_datasync(fd: u32) -> u16;
    fn fd_fdstat_set_flags(fd: u32, flags: u16) -> u16;
    fn fd_filestat_get(fd: u32, status: *mut RawStatus) -> u16;
    fn fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, flags: u16) -> u16;
    fn path_filestat_get(
        fd: u32,
        lookup: u32,
        name: *const u8,
        name_length: usize,
        status: *mut RawStatus,
    ) -> u16;
    fn path_link(
        from_fd: u32,
        flags: u32,
        from: *const u8,
        from_length: usize,
        to_fd: u32,
        to: *const u8,
        to_length: usize,
    ) -> u16;
    fn path_symlink(
        target: *const u8,
        target_length: usize,
        fd: u32,
        name: *const u8,
        name_length: usize,
    ) -> u16;
    fn path_open(
        fd: u32,
        lookup: u32,
        name: *const u8,
        name_length: usize,
        open_flags: u16,
        rights: u64,
        inheriting: u64,
        fd_flags: u16,
        opened: *mut u32,
    ) -> u16;
}

fn answer(errno: u16) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(i32::from(errno))) }
}

fn descriptor(file: &File) -> u32 {
    u32::try_from(file.as_raw_fd()).expect("an open file has a descriptor that is not negative")
}

/// Reads into the first of `buffers`, then the next, from `offset`; the file's own offset stays.
///
/// # Errors
/// What the file system answered.
pub fn read_vectored_at(file: &File, buffers: &mut [&mut [u8]], offset: u64) -> io::Result<usize> {
    let slices: Vec<Slice> = buffers
        .iter_mut()
        .map(|buffer| Slice { start: buffer.as_mut_ptr().cast_const(), length: buffer.len() })
        .collect();
    let mut done = 0;
    // SAFETY: each slice is a live exclusive borrow of its length, and `done` is a live local.
    let errno =
        unsafe { fd_pread(descriptor(file), slices.as_ptr(), slices.len(), offset, &mut done) };
    answer(errno).map(|()| done)
}

/// Reads once at `offset`; less than the buffer holds may come back.
///
/// # Errors
/// What the file system answered.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    read_vectored_at(file, &mut [buffer], offset)
}

/// Reads at `offset` until the buffer is full or the file ends.
///
/// # Errors
/// What the file system answered.
pub fn read_full_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match uninterrupted(|| read_at(file, &mut buffer[done..], offset + done as u64))? {
            0 => break,
            more => done += more,
        }
    }
    Ok(done)
}

/// Writes the first of `buffers`, then the next, at `offset`; the file's own offset stays.
///
/// # Errors
/// What the file system answered.
pub fn write_vectored_at(file: &File, buffers: &[&[u8]], offset: u64) -> io::Result<usize> {
    let slices: Vec<Slice> = buffers
        .iter()
        .map(|buffer| Slice { start: buffer.as_ptr(), length: buffer.len() })
        .collect();
    let mut done = 0;
    // SAFETY: each slice is a live borrow of its length, and `done` is a live local.
    let errno =
        unsafe { fd_pwrite(descriptor(file), slices.as_ptr(), slices.len(), offset, &mut done) };
    answer(errno).map(|()| done)
}

/// Writes once at `offset`; less than given may be written.
///
/// # Errors
/// What the file system answered.
pub fn write_at(file: &File, buffer: &[u8], offset: u64) -> io::Result<usize> {
    write_vectored_at(file, &[buffer], offset)
}

/// Writes all of `buffer` at `offset`, going on after short writes.
///
/// # Errors
/// What the file system answered, or that it wrote nothing.
pub fn write_all_at(file: &File, buffer: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match uninterrupted(|| write_at(file, &buffer[done..], offset + done as u64))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            more => done += more,
        }
    }
    Ok(())
}

/// `fdatasync`. That of std is an `fsync` on this target.
///
/// # Errors
/// What the file system answered.
pub fn sync_data(file: &File) -> io::Result<()> {
    // SAFETY: the call takes a number alone.
    answer(unsafe { fd_datasync(descriptor(file)) })
}

/// `close`, with what it answers; the descriptor is gone either way. [ERR-CLOSE-01]
///
/// # Errors
/// What the file system answered.
pub fn close(file: File) -> io::Result<()> {
    let descriptor = descriptor(&file);
    std::mem::forget(file);
    // SAFETY: nobody else holds the descriptor.
    answer(unsafe { fd_close(descriptor) })
}

/// `close`, and once more if that fails, as programs do that take it for undone. What the second
/// close answers nobody is told.
///
/// # Errors
/// What the file system answered at first.
pub fn close_insistently(file: File) -> io::Result<()> {
    let descriptor = descriptor(&file);
    let closed = close(file);
    if closed.is_err() {
        // SAFETY: nothing was opened since, so that the number is nobody's.
        let _ = answer(unsafe { fd_close(descriptor) });
    }
    closed
}

/// Asks for space, and for a size that covers it.
///
/// # Errors
/// What the file system answered.
pub fn allocate(file: &File, offset: u64, size_bytes: u64) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    answer(unsafe { fd_allocate(descriptor(file), offset, size_bytes) })
}

/// Replaces the flags of an open description.
///
/// # Errors
/// What the file system answered.
pub fn set_flags(file: &File, flags: u16) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    answer(unsafe { fd_fdstat_set_flags(descriptor(file), flags) })
}

/// `fstat`.
///
/// # Errors
/// What the file system answered.
pub fn status(file: &File) -> io::Result<Status> {
    let mut raw = RawStatus::default();
    // SAFETY: `raw` is a live local of the layout that the host writes.
    answer(unsafe { fd_filestat_get(descriptor(file), &mut raw) }).map(|()| raw.into())
}

/// `stat`, or `lstat` where the last link is not followed.
///
/// # Errors
/// What the file system answered.
pub fn status_of(name: &str, follow: bool) -> io::Result<Status> {
    let mut raw = RawStatus::default();
    let lookup = if follow { SYMLINK_FOLLOW } else { 0 };
    // SAFETY: the name is a live borrow of its length, `raw` a live local.
    let errno =
        unsafe { path_filestat_get(FIRST_PREOPEN, lookup, name.as_ptr(), name.len(), &mut raw) };
    answer(errno).map(|()| raw.into())
}

/// `futimens`, of the time of modification alone.
///
/// # Errors
/// What the file system answered.
pub fn set_modified(file: &File, nanos: u64) -> io::Result<()> {
    const MODIFIED: u16 = 1 << 2;
    // SAFETY: the call takes numbers only.
    answer(unsafe { fd_filestat_set_times(descriptor(file), 0, nanos, MODIFIED) })
}

/// Opens `name` with preview1's own flags.
///
/// # Errors
/// What the file system answered.
pub fn open(name: &str, open_flags: u16, fd_flags: u16) -> io::Result<File> {
    let mut opened = 0;
    // SAFETY: the name is a live borrow of its length, and `opened` is a live local.
    let errno = unsafe {
        path_open(
            FIRST_PREOPEN,
            SYMLINK_FOLLOW,
            name.as_ptr(),
            name.len(),
            open_flags,
            RIGHTS,
            RIGHTS,
            fd_flags,
            &mut opened,
        )
    };
    answer(errno)?;
    let number = i32::try_from(opened).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the host has just given this descriptor to us, and nobody else holds it.
    Ok(unsafe { File::from_raw_fd(number) })
}

/// Gives the file `from` a further name.
///
/// # Errors
/// What the file system answered.
pub fn link(from: &str, to: &str) -> io::Result<()> {
    // SAFETY: both names are live borrows of their lengths.
    answer(unsafe {
        path_link(FIRST_PREOPEN, 0, from.as_ptr(), from.len(), FIRST_PREOPEN, to.as_ptr(), to.len())
    })
}

/// Makes `name` a symbolic link to `target`.
///
/// # Errors
/// What the file system answered.
pub fn symlink(target: &str, name: &str) -> io::Result<()> {
    // SAFETY: both names are live borrows of their lengths.
    answer(unsafe {
        path_symlink(target.as_ptr(), target.len(), FIRST_PREOPEN, name.as_ptr(), name.len())
    })
}

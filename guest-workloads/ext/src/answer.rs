//! From what an import returns to what Rust programs expect.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// The first preopened directory: names are relative to it. Descriptors 0 to 2 are the standard
/// streams.
pub(crate) const FIRST_PREOPEN: i32 = 3;

/// Preview1's number for an argument that makes no sense.
const INVALID: i32 = 28;

/// Preview1's number for memory that is not to be had.
const NO_MEMORY: i32 = 48;

pub(crate) fn answer(errno: i32) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

pub(crate) fn invalid() -> io::Error {
    io::Error::from_raw_os_error(INVALID)
}

pub(crate) fn no_memory() -> io::Error {
    io::Error::from_raw_os_error(NO_MEMORY)
}

pub(crate) fn descriptor(file: &File) -> i32 {
    file.as_raw_fd()
}

/// An offset or a length: what does not fit is refused, as Linux refuses what is negative.
pub(crate) fn signed(number: u64) -> io::Result<i64> {
    i64::try_from(number).map_err(|_| invalid())
}

//! What a file has besides bytes: compression, copy on write, mode bits, extended attributes.

use std::fs::File;
use std::io;

use crate::answer::FIRST_PREOPEN;
use crate::answer::answer;
use crate::answer::descriptor;
use crate::imports;

/// `FS_COMPR_FL`: what is written from now on is stored compressed.
pub const COMPRESSED: u32 = 0x4;
/// `FS_NOCOW_FL`: the file is overwritten in place.
pub const IN_PLACE: u32 = 0x80_0000;

/// `XATTR_CREATE`: fails where the attribute is there.
pub const CREATE: i32 = 1;
/// `XATTR_REPLACE`: fails where it is not.
pub const REPLACE: i32 = 2;

const SYMLINK_FOLLOW: i32 = 1;

/// The longest value, or list of names, that Linux knows.
const VALUE_SIZE_BYTES_MAX: usize = 65_536;

/// `FS_IOC_GETFLAGS`.
///
/// # Errors
/// What the host answered.
pub fn flags(file: &File) -> io::Result<u32> {
    let mut flags = 0;
    // SAFETY: `flags` is a live local.
    let errno = unsafe { imports::fd_flags_get(descriptor(file), &raw mut flags) };
    answer(errno).map(|()| flags)
}

/// `FS_IOC_SETFLAGS`: replaces all flags.
///
/// # Errors
/// What the host answered.
pub fn set_flags(file: &File, flags: u32) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    answer(unsafe { imports::fd_flags_set(descriptor(file), flags) })
}

/// `chmod`.
///
/// # Errors
/// What the host answered.
pub fn set_mode(name: &str, mode: u32) -> io::Result<()> {
    // SAFETY: the name is a live borrow of its length.
    answer(unsafe {
        imports::path_chmod(FIRST_PREOPEN, SYMLINK_FOLLOW, name.as_ptr(), name.len(), mode)
    })
}

/// `fchmod`.
///
/// # Errors
/// What the host answered.
pub fn set_mode_of(file: &File, mode: u32) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    answer(unsafe { imports::fd_chmod(descriptor(file), mode) })
}

/// The permission bits of a file, where the file system tells them.
///
/// # Errors
/// What the host answered.
pub fn mode_of(file: &File) -> io::Result<Option<u32>> {
    let mut numbers = [0; 8];
    // SAFETY: `numbers` is a live local.
    answer(unsafe { imports::fd_stat_ext(descriptor(file), &raw mut numbers) })?;
    let bits = u32::try_from(numbers[0] & 0o7777).ok();
    Ok(bits.filter(|_| numbers[7] == 1))
}

/// The file or directory that the next call makes gets these permission bits.
///
/// # Errors
/// What the host answered.
pub fn set_next_mode(mode: u32) -> io::Result<()> {
    // SAFETY: the call takes a number only.
    answer(unsafe { imports::path_next_mode(mode) })
}

/// `fgetxattr`.
///
/// # Errors
/// What the host answered.
pub fn extended(file: &File, name: &str) -> io::Result<Vec<u8>> {
    let mut value = vec![0; VALUE_SIZE_BYTES_MAX];
    let mut used = 0;
    // SAFETY: the name is a live borrow, the value an exclusive one, `used` a live local.
    let errno = unsafe {
        imports::fd_xattr_get(
            descriptor(file),
            name.as_ptr(),
            name.len(),
            value.as_mut_ptr(),
            value.len(),
            &raw mut used,
        )
    };
    answer(errno)?;
    value.truncate(used);
    Ok(value)
}

/// `fsetxattr`, with 0, [`CREATE`] or [`REPLACE`].
///
/// # Errors
/// What the host answered.
pub fn set_extended(file: &File, name: &str, value: &[u8], flags: i32) -> io::Result<()> {
    // SAFETY: name and value are live borrows of their lengths.
    answer(unsafe {
        imports::fd_xattr_set(
            descriptor(file),
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
            flags,
        )
    })
}

/// `flistxattr`: the names.
///
/// # Errors
/// What the host answered.
pub fn extended_names(file: &File) -> io::Result<Vec<String>> {
    let mut names = vec![0; VALUE_SIZE_BYTES_MAX];
    let mut used = 0;
    // SAFETY: `names` is an exclusive borrow of its length, `used` a live local.
    let errno = unsafe {
        imports::fd_xattr_list(descriptor(file), names.as_mut_ptr(), names.len(), &raw mut used)
    };
    answer(errno)?;
    names.truncate(used);
    let each = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(each.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// `fremovexattr`.
///
/// # Errors
/// What the host answered.
pub fn remove_extended(file: &File, name: &str) -> io::Result<()> {
    // SAFETY: the name is a live borrow of its length.
    answer(unsafe { imports::fd_xattr_remove(descriptor(file), name.as_ptr(), name.len()) })
}

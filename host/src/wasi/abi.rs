//! The layouts and bits of preview1, as the witx files of WASI give them.

use crate::call::FileKind;
use crate::call::Stat;
use crate::call::StatusFlags;
use crate::wasi::errno::AbiErrno;

/// Module name of the imports.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";

/// Longest path in bytes (`PATH_MAX`).
pub(super) const PATH_BYTES_MAX: u32 = 4096;
/// Most vectors in one call (`IOV_MAX`).
pub(super) const VECTOR_COUNT_MAX: u32 = 1024;
/// Most subscriptions in one `poll_oneoff`.
pub(super) const SUBSCRIPTION_COUNT_MAX: u32 = 4096;

pub(super) const VECTOR_BYTES: u32 = 8;
pub(super) const FDSTAT_BYTES: u32 = 24;
pub(super) const FILESTAT_BYTES: u32 = 64;
pub(super) const DIRENT_BYTES: u32 = 24;
pub(super) const PRESTAT_BYTES: u32 = 8;
pub(super) const SUBSCRIPTION_BYTES: u32 = 48;
pub(super) const EVENT_BYTES: u32 = 32;

/// Device number that every file reports.
const FILE_SYSTEM_DEVICE: u64 = 1;

pub(super) const LOOKUP_SYMLINK_FOLLOW: u32 = 1;

pub(super) const OPEN_CREATE: u32 = 1;
pub(super) const OPEN_DIRECTORY: u32 = 1 << 1;
pub(super) const OPEN_EXCLUSIVE: u32 = 1 << 2;
pub(super) const OPEN_TRUNCATE: u32 = 1 << 3;
pub(super) const OPEN_ALL: u32 = (1 << 4) - 1;

pub(super) const FD_APPEND: u32 = 1;
pub(super) const FD_DATA_SYNC: u32 = 1 << 1;
pub(super) const FD_NONBLOCKING: u32 = 1 << 2;
pub(super) const FD_READ_SYNC: u32 = 1 << 3;
pub(super) const FD_SYNC: u32 = 1 << 4;
pub(super) const FD_ALL: u32 = (1 << 5) - 1;
/// Bits that are ours: wasi-libc hands them on as they are. `path_open` knows these.
pub(super) const FD_DIRECT: u32 = 0x100;
pub(super) const FD_UNNAMED: u32 = 0x400;
/// Of the private bits, those that are no status flags.
pub(super) const FD_PRIVATE: [(u32, &str); 2] =
    [(0x200, "O_NOATIME (fdflags 0x200)"), (FD_UNNAMED, "O_TMPFILE (fdflags 0x400)")];

pub(super) const TIME_ACCESS: u32 = 1;
pub(super) const TIME_ACCESS_NOW: u32 = 1 << 1;
pub(super) const TIME_MODIFY: u32 = 1 << 2;
pub(super) const TIME_MODIFY_NOW: u32 = 1 << 3;
pub(super) const TIME_ALL: u32 = (1 << 4) - 1;

pub(super) const EVENT_CLOCK: u8 = 0;
pub(super) const EVENT_FD_READ: u8 = 1;
pub(super) const EVENT_FD_WRITE: u8 = 2;
pub(super) const EVENT_HANGUP: u16 = 1;
pub(super) const CLOCK_ABSOLUTE: u16 = 1;

/// Preview1's `filetype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum FileType {
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    SymbolicLink = 7,
}

impl From<FileKind> for FileType {
    fn from(kind: FileKind) -> Self {
        match kind {
            FileKind::Regular => Self::RegularFile,
            FileKind::Directory => Self::Directory,
            FileKind::Symlink => Self::SymbolicLink,
        }
    }
}

/// `fdflags` as a description's status flags. Private bits are for the caller to refuse.
pub(super) fn decode_status(bits: u32) -> Result<StatusFlags, AbiErrno> {
    let private: u32 = FD_PRIVATE.iter().map(|(bit, _)| bit).sum();
    if bits & !(FD_ALL | FD_DIRECT | private) != 0 {
        return Err(AbiErrno::Inval);
    }
    Ok(StatusFlags {
        append: bits & FD_APPEND != 0,
        data_sync: bits & FD_DATA_SYNC != 0,
        sync: bits & FD_SYNC != 0,
        read_sync: bits & FD_READ_SYNC != 0,
        nonblocking: bits & FD_NONBLOCKING != 0,
        direct: bits & FD_DIRECT != 0,
    })
}

/// The inverse of [`decode_status`].
pub(super) fn encode_status(status: StatusFlags) -> u16 {
    let bit = |is_set: bool, bit: u32| if is_set { bit as u16 } else { 0 };
    bit(status.append, FD_APPEND)
        | bit(status.data_sync, FD_DATA_SYNC)
        | bit(status.nonblocking, FD_NONBLOCKING)
        | bit(status.read_sync, FD_READ_SYNC)
        | bit(status.sync, FD_SYNC)
        | bit(status.direct, FD_DIRECT)
}

/// What a guest is told about a file.
pub(super) fn encode_stat(stat: &Stat) -> [u8; FILESTAT_BYTES as usize] {
    encode_filestat(
        FILE_SYSTEM_DEVICE,
        stat.kind.into(),
        &[
            stat.ino.0,
            stat.link_count,
            stat.size_bytes,
            stat.access_nanos,
            stat.modify_nanos,
            stat.change_nanos,
        ],
    )
}

/// What a guest is told about standard input or output.
pub(super) fn encode_stdio_stat(fd: u32) -> [u8; FILESTAT_BYTES as usize] {
    encode_filestat(0, FileType::CharacterDevice, &[u64::from(fd), 1, 0, 0, 0, 0])
}

fn encode_filestat(
    device: u64,
    file_type: FileType,
    [ino, link_count, size_bytes, access, modify, change]: &[u64; 6],
) -> [u8; FILESTAT_BYTES as usize] {
    let mut bytes = [0; FILESTAT_BYTES as usize];
    bytes[0..8].copy_from_slice(&device.to_le_bytes());
    bytes[8..16].copy_from_slice(&ino.to_le_bytes());
    bytes[16] = file_type as u8;
    bytes[24..32].copy_from_slice(&link_count.to_le_bytes());
    bytes[32..40].copy_from_slice(&size_bytes.to_le_bytes());
    bytes[40..48].copy_from_slice(&access.to_le_bytes());
    bytes[48..56].copy_from_slice(&modify.to_le_bytes());
    bytes[56..64].copy_from_slice(&change.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_flags_survive_the_way_to_the_guest_and_back() {
        for bits in (0..=FD_ALL).chain([FD_DIRECT, FD_DIRECT | FD_APPEND]) {
            let status = decode_status(bits).expect("the bits are the ABI's");
            assert_eq!(u32::from(encode_status(status)), bits);
        }
        assert_eq!(decode_status(FD_ALL + 1), Err(AbiErrno::Inval));
    }
}

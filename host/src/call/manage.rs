//! What can be asked of a file system beyond POSIX.

use bytes::Bytes;

use crate::call::HandleId;

/// One request of a process that POSIX does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manage {
    /// A frozen copy of the whole tree.
    Snapshot {
        /// Its name: one component.
        name: Bytes,
    },
    /// The root directory of a snapshot, read-only; answers [`crate::call::Value::Handle`].
    OpenSnapshot {
        /// Its name.
        name: Bytes,
    },
    /// The end of a snapshot.
    DeleteSnapshot {
        /// Its name.
        name: Bytes,
    },
    /// `FS_IOC_SETFLAGS` with or without `FS_COMPR_FL`: is what is written from now on compressed?
    SetCompression {
        /// The file.
        handle: HandleId,
        /// Is it?
        on: bool,
    },
    /// `FS_IOC_SETFLAGS` with or without `FS_NOCOW_FL`: is what is written written in place?
    SetNoCow {
        /// The file.
        handle: HandleId,
        /// Is it?
        on: bool,
    },
    /// `sync_file_range`: writeback begins, and nothing is promised.
    SyncRange {
        /// The file.
        handle: HandleId,
        /// Start of the range.
        offset: u64,
        /// Its length; 0 is to the end of the file.
        len: u64,
        /// Does the call wait for the medium, and tell if it fails?
        wait: bool,
    },
    /// `/proc/sys/vm/drop_caches`: whatever is clean in memory is dropped.
    DropCaches,
    /// `statfs`; answers [`crate::call::Value::Space`].
    Space,
}

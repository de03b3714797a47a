//! Items of the tree: what a key says, what its value says.

use bytes::Bytes;

/// The number of the root directory.
pub const ROOT_INO: u64 = 1;

/// The first cookie of a directory entry; 1 and 2 are for `.` and `..`.
pub const COOKIE_FIRST: u64 = 3;

/// What kind of file an inode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A regular file.
    Regular = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link.
    Symlink = 3,
}

/// The three times of a file, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// Last access.
    pub access_nanos: u64,
    /// Last change of content.
    pub modify_nanos: u64,
    /// Last change of anything.
    pub change_nanos: u64,
}

/// What is known of a file apart from its names and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inode {
    /// What kind of file it is.
    pub kind: Kind,
    /// Number of names.
    pub link_count: u32,
    /// Bytes of content that are written back; of a symbolic link, of its target.
    pub size_bytes: u64,
    /// Its times.
    pub times: Times,
    /// Of a directory, the directory it is in (the root is in itself); otherwise 0.
    pub parent: u64,
    /// Of a directory, the cookie of its next entry; otherwise 0.
    pub next_cookie: u64,
}

/// Where a name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryTarget {
    /// Number of the file.
    pub ino: u64,
    /// Its kind.
    pub kind: Kind,
    /// The place of the name in its directory.
    pub cookie: u64,
}

/// One name of a directory, in the order of cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryItem {
    /// The place of the name in its directory.
    pub cookie: u64,
    /// The name: one component.
    pub name: Bytes,
    /// Number of the file.
    pub ino: u64,
    /// Its kind.
    pub kind: Kind,
}

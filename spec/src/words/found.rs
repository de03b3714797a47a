//! What a survey found: the whole of a file system, as someone who walks it sees it.

use bytes::Bytes;
use imbl::OrdMap;

use crate::words::Errno;
use crate::words::Ino;
use crate::words::Mode;

/// Bytes of a file, by offset: pieces that do not overlap; what no piece covers reads as zero.
/// Shared, so that a file of which one piece differs from before costs that piece.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// The pieces, by offset, none empty.
    pub pieces: OrdMap<u64, Bytes>,
}

/// What kind of thing a name led to, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundKind {
    /// A regular file.
    Regular {
        /// Its size.
        size_bytes: u64,
        /// Its bytes, or why they could not be read.
        content: Result<Content, Errno>,
    },
    /// A directory; its entries are found under their own paths.
    Directory,
    /// A symbolic link and what it says.
    Symlink {
        /// What it says.
        target: Bytes,
    },
    /// The name is listed, but what it leads to could not be looked at.
    Unreadable {
        /// Why.
        errno: Errno,
    },
}

/// What one name led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which file it is.
    pub ino: Ino,
    /// The link count that `stat` tells.
    pub link_count: u64,
    /// Its permission bits, where the subject tells.
    pub mode: Option<Mode>,
    /// Its extended attributes, by name.
    pub attributes: OrdMap<Bytes, Bytes>,
    /// What it is.
    pub kind: FoundKind,
}

/// Every name, with what it led to. The root directory is the empty path; the others are
/// components joined by `/`, without one at the start. Shared, so that a survey that differs
/// little from another costs little.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The names, or why nothing could be mounted.
    pub names: OrdMap<Bytes, Found>,
}

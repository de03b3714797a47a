//! What can be asked of mapped memory. Stores and loads are calls too: whoever runs a guest
//! announces them.

use bytes::Bytes;

use crate::words::HandleId;

/// A mapping of a file into a process's memory. Numbers are never reused in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappingId(pub u64);

/// What a mapping lets its process do (`PROT_READ`, `PROT_WRITE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    /// May it be loaded from?
    pub read: bool,
    /// May it be stored to?
    pub write: bool,
}

/// Whose the stores to a mapping are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The file's, and every other shared mapping's (`MAP_SHARED`).
    Shared,
    /// The mapping's own (`MAP_PRIVATE`).
    Private,
}

/// A signal that an access to memory raises instead of having an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGBUS`: the page lies beyond the end of the file, or cannot be had.
    Bus,
    /// `SEGV_ACCERR`: the mapping does not let its process do this, or is gone.
    Segv,
}

/// One call of a process about memory that it mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// `mmap`; answers [`crate::words::Value::Mapping`].
    Map {
        /// The file; the mapping outlives the handle.
        handle: HandleId,
        /// Where in the file it begins: a multiple of the page size.
        offset: u64,
        /// Its length, above 0.
        len: u64,
        /// What it lets its process do.
        access: Access,
        /// Whose its stores are.
        sharing: Sharing,
    },
    /// `munmap` of a part of a mapping, or of all.
    Unmap {
        /// The mapping.
        mapping: MappingId,
        /// Where in it: a multiple of the page size.
        offset: u64,
        /// How much of it; a page that begins in the range goes whole.
        len: u64,
    },
    /// `mprotect` of a part of a mapping, or of all.
    Protect {
        /// The mapping.
        mapping: MappingId,
        /// Where in it: a multiple of the page size.
        offset: u64,
        /// How much of it.
        len: u64,
        /// What it lets its process do from now on.
        access: Access,
    },
    /// A store to mapped memory, within one page; answers [`crate::words::Value::Done`] or
    /// [`crate::words::Value::Signal`].
    Store {
        /// The mapping.
        mapping: MappingId,
        /// Where in it.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// A load from mapped memory; answers [`crate::words::Value::Data`], of that length, or
    /// [`crate::words::Value::Signal`].
    Load {
        /// The mapping.
        mapping: MappingId,
        /// Where in it.
        offset: u64,
        /// How much.
        len: u32,
    },
    /// `msync`.
    SyncMapping {
        /// The mapping.
        mapping: MappingId,
        /// Where in it: a multiple of the page size.
        offset: u64,
        /// How much of it.
        len: u64,
        /// Is it durable at the answer (`MS_SYNC`), or some day (`MS_ASYNC`)?
        wait: bool,
        /// `MS_INVALIDATE`: other copies are made to agree with the file.
        invalidate: bool,
    },
}

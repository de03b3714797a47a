//! The reference file system: a copy-on-write tree with two roots and an intent log.
//!
//! Flow: a [`Transaction`] changes a private version of the tree and lets it take effect at once
//! in memory. [`Cow::sync_log`] makes what took effect durable in the intent log;
//! [`Cow::commit`] writes the tree and then a root that names it. Mounting reads the newest whole
//! root and replays the log that it names.
//!
//! What is found after power loss is the state after some transaction, never between two, and
//! no older than the last sync or commit that succeeded.
//!
//! Architecture invariant: nothing here knows a page, a handle, or why anything is written.

pub mod format;
mod policy;
mod transaction;

use std::sync::Arc;

use bytes::Bytes;

pub use format::item::COOKIE_FIRST;
pub use format::item::EntryItem;
pub use format::item::EntryTarget;
pub use format::item::Inode;
pub use format::item::Kind;
pub use format::item::ROOT_INO;
pub use format::item::Times;
pub use policy::COMMIT_ORDER;
pub use policy::CommitStep;
pub use policy::CowPolicy;
pub use policy::Replay;
pub use policy::SYNC_ORDER;
pub use policy::SyncStep;
pub use transaction::Transaction;

use crate::device::BlockNo;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::Geometry;
use crate::device::Payload;
use crate::sim::Sim;

/// Why the file system could not do as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CowError {
    /// The device failed.
    Device(DeviceError),
    /// A block does not hold what it should.
    Corrupt {
        /// Which block.
        at: BlockNo,
        /// What should hold.
        invariant: &'static str,
    },
    /// There is no space.
    NoSpace,
    /// There is no file of that number.
    NoInode(u64),
    /// There is no such name in the directory.
    NoEntry,
    /// The name is there already.
    EntryExists,
    /// The name is empty or longer than [`Cow::name_max`].
    NameLength,
    /// The device's shape is not one that the file system can have.
    Geometry(Geometry),
}

/// Writes an empty file system: a root directory and nothing else.
pub async fn format(device: &dyn Device, sim: &Sim) -> Result<(), CowError> {
    todo!("{:?} {sim:?}", device.geometry())
}

/// A mounted file system. Clones are the same file system.
#[derive(Debug, Clone)]
pub struct Cow {}

impl Cow {
    /// Mounts what is on the device: the newest whole root, and the log that it names. Writes
    /// nothing.
    pub async fn mount(
        device: Arc<dyn Device>,
        sim: Sim,
        policy: CowPolicy,
    ) -> Result<Self, CowError> {
        todo!("{:?} {sim:?} {policy:?}", device.geometry())
    }

    /// The shape of the device.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        todo!()
    }

    /// Bytes in the longest name.
    #[must_use]
    pub fn name_max(&self) -> usize {
        todo!()
    }

    /// Blocks that nothing uses and nobody reserved; those that a commit will free are not among
    /// them.
    pub async fn free_blocks(&self) -> Result<u64, CowError> {
        todo!()
    }

    /// Sets blocks aside for content that will be written back later; commits if that frees
    /// enough. What [`Cow::write_blocks`] allocates is not taken from it: the caller unreserves a
    /// block when it has been written, or no longer will be.
    pub async fn reserve(&self, blocks: u64) -> Result<(), CowError> {
        todo!("{blocks}")
    }

    /// Gives back what [`Cow::reserve`] set aside.
    pub fn unreserve(&self, blocks: u64) {
        todo!("{blocks}")
    }

    /// Begins a transaction when no other is under way. (Operations that wait for the same task's
    /// own transaction, as `reserve`, `commit`, `write_blocks`, must not be called before it ends.)
    pub async fn begin(&self) -> Result<Transaction, CowError> {
        todo!()
    }

    /// The inode of that number.
    pub async fn inode(&self, ino: u64) -> Result<Option<Inode>, CowError> {
        todo!("{ino}")
    }

    /// Where a name leads.
    pub async fn lookup(&self, dir: u64, name: &[u8]) -> Result<Option<EntryTarget>, CowError> {
        todo!("{dir} {name:?}")
    }

    /// Names of a directory whose cookies are `from_cookie` or above, in order, at most `max`.
    pub async fn entries(
        &self,
        dir: u64,
        from_cookie: u64,
        max: usize,
    ) -> Result<Vec<EntryItem>, CowError> {
        todo!("{dir} {from_cookie} {max}")
    }

    /// What a symbolic link leads to; empty if the file is none.
    pub async fn symlink_target(&self, ino: u64) -> Result<Bytes, CowError> {
        todo!("{ino}")
    }

    /// A block of a file's content, its checksum verified; `None` is a hole.
    pub async fn read_block(&self, ino: u64, file_block: u64) -> Result<Option<Bytes>, CowError> {
        todo!("{ino} {file_block}")
    }

    /// Writes content to fresh blocks; those that the device accepted become the file's in one
    /// transaction. One result for each block, in order. A payload shorter than a block is padded
    /// with zeros.
    ///
    /// The inode's size grows to `size_bytes`, but not beyond the end of the last block that was
    /// written; it never shrinks here. `modify_nanos` and `change_nanos` are taken from `times`,
    /// the access time stays.
    pub async fn write_blocks(
        &self,
        ino: u64,
        blocks: Vec<(u64, Payload)>,
        size_bytes: u64,
        times: Times,
    ) -> Vec<Result<(), CowError>> {
        todo!("{ino} {blocks:?} {size_bytes} {times:?}")
    }

    /// Makes everything that took effect durable, by the intent log if that is cheaper. If it
    /// fails, nothing is promised, and the next call tries everything again.
    pub async fn sync_log(&self) -> Result<(), CowError> {
        todo!()
    }

    /// Makes everything that took effect durable, as a new tree.
    pub async fn commit(&self) -> Result<(), CowError> {
        todo!()
    }

    /// Files without a name that were not removed yet.
    pub async fn orphans(&self) -> Result<Vec<u64>, CowError> {
        todo!()
    }

    /// Removes every orphan, as mounting for use should.
    pub async fn remove_orphans(&self) -> Result<(), CowError> {
        todo!()
    }
}

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

mod accounts;
mod alloc;
mod clones;
mod codec;
mod commit;
mod content;
mod copies;
mod discard;
mod extents;
pub mod format;
mod free;
pub mod fsck;
mod grants;
mod in_place;
mod likeness;
mod objects;
mod policy;
mod read;
mod recover;
mod share;
mod snapshot;
mod spans;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod transaction;
mod tree;
mod unlogged;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

pub use accounts::Discrepancy;
pub use accounts::Misuse;
pub use clones::CloneRange;
pub use codec::Packed;
pub use codec::extent_of;
pub use content::Content;
pub use format::item::COOKIE_FIRST;
pub use format::item::EntryItem;
pub use format::item::EntryTarget;
pub use format::item::Inode;
pub use format::item::Kind;
pub use format::item::ROOT_INO;
pub use format::item::Times;
pub use grants::Grant;
pub use grants::Mismatch;
pub use likeness::Changes;
pub use likeness::Inventory;
pub use likeness::User;
pub use likeness::Users;
pub use objects::Reservation;
pub use policy::BadCopy;
pub use policy::COMMIT_ORDER;
pub use policy::CommitStep;
pub use policy::CowPolicy;
pub use policy::DirtyTest;
pub use policy::Discards;
pub use policy::FreedRanges;
pub use policy::GRANT_CHECKED_FIRST;
pub use policy::GRANT_ORDER;
pub use policy::GRANT_UNREAD;
pub use policy::GrantStep;
pub use policy::Logged;
pub use policy::OverwrittenClone;
pub use policy::PendingFrees;
pub use policy::RECOVERY_COMMITS;
pub use policy::RECOVERY_ENDS_LOG_FIRST;
pub use policy::RECOVERY_ORDER;
pub use policy::RecordFailure;
pub use policy::RecordSearch;
pub use policy::RecoveryStep;
pub use policy::ReplayedUses;
pub use policy::Reuse;
pub use policy::RunOffset;
pub use policy::SYNC_ORDER;
pub use policy::Sharing;
pub use policy::SyncStep;
pub use policy::TreeErrors;
pub use snapshot::SNAPSHOTS_MAX;
pub use transaction::Transaction;

use crate::cow::alloc::Allocator;
use crate::cow::content::Extend;
use crate::cow::format::item::Key;
use crate::cow::store::Store;
use crate::cow::tree::Tree;
use crate::device::BlockNo;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::Geometry;
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
    /// The open group of transactions is full; when it has synced there is room.
    GroupFull,
    /// The device refuses what is to be written, and callers were to wait until it does not.
    Suspended,
    /// There is no file of that number.
    NoInode(u64),
    /// There is no such name in the directory.
    NoEntry,
    /// The name is there already.
    EntryExists,
    /// The name is empty or longer than [`Cow::name_max`].
    NameLength,
    /// The file is of a snapshot.
    ReadOnly,
    /// The device's shape is not one that the file system can have.
    Geometry(Geometry),
}

impl fmt::Display for CowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(error) => write!(f, "the device failed: {error:?}"),
            Self::Corrupt { at, invariant } => {
                write!(f, "block {} is corrupt, it does not hold that {invariant}", at.0)
            }
            Self::NoSpace => f.write_str("no space is left"),
            Self::GroupFull => f.write_str("the group of transactions is full"),
            Self::Suspended => f.write_str("the device refuses writes, and nobody heals it"),
            Self::NoInode(ino) => write!(f, "there is no file {ino} of that kind"),
            Self::NoEntry => f.write_str("there is no such name"),
            Self::EntryExists => f.write_str("the name is there already"),
            Self::NameLength => f.write_str("the name is reserved, too long or no name"),
            Self::ReadOnly => f.write_str("a snapshot is never changed"),
            Self::Geometry(geometry) => write!(
                f,
                "a device of {} blocks of {} bytes cannot hold a file system",
                geometry.block_count, geometry.block_size_bytes
            ),
        }
    }
}

impl std::error::Error for CowError {}

/// Writes an empty file system: a root directory and nothing else.
pub async fn format(device: &dyn Device, sim: &Sim) -> Result<(), CowError> {
    recover::format(device, sim).await
}

/// A mounted file system. Clones are the same file system.
#[derive(Clone)]
pub struct Cow {
    store: Arc<Store>,
}

impl fmt::Debug for Cow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cow").field("geometry", &self.store.geometry).finish_non_exhaustive()
    }
}

impl Cow {
    fn store(&self) -> &Store {
        &self.store
    }

    /// Mounts what is on the device: the newest whole root, and the log that it names. Writes
    /// nothing.
    pub async fn mount(
        device: Arc<dyn Device>,
        sim: Sim,
        policy: CowPolicy,
    ) -> Result<Self, CowError> {
        Ok(Self { store: Arc::new(recover::mount(device, sim, policy).await?) })
    }

    /// The shape of the device.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.store.geometry
    }

    /// Bytes in the longest name.
    #[must_use]
    pub fn name_max(&self) -> usize {
        format::item::name_max(self.store.geometry.block_size_bytes)
    }

    /// Blocks that may be reserved; those that a commit will free are not among them.
    pub async fn free_blocks(&self) -> Result<u64, CowError> {
        self.store.find_free().await?;
        self.store.finish_discards().await;
        Ok(self.store.available())
    }

    /// Sets blocks aside for content that will be written back later; commits if that frees
    /// enough. What [`Cow::write_content`] allocates is not taken from it: the caller unreserves a
    /// block when it has been written, or no longer will be.
    pub async fn reserve(&self, blocks: u64) -> Result<(), CowError> {
        self.store.reserve(blocks).await
    }

    /// Makes free what is about to be: blocks that were written over become free only when their
    /// successors are committed.
    ///
    /// # Errors
    /// As [`Cow::commit`].
    pub async fn free_pending(&self) -> Result<(), CowError> {
        if self.store.awaits_frees() { self.commit().await } else { Ok(()) }
    }

    /// Would a block of a file be written where it is, so that it needs no other one?
    ///
    /// # Errors
    /// If it cannot be read where it is.
    pub async fn is_kept(&self, ino: u64, file_block: u64) -> Result<bool, CowError> {
        in_place::is_kept(&self.store, ino, file_block).await
    }

    /// The blocks of a part of a file that is written in place which others share, so that they
    /// would be written elsewhere.
    ///
    /// # Errors
    /// If it cannot be read where they are.
    pub async fn borrowed(&self, ino: u64, blocks: Range<u64>) -> Result<Vec<u64>, CowError> {
        in_place::borrowed(&self.store, ino, blocks).await
    }

    /// As [`Cow::reserve`], for blocks that are kept: they are there, whatever else is free.
    pub fn reserve_kept(&self, blocks: u64) {
        self.store.state().reserved += blocks;
    }

    /// Gives back what [`Cow::reserve`] set aside.
    pub fn unreserve(&self, blocks: u64) {
        let mut state = self.store.state();
        state.reserved = state.reserved.saturating_sub(blocks);
    }

    /// Compares what is known of free blocks and of uses with what is there, all of it. Nothing is
    /// being written meanwhile.
    ///
    /// # Errors
    /// If some of it cannot be read.
    pub async fn audit_space(&self) -> Result<Vec<Discrepancy>, CowError> {
        self.store.audit_space().await
    }

    /// The blocks that trees reach: of the files, of the snapshots, and what is in the log.
    ///
    /// # Errors
    /// If some of it cannot be read.
    pub async fn used_blocks(&self) -> Result<BTreeSet<BlockNo>, CowError> {
        self.store.used_blocks().await
    }

    /// Looks at every copy of what the trees reach, where the device keeps several, and repairs
    /// those that are wrong.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub async fn scrub(&self) -> Result<(), CowError> {
        self.store.scrub().await
    }

    /// Notes blocks whose bytes are of another checksum than what names them, from now on.
    pub fn watch_mismatches(&self) {
        self.store.mismatches.watch();
    }

    /// What was noted since the last time.
    #[must_use]
    pub fn take_mismatches(&self) -> Vec<Mismatch> {
        self.store.mismatches.take()
    }

    /// Compares how often each block is used with what is known of it, right after a mount that
    /// replayed a log.
    ///
    /// # Errors
    /// If some of it cannot be read.
    pub async fn audit_replay(&self) -> Result<Vec<Discrepancy>, CowError> {
        self.store.audit_replay().await
    }

    /// Begins a transaction when no other is under way.
    ///
    /// Until it ends, its task waits for nothing but the transaction: not for `reserve`, `commit`,
    /// `sync_log` or `write_content`, which may wait for it, and not for a lock whose holder may
    /// wait for one of these.
    pub async fn begin(&self) -> Result<Transaction, CowError> {
        Transaction::begin(self).await
    }

    /// The inode of that number.
    pub async fn inode(&self, ino: u64) -> Result<Option<Inode>, CowError> {
        let question = |tree: &Tree, ino| tree.get(&Key::of_inode(ino)).map(read::inode);
        let mut inode = self.store.ask_file(ino, question).await??;
        if let Some(inode) = inode.as_mut().filter(|inode| inode.kind == Kind::Directory) {
            inode.parent = beside(ino, inode.parent);
        }
        Ok(inode)
    }

    /// Where a name leads.
    pub async fn lookup(&self, dir: u64, name: &[u8]) -> Result<Option<EntryTarget>, CowError> {
        let question = |tree: &Tree, dir| tree.get(&Key::of_name(dir, name)).map(read::target);
        let target = self.store.ask_file(dir, question).await??;
        Ok(target.map(|target| EntryTarget { ino: beside(dir, target.ino), ..target }))
    }

    /// Names of a directory whose cookies are `from_cookie` or above, in order, at most `max`.
    pub async fn entries(
        &self,
        dir: u64,
        from_cookie: u64,
        max: usize,
    ) -> Result<Vec<EntryItem>, CowError> {
        let question = |tree: &Tree, dir| read::entries(tree, dir, from_cookie, max);
        let mut entries = self.store.ask_file(dir, question).await??;
        entries.iter_mut().for_each(|entry| entry.ino = beside(dir, entry.ino));
        Ok(entries)
    }

    /// What a symbolic link leads to; empty if the file is none.
    pub async fn symlink_target(&self, ino: u64) -> Result<Bytes, CowError> {
        self.store.ask_file(ino, read::symlink_target).await
    }

    /// The value of an extended attribute of a file.
    pub async fn attribute(&self, ino: u64, name: &Bytes) -> Result<Option<Bytes>, CowError> {
        let key = |ino| Key::Attribute { ino, name: name.clone() }.encode();
        let question = |tree: &Tree, ino| Ok(tree.get(&key(ino))?.map(Bytes::copy_from_slice));
        self.store.ask_file(ino, question).await
    }

    /// The names of a file's extended attributes, in the order of their bytes.
    pub async fn attribute_names(&self, ino: u64) -> Result<Vec<Bytes>, CowError> {
        self.store.ask_file(ino, read::attribute_names).await?
    }

    /// The bytes that name and value of an extended attribute may have together.
    #[must_use]
    pub fn attribute_size_bytes_max(&self) -> usize {
        format::item::attribute_size_bytes_max(self.store.geometry.block_size_bytes)
    }

    /// A block of a file's content, its checksum verified; `None` is a hole.
    pub async fn read_block(&self, ino: u64, file_block: u64) -> Result<Option<Bytes>, CowError> {
        let alone = file_block..file_block.saturating_add(1);
        Ok(self.read_blocks(ino, alone).await?.into_iter().next().flatten())
    }

    /// The first of some blocks of a file's content, and those behind it that came with it. There
    /// is at least one block.
    pub async fn read_blocks(
        &self,
        ino: u64,
        blocks: Range<u64>,
    ) -> Result<Vec<Option<Bytes>>, CowError> {
        content::read_blocks(&self.store, ino, blocks).await
    }

    /// Which blocks of a part of a file's content are no holes, in order.
    pub async fn data_blocks(
        &self,
        ino: u64,
        blocks: Range<u64>,
    ) -> Result<Vec<Range<u64>>, CowError> {
        read::data_blocks(&self.store, ino, blocks).await
    }

    /// Is there something of the file that is in no settled tree yet? [`Cow::settle`] changes that.
    #[must_use]
    pub fn is_dirty(&self, ino: u64) -> bool {
        self.store.is_dirty(ino)
    }

    /// Lets the open group of transactions sync in memory: where content is, is settled then, as of
    /// a moment within the call.
    pub async fn settle(&self) {
        self.store.settle().await;
    }

    /// The next run of blocks that are neither holes nor only set aside, from a block on and up to
    /// the first that is. Of a file that is dirty too: what it is then was so at one moment.
    ///
    /// # Errors
    /// If it cannot be read, or the file's snapshot is gone.
    pub async fn next_data(
        &self,
        ino: u64,
        from_block: u64,
    ) -> Result<Option<Range<u64>>, CowError> {
        self.store.next_data(ino, from_block).await
    }

    /// Asks for room for content in the open group of transactions. One that is empty has room for
    /// anything. By chance there is none for who asks for the first time.
    #[must_use]
    pub fn reserve_in_group(&self, bytes: u64, is_first: bool) -> Reservation {
        self.store.reserve_in_group(bytes, is_first)
    }

    /// Writes content to fresh blocks, as it is or packed; what the device accepted becomes the
    /// file's in one transaction. One result for each part, in order: a part is written or refused
    /// whole.
    ///
    /// The inode's size grows to `size_bytes`, but not beyond the end of the last block that was
    /// written; it never shrinks here. `modify_nanos` and `change_nanos` are taken from `times`,
    /// the access time stays.
    ///
    /// Whether a file is to be packed ([`Inode::is_compressed`]), when its bytes are captured for
    /// it, and what becomes of those that [`Packed::pack`] refuses, is the caller's.
    pub async fn write_content(
        &self,
        ino: u64,
        content: Vec<Content>,
        size_bytes: u64,
        times: Times,
    ) -> Vec<Result<(), CowError>> {
        content::write_content(self, Extend { ino, size_bytes, times }, content).await
    }

    /// Lets a part of a file name the blocks of another one, in one transaction: what was in these
    /// blocks of `to` is gone, holes are holes there too. Later writes to either change that one
    /// alone.
    ///
    /// What is dirty in memory is not seen: the caller has flushed both files, and nobody changes
    /// them meanwhile. The two parts do not overlap. A snapshot's file can be cloned from, not to.
    ///
    /// # Errors
    /// `NoInode` if one of them is not there, `NoSpace` if there is none for what names the blocks;
    /// then nothing changed.
    pub async fn clone_range(&self, range: CloneRange) -> Result<(), CowError> {
        clones::clone_range(self, range).await
    }

    /// Makes everything that took effect durable, by the intent log if that is cheaper. If it
    /// fails, nothing is promised, and the next call tries everything again.
    pub async fn sync_log(&self) -> Result<(), CowError> {
        self.store.sync().await
    }

    /// What became of the file system since it was mounted: it goes on, or a write of its own
    /// records failed that the policy does not let it go on after.
    #[must_use]
    pub fn stopped(&self) -> RecordFailure {
        self.store.stopped()
    }

    /// Makes everything that took effect durable, as a new tree.
    pub async fn commit(&self) -> Result<(), CowError> {
        self.store.commit().await
    }

    /// Makes the file system as it is now a snapshot, durable when this succeeds. `EntryExists` if
    /// the name is taken, `NoSpace` if there are [`SNAPSHOTS_MAX`] already.
    pub async fn take_snapshot(&self, name: &[u8]) -> Result<(), CowError> {
        self.store.take_snapshot(name).await
    }

    /// Deletes a snapshot, durably when this succeeds. Its blocks are free then, as far as nothing
    /// else uses them. Its files are no longer there, whoever reads them.
    pub async fn delete_snapshot(&self, name: &[u8]) -> Result<(), CowError> {
        self.store.delete_snapshot(name).await
    }

    /// The snapshots there are, by name, and the number of each one's root directory. From there,
    /// everything that reads a file reads it as it was; nothing changes it.
    #[must_use]
    pub fn snapshots(&self) -> Vec<(Bytes, u64)> {
        self.store.snapshots()
    }

    /// Is it the number of a file of a snapshot, there or not?
    #[must_use]
    pub fn is_in_snapshot(ino: u64) -> bool {
        snapshot::split(ino).0 != 0
    }

    /// Are both files of the live tree, or of the same snapshot?
    #[must_use]
    pub fn is_same_tree(one: u64, two: u64) -> bool {
        snapshot::split(one).0 == snapshot::split(two).0
    }

    /// Notes what becomes of blocks, from now on.
    pub fn watch_grants(&self) {
        self.store.grants.watch();
        self.store.state().free.iter().for_each(Allocator::note_free);
    }

    /// What was noted since the last time.
    #[must_use]
    pub fn take_grants(&self) -> Vec<Grant> {
        self.store.grants.take()
    }

    /// Was nothing noted since the last time, neither of grants nor of mismatches?
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.store.grants.is_empty() && self.store.mismatches.is_empty()
    }

    /// Files without a name that were not removed yet.
    pub async fn orphans(&self) -> Result<Vec<u64>, CowError> {
        read::orphans(&self.store).await
    }

    /// Removes every orphan, as mounting for use should.
    pub async fn remove_orphans(&self) -> Result<(), CowError> {
        for ino in self.orphans().await? {
            let mut transaction = self.begin().await?;
            transaction.remove_inode(ino).await?;
            transaction.finish().await?;
        }
        Ok(())
    }
}

/// The number of a file of the same tree as another one's.
fn beside(file: u64, ino: u64) -> u64 {
    snapshot::number_in(snapshot::split(file).0, ino)
}

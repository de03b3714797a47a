//! Files in use: who has them open, and when a file without a name is removed.
//!
//! A file whose last name goes is removed at once if nobody has it open; else it becomes an orphan
//! and goes with its last handle. Inode numbers are never used again, so a number that was looked
//! up leads to that file or to none.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cache::is_power_off;
use crate::call::Errno;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Kind;
use crate::cow::Transaction;
use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use crate::sim::TaskLock;
use crate::sim::TaskLockGuard;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::SnapshotHold;

/// One file in use.
#[derive(Debug, Clone, Default)]
struct Use {
    holders: u32,
    /// Is it kept in the page cache for its holders?
    is_cached: bool,
    /// Is it without a name?
    is_orphan: bool,
    /// Was it made without a name, to get one later?
    is_linkable: bool,
    /// Is it being removed?
    is_doomed: bool,
    content: TaskLock,
}

/// Files in use, by number.
#[derive(Debug, Default)]
pub(super) struct Inodes {
    uses: BTreeMap<u64, Use>,
    /// The root of the snapshot that is being deleted.
    ending: Option<u64>,
}

impl Inodes {
    fn is_ending(&self, ino: u64) -> bool {
        self.ending.is_some_and(|root| Cow::is_same_tree(root, ino))
    }
}

/// A snapshot that is being deleted: until this is dropped, nobody comes to hold a file of it.
#[derive(Debug)]
pub(super) struct Ending(Arc<WorldMutex<Inodes>>);

impl Drop for Ending {
    fn drop(&mut self) {
        lock(&self.0).ending = None;
    }
}

/// A name of a file that is about to be removed. Dropped before [`Removal::done`], nothing came of
/// it.
#[derive(Debug)]
pub(super) struct Removal {
    inodes: Arc<WorldMutex<Inodes>>,
    ino: u64,
    is_last_name: bool,
    is_removed: bool,
    is_done: bool,
    _writeback: Option<TaskLockGuard>,
}

fn lock(inodes: &WorldMutex<Inodes>) -> WorldGuard<'_, Inodes> {
    inodes.lock()
}

impl Removal {
    /// Takes the name's share of the inode, in the transaction that removes the name.
    pub(super) async fn apply(&self, transaction: &mut Transaction, now: u64) -> Outcome<()> {
        if self.is_removed {
            transaction.remove_inode(self.ino).await?;
            return Ok(());
        }
        let inode = transaction.inode(self.ino).await?;
        let mut inode = inode.ok_or(CowError::NoInode(self.ino))?;
        inode.link_count = inode.link_count.saturating_sub(1);
        inode.times.change_nanos = now;
        transaction.put_inode(self.ino, &inode).await?;
        if self.is_last_name {
            transaction.add_orphan(self.ino).await?;
        }
        Ok(())
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        let mut inodes = lock(&self.inodes);
        if let Some(entry) = inodes.uses.get_mut(&self.ino) {
            entry.is_doomed = false;
            entry.is_orphan &= self.is_done || !self.is_last_name;
            if entry.holders == 0 && !entry.is_orphan {
                inodes.uses.remove(&self.ino);
            }
        }
    }
}

impl ReferenceVfs {
    fn inodes(&self) -> WorldGuard<'_, Inodes> {
        lock(&self.inodes)
    }

    /// Keeps a file until [`ReferenceVfs::release`]. `false` if it is being removed.
    pub(super) async fn hold(&self, ino: u64, kind: Kind) -> Outcome<bool> {
        {
            let mut inodes = self.inodes();
            if inodes.is_ending(ino) {
                return Ok(false);
            }
            let entry = inodes.uses.entry(ino).or_default();
            if entry.is_doomed {
                return Ok(false);
            }
            entry.holders += 1;
        }
        let found = match kind {
            Kind::Regular => self.cache.attach(ino).await.map(|()| true),
            Kind::Directory | Kind::Symlink => {
                self.cow.inode(ino).await.map(|inode| inode.is_some())
            }
        };
        if kind == Kind::Regular
            && found.is_ok()
            && let Some(entry) = self.inodes().uses.get_mut(&ino)
            && std::mem::replace(&mut entry.is_cached, true)
        {
            self.cache.detach(ino); // One place in the cache serves all holders.
        }
        match found {
            Ok(true) => Ok(true),
            // It was removed between the look at its name and now.
            Ok(false) | Err(CowError::NoInode(_)) => {
                self.drop_holder(ino);
                Ok(false)
            }
            Err(error) => {
                self.drop_holder(ino);
                Err(error.into())
            }
        }
    }

    /// A file that is held was made without a name.
    pub(super) fn set_unnamed(&self, ino: u64, is_linkable: bool) {
        if let Some(entry) = self.inodes().uses.get_mut(&ino) {
            (entry.is_orphan, entry.is_linkable) = (true, is_linkable);
        }
    }

    /// May a file that has no name get one?
    pub(super) fn is_linkable(&self, ino: u64) -> bool {
        self.inodes().uses.get(&ino).is_some_and(|entry| entry.is_linkable)
    }

    /// A file that is held got its first name. When it loses its last one, it gets no other.
    pub(super) fn set_named(&self, ino: u64) {
        if let Some(entry) = self.inodes().uses.get_mut(&ino) {
            (entry.is_orphan, entry.is_linkable) = (false, false);
        }
    }

    /// Takes one holder away; answers whether the file is an orphan that nobody holds.
    fn drop_holder(&self, ino: u64) -> bool {
        let mut inodes = self.inodes();
        let Some(entry) = inodes.uses.get_mut(&ino) else { return false };
        entry.holders = entry.holders.saturating_sub(1);
        if entry.holders > 0 {
            return false;
        }
        if std::mem::take(&mut entry.is_cached) {
            self.cache.detach(ino);
        }
        let is_orphan = entry.is_orphan;
        if !is_orphan && !entry.is_doomed {
            inodes.uses.remove(&ino);
        }
        is_orphan
    }

    /// Lets go of a file; an orphan goes with its last holder. The caller does not hold the names.
    pub(super) async fn release(&self, ino: u64) -> Outcome<()> {
        if !self.drop_holder(ino) {
            return Ok(());
        }
        let _names = self.names.acquire().await;
        {
            let mut inodes = self.inodes();
            let Some(entry) = inodes.uses.get_mut(&ino) else { return Ok(()) };
            if entry.holders > 0 || !entry.is_orphan || entry.is_doomed {
                return Ok(());
            }
            entry.is_doomed = true;
        }
        let removed = Box::pin(self.remove_orphan(ino)).await;
        // If it could not be removed now, the next mount does it: it is on the list.
        self.inodes().uses.remove(&ino);
        match removed {
            Err(error) if is_power_off(&error) => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn remove_orphan(&self, ino: u64) -> Result<(), CowError> {
        let _writeback = self.cache.hold_writeback(ino).await;
        let mut transaction = self.cow.begin().await?;
        transaction.remove_inode(ino).await?;
        transaction.finish().await?;
        self.cache.discard(ino);
        Ok(())
    }

    /// Prepares the removal of one of a file's names. The caller holds the names, and then calls
    /// [`Removal::apply`] in its transaction and [`ReferenceVfs::removed`] after it.
    pub(super) async fn prepare_removal(&self, ino: u64) -> Outcome<Removal> {
        let inode = self.cow.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        let mut removal = Removal {
            inodes: Arc::clone(&self.inodes),
            ino,
            is_last_name: inode.link_count <= 1,
            is_removed: false,
            is_done: false,
            _writeback: None,
        };
        if !removal.is_last_name {
            return Ok(removal);
        }
        {
            let mut inodes = self.inodes();
            let entry = inodes.uses.entry(ino).or_default();
            if entry.holders > 0 {
                entry.is_orphan = true;
                return Ok(removal);
            }
            entry.is_doomed = true;
        }
        removal.is_removed = true;
        removal._writeback = self.cache.hold_writeback(ino).await;
        Ok(removal)
    }

    /// The transaction of a removal took effect.
    pub(super) fn removed(&self, mut removal: Removal, now: u64) {
        removal.is_done = true;
        if removal.is_removed {
            self.cache.discard(removal.ino);
        } else {
            self.cache.set_times(removal.ino, |times| times.change_nanos = now);
        }
    }

    /// The lock that changes of a file's content wait for, whoever holds all changes.
    pub(super) fn content_lock(&self, ino: u64) -> TaskLock {
        self.inodes().uses.entry(ino).or_default().content.clone()
    }

    /// The lock that changes of a file's content wait for. The file is held.
    pub(super) async fn lock_content(&self, ino: u64) -> TaskLockGuard {
        let lock = self.content_lock(ino);
        loop {
            let guard = lock.acquire().await;
            let Some(held) = self.cache.changes_held() else { return guard };
            // Nobody waits for that with the lock in hand: who holds changes waits for the lock.
            drop(guard);
            drop(held.acquire().await);
        }
    }

    /// As [`ReferenceVfs::lock_content`], for a write.
    pub(super) async fn lock_content_to_write(&self, ino: u64) -> TaskLockGuard {
        match self.policy.snapshot_hold {
            SnapshotHold::All => self.lock_content(ino).await,
            SnapshotHold::NotWrites | SnapshotHold::NotTruncation => {
                self.content_lock(ino).acquire().await
            }
        }
    }

    /// As [`ReferenceVfs::lock_content`], for a truncation.
    pub(super) async fn lock_content_to_truncate(&self, ino: u64) -> TaskLockGuard {
        match self.policy.snapshot_hold {
            SnapshotHold::All | SnapshotHold::NotWrites => self.lock_content(ino).await,
            SnapshotHold::NotTruncation => self.content_lock(ino).acquire().await,
        }
    }

    /// Waits for the changes of content that are under way. The caller keeps others from beginning.
    pub(super) async fn wait_for_changes(&self) {
        let locks: Vec<TaskLock> =
            self.inodes().uses.values().map(|entry| entry.content.clone()).collect();
        for lock in locks {
            drop(lock.acquire().await);
        }
    }

    /// Keeps the files of a tree from being held, if nobody holds one now. The caller holds the
    /// names.
    pub(super) fn end_tree(&self, root: u64) -> Result<Ending, Errno> {
        let mut inodes = self.inodes();
        let mut uses = inodes.uses.iter();
        if uses.any(|(ino, entry)| entry.holders > 0 && Cow::is_same_tree(*ino, root)) {
            return Err(Errno::Busy);
        }
        inodes.ending = Some(root);
        drop(inodes);
        Ok(Ending(Arc::clone(&self.inodes)))
    }
}

//! Syncs: writeback, the file system's own durability, and what the ledger owes.

use std::ops::Range;

use crate::cache::ErrorCursor;
use crate::cache::PageCache;
use crate::cache::SyncError;
use crate::cache::errors::Mark;
use crate::call::Errno;
use crate::cow::CowError;
use crate::sim::Point;

/// What a sync covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncScope {
    /// Content and everything about the file (`fsync`).
    Full,
    /// Content and what is needed to read it (`fdatasync`).
    Data,
}

impl PageCache {
    /// Makes a file durable, as far as the device allows; [`PageCache::collect`] says how far.
    pub async fn sync(&self, ino: u64, scope: SyncScope) -> Result<(), CowError> {
        self.sync_range(ino, scope, 0..u64::MAX).await
    }

    /// The same for the pages of a part of a file, and what is needed to read them.
    pub async fn sync_range(
        &self,
        ino: u64,
        scope: SyncScope,
        range: Range<u64>,
    ) -> Result<(), CowError> {
        self.sim.point(Point::SyncStart).await;
        self.write_back_for(ino, scope, range).await?;
        self.sim.point(Point::SyncWait).await;
        let mark = self.lock().file(ino)?.ledger.mark();
        self.cow.sync_log().await?;
        self.settle(ino, mark);
        self.sim.point(Point::SyncCollect).await;
        Ok(())
    }

    /// Tells the description of `cursor`, after its sync, what the ledger owes it.
    pub fn collect(&self, ino: u64, cursor: &mut ErrorCursor) -> Result<(), SyncError> {
        let mut state = self.lock();
        let owed = state.file(ino)?.ledger.collect(&self.policy.errors, cursor);
        owed.map_err(SyncError::Owed)
    }

    /// Writes back what is dirty in every file. The first error comes after all were tried.
    pub async fn flush_files(&self) -> Result<(), CowError> {
        let mut flushed = Ok(());
        for ino in self.dirty_files() {
            match self.write_back(ino).await {
                // The file was removed meanwhile.
                Ok(()) | Err(CowError::NoInode(_)) => {}
                Err(error) => flushed = flushed.and(Err(error)),
            }
        }
        flushed
    }

    /// Makes everything durable that was acknowledged.
    pub async fn sync_all(&self) -> Result<(), SyncError> {
        self.sim.point(Point::SyncStart).await;
        let flushed = self.flush_files().await;
        self.sim.point(Point::SyncWait).await;
        let marks: Vec<(u64, Mark)> =
            self.lock().files.iter().map(|(ino, file)| (*ino, file.ledger.mark())).collect();
        self.cow.commit().await?;
        for (ino, mark) in marks {
            self.settle(ino, mark);
        }
        self.sim.point(Point::SyncCollect).await;
        flushed?;
        match self.lost_errno() {
            Some(errno) if self.policy.errors.sync_all_reports => Err(SyncError::Owed(errno)),
            _ => Ok(()),
        }
    }

    /// The errno of some lost bytes, if any are.
    #[must_use]
    pub fn lost_errno(&self) -> Option<Errno> {
        self.lock().files.values().find_map(|file| file.ledger.lost_errno())
    }

    fn settle(&self, ino: u64, mark: Mark) {
        let mut state = self.lock();
        let Some(file) = state.files.get_mut(&ino) else { return };
        let resolved = file.ledger.settle(mark);
        self.forget_if_idle(&mut state, ino);
        drop(state);
        self.say_resolved(ino, resolved);
    }
}

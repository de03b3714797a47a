//! Syncs: writeback, the file system's own durability, and what the ledger owes.

use std::ops::Range;
use std::sync::atomic::Ordering;

use crate::cache::CachedFile;
use crate::cache::CloseReports;
use crate::cache::CommitFailure;
use crate::cache::ErrorCursor;
use crate::cache::PageCache;
use crate::cache::SHARD_BYTES;
use crate::cache::Suspension;
use crate::cache::SyncAllReports;
use crate::cache::SyncBegan;
use crate::cache::SyncError;
use crate::cache::SyncReach;
use crate::cache::Syncs;
use crate::cache::errno_of;
use crate::cache::errors::Mark;
use crate::cache::is_power_off;
use crate::call::Errno;
use crate::call::Testimony;
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
    /// What a sync answers of whatever it is asked, where syncs are left out.
    #[must_use]
    pub fn left_out(&self) -> Option<Result<(), SyncError>> {
        match self.policy.errors.syncs {
            Syncs::Performed => None,
            Syncs::LeftOut => {
                let failed = self.lock().failed;
                Some(failed.map_or(Ok(()), |errno| Err(SyncError::Owed(errno))))
            }
        }
    }

    /// Marks the beginning of a call, for [`PageCache::collect`]: what fails from here on, fails
    /// while the call is under way.
    #[must_use]
    pub fn began(&self) -> SyncBegan {
        SyncBegan(self.failures.load(Ordering::Relaxed))
    }

    /// The number of a writeback that fails now.
    pub(super) fn count_failure(&self) -> u64 {
        self.failures.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A sync begins of the description of `cursor`. An error that it is owed may end it at once.
    pub fn begin_sync(&self, ino: u64, cursor: &mut ErrorCursor) -> Result<(), SyncError> {
        let mut state = self.lock();
        let begun = state.file(ino)?.ledger.begin(&self.policy.errors, cursor);
        begun.map_err(SyncError::Owed)
    }

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
        let range = match self.policy.sync_reach {
            SyncReach::Whole => range,
            SyncReach::FirstShard => range.start..range.end.min(SHARD_BYTES),
        };
        self.sim.point(Point::SyncStart).await;
        if !range.is_empty() {
            self.write_back_for(ino, scope, range).await?;
        }
        self.sim.point(Point::SyncWait).await;
        let mark = self.lock().file(ino)?.ledger.mark();
        self.cow.sync_log().await?;
        self.settle(ino, mark);
        self.sim.point(Point::SyncCollect).await;
        Ok(())
    }

    /// Tells the description of `cursor`, after its sync, what the ledger owes it whose call began
    /// then.
    pub fn collect(
        &self,
        ino: u64,
        cursor: &mut ErrorCursor,
        began: SyncBegan,
    ) -> Result<(), SyncError> {
        let mut state = self.lock();
        let owed = state.file(ino)?.ledger.collect(&self.policy.errors, cursor, began);
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
        self.commit_all().await?;
        for (ino, mark) in marks {
            self.settle(ino, mark);
        }
        self.sim.point(Point::SyncCollect).await;
        flushed?;
        let untold = self.lock().untold.take();
        let owed = match self.policy.errors.sync_all {
            SyncAllReports::Never => None,
            SyncAllReports::Once => untold,
            SyncAllReports::Always => self.lost_errno(),
            SyncAllReports::UsedUp => {
                self.lock().files.values_mut().for_each(|file| file.ledger.use_up());
                None
            }
        };
        owed.map_or(Ok(()), |errno| Err(SyncError::Owed(errno)))
    }

    /// Commits what the file system knows of all files, for a sync of everything.
    async fn commit_all(&self) -> Result<(), SyncError> {
        let Err(error) = self.cow.commit().await else { return Ok(()) };
        if is_power_off(&error) || error == CowError::Suspended {
            return Err(error.into());
        }
        let errno = errno_of(&error);
        self.witness.say(Testimony::Failed { errno, file: None });
        match self.policy.commit_failure {
            CommitFailure::Told => Err(SyncError::Owed(errno)),
            CommitFailure::Forgotten => Ok(()),
        }
    }

    /// The errno of some lost bytes, if any are.
    #[must_use]
    pub fn lost_errno(&self) -> Option<Errno> {
        self.lock().files.values().find_map(|file| file.ledger.lost_errno())
    }

    /// What a close does about failures.
    #[must_use]
    pub fn close_reports(&self) -> CloseReports {
        self.policy.errors.close
    }

    /// Are writes taken now? Not while a policy refuses them because others could not be written.
    pub fn accepts_writes(&self) -> Result<(), Errno> {
        match self.policy.errors.suspension {
            Suspension::None | Suspension::BlockCallers => Ok(()),
            Suspension::FailCallers => {
                let state = self.lock();
                let mut files = state.files.values();
                let waits = |file: &CachedFile| {
                    file.ledger.lost().iter().any(|range| file.unwritten.meets(range))
                };
                if files.any(waits) { Err(Errno::Io) } else { Ok(()) }
            }
        }
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

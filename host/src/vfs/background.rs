//! What the law allows to happen at any time: background work, short transfers, interruptions;
//! and the same work by hand, for whoever drives the stack.

use crate::call::Errno;
use crate::call::Halt;
use crate::call::Lock;
use crate::call::ProcessId;
use crate::call::Request;
use crate::sim::Site;
use crate::vfs::Failure;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    /// Lets background tasks wake before a call. The host itself is left in peace.
    pub(super) fn disturb(&self, process: ProcessId) {
        if process == ProcessId(0) || self.sim.is_calm() {
            return;
        }
        if self.cache.has_dirty() && self.sim.happens(Site::FlusherWakes) {
            let cache = self.cache.clone();
            // What fails is in the ledger, or still dirty: a sync tells.
            self.sim.spawn(async move { cache.write_back_all().await.unwrap_or_default() });
        }
        if self.cache.has_pages() && self.sim.happens(Site::ReclaimWakes) {
            let cache = self.cache.clone();
            self.sim.spawn(async move { cache.reclaim().await });
        }
        if self.sim.happens(Site::CommitterWakes) {
            let cow = self.cow.clone();
            // What is not committed stays in memory, and the next sync or commit tries again.
            self.sim.spawn(async move { cow.commit().await.unwrap_or_default() });
        }
    }

    /// Is the call interrupted before it did anything? Only calls that may wait are.
    pub(super) fn is_interrupted(&self, process: ProcessId, request: &Request) -> bool {
        let may_wait = matches!(
            request,
            Request::Open { .. }
                | Request::Read { .. }
                | Request::Write { .. }
                | Request::Truncate { .. }
                | Request::Allocate { .. }
                | Request::CopyRange { .. }
                | Request::CloneRange { .. }
                | Request::DedupeRange { .. }
                | Request::Fsync { .. }
                | Request::Fdatasync { .. }
                | Request::Lock(
                    Lock::Whole { kind: Some(_), wait: true, .. }
                        | Lock::Record { kind: Some(_), wait: true, .. },
                )
        );
        may_wait && process != ProcessId(0) && self.sim.happens(Site::Interrupted)
    }

    /// How much of a transfer happens: all, one byte, or half.
    pub(super) fn shorten(&self, process: ProcessId, site: Site, len: usize) -> usize {
        if process == ProcessId(0) || len < 2 {
            return len;
        }
        match self.sim.choose(site, 3) {
            0 => len,
            1 => 1,
            _ => len / 2,
        }
    }

    /// Does what the flusher does, now.
    pub async fn flush_background(&self) -> Result<(), Halt> {
        halt_of(self.cache.write_back_all().await.map_err(Failure::from)).map(drop)
    }

    /// Drops every cached page that may be dropped.
    pub fn evict_all(&self) {
        self.cache.evict_all();
    }

    /// Number of pages that are still to be written back.
    #[must_use]
    pub fn dirty_page_count(&self) -> u64 {
        self.cache.dirty_page_count()
    }

    /// Makes everything durable before the stack is dropped; the answer says whether it did.
    pub async fn unmount(&self) -> Result<Result<(), Errno>, Halt> {
        match self.cache.sync_all().await.map_err(Failure::from) {
            Ok(()) => Ok(self.cache.lost_errno().map_or(Ok(()), Err)),
            Err(Failure::Errno(errno) | Failure::Device(errno)) => Ok(Err(errno)),
            Err(Failure::Halt(halt)) => Err(halt),
        }
    }
}

/// The end of the run, if that is what came; an errno is not.
fn halt_of<T>(outcome: Outcome<T>) -> Result<Option<T>, Halt> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Errno(_) | Failure::Device(_)) => Ok(None),
        Err(Failure::Halt(halt)) => Err(halt),
    }
}

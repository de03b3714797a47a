//! Writeback: dirty pages are captured and handed down.
//!
//! Each page is locked while it takes the steps of [`crate::cache::PAGE_ORDER`], each a scheduling
//! point of its own: who would write to it, or make a mapping of it writable, waits for their end.
//! A mapped store waits for nothing as long as its mapping is writable. From then to the answer of
//! the device the page is under writeback: a write to it is legal and makes it dirty again.
//!
//! Pages of a compressed file that are of one extent take the steps together. What was captured
//! goes through the codec while they are locked; where that gives up, the policy says what becomes
//! of them.

mod batch;
mod end;
mod prepare;

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ops::Range;

use crate::cache::DataSyncScope;
use crate::cache::ExtentLookup;
use crate::cache::GroupPressure;
use crate::cache::MapFlush;
use crate::cache::PageAfterFailure;
use crate::cache::PageCache;
use crate::cache::PageErrors;
use crate::cache::Suspension;
use crate::cache::SyncScope;
use crate::cache::Transition;
use crate::cache::TransitionStep;
use crate::cache::WritebackEnd;
use crate::cache::WritebackTurn;
use crate::cache::errno_of;
use crate::cache::is_power_off;
use crate::cache::page::Page;
use crate::cache::writeback::batch::Batch;
use crate::cache::writeback::prepare::Description;
use crate::cache::writeback::prepare::TRANSFORM_PAGES_MIN;
use crate::cow::CowError;
use crate::cow::Reservation;
use crate::cow::extent_of;
use crate::sim::Point;
use crate::sim::TaskLockGuard;

/// So often a suspended file system asks its device again. Nobody will heal one that still refuses.
const ATTEMPTS_MAX: u32 = 1000;

/// How pages are written back.
#[derive(Debug, Clone, Copy)]
struct Kind {
    /// Also those that are clean?
    is_forced: bool,
    /// Without the size that is needed to read them?
    is_data_only: bool,
    /// Is nothing written at all?
    is_elided: bool,
}

impl PageCache {
    /// Writes back what is dirty in every file, with sizes and times.
    pub async fn write_back_all(&self) -> Result<(), CowError> {
        for ino in self.dirty_files() {
            match self.write_back(ino).await {
                // The file was removed meanwhile.
                Ok(()) | Err(CowError::NoInode(_)) => {}
                Err(error) if is_power_off(&error) => return Err(error),
                // The ledger has it, or the pages are still dirty: a sync will tell.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Writes back what is dirty in a file, with its size and times. A page that the device
    /// refuses is no error here: the ledger has it. An error is what keeps pages dirty.
    pub async fn write_back(&self, ino: u64) -> Result<(), CowError> {
        self.write_back_for(ino, SyncScope::Full, 0..u64::MAX).await
    }

    /// Writes back what is dirty in the pages of a part of a file, with its size and times.
    pub async fn write_back_range(&self, ino: u64, range: Range<u64>) -> Result<(), CowError> {
        self.write_back_for(ino, SyncScope::Full, range).await
    }

    /// As [`PageCache::write_back_range`], before blocks are shared or holes are looked for: both
    /// go by what is beneath.
    pub(super) async fn write_back_for_map(
        &self,
        ino: u64,
        range: Range<u64>,
    ) -> Result<(), CowError> {
        let is_chosen = match self.policy.map_flush {
            MapFlush::AllDirty => Page::is_dirty,
            MapFlush::WrittenAlone => Page::is_written,
        };
        self.write_back_chosen(ino, SyncScope::Full, range, is_chosen).await
    }

    pub(super) async fn write_back_for(
        &self,
        ino: u64,
        scope: SyncScope,
        range: Range<u64>,
    ) -> Result<(), CowError> {
        self.write_back_chosen(ino, scope, range, Page::is_dirty).await
    }

    async fn write_back_chosen(
        &self,
        ino: u64,
        scope: SyncScope,
        range: Range<u64>,
        is_chosen: fn(&Page) -> bool,
    ) -> Result<(), CowError> {
        let page_size = self.page_size_bytes;
        let pages = range.start / page_size..range.end.div_ceil(page_size);
        self.sim.point(Point::WbSelect).await;
        let (lock, looked_at) = {
            let mut state = self.lock();
            let file = state.file(ino)?;
            (file.writeback.clone(), file.writeback_count)
        };
        let guard = match self.policy.writeback_turn {
            WritebackTurn::Waits => Some(lock.acquire().await),
            WritebackTurn::GoesOn => None,
        };
        self.sim.point(Point::WbLock).await;
        let is_data_only =
            scope == SyncScope::Data && self.policy.data_sync_scope == DataSyncScope::DataOnly;
        if !is_data_only {
            self.clean_tail(ino).await?;
        }
        let is_elided = self.policy.extent_lookup == ExtentLookup::BeforeLock
            && self.lock().file(ino)?.writeback_count != looked_at;
        let kind = Kind { is_forced: false, is_data_only, is_elided };
        let _ = self.transitions.take_left_out(ino);
        // Of two at once, each may take what the other took.
        let is_alone = guard.is_some();
        self.begin_pass(ino, is_alone);
        while self.write_pages(ino, (pages.clone(), is_chosen), kind).await?
            && self.policy.writeback_end == WritebackEnd::NothingDirty
        {
            self.sim.point(Point::WriteRetry).await;
        }
        self.begin_pass(ino, false);
        self.note_left_out(ino);
        let is_needed = match scope {
            SyncScope::Full => true,
            SyncScope::Data => self.has_unstored_size(ino)?,
        };
        if is_needed && !is_data_only {
            self.store_attributes(ino).await?;
        }
        drop(guard);
        self.forget_if_idle(&mut self.lock(), ino);
        Ok(())
    }

    /// Writes those of some pages that are chosen. What the device refuses is in the ledger then;
    /// where the policy has callers wait, it is tried again until the device takes it. Answers
    /// whether there were any, and the device took all of them.
    async fn write_pages(
        &self,
        ino: u64,
        (pages, is_chosen): (Range<u64>, fn(&Page) -> bool),
        kind: Kind,
    ) -> Result<bool, CowError> {
        for _ in 0..ATTEMPTS_MAX {
            // Not before: what another writeback had taken may be dirty again.
            let chosen: Vec<u64> = {
                let mut state = self.lock();
                state.file(ino)?.pages.choose(&pages, is_chosen)
            };
            let (mut refused, mut is_whole) = (None, !chosen.is_empty());
            for pages in chosen.chunks(self.policy.batch_pages_max.max(1)) {
                match (self.write_batch(ino, pages, kind).await, self.policy.page_errors) {
                    (Err(CowError::GroupFull), PageErrors::Dropped) => is_whole = false,
                    (Ok(failure), _) => refused = refused.or(failure),
                    (Err(error), _) => return Err(error),
                }
                if refused.is_some()
                    && self.policy.errors.page_after_failure == PageAfterFailure::QueueDropped
                {
                    break;
                }
            }
            match refused {
                Some(error) => self.give_up_queue(ino, errno_of(&error))?,
                None => return Ok(is_whole),
            }
            if self.policy.errors.suspension != Suspension::BlockCallers {
                return Ok(false);
            }
            let is_watched = self.lock().file(ino)?.pass.is_some();
            self.begin_pass(ino, is_watched);
            self.sim.point(Point::WriteRetry).await;
        }
        Err(CowError::Suspended)
    }

    /// A writeback begins to take pages, or begins again after a refusal, if it is alone.
    fn begin_pass(&self, ino: u64, is_alone: bool) {
        let pass = (is_alone && self.transitions.is_watched()).then(BTreeSet::new);
        if let Some(file) = self.lock().files.get_mut(&ino) {
            file.pass = pass;
        }
    }

    /// A flush of a file succeeded: what it left out, for whoever watches.
    fn note_left_out(&self, ino: u64) {
        let left_out = self.transitions.take_left_out(ino);
        let forgotten = left_out.into_iter().map(|page_no| self.page_range(page_no)).collect();
        let step = TransitionStep::LeftOut;
        self.transitions.note(Transition { step, ino, forgotten, differs_at: None });
    }

    fn has_unstored_size(&self, ino: u64) -> Result<bool, CowError> {
        let mut state = self.lock();
        let file = state.file(ino)?;
        Ok(file.size_bytes != file.stored_size_bytes)
    }

    /// Waits until no writeback of the file is under way, and keeps others from beginning.
    pub async fn hold_writeback(&self, ino: u64) -> Option<TaskLockGuard> {
        let lock = self.lock().files.get(&ino)?.writeback.clone();
        Some(lock.acquire().await)
    }

    /// Makes the bytes beneath, between the stored size and the end of its block, zero or valid, so
    /// that the file may grow. The caller holds the writeback lock.
    pub(super) async fn clean_tail(&self, ino: u64) -> Result<(), CowError> {
        let kind = Kind { is_forced: true, is_data_only: false, is_elided: false };
        loop {
            let page_no = {
                let mut state = self.lock();
                let file = state.file(ino)?;
                if file.is_tail_clean {
                    return Ok(());
                }
                file.stored_size_bytes / self.page_size_bytes
            };
            self.load(ino, page_no).await?;
            // The page may be evicted before it is captured: then it is loaded again.
            if let Some(error) = self.write_batch(ino, &[page_no], kind).await? {
                return Err(error);
            }
        }
    }

    /// Captures pages and hands them down together. Answers the first failure that the ledger was
    /// told of.
    async fn write_batch(
        &self,
        ino: u64,
        pages: &[u64],
        kind: Kind,
    ) -> Result<Option<CowError>, CowError> {
        let pages_max = VecDeque::with_capacity(pages.len());
        let mut batch = Batch { cache: self, ino, pages: pages_max, parts: Vec::new() };
        let mut described = None;
        let (is_transformed, preparing) = {
            let mut state = self.lock();
            let file = state.file(ino)?;
            (file.is_transformed, file.preparing.clone())
        };
        let is_together =
            |one: &u64, two: &u64| is_transformed && extent_of(*one) == extent_of(*two);
        for group in pages.chunk_by(is_together) {
            let locked = preparing.acquire().await;
            let first = batch.pages.len();
            batch.pages.extend(self.lock_pages(ino, group, kind.is_forced)?);
            let prepared = if batch.pages.len() - first < TRANSFORM_PAGES_MIN {
                self.prepare_plain(&mut batch, first).await?
            } else {
                self.prepare_transformed(&mut batch, first).await?
            };
            described = prepared.or(described);
            self.unlock_pages(ino, group);
            self.note_prepared(&batch, first);
            if !kind.is_forced {
                self.note_taken(&batch, first);
            }
            drop(locked);
        }
        let Some(mut description) = described else { return Ok(None) };
        if kind.is_elided {
            return self.elide_pages(&mut batch, 0).map(|()| None);
        }
        if kind.is_data_only {
            description.size_bytes = self.lock().file(ino)?.stored_size_bytes;
        }
        let room = self.reserve_room(&mut batch).await;
        self.sim.point(Point::WbSubmit).await;
        let (content, counts) = std::mem::take(&mut batch.parts).into_iter().unzip();
        let Description { size_bytes, times } = description;
        let results = self.cow.write_content(ino, content, size_bytes, times).await;
        self.sim.point(Point::WbEnd).await;
        let ended = self.end_batch(batch, counts, results, description)?;
        room.map(|()| ended)
    }

    /// Reserves room for each part of a batch in the open group of transactions. Pages for which
    /// the policy gives up are dirty again, and no longer of the batch.
    async fn reserve_room(&self, batch: &mut Batch<'_>) -> Result<(), CowError> {
        let mut outcome = Ok(());
        let mut first = 0;
        for (content, count) in std::mem::take(&mut batch.parts) {
            let bytes = count as u64 * self.page_size_bytes;
            let mut is_first = true;
            let is_granted = loop {
                self.sim.point(Point::TxReserve).await;
                match (self.cow.reserve_in_group(bytes, is_first), self.policy.group_pressure) {
                    (Reservation::Granted, _) => break true,
                    (Reservation::Restart, GroupPressure::Waits) => self.cow.settle().await,
                    (Reservation::Restart, GroupPressure::GivesUp) => break false,
                }
                is_first = false;
            };
            if is_granted {
                first += count;
                batch.parts.push((content, count));
                continue;
            }
            for captured in batch.pages.drain(first..first + count) {
                self.restore_page(batch.ino, captured);
            }
            outcome = Err(CowError::GroupFull);
        }
        outcome
    }
}

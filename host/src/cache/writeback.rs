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

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::cache::DataSyncScope;
use crate::cache::ExtentLookup;
use crate::cache::GroupPressure;
use crate::cache::MapFlush;
use crate::cache::PageAfterFailure;
use crate::cache::PageCache;
use crate::cache::PageErrors;
use crate::cache::PagePayload;
use crate::cache::PageStep;
use crate::cache::PartFailures;
use crate::cache::State;
use crate::cache::Suspension;
use crate::cache::SyncScope;
use crate::cache::TailZeroing;
use crate::cache::TransformFallback;
use crate::cache::TransitionStep;
use crate::cache::errno_of;
use crate::cache::is_power_off;
use crate::cache::live_page::LivePage;
use crate::cache::page::Page;
use crate::cache::ranges::Ranges;
use crate::call::CallId;
use crate::call::Errno;
use crate::call::Ino;
use crate::call::Testimony;
use crate::cow::Content;
use crate::cow::CowError;
use crate::cow::Packed;
use crate::cow::Reservation;
use crate::cow::Times;
use crate::cow::extent_of;
use crate::device::Payload;
use crate::sim::Point;
use crate::sim::TaskLockGuard;

/// Fewer pages are not transformed: nothing could be saved.
const TRANSFORM_PAGES_MIN: usize = 2;

/// So often a suspended file system asks its device again. Nobody will heal one that still refuses.
const ATTEMPTS_MAX: u32 = 1000;

/// A page under writeback.
#[derive(Debug)]
struct Captured {
    page_no: u64,
    payload: Bytes,
    /// The file's size when the page was locked.
    old_size_bytes: u64,
    /// The acknowledged bytes in it that no capture had before.
    ranges: Vec<Range<u64>>,
    /// The last call that had taken effect when they were taken.
    seen: Option<CallId>,
    was_dirty: bool,
    was_written: bool,
    reserved: bool,
}

impl Captured {
    /// Gives a page back what was taken from it; keeps a block that it has no use for.
    fn put_back(&mut self, page: &mut Page) {
        page.writeback = false;
        page.dirty |= std::mem::take(&mut self.was_dirty);
        page.written |= std::mem::take(&mut self.was_written);
        if !page.reserved {
            page.reserved = std::mem::take(&mut self.reserved);
        }
    }
}

/// Pages that are written back together. Those that are left when it is dropped, because the power
/// failed or the call was given up, are dirty again: nothing is forgotten.
#[derive(Debug)]
struct Batch<'a> {
    cache: &'a PageCache,
    ino: u64,
    pages: VecDeque<Captured>,
    /// What is handed down, and of how many of the pages each part is, in their order.
    parts: Vec<(Content, usize)>,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for captured in self.pages.drain(..) {
            self.cache.restore_page(self.ino, captured);
        }
    }
}

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

/// What a file was when its last page was captured.
#[derive(Debug, Clone, Copy)]
struct Description {
    size_bytes: u64,
    times: Times,
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
        let guard = lock.acquire().await;
        self.sim.point(Point::WbLock).await;
        let is_data_only =
            scope == SyncScope::Data && self.policy.data_sync_scope == DataSyncScope::DataOnly;
        if !is_data_only {
            self.clean_tail(ino).await?;
        }
        let is_elided = self.policy.extent_lookup == ExtentLookup::BeforeLock
            && self.lock().file(ino)?.writeback_count != looked_at;
        let kind = Kind { is_forced: false, is_data_only, is_elided };
        self.write_pages(ino, (pages, is_chosen), kind).await?;
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
    /// where the policy has callers wait, it is tried again until the device takes it.
    async fn write_pages(
        &self,
        ino: u64,
        (pages, is_chosen): (Range<u64>, fn(&Page) -> bool),
        kind: Kind,
    ) -> Result<(), CowError> {
        for _ in 0..ATTEMPTS_MAX {
            // Not before: what another writeback had taken may be dirty again.
            let chosen: Vec<u64> = {
                let mut state = self.lock();
                let dirty = state.file(ino)?.pages.range(pages.clone());
                dirty.filter(|(_, page)| is_chosen(page)).map(|(page_no, _)| *page_no).collect()
            };
            let mut refused = None;
            for pages in chosen.chunks(self.policy.batch_pages_max.max(1)) {
                match (self.write_batch(ino, pages, kind).await, self.policy.page_errors) {
                    (Err(CowError::GroupFull), PageErrors::Dropped) => {}
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
                None => return Ok(()),
            }
            if self.policy.errors.suspension != Suspension::BlockCallers {
                return Ok(());
            }
            self.sim.point(Point::WriteRetry).await;
        }
        Err(CowError::Suspended)
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

    /// Takes pages from `first` on, one after the other, through all steps, to be stored as they
    /// are.
    async fn prepare_plain(
        &self,
        batch: &mut Batch<'_>,
        first: usize,
    ) -> Result<Option<Description>, CowError> {
        let mut described = None;
        for index in first..batch.pages.len() {
            let order = self.policy.page_order;
            described = self.take_steps(batch, order, index..index + 1).await?.or(described);
            if let Some(Captured { page_no, payload, .. }) = batch.pages.get(index) {
                let payload = self.payload(batch.ino, *page_no, payload);
                batch.parts.push((Content::Plain(*page_no, payload), 1));
            }
        }
        Ok(described)
    }

    /// What is handed down of a page that was captured.
    fn payload(&self, ino: u64, page_no: u64, captured: &Bytes) -> Payload {
        match self.policy.page_payload {
            PagePayload::Captured => Payload::Owned(captured.clone()),
            PagePayload::Live => Payload::Borrowed(Arc::new(LivePage {
                state: Arc::clone(&self.state),
                ino,
                page_no,
                page_size_bytes: self.page_size_bytes,
                captured: captured.clone(),
            })),
        }
    }

    /// Takes pages from `first` on through each step together, and then what was captured of them
    /// through the codec.
    async fn prepare_transformed(
        &self,
        batch: &mut Batch<'_>,
        first: usize,
    ) -> Result<Option<Description>, CowError> {
        let indices = first..batch.pages.len();
        let order = self.policy.transformed_order;
        let described = self.take_steps(batch, order, indices.clone()).await?;
        self.sim.point(Point::WbTransform).await;
        let captured = batch.pages.range(indices.clone());
        let captured: Vec<(u64, Bytes)> =
            captured.map(|page| (page.page_no, page.payload.clone())).collect();
        if let Some(packed) = Packed::pack(&captured, self.cow.geometry().block_size_bytes) {
            batch.parts.push((Content::Packed(packed), indices.len()));
            return Ok(described);
        }
        match self.policy.transform_fallback {
            TransformFallback::Redirties => {
                batch.pages.range_mut(indices).for_each(|page| self.redirty_page(batch.ino, page));
                let plain = self.prepare_plain(batch, first).await?;
                Ok(plain.or(described))
            }
            TransformFallback::LeavesClean => {
                self.elide_pages(batch, first)?;
                Ok(described)
            }
        }
    }

    /// Takes some pages of a batch through each of the steps together; answers what the file was at
    /// the last capture.
    async fn take_steps(
        &self,
        batch: &mut Batch<'_>,
        order: &[PageStep],
        indices: Range<usize>,
    ) -> Result<Option<Description>, CowError> {
        let mut described = None;
        for step in order {
            for index in indices.clone() {
                self.sim.point(step.point()).await;
                if let Some(captured) = batch.pages.get_mut(index) {
                    described = self.take_step(batch.ino, *step, captured)?.or(described);
                }
            }
        }
        Ok(described)
    }

    /// Locks those of the pages that are to be written: the dirty ones, or all of them.
    fn lock_pages(
        &self,
        ino: u64,
        pages: &[u64],
        is_forced: bool,
    ) -> Result<Vec<Captured>, CowError> {
        let mut state = self.lock();
        let file = state.file(ino)?;
        let mut locked = Vec::with_capacity(pages.len());
        for page_no in pages {
            let Some(page) = file.pages.get_mut(page_no) else { continue };
            if !page.dirty && !is_forced {
                continue;
            }
            page.locked = true;
            locked.push(Captured {
                page_no: *page_no,
                payload: page.bytes.clone(),
                old_size_bytes: file.size_bytes,
                ranges: Vec::new(),
                seen: None,
                was_dirty: false,
                was_written: false,
                reserved: false,
            });
        }
        Ok(locked)
    }

    fn note_prepared(&self, batch: &Batch<'_>, first: usize) {
        let mut state = self.lock();
        let Ok(file) = state.file(batch.ino) else { return };
        for captured in batch.pages.iter().skip(first) {
            let page = (captured.page_no, None);
            self.note_transition(file, batch.ino, TransitionStep::Prepared, page);
        }
    }

    /// Where in a page a file of that size ends.
    fn end_in_page(&self, size_bytes: u64, page_no: u64) -> usize {
        let start = self.page_range(page_no).start;
        size_bytes.saturating_sub(start).min(self.page_size_bytes) as usize
    }

    fn unlock_pages(&self, ino: u64, pages: &[u64]) {
        let mut state = self.lock();
        let Some(file) = state.files.get_mut(&ino) else { return };
        for page_no in pages {
            if let Some(page) = file.pages.get_mut(page_no) {
                page.locked = false;
            }
        }
    }

    /// Takes one step of preparing a page; a capture answers what the file was then.
    fn take_step(
        &self,
        ino: u64,
        step: PageStep,
        captured: &mut Captured,
    ) -> Result<Option<Description>, CowError> {
        let mut state = self.lock();
        let State { files, mappings, .. } = &mut *state;
        let file = files.get_mut(&ino).ok_or(CowError::NoInode(ino))?;
        let Some(page) = file.pages.get_mut(&captured.page_no) else { return Ok(None) };
        match step {
            PageStep::Protect => {
                page.dirty |= mappings.protect(&file.mappings, captured.page_no);
                Ok(None)
            }
            PageStep::Clean => {
                page.writeback = true;
                captured.was_dirty = std::mem::take(&mut page.dirty);
                captured.was_written = std::mem::take(&mut page.written);
                captured.reserved = std::mem::take(&mut page.reserved);
                Ok(None)
            }
            PageStep::Capture => {
                let range = self.page_range(captured.page_no);
                captured.ranges.extend(file.unwritten.take(range.clone()));
                captured.seen = self.witness.last_effect();
                if self.policy.tail_zeroing == TailZeroing::InPageByOldSize {
                    page.cut(self.end_in_page(captured.old_size_bytes, captured.page_no));
                    mappings.changed(&file.mappings, &range, None);
                }
                // What was stored beyond the end of the file stays in memory.
                let keep = self.end_in_page(file.size_bytes, captured.page_no);
                let mut copy = Page::clean(page.bytes.clone());
                copy.cut(keep);
                captured.payload = copy.bytes;
                Ok(Some(Description { size_bytes: file.size_bytes, times: file.times }))
            }
        }
    }

    /// A page stays locked, and is as dirty as it was before it was prepared.
    fn redirty_page(&self, ino: u64, captured: &mut Captured) {
        let mut state = self.lock();
        let page = state.files.get_mut(&ino).and_then(|file| file.pages.get_mut(&captured.page_no));
        page.into_iter().for_each(|page| captured.put_back(page));
        drop(state);
        self.cow.unreserve(u64::from(std::mem::take(&mut captured.reserved)));
    }

    /// A page whose writeback came to no end is as it was before.
    fn restore_page(&self, ino: u64, mut captured: Captured) {
        let mut state = self.lock();
        if let Some(file) = state.files.get_mut(&ino) {
            captured.ranges.drain(..).for_each(|range| file.unwritten.add(range));
            if let Some(page) = file.pages.get_mut(&captured.page_no) {
                page.locked = false;
                captured.put_back(page);
            }
        }
        drop(state);
        self.cow.unreserve(u64::from(captured.reserved));
    }

    fn end_batch(
        &self,
        mut batch: Batch<'_>,
        counts: Vec<usize>,
        results: Vec<Result<(), CowError>>,
        description: Description,
    ) -> Result<Option<CowError>, CowError> {
        let ino = batch.ino;
        let (mut failure, mut forgotten) = (None, None);
        let mut lost: BTreeMap<Option<CallId>, Ranges> = BTreeMap::new();
        let (mut stored_end, mut stored_pages) = (0, Vec::new());
        // A part is stored or refused with all of its pages.
        let of_pages = counts.into_iter().zip(results);
        for result in of_pages.flat_map(|(count, result)| std::iter::repeat_n(result, count)) {
            if matches!(&result, Err(error) if is_power_off(error)) {
                return result.map(|()| None);
            }
            let Some(captured) = batch.pages.pop_front() else { break };
            match result {
                Ok(()) => {
                    stored_end = stored_end.max(self.page_range(captured.page_no).end);
                    stored_pages.push(captured.page_no);
                    self.end_page(ino, captured)?;
                }
                Err(error) => {
                    let lost = lost.entry(captured.seen).or_default();
                    captured.ranges.iter().for_each(|range| lost.add(range.clone()));
                    if self.counts(batch.pages.is_empty()) {
                        failure = failure.or(Some(error));
                        self.fail_page(ino, captured, errno_of(&error))?;
                        continue;
                    }
                    forgotten = forgotten.or(Some(error));
                    stored_end = stored_end.max(self.page_range(captured.page_no).end);
                    stored_pages.push(captured.page_no);
                    self.end_page(ino, captured)?;
                }
            }
        }
        if !stored_pages.is_empty() {
            self.note_stored(ino, &stored_pages, stored_end, description)?;
        }
        if let Some(error) = failure.or(forgotten) {
            let errno = errno_of(&error);
            if self.policy.errors.retries() {
                self.witness.say(Testimony::Failed { errno });
                return Ok(failure);
            }
            for (seen, ranges) in &lost {
                for range in ranges.iter() {
                    self.witness.say(Testimony::Lost { file: Ino(ino), range, errno, seen: *seen });
                }
            }
        }
        Ok(failure)
    }

    /// Does the failure of a part count?
    fn counts(&self, is_last: bool) -> bool {
        match self.policy.part_failures {
            PartFailures::All => true,
            PartFailures::LastAlone => is_last,
        }
    }

    /// Ends the writeback of pages from `first` on, of which nothing is written.
    fn elide_pages(&self, batch: &mut Batch<'_>, first: usize) -> Result<(), CowError> {
        while batch.pages.len() > first {
            let Some(mut captured) = batch.pages.pop_back() else { break };
            // What was not written is not taken for written.
            let mut state = self.lock();
            let file = state.file(batch.ino)?;
            captured.ranges.drain(..).for_each(|range| file.unwritten.add(range));
            drop(state);
            self.end_page(batch.ino, captured)?;
        }
        Ok(())
    }

    fn end_page(&self, ino: u64, captured: Captured) -> Result<(), CowError> {
        let mut state = self.lock();
        let file = state.file(ino)?;
        file.generation += 1;
        file.writeback_count += 1;
        file.ledger.wrote(&captured.ranges);
        if let Some(page) = file.pages.get_mut(&captured.page_no) {
            page.writeback = false;
        }
        let taken = (captured.page_no, Some(&captured.payload));
        self.note_transition(file, ino, TransitionStep::Ended, taken);
        drop(state);
        self.cow.unreserve(u64::from(captured.reserved));
        Ok(())
    }

    /// The device refused a page: the ledger remembers it, and the policy decides what it becomes.
    fn fail_page(&self, ino: u64, mut captured: Captured, errno: Errno) -> Result<(), CowError> {
        let mut state = self.lock();
        state.untold = Some(errno);
        let file = state.file(ino)?;
        file.generation += 1;
        file.ledger.fail(&captured.ranges, errno);
        let mut is_dropped = false;
        if let Some(page) = file.pages.get_mut(&captured.page_no) {
            page.writeback = false;
            match self.policy.errors.page_after_failure {
                // A block stays set aside for a pinned page: so the device bounds their number, and
                // rewriting one does not fail for lack of space.
                PageAfterFailure::Pinned if captured.reserved && !page.reserved => {
                    page.reserved = std::mem::take(&mut captured.reserved);
                }
                PageAfterFailure::Pinned | PageAfterFailure::CleanKept => {}
                PageAfterFailure::CleanDropped | PageAfterFailure::QueueDropped => {
                    is_dropped = !page.dirty;
                }
                PageAfterFailure::Redirtied => {
                    captured.put_back(page);
                    captured.ranges.drain(..).for_each(|range| file.unwritten.add(range));
                }
            }
        }
        if is_dropped {
            self.drop_page(&mut state, ino, captured.page_no);
        }
        drop(state);
        self.cow.unreserve(u64::from(captured.reserved));
        Ok(())
    }

    /// Gives up what else of a file waits to be written, where the policy says so.
    fn give_up_queue(&self, ino: u64, errno: Errno) -> Result<(), CowError> {
        if self.policy.errors.page_after_failure != PageAfterFailure::QueueDropped {
            return Ok(());
        }
        let mut state = self.lock();
        let file = state.file(ino)?;
        let queued = file.pages.iter().filter(|(_, page)| page.dirty && !page.writeback);
        let queued: Vec<u64> = queued.map(|(page_no, _)| *page_no).collect();
        self.give_up_pages(&mut state, ino, queued, errno);
        Ok(())
    }

    /// Gives up what could not be written of a file that nobody has open any more.
    pub(super) fn give_up_lost(&self, state: &mut State, ino: u64) {
        let Some(file) = state.files.get(&ino) else { return };
        let Some(errno) = file.ledger.lost_errno() else { return };
        let is_lost = |page_no: &u64| file.ledger.meets(&self.page_range(*page_no));
        let lost: Vec<u64> = file.pages.keys().copied().filter(is_lost).collect();
        self.give_up_pages(state, ino, lost, errno);
    }

    /// Drops dirty pages: what they hold is lost.
    fn give_up_pages(&self, state: &mut State, ino: u64, pages: Vec<u64>, errno: Errno) {
        for page_no in pages {
            let Some(file) = state.files.get_mut(&ino) else { return };
            let ranges = file.unwritten.take(self.page_range(page_no));
            file.ledger.fail(&ranges, errno);
            file.generation += 1;
            self.drop_page(state, ino, page_no);
            for range in ranges {
                self.witness.say(Testimony::Lost { file: Ino(ino), range, errno, seen: None });
            }
        }
    }

    /// Notes what the file system beneath now knows of the file.
    fn note_stored(
        &self,
        ino: u64,
        pages: &[u64],
        end: u64,
        description: Description,
    ) -> Result<(), CowError> {
        let mut state = self.lock();
        let file = state.file(ino)?;
        let stored = file.stored_size_bytes.max(description.size_bytes.min(end));
        let tail_page = stored / self.page_size_bytes;
        // What was captured is zero or valid beyond the size that went with it.
        let is_tail_written = pages.contains(&tail_page);
        let is_aligned = stored.is_multiple_of(self.page_size_bytes);
        file.is_tail_clean |= is_tail_written || is_aligned;
        file.stored_size_bytes = stored;
        // Content goes down with the times of its change; the time of access does not.
        let is_access_dirty = file.times.access_nanos != file.stored_access_nanos;
        file.are_times_dirty = is_access_dirty || file.times != description.times;
        Ok(())
    }
}

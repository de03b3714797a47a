//! What is done to pages before they are handed down.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::cache::PageCache;
use crate::cache::PagePayload;
use crate::cache::PageStep;
use crate::cache::State;
use crate::cache::TailZeroing;
use crate::cache::TransformFallback;
use crate::cache::Transition;
use crate::cache::TransitionStep;
use crate::cache::live_page::LivePage;
use crate::cache::page::Page;
use crate::cache::writeback::batch::Batch;
use crate::cache::writeback::batch::Captured;
use crate::cow::Content;
use crate::cow::CowError;
use crate::cow::Packed;
use crate::cow::Times;
use crate::device::Payload;
use crate::sim::Point;

/// Fewer pages are not transformed: nothing could be saved.
pub(super) const TRANSFORM_PAGES_MIN: usize = 2;

/// What a file was when its last page was captured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Description {
    pub(super) size_bytes: u64,
    pub(super) times: Times,
}

impl PageCache {
    /// Takes pages from `first` on, one after the other, through all steps, to be stored as they
    /// are.
    pub(super) async fn prepare_plain(
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
    pub(super) async fn prepare_transformed(
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
    pub(super) fn lock_pages(
        &self,
        ino: u64,
        pages: &[u64],
        is_forced: bool,
    ) -> Result<Vec<Captured>, CowError> {
        let mut state = self.lock();
        let file = state.file(ino)?;
        let mut locked = Vec::with_capacity(pages.len());
        for page_no in pages {
            let Some(page) = file.pages.get_mut(*page_no) else { continue };
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
                writers: BTreeSet::new(),
                was_dirty: false,
                was_written: false,
                reserved: false,
            });
        }
        Ok(locked)
    }

    pub(super) fn note_prepared(&self, batch: &Batch<'_>, first: usize) {
        let mut state = self.lock();
        let Ok(file) = state.file(batch.ino) else { return };
        for captured in batch.pages.iter().skip(first) {
            let page = (captured.page_no, None);
            self.note_transition(file, batch.ino, TransitionStep::Prepared, page);
        }
    }

    /// Notes pages that the writeback under way takes again.
    pub(super) fn note_taken(&self, batch: &Batch<'_>, first: usize) {
        let mut state = self.lock();
        let Ok(file) = state.file(batch.ino) else { return };
        let Some(pass) = &mut file.pass else { return };
        let pages = batch.pages.iter().skip(first).map(|captured| captured.page_no);
        let again = pages.filter(|page_no| !pass.insert(*page_no));
        let forgotten = again.map(|page_no| self.page_range(page_no)).collect();
        let (ino, step) = (batch.ino, TransitionStep::TakenAgain);
        self.transitions.note(Transition { step, ino, forgotten, differs_at: None });
    }

    /// Where in a page a file of that size ends.
    fn end_in_page(&self, size_bytes: u64, page_no: u64) -> usize {
        let start = self.page_range(page_no).start;
        size_bytes.saturating_sub(start).min(self.page_size_bytes) as usize
    }

    pub(super) fn unlock_pages(&self, ino: u64, pages: &[u64]) {
        let mut state = self.lock();
        let Some(file) = state.files.get_mut(&ino) else { return };
        for page_no in pages {
            if let Some(page) = file.pages.get_mut(*page_no) {
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
        let Some(page) = file.pages.get_mut(captured.page_no) else { return Ok(None) };
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
                let taken = file.unwritten.take(range.clone());
                captured.writers.extend(taken.iter().flat_map(|taken| file.writers.of(taken)));
                captured.ranges.extend(taken);
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
        let page = state.files.get_mut(&ino).and_then(|file| file.pages.get_mut(captured.page_no));
        page.into_iter().for_each(|page| captured.put_back(page));
        drop(state);
        self.cow.unreserve(u64::from(std::mem::take(&mut captured.reserved)));
    }
}

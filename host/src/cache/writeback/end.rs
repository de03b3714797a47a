//! What becomes of pages when the device has answered, or will not.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::cache::FailureKind;
use crate::cache::PageAfterFailure;
use crate::cache::PageCache;
use crate::cache::PartFailures;
use crate::cache::State;
use crate::cache::TransitionStep;
use crate::cache::errno_of;
use crate::cache::is_power_off;
use crate::cache::ranges::Ranges;
use crate::cache::writeback::batch::Batch;
use crate::cache::writeback::batch::Captured;
use crate::cache::writeback::prepare::Description;
use crate::call::CallId;
use crate::call::Errno;
use crate::call::Ino;
use crate::call::Testimony;
use crate::cow::CowError;

impl PageCache {
    /// A page whose writeback came to no end is as it was before.
    pub(super) fn restore_page(&self, ino: u64, mut captured: Captured) {
        let mut state = self.lock();
        if let Some(file) = state.files.get_mut(&ino) {
            captured.ranges.drain(..).for_each(|range| file.unwritten.add(range));
            if let Some(page) = file.pages.get_mut(captured.page_no) {
                page.locked = false;
                captured.put_back(page);
            }
        }
        drop(state);
        self.transitions.leave_out(ino, captured.page_no);
        self.cow.unreserve(u64::from(captured.reserved));
    }

    pub(super) fn end_batch(
        &self,
        mut batch: Batch<'_>,
        counts: Vec<usize>,
        results: Vec<Result<(), CowError>>,
        description: Description,
    ) -> Result<Option<CowError>, CowError> {
        let ino = batch.ino;
        let (mut failure, mut forgotten) = (None, None);
        let mut lost: BTreeMap<(Option<CallId>, Errno), Ranges> = BTreeMap::new();
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
                    let lost = lost.entry((captured.seen, errno_of(&error))).or_default();
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
        if failure.or(forgotten).is_some() {
            self.say_lost(ino, &lost);
        }
        Ok(failure)
    }

    /// Says what of a file a writeback could not write, and why.
    fn say_lost(&self, ino: u64, lost: &BTreeMap<(Option<CallId>, Errno), Ranges>) {
        let file = Ino(ino);
        // A page may hold nothing that anybody was promised: what was stored behind the end.
        let is_lossless =
            |errno: Errno| lost.iter().all(|((_, of), ranges)| *of != errno || ranges.is_empty());
        let errnos: BTreeSet<Errno> = lost.keys().map(|(_, errno)| *errno).collect();
        for errno in errnos {
            if self.policy.errors.retries() || is_lossless(errno) {
                self.witness.say(Testimony::Failed { errno, file: Some(file) });
            }
        }
        if self.policy.errors.retries() {
            return;
        }
        for ((seen, errno), ranges) in lost {
            let (seen, errno) = (*seen, *errno);
            for range in ranges.iter() {
                self.witness.say(Testimony::Lost { file, range, errno, seen });
            }
        }
    }

    /// Does the failure of a part count?
    fn counts(&self, is_last: bool) -> bool {
        match self.policy.part_failures {
            PartFailures::All => true,
            PartFailures::LastAlone => is_last,
        }
    }

    /// Ends the writeback of pages from `first` on, of which nothing is written.
    pub(super) fn elide_pages(&self, batch: &mut Batch<'_>, first: usize) -> Result<(), CowError> {
        while batch.pages.len() > first {
            let Some(mut captured) = batch.pages.pop_back() else { break };
            // What was not written is not taken for written.
            let mut state = self.lock();
            let file = state.file(batch.ino)?;
            captured.ranges.drain(..).for_each(|range| file.unwritten.add(range));
            drop(state);
            self.transitions.leave_out(batch.ino, captured.page_no);
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
        if let Some(page) = file.pages.get_mut(captured.page_no) {
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
        let errno = match self.policy.failure_kind {
            FailureKind::Kept => errno,
            FailureKind::AlwaysIo => Errno::Io,
        };
        let mut state = self.lock();
        let number = self.count_failure();
        (state.untold, state.failed) = (Some(errno), Some(errno));
        let file = state.file(ino)?;
        file.generation += 1;
        file.ledger.fail(&captured.ranges, errno, number);
        file.ledger.owe(&captured.writers, errno);
        let mut is_dropped = false;
        if let Some(page) = file.pages.get_mut(captured.page_no) {
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
    pub(super) fn give_up_queue(&self, ino: u64, errno: Errno) -> Result<(), CowError> {
        if self.policy.errors.page_after_failure != PageAfterFailure::QueueDropped {
            return Ok(());
        }
        let mut state = self.lock();
        let file = state.file(ino)?;
        let queued = file.pages.unclean().filter(|(_, page)| page.dirty && !page.writeback);
        let queued: Vec<u64> = queued.map(|(page_no, _)| page_no).collect();
        self.give_up_pages(&mut state, ino, queued, errno);
        Ok(())
    }

    /// Gives up what could not be written of a file that nobody has open any more.
    pub(in crate::cache) fn give_up_lost(&self, state: &mut State, ino: u64) {
        let Some(file) = state.files.get(&ino) else { return };
        let Some(errno) = file.ledger.lost_errno() else { return };
        let is_lost = |page_no: &u64| file.ledger.meets(&self.page_range(*page_no));
        let lost: Vec<u64> = file.pages.numbers().filter(is_lost).collect();
        self.give_up_pages(state, ino, lost, errno);
    }

    /// Drops dirty pages: what they hold is lost.
    fn give_up_pages(&self, state: &mut State, ino: u64, pages: Vec<u64>, errno: Errno) {
        for page_no in pages {
            let Some(file) = state.files.get_mut(&ino) else { return };
            let ranges = file.unwritten.take(self.page_range(page_no));
            file.ledger.fail(&ranges, errno, self.count_failure());
            for range in &ranges {
                file.ledger.owe(&file.writers.of(range), errno);
            }
            file.generation += 1;
            state.failed = Some(errno);
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

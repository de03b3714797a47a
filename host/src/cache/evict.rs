//! Dropping pages: clean ones to save memory, all of a file that is removed.

use std::ops::Bound;
use std::ops::Range;

use crate::cache::CachedFile;
use crate::cache::PageAfterFailure;
use crate::cache::PageCache;
use crate::cache::State;
use crate::cache::TransitionStep;
use crate::cache::ranges::Ranges;
use crate::call::Ino;
use crate::call::Testimony;
use crate::cow::CowError;
use crate::sim::Point;

impl PageCache {
    /// Drops every page that may be dropped.
    pub fn evict_all(&self) {
        let files: Vec<_> = self.lock().files.keys().copied().collect();
        for ino in files {
            self.evict(ino);
        }
    }

    /// Drops every page of a file that may be dropped.
    pub fn evict(&self, ino: u64) {
        self.evict_some(ino, 0, u64::MAX);
    }

    /// Is any page in memory?
    #[must_use]
    pub fn has_pages(&self) -> bool {
        self.lock().page_count > 0
    }

    /// Evicts clean pages of every file, one file after the other.
    pub async fn reclaim(&self) {
        let files: Vec<_> = self.lock().files.keys().copied().collect();
        for ino in files {
            self.sim.point(Point::Evict).await;
            self.evict(ino);
        }
    }

    /// Keeps the cache within its bound: evicts clean pages, and writes back a file's dirty ones
    /// if that was not enough.
    pub(crate) async fn balance(&self, ino: u64) -> Result<(), CowError> {
        if self.excess() == 0 {
            return Ok(());
        }
        self.evict_excess();
        if self.excess() > 0 {
            Box::pin(self.write_back(ino)).await?;
            self.evict_excess();
        }
        Ok(())
    }

    fn excess(&self) -> u64 {
        let page_count_max = self.policy.cached_bytes_max / self.page_size_bytes;
        self.lock().page_count.saturating_sub(page_count_max)
    }

    /// Evicts clean pages, going round all files from where the last time ended.
    fn evict_excess(&self) {
        let (first, page_no) = self.lock().reclaimed_to;
        let mut files: Vec<_> = self.lock().files.keys().copied().collect();
        let split = files.partition_point(|ino| *ino < first);
        files.rotate_left(split);
        for ino in files {
            let excess = self.excess();
            if excess == 0 {
                return;
            }
            let from = if ino == first { page_no.saturating_add(1) } else { 0 };
            let last = self.evict_some(ino, from, excess);
            self.lock().reclaimed_to = (ino, last.unwrap_or(0));
        }
        // The head of the file that the round began with.
        self.evict_some(first, 0, self.excess());
    }

    fn is_evictable(&self, file: &CachedFile, page_no: u64) -> bool {
        let is_pinned = self.policy.errors.page_after_failure == PageAfterFailure::Pinned
            && file.ledger.meets(&self.page_range(page_no));
        !is_pinned && file.pages.get(page_no).is_some_and(|page| page.is_clean())
    }

    /// Drops up to `count_max` pages of a file from a page on; answers the last of them.
    fn evict_some(&self, ino: u64, from: u64, count_max: u64) -> Option<u64> {
        let mut state = self.lock();
        let State { files, mappings, .. } = &mut *state;
        let file = files.get_mut(&ino)?;
        // The dirty bits of mappings become the pages' own: a page that has one stays.
        let folded = |page_no: &u64| mappings.is_dirty(&file.mappings, *page_no);
        let clean =
            file.pages.range(..).filter(|(_, page)| !file.mappings.is_empty() && !page.dirty);
        let dirty: Vec<u64> = clean.map(|(page_no, _)| page_no).filter(folded).collect();
        for page_no in dirty {
            if let Some(page) = file.pages.get_mut(page_no) {
                page.dirty = true;
            }
        }
        let pages = file.pages.range((Bound::Included(from), Bound::Unbounded));
        let evictable = pages.map(|(page_no, _)| page_no).filter(|no| self.is_evictable(file, *no));
        let chosen: Vec<u64> =
            evictable.take(usize::try_from(count_max).unwrap_or(usize::MAX)).collect();
        let mut dropped = Ranges::default();
        let size_bytes = file.size_bytes;
        for page_no in &chosen {
            if let Some(file) = state.files.get(&ino) {
                let page = (*page_no, None);
                self.note_transition(file, ino, TransitionStep::Evicted, page);
            }
            self.drop_page(&mut state, ino, *page_no);
            let range = self.page_range(*page_no);
            dropped.add(range.start..range.end.min(size_bytes));
        }
        self.reclaim_if_idle(&mut state, ino);
        for range in dropped.iter() {
            self.witness.say(Testimony::Evicted { file: Ino(ino), range });
        }
        chosen.last().copied()
    }

    /// Takes pages of a file out of memory that show what is no longer beneath.
    pub(super) fn forget_pages(&self, state: &mut State, ino: u64, pages: Range<u64>) {
        let State { files, mappings, .. } = &mut *state;
        let Some(file) = files.get_mut(&ino) else { return };
        let bytes = pages.start.saturating_mul(self.page_size_bytes)
            ..pages.end.saturating_mul(self.page_size_bytes);
        mappings.changed(&file.mappings, &bytes, None);
        let gone: Vec<u64> = file.pages.range(pages).map(|(page_no, _)| page_no).collect();
        for page_no in gone {
            self.drop_page(state, ino, page_no);
        }
    }

    /// Drops the pages of a part of a file that may be dropped, and says so of those whose bytes
    /// are not beneath.
    pub(super) fn evict_range(&self, ino: u64, pages: Range<u64>) {
        let mut state = self.lock();
        let Some(file) = state.files.get(&ino) else { return };
        let kept = |no: &u64| {
            !self.is_evictable(file, *no) || state.mappings.is_dirty(&file.mappings, *no)
        };
        let cached = file.pages.range(pages).map(|(page_no, _)| page_no);
        let chosen: Vec<u64> = cached.filter(|no| !kept(no)).collect();
        let (mut lost, size_bytes) = (Ranges::default(), file.size_bytes);
        for range in chosen.iter().map(|page_no| self.page_range(*page_no)) {
            if file.ledger.meets(&range) {
                lost.add(range.start..range.end.min(size_bytes));
            }
        }
        for page_no in chosen {
            self.drop_page(&mut state, ino, page_no);
        }
        for range in lost.iter() {
            self.witness.say(Testimony::Evicted { file: Ino(ino), range });
        }
    }

    /// Takes a page out of memory, with the block that was set aside for it.
    pub(super) fn drop_page(&self, state: &mut State, ino: u64, page_no: u64) {
        let Some(file) = state.files.get_mut(&ino) else { return };
        if let Some(page) = file.pages.remove(page_no) {
            state.mappings.protect(&file.mappings, page_no);
            // Other bytes return where these were never stored, and zeros beyond the end.
            let range = self.page_range(page_no);
            if file.unwritten.meets(&range) || file.ledger.meets(&range) {
                state.mappings.changed(&file.mappings, &range, None);
            } else if range.start < file.size_bytes && file.size_bytes < range.end {
                state.mappings.changed(&file.mappings, &(file.size_bytes..range.end), None);
            }
            state.page_count -= 1;
            if page.reserved {
                self.cow.unreserve(1);
            }
        }
    }

    /// Forgets a file that was removed. The caller holds its writeback lock.
    pub fn discard(&self, ino: u64) {
        let mut state = self.lock();
        let Some(file) = state.files.get(&ino) else { return };
        let pages: Vec<u64> = file.pages.numbers().collect();
        for page_no in pages {
            self.drop_page(&mut state, ino, page_no);
        }
        let resolved = self.give_back(&mut state, ino).remove_from(0);
        drop(state);
        self.say_resolved(ino, resolved);
    }
}

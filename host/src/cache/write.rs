//! Writing into the cache: pages change in memory, and space is set aside for them.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::cache::CachedFile;
use crate::cache::OwnedSpace;
use crate::cache::PageCache;
use crate::cache::State;
use crate::cache::WriteFit;
use crate::cache::WriteLookup;
use crate::cache::WriteRetry;
use crate::cache::WriteShortage;
use crate::cache::Writer;
use crate::cache::page::Change;
use crate::cache::page::Page;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::sim::Point;
use crate::sim::TaskLock;

/// The changes of one write, by page, in order.
pub(super) type Changes = Vec<(u64, Change)>;

/// Blocks set aside for a change under way; what it did not use is given back.
#[derive(Debug)]
pub(super) struct Granted<'a> {
    cow: &'a Cow,
    pub blocks: u64,
    /// Was everything written back and committed for it?
    was_cleaned: bool,
}

impl<'a> Granted<'a> {
    pub(super) fn none(cow: &'a Cow) -> Self {
        Self { cow, blocks: 0, was_cleaned: false }
    }
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        if self.blocks > 0 {
            self.cow.unreserve(self.blocks);
        }
    }
}

impl PageCache {
    /// Writes bytes at an offset; all of them take effect at one moment, the last before the
    /// answer. Answers how many: fewer if space is short, and an error only if there is none.
    ///
    /// The caller holds the file's content lock.
    pub async fn write(
        &self,
        ino: u64,
        offset: u64,
        data: &Bytes,
        by: Writer,
    ) -> Result<usize, CowError> {
        self.change(ino, offset, self.split(offset, data), by).await
    }

    /// Applies the changes of one write; so many of them as there is space for.
    pub(super) async fn change(
        &self,
        ino: u64,
        offset: u64,
        mut changes: Changes,
        by: Writer,
    ) -> Result<usize, CowError> {
        let mut granted = Granted::none(&self.cow);
        let mut looked_at = BTreeSet::new();
        loop {
            if let Some(page_no) = self.missing(ino, offset, &changes, &looked_at)? {
                if self.policy.write_lookup == WriteLookup::Once {
                    looked_at.insert(page_no);
                }
                self.clean_for_retry(ino, &changes)?;
                Box::pin(self.load(ino, page_no)).await?;
                self.sim.point(Point::WriteRetry).await;
                continue;
            }
            if let Some(preparing) = self.locked(ino, &changes)? {
                drop(preparing.acquire().await);
                continue;
            }
            let needed = self.lacking(ino, offset, &changes)?.len() as u64;
            if needed <= granted.blocks {
                return self.apply((ino, by), offset, &changes, granted);
            }
            let is_short = || self.note_shortage(ino, &changes);
            match self.grant(&mut granted, needed, is_short).await {
                Ok(()) => {}
                Err(CowError::NoSpace) => {
                    let pages = self.lacking(ino, offset, &changes)?;
                    if Box::pin(self.grant_kept(ino, &pages, &mut granted)).await? {
                        continue;
                    }
                    let fits_in_part = self.policy.write_fit == WriteFit::WhatFits;
                    if !fits_in_part || changes.len() < 2 {
                        return Err(CowError::NoSpace);
                    }
                    // What fits is found by halving; the rest is left to the next call.
                    changes.truncate(changes.len() / 2);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sets aside the blocks that pages have of their own, where they are written in place. `false`
    /// if one of them has none, or the policy does not look.
    pub(super) async fn grant_kept(
        &self,
        ino: u64,
        pages: &[u64],
        granted: &mut Granted<'_>,
    ) -> Result<bool, CowError> {
        match self.policy.owned_space {
            OwnedSpace::Used => {}
            OwnedSpace::AskedForAgain => return Ok(false),
        }
        for page_no in pages {
            if !self.cow.is_kept(ino, *page_no).await? {
                return Ok(false);
            }
        }
        let more = (pages.len() as u64).saturating_sub(granted.blocks);
        self.cow.reserve_kept(more);
        granted.blocks += more;
        Ok(true)
    }

    /// Sets blocks aside until `needed` are; says so if they are not there at once.
    pub(super) async fn grant(
        &self,
        granted: &mut Granted<'_>,
        needed: u64,
        is_short: impl FnOnce() + Send,
    ) -> Result<(), CowError> {
        let more = needed - granted.blocks;
        let mut reserved = self.cow.reserve(more).await;
        if reserved == Err(CowError::NoSpace) {
            is_short();
        }
        if reserved == Err(CowError::NoSpace) && !granted.was_cleaned {
            granted.was_cleaned = true;
            Box::pin(self.write_back_all()).await?;
            Box::pin(self.cow.free_pending()).await?;
            reserved = self.cow.reserve(more).await;
        }
        if reserved.is_ok() {
            granted.blocks = needed;
        }
        reserved
    }

    pub(super) fn split(&self, offset: u64, data: &Bytes) -> Changes {
        let mut changes = Vec::new();
        let mut done = 0;
        while done < data.len() {
            let position = offset + done as u64;
            let at = (position % self.page_size_bytes) as usize;
            let count = (self.page_size_bytes as usize - at).min(data.len() - done);
            let bytes = data.slice(done..done + count);
            changes.push((position / self.page_size_bytes, Change { at, bytes }));
            done += count;
        }
        changes
    }

    /// The page at the end of the file, if a write at `offset` leaves it behind although the block
    /// beneath may hold old bytes beyond the end: it must be written back with zeros there.
    fn tail_page(&self, file: &CachedFile, offset: u64) -> Option<u64> {
        let page_no = file.size_bytes / self.page_size_bytes;
        let is_behind = offset / self.page_size_bytes > page_no;
        let is_partial = !file.size_bytes.is_multiple_of(self.page_size_bytes);
        (is_behind && is_partial && !file.is_tail_clean).then_some(page_no)
    }

    /// A page that must be in memory before the changes can be applied.
    fn missing(
        &self,
        ino: u64,
        offset: u64,
        changes: &Changes,
        looked_at: &BTreeSet<u64>,
    ) -> Result<Option<u64>, CowError> {
        let mut state = self.lock();
        let file = state.file(ino)?;
        let is_partial = |change: &Change| (change.bytes.len() as u64) < self.page_size_bytes;
        let ends = [changes.first(), changes.last()];
        let partial = ends.into_iter().flatten().filter(|(_, change)| is_partial(change));
        let wanted = partial.map(|(page_no, _)| *page_no).chain(self.tail_page(file, offset));
        let mut missing = wanted.filter(|page_no| {
            let is_absent = !file.pages.contains(*page_no) && !looked_at.contains(page_no);
            is_absent && self.page_range(*page_no).start < file.size_bytes
        });
        Ok(missing.next())
    }

    /// A write is about to wait: what the policy does with the pages that it touches.
    fn clean_for_retry(&self, ino: u64, changes: &Changes) -> Result<(), CowError> {
        match self.policy.write_retry {
            WriteRetry::KeepsMarks => return Ok(()),
            WriteRetry::CleansPages => {}
        }
        let mut state = self.lock();
        let State { files, mappings, .. } = &mut *state;
        let file = files.get_mut(&ino).ok_or(CowError::NoInode(ino))?;
        for (page_no, _) in changes {
            if let Some(page) = file.pages.get_mut(*page_no) {
                mappings.protect(&file.mappings, *page_no);
                page.dirty = false;
            }
        }
        Ok(())
    }

    /// There is no block for some pages of a write: what the policy does with those.
    fn note_shortage(&self, ino: u64, changes: &Changes) {
        match self.policy.write_shortage {
            WriteShortage::KeepsPages => return,
            WriteShortage::ClearsUptodate => {}
        }
        let mut state = self.lock();
        let Some(file) = state.files.get_mut(&ino) else { return };
        for (page_no, _) in changes {
            if let Some(page) = file.pages.get_mut(*page_no).filter(|page| !page.reserved) {
                page.uptodate = false;
            }
        }
    }

    /// What to wait for if writeback has a page of the changes locked.
    fn locked(&self, ino: u64, changes: &Changes) -> Result<Option<TaskLock>, CowError> {
        let mut state = self.lock();
        let file = state.file(ino)?;
        let is_locked = |page_no: &u64| file.pages.get(*page_no).is_some_and(|page| page.locked);
        let any = changes.iter().any(|(page_no, _)| is_locked(page_no));
        Ok(any.then(|| file.preparing.clone()))
    }

    /// The pages for which blocks must be set aside before the changes can be applied.
    fn lacking(&self, ino: u64, offset: u64, changes: &Changes) -> Result<Vec<u64>, CowError> {
        let mut state = self.lock();
        let file = state.file(ino)?;
        let touched = changes.iter().map(|(page_no, _)| *page_no);
        let is_unreserved =
            |page_no: &u64| !file.pages.get(*page_no).is_some_and(|page| page.reserved);
        Ok(touched.chain(self.tail_page(file, offset)).filter(is_unreserved).collect())
    }

    fn apply(
        &self,
        (ino, by): (u64, Writer),
        offset: u64,
        changes: &Changes,
        mut granted: Granted<'_>,
    ) -> Result<usize, CowError> {
        let mut state = self.lock();
        let state = &mut *state;
        let file = state.files.get_mut(&ino).ok_or(CowError::NoInode(ino))?;
        let (mut added, mut written) = (0, 0);
        let len: u64 = changes.iter().map(|(_, change)| change.bytes.len() as u64).sum();
        if offset + len > file.size_bytes {
            self.cut_beyond_end(file, &mut state.mappings);
        }
        let tail = self.tail_page(file, offset);
        if let Some(page) = tail.and_then(|page_no| file.pages.get_mut(page_no)) {
            granted.blocks -= u64::from(!std::mem::replace(&mut page.reserved, true));
            (page.dirty, page.written) = (true, true);
        }
        for (page_no, change) in changes {
            let page = file.pages.get_or_insert_with(*page_no, || {
                added += 1;
                Page::clean(self.zero_page.clone())
            });
            if !std::mem::replace(&mut page.uptodate, true) {
                page.bytes = self.zero_page.clone();
                state.mappings.changed(&file.mappings, &self.page_range(*page_no), None);
            }
            page.apply(change);
            granted.blocks -= u64::from(!std::mem::replace(&mut page.reserved, true));
            (page.dirty, page.written) = (true, true);
            written += change.bytes.len();
        }
        let end = offset + written as u64;
        self.note_unwritten(file, offset..end, by);
        state.mappings.changed(&file.mappings, &(offset..end), None);
        file.size_bytes = file.size_bytes.max(end);
        file.times.modify_nanos = self.sim.now_nanos();
        file.times.change_nanos = file.times.modify_nanos;
        file.are_times_dirty = true;
        file.generation += 1;
        state.page_count += added;
        Ok(written)
    }
}

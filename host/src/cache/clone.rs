//! Clones: a part of a file shows the blocks of another one.
//!
//! Only what was written back can be shared, so dirty pages of both files are written back first.
//! Then the map of the destination changes in one transaction, and with it, at the same moment, go
//! the pages that showed what was there before.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;

use crate::cache::CloneFlush;
use crate::cache::ClonedPages;
use crate::cache::PageCache;
use crate::cache::State;
use crate::cache::SyncError;
use crate::cow::CloneRange;
use crate::cow::CowError;
use crate::sim::Point;
use crate::sim::TaskLockGuard;

/// What is cloned, in bytes. Both starts are at a border of blocks; so is the end, or it is the end
/// of the source and not before the end of the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClonePart {
    /// The file that is cloned from.
    pub from: u64,
    /// Where in it.
    pub from_offset: u64,
    /// How many bytes.
    pub len: u64,
    /// The file that is cloned to.
    pub to: u64,
    /// Where in it.
    pub to_offset: u64,
}

impl ClonePart {
    fn source(&self) -> Range<u64> {
        self.from_offset..self.from_offset + self.len
    }

    fn destination(&self) -> Range<u64> {
        self.to_offset..self.to_offset + self.len
    }
}

impl PageCache {
    /// Clones a part of a file, wholly or not at all. The caller holds the content locks of both
    /// files, and the part is inside the source.
    pub async fn clone_range(&self, part: &ClonePart) -> Result<(), SyncError> {
        self.flush_for_clone(part).await?;
        let _writebacks = self.hold_both(part.from, part.to).await?;
        let mut times = self.lock().file(part.to)?.times;
        times.modify_nanos = self.sim.now_nanos();
        times.change_nanos = times.modify_nanos;
        let page_size = self.page_size_bytes;
        let range = CloneRange {
            from: part.from,
            from_block: part.from_offset / page_size,
            to: part.to,
            to_block: part.to_offset / page_size,
            count: part.len.div_ceil(page_size),
            size_bytes: part.destination().end,
            times,
        };
        let mut cloned = self.cow.clone_range(range).await;
        if cloned == Err(CowError::NoSpace) {
            self.cow.free_pending().await?;
            cloned = self.cow.clone_range(range).await;
        }
        cloned?;
        self.note_cloned(part, range)?;
        Ok(())
    }

    /// Writes back what the clone would not see, and whatever of the destination it grows beyond.
    async fn flush_for_clone(&self, part: &ClonePart) -> Result<(), SyncError> {
        self.sim.point(Point::CloneFlush).await;
        if self.policy.clone_flush == CloneFlush::BothFiles {
            self.write_back_for_map(part.from, part.source()).await?;
            self.not_lost(part.from, &part.source())?;
        }
        self.write_back(part.to).await?;
        Ok(())
    }

    /// Lost bytes are what a read shows, and not what is beneath.
    pub(super) fn not_lost(&self, ino: u64, range: &Range<u64>) -> Result<(), SyncError> {
        let mut state = self.lock();
        let ledger = &state.file(ino)?.ledger;
        match ledger.lost_errno().filter(|_| ledger.meets(range)) {
            Some(errno) => Err(SyncError::Owed(errno)),
            None => Ok(()),
        }
    }

    /// Keeps writeback of two files, or of one, from beginning.
    async fn hold_both(&self, one: u64, two: u64) -> Result<Vec<TaskLockGuard>, CowError> {
        let mut held = Vec::new();
        for ino in BTreeSet::from([one, two]) {
            let lock = self.lock().file(ino)?.writeback.clone();
            held.push(lock.acquire().await);
            self.clean_tail(ino).await?;
        }
        Ok(held)
    }

    /// The destination has other bytes beneath. Nothing else ran since it has.
    fn note_cloned(&self, part: &ClonePart, range: CloneRange) -> Result<(), CowError> {
        let (bytes, ino) = (part.destination(), part.to);
        let pages = range.to_block..range.to_block + range.count;
        let mut state = self.lock();
        let State { files, mappings, .. } = &mut *state;
        let file = files.get_mut(&ino).ok_or(CowError::NoInode(ino))?;
        if bytes.end > file.size_bytes {
            self.cut_beyond_end(file, mappings);
        }
        file.size_bytes = file.size_bytes.max(bytes.end);
        if bytes.end >= file.stored_size_bytes {
            file.stored_size_bytes = bytes.end;
            file.is_tail_clean = true;
        }
        file.times = range.times;
        file.are_times_dirty = range.times.access_nanos != file.stored_access_nanos;
        file.generation += 1;
        file.ledger.wrote(std::slice::from_ref(&bytes));
        if self.policy.cloned_pages == ClonedPages::Kept {
            return Ok(());
        }
        self.forget_pages(&mut state, ino, pages);
        state.file(ino)?.unwritten.take(bytes);
        Ok(())
    }

    /// Are these bytes of two files the same? Then they are stored once from now on, as far as
    /// whole blocks of them can be. The caller holds the content locks of both files, and both
    /// parts are inside their files.
    ///
    /// What is compared and shared is what was written back, and nobody writes back meanwhile: a
    /// store to a mapping stays in memory, over whatever is beneath.
    pub async fn dedupe_range(&self, part: &ClonePart) -> Result<bool, SyncError> {
        self.sim.point(Point::CloneFlush).await;
        for (ino, range) in [(part.from, part.source()), (part.to, part.destination())] {
            self.write_back_range(ino, range.clone()).await?;
            self.not_lost(ino, &range)?;
        }
        let _writebacks = self.hold_both(part.from, part.to).await?;
        if !self.is_same_beneath(part).await? {
            return Ok(false);
        }
        let (times, size_bytes) = {
            let mut state = self.lock();
            let file = state.file(part.to)?;
            (file.times, file.stored_size_bytes)
        };
        let page_size = self.page_size_bytes;
        let is_tail = part.source().end == self.size_bytes(part.from)?
            && part.destination().end == self.size_bytes(part.to)?;
        let count = if is_tail { part.len.div_ceil(page_size) } else { part.len / page_size };
        if count > 0 {
            let shared = CloneRange {
                from: part.from,
                from_block: part.from_offset / page_size,
                to: part.to,
                to_block: part.to_offset / page_size,
                count,
                size_bytes,
                times,
            };
            self.cow.clone_range(shared).await?;
            let mut state = self.lock();
            let file = state.file(part.to)?;
            file.are_times_dirty |= file.times != times;
        }
        Ok(true)
    }

    /// Compares what is beneath, where either file has data.
    async fn is_same_beneath(&self, part: &ClonePart) -> Result<bool, CowError> {
        let page_size = self.page_size_bytes;
        let count = part.len.div_ceil(page_size);
        let mut blocks = BTreeSet::new();
        for (ino, offset) in [(part.from, part.from_offset), (part.to, part.to_offset)] {
            let first = offset / page_size;
            let data = self.cow.data_blocks(ino, first..first + count).await?;
            blocks.extend(data.into_iter().flatten().map(|block| block - first));
        }
        for block in blocks {
            let len = (part.len - block * page_size).min(page_size) as usize;
            let [one, two] = [(part.from, part.from_offset), (part.to, part.to_offset)];
            let one = self.beneath(one.0, one.1 / page_size + block).await?;
            let two = self.beneath(two.0, two.1 / page_size + block).await?;
            if one[..len] != two[..len] {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn beneath(&self, ino: u64, block: u64) -> Result<Bytes, CowError> {
        let read = self.cow.read_block(ino, block).await?;
        Ok(read.unwrap_or_else(|| self.zero_page.clone()))
    }
}

//! Which blocks are free: runs, handed out from a cursor on.
//!
//! Invariant C-1: a block that the committed root reaches is never written, except the slots of
//! the roots. So a block that a transaction frees comes back here only when the commit that frees
//! it is durable.
//!
//! Invariant C-3: reachable and free blocks are disjoint and together are all.

use std::collections::BTreeMap;

use crate::cow::format::ROOT_SLOTS;
use crate::device::BlockNo;

/// The free blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FreeMap {
    /// From the first block of each run to its length; runs never touch.
    runs: BTreeMap<u64, u64>,
    count: u64,
    cursor: u64,
}

impl FreeMap {
    /// All blocks but the roots' are free.
    pub(super) fn new(block_count: u64) -> Self {
        let mut map = Self { runs: BTreeMap::new(), count: 0, cursor: ROOT_SLOTS };
        map.add(ROOT_SLOTS, block_count - ROOT_SLOTS);
        map
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Is the block free?
    pub(super) fn contains(&self, block: BlockNo) -> bool {
        let before = self.runs.range(..=block.0).next_back();
        before.is_some_and(|(start, len)| block.0 - start < *len)
    }

    /// Takes a certain block; `false` if it is not free.
    #[must_use]
    pub(super) fn take(&mut self, block: BlockNo) -> bool {
        let Some((&start, &len)) = self.runs.range(..=block.0).next_back() else { return false };
        if block.0 - start >= len {
            return false;
        }
        self.runs.remove(&start);
        self.count -= len;
        self.add(start, block.0 - start);
        self.add(block.0 + 1, start + len - block.0 - 1);
        true
    }

    /// Takes that many blocks, neighbours where possible; `None` if there are not so many.
    pub(super) fn allocate(&mut self, count: u64) -> Option<Vec<BlockNo>> {
        if count > self.count {
            return None;
        }
        let mut blocks = Vec::new();
        while (blocks.len() as u64) < count {
            let ahead = self.runs.range(self.cursor..).next();
            let (&start, &len) = ahead.or_else(|| self.runs.iter().next())?;
            let taken = len.min(count - blocks.len() as u64);
            self.runs.remove(&start);
            self.count -= len;
            self.add(start + taken, len - taken);
            blocks.extend((start..start + taken).map(BlockNo));
            self.cursor = start + taken;
        }
        Some(blocks)
    }

    /// Gives a block back.
    ///
    /// # Panics
    /// If it is free already.
    pub(super) fn release(&mut self, block: BlockNo) {
        let before = self.runs.range(..=block.0).next_back().map(|(start, len)| start + len);
        assert!(before.is_none_or(|end| end <= block.0), "C-3: a block is freed once");
        self.add(block.0, 1);
    }

    fn add(&mut self, mut start: u64, mut len: u64) {
        if len == 0 {
            return;
        }
        self.count += len;
        if let Some((&before, &before_len)) = self.runs.range(..start).next_back()
            && before + before_len == start
        {
            self.runs.remove(&before);
            start = before;
            len += before_len;
        }
        if let Some(after_len) = self.runs.remove(&(start + len)) {
            len += after_len;
        }
        self.runs.insert(start, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::mix;
    use std::collections::BTreeSet;

    #[test]
    fn the_map_hands_out_each_free_block_once_and_takes_it_back() {
        let mut map = FreeMap::new(40);
        let mut used: BTreeSet<u64> = BTreeSet::new();
        for step in 0..5000_u64 {
            let random = mix(step);
            if random.is_multiple_of(2) {
                let want = random >> 8 & 3;
                match map.allocate(want) {
                    Some(blocks) => {
                        for block in blocks {
                            assert!((2..40).contains(&block.0));
                            assert!(used.insert(block.0), "handed out twice");
                        }
                    }
                    None => assert!(want > 38 - used.len() as u64),
                }
            } else if random >> 8 & 1 == 0 {
                let block = 2 + (random >> 16) % 38;
                assert_eq!(map.take(BlockNo(block)), used.insert(block));
            } else if let Some(block) = used.iter().nth(random as usize % used.len().max(1)) {
                let block = *block;
                used.remove(&block);
                map.release(BlockNo(block));
            }
            assert_eq!(map.count(), 38 - used.len() as u64);
            let probe = 2 + (random >> 24) % 38;
            assert_eq!(map.contains(BlockNo(probe)), !used.contains(&probe));
            assert!(map.runs.iter().zip(map.runs.iter().skip(1)).all(|(a, b)| a.0 + a.1 < *b.0));
        }
    }
}

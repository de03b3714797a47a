//! Which blocks are free: runs.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::cow::format::ROOT_SLOTS;
use crate::device::BlockNo;

/// The free blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FreeMap {
    /// From the first block of each run to its length; runs never touch.
    runs: BTreeMap<u64, u64>,
    count: u64,
}

impl FreeMap {
    /// All blocks but the roots' are free.
    pub(super) fn new(block_count: u64) -> Self {
        let mut map = Self { runs: BTreeMap::new(), count: 0 };
        map.add(ROOT_SLOTS, block_count - ROOT_SLOTS);
        map
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Takes a block; `false` if it is not free.
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

    /// The free blocks from one on, in order; then those before it.
    pub(super) fn from(&self, block: BlockNo) -> impl Iterator<Item = BlockNo> {
        let before = self.runs.range(..block.0).next_back();
        let inside = before.map(|(start, len)| block.0..start + len).filter(|run| !run.is_empty());
        let run = |(start, len): (&u64, &u64)| *start..start + len;
        let ahead = inside.into_iter().chain(self.runs.range(block.0..).map(run));
        let behind = self.runs.range(..block.0).map(run);
        let behind = behind.map(move |run| run.start..run.end.min(block.0));
        ahead.chain(behind).flatten().map(BlockNo)
    }

    /// The runs, in order.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<u64>> {
        self.runs.iter().map(|(start, len)| *start..start + len)
    }

    /// Is the block free?
    pub(super) fn contains(&self, block: BlockNo) -> bool {
        let run = self.runs.range(..=block.0).next_back();
        run.is_some_and(|(start, len)| block.0 - start < *len)
    }

    /// Adds a block; `false` if it is free already.
    #[must_use]
    pub(super) fn put(&mut self, block: BlockNo) -> bool {
        let is_new = !self.contains(block);
        self.add(block.0, u64::from(is_new));
        is_new
    }

    /// Adds neighbours, none of which is free.
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
    fn the_map_knows_what_is_free_and_in_which_order() {
        let mut map = FreeMap::new(40);
        let mut used: BTreeSet<u64> = BTreeSet::new();
        for step in 0..5000_u64 {
            let random = mix(step);
            let block = 2 + (random >> 16) % 38;
            if random.is_multiple_of(2) {
                assert_eq!(map.take(BlockNo(block)), used.insert(block));
            } else {
                assert_eq!(map.put(BlockNo(block)), used.remove(&block));
            }
            assert_eq!(map.contains(BlockNo(block)), !used.contains(&block));
            let from = map.from(BlockNo(block)).map(|block| block.0);
            let free = |range: std::ops::Range<u64>| range.filter(|block| !used.contains(block));
            assert!(from.eq(free(block..40).chain(free(2..block))));
            assert_eq!(map.count(), 38 - used.len() as u64);
            assert!(map.runs.iter().zip(map.runs.iter().skip(1)).all(|(a, b)| a.0 + a.1 < *b.0));
        }
    }
}

//! Which blocks are free, and who may take one.
//!
//! Three things together say it: the map that a scan runs over, the slots of an overlay, which
//! hold newer states of single blocks until they are written through to the map, and the open
//! table of blocks that were granted and are nobody's yet.
//!
//! A grant for content is a scan, which chooses; then, perhaps after others ran, the steps of
//! [`crate::cow::GRANT_ORDER`]; then the entry in the open table. When the content is named, the
//! slot says so, and the block leaves the table.
//!
//! Invariant C-1: a block that the committed root reaches is never written, except the slots of
//! the roots. So a block that a transaction frees comes back here only when the commit that frees
//! it is durable.
//!
//! Invariant C-3: reachable and free blocks are disjoint and together are all.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::cow::GrantStep;
use crate::cow::format::ROOT_SLOTS;
use crate::cow::free::FreeMap;
use crate::cow::grants::Grant;
use crate::cow::spans::Spans;
use crate::cow::store::Store;
use crate::device::BlockNo;
use crate::sim::Notices;
use crate::sim::Point;

/// An overlay of more slots is written through.
const SLOTS_MAX: usize = 256;

/// Scans begin anew at the first block after so many blocks, or twice as many as are in use: what
/// is written is kept near what was written before, and a large device that little is written to
/// takes little memory.
const ROUND_BLOCKS: u64 = 4096;

/// The allocator.
#[derive(Debug)]
pub(super) struct Allocator {
    block_count: u64,
    /// Older than the overlay.
    map: FreeMap,
    /// The slots: blocks that are used, though the map calls them free.
    used: BTreeSet<BlockNo>,
    /// The open table: granted, and not in use yet.
    open: BTreeSet<BlockNo>,
    /// Where the next scan begins.
    cursor: BlockNo,
    grants: Notices<Grant>,
}

impl Allocator {
    pub(super) fn new(block_count: u64, map: FreeMap, grants: Notices<Grant>) -> Self {
        let (used, open) = (BTreeSet::new(), BTreeSet::new());
        let cursor = BlockNo(ROOT_SLOTS);
        let allocator = Self { block_count, map, used, open, cursor, grants };
        allocator.note_free();
        allocator
    }

    /// Tells whoever asks what is free now.
    pub(super) fn note_free(&self) {
        self.grants.note(|| Grant::Found(self.free_runs()));
    }

    /// Blocks that may be granted.
    pub(super) fn count(&self) -> u64 {
        self.map.count().saturating_sub((self.used.len() + self.open.len()) as u64)
    }

    /// Its state, as the slot has it, or else the map.
    pub(super) fn is_free(&self, block: BlockNo) -> bool {
        !self.used.contains(&block) && self.map.contains(block)
    }

    /// Was it granted, and is not in use yet?
    pub(super) fn is_open(&self, block: BlockNo) -> bool {
        self.open.contains(&block)
    }

    /// The first blocks from the cursor on that are neither used nor granted.
    fn scan(&self, count: u64) -> Vec<BlockNo> {
        let free = self.map.from(self.cursor);
        let free = free.filter(|block| !self.used.contains(block) && !self.open.contains(block));
        free.take(count as usize).collect()
    }

    /// The blocks that are neither used nor granted.
    pub(super) fn free_runs(&self) -> Vec<Range<u64>> {
        let mut free = Spans::default();
        self.map.runs().for_each(|run| free.add(&run));
        let taken = self.used.iter().chain(&self.open);
        taken.for_each(|block| free.remove(&(block.0..block.0 + 1)));
        free.iter().collect()
    }

    fn open(&mut self, block: BlockNo) {
        self.grants.note(|| Grant::Opened(block));
        self.open.insert(block);
        let round = ROUND_BLOCKS.max(2 * (self.block_count - self.count()));
        let is_past = block.0 >= round;
        self.cursor = BlockNo(if is_past { ROOT_SLOTS } else { block.0 + 1 });
    }

    /// Blocks that are in use from now on, neighbours where possible; `None` if there are not so
    /// many.
    pub(super) fn take(&mut self, count: u64) -> Option<Vec<BlockNo>> {
        let blocks = self.scan(count);
        if (blocks.len() as u64) < count {
            return None;
        }
        for block in &blocks {
            self.open(*block);
            self.use_now(*block);
        }
        Some(blocks)
    }

    /// A block that was granted is in use.
    pub(super) fn use_now(&mut self, block: BlockNo) {
        self.commit(block);
        self.close(block);
    }

    /// Something names the block now: its slot says that it is used.
    pub(super) fn commit(&mut self, block: BlockNo) {
        self.grants.note(|| Grant::Used(block));
        if self.map.contains(block) {
            self.used.insert(block);
        }
        if self.used.len() > SLOTS_MAX {
            self.write_through();
        }
    }

    /// The block leaves the open table.
    pub(super) fn close(&mut self, block: BlockNo) {
        self.open.remove(&block);
    }

    /// A block that was granted is not used after all.
    pub(super) fn cancel(&mut self, block: BlockNo) {
        self.grants.note(|| Grant::GivenBack(block));
        self.close(block);
    }

    /// A block that was taken is not used after all; nothing on the medium names it.
    pub(super) fn give_back(&mut self, block: BlockNo) {
        self.grants.note(|| Grant::GivenBack(block));
        self.put(block);
    }

    /// The last use of a block ended.
    pub(super) fn release(&mut self, block: BlockNo) {
        self.grants.note(|| Grant::Released(block));
        self.put(block);
    }

    /// The commit that ended uses of these blocks is durable.
    pub(super) fn stable(&self, blocks: impl Iterator<Item = BlockNo>) {
        self.grants.note(|| Grant::Stable(blocks.collect()));
    }

    fn put(&mut self, block: BlockNo) {
        // A free block is the map's at once: nobody takes it before it is seen to be free.
        if !self.used.remove(&block) {
            let _ = self.map.put(block);
        }
    }

    /// The states of the overlay become the map's.
    pub(super) fn write_through(&mut self) {
        for block in std::mem::take(&mut self.used) {
            let _ = self.map.take(block);
        }
    }
}

impl Store {
    /// Grants blocks; fewer than asked for if there are no more than the next commit takes. They
    /// are in the open table until [`Store::use_granted`] or [`Allocator::cancel`].
    pub(super) async fn grant(&self, count: u64) -> Vec<BlockNo> {
        let mut granted = Vec::new();
        loop {
            let missing = self.room().min(count - granted.len() as u64);
            let scanned = self.state().free.as_ref().map(|free| free.scan(missing));
            let mut chosen = scanned.unwrap_or_default();
            if chosen.is_empty() {
                return granted;
            }
            self.sim.point(Point::AllocScan).await;
            for step in self.policy.grant_order {
                self.grant_step(*step, &mut chosen).await;
            }
            // Others may have been granted blocks meanwhile.
            chosen.truncate(self.room() as usize);
            if let Some(free) = &mut self.state().free {
                chosen.iter().for_each(|block| free.open(*block));
            }
            granted.append(&mut chosen);
        }
    }

    /// Keeps those of the chosen blocks that may be granted.
    async fn grant_step(&self, step: GrantStep, chosen: &mut Vec<BlockNo>) {
        match step {
            GrantStep::Reread => {
                self.sim.point(Point::AllocReread).await;
                let state = self.state();
                chosen.retain(|block| state.free.as_ref().is_some_and(|free| free.is_free(*block)));
            }
            GrantStep::OpenCheck => {
                let state = self.state();
                chosen
                    .retain(|block| state.free.as_ref().is_some_and(|free| !free.is_open(*block)));
            }
        }
    }

    /// Something names these blocks, which were granted for it.
    pub(super) async fn use_granted(&self, blocks: &BTreeSet<BlockNo>) {
        self.sim.point(Point::AllocCommit).await;
        self.of_granted(blocks, Allocator::commit);
        self.sim.point(Point::AllocRelease).await;
        self.of_granted(blocks, Allocator::close);
    }

    pub(super) fn of_granted(
        &self,
        blocks: &BTreeSet<BlockNo>,
        change: fn(&mut Allocator, BlockNo),
    ) {
        if let Some(free) = &mut self.state().free {
            blocks.iter().for_each(|block| change(free, *block));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::mix;

    fn of(block_count: u64) -> Allocator {
        Allocator::new(block_count, FreeMap::new(block_count), Notices::default())
    }

    #[test]
    fn no_block_is_handed_out_twice_and_all_of_them_come_back() {
        let mut free = of(40);
        let mut held: Vec<BlockNo> = Vec::new();
        for step in 0..5000_u64 {
            let random = mix(step);
            match random % 4 {
                0 => match free.take(random >> 8 & 3) {
                    Some(blocks) => held.extend(blocks),
                    None => assert!(free.count() < 3),
                },
                1 => free.write_through(),
                _ => {
                    if !held.is_empty() {
                        let block = held.swap_remove(random as usize % held.len());
                        free.release(block);
                    }
                }
            }
            let distinct: BTreeSet<BlockNo> = held.iter().copied().collect();
            assert_eq!(distinct.len(), held.len(), "handed out twice");
            assert_eq!(free.count() + held.len() as u64, 38);
        }
    }

    #[test]
    fn blocks_that_come_back_are_taken_again_before_those_far_away() {
        let mut free = of(100 * ROUND_BLOCKS);
        let mut held = free.take(10).expect("the device is empty");
        for _ in 0..4 * ROUND_BLOCKS {
            let taken = free.take(1).expect("little is in use");
            assert!(taken[0].0 <= ROUND_BLOCKS, "{taken:?}");
            free.release(std::mem::replace(&mut held[0], taken[0]));
        }
        // What is kept does not stand in the way.
        let many = free.take(3 * ROUND_BLOCKS).expect("there is room");
        let next = free.take(2).expect("there is room");
        assert_eq!(many.len() as u64, 3 * ROUND_BLOCKS);
        assert!(next[0].0 < 8 * ROUND_BLOCKS, "{next:?}");
    }

    #[test]
    fn a_block_in_the_open_table_is_not_chosen_and_comes_back_when_it_is_given_back() {
        let mut free = of(4);
        free.open(BlockNo(2));
        assert_eq!((free.count(), free.scan(9)), (1, vec![BlockNo(3)]));
        free.cancel(BlockNo(2));
        assert_eq!((free.count(), free.scan(9)), (2, vec![BlockNo(3), BlockNo(2)]));
    }
}

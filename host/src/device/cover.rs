//! All subsets of unflushed writes, however many, where what becomes of a state depends on few of
//! its blocks.
//!
//! A state stands for all that agree with it in the blocks that matter to it. What is left is split
//! by the first of these blocks in which a state does not agree, and so on: each subset belongs to
//! one state, and none is left out.

use std::collections::BTreeMap;

use crate::device::BlockNo;
use crate::device::CrashPoint;
use crate::device::CrashState;
use crate::device::Image;
use crate::device::Survival;
use crate::device::Survivors;

/// States that stand for all subsets of the unflushed writes, or for some.
pub(super) struct Cover {
    pub(super) states: Vec<CrashState>,
    /// Does each subset belong to one of them?
    pub(super) is_complete: bool,
    blocks: Blocks,
    /// Of each state, what is in the blocks that matter to it.
    kept: Vec<Vec<Option<Kept>>>,
}

/// What is in a block: its newest write that is there, from 1; 0 if none is.
type Kept = usize;

/// The blocks that were written, and by which writes, oldest first.
struct Blocks(Vec<(BlockNo, Vec<usize>)>);

impl Blocks {
    fn of(point: &CrashPoint) -> Self {
        let mut blocks: BTreeMap<BlockNo, Vec<usize>> = BTreeMap::new();
        for (number, written) in point.unflushed.iter().enumerate() {
            blocks.entry(written.block).or_default().push(number);
        }
        Self(blocks.into_iter().collect())
    }

    /// The state with the fewest writes in which this is kept.
    fn survivors(&self, kept: &[Option<Kept>], count: usize) -> Survivors {
        let mut survivors = vec![Survival::Lost; count];
        for ((_, writes), kept) in self.0.iter().zip(kept) {
            if let Some(newest) = kept.and_then(|kept| kept.checked_sub(1)) {
                survivors[writes[newest]] = Survival::Whole;
            }
        }
        Survivors(survivors)
    }

    /// How many subsets keep this.
    fn subset_count(&self, kept: &[Option<Kept>]) -> u64 {
        let free = self.0.iter().zip(kept).map(|((_, writes), kept)| match kept {
            None => writes.len(),
            // Whether the older ones are there makes no difference.
            Some(newest) => newest.saturating_sub(1),
        });
        1_u64.checked_shl(free.sum::<usize>().try_into().unwrap_or(u32::MAX)).unwrap_or(u64::MAX)
    }
}

/// Covers the subsets of a point's unflushed writes with no more states than that. `look` finds
/// out which blocks matter to what becomes of a state.
pub(super) fn cover<Matters: Fn(BlockNo) -> bool>(
    point: &CrashPoint,
    state_count_max: usize,
    mut look: impl FnMut(&Image) -> Matters,
) -> Cover {
    let blocks = Blocks::of(point);
    let mut cover = Cover { states: Vec::new(), is_complete: true, blocks, kept: Vec::new() };
    let mut open = vec![vec![None; cover.blocks.0.len()]];
    while let Some(mut kept) = open.pop() {
        let survivors = cover.blocks.survivors(&kept, point.unflushed.len());
        let state = point.state(survivors);
        let matters = look(&state.image);
        // No more of those that are open can be looked at.
        let left = state_count_max - cover.states.len() - 1;
        let mut others = Vec::new();
        for (number, (block, writes)) in cover.blocks.0.iter().enumerate() {
            if kept[number].is_none() && matters(*block) {
                for newest in (1..=writes.len()).take(left - others.len()) {
                    kept[number] = Some(newest);
                    others.push(kept.clone());
                }
                cover.is_complete &= kept[number].unwrap_or(0) == writes.len();
                kept[number] = Some(0);
            }
        }
        open.extend(others.into_iter().rev());
        let too_many = open.len().saturating_sub(left);
        cover.is_complete &= too_many == 0;
        open.drain(..too_many);
        let stands_for = cover.blocks.subset_count(&kept);
        cover.states.push(CrashState { stands_for, ..state });
        cover.kept.push(kept);
    }
    cover
}

impl Cover {
    /// Does one of the states stand for this one?
    pub(super) fn has(&self, survivors: &Survivors) -> bool {
        let newest = |writes: &[usize]| {
            let is_there = |write: &usize| survivors.0.get(*write) != Some(&Survival::Lost);
            writes.iter().rposition(is_there).map_or(0, |at| at + 1)
        };
        let here: Vec<Kept> = self.blocks.0.iter().map(|(_, writes)| newest(writes)).collect();
        let agrees = |kept: &Vec<Option<Kept>>| {
            kept.iter().zip(&here).all(|(kept, here)| kept.is_none_or(|kept| kept == *here))
        };
        self.kept.iter().any(agrees)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::device::Block;
    use crate::device::Class;
    use crate::device::Device;
    use crate::device::Disk;
    use crate::device::Geometry;
    use crate::device::Origin;
    use crate::device::Payload;
    use crate::device::Request;
    use crate::device::StateBounds;
    use crate::device::Walk;
    use crate::device::perform;
    use crate::sim::Sim;
    use crate::sim::mix;

    const BLOCK_COUNT: u64 = 6;
    const SHAPE: Geometry = Geometry { block_size_bytes: 512, block_count: BLOCK_COUNT };

    /// A disk with some writes that were flushed, and some that were not.
    fn point(seed: u64) -> CrashPoint {
        let (sim, mut drawn) = (Sim::calm(), mix(seed));
        let mut draw = |below: u64| {
            drawn = mix(drawn);
            drawn % below
        };
        let mut image = Image::new(SHAPE);
        for number in 0..BLOCK_COUNT {
            let block = BlockNo(number);
            image.set(block, Block::new(block, Bytes::from(vec![draw(250) as u8; 512])));
        }
        let disk = Disk::new(image, sim.clone());
        for _ in 0..draw(9) {
            let block = BlockNo(draw(BLOCK_COUNT));
            let payload = Payload::Owned(Bytes::from(vec![draw(250) as u8; 512]));
            let origin = Origin { class: Class::Data, object: 0, offset: 0 };
            let write = Request::Write { block, payload, force_unit_access: false, origin };
            sim.block_on(perform(&disk, write)).expect("the device takes it");
        }
        let history = disk.history();
        let mut walk = Walk::new(&history);
        walk.advance(history.len()).clone()
    }

    /// What a recovery reads that goes on from block to block, as each says.
    fn read(image: &Image) -> Vec<(BlockNo, u8)> {
        let mut seen: Vec<(BlockNo, u8)> = Vec::new();
        let mut at = BlockNo(0);
        while seen.iter().all(|(block, _)| *block != at) {
            let byte = image.get(at).expect("it is inside")[0];
            seen.push((at, byte));
            at = BlockNo(u64::from(byte) % BLOCK_COUNT);
        }
        seen
    }

    fn covered(point: &CrashPoint, state_count_max: usize) -> Cover {
        cover(point, state_count_max, |image| {
            let seen = read(image);
            move |block| seen.iter().any(|(read, _)| *read == block)
        })
    }

    #[test]
    fn each_subset_belongs_to_one_state_that_reads_the_same() {
        let (mut subset_count, mut state_count) = (0, 0);
        for seed in 0..200 {
            let point = point(seed);
            let all = point.states(&StateBounds { subset_count_max: 16, torn: false });
            let cover = covered(&point, usize::MAX);
            assert!(cover.is_complete && !all.bounded);
            let mut stood_for = vec![0; cover.states.len()];
            for subset in &all.states {
                let is_same = |state: &CrashState| read(&state.image) == read(&subset.image);
                assert!(cover.states.iter().any(is_same), "{seed}: {}", subset.survivors);
                assert!(cover.has(&subset.survivors));
                let of = (0..cover.states.len()).filter(|number| {
                    let kept = vec![cover.kept[*number].clone()];
                    let blocks = Blocks::of(&point);
                    Cover { states: Vec::new(), is_complete: true, blocks, kept }
                        .has(&subset.survivors)
                });
                let of: Vec<usize> = of.collect();
                assert_eq!(of.len(), 1, "{seed}: {}", subset.survivors);
                assert!(is_same(&cover.states[of[0]]), "{seed}: {}", subset.survivors);
                stood_for[of[0]] += 1;
            }
            let told: Vec<u64> = cover.states.iter().map(|state| state.stands_for).collect();
            assert_eq!(told, stood_for, "{seed}");
            subset_count += all.states.len();
            state_count += cover.states.len();
        }
        assert!(subset_count > 5 * state_count, "{state_count} for {subset_count}");
    }

    #[test]
    fn what_few_states_cannot_stand_for_is_told_and_no_subset_is_tried_twice() {
        let mut cut_short = 0;
        for seed in 0..200 {
            let point = point(seed);
            let cover = covered(&point, 2);
            let all = point.states(&StateBounds { subset_count_max: 16, torn: false });
            let stood_for: u64 = cover.states.iter().map(|state| state.stands_for).sum();
            let within = all.states.iter().filter(|state| cover.has(&state.survivors)).count();
            assert_eq!(within as u64, stood_for, "{seed}");
            assert_eq!(cover.is_complete, within == all.states.len(), "{seed}");
            cut_short += u32::from(!cover.is_complete);
        }
        assert!(cut_short > 20, "{cut_short} points have more");
    }

    #[test]
    fn a_hundred_writes_that_nobody_reads_are_one_state() {
        let shape = Geometry { block_size_bytes: 512, block_count: 200 };
        let (sim, disk) = (Sim::calm(), Disk::new(Image::new(shape), Sim::calm()));
        for number in 100..200 {
            let payload = Payload::Owned(Bytes::from(vec![1; 512]));
            let origin = Origin { class: Class::Data, object: 0, offset: 0 };
            let block = BlockNo(number);
            let write = Request::Write { block, payload, force_unit_access: false, origin };
            sim.block_on(perform(&disk, write)).expect("the device takes it");
        }
        assert_eq!(disk.geometry(), shape);
        let mut walk = Walk::new(&disk.history());
        let point = walk.advance(100).clone();
        let bounds = StateBounds { subset_count_max: 5, torn: false };
        let states = point.covering_states(&bounds, |_| |block: BlockNo| block.0 < 100);
        assert!(!states.bounded && states.commuting_count > 0);
        let counts: Vec<u64> = states.states.iter().map(|state| state.stands_for).collect();
        assert_eq!(counts, [u64::MAX]);
    }
}

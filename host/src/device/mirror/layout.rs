//! Where the legs and the log of a mirror are on one device, and what a crash left of them.

use std::ops::Range;

use crate::device::Block;
use crate::device::BlockNo;
use crate::device::Geometry;
use crate::device::Image;
use crate::device::mirror::LEG_COUNT_MAX;
use crate::device::mirror::log::REGIONS_AT;
use crate::device::mirror::log::RegionLog;

/// A region has at least so many blocks. Small ones are clean often, and then tell the most.
const REGION_BLOCKS_MIN: u64 = 4;

/// Where legs and log are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorLayout {
    leg: Geometry,
    pub(super) leg_count: u32,
    region_blocks: u64,
}

impl MirrorLayout {
    /// A mirror of devices of this shape.
    #[must_use]
    pub fn new(leg: Geometry, leg_count: u32) -> Self {
        let leg_count = leg_count.clamp(1, LEG_COUNT_MAX);
        let region_count = (u64::from(leg.block_size_bytes) - REGIONS_AT as u64) * 8;
        let region_blocks = leg.block_count.div_ceil(region_count).max(REGION_BLOCKS_MIN);
        Self { leg, leg_count, region_blocks }
    }

    /// The shape of a leg, which is that of the mirror.
    #[must_use]
    pub fn leg(&self) -> Geometry {
        self.leg
    }

    /// The shape of the device that holds legs and log.
    #[must_use]
    pub fn whole(&self) -> Geometry {
        let legs = self.leg.block_count * u64::from(self.leg_count);
        Geometry { block_count: legs + 1, ..self.leg }
    }

    pub(super) fn log(&self) -> BlockNo {
        BlockNo(self.leg.block_count * u64::from(self.leg_count))
    }

    /// How many legs there are.
    #[must_use]
    pub fn leg_count(&self) -> u32 {
        self.leg_count
    }

    /// Where a leg is on the device that holds all of them.
    #[must_use]
    pub fn blocks_of_leg(&self, leg: u32) -> Range<u64> {
        let start = self.on_leg(leg, BlockNo(0)).0;
        start..start + self.leg.block_count
    }

    /// Where the leg is to which a block belongs of the device that holds all of them.
    #[must_use]
    pub fn leg_around(&self, block: BlockNo) -> Range<u64> {
        let leg = block.0 / self.leg.block_count.max(1);
        self.blocks_of_leg(u32::try_from(leg).unwrap_or(u32::MAX))
    }

    pub(super) fn on_leg(&self, leg: u32, block: BlockNo) -> BlockNo {
        BlockNo(self.leg.block_count * u64::from(leg) + block.0)
    }

    pub(super) fn region(&self, block: BlockNo) -> u64 {
        block.0 / self.region_blocks
    }

    /// The blocks of a region, as numbers on a leg.
    pub(super) fn blocks_of(&self, region: u64) -> Range<u64> {
        let start = region * self.region_blocks;
        start..start + self.region_blocks
    }
}

/// What a crash left of a mirror, without looking through it.
impl MirrorLayout {
    /// The blocks of one leg, as an image of its own.
    #[must_use]
    pub fn view(&self, whole: &Image, leg: u32) -> Image {
        let mut view = Image::new(self.leg);
        let of_leg = self.blocks_of_leg(leg);
        let within = whole.blocks().filter(|(block, _)| of_leg.contains(&block.0));
        for (block, bytes) in within {
            let block = BlockNo(block.0 - of_leg.start);
            view.set(block, Block::new(block, bytes.clone()));
        }
        view
    }

    /// The same without a leg: whoever comes next finds it lost. Nothing, if it is lost already, or
    /// is the last one.
    #[must_use]
    pub fn without(&self, whole: &Image, leg: u32) -> Option<Image> {
        let mut log = self.said(whole);
        let is_left = (0..self.leg_count).any(|other| other != leg && !log.lost.contains(&other));
        if leg >= self.leg_count || !is_left || !log.lost.insert(leg) {
            return None;
        }
        let mut without = whole.clone();
        let bytes = log.encode(self.leg.block_size_bytes);
        without.set(self.log(), Block::new(self.log(), bytes));
        Some(without)
    }

    /// The leg that is read, after a recovery.
    #[must_use]
    pub fn first_leg(&self, whole: &Image) -> u32 {
        let log = self.said(whole);
        (0..self.leg_count).find(|leg| !log.lost.contains(leg)).unwrap_or(0)
    }

    /// The blocks on which the legs do not agree, though the log calls their regions clean.
    #[must_use]
    pub fn disagreements(&self, whole: &Image) -> Vec<BlockNo> {
        let log = self.said(whole);
        let legs: Vec<u32> = (0..self.leg_count).filter(|leg| !log.lost.contains(leg)).collect();
        let differs = |block: &BlockNo| {
            let on = |leg: &u32| whole.get(self.on_leg(*leg, *block));
            !log.dirty.contains(&self.region(*block))
                && legs.windows(2).any(|pair| on(&pair[0]) != on(&pair[1]))
        };
        (0..self.leg.block_count).map(BlockNo).filter(differs).collect()
    }

    pub(super) fn said(&self, whole: &Image) -> RegionLog {
        whole.get(self.log()).map(|bytes| RegionLog::decode(&bytes)).unwrap_or_default()
    }
}

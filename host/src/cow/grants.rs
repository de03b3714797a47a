//! What became of blocks, for whoever audits the allocator or the copies: facts, and no judgement.

use std::ops::Range;

use crate::device::BlockNo;

/// Something that happened to blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// These runs are free, in order, and all other blocks are in use.
    Found(Vec<Range<u64>>),
    /// A writer was granted the block.
    Opened(BlockNo),
    /// Something names it.
    Used(BlockNo),
    /// Its writer does without it; nothing names it.
    GivenBack(BlockNo),
    /// The commit that ended uses of these blocks is durable.
    Stable(Vec<BlockNo>),
    /// Its last use ended, and it may be granted again.
    Released(BlockNo),
    /// A discard of these blocks was sent to the device.
    Discarding(Vec<BlockNo>),
    /// The device has answered it.
    Discarded(Vec<BlockNo>),
    /// A root was written whose tree has these blocks, and the device had refused them.
    Unwritten(Vec<BlockNo>),
}

/// A block whose bytes are of another checksum than what names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// They were answered.
    Read(BlockNo),
    /// The device took them.
    Written(BlockNo),
}

//! The on-media format: what each kind of block holds. Self-contained, so that fsck can share it.
//!
//! Blocks 0 and 1 hold roots, written in turn. A root names the top node of the tree and the
//! first block of the intent log. Nodes hold records; a record of a leaf is an item, a record of
//! an inner node points to a node one level below. Everything is little-endian, except in keys,
//! whose byte order is the order of the tree.
//!
//! Invariant F-1: what is encoded decodes to itself; decoding never panics, whatever the bytes.

pub mod describe;
pub mod extent;
mod field;
pub mod item;
pub mod log;
pub mod node;
pub mod root;

use crate::device::BlockNo;
use crate::device::Geometry;
use crate::device::SECTOR_SIZE_BYTES;

/// Format version that is written and read.
pub const VERSION: u32 = 4;

/// Blocks of the two roots; the file system's other blocks come after them.
pub const ROOT_SLOTS: u64 = 2;

/// The largest block.
pub const BLOCK_SIZE_BYTES_MAX: u32 = 65536;

/// Roots, top node, head of the log, and room for the first commit.
pub const BLOCK_COUNT_MIN: u64 = 8;

/// Number of a commit, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// Names a node, and says what must be found there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockPtr {
    /// Where.
    pub block: BlockNo,
    /// The commit that wrote it.
    pub generation: Generation,
    /// CRC-32C of the block.
    pub checksum: u32,
}

impl BlockPtr {
    /// Bytes of an encoded pointer.
    pub const SIZE_BYTES: usize = 2 * size_of::<u64>() + size_of::<u32>();

    /// The pointer's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::SIZE_BYTES);
        bytes.extend_from_slice(&self.block.0.to_le_bytes());
        bytes.extend_from_slice(&self.generation.0.to_le_bytes());
        bytes.extend_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// The pointer that the bytes say, if they are one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = field::Fields::new(bytes);
        let ptr = Self {
            block: BlockNo(fields.u64()?),
            generation: Generation(fields.u64()?),
            checksum: fields.u32()?,
        };
        fields.end().then_some(ptr)
    }
}

/// May a file system have this shape?
#[must_use]
pub fn is_possible(geometry: Geometry) -> bool {
    let size = geometry.block_size_bytes;
    size.is_power_of_two()
        && size as usize >= SECTOR_SIZE_BYTES
        && size <= BLOCK_SIZE_BYTES_MAX
        && geometry.block_count >= BLOCK_COUNT_MIN
}

/// Can a node, a block of the log or content be there?
#[must_use]
pub fn is_inside(block: BlockNo, geometry: Geometry) -> bool {
    block.0 >= ROOT_SLOTS && block.0 < geometry.block_count
}

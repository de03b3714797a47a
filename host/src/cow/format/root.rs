//! The root record: one sector, so that a medium writes it whole or not at all.
//!
//! Invariant F-2: the newest whole root is the file system; generations grow with each root that
//! is written.

use bytes::Bytes;

use super::BlockPtr;
use super::Generation;
use super::VERSION;
use super::field::Fields;
use crate::device::BlockNo;
use crate::device::Geometry;
use crate::device::SECTOR_SIZE_BYTES;
use crate::device::is_zero;

/// First bytes of a root.
pub const MAGIC: [u8; 8] = *b"CRASHPRF";

// The layout is a chain: each field starts where the one before it ends.
const MAGIC_AT: usize = 0;
const VERSION_AT: usize = MAGIC_AT + MAGIC.len();
const BLOCK_SIZE_AT: usize = VERSION_AT + size_of::<u32>();
const BLOCK_COUNT_AT: usize = BLOCK_SIZE_AT + size_of::<u32>();
const GENERATION_AT: usize = BLOCK_COUNT_AT + size_of::<u64>();
const TREE_AT: usize = GENERATION_AT + size_of::<u64>();
const NEXT_INO_AT: usize = TREE_AT + BlockPtr::SIZE_BYTES;
const LOG_HEAD_AT: usize = NEXT_INO_AT + size_of::<u64>();
const SNAPSHOTS_AT: usize = LOG_HEAD_AT + size_of::<u64>();
const NEXT_SNAPSHOT_AT: usize = SNAPSHOTS_AT + BlockPtr::SIZE_BYTES;
const CHECKSUM_AT: usize = NEXT_SNAPSHOT_AT + size_of::<u32>();
/// Bytes of a root; the rest of its block is zero.
pub const END: usize = CHECKSUM_AT + size_of::<u32>();
const _: () = assert!(END <= SECTOR_SIZE_BYTES, "a root is one atomic sector");

/// The fields of a root, with where they are, for the printed layout.
pub const LAYOUT: [(&str, usize, usize); 11] = [
    ("magic \"CRASHPRF\"", MAGIC_AT, VERSION_AT),
    ("format version", VERSION_AT, BLOCK_SIZE_AT),
    ("block size in bytes", BLOCK_SIZE_AT, BLOCK_COUNT_AT),
    ("block count", BLOCK_COUNT_AT, GENERATION_AT),
    ("generation", GENERATION_AT, TREE_AT),
    ("top node: block, generation, checksum", TREE_AT, NEXT_INO_AT),
    ("next inode number", NEXT_INO_AT, LOG_HEAD_AT),
    ("first block of the log", LOG_HEAD_AT, SNAPSHOTS_AT),
    ("top node of the list of snapshots, zero if there are none", SNAPSHOTS_AT, NEXT_SNAPSHOT_AT),
    ("number of the next snapshot", NEXT_SNAPSHOT_AT, CHECKSUM_AT),
    ("CRC-32C of the above", CHECKSUM_AT, END),
];

/// Names one version of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// The shape of the device it was written for.
    pub geometry: Geometry,
    /// Number of the commit.
    pub generation: Generation,
    /// The top node.
    pub tree: BlockPtr,
    /// The number of the next inode.
    pub next_ino: u64,
    /// The first block of this root's log.
    pub log_head: BlockNo,
    /// The top node of the list of snapshots, if there are any.
    pub snapshots: Option<BlockPtr>,
    /// The number of the next snapshot, from 1.
    pub next_snapshot: u32,
}

impl Root {
    /// A whole block that holds this root.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut block = self.fields();
        let checksum = crc32c::crc32c(&block);
        block.extend_from_slice(&checksum.to_le_bytes());
        block.resize(self.geometry.block_size_bytes as usize, 0);
        // Invariant F-1: what is written can be read back, and says the same.
        debug_assert_eq!(Self::decode(&block), Some(*self), "F-1");
        Bytes::from(block)
    }

    /// All that comes before the checksum.
    fn fields(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(self.geometry.block_size_bytes as usize);
        block.extend_from_slice(&MAGIC);
        block.extend_from_slice(&VERSION.to_le_bytes());
        block.extend_from_slice(&self.geometry.block_size_bytes.to_le_bytes());
        block.extend_from_slice(&self.geometry.block_count.to_le_bytes());
        block.extend_from_slice(&self.generation.0.to_le_bytes());
        block.extend_from_slice(&self.tree.encode());
        block.extend_from_slice(&self.next_ino.to_le_bytes());
        block.extend_from_slice(&self.log_head.0.to_le_bytes());
        let no_snapshots = || vec![0; BlockPtr::SIZE_BYTES];
        block.extend(self.snapshots.map_or_else(no_snapshots, |top| top.encode()));
        block.extend_from_slice(&self.next_snapshot.to_le_bytes());
        block
    }

    /// What the first block of this root's log carries as the link to the block before it.
    #[must_use]
    pub fn link(&self) -> u32 {
        crc32c::crc32c(&self.fields())
    }

    /// The root that a block holds, if it holds a whole one.
    #[must_use]
    pub fn decode(block: &[u8]) -> Option<Self> {
        let checked = block.get(..CHECKSUM_AT)?;
        let mut fields = Fields::new(block);
        let known = fields.take(MAGIC.len())? == MAGIC.as_slice() && fields.u32()? == VERSION;
        if !known {
            return None;
        }
        let block_size_bytes = fields.u32()?;
        let geometry = Geometry { block_size_bytes, block_count: fields.u64()? };
        let root = Self {
            geometry,
            generation: Generation(fields.u64()?),
            tree: BlockPtr::decode(fields.take(BlockPtr::SIZE_BYTES)?)?,
            next_ino: fields.u64()?,
            log_head: BlockNo(fields.u64()?),
            snapshots: match fields.take(BlockPtr::SIZE_BYTES)? {
                none if is_zero(none) => None,
                top => Some(BlockPtr::decode(top)?),
            },
            next_snapshot: fields.u32()?,
        };
        let whole = fields.u32()? == crc32c::crc32c(checked);
        let sane = super::is_possible(geometry)
            && super::is_inside(root.tree.block, geometry)
            && super::is_inside(root.log_head, geometry)
            && root.tree.generation <= root.generation
            && root.snapshots.is_none_or(|top| super::is_inside(top.block, geometry))
            && root.next_snapshot > 0
            && root.next_ino > super::item::ROOT_INO;
        // The rest of the sector is reserved: zero. Beyond it, the block is not the root's.
        let reserved = block.get(END..SECTOR_SIZE_BYTES)?;
        (whole && sane && is_zero(reserved)).then_some(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Root {
        Root {
            geometry: Geometry { block_size_bytes: 512, block_count: 64 },
            generation: Generation(7),
            tree: BlockPtr { block: BlockNo(40), generation: Generation(6), checksum: 0x0403_0201 },
            next_ino: 9,
            log_head: BlockNo(41),
            snapshots: Some(BlockPtr {
                block: BlockNo(42),
                generation: Generation(5),
                checksum: 0x0807_0605,
            }),
            next_snapshot: 3,
        }
    }

    // Format version 4. A change here is a change of format: it needs a new version and a reader
    // for the old one, not a new expectation.
    #[test]
    fn golden_bytes() {
        let block = example().encode();
        let golden = [
            0x43, 0x52, 0x41, 0x53, 0x48, 0x50, 0x52, 0x46, // magic: "CRASHPRF"
            0x04, 0x00, 0x00, 0x00, // version
            0x00, 0x02, 0x00, 0x00, // block size
            0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // block count
            0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // generation
            0x28, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // top node: block
            0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // top node: generation
            0x01, 0x02, 0x03, 0x04, // top node: checksum
            0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // next inode number
            0x29, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // first block of the log
            0x2A, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // snapshots: block
            0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // snapshots: generation
            0x05, 0x06, 0x07, 0x08, // snapshots: checksum
            0x03, 0x00, 0x00, 0x00, // number of the next snapshot
        ];
        assert_eq!(block[..CHECKSUM_AT], golden);
        assert_eq!(block[CHECKSUM_AT..END], crc32c::crc32c(&golden).to_le_bytes());
    }

    #[test]
    fn a_root_with_any_byte_of_its_sector_changed_is_not_a_root() {
        let block = example().encode();
        assert_eq!(Root::decode(&block), Some(example()));
        let without = Root { snapshots: None, ..example() };
        assert_eq!(Root::decode(&without.encode()), Some(without));
        for at in 0..SECTOR_SIZE_BYTES {
            let mut broken = block.to_vec();
            broken[at] ^= 0x10;
            assert_eq!(Root::decode(&broken), None, "byte {at}");
        }
        for len in 0..SECTOR_SIZE_BYTES {
            assert_eq!(Root::decode(&block[..len]), None, "length {len}");
        }
    }
}

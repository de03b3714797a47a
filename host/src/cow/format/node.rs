//! A node of the tree: records in the strict order of their keys.
//!
//! Invariant C-2: a pointer carries its child's checksum, and no child is younger than its
//! parent. The first key of an inner node is empty: the child's lower bound is its parent's. Each
//! further key is the lower bound of its child, and the upper bound of the one before.

use bytes::Bytes;

use super::Generation;
use super::field::Fields;
use crate::device::is_zero;

/// First bytes of a node.
pub const MAGIC: u32 = u32::from_le_bytes(*b"NODE");

// The layout is a chain: each field starts where the one before it ends.
const MAGIC_AT: usize = 0;
const LEVEL_AT: usize = MAGIC_AT + size_of::<u32>();
const RECORD_COUNT_AT: usize = LEVEL_AT + size_of::<u16>();
const GENERATION_AT: usize = RECORD_COUNT_AT + size_of::<u16>();
/// Where the records of a node start.
pub const RECORDS_AT: usize = GENERATION_AT + size_of::<u64>();

/// Bytes in front of each record: the lengths of its key and of its value.
pub const RECORD_HEADER_SIZE_BYTES: usize = 2 * size_of::<u16>();

/// The level of the highest node; far above what a device can fill.
pub const LEVEL_MAX: u16 = 32;

/// The fields of a node, with where they are, for the printed layout.
pub const LAYOUT: [(&str, usize, usize); 4] = [
    ("magic \"NODE\"", MAGIC_AT, LEVEL_AT),
    ("level, 0 is a leaf", LEVEL_AT, RECORD_COUNT_AT),
    ("record count", RECORD_COUNT_AT, GENERATION_AT),
    ("generation of the commit that wrote it", GENERATION_AT, RECORDS_AT),
];

/// A key and what is said of it, in one piece: leaves are copied often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The key, and then the value.
    bytes: Bytes,
    key_len: u16,
}

impl Record {
    /// The record of a key and a value.
    ///
    /// # Panics
    /// If the key is longer than a block can be.
    #[must_use]
    pub fn new(key: &[u8], value: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(key.len() + value.len());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        Self { bytes: bytes.into(), key_len: short(key.len()) }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.bytes[..usize::from(self.key_len)]
    }

    /// Of a leaf, an item; of an inner node, a [`super::BlockPtr`].
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.bytes[usize::from(self.key_len)..]
    }

    /// The key and then the value, of which both are parts.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The key, to be kept.
    #[must_use]
    pub fn key_bytes(&self) -> Bytes {
        self.bytes.slice(..usize::from(self.key_len))
    }

    /// The value, to be kept.
    #[must_use]
    pub fn value_bytes(&self) -> Bytes {
        self.bytes.slice(usize::from(self.key_len)..)
    }

    /// Bytes that the record takes in a node.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        RECORD_HEADER_SIZE_BYTES + self.bytes.len()
    }
}

/// Bytes for records in a node.
#[must_use]
pub fn capacity_bytes(block_size_bytes: u32) -> usize {
    block_size_bytes as usize - RECORDS_AT
}

/// A node as it is on the device. Decoded, its records are in order; whether they fit into the
/// tree is for the reader to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeBlock {
    /// Distance from the leaves.
    pub level: u16,
    /// The commit that wrote it.
    pub generation: Generation,
    /// In the strict order of keys.
    pub records: Vec<Record>,
}

impl NodeBlock {
    /// A whole block that holds this node.
    ///
    /// # Panics
    /// If the records are more than a block holds.
    #[must_use]
    pub fn encode(&self, block_size_bytes: u32) -> Bytes {
        let size = block_size_bytes as usize;
        let mut block = Vec::with_capacity(size);
        block.extend_from_slice(&MAGIC.to_le_bytes());
        block.extend_from_slice(&self.level.to_le_bytes());
        block.extend_from_slice(&short(self.records.len()).to_le_bytes());
        block.extend_from_slice(&self.generation.0.to_le_bytes());
        for record in &self.records {
            block.extend_from_slice(&record.key_len.to_le_bytes());
            block.extend_from_slice(&short(record.value().len()).to_le_bytes());
            block.extend_from_slice(&record.bytes);
        }
        assert!(block.len() <= size, "F-1: a node fits into its block");
        block.resize(size, 0);
        let block = Bytes::from(block);
        debug_assert_eq!(Self::decode(&block).as_ref(), Some(self), "F-1");
        block
    }

    /// The node that a block holds, if it holds one. The checksum is its pointer's, and checked
    /// by whoever follows the pointer.
    #[must_use]
    pub fn decode(block: &Bytes) -> Option<Self> {
        let mut fields = Fields::new(block);
        if fields.u32()? != MAGIC {
            return None;
        }
        let level = fields.u16()?;
        let record_count = fields.u16()?;
        let generation = Generation(fields.u64()?);
        let mut records: Vec<Record> = Vec::new();
        for _ in 0..record_count {
            let key_len = fields.u16()?;
            let value_len = usize::from(fields.u16()?);
            let bytes = block.slice_ref(fields.take(usize::from(key_len) + value_len)?);
            let record = Record { bytes, key_len };
            if records.last().is_some_and(|last| last.key() >= record.key()) {
                return None;
            }
            records.push(record);
        }
        let reserved_is_zero = is_zero(fields.remaining());
        (level <= LEVEL_MAX && reserved_is_zero).then_some(Self { level, generation, records })
    }
}

/// A length in a record.
fn short(len: usize) -> u16 {
    u16::try_from(len).expect("F-1: a block is at most 65536 bytes, and a node has a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_back_as_itself_and_no_byte_of_it_can_hide() {
        let record = |key: &str, value: &str| Record::new(key.as_bytes(), value.as_bytes());
        let node = NodeBlock {
            level: 0,
            generation: Generation(3),
            records: vec![record("", "first"), record("a", ""), record("ab", "x")],
        };
        let block = node.encode(512);
        assert_eq!(NodeBlock::decode(&block), Some(node.clone()));
        for at in 0..block.len() {
            let mut broken = block.to_vec();
            broken[at] ^= 0x81;
            assert_ne!(NodeBlock::decode(&Bytes::from(broken)), Some(node.clone()), "byte {at}");
        }
    }

    #[test]
    fn records_out_of_order_are_not_a_node() {
        let record = |key: &str| Record::new(key.as_bytes(), b"");
        let mut block = NodeBlock {
            level: 0,
            generation: Generation(3),
            records: vec![record("a"), record("b")],
        }
        .encode(512)
        .to_vec();
        block[RECORDS_AT + RECORD_HEADER_SIZE_BYTES] = b'b';
        assert_eq!(NodeBlock::decode(&Bytes::from(block)), None);
    }
}

//! The intent log: changes that took effect after the root that names the log.
//!
//! A batch starts in a block of its own and takes as many as it needs; the last one says so. A
//! batch takes effect whole or not at all. Each block names the next one, and carries a link: the
//! checksum of the block before it, so that a block of a batch that was cut off can never be
//! taken for a later one.
//!
//! Invariant F-3: the log of a root ends at the first block that is not whole, not of that root's
//! generation, out of sequence or linked to another block.

use bytes::Bytes;

use super::Generation;
use super::field::Fields;
use crate::device::BlockNo;
use crate::device::is_zero;

/// First bytes of a block of the log.
pub const MAGIC: u32 = u32::from_le_bytes(*b"INTL");

// The layout is a chain: each field starts where the one before it ends.
const MAGIC_AT: usize = 0;
const CHECKSUM_AT: usize = MAGIC_AT + size_of::<u32>();
const GENERATION_AT: usize = CHECKSUM_AT + size_of::<u32>();
const NEXT_AT: usize = GENERATION_AT + size_of::<u64>();
const SEQUENCE_AT: usize = NEXT_AT + size_of::<u64>();
const LINK_AT: usize = SEQUENCE_AT + size_of::<u32>();
const LENGTH_AT: usize = LINK_AT + size_of::<u32>();
const LAST_AT: usize = LENGTH_AT + size_of::<u32>();
/// Where the payload of a block of the log starts.
pub const PAYLOAD_AT: usize = LAST_AT + size_of::<u32>();

/// The fields of a block of the log, with where they are, for the printed layout.
pub const LAYOUT: [(&str, usize, usize); 8] = [
    ("magic \"INTL\"", MAGIC_AT, CHECKSUM_AT),
    ("CRC-32C of all that follows", CHECKSUM_AT, GENERATION_AT),
    ("generation of the root that names the log", GENERATION_AT, NEXT_AT),
    ("block of the next one", NEXT_AT, SEQUENCE_AT),
    ("sequence number, from 0", SEQUENCE_AT, LINK_AT),
    ("link: checksum of the block before, of the first one the root's", LINK_AT, LENGTH_AT),
    ("payload length in bytes", LENGTH_AT, LAST_AT),
    ("1 if the batch ends here, else 0", LAST_AT, PAYLOAD_AT),
];

/// One change of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key now says this.
    Put(Bytes, Bytes),
    /// The key says nothing any more.
    Delete(Bytes),
}

const TAG_PUT: u8 = 1;
const TAG_DELETE: u8 = 2;

/// Appends a change to the payload of a batch: what a key says now, if anything.
///
/// # Panics
/// If the record is larger than a block can be.
pub fn encode_change(key: &[u8], value: Option<&[u8]>, payload: &mut Vec<u8>) {
    payload.push(if value.is_some() { TAG_PUT } else { TAG_DELETE });
    for part in [Some(key), value].into_iter().flatten() {
        let len = u16::try_from(part.len()).expect("F-1: a record is smaller than a block");
        payload.extend_from_slice(&len.to_le_bytes());
        payload.extend_from_slice(part);
    }
}

/// The changes of a whole batch, if its payload says any.
#[must_use]
pub fn decode_changes(payload: &Bytes) -> Option<Vec<Change>> {
    let mut fields = Fields::new(payload);
    let mut changes = Vec::new();
    while !fields.end() {
        let tag = fields.u8()?;
        let key_len = usize::from(fields.u16()?);
        let key = payload.slice_ref(fields.take(key_len)?);
        match tag {
            TAG_PUT => {
                let value_len = usize::from(fields.u16()?);
                let value = payload.slice_ref(fields.take(value_len)?);
                changes.push(Change::Put(key, value));
            }
            TAG_DELETE => changes.push(Change::Delete(key)),
            _ => return None,
        }
    }
    Some(changes)
}

/// Bytes of payload in one block.
#[must_use]
pub fn capacity_bytes(block_size_bytes: u32) -> usize {
    block_size_bytes as usize - PAYLOAD_AT
}

/// A block of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBlock {
    /// Of the root that names the log.
    pub generation: Generation,
    /// Where the next block will be.
    pub next: BlockNo,
    /// Its place in the log, from 0.
    pub sequence: u32,
    /// The checksum of the block before it; of the first one, that of the root.
    pub link: u32,
    /// Does the batch end here?
    pub last: bool,
    /// A part of the batch.
    pub payload: Bytes,
}

impl LogBlock {
    /// A whole block, and the link that the next one carries.
    ///
    /// # Panics
    /// If the payload is more than a block holds.
    #[must_use]
    pub fn encode(&self, block_size_bytes: u32) -> (Bytes, u32) {
        let size = block_size_bytes as usize;
        let mut block = Vec::with_capacity(size);
        block.extend_from_slice(&MAGIC.to_le_bytes());
        block.extend_from_slice(&0_u32.to_le_bytes());
        block.extend_from_slice(&self.generation.0.to_le_bytes());
        block.extend_from_slice(&self.next.0.to_le_bytes());
        block.extend_from_slice(&self.sequence.to_le_bytes());
        block.extend_from_slice(&self.link.to_le_bytes());
        let length = u32::try_from(self.payload.len()).expect("F-1: a payload fits into a block");
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(&u32::from(self.last).to_le_bytes());
        block.extend_from_slice(&self.payload);
        assert!(block.len() <= size, "F-1: a payload fits into a block");
        block.resize(size, 0);
        let checksum = crc32c::crc32c(&block[GENERATION_AT..]);
        block[CHECKSUM_AT..GENERATION_AT].copy_from_slice(&checksum.to_le_bytes());
        let block = Bytes::from(block);
        debug_assert_eq!(Self::decode(&block), Some((self.clone(), checksum)), "F-1");
        (block, checksum)
    }

    /// The block of the log that a block holds, if it holds a whole one, and the link that the
    /// next one must carry.
    #[must_use]
    pub fn decode(block: &Bytes) -> Option<(Self, u32)> {
        let checked = block.get(GENERATION_AT..)?;
        let mut fields = Fields::new(block);
        if fields.u32()? != MAGIC {
            return None;
        }
        let checksum = fields.u32()?;
        if checksum != crc32c::crc32c(checked) {
            return None;
        }
        let generation = Generation(fields.u64()?);
        let next = BlockNo(fields.u64()?);
        let [sequence, link, length, last] =
            [fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?];
        if last > 1 {
            return None;
        }
        let payload = block.slice_ref(fields.take(length as usize)?);
        let whole = is_zero(fields.remaining());
        let log = Self { generation, next, sequence, link, last: last == 1, payload };
        whole.then_some((log, checksum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_the_log_with_any_byte_changed_is_not_one() {
        let log = LogBlock {
            generation: Generation(4),
            next: BlockNo(9),
            sequence: 2,
            link: 77,
            last: true,
            payload: Bytes::from_static(b"payload"),
        };
        let (block, link) = log.encode(512);
        assert_eq!(LogBlock::decode(&block), Some((log, link)));
        for at in 0..block.len() {
            let mut broken = block.to_vec();
            broken[at] ^= 1;
            assert_eq!(LogBlock::decode(&Bytes::from(broken)), None, "byte {at}");
        }
    }

    #[test]
    fn changes_read_back_as_themselves_and_a_cut_batch_says_nothing() {
        let changes = vec![
            Change::Put(Bytes::from_static(b"key"), Bytes::from_static(b"value")),
            Change::Delete(Bytes::from_static(b"other")),
            Change::Put(Bytes::from_static(b"k"), Bytes::new()),
        ];
        let mut payload = Vec::new();
        let mut ends = vec![0];
        for change in &changes {
            match change {
                Change::Put(key, value) => encode_change(key, Some(value), &mut payload),
                Change::Delete(key) => encode_change(key, None, &mut payload),
            }
            ends.push(payload.len());
        }
        let payload = Bytes::from(payload);
        assert_eq!(decode_changes(&payload), Some(changes));
        for len in 0..payload.len() {
            let whole = ends.contains(&len);
            assert_eq!(decode_changes(&payload.slice(..len)).is_some(), whole, "length {len}");
        }
    }
}

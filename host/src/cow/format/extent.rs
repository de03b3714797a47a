//! Content of a file: which blocks of the device hold it, each in a block of its own or several
//! packed into fewer.

use bytes::Bytes;

use super::Generation;
use super::field::Fields;
use crate::device::BlockNo;
use crate::device::Geometry;

/// Content blocks that one extent item speaks of; no more are packed together.
pub const EXTENT_SLOTS: u64 = 8;

/// Where a block of content is, and what must be found there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataPtr {
    /// Where.
    pub block: BlockNo,
    /// CRC-32C of the content.
    pub checksum: u32,
}

/// A block of a file's own that is written in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InPlace {
    /// Where.
    pub block: BlockNo,
    /// The commit that first names it, or an earlier one: a snapshot that is older has no part in
    /// it.
    pub birth: Generation,
    /// Was it written? If not it reads as zeros, whatever it holds.
    pub is_written: bool,
}

/// Where one block of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// In a block of its own.
    Plain(DataPtr),
    /// In a block of its own, without a checksum.
    InPlace(InPlace),
    /// In a run of the same extent.
    Packed {
        /// Which run.
        run: u8,
        /// Its place among the blocks that the run holds.
        index: u8,
    },
}

/// Where the content of [`EXTENT_SLOTS`] neighbouring blocks of a file is; `None` is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// For each block, in order.
    pub slots: [Option<Slot>; EXTENT_SLOTS as usize],
}

/// Blocks of one extent, compressed together. It lives as long as a slot names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// How many blocks of the file it held when it was written.
    pub unpacked_count: u8,
    /// Bytes that the codec made; the rest of the last block is zero.
    pub size_bytes: u32,
    /// CRC-32C of the blocks, one after the other.
    pub checksum: u32,
    /// Where they are: fewer than it unpacks to.
    pub blocks: Vec<BlockNo>,
}

impl Slot {
    /// The block that holds this block of content alone, if one does.
    #[must_use]
    pub fn block(&self) -> Option<BlockNo> {
        match self {
            Self::Plain(DataPtr { block, .. }) | Self::InPlace(InPlace { block, .. }) => {
                Some(*block)
            }
            Self::Packed { .. } => None,
        }
    }

    /// Does it read as zeros?
    #[must_use]
    pub fn is_unwritten(&self) -> bool {
        matches!(self, Self::InPlace(InPlace { is_written: false, .. }))
    }
}

impl Extent {
    /// Blocks that one item speaks of.
    pub const SLOTS: u64 = EXTENT_SLOTS;

    /// Which item speaks of `file_block`: the first block that it speaks of, and the slot.
    #[must_use]
    pub fn place(file_block: u64) -> (u64, usize) {
        let slot = file_block % EXTENT_SLOTS;
        (file_block - slot, slot as usize)
    }

    /// Is there nothing but holes?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// The blocks that slots name, each for one block of content; one that several name comes as
    /// often.
    pub fn blocks(&self) -> impl Iterator<Item = BlockNo> + '_ {
        self.slots.iter().flatten().filter_map(Slot::block)
    }

    /// The numbers of the runs that slots name; one that several name comes as often.
    pub fn runs(&self) -> impl Iterator<Item = u8> + '_ {
        self.slots.iter().flatten().filter_map(|slot| match slot {
            Slot::Plain(_) | Slot::InPlace(_) => None,
            Slot::Packed { run, .. } => Some(*run),
        })
    }

    /// The value of a [`super::item::Key::Extent`].
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (mut plain, mut packed) = (0_u8, 0_u8);
        let used = self.slots.iter().flatten().count();
        let mut value = Vec::with_capacity(2 + used * (size_of::<u64>() + size_of::<u32>()));
        value.extend_from_slice(&[plain, packed]);
        for (number, slot) in self.slots.iter().enumerate() {
            match slot {
                None => {}
                Some(Slot::Plain(ptr)) => {
                    plain |= 1 << number;
                    value.extend_from_slice(&ptr.block.0.to_le_bytes());
                    value.extend_from_slice(&ptr.checksum.to_le_bytes());
                }
                Some(Slot::Packed { run, index }) => {
                    packed |= 1 << number;
                    value.extend_from_slice(&[*run, *index]);
                }
                Some(Slot::InPlace(InPlace { block, birth, is_written })) => {
                    plain |= 1 << number;
                    packed |= 1 << number;
                    value.extend_from_slice(&block.0.to_le_bytes());
                    value.extend_from_slice(&birth.0.to_le_bytes());
                    value.push(u8::from(*is_written));
                }
            }
        }
        value[..2].copy_from_slice(&[plain, packed]);
        Bytes::from(value)
    }

    /// What the value of a [`super::item::Key::Extent`] says, if it is one.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(value);
        let (plain, packed) = (fields.u8()?, fields.u8()?);
        if plain | packed == 0 {
            return None;
        }
        let mut extent = Self::default();
        for (number, slot) in extent.slots.iter_mut().enumerate() {
            if plain & packed & (1 << number) != 0 {
                let (block, birth) = (BlockNo(fields.u64()?), Generation(fields.u64()?));
                let is_written = match fields.u8()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                *slot = Some(Slot::InPlace(InPlace { block, birth, is_written }));
            } else if plain & (1 << number) != 0 {
                let ptr = DataPtr { block: BlockNo(fields.u64()?), checksum: fields.u32()? };
                *slot = Some(Slot::Plain(ptr));
            } else if packed & (1 << number) != 0 {
                *slot = Some(Slot::Packed { run: fields.u8()?, index: fields.u8()? });
            }
        }
        fields.end().then_some(extent)
    }
}

impl Run {
    /// The value of a [`super::item::Key::Run`].
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut value = vec![self.unpacked_count];
        value.extend_from_slice(&self.size_bytes.to_le_bytes());
        value.extend_from_slice(&self.checksum.to_le_bytes());
        for block in &self.blocks {
            value.extend_from_slice(&block.0.to_le_bytes());
        }
        Bytes::from(value)
    }

    /// What the value of a [`super::item::Key::Run`] says, if it is one.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let mut fields = Fields::new(value);
        let (unpacked_count, size_bytes, checksum) = (fields.u8()?, fields.u32()?, fields.u32()?);
        let mut blocks = Vec::new();
        while !fields.end() {
            blocks.push(BlockNo(fields.u64()?));
            if blocks.len() as u64 >= EXTENT_SLOTS {
                return None;
            }
        }
        let saves = blocks.len() < usize::from(unpacked_count);
        let fits = u64::from(unpacked_count) <= EXTENT_SLOTS;
        let run = Self { unpacked_count, size_bytes, checksum, blocks };
        (saves && fits && !run.blocks.is_empty()).then_some(run)
    }

    /// Can a device of that shape hold it?
    #[must_use]
    pub fn is_possible(&self, geometry: Geometry) -> bool {
        let size = u64::from(geometry.block_size_bytes);
        let room = self.blocks.len() as u64 * size;
        let filled = u64::from(self.size_bytes);
        room - size < filled
            && filled <= room
            && self.blocks.iter().all(|block| super::is_inside(*block, geometry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Extent {
        let mut extent = Extent::default();
        extent.slots[1] = Some(Slot::Plain(DataPtr { block: BlockNo(6), checksum: 7 }));
        extent.slots[2] = Some(Slot::Packed { run: 3, index: 1 });
        let kept = InPlace { block: BlockNo(10), birth: Generation(11), is_written: true };
        extent.slots[3] = Some(Slot::InPlace(kept));
        extent.slots[7] = Some(Slot::Plain(DataPtr { block: BlockNo(8), checksum: 9 }));
        extent
    }

    #[test]
    fn extents_and_runs_read_back_as_themselves_and_never_when_cut() {
        let run = Run {
            unpacked_count: 8,
            size_bytes: 600,
            checksum: 5,
            blocks: vec![BlockNo(2), BlockNo(u64::MAX)],
        };
        assert_eq!(Extent::decode(&mixed().encode()), Some(mixed()));
        assert_eq!(Run::decode(&run.encode()), Some(run.clone()));
        for len in 0..mixed().encode().len() {
            assert_eq!(Extent::decode(&mixed().encode()[..len]), None, "length {len}");
        }
        for len in 0..run.encode().len() {
            let cut = Run::decode(&run.encode()[..len]);
            assert!(cut.is_none_or(|cut| cut.blocks.len() == 1), "length {len}");
        }
    }

    // Format version 3. A change here is a change of format: it needs a new version and a reader
    // for the old one, not a new expectation.
    #[test]
    fn golden_bytes() {
        let golden = [
            0x8A, 0x0C, // plain slots 1 and 7, packed slot 2, slot 3 in place
            0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, // slot 1
            0x03, 0x01, // slot 2: run 3, index 1
            0x0A, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // slot 3: block
            0x0B, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
            0x01, // its birth, and it is written
            0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, // slot 7
        ];
        assert_eq!(mixed().encode(), golden.as_slice());
        let run = Run { unpacked_count: 3, size_bytes: 600, checksum: 1, blocks: vec![BlockNo(9)] };
        let golden = [
            0x03, // blocks that it unpacks to
            0x58, 0x02, 0x00, 0x00, // bytes that the codec made
            0x01, 0x00, 0x00, 0x00, // checksum
            0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // where it is
        ];
        assert_eq!(run.encode(), golden.as_slice());
    }

    #[test]
    fn a_run_that_saves_nothing_or_does_not_fill_its_blocks_is_none() {
        let run = |unpacked_count, size_bytes, blocks: u64| Run {
            unpacked_count,
            size_bytes,
            checksum: 0,
            blocks: (2..2 + blocks).map(BlockNo).collect(),
        };
        assert_eq!(Run::decode(&run(2, 1, 2).encode()), None);
        assert_eq!(Run::decode(&run(9, 1, 1).encode()), None);
        assert_eq!(Run::decode(&run(2, 1, 0).encode()), None);
        assert_eq!(Run::decode(&run(8, 1, 8).encode()), None);
        let geometry = Geometry { block_size_bytes: 512, block_count: 16 };
        let possible = |size_bytes| run(3, size_bytes, 2).is_possible(geometry);
        assert_eq!([512, 513, 1024, 1025].map(possible), [false, true, true, false]);
    }
}

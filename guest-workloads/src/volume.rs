//! A toy volume in one file that is written in place, as on a raw device: a map with a bit for each
//! block that is used, a table of objects, and the blocks. An object has one block.
//!
//! Nothing is ordered and nothing has a checksum. After a crash, [`Volume::repair`] sets the bits
//! that the table has a use for; where they are set, it writes nothing.

use crashproof_guest::attributes;
use crashproof_guest::mapping::PAGE_SIZE_BYTES;
use std::fs::File;
use std::io;

use crate::abi;
use crate::uninterrupted;

/// The first bytes of the page that holds the map.
const MAGIC: u64 = u64::from_le_bytes(*b"volume-1");

/// Where the bits begin.
const BITS_AT: usize = 8;

/// Where the table begins: for each object the number of its block, counted from 1, or 0.
const TABLE_AT: usize = PAGE_SIZE_BYTES;

/// Where the blocks begin.
const BLOCKS_AT: usize = 2 * PAGE_SIZE_BYTES;

/// Blocks, and at most so many objects.
const BLOCK_COUNT: usize = 16;

/// Bytes that the bits take.
const MAP_BYTES: usize = BLOCK_COUNT.div_ceil(8);

fn is_used(map: &[u8], block: usize) -> bool {
    map[block / 8] & (1 << (block % 8)) != 0
}

/// A volume.
#[derive(Debug)]
pub struct Volume {
    file: File,
}

impl Volume {
    /// An empty volume in a new file, durable but for its name.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn create(file: File) -> io::Result<Self> {
        uninterrupted(|| attributes::set_flags(&file, attributes::IN_PLACE))?;
        abi::write_all_at(&file, &[0; BLOCKS_AT], 0)?;
        abi::write_all_at(&file, &MAGIC.to_le_bytes(), 0)?;
        uninterrupted(|| file.sync_all())?;
        Ok(Self { file })
    }

    /// The volume in a file, if there is one.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn open(file: File) -> io::Result<Option<Self>> {
        let mut start = [0; 8];
        let count = abi::read_full_at(&file, &mut start, 0)?;
        if count < start.len() || u64::from_le_bytes(start) != MAGIC {
            return Ok(None);
        }
        Ok(Some(Self { file }))
    }

    /// The bits of the map.
    fn map(&self) -> io::Result<[u8; MAP_BYTES]> {
        let mut map = [0; MAP_BYTES];
        abi::read_full_at(&self.file, &mut map, BITS_AT as u64)?;
        Ok(map)
    }

    /// Says in the map that a block is used.
    fn set_used(&self, map: &[u8], block: usize) -> io::Result<()> {
        let bits = map[block / 8] | 1 << (block % 8);
        abi::write_all_at(&self.file, &[bits], (BITS_AT + block / 8) as u64)
    }

    /// The blocks of the objects, in their order, as the table says.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn blocks(&self) -> io::Result<Vec<Option<usize>>> {
        let mut table = [0; BLOCK_COUNT];
        abi::read_full_at(&self.file, &mut table, TABLE_AT as u64)?;
        Ok(table.iter().map(|block| usize::from(*block).checked_sub(1)).collect())
    }

    /// Puts a new object into the first block that the map calls free; `false` if there is none, or
    /// no place in the table.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn add(&self) -> io::Result<bool> {
        let map = self.map()?;
        let free = (0..BLOCK_COUNT).find(|block| !is_used(&map, *block));
        let object = self.blocks()?.iter().position(Option::is_none);
        let (Some(block), Some(object)) = (free, object) else { return Ok(false) };
        self.set_used(&map, block)?;
        let number = |number: usize| u8::try_from(number + 1).unwrap_or(u8::MAX);
        abi::write_all_at(&self.file, &[number(block)], (TABLE_AT + object) as u64)?;
        let content = [number(object); PAGE_SIZE_BYTES];
        abi::write_all_at(&self.file, &content, (BLOCKS_AT + block * PAGE_SIZE_BYTES) as u64)?;
        Ok(true)
    }

    /// Sets the bits of blocks that objects have, and makes that durable.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn repair(&self) -> io::Result<()> {
        let mut is_changed = false;
        for block in self.blocks()?.into_iter().flatten() {
            let map = self.map()?;
            if !is_used(&map, block) {
                self.set_used(&map, block)?;
                is_changed = true;
            }
        }
        if is_changed { uninterrupted(|| self.file.sync_all()) } else { Ok(()) }
    }

    /// A block that two objects have, and the two.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn shared(&self) -> io::Result<Option<(usize, usize, usize)>> {
        let blocks = self.blocks()?;
        let first = |block| blocks.iter().position(|other| *other == Some(block));
        let shared = blocks.iter().enumerate().find_map(|(object, block)| {
            let block = (*block)?;
            let owner = first(block).filter(|owner| *owner != object)?;
            Some((block, owner, object))
        });
        Ok(shared)
    }

    /// The object that a block was written for last, as the block says.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn written_for(&self, block: usize) -> io::Result<usize> {
        let mut mark = [0];
        abi::read_full_at(&self.file, &mut mark, (BLOCKS_AT + block * PAGE_SIZE_BYTES) as u64)?;
        Ok(usize::from(mark[0]).wrapping_sub(1))
    }
}

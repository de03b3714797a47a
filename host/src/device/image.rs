//! An image: what is on a medium, as a persistent map that is forked for each crash state.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::device::BlockNo;
use crate::device::Geometry;
use crate::device::SECTOR_SIZE_BYTES;

/// Larger images are not loaded.
const IMAGE_SIZE_BYTES_MAX: u64 = 1 << 34;

/// A block's bytes with the hash of its place and content, computed once.
#[derive(Debug, Clone, Eq)]
pub struct Block {
    bytes: Bytes,
    hash: u128,
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        let is_same = self.bytes.as_ptr() == other.bytes.as_ptr();
        self.hash == other.hash && (is_same || self.bytes == other.bytes)
    }
}

/// Are all bytes zero? Many at a time: this is asked of each block that is written or recovered.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(64).all(|some| some.iter().fold(0, |all, byte| all | byte) == 0)
}

impl Block {
    /// The content of `block`.
    #[must_use]
    pub fn new(block: BlockNo, bytes: Bytes) -> Self {
        let zero = is_zero(&bytes);
        let hash = if zero { 0 } else { xxh3_128_with_seed(&bytes, block.0) };
        Self { bytes, hash }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// What is on a medium. Clones share everything that is not changed afterwards.
#[derive(Debug, Clone)]
pub struct Image {
    geometry: Geometry,
    blocks: OrdMap<u64, Block>,
    zero: Bytes,
    hash: u128,
}

impl Image {
    /// A medium full of zeros.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let zero = Bytes::from(vec![0; geometry.block_size_bytes as usize]);
        Self { geometry, blocks: OrdMap::new(), zero, hash: 0 }
    }

    /// Its shape.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// A block's bytes; `None` beyond the end.
    #[must_use]
    pub fn get(&self, block: BlockNo) -> Option<Bytes> {
        if block.0 >= self.geometry.block_count {
            return None;
        }
        Some(self.blocks.get(&block.0).map_or_else(|| self.zero.clone(), |b| b.bytes.clone()))
    }

    /// Replaces a block. Costs a logarithm of the number of blocks in use.
    pub fn set(&mut self, block: BlockNo, content: Block) {
        let added = content.hash;
        let removed = if added == 0 {
            self.blocks.remove(&block.0)
        } else {
            self.blocks.insert(block.0, content)
        };
        self.hash ^= added ^ removed.map_or(0, |before| before.hash);
    }

    /// A hash of the whole content; equal for equal content, however it came about.
    #[must_use]
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// A hash of a block's place and content: 0 if it is full of zeros.
    #[must_use]
    pub fn block_hash(&self, block: BlockNo) -> u128 {
        self.blocks.get(&block.0).map_or(0, |block| block.hash)
    }

    /// How many blocks are not zero.
    #[must_use]
    pub fn used_count(&self) -> usize {
        self.blocks.len()
    }

    /// The blocks that are not as in another image of the same shape, in order.
    pub fn changed_since(&self, was: &Self) -> impl Iterator<Item = BlockNo> {
        let number = |item| match item {
            DiffItem::Add(number, _)
            | DiffItem::Remove(number, _)
            | DiffItem::Update { new: (number, _), .. } => BlockNo(*number),
        };
        was.blocks.diff(&self.blocks).map(number)
    }

    /// The blocks that are not zero, in order.
    pub fn blocks(&self) -> impl Iterator<Item = (BlockNo, &Bytes)> {
        self.blocks.iter().map(|(number, block)| (BlockNo(*number), &block.bytes))
    }

    /// Writes the image raw: every block, one after the other.
    ///
    /// # Errors
    /// As `out` says.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        for number in 0..self.geometry.block_count {
            let block = self.blocks.get(&number).map_or(&self.zero, |block| &block.bytes);
            out.write_all(block)?;
        }
        Ok(())
    }

    /// Reads a raw file as an image of blocks of `block_size_bytes`.
    ///
    /// # Errors
    /// As the operating system says, or if the file's size is no number of blocks or too large.
    pub fn load(path: &Path, block_size_bytes: u32) -> io::Result<Self> {
        let file = File::open(path)?;
        let size_bytes = file.metadata()?.len();
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        if size_bytes > IMAGE_SIZE_BYTES_MAX {
            return Err(invalid(format!("{size_bytes} bytes, at most {IMAGE_SIZE_BYTES_MAX}")));
        }
        let block = u64::from(block_size_bytes);
        if block < SECTOR_SIZE_BYTES as u64 || size_bytes == 0 || !size_bytes.is_multiple_of(block)
        {
            return Err(invalid(format!("{size_bytes} bytes are no number of blocks of {block}")));
        }
        let mut image = Self::new(Geometry { block_size_bytes, block_count: size_bytes / block });
        let mut reader = io::BufReader::new(file);
        for number in 0..image.geometry.block_count {
            let mut bytes = vec![0; block_size_bytes as usize];
            reader.read_exact(&mut bytes)?;
            image.set(BlockNo(number), Block::new(BlockNo(number), Bytes::from(bytes)));
        }
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Geometry = Geometry { block_size_bytes: 512, block_count: 4 };

    fn filled(block: u64, byte: u8) -> Block {
        Block::new(BlockNo(block), Bytes::from(vec![byte; 512]))
    }

    #[test]
    fn equal_content_has_an_equal_hash_however_it_came_about() {
        let (mut one, mut other) = (Image::new(SHAPE), Image::new(SHAPE));
        one.set(BlockNo(1), filled(1, 7));
        one.set(BlockNo(2), filled(2, 9));
        other.set(BlockNo(2), filled(2, 3));
        other.set(BlockNo(2), filled(2, 9));
        assert_ne!(one.hash(), other.hash());
        other.set(BlockNo(1), filled(1, 7));
        assert_eq!(one.hash(), other.hash());
        other.set(BlockNo(1), filled(1, 0));
        other.set(BlockNo(2), filled(2, 0));
        assert_eq!(other.hash(), Image::new(SHAPE).hash());
    }

    #[test]
    fn the_place_of_a_block_counts() {
        let (mut one, mut other) = (Image::new(SHAPE), Image::new(SHAPE));
        one.set(BlockNo(1), filled(1, 7));
        other.set(BlockNo(2), filled(2, 7));
        assert_ne!(one.hash(), other.hash());
    }

    #[test]
    fn a_saved_image_loads_as_itself_and_a_cut_one_is_refused() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("image");
        let mut image = Image::new(SHAPE);
        image.set(BlockNo(3), filled(3, 5));
        let mut raw = Vec::new();
        image.write_to(&mut raw).expect("a vector takes all");
        std::fs::write(&path, raw).expect("the folder is there");
        assert_eq!(Image::load(&path, 512).expect("just saved").hash(), image.hash());
        std::fs::write(&path, [1; 700]).expect("the folder is there");
        assert!(Image::load(&path, 512).is_err());
    }
}

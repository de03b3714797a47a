//! Compression of content: blocks of one extent become fewer blocks, or stay as they are.
//!
//! The codec is LZ4's block format. What comes from the medium is hostile: unpacking is bounded
//! by the number of blocks that must come of it.

use bytes::Bytes;

use crate::cow::format::extent::Extent;

/// Neighbouring blocks of a file, packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The blocks of the file, in order.
    file_blocks: Vec<u64>,
    /// What the codec made of them.
    bytes: Bytes,
}

impl Packed {
    /// Packs whole blocks of a file, in order; `None` if that would not save a block of
    /// `block_size_bytes`, or if the blocks are not of one extent ([`extent_of`]).
    #[must_use]
    pub fn pack(blocks: &[(u64, Bytes)], block_size_bytes: u32) -> Option<Self> {
        let size = block_size_bytes as usize;
        let (first, _) = blocks.first()?;
        let is_order = blocks.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let is_extent = blocks.iter().all(|(block, _)| extent_of(*block) == extent_of(*first));
        if blocks.len() < 2 || !is_order || !is_extent {
            return None;
        }
        let mut plain = Vec::with_capacity(blocks.len() * size);
        for (_, bytes) in blocks {
            assert!(bytes.len() <= size, "a block is at most a block");
            plain.extend_from_slice(bytes);
            plain.resize(plain.len().next_multiple_of(size), 0);
        }
        let packed = lz4_flex::block::compress(&plain);
        if packed.len() > plain.len() - size {
            return None;
        }
        let file_blocks = blocks.iter().map(|(block, _)| *block).collect();
        Some(Self { file_blocks, bytes: Bytes::from(packed) })
    }

    /// The blocks of the file that are packed, in order.
    #[must_use]
    pub fn file_blocks(&self) -> &[u64] {
        &self.file_blocks
    }

    /// What the codec made of them.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Blocks of the device that it takes.
    #[must_use]
    pub fn block_count(&self, block_size_bytes: u32) -> usize {
        self.bytes.len().div_ceil(block_size_bytes as usize)
    }
}

/// Names the extent of a block of a file: blocks may be packed together if they have the same.
#[must_use]
pub fn extent_of(file_block: u64) -> u64 {
    Extent::place(file_block).0
}

/// What was packed, if it unpacks to exactly so many bytes.
#[must_use]
pub(super) fn unpack(packed: &[u8], size_bytes: usize) -> Option<Bytes> {
    let mut plain = vec![0; size_bytes];
    let len = lz4_flex::block::decompress_into(packed, &mut plain).ok()?;
    (len == size_bytes).then_some(Bytes::from(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::mix;

    fn noise(seed: u64, len: usize) -> Bytes {
        (0..len as u64).map(|at| mix(mix(seed) ^ at) as u8).collect()
    }

    #[test]
    fn what_was_packed_unpacks_to_the_same_and_to_no_other_length() {
        let text: Bytes = b"once upon a time ".iter().copied().cycle().take(512).collect();
        let blocks = [(8, text.clone()), (9, noise(1, 200)), (11, text.slice(..100))];
        let packed = Packed::pack(&blocks, 512).expect("two of three are regular");
        assert_eq!(packed.file_blocks(), [8, 9, 11]);
        assert!(packed.block_count(512) < 3);
        let plain = unpack(packed.bytes(), 3 * 512).expect("packed just now");
        assert_eq!(plain[..512], text);
        assert_eq!(plain[512..712], noise(1, 200));
        assert!(plain[712..1024].iter().all(|byte| *byte == 0));
        assert_eq!(plain[1024..1124], text[..100]);
        for wrong in [0, 512, 3 * 512 - 1, 3 * 512 + 1] {
            assert_eq!(unpack(packed.bytes(), wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_saves_no_block_is_not_packed() {
        let zeros = Bytes::from(vec![0; 512]);
        let noisy: Vec<(u64, Bytes)> = (0..8).map(|block| (block, noise(block, 512))).collect();
        assert_eq!(Packed::pack(&noisy, 512), None);
        assert_eq!(Packed::pack(&[(0, zeros.clone())], 512), None);
        assert_eq!(Packed::pack(&[(7, zeros.clone()), (8, zeros.clone())], 512), None);
        assert_eq!(Packed::pack(&[(1, zeros.clone()), (0, zeros.clone())], 512), None);
        assert_eq!(Packed::pack(&[], 512), None);
        // The codec needs some bytes itself: two regular blocks among eight save one.
        let mut mixed = noisy;
        mixed[3].1 = zeros.clone();
        assert_eq!(Packed::pack(&mixed, 512), None);
        mixed[6].1 = zeros;
        assert_eq!(Packed::pack(&mixed, 512).map(|packed| packed.block_count(512)), Some(8 - 1));
    }

    #[test]
    fn bytes_that_no_codec_made_never_panic() {
        for seed in 0..20_000 {
            let len = mix(seed) as usize % 600;
            let _ = unpack(&noise(seed, len), 1024);
        }
    }
}

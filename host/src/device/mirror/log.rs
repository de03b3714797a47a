//! The log of a mirror: one block, which is always forced.

use std::collections::BTreeSet;

use bytes::Bytes;

/// The first bytes of a log.
const MAGIC: &[u8; 8] = b"cpmirror";

/// Where the bits of the regions begin, after the magic number and the lost legs.
pub(super) const REGIONS_AT: usize = 16;

/// What the log says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RegionLog {
    /// Regions in which the legs may differ.
    pub(super) dirty: BTreeSet<u64>,
    /// Legs that are neither read nor written.
    pub(super) lost: BTreeSet<u32>,
}

impl RegionLog {
    pub(super) fn encode(&self, size_bytes: u32) -> Bytes {
        let mut bytes = vec![0; size_bytes as usize];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        for leg in &self.lost {
            bytes[MAGIC.len() + (*leg / 8) as usize] |= 1 << (leg % 8);
        }
        for region in &self.dirty {
            bytes[REGIONS_AT + (*region / 8) as usize] |= 1 << (region % 8);
        }
        Bytes::from(bytes)
    }

    /// What a block says; one that is no log, that all is clean.
    pub(super) fn decode(bytes: &Bytes) -> Self {
        if !bytes.starts_with(MAGIC) {
            return Self::default();
        }
        let bits = |bytes: &[u8]| -> Vec<u64> {
            let is_set = |at: &u64| bytes[(*at / 8) as usize] & (1 << (at % 8)) != 0;
            (0..bytes.len() as u64 * 8).filter(is_set).collect()
        };
        let lost = bits(&bytes[MAGIC.len()..REGIONS_AT]);
        let lost = lost.into_iter().filter_map(|leg| u32::try_from(leg).ok()).collect();
        Self { dirty: bits(&bytes[REGIONS_AT..]).into_iter().collect(), lost }
    }

    /// Does it say that these regions are dirty, and that these legs are lost?
    pub(super) fn says(&self, dirty: &BTreeSet<u64>, lost: &BTreeSet<u32>) -> bool {
        dirty.is_subset(&self.dirty) && lost.is_subset(&self.lost)
    }
}

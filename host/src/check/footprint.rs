//! On which blocks of an image depends what is found there.
//!
//! The argument for leaving crash states out: recovery, survey and fsck are deterministic, so two
//! images that are equal in every block which they look at in one of them come out the same. What
//! else is in the others, such as a write to a block that no root leads to, says nothing.

use std::collections::BTreeSet;
use std::fmt;

use imbl::OrdMap;
use imbl::ordmap;
use imbl::ordset;
use xxhash_rust::xxh3::xxh3_128;

use crate::cow::User;
use crate::cow::Users;
use crate::cow::fsck::Sound;
use crate::device::BlockNo;
use crate::device::Image;
use crate::device::Touched;

/// The blocks of an image that were looked at, and what is in them.
pub struct Footprint {
    image: Image,
    /// What mounting asked the device for, what fsck looked at, what the mounted tree uses.
    touched: Touched,
    checked: OrdMap<BlockNo, &'static str>,
    checked_in_snapshots: BTreeSet<BlockNo>,
    used: Users,
    key: u128,
}

impl fmt::Debug for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Footprint").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Footprint {
    /// The footprint of an image that fsck found sound. It does not depend on `was`, the footprint
    /// of another image that is like this one.
    #[must_use]
    pub(super) fn new(
        image: &Image,
        sound: &Sound,
        touched: Touched,
        used: Users,
        was: Option<&Self>,
    ) -> Self {
        let mut footprint = Self {
            image: image.clone(),
            touched,
            checked: sound.users().clone(),
            checked_in_snapshots: sound.used_by_snapshots().clone(),
            used,
            key: 0,
        };
        let nothing = Self::nothing(image);
        let was = was.unwrap_or(&nothing);
        let changed = footprint.differences(was).into_iter();
        let key = |of: &Self, block| if of.has(block) { of.key_of(block) } else { 0 };
        let other = changed.fold(0, |all, block| all ^ key(was, block) ^ key(&footprint, block));
        footprint.key = was.key ^ other;
        footprint
    }

    fn nothing(like: &Image) -> Self {
        Self {
            image: Image::new(like.geometry()),
            touched: Touched::default(),
            checked: OrdMap::new(),
            checked_in_snapshots: BTreeSet::new(),
            used: Users::new(),
            key: 0,
        }
    }

    /// The blocks of which content or use may differ.
    fn differences(&self, was: &Self) -> BTreeSet<BlockNo> {
        let mut blocks: BTreeSet<BlockNo> = self.image.changed_since(&was.image).collect();
        blocks.extend(was.checked.diff(&self.checked).map(|item| match item {
            ordmap::DiffItem::Add(block, _)
            | ordmap::DiffItem::Remove(block, _)
            | ordmap::DiffItem::Update { new: (block, _), .. } => *block,
        }));
        blocks.extend(was.used.diff(&self.used).map(|item| match item {
            ordset::DiffItem::Add((block, _)) | ordset::DiffItem::Remove((block, _)) => *block,
        }));
        for of in [self, was] {
            let Touched { read, written } = &of.touched;
            blocks.extend(read.iter().chain(written).chain(&of.checked_in_snapshots));
        }
        blocks
    }

    fn key_of(&self, block: BlockNo) -> u128 {
        let mut place_and_content = [0; 24];
        place_and_content[..8].copy_from_slice(&block.0.to_le_bytes());
        place_and_content[8..].copy_from_slice(&self.image.block_hash(block).to_le_bytes());
        xxh3_128(&place_and_content)
    }

    /// Does what was found depend on this block? What recovery wrote before anybody read it, it
    /// does not depend on.
    #[must_use]
    pub fn has(&self, block: BlockNo) -> bool {
        let from = (block, User::Node(bytes::Bytes::new()));
        let is_used = || self.used.range(from..).next().is_some_and(|(used, _)| *used == block);
        self.touched.read.contains(&block)
            || self.checked.contains_key(&block)
            || self.checked_in_snapshots.contains(&block)
            || (!self.touched.written.contains(&block) && is_used())
    }

    /// Equal for images that are equal wherever they were looked at, and for no others.
    #[must_use]
    pub fn key(&self) -> u128 {
        self.key
    }

    /// Is an image equal to the one that was looked at, wherever it was looked at?
    #[must_use]
    pub fn covers(&self, image: &Image) -> bool {
        !image.changed_since(&self.image).any(|block| self.has(block))
    }
}

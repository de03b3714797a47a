//! fsck: a second reader of the format, that shares nothing with the file system but the format.
//!
//! Flow: newest root -> every node of its tree (`tree`) -> the whole batches of its log -> the
//! items as they are after replay -> files, names, content and who uses which block (`files`).
//!
//! Then the same, but for the log, of each snapshot (`snapshots`): it is a file system by itself.
//!
//! It reads an image, never changes it, and never panics, whatever the bytes; what it keeps is
//! bounded by the size of the device, since no tree visits a block twice.
//!
//! An image that is like one without a problem is checked where they differ. That may only find
//! that there is no problem; what is wrong is found by looking at everything.

mod files;
mod snapshots;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use imbl::OrdMap;

use crate::cow::format::ROOT_SLOTS;
use crate::cow::format::is_inside;
use crate::cow::format::item::is_item;
use crate::cow::format::log::Change;
use crate::cow::format::log::LogBlock;
use crate::cow::format::log::decode_changes;
use crate::cow::format::node::Record;
use crate::cow::format::root::Root;
use crate::device::BlockNo;
use crate::device::Geometry;
use crate::device::Image;

/// Something in an image that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Place,
    /// What should hold.
    pub invariant: &'static str,
    /// What is there.
    pub what: String,
}

/// A place in a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A block of the device.
    Block(BlockNo),
    /// A file, by its number.
    File(u64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Place::Block(block) => write!(f, "block {}", block.0)?,
            Place::File(ino) => write!(f, "file {ino}")?,
        }
        write!(f, ": {} [{}]", self.what, self.invariant)
    }
}

/// The block size that a root in the image speaks of; the image may be cut into other blocks.
#[must_use]
pub fn block_size_bytes(image: &Image) -> Option<u32> {
    // The second root is at the block size: each power of two is a place to look.
    let unit = u64::from(image.geometry().block_size_bytes);
    let places = std::iter::once(0).chain((0..16).map(|power| (unit << power) / unit));
    let root = |at: u64| image.get(BlockNo(at)).and_then(|block| Root::decode(&block));
    places.filter_map(root).map(|root| root.geometry.block_size_bytes).next()
}

/// Every problem of an image, in a fixed order.
#[must_use]
pub fn check(image: &Image) -> Vec<Problem> {
    Sound::nothing(image.geometry()).differences(image).problems
}

/// An image without a problem, and what is in it.
#[derive(Debug, Clone)]
pub struct Sound {
    image: Image,
    /// The nodes, and how each is pointed to.
    nodes: OrdMap<BlockNo, tree::Visit>,
    top: Option<BlockNo>,
    log: Vec<BlockNo>,
    /// Who uses each block, as the first user said.
    users: OrdMap<BlockNo, &'static str>,
    /// The items of the tree, and those after replay.
    tree: OrdMap<Bytes, Bytes>,
    items: OrdMap<Bytes, Bytes>,
    facts: files::Facts,
    /// What snapshots and their list use, if there are any.
    snapshots: BTreeSet<BlockNo>,
}

impl Sound {
    /// The blocks that were looked at but those of snapshots, and what each is used for.
    #[must_use]
    pub fn users(&self) -> &OrdMap<BlockNo, &'static str> {
        &self.users
    }

    /// The blocks that snapshots and their list use, if there are any.
    #[must_use]
    pub fn used_by_snapshots(&self) -> &BTreeSet<BlockNo> {
        &self.snapshots
    }

    fn nothing(geometry: Geometry) -> Self {
        Self {
            image: Image::new(geometry),
            nodes: OrdMap::new(),
            top: None,
            log: Vec::new(),
            users: OrdMap::new(),
            tree: OrdMap::new(),
            items: OrdMap::new(),
            facts: files::Facts::default(),
            snapshots: BTreeSet::new(),
        }
    }

    /// Checks an image as a whole.
    ///
    /// # Errors
    /// Its problems, if it has any.
    pub fn check(image: &Image) -> Result<Self, Vec<Problem>> {
        Self::nothing(image.geometry()).differences(image).finish()
    }

    /// Checks an image that is like this one: what it says does not depend on this one.
    ///
    /// # Errors
    /// Its problems, if it has any.
    pub fn check_next(&self, image: &Image) -> Result<Self, Vec<Problem>> {
        if image.geometry() != self.image.geometry() {
            return Self::check(image);
        }
        self.differences(image).finish().or_else(|_| Self::check(image))
    }

    /// Looks at what differs.
    fn differences(&self, image: &Image) -> Checker<'_> {
        let now = Self { image: image.clone(), ..self.clone() };
        let geometry = image.geometry();
        let changed = image.changed_since(&self.image).collect();
        let mut checker = Checker { was: self, changed, geometry, now, problems: Vec::new() };
        checker.check();
        checker
    }
}

struct Checker<'a> {
    was: &'a Sound,
    /// The blocks that are not as they were.
    changed: Vec<BlockNo>,
    geometry: Geometry,
    now: Sound,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn finish(self) -> Result<Sound, Vec<Problem>> {
        if self.problems.is_empty() { Ok(self.now) } else { Err(self.problems) }
    }

    fn block(&mut self, block: BlockNo, invariant: &'static str, what: impl Into<String>) {
        self.problems.push(Problem { at: Place::Block(block), invariant, what: what.into() });
    }

    fn file(&mut self, ino: u64, invariant: &'static str, what: impl Into<String>) {
        self.problems.push(Problem { at: Place::File(ino), invariant, what: what.into() });
    }

    fn check(&mut self) {
        let Some(root) = self.root() else { return };
        for block in std::mem::take(&mut self.now.log) {
            self.now.users.remove(&block);
        }
        self.walk_tree(root.tree, &root);
        self.now.items = self.now.tree.clone();
        self.replay_log(&root);
        self.check_files();
        self.check_snapshots(&root);
    }

    fn root(&mut self) -> Option<Root> {
        let slots = (0..ROOT_SLOTS).filter_map(|slot| self.now.image.get(BlockNo(slot)));
        let roots = slots.filter_map(|block| Root::decode(&block));
        let newest =
            roots.filter(|root| root.geometry == self.geometry).max_by_key(|root| root.generation);
        if newest.is_none() {
            self.block(BlockNo(0), "F-2", "no slot holds a whole root of this device");
        }
        newest
    }

    /// Notes a user of a block; `false` if it may not be used, or is used already.
    fn takes(&mut self, block: BlockNo, user: &'static str) -> bool {
        if !is_inside(block, self.geometry) {
            self.block(block, "C-3", format!("used as {user}, but it is not inside"));
            return false;
        }
        if let Some(other) = self.now.users.insert(block, user) {
            self.block(block, "C-3", format!("used as {user} and as {other}"));
            return false;
        }
        true
    }

    /// The log ends where a block does not follow the one before it: that is how it is known.
    fn replay_log(&mut self, root: &Root) {
        let (mut at, mut link, mut sequence) = (root.log_head, root.link(), 0_u32);
        let mut payload: Vec<u8> = Vec::new();
        while self.takes(at, "the log") {
            self.now.log.push(at);
            let Some((block, checksum)) =
                self.now.image.get(at).and_then(|block| LogBlock::decode(&block))
            else {
                return;
            };
            let follows = block.generation == root.generation
                && block.sequence == sequence
                && block.link == link
                && is_inside(block.next, self.geometry);
            if !follows {
                return;
            }
            payload.extend_from_slice(&block.payload);
            if block.last {
                let batch = Bytes::from(std::mem::take(&mut payload));
                match decode_changes(&batch) {
                    Some(changes) => changes.into_iter().for_each(|c| self.apply(at, c)),
                    None => self.block(at, "F-3", "a whole batch that says no changes"),
                }
            }
            (at, link, sequence) = (block.next, checksum, sequence.saturating_add(1));
        }
    }

    fn apply(&mut self, at: BlockNo, change: Change) {
        match change {
            Change::Put(key, value) => {
                if !is_item(&Record::new(&key, &value), self.geometry) {
                    self.block(at, "F-3", "the log puts what is no item");
                }
                self.now.items.insert(key, value);
            }
            Change::Delete(key) => {
                self.now.items.remove(&key);
            }
        }
    }
}

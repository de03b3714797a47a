//! fsck: a second reader of the format, that shares nothing with the file system but the format.
//!
//! Flow: newest root -> every node of its tree -> the whole batches of its log -> the items as
//! they are after replay -> files, names, content and who uses which block.
//!
//! It reads an image, never changes it, and never panics, whatever the bytes; what it keeps is
//! bounded by the size of the device, since no block is visited twice.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use crate::cow::format::BlockPtr;
use crate::cow::format::ROOT_SLOTS;
use crate::cow::format::is_inside;
use crate::cow::format::item::EntryItem;
use crate::cow::format::item::EntryTarget;
use crate::cow::format::item::Extent;
use crate::cow::format::item::Inode;
use crate::cow::format::item::Key;
use crate::cow::format::item::Kind;
use crate::cow::format::item::ROOT_INO;
use crate::cow::format::item::is_item;
use crate::cow::format::log::Change;
use crate::cow::format::log::LogBlock;
use crate::cow::format::log::decode_changes;
use crate::cow::format::node::NodeBlock;
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
    let mut checker = Checker {
        image,
        geometry: image.geometry(),
        users: BTreeMap::new(),
        items: BTreeMap::new(),
        problems: Vec::new(),
    };
    checker.check();
    checker.problems
}

struct Checker<'a> {
    image: &'a Image,
    geometry: Geometry,
    /// Who uses each block, as the first user said.
    users: BTreeMap<BlockNo, &'static str>,
    items: BTreeMap<Bytes, Bytes>,
    problems: Vec<Problem>,
}

/// A node that is still to be visited.
struct Visit {
    ptr: BlockPtr,
    level: Option<u16>,
    low: Bytes,
    high: Option<Bytes>,
}

impl Checker<'_> {
    fn block(&mut self, block: BlockNo, invariant: &'static str, what: impl Into<String>) {
        self.problems.push(Problem { at: Place::Block(block), invariant, what: what.into() });
    }

    fn file(&mut self, ino: u64, invariant: &'static str, what: impl Into<String>) {
        self.problems.push(Problem { at: Place::File(ino), invariant, what: what.into() });
    }

    fn check(&mut self) {
        let Some(root) = self.root() else { return };
        self.walk_tree(&root);
        self.replay_log(&root);
        self.check_files();
    }

    fn root(&mut self) -> Option<Root> {
        let slots = (0..ROOT_SLOTS).filter_map(|slot| self.image.get(BlockNo(slot)));
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
        if let Some(other) = self.users.insert(block, user) {
            self.block(block, "C-3", format!("used as {user} and as {other}"));
            return false;
        }
        true
    }

    fn walk_tree(&mut self, root: &Root) {
        let mut open = vec![Visit { ptr: root.tree, level: None, low: Bytes::new(), high: None }];
        if root.tree.generation > root.generation {
            self.block(root.tree.block, "C-2", "the top node is younger than the root");
        }
        while let Some(visit) = open.pop() {
            let at = visit.ptr.block;
            if !self.takes(at, "a node") {
                continue;
            }
            match self.node(&visit) {
                Ok(node) => self.visit(&visit, &node, &mut open),
                Err(what) => self.block(at, "C-2", what),
            }
        }
    }

    fn node(&self, visit: &Visit) -> Result<NodeBlock, &'static str> {
        let block = self.image.get(visit.ptr.block).ok_or("a node beyond the end")?;
        if crc32c::crc32c(&block) != visit.ptr.checksum {
            return Err("the node's checksum is not its pointer's");
        }
        let node = NodeBlock::decode(&block).ok_or("no node")?;
        if node.generation != visit.ptr.generation {
            return Err("the node's generation is not its pointer's");
        }
        if visit.level.is_some_and(|level| level != node.level) {
            return Err("the node is on another level than its parent says");
        }
        let fits =
            |key: &Bytes| *key >= visit.low && visit.high.as_ref().is_none_or(|high| key < high);
        if !node.records.iter().all(|record| fits(&record.key)) {
            return Err("a key is outside the range that the parent says");
        }
        Ok(node)
    }

    fn visit(&mut self, visit: &Visit, node: &NodeBlock, open: &mut Vec<Visit>) {
        let at = visit.ptr.block;
        if node.level == 0 {
            for record in &node.records {
                if is_item(&record.key, &record.value, self.geometry) {
                    self.items.insert(record.key.clone(), record.value.clone());
                } else {
                    self.block(at, "F-1", "a record of a leaf is no item");
                }
            }
            return;
        }
        for (number, record) in node.records.iter().enumerate() {
            let Some(ptr) = BlockPtr::decode(&record.value) else {
                self.block(at, "F-1", "a record of an inner node is no pointer");
                continue;
            };
            if ptr.generation > node.generation {
                self.block(at, "C-2", format!("block {} is younger than its parent", ptr.block.0));
            }
            let next = node.records.get(number + 1).map(|next| next.key.clone());
            open.push(Visit {
                ptr,
                level: Some(node.level - 1),
                low: record.key.clone(),
                high: next.or_else(|| visit.high.clone()),
            });
        }
    }

    /// The log ends where a block does not follow the one before it: that is how it is known.
    fn replay_log(&mut self, root: &Root) {
        let (mut at, mut link, mut sequence) = (root.log_head, root.link(), 0_u32);
        let mut payload: Vec<u8> = Vec::new();
        while self.takes(at, "the log") {
            let Some((block, checksum)) =
                self.image.get(at).and_then(|block| LogBlock::decode(&block))
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
                if !is_item(&key, &value, self.geometry) {
                    self.block(at, "F-3", "the log puts what is no item");
                }
                self.items.insert(key, value);
            }
            Change::Delete(key) => {
                self.items.remove(&key);
            }
        }
    }

    fn check_files(&mut self) {
        let mut files = Files::default();
        for (key, value) in std::mem::take(&mut self.items) {
            match Key::decode(&key) {
                Some(key) => self.sort(&mut files, key, &value),
                None => self.block(BlockNo(0), "F-1", "a key that says nothing"),
            }
        }
        let mut name_counts: BTreeMap<u64, u64> = BTreeMap::new();
        for target in files.names.values() {
            *name_counts.entry(target.ino).or_default() += 1;
        }
        for (ino, inode) in &files.inodes {
            let names = name_counts.get(ino).copied().unwrap_or_default();
            self.check_inode(&files, *ino, inode, names);
        }
        self.check_names(&files);
        for ino in files.content.iter().chain(files.targets.keys()) {
            if !files.inodes.contains_key(ino) {
                self.file(*ino, "V-1", "has content and no inode");
            }
        }
        for ino in &files.orphans {
            if !files.inodes.contains_key(ino) {
                self.file(*ino, "V-2", "is an orphan and has no inode");
            }
        }
    }

    fn sort(&mut self, files: &mut Files, key: Key, value: &Bytes) {
        match key {
            Key::Inode { ino } => {
                if let Some(inode) = Inode::decode(value) {
                    files.inodes.insert(ino, inode);
                }
            }
            Key::Name { dir, name } => {
                if let Some(target) = EntryTarget::decode(value) {
                    files.names.insert((dir, name), target);
                }
            }
            Key::Entry { dir, cookie } => {
                if let Some(entry) = EntryItem::decode(cookie, value) {
                    files.entries.insert((dir, cookie), entry);
                }
            }
            Key::Extent { ino, .. } => {
                if let Some(extent) = Extent::decode(value) {
                    self.check_extent(ino, &extent);
                    files.content.insert(ino);
                }
            }
            Key::Symlink { ino, .. } => {
                *files.targets.entry(ino).or_default() += value.len() as u64;
            }
            Key::Orphan { ino } => {
                files.orphans.insert(ino);
            }
        }
    }

    fn check_extent(&mut self, ino: u64, extent: &Extent) {
        for slot in extent.slots.iter().flatten() {
            if !self.takes(slot.block, "content") {
                continue;
            }
            let block = self.image.get(slot.block).unwrap_or_default();
            if crc32c::crc32c(&block) != slot.checksum {
                let what = format!("the content in block {} fails its checksum", slot.block.0);
                self.file(ino, "C-2", what);
            }
        }
    }

    fn check_inode(&mut self, files: &Files, ino: u64, inode: &Inode, names: u64) {
        let is_orphan = files.orphans.contains(&ino);
        match inode.kind {
            Kind::Regular | Kind::Symlink => {
                if u64::from(inode.link_count) != names {
                    let what = format!("{names} names, link count {}", inode.link_count);
                    self.file(ino, "V-1", what);
                }
            }
            Kind::Directory => {
                if names > 1 || (ino == ROOT_INO && names > 0) {
                    self.file(ino, "V-1", format!("a directory with {names} names"));
                }
            }
        }
        if names == 0 && !is_orphan && ino != ROOT_INO {
            self.file(ino, "V-2", "has no name and is no orphan");
        }
        if names > 0 && is_orphan {
            self.file(ino, "V-2", "is an orphan that has a name");
        }
        let target = files.targets.get(&ino).copied().unwrap_or_default();
        if inode.kind == Kind::Symlink && target != inode.size_bytes {
            self.file(ino, "F-1", format!("target of {target} bytes, size {}", inode.size_bytes));
        }
    }

    fn check_names(&mut self, files: &Files) {
        if files.inodes.get(&ROOT_INO).is_none_or(|root| root.kind != Kind::Directory) {
            self.file(ROOT_INO, "V-1", "the root is no directory");
        }
        for ((dir, name), target) in &files.names {
            let entry = files.entries.get(&(*dir, target.cookie));
            let agrees = entry.is_some_and(|entry| {
                entry.name == *name && entry.ino == target.ino && entry.kind == target.kind
            });
            if !agrees {
                self.file(*dir, "V-1", "a name and its entry do not agree");
            }
            match files.inodes.get(&target.ino) {
                Some(inode) if inode.kind == target.kind => {}
                Some(_) => self.file(target.ino, "V-1", "is of another kind than its name says"),
                None => self.file(target.ino, "V-1", "has a name and no inode"),
            }
            let parent = files.inodes.get(dir);
            if parent.is_none_or(|parent| parent.kind != Kind::Directory) {
                self.file(*dir, "V-1", "has names in it and is no directory");
            }
        }
        if files.entries.len() != files.names.len() {
            let what = format!("{} entries, {} names", files.entries.len(), files.names.len());
            self.file(ROOT_INO, "V-1", what);
        }
        self.check_reachable(files);
    }

    /// Directories form a tree: each is reached from the root, or is an orphan.
    fn check_reachable(&mut self, files: &Files) {
        let mut reached = std::collections::BTreeSet::from([ROOT_INO]);
        let mut open = vec![ROOT_INO];
        while let Some(dir) = open.pop() {
            let below = files.names.range((dir, Bytes::new())..);
            for (_, target) in below.take_while(|((in_dir, _), _)| *in_dir == dir) {
                if target.kind == Kind::Directory && reached.insert(target.ino) {
                    open.push(target.ino);
                }
            }
        }
        for (ino, inode) in &files.inodes {
            let lost = inode.kind == Kind::Directory && !reached.contains(ino);
            if lost && !files.orphans.contains(ino) {
                self.file(*ino, "V-1", "a directory that the root does not reach");
            }
        }
    }
}

/// The items of a tree, by what they speak of.
#[derive(Default)]
struct Files {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<(u64, Bytes), EntryTarget>,
    entries: BTreeMap<(u64, u64), EntryItem>,
    content: std::collections::BTreeSet<u64>,
    targets: BTreeMap<u64, u64>,
    orphans: std::collections::BTreeSet<u64>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cow;
    use crate::cow::Cow;
    use crate::cow::CowPolicy;
    use crate::cow::Times;
    use crate::device::Block;
    use crate::device::Disk;
    use crate::device::Payload;
    use crate::sim::Sim;

    const TINY: Geometry = Geometry { block_size_bytes: 512, block_count: 64 };
    const TIMES: Times = Times { access_nanos: 1, modify_nanos: 1, change_nanos: 1 };

    /// A file system with a directory, a file with content, a second name and a log.
    fn example() -> Image {
        let sim = Sim::calm();
        let disk = Arc::new(Disk::new(Image::new(TINY), sim.clone()));
        sim.block_on(async {
            cow::format(disk.as_ref(), &sim).await.expect("the disk is whole");
            let policy = CowPolicy::default();
            let cow = Cow::mount(disk.clone(), sim.clone(), policy).await.expect("just made");
            for name in [&b"a"[..], b"b"] {
                let mut change = cow.begin().await.expect("the disk is whole");
                let ino = change.create_inode(Kind::Regular, ROOT_INO, TIMES).await.expect("room");
                change
                    .insert_entry(ROOT_INO, name, ino, Kind::Regular)
                    .await
                    .expect("a fresh name");
                let mut inode = change.inode(ino).await.expect("whole").expect("just made");
                inode.link_count = 1;
                change.put_inode(ino, &inode).await.expect("room");
                change.finish().await.expect("the disk is whole");
                let content = Payload::Owned(Bytes::from(vec![name[0]; 512]));
                let written = cow.write_blocks(ino, vec![(0, content)], 512, TIMES).await;
                assert!(written.iter().all(Result::is_ok));
                // The first file is in the tree, the second in the log.
                match name {
                    b"a" => cow.commit().await.expect("the disk is whole"),
                    _ => cow.sync_log().await.expect("the disk is whole"),
                }
            }
        });
        disk.durable_image()
    }

    #[test]
    fn a_whole_image_has_no_problem() {
        assert_eq!(check(&example()), []);
        assert_eq!(block_size_bytes(&example()), Some(512));
    }

    #[test]
    fn a_changed_byte_of_a_node_or_of_content_is_seen() {
        let image = example();
        let root = |slot| Root::decode(&image.get(BlockNo(slot)).expect("a root slot"));
        let newest = [0, 1].into_iter().filter_map(root).max_by_key(|r| r.generation);
        let top = newest.expect("a root").tree.block;
        for at in [0, 100, 511] {
            let mut changed = image.clone();
            let mut block = image.get(top).expect("the top node").to_vec();
            block[at] ^= 1;
            changed.set(top, Block::new(top, Bytes::from(block)));
            assert!(!check(&changed).is_empty(), "byte {at} of the top node");
        }
    }

    #[test]
    fn no_changed_byte_makes_fsck_panic() {
        let image = example();
        let blocks: Vec<(BlockNo, Bytes)> =
            image.blocks().map(|(block, bytes)| (block, bytes.clone())).collect();
        for (block, bytes) in blocks {
            for at in (0..bytes.len()).step_by(3) {
                let mut changed = image.clone();
                let mut content = bytes.to_vec();
                content[at] ^= 0x41;
                changed.set(block, Block::new(block, Bytes::from(content)));
                let _ = check(&changed);
            }
        }
    }
}

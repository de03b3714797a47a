//! What the items say together: files, names and content.

use std::collections::BTreeSet;

use bytes::Bytes;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use crate::cow::format::extent::Extent;
use crate::cow::format::extent::Run;
use crate::cow::format::extent::Slot;
use crate::cow::format::item::EntryItem;
use crate::cow::format::item::EntryTarget;
use crate::cow::format::item::Inode;
use crate::cow::format::item::ItemKind;
use crate::cow::format::item::Key;
use crate::cow::format::item::Kind;
use crate::cow::format::item::ROOT_INO;
use crate::cow::fsck::Checker;
use crate::device::BlockNo;

/// What follows from the items.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// How many names each file has.
    name_counts: OrdMap<u64, u64>,
    /// In which directory each directory is.
    parents: OrdMap<u64, u64>,
    /// Who names each block as content, and what is said to be in it.
    content: OrdMap<BlockNo, OrdMap<Naming, Content>>,
    name_count: u64,
    entry_count: u64,
}

/// What names a block: a slot, or a run, of an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Naming {
    ino: u64,
    first: u64,
    /// The slot, or the run's number.
    number: u8,
}

/// What a block of content is said to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// A block of a file, and its checksum.
    Plain(u32),
    /// A block of a file that is written in place.
    InPlace,
    /// Nothing yet.
    Unwritten,
    /// A part of a run.
    Packed(Run),
}

impl Content {
    fn user(&self) -> &'static str {
        match self {
            Self::Plain(_) => "content",
            Self::InPlace => "content in place",
            Self::Unwritten => "content to come",
            Self::Packed(_) => "packed content",
        }
    }
}

/// The blocks that an item names as content.
fn content_of(key: &Key, value: &Bytes) -> Vec<(BlockNo, Naming, Content)> {
    match *key {
        Key::Extent { ino, first } => {
            let extent = Extent::decode(value).unwrap_or_default();
            let named = |(number, slot): (u8, Option<Slot>)| {
                let naming = Naming { ino, first, number };
                match slot? {
                    Slot::Plain(ptr) => Some((ptr.block, naming, Content::Plain(ptr.checksum))),
                    Slot::InPlace(kept) if kept.is_written => {
                        Some((kept.block, naming, Content::InPlace))
                    }
                    Slot::InPlace(kept) => Some((kept.block, naming, Content::Unwritten)),
                    Slot::Packed { .. } => None,
                }
            };
            (0..).zip(extent.slots).filter_map(named).collect()
        }
        Key::Run { ino, first, run: number } => {
            let Some(run) = Run::decode(value) else { return Vec::new() };
            let naming = Naming { ino, first, number };
            let named = |block: &BlockNo| (*block, naming, Content::Packed(run.clone()));
            run.blocks.iter().map(named).collect()
        }
        Key::Inode { .. }
        | Key::Name { .. }
        | Key::Entry { .. }
        | Key::Symlink { .. }
        | Key::Orphan { .. }
        | Key::Snapshot { .. }
        | Key::Attribute { .. } => Vec::new(),
    }
}

/// What is said otherwise than it was.
#[derive(Debug, Default)]
struct Doubtful {
    inos: BTreeSet<u64>,
    names: BTreeSet<(u64, Bytes)>,
    /// By file and first block.
    extents: BTreeSet<(u64, u64)>,
}

/// An item that is not as it was.
struct Changed {
    key: Key,
    was: Option<Bytes>,
    is: Option<Bytes>,
}

impl Facts {
    /// Takes away what an item said, apart from content.
    fn unsay(&mut self, key: &Key, value: &Bytes) {
        match key {
            Key::Name { .. } => {
                let Some(target) = EntryTarget::decode(value) else { return };
                self.name_count -= 1;
                let count = self.name_counts.remove(&target.ino).unwrap_or(0);
                if count > 1 {
                    self.name_counts.insert(target.ino, count - 1);
                }
                self.parents.remove(&target.ino);
            }
            Key::Entry { .. } => self.entry_count -= 1,
            Key::Inode { .. }
            | Key::Extent { .. }
            | Key::Run { .. }
            | Key::Symlink { .. }
            | Key::Orphan { .. }
            | Key::Snapshot { .. }
            | Key::Attribute { .. } => {}
        }
    }

    /// Adds what an item says, apart from content.
    fn say(&mut self, key: &Key, value: &Bytes) {
        match key {
            Key::Name { dir, .. } => {
                let Some(target) = EntryTarget::decode(value) else { return };
                self.name_count += 1;
                *self.name_counts.entry(target.ino).or_insert(0) += 1;
                if target.kind == Kind::Directory {
                    self.parents.insert(target.ino, *dir);
                }
            }
            Key::Entry { .. } => self.entry_count += 1,
            Key::Inode { .. }
            | Key::Extent { .. }
            | Key::Run { .. }
            | Key::Symlink { .. }
            | Key::Orphan { .. }
            | Key::Snapshot { .. }
            | Key::Attribute { .. } => {}
        }
    }
}

impl Doubtful {
    fn add(&mut self, changed: &Changed) {
        let values = [&changed.was, &changed.is].into_iter().flatten();
        match &changed.key {
            Key::Extent { ino, first } | Key::Run { ino, first, .. } => {
                self.inos.insert(*ino);
                self.extents.insert((*ino, *first));
            }
            Key::Inode { ino }
            | Key::Symlink { ino, .. }
            | Key::Orphan { ino }
            | Key::Attribute { ino, .. } => {
                self.inos.insert(*ino);
            }
            Key::Name { dir, name } => {
                self.inos.insert(*dir);
                let targets = values.filter_map(|value| EntryTarget::decode(value));
                self.inos.extend(targets.map(|target| target.ino));
                self.names.insert((*dir, name.clone()));
            }
            // Snapshots have a list of their own.
            Key::Snapshot { .. } => {}
            Key::Entry { dir, cookie } => {
                let entries = values.filter_map(|value| EntryItem::decode(*cookie, value));
                self.names.extend(entries.map(|entry| (*dir, entry.name)));
            }
        }
    }
}

impl Checker<'_> {
    /// Checks what is said otherwise than it was, and what depends on it.
    pub(super) fn check_files(&mut self) {
        let changes = self.changes();
        let mut doubtful = Doubtful::default();
        for changed in &changes {
            doubtful.add(changed);
            if let Some(was) = &changed.was {
                self.now.facts.unsay(&changed.key, was);
                for (block, naming, _) in content_of(&changed.key, was) {
                    self.unname(block, &naming);
                }
            }
        }
        self.check_content(&changes);
        for changed in &changes {
            if let Some(is) = &changed.is {
                self.now.facts.say(&changed.key, is);
            }
        }
        let mut reached = BTreeSet::from([ROOT_INO]);
        for ino in &doubtful.inos {
            self.check_file(*ino);
        }
        self.check_names(&doubtful.names);
        for (ino, first) in doubtful.extents {
            self.check_extent(ino, first);
        }
        for ino in &doubtful.inos {
            self.check_reached(*ino, &mut reached);
        }
    }

    fn changes(&mut self) -> Vec<Changed> {
        let mut changes = Vec::new();
        let was = self.was;
        let items = self.now.items.clone();
        for item in was.items.diff(&items) {
            let (key, was, is) = match item {
                DiffItem::Add(key, is) => (key, None, Some(is.clone())),
                DiffItem::Update { old: (key, was), new: (_, is) } => {
                    (key, Some(was.clone()), Some(is.clone()))
                }
                DiffItem::Remove(key, was) => (key, Some(was.clone()), None),
            };
            match Key::decode(key) {
                Some(key) => changes.push(Changed { key, was, is }),
                None => self.block(BlockNo(0), "F-1", "a key that says nothing"),
            }
        }
        changes
    }

    /// Checks content that is new, and content whose block is not as it was.
    fn check_content(&mut self, changes: &[Changed]) {
        for changed in changes {
            let Some(is) = &changed.is else { continue };
            match changed.key {
                Key::Snapshot { .. } => {
                    self.file(0, "F-1", "a snapshot that is not in their list");
                }
                Key::Run { ino, .. } => {
                    let run = Run::decode(is);
                    run.into_iter().for_each(|run| self.check_run(ino, &run));
                }
                Key::Inode { .. }
                | Key::Name { .. }
                | Key::Entry { .. }
                | Key::Extent { .. }
                | Key::Symlink { .. }
                | Key::Orphan { .. }
                | Key::Attribute { .. } => {}
            }
            for (block, naming, content) in content_of(&changed.key, is) {
                if let Content::Plain(checksum) = content {
                    self.check_block(naming.ino, block, checksum);
                }
                self.name(block, naming, content);
            }
        }
        let mut again: Vec<(BlockNo, Naming, Content)> = Vec::new();
        for block in &self.changed {
            let was = self.was.facts.content.get(block).into_iter();
            for naming in was.flat_map(OrdMap::keys) {
                let is = self.now.facts.content.get(block).and_then(|all| all.get(naming));
                again.extend(is.map(|content| (*block, *naming, content.clone())));
            }
        }
        for (block, naming, content) in again {
            match content {
                Content::Plain(checksum) => self.check_block(naming.ino, block, checksum),
                Content::Packed(run) => self.check_run(naming.ino, &run),
                Content::InPlace | Content::Unwritten => {}
            }
        }
    }

    /// Notes that something names a block as content. Others may, if they say the same of it.
    fn name(&mut self, block: BlockNo, naming: Naming, content: Content) {
        let others = self.now.facts.content.get(&block);
        let other = others.and_then(|others| others.values().next()).cloned();
        match other {
            None if !self.takes(block, content.user()) => return,
            Some(other) if other != content => {
                let (one, two) = (content.user(), other.user());
                self.block(block, "C-3", format!("used as {one} and as other {two}"));
            }
            None | Some(_) => {}
        }
        self.now.facts.content.entry(block).or_default().insert(naming, content);
    }

    fn unname(&mut self, block: BlockNo, naming: &Naming) {
        let Some(namings) = self.now.facts.content.get_mut(&block) else { return };
        namings.remove(naming);
        if namings.is_empty() {
            self.now.facts.content.remove(&block);
            self.now.users.remove(&block);
        }
    }

    fn check_run(&mut self, ino: u64, run: &Run) {
        let block = |block: &BlockNo| self.now.image.get(*block).unwrap_or_default();
        let packed: Vec<u8> = run.blocks.iter().flat_map(block).collect();
        let at = run.blocks.first().map_or(0, |block| block.0);
        if crc32c::crc32c(&packed) != run.checksum {
            self.file(ino, "C-2", format!("the run in block {at} fails its checksum"));
            return;
        }
        let size = usize::from(run.unpacked_count) * self.geometry.block_size_bytes as usize;
        let bytes = packed.get(..run.size_bytes as usize);
        let mut plain = vec![0; size];
        let unpacked = bytes.map(|bytes| lz4_flex::block::decompress_into(bytes, &mut plain));
        if !unpacked.is_some_and(|len| len.is_ok_and(|len| len == size)) {
            self.file(ino, "F-1", format!("the run in block {at} does not unpack"));
        }
    }

    /// Each packed slot is in a run, each run has a slot, and no two slots have the same place.
    fn check_extent(&mut self, ino: u64, first: u64) {
        let value = self.now.items.get(&Key::Extent { ino, first }.encode());
        let extent = value.and_then(|value| Extent::decode(value)).unwrap_or_default();
        let mut places: BTreeSet<(u8, u8)> = BTreeSet::new();
        for slot in extent.slots.iter().flatten() {
            let Slot::Packed { run, index } = *slot else { continue };
            let value = self.now.items.get(&Key::Run { ino, first, run }.encode());
            let run_is = value.and_then(|value| Run::decode(value));
            if run_is.is_none_or(|run| index >= run.unpacked_count) {
                self.file(ino, "C-2", "a packed block that is in no run");
            }
            if !places.insert((run, index)) {
                self.file(ino, "C-3", "a packed block that is named twice");
            }
        }
        let [from, to] = [0, u8::MAX].map(|run| Key::Run { ino, first, run }.encode());
        let runs = self.now.items.range(from..=to).filter_map(|(key, _)| Key::decode(key));
        let is_named = |key: &Key| extent.runs().any(|run| *key == Key::Run { ino, first, run });
        let unnamed = runs.filter(|key| !is_named(key)).count();
        for _ in 0..unnamed {
            self.file(ino, "C-3", format!("a run of block {first} that nothing names"));
        }
    }

    fn check_block(&mut self, ino: u64, block: BlockNo, checksum: u32) {
        let bytes = self.now.image.get(block).unwrap_or_default();
        if crc32c::crc32c(&bytes) != checksum {
            let what = format!("the content in block {} fails its checksum", block.0);
            self.file(ino, "C-2", what);
        }
    }

    fn inode(&self, ino: u64) -> Option<Inode> {
        Inode::decode(self.now.items.get(&Key::Inode { ino }.encode())?)
    }

    fn is_orphan(&self, ino: u64) -> bool {
        self.now.items.contains_key(&Key::Orphan { ino }.encode())
    }

    /// The items of one kind of a file.
    fn items(&self, ino: u64, kind: ItemKind) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.now.items.range(Key::start(ino, kind)..Key::end(ino, kind))
    }

    fn check_file(&mut self, ino: u64) {
        let names = self.now.facts.name_counts.get(&ino).copied().unwrap_or_default();
        let has_names_in_it = self.items(ino, ItemKind::Name).next().is_some();
        let inode = self.inode(ino);
        if inode.is_none_or(|inode| inode.kind != Kind::Directory) && has_names_in_it {
            self.file(ino, "V-1", "has names in it and is no directory");
        }
        if ino == ROOT_INO && inode.is_none_or(|root| root.kind != Kind::Directory) {
            self.file(ROOT_INO, "V-1", "the root is no directory");
        }
        match inode {
            Some(inode) => self.check_inode(ino, &inode, names),
            None => self.check_absent(ino, names),
        }
    }

    /// A file without an inode is none.
    fn check_absent(&mut self, ino: u64, names: u64) {
        let has = |kind| self.items(ino, kind).next().is_some();
        let has_content = has(ItemKind::Extent) || has(ItemKind::Run) || has(ItemKind::Symlink);
        if has_content {
            self.file(ino, "V-1", "has content and no inode");
        }
        if names > 0 {
            self.file(ino, "V-1", "has a name and no inode");
        }
        if self.is_orphan(ino) {
            self.file(ino, "V-2", "is an orphan and has no inode");
        }
    }

    fn check_inode(&mut self, ino: u64, inode: &Inode, names: u64) {
        let is_orphan = self.is_orphan(ino);
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
        let was = self.was.items.get(&Key::Inode { ino }.encode());
        let kind_was = was.and_then(|was| Inode::decode(was)).map(|was| was.kind);
        if kind_was.is_some_and(|was| was != inode.kind) {
            // Its names are said as before; only a look at all of them tells.
            self.file(ino, "V-1", "is of another kind than it was");
        }
        if inode.kind == Kind::Symlink {
            let target = self.items(ino, ItemKind::Symlink);
            let target: u64 = target.map(|(_, part)| part.len() as u64).sum();
            if target != inode.size_bytes {
                let what = format!("target of {target} bytes, size {}", inode.size_bytes);
                self.file(ino, "F-1", what);
            }
        }
    }

    fn check_names(&mut self, names: &BTreeSet<(u64, Bytes)>) {
        for (dir, name) in names {
            let key = Key::Name { dir: *dir, name: name.clone() }.encode();
            let Some(target) = self.now.items.get(&key).and_then(|v| EntryTarget::decode(v)) else {
                continue;
            };
            let entry = Key::Entry { dir: *dir, cookie: target.cookie }.encode();
            let entry = self.now.items.get(&entry);
            let entry = entry.and_then(|value| EntryItem::decode(target.cookie, value));
            let agrees = entry.is_some_and(|entry| {
                entry.name == *name && entry.ino == target.ino && entry.kind == target.kind
            });
            if !agrees {
                self.file(*dir, "V-1", "a name and its entry do not agree");
            }
            if self.inode(target.ino).is_some_and(|inode| inode.kind != target.kind) {
                self.file(target.ino, "V-1", "is of another kind than its name says");
            }
        }
        let Facts { name_count, entry_count, .. } = self.now.facts;
        if name_count != entry_count {
            let what = format!("{entry_count} entries, {name_count} names");
            self.file(ROOT_INO, "V-1", what);
        }
    }

    /// Directories form a tree: each is reached from the root, or is an orphan.
    fn check_reached(&mut self, ino: u64, reached: &mut BTreeSet<u64>) {
        if self.inode(ino).is_none_or(|inode| inode.kind != Kind::Directory) {
            return;
        }
        let (mut at, mut way) = (ino, BTreeSet::new());
        while !reached.contains(&at) && way.insert(at) {
            at = self.now.facts.parents.get(&at).copied().unwrap_or(at);
        }
        if reached.contains(&at) {
            reached.append(&mut way);
            return;
        }
        if !self.is_orphan(ino) {
            self.file(ino, "V-1", "a directory that the root does not reach");
        } else if self.items(ino, ItemKind::Name).next().is_some() {
            self.file(ino, "V-1", "an orphan with names in it");
        }
    }
}

//! In what a mounted file system differs from another that is like it.
//!
//! A subtree that both point to by the same pointer is the same in both, unless the medium was
//! changed below it: so an inventory knows who uses each block.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdSet;

use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::EntryItem;
use crate::cow::format::extent::EXTENT_SLOTS;
use crate::cow::format::extent::Extent;
use crate::cow::format::extent::Run;
use crate::cow::format::extent::Slot;
use crate::cow::format::item::Key;
use crate::cow::format::node::Record;
use crate::cow::store::Store;
use crate::cow::tree::Body;
use crate::cow::tree::Child;
use crate::cow::tree::Found;
use crate::cow::tree::Missing;
use crate::cow::tree::Tree;
use crate::device::BlockNo;

/// A mounted file system, and who uses which of its blocks.
#[derive(Clone)]
pub struct Inventory {
    store: Arc<Store>,
    tree: Tree,
    users: Users,
}

/// Who uses which blocks.
pub type Users = OrdSet<(BlockNo, User)>;

impl Inventory {
    /// Who uses which of its blocks. Inventories that were taken one from the other share most.
    #[must_use]
    pub fn users(&self) -> &Users {
        &self.users
    }
}

/// What a block is used for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    /// A node, by the least key that it may hold.
    Node(Bytes),
    /// That block of that file.
    Content(u64, u64),
}

/// What may not be as it was.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Files of which more than names and content is not: number, links, size, times or target.
    pub inodes: BTreeSet<u64>,
    /// Blocks of files.
    pub content: BTreeMap<u64, BTreeSet<u64>>,
    /// Names, by directory.
    pub names: BTreeSet<(u64, Bytes)>,
    /// Where directories list a name, or did.
    pub entries: BTreeSet<(u64, u64, Bytes)>,
}

impl Cow {
    /// Looks at all there is.
    ///
    /// # Errors
    /// If some of it cannot be read.
    pub async fn inventory(&self) -> Result<Inventory, CowError> {
        let tree = Tree::empty();
        let (store, users) = (Arc::clone(&self.store), OrdSet::new());
        let nothing = Inventory { store, tree, users };
        Ok(self.inventory_since(&nothing, &[]).await?.0)
    }

    /// Looks at what is not as it was in another file system, of whose medium `changed_blocks`
    /// are not the same.
    ///
    /// # Errors
    /// If some of it cannot be read.
    pub async fn inventory_since(
        &self,
        was: &Inventory,
        changed_blocks: &[BlockNo],
    ) -> Result<(Inventory, Changes), CowError> {
        let mut changes = Changes::default();
        let mut doubtful: BTreeSet<Bytes> = BTreeSet::new();
        for block in changed_blocks {
            let from = (*block, User::Node(Bytes::new()));
            for (_, user) in was.users.range(from..).take_while(|(of, _)| of == block) {
                match user {
                    User::Node(low) => {
                        doubtful.insert(low.clone());
                    }
                    User::Content(ino, at) => {
                        changes.content.entry(*ino).or_default().insert(*at);
                    }
                }
            }
        }
        let store = Arc::clone(&self.store);
        let tree = store.state().live.clone();
        let found = loop {
            match difference(&was.tree, &tree, &doubtful) {
                Ok(found) => break found,
                Err(Missed::Was(node)) => was.store.load(&node).await?,
                Err(Missed::Is(node)) => store.load(&node).await?,
            }
        };
        let mut users = was.users.clone();
        for node in found.nodes_were {
            users.remove(&node);
        }
        for (key, was, is) in &found.records {
            changes.add(key, [was.as_ref(), is.as_ref()]);
            for user in was.iter().flat_map(|value| content_of(key, value)) {
                users.remove(&user);
            }
        }
        for (key, _, is) in &found.records {
            users.extend(is.iter().flat_map(|value| content_of(key, value)));
        }
        users.extend(found.nodes_are);
        Ok((Inventory { store, tree, users }, changes))
    }
}

/// The blocks that an item says to be content.
fn content_of(key: &Bytes, value: &Bytes) -> Vec<(BlockNo, User)> {
    match Key::decode(key) {
        Some(Key::Extent { ino, first }) => {
            let extent = Extent::decode(value).unwrap_or_default();
            let user = |(at, slot): (u64, Option<Slot>)| {
                slot.and_then(|slot| slot.block()).map(|block| (block, User::Content(ino, at)))
            };
            (first..).zip(extent.slots).filter_map(user).collect()
        }
        // Which blocks of its extent it holds, others say: it may be any.
        Some(Key::Run { ino, first, .. }) => {
            let blocks = Run::decode(value).map_or_else(Vec::new, |run| run.blocks);
            let users = |block| blocks_of_extent(first).map(move |at| (block, at));
            let users = blocks.into_iter().flat_map(users);
            users.map(|(block, at)| (block, User::Content(ino, at))).collect()
        }
        Some(
            Key::Inode { .. }
            | Key::Name { .. }
            | Key::Entry { .. }
            | Key::Symlink { .. }
            | Key::Orphan { .. }
            | Key::Snapshot { .. }
            | Key::Attribute { .. },
        )
        | None => Vec::new(),
    }
}

fn blocks_of_extent(first: u64) -> std::ops::Range<u64> {
    first..first.saturating_add(EXTENT_SLOTS)
}

impl Changes {
    fn add(&mut self, key: &Bytes, values: [Option<&Bytes>; 2]) {
        match Key::decode(key) {
            Some(
                Key::Inode { ino }
                | Key::Symlink { ino, .. }
                | Key::Orphan { ino }
                | Key::Attribute { ino, .. },
            ) => {
                self.inodes.insert(ino);
            }
            Some(Key::Name { dir, name }) => {
                self.names.insert((dir, name));
            }
            Some(Key::Entry { dir, cookie }) => {
                let items = values.into_iter().flatten();
                let entries = items.filter_map(|value| EntryItem::decode(cookie, value));
                self.entries.extend(entries.map(|entry| (dir, cookie, entry.name)));
            }
            Some(Key::Extent { ino, first }) => {
                let slots = values.map(|value| value.and_then(|value| Extent::decode(value)));
                let [was, is] = slots.map(Option::unwrap_or_default);
                let differs = |at: &u64| {
                    let slot = usize::try_from(at - first).unwrap_or(0);
                    was.slots[slot] != is.slots[slot]
                };
                let blocks = blocks_of_extent(first).filter(differs);
                self.content.entry(ino).or_default().extend(blocks);
            }
            Some(Key::Run { ino, first, .. }) => {
                self.content.entry(ino).or_default().extend(blocks_of_extent(first));
            }
            // It says nothing to the file system either.
            Some(Key::Snapshot { .. }) | None => {}
        }
    }
}

/// A node that must be read before the comparison can go on, and of which tree.
enum Missed {
    Was(Missing),
    Is(Missing),
}

/// What is in one of two trees alone.
#[derive(Default)]
struct Difference {
    records: Vec<(Bytes, Option<Bytes>, Option<Bytes>)>,
    nodes_were: Vec<(BlockNo, User)>,
    nodes_are: Vec<(BlockNo, User)>,
}

/// What comes next in a tree: a subtree, with the least key that it may hold, or a record.
enum Next<'a> {
    Below(Bytes, &'a Child),
    Record(&'a Record),
}

impl Next<'_> {
    fn key(&self) -> &[u8] {
        match self {
            Self::Below(low, _) => low,
            Self::Record(record) => record.key(),
        }
    }
}

/// A walk through a tree, subtree by subtree, that goes down only where it is told to.
struct Walk<'a> {
    ahead: Vec<Next<'a>>,
    nodes: Vec<(BlockNo, User)>,
}

impl<'a> Walk<'a> {
    fn new(tree: &'a Tree) -> Self {
        Self { ahead: vec![Next::Below(Bytes::new(), &tree.top)], nodes: Vec::new() }
    }

    /// Passes a record, or goes down into a subtree.
    fn step(&mut self) -> Found<Option<&'a Record>> {
        match self.ahead.last() {
            Some(Next::Below(low, child)) => {
                let (low, child) = (low.clone(), *child);
                let node = child.node()?;
                self.ahead.pop();
                self.nodes.extend(child.location().map(|at| (at, User::Node(low.clone()))));
                match &node.body {
                    Body::Leaf(records) => {
                        self.ahead.extend(records.iter().rev().map(Next::Record));
                    }
                    Body::Inner(branches) => {
                        let below = branches.iter().enumerate().rev().map(|(number, branch)| {
                            let low = if number == 0 { low.clone() } else { branch.key.clone() };
                            Next::Below(low, &branch.child)
                        });
                        self.ahead.extend(below);
                    }
                }
                Ok(None)
            }
            Some(Next::Record(record)) => {
                let record = *record;
                self.ahead.pop();
                Ok(Some(record))
            }
            None => Ok(None),
        }
    }
}

fn difference(was: &Tree, is: &Tree, doubtful: &BTreeSet<Bytes>) -> Result<Difference, Missed> {
    let mut found = Difference::default();
    let (mut old, mut new) = (Walk::new(was), Walk::new(is));
    loop {
        let order = match (old.ahead.last(), new.ahead.last()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(Next::Below(_, one)), Some(Next::Below(_, two)))
                if one.is_as_it_was(two, doubtful) =>
            {
                old.ahead.pop();
                new.ahead.pop();
                continue;
            }
            (Some(one), Some(two)) => one.key().cmp(two.key()).then_with(|| deeper(one, two)),
        };
        let record = if order.is_le() { old.step().map_err(Missed::Was)? } else { None };
        let other = if order.is_ge() { new.step().map_err(Missed::Is)? } else { None };
        let Some(found_in_one) = record.or(other) else { continue };
        if record != other {
            let [one, two] = [record, other].map(|record| record.map(Record::value_bytes));
            found.records.push((found_in_one.key_bytes(), one, two));
        }
    }
    (found.nodes_were, found.nodes_are) = (old.nodes, new.nodes);
    Ok(found)
}

/// Of two with the same least key, a subtree is gone into before a record is passed, the higher
/// one first: of those that were read; a subtree that was not is gone into as well.
fn deeper(one: &Next<'_>, two: &Next<'_>) -> Ordering {
    let height = |next: &Next<'_>| match next {
        Next::Below(_, child) => 1 + child.node().map_or(u32::MAX / 2, |node| node.level.into()),
        Next::Record(_) => 0,
    };
    height(two).cmp(&height(one))
}

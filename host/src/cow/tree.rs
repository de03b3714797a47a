//! The copy-on-write tree in memory: nodes that versions share, and that are not changed then.
//!
//! A change copies the path from the top to one leaf, or what of it another version has. A node
//! that has no location is dirty: it is on no device yet. A node that was not read yet is met as
//! [`Missing`]: the caller reads it and asks again, so nothing here waits.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::cow::format::BlockPtr;
use crate::cow::format::Generation;
use crate::cow::format::node::NodeBlock;
use crate::cow::format::node::RECORD_HEADER_SIZE_BYTES;
use crate::cow::format::node::Record;
use crate::device::BlockNo;

/// A node that must be read before the operation can go on.
pub(super) type Missing = Arc<Unread>;

/// What an operation finds, or the node it has to wait for.
pub(super) type Found<T> = Result<T, Missing>;

/// A node on the device, and what is known of it before it is read.
#[derive(Debug)]
pub(super) struct Unread {
    /// Where it is, and its checksum.
    pub(super) ptr: BlockPtr,
    /// Its level; of the top node, unknown.
    pub(super) level: Option<u16>,
    /// No key of it is below this.
    pub(super) low: Bytes,
    /// Every key of it is below this.
    pub(super) high: Option<Bytes>,
    /// The node, once it was read.
    pub(super) node: OnceLock<Arc<Node>>,
}

/// A node below another one.
#[derive(Debug, Clone)]
pub(super) enum Child {
    /// On the device.
    Disk(Arc<Unread>),
    /// Made in memory.
    Memory(Arc<Node>),
}

/// A child, and the lower bound of its keys.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) key: Bytes,
    pub(super) child: Child,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Leaf(Vec<Record>),
    Inner(Vec<Branch>),
}

/// A node; never changed once somebody else has it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) level: u16,
    pub(super) body: Body,
    /// The epoch in which it was made; those of the present one are in no frozen tree.
    epoch: u64,
    /// Where it is, once it is there.
    pub(super) location: OnceLock<BlockPtr>,
}

/// What a change made and replaced.
#[derive(Debug)]
pub(super) struct Edit {
    epoch: u64,
    capacity: usize,
    /// Nodes of earlier epochs that are no longer part of the tree.
    pub(super) replaced: Vec<Arc<Node>>,
    /// Nodes made, minus nodes of this epoch that were replaced.
    pub(super) dirty: i64,
}

impl Edit {
    pub(super) fn new(epoch: u64, capacity: usize) -> Self {
        Self { epoch, capacity, replaced: Vec::new(), dirty: 0 }
    }

    fn make(&mut self, level: u16, body: Body) -> Arc<Node> {
        self.dirty += 1;
        Arc::new(Node { level, body, epoch: self.epoch, location: OnceLock::new() })
    }

    /// Makes a node one that may be changed: a copy takes its place, unless nobody else has it.
    /// Answers what it took the place of.
    fn own(&mut self, node: &mut Arc<Node>) -> Option<Arc<Node>> {
        if node.epoch == self.epoch && Arc::get_mut(node).is_some() {
            return None;
        }
        let copy = self.make(node.level, node.body.clone());
        Some(std::mem::replace(node, copy))
    }

    fn retire(&mut self, node: &Arc<Node>) {
        if node.epoch == self.epoch {
            self.dirty -= 1;
        } else {
            self.replaced.push(Arc::clone(node));
        }
    }
}

impl Child {
    pub(super) fn node(&self) -> Found<&Arc<Node>> {
        match self {
            Self::Disk(unread) => unread.node.get().ok_or_else(|| Arc::clone(unread)),
            Self::Memory(node) => Ok(node),
        }
    }

    /// The node, which was read, as one made in memory.
    fn own(&mut self) -> &mut Arc<Node> {
        if let Self::Disk(unread) = self {
            let node = unread.node.get().expect("the way to a key was read");
            *self = Self::Memory(Arc::clone(node));
        }
        match self {
            Self::Memory(node) => node,
            Self::Disk(_) => unreachable!("it was made one in memory"),
        }
    }

    /// Where it is on the device.
    pub(super) fn location(&self) -> Option<BlockNo> {
        match self {
            Self::Disk(unread) => Some(unread.ptr.block),
            Self::Memory(node) => node.location.get().map(|ptr| ptr.block),
        }
    }

    /// Is it what it was in another tree, and no key of `doubtful` in it?
    pub(super) fn is_as_it_was(&self, other: &Self, doubtful: &BTreeSet<Bytes>) -> bool {
        let (Self::Disk(one), Self::Disk(two)) = (self, other) else { return false };
        let above = (Bound::Included(&one.low), Bound::Unbounded);
        let mut inside = doubtful.range::<Bytes, _>(above);
        let is_below = |key: &Bytes| one.high.as_ref().is_none_or(|high| key < high);
        one.ptr == two.ptr && one.high == two.high && !inside.next().is_some_and(is_below)
    }

    /// Where it is, if it is anywhere.
    pub(super) fn ptr(&self) -> Option<BlockPtr> {
        match self {
            Self::Disk(unread) => Some(unread.ptr),
            Self::Memory(node) => node.location.get().copied(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Disk(one), Self::Disk(two)) => Arc::ptr_eq(one, two),
            (Self::Memory(one), Self::Memory(two)) => Arc::ptr_eq(one, two),
            (Self::Disk(_), Self::Memory(_)) | (Self::Memory(_), Self::Disk(_)) => false,
        }
    }
}

fn branch_size_bytes(branch: &Branch) -> usize {
    RECORD_HEADER_SIZE_BYTES + branch.key.len() + BlockPtr::SIZE_BYTES
}

impl Node {
    /// The node that was read from where `ptr` says.
    pub(super) fn from_block(unread: &Unread, block: NodeBlock) -> Option<Arc<Self>> {
        let body = match block.level.checked_sub(1) {
            None => Body::Leaf(block.records),
            Some(below) => Body::Inner(branches(unread, below, &block.records)?),
        };
        let location = OnceLock::from(unread.ptr);
        Some(Arc::new(Self { level: block.level, body, epoch: 0, location }))
    }

    fn size_bytes(&self) -> usize {
        match &self.body {
            Body::Leaf(records) => records.iter().map(Record::size_bytes).sum(),
            Body::Inner(branches) => branches.iter().map(branch_size_bytes).sum(),
        }
    }

    /// The node as it will be on the device; `place` says where its children are.
    pub(super) fn to_block(
        &self,
        generation: Generation,
        place: impl Fn(&Child) -> BlockPtr,
    ) -> NodeBlock {
        let records = match &self.body {
            Body::Leaf(records) => records.clone(),
            Body::Inner(branches) => {
                let record =
                    |branch: &Branch| Record::new(&branch.key, &place(&branch.child).encode());
                branches.iter().map(record).collect()
            }
        };
        NodeBlock { level: self.level, generation, records }
    }
}

fn branches(unread: &Unread, level: u16, records: &[Record]) -> Option<Vec<Branch>> {
    let mut branches = Vec::with_capacity(records.len());
    for (number, record) in records.iter().enumerate() {
        let ptr = BlockPtr::decode(record.value())?;
        let low = if number == 0 { unread.low.clone() } else { record.key_bytes() };
        let high = records.get(number + 1).map(|next| next.key_bytes()).or(unread.high.clone());
        let below = Unread { ptr, level: Some(level), low, high, node: OnceLock::new() };
        branches.push(Branch { key: record.key_bytes(), child: Child::Disk(Arc::new(below)) });
    }
    Some(branches)
}

/// One version of the tree.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) top: Child,
}

impl Tree {
    /// The tree whose top node is on the device.
    pub(super) fn on_disk(ptr: BlockPtr) -> Self {
        let unread =
            Unread { ptr, level: None, low: Bytes::new(), high: None, node: OnceLock::new() };
        Self { top: Child::Disk(Arc::new(unread)) }
    }

    /// A tree without a record.
    pub(super) fn empty() -> Self {
        let node =
            Node { level: 0, body: Body::Leaf(Vec::new()), epoch: 0, location: OnceLock::new() };
        Self { top: Child::Memory(Arc::new(node)) }
    }

    /// Is it the same version?
    pub(super) fn is(&self, other: &Self) -> bool {
        self.top.is(&other.top)
    }

    pub(super) fn get(&self, key: &[u8]) -> Found<Option<&[u8]>> {
        let mut node = self.top.node()?;
        loop {
            match &node.body {
                Body::Leaf(records) => {
                    let at = records.binary_search_by(|record| record.key().cmp(key));
                    return Ok(at.ok().map(|at| records[at].value()));
                }
                Body::Inner(branches) => node = branches[branch_of(branches, key)].child.node()?,
            }
        }
    }

    /// Records whose keys are at least `from` and below `to`, at most `max`.
    pub(super) fn range(&self, from: &[u8], to: &[u8], max: usize) -> Found<Vec<Record>> {
        let mut found = Vec::new();
        collect(self.top.node()?, from, to, max, &mut found)?;
        Ok(found)
    }

    /// Puts a record. What nobody else has is changed in place.
    ///
    /// # Panics
    /// If a node on the way to its key was not read: [`Tree::get`] tells.
    pub(super) fn put(&mut self, record: Record, edit: &mut Edit) {
        let top = self.top.own();
        if let Some((separator, right)) = put(top, record, edit) {
            let level = top.level + 1;
            let branches = vec![
                Branch { key: Bytes::new(), child: Child::Memory(Arc::clone(top)) },
                Branch { key: separator, child: Child::Memory(right) },
            ];
            *top = edit.make(level, Body::Inner(branches));
        }
    }

    /// The tree without the key; `None` if it is not there.
    pub(super) fn delete(&self, key: &[u8], edit: &mut Edit) -> Found<Option<Self>> {
        let mut top = match delete(self.top.node()?, key, edit)? {
            Shrunk::Unchanged => return Ok(None),
            Shrunk::Empty => Child::Memory(edit.make(0, Body::Leaf(Vec::new()))),
            Shrunk::Changed(node) => Child::Memory(node),
        };
        // A top node with one child is not needed.
        loop {
            let only = match &top.node()?.body {
                Body::Inner(branches) if branches.len() == 1 => branches[0].child.clone(),
                Body::Inner(_) | Body::Leaf(_) => return Ok(Some(Self { top })),
            };
            edit.retire(top.node()?);
            top = only;
        }
    }

    /// The nodes that are on no device yet, each after those below it.
    pub(super) fn dirty_nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes = Vec::new();
        collect_dirty(&self.top, &mut nodes);
        nodes
    }
}

fn collect_dirty(child: &Child, nodes: &mut Vec<Arc<Node>>) {
    let Child::Memory(node) = child else { return };
    if node.location.get().is_some() {
        return;
    }
    if let Body::Inner(branches) = &node.body {
        for branch in branches {
            collect_dirty(&branch.child, nodes);
        }
    }
    nodes.push(Arc::clone(node));
}

/// The last branch whose lower bound is not above the key; the first one has none.
fn branch_of(branches: &[Branch], key: &[u8]) -> usize {
    branches.partition_point(|branch| branch.key.as_ref() <= key).saturating_sub(1)
}

fn collect(node: &Node, from: &[u8], to: &[u8], max: usize, found: &mut Vec<Record>) -> Found<()> {
    match &node.body {
        Body::Leaf(records) => {
            let start = records.partition_point(|record| record.key() < from);
            let inside = records[start..].iter().take_while(|record| record.key() < to);
            found.extend(inside.take(max - found.len()).cloned());
        }
        Body::Inner(branches) => {
            for branch in &branches[branch_of(branches, from)..] {
                if found.len() == max || branch.key.as_ref() >= to {
                    break;
                }
                collect(branch.child.node()?, from, to, max, found)?;
            }
        }
    }
    Ok(())
}

/// Puts a record below a node, all of whose nodes on the way were read. Answers the node that split
/// off, if one did, with its key.
fn put(node: &mut Arc<Node>, record: Record, edit: &mut Edit) -> Option<(Bytes, Arc<Node>)> {
    let replaced = edit.own(node);
    let own = Arc::get_mut(node).expect("nobody else has it");
    let split = match &mut own.body {
        Body::Leaf(records) => {
            match records.binary_search_by(|other| other.key().cmp(record.key())) {
                Ok(at) => records[at] = record,
                Err(at) => records.insert(at, record),
            }
            split_leaf(records, edit)
        }
        Body::Inner(branches) => {
            let at = branch_of(branches, record.key());
            if let Some((key, right)) = put(branches[at].child.own(), record, edit) {
                branches.insert(at + 1, Branch { key, child: Child::Memory(right) });
            }
            split_inner(own.level, branches, edit)
        }
    };
    if let Some(replaced) = replaced {
        edit.retire(&replaced);
    }
    split
}

/// Where to split, so that both halves fit: the first place where the left is at least half.
fn middle(sizes: impl Iterator<Item = usize> + Clone, capacity: usize) -> Option<usize> {
    let total: usize = sizes.clone().sum();
    if total <= capacity {
        return None;
    }
    let mut left = 0;
    for (at, size) in sizes.enumerate() {
        if at > 0 && (left + size > capacity || 2 * left >= total) {
            return Some(at);
        }
        left += size;
    }
    None
}

fn split_leaf(records: &mut Vec<Record>, edit: &mut Edit) -> Option<(Bytes, Arc<Node>)> {
    let at = middle(records.iter().map(Record::size_bytes), edit.capacity)?;
    let right = records.split_off(at);
    let separator = separator(records[at - 1].key(), &right[0].key_bytes());
    Some((separator, edit.make(0, Body::Leaf(right))))
}

/// The shortest key above `left` and not above `right`.
fn separator(left: &[u8], right: &Bytes) -> Bytes {
    let same = left.iter().zip(right.iter()).take_while(|(left, right)| left == right).count();
    right.slice(..=same.min(right.len() - 1))
}

fn split_inner(
    level: u16,
    branches: &mut Vec<Branch>,
    edit: &mut Edit,
) -> Option<(Bytes, Arc<Node>)> {
    let at = middle(branches.iter().map(branch_size_bytes), edit.capacity)?;
    let mut right = branches.split_off(at);
    let separator = std::mem::take(&mut right[0].key);
    Some((separator, edit.make(level, Body::Inner(right))))
}

/// What became of a node from which a key was taken.
enum Shrunk {
    Unchanged,
    Empty,
    Changed(Arc<Node>),
}

fn delete(node: &Arc<Node>, key: &[u8], edit: &mut Edit) -> Found<Shrunk> {
    let body = match &node.body {
        Body::Leaf(records) => {
            let at = records.binary_search_by(|record| record.key().cmp(key));
            let Ok(at) = at else { return Ok(Shrunk::Unchanged) };
            let mut records = records.clone();
            records.remove(at);
            if records.is_empty() {
                edit.retire(node);
                return Ok(Shrunk::Empty);
            }
            Body::Leaf(records)
        }
        Body::Inner(branches) => {
            let at = branch_of(branches, key);
            let mut branches = branches.clone();
            match delete(branches[at].child.node()?, key, edit)? {
                Shrunk::Unchanged => return Ok(Shrunk::Unchanged),
                Shrunk::Empty => {
                    branches.remove(at);
                }
                Shrunk::Changed(below) => {
                    branches[at].child = Child::Memory(below);
                    join(&mut branches, at, edit)?;
                }
            }
            let Some(first) = branches.first_mut() else {
                edit.retire(node);
                return Ok(Shrunk::Empty);
            };
            first.key = Bytes::new();
            Body::Inner(branches)
        }
    };
    edit.retire(node);
    Ok(Shrunk::Changed(edit.make(node.level, body)))
}

/// Joins a small node with a neighbour, if both fit well into one.
fn join(branches: &mut Vec<Branch>, at: usize, edit: &mut Edit) -> Found<()> {
    let small = branches[at].child.node()?.size_bytes() * 3 < edit.capacity;
    if !small || branches.len() == 1 {
        return Ok(());
    }
    let left_at = at.saturating_sub(1);
    let left = Arc::clone(branches[left_at].child.node()?);
    let right = Arc::clone(branches[left_at + 1].child.node()?);
    let separator = branches[left_at + 1].key.clone();
    let together = left.size_bytes() + right.size_bytes() + separator.len();
    if together * 4 > edit.capacity * 3 {
        return Ok(());
    }
    let Some(body) = joined(&left.body, &right.body, separator) else { return Ok(()) };
    edit.retire(&left);
    edit.retire(&right);
    branches.remove(left_at + 1);
    branches[left_at].child = Child::Memory(edit.make(left.level, body));
    Ok(())
}

fn joined(left: &Body, right: &Body, separator: Bytes) -> Option<Body> {
    match (left, right) {
        (Body::Leaf(left), Body::Leaf(right)) => {
            Some(Body::Leaf(left.iter().chain(right).cloned().collect()))
        }
        (Body::Inner(left), Body::Inner(right)) => {
            let mut branches: Vec<Branch> = left.iter().chain(right).cloned().collect();
            branches[left.len()].key = separator;
            Some(Body::Inner(branches))
        }
        (Body::Leaf(_), Body::Inner(_)) | (Body::Inner(_), Body::Leaf(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sim::mix;

    const CAPACITY: usize = 256;

    fn said(tree: &Tree) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let records = tree.range(&[], &[255; 9], usize::MAX);
        let pair = |record: &Record| (record.key().to_vec(), record.value().to_vec());
        records.unwrap_or_default().iter().map(pair).collect()
    }

    /// Nodes that were made in an epoch.
    fn made_in(epoch: u64, child: &Child) -> i64 {
        let Ok(node) = child.node() else { return 0 };
        let below = match &node.body {
            Body::Leaf(_) => 0,
            Body::Inner(branches) => {
                branches.iter().map(|branch| made_in(epoch, &branch.child)).sum()
            }
        };
        below + i64::from(node.epoch == epoch)
    }

    #[test]
    fn no_version_is_changed_by_changes_of_another_and_every_node_is_counted() {
        let mut model = BTreeMap::new();
        let mut tree = Tree::empty();
        let mut versions = Vec::new();
        let (mut epoch, mut dirty) = (1, 0);
        for step in 0..6000 {
            let random = mix(step);
            let mut edit = Edit::new(epoch, CAPACITY);
            let key = (random % 400).to_le_bytes()[..2].to_vec();
            if random >> 16 & 3 > 0 {
                let value = vec![step as u8; (random >> 20 & 31) as usize];
                tree.put(Record::new(&key, &value), &mut edit);
                model.insert(key, value);
            } else if let Ok(Some(changed)) = tree.delete(&key, &mut edit) {
                tree = changed;
                assert!(model.remove(&key).is_some());
            }
            dirty += edit.dirty;
            assert_eq!(dirty, made_in(epoch, &tree.top), "step {step}");
            match random >> 32 & 63 {
                // As a transaction begins, or a mark is set.
                0 => versions.push((tree.clone(), model.clone())),
                // As a tree is frozen.
                1 => {
                    versions.push((tree.clone(), model.clone()));
                    (epoch, dirty) = (epoch + 1, 0);
                }
                2 => assert!(said(&tree) == model),
                _ => {}
            }
        }
        assert!(versions.len() > 100 && epoch > 50);
        for (version, model) in versions {
            assert!(said(&version) == model);
        }
    }
}

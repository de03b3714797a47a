//! The nodes of the tree: each is what its pointer says.

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;

use crate::cow::format::BlockPtr;
use crate::cow::format::item::is_item;
use crate::cow::format::node::NodeBlock;
use crate::cow::format::node::Record;
use crate::cow::format::root::Root;
use crate::cow::fsck::Checker;
use crate::device::BlockNo;

/// How a node is pointed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visit {
    ptr: BlockPtr,
    level: Option<u16>,
    low: Bytes,
    high: Option<Bytes>,
}

impl Visit {
    /// Does it speak of any of these keys?
    fn holds_any(&self, keys: &BTreeSet<Bytes>) -> bool {
        let first = keys.range::<Bytes, _>((Bound::Included(&self.low), Bound::Unbounded)).next();
        first.is_some_and(|key| self.high.as_ref().is_none_or(|high| key < high))
    }
}

impl Checker<'_> {
    /// Visits the nodes that are not as they were, and takes those away that are no more.
    pub(super) fn walk_tree(&mut self, tree: BlockPtr, root: &Root) {
        let top = Visit { ptr: tree, level: None, low: Bytes::new(), high: None };
        if tree.generation > root.generation {
            self.block(tree.block, "C-2", "the top node is younger than the root");
        }
        let node_was = |block: &BlockNo| self.was.nodes.get(block);
        let doubtful: BTreeSet<Bytes> =
            self.changed.iter().filter_map(node_was).map(|visit| visit.low.clone()).collect();
        let is_kept = |visit: &Visit| {
            self.was.nodes.get(&visit.ptr.block) == Some(visit) && !visit.holds_any(&doubtful)
        };
        let mut kept: BTreeSet<BlockNo> = BTreeSet::new();
        let mut fresh: BTreeSet<BlockNo> = BTreeSet::new();
        let mut visited: Vec<(Visit, Result<NodeBlock, &'static str>)> = Vec::new();
        let mut open = vec![top];
        while let Some(visit) = open.pop() {
            let at = visit.ptr.block;
            if is_kept(&visit) && !fresh.contains(&at) && kept.insert(at) {
                continue;
            }
            let is_again = kept.contains(&at) || !fresh.insert(at);
            let node = if is_again { Err("") } else { self.node(&visit) };
            if let Ok(node) = &node {
                open.extend(below(&visit, node));
            }
            visited.push((visit, node));
        }
        self.take_away(&kept);
        self.now.top = Some(tree.block);
        for (visit, node) in visited {
            let at = visit.ptr.block;
            if !self.takes(at, "a node") {
                continue;
            }
            match node {
                Ok(node) => self.visit(visit, &node),
                Err(what) => self.block(at, "C-2", what),
            }
        }
    }

    /// Forgets the nodes that were there and are not kept, and what they said.
    fn take_away(&mut self, kept: &BTreeSet<BlockNo>) {
        let mut open: Vec<BlockNo> = self.was.top.into_iter().collect();
        while let Some(at) = open.pop() {
            if kept.contains(&at) {
                continue;
            }
            self.now.users.remove(&at);
            self.now.nodes.remove(&at);
            let block = self.was.image.get(at);
            let Some(node) = block.and_then(|block| NodeBlock::decode(&block)) else { continue };
            if node.level == 0 {
                for record in &node.records {
                    self.now.tree.remove(record.key());
                }
            } else {
                let pointers = node.records.iter();
                let pointers = pointers.filter_map(|record| BlockPtr::decode(record.value()));
                open.extend(pointers.map(|ptr| ptr.block));
            }
        }
    }

    fn node(&self, visit: &Visit) -> Result<NodeBlock, &'static str> {
        let block = self.now.image.get(visit.ptr.block).ok_or("a node beyond the end")?;
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
            |key: &[u8]| key >= visit.low && visit.high.as_ref().is_none_or(|high| key < high);
        // The first key of an inner node is empty: it holds from where the node does.
        let first = node.records.first();
        let unsaid =
            usize::from(node.level > 0 && first.is_some_and(|first| first.key().is_empty()));
        if !node.records[unsaid..].iter().all(|record| fits(record.key())) {
            return Err("a key is outside the range that the parent says");
        }
        Ok(node)
    }

    fn visit(&mut self, visit: Visit, node: &NodeBlock) {
        let at = visit.ptr.block;
        self.now.nodes.insert(at, visit);
        for record in &node.records {
            if node.level == 0 {
                if is_item(record, self.geometry) {
                    self.now.tree.insert(record.key_bytes(), record.value_bytes());
                } else {
                    self.block(at, "F-1", "a record of a leaf is no item");
                }
                continue;
            }
            match BlockPtr::decode(record.value()) {
                Some(ptr) if ptr.generation > node.generation => {
                    let what = format!("block {} is younger than its parent", ptr.block.0);
                    self.block(at, "C-2", what);
                }
                Some(_) => {}
                None => self.block(at, "F-1", "a record of an inner node is no pointer"),
            }
        }
    }
}

/// What an inner node points to.
fn below(visit: &Visit, node: &NodeBlock) -> Vec<Visit> {
    let Some(level) = node.level.checked_sub(1) else { return Vec::new() };
    let pointer = |(number, record): (usize, &Record)| {
        let ptr = BlockPtr::decode(record.value())?;
        let low = if number == 0 { visit.low.clone() } else { record.key_bytes() };
        let next = node.records.get(number + 1).map(|next| next.key_bytes());
        let high = next.or_else(|| visit.high.clone());
        Some(Visit { ptr, level: Some(level), low, high })
    };
    node.records.iter().enumerate().filter_map(pointer).collect()
}

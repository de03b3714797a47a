//! Blocks with several uses: what a snapshot and the live tree, or two snapshots, both reach, and
//! what was cloned.
//!
//! A use of a node is a pointer to it: of a node on the device, of a root, or of a snapshot. A use
//! of content is a slot or a run that names it, in a leaf on the device; a clone is one use more
//! from the moment at which it takes effect. A block is free when its last use ends. Nothing of
//! this is on the device: mounting counts.
//!
//! When a change replaces a node, the new node takes over what the old one pointed to. If the old
//! one stays, because something else uses it, everything that it points to has one use more; what
//! the change then dropped, one less. So a change costs what it touches, however much is shared.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::cow::CowError;
use crate::cow::ReplayedUses;
use crate::cow::alloc::Allocator;
use crate::cow::format::BlockPtr;
use crate::cow::format::extent::Extent;
use crate::cow::format::extent::Run;
use crate::cow::format::item::ItemKind;
use crate::cow::format::node::Record;
use crate::cow::free::FreeMap;
use crate::cow::store::Freed;
use crate::cow::store::State;
use crate::cow::store::Store;
use crate::cow::tree::Body;
use crate::cow::tree::Child;
use crate::cow::tree::Node;
use crate::cow::tree::Tree;
use crate::device::BlockNo;

/// How many uses a block has beyond the first one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shares {
    extra: BTreeMap<BlockNo, u32>,
}

impl Shares {
    pub(super) fn of(&self, block: BlockNo) -> u32 {
        self.extra.get(&block).copied().unwrap_or(0)
    }

    fn set(&mut self, block: BlockNo, extra: u32) {
        match extra {
            0 => self.extra.remove(&block),
            extra => self.extra.insert(block, extra),
        };
    }

    /// The block has one use more.
    pub(super) fn add(&mut self, block: BlockNo) {
        *self.extra.entry(block).or_default() += 1;
    }

    /// One use of the block ended. Was it the last one?
    #[must_use]
    fn end(&mut self, block: BlockNo) -> bool {
        let extra = self.of(block);
        self.set(block, extra.saturating_sub(1));
        extra == 0
    }

    /// Ends what a commit ended, now that it is durable. Answers the blocks whose last use that
    /// was.
    pub(super) fn settle(&mut self, mut freed: Freed) -> Vec<BlockNo> {
        let mut gone = Vec::new();
        // What a node points to has its uses counted before one of them ends.
        freed.nodes.sort_by_key(|node| std::cmp::Reverse(node.level));
        for node in freed.nodes {
            // Those that were never written have no block, and no use.
            let Some(ptr) = node.location.get() else { continue };
            if self.end(ptr.block) {
                gone.push(ptr.block);
            } else {
                pointed_to(&node).into_iter().for_each(|block| self.add(block));
            }
        }
        gone.extend(freed.blocks.into_iter().filter(|block| self.end(*block)));
        gone
    }
}

/// The blocks that a node on the device points to.
fn pointed_to(node: &Node) -> Vec<BlockNo> {
    match &node.body {
        Body::Inner(branches) => {
            let ptrs = branches.iter().filter_map(|branch| branch.child.ptr());
            ptrs.map(|ptr| ptr.block).collect()
        }
        Body::Leaf(records) => records.iter().flat_map(content).collect(),
    }
}

/// The blocks of content that a record of a leaf names.
fn content(record: &Record) -> Vec<BlockNo> {
    let Some(kind) = record.key().get(size_of::<u64>()).copied() else { return Vec::new() };
    if kind == ItemKind::Extent as u8 {
        let extent = Extent::decode(record.value()).unwrap_or_default();
        extent.blocks().collect()
    } else if kind == ItemKind::Run as u8 {
        Run::decode(record.value()).map_or_else(Vec::new, |run| run.blocks)
    } else {
        Vec::new()
    }
}

/// What a block is used as, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    /// Of a node, its pointer; content has none.
    node: Option<BlockPtr>,
    pub(super) count: u32,
}

/// Uses of blocks, by whatever was looked at.
#[derive(Debug, Default)]
pub(super) struct Uses(pub(super) BTreeMap<BlockNo, Use>);

impl Uses {
    /// Notes a use. Is it the first one?
    fn note(&mut self, block: BlockNo, node: Option<BlockPtr>) -> Result<bool, CowError> {
        match self.0.entry(block) {
            Entry::Vacant(place) => {
                place.insert(Use { node, count: 1 });
                Ok(true)
            }
            Entry::Occupied(mut place) if place.get().node == node => {
                place.get_mut().count += 1;
                Ok(false)
            }
            Entry::Occupied(_) => Err(Store::corrupt(block, "C-3: all uses of a block are alike")),
        }
    }
}

impl Store {
    /// Finds the free blocks, once: everything that neither the durable root, nor its log, nor a
    /// snapshot, nor the live tree uses. What only the durable root uses is freed by the next
    /// commit.
    pub(super) async fn find_free(&self) -> Result<(), CowError> {
        if self.state().free.is_some() {
            return Ok(());
        }
        Box::pin(self.find_free_now()).await
    }

    async fn find_free_now(&self) -> Result<(), CowError> {
        let guard = self.finding_free.acquire().await;
        if self.state().free.is_some() {
            return Ok(());
        }
        let (durable, live, snapshots, list, log) = {
            let state = self.state();
            let durable = state.durable.clone();
            let replayed = state.uncommitted.then(|| state.live.clone());
            let list: Vec<Tree> = state.snapshots.list().cloned().into_iter().collect();
            (durable, replayed, state.snapshots.trees(), list, state.log.blocks.clone())
        };
        let before = self.uses_of(durable, &snapshots).await?;
        let after = match live {
            Some(live) => self.uses_of(live, &snapshots).await?,
            None => Uses(before.0.clone()),
        };
        let mut free = FreeMap::new(self.geometry.block_count);
        let mut take = |block: BlockNo| {
            let twice = Self::corrupt(block, "C-3: a block has one kind of use");
            if free.take(block) { Ok(()) } else { Err(twice) }
        };
        before.0.keys().try_for_each(|block| take(*block))?;
        after.0.keys().filter(|block| !before.0.contains_key(block)).try_for_each(|b| take(*b))?;
        for list in list {
            let nodes = self.uses_of(list, &[]).await?;
            nodes.0.keys().try_for_each(|block| take(*block))?;
        }
        log.into_iter().try_for_each(take)?;
        let gone = before.0.keys().filter(|block| !after.0.contains_key(block)).copied();
        let mut shares = Shares::default();
        for (block, used) in &after.0 {
            let count = match self.policy.replayed_uses {
                ReplayedUses::Counted => used.count,
                ReplayedUses::Forgotten => {
                    before.0.get(block).map_or(1, |before| before.count.min(used.count))
                }
            };
            shares.set(*block, count - 1);
        }
        let mut state = self.state();
        state.free = Some(Allocator::new(self.geometry.block_count, free, self.grants.clone()));
        state.shares = shares;
        state.freed.blocks.extend(gone);
        drop(guard);
        Ok(())
    }

    /// Every use of a block by a tree and by snapshots. Each block is looked at once.
    pub(super) async fn uses_of(&self, tree: Tree, snapshots: &[Tree]) -> Result<Uses, CowError> {
        let mut uses = Uses::default();
        let mut open = vec![tree.top];
        open.extend(snapshots.iter().map(|snapshot| snapshot.top.clone()));
        while let Some(child) = open.pop() {
            if let Some(ptr) = child.ptr()
                && !uses.note(ptr.block, Some(ptr))?
            {
                continue;
            }
            match &self.node(&child).await?.body {
                Body::Inner(branches) => {
                    open.extend(branches.iter().map(|branch| branch.child.clone()));
                }
                Body::Leaf(records) => {
                    for block in records.iter().flat_map(content) {
                        uses.note(block, None)?;
                    }
                }
            }
        }
        Ok(uses)
    }

    pub(super) async fn node(&self, child: &Child) -> Result<Arc<Node>, CowError> {
        loop {
            match child.node() {
                Ok(node) => return Ok(Arc::clone(node)),
                Err(missing) => Box::pin(self.load(&missing)).await?,
            }
        }
    }

    /// Ends the use of a tree that is a snapshot's no more, and of everything that only it used.
    /// The caller holds `durable`: no other use of a node begins or ends meanwhile. Content may be
    /// cloned meanwhile, so that its uses end at one moment.
    pub(super) async fn end_tree(&self, tree: &Tree) -> Result<(), CowError> {
        let mut pointed: BTreeMap<BlockNo, u32> = BTreeMap::new();
        let mut ended: Vec<BlockNo> = Vec::new();
        let mut is_last = |block: BlockNo| {
            let extra = pointed.entry(block).or_insert_with(|| self.state().shares.of(block));
            ended.push(block);
            std::mem::replace(extra, extra.saturating_sub(1)) == 0
        };
        let mut contents: Vec<BlockNo> = Vec::new();
        let mut open = vec![tree.top.clone()];
        while let Some(child) = open.pop() {
            if child.ptr().is_some_and(|ptr| !is_last(ptr.block)) {
                continue;
            }
            match &self.node(&child).await?.body {
                Body::Inner(branches) => {
                    open.extend(branches.iter().map(|branch| branch.child.clone()));
                }
                Body::Leaf(records) => contents.extend(records.iter().flat_map(content)),
            }
        }
        ended.append(&mut contents);
        let mut guard = self.state();
        let State { free, shares, .. } = &mut *guard;
        let gone: Vec<BlockNo> = ended.into_iter().filter(|block| shares.end(*block)).collect();
        free.iter().for_each(|free| free.stable(gone.iter().copied()));
        drop(guard);
        self.give_up(gone);
        Ok(())
    }
}

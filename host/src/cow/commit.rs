//! A commit: the tree as it is now becomes what is found after power loss.
//!
//! Invariant C-4: the tree is durable before any root names it, and the root is durable before
//! the commit returns. The order of the steps is the policy's table.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::cow::CommitStep;
use crate::cow::CowError;
use crate::cow::TreeErrors;
use crate::cow::format::BlockPtr;
use crate::cow::format::Generation;
use crate::cow::format::root::Root;
use crate::cow::grants::Grant;
use crate::cow::snapshot::ListChange;
use crate::cow::snapshot::NewList;
use crate::cow::store::Freed;
use crate::cow::store::LogEnd;
use crate::cow::store::Store;
use crate::cow::store::origin;
use crate::cow::tree::Child;
use crate::cow::tree::Edit;
use crate::cow::tree::Node;
use crate::cow::tree::Tree;
use crate::device::BlockNo;
use crate::device::Class;
use crate::sim::Point;

/// What a commit writes, frozen: transactions go on beside it.
struct Frozen {
    epoch: u64,
    tree: Tree,
    next_ino: u64,
    generation: Generation,
    /// Freed by the transactions that are frozen.
    freed: Freed,
    dirty: u64,
    change: Option<ListChange>,
}

/// The blocks of a commit.
struct Plan {
    nodes: Vec<(Arc<Node>, BlockPtr, Bytes)>,
    root: Root,
    root_slot: BlockNo,
    list: NewList,
}

impl Store {
    /// Commits, when no other sync or commit is under way.
    pub(super) async fn commit(&self) -> Result<(), CowError> {
        self.goes_on()?;
        self.find_free().await?;
        let guard = self.durable.acquire().await;
        let committed = self.commit_alone(None).await;
        drop(guard);
        committed
    }

    /// Commits, with a change of the list of snapshots if there is one; the caller holds `durable`.
    pub(super) async fn commit_alone(&self, change: Option<ListChange>) -> Result<(), CowError> {
        self.finish_discards().await;
        let unchanged = {
            let state = self.state();
            change.is_none() && !state.uncommitted && !state.log_broken
        };
        if unchanged {
            return self.flush().await;
        }
        let takes_snapshot = matches!(change, Some(ListChange::Take(_)));
        let syncing = self.syncing.acquire().await;
        self.sim.point(if takes_snapshot { Point::SnapFreeze } else { Point::TxQuiesce }).await;
        let frozen = self.freeze(change).await;
        // Before anything that it freed may become free, all of the group settled.
        let tree = frozen.tree.clone();
        let mut attempt =
            Attempt { store: self, frozen: Some(frozen), allocated: Vec::new(), in_doubt: false };
        self.retire(tree).await;
        drop(syncing);
        let plan = attempt.plan()?;
        let (mut root_started, mut refused) = (false, Vec::new());
        for step in &self.policy.commit_order {
            root_started |= *step == CommitStep::WriteRoot;
            attempt.in_doubt = true;
            if takes_snapshot && *step == CommitStep::WriteRoot {
                self.sim.point(Point::SnapCommit).await;
            }
            let done = self.commit_step(*step, &plan, &mut refused).await;
            let done = self.noted(done, self.policy.tree_failure);
            attempt.in_doubt = root_started;
            done?;
        }
        attempt.succeed(plan);
        self.end_snapshots().await;
        Ok(())
    }

    /// Waits for the transaction that is under way, and takes the tree that it leaves.
    async fn freeze(&self, change: Option<ListChange>) -> Frozen {
        let guard = self.quiet.acquire().await;
        let frozen = {
            let mut state = self.state();
            let epoch = state.epoch;
            state.objects.quiesce(epoch);
            state.epoch += 1;
            state.uncommitted = false;
            state.unlogged.clear();
            let generation = state.generation_next;
            if let Some(ListChange::Take(_)) = &change {
                state.snapshots.pending = Some(generation);
            }
            state.generation_next = Generation(generation.0.saturating_add(1));
            Frozen {
                epoch,
                tree: state.live.clone(),
                next_ino: state.next_ino,
                generation,
                freed: std::mem::take(&mut state.freed),
                dirty: std::mem::take(&mut state.dirty),
                change,
            }
        };
        drop(guard);
        frozen
    }

    /// Takes a step; `refused` has the blocks of the tree that the device did not take.
    async fn commit_step(
        &self,
        step: CommitStep,
        plan: &Plan,
        refused: &mut Vec<BlockNo>,
    ) -> Result<(), CowError> {
        match step {
            CommitStep::WriteTree => self.write_tree(plan, refused).await,
            CommitStep::Flush => {
                self.sim.point(Point::TxFlush).await;
                self.flush().await
            }
            CommitStep::WriteRoot => {
                self.sim.point(Point::TxWriteRoot).await;
                let bytes = plan.root.encode();
                self.written(self.submit(plan.root_slot, bytes, origin(Class::Root))).await?;
                if !refused.is_empty() {
                    self.grants.note(|| Grant::Unwritten(std::mem::take(refused)));
                }
                Ok(())
            }
        }
    }

    async fn write_tree(&self, plan: &Plan, refused: &mut Vec<BlockNo>) -> Result<(), CowError> {
        let mut submitted = Vec::with_capacity(plan.nodes.len());
        for (_, ptr, bytes) in &plan.nodes {
            self.sim.point(Point::TxWriteTree).await;
            let id = self.submit(ptr.block, bytes.clone(), origin(Class::Tree));
            submitted.push((ptr.block, id));
        }
        let mut outcome = Ok(());
        for (block, id) in submitted {
            // Every write is waited for: none may land in a block that has a new owner.
            let written = self.written(id).await;
            refused.extend(written.is_err().then_some(block));
            outcome = match self.policy.tree_errors {
                TreeErrors::Kept => outcome.and(written),
                TreeErrors::Forgotten => outcome,
            };
        }
        outcome
    }

    fn committed(&self, frozen: Frozen, plan: Plan) {
        for (node, ptr, _) in plan.nodes {
            let fresh = node.location.set(ptr).is_ok();
            assert!(fresh, "C-1: a node is written once");
        }
        let mut guard = self.state();
        let state = &mut *guard;
        let log = LogEnd {
            generation: plan.root.generation,
            next: plan.root.log_head,
            sequence: 0,
            link: plan.root.link(),
            blocks: vec![plan.root.log_head],
        };
        let old_log = std::mem::replace(&mut state.log, log);
        state.root = plan.root;
        state.root_slot = plan.root_slot;
        state.log_broken = false;
        let mut freed = frozen.freed;
        freed.blocks.extend(old_log.blocks);
        freed.nodes.extend(plan.list.replaced.iter().cloned());
        state.free.iter().for_each(|free| free.stable(freed.of_blocks()));
        let gone = state.shares.settle(freed);
        state.durable = frozen.tree.clone();
        state.objects.committed(frozen.epoch);
        if let Some(ListChange::Take(_)) = &frozen.change {
            state.shares.add(plan.root.tree.block);
        }
        state.snapshots.change(frozen.change, plan.list, &frozen.tree);
        drop(guard);
        self.give_up(gone);
    }
}

/// A commit under way. Dropped before it succeeded, as when the caller is gone, it is undone: the
/// next commit tries all of it again, in fresh blocks.
struct Attempt<'a> {
    store: &'a Store,
    frozen: Option<Frozen>,
    allocated: Vec<BlockNo>,
    /// May something that reached the medium name the blocks, or may a write to them be under
    /// way? Then they stay until a newer root is durable.
    in_doubt: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Some(frozen) = self.frozen.take() else { return };
        self.store.keep_aborted(frozen.freed.clone());
        let mut state = self.store.state();
        state.uncommitted = true;
        state.log_broken = true;
        state.dirty += frozen.dirty;
        state.freed.append(frozen.freed);
        if self.in_doubt {
            state.freed.blocks.append(&mut self.allocated);
        } else if let Some(free) = &mut state.free {
            self.allocated.iter().for_each(|block| free.give_back(*block));
        }
    }
}

impl Attempt<'_> {
    fn plan(&mut self) -> Result<Plan, CowError> {
        let (store, frozen) = (self.store, self.frozen.as_ref().ok_or(CowError::NoSpace)?);
        // One more block, for the head of the log.
        let dirty = frozen.tree.dirty_nodes();
        self.allocated = allocate(store, dirty.len() as u64 + 1)?;
        let mut nodes = Nodes { store, generation: frozen.generation, all: Vec::new() };
        let tree = nodes.place_all(&frozen.tree, dirty, &self.allocated);
        let log_head = self.allocated[nodes.all.len()];

        // The epoch is the commit's own: a node of the list is dirty in this one alone.
        let edit = Edit::new(frozen.generation.0, store.capacity());
        let list = store.state().snapshots.changed(frozen.change.as_ref(), tree, edit);
        let list = list.map_err(|missing| {
            Store::corrupt(missing.ptr.block, "the list of snapshots was read on mounting")
        })?;
        let mut snapshots = None;
        if let Some(tree) = &list.tree {
            let dirty = tree.dirty_nodes();
            let allocated = allocate(store, dirty.len() as u64)?;
            snapshots = Some(nodes.place_all(tree, dirty, &allocated));
            self.allocated.extend(allocated);
        }
        let root = Root {
            geometry: store.geometry,
            generation: frozen.generation,
            tree,
            next_ino: frozen.next_ino,
            log_head,
            snapshots,
            next_snapshot: list.next,
        };
        let root_slot = BlockNo(1 - store.state().root_slot.0);
        Ok(Plan { nodes: nodes.all, root, root_slot, list })
    }

    fn succeed(&mut self, plan: Plan) {
        if let Some(frozen) = self.frozen.take() {
            self.store.committed(frozen, plan);
        }
    }
}

fn allocate(store: &Store, count: u64) -> Result<Vec<BlockNo>, CowError> {
    let mut state = store.state();
    state.free.as_mut().and_then(|free| free.take(count)).ok_or(CowError::NoSpace)
}

/// Nodes that get their places.
struct Nodes<'a> {
    store: &'a Store,
    generation: Generation,
    all: Vec<(Arc<Node>, BlockPtr, Bytes)>,
}

impl Nodes<'_> {
    /// Gives the dirty nodes of a tree the first of the blocks; answers where its top node is.
    fn place_all(&mut self, tree: &Tree, dirty: Vec<Arc<Node>>, blocks: &[BlockNo]) -> BlockPtr {
        // The address of a node is only looked up, never an order.
        let mut placed: BTreeMap<usize, BlockPtr> = BTreeMap::new();
        for (node, block) in dirty.into_iter().zip(blocks) {
            let bytes = node
                .to_block(self.generation, |child| place(child, &placed))
                .encode(self.store.geometry.block_size_bytes);
            let checksum = crc32c::crc32c(&bytes);
            let ptr = BlockPtr { block: *block, generation: self.generation, checksum };
            placed.insert(Arc::as_ptr(&node).addr(), ptr);
            self.all.push((node, ptr, bytes));
        }
        place(&tree.top, &placed)
    }
}

/// Where a child is, or will be.
fn place(child: &Child, placed: &BTreeMap<usize, BlockPtr>) -> BlockPtr {
    match child {
        Child::Disk(unread) => unread.ptr,
        Child::Memory(node) => *node
            .location
            .get()
            .or_else(|| placed.get(&Arc::as_ptr(node).addr()))
            .expect("dirty nodes are placed before the nodes above them"),
    }
}

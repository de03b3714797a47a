//! What a mounted file system keeps, and how it reads and writes blocks.
//!
//! One mutex, never held across an await. Tasks that must keep others out for longer hold one of
//! the task locks, in this order: `durable` (one sync or commit at a time), `syncing` (one group at
//! a time), then `quiet` (one transaction at a time).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::cow::CowError;
use crate::cow::CowPolicy;
use crate::cow::RecordFailure;
use crate::cow::alloc::Allocator;
use crate::cow::discard::Queue;
use crate::cow::format::Generation;
use crate::cow::format::is_inside;
use crate::cow::format::item;
use crate::cow::format::node::LEVEL_MAX;
use crate::cow::format::node::NodeBlock;
use crate::cow::format::node::Record;
use crate::cow::format::node::capacity_bytes;
use crate::cow::format::root::Root;
use crate::cow::grants::Grant;
use crate::cow::grants::Mismatch;
use crate::cow::objects::Objects;
use crate::cow::share::Shares;
use crate::cow::snapshot::SNAPSHOT_LEVELS;
use crate::cow::snapshot::Snapshots;
use crate::cow::tree::Edit;
use crate::cow::tree::Found;
use crate::cow::tree::Node;
use crate::cow::tree::Tree;
use crate::cow::tree::Unread;
use crate::cow::unlogged::Unlogged;
use crate::device::BlockNo;
use crate::device::Class;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::Geometry;
use crate::device::Origin;
use crate::device::Payload;
use crate::device::Request;
use crate::device::RequestId;
use crate::device::completion;
use crate::device::perform;
use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use crate::sim::Notices;
use crate::sim::Sim;
use crate::sim::TaskLock;

/// The end of the intent log.
#[derive(Debug, Clone)]
pub(super) struct LogEnd {
    /// The root that names the log.
    pub(super) generation: Generation,
    /// Where the next block goes.
    pub(super) next: BlockNo,
    /// The number of the next block.
    pub(super) sequence: u32,
    /// The checksum of the block before it, or of the root.
    pub(super) link: u32,
    /// Every block of the log, with the one that `next` names.
    pub(super) blocks: Vec<BlockNo>,
}

/// Blocks that are freed when the commit that follows is durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Freed {
    /// Nodes that are no longer part of the tree; those that were never written have no block.
    pub(super) nodes: Vec<Arc<Node>>,
    /// Blocks of content, one for each use that ended, and blocks that a root in doubt may name.
    pub(super) blocks: Vec<BlockNo>,
}

impl Freed {
    pub(super) fn append(&mut self, mut other: Self) {
        self.nodes.append(&mut other.nodes);
        self.blocks.append(&mut other.blocks);
    }

    fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.blocks.is_empty()
    }

    /// The blocks whose uses ended.
    pub(super) fn of_blocks(&self) -> impl Iterator<Item = BlockNo> {
        let nodes = self.nodes.iter().filter_map(|node| node.location.get());
        nodes.map(|ptr| ptr.block).chain(self.blocks.iter().copied())
    }
}

/// What changes while the file system is mounted.
#[derive(Debug)]
pub(super) struct State {
    /// Did a write of its own records fail, after which the policy does not let it go on?
    stopped: RecordFailure,
    /// What every finished transaction did.
    pub(super) live: Tree,
    /// What the newest root that is durable names.
    pub(super) durable: Tree,
    /// What is dirty, by group, and what settled.
    pub(super) objects: Objects,
    /// Number of the period between two frozen trees.
    pub(super) epoch: u64,
    /// At least the number of nodes that the next commit has to write.
    pub(super) dirty: u64,
    pub(super) next_ino: u64,
    /// The newest root that is durable, and its slot.
    pub(super) root: Root,
    pub(super) root_slot: BlockNo,
    /// The generation of the next root that is written.
    pub(super) generation_next: Generation,
    pub(super) free: Option<Allocator>,
    /// Uses of blocks beyond the first one; known when the free blocks are.
    pub(super) shares: Shares,
    pub(super) freed: Freed,
    pub(super) discards: Queue,
    pub(super) snapshots: Snapshots,
    pub(super) reserved: u64,
    pub(super) log: LogEnd,
    /// What finished transactions changed that is neither in the log nor in a frozen tree.
    pub(super) unlogged: Unlogged,
    /// Does the live tree say more than the durable root's?
    pub(super) uncommitted: bool,
    /// Is the log of no use, because a write of it or of a root failed?
    pub(super) log_broken: bool,
    /// Writes that the device answered, and how many of them a flush is known to cover.
    pub(super) writes: u64,
    pub(super) writes_flushed: u64,
}

impl State {
    /// Blocks that may be allocated now.
    pub(super) fn free_count(&self) -> u64 {
        self.free.as_ref().map_or(0, Allocator::count)
    }

    /// Blocks that the next commit takes at least, whatever it is for.
    pub(super) fn next_commit(&self) -> u64 {
        // One for the head of its log, and the way down to one snapshot of the list.
        let list = if self.snapshots.is_empty() { 0 } else { SNAPSHOT_LEVELS };
        self.dirty + 1 + list
    }

    /// What ended uses comes back at once.
    pub(super) fn settle(&mut self, freed: Freed) {
        let gone = self.shares.settle(freed);
        if let Some(free) = &mut self.free {
            gone.into_iter().for_each(|block| free.release(block));
        }
    }

    /// Would a commit give blocks back?
    pub(super) fn commit_frees(&self) -> bool {
        !self.freed.is_empty() || self.log.sequence > 0
    }
}

/// What the clones of a [`super::Cow`] share.
pub(super) struct Store {
    pub(super) device: Arc<dyn Device>,
    pub(super) sim: Sim,
    pub(super) policy: CowPolicy,
    pub(super) geometry: Geometry,
    /// Held by a sync or a commit.
    pub(super) durable: TaskLock,
    /// Held while a group of transactions syncs in memory.
    pub(super) syncing: TaskLock,
    /// Held by a transaction, and while a tree is frozen.
    pub(super) quiet: TaskLock,
    /// What became of blocks, if somebody asks.
    pub(super) grants: Notices<Grant>,
    /// Blocks with other bytes than their checksums say, if somebody asks.
    pub(super) mismatches: Notices<Mismatch>,
    /// Held while the free blocks are being found.
    pub(super) finding_free: TaskLock,
    /// Held by who waits for discards.
    pub(super) discarding: TaskLock,
    /// Did it stop? Each call asks.
    is_stopped: AtomicBool,
    state: WorldMutex<State>,
}

impl Store {
    /// A write of records of the file system came to this end; a failure may stop it.
    pub(super) fn noted(
        &self,
        written: Result<(), CowError>,
        rule: RecordFailure,
    ) -> Result<(), CowError> {
        let is_refused = matches!(
            written,
            Err(CowError::Device(DeviceError::Io | DeviceError::NoSpace | DeviceError::OutOfRange))
        );
        if is_refused {
            let mut state = self.state();
            state.stopped = state.stopped.max(rule);
            self.is_stopped.store(state.stopped != RecordFailure::Continues, Ordering::Relaxed);
        }
        written
    }

    /// What became of it since it was mounted.
    pub(super) fn stopped(&self) -> RecordFailure {
        match self.is_stopped.load(Ordering::Relaxed) {
            true => self.state().stopped,
            false => RecordFailure::Continues,
        }
    }

    /// May anything be made durable still?
    pub(super) fn goes_on(&self) -> Result<(), CowError> {
        match self.stopped() {
            RecordFailure::Continues => Ok(()),
            RecordFailure::ReadOnly | RecordFailure::Shutdown => {
                Err(CowError::Device(DeviceError::Io))
            }
        }
    }

    pub(super) fn new(
        device: Arc<dyn Device>,
        sim: Sim,
        policy: CowPolicy,
        root: Root,
        root_slot: BlockNo,
    ) -> Self {
        let log = LogEnd {
            generation: root.generation,
            next: root.log_head,
            sequence: 0,
            link: root.link(),
            blocks: vec![root.log_head],
        };
        let durable = Tree::on_disk(root.tree);
        let state = State {
            stopped: RecordFailure::Continues,
            live: durable.clone(),
            objects: Objects::clean(durable.clone()),
            durable,
            epoch: 1,
            dirty: 0,
            next_ino: root.next_ino,
            root,
            root_slot,
            generation_next: Generation(root.generation.0.saturating_add(1)),
            free: None,
            shares: Shares::default(),
            freed: Freed::default(),
            discards: Queue::default(),
            snapshots: Snapshots::named_by(&root),
            reserved: 0,
            log,
            unlogged: Unlogged::default(),
            uncommitted: false,
            log_broken: false,
            // Who wrote what was found, and whether it was flushed, is not known.
            writes: 1,
            writes_flushed: 0,
        };
        Self {
            device,
            sim,
            policy,
            geometry: root.geometry,
            durable: TaskLock::default(),
            syncing: TaskLock::default(),
            quiet: TaskLock::default(),
            grants: Notices::default(),
            mismatches: Notices::default(),
            finding_free: TaskLock::default(),
            discarding: TaskLock::default(),
            is_stopped: AtomicBool::new(false),
            state: WorldMutex::new(state),
        }
    }

    pub(super) fn state(&self) -> WorldGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn capacity(&self) -> usize {
        capacity_bytes(self.geometry.block_size_bytes)
    }

    /// Blocks kept back, so that removing remains possible on a full device.
    pub(super) fn slack(&self) -> u64 {
        8 + (self.geometry.block_count / 64).min(64)
    }

    pub(super) fn corrupt(at: BlockNo, invariant: &'static str) -> CowError {
        CowError::Corrupt { at, invariant }
    }

    /// Reads a block; an answer of another length is the device's failure.
    pub(super) async fn read(&self, block: BlockNo) -> Result<Bytes, CowError> {
        read(&*self.device, self.geometry, block).await
    }

    /// Submits a write of a whole block.
    pub(super) fn submit(&self, block: BlockNo, bytes: Bytes, origin: Origin) -> RequestId {
        self.submit_payload(block, Payload::Owned(bytes), origin)
    }

    /// Submits a write of a whole block, whoever captures it.
    pub(super) fn submit_payload(
        &self,
        block: BlockNo,
        payload: Payload,
        origin: Origin,
    ) -> RequestId {
        let request = Request::Write { block, payload, force_unit_access: false, origin };
        self.device.submit(request)
    }

    /// Waits for a write.
    pub(super) async fn written(&self, id: RequestId) -> Result<(), CowError> {
        let completed = completion(&*self.device, id).await;
        // One that failed may have reached the medium in part.
        self.state().writes += 1;
        completed.map(|_| ()).map_err(CowError::Device)
    }

    /// Makes every write that was answered durable; nothing to do if none came since.
    pub(super) async fn flush(&self) -> Result<(), CowError> {
        let covered = {
            let state = self.state();
            if state.writes == state.writes_flushed {
                return Ok(());
            }
            state.writes
        };
        let flushed = perform(&*self.device, Request::Flush).await;
        self.noted(flushed.map(drop).map_err(CowError::Device), self.policy.flush_failure)?;
        let mut state = self.state();
        state.writes_flushed = state.writes_flushed.max(covered);
        Ok(())
    }

    /// Reads a node, so that the operation that missed it can go on.
    pub(super) async fn load(&self, unread: &Unread) -> Result<(), CowError> {
        let ptr = unread.ptr;
        if !is_inside(ptr.block, self.geometry) {
            return Err(Self::corrupt(ptr.block, "C-2: a pointer leads into the device"));
        }
        let invariant = "C-2: the node's checksum is its pointer's";
        let block = self.read_checked(&[ptr.block], ptr.checksum, invariant).await?;
        let node = NodeBlock::decode(&block)
            .ok_or(Self::corrupt(ptr.block, "F-1: the block holds a node"))?;
        check_node(unread, &node, self.geometry)
            .map_err(|invariant| Self::corrupt(ptr.block, invariant))?;
        let node = Node::from_block(unread, node)
            .ok_or(Self::corrupt(ptr.block, "F-1: an inner node holds pointers"))?;
        // Another task may have read it meanwhile: the first one stays.
        let _ = unread.node.set(node);
        Ok(())
    }

    /// Asks a tree that no one else can change or free.
    pub(super) async fn ask<T>(
        &self,
        tree: &Tree,
        question: impl Fn(&Tree) -> Found<T>,
    ) -> Result<T, CowError> {
        loop {
            match question(tree) {
                Ok(found) => return Ok(found),
                Err(missing) => Box::pin(self.load(&missing)).await?,
            }
        }
    }

    /// Asks the live tree.
    pub(super) async fn ask_live<T>(
        &self,
        question: impl Fn(&Tree) -> Found<T>,
    ) -> Result<T, CowError> {
        loop {
            let (tree, missing) = {
                let state = self.state();
                match question(&state.live) {
                    Ok(found) => return Ok(found),
                    Err(missing) => (state.live.clone(), missing),
                }
            };
            if let Err(error) = Box::pin(self.load(&missing)).await {
                // The node may have been freed and written over since: then the tree is another.
                if self.state().live.is(&tree) {
                    return Err(error);
                }
            }
        }
    }

    /// Puts a record into a tree. Answers what that made and replaced, and whether there was one of
    /// its key.
    pub(super) async fn put(
        &self,
        tree: &mut Tree,
        record: Record,
        epoch: u64,
    ) -> Result<(Edit, bool), CowError> {
        let was_there = self.ask(tree, |tree| Ok(tree.get(record.key())?.is_some())).await?;
        let mut edit = Edit::new(epoch, self.capacity());
        tree.put(record, &mut edit);
        Ok((edit, was_there))
    }

    /// Takes a key from a tree, if it is there. Answers what that made and replaced.
    pub(super) async fn delete(
        &self,
        tree: &mut Tree,
        key: &[u8],
        epoch: u64,
    ) -> Result<Option<Edit>, CowError> {
        loop {
            let mut edit = Edit::new(epoch, self.capacity());
            match tree.delete(key, &mut edit) {
                Ok(None) => return Ok(None),
                Ok(Some(changed)) => {
                    *tree = changed;
                    return Ok(Some(edit));
                }
                Err(missing) => Box::pin(self.load(&missing)).await?,
            }
        }
    }
}

/// Reads a block; an answer of another length is the device's failure.
pub(super) async fn read(
    device: &dyn Device,
    geometry: Geometry,
    block: BlockNo,
) -> Result<Bytes, CowError> {
    let bytes = perform(device, Request::Read { block }).await.map_err(CowError::Device)?;
    if bytes.len() != geometry.block_size_bytes as usize {
        return Err(Store::corrupt(block, "D-2: a read returns a whole block"));
    }
    Ok(bytes)
}

/// The origin of a block that is not content.
pub(super) fn origin(class: Class) -> Origin {
    Origin { class, object: 0, offset: 0 }
}

fn check_node(unread: &Unread, node: &NodeBlock, geometry: Geometry) -> Result<(), &'static str> {
    if node.generation != unread.ptr.generation {
        return Err("C-2: the node's generation is its pointer's");
    }
    if unread.level.is_some_and(|level| level != node.level) || node.level > LEVEL_MAX {
        return Err("F-1: the node is one level below its parent");
    }
    let is_top = unread.level.is_none();
    if node.records.is_empty() && !(is_top && node.level == 0) {
        return Err("F-1: only the top node of an empty tree is empty");
    }
    if node.level > 0 {
        return check_branches(unread, node, geometry);
    }
    let inside = |record: &Record| {
        record.key() >= unread.low && unread.high.as_ref().is_none_or(|high| record.key() < *high)
    };
    if !node.records.iter().all(inside) {
        return Err("F-1: the keys of a node are within its bounds");
    }
    if !node.records.iter().all(|record| item::is_item(record, geometry)) {
        return Err("F-1: a record of a leaf is an item");
    }
    Ok(())
}

fn check_branches(
    unread: &Unread,
    node: &NodeBlock,
    geometry: Geometry,
) -> Result<(), &'static str> {
    for (number, record) in node.records.iter().enumerate() {
        if number == 0 && !record.key().is_empty() {
            return Err("F-1: the first key of an inner node is empty");
        }
        let above = number == 0 || record.key() > unread.low;
        let below = unread.high.as_ref().is_none_or(|high| record.key() < *high);
        if !(above && below) {
            return Err("F-1: the keys of a node are within its bounds");
        }
        let ptr = crate::cow::format::BlockPtr::decode(record.value())
            .ok_or("F-1: an inner node holds pointers")?;
        if !is_inside(ptr.block, geometry) {
            return Err("C-2: a pointer leads into the device");
        }
        if ptr.generation > node.generation {
            return Err("C-2: no child is younger than its parent");
        }
    }
    Ok(())
}

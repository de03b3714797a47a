//! Content of files: reading, writing to fresh blocks, plain or packed, and space set aside for it.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;

use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Packed;
use crate::cow::PendingFrees;
use crate::cow::RunOffset;
use crate::cow::Times;
use crate::cow::alloc::Allocator;
use crate::cow::codec::unpack;
use crate::cow::extents::Written;
use crate::cow::format::extent::DataPtr;
use crate::cow::format::extent::Extent;
use crate::cow::format::extent::Run;
use crate::cow::format::extent::Slot;
use crate::cow::format::item::Key;
use crate::cow::in_place::write_in_place;
use crate::cow::read;
use crate::cow::store::Store;
use crate::cow::tree::Found;
use crate::cow::tree::Tree;
use crate::device::BlockNo;
use crate::device::Class;
use crate::device::Origin;
use crate::device::Payload;
use crate::device::RequestId;

/// Blocks that become content in one transaction; bounds the nodes that it makes.
const BATCH_BLOCKS: usize = 64;

/// Blocks that content leaves for the nodes that name it.
const LEFT_FOR_NODES: u64 = 3;

/// The size and the times that a file has when content was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extend {
    pub(super) ino: u64,
    pub(super) size_bytes: u64,
    pub(super) times: Times,
}

impl Store {
    /// Makes room if space is scarce, as far as discards and a commit give some back.
    pub(super) async fn relieve(&self) {
        let is_low = || {
            let state = self.state();
            let wanted = state.dirty + state.reserved + 2 * self.slack();
            (state.free_count() < wanted, state.commit_frees())
        };
        if let (true, _) = is_low() {
            self.finish_discards().await;
        }
        if let (true, true) = is_low() {
            // What fails here fails again, and is told, where it is asked for.
            let _ = self.commit().await;
            self.finish_discards().await;
        }
    }

    /// Blocks that may be reserved.
    pub(super) fn available(&self) -> u64 {
        let state = self.state();
        // Nodes that name the content need space too.
        let nodes = state.reserved / 8 + state.dirty + 2 * self.slack();
        state.free_count().saturating_sub(state.reserved + nodes)
    }

    pub(super) async fn reserve(&self, blocks: u64) -> Result<(), CowError> {
        self.find_free().await?;
        let needed = blocks.saturating_add(blocks / 8);
        let frees = |store: &Self| {
            let state = store.state();
            store.awaits_frees() && (state.commit_frees() || state.dirty > 0)
        };
        if self.available() < needed {
            self.finish_discards().await;
        }
        if self.available() < needed && frees(self) {
            Box::pin(self.commit()).await?;
            self.finish_discards().await;
        }
        if self.available() < needed {
            return Err(CowError::NoSpace);
        }
        self.state().reserved += blocks;
        Ok(())
    }

    /// Is a commit made for the blocks that it frees?
    pub(super) fn awaits_frees(&self) -> bool {
        match self.policy.pending_frees {
            PendingFrees::Awaited => true,
            PendingFrees::Ignored => false,
        }
    }

    /// Blocks that content may take.
    pub(super) fn room(&self) -> u64 {
        let state = self.state();
        state.free_count().saturating_sub(state.next_commit() + LEFT_FOR_NODES)
    }

    /// Fresh blocks for content; fewer than asked for if there are no more.
    async fn allocate(&self, count: u64) -> Result<Vec<BlockNo>, CowError> {
        self.find_free().await?;
        if self.room() < count {
            self.finish_discards().await;
        }
        if self.room() < count && self.awaits_frees() && self.state().commit_frees() {
            // What fails here fails again, and is told, where it is asked for.
            let _ = self.commit().await;
            self.finish_discards().await;
        }
        Ok(self.grant(count).await)
    }
}

/// Where one block of a file is, with all that is needed to read it.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Plain(DataPtr),
    Unchecked(BlockNo),
    Packed(Run, u8),
}

/// A slot that leads to no run, or to none of its blocks.
const NO_RUN: CowError =
    CowError::Corrupt { at: BlockNo(0), invariant: "C-2: a packed block is in a run" };

async fn place(store: &Store, file: u64, file_block: u64) -> Result<Option<Place>, CowError> {
    if store.state().objects.is_freed(file, file_block) {
        return Ok(None);
    }
    let (first, slot) = Extent::place(file_block);
    let question = |tree: &Tree, ino: u64| -> Found<Result<Option<Place>, CowError>> {
        let extent = match read::extent(tree.get(&Key::of_extent(ino, first))?) {
            Ok(extent) => extent,
            Err(error) => return Ok(Err(error)),
        };
        Ok(match extent.slots[slot] {
            None => Ok(None),
            Some(Slot::Plain(ptr)) => Ok(Some(Place::Plain(ptr))),
            Some(Slot::InPlace(kept)) => {
                Ok(kept.is_written.then_some(Place::Unchecked(kept.block)))
            }
            Some(Slot::Packed { run, index }) => {
                let value = tree.get(&Key::Run { ino, first, run }.encode())?;
                let run = read::run(value).and_then(|run| run.ok_or(NO_RUN));
                run.map(|run| Some(Place::Packed(run, index)))
            }
        })
    };
    store.ask_file(file, question).await?
}

/// The content at a place, its checksum verified; of a packed block, all that its run holds.
async fn content_at(store: &Store, place: &Place) -> Result<Bytes, CowError> {
    match place {
        Place::Plain(ptr) => {
            let invariant = "C-2: content has its extent's checksum";
            store.read_checked(&[ptr.block], ptr.checksum, invariant).await
        }
        Place::Unchecked(block) => store.read(*block).await,
        Place::Packed(run, _) => unpacked(store, run).await,
    }
}

/// A block of what a run holds.
fn block_of_run(store: &Store, plain: &Bytes, index: u8) -> Result<Bytes, CowError> {
    let size = store.geometry.block_size_bytes as usize;
    let start = usize::from(index) * size;
    if start < plain.len() { Ok(plain.slice(start..start + size)) } else { Err(NO_RUN) }
}

/// What a run holds, its checksum verified.
async fn unpacked(store: &Store, run: &Run) -> Result<Bytes, CowError> {
    let at = run.blocks.first().copied().unwrap_or(BlockNo(0));
    let invariant = "C-2: a run has its checksum";
    let packed = store.read_checked(&run.blocks, run.checksum, invariant).await?;
    let size = usize::from(run.unpacked_count) * store.geometry.block_size_bytes as usize;
    let packed = packed.get(..run.size_bytes as usize);
    packed
        .and_then(|packed| unpack(packed, size))
        .ok_or(Store::corrupt(at, "F-1: a run unpacks to its blocks"))
}

/// Where a block of a file is, and the content there; `None` is a hole.
async fn read_place(
    store: &Store,
    ino: u64,
    file_block: u64,
) -> Result<Option<(Place, Bytes)>, CowError> {
    let mut here = place(store, ino, file_block).await?;
    loop {
        let Some(found) = here else { return Ok(None) };
        let content = content_at(store, &found).await;
        // Nothing says of a block without a checksum whose it was.
        let is_certain = content.is_ok() && !matches!(found, Place::Unchecked(_));
        if is_certain {
            return content.map(|content| Some((found, content)));
        }
        // The block may have been freed and written over since: then the content is elsewhere.
        here = place(store, ino, file_block).await?;
        if here.as_ref() == Some(&found) {
            return content.map(|content| Some((found, content)));
        }
    }
}

/// The first of some blocks of a file's content, and those behind it that came with it: a run is
/// read and unpacked once for all neighbours that are in it, wherever in it each of them is. `None`
/// is a hole.
pub(super) async fn read_blocks(
    store: &Store,
    ino: u64,
    blocks: Range<u64>,
) -> Result<Vec<Option<Bytes>>, CowError> {
    let Some((place_of_first, content)) = read_place(store, ino, blocks.start).await? else {
        return Ok(vec![None]);
    };
    let Place::Packed(run, first) = place_of_first else { return Ok(vec![Some(content)]) };
    let mut read = vec![Some(block_of_run(store, &content, first)?)];
    for block in blocks.start.saturating_add(1)..blocks.end {
        // What has the same checksum in the same blocks is what was read, whatever changed since.
        let index = match place(store, ino, block).await? {
            Some(Place::Packed(other, index)) if other == run => index,
            Some(_) | None => break,
        };
        read.push(Some(match store.policy.run_offset {
            RunOffset::OfEach => block_of_run(store, &content, index)?,
            RunOffset::OfFirst => {
                let index = u64::from(first) + (block - blocks.start);
                let index = u8::try_from(index).unwrap_or(u8::MAX);
                block_of_run(store, &content, index).unwrap_or_else(|_| zeros(store))
            }
        }));
    }
    Ok(read)
}

fn zeros(store: &Store) -> Bytes {
    Bytes::from(vec![0; store.geometry.block_size_bytes as usize])
}

/// Content on its way down.
#[derive(Debug, Clone)]
pub enum Content {
    /// A block of the file, and its bytes; fewer than a block are padded with zeros.
    Plain(u64, Payload),
    /// Blocks of the file, packed.
    Packed(Packed),
}

impl Content {
    fn block_count(&self, block_size_bytes: u32) -> usize {
        match self {
            Self::Plain(..) => 1,
            Self::Packed(packed) => packed.block_count(block_size_bytes),
        }
    }
}

/// Writes content, some blocks at a time; one result for each part, in order.
pub(super) async fn write_content(
    cow: &Cow,
    extend: Extend,
    content: Vec<Content>,
) -> Vec<Result<(), CowError>> {
    let block_size_bytes = cow.store().geometry.block_size_bytes;
    let mut results = Vec::with_capacity(content.len());
    let mut rest = content.as_slice();
    while !rest.is_empty() {
        let mut block_count = 0;
        let fits = |part: &&Content| {
            block_count += part.block_count(block_size_bytes);
            block_count <= BATCH_BLOCKS
        };
        let (batch, later) = rest.split_at(rest.iter().take_while(fits).count());
        results.append(&mut write_batch(cow, extend, batch).await);
        rest = later;
    }
    results
}

/// Blocks that were allocated and are not content yet. Dropped, as when the caller is gone, they
/// are freed with the next commit: a write to them may still be under way.
struct Places<'a> {
    store: &'a Store,
    blocks: BTreeSet<BlockNo>,
    are_content: bool,
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        if !self.blocks.is_empty() {
            self.store.of_granted(&self.blocks, Allocator::use_now);
        }
        if !self.blocks.is_empty() && !self.are_content {
            let mut state = self.store.state();
            state.freed.blocks.extend(std::mem::take(&mut self.blocks));
            // A commit is due, so that they come back.
            state.uncommitted = true;
        }
    }
}

impl Places<'_> {
    /// The block is free again.
    fn give_back(&mut self, block: BlockNo) {
        if self.blocks.remove(&block)
            && let Some(free) = &mut self.store.state().free
        {
            free.cancel(block);
        }
    }

    /// The blocks are content now.
    async fn become_content(&mut self) {
        self.are_content = true;
        self.store.use_granted(&self.blocks).await;
        self.blocks.clear();
    }
}

/// Content whose writes were submitted.
struct Submitted {
    written: Written,
    writes: Vec<RequestId>,
}

async fn write_batch(cow: &Cow, extend: Extend, batch: &[Content]) -> Vec<Result<(), CowError>> {
    let outcomes = match write_in_place(cow, extend, batch).await {
        Ok(outcomes) => outcomes,
        Err(error) => return vec![Err(error); batch.len()],
    };
    if outcomes.iter().all(Option::is_none) {
        return write_fresh(cow, extend, batch).await;
    }
    let rest = batch.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_none());
    let rest: Vec<Content> = rest.map(|(part, _)| part.clone()).collect();
    let mut fresh = write_fresh(cow, extend, &rest).await.into_iter();
    let outcome = |known: Option<Result<(), CowError>>| {
        known.or_else(|| fresh.next()).unwrap_or(Err(CowError::NoSpace))
    };
    outcomes.into_iter().map(outcome).collect()
}

/// Writes content to blocks that were free.
async fn write_fresh(cow: &Cow, extend: Extend, batch: &[Content]) -> Vec<Result<(), CowError>> {
    let store = cow.store();
    let block_size_bytes = store.geometry.block_size_bytes;
    let count: usize = batch.iter().map(|part| part.block_count(block_size_bytes)).sum();
    let allocated = match store.allocate(count as u64).await {
        Ok(allocated) => allocated,
        Err(error) => return vec![Err(error); batch.len()],
    };
    let mut places =
        Places { store, blocks: allocated.iter().copied().collect(), are_content: false };
    let mut free = allocated.as_slice();
    let mut submitted = Vec::with_capacity(batch.len());
    for part in batch {
        let Some((blocks, rest)) = free.split_at_checked(part.block_count(block_size_bytes)) else {
            break;
        };
        free = rest;
        submitted.push(submit(store, extend.ino, part, blocks));
    }
    free.iter().for_each(|block| places.give_back(*block));
    let mut results = Vec::with_capacity(batch.len());
    let mut content = Vec::new();
    for Submitted { written, writes } in submitted {
        let mut outcome = Ok(());
        for id in writes {
            // Every write is waited for: none may land in a block that has a new owner.
            let done = store.written(id).await;
            outcome = outcome.and(done);
        }
        match outcome {
            Ok(()) => content.push(written),
            Err(_) => written.blocks().into_iter().for_each(|block| places.give_back(block)),
        }
        results.push(outcome);
    }
    results.resize(batch.len(), Err(CowError::NoSpace));
    match become_content(cow, extend, &content).await {
        Ok(()) => places.become_content().await,
        Err(error) => {
            let blocks = content.iter().flat_map(Written::blocks);
            blocks.for_each(|block| places.give_back(block));
            let written = results.iter_mut().filter(|result| result.is_ok());
            written.for_each(|result| *result = Err(error));
        }
    }
    results
}

/// Hands content to the device. The checksum is of the very bytes that are submitted.
fn submit(store: &Store, ino: u64, part: &Content, blocks: &[BlockNo]) -> Submitted {
    let size = store.geometry.block_size_bytes as usize;
    let write = |block: BlockNo, bytes: Bytes, file_block: u64| {
        let offset = file_block.saturating_mul(size as u64);
        store.submit(block, bytes, Origin { class: Class::Data, object: ino, offset })
    };
    match part {
        Content::Plain(file_block, payload) => {
            let block = blocks[0];
            let bytes = whole(payload.capture(), size);
            let ptr = DataPtr { block, checksum: crc32c::crc32c(&bytes) };
            let writes = vec![write(block, bytes, *file_block)];
            Submitted { written: Written::Plain(*file_block, ptr), writes }
        }
        Content::Packed(packed) => {
            let bytes = packed.bytes();
            let stored = whole(bytes.clone(), blocks.len() * size);
            let file_blocks = packed.file_blocks();
            let parts = blocks.iter().zip(file_blocks).enumerate();
            let writes = parts.map(|(number, (block, file_block))| {
                write(*block, stored.slice(number * size..(number + 1) * size), *file_block)
            });
            let writes = writes.collect();
            let run = Run {
                unpacked_count: file_blocks.len() as u8,
                size_bytes: bytes.len() as u32,
                checksum: crc32c::crc32c(&stored),
                blocks: blocks.to_vec(),
            };
            Submitted { written: Written::Packed(file_blocks.to_vec(), run), writes }
        }
    }
}

async fn become_content(cow: &Cow, extend: Extend, content: &[Written]) -> Result<(), CowError> {
    let last = content.iter().flat_map(Written::file_blocks).max();
    let Some(last) = last else { return Ok(()) };
    let mut transaction = cow.begin().await?;
    let mut inode = transaction.inode(extend.ino).await?.ok_or(CowError::NoInode(extend.ino))?;
    let block_size = u64::from(cow.geometry().block_size_bytes);
    let end = last.saturating_add(1).saturating_mul(block_size);
    inode.size_bytes = inode.size_bytes.max(extend.size_bytes.min(end));
    inode.times.modify_nanos = extend.times.modify_nanos;
    inode.times.change_nanos = extend.times.change_nanos;
    transaction.put_inode(extend.ino, &inode).await?;
    transaction.set_content(extend.ino, content, inode.is_nocow).await?;
    transaction.finish().await
}

/// Bytes padded to a length with zeros.
pub(super) fn whole(bytes: Bytes, size_bytes: usize) -> Bytes {
    assert!(bytes.len() <= size_bytes, "a payload is at most a block");
    if bytes.len() == size_bytes {
        return bytes;
    }
    let mut padded = bytes.to_vec();
    padded.resize(size_bytes, 0);
    Bytes::from(padded)
}

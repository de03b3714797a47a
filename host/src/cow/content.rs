//! Content of files: reading, writing to fresh blocks, and space set aside for it.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Times;
use crate::cow::format::item::DataPtr;
use crate::cow::format::item::Extent;
use crate::cow::format::item::Key;
use crate::cow::read;
use crate::cow::store::Store;
use crate::device::BlockNo;
use crate::device::Class;
use crate::device::Origin;
use crate::device::Payload;

/// Blocks that become content in one transaction; bounds the nodes that it makes.
const BATCH_BLOCKS: usize = 64;

/// Blocks that content leaves for the nodes that name it.
const LEFT_FOR_NODES: u64 = 4;

/// The size and the times that a file has when content was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extend {
    pub(super) ino: u64,
    pub(super) size_bytes: u64,
    pub(super) times: Times,
}

impl Store {
    /// Is space so scarce that a commit, which gives some back, should come first?
    pub(super) fn is_low(&self) -> bool {
        let state = self.state();
        let wanted = state.dirty + state.reserved + 2 * self.slack();
        state.commit_frees() && state.free_count() < wanted
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
            state.commit_frees() || state.dirty > 0
        };
        if self.available() < needed && frees(self) {
            self.commit().await?;
        }
        if self.available() < needed {
            return Err(CowError::NoSpace);
        }
        self.state().reserved += blocks;
        Ok(())
    }

    /// Fresh blocks for content; fewer than asked for if there are no more.
    async fn allocate(&self, count: u64) -> Result<Vec<BlockNo>, CowError> {
        self.find_free().await?;
        let room = |store: &Self| {
            let state = store.state();
            state.free_count().saturating_sub(state.dirty + LEFT_FOR_NODES)
        };
        if room(self) < count && self.state().commit_frees() {
            // What fails here fails again, and is told, where it is asked for.
            let _ = self.commit().await;
        }
        let count = room(self).min(count);
        let blocks = self.state().free.as_mut().and_then(|free| free.allocate(count));
        Ok(blocks.unwrap_or_default())
    }
}

async fn place(store: &Store, ino: u64, file_block: u64) -> Result<Option<DataPtr>, CowError> {
    let (first, slot) = Extent::place(file_block);
    let key = Key::Extent { ino, first }.encode();
    let value = store.ask_live(|tree| tree.get(&key)).await?;
    Ok(read::extent(value)?.slots[slot])
}

/// A block of a file's content; `None` is a hole.
pub(super) async fn read_block(
    store: &Store,
    ino: u64,
    file_block: u64,
) -> Result<Option<Bytes>, CowError> {
    let mut ptr = place(store, ino, file_block).await?;
    loop {
        let Some(found) = ptr else { return Ok(None) };
        let bytes = store.read(found.block).await;
        if let Ok(bytes) = &bytes
            && crc32c::crc32c(bytes) == found.checksum
        {
            return Ok(Some(bytes.clone()));
        }
        // The block may have been freed and written over since: then the content is elsewhere.
        ptr = place(store, ino, file_block).await?;
        if ptr == Some(found) {
            bytes?;
            return Err(Store::corrupt(found.block, "C-2: content has its extent's checksum"));
        }
    }
}

/// Writes content, some blocks at a time; one result for each, in order.
pub(super) async fn write_blocks(
    cow: &Cow,
    extend: Extend,
    blocks: Vec<(u64, Payload)>,
) -> Vec<Result<(), CowError>> {
    let mut results = Vec::with_capacity(blocks.len());
    for batch in blocks.chunks(BATCH_BLOCKS) {
        results.append(&mut write_batch(cow, extend, batch).await);
    }
    results
}

/// Blocks that were allocated and are not content yet. Dropped, as when the caller is gone, they
/// are freed with the next commit: a write to them may still be under way.
struct Places<'a> {
    store: &'a Store,
    blocks: BTreeSet<BlockNo>,
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        if !self.blocks.is_empty() {
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
            free.release(block);
        }
    }
}

async fn write_batch(
    cow: &Cow,
    extend: Extend,
    batch: &[(u64, Payload)],
) -> Vec<Result<(), CowError>> {
    let store = cow.store();
    let allocated = match store.allocate(batch.len() as u64).await {
        Ok(allocated) => allocated,
        Err(error) => return vec![Err(error); batch.len()],
    };
    let mut places = Places { store, blocks: allocated.iter().copied().collect() };
    let block_size = u64::from(store.geometry.block_size_bytes);
    let mut submitted = Vec::with_capacity(allocated.len());
    for ((file_block, payload), block) in batch.iter().zip(allocated) {
        // The checksum is of the very bytes that are submitted.
        let bytes = whole(payload.capture(), block_size as usize);
        let ptr = DataPtr { block, checksum: crc32c::crc32c(&bytes) };
        let offset = file_block.saturating_mul(block_size);
        let origin = Origin { class: Class::Data, object: extend.ino, offset };
        submitted.push((*file_block, ptr, store.submit(block, bytes, origin)));
    }
    let mut results = Vec::with_capacity(batch.len());
    let mut content = Vec::new();
    for (file_block, ptr, id) in submitted {
        let written = store.written(id).await;
        match written {
            Ok(()) => content.push((file_block, ptr)),
            Err(_) => places.give_back(ptr.block),
        }
        results.push(written);
    }
    results.resize(batch.len(), Err(CowError::NoSpace));
    match become_content(cow, extend, &content).await {
        Ok(()) => places.blocks.clear(),
        Err(error) => {
            content.iter().for_each(|(_, ptr)| places.give_back(ptr.block));
            let written = results.iter_mut().filter(|result| result.is_ok());
            written.for_each(|result| *result = Err(error));
        }
    }
    results
}

async fn become_content(
    cow: &Cow,
    extend: Extend,
    content: &[(u64, DataPtr)],
) -> Result<(), CowError> {
    let Some(last) = content.iter().map(|(block, _)| *block).max() else { return Ok(()) };
    let mut transaction = cow.begin().await?;
    let mut inode = transaction.inode(extend.ino).await?.ok_or(CowError::NoInode(extend.ino))?;
    let block_size = u64::from(cow.geometry().block_size_bytes);
    let end = last.saturating_add(1).saturating_mul(block_size);
    inode.size_bytes = inode.size_bytes.max(extend.size_bytes.min(end));
    inode.times.modify_nanos = extend.times.modify_nanos;
    inode.times.change_nanos = extend.times.change_nanos;
    transaction.put_inode(extend.ino, &inode).await?;
    transaction.set_content(extend.ino, content).await?;
    transaction.finish().await
}

/// A payload as a whole block.
fn whole(bytes: Bytes, block_size_bytes: usize) -> Bytes {
    assert!(bytes.len() <= block_size_bytes, "a payload is at most a block");
    if bytes.len() == block_size_bytes {
        return bytes;
    }
    let mut padded = bytes.to_vec();
    padded.resize(block_size_bytes, 0);
    Bytes::from(padded)
}

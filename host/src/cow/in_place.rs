//! Content that is written in place: into blocks that were set aside, and again into the blocks of
//! files that are not copied on write.
//!
//! Invariant C-7: what is written in place is named once, and younger than every snapshot. The
//! transaction is under way until the device has answered, so that no tree is frozen meanwhile: a
//! snapshot sees all of a write or nothing of it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Inode;
use crate::cow::Sharing;
use crate::cow::Transaction;
use crate::cow::content::Content;
use crate::cow::content::Extend;
use crate::cow::content::whole;
use crate::cow::extents::Named;
use crate::cow::format::extent::DataPtr;
use crate::cow::format::extent::Extent;
use crate::cow::format::extent::InPlace;
use crate::cow::format::extent::Slot;
use crate::cow::format::item::Key;
use crate::cow::grants::Mismatch;
use crate::cow::objects::Deed;
use crate::cow::read;
use crate::cow::store::Store;
use crate::device::BlockNo;
use crate::device::Class;
use crate::device::LivePage;
use crate::device::Origin;
use crate::device::Payload;

/// For each part of a batch, what came of it; nothing for those that need fresh blocks.
pub(super) type Outcomes = Vec<Option<Result<(), CowError>>>;

/// Writes what can be written in place.
pub(super) async fn write_in_place(
    cow: &Cow,
    extend: Extend,
    batch: &[Content],
) -> Result<Outcomes, CowError> {
    let nothing = || vec![None; batch.len()];
    let Some(parts) = parts(batch) else { return Ok(nothing()) };
    if !is_any_in_place(cow.store(), extend.ino, &parts).await? {
        return Ok(nothing());
    }
    let mut transaction = cow.begin().await?;
    let outcomes = transaction.write_in_place(extend, &parts).await?;
    if outcomes.iter().any(Option::is_some) {
        transaction.finish().await?;
    }
    Ok(outcomes)
}

/// The blocks of a batch, if it is nothing but single blocks of content, each once.
fn parts(batch: &[Content]) -> Option<Vec<(u64, &Payload)>> {
    let part = |part: &'_ Content| match part {
        Content::Plain(block, _) => Some(*block),
        Content::Packed(_) => None,
    };
    let blocks = batch.iter().map(part).collect::<Option<BTreeSet<u64>>>()?;
    if blocks.len() != batch.len() {
        return None;
    }
    let payload = |part| match part {
        &Content::Plain(block, ref payload) => Some((block, payload)),
        Content::Packed(_) => None,
    };
    batch.iter().map(payload).collect()
}

async fn is_any_in_place(
    store: &Store,
    ino: u64,
    parts: &[(u64, &Payload)],
) -> Result<bool, CowError> {
    let mut seen = None;
    for (block, _) in parts {
        let (first, _) = Extent::place(*block);
        if seen.replace(first) == Some(first) {
            continue;
        }
        let extent = live_extent(store, ino, first).await?;
        if extent.slots.iter().flatten().any(|slot| matches!(slot, Slot::InPlace(_))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An extent of a file, as the live tree has it.
async fn live_extent(store: &Store, ino: u64, first: u64) -> Result<Extent, CowError> {
    let key = Key::of_extent(ino, first);
    store.ask_live(|tree| tree.get(&key).map(read::extent)).await?
}

/// Is what a file has written in place, as the live tree has it?
async fn is_nocow(store: &Store, ino: u64) -> Result<bool, CowError> {
    let key = Key::of_inode(ino);
    let inode = store.ask_live(|tree| tree.get(&key).map(read::inode)).await??;
    Ok(inode.is_some_and(|inode| inode.is_nocow))
}

/// Would a block of a file be written where it is?
pub(super) async fn is_kept(store: &Store, ino: u64, block: u64) -> Result<bool, CowError> {
    let (first, slot) = Extent::place(block);
    let extent = live_extent(store, ino, first).await?;
    let Some(Slot::InPlace(kept)) = extent.slots[slot] else { return Ok(false) };
    let is_nocow = is_nocow(store, ino).await?;
    Ok((is_nocow || !kept.is_written) && store.is_own(&kept))
}

/// The blocks of a part of a file that is written in place, in which others share what it has:
/// they would be written elsewhere.
pub(super) async fn borrowed(
    store: &Store,
    ino: u64,
    blocks: Range<u64>,
) -> Result<Vec<u64>, CowError> {
    if !is_nocow(store, ino).await? {
        return Ok(Vec::new());
    }
    let mut borrowed = Vec::new();
    let mut seen = None;
    for block in blocks {
        let (first, slot) = Extent::place(block);
        let extent = match seen {
            Some((known, extent)) if known == first => extent,
            Some(_) | None => live_extent(store, ino, first).await?,
        };
        seen = Some((first, extent));
        match extent.slots[slot] {
            Some(Slot::InPlace(kept)) if store.is_own(&kept) => {}
            Some(_) => borrowed.push(block),
            None => {}
        }
    }
    Ok(borrowed)
}

/// Blocks that are being written in place. Dropped before the device has answered, as when the
/// caller is gone, they are in use until the next commit, whatever becomes of the file: a write to
/// them may still be under way.
struct UnderWay<'a> {
    store: &'a Store,
    blocks: Vec<BlockNo>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.store.state();
        for block in self.blocks.drain(..) {
            state.shares.add(block);
            state.freed.blocks.push(block);
            state.uncommitted = true;
        }
    }
}

impl Store {
    /// May the block be written although a root names it?
    fn is_own(&self, kept: &InPlace) -> bool {
        let state = self.state();
        let is_young = state.snapshots.newest().is_none_or(|newest| newest < kept.birth);
        let is_sole = state.shares.of(kept.block) == 0;
        match self.policy.sharing {
            Sharing::BrokenFirst => is_young && is_sole,
            Sharing::Ignored => true,
        }
    }
}

/// A block that is written in place.
struct Target<'a> {
    block: u64,
    kept: InPlace,
    payload: &'a Payload,
    /// What its name says of its bytes.
    checksum: Option<u32>,
}

/// A page that the device reads itself. It is noted if bytes are read that have another checksum
/// than the one that names the block.
struct Taken {
    page: Arc<dyn LivePage>,
    block_size: usize,
    checksum: Option<u32>,
    is_other: AtomicBool,
}

impl LivePage for Taken {
    fn capture(&self) -> Bytes {
        let bytes = whole(self.page.capture(), self.block_size);
        if self.checksum.is_some_and(|named| named != crc32c::crc32c(&bytes)) {
            self.is_other.store(true, Ordering::Relaxed);
        }
        bytes
    }
}

impl Transaction {
    async fn write_in_place(
        &mut self,
        extend: Extend,
        parts: &[(u64, &Payload)],
    ) -> Result<Outcomes, CowError> {
        let inode = self.inode(extend.ino).await?.ok_or(CowError::NoInode(extend.ino))?;
        let mut targets = Vec::with_capacity(parts.len());
        for (block, payload) in parts {
            let (first, slot) = Extent::place(*block);
            let target = match self.extent(extend.ino, first).await?.slots[slot] {
                Some(Slot::InPlace(kept))
                    if (inode.is_nocow || !kept.is_written) && self.cow.store().is_own(&kept) =>
                {
                    Some(Target { block: *block, kept, payload, checksum: None })
                }
                Some(_) | None => None,
            };
            targets.push(target);
        }
        // Content that was written over cannot be taken back: there must be space for the rest.
        let before = self.mark();
        for target in targets.iter_mut().flatten() {
            target.checksum = self.name_target(extend, &inode, target).await?;
        }
        if !self.fits() {
            return Err(CowError::NoSpace);
        }
        let outcomes = submit_all(self.cow.store(), extend.ino, &targets).await;
        if outcomes.iter().flatten().any(Result::is_err) {
            self.go_back(before);
            for (target, outcome) in targets.iter().zip(&outcomes) {
                if let (Some(target), Some(Ok(()))) = (target, outcome) {
                    self.name_target(extend, &inode, target).await?;
                }
            }
        }
        Ok(outcomes)
    }

    /// Says of a block that is written in place what is there now, and of the file how long it is.
    /// Answers the checksum that it is named with.
    async fn name_target(
        &mut self,
        extend: Extend,
        inode: &Inode,
        target: &Target<'_>,
    ) -> Result<Option<u32>, CowError> {
        let Extend { ino, size_bytes, times } = extend;
        let block_size = self.cow.geometry().block_size_bytes;
        let kept = target.kept;
        let checksum = (!inode.is_nocow)
            .then(|| crc32c::crc32c(&whole(target.payload.capture(), block_size as usize)));
        let slot = match checksum {
            None => Slot::InPlace(InPlace { is_written: true, ..kept }),
            Some(checksum) => Slot::Plain(DataPtr { block: kept.block, checksum }),
        };
        self.put_slot(ino, target.block, slot).await?;
        let mut inode = self.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        let end = target.block.saturating_add(1).saturating_mul(u64::from(block_size));
        inode.size_bytes = inode.size_bytes.max(size_bytes.min(end));
        inode.times.modify_nanos = times.modify_nanos;
        inode.times.change_nanos = times.change_nanos;
        self.put_inode(ino, &inode).await?;
        Ok(checksum)
    }

    /// Says otherwise of a block that is named already.
    async fn put_slot(&mut self, ino: u64, block: u64, slot: Slot) -> Result<(), CowError> {
        self.note(ino, Deed::Wrote, block..block.saturating_add(1));
        let (first, at) = Extent::place(block);
        let old = self.extent(ino, first).await?;
        let mut new = old;
        new.slots[at] = Some(slot);
        if new == old {
            return Ok(());
        }
        self.replace_extent(ino, first, Named::by(&old), &new).await
    }
}

/// Hands content to the device, and waits for all of it.
async fn submit_all(store: &Store, ino: u64, targets: &[Option<Target<'_>>]) -> Outcomes {
    let block_size = store.geometry.block_size_bytes as usize;
    let mut under_way = UnderWay { store, blocks: Vec::new() };
    let mut submitted = Vec::with_capacity(targets.len());
    let mut taken = Vec::new();
    for target in targets {
        submitted.push(target.as_ref().map(|target| {
            under_way.blocks.push(target.kept.block);
            let offset = target.block.saturating_mul(block_size as u64);
            let origin = Origin { class: Class::Data, object: ino, offset };
            let payload = match target.payload {
                Payload::Owned(bytes) => Payload::Owned(whole(bytes.clone(), block_size)),
                Payload::Borrowed(page) => {
                    let page = Arc::new(Taken {
                        page: Arc::clone(page),
                        block_size,
                        checksum: target.checksum,
                        is_other: AtomicBool::new(false),
                    });
                    taken.push((target.kept.block, Arc::clone(&page)));
                    Payload::Borrowed(page)
                }
            };
            store.submit_payload(target.kept.block, payload, origin)
        }));
    }
    let mut outcomes = Vec::with_capacity(targets.len());
    for id in submitted {
        outcomes.push(match id {
            Some(id) => Some(store.written(id).await),
            None => None,
        });
    }
    under_way.blocks.clear();
    for (block, page) in taken {
        if page.is_other.load(Ordering::Relaxed) {
            store.mismatches.note(|| Mismatch::Written(block));
        }
    }
    outcomes
}

//! Clones: blocks of files that several slots name.
//!
//! A clone copies slots and runs, not content. Each of them is one use more of the blocks that it
//! names ([`super::share`]), from the moment at which the transaction takes effect.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Logged;
use crate::cow::Times;
use crate::cow::Transaction;
use crate::cow::extents::Named;
use crate::cow::format::extent::Extent;
use crate::cow::format::extent::InPlace;
use crate::cow::format::extent::Run;
use crate::cow::format::extent::Slot;
use crate::cow::format::item::ItemKind;
use crate::cow::format::item::Key;
use crate::cow::objects::Deed;
use crate::cow::read;
use crate::cow::transaction::SCAN_RECORDS;
use crate::cow::tree::Tree;
use crate::sim::Point;

/// What becomes of blocks that are set aside and not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwritten {
    /// They are holes at the other place.
    Hole,
    /// They go with the rest.
    Kept,
}

/// Blocks of a file, one after the other.
#[derive(Debug, Clone)]
struct Part {
    ino: u64,
    blocks: Range<u64>,
}

/// A slot on its way to another place.
#[derive(Debug)]
struct Copied {
    /// The block of the file that it speaks of there.
    at: u64,
    slot: Slot,
    /// The extent that it comes from.
    source: u64,
    /// If it is packed, its run.
    run: Option<Run>,
}

impl Transaction {
    /// Moves the content from a block of the file on by so many blocks, up or down. What it comes
    /// to lie on is gone, what it leaves are holes; the inode's size is the caller's.
    pub async fn shift_extents(
        &mut self,
        ino: u64,
        from_block: u64,
        by: i64,
    ) -> Result<(), CowError> {
        let to = from_block.checked_add_signed(by).ok_or(CowError::NoSpace)?;
        let source = self.tree.clone();
        self.cut_extents(ino, to.min(from_block)..u64::MAX).await?;
        self.note(ino, Deed::Cloned, to..u64::MAX);
        // Nothing is so far up that it would be moved beyond the last number.
        let blocks = from_block..u64::MAX.saturating_add_signed(-by.max(0));
        self.copy_slots(&source, Part { ino, blocks }, (ino, to), Unwritten::Kept).await
    }

    /// Sets blocks aside for the holes in a part of the file. They read as zeros until they are
    /// written. `NoSpace` if there are not so many.
    pub async fn put_unwritten(&mut self, ino: u64, blocks: Range<u64>) -> Result<(), CowError> {
        let birth = self.birth();
        let mut at = blocks.start;
        while at < blocks.end {
            let (first, _) = Extent::place(at);
            let old = self.extent(ino, first).await?;
            let mut new = old;
            let is_hole =
                |(at, slot): &(u64, &mut Option<Slot>)| blocks.contains(at) && slot.is_none();
            let holes: Vec<_> = (first..).zip(&mut new.slots).filter(is_hole).collect();
            let mut named = Named::by(&old);
            self.cow.store().finish_discards().await;
            let taken = self.take(holes.len() as u64)?;
            for ((_, slot), block) in holes.into_iter().zip(taken) {
                named.blocks.push(block);
                *slot = Some(Slot::InPlace(InPlace { block, birth, is_written: false }));
            }
            if new != old {
                self.replace_extent(ino, first, named, &new).await?;
            }
            at = first.saturating_add(Extent::SLOTS);
        }
        Ok(())
    }

    /// Copies what a tree says of a part of a file to another place, where nothing is now. The
    /// blocks have one use more.
    async fn copy_slots(
        &mut self,
        source: &Tree,
        part: Part,
        (ino, to_block): (u64, u64),
        unwritten: Unwritten,
    ) -> Result<(), CowError> {
        let Part { ino: from, blocks } = part;
        let end = Key::end(from, ItemKind::Extent);
        let mut waiting: Vec<Copied> = Vec::new();
        let mut next = Some(Extent::place(blocks.start).0);
        while let Some(first) = next.take().filter(|first| *first < blocks.end) {
            let start = Key::Extent { ino: from, first }.encode();
            let question = |tree: &Tree| tree.range(&start, &end, SCAN_RECORDS);
            for record in self.cow.store().ask(source, question).await? {
                let (key, value) = read::record(record)?;
                let Key::Extent { first, .. } = key else { continue };
                next = first.checked_add(Extent::SLOTS);
                let slots = (first..).zip(read::extent(Some(&value[..]))?.slots);
                for (block, slot) in slots.filter(|(block, _)| blocks.contains(block)) {
                    let Some(slot) = slot else { continue };
                    if slot.is_unwritten() && unwritten == Unwritten::Hole {
                        continue;
                    }
                    let at = block - blocks.start + to_block;
                    let is_next =
                        |copied: &Copied| Extent::place(copied.at).0 != Extent::place(at).0;
                    if waiting.last().is_some_and(is_next) {
                        self.put_copies(ino, std::mem::take(&mut waiting)).await?;
                    }
                    let run = self.run_of(source, from, first, slot).await?;
                    waiting.push(Copied { at, slot, source: first, run });
                }
            }
        }
        self.put_copies(ino, waiting).await
    }

    async fn run_of(
        &self,
        source: &Tree,
        ino: u64,
        first: u64,
        slot: Slot,
    ) -> Result<Option<Run>, CowError> {
        let Slot::Packed { run, .. } = slot else { return Ok(None) };
        let key = Key::Run { ino, first, run }.encode();
        self.cow.store().ask(source, |tree| tree.get(&key).map(read::run)).await?
    }

    /// Puts copied slots into the one extent that they belong to.
    async fn put_copies(&mut self, ino: u64, copies: Vec<Copied>) -> Result<(), CowError> {
        let Some(first) = copies.first().map(|copied| Extent::place(copied.at).0) else {
            return Ok(());
        };
        self.grows = true;
        let mut extent = self.extent(ino, first).await?;
        let mut named = Named::by(&extent);
        // The number of each run here, by the extent that it comes from and its number there.
        let mut numbers: BTreeMap<(u64, u8), u8> = BTreeMap::new();
        for Copied { at, slot, source, run: copied_run } in copies {
            if let Some(block) = slot.block() {
                named.blocks.push(block);
                self.shared.push(block);
            }
            let slot = match (slot, copied_run) {
                (Slot::Plain(_) | Slot::InPlace(_), _) => slot,
                // On a damaged medium the run may not be there.
                (Slot::Packed { .. }, None) => return Err(read::NOT_AN_ITEM),
                (Slot::Packed { run, index }, Some(item)) => {
                    let number = match numbers.get(&(source, run)) {
                        Some(number) => *number,
                        None => {
                            let number = named.unused_run()?;
                            named.runs.insert(number);
                            self.shared.extend(&item.blocks);
                            self.put(&Key::Run { ino, first, run: number }, item.encode()).await?;
                            numbers.insert((source, run), number);
                            number
                        }
                    };
                    Slot::Packed { run: number, index }
                }
            };
            extent.slots[Extent::place(at).1] = Some(slot);
        }
        self.replace_extent(ino, first, named, &extent).await
    }
}

/// What is cloned, and to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloneRange {
    /// The file that is cloned from: of the live tree, or of a snapshot.
    pub from: u64,
    /// The first block that is cloned.
    pub from_block: u64,
    /// The file that is cloned to.
    pub to: u64,
    /// The block of it that becomes the first one.
    pub to_block: u64,
    /// How many blocks.
    pub count: u64,
    /// The size of the file that is cloned to is at least this afterwards.
    pub size_bytes: u64,
    /// Its times of modification and change afterwards.
    pub times: Times,
}

/// Clones a part of a file, in one transaction.
pub(super) async fn clone_range(cow: &Cow, range: CloneRange) -> Result<(), CowError> {
    let CloneRange { from_block, to_block, count, .. } = range;
    if from_block.checked_add(count).and(to_block.checked_add(count)).is_none() {
        return Err(CowError::NoSpace);
    }
    loop {
        let mut transaction = cow.begin().await?;
        let done = transaction.clone_range(&range).await;
        let is_same = matches!(&done, Ok(source) if transaction.is_source(range.from, source));
        match done {
            Ok(_) if is_same => return transaction.finish().await,
            Err(error) if transaction.is_settled_as_it_was() => return Err(error),
            // A group synced meanwhile: what it freed may be free when this takes effect.
            Ok(_) | Err(_) => {}
        }
    }
}

/// Where a clone reads what it copies.
enum Source {
    Live,
    Settled,
    Snapshot,
}

impl Transaction {
    /// Where a file's content is: a clean one's in the settled tree.
    fn source(&self, file: u64) -> Result<(Source, Tree, u64), CowError> {
        let store = self.cow.store();
        if let Some((tree, ino)) = store.snapshot_of(file)? {
            return Ok((Source::Snapshot, tree, ino));
        }
        if store.is_dirty(file) {
            return Ok((Source::Live, self.tree.clone(), file));
        }
        Ok((Source::Settled, self.settled.clone(), file))
    }

    /// May what was copied from there take effect now?
    fn is_source(&self, file: u64, source: &Source) -> bool {
        match source {
            Source::Live => true,
            Source::Settled => self.is_settled_as_it_was(),
            // One that was deleted meanwhile may have ended what it used.
            Source::Snapshot => self.cow.store().snapshot_of(file).is_ok(),
        }
    }

    fn is_settled_as_it_was(&self) -> bool {
        self.cow.store().state().objects.settled().is(&self.settled)
    }

    async fn clone_range(&mut self, range: &CloneRange) -> Result<Source, CowError> {
        let CloneRange { from, from_block, to, to_block, count, size_bytes, times } = *range;
        self.is_logged &= self.cow.store().policy.logged != Logged::NotClones;
        let mut inode = self.inode(to).await?.ok_or(CowError::NoInode(to))?;
        let sim = self.cow.store().sim.clone();
        sim.point(Point::CloneReadMap).await;
        let (source, tree, ino) = self.source(from)?;
        let to_blocks = to_block..to_block + count;
        self.cut_extents(to, to_blocks.clone()).await?;
        self.note(to, Deed::Cloned, to_blocks);
        let part = Part { ino, blocks: from_block..from_block + count };
        self.copy_slots(&tree, part, (to, to_block), Unwritten::Hole).await?;
        inode.size_bytes = inode.size_bytes.max(size_bytes);
        inode.times.modify_nanos = times.modify_nanos;
        inode.times.change_nanos = times.change_nanos;
        self.put_inode(to, &inode).await?;
        sim.point(Point::CloneCommit).await;
        Ok(source)
    }
}

//! Content within a transaction: which blocks and runs a file names, and which it no longer does.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::cow::CowError;
use crate::cow::Logged;
use crate::cow::OverwrittenClone;
use crate::cow::Transaction;
use crate::cow::format::extent::DataPtr;
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
use crate::device::BlockNo;

/// Content that was written and is no file's yet.
#[derive(Debug, Clone)]
pub(super) enum Written {
    /// A block of the file, in a block of its own.
    Plain(u64, DataPtr),
    /// Blocks of the file of one extent, packed.
    Packed(Vec<u64>, Run),
}

impl Written {
    fn extent(&self) -> u64 {
        match self {
            Self::Plain(block, _) => Extent::place(*block).0,
            Self::Packed(blocks, _) => blocks.first().map_or(0, |block| Extent::place(*block).0),
        }
    }

    /// The blocks of the file that it speaks of, in order.
    pub(super) fn file_blocks(&self) -> &[u64] {
        match self {
            Self::Plain(block, _) => std::slice::from_ref(block),
            Self::Packed(blocks, _) => blocks,
        }
    }

    /// The blocks of the device that it takes.
    pub(super) fn blocks(&self) -> Vec<BlockNo> {
        match self {
            Self::Plain(_, ptr) => vec![ptr.block],
            Self::Packed(_, run) => run.blocks.clone(),
        }
    }
}

/// What an extent named at any time within a change.
pub(super) struct Named {
    /// As often as it was named.
    pub(super) blocks: Vec<BlockNo>,
    pub(super) runs: BTreeSet<u8>,
}

impl Named {
    pub(super) fn by(extent: &Extent) -> Self {
        Self { blocks: extent.blocks().collect(), runs: extent.runs().collect() }
    }

    /// A number that no run has.
    pub(super) fn unused_run(&self) -> Result<u8, CowError> {
        (0..=u8::MAX).find(|run| !self.runs.contains(run)).ok_or(CowError::NoSpace)
    }
}

impl Transaction {
    /// Removes the content from a block of the file on; the inode's size is the caller's.
    pub async fn truncate_extents(
        &mut self,
        ino: u64,
        from_file_block: u64,
    ) -> Result<(), CowError> {
        self.cut_extents(ino, from_file_block..u64::MAX).await
    }

    /// Removes the content of some blocks of the file, also what was set aside for them: they are
    /// holes.
    pub async fn remove_extents(&mut self, ino: u64, blocks: Range<u64>) -> Result<(), CowError> {
        self.is_logged &= self.cow.store().policy.logged != Logged::NotHoles;
        self.cut_extents(ino, blocks).await
    }

    pub(super) async fn cut_extents(
        &mut self,
        ino: u64,
        blocks: Range<u64>,
    ) -> Result<(), CowError> {
        self.note(ino, Deed::Freed, blocks.clone());
        let to = Key::end(ino, ItemKind::Extent);
        let mut next = Some(Extent::place(blocks.start).0);
        while let Some(from) = next.take().filter(|from| *from < blocks.end) {
            let from = Key::Extent { ino, first: from }.encode();
            let question = |tree: &Tree| tree.range(&from, &to, SCAN_RECORDS);
            for record in self.cow.store().ask(&self.tree, question).await? {
                let (key, value) = read::record(record)?;
                let Key::Extent { first, .. } = key else { continue };
                next = first.checked_add(Extent::SLOTS);
                let old = read::extent(Some(&value[..]))?;
                let mut new = old;
                let inside = (first..).zip(&mut new.slots).filter(|(at, _)| blocks.contains(at));
                inside.for_each(|(_, slot)| *slot = None);
                if new != old {
                    self.replace_extent(ino, first, Named::by(&old), &new).await?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn extent(&self, ino: u64, first: u64) -> Result<Extent, CowError> {
        self.get(&Key::of_extent(ino, first), read::extent).await?
    }

    /// Writes an extent. What was named and is no longer is freed, as often as that is.
    ///
    /// # Panics
    /// If it names a block more often than it was named.
    pub(super) async fn replace_extent(
        &mut self,
        ino: u64,
        first: u64,
        named: Named,
        new: &Extent,
    ) -> Result<(), CowError> {
        let mut kept = Named::by(new);
        for block in named.blocks {
            match kept.blocks.iter().position(|kept| *kept == block) {
                Some(at) => {
                    kept.blocks.swap_remove(at);
                }
                None => self.freed.blocks.push(block),
            }
        }
        assert!(kept.blocks.is_empty(), "C-3: each use of a block begins once");
        for run in named.runs.difference(&kept.runs) {
            let key = Key::Run { ino, first, run: *run };
            // On a damaged medium the run may not be there.
            if let Some(run) = self.get(&key.encode(), read::run).await?? {
                self.freed.blocks.extend(run.blocks);
                self.delete(&key).await?;
            }
        }
        let key = Key::Extent { ino, first };
        if new.is_empty() { self.delete(&key).await } else { self.put(&key, new.encode()).await }
    }

    /// Makes blocks that were written the file's content. Those they replace are freed.
    pub(super) async fn set_content(
        &mut self,
        ino: u64,
        content: &[Written],
        is_nocow: bool,
    ) -> Result<(), CowError> {
        let mut rest = content;
        while let Some(first) = rest.first().map(Written::extent) {
            let count = rest.iter().take_while(|written| written.extent() == first).count();
            let (head, tail) = rest.split_at(count);
            self.set_extent(ino, first, head, is_nocow).await?;
            rest = tail;
        }
        Ok(())
    }

    async fn set_extent(
        &mut self,
        ino: u64,
        first: u64,
        content: &[Written],
        is_nocow: bool,
    ) -> Result<(), CowError> {
        let birth = self.birth();
        let mut extent = self.extent(ino, first).await?;
        let mut named = Named::by(&extent);
        let stays = self.cow.store().policy.overwritten_clone == OverwrittenClone::Stays;
        for written in content {
            let is_cloned =
                |block: &u64| self.cow.store().state().objects.is_cloned_in_open_group(ino, *block);
            let blocks = written.file_blocks();
            if stays && blocks.iter().any(is_cloned) {
                self.freed.blocks.extend(written.blocks());
                continue;
            }
            blocks.iter().for_each(|block| self.note(ino, Deed::Wrote, *block..*block + 1));
            match written {
                Written::Plain(block, ptr) => {
                    named.blocks.push(ptr.block);
                    let slot = if is_nocow {
                        Slot::InPlace(InPlace { block: ptr.block, birth, is_written: true })
                    } else {
                        Slot::Plain(*ptr)
                    };
                    extent.slots[Extent::place(*block).1] = Some(slot);
                }
                Written::Packed(blocks, run) => {
                    let number = named.unused_run()?;
                    named.runs.insert(number);
                    self.put(&Key::Run { ino, first, run: number }, run.encode()).await?;
                    for (index, block) in (0_u8..).zip(blocks) {
                        let slot = Slot::Packed { run: number, index };
                        extent.slots[Extent::place(*block).1] = Some(slot);
                    }
                }
            }
        }
        self.replace_extent(ino, first, named, &extent).await
    }
}

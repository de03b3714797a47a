//! Content within a transaction: which blocks and runs a file names, and which it no longer does.

use std::collections::BTreeSet;

use crate::cow::CowError;
use crate::cow::Transaction;
use crate::cow::format::extent::DataPtr;
use crate::cow::format::extent::Extent;
use crate::cow::format::extent::Run;
use crate::cow::format::extent::Slot;
use crate::cow::format::item::ItemKind;
use crate::cow::format::item::Key;
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

    /// The last block of the file that it speaks of.
    pub(super) fn last(&self) -> Option<u64> {
        match self {
            Self::Plain(block, _) => Some(*block),
            Self::Packed(blocks, _) => blocks.last().copied(),
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
struct Named {
    blocks: BTreeSet<BlockNo>,
    runs: BTreeSet<u8>,
}

impl Named {
    fn by(extent: &Extent) -> Self {
        Self {
            blocks: extent.plain().map(|ptr| ptr.block).collect(),
            runs: extent.runs().collect(),
        }
    }

    /// A number that no run has.
    fn unused_run(&self) -> Result<u8, CowError> {
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
        let (first, keep) = Extent::place(from_file_block);
        if keep > 0 {
            let old = self.extent(ino, first).await?;
            let mut new = old;
            new.slots[keep..].fill(None);
            self.replace_extent(ino, first, Named::by(&old), &new).await?;
        }
        let from = match first.checked_add(if keep > 0 { Extent::SLOTS } else { 0 }) {
            Some(first) => Key::Extent { ino, first }.encode(),
            None => return Ok(()),
        };
        let to = Key::end(ino, ItemKind::Extent);
        loop {
            let question = |tree: &Tree| tree.range(&from, &to, SCAN_RECORDS);
            let records = self.cow.store().ask(&self.tree, question).await?;
            if records.is_empty() {
                return Ok(());
            }
            for record in records {
                let (key, value) = read::record(record)?;
                let Key::Extent { first, .. } = key else { continue };
                let old = read::extent(Some(value))?;
                self.replace_extent(ino, first, Named::by(&old), &Extent::default()).await?;
            }
        }
    }

    async fn extent(&self, ino: u64, first: u64) -> Result<Extent, CowError> {
        read::extent(self.get(&Key::Extent { ino, first }).await?)
    }

    /// Writes an extent. What was named and is no longer is freed.
    async fn replace_extent(
        &mut self,
        ino: u64,
        first: u64,
        named: Named,
        new: &Extent,
    ) -> Result<(), CowError> {
        let kept = Named::by(new);
        self.freed.blocks.extend(named.blocks.difference(&kept.blocks));
        for run in named.runs.difference(&kept.runs) {
            let key = Key::Run { ino, first, run: *run };
            // On a damaged medium the run may not be there.
            if let Some(run) = read::run(self.get(&key).await?)? {
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
    ) -> Result<(), CowError> {
        let mut rest = content;
        while let Some(first) = rest.first().map(Written::extent) {
            let count = rest.iter().take_while(|written| written.extent() == first).count();
            let (head, tail) = rest.split_at(count);
            self.set_extent(ino, first, head).await?;
            rest = tail;
        }
        Ok(())
    }

    async fn set_extent(
        &mut self,
        ino: u64,
        first: u64,
        content: &[Written],
    ) -> Result<(), CowError> {
        let mut extent = self.extent(ino, first).await?;
        let mut named = Named::by(&extent);
        for written in content {
            match written {
                Written::Plain(block, ptr) => {
                    named.blocks.insert(ptr.block);
                    extent.slots[Extent::place(*block).1] = Some(Slot::Plain(*ptr));
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

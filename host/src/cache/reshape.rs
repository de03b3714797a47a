//! What `fallocate` does to a file: holes are punched, room is set aside, what follows moves.
//!
//! Whole blocks change in one transaction beneath, and the pages that showed them go at the same
//! moment. A part of a block at the border of a hole becomes zeros by a write, as any other.

use std::ops::Range;

use bytes::Bytes;

use crate::cache::PageCache;
use crate::cache::State;
use crate::cache::SyncError;
use crate::cache::Writer;
use crate::cache::page::Change;
use crate::cow::CowError;
use crate::cow::Inode;
use crate::cow::Transaction;

/// What becomes of a range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reshape {
    /// Its bytes are gone. Are blocks set aside for it?
    Zero {
        /// They are.
        is_backed: bool,
    },
    /// Blocks are set aside for its holes.
    Back,
    /// It goes, and what follows moves down.
    Collapse,
    /// It is put in, and what follows moves up.
    Insert,
}

impl PageCache {
    /// Reshapes a range, and makes the file at least so long. The caller holds the file's content
    /// lock, and keeps changes from beginning if anything moves; then the range is of whole blocks.
    pub async fn reshape(
        &self,
        ino: u64,
        range: Range<u64>,
        how: Reshape,
        size_bytes: u64,
        by: Writer,
    ) -> Result<(), SyncError> {
        let pages = match how {
            Reshape::Zero { .. } => self.zero_borders(ino, &range, by).await?,
            Reshape::Back | Reshape::Collapse | Reshape::Insert => {
                let page_size = self.page_size_bytes;
                range.start / page_size..range.end.div_ceil(page_size)
            }
        };
        if matches!(how, Reshape::Collapse | Reshape::Insert) {
            self.write_back_range(ino, range.start..u64::MAX).await?;
            self.not_lost(ino, &(range.start..u64::MAX))?;
        }
        let page_size = self.page_size_bytes;
        let backed = range.start / page_size..range.end.div_ceil(page_size);
        if how == Reshape::Back {
            self.take_apart(ino, &backed).await?;
        }
        let lock = self.lock().file(ino)?.writeback.clone();
        let _writeback = lock.acquire().await;
        let mut done = self.reshape_beneath(ino, [&pages, &backed], how, size_bytes).await;
        if done == Err(CowError::NoSpace) {
            self.cow.free_pending().await?;
            done = self.reshape_beneath(ino, [&pages, &backed], how, size_bytes).await;
        }
        let inode = done?;
        self.note_reshaped(ino, (range, pages), how, inode)?;
        Ok(())
    }

    /// Gives the pages of a file that is written in place blocks of their own, where they have
    /// some that others share: they are dirty, and what they need is set aside.
    async fn take_apart(&self, ino: u64, pages: &Range<u64>) -> Result<(), CowError> {
        let end = self.size_bytes(ino)?.div_ceil(self.page_size_bytes);
        for page_no in self.cow.borrowed(ino, pages.start..pages.end.min(end)).await? {
            let nothing = vec![(page_no, Change { at: 0, bytes: Bytes::new() })];
            let at = page_no * self.page_size_bytes;
            self.change(ino, at, nothing, Writer::NOBODY).await?;
        }
        Ok(())
    }

    /// Writes zeros where a range begins or ends within a block; answers the pages between. The
    /// block at the end of the file counts as whole.
    async fn zero_borders(
        &self,
        ino: u64,
        range: &Range<u64>,
        by: Writer,
    ) -> Result<Range<u64>, CowError> {
        let page_size = self.page_size_bytes;
        let size_bytes = self.size_bytes(ino)?;
        let first = range.start.div_ceil(page_size);
        let last = match range.end >= size_bytes {
            true => range.end.div_ceil(page_size),
            false => range.end / page_size,
        };
        let borders = match first < last {
            true => [range.start..first * page_size, last * page_size..range.end],
            false => [range.clone(), 0..0],
        };
        for border in borders {
            let border = border.start..border.end.min(size_bytes);
            let mut at = border.start;
            while at < border.end {
                let zeros = Bytes::from(vec![0; (border.end - at) as usize]);
                at += self.write(ino, at, &zeros, by).await? as u64;
            }
        }
        Ok(first..last.max(first))
    }

    /// Changes pages of the file beneath, where blocks are set aside for some; answers what its
    /// inode says then. The caller holds the writeback lock.
    async fn reshape_beneath(
        &self,
        ino: u64,
        [pages, backed]: [&Range<u64>; 2],
        how: Reshape,
        size_bytes: u64,
    ) -> Result<Inode, CowError> {
        self.clean_tail(ino).await?;
        let (mut times, old_size) = {
            let mut state = self.lock();
            let file = state.file(ino)?;
            (file.times, file.size_bytes)
        };
        times.modify_nanos = match how {
            Reshape::Back => times.modify_nanos,
            Reshape::Zero { .. } | Reshape::Collapse | Reshape::Insert => self.sim.now_nanos(),
        };
        times.change_nanos = self.sim.now_nanos();
        let mut transaction = self.cow.begin().await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        change_extents(&mut transaction, ino, [pages, backed], how).await?;
        let len = (pages.end - pages.start) * self.page_size_bytes;
        inode.size_bytes = match how {
            Reshape::Collapse => old_size - len,
            Reshape::Insert => old_size + len,
            Reshape::Zero { .. } | Reshape::Back if size_bytes > old_size => size_bytes,
            Reshape::Zero { .. } | Reshape::Back => inode.size_bytes,
        };
        inode.times = times;
        transaction.put_inode(ino, &inode).await?;
        transaction.finish().await?;
        Ok(inode)
    }

    /// The file is another one beneath. Nothing else ran since it is.
    fn note_reshaped(
        &self,
        ino: u64,
        (range, pages): (Range<u64>, Range<u64>),
        how: Reshape,
        inode: Inode,
    ) -> Result<(), CowError> {
        let mut state = self.lock();
        let State { files, mappings, .. } = &mut *state;
        let file = files.get_mut(&ino).ok_or(CowError::NoInode(ino))?;
        let old_size = file.size_bytes;
        if inode.size_bytes > old_size {
            self.cut_beyond_end(file, mappings);
        }
        if matches!(how, Reshape::Collapse | Reshape::Insert) {
            mappings.cut(&file.mappings, pages.start);
            file.size_bytes = inode.size_bytes;
        }
        file.size_bytes = file.size_bytes.max(inode.size_bytes);
        file.stored_size_bytes = inode.size_bytes;
        // Before it grew, or moved, the end beneath was zero or valid; a hole is.
        file.is_tail_clean = true;
        file.times = inode.times;
        file.stored_access_nanos = inode.times.access_nanos;
        file.are_times_dirty = false;
        file.generation += 1;
        let (gone, bytes) = match how {
            Reshape::Back => return Ok(()),
            Reshape::Zero { .. } => {
                let start = pages.start * self.page_size_bytes;
                (pages.clone(), start..pages.end * self.page_size_bytes)
            }
            Reshape::Collapse | Reshape::Insert => (pages.start..u64::MAX, range.start..u64::MAX),
        };
        let resolved = file.ledger.remove(bytes.clone());
        self.forget_pages(&mut state, ino, gone);
        state.file(ino)?.unwritten.take(bytes);
        drop(state);
        self.say_resolved(ino, resolved);
        Ok(())
    }
}

async fn change_extents(
    transaction: &mut Transaction,
    ino: u64,
    [pages, backed]: [&Range<u64>; 2],
    how: Reshape,
) -> Result<(), CowError> {
    let count = i64::try_from(pages.end - pages.start).map_err(|_| CowError::NoSpace)?;
    match how {
        Reshape::Zero { is_backed } => {
            transaction.remove_extents(ino, pages.clone()).await?;
            if is_backed {
                // Also where it begins or ends within a block.
                transaction.put_unwritten(ino, backed.clone()).await?;
            }
        }
        Reshape::Back => transaction.put_unwritten(ino, backed.clone()).await?,
        Reshape::Collapse => {
            transaction.remove_extents(ino, pages.clone()).await?;
            transaction.shift_extents(ino, pages.end, -count).await?;
        }
        Reshape::Insert => transaction.shift_extents(ino, pages.start, count).await?,
    }
    Ok(())
}

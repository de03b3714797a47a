//! Changing the size of a file.
//!
//! The block at the new end keeps its old bytes beneath: they are cut from the page in memory, and
//! a file grows beyond such a block only after it was written back with zeros there.

use std::ops::Range;

use crate::cache::CachedFile;
use crate::cache::PageCache;
use crate::cache::State;
use crate::cache::Truncation;
use crate::cache::mappings::Mappings;
use crate::cow::CowError;
use crate::cow::Inode;
use crate::cow::Times;

impl PageCache {
    /// Sets the size of a file. The caller holds the file's content lock.
    pub async fn truncate(&self, ino: u64, size_bytes: u64) -> Result<(), CowError> {
        let lock = self.lock().file(ino)?.writeback.clone();
        let _writeback = lock.acquire().await;
        let (old_size, stored_size, mut times) = {
            let mut state = self.lock();
            let file = state.file(ino)?;
            (file.size_bytes, file.stored_size_bytes, file.times)
        };
        times.modify_nanos = self.sim.now_nanos();
        times.change_nanos = times.modify_nanos;
        // A file that callers see shrink may grow beneath, if its end was not written back yet.
        if size_bytes > stored_size {
            self.clean_tail(ino).await?;
        }
        let data = self.data_beneath(ino, size_bytes..old_size).await?;
        self.put_size(ino, size_bytes, times, old_size).await?;
        let mut state = self.lock();
        let State { files, mappings, .. } = &mut *state;
        let file = files.get_mut(&ino).ok_or(CowError::NoInode(ino))?;
        if size_bytes > old_size {
            self.cut_beyond_end(file, mappings);
        }
        file.size_bytes = size_bytes;
        file.stored_size_bytes = size_bytes;
        file.stored_access_nanos = times.access_nanos;
        file.times = times;
        file.are_times_dirty = false;
        file.generation += 1;
        if size_bytes < old_size {
            let resolved = file.ledger.remove_from(size_bytes);
            self.note_cut(file, mappings, size_bytes, data);
            drop(state);
            self.cut(ino, size_bytes)?;
            self.say_resolved(ino, resolved);
        }
        Ok(())
    }

    /// Where, in a part of a mapped file that is about to be cut, the medium has data.
    async fn data_beneath(&self, ino: u64, range: Range<u64>) -> Result<Vec<Range<u64>>, CowError> {
        if range.is_empty() || self.lock().file(ino)?.mappings.is_empty() {
            return Ok(Vec::new());
        }
        let page_size = self.page_size_bytes;
        let pages = range.start / page_size..range.end.div_ceil(page_size);
        self.cow.data_blocks(ino, pages).await
    }

    /// What mappings showed beyond the new end is gone.
    fn note_cut(
        &self,
        file: &CachedFile,
        mappings: &mut Mappings,
        size_bytes: u64,
        data: Vec<Range<u64>>,
    ) {
        if file.mappings.is_empty() {
            return;
        }
        let page_size = self.page_size_bytes;
        let cached = file.pages.range(size_bytes / page_size..).map(|(no, _)| no..no + 1);
        for pages in data.into_iter().chain(cached) {
            let start = (pages.start * page_size).max(size_bytes);
            let end = pages.end.saturating_mul(page_size);
            mappings.changed(&file.mappings, &(start..end), None);
        }
    }

    async fn put_size(
        &self,
        ino: u64,
        size_bytes: u64,
        times: Times,
        old_size: u64,
    ) -> Result<(), CowError> {
        let mut transaction = self.cow.begin().await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        if size_bytes < old_size && self.policy.truncation == Truncation::DropsBytes {
            let first = size_bytes.div_ceil(self.page_size_bytes);
            transaction.truncate_extents(ino, first).await?;
        }
        inode = Inode { size_bytes, times, ..inode };
        transaction.put_inode(ino, &inode).await?;
        transaction.finish().await
    }

    /// Drops the pages beyond the new end, and the bytes beyond it in its page.
    fn cut(&self, ino: u64, size_bytes: u64) -> Result<(), CowError> {
        if self.policy.truncation == Truncation::KeepsOldBytes {
            return Ok(());
        }
        let mut state = self.lock();
        let first = size_bytes.div_ceil(self.page_size_bytes);
        let State { files, mappings, .. } = &mut *state;
        let file = files.get_mut(&ino).ok_or(CowError::NoInode(ino))?;
        mappings.cut(&file.mappings, first);
        let gone: Vec<u64> = file.pages.range(first..).map(|(page_no, _)| page_no).collect();
        for page_no in gone {
            self.drop_page(&mut state, ino, page_no);
        }
        let file = state.file(ino)?;
        file.unwritten.take(size_bytes..u64::MAX);
        let end_in_page = size_bytes % self.page_size_bytes;
        file.is_tail_clean = end_in_page == 0;
        if let Some(page) = file.pages.get_mut(size_bytes / self.page_size_bytes) {
            page.cut(end_in_page as usize);
        }
        Ok(())
    }

    /// The file is about to grow: what was stored through a mapping beyond its end, in its last
    /// page, does not become part of it.
    pub(super) fn cut_beyond_end(&self, file: &mut CachedFile, mappings: &mut Mappings) {
        if self.policy.truncation == Truncation::KeepsOldBytes {
            return;
        }
        let page_no = file.size_bytes / self.page_size_bytes;
        let at = file.size_bytes % self.page_size_bytes;
        if at > 0
            && let Some(page) = file.pages.get_mut(page_no)
            && page.cut(at as usize)
        {
            let range = file.size_bytes..self.page_range(page_no).end;
            mappings.changed(&file.mappings, &range, None);
        }
    }
}

//! Changing the size of a file.
//!
//! The block at the new end keeps its old bytes beneath: they are cut from the page in memory, and
//! a file grows beyond such a block only after it was written back with zeros there.

use crate::cache::PageCache;
use crate::cache::Truncation;
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
        self.put_size(ino, size_bytes, times, old_size).await?;
        let mut state = self.lock();
        let file = state.file(ino)?;
        file.size_bytes = size_bytes;
        file.stored_size_bytes = size_bytes;
        file.stored_access_nanos = times.access_nanos;
        file.times = times;
        file.are_times_dirty = false;
        file.generation += 1;
        if size_bytes < old_size {
            let resolved = file.ledger.remove_from(size_bytes);
            drop(state);
            self.cut(ino, size_bytes)?;
            self.say_resolved(ino, resolved);
        }
        Ok(())
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
        let file = state.file(ino)?;
        let gone: Vec<u64> = file.pages.range(first..).map(|(page_no, _)| *page_no).collect();
        for page_no in gone {
            self.drop_page(&mut state, ino, page_no);
        }
        let file = state.file(ino)?;
        file.unwritten.take(size_bytes..u64::MAX);
        let end_in_page = size_bytes % self.page_size_bytes;
        file.is_tail_clean = end_in_page == 0;
        if let Some(page) = file.pages.get_mut(&(size_bytes / self.page_size_bytes)) {
            page.cut(end_in_page as usize);
        }
        Ok(())
    }
}

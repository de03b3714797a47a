//! Size and times of a file while it is in memory.

use crate::cache::PageCache;
use crate::cache::SizeAfterFailure;
use crate::cow::CowError;
use crate::cow::Inode;
use crate::cow::Times;

impl PageCache {
    /// The size of a file in memory.
    pub fn size_bytes(&self, ino: u64) -> Result<u64, CowError> {
        Ok(self.lock().file(ino)?.size_bytes)
    }

    /// Replaces what the file system beneath does not know yet.
    pub fn overlay(&self, ino: u64, inode: &mut Inode) {
        if let Some(file) = self.lock().files.get(&ino) {
            inode.size_bytes = file.size_bytes;
            inode.times = file.times;
        }
    }

    /// Changes the times of a file in memory; `change` sees the present ones.
    pub fn set_times(&self, ino: u64, change: impl FnOnce(&mut Times)) {
        if let Some(file) = self.lock().files.get_mut(&ino) {
            change(&mut file.times);
            file.are_times_dirty = true;
        }
    }

    /// Hands the size and the times down, if the file system beneath has others. The caller holds
    /// the writeback lock. Bytes that are lost do not make the file longer, unless the policy says
    /// so.
    pub(super) async fn store_attributes(&self, ino: u64) -> Result<(), CowError> {
        let (size_bytes, times) = {
            let mut state = self.lock();
            let file = state.file(ino)?;
            let unwritten = file.stored_size_bytes..file.size_bytes;
            let is_withheld = self.policy.errors.size_after_failure == SizeAfterFailure::Withheld;
            let is_lost = is_withheld && file.ledger.meets(&unwritten);
            let is_longer = !is_lost && !file.unwritten.meets(&unwritten);
            let size_bytes = if is_longer { file.size_bytes } else { file.stored_size_bytes };
            if size_bytes == file.stored_size_bytes && !file.are_times_dirty {
                return Ok(());
            }
            (size_bytes, file.times)
        };
        self.put_inode(ino, size_bytes, times).await?;
        let mut state = self.lock();
        let file = state.file(ino)?;
        file.stored_size_bytes = size_bytes;
        file.stored_access_nanos = times.access_nanos;
        file.are_times_dirty = file.times != times;
        self.forget_if_idle(&mut state, ino);
        Ok(())
    }

    /// Writes size and times into the inode beneath, in a transaction of its own.
    async fn put_inode(&self, ino: u64, size_bytes: u64, times: Times) -> Result<(), CowError> {
        let mut transaction = self.cow.begin().await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        inode.size_bytes = size_bytes;
        inode.times = times;
        transaction.put_inode(ino, &inode).await?;
        transaction.finish().await
    }
}

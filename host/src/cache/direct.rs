//! Direct reads and writes: past the cache, whose pages of the range are written back and dropped
//! before and after, so that both roads show the same at each return.

use bytes::Bytes;

use crate::cache::PageCache;
use crate::cache::State;
use crate::cache::SyncError;
use crate::cache::WriteFit;
use crate::cache::is_power_off;
use crate::cache::write::Granted;
use crate::cow::Content;
use crate::cow::CowError;
use crate::device::Payload;

impl PageCache {
    /// Reads from the medium. A page that cannot be written back, or is lost, is read as it is in
    /// memory.
    pub async fn read_direct(&self, ino: u64, offset: u64, len: u64) -> Result<Bytes, SyncError> {
        let range = offset..offset.saturating_add(len).min(self.size_bytes(ino)?);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let page_size = self.page_size_bytes;
        let pages = range.start / page_size..range.end.div_ceil(page_size);
        self.write_back_range(ino, range).await?;
        self.evict_range(ino, pages.clone());
        let data = self.read(ino, offset, len).await?;
        self.evict_range(ino, pages);
        Ok(data)
    }

    /// Writes whole blocks to the medium. Answers how many bytes: fewer if space is short or a
    /// later block is refused, and an error only if nothing was written. The caller holds the
    /// file's content lock.
    pub async fn write_direct(
        &self,
        ino: u64,
        offset: u64,
        data: &Bytes,
    ) -> Result<usize, SyncError> {
        let range = offset..offset + data.len() as u64;
        self.write_back_range(ino, range.clone()).await?;
        let mut count = data.len() as u64 / self.page_size_bytes;
        let mut granted = Granted::none(&self.cow);
        let first = offset / self.page_size_bytes;
        loop {
            match self.grant(&mut granted, count, || ()).await {
                Ok(()) => break,
                Err(CowError::NoSpace) => {
                    let pages: Vec<u64> = (first..first + count).collect();
                    if self.grant_kept(ino, &pages, &mut granted).await? {
                        break;
                    }
                    if count < 2 || self.policy.write_fit == WriteFit::AllOrNothing {
                        return Err(CowError::NoSpace.into());
                    }
                    count /= 2;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let data = data.slice(..(count * self.page_size_bytes) as usize);
        Ok(self.write_granted(ino, offset, &data).await?)
    }

    /// One block after the other, up to the first that is refused.
    async fn write_granted(&self, ino: u64, offset: u64, data: &Bytes) -> Result<usize, CowError> {
        let lock = self.lock().file(ino)?.writeback.clone();
        let _writeback = lock.acquire().await;
        self.clean_tail(ino).await?;
        let page_size = self.page_size_bytes as usize;
        let first = offset / self.page_size_bytes;
        for (page_no, start) in (first..).zip((0..data.len()).step_by(page_size)) {
            let block = data.slice(start..start + page_size);
            match self.write_block(ino, page_no, block).await {
                Ok(()) => {}
                Err(error) if start == 0 || is_power_off(&error) => return Err(error),
                Err(_) => return Ok(start),
            }
        }
        Ok(data.len())
    }

    async fn write_block(&self, ino: u64, page_no: u64, block: Bytes) -> Result<(), CowError> {
        let range = self.page_range(page_no);
        let mut times = self.lock().file(ino)?.times;
        times.modify_nanos = self.sim.now_nanos();
        times.change_nanos = times.modify_nanos;
        let content = vec![Content::Plain(page_no, Payload::Owned(block))];
        let written = self.cow.write_content(ino, content, range.end, times).await;
        written.into_iter().collect::<Result<Vec<()>, CowError>>()?;
        // Nothing else ran since it is the file's.
        let mut state = self.lock();
        let State { files, mappings, .. } = &mut *state;
        let file = files.get_mut(&ino).ok_or(CowError::NoInode(ino))?;
        if range.end > file.size_bytes {
            self.cut_beyond_end(file, mappings);
            file.size_bytes = range.end;
        }
        if range.end > file.stored_size_bytes {
            file.stored_size_bytes = range.end;
            file.is_tail_clean = true;
        }
        file.times.modify_nanos = times.modify_nanos;
        file.times.change_nanos = times.change_nanos;
        file.are_times_dirty = true;
        file.generation += 1;
        file.ledger.wrote(std::slice::from_ref(&range));
        self.forget_pages(&mut state, ino, page_no..page_no + 1);
        state.file(ino)?.unwritten.take(range);
        Ok(())
    }
}

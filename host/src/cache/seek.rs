//! Hole queries: where the next data or the next hole of a file is.
//!
//! The map of a file beneath knows nothing of what is dirty in memory, so that is written back
//! first. Every byte that was not zero when the query began is then in the map, and whoever would
//! take one out of it waits for the file's content lock: the answer is true of that moment. What
//! came later may count as data, which is always allowed [SEEK-03].

use std::ops::Range;

use crate::cache::PageCache;
use crate::cache::SeekFlush;
use crate::cache::is_power_off;
use crate::cow::CowError;
use crate::sim::Point;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    /// The next byte that may be other than zero.
    Data,
    /// The next byte of a run of zeros; the end of the file is one.
    Hole,
}

impl PageCache {
    /// Where, from an offset on, what is sought begins; nothing where there is none, and beyond the
    /// end of the file. The caller holds the file's content lock.
    pub async fn seek(
        &self,
        ino: u64,
        offset: u64,
        sought: Sought,
    ) -> Result<Option<u64>, CowError> {
        let size_bytes = self.size_bytes(ino)?;
        if offset >= size_bytes {
            return Ok(None);
        }
        self.sim.point(Point::SeekFlush).await;
        let is_flushed = self.flush_for_seek(ino, offset).await?;
        if !is_flushed {
            return Ok(Some(if sought == Sought::Data { offset } else { size_bytes }));
        }
        self.sim.point(Point::SeekDirtyCheck).await;
        self.sim.point(Point::SeekWalk).await;
        let found = match sought {
            Sought::Data => self.next_data(ino, offset).await?.map(|data| data.start.max(offset)),
            Sought::Hole => Some(self.next_hole(ino, offset).await?.min(size_bytes)),
        };
        Ok(found.filter(|found| sought == Sought::Hole || *found < size_bytes))
    }

    /// Writes back what is dirty from an offset on. Does the map know all of it afterwards?
    async fn flush_for_seek(&self, ino: u64, offset: u64) -> Result<bool, CowError> {
        match self.policy.seek_flush {
            SeekFlush::Integrity => {}
            SeekFlush::BestEffort => {
                return self.flush_best_effort(ino, offset).await.map(|()| true);
            }
            SeekFlush::Nothing => return Ok(true),
        }
        if self.is_flushed(ino, offset)? {
            return Ok(true);
        }
        match self.write_back_for_map(ino, offset..u64::MAX).await {
            // Lost bytes are still what a read shows.
            Ok(()) => Ok(!self.lock().file(ino)?.ledger.meets(&(offset..u64::MAX))),
            Err(error) if is_power_off(&error) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Is nothing under way, and nothing to be written back?
    fn is_flushed(&self, ino: u64, offset: u64) -> Result<bool, CowError> {
        let mut state = self.lock();
        let file = state.file(ino)?;
        let rest = offset..u64::MAX;
        let is_clean = !file.unwritten.meets(&rest) && !file.ledger.meets(&rest);
        Ok(is_clean && file.writeback.try_acquire().is_some())
    }

    async fn flush_best_effort(&self, ino: u64, offset: u64) -> Result<(), CowError> {
        let lock = self.lock().file(ino)?.writeback.clone();
        if lock.try_acquire().is_none() {
            return Ok(());
        }
        match self.write_back_range(ino, offset..u64::MAX).await {
            Err(error) if is_power_off(&error) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The next run of data in the map, from the one on that an offset is in.
    async fn next_data(&self, ino: u64, offset: u64) -> Result<Option<Range<u64>>, CowError> {
        let page_size = self.page_size_bytes;
        let run = self.cow.next_data(ino, offset / page_size).await?;
        Ok(run.map(|run| run.start * page_size..run.end.saturating_mul(page_size)))
    }

    /// The first byte from an offset on that is in no run of data.
    async fn next_hole(&self, ino: u64, offset: u64) -> Result<u64, CowError> {
        let data = self.next_data(ino, offset).await?.filter(|data| data.contains(&offset));
        Ok(data.map_or(offset, |data| data.end))
    }
}

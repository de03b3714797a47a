//! A sync: what took effect becomes durable in the intent log, or by a commit.
//!
//! Invariant C-5: content is durable before the log names it, and the log is durable before the
//! sync returns. The order of the steps is the policy's table.

use bytes::Bytes;

use crate::cow::CowError;
use crate::cow::SyncStep;
use crate::cow::format::log::LogBlock;
use crate::cow::format::log::capacity_bytes;
use crate::cow::store::Store;
use crate::cow::store::origin;
use crate::device::BlockNo;
use crate::device::Class;
use crate::sim::Point;

/// A batch on its way into the log.
struct Batch {
    blocks: Vec<(BlockNo, Bytes)>,
    /// Blocks that the log grew by: all but the first one, and the next one's.
    allocated: Vec<BlockNo>,
    /// The link that the next batch carries.
    link: u32,
}

/// A batch under way. Dropped before it succeeded, as when the caller is gone, it spoils the log:
/// nothing may go on behind a block that may not be there.
struct Attempt<'a> {
    store: &'a Store,
    batch: Option<Batch>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        let mut state = self.store.state();
        state.log_broken = true;
        state.log.blocks.extend(batch.allocated);
    }
}

impl Attempt<'_> {
    fn succeed(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.store.logged(batch);
        }
    }
}

impl Store {
    /// Makes everything that took effect durable.
    pub(super) async fn sync(&self) -> Result<(), CowError> {
        self.goes_on()?;
        self.find_free().await?;
        let guard = self.durable.acquire().await;
        let synced = self.sync_alone().await;
        drop(guard);
        synced
    }

    async fn sync_alone(&self) -> Result<(), CowError> {
        self.finish_discards().await;
        let (broken, nothing) = {
            let state = self.state();
            (state.log_broken, state.unlogged.is_empty())
        };
        if broken {
            return self.commit_alone(None).await;
        }
        if nothing {
            // What took effect is durable, unless the log that said so was found on mounting.
            return self.flush().await;
        }
        self.settle().await;
        // The batch is taken before the first flush: what it names was written before it.
        let Some(batch) = self.take_batch() else { return self.commit_alone(None).await };
        let mut attempt = Attempt { store: self, batch: Some(batch) };
        for step in &self.policy.sync_order {
            if let Some(batch) = &attempt.batch {
                self.sync_step(*step, batch).await?;
            }
        }
        attempt.succeed();
        Ok(())
    }

    /// Everything that is not in the log yet; `None` if a commit is the better way.
    fn take_batch(&self) -> Option<Batch> {
        let mut state = self.state();
        let payload = state.unlogged.encode();
        let room = capacity_bytes(self.geometry.block_size_bytes);
        let count = payload.len().div_ceil(room);
        let long =
            u64::from(state.log.sequence) + count as u64 > u64::from(self.policy.log_blocks_max);
        let needed = state.reserved + state.dirty + self.slack() + count as u64;
        if long || state.free_count() < needed {
            return None;
        }
        let allocated = state.free.as_mut()?.take(count as u64)?;
        state.unlogged.clear();
        let end = &state.log;
        let mut link = end.link;
        let mut block = end.next;
        let mut blocks = Vec::with_capacity(count);
        for (number, next) in allocated.iter().enumerate() {
            let start = number * room;
            let log = LogBlock {
                generation: end.generation,
                next: *next,
                sequence: end.sequence + number as u32,
                link,
                last: number + 1 == count,
                payload: payload.slice(start..payload.len().min(start + room)),
            };
            let (bytes, checksum) = log.encode(self.geometry.block_size_bytes);
            link = checksum;
            blocks.push((block, bytes));
            block = *next;
        }
        Some(Batch { blocks, allocated, link })
    }

    async fn sync_step(&self, step: SyncStep, batch: &Batch) -> Result<(), CowError> {
        match step {
            SyncStep::Flush => {
                self.sim.point(Point::TxFlush).await;
                self.flush().await
            }
            SyncStep::WriteLog => {
                let mut submitted = Vec::with_capacity(batch.blocks.len());
                for (block, bytes) in &batch.blocks {
                    self.sim.point(Point::LogWrite).await;
                    submitted.push(self.submit(*block, bytes.clone(), origin(Class::Log)));
                }
                let mut outcome = Ok(());
                for id in submitted {
                    let written = self.written(id).await;
                    outcome = outcome.and(written);
                }
                self.noted(outcome, self.policy.log_failure)
            }
        }
    }

    fn logged(&self, batch: Batch) {
        let mut state = self.state();
        let log = &mut state.log;
        log.link = batch.link;
        log.sequence += batch.blocks.len() as u32;
        if let Some(next) = batch.allocated.last() {
            log.next = *next;
        }
        log.blocks.extend(batch.allocated);
    }
}

//! The legs of a mirror, for whoever can tell which of them has a right block.

use std::collections::BTreeSet;

use crate::device::BlockNo;
use crate::device::Completion;
use crate::device::Copies;
use crate::device::CopyTask;
use crate::device::DeviceError;
use crate::device::Request;
use crate::device::mirror::Legs;
use crate::device::mirror::Mirror;
use crate::device::mirror::journal::LegDeed;
use crate::device::mirror::journal::LegEvent;
use crate::device::perform;

impl Copies for Mirror {
    fn count(&self) -> u32 {
        self.legs.layout.leg_count
    }

    fn read_copy(&self, copy: u32, block: BlockNo) -> CopyTask<'_, Completion> {
        Box::pin(self.legs.read_leg(copy, block))
    }

    fn repair(&self, block: BlockNo, from: u32, to: u32) -> CopyTask<'_, Result<(), DeviceError>> {
        Box::pin(self.legs.repair(block, from, to))
    }

    fn is_in_doubt(&self, block: BlockNo) -> bool {
        self.legs.is_in_doubt(block)
    }

    fn has_doubt(&self) -> bool {
        !self.legs.state.lock().in_doubt.is_empty()
    }

    fn settle(&self) -> CopyTask<'_, Result<(), DeviceError>> {
        Box::pin(self.legs.settle())
    }
}

impl Legs {
    fn is_present(&self, leg: u32, block: BlockNo) -> bool {
        block.0 < self.layout.leg().block_count && self.present().contains(&leg)
    }

    async fn read_leg(&self, leg: u32, block: BlockNo) -> Completion {
        if !self.is_present(leg, block) {
            return Err(DeviceError::Io);
        }
        let block = self.layout.on_leg(leg, block);
        perform(self.below.as_ref(), Request::Read { block }).await
    }

    /// A repair is a write like others: its region is dirty before and until a flush, and what is
    /// written meanwhile is copied once more.
    async fn repair(&self, block: BlockNo, from: u32, to: u32) -> Result<(), DeviceError> {
        let region = self.layout.region(block);
        let is_written = |others| {
            let state = self.state.lock();
            state.writes.get(&region).is_some_and(|count| *count > others)
        };
        if from == to || !self.is_present(from, block) || is_written(0) {
            return Ok(());
        }
        let regions = BTreeSet::from([region]);
        self.begin(&regions);
        let repaired = match self.write_log(&regions).await {
            Ok(()) => loop {
                let ended = self.state.lock().ended;
                let copied = self.copy_between(block, from, to).await;
                let is_quiet = self.state.lock().ended == ended && !is_written(1);
                if copied.is_err() || is_quiet {
                    break copied;
                }
                self.sim.yield_now().await;
            },
            Err(error) => Err(error),
        };
        self.end(&regions);
        repaired
    }

    async fn copy_between(&self, block: BlockNo, from: u32, to: u32) -> Result<(), DeviceError> {
        let bytes = self.read_leg(from, block).await?;
        if !self.is_present(to, block) || self.read_leg(to, block).await.as_ref() == Ok(&bytes) {
            return Ok(());
        }
        if self.copy(to, block, bytes.clone()).await? {
            let deed = LegDeed::Repaired { bytes };
            self.journal.push(LegEvent::Block { leg: to, block, deed });
        }
        Ok(())
    }
}

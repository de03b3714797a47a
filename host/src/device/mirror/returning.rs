//! Legs that were lost and are there again.
//!
//! Such a leg is written again from then on, and read again when it has all that it missed: it is
//! copied to by the next flush. What it did not miss it keeps: it may be the only right copy. Until
//! then the log calls it lost, so that after a loss of power it is lost again; what it missed is
//! not known any more then, and all is copied.

use crate::device::BlockNo;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::Request;
use crate::device::mirror::Legs;
use crate::device::mirror::ReturningLeg;
use crate::device::mirror::journal::LegDeed;
use crate::device::mirror::journal::LegEvent;
use crate::device::perform;

/// So often a block is copied that is written to meanwhile. Then the next flush tries again.
const TRIES_MAX: u32 = 8;

impl Legs {
    /// A leg that was lost is there again.
    pub(super) fn bring_back(&self, leg: u32) -> Result<(), DeviceError> {
        let mut state = self.state.lock();
        if !state.log.lost.contains(&leg) {
            return Err(DeviceError::OutOfRange);
        }
        match self.policy.returning {
            ReturningLeg::CaughtUp | ReturningLeg::LastWriteEndsCopying => {
                let ended = state.ended;
                state.returning.insert(leg, ended);
            }
            ReturningLeg::AtOnce => {
                state.log.lost.remove(&leg);
            }
        }
        Ok(())
    }

    /// Copies what they missed to the legs that came back; from then on they are read.
    pub(super) async fn catch_up(&self) -> Result<(), DeviceError> {
        let returning = || -> Vec<u32> { self.state.lock().returning.keys().copied().collect() };
        if returning().is_empty() {
            return Ok(());
        }
        let _turn = self.copying.acquire().await;
        for leg in returning() {
            match self.copy_to(leg).await {
                Ok(true) => {
                    let mut state = self.state.lock();
                    // It may have been lost again meanwhile.
                    if state.returning.remove(&leg).is_some() {
                        state.log.lost.remove(&leg);
                        state.missed.remove(&leg);
                    }
                }
                Ok(false) => {}
                Err(DeviceError::PowerOff) => return Err(DeviceError::PowerOff),
                // It is as lost as it was.
                Err(DeviceError::Io | DeviceError::NoSpace | DeviceError::OutOfRange) => {
                    self.state.lock().returning.remove(&leg);
                }
            }
        }
        let _turn = self.logging.acquire().await;
        self.put_log().await
    }

    /// Makes a leg equal to those that are read; `false` if it was written to all the time.
    async fn copy_to(&self, leg: u32) -> Result<bool, DeviceError> {
        for block in (0..self.layout.leg().block_count).map(BlockNo) {
            if self.needs_copy(leg, block) && !self.copy_block(leg, block).await? {
                return Ok(false);
            }
        }
        self.flush_below().await?;
        Ok(true)
    }

    /// May a leg that came back lack what is in a block?
    fn needs_copy(&self, leg: u32, block: BlockNo) -> bool {
        let state = self.state.lock();
        if state.missed.get(&leg).is_some_and(|missed| !missed.contains(&block.0)) {
            return false;
        }
        match self.policy.returning {
            ReturningLeg::CaughtUp | ReturningLeg::AtOnce => true,
            ReturningLeg::LastWriteEndsCopying => {
                let came_back = state.returning.get(&leg).copied().unwrap_or(0);
                let last_end = state.last_end.get(&self.layout.region(block)).copied();
                last_end.unwrap_or(0) <= came_back
            }
        }
    }

    async fn copy_block(&self, leg: u32, block: BlockNo) -> Result<bool, DeviceError> {
        let below: &dyn Device = self.below.as_ref();
        let region = self.layout.region(block);
        for _ in 0..TRIES_MAX {
            let ended = self.state.lock().ended;
            let Some(source) = self.present().first().copied() else { return Ok(false) };
            let of = |leg| Request::Read { block: self.layout.on_leg(leg, block) };
            let right = perform(below, of(source)).await?;
            if perform(below, of(leg)).await? == right {
                let deed = LegDeed::Copied { bytes: right };
                self.journal.push(LegEvent::Block { leg, block, deed });
            } else if !self.copy(leg, block, right).await? {
                return Ok(false);
            }
            let is_quiet = {
                let state = self.state.lock();
                state.ended == ended && !state.writes.contains_key(&region)
            };
            if is_quiet {
                return Ok(true);
            }
            self.sim.yield_now().await;
        }
        Ok(false)
    }
}

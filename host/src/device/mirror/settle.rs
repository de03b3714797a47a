//! Legs that a loss of power left different: they are made equal.
//!
//! A mirror does not know which leg is right. Whoever knows checksums has the wrong blocks repaired
//! first, while they are in doubt; of the rest the first leg counts.

use crate::device::BlockNo;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::Request;
use crate::device::mirror::Legs;
use crate::device::perform;

impl Legs {
    pub(super) fn is_in_doubt(&self, block: BlockNo) -> bool {
        self.state.lock().in_doubt.contains(&self.layout.region(block))
    }

    /// Copies the first leg to the others where they may differ.
    pub(super) async fn settle(&self) -> Result<(), DeviceError> {
        let legs = self.present();
        let Some((first, others)) = legs.split_first() else { return Err(DeviceError::Io) };
        let below: &dyn Device = self.below.as_ref();
        let mut has_written = false;
        for block in (0..self.layout.leg().block_count).map(BlockNo) {
            if !self.is_in_doubt(block) {
                continue;
            }
            let of = |leg| Request::Read { block: self.layout.on_leg(leg, block) };
            let right = perform(below, of(*first)).await?;
            for leg in others {
                if perform(below, of(*leg)).await? != right {
                    self.copy(*leg, block, right.clone()).await?;
                    has_written = true;
                }
            }
        }
        // Repairs were made before.
        has_written |= self.state.lock().ended > 0;
        if has_written {
            self.flush_below().await?;
        }
        let is_clean = {
            let mut state = self.state.lock();
            state.in_doubt.clear();
            let is_clean = state.log.dirty.is_empty();
            state.log.dirty.clear();
            is_clean
        };
        if is_clean {
            return Ok(());
        }
        let _turn = self.logging.acquire().await;
        self.put_log().await
    }
}

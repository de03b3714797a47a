//! What became of blocks on legs, for whoever audits a mirror: facts, and no judgement.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::device::BlockNo;

/// What happened to a block on a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LegDeed {
    /// The mirror was asked to change it, and did not ask the leg.
    Missed,
    /// It was written, as on the other legs.
    Put,
    /// It is about to be read, to answer whoever asked the mirror.
    Read,
}

/// Something that happened to a block on a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegEvent {
    /// Which leg, from 0.
    pub leg: u32,
    /// Which block of it.
    pub block: BlockNo,
    /// What happened.
    pub deed: LegDeed,
}

/// Where events are left if somebody wants them; clones are the same place.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Option<Vec<LegEvent>>>>);

impl Journal {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<LegEvent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self) {
        self.lock().get_or_insert_default();
    }

    pub(super) fn note(&self, leg: u32, blocks: std::ops::Range<u64>, deed: LegDeed) {
        if let Some(kept) = self.lock().as_mut() {
            kept.extend(blocks.map(|block| LegEvent { leg, block: BlockNo(block), deed }));
        }
    }

    pub(super) fn take(&self) -> Vec<LegEvent> {
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }
}

//! What became of blocks, for whoever audits the allocator: facts, and no judgement.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::device::BlockNo;

/// Something that happened to blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// These are free, and all others are in use.
    Found(Vec<BlockNo>),
    /// A writer was granted the block.
    Opened(BlockNo),
    /// Something names it.
    Used(BlockNo),
    /// Its writer does without it; nothing names it.
    GivenBack(BlockNo),
    /// The commit that ended uses of these blocks is durable.
    Stable(Vec<BlockNo>),
    /// Its last use ended, and it may be granted again.
    Released(BlockNo),
    /// A discard of these blocks was sent to the device.
    Discarding(Vec<BlockNo>),
    /// The device has answered it.
    Discarded(Vec<BlockNo>),
    /// A root was written whose tree has these blocks, and the device had refused them.
    Unwritten(Vec<BlockNo>),
}

/// Where grants are left if somebody wants them; clones are the same place.
#[derive(Debug, Clone, Default)]
pub(super) struct Grants(Arc<Mutex<Option<Vec<Grant>>>>);

impl Grants {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Grant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn watch(&self) {
        self.lock().get_or_insert_default();
    }

    pub(super) fn note(&self, grant: impl FnOnce() -> Grant) {
        if let Some(kept) = self.lock().as_mut() {
            kept.push(grant());
        }
    }

    pub(super) fn take(&self) -> Vec<Grant> {
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }
}

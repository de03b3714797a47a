//! Space on the device [LIM-05].
//!
//! What was once told to be free is free again when files need no more: what was removed, cut or
//! written over since is about to be free, and whoever is refused could have waited for it. What
//! files need is estimated from above, and enough is twice that: each byte may have an old block
//! beside the new one.

use crate::model::File;
use crate::model::Model;
use crate::model::Node;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::words::Call;
use crate::words::Errno;
use crate::words::Outcome;
use crate::words::Value;

/// Blocks that a file system may need for itself, beside those of its files.
const OWN_BLOCKS: u64 = 16;

/// Blocks that a file may need beside those of its bytes, and a name.
const FILE_BLOCKS: u64 = 2;

/// The most that was told to be free.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told {
    free_blocks: u64,
    block_size_bytes: u64,
    /// Blocks that were taken since: once they are more, some have become free again.
    taken_blocks: u64,
}

/// Blocks for the bytes of a file and its names.
fn needed_for(file: &File, block_size_bytes: u64) -> u64 {
    let values = file.attributes.live.iter().map(|(name, value)| (name.len() + value.len()) as u64);
    let bytes = match &file.node {
        Node::Regular(regular) => regular.size_most().max(regular.reserved_beyond),
        Node::Directory(_) => 0,
        Node::Symlink(target) => target.len() as u64,
    };
    let beside = FILE_BLOCKS.saturating_add(file.names);
    let blocks = bytes.saturating_add(values.sum()).div_ceil(block_size_bytes);
    blocks.saturating_add(beside)
}

fn needed(model: &Model, block_size_bytes: u64) -> u64 {
    let held = model.files.values().filter(|file| file.names > 0 || file.handles > 0);
    held.map(|file| needed_for(file, block_size_bytes)).fold(0, u64::saturating_add)
}

/// The bytes that a call asks space for.
fn asked(call: &Call) -> Option<u64> {
    if let Call::Write { data, .. } = call {
        Some(data.len() as u64)
    } else if let Call::Allocate { len, .. } = call {
        Some(*len)
    } else {
        None
    }
}

/// Why nobody can say that a refusal was wrong after the device had refused a write.
pub(crate) const LESS_THAN_SAID: &str = "ENOSPC from a device that has less than it says";

/// Why nobody can say whether there was to be space.
const MAY_BE_TAKEN: &str = "space that other calls, snapshots or failures may have taken";

impl Judge {
    /// Did the device ever refuse a write for want of space? Then it has less than it says, and the
    /// file system can promise none of it.
    pub(crate) fn has_device_lacked_space(&self) -> bool {
        self.failed_kinds.has_no_space() || self.lost_kinds.has_no_space()
    }

    /// `statfs` told what is free.
    pub(crate) fn told_free(&mut self, outcome: &Outcome) {
        let Ok(Value::Space { block_size_bytes, free_count, .. }) = outcome else { return };
        let size = u64::from(*block_size_bytes);
        let most = self.space.free_blocks.saturating_mul(self.space.block_size_bytes);
        if size > 0 && free_count.saturating_mul(size) > most {
            let (free_blocks, block_size_bytes) = (*free_count, size);
            self.space = Told { free_blocks, block_size_bytes, taken_blocks: 0 };
        }
    }

    /// A call that takes space was answered: was there to be enough for it?
    pub(crate) fn judge_space(&mut self, frame: &Frame, call: &Call, outcome: &Outcome) {
        let told = self.space;
        let Some(asked) = asked(call).filter(|_| told.free_blocks > 0) else { return };
        let asked = asked.div_ceil(told.block_size_bytes).saturating_add(1);
        let is_refused = matches!(outcome, Err(Errno::NoSpace));
        if outcome.is_ok() {
            self.space.taken_blocks = told.taken_blocks.saturating_add(asked);
        }
        let is_taken_again = self.space.taken_blocks > told.free_blocks;
        if !is_refused && !is_taken_again {
            return;
        }
        self.space.taken_blocks = 0;
        let needed = needed(&self.model, told.block_size_bytes).saturating_add(asked);
        let is_enough = needed.saturating_mul(2).saturating_add(OWN_BLOCKS) <= told.free_blocks;
        if !is_enough {
            return;
        }
        if self.has_device_lacked_space() {
            return self.pass_over(LESS_THAN_SAID);
        }
        if frame.overlapped || self.snapshots.are_any() || !self.testifies || self.has_failed {
            return self.pass_over(MAY_BE_TAKEN);
        }
        self.exercise("LIM-05");
        if !is_refused {
            return;
        }
        let (subject, bytes) = (".".to_owned(), told.block_size_bytes);
        let observed = format!("ENOSPC, where files need less than {needed} blocks of {bytes}");
        let allowed = format!("space: {} blocks were free once", told.free_blocks);
        self.broken(frame, "LIM-05", subject, observed, allowed);
    }
}

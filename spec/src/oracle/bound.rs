//! How much is remembered of what nobody synced.
//!
//! A crash may leave any version of bytes that no sync covers, so each of them is kept. Of a trace
//! that never syncs that would take all memory there is: beyond a bound the oracle gives up, and
//! says so.

use crate::model::Model;
use crate::words::Call;
use crate::words::Memory;

/// Bytes of changes that no sync covers, in all files together.
const UNSYNCED_BYTES_MAX: u64 = 1 << 30;

/// What a change or a file takes beside its bytes, about.
const CHANGE_SIZE_BYTES: u64 = 512;

/// They are counted after so many bytes more, or an eighth of what there was.
const COUNTED_EACH: u64 = UNSYNCED_BYTES_MAX / 64;

/// Why the rest of a trace is not judged.
pub(super) const GAVE_UP: &str = "more than 1 GiB of files and of changes that nobody synced";

/// What changes brought since they were counted last.
#[derive(Debug, Clone, Default)]
pub(super) struct Brought {
    since: u64,
    /// What there was then.
    counted: u64,
}

impl Brought {
    /// Adds a call. Is there more in the model than is remembered? Now and then it forgets the
    /// files that nothing leads to.
    pub(super) fn is_too_much(&mut self, call: &Call, model: &mut Model) -> bool {
        if !call.changes() {
            return false;
        }
        let data = if let Call::Write { data, .. } | Call::Memory(Memory::Store { data, .. }) = call
        {
            data.len()
        } else {
            0
        };
        self.since += CHANGE_SIZE_BYTES + data as u64;
        if self.since < COUNTED_EACH.max(self.counted / 8) {
            return false;
        }
        model.sweep();
        let (bytes, changes) = model.unsynced();
        (self.since, self.counted) = (0, bytes + changes * CHANGE_SIZE_BYTES);
        self.counted > UNSYNCED_BYTES_MAX
    }
}

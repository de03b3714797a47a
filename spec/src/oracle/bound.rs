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

/// They are counted after so many bytes more.
const COUNTED_EACH: u64 = UNSYNCED_BYTES_MAX / 16;

/// Why the rest of a trace is not judged.
pub(super) const GAVE_UP: &str = "more than 1 GiB of files and of changes that nobody synced";

/// What changes brought since they were counted last.
#[derive(Debug, Clone, Default)]
pub(super) struct Brought(u64);

impl Brought {
    /// Adds a call. Is there more in the model than is remembered?
    pub(super) fn is_too_much(&mut self, call: &Call, model: &Model) -> bool {
        if !call.changes() {
            return false;
        }
        let data = if let Call::Write { data, .. } | Call::Memory(Memory::Store { data, .. }) = call
        {
            data.len()
        } else {
            0
        };
        self.0 += CHANGE_SIZE_BYTES + data as u64;
        if self.0 < COUNTED_EACH {
            return false;
        }
        self.0 = 0;
        let (bytes, changes) = model.unsynced();
        bytes + changes * CHANGE_SIZE_BYTES > UNSYNCED_BYTES_MAX
    }
}

//! A wrapper that notes what is asked of mapped memory.

use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;

use crashproof::call::Caller;
use crashproof::call::MappingId;
use crashproof::call::Memory;
use crashproof::call::ProcessId;
use crashproof::call::ReplyFuture;
use crashproof::call::Request;
use crashproof::call::Vfs;

/// Passes everything on.
pub(crate) struct Noting {
    pub(crate) inner: Arc<dyn Vfs>,
    pub(crate) asked: Mutex<Vec<Memory>>,
}

impl Noting {
    /// The stores, as offsets and bytes.
    pub(crate) fn stores(&self) -> Vec<(u64, Vec<u8>)> {
        let asked = self.asked.lock().expect("one thread");
        let stores = asked.iter().filter_map(|memory| match memory {
            Memory::Store { offset, data, .. } => Some((*offset, data.to_vec())),
            Memory::Map { .. }
            | Memory::Unmap { .. }
            | Memory::Protect { .. }
            | Memory::Load { .. }
            | Memory::SyncMapping { .. } => None,
        });
        stores.collect()
    }

    /// How many bytes were loaded.
    pub(crate) fn loaded(&self) -> u64 {
        let asked = self.asked.lock().expect("one thread");
        let loaded = asked.iter().map(|memory| match memory {
            Memory::Load { len, .. } => u64::from(*len),
            Memory::Map { .. }
            | Memory::Unmap { .. }
            | Memory::Protect { .. }
            | Memory::Store { .. }
            | Memory::SyncMapping { .. } => 0,
        });
        loaded.sum()
    }
}

impl Vfs for Noting {
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_> {
        if let Request::Memory(memory) = &request {
            self.asked.lock().expect("one thread").push(memory.clone());
        }
        self.inner.call(caller, request)
    }

    fn end_process(&self, process: ProcessId) -> ReplyFuture<'_> {
        self.inner.end_process(process)
    }

    fn take_stale(&self, process: ProcessId) -> Vec<(MappingId, Range<u64>)> {
        self.inner.take_stale(process)
    }

    fn take_barred(&self, process: ProcessId) -> Option<Vec<(MappingId, Range<u64>)>> {
        self.inner.take_barred(process)
    }
}

//! What happens before each call of a run's guests.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::call::Caller;
use crate::call::Halt;
use crate::call::MappingId;
use crate::call::ProcessId;
use crate::call::ReplyFuture;
use crate::call::Request;
use crate::call::Vfs;
use crate::check::world::World;

/// What the guests call: the recorder. Before every so many calls what is clean is evicted, and
/// after so many calls the run ends.
pub(super) fn before_calls(
    world: &World,
    evict_every: Option<NonZeroU64>,
    call_count_max: Option<u64>,
) -> Arc<dyn Vfs> {
    let mut vfs: Arc<dyn Vfs> = world.recorder.clone();
    if let Some((every, stack)) = evict_every.zip(world.stack.clone()) {
        vfs = Gate::before(vfs, move |number| {
            if number.is_multiple_of(every.get()) {
                stack.vfs.evict_all();
            }
            Ok(())
        });
    }
    if let Some(most) = call_count_max {
        vfs = Gate::before(
            vfs,
            move |number| {
                if number <= most { Ok(()) } else { Err(Halt::Crashed) }
            },
        );
    }
    vfs
}

/// Whether the call of this number, from 1, may pass.
type Pass = dyn Fn(u64) -> Result<(), Halt> + Send + Sync;

struct Gate {
    inner: Arc<dyn Vfs>,
    calls: AtomicU64,
    pass: Box<Pass>,
}

impl Gate {
    fn before(
        inner: Arc<dyn Vfs>,
        pass: impl Fn(u64) -> Result<(), Halt> + Send + Sync + 'static,
    ) -> Arc<dyn Vfs> {
        Arc::new(Self { inner, calls: AtomicU64::new(0), pass: Box::new(pass) })
    }
}

impl Vfs for Gate {
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_> {
        match (self.pass)(self.calls.fetch_add(1, Ordering::Relaxed) + 1) {
            Ok(()) => self.inner.call(caller, request),
            Err(halt) => Box::pin(async { Err(halt) }),
        }
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

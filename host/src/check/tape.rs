//! What a program asked and was answered, to be asked again on another file system.
//!
//! A guest is a function of its module, its arguments, its input and what it is answered; time
//! passes when it asks for it, and its random bytes come from the run's seed. So a guest that would
//! be answered as it was before does as it did before, and need not run.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;

use crate::call::CallId;
use crate::call::Caller;
use crate::call::MappingId;
use crate::call::ProcessId;
use crate::call::Reply;
use crate::call::ReplyFuture;
use crate::call::Request;
use crate::call::Value;
use crate::call::Vfs;
use crate::check::verify::Verified;
use crate::sim::Sim;

/// Tapes of more calls, or with more bytes in them, are not kept.
const TAPE_CALL_COUNT_MAX: usize = 4096;
const TAPE_SIZE_BYTES_MAX: usize = 4 << 20;

/// So many tapes are kept, and so many of them are tried before a program runs.
const TAPE_COUNT: usize = 16;
const TRIED_COUNT: usize = 2;

/// What was asked at a moment, and what came of it.
#[derive(Debug)]
struct Heard {
    at_nanos: u64,
    caller: Caller,
    asked: Asked,
    reply: Reply,
}

#[derive(Debug)]
enum Asked {
    Call(Request),
    EndProcess,
}

impl Heard {
    /// The bytes that it keeps.
    fn size_bytes(&self) -> usize {
        let asked = match &self.asked {
            Asked::Call(Request::Write { data, .. }) => data.len(),
            Asked::Call(_) | Asked::EndProcess => 0,
        };
        let answered = match &self.reply {
            Ok(Ok(Value::Data(data) | Value::AttributeValue(data))) => data.len(),
            Ok(Ok(Value::Entries(entries))) => size_of_val(&entries[..]),
            Ok(Ok(Value::AttributeNames(names))) => names.iter().map(Bytes::len).sum(),
            Ok(_) | Err(_) => 0,
        };
        asked + answered
    }
}

/// All that a program asked, in order.
#[derive(Debug, Default)]
pub(super) struct Tape {
    heard: Vec<Heard>,
    size_bytes: usize,
}

impl Tape {
    /// Asks all of it again. Is each answer what it was?
    pub(super) async fn is_repeated_by(&self, vfs: &dyn Vfs, sim: &Sim) -> bool {
        for heard in &self.heard {
            sim.advance_nanos(heard.at_nanos.saturating_sub(sim.now_nanos()));
            let reply = match &heard.asked {
                Asked::Call(request) => vfs.call(heard.caller, request.clone()).await,
                Asked::EndProcess => vfs.end_process(heard.caller.process).await,
            };
            if reply != heard.reply {
                return false;
            }
        }
        true
    }
}

/// Passes requests on and keeps them.
pub(super) struct Taping {
    inner: Arc<dyn Vfs>,
    sim: Sim,
    /// Nothing, once there is something that a tape does not hold.
    tape: Mutex<Option<Tape>>,
}

impl Taping {
    pub(super) fn new(inner: Arc<dyn Vfs>, sim: Sim) -> Self {
        Self { inner, sim, tape: Mutex::new(Some(Tape::default())) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Tape>> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked, if a tape holds all of it.
    pub(super) fn take(&self) -> Option<Tape> {
        self.lock().take()
    }

    /// There was something that a tape does not hold.
    pub(super) fn spoil(&self) {
        *self.lock() = None;
    }

    fn keep(&self, heard: Heard) {
        let mut kept = self.lock();
        let Some(tape) = &mut *kept else { return };
        tape.size_bytes += heard.size_bytes();
        // What is mapped is read without a call.
        let is_mapped = matches!(heard.asked, Asked::Call(Request::Memory(_)));
        let is_long =
            tape.heard.len() >= TAPE_CALL_COUNT_MAX || tape.size_bytes > TAPE_SIZE_BYTES_MAX;
        if is_mapped || is_long || heard.reply.is_err() {
            *kept = None;
        } else {
            tape.heard.push(heard);
        }
    }
}

impl Vfs for Taping {
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_> {
        Box::pin(async move {
            let (at_nanos, asked) = (self.sim.now_nanos(), Asked::Call(request.clone()));
            let reply = self.inner.call(caller, request).await;
            self.keep(Heard { at_nanos, caller, asked, reply: reply.clone() });
            reply
        })
    }

    fn end_process(&self, process: ProcessId) -> ReplyFuture<'_> {
        Box::pin(async move {
            let reply = self.inner.end_process(process).await;
            let caller = Caller { process, call: CallId(0) };
            let (at_nanos, asked) = (self.sim.now_nanos(), Asked::EndProcess);
            self.keep(Heard { at_nanos, caller, asked, reply: reply.clone() });
            reply
        })
    }

    fn take_stale(&self, process: ProcessId) -> Vec<(MappingId, Range<u64>)> {
        self.inner.take_stale(process)
    }

    fn take_barred(&self, process: ProcessId) -> Option<Vec<(MappingId, Range<u64>)>> {
        self.inner.take_barred(process)
    }
}

/// A run of a program: its input, what it asked, and what it said.
pub(super) struct Known {
    input: Bytes,
    pub(super) tape: Tape,
    pub(super) said: Verified,
}

/// The last runs of a program.
#[derive(Default)]
pub struct Tapes(Mutex<VecDeque<Arc<Known>>>);

impl Tapes {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Known>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last runs with this input.
    pub(super) fn of(&self, input: &Bytes) -> Vec<Arc<Known>> {
        let kept = self.lock();
        kept.iter().filter(|known| known.input == input).take(TRIED_COUNT).cloned().collect()
    }

    pub(super) fn keep(&self, input: Bytes, tape: Tape, said: Verified) {
        let mut kept = self.lock();
        kept.push_front(Arc::new(Known { input, tape, said }));
        kept.truncate(TAPE_COUNT);
    }
}

#[cfg(test)]
mod tests {
    use crashproof_spec::promise::Level;
    use crashproof_spec::promise::Promises;

    use super::*;
    use crate::call::At;
    use crate::call::HandleId;
    use crate::call::Memory;
    use crate::call::OpenOptions;
    use crate::check::world::Chance;
    use crate::check::world::Expectation;
    use crate::check::world::World;
    use crate::device::FaultPlan;
    use crate::device::Geometry;
    use crate::subject::Policies;
    use crate::subject::StackPlan;

    const CALLER: Caller = Caller { process: ProcessId(7), call: CallId(0) };

    /// A world with two files.
    fn world(read: &'static str, unread: &'static str) -> World {
        let geometry = Geometry { block_size_bytes: 512, block_count: 128 };
        let plan =
            StackPlan { geometry, policies: Policies::default(), faults: FaultPlan::default() };
        let promises = Arc::new(Promises::strict_sticky());
        let expectation = Expectation { promises, level: Level::Strict, audited: false };
        let world = World::reference(&plan, &Chance::Calm, &expectation).expect("there is room");
        world.sim.block_on(async {
            for (name, data) in [("read", read), ("unread", unread)] {
                let handle = open(world.recorder.as_ref(), name, true).await;
                let data = Bytes::from(data);
                write(world.recorder.as_ref(), handle, data).await;
            }
        });
        world
    }

    async fn answer(vfs: &dyn Vfs, request: Request) -> Value {
        vfs.call(CALLER, request).await.expect("the run goes on").expect("it can be done")
    }

    async fn open(vfs: &dyn Vfs, name: &'static str, create: bool) -> HandleId {
        let at = At { directory: HandleId::ROOT, path: Bytes::from(name) };
        let options = OpenOptions { read: true, write: true, create, ..OpenOptions::default() };
        let Value::Handle { handle, .. } = answer(vfs, Request::Open { at, options }).await else {
            panic!("open answers a handle")
        };
        handle
    }

    async fn write(vfs: &dyn Vfs, handle: HandleId, data: Bytes) {
        answer(vfs, Request::Write { handle, offset: Some(0), data }).await;
    }

    /// A program that reads a file, waits, writes another and looks at its times.
    async fn program(vfs: &dyn Vfs, sim: &Sim) {
        let handle = open(vfs, "read", false).await;
        answer(vfs, Request::Read { handle, offset: Some(0), len: 100 }).await;
        sim.advance_nanos(1_000_000);
        let handle = open(vfs, "new", true).await;
        write(vfs, handle, Bytes::from("x")).await;
        answer(vfs, Request::StatHandle { handle }).await;
        vfs.end_process(CALLER.process).await.expect("the run goes on").expect("it can be done");
    }

    fn taped(act: impl AsyncFnOnce(&Taping, &World)) -> Option<Tape> {
        let world = world("bytes", "others");
        let taping = Taping::new(world.recorder.clone(), world.sim.clone());
        world.sim.block_on(act(&taping, &world));
        taping.take()
    }

    #[test]
    fn it_is_repeated_where_all_is_as_it_was_that_is_asked_for() {
        let tape = taped(async |taping, world| program(taping, &world.sim).await);
        let tape = tape.expect("a tape holds it");
        assert_eq!(tape.heard.len(), 6);
        let repeats = |world: World| {
            let asked = tape.is_repeated_by(world.recorder.as_ref(), &world.sim);
            world.sim.block_on(asked)
        };
        assert!(repeats(world("bytes", "others")));
        assert!(repeats(world("bytes", "what nobody reads")), "nobody reads that");
        assert!(!repeats(world("bites", "others")));
        assert!(!repeats(world("bytes and more", "others")));
    }

    #[test]
    fn what_a_tape_does_not_hold_is_on_none() {
        assert!(taped(async |taping, _| taping.spoil()).is_none());
        let mapped = taped(async |taping, _| {
            let memory = Request::Memory(Memory::Store {
                mapping: MappingId(1),
                offset: 0,
                data: Bytes::new(),
            });
            let _ = taping.call(CALLER, memory).await;
        });
        assert!(mapped.is_none());
        let long = taped(async |taping, _| {
            let handle = open(taping, "read", false).await;
            for _ in 0..TAPE_CALL_COUNT_MAX {
                answer(taping, Request::StatHandle { handle }).await;
            }
        });
        assert!(long.is_none());
    }

    #[test]
    fn the_last_tapes_with_the_same_input_are_tried_newest_first() {
        let tapes = Tapes::default();
        let input = |number: usize| Bytes::from(vec![number as u8 % 2]);
        for number in 0..2 * TAPE_COUNT {
            let said = Verified::False(number.to_string());
            tapes.keep(input(number), Tape::default(), said);
        }
        let said: Vec<_> = tapes.of(&input(0)).iter().map(|known| known.said.clone()).collect();
        assert_eq!(said, ["30", "28"].map(|number| Verified::False(number.to_owned())));
        assert_eq!(tapes.lock().len(), TAPE_COUNT);
        assert!(tapes.of(&Bytes::from("another")).is_empty());
    }
}

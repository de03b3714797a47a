//! Advisory locks: who gets one, who waits, what ends them.

use std::sync::Arc;
use std::sync::Mutex;

use crate::cache::CachePolicy;
use crate::call::Answer;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::Errno;
use crate::call::Halt;
use crate::call::HandleId;
use crate::call::HeldLock;
use crate::call::Lock;
use crate::call::LockKind;
use crate::call::LockOwner;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Value;
use crate::call::Vfs;
use crate::sim::Sim;
use crate::sim::Site;
use crate::vfs::LockEnd;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::DIRECTORY;
use crate::vfs::tests::EDIT;
use crate::vfs::tests::READ;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::concurrent::Answers;
use crate::vfs::tests::concurrent::exhaust;
use crate::vfs::tests::concurrent::spawn;
use crate::vfs::tests::formatted;

const SHARED: Option<LockKind> = Some(LockKind::Shared);
const EXCLUSIVE: Option<LockKind> = Some(LockKind::Exclusive);

fn flock(handle: HandleId, kind: Option<LockKind>, wait: bool) -> Request {
    Request::Lock(Lock::Whole { handle, kind, wait })
}

fn record(handle: HandleId, kind: Option<LockKind>, start: u64, len: u64, wait: bool) -> Request {
    let owner = LockOwner::Process;
    Request::Lock(Lock::Record { handle, kind, start, len, wait, owner })
}

impl World {
    fn asks(&self, process: u32, request: Request) -> Answer {
        let caller = Caller { process: ProcessId(process), call: CallId(0) };
        self.sim.block_on(self.vfs.call(caller, request)).expect("nobody is stuck")
    }

    fn locks(
        &self,
        process: u32,
        handle: HandleId,
        kind: Option<LockKind>,
        at: [u64; 2],
    ) -> Answer {
        self.asks(process, record(handle, kind, at[0], at[1], false))
    }

    fn tests(&self, process: u32, handle: HandleId, kind: LockKind, at: [u64; 2]) -> Answer {
        let [start, len] = at;
        let owner = LockOwner::Process;
        self.asks(process, Request::Lock(Lock::Test { handle, kind, start, len, owner }))
    }

    fn opened_by(&mut self, process: u32) -> HandleId {
        self.process = process;
        let handle = self.open("f", CREATE).expect("it can be opened");
        self.process = 0;
        handle
    }

    fn ends(&self, process: u32) {
        let ended = self.sim.block_on(self.vfs.end_process(ProcessId(process)));
        assert_eq!(ended, Ok(Ok(Value::Done)));
    }
}

const DONE: Answer = Ok(Value::Done);
const TAKEN: Answer = Err(Errno::Again);

#[test]
fn a_description_has_its_lock_alone_or_with_other_readers() {
    let mut world = World::new();
    let [one, two] = [world.opened_by(1), world.opened_by(1)];
    assert_eq!(world.asks(1, flock(one, SHARED, false)), DONE);
    assert_eq!(world.asks(1, flock(two, SHARED, false)), DONE);
    assert_eq!(world.asks(1, flock(two, EXCLUSIVE, false)), TAKEN);
    assert_eq!(world.asks(1, flock(one, EXCLUSIVE, false)), DONE, "the other lost its lock");
    assert_eq!(world.asks(1, flock(two, SHARED, false)), TAKEN);
    assert_eq!(world.asks(2, record(two, EXCLUSIVE, 0, 0, false)), DONE, "another kind of lock");
    assert_eq!(world.asks(1, flock(one, SHARED, false)), DONE);
    assert_eq!(world.asks(1, flock(two, SHARED, true)), DONE);
    assert_eq!(world.asks(1, flock(HandleId(99), SHARED, true)), Err(Errno::BadFile));
    let directory = world.open(".", DIRECTORY).expect("it is there");
    assert_eq!(world.asks(1, flock(directory, EXCLUSIVE, true)), DONE);
}

#[test]
fn the_last_close_and_the_end_of_a_process_end_the_lock_of_a_description() {
    let mut world = World::new();
    let [one, two] = [world.opened_by(1), world.opened_by(2)];
    assert_eq!(world.asks(1, flock(one, EXCLUSIVE, false)), DONE);
    let duplicate = Request::Lock(Lock::CloseDuplicate { handle: one });
    assert_eq!(world.asks(1, duplicate), DONE);
    assert_eq!(world.asks(2, flock(two, EXCLUSIVE, false)), TAKEN);
    assert_eq!(world.asks(1, Request::Close { handle: one }), DONE);
    assert_eq!(world.asks(2, flock(two, EXCLUSIVE, false)), DONE);
    world.ends(2);
    let three = world.opened_by(3);
    assert_eq!(world.asks(3, flock(three, EXCLUSIVE, false)), DONE);
}

#[test]
fn any_close_and_the_end_of_a_process_end_its_locks_on_bytes() {
    let mut world = World::new();
    let [one, same, two] = [world.opened_by(1), world.opened_by(1), world.opened_by(2)];
    for ending in
        [Request::Close { handle: same }, Request::Lock(Lock::CloseDuplicate { handle: one })]
    {
        assert_eq!(world.locks(1, one, EXCLUSIVE, [0, 10]), DONE);
        assert_eq!(world.locks(2, two, SHARED, [9, 1]), TAKEN);
        assert_eq!(world.asks(1, ending), DONE);
        assert_eq!(world.locks(2, two, SHARED, [9, 1]), DONE);
        assert_eq!(world.locks(2, two, None, [0, 0]), DONE);
    }
    assert_eq!(world.locks(1, one, EXCLUSIVE, [0, 10]), DONE);
    world.ends(1);
    assert_eq!(world.locks(2, two, EXCLUSIVE, [0, 0]), DONE);
}

#[test]
fn a_broken_stack_keeps_locks_whose_descriptors_are_gone() {
    let policy = VfsPolicy { lock_end: LockEnd::ByReleaseAlone, ..VfsPolicy::default() };
    let mut world = World::with(formatted(TINY), Sim::calm(), policy, CachePolicy::default());
    let [one, two] = [world.opened_by(1), world.opened_by(2)];
    assert_eq!(world.locks(1, one, EXCLUSIVE, [0, 10]), DONE);
    assert_eq!(world.asks(1, flock(one, EXCLUSIVE, false)), DONE);
    assert_eq!(world.asks(1, Request::Close { handle: one }), DONE);
    world.ends(1);
    assert_eq!(world.locks(2, two, SHARED, [9, 1]), TAKEN);
    assert_eq!(world.asks(2, flock(two, SHARED, false)), TAKEN);
}

#[test]
fn locks_on_bytes_need_the_access_that_they_keep_others_from() {
    let world = World::new();
    world.file("f", b"content");
    let [reader, writer] = [
        world.open("f", READ).expect("it is there"),
        world.open("f", crate::call::OpenOptions { read: false, ..EDIT }).expect("it is there"),
    ];
    assert_eq!(world.locks(1, reader, EXCLUSIVE, [0, 1]), Err(Errno::BadFile));
    assert_eq!(world.locks(1, writer, SHARED, [0, 1]), Err(Errno::BadFile));
    assert_eq!(world.locks(1, reader, SHARED, [0, 1]), DONE);
    assert_eq!(world.locks(1, writer, EXCLUSIVE, [0, 1]), DONE, "its own lock, converted");
    assert_eq!(world.locks(1, reader, None, [0, 1]), DONE);
    assert_eq!(world.locks(1, reader, SHARED, [1 << 63, 1]), Err(Errno::Invalid));
    assert_eq!(world.locks(1, reader, SHARED, [1, u64::MAX]), Err(Errno::Overflow));
}

#[test]
fn a_test_tells_who_is_in_the_way() {
    let mut world = World::new();
    let [one, two] = [world.opened_by(1), world.opened_by(2)];
    assert_eq!(world.locks(1, one, SHARED, [10, 10]), DONE);
    assert_eq!(world.locks(1, one, SHARED, [20, 5]), DONE);
    assert_eq!(world.tests(2, two, LockKind::Shared, [0, 0]), Ok(Value::Lock(None)));
    let (process, kind) = (Some(ProcessId(1)), LockKind::Shared);
    let held = HeldLock { process, kind, start: 10, len: 15 };
    assert_eq!(world.tests(2, two, LockKind::Exclusive, [24, 0]), Ok(Value::Lock(Some(held))));
    assert_eq!(world.tests(2, two, LockKind::Exclusive, [25, 0]), Ok(Value::Lock(None)));
    assert_eq!(world.tests(1, one, LockKind::Exclusive, [0, 0]), Ok(Value::Lock(None)));
}

/// The same through the description.
fn own(handle: HandleId, kind: Option<LockKind>, start: u64, len: u64) -> Request {
    let (wait, owner) = (false, LockOwner::Description);
    Request::Lock(Lock::Record { handle, kind, start, len, wait, owner })
}

#[test]
fn a_lock_of_a_description_is_in_everybodys_way_until_its_last_close() {
    let mut world = World::new();
    let [one, same, two] = [world.opened_by(1), world.opened_by(1), world.opened_by(2)];
    assert_eq!(world.asks(1, own(one, EXCLUSIVE, 0, 10)), DONE);
    assert_eq!(world.asks(1, own(same, SHARED, 9, 1)), TAKEN, "another of the same process");
    assert_eq!(world.locks(1, one, SHARED, [9, 1]), TAKEN, "its own process");
    assert_eq!(world.locks(2, two, EXCLUSIVE, [10, 1]), DONE);
    assert_eq!(world.asks(1, own(one, SHARED, 10, 1)), TAKEN);
    let (process, kind) = (None, LockKind::Exclusive);
    let held = HeldLock { process, kind, start: 0, len: 10 };
    assert_eq!(world.tests(2, two, LockKind::Shared, [0, 0]), Ok(Value::Lock(Some(held))));
    let owner = LockOwner::Description;
    let test = Lock::Test { handle: one, kind: LockKind::Shared, start: 0, len: 0, owner };
    let met = HeldLock { process: Some(ProcessId(2)), kind, start: 10, len: 1 };
    assert_eq!(world.asks(1, Request::Lock(test)), Ok(Value::Lock(Some(met))));
    // Neither another close of the process nor one of a duplicate ends it.
    assert_eq!(world.asks(1, Request::Close { handle: same }), DONE);
    assert_eq!(world.asks(1, Request::Lock(Lock::CloseDuplicate { handle: one })), DONE);
    assert_eq!(world.locks(2, two, SHARED, [0, 1]), TAKEN);
    assert_eq!(world.asks(1, Request::Close { handle: one }), DONE);
    assert_eq!(world.locks(2, two, SHARED, [0, 1]), DONE);
    let three = world.opened_by(3);
    assert_eq!(world.asks(3, own(three, SHARED, 0, 5)), DONE);
    world.ends(3);
    assert_eq!(world.locks(2, two, EXCLUSIVE, [0, 0]), DONE);
    assert_eq!(world.asks(2, own(two, SHARED, 1 << 63, 1)), Err(Errno::Invalid));
}

#[test]
fn a_process_has_so_many_pieces_and_no_more() {
    let policy = VfsPolicy { record_locks_max: 2, ..VfsPolicy::default() };
    let mut world = World::with(formatted(TINY), Sim::calm(), policy, CachePolicy::default());
    let one = world.opened_by(1);
    assert_eq!(world.locks(1, one, EXCLUSIVE, [0, 9]), DONE);
    assert_eq!(world.locks(1, one, None, [3, 1]), DONE);
    assert_eq!(world.locks(1, one, None, [6, 1]), Err(Errno::NoLocks));
    assert_eq!(world.locks(1, one, SHARED, [20, 1]), Err(Errno::NoLocks));
    assert_eq!(world.locks(1, one, EXCLUSIVE, [3, 1]), DONE);
    assert_eq!(world.locks(1, one, SHARED, [20, 1]), DONE);
}

/// Under every schedule, of two that each add a byte to a file under its lock, both are counted.
#[test]
fn whoever_waits_for_a_lock_is_alone_when_it_has_it() {
    for lock in [flock as fn(_, _, _) -> Request, |h, kind, wait| record(h, kind, 0, 0, wait)] {
        let scenario = |sim: Sim| {
            let policy = VfsPolicy::default();
            let mut world = World::with(formatted(TINY), sim, policy, CachePolicy::default());
            let inside = Arc::new(Mutex::new((0, 0)));
            let handles = [world.opened_by(1), world.opened_by(2), world.opened_by(3)];
            for (process, handle) in (1..).zip(handles) {
                let (vfs, inside) = (world.vfs.clone(), Arc::clone(&inside));
                world.sim.spawn(async move {
                    let caller = Caller { process: ProcessId(process), call: CallId(0) };
                    assert_eq!(vfs.call(caller, lock(handle, EXCLUSIVE, true)).await, Ok(DONE));
                    let others = {
                        let mut inside = inside.lock().expect("one thread");
                        inside.0 += 1;
                        inside.0
                    };
                    assert_eq!(others, 1, "one at a time");
                    assert!(vfs.call(caller, Request::StatHandle { handle }).await.is_ok());
                    {
                        let mut inside = inside.lock().expect("one thread");
                        inside.0 -= 1;
                        inside.1 += 1;
                    }
                    let release = match process {
                        1 => lock(handle, None, false),
                        _ => Request::Close { handle },
                    };
                    assert_eq!(vfs.call(caller, release).await, Ok(DONE));
                });
            }
            world.sim.run_background();
            assert_eq!(*inside.lock().expect("one thread"), (0, 3), "everybody had a turn");
        };
        assert!(exhaust(&[Site::Preempt, Site::Schedule], 9, scenario) > 50);
    }
}

#[test]
fn of_two_that_convert_at_once_both_have_their_turn() {
    let scenario = |sim: Sim| {
        let policy = VfsPolicy::default();
        let mut world = World::with(formatted(TINY), sim, policy, CachePolicy::default());
        let handles = [world.opened_by(1), world.opened_by(2)];
        let answers = Answers::default();
        for (process, handle) in (1..).zip(handles) {
            let kinds = [SHARED, EXCLUSIVE, None];
            let requests = kinds.map(|kind| flock(handle, kind, true)).to_vec();
            spawn(&world, process, requests, &answers);
        }
        world.sim.run_background();
        let answers = answers.lock().expect("one thread").clone();
        assert_eq!(answers.len(), 6, "nobody waits for ever");
        assert!(answers.iter().all(|(_, answer)| *answer == DONE), "{answers:?}");
    };
    assert!(exhaust(&[Site::Preempt, Site::Schedule], 9, scenario) > 20);
}

#[test]
fn a_wait_on_bytes_that_would_never_end_is_refused() {
    let mut world = World::new();
    let handles = [world.opened_by(1), world.opened_by(2), world.opened_by(3)];
    let answers = Answers::default();
    // Each holds a byte; the first two wait for the next one's, in a chain.
    for (process, handle) in (1..).zip(handles) {
        assert_eq!(world.locks(process, handle, EXCLUSIVE, [process.into(), 1]), DONE);
    }
    spawn(&world, 1, vec![record(handles[0], SHARED, 2, 1, true)], &answers);
    spawn(&world, 2, vec![record(handles[1], SHARED, 3, 1, true)], &answers);
    world.sim.run_background();
    let closing = record(handles[2], SHARED, 0, 2, true);
    assert_eq!(world.asks(3, closing.clone()), Err(Errno::Deadlock));
    assert_eq!(world.locks(3, handles[2], None, [0, 0]), DONE);
    world.sim.run_background();
    assert_eq!(*answers.lock().expect("one thread"), [(2, DONE)], "the second goes on");
    world.ends(2);
    world.sim.run_background();
    assert_eq!(answers.lock().expect("one thread").len(), 2, "and then the first");
    assert_eq!(world.asks(3, record(handles[2], SHARED, 5, 1, true)), DONE);
}

#[test]
fn when_every_process_waits_the_run_is_over() {
    let mut world = World::new();
    let handles = [world.opened_by(1), world.opened_by(1)];
    assert_eq!(world.asks(1, flock(handles[0], EXCLUSIVE, true)), DONE);
    let caller = Caller { process: ProcessId(1), call: CallId(0) };
    let waiting = world.vfs.call(caller, flock(handles[1], SHARED, true));
    assert_eq!(world.sim.block_on(waiting), Err(Halt::Stuck));
}

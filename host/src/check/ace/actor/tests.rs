//! Each operation makes the call that it is named for, and no call fails.

use std::sync::Arc;
use std::sync::Mutex;

use crashproof_spec::trace::Event;
use crashproof_spec::words::Attribute;
use crashproof_spec::words::Call;
use crashproof_spec::words::Manage;
use crashproof_spec::words::Memory;

use crate::check::ace::AceOperation;
use crate::check::ace::Persistence;
use crate::check::ace::Placed;
use crate::check::ace::Set;
use crate::check::ace::Workload;
use crate::check::ace::actor::Actor;
use crate::device::FaultPlan;
use crate::device::Geometry;
use crate::observe::Notebook;
use crate::observe::Recorder;
use crate::sim::Sim;
use crate::subject::Policies;
use crate::subject::Stack;
use crate::subject::StackPlan;

const BLOCK: u64 = 4096;

/// The calls that workloads make, one after the other on one file system, and those that failed.
fn calls_of(operations: Vec<(AceOperation, Persistence)>) -> (Vec<Call>, Vec<String>) {
    let geometry = Geometry { block_size_bytes: 4096, block_count: 512 };
    let plan = StackPlan { geometry, policies: Policies::default(), faults: FaultPlan::default() };
    let sim = Sim::calm();
    let stack = sim.block_on(Stack::format(&plan, &sim)).expect("it can be made");
    let calls = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let kept = Arc::clone(&calls);
    let sink = move |_, event| {
        let mut kept = kept.lock().expect("nobody panics");
        match event {
            Event::Called { call, .. } => kept.0.push(call),
            Event::Answered { outcome: Err(errno), .. } => {
                let call = kept.0.last().cloned();
                kept.1.push(format!("{errno:?} to {call:?}"));
            }
            Event::Answered { .. }
            | Event::Exited { .. }
            | Event::Testified(_)
            | Event::Crashed(_)
            | Event::Surveyed(_) => {}
        }
    };
    let notebook = Notebook::new(stack.witness.clone(), sink);
    let recorder = Recorder::new(stack.vfs.clone(), notebook);
    let mut actor = Actor::new(&recorder, geometry.block_size_bytes);
    let done = sim.block_on(actor.run(&Workload { number: 0, operations }));
    assert!(done.is_ok(), "{done:?}");
    let (calls, failed) = calls.lock().expect("nobody panics").clone();
    assert_eq!(actor.errors(), failed.len() as u64);
    (calls, failed)
}

/// Where an operation begins in a file that has two blocks, or has just been made.
fn offset(placed: Placed, is_made: bool) -> u64 {
    match placed {
        Placed::Append if is_made => 0,
        Placed::Append => 2 * BLOCK,
        Placed::Inside => BLOCK / 2,
        Placed::Across => 2 * BLOCK - BLOCK / 2,
        Placed::Start => 0,
    }
}

/// Is the call what the operation is named for?
fn is_of(operation: AceOperation, call: &Call) -> bool {
    use AceOperation as O;
    match (operation, call) {
        (O::Create(name), Call::Open { at, options }) => {
            &at.path[..] == name.path().as_bytes() && options.create && options.exclusive
        }
        (O::MakeDirectory(name), Call::MakeDirectory { at, .. })
        | (O::RemoveDirectory(name), Call::RemoveDirectory { at })
        | (O::Unlink(name) | O::Remove(name), Call::Unlink { at }) => {
            &at.path[..] == name.path().as_bytes()
        }
        (O::Allocate(_, _, placed), Call::Allocate { offset: at, .. }) => {
            *at == offset(placed, false)
        }
        (O::Write(_, placed), Call::Write { offset: at, .. }) => *at == Some(offset(placed, true)),
        (O::WriteDirect(_, placed), Call::Write { offset: at, data, .. }) => {
            *at == Some(offset(placed, true)) && (data.len() as u64).is_multiple_of(BLOCK)
        }
        (
            O::WriteMapped(..) | O::WriteMappedRanged(_),
            Call::Memory(Memory::SyncMapping { .. }),
        )
        | (O::SetAttribute(_), Call::Attribute(Attribute::Set { .. }))
        | (O::RemoveAttribute(_), Call::Attribute(Attribute::Remove { .. }))
        | (O::Snapshot, Call::Manage(Manage::Snapshot { .. }))
        | (O::Clone(..), Call::CloneRange { .. }) => true,
        (O::Link(from, to), Call::Link { from: old, to: new, .. })
        | (O::Rename(from, to), Call::Rename { from: old, to: new, .. }) => {
            &old.path[..] == from.path().as_bytes() && &new.path[..] == to.path().as_bytes()
        }
        (O::Truncate(_, aligned), Call::Truncate { size_bytes, .. }) => {
            (size_bytes % BLOCK == 0) == aligned
        }
        (O::Symlink(target, name), Call::Symlink { target: to, at }) => {
            &to[..] == target.path().as_bytes() && &at.path[..] == name.path().as_bytes()
        }
        _ => false,
    }
}

#[test]
fn each_operation_makes_its_call_alone_and_after_itself_and_none_fails() {
    for operation in Set::All.operations().into_iter().chain(Set::Nested.operations()) {
        let once = vec![(operation, Persistence::Sync)];
        let (calls, failed) = calls_of(once.clone());
        assert_eq!(failed, [] as [String; 0], "{operation}");
        assert!(calls.iter().any(|call| is_of(operation, call)), "{operation}");
        assert_eq!(calls.last(), Some(&Call::SyncAll), "{operation}");
        let (_, failed) = calls_of([once.clone(), once].concat());
        assert_eq!(failed, [] as [String; 0], "{operation}, twice");
    }
}

//! Guests whose arguments are chance: whatever they ask, the host answers, and answers the same
//! again.

use std::sync::Arc;

use crashproof::call::Halt;
use crashproof::call::Vfs;
use crashproof::device::FaultPlan;
use crashproof::device::Geometry;
use crashproof::guest::GuestEnd;
use crashproof::guest::GuestRun;
use crashproof::guest::World;
use crashproof::sim::Sim;
use crashproof::sim::mix;
use crashproof::subject::DirectorySubject;
use crashproof::subject::Policies;
use crashproof::subject::Stack;
use crashproof::subject::StackPlan;

use crate::Guest;
use crate::notebook::Notebook;
use crate::pointers::Arg;
use crate::pointers::CALLS;
use crate::pointers::WITHOUT_POINTERS;
use crate::pointers::guest;

const CALL_COUNT: u64 = 60;
const SEED_COUNT: u64 = 60;

/// Numbers at which something begins or ends.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    3,
    4,
    5,
    64,
    128,
    1024,
    4096,
    65_535,
    65_536,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF,
    0xFFFF_FFFF_FFFF_FFFF,
];

fn changed(arg: Arg, chance: u64) -> Arg {
    // Half of the arguments stay good, so that calls come far.
    if chance.is_multiple_of(2) {
        return arg;
    }
    let edge = EDGES[(chance / 2 % EDGES.len() as u64) as usize];
    match arg {
        Arg::Small(_) => Arg::Small(edge as u32),
        Arg::Pointer(_) => Arg::Pointer(edge as u32),
        Arg::Count(_) => Arg::Count(edge as u32),
        Arg::Long(_) => Arg::Long(edge),
    }
}

fn nonsense(seed: u64) -> Guest {
    let mut state = seed << 32;
    let mut next = || {
        state += 1;
        mix(state)
    };
    let mut calls = Vec::new();
    for _ in 0..CALL_COUNT {
        let all = CALLS.len() + WITHOUT_POINTERS.len();
        let chosen = (next() % all as u64) as usize;
        let (name, args) = CALLS.iter().chain(WITHOUT_POINTERS).nth(chosen).expect("it is below");
        // What is not modelled ends the guest; these would end most.
        if !["proc_raise", "fd_seek"].contains(name) {
            calls.push((*name, args.iter().map(|arg| changed(*arg, next())).collect()));
        }
    }
    Guest::from_text(&guest(&calls))
}

fn assert_it_was_answered(run: &GuestRun, seed: u64) {
    // A result that goes to mapped memory may kill its process.
    let is_answered = matches!(
        run.end,
        GuestEnd::Exited(_)
            | GuestEnd::Killed(_)
            | GuestEnd::Halted(Halt::Unsupported(_) | Halt::Stuck | Halt::Suspended)
    );
    assert!(is_answered, "seed {seed}: {:?}", run.end);
}

#[test]
fn whatever_a_guest_asks_is_answered_and_the_same_again() {
    for seed in 0..SEED_COUNT {
        let run = || {
            let sim = Sim::calm();
            let notebook = Notebook::new(&sim);
            nonsense(seed).run_on(&sim, notebook)
        };
        let first = run();
        assert_it_was_answered(&first.0, seed);
        assert_eq!(first, run(), "seed {seed}");
    }
}

#[test]
fn whatever_a_guest_asks_of_the_reference_stack_is_answered() {
    let geometry = Geometry { block_size_bytes: 4096, block_count: 512 };
    let plan = StackPlan { geometry, policies: Policies::default(), faults: FaultPlan::default() };
    for seed in 0..4 * SEED_COUNT {
        let sim = Sim::calm();
        let stack = sim.block_on(Stack::format(&plan, &sim)).expect("the device is big enough");
        let vfs: Arc<dyn Vfs> = stack.vfs;
        assert_it_was_answered(&nonsense(seed).run_in(&World { sim, vfs }), seed);
    }
}

#[test]
fn whatever_a_guest_asks_of_a_host_directory_is_answered() {
    for seed in 0..SEED_COUNT {
        let directory = tempfile::tempdir().expect("the machine has a temporary directory");
        let subject = DirectorySubject::open(directory.path()).expect("it is a directory");
        let vfs: Arc<dyn Vfs> = Arc::new(subject);
        assert_it_was_answered(&nonsense(seed).run_in(&World { sim: Sim::calm(), vfs }), seed);
    }
}

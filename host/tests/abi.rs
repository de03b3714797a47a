//! The ABI under guests written by hand: limits, ends, bad modules, bad pointers.
#![cfg(feature = "wasm")]

#[path = "abi/nonsense.rs"]
mod nonsense;
#[path = "abi/notebook.rs"]
mod notebook;
#[path = "abi/pointers.rs"]
mod pointers;

use std::num::NonZeroU32;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use crashproof::call::Halt;
use crashproof::call::HandleId;
use crashproof::call::Lock;
use crashproof::call::ProcessId;
use crashproof::call::Request;
use crashproof::device::FaultPlan;
use crashproof::device::Geometry;
use crashproof::guest::Engine;
use crashproof::guest::EngineOptions;
use crashproof::guest::GuestEnd;
use crashproof::guest::GuestRun;
use crashproof::guest::Limits;
use crashproof::guest::LoadError;
use crashproof::guest::Module;
use crashproof::guest::Pool;
use crashproof::guest::ProcessConfig;
use crashproof::guest::World;
use crashproof::guest::run_many;
use crashproof::guest::run_one;
use crashproof::sim::Chooser;
use crashproof::sim::Exhaustive;
use crashproof::sim::Sim;
use crashproof::sim::Site;
use crashproof::subject::Policies;
use crashproof::subject::Stack;
use crashproof::subject::StackPlan;

use crate::notebook::Notebook;
use crate::pointers::Arg;
use crate::pointers::guest;

/// A guest, what it is started with and what it may use up.
struct Guest {
    bytes: Vec<u8>,
    config: ProcessConfig,
    limits: Limits,
}

fn config(process: u32) -> ProcessConfig {
    let mut config = ProcessConfig::new(ProcessId(process));
    config.preopens = vec![(b"/".as_slice().into(), HandleId::ROOT)];
    config
}

fn bytes_of(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../guest-workloads/abi");
    wat::parse_file(folder.join(name)).expect("the guest is well-formed")
}

impl Guest {
    fn from_text(text: &str) -> Self {
        let bytes = wat::parse_str(text).expect("the guest is well-formed");
        Self { bytes, config: config(1), limits: Limits::default() }
    }

    fn from_file(name: &str) -> Self {
        Self { bytes: bytes_of(name), config: config(1), limits: Limits::default() }
    }

    fn run(self) -> (GuestRun, Vec<(ProcessId, Request)>) {
        let sim = Sim::calm();
        let notebook = Notebook::new(&sim);
        self.run_on(&sim, notebook)
    }

    fn run_on(self, sim: &Sim, notebook: Notebook) -> (GuestRun, Vec<(ProcessId, Request)>) {
        let notebook = Arc::new(notebook);
        let run = self.run_in(&World { sim: sim.clone(), vfs: notebook.clone() });
        (run, notebook.notes())
    }

    fn run_in(self, world: &World) -> GuestRun {
        let engine = Engine::new(EngineOptions::from(&self.limits)).expect("the engine starts");
        let module = Module::load(&engine, &self.bytes).expect("the guest is a program");
        run_one(world, &module, self.config, &self.limits)
    }
}

/// The reference stack, and who runs on it.
fn stack(sim: &Sim) -> World {
    let geometry = Geometry { block_size_bytes: 512, block_count: 256 };
    let plan = StackPlan { geometry, policies: Policies::default(), faults: FaultPlan::default() };
    let stack = sim.block_on(Stack::format(&plan, sim)).expect("the device is big enough");
    World { sim: sim.clone(), vfs: stack.vfs }
}

fn load(bytes: &[u8]) -> LoadError {
    let engine = Engine::new(EngineOptions::default()).expect("the engine starts");
    Module::load(&engine, bytes).expect_err("it is no program")
}

#[test]
fn a_guest_that_loops_runs_out_of_fuel_at_the_same_place_each_time() {
    let run = || {
        let mut guest = Guest::from_file("loops.wat");
        guest.limits.fuel = Some(10_000);
        guest.run().0
    };
    assert_eq!(run().end, GuestEnd::OutOfFuel);
    assert_eq!(run().fuel_used, Some(10_000));
}

#[test]
fn a_guest_that_loops_is_ended_by_the_watchdog() {
    let mut guest = Guest::from_file("loops.wat");
    guest.limits.wall_clock = Some(Duration::from_millis(20));
    assert_eq!(guest.run().0.end, GuestEnd::WallClock);
}

#[test]
fn a_guest_that_allocates_gets_its_limit_and_no_more() {
    let mut guest = Guest::from_file("allocates.wat");
    guest.limits.memory_bytes = 8 << 16;
    assert_eq!(guest.run().0.end, GuestEnd::Exited(8));
}

#[test]
fn a_guest_that_begins_beyond_its_limit_is_not_started() {
    let mut guest = Guest::from_file("allocates.wat");
    guest.limits.memory_bytes = 0;
    let (run, notes) = guest.run();
    assert!(matches!(run.end, GuestEnd::NotStarted(_)), "{:?}", run.end);
    assert!(notes.is_empty());
}

#[test]
fn a_guest_that_opens_without_end_is_told_that_it_has_too_many() {
    let mut guest = Guest::from_file("opens.wat");
    guest.limits.open_fds = 10;
    let (run, notes) = guest.run();
    assert_eq!(run.end, GuestEnd::Exited(33), "EMFILE");
    assert_eq!(notes.len(), 6, "ten descriptors, four of which were there");
}

#[test]
fn a_trap_says_what_and_where() {
    let end = Guest::from_file("traps.wat").run().0.end;
    let said = "out of bounds memory access, in `reads_too_far`";
    assert_eq!(end, GuestEnd::Trapped(said.to_owned()));
}

#[test]
fn a_stack_overflow_is_no_trap() {
    assert_eq!(Guest::from_file("recurses.wat").run().0.end, GuestEnd::StackOverflow);
}

#[test]
fn a_guest_that_prints_without_end_is_stopped_and_its_lines_were_told() {
    let mut guest = Guest::from_file("prints.wat");
    guest.limits.output_bytes = 20;
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lines);
    guest.config.on_line =
        Some(Box::new(move |line| seen.lock().expect("one thread").push(line.to_vec())));
    let (run, _) = guest.run();
    assert_eq!(run.end, GuestEnd::OutputLimit);
    assert_eq!(run.stdout, b"one\ntwo\none\ntwo\n");
    let told = lines.lock().expect("one thread").join(&b'|');
    assert_eq!(told, b"one|two|one|two");
}

#[test]
fn vectors_that_overlap_are_used_in_order() {
    let mut guest = Guest::from_file("overlapping_vectors.wat");
    guest.config.stdin = b"12345".as_slice().into();
    let (run, _) = guest.run();
    assert_eq!(run.end, GuestEnd::Exited(0));
    assert_eq!(run.stdout, b"abbcd1345\x05");
}

#[test]
fn more_vectors_than_allowed_are_an_invalid_argument() {
    assert_eq!(Guest::from_file("too_many_vectors.wat").run().0.end, GuestEnd::Exited(28));
}

#[test]
fn sleeping_moves_the_clock_and_takes_no_time() {
    assert_eq!(Guest::from_file("sleeps.wat").run().0.end, GuestEnd::Exited(3600));
}

#[test]
fn what_is_not_modelled_is_a_halt_and_no_errno() {
    let (run, notes) = Guest::from_file("opens_noatime.wat").run();
    assert!(matches!(run.end, GuestEnd::Halted(Halt::Unsupported(_))), "{:?}", run.end);
    assert_eq!(notes.len(), 0, "nothing was asked");
}

#[test]
fn a_lock_that_a_process_waits_for_by_itself_ends_the_run() {
    let sim = Sim::calm();
    let run = Guest::from_file("locks_itself.wat").run_in(&stack(&sim));
    assert_eq!(run.end, GuestEnd::Halted(Halt::Stuck));
    // Of two, the second waits for the first.
    let engine = Engine::new(EngineOptions::default()).expect("the engine starts");
    let module = Module::load(&engine, &bytes_of("locks_itself.wat")).expect("it is a program");
    let guests = vec![(module.clone(), config(1)), (module, config(2))];
    let sim = Sim::calm();
    let runs = run_many(&stack(&sim), guests, &Limits::default());
    assert!(runs.iter().all(|run| run.end == GuestEnd::Halted(Halt::Stuck)), "{runs:?}");
}

#[test]
fn closing_a_duplicate_is_told_for_the_locks_of_its_process() {
    let calls =
        [("fd_dup", vec![Arg::Small(4), Arg::Pointer(256)]), ("fd_close", vec![Arg::Small(5)])];
    let (_, notes) = Guest::from_text(&guest(&calls)).run();
    let asked = notes.last().map(|(_, request)| request);
    let handle = HandleId(1);
    assert_eq!(asked, Some(&Request::Lock(Lock::CloseDuplicate { handle })));
}

#[test]
fn a_halt_ends_the_guest_untouched_at_every_call() {
    for call in 1..=4 {
        let sim = Sim::calm();
        let notebook = Notebook::halting_at(&sim, call);
        let (run, notes) = Guest::from_file("writes_twice.wat").run_on(&sim, notebook);
        assert_eq!(run.end, GuestEnd::Halted(Halt::Crashed));
        assert_eq!(notes.len(), call);
    }
}

/// Ends with what it finds in its memory, its table, its globals and behind the end of its memory,
/// and leaves something else in each.
const LEAVES_MARKS: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1) (data (i32.const 8) "\07")
    (table $table 4 funcref) (elem declare func $first)
    (global $global (mut i32) (i32.const 1))
    (func $first)
    (func $mark (param i32 i32) (i32.store8 (local.get 0) (i32.add (local.get 1)
        (i32.load8_u (local.get 0)))))
    (func (export "_start") (local $end i32) (local $found i32)
        (local.set $end (i32.mul (memory.grow (i32.const 1)) (i32.const 65536)))
        (local.set $found (i32.add (i32.load8_u (i32.const 8)) (i32.add
            (i32.load8_u (i32.const 60000)) (i32.add (global.get $global) (i32.add
            (i32.load8_u (local.get $end)) (ref.is_null (table.get $table (i32.const 2))))))))
        (call $mark (i32.const 8) (i32.const 20)) (call $mark (i32.const 60000) (i32.const 30))
        (call $mark (local.get $end) (i32.const 40)) (global.set $global (i32.const 50))
        (table.set $table (i32.const 2) (ref.func $first))
        (call $exit (local.get $found))))"#;

#[test]
fn an_instance_from_a_pool_begins_as_any_other() {
    let limits = Limits::default();
    let pool = Some(Pool::new(1, &limits));
    let options = EngineOptions { pool, ..EngineOptions::from(&limits) };
    let engine = Engine::new(options).expect("there is room for it");
    let bytes = wat::parse_str(LEAVES_MARKS).expect("it is well-formed");
    let module = Module::load(&engine, &bytes).expect("it is a program");
    let sim = Sim::calm();
    let world = World { sim: sim.clone(), vfs: Arc::new(Notebook::new(&sim)) };
    for _ in 0..3 {
        let run = run_one(&world, &module, config(1), &limits);
        assert_eq!(run.end, GuestEnd::Exited(9));
    }
    assert_eq!(Guest::from_text(LEAVES_MARKS).run().0.end, GuestEnd::Exited(9));
}

#[test]
fn what_does_not_fit_into_a_pool_is_refused_when_it_is_loaded() {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let pool = Some(Pool::new(1, &limits));
    let engine = Engine::new(EngineOptions { pool, ..EngineOptions::default() });
    let large = r#"(module (memory (export "memory") 17) (func (export "_start")))"#;
    let bytes = wat::parse_str(large).expect("it is well-formed");
    let refused = Module::load(&engine.expect("there is room for it"), &bytes);
    assert!(matches!(refused, Err(LoadError::Invalid(_))));
}

#[test]
fn bytes_that_are_no_program_are_refused_by_what_is_wrong() {
    assert_eq!(load(b"#!/bin/sh"), LoadError::NotWasm);
    assert_eq!(load(b""), LoadError::NotWasm);
    assert_eq!(load(b"\0asm\x0d\0\x01\0"), LoadError::Component);
    assert!(matches!(load(b"\0asm\x01\0\0\0\xff"), LoadError::Invalid(_)));
    let text = |text| load(&wat::parse_str(text).expect("it is well-formed"));
    assert_eq!(text("(module)"), LoadError::NoStart);
    assert_eq!(text(r#"(module (func (export "_start") (param i32)))"#), LoadError::NoStart);
    assert_eq!(text(r#"(module (func (export "_start")))"#), LoadError::NoMemory);
    let wrong_type = r#"(module (import "wasi_snapshot_preview1" "fd_sync" (func))
        (memory (export "memory") 1) (func (export "_start")))"#;
    assert!(matches!(text(wrong_type), LoadError::ImportType(_)));
}

#[test]
fn an_import_that_is_missing_is_named_with_what_is_offered() {
    let said = load(&bytes_of("unknown_import.wat")).to_string();
    assert!(said.starts_with("it imports `fd_clone` from `wasi_snapshot_preview1`"), "{said}");
    assert!(said.contains("fd_close"), "{said}");
    let said = load(&bytes_of("unknown_module.wat")).to_string();
    let expected = "it imports `abort` from `env`; offered are only `wasi_snapshot_preview1` \
                    and `crashproof_ext_v0`";
    assert_eq!(said, expected);
}

/// One walk through all decisions, shared by the worlds that take it.
struct Shared(Arc<Mutex<Exhaustive>>);

impl Chooser for Shared {
    fn choose(&mut self, site: Site, arity: NonZeroU32) -> u32 {
        self.0.lock().expect("one thread").choose(site, arity)
    }
}

fn module(name: &str) -> Module {
    let engine = Engine::new(EngineOptions::default()).expect("the engine starts");
    Module::load(&engine, &bytes_of(name)).expect("it is a program")
}

/// A guest of four calls.
fn four_calls() -> Module {
    module("writes_twice.wat")
}

/// The same guest twice in one world.
fn run_two(sim: &Sim, module: &Module, notebook: Notebook) -> (Vec<GuestRun>, Vec<u32>) {
    run_both(sim, [module, module], notebook)
}

/// Whose lines were told, when two guests print without end.
fn tellers(limits: &Limits) -> Vec<u32> {
    let engine = Engine::new(EngineOptions::from(limits)).expect("the engine starts");
    let module = Module::load(&engine, &bytes_of("prints.wat")).expect("it is a program");
    let tellers = Arc::new(Mutex::new(Vec::new()));
    let guests = [1, 2].map(|process| {
        let (mut config, told) = (config(process), Arc::clone(&tellers));
        config.on_line = Some(Box::new(move |_| told.lock().expect("one thread").push(process)));
        (module.clone(), config)
    });
    let sim = Sim::calm();
    let world = World { sim: sim.clone(), vfs: Arc::new(Notebook::new(&sim)) };
    let runs = run_many(&world, guests.into(), limits);
    assert!(runs.iter().all(|run| run.end == GuestEnd::OutputLimit), "{runs:?}");
    tellers.lock().expect("one thread").clone()
}

#[test]
fn guests_that_never_wait_take_turns_if_fuel_says_so() {
    let limits = Limits { output_bytes: 400, ..Limits::default() };
    assert!(tellers(&limits).is_sorted(), "the second begins when the first has ended");
    let limits = Limits { preempt_fuel: NonZeroU64::new(50), ..limits };
    let told = tellers(&limits);
    assert!(!told.is_sorted(), "{told:?}");
    assert_eq!(told, tellers(&limits), "fuel is the same in each run");
}

/// Two guests in one world.
fn run_both(sim: &Sim, modules: [&Module; 2], notebook: Notebook) -> (Vec<GuestRun>, Vec<u32>) {
    let notebook = Arc::new(notebook);
    let world = World { sim: sim.clone(), vfs: notebook.clone() };
    let guests = (1..).zip(modules).map(|(process, module)| (module.clone(), config(process)));
    let guests = guests.collect();
    let runs = run_many(&world, guests, &Limits::default());
    (runs, notebook.notes().iter().map(|(process, _)| process.0).collect())
}

#[test]
fn calls_of_several_guests_interleave_in_every_way() {
    let module = four_calls();
    let walk = Arc::new(Mutex::new(Exhaustive::default()));
    let mut orders = std::collections::BTreeSet::new();
    loop {
        let sim = Sim::new(Shared(Arc::clone(&walk)));
        let (runs, order) = run_two(&sim, &module, Notebook::new(&sim));
        assert!(runs.iter().all(|run| run.end == GuestEnd::Exited(0)), "{runs:?}");
        orders.insert(order);
        if !walk.lock().expect("one thread").advance() {
            break;
        }
    }
    assert_eq!(orders.len(), 70, "eight calls, four of which are the first guest's");
}

#[test]
fn without_surprises_guests_run_one_after_the_other() {
    let sim = Sim::calm();
    let (_, order) = run_two(&sim, &four_calls(), Notebook::new(&sim));
    assert_eq!(order, [1, 1, 1, 1, 2, 2, 2, 2]);
}

#[test]
fn a_halt_in_one_guest_ends_all() {
    let sim = Sim::calm();
    let (runs, order) = run_two(&sim, &four_calls(), Notebook::halting_at(&sim, 3));
    assert!(runs.iter().all(|run| run.end == GuestEnd::Halted(Halt::Crashed)), "{runs:?}");
    assert_eq!(order.len(), 3, "the second guest asked nothing any more");
}

#[test]
fn a_guest_whose_call_would_wait_for_ever_ends_when_the_world_does() {
    let sim = Sim::calm();
    let notebook = Notebook::halting_at(&sim, 3).parking(ProcessId(1));
    let (runs, order) = run_two(&sim, &four_calls(), notebook);
    assert!(runs.iter().all(|run| run.end == GuestEnd::Halted(Halt::Crashed)), "{runs:?}");
    assert_eq!(order, [1, 2, 2]);
}

#[test]
fn random_bytes_come_from_the_seed_alone() {
    let run = |seed| {
        let sim = Sim::calm();
        sim.seed_random(seed);
        let notebook = Notebook::new(&sim);
        Guest::from_file("random.wat").run_on(&sim, notebook).0.stdout
    };
    assert_eq!(run(1).len(), 16);
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_guest_whose_end_would_wait_for_ever_ends_when_the_world_does() {
    let sim = Sim::calm();
    let notebook = Notebook::halting_at(&sim, 3).parking(ProcessId(1));
    let modules = [&module("sleeps.wat"), &four_calls()];
    let (runs, order) = run_both(&sim, modules, notebook);
    assert!(runs.iter().all(|run| run.end == GuestEnd::Halted(Halt::Crashed)), "{runs:?}");
    assert_eq!(order, [2, 2, 2]);
}

#[test]
fn guests_that_never_wait_end_when_the_world_does_and_what_they_printed_stays() {
    let limits = Limits { preempt_fuel: NonZeroU64::new(1_000), ..Limits::default() };
    let engine = Engine::new(EngineOptions::from(&limits)).expect("the engine starts");
    let load = |name| Module::load(&engine, &bytes_of(name)).expect("it is a program");
    let sim = Sim::calm();
    let vfs = Arc::new(Notebook::halting_at(&sim, 3));
    let guests = ["loops.wat", "prints.wat", "writes_twice.wat"];
    let guests = (1..).zip(guests).map(|(process, name)| (load(name), config(process))).collect();
    let runs = run_many(&World { sim, vfs }, guests, &limits);
    assert!(runs.iter().all(|run| run.end == GuestEnd::Halted(Halt::Crashed)), "{runs:?}");
    assert!(runs[1].stdout.starts_with(b"one\ntwo\n"), "{:?}", runs[1]);
}

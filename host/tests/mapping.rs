//! Guests that map files, on the reference stack: what is announced, what they see, how they end.
#![cfg(feature = "wasm")]

#[path = "mapping/loads.rs"]
mod loads;
#[path = "mapping/noting.rs"]
mod noting;

use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use crashproof::call::Halt;
use crashproof::call::HandleId;
use crashproof::call::ProcessId;
use crashproof::call::Signal;
use crashproof::check::run::ProcessPlan;
use crashproof::check::run::RunPlan;
use crashproof::check::run::SubjectPlan;
use crashproof::check::run::Watching;
use crashproof::check::world::Chance;
use crashproof::check::world::Expectation;
use crashproof::device::FaultPlan;
use crashproof::device::Geometry;
use crashproof::guest::Engine;
use crashproof::guest::EngineOptions;
use crashproof::guest::GuestEnd;
use crashproof::guest::GuestRun;
use crashproof::guest::Limits;
use crashproof::guest::LoadError;
use crashproof::guest::MappingMode;
use crashproof::guest::Module;
use crashproof::guest::ProcessConfig;
use crashproof::guest::RewriteError;
use crashproof::guest::World;
use crashproof::guest::run_many;
use crashproof::guest::run_one;
use crashproof::sim::Seeded;
use crashproof::sim::Sim;
use crashproof::sim::Site;
use crashproof::sim::Unrest;
use crashproof::subject::Policies;
use crashproof::subject::Stack;
use crashproof::subject::StackPlan;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::CrashKind;

use crate::noting::Noting;

const PRELUDE: &str = include_str!("mapping/prelude.wat");
const MODES: [MappingMode; 2] = [MappingMode::Stores, MappingMode::Twin];

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the guest is well-formed")
}

/// A guest with this body of `_start`.
fn program(body: &str) -> Vec<u8> {
    wasm(&format!(r#"(module {PRELUDE} (func (export "_start") {body}))"#))
}

fn load(bytes: &[u8], mode: MappingMode) -> Result<Module, LoadError> {
    let engine = Engine::new(EngineOptions::default()).expect("the engine starts");
    Module::load_with(&engine, bytes, mode)
}

fn config(process: u32) -> ProcessConfig {
    let mut config = ProcessConfig::new(ProcessId(process));
    config.preopens = vec![(b"/".as_slice().into(), HandleId::ROOT)];
    config.args = vec![Bytes::from_static(b"guest")];
    config
}

fn stack(sim: &Sim) -> Arc<Noting> {
    let geometry = Geometry { block_size_bytes: 4096, block_count: 512 };
    let plan = StackPlan { geometry, policies: Policies::default(), faults: FaultPlan::default() };
    let stack = sim.block_on(Stack::format(&plan, sim)).expect("the device is big enough");
    Arc::new(Noting { inner: stack.vfs, asked: Mutex::default() })
}

/// Runs a guest alone on a new file system.
fn run(body: &str, mode: MappingMode) -> (GuestRun, Arc<Noting>) {
    let sim = Sim::calm();
    let vfs = stack(&sim);
    let module = load(&program(body), mode).expect("the guest is a program");
    let world = World { sim, vfs: vfs.clone() };
    (run_one(&world, &module, config(1), &Limits::default()), vfs)
}

/// Runs it in every mode; it must return.
fn returns(body: &str) -> Vec<Arc<Noting>> {
    let each = MODES.map(|mode| {
        let (run, vfs) = run(body, mode);
        assert_eq!(run.end, GuestEnd::Exited(0), "{mode:?}");
        vfs
    });
    each.to_vec()
}

fn signal_of(end: &GuestEnd) -> Option<(Signal, bool)> {
    if let GuestEnd::Killed(killed) = end { Some((killed.signal, killed.by_store)) } else { None }
}

#[test]
fn stores_reach_the_file_in_order_and_none_crosses_an_atom() {
    let body = "(call $open) (call $size (i64.const 8192))
        (call $map (i32.const 65536) (i32.const 8192) (i32.const 3) (i32.const 1))
        (i32.store (i32.const 65541) (i32.const 0x04030201))
        (i32.store8 (i32.const 200) (i32.const 1))
        (i64.store (i32.const 69630) (i64.const 0x0807060504030201))
        (i32.store8 (i32.const 65541) (i32.const 9))
        (call $same (i32.const 1) (i32.const 0x04030209) (call $word (i64.const 5)))
        (call $same (i32.const 2) (i32.const 0x04030201) (call $word (i64.const 4094)))
        (call $same (i32.const 3) (i32.const 0x08070605) (call $word (i64.const 4098)))";
    let all = returns(body);
    let stored =
        [(5, vec![1, 2, 3, 4]), (4094, vec![1, 2]), (4096, vec![3, 4, 5, 6, 7, 8]), (5, vec![9])];
    assert_eq!(all[0].stores(), stored);
    let twin = [(5, vec![9, 2, 3, 4]), (4094, vec![1, 2]), (4096, vec![3, 4, 5, 6, 7, 8])];
    assert_eq!(all[1].stores(), twin);
}

#[test]
fn a_store_that_begins_before_a_mapping_reaches_into_it() {
    let body = "(call $open) (call $size (i64.const 4096))
        (call $map (i32.const 65536) (i32.const 4096) (i32.const 3) (i32.const 1))
        (i64.store (i32.const 65532) (i64.const 0x0807060504030201))
        (call $same (i32.const 1) (i32.const 0x08070605) (call $word (i64.const 0)))";
    returns(body);
}

#[test]
fn what_calls_write_is_seen_through_the_mapping() {
    let body = "(call $open)
        (memory.fill (i32.const 1000) (i32.const 7) (i32.const 100))
        (call $write (i32.const 1000) (i32.const 100) (i64.const 5000))
        (call $map (i32.const 65536) (i32.const 8192) (i32.const 3) (i32.const 1))
        (call $same (i32.const 1) (i32.const 0x07070707) (i32.load (i32.const 70536)))
        (memory.fill (i32.const 1000) (i32.const 8) (i32.const 100))
        (call $write (i32.const 1000) (i32.const 50) (i64.const 5000))
        (call $same (i32.const 2) (i32.const 0x08080808) (i32.load (i32.const 70536)))
        (call $same (i32.const 3) (i32.const 0x07070707) (i32.load (i32.const 70586)))
        (call $size (i64.const 5004)) (call $size (i64.const 8192))
        (call $same (i32.const 4) (i32.const 0) (i32.load (i32.const 70540)))
        (call $same (i32.const 5) (i32.const 0x08080808) (i32.load (i32.const 70536)))";
    for vfs in returns(body) {
        assert!(vfs.stores().is_empty(), "nothing was stored: {:?}", vfs.stores());
    }
}

#[test]
fn two_mappings_of_one_file_agree_after_each_store() {
    let body = "(call $open) (call $size (i64.const 8192))
        (call $map (i32.const 65536) (i32.const 8192) (i32.const 3) (i32.const 1))
        (call $map (i32.const 131072) (i32.const 8192) (i32.const 1) (i32.const 1))
        (call $map (i32.const 196608) (i32.const 8192) (i32.const 3) (i32.const 2))
        (i32.store (i32.const 196708) (i32.const 5))
        (i32.store (i32.const 65636) (i32.const 77))
        (drop (call $yield))
        (call $same (i32.const 1) (i32.const 77) (i32.load (i32.const 131172)))
        (call $same (i32.const 2) (i32.const 5) (i32.load (i32.const 196708)))
        (call $same (i32.const 3) (i32.const 77) (call $word (i64.const 100)))";
    returns(body);
}

#[test]
fn results_of_calls_and_bulk_instructions_are_stores() {
    let body = "(call $open) (call $size (i64.const 8192))
        (call $map (i32.const 65536) (i32.const 8192) (i32.const 3) (i32.const 1))
        (memory.fill (i32.const 65536) (i32.const 3) (i32.const 100))
        (call $read (i32.const 65736) (i32.const 100) (i64.const 0))
        (call $same (i32.const 1) (i32.const 0x03030303) (call $word (i64.const 296)))
        (call $write (i32.const 65736) (i32.const 100) (i64.const 5000))
        (call $same (i32.const 2) (i32.const 0x03030303) (i32.load (i32.const 70536)))
        (i32.store (i32.const 65536) (i32.const 0x04030201))
        (memory.copy (i32.const 65538) (i32.const 65536) (i32.const 8))
        (call $same (i32.const 3) (i32.const 0x02010201) (call $word (i64.const 0)))
        (call $same (i32.const 4) (i32.const 0x03030403) (call $word (i64.const 4)))
        (drop (call $args (i32.const 66536) (i32.const 66540)))
        (call $same (i32.const 5) (i32.const 1) (call $word (i64.const 1000)))
        (drop (call $random (i32.const 66600) (i32.const 4)))
        (call $same (i32.const 6) (i32.load (i32.const 66600)) (call $word (i64.const 1064)))";
    let all = returns(body);
    let stores = all[0].stores();
    let lens: Vec<_> = stores.iter().map(|(offset, data)| (*offset, data.len())).collect();
    assert_eq!(lens[..4], [(0, 64), (64, 36), (200, 56), (256, 44)]);
    assert_eq!(stores[4], (0, vec![1, 2, 3, 4]));
    assert_eq!(stores[5], (2, vec![1, 2, 3, 4, 3, 3, 3, 3]));
}

#[test]
fn an_access_that_is_not_there_ends_the_process() {
    let map = "(call $open) (call $size (i64.const 100))
        (call $map (i32.const 65536) (i32.const 8192) (i32.const 3) (i32.const 1))
        (i32.store (i32.const 69000) (i32.const 1))";
    for mode in MODES {
        let (run, _) = run(&format!("{map} (i32.store (i32.const 69632) (i32.const 1))"), mode);
        assert_eq!(signal_of(&run.end), Some((Signal::Bus, true)), "{mode:?}: {:?}", run.end);
    }
}

#[test]
fn a_store_that_is_not_permitted_ends_the_process() {
    let protected = [
        "(call $map (i32.const 65536) (i32.const 4096) (i32.const 1) (i32.const 1))",
        "(call $map (i32.const 65536) (i32.const 8192) (i32.const 3) (i32.const 1))
         (call $same (i32.const 1) (i32.const 0)
           (call $mprotect (i32.const 65536) (i32.const 4096) (i32.const 1)))
         (i32.store (i32.const 69632) (i32.const 1))",
    ];
    for (mode, map) in MODES.iter().flat_map(|mode| protected.map(|map| (*mode, map))) {
        let (run, _) = run(
            &format!(
                "(call $open) (call $size (i64.const 8192)) {map}
                (i32.store (i32.const 65540) (i32.const 1))"
            ),
            mode,
        );
        assert_eq!(signal_of(&run.end), Some((Signal::Segv, true)), "{mode:?} {map}");
    }
}

#[test]
fn a_mapping_ends_page_by_page_and_outlives_its_descriptor() {
    let body = "(call $open) (call $size (i64.const 12288))
        (call $map (i32.const 65536) (i32.const 12288) (i32.const 3) (i32.const 1))
        (call $same (i32.const 1) (i32.const 0)
          (call $munmap (i32.const 69632) (i32.const 1)))
        (i32.store (i32.const 65536) (i32.const 1))
        (i32.store (i32.const 69632) (i32.const 2))
        (i32.store (i32.const 73728) (i32.const 3))
        (call $same (i32.const 2) (i32.const 1) (call $word (i64.const 0)))
        (call $same (i32.const 3) (i32.const 0) (call $word (i64.const 4096)))
        (call $same (i32.const 4) (i32.const 3) (call $word (i64.const 8192)))
        (call $same (i32.const 5) (i32.const 48)
          (call $msync (i32.const 65536) (i32.const 12288) (i32.const 4)))
        (call $same (i32.const 6) (i32.const 0)
          (call $msync (i32.const 65536) (i32.const 4096) (i32.const 4)))
        (call $same (i32.const 7) (i32.const 48)
          (call $madvise (i32.const 65536) (i32.const 8192) (i32.const 1)))
        (drop (call $close (global.get $fd)))
        (i32.store (i32.const 65600) (i32.const 4))
        (call $open)
        (call $same (i32.const 8) (i32.const 4) (call $word (i64.const 64)))
        (i32.store (i32.const 69632) (i32.const 0))
        (call $same (i32.const 9) (i32.const 0)
          (call $mmap (global.get $fd) (i32.const 69632) (i32.const 4096) (i32.const 3)
            (i32.const 0x11) (i64.const 0)))
        (call $same (i32.const 10) (i32.const 1) (i32.load (i32.const 69632)))
        (call $same (i32.const 11) (i32.const 20)
          (call $mmap (global.get $fd) (i32.const 69632) (i32.const 8192) (i32.const 3)
            (i32.const 1) (i64.const 0)))
        (i32.store (i32.const 69636) (i32.const 6))
        (call $same (i32.const 12) (i32.const 6) (i32.load (i32.const 65540)))";
    assert_eq!(run(body, MappingMode::Stores).0.end, GuestEnd::Exited(0));
}

/// Calls that are refused: the errno, the call, and its arguments; `-` is the descriptor of `f`.
const REFUSED: &str = "
    28 mmap - 65537 1 3 1 0
    28 mmap - 65536 0 3 1 0
    28 mmap - 65536 1 9 1 0
    28 mmap - 65536 1 3 0 0
    28 mmap - 65536 1 3 1 -4096
    28 mmap - 65536 1 3 1 1
    48 mmap - 65536 999999 3 1 0
    48 mmap - 65536 -1 3 1 0
    8 mmap 77 65536 1 3 1 0
    43 mmap 0 65536 1 3 1 0
    43 mmap 3 65536 1 1 1 0
    28 munmap 65537 1
    28 munmap 65536 0
    0 munmap 65536 -1
    28 msync 65536 1 5
    48 msync 65536 1 4
    48 mprotect 65536 1 1";

#[test]
fn nonsense_is_an_errno_and_changes_nothing() {
    let mut body = "(call $open) (call $size (i64.const 8192))".to_owned();
    for (number, line) in (1..).zip(REFUSED.trim().lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (errno, name) = (words[0], words[1]);
        let argument = |(place, word): (usize, &&str)| match (name, place, *word) {
            (.., "-") => "(global.get $fd)".to_owned(),
            ("mmap", 5, number) => format!("(i64.const {number})"),
            (.., number) => format!("(i32.const {number})"),
        };
        let arguments: Vec<String> = words[2..].iter().enumerate().map(argument).collect();
        let call = format!("(call ${name} {})", arguments.join(" "));
        body += &format!("(call $same (i32.const {number}) (i32.const {errno}) {call})");
    }
    returns(&body);
}

#[test]
fn what_the_stack_does_not_have_ends_the_run_by_name() {
    let (run, _) =
        run("(call $open) (drop (call $flags (global.get $fd) (i32.const 60)))", MODES[0]);
    assert_eq!(run.end, GuestEnd::Halted(Halt::Unsupported("fd_flags_get")));
}

#[test]
fn a_duplicate_shares_the_description_until_the_last_is_closed() {
    let body = "(call $open)
        (call $same (i32.const 1) (i32.const 0) (call $dup (global.get $fd) (i32.const 60)))
        (call $same (i32.const 2) (i32.const 5) (i32.load (i32.const 60)))
        (drop (call $close (global.get $fd)))
        (global.set $fd (i32.const 5))
        (call $size (i64.const 10))
        (drop (call $close (i32.const 5)))
        (call $same (i32.const 3) (i32.const 8) (call $close (i32.const 5)))";
    returns(body);
}

#[test]
fn a_mark_is_a_line_of_standard_output() {
    let (run, _) = run("(drop (call $note (i32.const 7) (i64.const -1)))", MappingMode::Stores);
    assert_eq!(run.stdout, b"note 7 -1\n");
}

#[test]
fn a_new_mapping_loads_what_the_file_has_and_not_its_length() {
    let body = "(call $open) (call $size (i64.const 131072))
        (call $write (i32.const 1000) (i32.const 10) (i64.const 65536))
        (call $map (i32.const 65536) (i32.const 131072) (i32.const 1) (i32.const 1))";
    for vfs in returns(body) {
        assert!(vfs.loaded() <= 4096, "{} bytes were loaded", vfs.loaded());
    }
}

/// One process stores a number to a mapped page when it sees the number before; two of them count.
fn counter(own: u32) -> Vec<u8> {
    program(&format!(
        "(local $seen i32) (call $open) (call $size (i64.const 4096))
        (call $map (i32.const 65536) (i32.const 4096) (i32.const 3) (i32.const 1))
        (loop $again
          (local.set $seen (i32.load (i32.const 65600)))
          (if (i32.lt_u (local.get $seen) (i32.const 20)) (then
            (if (i32.eq (i32.and (local.get $seen) (i32.const 1)) (i32.const {own}))
              (then (i32.store (i32.const 65600) (i32.add (local.get $seen) (i32.const 1)))))
            (drop (call $yield))
            (br $again))))"
    ))
}

#[test]
fn processes_see_what_others_store() {
    // Who does not see it would wait for ever.
    let limits = Limits { fuel: Some(1_000_000), ..Limits::default() };
    let engine = Engine::new(EngineOptions::from(&limits)).expect("the engine starts");
    for (mode, seed) in MODES.iter().flat_map(|mode| (0..20).map(|seed| (*mode, seed))) {
        let unrest = [(Site::Schedule, Unrest::one_in(2)), (Site::Preempt, Unrest::one_in(5))];
        let sim = Sim::new(Seeded::new(seed, &unrest));
        let vfs = stack(&sim);
        let world = World { sim, vfs: vfs.clone() };
        let guests = (0..2).map(|own| {
            let module = Module::load_with(&engine, &counter(own), mode);
            (module.expect("the guest is a program"), config(own + 1))
        });
        let runs = run_many(&world, guests.collect(), &limits);
        for run in runs {
            assert_eq!(run.end, GuestEnd::Exited(0), "{mode:?}, seed {seed}");
        }
        assert_eq!(vfs.stores().len(), 20);
    }
}

#[test]
fn rewriting_and_twins_leave_the_same_file() {
    // A generator of pseudo-random stores of several widths, and syncs between.
    let body = "(local $state i32) (local $turn i32) (local $at i32)
        (call $open) (call $size (i64.const 16384))
        (call $map (i32.const 65536) (i32.const 16384) (i32.const 3) (i32.const 1))
        (local.set $state (i32.const 12345))
        (loop $again
          (local.set $state
            (i32.add (i32.mul (local.get $state) (i32.const 1103515245)) (i32.const 12345)))
          (local.set $at (i32.add (i32.const 65536)
            (i32.and (i32.shr_u (local.get $state) (i32.const 8)) (i32.const 0x3ff0))))
          (if (i32.and (local.get $state) (i32.const 0x40))
            (then (i64.store offset=3 (local.get $at)
              (i64.mul (i64.extend_i32_u (local.get $state)) (i64.const 0x100000001))))
            (else (memory.fill (local.get $at) (local.get $state) (i32.const 16))))
          (if (i32.eqz (i32.and (local.get $state) (i32.const 0x1800)))
            (then (drop (call $msync (i32.const 65536) (i32.const 16384) (i32.const 4)))))
          (local.set $turn (i32.add (local.get $turn) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $turn) (i32.const 500))))";
    let contents = MODES.map(|mode| {
        let sim = Sim::calm();
        let vfs = stack(&sim);
        let world = World { sim, vfs: vfs.clone() };
        let writer = load(&program(body), mode).expect("the guest is a program");
        let reader = "(call $open) (call $read (i32.const 65536) (i32.const 16384) (i64.const 0))
            (call $vector (i32.const 65536) (i32.const 16384))
            (drop (call $print (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 40)))";
        let import = r#"(import "wasi_snapshot_preview1" "fd_write"
            (func $print (param i32 i32 i32 i32) (result i32)))"#;
        let reader =
            wasm(&format!(r#"(module {import} {PRELUDE} (func (export "_start") {reader}))"#));
        let reader = load(&reader, mode).expect("the guest is a program");
        assert_eq!(
            run_one(&world, &writer, config(1), &Limits::default()).end,
            GuestEnd::Exited(0)
        );
        let read = run_one(&world, &reader, config(2), &Limits::default());
        assert_eq!(read.stdout.len(), 16384);
        read.stdout
    });
    assert!(contents[0].iter().any(|byte| *byte != 0));
    assert!(contents[0] == contents[1]);
}

/// A guest's run on the reference stack.
fn planned(body: &str, mode: MappingMode, policies: Policies) -> RunPlan {
    let geometry = Geometry { block_size_bytes: 4096, block_count: 512 };
    let promises = Promises::named("strict-sticky").expect("the profile exists");
    let process = ProcessPlan {
        name: "guest".to_owned(),
        module: load(&program(body), mode).expect("the guest is a program"),
        arguments: Vec::new(),
        environment: Vec::new(),
        stdin: Bytes::new(),
    };
    RunPlan {
        subject: SubjectPlan::Reference(Box::new(StackPlan {
            geometry,
            policies,
            faults: FaultPlan::default(),
        })),
        expectation: Expectation {
            promises: Arc::new(promises),
            level: Level::Strict,
            audited: true,
        },
        chance: Chance::Calm,
        processes: vec![process],
        directories: vec!["/".to_owned()],
        limits: Limits::default(),
        actions: Vec::new(),
        evict_every: None,
    }
}

/// What the oracle says of a guest: the clauses that are broken, and why it cannot tell.
fn judged(body: &str, mode: MappingMode, policies: Policies) -> (Vec<String>, Vec<String>) {
    let plan = planned(body, mode, policies);
    let watching = Watching { crash: Some(CrashKind::Power), ..Watching::default() };
    let recorded = crashproof::check::run::run(&plan, watching).expect("the world can be made");
    let oracle = &recorded.judged.oracle;
    let broken = oracle.violations().map(|violation| violation.clause.to_string()).collect();
    let unclear = oracle.undecided().map(|reason| reason.what.to_string()).collect();
    assert_eq!(recorded.ends[0].1.end, GuestEnd::Exited(0), "{mode:?}");
    (broken, unclear)
}

#[test]
fn only_a_run_that_is_crashed_keeps_the_history_of_its_device() {
    let body = "(call $open) (call $size (i64.const 8192))
        (call $same (i32.const 1) (i32.const 0) (call $syncfs (global.get $fd)))";
    let plan = planned(body, MODES[0], Policies::default());
    let kept = |watching| {
        let recorded = crashproof::check::run::run(&plan, watching).expect("the world can be made");
        assert_eq!(recorded.ends[0].1.end, GuestEnd::Exited(0));
        let stack = recorded.stack.expect("it is the reference stack");
        (recorded.history.is_some(), !stack.disk.history().is_empty())
    };
    assert_eq!(kept(Watching::default()), (false, false));
    assert_eq!(kept(Watching { moments: true, ..Watching::default() }), (true, true));
    let cut = Watching { crash: Some(CrashKind::Power), ..Watching::default() };
    assert_eq!(kept(cut), (true, true));
}

#[test]
fn the_verdict_is_the_same_however_stores_are_seen() {
    let body = "(call $open) (call $size (i64.const 8192))
        (call $map (i32.const 65536) (i32.const 8192) (i32.const 3) (i32.const 1))
        (memory.fill (i32.const 66000) (i32.const 3) (i32.const 5000))
        (call $same (i32.const 1) (i32.const 0)
          (call $msync (i32.const 65536) (i32.const 8192) (i32.const 4)))
        (i32.store (i32.const 65536) (i32.const 5))
        (drop (call $drop_caches))
        (call $same (i32.const 2) (i32.const 5) (call $word (i64.const 0)))
        (call $write (i32.const 66000) (i32.const 64) (i64.const 8000))
        (call $same (i32.const 3) (i32.const 0x03030303) (i32.load (i32.const 73540)))
        (call $same (i32.const 4) (i32.const 0) (call $munmap (i32.const 65536) (i32.const 4096)))
        (call $same (i32.const 5) (i32.const 0) (call $syncfs (global.get $fd)))";
    for mode in MODES {
        let verdict = judged(body, mode, Policies::default());
        assert_eq!(verdict, (Vec::new(), Vec::new()), "{mode:?}");
    }
}

#[test]
fn modules_whose_stores_cannot_be_followed_are_refused() {
    let refused = |text: &str| load(&wasm(text), MappingMode::Stores).expect_err("it is refused");
    let map = r#"(import "crashproof_ext_v0" "fd_mmap"
        (func (param i32 i32 i32 i32 i32 i64) (result i32)))"#;
    let rest = r#"(memory (export "memory") 1) (func $start (export "_start"))"#;
    let started = refused(&format!("(module {map} {rest} (start $start))"));
    assert_eq!(started, LoadError::Mapping(RewriteError::StartFunction));
    let hook = r#"(import "crashproof_ext_v0" "on_store" (func (param i32 i32)))"#;
    for imports in [hook.to_owned(), format!("{map} {hook}")] {
        let own = refused(&format!("(module {imports} {rest})")).to_string();
        assert!(own.contains("`on_store`") && own.contains("fd_mmap"), "{own}");
    }
    let unknown = r#"(import "env" "mmap" (func))"#;
    let unknown = refused(&format!("(module {unknown} {rest})")).to_string();
    assert!(unknown.contains("crashproof_ext_v0"), "{unknown}");
}

#[test]
fn a_module_with_the_libc_s_own_mmap_is_told() {
    let module = |text: &str| load(&wasm(text), MappingMode::Stores).expect("it is a program");
    let rest = r#"(memory (export "memory") 1) (func (export "_start"))"#;
    assert!(module(&format!("(module {rest} (func $mmap))")).emulates_mmap());
    assert!(!module(&format!("(module {rest})")).emulates_mmap());
}

//! What preview1 cannot say of names, asked by guests of the reference stack.
#![cfg(feature = "wasm")]

use bytes::Bytes;
use crashproof::call::Halt;
use crashproof::call::HandleId;
use crashproof::call::ProcessId;
use crashproof::device::FaultPlan;
use crashproof::device::Geometry;
use crashproof::guest::Engine;
use crashproof::guest::EngineOptions;
use crashproof::guest::GuestEnd;
use crashproof::guest::Limits;
use crashproof::guest::Module;
use crashproof::guest::ProcessConfig;
use crashproof::guest::World;
use crashproof::guest::run_one;
use crashproof::sim::Sim;
use crashproof::subject::Policies;
use crashproof::subject::Stack;
use crashproof::subject::StackPlan;

const PRELUDE: &str = include_str!("extension/prelude.wat");

/// How a guest with this body of `_start` ends on a new file system.
fn end_of(body: &str) -> GuestEnd {
    let text = format!(r#"(module {PRELUDE} (func (export "_start") {body}))"#);
    let bytes = wat::parse_str(text).expect("the guest is well-formed");
    let engine = Engine::new(EngineOptions::default()).expect("the engine starts");
    let module = Module::load(&engine, &bytes).expect("the guest is a program");
    let sim = Sim::calm();
    let geometry = Geometry { block_size_bytes: 4096, block_count: 512 };
    let plan = StackPlan { geometry, policies: Policies::default(), faults: FaultPlan::default() };
    let stack = sim.block_on(Stack::format(&plan, &sim)).expect("the device is big enough");
    let mut config = ProcessConfig::new(ProcessId(1));
    config.preopens = vec![(Bytes::from_static(b"/"), HandleId::ROOT)];
    run_one(&World { sim, vfs: stack.vfs }, &module, config, &Limits::default()).end
}

/// Calls one after the other, each with the errno that it answers.
fn answers(calls: &[(u32, String)]) {
    let line = |(number, (errno, call)): (usize, &(u32, String))| {
        format!("(call $same (i32.const {}) (i32.const {errno}) {call})", number + 1)
    };
    let body: String = calls.iter().enumerate().map(line).collect();
    assert_eq!(end_of(&body), GuestEnd::Exited(0), "the code is the number of the call");
}

/// Where the names `a`, `b` and `c` are.
const A: u32 = 16;
const B: u32 = 17;
const C: u32 = 18;
/// Where `.` is, and a name that nobody uses after it.
const DOT: u32 = 19;

fn make(name: u32) -> String {
    format!("(call $make (i32.const {name}))")
}

/// Opens a directory's name for a file without one, with these flags and rights.
fn unnamed(directory: u32, flags: u32, rights: u32) -> String {
    format!("(call $unnamed (i32.const {directory}) (i32.const {flags}) (i64.const {rights}))")
}

fn rename(from: u32, to: u32, flags: u32) -> String {
    format!("(call $rename2 (i32.const {from}) (i32.const {to}) (i32.const {flags}))")
}

#[test]
fn a_rename_replaces_not_or_exchanges_as_its_flags_say() {
    let calls = [
        (0, make(A)),
        (0, rename(A, B, 1)),
        (0, make(A)),
        (20, rename(A, B, 1)),
        (0, rename(A, B, 2)),
        (44, rename(A, C, 2)),
        (28, rename(A, B, 3)),
        (28, rename(A, B, 8)),
        (0, rename(A, C, 1)),
        (44, rename(A, B, 2)),
        (0, rename(C, B, 0)),
        (44, rename(C, B, 0)),
    ];
    answers(&calls);
}

/// What the last file that was made without a name is linked as.
fn link(name: u32) -> String {
    format!("(call $link (i32.const {name}))")
}

#[test]
fn a_file_without_a_name_is_linked_once_and_more() {
    answers(&[
        // Without write access; with O_CREAT; of a file.
        (28, unnamed(DOT, 0, 2)),
        (28, unnamed(DOT, 1, 0x42)),
        (0, make(A)),
        (54, unnamed(A, 0, 0x42)),
        (0, unnamed(DOT, 2, 0x42)),
        (20, link(A)),
        (0, link(B)),
        (0, link(C)),
        // With O_EXCL.
        (0, unnamed(DOT, 4, 0x42)),
        (44, link(DOT + 1)),
        (8, "(call $fd_link (i32.const 77) (i32.const 3) (i32.const 16) (i32.const 1))".to_owned()),
    ]);
}

#[test]
fn a_whiteout_ends_the_run_by_name() {
    let end = end_of(&format!("(drop {})", rename(A, B, 4)));
    assert_eq!(end, GuestEnd::Halted(Halt::Unsupported("path_rename2 with RENAME_WHITEOUT")));
}

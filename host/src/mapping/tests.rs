//! Rewritten modules, run: what is announced, in which order, and what memory holds then.

use std::ops::Range;

use wasmtime::Caller;
use wasmtime::Config;
use wasmtime::Engine;
use wasmtime::Extern;
use wasmtime::Instance;
use wasmtime::Linker;
use wasmtime::Module;
use wasmtime::Store;
use wasmtime::Val;

use super::*;

/// One announcement: was it a store, where, and which bytes were there then?
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    is_store: bool,
    at: u32,
    bytes: Vec<u8>,
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is a module")
}

fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_relaxed_simd(false);
    Engine::new(&config).expect("the engine starts")
}

/// Rewrites, instantiates and maps a range, a part of which is barred.
fn start(text: &str, mapped: Range<u32>, barred: Range<u32>) -> (Store<Vec<Seen>>, Instance) {
    let bytes = rewrite(&wasm(text), "ext").expect("the module can be rewritten");
    let engine = engine();
    let module = Module::new(&engine, bytes).expect("what comes out is valid");
    let mut linker = Linker::new(&engine);
    for (name, is_store) in [(STORE_IMPORT, true), (LOAD_IMPORT, false)] {
        let hook = move |mut caller: Caller<'_, Vec<Seen>>, at: u32, len: u32| {
            let memory = caller.get_export("memory").and_then(Extern::into_memory);
            let memory = memory.expect("the module exports its memory");
            let bytes = memory.data(&caller)[at as usize..(at + len) as usize].to_vec();
            caller.data_mut().push(Seen { is_store, at, bytes });
        };
        linker.func_wrap("ext", name, hook).expect("the name is free");
    }
    let mut store = Store::new(&engine, Vec::new());
    let instance = linker.instantiate(&mut store, &module).expect("the imports are there");
    let ranges = [mapped, barred].map(|range| [range.start, range.end - range.start]);
    for (name, value) in ADDED_GLOBALS.into_iter().zip(ranges.concat()) {
        let global = instance.get_global(&mut store, name).expect("the global was added");
        global.set(&mut store, Val::I32(value as i32)).expect("the global can be set");
    }
    (store, instance)
}

/// What running `go` announces, and whether it trapped.
fn run(text: &str, mapped: Range<u32>) -> (Vec<Seen>, Vec<u8>, bool) {
    run_barred(text, mapped, 0..0)
}

fn run_barred(text: &str, mapped: Range<u32>, barred: Range<u32>) -> (Vec<Seen>, Vec<u8>, bool) {
    let (mut store, instance) = start(text, mapped, barred);
    let go = instance.get_typed_func::<(), ()>(&mut store, "go").expect("`go` is a function");
    let trapped = go.call(&mut store, ()).is_err();
    let memory = instance.get_memory(&mut store, "memory").expect("`memory` is a memory");
    let bytes = memory.data(&store).to_vec();
    (store.into_data(), bytes, trapped)
}

fn with_body(body: &str) -> String {
    format!(
        r#"(module (import "ext" "on_store" (func (param i32 i32)))
        (memory (export "memory") 1) (data "abcdefgh") (func (export "go") {body}))"#
    )
}

fn stored(at: u32, bytes: &[u8]) -> Seen {
    Seen { is_store: true, at, bytes: bytes.to_vec() }
}

/// Every store there is, as text: what comes before the address, its name, a value, its bytes.
fn stores() -> Vec<(&'static str, String, Vec<u8>)> {
    let long = 0x0807_0605_0403_0201_i64;
    let vector = "(v128.const i8x16 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)";
    let bytes = |count: u8| (1..=count).collect::<Vec<_>>();
    let int =
        |bits: u32| format!("(i{bits}.const {})", if bits == 32 { 0x0403_0201 } else { long });
    let lane = |name, count| (name, vector.to_owned(), bytes(count));
    vec![
        ("i32.store", int(32), bytes(4)),
        ("i64.store", int(64), bytes(8)),
        ("f32.store", format!("(f32.reinterpret_i32 {})", int(32)), bytes(4)),
        ("f64.store", format!("(f64.reinterpret_i64 {})", int(64)), bytes(8)),
        ("i32.store8", int(32), bytes(1)),
        ("i32.store16", int(32), bytes(2)),
        ("i64.store8", int(64), bytes(1)),
        ("i64.store16", int(64), bytes(2)),
        ("i64.store32", int(64), bytes(4)),
        ("v128.store", vector.to_owned(), bytes(16)),
        lane("v128.store8_lane", 1),
        lane("v128.store16_lane", 2),
        lane("v128.store32_lane", 4),
        lane("v128.store64_lane", 8),
    ]
}

fn line((name, value, _): &(&str, String, Vec<u8>), at: u32, offset: u32) -> String {
    let lane = if name.ends_with("lane") { "0" } else { "" };
    format!("({name} offset={offset} align=1 {lane} (i32.const {at}) {value})")
}

#[test]
fn every_store_is_announced_once_in_order_with_its_bytes() {
    let all = stores();
    assert_eq!(all.len(), access::stores::NAMES.len());
    let lines: Vec<_> = (0..).zip(&all).map(|(i, store)| line(store, i * 32, 4096)).collect();
    let (seen, ..) = run(&with_body(&lines.concat()), 4096..8192);
    let expected: Vec<_> =
        (0..).zip(&all).map(|(i, (.., bytes))| stored(4096 + i * 32, bytes)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_store_outside_what_is_mapped_is_not_announced() {
    for store in &stores() {
        let body = line(store, 4000, 0) + &line(store, 8192, 0);
        assert_eq!(run(&with_body(&body), 4096..8192).0, [], "{}", store.0);
    }
    let (seen, ..) = run(&with_body("(i32.store (i32.const 0) (i32.const 1))"), 0..0);
    assert_eq!(seen, [], "nothing is mapped");
}

#[test]
fn a_store_that_traps_is_not_announced() {
    let body = "(i32.store (i32.const 65534) (i32.const 1))";
    let (seen, _, trapped) = run(&with_body(body), 61440..65536);
    assert!(trapped);
    assert_eq!(seen, []);
    let body = "(i32.store offset=4294967295 (i32.const 5000) (i32.const 1))";
    assert_eq!(run(&with_body(body), 4096..8192).0, []);
}

#[test]
fn bulk_instructions_are_done_whole_and_then_announced_whole() {
    let body = "(memory.init 0 (i32.const 5000) (i32.const 1) (i32.const 3))
        (memory.copy (i32.const 5001) (i32.const 5000) (i32.const 3))
        (memory.fill (i32.const 4000) (i32.const 7) (i32.const 200))
        (memory.fill (i32.const 100) (i32.const 7) (i32.const 50))";
    let text = with_body(body).replace("(data \"", "(data $d \"").replace("init 0", "init $d");
    let (seen, memory, trapped) = run(&text, 4096..8192);
    assert!(!trapped);
    assert_eq!(seen, [stored(5000, b"bcd"), stored(5001, b"bcd"), stored(4000, &[7; 200])]);
    assert_eq!(&memory[5000..5005], b"bbcd\0");
}

#[test]
fn a_bulk_instruction_beyond_memory_traps_before_anything_is_stored() {
    let body = "(memory.fill (i32.const 65000) (i32.const 7) (i32.const 600))";
    let (seen, memory, trapped) = run(&with_body(body), 61440..65536);
    assert!(trapped);
    assert_eq!(seen, []);
    assert_eq!(memory[65000..], [0; 536]);
}

/// A load of the lowest bytes at an address; lanes replace the first of a vector of zeros.
fn load_line(name: &str, at: u32, offset: u32) -> String {
    let (lane, value) = match name.ends_with("lane") {
        true => ("0", "(v128.const i64x2 0 0)"),
        false => ("", ""),
    };
    format!("(drop ({name} offset={offset} align=1 {lane} (i32.const {at}) {value}))")
}

/// Every load there is, as text, with its length.
const LOADS: [(&str, usize); 31] = [
    ("i32.load", 4),
    ("i64.load", 8),
    ("f32.load", 4),
    ("f64.load", 8),
    ("i32.load8_s", 1),
    ("i32.load8_u", 1),
    ("i32.load16_s", 2),
    ("i32.load16_u", 2),
    ("i64.load8_s", 1),
    ("i64.load8_u", 1),
    ("i64.load16_s", 2),
    ("i64.load16_u", 2),
    ("i64.load32_s", 4),
    ("i64.load32_u", 4),
    ("v128.load", 16),
    ("v128.load8x8_s", 8),
    ("v128.load8x8_u", 8),
    ("v128.load16x4_s", 8),
    ("v128.load16x4_u", 8),
    ("v128.load32x2_s", 8),
    ("v128.load32x2_u", 8),
    ("v128.load8_splat", 1),
    ("v128.load16_splat", 2),
    ("v128.load32_splat", 4),
    ("v128.load64_splat", 8),
    ("v128.load32_zero", 4),
    ("v128.load64_zero", 8),
    ("v128.load8_lane", 1),
    ("v128.load16_lane", 2),
    ("v128.load32_lane", 4),
    ("v128.load64_lane", 8),
];

fn loaded(at: u32, len: usize) -> Seen {
    Seen { is_store: false, at, bytes: vec![0; len] }
}

#[test]
fn every_load_that_begins_in_the_barred_range_is_announced_before_it_is_made() {
    assert_eq!(LOADS.len(), access::loads::NAMES.len());
    for (name, len) in LOADS {
        let body = load_line(name, 4096, 4096) + &load_line(name, 12287, 0);
        let (seen, ..) = run_barred(&with_body(&body), 4096..16384, 8192..12288);
        assert_eq!(seen, [loaded(8192, len), loaded(12287, len)], "{name}");
        let body = load_line(name, 8191, 0) + &load_line(name, 12288, 0);
        assert_eq!(run_barred(&with_body(&body), 4096..16384, 8192..12288).0, [], "{name}");
        let body = load_line(name, 8192, 0);
        assert_eq!(run(&with_body(&body), 4096..16384).0, [], "{name}: nothing is barred");
    }
}

#[test]
fn a_load_beyond_memory_traps_and_is_not_announced_as_one_at_another_address() {
    let body = load_line("i32.load", 65534, 0);
    let (seen, _, trapped) = run_barred(&with_body(&body), 61440..65536, 4096..8192);
    assert!(trapped);
    assert_eq!(seen, []);
    let body = load_line("i32.load", 5000, u32::MAX);
    let (seen, _, trapped) = run_barred(&with_body(&body), 4096..8192, 4096..8192);
    assert!(trapped);
    assert_eq!(seen, [loaded(4999, 0)], "no byte of it");
}

#[test]
fn the_source_of_a_copy_is_loaded_and_nothing_else_of_bulk_instructions() {
    let body = "(memory.copy (i32.const 0) (i32.const 3000) (i32.const 1096))
        (memory.copy (i32.const 0) (i32.const 3000) (i32.const 1097))
        (memory.copy (i32.const 0) (i32.const 6000) (i32.const 10))
        (memory.fill (i32.const 4096) (i32.const 0) (i32.const 10))
        (memory.copy (i32.const 4096) (i32.const 100) (i32.const 10))";
    let (seen, ..) = run_barred(&with_body(body), 60000..61000, 4096..8192);
    assert_eq!(seen, [loaded(3000, 1097), loaded(6000, 10)]);
}

#[test]
fn calls_tables_exports_and_names_lead_where_they_led() {
    let text = r#"(module
        (type $t (func (param i32) (result i32)))
        (import "ext" "on_store" (func $own (param i32 i32)))
        (table funcref (elem $one $two))
        (global $g (mut i32) (i32.const 3))
        (memory (export "memory") 1)
        (func $one (type $t) (i32.add (local.get 0) (global.get $g)))
        (func $two (param i32) (result i32) (local i64 f32)
            (i32.store (i32.const 4096) (local.get 0))
            (call $one (i32.load (i32.const 4096))))
        (func (export "go")
            (call $own (i32.const 1) (i32.const 1))
            (i32.store8 (i32.const 4100)
                (call_indirect (type $t) (i32.const 40) (i32.const 1)))))"#;
    let (seen, ..) = run(text, 4096..8192);
    assert_eq!(seen, [stored(1, b"\0"), stored(4096, &[40, 0, 0, 0]), stored(4100, &[43])]);
}

#[test]
fn what_cannot_be_followed_is_refused_with_a_reason() {
    let refused = |text: &str| rewrite(&wasm(text), "e");
    let cases = [
        ("(func $s) (start $s)", RewriteError::StartFunction),
        ("(memory 1) (memory 1)", RewriteError::SeveralMemories),
        (
            r#"(global (export "crashproof:mapped-len") i32 (i32.const 0))"#,
            RewriteError::ReservedExport("crashproof:mapped-len".to_owned()),
        ),
        (
            "(memory 1) (func (i32.atomic.store (i32.const 0) (i32.const 0)))",
            RewriteError::Instruction("I32AtomicStore".to_owned()),
        ),
    ];
    for (text, error) in cases {
        let text = format!(r#"(module (import "e" "x" (func)) {text})"#);
        assert_eq!(refused(&text), Err(error), "{text}");
    }
    let error = refused("(module)").expect_err("it imports nothing");
    assert_eq!(error, RewriteError::Broken("it imports nothing".to_owned()));
}

#[test]
fn a_module_that_is_broken_anywhere_is_refused_or_rewritten_but_never_panics() {
    let whole = wasm(&with_body(&stores().iter().map(|s| line(s, 0, 0)).collect::<String>()));
    let engine = engine();
    for at in 8..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut broken = whole.clone();
            broken[at] = value;
            // As `guest` has it: what is not valid does not come here.
            if Module::validate(&engine, &broken).is_ok() {
                let again = rewrite(&broken, "e");
                let again = again.expect("a valid module of one memory is rewritten");
                Module::validate(&engine, &again).expect("what comes out is valid");
            }
        }
        let cut = rewrite(&whole[..at], "e");
        assert!(cut.is_err() || !whole[..at].is_empty());
    }
}

//! Loads from mapped memory that is not there, or must not be loaded from.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crashproof::call::Caller;
use crashproof::call::MappingId;
use crashproof::call::Memory;
use crashproof::call::ProcessId;
use crashproof::call::ReplyFuture;
use crashproof::call::Request;
use crashproof::call::Signal;
use crashproof::call::Value;
use crashproof::call::Vfs;
use crashproof::guest::Engine;
use crashproof::guest::EngineOptions;
use crashproof::guest::GuestEnd;
use crashproof::guest::GuestRun;
use crashproof::guest::Limits;
use crashproof::guest::MappingMode;
use crashproof::guest::Module;
use crashproof::guest::World;
use crashproof::guest::run_many;
use crashproof::guest::run_one;
use crashproof::sim::Seeded;
use crashproof::sim::Sim;
use crashproof::sim::Site;
use crashproof::sim::Unrest;

use crate::config;
use crate::load;
use crate::program;
use crate::run;
use crate::stack;

/// Every load there is, with its length.
const LOADS: &str = "
    i32.load 4, i64.load 8, f32.load 4, f64.load 8, i32.load8_s 1, i32.load8_u 1, i32.load16_s 2,
    i32.load16_u 2, i64.load8_s 1, i64.load8_u 1, i64.load16_s 2, i64.load16_u 2, i64.load32_s 4,
    i64.load32_u 4, v128.load 16, v128.load8x8_s 8, v128.load8x8_u 8, v128.load16x4_s 8,
    v128.load16x4_u 8, v128.load32x2_s 8, v128.load32x2_u 8, v128.load8_splat 1,
    v128.load16_splat 2, v128.load32_splat 4, v128.load64_splat 8, v128.load32_zero 4,
    v128.load64_zero 8, v128.load8_lane 1, v128.load16_lane 2, v128.load32_lane 4,
    v128.load64_lane 8";

/// A file of 100 bytes, whose page is at 65536, and a page beyond its end at 69632.
const SHORT: &str = "(call $open) (call $size (i64.const 100))
    (call $map (i32.const 65536) (i32.const 8192) (i32.const 3) (i32.const 1))";

fn line(name: &str, at: u64) -> String {
    let (lane, value) = match name.ends_with("lane") {
        true => ("0", "(v128.const i64x2 0 0)"),
        false => ("", ""),
    };
    format!("(drop ({name} align=1 {lane} (i32.const {at}) {value}))")
}

/// What runs of this body end with, and at which address if a load ends them.
fn end_of(body: &str) -> (GuestEnd, Option<(Signal, u64)>) {
    let end = run(body, MappingMode::Stores).0.end;
    let barred = if let GuestEnd::Killed(killed) = &end
        && !killed.by_store
    {
        Some((killed.signal, killed.address))
    } else {
        None
    };
    (end, barred)
}

/// The address at which a load ends the process.
#[track_caller]
fn signal(body: &str) -> (Signal, u64) {
    let (end, barred) = end_of(body);
    barred.unwrap_or_else(|| panic!("it ends by {end:?}: {body}"))
}

#[track_caller]
fn exits(body: &str) {
    assert_eq!(end_of(body).0, GuestEnd::Exited(0), "{body}");
}

#[test]
fn a_load_beyond_the_end_of_the_file_is_a_bus_error_whatever_its_width() {
    let beyond = 69632;
    for load in LOADS.split(',') {
        let (name, len) = load.trim().split_once(' ').expect("a name and a length");
        let len: u64 = len.parse().expect("a number");
        exits(&format!("{SHORT} {}", line(name, beyond - len)));
        for at in beyond - len + 1..=beyond {
            let ended = signal(&format!("{SHORT} {}", line(name, at)));
            assert_eq!(ended, (Signal::Bus, beyond), "{name} at {at}");
        }
        let last = signal(&format!("{SHORT} {}", line(name, 73727)));
        assert_eq!(last, (Signal::Bus, 73727), "{name}");
        exits(&format!("{SHORT} {}", line(name, 73728)));
    }
}

#[test]
fn the_source_of_a_copy_is_loaded() {
    let copy = |from: u64, len: u64| {
        format!("{SHORT} (memory.copy (i32.const 0) (i32.const {from}) (i32.const {len}))")
    };
    exits(&copy(65536, 4096));
    exits(&copy(61440, 8192));
    exits(&copy(69632, 0));
    assert_eq!(signal(&copy(65536, 4097)), (Signal::Bus, 69632));
    assert_eq!(signal(&copy(70000, 1)), (Signal::Bus, 70000));
    assert_eq!(signal(&copy(50000, 100_000)), (Signal::Bus, 69632));
    let fill = "(memory.copy (i32.const 65536) (i32.const 0) (i32.const 4096))";
    exits(&format!("{SHORT} {fill}"));
}

#[test]
fn the_end_moves_with_the_file_and_a_page_is_there_again_when_it_grew() {
    let body = |rest: &str| {
        format!(
            "(call $open) (call $size (i64.const 8192))
            (call $map (i32.const 65536) (i32.const 8192) (i32.const 3) (i32.const 1))
            (i32.store (i32.const 69632) (i32.const 7))
            (call $same (i32.const 1) (i32.const 7) (i32.load (i32.const 69632)))
            (call $size (i64.const 4096)) {rest}"
        )
    };
    let last = "(drop (i32.load (i32.const 69632)))";
    assert_eq!(signal(&body(last)), (Signal::Bus, 69632));
    let zero = "(call $same (i32.const 2) (i32.const 0) (i32.load (i32.const 69632)))";
    exits(&body(&format!("(call $size (i64.const 4097)) {zero}")));
    // Grown by a write.
    exits(&body(&format!("(call $write (i32.const 1000) (i32.const 1) (i64.const 4096)) {zero}")));
    let again = "(call $size (i64.const 8192)) (call $size (i64.const 4096))";
    assert_eq!(signal(&body(&format!("{again} {last}"))), (Signal::Bus, 69632));
}

#[test]
fn a_private_copy_of_a_page_is_gone_with_the_page() {
    let body = |size: u64| {
        format!(
            "(call $open) (call $size (i64.const 8192))
            (call $map (i32.const 65536) (i32.const 8192) (i32.const 3) (i32.const 2))
            (i32.store (i32.const 69632) (i32.const 7)) (call $size (i64.const {size}))
            (drop (i32.load (i32.const 69632)))"
        )
    };
    exits(&body(4097));
    assert_eq!(signal(&body(4096)), (Signal::Bus, 69632));
}

#[test]
fn what_may_not_be_read_is_a_segmentation_fault_until_it_may() {
    let body = |rest: &str| {
        format!(
            "(call $open) (call $size (i64.const 12288))
            (call $write (i32.const 16) (i32.const 1) (i64.const 4096))
            (call $map (i32.const 65536) (i32.const 12288) (i32.const 3) (i32.const 1))
            (call $same (i32.const 1) (i32.const 0)
              (call $mprotect (i32.const 69632) (i32.const 4096) (i32.const 0))) {rest}"
        )
    };
    let inside = "(drop (i32.load8_u (i32.const 69632)))";
    assert_eq!(signal(&body(inside)), (Signal::Segv, 69632));
    assert_eq!(signal(&body("(drop (i64.load (i32.const 69631)))")), (Signal::Segv, 69632));
    exits(&body("(drop (i64.load (i32.const 69624))) (drop (i64.load (i32.const 73728)))"));
    let permitted = "(call $same (i32.const 2) (i32.const 0)
          (call $mprotect (i32.const 69632) (i32.const 4096) (i32.const 1)))
        (call $same (i32.const 3) (i32.const 102) (i32.load8_u (i32.const 69632)))";
    exits(&body(permitted));
    let gone = "(call $same (i32.const 2) (i32.const 0)
        (call $munmap (i32.const 69632) (i32.const 4096)))";
    exits(&body(&format!("{gone} {inside}")));
    let none = "(call $open) (call $size (i64.const 4096))
        (call $map (i32.const 65536) (i32.const 4096) (i32.const 0) (i32.const 1))";
    assert_eq!(signal(&format!("{none} (drop (i32.load (i32.const 65540)))")).0, Signal::Segv);
    exits(&format!(
        "{none} (drop (call $munmap (i32.const 65536) (i32.const 4096)))
        (drop (i32.load (i32.const 65540)))"
    ));
}

#[test]
fn memory_between_two_barred_pages_is_loaded_as_ever() {
    let body = |at: u64| {
        format!(
            "{SHORT}
            (call $map (i32.const 131072) (i32.const 8192) (i32.const 1) (i32.const 1))
            (i32.store (i32.const 65540) (i32.const 9)) (i32.store (i32.const 100000) (i32.const 9))
            (drop (call $yield))
            (call $same (i32.const 1) (i32.const 9) (i32.load (i32.const 131076)))
            (call $same (i32.const 2) (i32.const 9) (i32.load (i32.const 100000)))
            (drop (i32.load (i32.const {at})))"
        )
    };
    exits(&body(135164));
    assert_eq!(signal(&body(135168)), (Signal::Bus, 135168));
    assert_eq!(signal(&body(69640)), (Signal::Bus, 69640));
}

#[test]
fn a_buffer_that_the_guest_could_not_load_from_is_efault_and_nothing_happens() {
    let refused = "(call $vector (i32.const 69000) (i32.const 1000))
        (call $same (i32.const 1) (i32.const 21)
          (call $fd_pwrite (global.get $fd) (i32.const 32) (i32.const 1) (i64.const 0)
            (i32.const 40)))
        (call $same (i32.const 2) (i32.const 21)
          (call $fd_pread (global.get $fd) (i32.const 32) (i32.const 1) (i64.const 0)
            (i32.const 40)))
        (call $same (i32.const 3) (i32.const 21) (call $dup (global.get $fd) (i32.const 69632)))
        (call $same (i32.const 4) (i32.const 21)
          (call $path_open (i32.const 3) (i32.const 0) (i32.const 69632) (i32.const 1)
            (i32.const 1) (i64.const 0x0fffffff) (i64.const 0) (i32.const 0) (i32.const 24)))
        (call $size (i64.const 8192))
        (call $same (i32.const 5) (i32.const 0) (call $dup (global.get $fd) (i32.const 69632)))";
    exits(&format!("{SHORT} {refused}"));
}

#[test]
fn a_process_is_told_of_an_end_that_another_moved() {
    // Who is not told would go on for ever.
    let limits = Limits { fuel: Some(1_000_000), ..Limits::default() };
    let engine = Engine::new(EngineOptions::from(&limits)).expect("the engine starts");
    let looks = "(call $open) (call $size (i64.const 8192))
        (call $map (i32.const 65536) (i32.const 8192) (i32.const 1) (i32.const 1))
        (i32.store (i32.const 1000) (i32.const 1))
        (call $write (i32.const 1000) (i32.const 4) (i64.const 0))
        (loop $again (drop (i64.load (i32.const 69632))) (drop (call $yield)) (br $again))";
    let cuts = "(call $open) (i32.store (i32.const 48) (i32.const 0))
        (block $ready (loop $again
          (drop (call $yield))
          (call $vector (i32.const 48) (i32.const 4))
          (drop (call $fd_pread (global.get $fd) (i32.const 32) (i32.const 1) (i64.const 0)
            (i32.const 40)))
          (br_if $again (i32.eqz (i32.load (i32.const 48))))))
        (call $size (i64.const 4096))";
    for seed in 0..20 {
        let unrest = [(Site::Schedule, Unrest::one_in(2)), (Site::Preempt, Unrest::one_in(5))];
        let sim = Sim::new(Seeded::new(seed, &unrest));
        let world = World { sim: sim.clone(), vfs: stack(&sim) };
        let guests = [looks, cuts].into_iter().zip(1..).map(|(body, process)| {
            let module = Module::load(&engine, &program(body)).expect("the guest is a program");
            (module, config(process))
        });
        let runs = run_many(&world, guests.collect(), &limits);
        assert_eq!(runs[1].end, GuestEnd::Exited(0), "seed {seed}");
        let GuestEnd::Killed(killed) = &runs[0].end else {
            panic!("seed {seed}: it ends by {:?}", runs[0].end)
        };
        let seen = (killed.signal, killed.by_store, killed.address);
        assert_eq!(seen, (Signal::Bus, false, 69632), "seed {seed}");
    }
}

/// Refuses so many loads.
struct Refusing {
    inner: Arc<dyn Vfs>,
    left: AtomicU64,
}

impl Vfs for Refusing {
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_> {
        let is_load = matches!(request, Request::Memory(Memory::Load { .. }));
        let fewer = |left: u64| left.checked_sub(1);
        let refuses =
            is_load && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok();
        match refuses {
            true => Box::pin(async { Ok(Ok(Value::Signal(Signal::Bus))) }),
            false => self.inner.call(caller, request),
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

fn run_refusing(loads: u64, at: u64) -> GuestRun {
    let body = format!(
        "(memory.fill (i32.const 1000) (i32.const 7) (i32.const 4096))
        (call $open) (call $write (i32.const 1000) (i32.const 4096) (i64.const 0))
        (call $map (i32.const 65536) (i32.const 4096) (i32.const 1) (i32.const 1))
        (call $same (i32.const 1) (i32.const 0x07070707) (i32.load (i32.const {at})))
        (call $same (i32.const 2) (i32.const 0x07070707) (i32.load (i32.const {at})))"
    );
    let sim = Sim::calm();
    let vfs = Arc::new(Refusing { inner: stack(&sim), left: loads.into() });
    let module = load(&program(&body), MappingMode::Stores).expect("the guest is a program");
    run_one(&World { sim, vfs }, &module, config(1), &Limits::default())
}

#[test]
fn a_page_that_cannot_be_had_is_a_signal_when_it_is_touched_and_asked_for_again() {
    // All of the page is refused, then its eight parts.
    for (loads, at) in [(0, 65536), (9, 65536), (9, 69000), (9, 66046), (3, 65536), (3, 66048)] {
        assert_eq!(run_refusing(loads, at).end, GuestEnd::Exited(0), "{loads} at {at}");
    }
    for at in [65536, 69000] {
        let GuestEnd::Killed(killed) = run_refusing(1000, at).end else {
            panic!("a load of what cannot be had ends the process")
        };
        assert_eq!((killed.signal, killed.by_store, killed.address), (Signal::Bus, false, at));
    }
    // Its second part was had.
    assert_eq!(run_refusing(2, 66048).end, GuestEnd::Exited(0));
}

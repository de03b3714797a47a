//! What a call, a sync and a crash state cost, on the reference stack with the oracle watching.

mod ground;

use std::sync::Mutex;

use bytes::Bytes;
use crashproof::call::At;
use crashproof::call::HandleId;
use crashproof::call::Request;
use crashproof::check::campaign::Campaign;
use crashproof::check::explore::ExplorePlan;
use crashproof::check::explore::Explorer;
use crashproof::device::StateBounds;
use crashproof_spec::trace::CrashKind;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use ground::ask;
use ground::open;
use ground::plan;
use ground::world;

const FILE_BLOCKS: u64 = 256;

fn calls(criterion: &mut Criterion) {
    let world = world();
    let handle = open(&world, "f");
    let data = Bytes::from(vec![7; 4096]);
    let next = Mutex::new(0_u64);
    let offset = || {
        let mut next = next.lock().expect("one thread");
        *next = (*next + 1) % FILE_BLOCKS;
        Some(*next * 4096)
    };
    for _ in 0..FILE_BLOCKS {
        ask(&world, Request::Write { handle, offset: offset(), data: data.clone() });
    }
    ask(&world, Request::Fsync { handle });
    let judged = "recorded and judged";
    criterion.bench_function(&format!("stat, {judged}"), |bencher| {
        bencher.iter(|| ask(&world, Request::StatHandle { handle }));
    });
    criterion.bench_function(&format!("read 4 KiB, {judged}"), |bencher| {
        bencher.iter(|| ask(&world, Request::Read { handle, offset: offset(), len: 4096 }));
    });
    criterion.bench_function(&format!("write 4 KiB + fsync, {judged}"), |bencher| {
        bencher.iter(|| {
            ask(&world, Request::Write { handle, offset: offset(), data: data.clone() });
            ask(&world, Request::Fsync { handle })
        });
    });
    criterion.bench_function(&format!("write 4 KiB, fsync every 64, {judged}"), |bencher| {
        let mut count = 0_u32;
        bencher.iter(|| {
            count += 1;
            if count.is_multiple_of(64) {
                ask(&world, Request::Fsync { handle });
            }
            ask(&world, Request::Write { handle, offset: offset(), data: data.clone() })
        });
    });
}

/// Ten calls, then every crash state of them: build, recover, fsck, survey, judge.
fn crash_states(criterion: &mut Criterion) {
    let world = world();
    world.watch();
    let handle = open(&world, "a");
    for number in 0..3_u8 {
        let data = Bytes::from(vec![number; 4096]);
        ask(&world, Request::Write { handle, offset: Some(u64::from(number) * 4096), data });
        ask(&world, Request::Fsync { handle });
    }
    let at = |name| At { directory: HandleId::ROOT, path: Bytes::from_static(name) };
    ask(&world, Request::Rename { from: at(b"a"), to: at(b"b"), replace: true });
    ask(&world, Request::Fsync { handle: HandleId::ROOT });
    ask(&world, Request::SyncAll);
    let history = world.stack.as_ref().expect("the reference stack").disk.history();
    let judged = world.finish();
    let plan = ExplorePlan {
        crash: CrashKind::Power,
        bounds: StateBounds { subset_count_max: 5, torn: false },
        stack: plan(),
        audited: true,
        depth: 1,
        lost_legs: Vec::new(),
        lost_flushes: 0,
        prunes: true,
    };
    let explore =
        || Explorer::new(&plan, &judged.moments, &judged.lines, None).explore(&history, &|_| {});
    let states = explore().account.state_count;
    let name = format!("all {states} crash states of a 10-call workload");
    criterion.bench_function(&name, |bencher| bencher.iter(explore));
}

fn fuzzing(criterion: &mut Criterion) {
    let campaign = Campaign::default();
    let mix = crashproof::sim::mix;
    let mut seed = 0;
    criterion.bench_function("one execution of the fuzz target `ops`", |bencher| {
        bencher.iter(|| {
            seed += 1;
            let bytes: Vec<u8> = (0..320).map(|at| (mix(seed ^ mix(at)) >> 24) as u8).collect();
            campaign.execute(&bytes)
        });
    });
}

/// What an import of preview1 costs a guest, up to the file system and back.
#[cfg(feature = "wasm")]
fn host_calls(criterion: &mut Criterion) {
    use crashproof::call::ProcessId;
    use crashproof::guest;

    const CALLS: u64 = 10_000;
    let text = format!(
        "(module
           (import \"wasi_snapshot_preview1\" \"fd_tell\"
             (func $tell (param i32 i32) (result i32)))
           (memory (export \"memory\") 1)
           (func (export \"_start\") (local $left i32)
             (local.set $left (i32.const {CALLS}))
             (loop $again
               (drop (call $tell (i32.const 99) (i32.const 0)))
               (local.set $left (i32.sub (local.get $left) (i32.const 1)))
               (br_if $again (local.get $left)))))"
    );
    let bytes = wat::parse_str(&text).expect("the text above is a module");
    let limits = guest::Limits::default();
    let engine = guest::Engine::new(guest::EngineOptions::from(&limits)).expect("it starts");
    let module = guest::Module::load(&engine, &bytes).expect("a program");
    let world = world();
    let ground = guest::World { sim: world.sim.clone(), vfs: world.recorder.clone() };
    criterion.bench_function(&format!("{CALLS} host calls that reach no file"), |bencher| {
        bencher.iter(|| {
            let config = guest::ProcessConfig::new(ProcessId(1));
            guest::run_one(&ground, &module, config, &limits)
        });
    });
}

#[cfg(not(feature = "wasm"))]
fn host_calls(_criterion: &mut Criterion) {}

criterion_group!(benches, calls, crash_states, fuzzing, host_calls);
criterion_main!(benches);

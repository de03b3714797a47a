//! What one crash state costs: recovered, checked, walked and judged, after one change in a tree
//! of many files and in a file of many blocks. It is to cost what changed.

use std::sync::Arc;

use bytes::Bytes;
use crashproof::call::At;
use crashproof::call::CallId;
use crashproof::call::Caller;
use crashproof::call::HandleId;
use crashproof::call::OpenOptions;
use crashproof::call::ProcessId;
use crashproof::call::Request;
use crashproof::call::Value;
use crashproof::call::Vfs;
use crashproof::check::judge::Moment;
use crashproof::check::recover::Recovery;
use crashproof::check::world::Chance;
use crashproof::check::world::Expectation;
use crashproof::check::world::World;
use crashproof::device::FaultPlan;
use crashproof::device::Geometry;
use crashproof::device::Image;
use crashproof::device::Walk;
use crashproof::subject::Policies;
use crashproof::subject::StackPlan;
use crashproof_spec::oracle::Ground;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;

const BLOCK: usize = 4096;
const LARGE_FILE_BLOCKS: u64 = (64 << 20) / BLOCK as u64;

fn plan() -> StackPlan {
    let geometry = Geometry { block_size_bytes: BLOCK as u32, block_count: 1 << 16 };
    StackPlan { geometry, policies: Policies::default(), faults: FaultPlan::default() }
}

fn ask(world: &World, request: Request) -> Value {
    let caller = Caller { process: ProcessId(1), call: CallId(0) };
    let reply = world.sim.block_on(world.recorder.call(caller, request));
    reply.expect("nothing halts here").expect("nothing fails here")
}

fn open(world: &World, name: &str) -> HandleId {
    let path = Bytes::copy_from_slice(name.as_bytes());
    let at = At { directory: HandleId::ROOT, path };
    let options = OpenOptions { read: true, write: true, create: true, ..OpenOptions::default() };
    let Value::Handle { handle, .. } = ask(world, Request::Open { at, options }) else {
        panic!("open answers a handle");
    };
    handle
}

/// Two crash states at the end of a run whose last call changed one block, and the end.
struct Scene {
    moment: Moment,
    images: [Image; 2],
}

/// Files of so many blocks, all durable; then one block of the first one is written and synced.
fn scene(file_count: u64, block_count: u64) -> Scene {
    let expectation = Expectation {
        promises: Arc::new(Promises::strict_sticky()),
        level: Level::Strict,
        audited: false,
    };
    let world = World::reference(&plan(), &Chance::Calm, &expectation).expect("room for it");
    for file in 0..file_count {
        let handle = open(&world, &format!("file{file:05}"));
        for block in 0..block_count {
            let data = Bytes::from([&file.to_le_bytes()[..], &[7; BLOCK - 8]].concat());
            ask(&world, Request::Write { handle, offset: Some(block * BLOCK as u64), data });
            if block % 1024 == 1023 {
                ask(&world, Request::Fsync { handle });
            }
        }
        ask(&world, Request::Close { handle });
        if file % 1024 == 1023 {
            ask(&world, Request::SyncAll);
        }
    }
    ask(&world, Request::SyncAll);
    world.watch();
    let handle = open(&world, "file00000");
    ask(&world, Request::Write { handle, offset: Some(0), data: Bytes::from(vec![9; BLOCK]) });
    let history = world.stack.as_ref().expect("the reference stack").disk.history();
    let mut walk = Walk::new(&history);
    let before = walk.advance(history.len()).durable.clone();
    ask(&world, Request::Fsync { handle });
    let after = walk.advance(history.len()).durable.clone();
    let judged = world.finish();
    // Both may be found while the sync is under way.
    let is_under_way = |moment: &&Moment| moment.positions.contains(&history.len());
    let moment = judged.moments.iter().find(is_under_way).expect("it wrote something").clone();
    Scene { moment, images: [before, after] }
}

impl Scene {
    /// Recovers and judges a state; what the next one may be compared with.
    fn judge(&self, number: usize, recovery: &Recovery, ground: Option<Ground>) -> Option<Ground> {
        let recovered = recovery.recover(&self.images[number]);
        assert!(recovered.audits().is_empty(), "{:?}", recovered.audits());
        let mut oracle = self.moment.oracle.clone();
        if let Some(ground) = ground {
            oracle.compare_with(ground);
        }
        oracle.event(&Event::Crashed(CrashKind::Power));
        oracle.event(&Event::Surveyed(recovered.survey()));
        oracle.ground().cloned()
    }
}

fn crash_state(criterion: &mut Criterion) {
    let scenes = [
        ("100 files", scene(100, 1)),
        ("1,000 files", scene(1_000, 1)),
        ("10,000 files", scene(10_000, 1)),
        ("a file of 64 MiB", scene(1, LARGE_FILE_BLOCKS)),
    ];
    let mut group = criterion.benchmark_group("one crash state");
    group.sample_size(10);
    for (name, scene) in &scenes {
        group.bench_function(format!("alone, {name}"), |bencher| {
            bencher.iter(|| scene.judge(0, &Recovery::new(&plan()), None).expect("it is good"));
        });
        let recovery = Recovery::new(&plan());
        let mut ground = scene.judge(0, &recovery, None);
        let mut number = 0;
        group.bench_function(format!("compared, {name}"), |bencher| {
            bencher.iter(|| {
                number = 1 - number;
                ground = scene.judge(number, &recovery, ground.take());
                assert!(ground.is_some(), "it is good");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, crash_state);
criterion_main!(benches);

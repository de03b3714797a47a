//! What the ledger of failed writes costs: where nothing fails, and with many ranges lost. Each
//! figure is the median of three, of the stack alone and with the oracle watching.
#![expect(clippy::disallowed_types, reason = "what is measured is the time of the machine")]

mod ground;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use crashproof::call::Answer;
use crashproof::call::At;
use crashproof::call::CallId;
use crashproof::call::Caller;
use crashproof::call::HandleId;
use crashproof::call::OpenOptions;
use crashproof::call::ProcessId;
use crashproof::call::Request;
use crashproof::call::Value;
use crashproof::call::Vfs;
use crashproof::check::world::Chance;
use crashproof::check::world::Expectation;
use crashproof::check::world::World;
use crashproof::device::FaultPlan;
use crashproof::device::FaultRule;
use crashproof::device::Geometry;
use crashproof::subject::Policies;
use crashproof::subject::StackPlan;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::violation::Verdict;

/// Every second block of a file is lost, so that no two ranges become one.
const STRIDE_BYTES: u64 = 1024;
const BLOCK_SIZE_BYTES: u32 = 512;
const RUNS: usize = 3;
/// Of how many calls one is told.
const REPEATS: u32 = 2_000;

/// The phases of a run, in their order.
const PHASES: [&str; 7] = [
    "write and fsync of another file, before anything failed",
    "write all the ranges",
    "the sync that loses them",
    "a further sync of the file",
    "read a lost block",
    "write and fsync of another file",
    "write all again, and the sync that ends it",
];

/// How many calls a phase is told by.
fn divisor(phase: usize, ranges: u64) -> u32 {
    match phase {
        0 | 5 => REPEATS,
        4 => u32::try_from(ranges.min(u64::from(REPEATS))).unwrap_or(REPEATS),
        _ => 1,
    }
}

/// Who answers: the recorder, which the oracle watches, or the stack alone.
struct Bench {
    world: World,
    is_judged: bool,
}

impl Bench {
    fn new(is_judged: bool) -> Self {
        let geometry = Geometry { block_size_bytes: BLOCK_SIZE_BYTES, block_count: 1 << 19 };
        let plan =
            StackPlan { geometry, policies: Policies::default(), faults: FaultPlan::default() };
        let promises = Arc::new(Promises::strict_sticky());
        let expectation = Expectation { promises, level: Level::Strict, audited: false };
        let world = World::reference(&plan, &Chance::Calm, &expectation).expect("room for it");
        Self { world, is_judged }
    }

    fn ask(&self, request: Request) -> Answer {
        let caller = Caller { process: ProcessId(1), call: CallId(0) };
        let stack = self.world.stack.as_ref().expect("it is the subject");
        let called = async {
            match self.is_judged {
                true => self.world.recorder.call(caller, request).await,
                false => stack.vfs.call(caller, request).await,
            }
        };
        self.world.sim.block_on(called).expect("nothing halts here")
    }

    fn open(&self, name: &'static str) -> HandleId {
        let at = At { directory: HandleId::ROOT, path: Bytes::from_static(name.as_bytes()) };
        let options =
            OpenOptions { read: true, write: true, create: true, ..OpenOptions::default() };
        let Ok(Value::Handle { handle, .. }) = self.ask(Request::Open { at, options }) else {
            panic!("open answers a handle");
        };
        handle
    }

    fn write(&self, handle: HandleId, offset: u64, data: &Bytes) {
        let request = Request::Write { handle, offset: Some(offset), data: data.clone() };
        self.ask(request).expect("the page cache takes it");
    }

    fn elsewhere(&self, handle: HandleId, data: &Bytes) {
        for _ in 0..REPEATS {
            self.write(handle, 0, data);
            self.ask(Request::Fsync { handle }).expect("nothing of it is lost");
        }
    }
}

/// One run: how long each phase took.
fn run(ranges: u64, is_judged: bool) -> Vec<Duration> {
    let bench = Bench::new(is_judged);
    let (lossy, other) = (bench.open("lossy"), bench.open("other"));
    let data = Bytes::from(vec![7; BLOCK_SIZE_BYTES as usize]);
    let faulty = bench.world.stack.as_ref().expect("it is the subject").faulty.clone();
    let mut times = Vec::new();
    let mut clock = Instant::now();
    let mut lap = |times: &mut Vec<Duration>| {
        times.push(clock.elapsed());
        clock = Instant::now();
    };
    bench.elsewhere(other, &data);
    lap(&mut times);
    (0..ranges).for_each(|number| bench.write(lossy, number * STRIDE_BYTES, &data));
    lap(&mut times);
    let rule: FaultRule = "write-error class=data times=until-healed".parse().expect("a rule");
    faulty.add(rule);
    let failed = bench.ask(Request::Fsync { handle: lossy }).is_err();
    assert_eq!(failed, ranges > 0, "every write fails");
    faulty.heal();
    lap(&mut times);
    let failed = bench.ask(Request::Fsync { handle: lossy }).is_err();
    assert_eq!(failed, ranges > 0, "they are lost");
    lap(&mut times);
    for number in 0..u64::from(divisor(4, ranges)) {
        let offset = Some(number * STRIDE_BYTES);
        bench
            .ask(Request::Read { handle: lossy, offset, len: BLOCK_SIZE_BYTES })
            .expect("it is in the page cache");
    }
    lap(&mut times);
    bench.elsewhere(other, &data);
    lap(&mut times);
    (0..ranges).for_each(|number| bench.write(lossy, number * STRIDE_BYTES, &data));
    bench.ask(Request::Fsync { handle: lossy }).expect("all was written again");
    lap(&mut times);
    let judged = bench.world.finish();
    assert_eq!(judged.oracle.verdict(), Verdict::Accepted);
    times
}

fn main() {
    // What cargo passes on is for a harness, which is not used here.
    let asked = std::env::args().filter_map(|word| word.parse::<u64>().ok());
    let mut counts: Vec<u64> = asked.collect();
    if counts.is_empty() {
        counts = vec![0, 1_000, 10_000, 100_000];
    }
    for (is_judged, title) in [(false, "the stack alone"), (true, "with the oracle")] {
        for &ranges in &counts {
            println!("{title}, {ranges} ranges");
            let runs: Vec<Vec<Duration>> = (0..RUNS).map(|_| run(ranges, is_judged)).collect();
            for (phase, name) in PHASES.iter().enumerate() {
                let mut of: Vec<Duration> = runs.iter().map(|times| times[phase]).collect();
                of.sort_unstable();
                println!("  {name}: {:?}", of[RUNS / 2] / divisor(phase, ranges).max(1));
            }
        }
    }
}

//! Several processes that change permission bits under each other's calls, judged by the oracle:
//! on the clean stack, and beside one that grants what the bits deny.

use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use crashproof_spec::Oracle;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::Event;
use crashproof_spec::violation::Verdict;

use crate::call::Answer;
use crate::call::At;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Mode;
use crate::call::OpenOptions;
use crate::call::ProcessId;
use crate::call::ReplyFuture;
use crate::call::Request;
use crate::call::Value;
use crate::call::Vfs;
use crate::check::campaign::TINY;
use crate::check::world::Chance;
use crate::device::FaultPlan;
use crate::observe::Notebook;
use crate::observe::Recorder;
use crate::sim::Sim;
use crate::sim::mix;
use crate::subject::Policies;
use crate::subject::Stack;
use crate::subject::StackPlan;

const PROCESS_COUNT: u32 = 3;
const CALL_COUNT: u64 = 25;
const NAMES: [&str; 5] = ["d", "d/a", "d/b", "e", "e/a"];

/// A process whose calls are chance.
struct Process {
    vfs: Arc<dyn Vfs>,
    caller: Caller,
    chance: u64,
}

impl Process {
    fn below(&mut self, count: u64) -> u64 {
        self.chance += 1;
        mix(self.chance) % count
    }

    fn at(&mut self) -> At {
        let path = Bytes::from_static(NAMES[self.below(NAMES.len() as u64) as usize].as_bytes());
        At { directory: HandleId::ROOT, path }
    }

    fn mode(&mut self) -> Mode {
        let denied = if self.below(3) == 0 { self.below(8) } else { 0 };
        Mode::new(0o700 & !(denied as u32) << 6)
    }

    async fn ask(&self, request: Request) -> Answer {
        self.vfs.call(self.caller, request).await.expect("nobody is stuck")
    }

    async fn open(&mut self) {
        let (read, write) = [(true, true), (true, false), (false, true)][self.below(3) as usize];
        let create = self.below(2) == 0;
        let mode = (self.below(2) == 0).then(|| self.mode());
        let options = OpenOptions { read, write, create, mode, ..OpenOptions::default() };
        let (at, given) = (self.at(), self.mode());
        let opened = self.ask(Request::Open { at, options }).await;
        let Ok(Value::Handle { handle, .. }) = opened else { return };
        if self.below(2) == 0 {
            let _ = self.ask(Request::SetModeHandle { handle, mode: given }).await;
        }
        let _ = self.ask(Request::StatHandle { handle }).await;
        let _ = self.ask(Request::Close { handle }).await;
    }

    async fn step(&mut self) {
        let (one, other) = (self.at(), self.at());
        let request = match self.below(10) {
            0..=2 => return self.open().await,
            3 | 4 => Request::SetMode { at: one, follow: true, mode: self.mode() },
            5 => Request::MakeDirectory { at: one, mode: Some(self.mode()) },
            6 => Request::Unlink { at: one },
            7 => Request::Rename { from: one, to: other, replace: true },
            8 => Request::RemoveDirectory { at: one },
            _ => Request::Stat { at: one, follow: true },
        };
        let _ = self.ask(request).await;
    }
}

/// A subject that says that it did what it refused.
struct Liar {
    inner: Arc<dyn Vfs>,
}

impl Vfs for Liar {
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_> {
        let is_change = matches!(request, Request::Unlink { .. } | Request::Rename { .. });
        Box::pin(async move {
            match self.inner.call(caller, request).await? {
                Err(Errno::Access) if is_change => Ok(Ok(Value::Done)),
                answer => Ok(answer),
            }
        })
    }

    fn end_process(&self, process: ProcessId) -> ReplyFuture<'_> {
        self.inner.end_process(process)
    }
}

/// What the oracle thinks of the processes of a seed.
fn judged(process_count: u32, lies: bool, seed: u64) -> Oracle {
    let policies = Policies::default();
    let plan = StackPlan { geometry: TINY, policies, faults: FaultPlan::default() };
    let sim = Chance::Seeded { seed, adversity: true }.sim();
    let calm = Sim::calm();
    let blank = calm.block_on(Stack::format(&plan, &calm)).expect("it is large enough");
    let image = blank.disk.durable_image();
    let stack = sim.block_on(Stack::mount(image, &plan, &sim)).expect("the image is whole");
    let inner: Arc<dyn Vfs> = stack.vfs.clone();
    let subject = if lies { Arc::new(Liar { inner }) } else { inner };
    let oracle = Oracle::new(Arc::new(Promises::strict_sticky()), Level::Strict);
    let oracle = Arc::new(Mutex::new(oracle));
    let told = Arc::clone(&oracle);
    let sink = move |_, event: Event| told.lock().expect("one thread").event(&event);
    let notebook = Notebook::new(stack.witness.clone(), sink);
    let recorder = Arc::new(Recorder::new(subject, notebook));
    for number in 1..=process_count {
        let caller = Caller { process: ProcessId(number), call: CallId(0) };
        let (vfs, chance) = (recorder.clone(), mix(seed) ^ mix(u64::from(number)));
        let mut process = Process { vfs, caller, chance };
        sim.spawn(async move {
            for _ in 0..CALL_COUNT {
                process.step().await;
            }
        });
    }
    sim.run_background();
    let told = oracle.lock().expect("one thread");
    told.clone()
}

#[test]
fn processes_that_change_bits_are_served_as_the_clauses_say() {
    let mut exercised = 0;
    for seed in 0..300 {
        let oracle = judged(PROCESS_COUNT, false, seed);
        assert_eq!(oracle.verdict(), Verdict::Accepted, "seed {seed}");
        exercised += oracle.exercised().get("MODE-02");
    }
    assert!(exercised > 100, "something is denied: {exercised}");
}

#[test]
fn a_change_that_the_bits_deny_is_caught() {
    let found: Vec<&str> = (0..40)
        .flat_map(|seed| {
            let oracle = judged(1, true, seed);
            oracle.violations().map(|found| found.clause).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.contains(&"MODE-02"), "{found:?}");
}

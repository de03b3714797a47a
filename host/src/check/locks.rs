//! Several processes and their locks, judged by the oracle: under chance, on the clean stack, on
//! the broken one, and beside one that lies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use crashproof_spec::ENFORCED;
use crashproof_spec::Oracle;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use crashproof_spec::violation::Verdict;
use crashproof_spec::words::Pid;

use crate::call::Answer;
use crate::call::At;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Lock;
use crate::call::LockKind;
use crate::call::LockOwner;
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
use crate::subject::LockEnd;
use crate::subject::Policies;
use crate::subject::Stack;
use crate::subject::StackPlan;

const PROCESS_COUNT: u32 = 3;
const CALL_COUNT: u64 = 25;
const NAMES: [&str; 2] = ["a", "b"];

/// A process whose calls are chance.
struct Process {
    vfs: Arc<dyn Vfs>,
    caller: Caller,
    chance: u64,
    handles: Vec<HandleId>,
    /// Does it take locks on bytes for its descriptions too? Nobody looks for rings of these, so it
    /// waits for none.
    has_own_locks: bool,
}

impl Process {
    fn below(&mut self, count: u64) -> u64 {
        self.chance += 1;
        mix(self.chance) % count
    }

    async fn ask(&self, request: Request) -> Answer {
        self.vfs.call(self.caller, request).await.expect("nobody is stuck")
    }

    async fn lock(&self, lock: Lock) -> Answer {
        self.ask(Request::Lock(lock)).await
    }

    fn kind(&mut self) -> LockKind {
        if self.below(2) == 0 { LockKind::Shared } else { LockKind::Exclusive }
    }

    fn owner(&mut self) -> LockOwner {
        let is_own = self.has_own_locks && self.below(2) == 0;
        if is_own { LockOwner::Description } else { LockOwner::Process }
    }

    fn kind_or_none(&mut self) -> Option<LockKind> {
        (self.below(4) > 0).then(|| self.kind())
    }

    async fn open(&mut self) {
        let path = Bytes::from_static(NAMES[self.below(2) as usize].as_bytes());
        let at = At { directory: HandleId::ROOT, path };
        let (read, write) = [(true, true), (true, false), (false, true)][self.below(3) as usize];
        let options = OpenOptions { read, write, create: true, ..OpenOptions::default() };
        // Another process makes the file at the same time, or the call is interrupted.
        if let Ok(Value::Handle { handle, .. }) = self.ask(Request::Open { at, options }).await {
            self.handles.push(handle);
        }
    }

    /// Who waits for a description's lock holds nothing else, so that nobody waits in a ring.
    async fn wait_alone(&mut self, handle: HandleId, kind: LockKind) {
        for other in self.handles.clone() {
            let (start, len, wait) = (0, 0, false);
            for owner in [LockOwner::Process, LockOwner::Description] {
                let kind = None;
                let asked = Lock::Record { handle: other, kind, start, len, wait, owner };
                let _ = self.lock(asked).await;
            }
            let _ = self.lock(Lock::Whole { handle: other, kind: None, wait }).await;
        }
        let _ = self.lock(Lock::Whole { handle, kind: Some(kind), wait: true }).await;
    }

    async fn step(&mut self) {
        let Some(last) = self.handles.len().checked_sub(1) else { return self.open().await };
        let place = self.below(last as u64 + 1) as usize;
        let handle = self.handles[place];
        let (start, len) = (self.below(6), self.below(4));
        match self.below(16) {
            0 | 1 => self.open().await,
            2 => {
                self.handles.remove(place);
                let _ = self.ask(Request::Close { handle }).await;
            }
            3 => drop(self.lock(Lock::CloseDuplicate { handle }).await),
            4 => {
                let kind = self.kind();
                self.wait_alone(handle, kind).await;
            }
            5 | 6 => {
                let (kind, owner) = (self.kind(), self.owner());
                let _ = self.lock(Lock::Test { handle, kind, start, len, owner }).await;
            }
            7..=9 => {
                let kind = self.kind_or_none();
                let _ = self.lock(Lock::Whole { handle, kind, wait: false }).await;
            }
            how => {
                let (kind, owner) = (self.kind_or_none(), self.owner());
                let wait = how < 13 && !self.has_own_locks;
                let _ = self.lock(Lock::Record { handle, kind, start, len, wait, owner }).await;
            }
        }
    }
}

/// A subject that grants what is refused, now and then.
struct Liar {
    inner: Arc<dyn Vfs>,
}

impl Vfs for Liar {
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_> {
        let is_lock = matches!(request, Request::Lock(_));
        Box::pin(async move {
            match self.inner.call(caller, request).await? {
                Err(Errno::Again) if is_lock && mix(caller.call.0).is_multiple_of(4) => {
                    Ok(Ok(Value::Done))
                }
                answer => Ok(answer),
            }
        })
    }

    fn end_process(&self, process: ProcessId) -> ReplyFuture<'_> {
        self.inner.end_process(process)
    }
}

/// What the processes of a seed asked and were told.
fn events(policies: &Policies, lies: bool, seed: u64) -> Vec<Event> {
    let plan =
        StackPlan { geometry: TINY, policies: policies.clone(), faults: FaultPlan::default() };
    let sim = Chance::Seeded { seed, adversity: true }.sim();
    let calm = Sim::calm();
    let blank = calm.block_on(Stack::format(&plan, &calm)).expect("it is large enough");
    let image = blank.disk.durable_image();
    let stack = sim.block_on(Stack::mount(image, &plan, &sim)).expect("the image is whole");
    let inner: Arc<dyn Vfs> = stack.vfs.clone();
    let subject = if lies { Arc::new(Liar { inner }) } else { inner };
    let events = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&events);
    let sink = move |_, event| kept.lock().expect("one thread").push(event);
    let notebook = Notebook::new(stack.witness.clone(), sink);
    let recorder = Arc::new(Recorder::new(subject, notebook));
    for number in 1..=PROCESS_COUNT {
        let caller = Caller { process: ProcessId(number), call: CallId(0) };
        let (vfs, chance) = (recorder.clone(), mix(seed) ^ mix(u64::from(number)));
        let has_own_locks = number == PROCESS_COUNT && seed % 2 == 1;
        let mut process = Process { vfs, caller, chance, handles: Vec::new(), has_own_locks };
        sim.spawn(async move {
            for _ in 0..CALL_COUNT {
                process.step().await;
            }
            let ended = process.vfs.end_process(caller.process).await;
            assert_eq!(ended, Ok(Ok(Value::Done)));
        });
    }
    sim.run_background();
    std::mem::take(&mut *events.lock().expect("one thread"))
}

/// What the oracle thinks of them; `look` is shown it before each event.
fn judged(events: &[Event], mut look: impl FnMut(&Oracle)) -> Oracle {
    let mut oracle = Oracle::new(Arc::new(Promises::strict_sticky()), Level::Strict);
    for event in events {
        look(&oracle);
        oracle.event(event);
    }
    oracle
}

/// The clauses that are broken in these seeds. Where overlapping calls were not all told of, some
/// of what a broken subject does may be left open.
fn broken(policies: &Policies, lies: bool, seeds: std::ops::Range<u64>) -> BTreeSet<&'static str> {
    let oracles = seeds.map(|seed| judged(&events(policies, lies, seed), |_| ()));
    oracles
        .flat_map(|oracle| oracle.violations().map(|found| found.clause).collect::<Vec<_>>())
        .collect()
}

#[test]
fn processes_that_lock_are_served_as_the_clauses_say() {
    let mut exercised = BTreeSet::new();
    for seed in 0..300 {
        let oracle = judged(&events(&Policies::default(), false, seed), |_| ());
        assert_eq!(oracle.verdict(), Verdict::Accepted, "seed {seed}");
        exercised.extend(oracle.exercised().iter().map(|(clause, _)| clause));
    }
    let about_locks = ENFORCED.iter().filter(|clause| clause.starts_with("LOCK-"));
    for clause in about_locks {
        assert!(exercised.contains(clause), "nothing decides {clause}");
    }
}

#[test]
fn locks_that_survive_a_close_are_caught_by_the_clauses_that_name_it() {
    let mut policies = Policies::default();
    policies.vfs.lock_end = LockEnd::ByReleaseAlone;
    let clauses = broken(&policies, false, 0..60);
    assert!(clauses.contains("LOCK-FILE-03"), "{clauses:?}");
    assert!(clauses.contains("LOCK-REC-03"), "{clauses:?}");
}

#[test]
fn a_lock_that_two_are_granted_is_caught() {
    let clauses = broken(&Policies::default(), true, 0..60);
    assert!(clauses.contains("LOCK-FILE-01"), "{clauses:?}");
    assert!(clauses.contains("LOCK-REC-01"), "{clauses:?}");
}

/// Wherever a crash cuts calls off that nobody was told of, nobody is blamed for it.
#[test]
fn a_crash_amid_locks_breaks_no_clause_of_theirs() {
    for seed in 0..60 {
        judged(&events(&Policies::default(), false, seed), |oracle| {
            for kind in [CrashKind::Power, CrashKind::Process(Pid(1))] {
                let mut cut = oracle.clone();
                cut.event(&Event::Crashed(kind));
                let found: Vec<_> = cut.violations().collect();
                assert!(found.is_empty(), "seed {seed}, {kind:?}: {found:?}");
            }
        });
    }
}

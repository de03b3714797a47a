//! A world to be run in: a subject, a recorder on its road, a judge behind the recorder.

use std::sync::Arc;

use bytes::Bytes;
use crashproof_spec::oracle::Oracle;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use crashproof_spec::words::Testimony;

use crate::audit;
use crate::audit::Audits;
use crate::call::At;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::Halt;
use crate::call::HandleId;
use crate::call::OpenOptions;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Value;
use crate::call::Vfs;
use crate::call::Witness;
use crate::check::judge::Judge;
use crate::check::judge::Judged;
use crate::check::judge::Line;
use crate::check::judge::TraceStream;
use crate::check::judging::Judging;
use crate::device::Image;
use crate::mutex::WorldMutex;
use crate::observe::Audit;
use crate::observe::Notebook;
use crate::observe::Notes;
use crate::observe::Recorder;
use crate::sim::Chooser;
use crate::sim::DecisionLog;
use crate::sim::Sim;
use crate::sim::Site;
use crate::sim::Unrest;
use crate::subject::MountError;
use crate::subject::Stack;
use crate::subject::StackPlan;

/// Who answers what is left to chance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chance {
    /// Always calm.
    Calm,
    /// A seed; with adversity also what POSIX allows and programs mishandle.
    Seeded {
        /// The seed.
        seed: u64,
        /// Short reads and writes, EINTR?
        adversity: bool,
    },
    /// The answers of an earlier run.
    Replayed {
        /// The answers.
        log: DecisionLog,
        /// What its random bytes came from: the seed of that run, 0 if it had none.
        seed: u64,
    },
}

const UNREST: [(Site, Unrest); 12] = [
    (Site::Schedule, Unrest::one_in(3)),
    (Site::Preempt, Unrest::one_in(8)),
    (Site::FlusherWakes, Unrest::one_in(16)),
    (Site::ReclaimWakes, Unrest::one_in(16)),
    (Site::CommitterWakes, Unrest::one_in(32)),
    (Site::CompletionDelay, Unrest::one_in(8)),
    (Site::GroupFull, Unrest::one_in(16)),
    (Site::DiscardErases, Unrest::one_in(64)),
    (Site::DeviceFault, Unrest::one_in(32)),
    (Site::LegOrder, Unrest::one_in(2)),
    (Site::LegSkew, Unrest::one_in(2)),
    (Site::ReadLeg, Unrest::one_in(2)),
];

const ADVERSITY: [(Site, Unrest); 3] = [
    (Site::ShortRead, Unrest::one_in(8)),
    (Site::ShortWrite, Unrest::one_in(8)),
    (Site::Interrupted, Unrest::one_in(32)),
];

impl Chance {
    /// A source of chance that answers so.
    #[must_use]
    pub fn sim(&self) -> Sim {
        let chooser: Box<dyn Chooser> = match self {
            Self::Calm => Box::new(crate::sim::Calm),
            Self::Seeded { seed, adversity } => {
                let extra = if *adversity { &ADVERSITY[..] } else { &[] };
                Box::new(crate::sim::Seeded::new(*seed, &[&UNREST[..], extra].concat()))
            }
            Self::Replayed { log, .. } => Box::new(log.replay()),
        };
        let sim = Sim::new(chooser);
        sim.seed_random(match self {
            Self::Seeded { seed, .. } | Self::Replayed { seed, .. } => *seed,
            Self::Calm => 0,
        });
        sim
    }
}

/// What a subject is held to.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// Which promises.
    pub promises: Arc<Promises>,
    /// How much is demanded.
    pub level: Level,
    /// Do audits testify, where the subject has them?
    pub audited: bool,
}

impl Expectation {
    /// A fresh oracle.
    #[must_use]
    pub fn oracle(&self) -> Oracle {
        Oracle::new(Arc::clone(&self.promises), self.level)
    }
}

/// A subject under a recorder.
pub struct World {
    /// Its chance, time and order.
    pub sim: Sim,
    /// What processes call.
    pub recorder: Arc<Recorder>,
    /// The reference stack, if that is the subject.
    pub stack: Option<Stack>,
    notebook: Notebook,
    judging: Arc<WorldMutex<Notes<Option<Judging>>>>,
    is_audited: bool,
}

impl World {
    /// The reference stack, empty, in a world of such chance.
    ///
    /// # Errors
    /// If the file system cannot be made on a device of that shape.
    pub fn reference(
        plan: &StackPlan,
        chance: &Chance,
        expectation: &Expectation,
    ) -> Result<Self, MountError> {
        Self::mounted(Self::blank(plan)?, plan, chance, expectation)
    }

    /// An empty file system. What is prepared before a run is no part of its chance.
    ///
    /// # Errors
    /// If it cannot be made on a device of that shape.
    pub fn blank(plan: &StackPlan) -> Result<Image, MountError> {
        let calm = Sim::calm();
        Ok(calm.block_on(Stack::format(plan, &calm))?.disk.durable_image())
    }

    /// The reference stack on what `image` holds, in a world of such chance.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn mounted(
        image: Image,
        plan: &StackPlan,
        chance: &Chance,
        expectation: &Expectation,
    ) -> Result<Self, MountError> {
        let sim = chance.sim();
        let stack = sim.block_on(Stack::mount(image, plan, &sim))?;
        let witness = stack.witness.clone();
        let mut world = Self::new(sim, stack.vfs.clone(), witness, expectation);
        let audits = || {
            Audits::new(stack.vfs.cache(), &stack.cow, stack.mirrored.as_ref().map(|of| &of.mirror))
        };
        let audits = expectation.audited.then(audits);
        world.notebook = world.notebook.with_audit(witnesses(&stack, audits));
        world.recorder = Arc::new(Recorder::new(stack.vfs.clone(), world.notebook.clone()));
        world.stack = Some(stack);
        Ok(world)
    }

    /// Any subject.
    #[must_use]
    pub fn new(
        sim: Sim,
        subject: Arc<dyn Vfs>,
        witness: Witness,
        expectation: &Expectation,
    ) -> Self {
        Self::judged_by(expectation.oracle(), sim, subject, witness, expectation.audited)
    }

    /// Any subject, of which an oracle knows already what is there.
    #[must_use]
    pub fn judged_by(
        oracle: Oracle,
        sim: Sim,
        subject: Arc<dyn Vfs>,
        witness: Witness,
        is_audited: bool,
    ) -> Self {
        let last = oracle.step();
        let judging = Some(Judging::new(Judge::new(oracle)));
        let (notebook, judging) = Notebook::with_notes(witness, judging);
        notebook.resume_after(last);
        let recorder = Arc::new(Recorder::new(subject, notebook.clone()));
        Self { sim, recorder, stack: None, notebook, judging, is_audited }
    }

    /// Collects the moments at which this world could be cut short.
    pub fn watch(&self) {
        let Some(stack) = &self.stack else { return };
        self.with_judging(|judging| judging.watch(stack.disk.history()));
    }

    /// Lets it be judged on a thread of its own, if the run gets long. No verdict depends on that.
    pub fn judge_beside(&self) {
        self.with_judging(Judging::may_go);
    }

    /// Judges nothing of what happens from now on.
    pub fn judge_nothing(&self) {
        self.with_judging(|judging| judging.judge().rest());
    }

    /// Also writes the trace to a stream.
    pub fn stream(&self, trace: TraceStream) {
        self.with_judging(|judging| judging.judge().stream(trace));
    }

    pub(super) fn with_judging<T>(&self, act: impl FnOnce(&mut Judging) -> T) -> Option<T> {
        self.judging.lock().sink.as_mut().map(act)
    }

    /// Takes a line that a process printed.
    pub fn line_taker(&self, process: ProcessId) -> impl FnMut(&[u8]) + Send + use<> {
        let judging = Arc::clone(&self.judging);
        move |line| {
            if let Some(judging) = judging.lock().sink.as_mut() {
                let process = crashproof_spec::words::Pid(process.0);
                judging.line(Line { process, text: Bytes::copy_from_slice(line) });
            }
        }
    }

    /// Asks as the host.
    ///
    /// # Errors
    /// If the run is over.
    pub fn ask(&self, request: Request) -> Result<crate::call::Answer, Halt> {
        let caller = Caller { process: ProcessId(0), call: CallId(0) };
        self.sim.block_on(self.recorder.call(caller, request))
    }

    /// Opens a directory for a process, making it if it is not there.
    ///
    /// # Errors
    /// With what the subject said.
    pub fn preopen(&self, name: &str) -> Result<HandleId, String> {
        let path = name.trim_matches('/');
        let mut made = String::new();
        for component in path.split('/').filter(|component| !component.is_empty()) {
            if !made.is_empty() {
                made.push('/');
            }
            made.push_str(component);
            let path = Bytes::copy_from_slice(made.as_bytes());
            let at = At { directory: HandleId::ROOT, path };
            // It may be there already; the open below tells.
            let _ = self
                .ask(Request::MakeDirectory { at, mode: None })
                .map_err(|halt| format!("{halt:?}"))?;
        }
        let path = if made.is_empty() { ".".to_owned() } else { made };
        let at = At { directory: HandleId::ROOT, path: Bytes::from(path) };
        let options =
            OpenOptions { read: true, directory: true, follow: true, ..OpenOptions::default() };
        match self.ask(Request::Open { at, options }) {
            Ok(Ok(Value::Handle { handle, .. })) => Ok(handle),
            Ok(Ok(_)) => Err(format!("preopen {name}: the subject opened no handle")),
            Ok(Err(errno)) => Err(format!("preopen {name}: {}", errno.name())),
            Err(halt) => Err(format!("preopen {name}: {halt:?}")),
        }
    }

    /// Makes what was prepared so far durable, so that a run begins on firm ground.
    ///
    /// # Errors
    /// If the run is over.
    pub fn settle(&self) -> Result<(), Halt> {
        self.ask(Request::SyncAll).map(|_| ())
    }

    /// Lets the accounts of space testify, of a world in which nothing happens any more.
    pub fn audit_space(&self) {
        let Some(stack) = self.stack.as_ref().filter(|_| self.is_audited) else { return };
        let found = self.sim.block_on(audit::space(&stack.cow));
        found.into_iter().for_each(|testimony| self.note(Event::Testified(testimony)));
    }

    /// Writes down a crash and what was found after it; also, if the medium had said what is not
    /// so.
    pub fn crash(
        &self,
        kind: CrashKind,
        has_lied: bool,
        survey: Result<crashproof_spec::words::Survey, String>,
    ) {
        self.notebook.note(Event::Crashed(kind));
        if has_lied {
            self.notebook.note(Event::Testified(Testimony::Lied));
        }
        self.notebook.note(Event::Surveyed(survey));
    }

    /// Writes down an event that is no call.
    pub fn note(&self, event: Event) {
        self.notebook.note(event);
    }

    /// Ends the run.
    #[must_use]
    pub fn finish(self) -> Judged {
        let judging = self.judging.lock().sink.take().expect("a world is finished once");
        judging.finish()
    }
}

/// Who else is asked what happened: the device, whether it lied, and the audits.
pub(super) fn witnesses(stack: &Stack, audits: Option<Audits>) -> Audit {
    let (stack, mut audits) = (stack.clone(), audits);
    Box::new(move || {
        let mut said = audits.as_mut().map(Audits::take).unwrap_or_default();
        if stack.take_misplaced() {
            said.push(Testimony::Lied);
        }
        said
    })
}

impl Drop for World {
    fn drop(&mut self) {
        self.sim.abandon_tasks();
    }
}

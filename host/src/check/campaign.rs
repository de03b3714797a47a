//! One execution of a fuzzing campaign: bytes in, a verdict out.
//!
//! Flow: half of the bytes are a [`Program`], the rest are chance. The program runs on a tiny
//! stack; then power fails, by chance at any device event of the first part and with any of the
//! writes that were not flushed; the file system is recovered, surveyed and judged; the second
//! part runs on what was recovered, and power fails again.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use arbitrary::Unstructured;
use crashproof_spec::oracle::Oracle;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use crashproof_spec::trace::HEADER;
use crashproof_spec::trace::fmt_event;
use crashproof_spec::violation::Verdict;
use crashproof_spec::violation::Violation;
use crashproof_spec::words::Step;
use crashproof_spec::words::Testimony;

use crate::audit::Audits;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::Halt;
use crate::call::HandleId;
use crate::call::Memory;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Value;
use crate::call::Vfs;
use crate::call::Witness;
use crate::check::judge::Judge;
use crate::check::judge::Moment;
use crate::check::program::Asked;
use crate::check::program::Operation;
use crate::check::program::Program;
use crate::check::program::Slots;
use crate::check::recover::recover;
use crate::check::world::witnesses;
use crate::device::FaultPlan;
use crate::device::Geometry;
use crate::device::History;
use crate::device::Image;
use crate::device::Walk;
use crate::observe::Notebook;
use crate::observe::Recorder;
use crate::sim::FromBytes;
use crate::sim::Sim;
use crate::sim::Site;
use crate::subject::Policies;
use crate::subject::Stack;
use crate::subject::StackPlan;

const PROCESS: ProcessId = ProcessId(1);

/// Blocks of a sector, few of them: rare paths are the common ones.
pub const TINY: Geometry = Geometry { block_size_bytes: 512, block_count: 512 };

/// What came of one execution.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The clauses that were broken.
    pub violations: Vec<Violation>,
    /// Why the oracle cannot tell, where it cannot.
    pub undecided: Vec<String>,
    /// The trace, as text.
    pub trace: String,
    /// What it says.
    pub events: Vec<Event>,
}

/// What a campaign runs against.
#[derive(Debug, Clone, Default)]
pub struct Campaign {
    /// The stack.
    pub policies: Policies,
    /// Is the judge left without audits, with answers and surveys alone?
    pub is_unaudited: bool,
    /// What is expected, if it is not strict-sticky.
    pub expected: Option<Promises>,
    /// What the device does wrong, besides what programs ask of it.
    pub faults: FaultPlan,
}

impl Campaign {
    /// Executes what `bytes` say; `None` if they are no program.
    #[must_use]
    pub fn execute(&self, bytes: &[u8]) -> Option<Execution> {
        let (program, chance) = split(bytes)?;
        let sim = Sim::new(FromBytes::new(chance));
        let plan = StackPlan {
            geometry: TINY,
            policies: self.policies.clone(),
            faults: self.faults.clone(),
        };
        let calm = Sim::calm();
        let blank = calm.block_on(Stack::format(&plan, &calm)).ok()?.disk.durable_image();
        let expected = self.expected.clone().unwrap_or_else(Promises::strict_sticky);
        let table = Table::new(self.is_unaudited, expected);
        let left = table.part(&program.before, blank, &plan, &sim);
        if let Some(left) = left {
            table.part(&program.after, left, &plan, &sim);
        }
        Some(table.finish())
    }
}

/// The program, and the bytes that are left to chance.
fn split(bytes: &[u8]) -> Option<(Program, Vec<u8>)> {
    let half = bytes.len() / 2;
    let program = Unstructured::new(&bytes[..half]).arbitrary().ok()?;
    Some((program, bytes[half..].to_vec()))
}

/// What is judged and kept of a campaign, and the device below it.
struct Kept {
    judge: Judge,
    events: Vec<Event>,
    history: Option<History>,
}

impl Kept {
    fn watch(&mut self, history: History) {
        self.judge.watch(history.len());
        self.history = Some(history);
    }

    fn position(&self) -> usize {
        self.history.as_ref().map_or(0, History::len)
    }

    fn moments(&mut self) -> &[Moment] {
        self.judge.moments(self.position())
    }
}

/// Where a campaign's events are judged and kept.
struct Table {
    kept: Arc<Mutex<Kept>>,
    notebook: Notebook,
    is_unaudited: bool,
}

impl Table {
    fn new(is_unaudited: bool, expected: Promises) -> Self {
        let oracle = Oracle::new(Arc::new(expected), Level::Strict);
        let kept = Kept { judge: Judge::new(oracle), events: Vec::new(), history: None };
        let kept = Arc::new(Mutex::new(kept));
        let sink = Arc::clone(&kept);
        let take = move |step, event: Event| {
            let kept = &mut *lock(&sink);
            kept.judge.event(kept.position(), step, &event);
            kept.events.push(event);
        };
        let notebook = Notebook::new(Witness::default(), take);
        Self { kept, notebook, is_unaudited }
    }

    /// Runs operations on `image` and cuts the power; what is left, if it can be mounted.
    fn part(
        &self,
        operations: &[Operation],
        image: Image,
        plan: &StackPlan,
        sim: &Sim,
    ) -> Option<Image> {
        // The survey before this part has told of an image that cannot be mounted.
        let stack = sim.block_on(Stack::mount(image, plan, sim)).ok()?;
        self.run(operations, &stack, sim);
        let (left, has_lied) = self.cut(&stack, sim);
        let recovered = recover(&left, plan);
        self.notebook.note(Event::Crashed(CrashKind::Power));
        if has_lied {
            self.notebook.note(Event::Testified(Testimony::Lied));
        }
        let survey = recovered.survey();
        let mounted = survey.is_ok();
        self.notebook.note(Event::Surveyed(survey));
        for testimony in recovered.audits().into_iter().filter(|_| !has_lied) {
            self.notebook.note(Event::Testified(testimony));
        }
        // What a medium that lied left is no ground to go on from.
        (mounted && !has_lied).then_some(left)
    }

    /// Runs operations, while they are watched.
    fn run(&self, operations: &[Operation], stack: &Stack, sim: &Sim) {
        lock(&self.kept).watch(stack.disk.history());
        let mut notebook = self.notebook.with_witness(stack.witness.clone());
        let audits = || {
            Audits::new(stack.vfs.cache(), &stack.cow, stack.mirrored.as_ref().map(|of| &of.mirror))
        };
        notebook = notebook.with_audit(witnesses(stack, (!self.is_unaudited).then(audits)));
        let recorder = Recorder::new(stack.vfs.clone(), notebook);
        let mut slots = Slots::default();
        for operation in operations {
            if perform(*operation, &recorder, &mut slots, stack, sim).is_err() {
                break;
            }
        }
        sim.abandon_tasks();
    }

    /// Cuts the power at some device event, and goes back to the moment that it falls into. Also,
    /// had the device lied by then? The calm answer is the end.
    fn cut(&self, stack: &Stack, sim: &Sim) -> (Image, bool) {
        let history = stack.disk.history();
        let back = sim.choose(Site::PowerLoss, history.len() as u32 + 1) as usize;
        let position = history.len() - back;
        let kept = &mut *lock(&self.kept);
        let falls_into = |moment: &&Moment| moment.positions.contains(&position);
        let moments: Vec<Moment> = kept.moments().iter().filter(falls_into).cloned().collect();
        // Several moments may share a position: an answer may promise without a device event.
        let which = moments.len() - 1 - sim.choose(Site::PowerLoss, moments.len() as u32) as usize;
        let moment = &moments[which];
        if back > 0 || which + 1 < moments.len() {
            kept.events.truncate(moment.step.0 as usize);
            self.notebook.resume_after(moment.step);
            kept.judge.resume(moment);
        }
        let mut walk = Walk::new(&history);
        let point = walk.advance(position);
        (point.lose_power(sim).image, point.is_lied_to())
    }

    fn finish(self) -> Execution {
        let Kept { judge, events, .. } = &*lock(&self.kept);
        let mut trace = String::from(HEADER);
        for (number, event) in events.iter().enumerate() {
            trace.push('\n');
            trace.push_str(&fmt_event(event, Step(number as u64 + 1)));
        }
        trace.push('\n');
        let oracle = judge.oracle();
        Execution {
            violations: oracle.violations().cloned().collect(),
            undecided: oracle.undecided().map(|reason| reason.what.to_owned()).collect(),
            trace,
            events: events.clone(),
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What whoever runs a process does after each call: what changed in its mapped memory is loaded.
fn load_stale(recorder: &Recorder, sim: &Sim) -> Result<(), Halt> {
    for (mapping, range) in recorder.take_stale(PROCESS) {
        let len = u32::try_from(range.end - range.start).unwrap_or(u32::MAX);
        let load = Memory::Load { mapping, offset: range.start, len };
        let caller = Caller { process: PROCESS, call: CallId(0) };
        let _ = sim.block_on(recorder.call(caller, Request::Memory(load)))?;
    }
    Ok(())
}

fn perform(
    operation: Operation,
    recorder: &Recorder,
    slots: &mut Slots,
    stack: &Stack,
    sim: &Sim,
) -> Result<(), Halt> {
    let ask = |request| {
        let caller = Caller { process: PROCESS, call: CallId(0) };
        let answer = sim.block_on(recorder.call(caller, request))?;
        load_stale(recorder, sim)?;
        Ok(answer)
    };
    let (request, slot) = match slots.ask(operation, TINY.block_size_bytes) {
        Asked::Request(request, slot) => (request, slot),
        Asked::Map(request, slot) => {
            if let Ok(Value::Mapping(mapping)) = ask(request)? {
                // The mapping that was there before stays, and nobody names it any more.
                slots.mappings[slot] = Some(mapping);
            }
            return Ok(());
        }
        Asked::Replace(handle, request, slot) => {
            let _ = ask(Request::Close { handle })?;
            (request, Some(slot))
        }
        Asked::Flush => {
            return sim.block_on(stack.vfs.flush_background());
        }
        Asked::Evict => {
            stack.vfs.evict_all();
            return Ok(());
        }
        Asked::Fail(rule) => {
            stack.faulty.add(rule);
            return Ok(());
        }
        Asked::Nothing => return Ok(()),
    };
    let answer = ask(request)?;
    if let (Some(slot), Ok(Value::Handle { handle, .. })) = (slot, &answer) {
        slots.handles[slot] = Some(HandleId(handle.0));
    }
    Ok(())
}

impl Campaign {
    /// A campaign against the stack with a defect, or the clean one.
    ///
    /// # Errors
    /// With the name, if there is no such defect.
    pub fn with_defect(name: Option<&str>) -> Result<Self, String> {
        let mut policies = Policies::default();
        if let Some(name) = name {
            let defect = crate::subject::defect_named(name)
                .ok_or_else(|| format!("there is no defect {name}"))?;
            (defect.apply)(&mut policies);
        }
        Ok(Self { policies, ..Self::default() })
    }
}

impl Execution {
    /// What another expectation says of what happened.
    #[must_use]
    pub fn judged_by(&self, promises: Promises) -> Verdict {
        let mut oracle = Oracle::new(Arc::new(promises), Level::Strict);
        self.events.iter().for_each(|event| oracle.event(event));
        oracle.verdict()
    }

    /// Ends a fuzzing run at a finding.
    ///
    /// # Panics
    /// If a clause was broken, or the oracle could not tell; the message has the trace.
    pub fn assert_accepted(&self) {
        let broken = self.violations.first();
        assert!(broken.is_none(), "{broken:#?}\n{}", self.trace);
        assert!(self.undecided.is_empty(), "{:?}\n{}", self.undecided, self.trace);
    }
}

/// Mounts, walks and checks a medium that holds `bytes`, and a real file system that some of its
/// bytes were changed on. Whatever they are, nothing panics.
pub fn survive_image(bytes: &[u8]) {
    let plan =
        StackPlan { geometry: TINY, policies: Policies::default(), faults: FaultPlan::default() };
    let block = TINY.block_size_bytes as usize;
    let mut raw = Image::new(TINY);
    for (number, chunk) in bytes.chunks(block).enumerate().take(TINY.block_count as usize) {
        let mut content = chunk.to_vec();
        content.resize(block, 0);
        put(&mut raw, number as u64, content);
    }
    let _ = recover(&raw, &plan);
    let calm = Sim::calm();
    let Ok(stack) = calm.block_on(Stack::format(&plan, &calm)) else { return };
    let mut changed = stack.disk.durable_image();
    for change in bytes.chunks_exact(4).take(64) {
        let number = u64::from(change[0]) % 8;
        let at = usize::from(u16::from_le_bytes([change[1], change[2]])) % block;
        let Some(old) = changed.get(crate::device::BlockNo(number)) else { continue };
        let mut content = old.to_vec();
        content[at] = change[3];
        put(&mut changed, number, content);
    }
    let _ = recover(&changed, &plan);
}

fn put(image: &mut Image, number: u64, content: Vec<u8>) {
    let block = crate::device::BlockNo(number);
    image.set(block, crate::device::Block::new(block, content.into()));
}

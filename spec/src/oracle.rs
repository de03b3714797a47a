//! Events in, verdict out.
//!
//! Calls that do not overlap are judged when they are answered. Calls that overlap are kept until
//! none is under way, and judged in the order in which the subject says that they took effect;
//! else in an order that explains the answers, found by bounded search.
//!
//! M-4: same trace, same verdict.

mod bound;
mod group;
mod order;

use std::sync::Arc;

use imbl::Vector;

use crate::counts::Counts;
use crate::crash;
use crate::crash::Adoption;
use crate::errors;
use crate::model::Model;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::take_effect;
use crate::oracle::bound::Brought;
use crate::oracle::bound::GAVE_UP;
use crate::oracle::group::Calls;
use crate::oracle::group::Item;
use crate::oracle::group::Pending;
use crate::oracle::group::is_of_moments;
use crate::oracle::group::reads;
use crate::promise::Level;
use crate::promise::Promises;
use crate::trace::CrashKind;
use crate::trace::Event;
use crate::violation::LostEffect;
use crate::violation::Reason;
use crate::violation::Verdict;
use crate::violation::Violation;
use crate::words::Call;
use crate::words::Errno;
use crate::words::FoundKind;
use crate::words::Outcome;
use crate::words::Pid;
use crate::words::Step;
use crate::words::Survey;
use crate::words::Testimony;

/// What a survey meant that nothing was wrong with. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Ground(Arc<crash::Ground>);

/// A judge of one trace. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Oracle {
    judge: Judge,
    step: Step,
    /// A call under way that nothing overlaps, and since whose beginning nothing was said: so are
    /// most. Whatever else happens makes it the first of a group.
    alone: Option<(Step, Arc<Pending>)>,
    calls: Calls,
    /// Those of them that have not answered.
    open: Vector<Step>,
    items: Vector<Item>,
    /// The crash after which nobody has looked yet.
    crashed: Option<CrashKind>,
    /// What there was before the calls that died with a process took effect, in part or not at
    /// all; until somebody looks.
    settled: Option<Model>,
    /// What the last survey found, if nothing has happened since.
    found: Option<Adoption>,
    ground: Option<Ground>,
    /// Is what is found after this crash the doing of a medium that lied?
    lied: bool,
    /// Did a process crash in a way that nothing explains, so that what is durable is unknown?
    blurred: bool,
    brought: Brought,
    /// Was there more to remember than is? The rest of the trace is not judged.
    has_given_up: bool,
}

impl Oracle {
    /// A judge of a trace that begins with an empty file system.
    #[must_use]
    pub fn new(promises: Arc<Promises>, level: Level) -> Self {
        Self {
            judge: Judge::new(promises, level),
            step: Step(0),
            alone: None,
            calls: Calls::default(),
            open: Vector::new(),
            items: Vector::new(),
            crashed: None,
            settled: None,
            found: None,
            ground: None,
            lied: false,
            blurred: false,
            brought: Brought::default(),
            has_given_up: false,
        }
    }

    /// Takes the next event.
    pub fn event(&mut self, event: &Event) {
        self.step.0 += 1;
        if self.has_given_up {
            return;
        }
        if let Some(found) = self.found.take() {
            self.judge.model = crash::adopt(&self.judge.model, &found);
            self.ground = None;
        }
        match event {
            Event::Called { process, call } => self.called(*process, call),
            Event::Answered { call, outcome } => self.answered(*call, outcome),
            Event::Exited { process } => self.exited(*process),
            Event::Testified(testimony) => self.testified(testimony),
            Event::Crashed(kind) => self.crash(*kind),
            Event::Surveyed(found) => {
                self.flush();
                let kind = self.crashed.take().unwrap_or(CrashKind::Process(Pid(u32::MAX)));
                self.surveyed(kind, found);
            }
        }
    }

    /// Forgets files that nothing leads to any more. It does so by itself now and then. What is
    /// accepted, and what is found wrong, does not depend on when; only are bytes that a crash
    /// leaves of a forgotten file no longer known for those of another one [CRASH-04].
    pub fn forget(&mut self) {
        self.judge.model.sweep();
    }

    /// What the last survey meant, if nothing was wrong with it.
    #[must_use]
    pub fn ground(&self) -> Option<&Ground> {
        self.ground.as_ref()
    }

    /// Compares the next survey with one that another oracle judged. The verdict is the same as
    /// without; if surveys and obligations are alike, and shared, it costs what differs.
    pub fn compare_with(&mut self, ground: Ground) {
        self.ground = Some(ground);
    }

    /// The number of the last event.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// Every promise that was found to be broken.
    pub fn violations(&self) -> impl ExactSizeIterator<Item = &Violation> {
        self.judge.violations.iter()
    }

    /// The verdict on the trace so far. Calls under way are not judged yet.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let judge = &self.judge;
        if !judge.violations.is_empty() {
            return Verdict::Rejected(judge.violations.iter().cloned().collect());
        }
        if !judge.undecided.is_empty() {
            return Verdict::Undecided(judge.undecided.iter().cloned().collect());
        }
        Verdict::Accepted
    }

    /// Why it cannot be told, where it cannot; whatever else was found.
    pub fn undecided(&self) -> impl ExactSizeIterator<Item = &Reason> {
        self.judge.undecided.iter()
    }

    /// How many events decided each clause, one way or the other.
    #[must_use]
    pub fn exercised(&self) -> &Counts {
        &self.judge.exercised
    }

    /// What was not judged, because of a bound or of what is forgotten, and how often.
    pub fn passed_over(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.judge.passed_over.iter().map(|(what, count)| (*what, *count))
    }

    /// Effects that nobody had promised to be durable, and that a crash undid.
    pub fn lost_allowed(&self) -> impl ExactSizeIterator<Item = &LostEffect> {
        self.judge.lost_allowed.iter()
    }

    fn surveyed(&mut self, kind: CrashKind, found: &Result<Survey, String>) {
        let is_process = matches!(kind, CrashKind::Process(_));
        let settled = self.settled.take().filter(|_| is_process);
        let ground = self.ground.take();
        let has_lied = std::mem::take(&mut self.lied);
        if is_process && self.judge.has_failed && found.as_ref().is_ok_and(is_refused) {
            self.judge.pass_over("what a device that failed did not show after a process had died");
            self.settled = settled;
            return;
        }
        if has_lied {
            self.judge.pass_over("what a medium left that had said what is not so");
            return self.adopt_unjudged(kind, found, settled);
        }
        if self.blurred && !is_process {
            let what = "power was lost after a process had crashed in a way not understood";
            self.judge.undecided(self.step, what);
            return self.adopt_unjudged(kind, found, settled);
        }
        let ground = ground.as_ref().map(|Ground(ground)| ground.as_ref());
        let surveyed = crash::survey(&mut self.judge, self.step, kind, found, settled, ground);
        self.ground = surveyed.ground.map(Ground);
        self.found = surveyed.adoption;
        self.blurred |= !surveyed.is_known;
        self.judge.half_done = self.calls.values().any(|pending| pending.committed);
    }

    /// What was found is what there is, whoever is to blame.
    fn adopt_unjudged(
        &mut self,
        kind: CrashKind,
        found: &Result<Survey, String>,
        settled: Option<Model>,
    ) {
        let mut silent = self.judge.clone();
        let surveyed = crash::survey(&mut silent, self.step, kind, found, settled, None);
        self.judge.model = silent.model;
        self.found = surveyed.adoption;
        self.blurred = false;
    }

    fn called(&mut self, process: Pid, call: &Call) {
        match self.crashed {
            Some(CrashKind::Process(_)) | None => {}
            Some(CrashKind::Kernel | CrashKind::Power) => {
                self.judge.undecided(self.step, "malformed trace: a call before the survey");
                return;
            }
        }
        if self.brought.is_too_much(call, &mut self.judge.model) {
            return self.give_up();
        }
        self.group_begins();
        let is_first = self.calls.is_empty() && self.items.is_empty();
        let raced = self.races(call);
        let call = call.clone();
        let pending = Pending { process, call, outcome: None, committed: false, raced };
        if is_first && !is_of_moments(&pending.call) {
            self.alone = Some((self.step, Arc::new(pending)));
        } else {
            self.joins(self.step, Arc::new(pending));
        }
    }

    /// Judges nothing more, and lets go of what there was.
    fn give_up(&mut self) {
        self.judge.undecided(self.step, GAVE_UP);
        self.judge.model = Model::new();
        (self.alone, self.calls, self.open, self.items) = Default::default();
        (self.settled, self.ground) = (None, None);
        self.has_given_up = true;
    }

    /// A call that was alone so far is no longer.
    fn group_begins(&mut self) {
        if let Some((called, pending)) = self.alone.take() {
            let is_committed = pending.committed;
            self.joins(called, pending);
            if is_committed {
                self.items.push_back(Item::Committed(called));
            }
        }
    }

    /// A call is one of a group.
    fn joins(&mut self, called: Step, pending: Arc<Pending>) {
        if is_of_moments(&pending.call) || reads(&pending.call) {
            self.items.push_back(Item::Began(called));
        }
        self.open.push_back(called);
        self.calls.push(called, pending);
    }

    /// Is a call under way that can change something? Those are told that this one is as well.
    fn races(&mut self, call: &Call) -> bool {
        let open = self.open.iter();
        let raced = open.filter_map(|step| self.calls.get(*step)).any(|open| open.call.changes());
        if call.changes() {
            for step in &self.open {
                if let Some(open) = self.calls.get_mut(*step) {
                    open.raced = true;
                }
            }
        }
        raced
    }

    fn answered(&mut self, call: Step, outcome: &Outcome) {
        if let Some((called, mut pending)) = self.alone.take_if(|(called, _)| *called == call) {
            Arc::make_mut(&mut pending).outcome = Some((self.step, outcome.clone()));
            // What a process that died did half is not settled once others go on.
            self.judge.half_done |= self.settled.take().is_some();
            return self.judge.alone(called, &pending);
        }
        self.group_begins();
        match self.calls.get_mut(call) {
            Some(pending) if pending.outcome.is_none() => {
                pending.outcome = Some((self.step, outcome.clone()));
            }
            Some(_) | None => {
                self.judge.undecided(self.step, "malformed trace: an answer without a call");
                return;
            }
        }
        self.items.push_back(Item::Answered(call));
        self.open.retain(|open| *open != call);
        if self.open.is_empty() {
            self.flush();
        }
    }

    fn testified(&mut self, testimony: &Testimony) {
        // These are somebody else's word about the subject.
        let is_other = matches!(testimony, Testimony::Audit { .. } | Testimony::Lied);
        self.judge.testifies |= !is_other;
        // Whatever is judged later may have been told of it.
        let is_failure = matches!(testimony, Testimony::Lost { .. } | Testimony::Failed { .. });
        self.judge.has_failed |= is_failure;
        if let Testimony::Committed { call } = testimony
            && let Some((called, pending)) = &mut self.alone
            && called == call
            && !pending.committed
        {
            Arc::make_mut(pending).committed = true;
            return;
        }
        self.group_begins();
        match testimony {
            Testimony::Lost { errno, .. } => self.judge.lost_kinds.add(*errno),
            Testimony::Failed { errno, .. } => self.judge.failed_kinds.add(*errno),
            Testimony::Committed { .. }
            | Testimony::Resolved { .. }
            | Testimony::Evicted { .. }
            | Testimony::Audit { .. }
            | Testimony::Lied => {}
        }
        match testimony {
            Testimony::Committed { call } => match self.calls.get_mut(*call) {
                Some(pending) if pending.outcome.is_none() => {
                    pending.committed = true;
                    self.items.push_back(Item::Committed(*call));
                }
                Some(_) | None => {
                    let what = "malformed testimony: a commit outside its call";
                    self.judge.undecided(self.step, what);
                }
            },
            Testimony::Lied if self.crashed.is_some() => self.lied = true,
            Testimony::Lied => self.judge.has_failed = true,
            Testimony::Lost { .. }
            | Testimony::Resolved { .. }
            | Testimony::Failed { .. }
            | Testimony::Evicted { .. }
            | Testimony::Audit { .. } => {
                self.items.push_back(Item::Said(self.step, Arc::new(testimony.clone())));
                if self.open.is_empty() {
                    self.flush();
                }
            }
        }
    }

    /// What the process called before is judged before its handles are closed.
    fn exited(&mut self, process: Pid) {
        self.group_begins();
        self.items.push_back(Item::Exited(self.step, process));
        if self.open.is_empty() {
            self.flush();
        }
    }

    /// The run is cut short: what is under way may take effect, in part or not at all.
    fn crash(&mut self, kind: CrashKind) {
        self.group_begins();
        let open: Vec<(Step, Pending)> = self
            .calls
            .iter()
            .filter(|(_, pending)| pending.outcome.is_none())
            .map(|(step, pending)| (step, pending.clone()))
            .collect();
        self.flush();
        let settled = self.settled.take().unwrap_or_else(|| self.judge.model.clone());
        let mut has_died = false;
        for (called, pending) in open {
            let is_dead = match kind {
                CrashKind::Process(dead) => dead == pending.process,
                CrashKind::Kernel | CrashKind::Power => true,
            };
            has_died |= is_dead && pending.call.changes();
            if !is_dead {
                // Its effect is judged now and its answer later, as if it had two.
                self.judge.half_done |= pending.committed;
                self.calls.push(called, Arc::new(as_surviving(pending)));
                self.open.push_back(called);
            } else if !pending.committed {
                let process = pending.process;
                let frame = Frame { called, acked: None, process, overlapped: false };
                take_effect(&mut self.judge, &frame, &pending.call);
            }
        }
        match kind {
            CrashKind::Process(dead) => {
                self.settled = has_died.then_some(settled);
                for model in std::iter::once(&mut self.judge.model).chain(&mut self.settled) {
                    model.end_process(dead);
                }
            }
            CrashKind::Kernel | CrashKind::Power => {
                self.judge.lost_in_mount = None;
                self.judge.snapshots.crash();
            }
        }
        self.crashed = Some(kind);
    }

    /// Judges the calls of a group.
    fn flush(&mut self) {
        self.group_begins();
        let items = std::mem::take(&mut self.items);
        let calls = std::mem::take(&mut self.calls);
        self.stays_settled(&items);
        self.open.clear();
        let alone = calls.len() <= 1;
        if alone || calls.values().all(|pending| !self.judge.is_free(pending)) {
            return self.judge.group(&items, &calls, !alone);
        }
        self.search(&items, &calls);
    }

    /// What the subject says holds whatever calls did that died; what other calls tell does not.
    fn stays_settled(&mut self, items: &Vector<Item>) {
        if items.is_empty() {
            return;
        }
        let Some(model) = self.settled.take() else { return };
        let mut judge = self.judge.clone();
        judge.model = model;
        for item in items {
            match item {
                Item::Said(step, testimony) => errors::said(&mut judge, *step, testimony),
                Item::Exited(_, process) => judge.model.end_process(*process),
                Item::Began(_) => {}
                Item::Committed(_) | Item::Answered(_) => {
                    self.judge.half_done = true;
                    return;
                }
            }
        }
        self.settled = Some(judge.model);
    }
}

/// Was something not shown because of an I/O error? Then nothing can be said of what is missing.
fn is_refused(survey: &Survey) -> bool {
    survey.names.values().any(|found| match &found.kind {
        FoundKind::Unreadable { errno } | FoundKind::Regular { content: Err(errno), .. } => {
            *errno == Errno::Io
        }
        FoundKind::Regular { .. } | FoundKind::Directory | FoundKind::Symlink { .. } => false,
    })
}

/// The call of a process that outlives another. A lock has no effect that a survey could find: it
/// is judged when it is answered.
fn as_surviving(pending: Pending) -> Pending {
    let committed = pending.committed && !matches!(pending.call, Call::Lock(_));
    Pending { committed, ..pending }
}

//! Events in, verdict out.
//!
//! Calls that do not overlap are judged when they are answered. Calls that overlap are kept until
//! none is under way, and judged in the order in which the subject says that they took effect;
//! else in an order that explains the answers, found by bounded search.
//!
//! M-4: same trace, same verdict.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::OrdSet;
use imbl::Vector;

use crate::crash;
use crate::crash::Adoption;
use crate::errors;
use crate::model::Model;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::sync;
use crate::ops::take_effect;
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
use crate::words::HandleId;
use crate::words::Lock;
use crate::words::Manage;
use crate::words::Memory;
use crate::words::Outcome;
use crate::words::Pid;
use crate::words::Step;
use crate::words::Survey;
use crate::words::Testimony;
use crate::words::Whence;

/// A call from its beginning to the end of the group in which it is judged.
#[derive(Debug, Clone)]
struct Pending {
    process: Pid,
    call: Call,
    outcome: Option<(Step, Outcome)>,
    committed: bool,
    /// Was a call under way with it that can change something?
    raced: bool,
}

/// What happened in a group of overlapping calls, in order.
#[derive(Debug, Clone)]
enum Item {
    /// Only of calls that are judged by what there was when they began.
    Began(Step),
    Committed(Step),
    Answered(Step),
    Said(Step, Testimony),
    Exited(Step, Pid),
}

/// What a survey meant that nothing was wrong with. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Ground(Arc<crash::Ground>);

/// A judge of one trace. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Oracle {
    judge: Judge,
    step: Step,
    pending: OrdMap<Step, Pending>,
    /// Those of them that have not answered.
    open: OrdSet<Step>,
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
}

impl Oracle {
    /// A judge of a trace that begins with an empty file system.
    #[must_use]
    pub fn new(promises: Arc<Promises>, level: Level) -> Self {
        Self {
            judge: Judge::new(promises, level),
            step: Step(0),
            pending: OrdMap::new(),
            open: OrdSet::new(),
            items: Vector::new(),
            crashed: None,
            settled: None,
            found: None,
            ground: None,
            lied: false,
            blurred: false,
        }
    }

    /// Takes the next event.
    pub fn event(&mut self, event: &Event) {
        self.step.0 += 1;
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
    pub fn exercised(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.judge.exercised.iter().map(|(clause, count)| (*clause, *count))
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
        if std::mem::take(&mut self.lied) {
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
        self.judge.half_done = self.pending.values().any(|pending| pending.committed);
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
        if is_of_moments(call) || reads(call) {
            self.items.push_back(Item::Began(self.step));
        }
        let raced = self.races(call);
        let call = call.clone();
        let pending = Pending { process, call, outcome: None, committed: false, raced };
        self.pending.insert(self.step, pending);
    }

    /// Is a call under way that can change something? Those are told that this one is as well.
    fn races(&mut self, call: &Call) -> bool {
        let open = self.open.iter();
        let raced = open.filter_map(|step| self.pending.get(step)).any(|open| open.call.changes());
        if call.changes() {
            for step in &self.open {
                if let Some(open) = self.pending.get_mut(step) {
                    open.raced = true;
                }
            }
        }
        self.open.insert(self.step);
        raced
    }

    fn answered(&mut self, call: Step, outcome: &Outcome) {
        match self.pending.get_mut(&call) {
            Some(pending) if pending.outcome.is_none() => {
                pending.outcome = Some((self.step, outcome.clone()));
            }
            Some(_) | None => {
                self.judge.undecided(self.step, "malformed trace: an answer without a call");
                return;
            }
        }
        self.items.push_back(Item::Answered(call));
        self.open.remove(&call);
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
        match testimony {
            Testimony::Committed { call } => match self.pending.get_mut(call) {
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
                self.items.push_back(Item::Said(self.step, testimony.clone()));
                if self.open.is_empty() {
                    self.flush();
                }
            }
        }
    }

    /// What the process called before is judged before its handles are closed.
    fn exited(&mut self, process: Pid) {
        self.items.push_back(Item::Exited(self.step, process));
        if self.open.is_empty() {
            self.flush();
        }
    }

    /// The run is cut short: what is under way may take effect, in part or not at all.
    fn crash(&mut self, kind: CrashKind) {
        let open: Vec<(Step, Pending)> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.outcome.is_none())
            .map(|(step, pending)| (*step, pending.clone()))
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
                self.pending.insert(called, as_surviving(pending));
                self.open.insert(called);
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
            CrashKind::Kernel | CrashKind::Power => self.judge.snapshots.crash(),
        }
        self.crashed = Some(kind);
    }

    /// Judges the calls of a group.
    fn flush(&mut self) {
        let items = std::mem::take(&mut self.items);
        let pending = std::mem::take(&mut self.pending);
        self.stays_settled(&items);
        self.open.clear();
        let alone = pending.len() <= 1;
        let default: Vector<Item> = items.clone();
        if alone || pending.values().all(|pending| !self.judge.is_free(pending)) {
            return self.judge.group(&default, &pending, !alone);
        }
        self.search(&default, &pending);
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

    /// Looks for an order of the calls that explains their answers.
    fn search(&mut self, items: &Vector<Item>, pending: &OrdMap<Step, Pending>) {
        let known = self.judge.violations.len();
        let before = self.judge.clone();
        let free: Vec<Step> = pending
            .iter()
            .filter(|(_, pending)| pending.outcome.is_some() && before.is_free(pending))
            .map(|(step, _)| *step)
            .collect();
        let first: Vec<usize> = (0..items.len()).collect();
        let mut known_orders = BTreeSet::from([first.clone()]);
        let mut orders = VecDeque::from([first]);
        while let Some(order) = orders.pop_front() {
            let permuted: Vector<Item> = order.iter().map(|at| items[*at].clone()).collect();
            let mut judge = before.clone();
            judge.group(&permuted, pending, true);
            if judge.violations.len() == known {
                self.judge = judge;
                self.judge.uncertain |= are_ambiguous(&free, pending);
                return;
            }
            for at in earlier(&permuted, &free, pending) {
                let mut next = order.clone();
                next.swap(at - 1, at);
                if known_orders.insert(next.clone()) {
                    orders.push_back(next);
                }
            }
            if known_orders.len() > ORDERS_MAX {
                self.judge.undecided(self.step, "overlapping calls without commit order");
                self.judge.uncertain = true;
                return;
            }
        }
        self.judge.group(items, pending, true);
    }
}

/// The call of a process that outlives another. A lock has no effect that a survey could find: it
/// is judged when it is answered.
fn as_surviving(pending: Pending) -> Pending {
    let committed = pending.committed && !matches!(pending.call, Call::Lock(_));
    Pending { committed, ..pending }
}

/// Did a crash cut off a call that may have taken a lock, or let go of one? Nobody was told which.
fn may_have_locked(pending: &OrdMap<Step, Pending>, testifies: bool) -> bool {
    pending.values().any(|pending| {
        pending.outcome.is_none()
            && (pending.committed || !testifies)
            && matches!(pending.call, Call::Lock(_) | Call::Close { .. })
    })
}

fn lock_calls(pending: &OrdMap<Step, Pending>) -> OrdMap<Step, (Pid, Lock)> {
    let locks = pending.iter().filter_map(|(called, pending)| {
        let Call::Lock(asked) = &pending.call else { return None };
        Some((*called, (pending.process, asked.clone())))
    });
    locks.collect()
}

const ORDERS_MAX: usize = 2_000;

/// Is the call judged by what there was between its beginning and its answer?
fn is_of_moments(call: &Call) -> bool {
    let is_snapshot = matches!(call, Call::Manage(Manage::Snapshot { .. }));
    let copies = matches!(call, Call::CopyRange { .. } | Call::CloneRange { .. });
    is_snapshot || copies || is_search(call)
}

/// Does the call tell bytes? Each may be of any moment between its beginning and its answer.
fn reads(call: &Call) -> bool {
    matches!(call, Call::Read { .. } | Call::Memory(Memory::Load { .. }))
}

/// Is something said judged after the call that it was said in?
///
/// What is said during a call that is alone may be about its own effect. Bytes that a write
/// brought are lost after it, bytes that a truncate removes are lost before it and resolved after
/// it. A sync has no effect, and is judged by what was said before it answered. Where the subject
/// told when a write took effect, what it said before is about what was before.
fn comes_after(item: &Item, pending: &OrdMap<Step, Pending>, overlapped: bool) -> bool {
    let alone = pending.values().next().filter(|_| !overlapped);
    match (item, alone.map(|alone| &alone.call)) {
        (Item::Said(..), Some(call)) if writes(call) => alone.is_some_and(|alone| !alone.committed),
        (Item::Said(_, Testimony::Resolved { .. }), Some(call)) => !call.is_sync(),
        (
            Item::Began(_)
            | Item::Said(..)
            | Item::Committed(_)
            | Item::Answered(_)
            | Item::Exited(..),
            _,
        ) => false,
    }
}

/// Is a call judged where the subject says that it took effect? A search is judged by all there
/// was until its answer.
fn takes_effect_early(pending: &Pending, overlapped: bool) -> bool {
    let is_write = writes(&pending.call);
    let is_late = pending.call.is_sync() || is_search(&pending.call);
    pending.committed && !is_late && (overlapped || is_write)
}

/// Does the call bring bytes to a file?
fn writes(call: &Call) -> bool {
    matches!(
        call,
        Call::Write { .. }
            | Call::CopyRange { .. }
            | Call::CloneRange { .. }
            | Call::Memory(Memory::Store { .. })
    )
}

fn is_search(call: &Call) -> bool {
    matches!(call, Call::Seek { whence: Whence::Data | Whence::Hole, .. })
}

/// Do at least two calls change something whose order nobody told?
fn are_ambiguous(free: &[Step], pending: &OrdMap<Step, Pending>) -> bool {
    let changing = |step: &&Step| pending.get(*step).is_some_and(|call| call.call.changes());
    free.iter().filter(changing).count() > 1
}

/// Where a call of unknown place may take effect one place earlier.
fn earlier(items: &Vector<Item>, free: &[Step], pending: &OrdMap<Step, Pending>) -> Vec<usize> {
    let mut orders = Vec::new();
    for at in 1..items.len() {
        let Item::Answered(step) = items[at] else { continue };
        let began_before = match &items[at - 1] {
            Item::Committed(other) | Item::Answered(other) => pending
                .get(other)
                .and_then(|other| other.outcome.as_ref())
                .is_none_or(|(answered, _)| step < *answered),
            Item::Began(then) | Item::Said(then, _) | Item::Exited(then, _) => step < *then,
        };
        if free.contains(&step) && began_before {
            orders.push(at);
        }
    }
    orders
}

impl Judge {
    /// Is it not known when the call took effect?
    fn is_free(&self, pending: &Pending) -> bool {
        !pending.committed && !pending.call.is_sync() && !self.is_void(pending)
    }

    /// Was the call interrupted before it did anything? One that syncs may have been interrupted
    /// after it wrote, which a subject tells that speaks of itself.
    fn is_void(&self, pending: &Pending) -> bool {
        let syncs = |id: HandleId| {
            let status = self.model.handles.get(&id).map(|handle| handle.status);
            status.is_none_or(|status| status.sync || status.data_sync)
        };
        let is_interrupted = matches!(pending.outcome, Some((_, Err(Errno::Interrupted))));
        if let Call::Write { handle, .. }
        | Call::CopyRange { to: handle, .. }
        | Call::CloneRange { to: handle, .. }
        | Call::Allocate { handle, .. } = &pending.call
        {
            return is_interrupted && (self.testifies || !syncs(*handle));
        }
        is_interrupted
    }

    /// What is known of names, permission bits and locks before the calls of a group are judged.
    fn begin_group(&mut self, pending: &OrdMap<Step, Pending>, overlapped: bool) {
        let is_rename =
            |pending: &Pending| matches!(pending.call, Call::Rename { .. } | Call::Exchange { .. });
        self.renames = overlapped && pending.values().any(is_rename);
        let sets_mode = |pending: &Pending| {
            matches!(pending.call, Call::SetMode { .. } | Call::SetModeHandle { .. })
        };
        self.model.are_modes_in_doubt = overlapped && pending.values().any(sets_mode);
        if overlapped {
            self.lock_calls = lock_calls(pending);
            self.lock_doubt = may_have_locked(pending, self.testifies);
        }
    }

    /// Judges what happened in a group, in this order.
    fn group(&mut self, items: &Vector<Item>, pending: &OrdMap<Step, Pending>, overlapped: bool) {
        self.begin_group(pending, overlapped);
        let is_of_moments = |pending: &Pending| is_of_moments(&pending.call);
        let is_looked_at = overlapped || pending.values().any(is_of_moments);
        let before = is_looked_at.then(|| self.model.clone());
        // Where it is known when each change took effect, a snapshot is of the time of its own
        // call; else of any time of the group.
        let is_timed = |pending: &Pending| {
            pending.committed || !pending.call.changes() || self.is_void(pending)
        };
        let are_timed = pending.values().all(is_timed);
        let overlaps = |pending: &Pending| overlapped && (pending.raced || !are_timed);
        let mut began: Vec<(Step, Model)> = Vec::new();
        let at_commit = |pending: &Pending| takes_effect_early(pending, overlapped);
        let (said, done): (Vec<&Item>, Vec<&Item>) =
            items.iter().partition(|item| comes_after(item, pending, overlapped));
        for item in done.into_iter().chain(said) {
            match item {
                Item::Said(step, testimony) => errors::said(self, *step, testimony),
                Item::Exited(_, process) => self.model.end_process(*process),
                Item::Began(call) => {
                    let begun = pending.get(call);
                    if begun.is_some_and(is_of_moments) {
                        began.push((*call, self.model.clone()));
                    }
                    if begun.is_some_and(overlaps) {
                        let known = if are_timed { Some(&self.model) } else { before.as_ref() };
                        self.began.extend(known.map(|known| (*call, known.clone())));
                    }
                }
                Item::Committed(call) => {
                    if let Some(pending) = pending.get(call).filter(|pending| at_commit(pending)) {
                        self.one(*call, pending, overlaps(pending));
                    }
                }
                Item::Answered(call) => match pending.get(call) {
                    Some(pending) if at_commit(pending) => self.returned(*call, pending, false),
                    Some(pending) => self.one(*call, pending, overlaps(pending)),
                    None => {}
                },
            }
            if let Item::Answered(call) = item
                && are_timed
                && let Some((_, before)) = began.iter().find(|(began, _)| began == call)
            {
                self.snapshots.made_between(*call, before, &self.model);
                self.copied_until(Some(*call), Some(before));
            }
        }
        if !overlapped
            && let Some((called, call)) = pending.iter().next()
            && call.outcome.is_none()
            && call.committed
            && !at_commit(call)
        {
            self.one(*called, call, false);
        }
        self.lock_doubt = false;
        errors::attribute(self);
        let is_write = |pending: &&Pending| writes(&pending.call);
        let is_sole_writer = pending.values().filter(is_write).count() == 1;
        for (called, pending) in pending {
            self.returned(*called, pending, is_sole_writer);
        }
        if let Some(before) = before {
            self.snapshots.close_group(&before, &self.model);
            self.copied_until(None, Some(&before));
            self.began.clear();
        }
    }

    /// A call answered, and all that was said until then is known: a write that promises
    /// durability is held to it.
    fn returned(&mut self, called: Step, pending: &Pending, is_sole_writer: bool) {
        let Some((answered, outcome)) = &pending.outcome else { return };
        let process = pending.process;
        let frame = Frame { called, acked: Some(*answered), process, overlapped: false };
        sync::write_returned(self, &frame, outcome, is_sole_writer);
    }

    fn one(&mut self, called: Step, pending: &Pending, overlapped: bool) {
        let process = pending.process;
        match &pending.outcome {
            Some((answered, outcome)) => {
                let frame = Frame { called, acked: Some(*answered), process, overlapped };
                self.call(&frame, &pending.call, outcome);
            }
            None => {
                let frame = Frame { called, acked: None, process, overlapped };
                take_effect(self, &frame, &pending.call);
            }
        }
        self.took_effect(called);
    }
}

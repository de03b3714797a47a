//! One operation, one file: what may be answered, then what an answer changes.
//!
//! M-1: a call always has at least one permitted answer. Conditions have no order: where several
//! fail, any of their errors is permitted.

mod allocate;
mod attribute;
mod cut;
pub(crate) mod effects;
mod exchange;
mod flock;
mod given_up;
mod handles;
mod link;
mod load;
mod make_directory;
mod manage;
mod memory;
mod mmap;
mod mode;
mod mprotect;
mod msync;
mod munmap;
mod open;
pub(crate) mod permitted;
mod read;
mod read_directory;
mod record_lock;
mod remove;
mod rename;
mod room;
mod search;
mod seek;
pub(crate) mod share;
pub(crate) mod snapshot;
mod space;
mod stat;
mod store;
pub(crate) mod sync;
mod truncate;
mod unnamed;
mod write;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use imbl::OrdSet;
use imbl::Vector;

use crate::counts::Counts;
use crate::counts::number_of;
use crate::enforced::enforced;
use crate::errors::Kinds;
use crate::model::Edit;
use crate::model::Extent;
use crate::model::FileId;
use crate::model::Handle;
use crate::model::Model;
use crate::model::NameOp;
use crate::model::Place;
use crate::ops::effects::Effects;
use crate::promise::Level;
use crate::promise::Promises;
use crate::violation::LostEffect;
use crate::violation::Reason;
use crate::violation::Violation;
use crate::words::Call;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Ino;
use crate::words::Lock;
use crate::words::Manage;
use crate::words::Outcome;
use crate::words::Pid;
use crate::words::Step;
use crate::words::Value;
use crate::words::Whence;

/// When a call was made, and when it was answered, if it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) called: Step,
    pub(crate) acked: Option<Step>,
    pub(crate) process: Pid,
    /// Were other calls under way?
    pub(crate) overlapped: bool,
}

impl Frame {
    pub(crate) fn step(&self) -> Step {
        self.acked.unwrap_or(self.called)
    }
}

/// Bytes of a file of unknown number that were said to be lost.
#[derive(Debug, Clone)]
pub(crate) struct Floating {
    pub(crate) ino: Ino,
    pub(crate) range: Range<u64>,
    pub(crate) errno: Errno,
    pub(crate) step: Step,
    /// Changes up to here.
    pub(crate) order: u64,
    /// The call whose effect the subject says was the last in them.
    pub(crate) seen: Option<Step>,
}

/// What is believed, and what was found wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    pub(crate) promises: Arc<Promises>,
    pub(crate) level: Level,
    /// By the number of each clause.
    enforced: Arc<[bool]>,
    pub(crate) model: Model,
    pub(crate) violations: Vector<Violation>,
    reported: OrdSet<(&'static str, String)>,
    pub(crate) exercised: Counts,
    pub(crate) undecided: Vector<Reason>,
    /// What a bound kept from being judged, and how often.
    pub(crate) passed_over: OrdMap<&'static str, u64>,
    pub(crate) lost_allowed: Vector<LostEffect>,
    /// Losses of files whose number is not known yet.
    pub(crate) floating: Vector<Floating>,
    /// What order the changes had reached when each of the last calls took effect.
    effects: Effects,
    /// Did the subject ever say that bytes were lost?
    pub(crate) lost_somewhere: bool,
    /// When something was lost first, since the file system was mounted.
    pub(crate) lost_in_mount: Option<Step>,
    /// When `syncfs` failed last: it has told of all failures before.
    pub(crate) syncfs_told: Option<Step>,
    /// When it answered last, whatever it said.
    pub(crate) synced_all: Option<Step>,
    /// Does the subject speak about itself?
    pub(crate) testifies: bool,
    /// Did an attempt to make things durable fail, and was nobody told yet?
    pub(crate) attempt_failed: bool,
    /// When the last attempt failed with which nothing was lost.
    pub(crate) last_attempt_failed: Option<Step>,
    /// When the file system last failed to make its own records durable.
    pub(crate) last_commit_failed: Option<Step>,
    /// Did the subject ever say that something failed?
    pub(crate) has_failed: bool,
    /// Of what kinds the attempts were that failed.
    pub(crate) failed_kinds: Kinds,
    /// Of what kinds the losses were, of any file.
    pub(crate) lost_kinds: Kinds,
    /// Is the order of past calls a guess? Then a mismatch is no violation.
    pub(crate) uncertain: bool,
    /// The last call that changed something: when it ended.
    pub(crate) changed_at: Option<Step>,
    /// Was everything synced since, so that an end now is an orderly one [CRASH-12]?
    pub(crate) is_orderly: bool,
    /// Did a process die within a call, and nobody looked what it did? As `uncertain`.
    pub(crate) half_done: bool,
    /// Was an extended attribute ever set?
    pub(crate) has_attributes: bool,
    /// Writes through descriptions that sync, by the step of the call, until they are judged.
    pub(crate) synced_writes: OrdMap<Step, sync::Written>,
    /// Is a rename among the calls that overlap?
    pub(crate) renames: bool,
    /// Calls about locks that overlap others and are not judged yet.
    pub(crate) lock_calls: OrdMap<Step, (Pid, Lock)>,
    /// Is it unknown who holds which lock, until the calls that overlap are all judged?
    pub(crate) lock_doubt: bool,
    /// What there was when calls began that are judged by more than one moment; of those that
    /// overlap.
    pub(crate) began: OrdMap<Step, Model>,
    /// Copies of which it is not known yet when they ended.
    pub(crate) copies: Vec<share::Fresh>,
    /// The order that the changes had reached when the last snapshot was made.
    pub(crate) frozen_at: u64,
    /// What was told of the space on the device.
    space: space::Told,
    /// What was frozen.
    pub(crate) snapshots: snapshot::Snapshots,
    /// Is the model that of a snapshot?
    pub(crate) frozen: Option<snapshot::Frozen>,
}

impl Judge {
    pub(crate) fn new(promises: Arc<Promises>, level: Level) -> Self {
        Self {
            enforced: enforced(&promises, level),
            promises,
            level,
            model: Model::new(),
            violations: Vector::new(),
            reported: OrdSet::new(),
            exercised: Counts::default(),
            undecided: Vector::new(),
            passed_over: OrdMap::new(),
            lost_allowed: Vector::new(),
            floating: Vector::new(),
            effects: Effects::default(),
            lost_somewhere: false,
            lost_in_mount: None,
            syncfs_told: None,
            synced_all: None,
            testifies: false,
            attempt_failed: false,
            last_attempt_failed: None,
            last_commit_failed: None,
            has_failed: false,
            failed_kinds: Kinds::default(),
            lost_kinds: Kinds::default(),
            uncertain: false,
            half_done: false,
            changed_at: None,
            is_orderly: false,
            has_attributes: false,
            synced_writes: OrdMap::new(),
            renames: false,
            lock_calls: OrdMap::new(),
            lock_doubt: false,
            began: OrdMap::new(),
            copies: Vec::new(),
            frozen_at: 0,
            space: space::Told::default(),
            snapshots: snapshot::Snapshots::default(),
            frozen: None,
        }
    }

    pub(crate) fn enforces(&self, clause: &str) -> bool {
        self.enforced_number(clause).is_some()
    }

    /// The number of a clause, if it is enforced.
    fn enforced_number(&self, clause: &str) -> Option<usize> {
        number_of(clause).filter(|number| self.enforced.get(*number) == Some(&true))
    }

    /// Notes that an event decided a clause, one way or the other.
    pub(crate) fn exercise(&mut self, clause: &'static str) {
        if clause == "DATA-RW-01" && self.frozen.as_ref().is_some_and(|of| of.is_recovered) {
            self.exercise("SNAP-07");
        }
        let clause = match (&self.frozen, clause) {
            (None, clause) => clause,
            (Some(_), "RSTAB-01") => "SNAP-04",
            (Some(_), "DATA-RW-01") => "SNAP-01",
            (Some(_), clause) if clause.starts_with("SNAP-") => clause,
            (Some(_), _) => return,
        };
        if let Some(number) = self.enforced_number(clause)
            && !self.is_doubtful_lock(clause)
        {
            self.exercised.count_number(number);
        }
    }

    pub(crate) fn undecided(&mut self, step: Step, what: &'static str) {
        if !self.undecided.iter().any(|reason| reason.what == what) {
            self.undecided.push_back(Reason { step, what });
        }
    }

    /// Notes that something was not judged, because of a bound or of what is forgotten.
    pub(crate) fn pass_over(&mut self, what: &'static str) {
        *self.passed_over.entry(what).or_insert(0) += 1;
    }

    /// Reports a violation, unless it may come from a wrong guess at what happened.
    pub(crate) fn report(&mut self, mut violation: Violation) {
        if self.is_doubtful_lock(violation.clause) {
            return;
        }
        if self.frozen.is_some() {
            if self.is_in_between() && !violation.clause.starts_with("SNAP-") {
                return self.pass_over("a mismatch in a snapshot that other calls overlapped");
            }
            violation.clause = self.of_snapshot(violation.clause);
            violation.also.retain(|clause| clause.starts_with("SNAP-"));
            violation.subject.push_str(" in a snapshot");
            if self.frozen.as_ref().is_some_and(|frozen| frozen.is_recovered) {
                violation.also.push("SNAP-07");
            }
        }
        let Some(what) = self.doubt() else { return self.report_certain(violation) };
        if violation.clauses().any(|clause| self.enforces(clause)) {
            self.undecided(violation.step, what);
        }
    }

    fn is_doubtful_lock(&self, clause: &str) -> bool {
        self.lock_doubt && clause.starts_with("LOCK-")
    }

    /// Why a mismatch may come from a guess.
    fn doubt(&self) -> Option<&'static str> {
        if self.uncertain {
            return Some("a mismatch after overlapping calls without commit order");
        }
        self.half_done.then_some("a mismatch after a process had died within a call")
    }

    /// Reports each clause once for each subject; of the clauses that a fact breaks, those that
    /// are enforced.
    pub(crate) fn report_certain(&mut self, mut violation: Violation) {
        let mut clauses: Vec<&'static str> = Vec::new();
        for clause in violation.clauses() {
            if self.enforces(clause) && !clauses.contains(&clause) {
                clauses.push(clause);
            }
        }
        let [first, others @ ..] = &clauses[..] else { return };
        (violation.clause, violation.also) = (*first, others.to_vec());
        let mut is_known = true;
        for clause in clauses.iter().rev() {
            self.exercise(clause);
            is_known = self.reported.insert((clause, violation.subject.clone())).is_some();
        }
        if !is_known {
            self.violations.push_back(violation);
        }
    }

    /// Reports a violation without earlier events.
    pub(crate) fn broken(
        &mut self,
        frame: &Frame,
        clause: &'static str,
        subject: String,
        observed: String,
        allowed: String,
    ) {
        let (step, also, allowed) = (frame.step(), Vec::new(), vec![allowed]);
        let chain = Vec::new();
        self.report(Violation { clause, also, step, subject, observed, allowed, chain });
    }

    /// Judges one call and lets its answer take effect.
    pub(crate) fn call(&mut self, frame: &Frame, call: &Call, outcome: &Outcome) {
        if self.uses_given_up(frame, call, outcome) {
            return;
        }
        let given_up = self.gives_up(frame, call, outcome);
        let before = self.growing(call);
        match self.snapshots.of(call) {
            Some(id) => snapshot::within(self, frame, id, call, outcome),
            None => self.plain(frame, call, outcome),
        }
        if let Some((file, size)) = before {
            self.judge_growth(frame, file, size);
        }
        self.judge_space(frame, call, outcome);
        self.note_given_up(given_up, outcome);
        if outcome.is_err() {
            // What failed has been told, by whatever call.
            self.attempt_failed = false;
        }
    }

    pub(crate) fn plain(&mut self, frame: &Frame, call: &Call, outcome: &Outcome) {
        if call.changes() {
            self.changed_at = Some(frame.acked.unwrap_or(Step(u64::MAX)));
            self.is_orderly = false;
        }
        self.model.actor = frame.process;
        match call {
            Call::Open { at, options } => open::judge(self, frame, at, *options, outcome),
            Call::Close { handle } => handles::close(self, frame, *handle, outcome),
            Call::Read { handle, offset, len } => {
                read::judge(self, frame, *handle, *offset, *len, outcome);
            }
            Call::Write { handle, offset, data } => {
                write::judge(self, frame, *handle, *offset, data, outcome);
            }
            Call::Seek { handle, offset, whence: whence @ (Whence::Data | Whence::Hole) } => {
                search::judge(self, frame, *handle, *offset, *whence, outcome);
            }
            Call::Seek { handle, offset, whence } => {
                seek::judge(self, frame, *handle, *offset, *whence, outcome);
            }
            Call::Stat { at, follow } => stat::by_path(self, frame, at, *follow, outcome),
            Call::StatHandle { handle } => stat::by_handle(self, frame, *handle, outcome),
            Call::SetTimes { at, follow, .. } => {
                handles::set_times(self, frame, at, *follow, outcome);
            }
            Call::SetTimesHandle { handle, .. } | Call::Advise { handle } => {
                handles::without_effect(self, frame, *handle, outcome);
            }
            Call::SetMode { .. } | Call::SetModeHandle { .. } => {
                mode::judge(self, frame, call, outcome);
            }
            Call::Truncate { handle, size_bytes } => {
                truncate::judge(self, frame, *handle, *size_bytes, outcome);
            }
            Call::Allocate { handle, offset, len, mode } => {
                allocate::judge(self, frame, *handle, (*offset, *len), *mode, outcome);
            }
            Call::CopyRange { .. } | Call::CloneRange { .. } | Call::DedupeRange { .. } => {
                self.shares(frame, call, outcome);
            }
            Call::Attribute(asked) => attribute::judge(self, frame, asked, outcome),
            Call::Fsync { handle } => sync::judge(self, frame, *handle, "DUR-FSYNC-01", outcome),
            Call::Fdatasync { handle } => sync::judge(self, frame, *handle, "DUR-FDS-01", outcome),
            Call::SetStatusFlags { handle, status } => {
                handles::set_status(self, frame, *handle, *status, outcome);
            }
            Call::ReadDirectory { handle, cookie, count_max } => {
                read_directory::judge(self, frame, *handle, *cookie, *count_max, outcome);
            }
            Call::MakeDirectory { at, mode } => {
                make_directory::judge(self, frame, at, *mode, outcome);
            }
            Call::RemoveDirectory { at } => remove::directory(self, frame, at, outcome),
            Call::Unlink { at } => remove::unlink(self, frame, at, outcome),
            Call::Rename { from, to, replace } => {
                rename::judge(self, frame, from, to, *replace, outcome);
            }
            Call::Exchange { from, to } => exchange::judge(self, frame, from, to, outcome),
            Call::Link { from, follow, to } => link::judge(self, frame, from, *follow, to, outcome),
            Call::OpenUnnamed { at, options } => {
                unnamed::open(self, frame, at, *options, outcome);
            }
            Call::LinkHandle { handle, to } => unnamed::link(self, frame, *handle, to, outcome),
            Call::Symlink { target, at } => link::symlink(self, frame, target, at, outcome),
            Call::ReadLink { at } => link::read(self, frame, at, outcome),
            Call::SyncAll => sync::all(self, frame, outcome),
            Call::Lock(asked) => self.lock(frame, asked, outcome),
            Call::Memory(asked) => memory::judge(self, frame, asked, outcome),
            Call::Manage(asked) => manage::judge(self, frame, asked, outcome),
        }
    }

    /// A call from one file to another.
    fn shares(&mut self, frame: &Frame, call: &Call, outcome: &Outcome) {
        if let Call::CopyRange { from, from_offset, to, to_offset, len } = call {
            let (from, from_offset) = (*from, *from_offset);
            let (to, to_offset, len) = (*to, *to_offset, *len);
            let asked = share::Asked { from, from_offset, to, to_offset, len };
            share::copy(self, frame, asked, outcome);
        } else if let Call::CloneRange { from, from_offset, len, to, to_offset } = call {
            let asked = share::Asked::ranges((*from, *from_offset), (*to, *to_offset), *len);
            share::clone(self, frame, asked, outcome);
        } else if let Call::DedupeRange { from, from_offset, len, to, to_offset } = call {
            let asked = share::Asked::ranges((*from, *from_offset), (*to, *to_offset), *len);
            share::dedupe(self, frame, asked, outcome);
        }
    }

    fn lock(&mut self, frame: &Frame, asked: &Lock, outcome: &Outcome) {
        self.lock_calls.remove(&frame.called);
        match asked {
            Lock::Whole { handle, kind, wait } => {
                flock::judge(self, frame, *handle, *kind, *wait, outcome);
            }
            Lock::Record { handle, kind, start, len, wait, owner } => {
                let (kind, start, len, wait, owner) = (*kind, *start, *len, *wait, *owner);
                let wanted = record_lock::Wanted { kind, start, len, wait, owner };
                record_lock::judge(self, frame, *handle, wanted, outcome);
            }
            Lock::Test { handle, kind, start, len, owner } => {
                let extent = Extent::new(*start, *len);
                record_lock::test(self, frame, *handle, (*kind, *owner), extent, outcome);
            }
            Lock::CloseDuplicate { handle } => {
                handles::close_duplicate(self, frame, *handle, outcome);
            }
        }
    }

    /// A call took effect. What changed nothing counts as well: a loss may name it.
    pub(crate) fn took_effect(&mut self, call: Step) {
        self.effects.add(call, self.model.order);
    }

    /// As `took_effect`, of a call that nothing overlapped.
    pub(crate) fn took_effect_alone(&mut self, call: Step) {
        self.effects.add_alone(call, self.model.order);
    }

    /// The order that the changes had reached when a call took effect: the newest, if it is not
    /// known or not told.
    pub(crate) fn order_at(&self, seen: Option<Step>) -> u64 {
        let known = seen.and_then(|call| self.effects.order_at(call));
        known.unwrap_or(self.model.order)
    }

    /// The answer is no answer to this call.
    pub(crate) fn malformed(&mut self, frame: &Frame) {
        self.undecided(frame.step(), "malformed trace: the value does not answer the call");
    }

    /// The handle, or the judgement of an answer about one that is not there.
    pub(crate) fn handle(
        &mut self,
        frame: &Frame,
        id: HandleId,
        outcome: &Outcome,
    ) -> Option<Handle> {
        if let Some(handle) = self.model.handles.get(&id) {
            return Some(handle.clone());
        }
        if outcome.is_ok() {
            self.undecided(frame.step(), "malformed trace: success on a handle that is not open");
        }
        None
    }

    /// An operation on names takes effect.
    pub(crate) fn names(
        &mut self,
        frame: &Frame,
        verb: &'static str,
        paths: [Bytes; 2],
        edits: Vec<Edit>,
    ) {
        let op = NameOp { step: frame.called, acked: frame.acked, edits, verb, paths };
        self.model.rename_edits(op);
    }

    /// Notes what the next lookup of a place is about.
    pub(crate) fn remember(&mut self, place: &Place, clause: &'static str) {
        if let Some(name) = place.name.clone().filter(|_| place.file.is_some()) {
            self.model.lookups.insert((place.directory, name), clause);
        }
    }

    /// Is a directory still in the tree, so that names can be made in it?
    pub(crate) fn is_linked(&self, directory: FileId) -> bool {
        directory == FileId::ROOT || self.model.file(directory).names > 0
    }
}

/// Lets a call that was cut off take effect, as if it had succeeded in full, where it could.
pub(crate) fn take_effect(judge: &mut Judge, frame: &Frame, call: &Call) {
    // A snapshot changes nothing, but it may be there afterwards.
    if !call.changes() && !matches!(call, Call::Manage(Manage::Snapshot { .. })) {
        return;
    }
    let outcome = if let Call::Open { .. } = call {
        let kind = crate::words::FileKind::Regular;
        Ok(Value::Handle { handle: HandleId(u64::MAX - frame.called.0), kind, ino: None })
    } else if let Call::Write { data, .. } = call {
        let Ok(count) = u32::try_from(data.len()) else { return };
        Ok(Value::Count(count))
    } else if let Call::CopyRange { from, from_offset, len, .. } = call {
        let Some(count) = judge.left_to_copy(*from, *from_offset, *len) else { return };
        Ok(Value::Count(count))
    } else {
        Ok(Value::Done)
    };
    let before = judge.clone();
    judge.call(frame, call, &outcome);
    if judge.violations.len() > before.violations.len()
        || judge.undecided.len() > before.undecided.len()
    {
        *judge = before;
    } else {
        judge.exercised = before.exercised;
    }
}

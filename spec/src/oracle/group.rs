//! A group of overlapping calls, and how it is judged in a given order.

use std::iter::Peekable;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::Vector;

use crate::errors;
use crate::model::Model;
use crate::model::overlaps;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::sync;
use crate::ops::take_effect;
use crate::words::Call;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Lock;
use crate::words::Manage;
use crate::words::Memory;
use crate::words::Outcome;
use crate::words::Pid;
use crate::words::Step;
use crate::words::Testimony;
use crate::words::Whence;

/// A call from its beginning to the end of the group in which it is judged.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) process: Pid,
    pub(super) call: Call,
    pub(super) outcome: Option<(Step, Outcome)>,
    pub(super) committed: bool,
    /// Was a call under way with it that can change something?
    pub(super) raced: bool,
}

/// What happened in a group of overlapping calls, in order.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// Only of calls that are judged by what there was when they began.
    Began(Step),
    Committed(Step),
    Answered(Step),
    Said(Step, Arc<Testimony>),
    Exited(Step, Pid),
}

/// The calls of a group, in the order in which they began. A group that lasts for a whole run is
/// cloned at each moment of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls(Vector<(Step, Arc<Pending>)>);

impl Calls {
    fn place(&self, step: Step) -> Result<usize, usize> {
        self.0.binary_search_by_key(&step, |(began, _)| *began)
    }

    pub(super) fn get(&self, step: Step) -> Option<&Pending> {
        let at = self.place(step).ok()?;
        self.0.get(at).map(|(_, pending)| pending.as_ref())
    }

    pub(super) fn get_mut(&mut self, step: Step) -> Option<&mut Pending> {
        let at = self.place(step).ok()?;
        self.0.get_mut(at).map(|(_, pending)| Arc::make_mut(pending))
    }

    /// Adds a call that began after all others.
    pub(super) fn push(&mut self, step: Step, pending: Arc<Pending>) {
        self.0.push_back((step, pending));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Step, &Pending)> {
        self.0.iter().map(|(step, pending)| (*step, pending.as_ref()))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Pending> {
        self.iter().map(|(_, pending)| pending)
    }
}

/// Did a crash cut off a call that may have taken a lock, or let go of one? Nobody was told which.
fn may_have_locked(calls: &Calls, testifies: bool) -> bool {
    calls.values().any(|pending| {
        pending.outcome.is_none()
            && (pending.committed || !testifies)
            && matches!(pending.call, Call::Lock(_) | Call::Close { .. })
    })
}

fn lock_calls(calls: &Calls) -> OrdMap<Step, (Pid, Lock)> {
    let locks = calls.iter().filter_map(|(called, pending)| {
        let Call::Lock(asked) = &pending.call else { return None };
        Some((called, (pending.process, asked.clone())))
    });
    locks.collect()
}

/// Is the call judged by what there was between its beginning and its answer?
pub(super) fn is_of_moments(call: &Call) -> bool {
    let is_snapshot = matches!(call, Call::Manage(Manage::Snapshot { .. }));
    let copies = matches!(call, Call::CopyRange { .. } | Call::CloneRange { .. });
    is_snapshot || copies || is_search(call)
}

/// Does the call tell bytes? Each may be of any moment between its beginning and its answer.
pub(super) fn reads(call: &Call) -> bool {
    matches!(call, Call::Read { .. } | Call::Memory(Memory::Load { .. }))
}

/// Is something said judged after the call that it was said in?
///
/// What is said during a call that is alone may be about its own effect. Bytes that a write
/// brought are lost after it, bytes that a truncate removes are lost before it and resolved after
/// it. A sync has no effect, and is judged by what was said before it answered. Where the subject
/// told when a write took effect, what it said before is about what was before. A last close lets
/// go of its file first: what it then drops that was lost before, nobody holds.
fn comes_after(item: &Item, items: &Vector<Item>, calls: &Calls, overlapped: bool) -> bool {
    let alone = calls.values().next().filter(|_| !overlapped);
    match (item, alone.map(|alone| &alone.call)) {
        (Item::Said(..), Some(call)) if writes(call) => alone.is_some_and(|alone| !alone.committed),
        (Item::Said(_, said), Some(call)) if matches!(**said, Testimony::Resolved { .. }) => {
            !call.is_sync()
        }
        (Item::Said(_, said), Some(Call::Close { .. })) => {
            alone.is_some_and(|alone| alone.committed) && drops_what_was_lost(said, items)
        }
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

/// Does the subject say that bytes are dropped, none of which were lost only among these items?
/// What a close itself fails to write may be dropped for that reason alone.
fn drops_what_was_lost(said: &Testimony, items: &Vector<Item>) -> bool {
    let Testimony::Evicted { file: dropped, range: evicted } = said else { return false };
    let is_lost_here = items.iter().filter_map(as_said).any(|(_, said)| {
        matches!(said, Testimony::Lost { file, range, .. }
            if file == dropped && overlaps(range, evicted))
    });
    !is_lost_here
}

/// What the subject says here, and what it goes on to say.
fn said_from<'a>(
    first: &'a Item,
    rest: &mut Peekable<impl Iterator<Item = &'a Item>>,
) -> Vec<(Step, &'a Testimony)> {
    let more = std::iter::from_fn(|| rest.next_if(|next| as_said(next).is_some()));
    std::iter::once(first).chain(more).filter_map(as_said).collect()
}

fn as_said(item: &Item) -> Option<(Step, &Testimony)> {
    match item {
        Item::Said(step, testimony) => Some((*step, &**testimony)),
        Item::Exited(..) | Item::Began(_) | Item::Committed(_) | Item::Answered(_) => None,
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

impl Judge {
    /// Is it not known when the call took effect?
    pub(super) fn is_free(&self, pending: &Pending) -> bool {
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

    /// What is in doubt while calls that overlapped are judged: names, permission bits, locks.
    fn begin_group(&mut self, calls: &Calls) {
        let is_rename =
            |pending: &Pending| matches!(pending.call, Call::Rename { .. } | Call::Exchange { .. });
        self.renames = calls.values().any(is_rename);
        let sets_mode = |pending: &Pending| {
            matches!(pending.call, Call::SetMode { .. } | Call::SetModeHandle { .. })
        };
        self.model.are_modes_in_doubt = calls.values().any(sets_mode);
        self.lock_calls = lock_calls(calls);
        self.lock_doubt = may_have_locked(calls, self.testifies);
    }

    /// Judges a call that nothing overlapped, and during which nothing was said: as
    /// [`Self::group`] does it of such a call.
    pub(super) fn alone(&mut self, called: Step, pending: &Pending) {
        self.judge_one(called, pending, false);
        self.took_effect_alone(called);
        errors::attribute(self);
        self.returned(called, pending, false);
    }

    /// Judges what happened in a group, in this order.
    pub(super) fn group(&mut self, items: &Vector<Item>, calls: &Calls, overlapped: bool) {
        if overlapped {
            self.begin_group(calls);
        }
        let is_of_moments = |pending: &Pending| is_of_moments(&pending.call);
        let is_looked_at = overlapped || calls.values().any(is_of_moments);
        let before = is_looked_at.then(|| self.model.clone());
        // Where it is known when each change took effect, a snapshot is of the time of its own
        // call; else of any time of the group.
        let is_timed = |pending: &Pending| {
            pending.committed || !pending.call.changes() || self.is_void(pending)
        };
        let are_timed = calls.values().all(is_timed);
        let overlaps = |pending: &Pending| overlapped && (pending.raced || !are_timed);
        let mut began: Vec<(Step, Model)> = Vec::new();
        let at_commit = |pending: &Pending| takes_effect_early(pending, overlapped);
        let is_later = |item: &&Item| comes_after(item, items, calls, overlapped);
        let (done, said) =
            (items.iter().filter(|item| !is_later(item)), items.iter().filter(is_later));
        let mut rest = done.chain(said).peekable();
        while let Some(item) = rest.next() {
            match item {
                Item::Said(..) => errors::said_together(self, &said_from(item, &mut rest)),
                Item::Exited(_, process) => self.model.end_process(*process),
                Item::Began(call) => {
                    let begun = calls.get(*call);
                    if begun.is_some_and(is_of_moments) {
                        began.push((*call, self.model.clone()));
                    }
                    if begun.is_some_and(overlaps) {
                        let known = if are_timed { Some(&self.model) } else { before.as_ref() };
                        self.began.extend(known.map(|known| (*call, known.clone())));
                    }
                }
                Item::Committed(call) => {
                    if let Some(pending) = calls.get(*call).filter(|pending| at_commit(pending)) {
                        self.one(*call, pending, overlaps(pending));
                    }
                }
                Item::Answered(call) => match calls.get(*call) {
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
            && let Some((called, call)) = calls.iter().next()
            && call.outcome.is_none()
            && call.committed
            && !at_commit(call)
        {
            self.one(called, call, false);
        }
        (self.lock_doubt, self.renames, self.model.are_modes_in_doubt) = (false, false, false);
        self.attribute(items, calls);
        let is_write = |pending: &&Pending| writes(&pending.call);
        let is_sole_writer = calls.values().filter(is_write).count() == 1;
        for (called, pending) in calls.iter() {
            self.returned(called, pending, is_sole_writer);
        }
        if let Some(before) = before {
            self.snapshots.close_group(&before, &self.model);
            self.copied_until(None, Some(&before));
            self.began.clear();
        }
    }

    /// All calls took effect, and it is known which files were meant by what was said meanwhile.
    /// What was said during calls that failed is about what they may have done as well.
    fn attribute(&mut self, items: &Vector<Item>, calls: &Calls) {
        errors::attribute(self);
        let failed = calls.iter().filter(|(_, pending)| {
            pending.call.changes() && matches!(pending.outcome, Some((_, Err(_))))
        });
        let failed: Vec<Step> = failed.map(|(called, _)| called).collect();
        if failed.is_empty() {
            return;
        }
        for (_, testimony) in items.iter().filter_map(as_said) {
            errors::said_in_failed(self, testimony, &failed);
        }
    }

    /// A call answered, and all that was said until then is known: a write that promises
    /// durability is held to it, and a close that fails has told its description.
    fn returned(&mut self, called: Step, pending: &Pending, is_sole_writer: bool) {
        let Some((answered, outcome)) = &pending.outcome else { return };
        let process = pending.process;
        let frame = Frame { called, acked: Some(*answered), process, overlapped: false };
        sync::write_returned(self, &frame, outcome, is_sole_writer);
        if let (Call::Close { handle }, Err(errno)) = (&pending.call, outcome) {
            errors::close_failed(self, &frame, *handle, *errno);
        }
    }

    fn one(&mut self, called: Step, pending: &Pending, overlapped: bool) {
        self.judge_one(called, pending, overlapped);
        self.took_effect(called);
    }

    fn judge_one(&mut self, called: Step, pending: &Pending, overlapped: bool) {
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
    }
}

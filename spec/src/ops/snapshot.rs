//! Snapshots: a frozen copy of what there is believed to be, which is read as everything else is.
//!
//! A call on a handle into a snapshot is judged against that copy; what it breaks is a clause of
//! snapshots, whatever it would break of a living file. Where other calls overlapped the one that
//! made it, a byte may be of any moment of that call [SNAP-01]; names and sizes are not judged
//! there if they changed meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;

use crate::model::FileId;
use crate::model::Handle;
use crate::model::Locks;
use crate::model::Model;
use crate::model::Past;
use crate::model::Regular;
use crate::model::was_since;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::cut::Cut;
use crate::ops::share::Source;
use crate::words::At;
use crate::words::Call;
use crate::words::Errno;
use crate::words::FileKind;
use crate::words::HandleId;
use crate::words::Manage;
use crate::words::MappingId;
use crate::words::Memory;
use crate::words::OpenOptions;
use crate::words::Outcome;
use crate::words::StatusFlags;
use crate::words::Step;
use crate::words::Value;

/// A snapshot; never reused.
pub(crate) type SnapshotId = u64;

/// A frozen copy.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    model: Model,
    /// What there was before and after the call that made it, where others overlapped it.
    between: Option<Arc<(Model, Model)>>,
    cut: Cut,
    /// Was it made by a call that was cut off? Then it may be of any moment.
    is_vague: bool,
    /// Was there a crash since?
    is_recovered: bool,
    /// May its name be gone, by a deletion or by a crash?
    may_be_gone: bool,
}

/// What is known besides, while the model is that of a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Frozen {
    /// What there was before and after the call that made it, where others overlapped it.
    pub(crate) between: Option<Arc<(Model, Model)>>,
    /// What was seen of its order.
    pub(crate) cut: Cut,
    /// Was there a crash since it was made?
    pub(crate) is_recovered: bool,
}

/// All snapshots there were.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshots {
    made: OrdMap<SnapshotId, Snapshot>,
    names: OrdMap<Bytes, SnapshotId>,
    handles: OrdMap<HandleId, SnapshotId>,
    mappings: OrdMap<MappingId, SnapshotId>,
    /// Those that were made in the group of calls under judgement, and by which.
    fresh: Vec<(Step, SnapshotId)>,
}

impl Snapshots {
    /// A call that made a snapshot answered: there was `before` when it began, and now is `after`.
    pub(crate) fn made_between(&mut self, call: Step, before: &Model, after: &Model) {
        let of_call = self.fresh.iter().position(|(step, _)| *step == call);
        let Some((_, id)) = of_call.map(|at| self.fresh.remove(at)) else { return };
        if let Some(snapshot) = self.made.get_mut(&id) {
            snapshot.between = Some(Arc::new((before.clone(), after.clone())));
        }
    }

    /// The calls among which snapshots were made have all taken effect. Those of which no more is
    /// known are of any moment among them.
    pub(crate) fn close_group(&mut self, before: &Model, after: &Model) {
        while let Some((call, id)) = self.fresh.first().copied() {
            self.made_between(call, before, after);
            if let Some(snapshot) = self.made.get_mut(&id) {
                snapshot.cut.is_of_any_moment = true;
            }
        }
    }

    /// After a crash nobody has a handle, and what was made may be there or not.
    pub(crate) fn crash(&mut self) {
        (self.handles, self.mappings) = (OrdMap::new(), OrdMap::new());
        let ids: Vec<SnapshotId> = self.made.keys().copied().collect();
        for id in ids {
            if let Some(snapshot) = self.made.get_mut(&id) {
                (snapshot.may_be_gone, snapshot.is_recovered) = (true, true);
            }
        }
    }

    /// Where bytes come from that are copied out of a snapshot.
    pub(crate) fn source(&self, id: HandleId) -> Option<Source> {
        let snapshot = self.made.get(self.handles.get(&id)?)?;
        let handle = snapshot.model.handles.get(&id)?.clone();
        let regular = snapshot.model.shared_regular(handle.file);
        let moved = |between: &Arc<(Model, Model)>| between.0.order != between.1.order;
        let is_vague = snapshot.is_vague || snapshot.between.as_ref().is_some_and(moved);
        Some(Source { regular, file: None, handle, is_vague })
    }

    /// The snapshot that a handle leads into.
    pub(crate) fn model_of(&self, id: HandleId) -> Option<&Model> {
        self.made.get(self.handles.get(&id)?).map(|snapshot| &snapshot.model)
    }

    /// The offset of a description into a snapshot moves.
    pub(crate) fn move_offset(&mut self, id: HandleId, offset: u64) {
        let Some(of) = self.handles.get(&id) else { return };
        let model = self.made.get_mut(of).map(|snapshot| &mut snapshot.model);
        if let Some(handle) = model.and_then(|model| model.handles.get_mut(&id)) {
            handle.offset = Some(offset);
        }
    }

    /// Was any snapshot made?
    pub(crate) fn are_any(&self) -> bool {
        !self.made.is_empty()
    }

    /// The snapshot that a call is about.
    pub(crate) fn of(&self, call: &Call) -> Option<SnapshotId> {
        if self.handles.is_empty() {
            return None;
        }
        if let Call::Memory(asked) = call
            && let Some(mapping) = mapping_of(asked)
        {
            return self.mappings.get(&mapping).copied();
        }
        handles_of(call).into_iter().flatten().find_map(|handle| self.handles.get(&handle).copied())
    }
}

fn mapping_of(asked: &Memory) -> Option<MappingId> {
    match asked {
        Memory::Map { .. } => None,
        Memory::Unmap { mapping, .. }
        | Memory::Protect { mapping, .. }
        | Memory::Store { mapping, .. }
        | Memory::Load { mapping, .. }
        | Memory::SyncMapping { mapping, .. } => Some(*mapping),
    }
}

/// The handles that a call is about.
pub(super) fn handles_of(call: &Call) -> [Option<HandleId>; 2] {
    match call {
        Call::Open { at, .. }
        | Call::OpenUnnamed { at, .. }
        | Call::Stat { at, .. }
        | Call::SetTimes { at, .. }
        | Call::SetMode { at, .. }
        | Call::MakeDirectory { at, .. }
        | Call::RemoveDirectory { at }
        | Call::Unlink { at }
        | Call::Symlink { at, .. }
        | Call::ReadLink { at } => [Some(at.directory), None],
        Call::Rename { from, to, .. }
        | Call::Exchange { from, to }
        | Call::Link { from, to, .. } => [Some(from.directory), Some(to.directory)],
        Call::LinkHandle { handle, to } => [Some(*handle), Some(to.directory)],
        Call::Close { handle }
        | Call::Read { handle, .. }
        | Call::Write { handle, .. }
        | Call::Seek { handle, .. }
        | Call::StatHandle { handle }
        | Call::SetTimesHandle { handle, .. }
        | Call::SetModeHandle { handle, .. }
        | Call::Truncate { handle, .. }
        | Call::Allocate { handle, .. }
        | Call::Advise { handle }
        | Call::Fsync { handle }
        | Call::Fdatasync { handle }
        | Call::SetStatusFlags { handle, .. }
        | Call::ReadDirectory { handle, .. }
        | Call::Memory(Memory::Map { handle, .. })
        | Call::Manage(Manage::SetCompression { handle, .. })
        | Call::Manage(Manage::SetNoCow { handle, .. })
        | Call::Manage(Manage::SyncRange { handle, .. }) => [Some(*handle), None],
        // What is read of a snapshot by a copy is judged with the copy.
        Call::CopyRange { to, .. } | Call::CloneRange { to, .. } | Call::DedupeRange { to, .. } => {
            [Some(*to), None]
        }
        Call::Attribute(asked) => [Some(asked.handle()), None],
        Call::Lock(asked) => [Some(asked.handle()), None],
        Call::SyncAll | Call::Memory(_) | Call::Manage(_) => [None, None],
    }
}

/// `snapshot`: what there is now, for ever.
pub(crate) fn make(judge: &mut Judge, frame: &Frame, name: &Bytes, outcome: &Outcome) {
    if outcome.is_err() {
        return;
    }
    let mut model = judge.model.clone();
    (model.mappings, model.inos) = (OrdMap::new(), OrdMap::new());
    (model.handles, model.locks) = (OrdMap::new(), Locks::default());
    model.open_root();
    let id = judge.snapshots.made.get_max().map_or(0, |(last, _)| last + 1);
    let is_vague = frame.acked.is_none();
    let (between, cut) = (None, Cut::default());
    let (is_recovered, may_be_gone) = (false, is_vague);
    let snapshot = Snapshot { model, between, cut, is_vague, is_recovered, may_be_gone };
    judge.snapshots.made.insert(id, snapshot);
    judge.snapshots.names.insert(name.clone(), id);
    judge.frozen_at = judge.model.next_order();
    if frame.overlapped {
        judge.snapshots.fresh.push((frame.called, id));
    }
}

/// `deletesnapshot`.
pub(crate) fn delete(judge: &mut Judge, name: &Bytes) {
    let snapshots = &mut judge.snapshots;
    let id = snapshots.names.get(name).copied();
    if let Some(snapshot) = id.and_then(|id| snapshots.made.get_mut(&id)) {
        snapshot.may_be_gone = true;
    }
}

/// `opensnapshot`: the root of a snapshot becomes a handle.
pub(crate) fn open(judge: &mut Judge, frame: &Frame, name: &Bytes, outcome: &Outcome) {
    let id = judge.snapshots.names.get(name).copied();
    let known = id.and_then(|id| judge.snapshots.made.get_mut(&id));
    match (outcome, known) {
        (Err(Errno::NoEntry), Some(known)) if !known.may_be_gone => {
            let subject = String::from_utf8_lossy(name).into_owned();
            let allowed = "the snapshot, which was made".to_owned();
            judge.exercise("SNAP-04");
            judge.broken(frame, "SNAP-04", subject, "answered ENOENT".to_owned(), allowed);
        }
        (Err(_), _) => {}
        (Ok(Value::Handle { handle, kind: FileKind::Directory, .. }), Some(known)) => {
            let root = Handle {
                file: FileId::ROOT,
                process: frame.process,
                opened: frame.step(),
                read: true,
                write: false,
                status: StatusFlags::default(),
                offset: Some(0),
                scan: None,
                errors_seen_until: Step(0),
                told: None,
            };
            known.model.open(*handle, root);
            let id = id.unwrap_or_default();
            judge.snapshots.handles.insert(*handle, id);
        }
        (Ok(_), Some(_)) => judge.malformed(frame),
        (Ok(_), None) => judge.undecided(frame.step(), "a snapshot that nobody made"),
    }
}

/// Judges a call on a handle into a snapshot.
pub(crate) fn within(
    judge: &mut Judge,
    frame: &Frame,
    id: SnapshotId,
    call: &Call,
    outcome: &Outcome,
) {
    if changes(call) {
        return refused(judge, frame, call, outcome);
    }
    if matches!(call, Call::DedupeRange { .. }) {
        return;
    }
    let Some(mut snapshot) = judge.snapshots.made.get(&id).cloned() else { return };
    let mut call = call.clone();
    if let Call::Open { at, options } = &call {
        let Some(opened) = read_only(frame, judge, at, *options, outcome) else { return };
        call = opened;
    }
    let (known, doubts) = (judge.violations.clone(), judge.undecided.clone());
    std::mem::swap(&mut judge.model, &mut snapshot.model);
    let (between, cut) = (snapshot.between.clone(), std::mem::take(&mut snapshot.cut));
    let is_recovered = snapshot.is_recovered;
    judge.frozen = Some(Frozen { between, cut, is_recovered });
    judge.plain(frame, &call, outcome);
    if let Some(frozen) = judge.frozen.take() {
        snapshot.cut = frozen.cut;
    }
    std::mem::swap(&mut judge.model, &mut snapshot.model);
    if snapshot.is_vague {
        (judge.violations, judge.undecided) = (known, doubts);
        judge.pass_over("a call on a snapshot whose making was cut off");
    }
    judge.snapshots.made.insert(id, snapshot);
    match (&call, outcome) {
        (Call::Close { handle }, _) => drop(judge.snapshots.handles.remove(handle)),
        (_, Ok(Value::Handle { handle, .. })) => drop(judge.snapshots.handles.insert(*handle, id)),
        (_, Ok(Value::Mapping(mapping))) => {
            judge.snapshots.mappings.insert(*mapping, id);
        }
        (_, Ok(_) | Err(_)) => {}
    }
}

/// An open that would write or create may be refused; else it is judged as one that does neither.
fn read_only(
    frame: &Frame,
    judge: &mut Judge,
    at: &At,
    options: OpenOptions,
    outcome: &Outcome,
) -> Option<Call> {
    let writes = options.write || options.create || options.truncate;
    let refusals = [Errno::ReadOnly, Errno::Access, Errno::NotPermitted, Errno::NotCapable];
    if writes && outcome.as_ref().is_err_and(|errno| refusals.contains(errno)) {
        return None;
    }
    if options.truncate && outcome.is_ok() {
        let subject = String::from_utf8_lossy(&at.path).into_owned();
        let observed = "truncated by open".to_owned();
        judge.broken(frame, "SNAP-04", subject, observed, "EROFS".to_owned());
    }
    let (write, create, exclusive, truncate) = (false, false, false, false);
    let options = OpenOptions { write, create, exclusive, truncate, ..options };
    Some(Call::Open { at: at.clone(), options })
}

/// A call that would change a snapshot.
fn refused(judge: &mut Judge, frame: &Frame, call: &Call, outcome: &Outcome) {
    judge.exercise("SNAP-04");
    let is_empty = matches!(call, Call::Write { data, .. } if data.is_empty());
    let is_let_through = !matches!(outcome, Ok(Value::Signal(_)) | Err(_));
    if is_let_through && !is_empty {
        let observed = "a change, answered with success".to_owned();
        judge.broken(frame, "SNAP-04", "a snapshot".to_owned(), observed, "EROFS".to_owned());
    }
}

/// Would a call change something? Of an open that would, the rest is judged.
fn changes(call: &Call) -> bool {
    call.changes() && !matches!(call, Call::Open { .. } | Call::Memory(_))
}

impl Judge {
    /// The clauses of snapshots that a fact breaks which would break this one of a living file.
    pub(crate) fn of_snapshot(&self, clause: &'static str) -> &'static str {
        match clause {
            "SNAP-01" | "SNAP-02" | "SNAP-03" | "SNAP-04" | "SNAP-07" => clause,
            "RSTAB-01" => "SNAP-04",
            _ if self.is_all_synced() => "SNAP-03",
            _ => "SNAP-01",
        }
    }

    /// Is everything that the model knows promised?
    fn is_all_synced(&self) -> bool {
        let is_synced =
            |file: &FileId| self.model.regular(*file).is_none_or(|regular| regular.log.is_empty());
        self.model.names.log.is_empty() && self.model.files.keys().all(is_synced)
    }

    /// May a snapshot lack, or have, what overlapping calls changed of names and sizes?
    pub(crate) fn is_in_between(&self) -> bool {
        let between = self.frozen.as_ref().and_then(|frozen| frozen.between.as_ref());
        let Some(between) = between else { return false };
        between.0.order != between.1.order
    }

    /// Was a byte this while the call was under way that made the snapshot?
    pub(crate) fn was_in_between(&self, file: FileId, at: u64, byte: u8) -> Past {
        let between = self.frozen.as_ref().and_then(|frozen| frozen.between.as_ref());
        let Some((before, after)) = between.map(|between| &**between) else { return Past::Other };
        let Some(after) = after.regular(file) else { return Past::Other };
        match before.regular(file) {
            Some(before) => was_since(before, after, at, byte, |_| true),
            None => was_since(&Regular::default(), after, at, byte, |_| true),
        }
    }
}

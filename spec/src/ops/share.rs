//! `copy_file_range`, clones and deduplication: bytes of one file become bytes of another. No byte
//! is copied in the model: both point to the same.
//!
//! A copy may be done byte by byte, each of a moment of its own; a clone sees every write wholly or
//! not at all [COPY-03]. What is stored through mappings meanwhile is of any moment.

use std::sync::Arc;

use crate::errors::may_revert;
use crate::model::Change;
use crate::model::Copied;
use crate::model::Effect;
use crate::model::FileId;
use crate::model::Handle;
use crate::model::Moments;
use crate::model::Peer;
use crate::model::Placed;
use crate::model::Reach;
use crate::model::Regular;
use crate::model::TOO_DEEP;
use crate::model::overlaps;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::ops::write;
use crate::violation::show;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;
use crate::words::Step;
use crate::words::Value;

/// Where bytes come from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// None if it is no regular file.
    pub(crate) regular: Option<Arc<Regular>>,
    /// None if it is in a snapshot.
    pub(crate) file: Option<FileId>,
    pub(crate) handle: Handle,
    /// Is it not known which moment a snapshot shows?
    pub(crate) is_vague: bool,
}

/// What is asked of two files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) from: HandleId,
    pub(crate) from_offset: Option<u64>,
    pub(crate) to: HandleId,
    pub(crate) to_offset: Option<u64>,
    pub(crate) len: u64,
}

impl Asked {
    pub(crate) fn ranges(from: (HandleId, u64), to: (HandleId, u64), len: u64) -> Self {
        let ((from, from_offset), (to, to_offset)) = (from, to);
        Self { from, from_offset: Some(from_offset), to, to_offset: Some(to_offset), len }
    }
}

/// A copy among calls that overlap it, until it is known when they ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fresh {
    call: Step,
    source: FileId,
    destination: FileId,
    order: u64,
}

/// Offsets and lengths that are multiples of this are aligned to every block.
const BLOCK_BYTES_MOST: u64 = 1 << 16;
/// A block is no greater than this where bytes are cloned beyond what was asked for.
const TAIL_BYTES_MOST: u64 = 1 << 12;
const PEERS_MAX: usize = 8;

/// `copy_file_range`.
pub(crate) fn copy(judge: &mut Judge, frame: &Frame, asked: Asked, outcome: &Outcome) {
    let Some((source, handle)) = ends(judge, frame, asked, outcome) else { return };
    let at = asked.from_offset.or(source.handle.offset);
    let to = asked.to_offset.or(handle.offset);
    let held = source.regular.as_ref().map_or(0, |regular| size_in(judge, frame, &source, regular));
    let left = at.map_or(held, |at| held.saturating_sub(at)).min(asked.len);
    let is_same = source.file == Some(handle.file);
    let is_overlap = |len: u64| {
        let (Some(at), Some(to)) = (at, to) else { return false };
        let range = |start: u64| start..start.saturating_add(len);
        is_same && len > 0 && overlaps(&range(at), &range(to))
    };
    let is_sure = is_known(frame, &source);
    let is_far = to.is_some_and(|to| end(to, left).is_none());
    let permitted = refusals(judge, &source, &handle, "COPY-02")
        .must_by(is_sure && is_overlap(left), &[Errno::Invalid], "COPY-10")
        .must_by(is_far, &LIMITS, "COPY-12")
        .may(is_overlap(asked.len), &[Errno::Invalid])
        .may(to.is_none_or(|to| end(to, asked.len).is_none()), &LIMITS)
        .may(to.is_some_and(|to| judge.is_beyond_limit(end(to, asked.len))), &LIMITS)
        .may(at.is_none_or(|at| end(at, asked.len).is_none()), &LIMITS);
    if !judge.settle(frame, &permitted, outcome) {
        if let (Some(at), Some(to)) = (at, to)
            && end(to, left).is_some()
        {
            failed(judge, frame, (&source, at), (asked.to, &handle, to), left, outcome);
        }
        return;
    }
    let Ok(Value::Count(count)) = outcome else { return judge.malformed(frame) };
    let count = u64::from(*count);
    let is_short = count == 0 && left > 0 && is_sure;
    if count > left || is_short {
        let allowed = format!("{} to {left} bytes", left.min(1));
        let subject = judge.model.path_text(handle.file);
        judge.broken(frame, "COPY-02", subject, format!("{count} bytes"), allowed);
    }
    let (Some(at), Some(to)) = (at, to) else {
        return judge.undecided(frame.step(), "a copy at an offset that is not known");
    };
    if end(to, count).is_none() {
        return;
    }
    let by = Placed::Copied;
    place(judge, frame, (&source, at), (asked.to, &handle, to), count, by);
    if asked.from_offset.is_none() {
        judge.move_offset(asked.from, at.saturating_add(count));
    }
    if asked.to_offset.is_none() {
        judge.move_offset(asked.to, to + count);
    }
}

/// `ioctl(FICLONERANGE)`.
pub(crate) fn clone(judge: &mut Judge, frame: &Frame, asked: Asked, outcome: &Outcome) {
    let Some((source, handle)) = ends(judge, frame, asked, outcome) else { return };
    let (at, to) = (asked.from_offset.unwrap_or(0), asked.to_offset.unwrap_or(0));
    let held = source.regular.as_ref().map_or(0, |regular| size_in(judge, frame, &source, regular));
    let known = source.regular.as_ref().map_or(0, |regular| regular.size);
    let whole = if asked.len == 0 { known.saturating_sub(at) } else { asked.len };
    // A failed write may have made the destination longer, so that the range ends within it.
    let size = judge.model.regular(handle.file).map_or(0, Regular::size_most);
    let is_beyond = at > held || at.checked_add(whole).is_none_or(|end| end > held);
    let is_same = source.file == Some(handle.file);
    let range = |start: u64| start..start.saturating_add(whole);
    let is_overlap = is_same && overlaps(&range(at), &range(to));
    let is_tail = at.checked_add(whole) == Some(held) && to.saturating_add(whole) >= size;
    let is_even = [at, to, if is_tail { 0 } else { whole }]
        .iter()
        .all(|offset| offset.is_multiple_of(BLOCK_BYTES_MOST));
    let is_sure = is_known(frame, &source);
    let permitted = refusals(judge, &source, &handle, "COPY-02")
        .must_by(is_sure && is_beyond, &[Errno::Invalid, Errno::Overflow], "COPY-02")
        .must_by(is_sure && is_overlap, &[Errno::Invalid], "COPY-10")
        .must_by(end(to, whole).is_none(), &LIMITS, "COPY-12")
        .may(judge.is_beyond_limit(end(to, whole)), &LIMITS)
        .may(!is_sure || !is_even, &[Errno::Invalid]);
    judge.exercise("COPY-02");
    if !judge.settle(frame, &permitted, outcome) {
        if let Err(errno) = outcome
            && end(to, whole).is_some()
        {
            refused(judge, frame, (&source, at), (asked.to, &handle, to), whole, *errno);
        }
        return;
    }
    if *outcome != Ok(Value::Done) {
        return judge.malformed(frame);
    }
    if end(to, whole).is_none() {
        return;
    }
    let by = Placed::Cloned;
    place(judge, frame, (&source, at), (asked.to, &handle, to), whole, by);
    spare_tail(judge, frame, handle.file, to + whole, size);
    let (unsure, end) = (held.saturating_sub(known.max(at)), to + whole);
    if asked.len == 0 && unsure > 0 && end.checked_add(unsure).is_some() {
        // Nobody knows how long the source was.
        may_be_there(judge, frame, (&source, at + whole), (&handle, end), unsure, by);
    }
}

/// `ioctl(FIDEDUPERANGE)`: whatever is shared, no byte changes.
pub(crate) fn dedupe(judge: &mut Judge, frame: &Frame, asked: Asked, outcome: &Outcome) {
    let Some((source, handle)) = ends(judge, frame, asked, outcome) else { return };
    let (at, to) = (asked.from_offset.unwrap_or(0), asked.to_offset.unwrap_or(0));
    let is_regular = source.regular.is_some() && judge.model.regular(handle.file).is_some();
    let permitted = Permitted::of("DEDUP-01", handle.file)
        .must(!source.handle.read, &[Errno::BadFile, Errno::NotCapable, Errno::Invalid])
        .must(!is_regular, &[Errno::IsDirectory, Errno::Invalid, Errno::BadFile])
        .may(!handle.write, &[Errno::BadFile, Errno::NotPermitted, Errno::NotCapable])
        .may(handle.status.append, &[Errno::BadFile])
        .may(true, &[Errno::Invalid, Errno::CrossDevice, Errno::Overflow, Errno::Again]);
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    let Ok(Value::Same(same)) = outcome else { return judge.malformed(frame) };
    let (Some(from), Some(regular)) = (source.regular, judge.model.regular(handle.file)) else {
        return;
    };
    if !same {
        return;
    }
    let range = to..to.saturating_add(asked.len);
    let is_sure = !frame.overlapped && from.is_sure() && regular.is_sure() && !source.is_vague;
    let size = from.size.saturating_sub(at).min(regular.size.saturating_sub(to));
    let wrong = from
        .live
        .moved(at..at.saturating_add(asked.len), to)
        .first_difference(&regular.live, range.clone());
    if let Some(wrong) = wrong.filter(|_| is_sure) {
        let byte = |regular: &Regular, at: u64| {
            regular.live.runs(at..at.saturating_add(1)).first().map_or(0, |run| run.byte(at))
        };
        let source = show(&[byte(&from, at.saturating_add(wrong - to))]);
        let allowed = format!("no: {source} there, {} here", show(&[byte(regular, wrong)]));
        let subject = judge.model.path_text(handle.file);
        judge.broken(frame, "DEDUP-01", subject, format!("the same, at {wrong}"), allowed);
    } else if size < asked.len && is_sure {
        let subject = judge.model.path_text(handle.file);
        let observed = format!("{} bytes that are the same", asked.len);
        judge.broken(frame, "DEDUP-01", subject, observed, format!("at most {size}"));
    }
    let order = judge.model.order;
    for file in source.file.into_iter().chain([handle.file]) {
        if let Some(regular) = judge.model.regular_mut(file) {
            regular.has_unknown_room(order);
        }
    }
    if let Some(regular) = judge.model.regular_mut(handle.file) {
        regular.deduplicated = range;
    }
}

/// Errors where a range would reach beyond every limit.
const LIMITS: [Errno; 3] = [Errno::FileTooBig, Errno::Invalid, Errno::Overflow];

fn end(at: u64, len: u64) -> Option<u64> {
    at.checked_add(len).filter(|end| i64::try_from(*end).is_ok())
}

/// Both ends of a call, or the judgement of an answer about one that is not there.
fn ends(
    judge: &mut Judge,
    frame: &Frame,
    asked: Asked,
    outcome: &Outcome,
) -> Option<(Source, Handle)> {
    let handle = judge.handle(frame, asked.to, outcome)?;
    if let Some(source) = judge.snapshots.source(asked.from) {
        return Some((source, handle));
    }
    let from = judge.handle(frame, asked.from, outcome)?;
    let regular = judge.model.shared_regular(from.file);
    let (file, is_vague) = (Some(from.file), false);
    Some((Source { regular, file, handle: from, is_vague }, handle))
}

/// The greatest size that the source had during the call.
fn size_in(judge: &Judge, frame: &Frame, source: &Source, regular: &Regular) -> u64 {
    let before = source.file.and_then(|file| judge.began.get(&frame.called)?.regular(file));
    let changes = before.iter().flat_map(|before| regular.log.range(before.last_order + 1..));
    let reached = changes.map(|(_, change)| crate::model::resized(0, change));
    let most = reached.fold(regular.size_most(), u64::max);
    before.map_or(most, |before| most.max(before.size_most()))
}

/// Is the size of the source known, and no call under way that may change it?
fn is_known(frame: &Frame, source: &Source) -> bool {
    let is_sized = |regular: &Arc<Regular>| regular.size_most() == regular.size;
    !frame.overlapped && !source.is_vague && source.regular.as_ref().is_some_and(is_sized)
}

fn refusals(judge: &Judge, source: &Source, handle: &Handle, clause: &'static str) -> Permitted {
    let is_regular = source.regular.is_some() && judge.model.regular(handle.file).is_some();
    let is_shut = !source.handle.read || !handle.write;
    Permitted::of(clause, handle.file)
        .must(is_shut, &[Errno::BadFile, Errno::NotCapable, Errno::Invalid])
        .must(!is_regular, &[Errno::IsDirectory, Errno::Invalid, Errno::BadFile])
        .must_by(handle.status.append, &[Errno::BadFile], "COPY-10")
        // What is dirty cannot be written back just now: nothing was done.
        .may(true, &[Errno::CrossDevice, Errno::Again])
}

/// The bytes of the source, as the destination gets them.
fn effect(source: &Source, at: u64, to: u64, len: u64, by: Placed) -> Effect {
    let live =
        source.regular.as_ref().map(|regular| regular.live.moved(at..at.saturating_add(len), to));
    let content = live.unwrap_or_default();
    Effect::Place { range: to..to + len, content, by, reach: Reach::Grow }
}

fn place(
    judge: &mut Judge,
    frame: &Frame,
    (source, at): (&Source, u64),
    (id, handle, to): (HandleId, &Handle, u64),
    len: u64,
    by: Placed,
) {
    if len == 0 {
        return;
    }
    judge.exercise("COPY-01");
    if by == Placed::Cloned && frame.overlapped {
        judge.exercise("COPY-03");
    }
    let order = judge.model.next_order();
    let moments = moments(judge, frame, source, (at, to, len), by);
    let effect = effect(source, at, to, len, by);
    let Some(regular) = judge.model.regular_mut(handle.file) else { return };
    let has_grown = to + len > regular.size;
    regular.change(order, Change::new(frame, id, effect));
    if has_grown {
        regular.size_clause = Some("COPY-02");
    }
    let is_too_deep = moments.as_ref().is_some_and(|moments| moments.is_too_deep());
    if let Some(moments) = moments {
        regular.note_copied(order, moments);
    }
    regular.has_no_room(&(to..to + len));
    if is_too_deep {
        judge.pass_over(TOO_DEEP);
    }
    if let (Some(source), true) = (source.file, frame.overlapped) {
        let (call, destination) = (frame.called, handle.file);
        judge.copies.push(Fresh { call, source, destination, order });
    }
    if let Some(file) = source.file.filter(|_| by == Placed::Cloned) {
        befriend(judge, handle.file, Peer { file, there: at, here: to, len, order });
        let peer = Peer { file: handle.file, there: to, here: at, len, order };
        befriend(judge, file, peer);
    }
    if (handle.status.sync || handle.status.data_sync) && frame.acked.is_some() {
        write::note_synced(judge, frame, id, handle, Some(order));
    }
}

fn befriend(judge: &mut Judge, file: FileId, peer: Peer) {
    let Some(regular) = judge.model.regular_mut(file) else { return };
    regular.has_no_room(&(peer.here..peer.here.saturating_add(peer.len)));
    regular.unowned_at = regular.unowned_at.max(peer.order);
    regular.peers.push_back(peer);
    if regular.peers.len() > PEERS_MAX {
        regular.peers.pop_front();
    }
}

/// What the copied bytes may be besides; none if they are known.
fn moments(
    judge: &Judge,
    frame: &Frame,
    source: &Source,
    (at, to, len): (u64, u64, u64),
    by: Placed,
) -> Option<Arc<Moments>> {
    let after = source.regular.clone()?;
    let began = judge.began.get(&frame.called);
    let before = source.file.and_then(|file| began?.shared_regular(file));
    let reverts = after.lost.iter().any(|lost| may_revert(judge, lost));
    let is_sure = after.is_sure() && !reverts && !source.is_vague;
    if is_sure && !frame.overlapped {
        return None;
    }
    let (is_whole, is_any) = (by == Placed::Cloned, source.is_vague);
    let copied = Copied { from: at..at.saturating_add(len), to, is_whole, reverts, is_any };
    Some(Moments::new(before, after, copied))
}

/// Behind a range that does not end with a block, up to its end, bytes stay or are zero [COPY-07].
fn spare_tail(judge: &mut Judge, frame: &Frame, file: FileId, end: u64, size: u64) {
    let block_end = end.next_multiple_of(TAIL_BYTES_MOST).min(size);
    if end >= block_end {
        return;
    }
    judge.exercise("COPY-07");
    let order = judge.model.next_order();
    let content = crate::model::Extents::default();
    let (range, by, reach) = (end..block_end, Placed::Zeroed, Reach::Keep);
    let effect = Effect::Place { range, content, by, reach };
    let change = Change { acked: None, ..Change::new(frame, HandleId::ROOT, effect) };
    if let Some(regular) = judge.model.regular_mut(file) {
        regular.maybes.insert(order, change);
    }
}

/// A copy that failed may have left any of its bytes behind.
fn failed(
    judge: &mut Judge,
    frame: &Frame,
    (source, at): (&Source, u64),
    (id, handle, to): (HandleId, &Handle, u64),
    len: u64,
    outcome: &Outcome,
) {
    let is_synced = handle.status.sync || handle.status.data_sync;
    if is_synced {
        write::note_synced(judge, frame, id, handle, None);
    }
    let Err(errno) = outcome else { return };
    let is_partial = [Errno::Io, Errno::NoSpace].contains(errno)
        || (is_synced && [Errno::Interrupted, Errno::Again].contains(errno));
    if !is_partial || len == 0 {
        return;
    }
    may_be_there(judge, frame, (source, at), (handle, to), len, Placed::Copied);
}

/// Any of the bytes may have been copied.
fn may_be_there(
    judge: &mut Judge,
    frame: &Frame,
    (source, at): (&Source, u64),
    (handle, to): (&Handle, u64),
    len: u64,
    by: Placed,
) {
    let order = judge.model.next_order();
    let moments = moments(judge, frame, source, (at, to, len), by);
    let effect = effect(source, at, to, len, by);
    let change = Change { acked: None, ..Change::new(frame, HandleId::ROOT, effect) };
    if let Some(regular) = judge.model.regular_mut(handle.file) {
        regular.maybes.insert(order, change);
        if let Some(moments) = moments {
            regular.note_copied(order, moments);
        }
    }
}

/// A clone that failed has changed nothing; only where it had to sync may it be there.
fn refused(
    judge: &mut Judge,
    frame: &Frame,
    (source, at): (&Source, u64),
    (id, handle, to): (HandleId, &Handle, u64),
    len: u64,
    errno: Errno,
) {
    if handle.status.sync || handle.status.data_sync {
        write::note_synced(judge, frame, id, handle, None);
        if [Errno::Io, Errno::NoSpace, Errno::Interrupted, Errno::Again].contains(&errno) {
            may_be_there(judge, frame, (source, at), (handle, to), len, Placed::Cloned);
            return;
        }
    }
    if errno == Errno::NoSpace {
        judge.exercise("COPY-12");
    }
    let change = Change::new(frame, id, effect(source, at, to, len, Placed::Cloned));
    if let Some(regular) = judge.model.regular_mut(handle.file) {
        regular.refused = Some((change, errno));
    }
}

impl Judge {
    /// A call that copied answered: what the source held until now may have been copied.
    pub(crate) fn copied_until(
        &mut self,
        call: Option<Step>,
        before: Option<&crate::model::Model>,
    ) {
        let fresh = std::mem::take(&mut self.copies);
        let (done, left): (Vec<Fresh>, Vec<Fresh>) =
            fresh.into_iter().partition(|copy| call.is_none_or(|call| copy.call == call));
        self.copies = left;
        for copy in done {
            let after = self.model.shared_regular(copy.source);
            let began = before.and_then(|before| before.shared_regular(copy.source));
            let Some(regular) = self.model.regular_mut(copy.destination) else { continue };
            if let (Some(moments), Some(after)) = (regular.copies.get(copy.order), after) {
                let moments = moments.until(began, after);
                regular.note_copied(copy.order, moments);
            }
        }
    }

    /// How much there is to copy.
    pub(crate) fn left_to_copy(&self, id: HandleId, at: Option<u64>, len: u64) -> Option<u32> {
        let handle = self.model.handles.get(&id)?;
        let size = self.model.regular(handle.file)?.size;
        u32::try_from(size.saturating_sub(at.or(handle.offset)?).min(len)).ok()
    }

    /// The offset of a description moves, also of one into a snapshot.
    fn move_offset(&mut self, id: HandleId, offset: u64) {
        match self.model.handles.get_mut(&id) {
            Some(handle) => handle.offset = Some(offset),
            None => self.snapshots.move_offset(id, offset),
        }
    }
}

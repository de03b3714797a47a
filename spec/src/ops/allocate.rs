//! `fallocate`: room for bytes, zeros over bytes, and bytes that move.
//!
//! A punched, zeroed or moved range is a change as a write is: after a crash each byte is of the
//! old version or the new one, until a sync. That no write fails later for want of space is
//! promised of files that are written in place, in `room`.

use std::ops::Range;
use std::sync::Arc;

use crate::model::Change;
use crate::model::Copied;
use crate::model::Effect;
use crate::model::Extents;
use crate::model::FileId;
use crate::model::Moments;
use crate::model::Placed;
use crate::model::Reach;
use crate::model::TOO_DEEP;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::ops::room::reserve;
use crate::ops::truncate;
use crate::words::AllocateMode;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    (offset, len): (u64, u64),
    mode: AllocateMode,
    outcome: &Outcome,
) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let end = offset.checked_add(len).filter(|end| i64::try_from(*end).is_ok());
    let any = [Errno::FileTooBig, Errno::Invalid, Errno::BadFile, Errno::NotCapable];
    let (size, is_sized) = match judge.model.regular(handle.file) {
        Some(regular) => (regular.size, regular.size_most() == regular.size),
        None => (0, false),
    };
    let is_sure = is_sized && !frame.overlapped;
    let (clause, is_outside) = match mode {
        AllocateMode::Extend | AllocateMode::KeepSize => ("FALLOC-02", false),
        AllocateMode::PunchHole | AllocateMode::ZeroRange | AllocateMode::ZeroRangeKeepSize => {
            ("FALLOC-03", false)
        }
        AllocateMode::CollapseRange => ("FALLOC-04", is_sure && end.is_none_or(|end| end >= size)),
        AllocateMode::InsertRange => ("FALLOC-04", is_sure && offset >= size),
    };
    let is_special = mode != AllocateMode::Extend;
    let permitted = Permitted::of(clause, handle.file)
        .must_by(end.is_none(), &[Errno::FileTooBig, Errno::Invalid], "TRUNC-03")
        .must(is_special && !handle.write, &[Errno::BadFile, Errno::NotCapable, Errno::Invalid])
        .must(is_special && len == 0, &[Errno::Invalid])
        .must(is_outside, &[Errno::Invalid])
        .may(true, &any)
        .may(true, &[Errno::IsDirectory, Errno::NoAddress, Errno::NoDevice, Errno::Again]);
    let is_done = judge.settle(frame, &permitted, outcome);
    let Some(end) = end.filter(|_| judge.model.regular(handle.file).is_some()) else { return };
    if !is_done {
        return failed(judge, frame, handle.file, mode, offset..end, outcome);
    }
    match mode {
        AllocateMode::Extend => {
            if end > size {
                extend(judge, frame, id, handle.file, end);
            }
            reserve(judge, handle.file, offset..end);
        }
        AllocateMode::KeepSize => {
            judge.exercise("FALLOC-05");
            reserve(judge, handle.file, offset..end);
            if let Some(regular) = judge.model.regular_mut(handle.file).filter(|_| end > size) {
                regular.reserved_beyond = regular.reserved_beyond.max(end);
                regular.size_clause = Some("FALLOC-05");
            }
        }
        AllocateMode::PunchHole | AllocateMode::ZeroRange | AllocateMode::ZeroRangeKeepSize => {
            let order = judge.model.next_order();
            let change = Change::new(frame, id, zeros(mode, offset..end));
            apply(judge, handle.file, order, change, "FALLOC-03");
            if mode != AllocateMode::PunchHole {
                reserve(judge, handle.file, offset..end);
            }
        }
        AllocateMode::CollapseRange => {
            let to = size.saturating_sub(len);
            shift(judge, frame, (id, handle.file), (end, offset), offset, to);
        }
        AllocateMode::InsertRange => {
            let to = size.saturating_add(len);
            shift(judge, frame, (id, handle.file), (offset, end), offset, to);
        }
    }
}

/// The file reaches `end`, or further if a failed write made it longer than anybody was told.
fn extend(judge: &mut Judge, frame: &Frame, id: HandleId, file: FileId, end: u64) {
    let Some(regular) = judge.model.regular(file) else { return };
    if regular.size_most() == regular.size {
        return truncate::resize(judge, frame, id, end, "FALLOC-02");
    }
    let (from, sized) = (regular.size, regular.sized_order);
    let order = judge.model.next_order();
    let change = Change::new(frame, id, Effect::Resize { from, to: end });
    apply(judge, file, order, change, "FALLOC-02");
    if let Some(regular) = judge.model.regular_mut(file) {
        regular.sized_order = sized;
    }
}

fn zeros(mode: AllocateMode, range: Range<u64>) -> Effect {
    let (content, by) = (Extents::default(), Placed::Zeroed);
    let grows = mode == AllocateMode::ZeroRange;
    let reach = if grows { Reach::Grow } else { Reach::Keep };
    Effect::Place { range, content, by, reach }
}

fn apply(judge: &mut Judge, file: FileId, order: u64, change: Change, clause: &'static str) {
    let Some(regular) = judge.model.regular_mut(file) else { return };
    let (size, range) = (regular.size, change.range());
    regular.change(order, change);
    // A hole that reaches the end takes the block there whole, with what was kept behind the end.
    let end = if range.end < size { range.end } else { u64::MAX };
    regular.has_no_room(&(range.start..end));
    if regular.size != size {
        regular.size_clause = Some(clause);
    }
}

/// What begins at `from` moves to `to`, up to the end; the file gets a new size.
fn shift(
    judge: &mut Judge,
    frame: &Frame,
    (id, file): (HandleId, FileId),
    (from, to): (u64, u64),
    start: u64,
    size: u64,
) {
    let Some(known) = judge.model.shared_regular(file) else { return };
    let content = known.live.moved(from..known.size.max(from), to);
    let (range, by, reach) = (start..u64::MAX, Placed::Moved, Reach::Set(size));
    let effect = Effect::Place { range, content: content.clone(), by, reach };
    let (order, next) = (judge.model.next_order(), judge.model.next_order());
    apply(judge, file, order, Change::new(frame, id, effect), "FALLOC-04");
    judge.model.cut_mappings(file, start);
    if known.is_sure() && known.lost.is_empty() {
        return;
    }
    let reverts = known.lost.iter().any(|lost| crate::errors::may_revert(judge, lost));
    let (before, is_whole, is_any) = (None, false, false);
    let (after, most) = (Arc::clone(&known), known.size_most());
    let copied = Copied { from: from..u64::MAX, to, is_whole, reverts, is_any };
    let moments = Moments::new(before, after, copied);
    if moments.is_too_deep() {
        judge.pass_over(TOO_DEEP);
    }
    let Some(regular) = judge.model.regular_mut(file) else { return };
    regular.note_copied(order, Arc::clone(&moments));
    // What a failed write may have brought behind the end has moved as well.
    let end = (i128::from(most) + i128::from(size) - i128::from(known.size)).max(0);
    let end = u64::try_from(end).unwrap_or(u64::MAX);
    if most > known.size && end > start {
        let effect = Effect::Place { range: start..end, content, by, reach: Reach::Grow };
        let change = Change { acked: None, ..Change::new(frame, HandleId::ROOT, effect) };
        regular.maybes.insert(next, change);
        regular.note_copied(next, moments);
    }
}

/// Zeroing that failed may have been done in part.
fn failed(
    judge: &mut Judge,
    frame: &Frame,
    file: FileId,
    mode: AllocateMode,
    range: Range<u64>,
    outcome: &Outcome,
) {
    let is_zeroing = match mode {
        AllocateMode::PunchHole | AllocateMode::ZeroRange | AllocateMode::ZeroRangeKeepSize => true,
        AllocateMode::Extend
        | AllocateMode::KeepSize
        | AllocateMode::CollapseRange
        | AllocateMode::InsertRange => false,
    };
    let is_partial = matches!(outcome, Err(Errno::Io | Errno::NoSpace | Errno::Again));
    if !is_partial || range.is_empty() {
        return;
    }
    let order = judge.model.next_order();
    if let Some(regular) = judge.model.regular_mut(file) {
        regular.has_unknown_room(order);
    }
    if !is_zeroing {
        return;
    }
    let change = Change::new(frame, HandleId::ROOT, zeros(mode, range));
    if let Some(regular) = judge.model.regular_mut(file) {
        regular.maybes.insert(order, Change { acked: None, ..change });
    }
}

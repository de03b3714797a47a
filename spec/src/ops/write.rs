//! `write`: a prefix of the bytes is there, as long as the answer says.

use std::ops::Range;

use bytes::Bytes;

use crate::model::Change;
use crate::model::Effect;
use crate::model::FileId;
use crate::model::Handle;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::ops::read;
use crate::ops::room::FILE_SIZE_SURE;
use crate::ops::sync::Written;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;
use crate::words::Value;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    offset: Option<u64>,
    data: &Bytes,
    outcome: &Outcome,
) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let Some(regular) = judge.model.regular(handle.file) else { return };
    let at = if handle.status.append { Some(regular.size) } else { offset.or(handle.offset) };
    let end = at.and_then(|at| at.checked_add(data.len() as u64));
    let too_big = at.is_some() && end.is_none_or(|end| i64::try_from(end).is_err());
    let large = end.is_none_or(|end| end > FILE_SIZE_SURE) || judge.is_beyond_limit(end);
    let is_cut = is_through(&handle) && judge.is_beyond_limit(end);
    let permitted = Permitted::of("DATA-RW-05", handle.file)
        .must(!handle.write, &[Errno::BadFile, Errno::NotCapable])
        .may(large, &[Errno::FileTooBig])
        .may(is_cut, &[Errno::Invalid])
        .may(is_through(&handle), &[Errno::Again])
        .may(read::is_uneven(&handle, offset, data.len() as u64), &[Errno::Invalid])
        .may(too_big, &[Errno::FileTooBig, Errno::Invalid, Errno::Overflow]);
    if !judge.settle(frame, &permitted, outcome) {
        let is_synced = handle.status.sync || handle.status.data_sync;
        if is_synced {
            note_synced(judge, frame, id, &handle, None);
        }
        if let (Err(Errno::NoSpace), Some(at), Some(end)) = (outcome, at, end) {
            judge.judge_room(frame, handle.file, &(at..end), is_synced);
        }
        if let (Err(Errno::FileTooBig), Some(at)) = (outcome, at.filter(|_| !data.is_empty())) {
            let ends = append_ends(judge, &handle);
            judge.judge_limit(frame, handle.file, at.max(ends.end));
        }
        return failed(judge, frame, &handle, at, data, outcome);
    }
    let Ok(Value::Count(count)) = outcome else { return judge.malformed(frame) };
    let count = *count as usize;
    if count > data.len() || (count == 0 && !data.is_empty()) {
        let allowed = format!("1 to {} bytes", data.len());
        let subject = judge.model.path_text(handle.file);
        judge.broken(frame, "DATA-RW-05", subject, format!("{count} bytes"), allowed);
    }
    let Some(at) = at else {
        return judge.undecided(frame.step(), "a write at an offset that is not known");
    };
    let written = data.slice(..count.min(data.len()));
    if too_big && is_beyond(judge, frame, handle.file, at, count) {
        return;
    }
    let ends = append_ends(judge, &handle);
    if ends.start < ends.end && !written.is_empty() {
        append_somewhere(judge, frame, handle.file, ends, written);
        if let Some(handle) = judge.model.handles.get_mut(&id).filter(|_| offset.is_none()) {
            handle.offset = None;
        }
        return;
    }
    if let Some(end) = end {
        judge.note_room(handle.file, &(at..end), count < data.len());
    }
    apply(judge, frame, id, at, written, count < data.len());
    if let Some(handle) = judge.model.handles.get_mut(&id).filter(|_| offset.is_none()) {
        handle.offset = Some(at + count as u64);
    }
}

/// A write that would reach beyond every limit may have written what fits below it, and no more.
fn is_beyond(judge: &mut Judge, frame: &Frame, file: FileId, at: u64, count: usize) -> bool {
    judge.exercise("TRUNC-03");
    let end = at.checked_add(count as u64);
    let is_beyond = end.is_none_or(|end| i64::try_from(end).is_err());
    if is_beyond {
        let subject = judge.model.path_text(file);
        let observed = format!("{count} bytes at {at}");
        judge.broken(frame, "TRUNC-03", subject, observed, "EFBIG, or fewer bytes".to_owned());
    }
    is_beyond
}

/// Where an append may have gone: a failed write may have made the file longer, and nobody has
/// looked since. Empty if it is known.
fn append_ends(judge: &Judge, handle: &Handle) -> Range<u64> {
    match judge.model.regular(handle.file) {
        Some(regular) if handle.status.append => regular.size..regular.size_most(),
        Some(_) | None => 0..0,
    }
}

/// An append to a file whose end is not known: its bytes are wherever that was. Nothing is
/// concluded from it but the least size; what it was promised is not held against anybody.
fn append_somewhere(judge: &mut Judge, frame: &Frame, file: FileId, ends: Range<u64>, data: Bytes) {
    let count = data.len() as u64;
    remember(judge, frame, file, Effect::Append { ends, data });
    if let Some(regular) = judge.model.regular_mut(file) {
        regular.size += count;
        regular.size_clause = Some("APP-02");
        regular.reads.clear();
    }
}

fn apply(judge: &mut Judge, frame: &Frame, id: HandleId, at: u64, written: Bytes, is_short: bool) {
    let Some(handle) = judge.model.handles.get(&id).cloned() else { return };
    let order = judge.model.next_order();
    let size_clause = match (is_short, handle.status.append) {
        (true, _) => "DATA-RW-05",
        (false, true) => "APP-02",
        (false, false) => "DATA-RW-01",
    };
    let appended = handle.status.append.then(|| written.clone());
    let is_synced = handle.status.sync || handle.status.data_sync;
    if handle.status.append {
        judge.exercise("APP-01");
    }
    if written.is_empty() {
        return;
    }
    judge.model.last_write = Some((handle.file, written.clone()));
    let Some(regular) = judge.model.regular_mut(handle.file) else { return };
    if at + written.len() as u64 > regular.size {
        regular.size_clause = Some(size_clause);
    }
    let direct = written.clone();
    let effect = Effect::Write { offset: at, data: written };
    regular.change(order, Change::new(frame, id, effect));
    if handle.status.direct {
        regular.live.put_direct(at, direct, order);
    }
    regular.last_append = appended;
    if is_synced && frame.acked.is_some() {
        note_synced(judge, frame, id, &handle, Some(order));
    }
}

/// The write is held to what its description promises once its answer is reached.
pub(crate) fn note_synced(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    handle: &Handle,
    order: Option<u64>,
) {
    let (file, is_whole) = (handle.file, handle.status.sync);
    judge.synced_writes.insert(frame.called, Written { handle: id, file, order, is_whole });
}

/// Does the write itself go to what is beneath the cache? That may refuse it for now.
fn is_through(handle: &Handle) -> bool {
    handle.status.sync || handle.status.data_sync || handle.status.direct
}

/// A write that failed may have left any of its bytes behind [DATA-ERR-01].
fn failed(
    judge: &mut Judge,
    frame: &Frame,
    handle: &Handle,
    at: Option<u64>,
    data: &Bytes,
    outcome: &Outcome,
) {
    // A write that was interrupted has written nothing (POSIX), but its sync may be what was.
    let is_synced = handle.status.sync || handle.status.data_sync;
    let is_partial = |errno: Errno| {
        [Errno::Io, Errno::NoSpace].contains(&errno)
            || (is_synced && errno == Errno::Interrupted)
            || (is_through(handle) && errno == Errno::Again)
    };
    let Err(errno) = outcome else { return };
    let Some(at) = at else { return };
    if !is_partial(*errno) || at.checked_add(data.len() as u64).is_none() || data.is_empty() {
        return;
    }
    let (ends, data) = (append_ends(judge, handle), data.clone());
    let effect = if ends.start < ends.end {
        Effect::Append { ends, data }
    } else {
        Effect::Write { offset: at, data }
    };
    remember(judge, frame, handle.file, effect);
}

fn remember(judge: &mut Judge, frame: &Frame, file: FileId, effect: Effect) {
    let order = judge.model.next_order();
    judge.exercise("DATA-ERR-01");
    if let Some(regular) = judge.model.regular_mut(file) {
        let mut change = Change::new(frame, HandleId::ROOT, effect);
        change.acked = None;
        regular.maybes.insert(order, change);
    }
}

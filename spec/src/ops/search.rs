//! `lseek` for data or a hole: what is skipped as a hole reads as zeros, at one moment of the call.
//!
//! Zeros may be told as data at any time [SEEK-03], so that only holes are looked at.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::errors::may_revert;
use crate::model::Change;
use crate::model::FileId;
use crate::model::Regular;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::violation::Violation;
use crate::violation::show;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;
use crate::words::Value;
use crate::words::Whence;

/// A search that was answered: where it began, and what was told; nothing is `ENXIO`.
#[derive(Debug, Clone, Copy)]
struct Search {
    start: u64,
    told: Option<u64>,
    is_for_data: bool,
}

/// Why an answer is wrong at a moment.
struct Wrong {
    clauses: Vec<&'static str>,
    observed: String,
    allowed: String,
    /// The byte that is no hole, if that is what is wrong.
    byte: Option<u64>,
}

/// So many versions of a file are looked at one by one.
const MOMENTS_MAX: usize = 256;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    offset: i64,
    whence: Whence,
    outcome: &Outcome,
) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let file = handle.file;
    let Some(regular) = judge.model.shared_regular(file) else { return };
    let told = match outcome {
        Ok(Value::Offset(new)) => Some(*new),
        Ok(_) => return judge.malformed(frame),
        Err(Errno::NoAddress) => None,
        Err(_) => {
            let permitted =
                Permitted::of("SEEK-01", file).may(offset < 0, &[Errno::Invalid, Errno::Overflow]);
            judge.settle(frame, &permitted, outcome);
            return;
        }
    };
    let Ok(start) = u64::try_from(offset) else {
        if told.is_some() {
            let observed = format!("an offset, for a search from {offset}");
            let (subject, allowed) = (judge.model.path_text(file), "EINVAL or ENXIO".to_owned());
            judge.broken(frame, "SEEK-01", subject, observed, allowed);
        }
        return;
    };
    let search = Search { start, told, is_for_data: whence == Whence::Data };
    exercise(judge, frame, &regular, search);
    judge_moments(judge, frame, file, &regular, search);
    if let Some(regular) = judge.model.regular_mut(file) {
        regular.searched = Some(frame.step());
    }
    if let (Some(new), Some(handle)) = (told, judge.model.handles.get_mut(&id)) {
        handle.offset = Some(new);
    }
}

fn exercise(judge: &mut Judge, frame: &Frame, regular: &Regular, search: Search) {
    judge.exercise("SEEK-01");
    judge.exercise("SEEK-07");
    if frame.overlapped {
        judge.exercise("SEEK-06");
    }
    if !search.is_for_data {
        judge.exercise("SEEK-04");
    }
    let skipped = search.skipped(regular.size);
    if !skipped.is_empty() {
        judge.exercise("SEEK-02");
    }
    // What was stored to a page shows whether the search saw it, also if it did.
    let until = search.told.unwrap_or(regular.size).saturating_add(1).min(regular.size);
    let near = regular.live.runs(search.start..until.max(search.start));
    if near.iter().any(|run| run.mapping().is_some()) {
        judge.exercise("SEEK-05");
    }
}

impl Search {
    /// The bytes that were told to be a hole.
    fn skipped(self, size: u64) -> Range<u64> {
        let end = match (self.told, self.is_for_data) {
            (Some(told), true) => return self.start..told.min(size).max(self.start),
            (Some(told), false) => return told..told.saturating_add(1).min(size).max(told),
            (None, true) => size,
            (None, false) => self.start,
        };
        self.start..end.max(self.start)
    }
}

/// The versions that the file had while the search was under way, the newest last; nothing if they
/// are too many.
fn moments(
    judge: &Judge,
    frame: &Frame,
    file: FileId,
    now: &Arc<Regular>,
) -> Option<Vec<Arc<Regular>>> {
    let began = judge.began.get(&frame.called).filter(|_| frame.overlapped);
    let Some(before) = began.and_then(|began| began.shared_regular(file)) else {
        return Some(vec![Arc::clone(now)]);
    };
    let since: BTreeMap<u64, &Change> = now.since(before.last_order).collect();
    if since.len() > MOMENTS_MAX || now.forgets_since(before.last_order) {
        return None;
    }
    let mut moments = vec![Arc::clone(&before)];
    let mut version = Regular::clone(&before);
    for (order, change) in since {
        version.change(order, change.clone());
        moments.push(Arc::new(version.clone()));
    }
    moments.push(Arc::clone(now));
    Some(moments)
}

fn judge_moments(
    judge: &mut Judge,
    frame: &Frame,
    file: FileId,
    now: &Arc<Regular>,
    search: Search,
) {
    let Some(versions) = moments(judge, frame, file, now) else {
        return judge.pass_over("a search for data or a hole beside very many changes");
    };
    let mut wrong = None;
    let mut bytes = Vec::new();
    for version in &versions {
        let Some(found) = wrong_at(judge, version, search) else { return };
        bytes.push(found.byte);
        wrong = Some(found);
    }
    let Some(mut wrong) = wrong else { return };
    // Each byte was a hole at some moment, but never all of them at once.
    let was_hole = |at: u64| {
        versions.iter().any(|version| {
            search.skipped(version.size).contains(&at) && is_hole(judge, version, at..at + 1)
        })
    };
    if bytes.iter().flatten().all(|at| was_hole(*at)) && bytes.iter().any(Option::is_some) {
        wrong.clauses.insert(0, "SEEK-06");
    }
    let subject = judge.model.path_text(file);
    let (clause, also) = (wrong.clauses[0], wrong.clauses[1..].to_vec());
    let chain = Vec::new();
    let (step, observed, allowed) = (frame.step(), wrong.observed, vec![wrong.allowed]);
    judge.report(Violation { clause, also, step, subject, observed, allowed, chain });
}

/// What is wrong with an answer, of a version of the file; nothing if it is right.
fn wrong_at(judge: &Judge, regular: &Regular, search: Search) -> Option<Wrong> {
    let (size, most) = (regular.size, regular.size_most());
    let what = if search.is_for_data { "data" } else { "a hole" };
    let start = search.start;
    let refused = |clause, observed: String, allowed: &str| {
        let (clauses, allowed) = (vec![clause], allowed.to_owned());
        Some(Wrong { clauses, observed, allowed, byte: None })
    };
    let Some(told) = search.told else {
        if start >= size {
            return None;
        }
        if !search.is_for_data {
            let observed = format!("ENXIO from {start}, with the end at {size}");
            return refused("SEEK-04", observed, "an offset: the end counts as a hole");
        }
        return wrong_hole(judge, regular, start..size);
    };
    if start >= most || told < start || told > most || (search.is_for_data && told >= most) {
        let observed = format!("{what} at {told} from {start}, with the end at {size}");
        return refused("SEEK-01", observed, "an offset from there up to the end, or ENXIO");
    }
    wrong_hole(judge, regular, search.skipped(size))
}

fn wrong_hole(judge: &Judge, regular: &Regular, range: Range<u64>) -> Option<Wrong> {
    let (at, byte, is_stored) = first_datum(judge, regular, range.clone())?;
    let clauses = if is_stored { vec!["SEEK-05", "SEEK-02"] } else { vec!["SEEK-02"] };
    let observed = format!("a hole at {}..{}", range.start, range.end);
    let allowed = format!("data at {at}, where {} is", show(&[byte]));
    Some(Wrong { clauses, observed, allowed, byte: Some(at) })
}

fn is_hole(judge: &Judge, regular: &Regular, range: Range<u64>) -> bool {
    first_datum(judge, regular, range).is_none()
}

/// The first byte that cannot be zero, and whether it was stored through a mapping.
fn first_datum(judge: &Judge, regular: &Regular, range: Range<u64>) -> Option<(u64, u8, bool)> {
    for run in regular.live.runs(range) {
        let Some(data) = &run.data else { continue };
        for (at, byte) in (run.start..).zip(data) {
            if *byte != 0 && !may_be_zero(judge, regular, at, run.order) {
                return Some((at, *byte, run.mapping().is_some()));
            }
        }
    }
    None
}

fn may_be_zero(judge: &Judge, regular: &Regular, at: u64, order: u64) -> bool {
    let is_between = judge.frozen.is_some() && judge.is_in_between();
    is_between
        || regular.may_be_otherwise(at, 0, order)
        || regular.lost.meeting(&(at..at.saturating_add(1))).any(|lost| may_revert(judge, lost))
}

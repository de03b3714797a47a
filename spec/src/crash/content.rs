//! What power loss may leave of a file's bytes: each of the promised version or of a later one.

use std::ops::Range;

use bytes::Bytes;

use crate::model::Change;
use crate::model::Effect;
use crate::model::Extents;
use crate::model::Origin;
use crate::model::Promise;
use crate::model::Reach;
use crate::model::Regular;
use crate::model::Run;
use crate::model::difference;
use crate::model::differs;
use crate::model::index;
use crate::model::resized;
use crate::violation::show;
use crate::words::Content;
use crate::words::Step;

/// Why a file cannot have what was found.
#[derive(Debug, Clone)]
pub(crate) struct Mismatch {
    /// The promise that was broken, if one was made; else the general clause.
    pub(crate) promise: Option<Promise>,
    pub(crate) clause: &'static str,
    pub(crate) observed: String,
    pub(crate) allowed: String,
    pub(crate) chain: Vec<(Step, String)>,
}

/// Bytes as they were found.
pub(crate) fn extents(content: &Content, order: u64, promise: Option<Promise>) -> Extents {
    let mut extents = Extents::default();
    for (at, bytes) in &content.pieces {
        let end = at.saturating_add(bytes.len() as u64);
        let whole = index(end - at);
        extents.put(*at..end, Some(bytes.slice(..whole)), order, promise);
    }
    extents
}

/// What was found to be possible, of a version of a file.
pub(crate) struct Known<'a> {
    pub(crate) regular: &'a Regular,
    pub(crate) size: u64,
    pub(crate) content: &'a Content,
}

/// Could power loss have left this of a file? Where something is known already, only the bytes
/// that may be judged otherwise are looked at.
pub(crate) fn check(
    regular: &Regular,
    size: u64,
    content: &Content,
    known: Option<&Known<'_>>,
) -> Option<Mismatch> {
    let doubtful = match known {
        Some(known) => merged(changed(known, regular, size, content), size),
        None => std::iter::once(0..size).collect(),
    };
    let wrong_byte = |range| check_bytes(regular, range, content);
    check_size(regular, size).or_else(|| doubtful.into_iter().find_map(wrong_byte))
}

/// Where the floor, a later change or what was found is not as it was.
fn changed(known: &Known<'_>, regular: &Regular, size: u64, content: &Content) -> Vec<Range<u64>> {
    let end = |at: u64, bytes: &Bytes| at.saturating_add(bytes.len() as u64);
    let found = difference(&known.content.pieces, &content.pieces);
    let mut ranges: Vec<Range<u64>> = found.map(|(at, bytes)| *at..end(*at, bytes)).collect();
    if known.size < size {
        ranges.push(known.size..size);
    }
    if !std::ptr::eq(known.regular, regular) {
        let (was, is) = (known.regular, regular);
        ranges.extend(is.floor.changed(&was.floor).chain(is.live.changed(&was.live)));
        let log = difference(&was.log, &is.log).chain(difference(&was.maybes, &is.maybes));
        ranges.extend(log.map(|(_, change)| change.range()));
    }
    ranges
}

/// Ranges below `end`, in order, that neither overlap nor touch.
fn merged(mut ranges: Vec<Range<u64>>, end: u64) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        let range = range.start..range.end.min(end);
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            Some(_) | None if !range.is_empty() => merged.push(range),
            Some(_) | None => {}
        }
    }
    merged
}

/// A stretch of what was found, in runs without a gap.
fn runs(content: &Content, range: Range<u64>) -> Vec<Run> {
    let run = |start, end, data| Run {
        start,
        end,
        data,
        order: 0,
        promise: None,
        origin: Origin::Written,
    };
    let (mut runs, mut at) = (Vec::new(), range.start);
    let first = content.pieces.get_prev(&range.start).map_or(range.start, |(at, _)| *at);
    for (start, bytes) in content.pieces.range(first..range.end) {
        let from = (*start).max(at);
        let to = start.saturating_add(bytes.len() as u64).min(range.end);
        if from >= to {
            continue;
        }
        if from > at {
            runs.push(run(at, from, None));
        }
        runs.push(run(from, to, Some(bytes.slice(index(from - start)..index(to - start)))));
        at = to;
    }
    if at < range.end {
        runs.push(run(at, range.end, None));
    }
    runs
}

/// The sizes that may be left: single ones, and what growing writes may have reached.
fn check_size(regular: &Regular, size: u64) -> Option<Mismatch> {
    let mut least = regular.floor_size;
    let mut most = regular.floor_size;
    let mut exact = vec![regular.floor_size];
    let mut grown = 0;
    for (order, change) in regular.log.iter().chain(&regular.maybes) {
        let after = regular.with_promised_ends(*order, resized(least, change));
        match change.effect {
            Effect::Write { .. } | Effect::Append { .. } => grown = grown.max(change.range().end),
            Effect::Resize { .. } | Effect::Place { reach: Reach::Set(_), .. } => exact.push(after),
            Effect::Place { reach: Reach::Grow, .. } => grown = grown.max(change.range().end),
            Effect::Store { .. } | Effect::Place { reach: Reach::Keep, .. } => {}
        }
        least = least.min(after);
        most = most.max(after).max(resized(most, change));
    }
    if exact.contains(&size) || (least < size && size <= grown) {
        return None;
    }
    let (clause, promise) = if size > most && size <= regular.shrunk_from {
        match regular.size_promise {
            Some(promise) => (promise.clause, Some(promise)),
            None => ("CRASH-09", None),
        }
    } else if size > most && size <= regular.reserved_beyond {
        ("FALLOC-05", None)
    } else if size > most {
        ("CRASH-07", None)
    } else {
        ("CRASH-03", regular.size_promise)
    };
    let allowed = if least == most { format!("{least}") } else { format!("{least} to {most}") };
    Some(Mismatch {
        promise,
        clause,
        observed: format!("size {size}"),
        allowed: format!("size {allowed}"),
        chain: promised_by(promise),
    })
}

fn promised_by(promise: Option<Promise>) -> Vec<(Step, String)> {
    promise.map(|promise| (promise.step, "this call promised it".to_owned())).into_iter().collect()
}

fn check_bytes(regular: &Regular, range: Range<u64>, content: &Content) -> Option<Mismatch> {
    for run in runs(content, range) {
        for floor in regular.floor.runs(run.start..run.end) {
            if let Some(at) = unexplained(regular, &floor, &run) {
                return Some(mismatch(regular, &floor, &run, at));
            }
        }
    }
    None
}

/// The first byte that is neither of the floor nor of a later change.
fn unexplained(regular: &Regular, floor: &Run, found: &Run) -> Option<u64> {
    let mut at = floor.start;
    while let Some(first) = differs(floor, found, at, floor.end) {
        let live = regular.live.runs(first..floor.end);
        at = live
            .first()
            .filter(|run| run.order > floor.order)
            .map_or(first, |run| differs(run, found, first, run.end).unwrap_or(run.end));
        let moments = regular.copies.get(floor.order);
        while at < floor.end && floor.byte(at) != found.byte(at) {
            if moments.is_some_and(|moments| moments.may_hold(at, found.byte(at))) {
                at += 1;
                continue;
            }
            let reach = by_candidate(regular, floor.order, found, at, floor.end);
            if reach == at {
                return Some(at);
            }
            at = reach;
        }
    }
    None
}

/// How far a single later change explains what was found.
fn by_candidate(regular: &Regular, newer_than: u64, found: &Run, at: u64, end: u64) -> u64 {
    let later = regular.log.range(newer_than + 1..).rev();
    let failed = regular.maybes.range(newer_than + 1..).rev();
    for (order, change) in later.chain(failed) {
        let range = change.range();
        if !range.contains(&at) {
            continue;
        }
        let moments = regular.copies.get(*order);
        if moments.is_some_and(|moments| moments.may_hold(at, found.byte(at))) {
            return at + 1;
        }
        let end = end.min(range.end);
        let reach = match &change.effect {
            Effect::Store { blurred, .. } if !blurred.is_empty() => {
                (at..end).find(|at| !change.may_hold(*at, found.byte(*at))).unwrap_or(end)
            }
            Effect::Append { .. } => {
                (at..end).find(|at| !change.may_hold(*at, found.byte(*at))).unwrap_or(end)
            }
            Effect::Write { .. }
            | Effect::Store { .. }
            | Effect::Resize { .. }
            | Effect::Place { .. } => {
                let parts = change.parts(at..end);
                let wrong = |part: &Run| differs(part, found, part.start, part.end);
                parts.iter().find_map(wrong).unwrap_or(end)
            }
        };
        if reach > at {
            return reach;
        }
    }
    at
}

fn mismatch(regular: &Regular, floor: &Run, found: &Run, at: u64) -> Mismatch {
    const SHOWN_MAX: u64 = 32;
    let end = floor.end.min(found.end).min(at + SHOWN_MAX);
    let bytes = |run: &Run| show(&(at..end).map(|at| run.byte(at)).collect::<Vec<u8>>());
    let clause = match (floor.promise, &floor.data) {
        (Some(_), _) => "CRASH-03",
        (None, None) if regular.newest(at, u64::MAX).is_none() => "CRASH-07",
        (None, None) => "CRASH-02",
        (None, Some(_)) => "CRASH-02",
    };
    let overgrown = regular.overgrown.runs(at..at + 1);
    let is_overgrown =
        overgrown.iter().all(|run| run.data.is_some() && run.byte(at) == found.byte(at));
    let clause = if is_overgrown { "MAP-07" } else { clause };
    let is_removal = floor.data.is_none() && floor.promise.is_some();
    Mismatch {
        promise: if is_removal { None } else { floor.promise },
        clause: if is_removal { "CRASH-09" } else { clause },
        observed: format!("{} at {at}", bytes(found)),
        allowed: format!("{}, or a later version", bytes(floor)),
        chain: promised_by(floor.promise),
    }
}

/// Changes whose visible bytes are not what was found.
pub(crate) fn lost(regular: &Regular, size: u64, content: &Content) -> Vec<Change> {
    let end = regular.size.max(size);
    let is_lost = |order: u64, change: &Change| {
        let range = change.range();
        let visible = regular.live.runs(range.start.min(end)..range.end.min(end));
        visible.iter().filter(|run| run.order == order).any(|run| {
            (run.end > size && run.data.is_some())
                || runs(content, run.start..run.end)
                    .iter()
                    .any(|found| differs(run, found, found.start, found.end).is_some())
        })
    };
    let acked = regular.log.iter().filter(|(_, change)| change.acked.is_some());
    acked.filter(|(order, change)| is_lost(**order, change)).map(|(_, c)| c.clone()).collect()
}

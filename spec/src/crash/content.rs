//! What power loss may leave of a file's bytes: each of the promised version or of a later one.

use crate::model::Change;
use crate::model::Effect;
use crate::model::Extents;
use crate::model::Promise;
use crate::model::Regular;
use crate::model::Run;
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

/// Could power loss have left this of a file?
pub(crate) fn check(regular: &Regular, size: u64, content: &Content) -> Option<Mismatch> {
    check_size(regular, size).or_else(|| check_bytes(regular, size, content))
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
            Effect::Resize { .. } => exact.push(after),
            Effect::Store { .. } => {}
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

fn check_bytes(regular: &Regular, size: u64, content: &Content) -> Option<Mismatch> {
    let found = extents(content, 0, None);
    for run in found.runs(0..size) {
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
        while at < floor.end && floor.byte(at) != found.byte(at) {
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
        let end = end.min(range.end);
        let reach = match &change.effect {
            Effect::Store { blurred, .. } if !blurred.is_empty() => {
                (at..end).find(|at| !change.may_hold(*at, found.byte(*at))).unwrap_or(end)
            }
            Effect::Append { .. } => {
                (at..end).find(|at| !change.may_hold(*at, found.byte(*at))).unwrap_or(end)
            }
            Effect::Write { .. } | Effect::Store { .. } | Effect::Resize { .. } => {
                let (order, promise, mapping) = (*order, None, None);
                let data = change.data().cloned();
                let run = Run { start: range.start, end: range.end, data, order, promise, mapping };
                differs(&run, found, at, end).unwrap_or(end)
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
    let found = extents(content, 0, None);
    let end = regular.size.max(size);
    let mut orders: Vec<u64> = Vec::new();
    for run in regular.live.runs(0..end) {
        let gone = run.end > size && run.data.is_some();
        let differs = gone
            || found
                .runs(run.start..run.end)
                .iter()
                .any(|found| differs(&run, found, found.start, found.end).is_some());
        if differs && orders.last() != Some(&run.order) {
            orders.push(run.order);
        }
    }
    orders.sort_unstable();
    orders.dedup();
    let acked = |change: &&Change| change.acked.is_some();
    orders.iter().filter_map(|order| regular.log.get(order)).filter(acked).cloned().collect()
}

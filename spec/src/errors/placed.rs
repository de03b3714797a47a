//! Which clauses wrong bytes break that a copy, a clone or `fallocate` has to do with.

use bytes::Bytes;

use crate::model::Effect;
use crate::model::FileId;
use crate::model::Origin;
use crate::model::Placed;
use crate::model::Regular;
use crate::model::Run;
use crate::ops::Judge;
use crate::words::Errno;

/// Behind a clone that does not end with a block, its last block ends within so many bytes.
const TAIL_BYTES_MOST: u64 = 1 << 12;

/// The clauses, the most specific first; none if no such call has to do with it.
pub(super) fn clauses(
    judge: &Judge,
    file: FileId,
    from: u64,
    told: &Bytes,
    run: &Run,
    is_older: bool,
) -> Vec<&'static str> {
    let Some(regular) = judge.model.regular(file) else { return Vec::new() };
    if let Some(clause) = of_refused(regular, from, told) {
        return vec![clause];
    }
    if regular.deduplicated.contains(&from) {
        return vec!["DEDUP-01"];
    }
    let mut clauses = Vec::new();
    let is_zero = told.iter().all(|byte| *byte == 0);
    let is_torn = run.origin == Origin::Placed(Placed::Cloned) && is_torn(regular, from, told, run);
    if is_torn {
        clauses.push("COPY-03");
    }
    if is_of_peer(judge, regular, from, told) {
        clauses.push("COPY-04");
    }
    match run.origin {
        Origin::Placed(Placed::Zeroed) => clauses.push("FALLOC-03"),
        Origin::Placed(Placed::Moved) => clauses.push("FALLOC-04"),
        Origin::Placed(Placed::Copied) => clauses.push("COPY-01"),
        Origin::Placed(Placed::Cloned) => {
            if is_older && !is_zero && !is_torn {
                clauses.push("COPY-05");
                clauses.extend(is_pending(regular, from, told, run).then_some("COPY-11"));
            }
            clauses.push("COPY-01");
        }
        Origin::Written | Origin::Stored(_) | Origin::Direct => {
            if is_replaced_clone(regular, from, told, run) {
                clauses.push("COPY-11");
            }
            clauses.extend(beside(regular, from, run));
        }
    }
    clauses
}

/// Are the bytes those of a clone that was refused?
fn of_refused(regular: &Regular, from: u64, told: &Bytes) -> Option<&'static str> {
    let (change, errno) = regular.refused.as_ref()?;
    let is_there = (from..).zip(told).all(|(at, byte)| change.may_hold(at, *byte));
    let clause = if *errno == Errno::NoSpace { "COPY-12" } else { "COPY-02" };
    is_there.then_some(clause)
}

/// Are the bytes what a file that this one shares with holds since?
fn is_of_peer(judge: &Judge, regular: &Regular, from: u64, told: &Bytes) -> bool {
    regular.peers.iter().any(|peer| {
        let Some(other) = judge.model.regular(peer.file) else { return false };
        (from..).zip(told).all(|(at, byte)| {
            let within = at.checked_sub(peer.here).filter(|within| *within < peer.len);
            let Some(at) = within.and_then(|within| peer.there.checked_add(within)) else {
                return false;
            };
            let runs = other.live.runs(at..at.saturating_add(1));
            runs.iter().any(|run| run.order > peer.order && run.byte(at) == *byte)
        })
    })
}

/// Did a write that nothing had made durable bring the bytes, before the clone replaced them?
fn is_pending(regular: &Regular, from: u64, told: &Bytes, run: &Run) -> bool {
    let pending = regular.log.range(..run.order).map(|(_, change)| change);
    let mut pending = pending.filter(|change| !matches!(change.effect, Effect::Resize { .. }));
    pending.any(|change| (from..).zip(told).all(|(at, byte)| change.may_hold(at, *byte)))
}

/// Would the bytes be right if the clone had seen a part of a write?
fn is_torn(regular: &Regular, from: u64, told: &Bytes, run: &Run) -> bool {
    regular.copies.get(run.order).is_some_and(|moments| {
        (from..).zip(told).all(|(at, byte)| moments.may_hold_torn(at, *byte))
    })
}

/// Are the bytes those that a clone brought, and that were written over since?
fn is_replaced_clone(regular: &Regular, from: u64, told: &Bytes, run: &Run) -> bool {
    let older = regular.log.range(..run.order).map(|(_, change)| change);
    let mut clones = older.filter(|change| change.placed() == Some(Placed::Cloned));
    clones.any(|change| (from..).zip(told).all(|(at, byte)| change.may_hold(at, *byte)))
}

/// Was the last change one of a range that the byte is not in?
fn beside(regular: &Regular, from: u64, run: &Run) -> Vec<&'static str> {
    if let Some((was, is, order)) = regular.last_resize
        && regular.last_order == order
        && is < was
        && from < is
        && is - from <= is % TAIL_BYTES_MOST
    {
        return vec!["TRUNC-04"];
    }
    let Some(last) = regular.log.get(&regular.last_order) else { return Vec::new() };
    if run.order >= regular.last_order {
        return Vec::new();
    }
    let range = last.range();
    let is_tail = from >= range.end && from < range.end.next_multiple_of(TAIL_BYTES_MOST);
    match last.placed() {
        Some(Placed::Cloned) if is_tail => vec!["COPY-07", "COPY-06"],
        Some(Placed::Cloned | Placed::Copied) => vec!["COPY-06"],
        Some(Placed::Zeroed) => vec!["FALLOC-03"],
        Some(Placed::Moved) => vec!["FALLOC-04"],
        None => Vec::new(),
    }
}

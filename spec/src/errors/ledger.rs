//! What is lost: what the subject says, and what removes it.

use std::ops::Range;

use imbl::Vector;

use crate::clause::Catalogue;
use crate::errors::Lost;
use crate::model::Change;
use crate::model::Effect;
use crate::model::FileId;
use crate::model::Regular;
use crate::model::common;
use crate::model::overlaps;
use crate::model::subtract;
use crate::ops::Floating;
use crate::ops::Judge;
use crate::violation::Violation;
use crate::words::HandleId;
use crate::words::Ino;
use crate::words::Step;
use crate::words::Testimony;

/// Clauses that an audit of the subject decides, whatever else does.
const AUDITED: [&str; 29] = [
    "MAP-03",
    "MAP-04",
    "MAP-12",
    "SNAP-05",
    "SNAP-06",
    "ALLOC-01",
    "ALLOC-02",
    "ALLOC-03",
    "ALLOC-04",
    "ALLOC-05",
    "ALLOC-06",
    "ALLOC-07",
    "REF-01",
    "REF-02",
    "REF-03",
    "REF-04",
    "RED-01",
    "RED-02",
    "RED-03",
    "RED-04",
    "RED-05",
    "RED-06",
    "RED-07",
    "RED-08",
    "RED-09",
    "RED-10",
    "ERR-META-01",
    "ERR-REPORT-09",
    "LIM-07",
];

const WRITES_NAMED_MAX: usize = 4;

/// The subject says several things, with nothing between them.
pub(crate) fn said_together(judge: &mut Judge, said: &[(Step, &Testimony)]) {
    let of = |(step, testimony): &(Step, &Testimony)| {
        loss(judge, *step, testimony).map(|said| (said.ino, said.seen))
    };
    let is_one = |one: &_, next: &_| of(one).is_some() && of(one) == of(next);
    let groups: Vec<_> = said.chunk_by(is_one).collect();
    for group in groups {
        match group {
            [(step, testimony)] => self::said(judge, *step, testimony),
            losses => all_lost(judge, losses),
        }
    }
}

/// What is lost, if that is what the subject says.
fn loss(judge: &Judge, step: Step, testimony: &Testimony) -> Option<Floating> {
    match testimony {
        Testimony::Lost { file, range, errno, seen } => {
            let (ino, range, errno, seen) = (*file, range.clone(), *errno, *seen);
            Some(Floating { ino, range, errno, step, order: judge.order_at(seen), seen })
        }
        Testimony::Resolved { .. }
        | Testimony::Failed { .. }
        | Testimony::Evicted { .. }
        | Testimony::Committed { .. }
        | Testimony::Audit { .. }
        | Testimony::Lied => None,
    }
}

/// Losses of one file.
fn all_lost(judge: &mut Judge, losses: &[(Step, &Testimony)]) {
    let losses: Vec<Floating> =
        losses.iter().filter_map(|(step, testimony)| loss(judge, *step, testimony)).collect();
    judge.lost_somewhere = true;
    judge.lost_in_mount = judge.lost_in_mount.or(losses.first().map(|said| said.step));
    match losses.first().and_then(|said| judge.model.inos.get(&said.ino).copied()) {
        None => judge.floating.extend(losses),
        Some(file) => {
            if let Some(regular) = judge.model.regular_mut(file) {
                enter_together(regular, &losses);
            }
        }
    }
}

/// The subject says something about a file.
pub(crate) fn said(judge: &mut Judge, step: Step, testimony: &Testimony) {
    if let Testimony::Audit { clause, evidence } = testimony {
        return audited(judge, step, clause, evidence);
    }
    match testimony {
        Testimony::Lost { .. } => {
            if let Some(said) = loss(judge, step, testimony) {
                lost(judge, said);
            }
        }
        Testimony::Resolved { file, range } => resolved(judge, *file, range),
        Testimony::Failed { file, .. } => {
            judge.attempt_failed = true;
            judge.last_attempt_failed = Some(step);
            if file.is_none() {
                judge.last_commit_failed = Some(step);
            }
        }
        Testimony::Evicted { file, range } => {
            let id = judge.model.inos.get(file).copied();
            let is_held = id.is_some_and(|id| judge.model.file(id).handles > 0);
            if let Some(regular) = known(judge, *file) {
                note_evicted(regular, range);
                regular.lost.note(range, |lost| {
                    lost.evicted = true;
                    lost.is_forgotten |= !is_held;
                });
            }
        }
        Testimony::Committed { .. } | Testimony::Audit { .. } | Testimony::Lied => {}
    }
}

/// Somebody who sees more than calls says that a clause is broken.
fn audited(judge: &mut Judge, step: Step, clause: &str, evidence: &str) {
    let Some(clause) = Catalogue::embedded().get(clause).filter(|clause| !clause.guard) else {
        return judge.undecided(step, "audit of an unknown clause");
    };
    if AUDITED.contains(&&*clause.id) {
        judge.exercise(&clause.id);
    }
    judge.report_certain(Violation {
        clause: &clause.id,
        also: Vec::new(),
        step,
        subject: ".".to_owned(),
        observed: evidence.to_owned(),
        allowed: vec![clause.statement.clone()],
        chain: Vec::new(),
    });
}

fn known(judge: &mut Judge, ino: Ino) -> Option<&mut Regular> {
    let file = judge.model.inos.get(&ino).copied()?;
    judge.model.regular_mut(file)
}

fn lost(judge: &mut Judge, said: Floating) {
    judge.lost_somewhere = true;
    judge.lost_in_mount.get_or_insert(said.step);
    let Some(file) = judge.model.inos.get(&said.ino).copied() else {
        judge.floating.push_back(said);
        return;
    };
    if let Some(regular) = judge.model.regular_mut(file) {
        enter(regular, &said);
    }
}

/// The only file of unknown number that has unsynced bytes in a range.
fn only_candidate(judge: &Judge, range: &Range<u64>) -> Option<FileId> {
    let mut candidates = judge.model.files.iter().filter(|(id, file)| {
        file.ino.is_none()
            && judge.model.regular(**id).is_some_and(|regular| {
                let mut changes = regular.log.values().chain(regular.maybes.values());
                changes.any(|change| overlaps(&change.range(), range))
            })
    });
    let first = candidates.next().map(|(id, _)| *id);
    if candidates.next().is_some() { None } else { first }
}

/// All calls of a group took effect: what was said of a file of unknown number is said of the only
/// one that it can be about.
pub(crate) fn attribute(judge: &mut Judge) {
    for Floating { ino, range, .. } in judge.floating.clone() {
        if judge.model.inos.contains_key(&ino) {
            continue;
        }
        if let Some(file) = only_candidate(judge, &range) {
            judge.model.file_mut(file).ino = Some(ino);
            judge.model.inos.insert(ino, file);
            identified(judge, file, ino);
        }
    }
}

/// A file is opened: if nobody held it, what failed before was closed over.
pub(crate) fn opened(judge: &mut Judge, file: FileId) {
    let is_silent = !judge.testifies;
    if judge.model.file(file).handles > 0 {
        return;
    }
    let Some(regular) = judge.model.regular_mut(file).filter(|file| !file.lost.is_empty()) else {
        return;
    };
    regular.lost.note_all(|lost| {
        lost.is_closed_over = true;
        // Nobody tells whether memory was short.
        lost.is_forgotten |= is_silent;
    });
}

/// The number of a file became known: what was said of it is now said of the file.
pub(crate) fn identified(judge: &mut Judge, file: FileId, ino: Ino) {
    let said: Vec<Floating> =
        judge.floating.iter().filter(|said| said.ino == ino).cloned().collect();
    judge.floating.retain(|said| said.ino != ino);
    if let Some(regular) = judge.model.regular_mut(file) {
        said.iter().for_each(|said| enter(regular, said));
    }
}

pub(super) fn enter(regular: &mut Regular, said: &Floating) {
    enter_together(regular, std::slice::from_ref(said));
}

/// What of the changes up to an order is lost in some range.
#[derive(Default)]
struct Hit {
    ranges: Vec<Range<u64>>,
    writes: Vec<(Step, Range<u64>)>,
    /// Through which description each of them came.
    handles: Vec<HandleId>,
    is_stored: bool,
}

impl Hit {
    /// Through which description the newest of the bytes came. Of bytes that a failed write may
    /// have brought nobody knows.
    fn newest_writers(&self, maybes: &[Range<u64>]) -> Vec<(HandleId, Range<u64>)> {
        let (mut left, mut writers) = (subtract(self.ranges.clone(), maybes), Vec::new());
        for (handle, (_, part)) in self.handles.iter().zip(&self.writes).rev() {
            if left.is_empty() {
                break;
            }
            let others = subtract(left.clone(), std::slice::from_ref(part));
            let own = subtract(std::mem::replace(&mut left, others.clone()), &others);
            writers.extend(own.into_iter().map(|range| (*handle, range)));
        }
        writers
    }
}

/// Losses of one file that are of changes up to the same order: all of them by one look at the
/// changes, if they do not overlap.
fn enter_together(regular: &mut Regular, said: &[Floating]) {
    let mut places: Vec<usize> = (0..said.len()).collect();
    places.sort_by_key(|place| said[*place].range.start);
    let meets = |pair: &[usize]| said[pair[0]].range.end > said[pair[1]].range.start;
    if places.windows(2).any(meets) {
        return said.iter().for_each(|said| enter(regular, said));
    }
    let mut hits: Vec<Hit> = said.iter().map(|_| Hit::default()).collect();
    let order = said.first().map_or(0, |said| said.order);
    let until = regular.log.range(..=order).map(|(_, change)| change);
    for change in until.filter(|change| change.brings_bytes()) {
        let of = change.range();
        let end = places.partition_point(|place| said[*place].range.start < of.end);
        let near = places[..end].iter().rev();
        for &place in near.take_while(|place| said[**place].range.end > of.start) {
            let (hit, Floating { range, step, .. }) = (&mut hits[place], &said[place]);
            if change.step < *step && overlaps(&of, range) {
                let part = of.start.max(range.start)..of.end.min(range.end);
                hit.ranges.extend(subtract(vec![part.clone()], &hit.ranges));
                hit.writes.push((change.step, part));
                hit.handles.push(change.handle);
                hit.is_stored |= matches!(change.effect, Effect::Store { .. });
            }
        }
    }
    said.iter().zip(hits).for_each(|(said, hit)| enter_hit(regular, said, hit));
}

/// Bytes of calls that failed: nobody was told that they are there, but now it is said that they
/// are lost. Where nothing acknowledged is, they are of whatever failed.
fn enter_unacknowledged(
    regular: &mut Regular,
    range: &Range<u64>,
    acknowledged: &[Range<u64>],
    failed: &[Range<u64>],
) {
    let mut new = subtract(vec![range.clone()], acknowledged);
    if !acknowledged.is_empty() {
        new = common(new, failed);
    }
    if new.is_empty() {
        return;
    }
    let ends = failed.iter().map(|failed| failed.end.min(range.end));
    regular.size = ends.fold(regular.size, u64::max);
    note_unacknowledged(regular, new);
}

fn note_unacknowledged(regular: &mut Regular, new: Vec<Range<u64>>) {
    let new = subtract(new, &regular.lost_unacknowledged);
    regular.lost_unacknowledged.extend(new);
}

/// The subject said during calls that bytes are lost, or dropped, and then these failed: what they
/// may have brought was not known when it was said.
pub(crate) fn said_in_failed(judge: &mut Judge, testimony: &Testimony, failed: &[Step]) {
    match testimony {
        Testimony::Lost { file, range, .. } => {
            let Some(regular) = known(judge, *file) else { return };
            let brought = regular.maybes.values().filter(|change| failed.contains(&change.step));
            let brought: Vec<Range<u64>> = brought.map(Change::range).collect();
            note_unacknowledged(regular, common(vec![range.clone()], &brought));
        }
        Testimony::Evicted { file, range } => {
            if let Some(regular) = known(judge, *file) {
                note_evicted(regular, range);
            }
        }
        Testimony::Resolved { .. }
        | Testimony::Failed { .. }
        | Testimony::Committed { .. }
        | Testimony::Audit { .. }
        | Testimony::Lied => {}
    }
}

fn note_evicted(regular: &mut Regular, range: &Range<u64>) {
    let evicted = common(vec![range.clone()], &regular.lost_unacknowledged);
    let evicted = subtract(evicted, &regular.evicted_unacknowledged);
    regular.evicted_unacknowledged.extend(evicted);
}

fn enter_hit(regular: &mut Regular, said: &Floating, hit: Hit) {
    let Floating { range, errno, step, order, .. } = said;
    let (errno, step, order) = (*errno, *step, *order);
    regular.lost_ever = true;
    regular.lost_last = regular.lost_last.max(Some(step));
    regular.lost_kinds.add(errno);
    regular.lost_by.extend(hit.handles.iter().copied());
    let failed = regular.maybes.values().map(Change::range);
    let failed: Vec<Range<u64>> = failed.filter(|failed| overlaps(failed, range)).collect();
    enter_unacknowledged(regular, range, &hit.ranges, &failed);
    if hit.ranges.is_empty() {
        if failed.is_empty() && said.seen.is_none() {
            regular.lost_unexplained.push_back(said.clone());
        }
        return;
    }
    let writers = hit.newest_writers(&failed);
    let Hit { ranges, mut writes, is_stored, .. } = hit;
    let few = writes.len().saturating_sub(WRITES_NAMED_MAX);
    let writes = writes.split_off(few);
    let (reported, inferred, evicted) = (Vector::new(), false, false);
    let (is_closed_over, is_forgotten, passed) = (false, false, None);
    regular.lost.push(Lost {
        ranges,
        errno,
        step,
        order,
        writes,
        writers,
        reported,
        inferred,
        evicted,
        is_stored,
        is_closed_over,
        is_forgotten,
        passed,
        seen_since: Vec::new(),
    });
}

fn resolved(judge: &mut Judge, ino: Ino, range: &Range<u64>) {
    let order = judge.model.order;
    let Some(regular) = known(judge, ino) else {
        let is_gone = |lost: &Range<u64>| {
            subtract(vec![lost.clone()], std::slice::from_ref(range)).is_empty()
        };
        let kept = |said: &Floating| said.ino != ino || !is_gone(&said.range);
        return judge.floating.retain(kept);
    };
    regular.said_stable.push_back((range.clone(), order));
    for unacknowledged in [&mut regular.lost_unacknowledged, &mut regular.evicted_unacknowledged] {
        let left = subtract(std::mem::take(unacknowledged), std::slice::from_ref(range));
        *unacknowledged = left;
    }
    let mut entries = std::mem::take(&mut regular.lost);
    entries.narrow(range, |lost| {
        // Without a change since the loss there is nothing that could have been made durable.
        // A write that failed may have brought its bytes, and they may be what became durable.
        let is_changed = || {
            let mut changed = all_superseding(regular, lost, None);
            let failed = regular.maybes.range(lost.order + 1..);
            changed.extend(failed.map(|(_, change)| change.range()));
            changed.iter().any(|changed| overlaps(changed, range))
        };
        let newest = regular.live.runs(range.clone());
        let is_newer = newest.iter().any(|run| run.order > lost.order);
        if is_newer || is_changed() { vec![range.clone()] } else { Vec::new() }
    });
    regular.lost = entries;
}

/// What of a loss was changed since, by calls acknowledged before `began`.
pub(super) fn superseding(regular: &Regular, lost: &Lost, began: Step) -> Vec<Range<u64>> {
    newest_superseding(regular, lost, began)
        .unwrap_or_else(|| all_superseding(regular, lost, Some(began)))
}

/// The same by the newest change of each byte, which tells it without a look at all the others, if
/// none of them is too new.
fn newest_superseding(regular: &Regular, lost: &Lost, began: Step) -> Option<Vec<Range<u64>>> {
    // Where bytes were cut off, the newest change is not known.
    let last_resize = regular.resizes.get_max().copied().unwrap_or(0);
    if last_resize.max(regular.floor_size_order) > lost.order {
        return None;
    }
    let mut ranges = Vec::new();
    for range in &lost.ranges {
        let floor = regular.floor.runs(range.clone());
        ranges.extend(floor.iter().filter(|run| run.order > lost.order).map(|r| r.start..r.end));
        let newest = regular.live.runs(range.clone());
        for run in newest.iter().filter(|run| run.order > lost.order) {
            let place = run.start..run.end;
            let is_before = |change: &Change| change.acked.is_some_and(|at| at < began);
            match regular.log.get(&run.order) {
                Some(change) if is_before(change) => ranges.push(place),
                None if subtract(vec![place], &ranges).is_empty() => {}
                Some(_) | None => return None,
            }
        }
    }
    Some(ranges)
}

/// The same by a look at every change; without `began`, by any call.
fn all_superseding(regular: &Regular, lost: &Lost, began: Option<Step>) -> Vec<Range<u64>> {
    let later = regular.log.range(lost.order + 1..).map(|(_, change)| change);
    let mut ranges: Vec<Range<u64>> = later
        .filter(|change| began.is_none_or(|began| change.acked.is_some_and(|at| at < began)))
        .map(|change| change.range())
        .collect();
    for range in &lost.ranges {
        let runs = regular.floor.runs(range.clone());
        ranges
            .extend(runs.iter().filter(|run| run.order > lost.order).map(|run| run.start..run.end));
    }
    ranges
}

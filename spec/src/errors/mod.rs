//! Who is owed which error, and who may be told success.
//!
//! A range enters the ledger when the subject says that it is lost, or, of a subject that says
//! nothing, when a sync fails. It leaves when it was rewritten by changes that a successful sync
//! covers, or removed.

mod mapped;
mod placed;
pub(crate) mod reads;

use std::ops::Range;

use imbl::Vector;

use crate::clause::Catalogue;
use crate::model::Change;
use crate::model::Effect;
use crate::model::FileId;
use crate::model::Handle;
use crate::model::Regular;
use crate::model::overlaps;
use crate::model::subtract;
use crate::ops::Floating;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::sync::Written;
use crate::promise::AfterFailure;
use crate::promise::ClearRule;
use crate::promise::Level;
use crate::promise::Observers;
use crate::promise::ReportTime;
use crate::promise::SyncfsReport;
use crate::violation::Violation;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Ino;
use crate::words::Step;
use crate::words::Testimony;

/// Bytes that were acknowledged and could not be made durable.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    pub(crate) ranges: Vec<Range<u64>>,
    pub(crate) errno: Errno,
    pub(crate) step: Step,
    /// Changes up to here are lost; later ones may supersede them.
    pub(crate) order: u64,
    /// The calls whose bytes are lost, at most a few.
    pub(crate) writes: Vec<(Step, Range<u64>)>,
    /// Who was told.
    pub(crate) reported: Vector<(HandleId, Step)>,
    /// Concluded from a failed sync, not said by the subject.
    pub(crate) inferred: bool,
    pub(crate) evicted: bool,
    /// Was any of it stored through a mapping?
    pub(crate) is_stored: bool,
    /// Was there a moment since at which nobody held the file?
    pub(crate) is_closed_over: bool,
    /// And may memory have been short then, so that the file had no place in it any more?
    pub(crate) is_forgotten: bool,
}

/// Clauses that an audit of the subject decides, whatever else does.
const AUDITED: [&str; 21] = [
    "MAP-03", "MAP-04", "MAP-12", "SNAP-05", "SNAP-06", "ALLOC-01", "ALLOC-02", "ALLOC-03",
    "ALLOC-04", "ALLOC-05", "ALLOC-06", "ALLOC-07", "REF-01", "REF-02", "REF-03", "REF-04",
    "RED-01", "RED-02", "RED-03", "RED-04", "RED-07",
];

const WRITES_NAMED_MAX: usize = 4;

/// The subject says something about a file.
pub(crate) fn said(judge: &mut Judge, step: Step, testimony: &Testimony) {
    if let Testimony::Audit { clause, evidence } = testimony {
        return audited(judge, step, clause, evidence);
    }
    match testimony {
        Testimony::Lost { file, range, errno, seen } => {
            let (ino, range, errno) = (*file, range.clone(), *errno);
            let order = judge.order_at(*seen);
            lost(judge, Floating { ino, range, errno, step, order, seen: *seen });
        }
        Testimony::Resolved { file, range } => resolved(judge, *file, range),
        Testimony::Failed { .. } => judge.attempt_failed = true,
        Testimony::Evicted { file, range } => {
            let id = judge.model.inos.get(file).copied();
            let is_held = id.is_some_and(|id| judge.model.file(id).handles > 0);
            if let Some(regular) = known(judge, *file) {
                for lost in &mut regular.lost {
                    let is_gone = lost.ranges.iter().any(|lost| overlaps(lost, range));
                    lost.evicted |= is_gone;
                    lost.is_forgotten |= is_gone && !is_held;
                }
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
    for lost in &mut regular.lost {
        lost.is_closed_over = true;
        // Nobody tells whether memory was short.
        lost.is_forgotten |= is_silent;
    }
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

fn enter(regular: &mut Regular, said: &Floating) {
    let Floating { range, errno, step, order, .. } = said;
    let (errno, step, order) = (*errno, *step, *order);
    regular.lost_ever = true;
    let mut ranges = vec![];
    let mut writes: Vec<(Step, Range<u64>)> = vec![];
    let mut is_stored = false;
    let until = regular.log.range(..=order).map(|(_, change)| change);
    for change in until.filter(|change| change.brings_bytes()) {
        let of = change.range();
        if change.step < step && overlaps(&of, range) {
            let part = of.start.max(range.start)..of.end.min(range.end);
            ranges.extend(subtract(vec![part.clone()], &ranges));
            writes.push((change.step, part));
            is_stored |= matches!(change.effect, Effect::Store { .. });
        }
    }
    if ranges.is_empty() {
        // Bytes of a call that failed: nobody was told that they are there, but now it is said.
        let ends = regular.maybes.values().map(|change| change.range().end.min(range.end));
        regular.size = ends.fold(regular.size, u64::max);
        let of_failed = regular.maybes.values().any(|change| overlaps(&change.range(), range));
        regular.lost_unacknowledged.push(range.clone());
        if !of_failed && said.seen.is_none() {
            regular.lost_unexplained.push_back(said.clone());
        }
        return;
    }
    let few = writes.len().saturating_sub(WRITES_NAMED_MAX);
    let writes = writes.split_off(few);
    let (reported, inferred, evicted) = (Vector::new(), false, false);
    let (is_closed_over, is_forgotten) = (false, false);
    regular.lost.push_back(Lost {
        ranges,
        errno,
        step,
        order,
        writes,
        reported,
        inferred,
        evicted,
        is_stored,
        is_closed_over,
        is_forgotten,
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
    let unacknowledged = std::mem::take(&mut regular.lost_unacknowledged);
    regular.lost_unacknowledged = subtract(unacknowledged, std::slice::from_ref(range));
    let mut entries = std::mem::take(&mut regular.lost);
    for lost in &mut entries {
        // Without a change since the loss there is nothing that could have been made durable.
        // A write that failed may have brought its bytes, and they may be what became durable.
        let mut changed = superseding(regular, lost, None);
        changed.extend(regular.maybes.range(lost.order + 1..).map(|(_, change)| change.range()));
        if changed.iter().any(|changed| overlaps(changed, range)) {
            lost.ranges = subtract(std::mem::take(&mut lost.ranges), std::slice::from_ref(range));
        }
    }
    entries.retain(|lost| !lost.ranges.is_empty());
    regular.lost = entries;
}

/// What was changed since a loss, by calls acknowledged before `began` if it is given.
fn superseding(regular: &Regular, lost: &Lost, began: Option<Step>) -> Vec<Range<u64>> {
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

/// A sync of a file said success.
pub(crate) fn sync_succeeded(judge: &mut Judge, frame: &Frame, id: HandleId, file: FileId) {
    let Some(handle) = judge.model.handles.get(&id).cloned() else { return };
    range_sync_succeeded(judge, frame, (id, &handle), file, &(0..u64::MAX));
}

/// A sync of a part of a file said success.
pub(crate) fn range_sync_succeeded(
    judge: &mut Judge,
    frame: &Frame,
    (id, handle): (HandleId, &Handle),
    file: FileId,
    range: &Range<u64>,
) {
    let Some(regular) = judge.model.regular_mut(file) else { return };
    let had = regular.lost_ever;
    let whole = 0..u64::MAX;
    let outside = subtract(vec![whole], std::slice::from_ref(range));
    let mut entries = std::mem::take(&mut regular.lost);
    for lost in &mut entries {
        let gone = subtract(superseding(regular, lost, Some(frame.called)), &outside);
        lost.ranges = subtract(std::mem::take(&mut lost.ranges), &gone);
    }
    // Of one that retries and says nothing of itself, success is taken for what it promises.
    let retries = judge.promises.error.retries;
    let is_over = |lost: &Lost| lost.ranges.is_empty() || (retries && lost.inferred);
    entries.retain(|lost| !is_over(lost));
    regular.lost = entries.clone();
    judge.exercise("ERR-REPORT-01");
    if !had && judge.lost_somewhere {
        judge.exercise("ERR-FALSE-01");
    }
    if retries && judge.has_failed {
        judge.exercise("ERR-RETRY-01");
    }
    if had {
        judge.exercise("ERR-FALSE-02");
        judge.exercise("ERR-CLAIM-01");
    }
    for lost in &entries {
        if !lost.ranges.iter().any(|lost| overlaps(lost, range)) {
            continue;
        }
        if let Some(clauses) = false_success(judge, frame, (id, handle), lost) {
            let violation = explain(judge, frame, file, lost, clauses);
            judge.report(violation);
        }
    }
}

/// A write through a description that syncs said success: none of its own bytes is lost. What was
/// lost there before is superseded by it.
pub(crate) fn synced_write_succeeded(
    judge: &mut Judge,
    frame: &Frame,
    written: Written,
    order: u64,
    is_sole_writer: bool,
) {
    judge.exercise("ERR-REPORT-01");
    let Some(regular) = judge.model.regular_mut(written.file) else { return };
    let Some(own) = regular.log.get(&order).map(Change::range) else { return };
    let step = frame.step();
    // Of the only write under way is lost what is of no write before it, also if that was said
    // before anything told that it took effect.
    let during = |said: Step| is_sole_writer && frame.called < said && said < step;
    for said in std::mem::take(&mut regular.lost_unexplained) {
        if during(said.step) && overlaps(&said.range, &own) {
            enter(regular, &Floating { order, ..said });
        }
    }
    let mut broken = Vec::new();
    let is_late = judge.promises.error.report == ReportTime::NextSync;
    let Some(regular) = judge.model.regular(written.file).filter(|_| !is_late) else { return };
    for lost in regular.lost.iter().filter(|lost| lost.order >= order && !lost.inferred) {
        // If a newer write of these bytes is lost, this one may still have been durable before.
        let newer = regular.log.range(order + 1..=lost.order).map(|(_, change)| change.range());
        let kept = subtract(vec![own.clone()], &newer.collect::<Vec<_>>());
        let elsewhere = subtract(lost.ranges.clone(), &kept);
        let ranges = subtract(lost.ranges.clone(), &elsewhere);
        if !ranges.is_empty() {
            broken.push(Lost { ranges, ..lost.clone() });
        }
    }
    for lost in broken {
        let mut violation = explain(judge, frame, written.file, &lost, vec!["ERR-REPORT-01"]);
        violation.chain.pop();
        violation.chain.push((step, "this write, which syncs, said success".to_owned()));
        judge.report(violation);
    }
}

/// A write through a description that syncs failed: who asked has been told.
pub(crate) fn synced_write_failed(
    judge: &mut Judge,
    frame: &Frame,
    written: Written,
    errno: Errno,
) {
    if ![Errno::Io, Errno::NoSpace].contains(&errno) {
        return;
    }
    let Some(regular) = judge.model.regular_mut(written.file) else { return };
    for lost in &mut regular.lost {
        lost.reported.push_back((written.handle, frame.step()));
    }
}

/// `syncfs` said success, which covers a file as long as it has a name.
pub(crate) fn sync_all_succeeded(judge: &mut Judge, frame: &Frame, file: FileId) {
    let error = judge.promises.error;
    let is_named = judge.model.files.get(&file).is_some_and(|file| file.names > 0);
    let Some(regular) = judge.model.regular(file).filter(|regular| !regular.lost.is_empty()) else {
        return;
    };
    if !is_named || error.syncfs == SyncfsReport::Silent {
        return;
    }
    let sticky = error.is_sticky() && judge.level >= Level::Strict;
    let told = judge.syncfs_told;
    let mut broken = Vec::new();
    for lost in &regular.lost {
        let gone = superseding(regular, lost, Some(frame.called));
        let ranges = subtract(lost.ranges.clone(), &gone);
        let clause = match (error.syncfs, lost.reported.is_empty()) {
            (SyncfsReport::Once, _) if told.is_none_or(|told| told < lost.step) => "ERR-REPORT-06",
            (SyncfsReport::Silent | SyncfsReport::Once, _) => continue,
            (SyncfsReport::Always, true) if sticky || !lost.inferred => "ERR-REPORT-01",
            (SyncfsReport::Always, false) if sticky => "ERR-STICKY-01",
            (SyncfsReport::Always, _) => continue,
        };
        let is_guess = error.syncfs == SyncfsReport::Once && lost.inferred;
        if !ranges.is_empty() && !is_guess {
            broken.push((Lost { ranges, ..lost.clone() }, clause));
        }
    }
    judge.exercise("ERR-REPORT-01");
    if error.syncfs == SyncfsReport::Once {
        judge.exercise("ERR-REPORT-06");
    }
    for (lost, clause) in broken {
        let violation = explain(judge, frame, file, &lost, vec![clause, "ERR-CLAIM-01"]);
        judge.report(violation);
    }
}

/// `syncfs` failed: it has told of all that failed before.
pub(crate) fn sync_all_failed(judge: &mut Judge, frame: &Frame, errno: Errno) {
    if [Errno::Io, Errno::NoSpace].contains(&errno) {
        judge.syncfs_told = Some(frame.step());
        if judge.promises.error.syncfs == SyncfsReport::Once {
            judge.exercise("ERR-REPORT-06");
        }
    }
}

/// Which clauses a success breaks that leaves a lost range lost, the most specific first.
fn false_success(
    judge: &mut Judge,
    frame: &Frame,
    (id, handle): (HandleId, &Handle),
    lost: &Lost,
) -> Option<Vec<&'static str>> {
    let told = lost.reported.iter().any(|(told, _)| *told == id);
    let error = judge.promises.error;
    // Whoever was told: while the range is lost, no sync of the file may succeed.
    if error.is_sticky() && judge.level >= Level::Strict {
        let forgotten = lost.is_forgotten && lost.reported.is_empty();
        return Some(match (lost.reported.is_empty(), forgotten) {
            (true, true) => vec!["ERR-REPORT-01", "ERR-REPORT-04", "ERR-CLAIM-01"],
            (true, false) => vec!["ERR-REPORT-01", "ERR-CLAIM-01"],
            (false, _) => vec!["ERR-STICKY-01", "ERR-CLAIM-01"],
        });
    }
    let is_over = match error.clear {
        ClearRule::LastClose => lost.is_closed_over,
        ClearRule::SupersededAndStable
        | ClearRule::PerDescriptionCursor
        | ClearRule::FirstReport
        | ClearRule::Reopen => lost.is_forgotten && !error.survives_inode_eviction,
    };
    if is_over {
        return None;
    }
    if error.retries {
        return Some(vec!["ERR-RETRY-01", "ERR-CLAIM-01"]);
    }
    let was_seen = !lost.reported.is_empty();
    match error.clear {
        ClearRule::LastClose if was_seen => return Some(vec!["ERR-STICKY-03", "ERR-CLAIM-01"]),
        ClearRule::Reopen if told => return Some(vec!["ERR-CLAIM-01"]),
        ClearRule::FirstReport if was_seen => return None,
        _ if told => {
            judge.exercise("ERR-STICKY-02");
            return None;
        }
        ClearRule::SupersededAndStable
        | ClearRule::PerDescriptionCursor
        | ClearRule::FirstReport
        | ClearRule::LastClose
        | ClearRule::Reopen => {}
    }
    owed(judge, frame, handle, lost)
}

/// Which clauses are broken if a description that was not told of a loss is not told now.
fn owed(
    judge: &mut Judge,
    frame: &Frame,
    handle: &Handle,
    lost: &Lost,
) -> Option<Vec<&'static str>> {
    let error = judge.promises.error;
    let is_own = frame.called < lost.step;
    if lost.inferred || (is_own && error.report == ReportTime::NextSync) {
        return None;
    }
    let was_seen = !lost.reported.is_empty();
    let was_open = handle.opened < lost.step;
    let unseen = lost.step > handle.errors_seen_until && !was_seen;
    let reaches = error.unseen_reaches_next_opener && unseen;
    let is_owed = match error.observers {
        Observers::Everyone | Observers::FirstWaiter => true,
        Observers::OpenAtError => was_open || reaches,
        Observers::Waiter => is_own,
    };
    if !is_owed || (judge.level < Level::Linux && was_seen) {
        return None;
    }
    let mut clauses = match (is_own, was_open) {
        (true, _) => vec!["ERR-REPORT-01"],
        (false, true) => vec!["ERR-REPORT-02", "ERR-REPORT-01"],
        (false, false) if lost.is_forgotten => {
            vec!["ERR-REPORT-03", "ERR-REPORT-04", "ERR-REPORT-01"]
        }
        (false, false) => vec!["ERR-REPORT-03", "ERR-REPORT-01"],
    };
    if was_open && is_used_up(judge, lost) && judge.enforces("ERR-REPORT-05") {
        clauses.insert(0, "ERR-REPORT-05");
    }
    Some(clauses)
}

/// Did everything get synced since a failure of which nobody was told?
fn is_used_up(judge: &Judge, lost: &Lost) -> bool {
    lost.reported.is_empty() && judge.synced_all.is_some_and(|synced| lost.step < synced)
}

fn explain(
    judge: &Judge,
    frame: &Frame,
    file: FileId,
    lost: &Lost,
    clauses: Vec<&'static str>,
) -> Violation {
    let subject = judge.model.path_text(file);
    let mut chain: Vec<(Step, String)> = lost
        .writes
        .iter()
        .map(|(step, range)| {
            (*step, format!("write of {}..{} of {subject}, later lost", range.start, range.end))
        })
        .collect();
    if !lost.inferred {
        let said = format!("the subject gave up writing it: {}", lost.errno.name());
        chain.push((lost.step, said));
    }
    for (handle, step) in lost.reported.iter().take(2) {
        chain.push((*step, format!("a sync of handle {} reported the failure", handle.0)));
    }
    chain.push((frame.step(), "this sync said success".to_owned()));
    let range = lost.ranges.first().cloned().unwrap_or_default();
    let (clause, mut also) = (clauses[0], clauses[1..].to_vec());
    if clause == "ERR-REPORT-01" {
        also.retain(|clause| *clause != "ERR-CLAIM-01");
    }
    if lost.errno == Errno::NoSpace {
        also.push("LIM-02");
        also.extend(lost.is_stored.then_some("MAP-11"));
    }
    Violation {
        clause,
        also,
        step: frame.step(),
        subject,
        observed: format!("success, with {}..{} lost", range.start, range.end),
        allowed: vec![format!("{}, until the range is rewritten or removed", lost.errno.name())],
        chain,
    }
}

/// A sync of a file failed: who asked has been told.
pub(crate) fn sync_failed(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    file: FileId,
    range: &Range<u64>,
    errno: Errno,
) {
    if ![Errno::Io, Errno::NoSpace].contains(&errno) {
        return;
    }
    // An attempt that failed is a cause, whatever it was that it could not write.
    let has_cause = std::mem::take(&mut judge.attempt_failed);
    let clause = if has_cause { None } else { false_error(judge, id, file) };
    if let Some(clause) = clause {
        let subject = judge.model.path_text(file);
        let observed = format!("{}, with nothing left to fail", errno.name());
        judge.broken(frame, clause, subject, observed, "success".to_owned());
    }
    claim_floating(judge, file);
    let infer = !judge.testifies;
    let order = judge.model.order;
    let error = judge.promises.error;
    let sticky = error.is_sticky();
    let is_lost = judge.model.regular(file).is_some_and(|regular| !regular.lost.is_empty());
    if is_lost {
        judge.exercise("ERR-REPORT-01");
    }
    if is_lost && sticky {
        judge.exercise("ERR-STICKY-01");
    }
    exercise_reports(judge, frame, id, file);
    if is_lost && error.clear == ClearRule::LastClose {
        judge.exercise("ERR-STICKY-03");
    }
    let Some(regular) = judge.model.regular_mut(file) else { return };
    for lost in &mut regular.lost {
        lost.reported.push_back((id, frame.step()));
    }
    if infer {
        let before = regular.lost.len();
        // A subject that says nothing has no numbers: the file is known.
        let (ino, range, step) = (Ino(0), range.clone(), frame.called);
        let seen = Some(frame.called);
        enter(regular, &Floating { ino, range, errno, step, order, seen });
        for lost in regular.lost.iter_mut().skip(before) {
            lost.inferred = true;
            lost.reported.push_back((id, frame.step()));
        }
    }
}

/// Notes what kinds of reports an error is that a description was told.
fn exercise_reports(judge: &mut Judge, frame: &Frame, id: HandleId, file: FileId) {
    let opened = judge.model.handles.get(&id).map(|handle| handle.opened);
    let (Some(opened), Some(regular)) = (opened, judge.model.regular(file)) else { return };
    let mut told = Vec::new();
    for lost in &regular.lost {
        told.push(match (frame.called < lost.step, opened < lost.step) {
            (true, _) => "ERR-REPORT-01",
            (false, true) => "ERR-REPORT-02",
            (false, false) => "ERR-REPORT-03",
        });
        told.extend(lost.is_forgotten.then_some("ERR-REPORT-04"));
        told.extend((lost.errno == Errno::NoSpace).then_some("LIM-02"));
        told.extend(is_used_up(judge, lost).then_some("ERR-REPORT-05"));
    }
    told.into_iter().for_each(|clause| judge.exercise(clause));
}

/// A loss of a file of unknown number is taken to be of the file whose sync failed, if no other
/// loss could be.
fn claim_floating(judge: &mut Judge, file: FileId) {
    if judge.model.file(file).ino.is_some() {
        return;
    }
    let Some(regular) = judge.model.regular(file) else { return };
    let mut inos: Vec<Ino> = judge
        .floating
        .iter()
        .filter(|said| regular.log.values().any(|change| overlaps(&change.range(), &said.range)))
        .map(|said| said.ino)
        .collect();
    inos.dedup();
    if let [ino] = inos[..] {
        judge.model.file_mut(file).ino = Some(ino);
        judge.model.inos.insert(ino, file);
        identified(judge, file, ino);
    }
}

/// Which clause an error breaks for which there is no cause.
fn false_error(judge: &mut Judge, id: HandleId, file: FileId) -> Option<&'static str> {
    if !judge.testifies || !judge.floating.is_empty() || !is_quiet(judge) {
        return None;
    }
    let regular = judge.model.regular(file)?;
    if !regular.lost_unacknowledged.is_empty() {
        return None;
    }
    let told = |lost: &Lost| lost.reported.iter().any(|(told, _)| *told == id);
    let error = judge.promises.error;
    if !regular.lost_ever {
        judge.exercise("ERR-FALSE-01");
        return Some("ERR-FALSE-01");
    }
    let seen = |lost: &Lost| !lost.reported.is_empty();
    let lost = &regular.lost;
    match error.clear {
        ClearRule::SupersededAndStable if lost.is_empty() => Some("ERR-FALSE-02"),
        ClearRule::PerDescriptionCursor if !lost.is_empty() && lost.iter().all(told) => {
            Some("ERR-STICKY-02")
        }
        ClearRule::FirstReport if !lost.is_empty() && lost.iter().all(seen) => {
            Some("ERR-STICKY-02")
        }
        ClearRule::SupersededAndStable
        | ClearRule::PerDescriptionCursor
        | ClearRule::FirstReport
        | ClearRule::LastClose
        | ClearRule::Reopen => None,
    }
}

/// Is there nothing, anywhere, that a sync would still have to write?
fn is_quiet(judge: &Judge) -> bool {
    judge.model.names.log.is_empty()
        && judge.model.files.keys().all(|file| {
            judge.model.regular(*file).is_none_or(|regular| {
                regular.log.iter().all(|(order, change)| {
                    let mut done: Vec<Range<u64>> = regular
                        .lost
                        .iter()
                        .filter(|lost| *order <= lost.order)
                        .flat_map(|lost| lost.ranges.iter().cloned())
                        .collect();
                    let stable = regular.said_stable.iter().filter(|(_, last)| order <= last);
                    done.extend(stable.map(|(range, _)| range.clone()));
                    change.brings_bytes() && subtract(vec![change.range()], &done).is_empty()
                })
            })
        })
}

/// May a lost range read as it was before?
pub(crate) fn may_revert(judge: &Judge, lost: &Lost) -> bool {
    match judge.promises.error.after_failure {
        AfterFailure::KeepsNew => false,
        AfterFailure::MayRevertAfterEviction => lost.evicted || !judge.testifies,
        AfterFailure::MayRevert => true,
    }
}

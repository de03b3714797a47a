//! Who was told success, and may not have been.

use std::ops::Range;

use crate::errors::Lost;
use crate::errors::ledger::enter;
use crate::errors::ledger::superseding;
use crate::model::Change;
use crate::model::FileId;
use crate::model::Handle;
use crate::model::common;
use crate::model::overlaps;
use crate::model::subtract;
use crate::ops::Floating;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::sync::Written;
use crate::promise::ClearRule;
use crate::promise::Level;
use crate::promise::Observers;
use crate::promise::ReportTime;
use crate::promise::SyncfsReport;
use crate::promise::Syncs;
use crate::promise::Unwritten;
use crate::violation::Violation;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Step;

/// A sync of a file said success.
pub(crate) fn sync_succeeded(judge: &mut Judge, frame: &Frame, id: HandleId, file: FileId) {
    let Some(handle) = judge.model.handles.get(&id).cloned() else { return };
    range_sync_succeeded(judge, frame, (id, &handle), file, &(0..u64::MAX));
}

/// A sync of anything said success: nothing may have been lost since the mount, where only another
/// mount ends what that means. Answers whether the success says more than that.
pub(crate) fn says_durable(judge: &mut Judge, frame: &Frame, file: FileId) -> bool {
    let error = judge.promises.error;
    if error.clear == ClearRule::Remount {
        judge.exercise("ERR-STICKY-04");
        if let Some(lost) = judge.lost_in_mount.filter(|lost| *lost < frame.called) {
            judge.report(Violation {
                clause: "ERR-STICKY-04",
                also: Vec::new(),
                step: frame.step(),
                subject: judge.model.path_text(file),
                observed: "success".to_owned(),
                allowed: vec!["an error, until the file system is mounted again".to_owned()],
                chain: vec![(lost, "the subject gave up writing something".to_owned())],
            });
        }
    }
    error.syncs == Syncs::Durable
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
    entries.narrow(range, |lost| subtract(superseding(regular, lost, frame.called), &outside));
    // Of one that retries and says nothing of itself, success is taken for what it promises.
    let retries = judge.promises.error.retries();
    if retries {
        entries.retain(|lost| !lost.inferred);
    }
    entries.note(range, |lost| lost.passed = lost.passed.or(Some(frame.step())));
    regular.lost = entries.clone();
    judge.exercise("ERR-REPORT-01");
    if !had && judge.lost_somewhere {
        judge.exercise("ERR-FALSE-01");
    }
    if retries && judge.has_failed {
        judge.exercise("ERR-RETRY-01");
        judge.exercise("ERR-SUSP-01");
    }
    if judge.promises.error.observers == Observers::Writer && had {
        judge.exercise("ERR-REPORT-11");
    }
    if had {
        judge.exercise("ERR-FALSE-02");
        judge.exercise("ERR-CLAIM-01");
    }
    for lost in entries.meeting(range) {
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
    for lost in regular.lost.meeting(&own).filter(|lost| lost.order >= order && !lost.inferred) {
        // If a newer write of these bytes is lost, this one may still have been durable before.
        let newer = regular.log.range(order + 1..=lost.order).map(|(_, change)| change.range());
        let kept = subtract(vec![own.clone()], &newer.collect::<Vec<_>>());
        let ranges = common(lost.ranges.clone(), &kept);
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

/// `syncfs` said success: nothing that it did itself failed. What a call overcomes is not said to
/// have failed.
pub(crate) fn sync_all_ended_well(judge: &mut Judge, frame: &Frame) {
    let Some(failed) = judge.last_commit_failed.filter(|failed| frame.called < *failed) else {
        return;
    };
    if frame.overlapped {
        return judge.pass_over("a commit that failed within a syncfs that other calls overlapped");
    }
    judge.exercise("ERR-REPORT-07");
    let observed = "success, after an attempt to commit had failed in it".to_owned();
    let (step, allowed) = (frame.step(), vec!["the failure of the commit".to_owned()]);
    let chain = vec![(failed, "the subject could not make its records durable".to_owned())];
    let (clause, also, subject) = ("ERR-REPORT-07", Vec::new(), ".".to_owned());
    judge.report(Violation { clause, also, step, subject, observed, allowed, chain });
}

/// `syncfs` said success, which covers a file as long as it has a name. Where the last close ends
/// what is told, nobody is owed anything of a file that nobody holds.
pub(crate) fn sync_all_succeeded(judge: &mut Judge, frame: &Frame, file: FileId) {
    let error = judge.promises.error;
    let known = judge.model.files.get(&file);
    let is_named = known.is_some_and(|file| file.names > 0);
    let is_held = known.is_some_and(|file| file.handles > 0);
    let is_over =
        |lost: &Lost| error.clear == ClearRule::LastClose && (lost.is_closed_over || !is_held);
    let Some(regular) = judge.model.regular(file).filter(|regular| !regular.lost.is_empty()) else {
        return;
    };
    if !is_named || error.syncfs == SyncfsReport::Silent {
        return;
    }
    let sticky = error.is_sticky() && judge.level >= Level::Strict;
    let told = judge.syncfs_told;
    let mut broken = Vec::new();
    for lost in regular.lost.iter().filter(|lost| !is_over(lost)) {
        let gone = superseding(regular, lost, frame.called);
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
        | ClearRule::Reopen
        | ClearRule::Remount => lost.is_forgotten && !error.survives_inode_eviction,
    };
    if is_over {
        return None;
    }
    match error.unwritten {
        Unwritten::Lost => {}
        Unwritten::Due => return Some(vec!["ERR-RETRY-01", "ERR-CLAIM-01"]),
        Unwritten::WaitedFor => return Some(vec!["ERR-SUSP-01", "ERR-RETRY-01", "ERR-CLAIM-01"]),
    }
    let was_seen = !lost.reported.is_empty();
    match error.clear {
        ClearRule::LastClose if was_seen => return Some(vec!["ERR-STICKY-03", "ERR-CLAIM-01"]),
        ClearRule::Reopen if told && is_of(id, handle, lost) => return Some(vec!["ERR-CLAIM-01"]),
        ClearRule::FirstReport if was_seen => return None,
        _ if told => {
            judge.exercise("ERR-STICKY-02");
            return None;
        }
        ClearRule::SupersededAndStable
        | ClearRule::PerDescriptionCursor
        | ClearRule::FirstReport
        | ClearRule::LastClose
        | ClearRule::Reopen
        | ClearRule::Remount => {}
    }
    owed(judge, frame, (id, handle), lost)
}

/// Was the description open when something was lost, or the first that was told of it? Another one
/// that was opened since is free of it, whatever else it was told of.
fn is_of(id: HandleId, handle: &Handle, lost: &Lost) -> bool {
    let first = lost.reported.front().map(|(told, _)| *told);
    handle.opened < lost.step || first == Some(id)
}

/// Which clauses are broken if a description that was not told of a loss is not told now.
fn owed(
    judge: &mut Judge,
    frame: &Frame,
    (id, handle): (HandleId, &Handle),
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
        Observers::Writer => is_writer(judge, handle.file, id, lost),
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
    if error.observers == Observers::Writer {
        clauses.insert(0, "ERR-REPORT-11");
    }
    if was_open && is_used_up(judge, lost) && judge.enforces("ERR-REPORT-05") {
        clauses.insert(0, "ERR-REPORT-05");
    }
    Some(clauses)
}

/// Are bytes lost that were the description's, and that no failed write may have replaced?
fn is_writer(judge: &Judge, file: FileId, id: HandleId, lost: &Lost) -> bool {
    let Some(regular) = judge.model.regular(file) else { return false };
    let failed: Vec<Range<u64>> = regular.maybes.values().map(|change| change.range()).collect();
    let own = lost.writers.iter().filter(|(by, _)| *by == id).map(|(_, range)| range.clone());
    let own = subtract(own.collect(), &failed);
    lost.ranges.iter().any(|lost| own.iter().any(|own| overlaps(own, lost)))
}

/// Did everything get synced since a failure of which nobody was told?
pub(super) fn is_used_up(judge: &Judge, lost: &Lost) -> bool {
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
    // A part of what the call itself handed down failed, and it needed all of it.
    if clause == "ERR-REPORT-01" && frame.called < lost.step && !lost.inferred {
        also.push("ERR-REPORT-08");
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

//! Who was told of a failure, and whether there was one.

use std::ops::Range;

use crate::errors::Lost;
use crate::errors::kind::is_kept;
use crate::errors::ledger::enter;
use crate::errors::ledger::identified;
use crate::errors::success::is_used_up;
use crate::model::FileId;
use crate::model::Regular;
use crate::model::overlaps;
use crate::model::subtract;
use crate::ops::Floating;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::sync::Written;
use crate::promise::ClearRule;
use crate::promise::Observers;
use crate::promise::SyncfsReport;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Ino;
use crate::words::Step;

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
    regular.lost.note_all(|lost| lost.reported.push_back((written.handle, frame.step())));
}

/// `syncfs` failed: it has told of all that failed before.
pub(crate) fn sync_all_failed(judge: &mut Judge, frame: &Frame, errno: Errno) {
    if [Errno::Io, Errno::NoSpace].contains(&errno) {
        judge.syncfs_told = Some(frame.step());
        is_kept(judge, frame, None, errno);
        outlives_files(judge, frame);
        if judge.last_commit_failed.is_some_and(|failed| frame.called < failed) {
            judge.exercise("ERR-REPORT-07");
        }
        if judge.promises.error.syncfs == SyncfsReport::Once {
            judge.exercise("ERR-REPORT-06");
        }
    }
}

/// A close failed: its description has been told, and may live on in mappings.
pub(crate) fn close_failed(judge: &mut Judge, frame: &Frame, id: HandleId, errno: Errno) {
    let of_it = judge.model.mappings.values().find(|mapping| mapping.handle.0 == id);
    if let Some(file) = of_it.map(|mapping| mapping.file) {
        was_told(judge, frame, id, file, errno);
    }
}

/// A call failed that nothing is promised of: if it tells what a sync would, its description has
/// been told.
pub(crate) fn was_told(judge: &mut Judge, frame: &Frame, id: HandleId, file: FileId, errno: Errno) {
    if ![Errno::Io, Errno::NoSpace].contains(&errno) {
        return;
    }
    if let Some(handle) = judge.model.handles.get_mut(&id) {
        handle.told = Some(frame.called);
    }
    let Some(regular) = judge.model.regular_mut(file) else { return };
    regular.lost.note_all(|lost| {
        if lost.step < frame.step() && !lost.reported.iter().any(|(told, _)| *told == id) {
            lost.reported.push_back((id, frame.step()));
        }
    });
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
    if let Some(handle) = judge.model.handles.get_mut(&id) {
        handle.told = Some(frame.called);
    }
    if let Some(clause) = clause {
        let subject = judge.model.path_text(file);
        let observed = format!("{}, with nothing left to fail", errno.name());
        judge.broken(frame, clause, subject, observed, "success".to_owned());
    }
    outlives_files(judge, frame);
    claim_floating(judge, file);
    is_kept(judge, frame, Some(file), errno);
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
    if error.observers == Observers::Writer {
        judge.exercise("ERR-REPORT-11");
    }
    if is_lost && error.clear == ClearRule::LastClose {
        judge.exercise("ERR-STICKY-03");
    }
    let Some(regular) = judge.model.regular_mut(file) else { return };
    regular.lost.note_all(|lost| lost.reported.push_back((id, frame.step())));
    if infer {
        let known = regular.lost.len();
        // A subject that says nothing has no numbers: the file is known.
        let (ino, range, step) = (Ino(0), range.clone(), frame.called);
        let seen = Some(frame.called);
        enter(regular, &Floating { ino, range, errno, step, order, seen });
        let mut number = 0;
        regular.lost.note_all(|lost| {
            number += 1;
            if number > known {
                lost.inferred = true;
                lost.reported.push_back((id, frame.step()));
            }
        });
    }
}

/// A sync failed, whatever it was of: where only another mount ends that, all others fail too.
fn outlives_files(judge: &mut Judge, frame: &Frame) {
    if judge.promises.error.clear != ClearRule::Remount {
        return;
    }
    judge.exercise("ERR-STICKY-04");
    // Of a subject that says nothing, the failure itself says that something was lost.
    if !judge.testifies {
        judge.lost_in_mount.get_or_insert(frame.step());
    }
}

/// Notes what kinds of reports an error is that a description was told.
fn exercise_reports(judge: &mut Judge, frame: &Frame, id: HandleId, file: FileId) {
    let opened = judge.model.handles.get(&id).map(|handle| handle.opened);
    let (Some(opened), Some(regular)) = (opened, judge.model.regular(file)) else { return };
    let mut told = Vec::new();
    for lost in regular.lost.iter() {
        told.extend((frame.called < lost.step).then_some("ERR-REPORT-08"));
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
    if !judge.testifies || !judge.floating.is_empty() {
        return None;
    }
    let clause = without_cause(judge, id, file)?;
    let is_first_loss = clause == "ERR-FALSE-01";
    // Where all that ever failed was bytes of other files, nothing that this sync writes did.
    let is_all_known = is_first_loss && judge.last_attempt_failed.is_none();
    if !is_all_known && !is_quiet(judge) {
        return None;
    }
    if is_first_loss {
        judge.exercise(clause);
    }
    Some(clause)
}

/// The same, if nothing is left that the sync would have had to write.
fn without_cause(judge: &Judge, id: HandleId, file: FileId) -> Option<&'static str> {
    let regular = judge.model.regular(file)?;
    if !regular.lost_unacknowledged.is_empty() || is_told_without_loss(judge, id) {
        return None;
    }
    let told = |lost: &Lost| lost.reported.iter().any(|(told, _)| *told == id);
    let has_lost = match judge.promises.error.clear {
        ClearRule::Remount => judge.lost_in_mount.is_some(),
        ClearRule::SupersededAndStable
        | ClearRule::PerDescriptionCursor
        | ClearRule::FirstReport
        | ClearRule::LastClose
        | ClearRule::Reopen => regular.lost_ever,
    };
    if !has_lost {
        return Some("ERR-FALSE-01");
    }
    // Nothing is left that could be of anybody else.
    if judge.promises.error.observers == Observers::Writer && !regular.lost_by.contains(&id) {
        return Some("ERR-REPORT-11");
    }
    let seen = |lost: &Lost| !lost.reported.is_empty();
    let lost = &regular.lost;
    match judge.promises.error.clear {
        ClearRule::SupersededAndStable if lost.is_empty() => Some("ERR-FALSE-02"),
        // What failed since is owed, also if those bytes were removed before anybody was told.
        ClearRule::PerDescriptionCursor
            if !lost.is_empty()
                && lost.iter().all(told)
                && last_told(regular, id) > regular.lost_last =>
        {
            Some("ERR-STICKY-02")
        }
        ClearRule::FirstReport if !lost.is_empty() && lost.iter().all(seen) => {
            Some("ERR-STICKY-02")
        }
        ClearRule::SupersededAndStable
        | ClearRule::PerDescriptionCursor
        | ClearRule::FirstReport
        | ClearRule::LastClose
        | ClearRule::Reopen
        | ClearRule::Remount => None,
    }
}

/// When a description was told last of bytes of a file that are still lost.
fn last_told(regular: &Regular, id: HandleId) -> Option<Step> {
    let reported = regular.lost.iter().flat_map(|lost| &lost.reported);
    reported.filter(|(told, _)| *told == id).map(|(_, step)| *step).max()
}

/// May a description be told of an attempt that failed without a loss, whoever was told before?
fn is_told_without_loss(judge: &Judge, id: HandleId) -> bool {
    let Some(failed) = judge.last_attempt_failed else { return false };
    let told = judge.model.handles.get(&id).and_then(|handle| handle.told);
    match judge.promises.error.clear {
        ClearRule::SupersededAndStable => false,
        ClearRule::PerDescriptionCursor | ClearRule::FirstReport => {
            told.is_none_or(|told| told < failed)
        }
        ClearRule::LastClose | ClearRule::Reopen | ClearRule::Remount => true,
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
                        .meeting(&change.range())
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

//! `fsync`, `fdatasync`, `syncfs`: what was acknowledged before the call began is durable; and
//! writes under `O_SYNC` and `O_DSYNC`: what they wrote is.

use crate::errors;
use crate::model::Change;
use crate::model::FileId;
use crate::model::Placed;
use crate::model::Promise;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::promise::Level;
use crate::promise::Syncs;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;
use crate::words::Step;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    clause: &'static str,
    outcome: &Outcome,
) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let file = handle.file;
    let is_directory = judge.model.directory(file).is_some();
    let permitted = Permitted::of(clause, file)
        .may(true, &[Errno::NotCapable, Errno::Again])
        .may(is_directory, &[Errno::Invalid, Errno::BadFile, Errno::IsDirectory]);
    let Some(step) = frame.acked else { return };
    if !judge.settle(frame, &permitted, outcome) {
        if let Err(errno) = outcome {
            errors::sync_failed(judge, frame, id, file, &(0..u64::MAX), *errno);
        }
        return;
    }
    if !errors::says_durable(judge, frame, file) {
        return;
    }
    if clause == "DUR-FSYNC-01" {
        promise_attributes(judge, frame, file, step);
    }
    if is_directory {
        judge.exercise("DUR-DIR-01");
        judge.exercise("DUR-DIR-03");
        if let Some(directory) = judge.model.directory_mut(file) {
            directory.synced = Some(step);
        }
        let promise = Promise { clause: "DUR-DIR-01", step };
        return promise_names(judge, frame, file, promise);
    }
    errors::sync_succeeded(judge, frame, id, file);
    let is_clone = |change: &Change| change.placed() == Some(Placed::Cloned);
    if judge.model.regular(file).is_some_and(|regular| regular.log.values().any(is_clone)) {
        judge.exercise("COPY-08");
    }
    if let Some(regular) = judge.model.regular_mut(file) {
        regular.promise(frame.called, id, Promise { clause, step });
    }
    if clause == "DUR-FSYNC-01" {
        judge.exercise("DUR-FSYNC-02");
        judge.exercise("DUR-FSYNC-05");
    }
    judge.exercise(if clause == "DUR-FSYNC-01" { "DUR-FSYNC-03" } else { clause });
    if judge.promises.file_sync_covers_names && clause == "DUR-FSYNC-01" {
        judge.exercise("DUR-DIR-02");
        promise_names(judge, frame, file, Promise { clause: "DUR-DIR-02", step });
    }
}

/// A sync of a file covers its attributes and its permission bits; one of its data alone does not.
fn promise_attributes(judge: &mut Judge, frame: &Frame, file: FileId, step: Step) {
    if !judge.model.file(file).attributes.log.is_empty() && judge.enforces("XATTR-04") {
        judge.exercise("XATTR-04");
        let promise = Promise { clause: "XATTR-04", step };
        judge.model.attributes_mut(file).promise(frame.called, promise);
    }
    if !judge.model.file(file).attributes.mode.log.is_empty() && judge.enforces("MODE-03") {
        judge.exercise("MODE-03");
        let promise = Promise { clause: "MODE-03", step };
        judge.model.attributes_mut(file).mode.promise(frame.called, promise);
    }
}

/// Names in a directory, or of a file, are promised.
fn promise_names(judge: &mut Judge, frame: &Frame, file: FileId, promise: Promise) {
    if !judge.enforces(promise.clause) {
        return;
    }
    let began = frame.called;
    let due = |op: &crate::model::NameOp| {
        op.acked.is_some_and(|acked| acked < began)
            && op.edits.iter().any(|edit| {
                edit.directory == file || edit.before == Some(file) || edit.after == Some(file)
            })
    };
    let ordered = judge.promises.ordered_namespace && judge.level >= Level::Strict;
    let names = &mut judge.model.names;
    if !ordered {
        return names.promise_where(due, promise);
    }
    let last = names.log.iter().rev().find(|(_, op)| due(op)).map(|(order, _)| *order);
    if let Some(last) = last {
        names.promise_prefix(last, promise);
    }
}

/// A write through a description that syncs, until all is known that was said before its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) handle: HandleId,
    pub(crate) file: FileId,
    /// The change, if the write succeeded.
    pub(crate) order: Option<u64>,
    /// Does the description sync all of the file, as `O_SYNC` says?
    pub(crate) is_whole: bool,
}

/// A write answered; if its description syncs, its bytes are durable, or it says that they are not.
pub(crate) fn write_returned(
    judge: &mut Judge,
    frame: &Frame,
    outcome: &Outcome,
    is_sole_writer: bool,
) {
    let Some(written) = judge.synced_writes.remove(&frame.called) else { return };
    let (Some(order), Some(step)) = (written.order, frame.acked) else {
        if let Err(errno) = outcome {
            errors::synced_write_failed(judge, frame, written, *errno);
        }
        return;
    };
    if judge.promises.error.syncs == Syncs::Void {
        return;
    }
    let changes = judge.model.regular(written.file).map(|regular| &regular.log);
    let placed = changes.and_then(|log| log.get(&order)?.placed());
    judge.exercise(if placed.is_some() { "COPY-09" } else { "DUR-OSYNC-01" });
    errors::synced_write_succeeded(judge, frame, written, order, is_sole_writer);
    if let Some(regular) = judge.model.regular_mut(written.file) {
        regular.promise_one(order, Promise { clause: "DUR-OSYNC-01", step });
    }
    if judge.promises.file_sync_covers_names && written.is_whole {
        judge.exercise("DUR-DIR-02");
        promise_names(judge, frame, written.file, Promise { clause: "DUR-DIR-02", step });
    }
}

/// Everything, everywhere.
pub(crate) fn all(judge: &mut Judge, frame: &Frame, outcome: &Outcome) {
    let permitted = Permitted::of("DUR-SYNCFS-01", FileId::ROOT).may(true, &[Errno::Again]);
    judge.synced_all = frame.acked.or(judge.synced_all);
    if !judge.settle(frame, &permitted, outcome) {
        if let Err(errno) = outcome {
            errors::sync_all_failed(judge, frame, *errno);
        }
        return;
    }
    if !errors::says_durable(judge, frame, FileId::ROOT) {
        return;
    }
    errors::sync_all_ended_well(judge, frame);
    if !judge.enforces("DUR-SYNCFS-01") {
        return;
    }
    let Some(step) = frame.acked else { return };
    let promise = Promise { clause: "DUR-SYNCFS-01", step };
    let began = frame.called;
    judge.is_orderly = judge.changed_at.is_none_or(|changed| changed < began);
    judge.model.names.promise_where(|op| op.acked.is_some_and(|acked| acked < began), promise);
    let files: Vec<FileId> = judge.model.files.keys().copied().collect();
    for file in files {
        errors::sync_all_succeeded(judge, frame, file);
        promise_attributes(judge, frame, file, step);
        if judge.model.regular(file).is_some_and(|regular| !regular.log.is_empty())
            && let Some(regular) = judge.model.regular_mut(file)
        {
            regular.promise(began, HandleId::ROOT, promise);
        }
    }
}

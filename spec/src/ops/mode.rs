//! Permission bits: a file has those that it was given last [MODE-01], and what they deny is
//! refused [MODE-02].

use crate::model::FileId;
use crate::model::Node;
use crate::model::resolve;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::words::At;
use crate::words::Call;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Mode;
use crate::words::Outcome;

pub(crate) fn judge(judge: &mut Judge, frame: &Frame, call: &Call, outcome: &Outcome) {
    if let Call::SetMode { at, follow, mode } = call {
        by_path(judge, frame, at, *follow, *mode, outcome);
    } else if let Call::SetModeHandle { handle, mode } = call {
        by_handle(judge, frame, *handle, *mode, outcome);
    }
}

/// `chmod`.
fn by_path(judge: &mut Judge, frame: &Frame, at: &At, follow: bool, mode: Mode, outcome: &Outcome) {
    let place = resolve(&judge.model, at, follow);
    let file = place.as_ref().ok().and_then(|place| place.file);
    let is_missing = place.is_ok() && file.is_none();
    let is_symlink =
        file.is_some_and(|file| matches!(judge.model.file(file).node, Node::Symlink(_)));
    let is_file = file.is_some_and(|file| judge.model.directory(file).is_none());
    let slash = place.as_ref().is_ok_and(|place| place.slash);
    let permitted = Permitted::path("MODE-01", &at.path)
        .resolved(&place)
        .must(is_missing, &[Errno::NoEntry])
        .must(slash && is_file, &[Errno::NotDirectory])
        .may(slash, &[Errno::NotDirectory])
        // Its bits say nothing; a system need not let them be changed.
        .may(is_symlink, &[Errno::Invalid, Errno::Loop])
        .may(judge.frozen.is_some(), &[Errno::ReadOnly]);
    if judge.settle(frame, &permitted, outcome)
        && let Some(file) = file
    {
        change(judge, frame, file, mode);
    }
}

/// `fchmod`.
fn by_handle(judge: &mut Judge, frame: &Frame, id: HandleId, mode: Mode, outcome: &Outcome) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let permitted =
        Permitted::of("MODE-01", handle.file).may(judge.frozen.is_some(), &[Errno::ReadOnly]);
    if judge.settle(frame, &permitted, outcome) {
        change(judge, frame, handle.file, mode);
    }
}

fn change(judge: &mut Judge, frame: &Frame, file: FileId, mode: Mode) {
    let order = judge.model.next_order();
    judge.model.attributes_mut(file).mode.change(order, mode, frame.acked);
}

/// The bits that `stat` tells.
pub(crate) fn told(judge: &mut Judge, frame: &Frame, file: FileId, told: Option<Mode>) {
    let known = &judge.model.file(file).attributes.mode;
    let Some(told) = told else { return };
    let live = known.live;
    let is_right = told == live || judge.model.are_modes_in_doubt;
    judge.exercise("MODE-01");
    if !is_right {
        let subject = judge.model.path_text(file);
        let (observed, allowed) = (told.bits(), live.bits());
        let allowed = format!("mode {allowed:04o}");
        judge.broken(frame, "MODE-01", subject, format!("mode {observed:04o}"), allowed);
    }
}

//! Calls on handles that change no content: `close`, times, advice, status flags. With any
//! descriptor of a file, the record locks go that the process has there [LOCK-REC-03].

use crate::errors;
use crate::model::resolve;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::words::At;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;
use crate::words::StatusFlags;

/// `close`: the handle is gone, whatever the answer; nothing is promised to be durable.
pub(crate) fn close(judge: &mut Judge, frame: &Frame, handle: HandleId, outcome: &Outcome) {
    if let Some(known) = judge.handle(frame, handle, outcome)
        && *outcome != Err(Errno::BadFile)
    {
        judge.model.locks.close_file(known.file, frame.process);
        judge.model.close(handle);
        if let Err(errno @ (Errno::Io | Errno::NoSpace)) = outcome {
            errors::is_kept(judge, frame, None, *errno);
        }
    }
}

/// `close` of a descriptor whose description another one keeps open.
pub(crate) fn close_duplicate(
    judge: &mut Judge,
    frame: &Frame,
    handle: HandleId,
    outcome: &Outcome,
) {
    if let Some(known) = judge.handle(frame, handle, outcome)
        && *outcome != Err(Errno::BadFile)
    {
        judge.model.locks.close_file(known.file, frame.process);
    }
}

/// `utimensat`: times are not modelled; that the name is there is.
pub(crate) fn set_times(
    judge: &mut Judge,
    frame: &Frame,
    at: &At,
    follow: bool,
    outcome: &Outcome,
) {
    let place = resolve(&judge.model, at, follow);
    let missing = place.as_ref().is_ok_and(|place| place.file.is_none());
    let permitted = Permitted::path("NS-CREATE-01", &at.path)
        .resolved(&place)
        .must(missing, &[Errno::NoEntry])
        .may(true, &[Errno::Invalid, Errno::NotDirectory, Errno::Loop, Errno::NotPermitted]);
    judge.settle(frame, &permitted, outcome);
}

/// A call that is checked and changes nothing that can be seen.
pub(crate) fn without_effect(
    judge: &mut Judge,
    frame: &Frame,
    handle: HandleId,
    outcome: &Outcome,
) {
    judge.handle(frame, handle, outcome);
}

/// `fcntl(F_SETFL)`.
pub(crate) fn set_status(
    judge: &mut Judge,
    frame: &Frame,
    handle: HandleId,
    status: StatusFlags,
    outcome: &Outcome,
) {
    if judge.handle(frame, handle, outcome).is_some()
        && outcome.is_ok()
        && let Some(handle) = judge.model.handles.get_mut(&handle)
    {
        handle.status = status;
    }
}

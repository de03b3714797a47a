//! `ftruncate`: bytes beyond a smaller size are gone for good; a greater
//! one exposes zeros.

use crate::model::Change;
use crate::model::Effect;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::ops::remove;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;

/// Sizes up to this are allowed everywhere.
const FILE_SIZE_SURE: u64 = 1 << 31;

pub(crate) fn judge(judge: &mut Judge, frame: &Frame, id: HandleId, size: u64, outcome: &Outcome) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let is_regular = judge.model.regular(handle.file).is_some();
    let beyond = i64::try_from(size).is_err();
    let permitted = Permitted::of("TRUNC-01", handle.file)
        .must(!handle.write, &[Errno::Invalid, Errno::BadFile, Errno::NotCapable])
        .must(!is_regular, &[Errno::IsDirectory, Errno::Invalid, Errno::BadFile])
        .must_by(beyond, &[Errno::FileTooBig, Errno::Invalid], "TRUNC-03")
        .may(
            size > FILE_SIZE_SURE || judge.is_beyond_limit(Some(size)),
            &[Errno::FileTooBig, Errno::Invalid],
        )
        .may(true, &[Errno::Again]);
    if judge.model.regular(handle.file).is_some_and(|regular| size < regular.size) {
        let subject = judge.model.path_text(handle.file);
        remove::needs_no_space(judge, frame, subject, outcome);
    }
    if judge.settle(frame, &permitted, outcome) {
        resize(judge, frame, id, size, "TRUNC-01");
    } else if outcome.is_err()
        && let order = judge.model.order
        && let Some(regular) = judge.model.regular_mut(handle.file)
    {
        regular.size_clause = Some("TRUNC-02");
        regular.has_unknown_room(order);
        judge.exercise("TRUNC-02");
    }
}

/// The file gets another size.
pub(crate) fn resize(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    size: u64,
    clause: &'static str,
) {
    let Some(file) = judge.model.handles.get(&id).map(|handle| handle.file) else { return };
    let order = judge.model.next_order();
    let Some(regular) = judge.model.regular_mut(file) else { return };
    if size == regular.size && regular.maybes.is_empty() {
        return;
    }
    let effect = Effect::Resize { from: regular.size.max(size + 1), to: size };
    let effect = if size < regular.size || !regular.maybes.is_empty() {
        effect
    } else {
        Effect::Resize { from: regular.size, to: size }
    };
    regular.change(order, Change::new(frame, id, effect));
    regular.size_clause = Some(clause);
    judge.model.cut_mappings(file, size);
}

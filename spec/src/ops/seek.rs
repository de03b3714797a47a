//! `lseek`: the offset of a description moves, for everyone who shares it.

use crate::errors::reads;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;
use crate::words::Value;
use crate::words::Whence;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    offset: i64,
    whence: Whence,
    outcome: &Outcome,
) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    if let (Whence::End, Ok(Value::Offset(new))) = (whence, outcome) {
        let size = new.checked_add_signed(offset.saturating_neg()).unwrap_or(0);
        reads::size_at_least(judge, frame, handle.file, size);
    }
    let Some(regular) = judge.model.regular(handle.file) else { return };
    let origin = match whence {
        Whence::Set | Whence::Data | Whence::Hole => Some(0),
        Whence::Current => handle.offset,
        Whence::End => Some(regular.size),
    };
    let target = origin.map(|origin| origin.checked_add_signed(offset));
    let bad = target.is_some_and(|to| to.is_none_or(|to| i64::try_from(to).is_err()));
    let permitted = Permitted::of("DATA-OFF-01", handle.file)
        .must(bad, &[Errno::Invalid, Errno::Overflow])
        .may(target.is_none(), &[Errno::Invalid]);
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    let Ok(Value::Offset(new)) = outcome else { return judge.malformed(frame) };
    if let Some(Some(target)) = target
        && target != *new
    {
        let subject = judge.model.path_text(handle.file);
        judge.broken(frame, "DATA-OFF-01", subject, format!("offset {new}"), format!("{target}"));
    }
    if let Some(handle) = judge.model.handles.get_mut(&id) {
        handle.offset = Some(*new);
    }
}

//! `read`: the newest bytes, or an error.

use bytes::Bytes;

use crate::errors::reads;
use crate::errors::reads::View;
use crate::model::Handle;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;
use crate::words::Value;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    offset: Option<u64>,
    len: u32,
    outcome: &Outcome,
) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let is_regular = judge.model.regular(handle.file).is_some();
    let permitted = Permitted::of("DATA-RW-01", handle.file)
        .must(!handle.read, &[Errno::BadFile, Errno::NotCapable])
        .must(!is_regular, &[Errno::IsDirectory, Errno::BadFile, Errno::Invalid])
        .may(offset.is_some_and(|at| i64::try_from(at).is_err()), &[Errno::Invalid])
        .may(offset.is_some_and(|at| i64::try_from(at).is_err()), &[Errno::Overflow])
        .may(is_uneven(&handle, offset, u64::from(len)), &[Errno::Invalid])
        .may(handle.status.direct, &[Errno::Again]);
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    let Ok(Value::Data(data)) = outcome else { return judge.malformed(frame) };
    if data.len() > len as usize {
        let observed = format!("{} bytes", data.len());
        let subject = judge.model.path_text(handle.file);
        judge.broken(frame, "DATA-RW-01", subject, observed, format!("at most {len} bytes"));
    }
    let Some(at) = offset.or(handle.offset) else { return };
    check(judge, frame, id, at, len, data);
    if offset.is_none()
        && let Some(handle) = judge.model.handles.get_mut(&id)
    {
        handle.offset = at.checked_add(data.len() as u64);
    }
}

/// Offsets and lengths that are multiples of this are aligned to every block.
const BLOCK_BYTES_MOST: u64 = 1 << 16;

/// May direct access be refused for its alignment?
pub(crate) fn is_uneven(handle: &Handle, offset: Option<u64>, len: u64) -> bool {
    let is_even = |number: u64| number.is_multiple_of(BLOCK_BYTES_MOST);
    let at = offset.or(handle.offset);
    handle.status.direct && !(at.is_some_and(is_even) && is_even(len))
}

fn check(judge: &mut Judge, frame: &Frame, id: HandleId, at: u64, len: u32, data: &Bytes) {
    let Some(file) = judge.model.handles.get(&id).map(|handle| handle.file) else { return };
    let end = at.saturating_add(data.len() as u64);
    reads::size_at_least(judge, frame, file, if data.is_empty() { 0 } else { end });
    let size = judge.model.regular(file).map_or(0, |regular| regular.size);
    if data.is_empty() && len > 0 && at < size {
        let subject = judge.model.path_text(file);
        let clause = judge.size_clause(file);
        judge.broken(
            frame,
            clause,
            subject,
            format!("end of file at {at}"),
            format!("bytes, since the size is {size}"),
        );
        return;
    }
    let is_direct = judge.model.handles.get(&id).is_some_and(|handle| handle.status.direct);
    let view = if is_direct { View::Direct } else { View::Read };
    reads::compare(judge, frame, file, at, data, view);
}

//! `fd_copy_range`, `fd_clone_range`, `fd_dedupe_range`: bytes from one file to another.

use crate::call::Request;
use crate::call::Value;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

/// In the place of an offset: the description's own, which moves.
const OWN_OFFSET: u64 = u64::MAX;

#[expect(clippy::too_many_arguments, reason = "the ABI has them")]
pub(super) async fn fd_copy_range(
    frame: &mut Frame<'_>,
    from: u32,
    from_offset: u64,
    to: u32,
    to_offset: u64,
    len: u64,
    flags: u32,
    result: u32,
) -> Outcome {
    let place = frame.place(result, 4)?;
    let (from, _) = frame.handle(from, rights::FD_READ, AbiErrno::Inval)?;
    let (to, _) = frame.handle(to, rights::FD_WRITE, AbiErrno::Inval)?;
    if flags != 0 {
        return Err(AbiErrno::Inval.into());
    }
    let given = |offset: u64| (offset != OWN_OFFSET).then_some(offset);
    let (from_offset, to_offset) = (given(from_offset), given(to_offset));
    let request = Request::CopyRange { from, from_offset, to, to_offset, len };
    let Value::Count(count) = frame.ask(request).await? else { unexpected() };
    frame.write(&place, &count.to_le_bytes());
    Ok(())
}

pub(super) async fn fd_clone_range(
    frame: &mut Frame<'_>,
    from: u32,
    from_offset: u64,
    len: u64,
    to: u32,
    to_offset: u64,
) -> Outcome {
    let (from, _) = frame.handle(from, rights::FD_READ, AbiErrno::Xdev)?;
    let (to, _) = frame.handle(to, rights::FD_WRITE, AbiErrno::Xdev)?;
    frame.ask_done(Request::CloneRange { from, from_offset, len, to, to_offset }).await
}

pub(super) async fn fd_dedupe_range(
    frame: &mut Frame<'_>,
    from: u32,
    from_offset: u64,
    len: u64,
    to: u32,
    to_offset: u64,
    result: u32,
) -> Outcome {
    let place = frame.place(result, 4)?;
    let (from, _) = frame.handle(from, rights::FD_READ, AbiErrno::Xdev)?;
    let (to, _) = frame.handle(to, rights::FD_WRITE, AbiErrno::Xdev)?;
    let request = Request::DedupeRange { from, from_offset, len, to, to_offset };
    let Value::Same(same) = frame.ask(request).await? else { unexpected() };
    frame.write(&place, &u32::from(!same).to_le_bytes());
    Ok(())
}

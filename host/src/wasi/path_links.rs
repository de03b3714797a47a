//! `path_link`, `path_symlink`, `path_readlink`.

use crate::call::Request;
use crate::call::Value;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::decode_lookup;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

#[expect(clippy::too_many_arguments, reason = "the ABI has them")]
pub(super) async fn path_link(
    frame: &mut Frame<'_>,
    from_fd: u32,
    lookup_flags: u32,
    from: u32,
    from_len: u32,
    to_fd: u32,
    to: u32,
    to_len: u32,
) -> Outcome {
    let follow = decode_lookup(lookup_flags)?;
    let from = frame.at(from_fd, rights::PATH_LINK_SOURCE, from, from_len)?;
    let to = frame.at(to_fd, rights::PATH_LINK_TARGET, to, to_len)?;
    frame.ask_done(Request::Link { from, follow, to }).await
}

pub(super) async fn path_symlink(
    frame: &mut Frame<'_>,
    target: u32,
    target_len: u32,
    fd: u32,
    path: u32,
    path_len: u32,
) -> Outcome {
    let target = frame.path(target, target_len)?;
    let at = frame.at(fd, rights::PATH_SYMLINK, path, path_len)?;
    if target.starts_with(b"/") {
        // No WASI host makes one: it would lead out of what the guest was given.
        return Err(AbiErrno::Notcapable.into());
    }
    frame.ask_done(Request::Symlink { target, at }).await
}

pub(super) async fn path_readlink(
    frame: &mut Frame<'_>,
    fd: u32,
    path: u32,
    path_len: u32,
    buffer: u32,
    buffer_len: u32,
    used: u32,
) -> Outcome {
    let place = frame.place(buffer, buffer_len)?;
    let used = frame.place(used, 4)?;
    let at = frame.at(fd, rights::PATH_READLINK, path, path_len)?;
    let Value::Target(target) = frame.ask(Request::ReadLink { at }).await? else { unexpected() };
    let shown = &target[..target.len().min(place.len())];
    frame.write(&place, shown);
    // Not longer than the buffer.
    frame.write(&used, &(shown.len() as u32).to_le_bytes());
    Ok(())
}

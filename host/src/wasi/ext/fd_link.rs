//! `fd_link`: a name for an open file.

use crate::call::Request;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::rights;

pub(super) async fn fd_link(
    frame: &mut Frame<'_>,
    fd: u32,
    to_fd: u32,
    to: u32,
    to_len: u32,
) -> Outcome {
    // Standard streams are of another file system.
    let (handle, _) = frame.handle(fd, 0, AbiErrno::Xdev)?;
    let to = frame.at(to_fd, rights::PATH_LINK_TARGET, to, to_len)?;
    frame.ask_done(Request::LinkHandle { handle, to }).await
}

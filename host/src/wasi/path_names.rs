//! `path_create_directory`, `path_remove_directory`, `path_unlink_file`, `path_rename`.

use crate::call::Request;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::rights;

pub(super) async fn path_create_directory(
    frame: &mut Frame<'_>,
    fd: u32,
    path: u32,
    path_len: u32,
) -> Outcome {
    let mode = frame.process().next_mode.take();
    let at = frame.at(fd, rights::PATH_CREATE_DIRECTORY, path, path_len)?;
    frame.ask_done(Request::MakeDirectory { at, mode }).await
}

pub(super) async fn path_remove_directory(
    frame: &mut Frame<'_>,
    fd: u32,
    path: u32,
    path_len: u32,
) -> Outcome {
    let at = frame.at(fd, rights::PATH_REMOVE_DIRECTORY, path, path_len)?;
    frame.ask_done(Request::RemoveDirectory { at }).await
}

pub(super) async fn path_unlink_file(
    frame: &mut Frame<'_>,
    fd: u32,
    path: u32,
    path_len: u32,
) -> Outcome {
    let at = frame.at(fd, rights::PATH_UNLINK_FILE, path, path_len)?;
    frame.ask_done(Request::Unlink { at }).await
}

pub(super) async fn path_rename(
    frame: &mut Frame<'_>,
    from_fd: u32,
    from: u32,
    from_len: u32,
    to_fd: u32,
    to: u32,
    to_len: u32,
) -> Outcome {
    let from = frame.at(from_fd, rights::PATH_RENAME_SOURCE, from, from_len)?;
    let to = frame.at(to_fd, rights::PATH_RENAME_TARGET, to, to_len)?;
    frame.ask_done(Request::Rename { from, to, replace: true }).await
}

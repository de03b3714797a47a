//! `fs_snapshot`, `fs_snapshot_open`, `fs_snapshot_delete`: frozen copies of the whole tree.

use crate::call::FileKind;
use crate::call::Manage;
use crate::call::Request;
use crate::call::StatusFlags;
use crate::call::Value;
use crate::wasi::fds::Descriptor;
use crate::wasi::fds::Target;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;
use crate::wasi::rights::Rights;

pub(super) async fn fs_snapshot(frame: &mut Frame<'_>, name: u32, name_len: u32) -> Outcome {
    let name = frame.path(name, name_len)?;
    frame.ask_done(Request::Manage(Manage::Snapshot { name })).await
}

pub(super) async fn fs_snapshot_delete(frame: &mut Frame<'_>, name: u32, name_len: u32) -> Outcome {
    let name = frame.path(name, name_len)?;
    frame.ask_done(Request::Manage(Manage::DeleteSnapshot { name })).await
}

pub(super) async fn fs_snapshot_open(
    frame: &mut Frame<'_>,
    name: u32,
    name_len: u32,
    result: u32,
) -> Outcome {
    let place = frame.place(result, 4)?;
    let name = frame.path(name, name_len)?;
    let vacant = frame.process().fds.vacant()?;
    let opened = frame.ask(Request::Manage(Manage::OpenSnapshot { name })).await?;
    let Value::Handle { handle, kind: FileKind::Directory, .. } = opened else { unexpected() };
    let descriptor = Descriptor {
        target: Target::Handle { handle, kind: FileKind::Directory },
        rights: Rights::new(rights::DIRECTORY, rights::INHERITED),
        status: StatusFlags::default(),
        preopen: None,
    };
    frame.process().fds.insert(vacant, descriptor);
    frame.write(&place, &vacant.to_le_bytes());
    Ok(())
}

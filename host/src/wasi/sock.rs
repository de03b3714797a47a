//! `sock_accept`, `sock_recv`, `sock_send`, `sock_shutdown`: there are no sockets, so that no
//! descriptor is one.

use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;

fn refuse(frame: &Frame<'_>, fd: u32) -> Outcome {
    frame.target(fd, 0)?;
    Err(AbiErrno::Notsock.into())
}

pub(super) async fn sock_accept(
    frame: &mut Frame<'_>,
    fd: u32,
    _flags: u32,
    _result: u32,
) -> Outcome {
    refuse(frame, fd)
}

pub(super) async fn sock_recv(
    frame: &mut Frame<'_>,
    fd: u32,
    _data: u32,
    _data_len: u32,
    _flags: u32,
    _count: u32,
    _flags_out: u32,
) -> Outcome {
    refuse(frame, fd)
}

pub(super) async fn sock_send(
    frame: &mut Frame<'_>,
    fd: u32,
    _data: u32,
    _data_len: u32,
    _flags: u32,
    _count: u32,
) -> Outcome {
    refuse(frame, fd)
}

pub(super) async fn sock_shutdown(frame: &mut Frame<'_>, fd: u32, _how: u32) -> Outcome {
    refuse(frame, fd)
}

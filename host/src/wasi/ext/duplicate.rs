//! `fd_dup`.

use crate::wasi::fds::Descriptor;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;

pub(super) async fn fd_dup(frame: &mut Frame<'_>, fd: u32, result: u32) -> Outcome {
    let place = frame.place(result, 4)?;
    let fds = &mut frame.process().fds;
    let descriptor = Descriptor { preopen: None, ..fds.get(fd)?.clone() };
    let vacant = fds.vacant()?;
    fds.insert(vacant, descriptor);
    frame.write(&place, &vacant.to_le_bytes());
    Ok(())
}

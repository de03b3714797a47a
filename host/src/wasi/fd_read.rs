//! `fd_read` and `fd_pread`: all buffers are filled.

use crate::call::Request;
use crate::call::Value;
use crate::wasi::errno::AbiErrno;
use crate::wasi::fds::Target;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

async fn read(
    frame: &mut Frame<'_>,
    fd: u32,
    vectors: (u32, u32),
    offset: Option<u64>,
    count: u32,
) -> Outcome {
    let vectors = frame.vectors(vectors.0, vectors.1)?;
    let count = frame.place(count, 4)?;
    let needed = rights::FD_READ | if offset.is_some() { rights::FD_SEEK } else { 0 };
    let data = match frame.target(fd, needed)? {
        Target::Handle { handle, .. } => {
            let request = Request::Read { handle, offset, len: vectors.len() };
            let Value::Data(data) = frame.ask(request).await? else { unexpected() };
            data
        }
        _ if offset.is_some() => return Err(AbiErrno::Spipe.into()),
        Target::Stdin => frame.process().input.read(vectors.len() as usize),
        Target::Stdout | Target::Stderr => return Err(AbiErrno::Badf.into()),
    };
    frame.scatter(&vectors, &data);
    // No more bytes than the vectors' length, which is a u32.
    frame.write(&count, &(data.len() as u32).to_le_bytes());
    Ok(())
}

pub(super) async fn fd_read(
    frame: &mut Frame<'_>,
    fd: u32,
    vectors: u32,
    vector_count: u32,
    count: u32,
) -> Outcome {
    read(frame, fd, (vectors, vector_count), None, count).await
}

pub(super) async fn fd_pread(
    frame: &mut Frame<'_>,
    fd: u32,
    vectors: u32,
    vector_count: u32,
    offset: u64,
    count: u32,
) -> Outcome {
    read(frame, fd, (vectors, vector_count), Some(offset), count).await
}

//! `fd_write` and `fd_pwrite`: all buffers are one write.

use bytes::Bytes;

use crate::call::Request;
use crate::call::Value;
use crate::wasi::errno::AbiErrno;
use crate::wasi::fds::Target;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::process::End;
use crate::wasi::rights;

async fn write(
    frame: &mut Frame<'_>,
    fd: u32,
    vectors: (u32, u32),
    offset: Option<u64>,
    count: u32,
) -> Outcome {
    let vectors = frame.vectors(vectors.0, vectors.1)?;
    let count = frame.place(count, 4)?;
    let needed = rights::FD_WRITE | if offset.is_some() { rights::FD_SEEK } else { 0 };
    let target = frame.target(fd, needed)?;
    let data = frame.gather(&vectors);
    let written = match target {
        Target::Handle { handle, .. } => {
            let request = Request::Write { handle, offset, data };
            let Value::Count(written) = frame.ask(request).await? else { unexpected() };
            written
        }
        _ if offset.is_some() => return Err(AbiErrno::Spipe.into()),
        Target::Stdout => print(frame, &data, true)?,
        Target::Stderr => print(frame, &data, false)?,
        Target::Stdin => return Err(AbiErrno::Badf.into()),
    };
    assert!(written <= vectors.len(), "no more is written than was handed in");
    frame.write(&count, &written.to_le_bytes());
    Ok(())
}

fn print(frame: &mut Frame<'_>, data: &Bytes, is_stdout: bool) -> Result<u32, Failure> {
    let output = &mut frame.process().output;
    let has_room = if is_stdout { output.write_stdout(data) } else { output.write_stderr(data) };
    if !has_room {
        return Err(Failure::End(End::OutputLimit));
    }
    Ok(data.len() as u32)
}

pub(super) async fn fd_write(
    frame: &mut Frame<'_>,
    fd: u32,
    vectors: u32,
    vector_count: u32,
    count: u32,
) -> Outcome {
    write(frame, fd, (vectors, vector_count), None, count).await
}

pub(super) async fn fd_pwrite(
    frame: &mut Frame<'_>,
    fd: u32,
    vectors: u32,
    vector_count: u32,
    offset: u64,
    count: u32,
) -> Outcome {
    write(frame, fd, (vectors, vector_count), Some(offset), count).await
}

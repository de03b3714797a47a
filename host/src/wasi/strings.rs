//! `args_get`, `args_sizes_get`, `environ_get`, `environ_sizes_get`.

use bytes::Bytes;

use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;

/// Count of the strings, and their bytes with a final NUL each.
fn sizes(strings: &[Bytes]) -> Result<(u32, u32), Failure> {
    let bytes: usize = strings.iter().map(|string| string.len() + 1).sum();
    let count = u32::try_from(strings.len()).map_err(|_| AbiErrno::Overflow)?;
    Ok((count, u32::try_from(bytes).map_err(|_| AbiErrno::Overflow)?))
}

fn put_sizes(frame: &mut Frame<'_>, strings: &[Bytes], count_at: u32, bytes_at: u32) -> Outcome {
    let (count, bytes) = sizes(strings)?;
    let (count_place, bytes_place) = (frame.place(count_at, 4)?, frame.place(bytes_at, 4)?);
    frame.write(&count_place, &count.to_le_bytes());
    frame.write(&bytes_place, &bytes.to_le_bytes());
    Ok(())
}

fn put_strings(frame: &mut Frame<'_>, strings: &[Bytes], array: u32, buffer: u32) -> Outcome {
    let (count, len) = sizes(strings)?;
    let pointers_place = frame.places(array, count, 4)?;
    let buffer_place = frame.place(buffer, len)?;
    let (mut pointers, mut text) = (Vec::new(), Vec::new());
    let mut at = buffer;
    for string in strings {
        pointers.extend_from_slice(&at.to_le_bytes());
        text.extend_from_slice(string);
        text.push(0);
        // Below `buffer + len`, which was checked; only the last sum can leave the memory.
        at = at.wrapping_add(string.len() as u32 + 1);
    }
    frame.write(&pointers_place, &pointers);
    frame.write(&buffer_place, &text);
    Ok(())
}

pub(super) async fn args_sizes_get(frame: &mut Frame<'_>, count: u32, bytes: u32) -> Outcome {
    let args = frame.process().args.clone();
    put_sizes(frame, &args, count, bytes)
}

pub(super) async fn args_get(frame: &mut Frame<'_>, array: u32, buffer: u32) -> Outcome {
    let args = frame.process().args.clone();
    put_strings(frame, &args, array, buffer)
}

pub(super) async fn environ_sizes_get(frame: &mut Frame<'_>, count: u32, bytes: u32) -> Outcome {
    let environ = frame.process().environ.clone();
    put_sizes(frame, &environ, count, bytes)
}

pub(super) async fn environ_get(frame: &mut Frame<'_>, array: u32, buffer: u32) -> Outcome {
    let environ = frame.process().environ.clone();
    put_strings(frame, &environ, array, buffer)
}

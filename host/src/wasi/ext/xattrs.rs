//! `fd_xattr_*`: small named values of a file, as `fgetxattr` and its family have them.

use bytes::Bytes;

use crate::call::Attribute;
use crate::call::Halt;
use crate::call::HandleId;
use crate::call::Request;
use crate::call::SetAttribute;
use crate::call::Value;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::memory::Place;
use crate::wasi::rights;

/// Longest name (`XATTR_NAME_MAX`).
const NAME_BYTES_MAX: u32 = 255;
/// Longest value (`XATTR_SIZE_MAX`).
const VALUE_BYTES_MAX: u32 = 65_536;

const XATTR_CREATE: u32 = 1;
const XATTR_REPLACE: u32 = 2;

fn handle(frame: &Frame<'_>, fd: u32, needed: u64) -> Result<HandleId, Failure> {
    Ok(frame.handle(fd, needed, AbiErrno::Notsup)?.0)
}

fn name(frame: &Frame<'_>, at: u32, len: u32) -> Result<Bytes, Failure> {
    let place = frame.place(at, len)?;
    if len == 0 || len > NAME_BYTES_MAX {
        return Err(AbiErrno::Range.into());
    }
    let name = Bytes::copy_from_slice(frame.read(&place));
    if name.contains(&0) { Err(AbiErrno::Inval.into()) } else { Ok(name) }
}

fn decode_how(flags: u32) -> Result<SetAttribute, Failure> {
    match flags {
        0 => Ok(SetAttribute::Any),
        XATTR_CREATE => Ok(SetAttribute::Create),
        XATTR_REPLACE => Ok(SetAttribute::Replace),
        3 => Err(Halt::Unsupported("fd_xattr_set with both flags").into()),
        4.. => Err(AbiErrno::Inval.into()),
    }
}

/// Hands bytes over; to a buffer without room, only how many they are.
fn hand_over(frame: &mut Frame<'_>, bytes: &[u8], [buffer, used]: [&Place; 2]) -> Outcome {
    if buffer.len() > 0 {
        if bytes.len() > buffer.len() {
            return Err(AbiErrno::Range.into());
        }
        frame.write(buffer, bytes);
    }
    let count = u32::try_from(bytes.len()).map_err(|_| AbiErrno::Overflow)?;
    frame.write(used, &count.to_le_bytes());
    Ok(())
}

pub(super) async fn fd_xattr_get(
    frame: &mut Frame<'_>,
    fd: u32,
    name_at: u32,
    name_len: u32,
    buffer: u32,
    buffer_len: u32,
    used: u32,
) -> Outcome {
    let (buffer, used) = (frame.place(buffer, buffer_len)?, frame.place(used, 4)?);
    let name = name(frame, name_at, name_len)?;
    let handle = handle(frame, fd, rights::FD_FILESTAT_GET)?;
    let answer = frame.ask(Request::Attribute(Attribute::Get { handle, name })).await?;
    let Value::AttributeValue(value) = answer else { unexpected() };
    hand_over(frame, &value, [&buffer, &used])
}

pub(super) async fn fd_xattr_list(
    frame: &mut Frame<'_>,
    fd: u32,
    buffer: u32,
    buffer_len: u32,
    used: u32,
) -> Outcome {
    let (buffer, used) = (frame.place(buffer, buffer_len)?, frame.place(used, 4)?);
    let handle = handle(frame, fd, rights::FD_FILESTAT_GET)?;
    let answer = frame.ask(Request::Attribute(Attribute::List { handle })).await?;
    let Value::AttributeNames(names) = answer else { unexpected() };
    // Each name ends with a zero byte.
    let bytes: Vec<u8> = names.iter().flat_map(|name| name.iter().copied().chain([0])).collect();
    hand_over(frame, &bytes, [&buffer, &used])
}

pub(super) async fn fd_xattr_set(
    frame: &mut Frame<'_>,
    fd: u32,
    name_at: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
    flags: u32,
) -> Outcome {
    let value = frame.place(value, value_len)?;
    let name = name(frame, name_at, name_len)?;
    let how = decode_how(flags)?;
    let handle = handle(frame, fd, rights::FD_FILESTAT_SET_TIMES)?;
    if value_len > VALUE_BYTES_MAX {
        return Err(AbiErrno::TooBig.into());
    }
    let value = Bytes::copy_from_slice(frame.read(&value));
    frame.ask_done(Request::Attribute(Attribute::Set { handle, name, value, how })).await
}

pub(super) async fn fd_xattr_remove(
    frame: &mut Frame<'_>,
    fd: u32,
    name_at: u32,
    name_len: u32,
) -> Outcome {
    let name = name(frame, name_at, name_len)?;
    let handle = handle(frame, fd, rights::FD_FILESTAT_SET_TIMES)?;
    frame.ask_done(Request::Attribute(Attribute::Remove { handle, name })).await
}

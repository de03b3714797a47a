//! `path_filestat_get` and `path_filestat_set_times`.

use crate::call::Request;
use crate::call::Value;
use crate::wasi::abi;
use crate::wasi::fd_stat::decode_times;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::decode_lookup;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

pub(super) async fn path_filestat_get(
    frame: &mut Frame<'_>,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    path_len: u32,
    result: u32,
) -> Outcome {
    let place = frame.place(result, abi::FILESTAT_BYTES)?;
    let follow = decode_lookup(lookup_flags)?;
    let at = frame.at(fd, rights::PATH_FILESTAT_GET, path, path_len)?;
    let Value::Stat(stat) = frame.ask(Request::Stat { at, follow }).await? else { unexpected() };
    frame.write(&place, &abi::encode_stat(&stat));
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the ABI has them")]
pub(super) async fn path_filestat_set_times(
    frame: &mut Frame<'_>,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    path_len: u32,
    access: u64,
    modify: u64,
    flags: u32,
) -> Outcome {
    let follow = decode_lookup(lookup_flags)?;
    let (access, modify) = decode_times(access, modify, flags)?;
    let at = frame.at(fd, rights::PATH_FILESTAT_SET_TIMES, path, path_len)?;
    frame.ask_done(Request::SetTimes { at, follow, access, modify }).await
}

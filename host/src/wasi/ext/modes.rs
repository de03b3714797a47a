//! `path_chmod`, `fd_chmod`, `path_next_mode`, `path_stat_ext`, `fd_stat_ext`: permission bits.

use crate::call::FileKind;
use crate::call::Mode;
use crate::call::Request;
use crate::call::Stat;
use crate::call::Value;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::decode_lookup;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

/// All permission bits.
const MODE_ALL: u32 = 0o7777;
/// What `path_next_mode` takes back what it was told before with.
const FORGET: u32 = u32::MAX;
/// What `path_stat_ext` and `fd_stat_ext` tell: this many `u64`.
const STAT_COUNT: u32 = 8;

/// Linux drops other bits; here, whoever passes them means something that is not there.
fn decode_mode(mode: u32) -> Result<Mode, Failure> {
    if mode & !MODE_ALL != 0 { Err(AbiErrno::Inval.into()) } else { Ok(Mode::new(mode)) }
}

pub(super) async fn path_chmod(
    frame: &mut Frame<'_>,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    path_len: u32,
    mode: u32,
) -> Outcome {
    let (follow, mode) = (decode_lookup(lookup_flags)?, decode_mode(mode)?);
    let at = frame.at(fd, rights::PATH_FILESTAT_SET_TIMES, path, path_len)?;
    frame.ask_done(Request::SetMode { at, follow, mode }).await
}

pub(super) async fn fd_chmod(frame: &mut Frame<'_>, fd: u32, mode: u32) -> Outcome {
    let mode = decode_mode(mode)?;
    let (handle, _) = frame.handle(fd, rights::FD_FILESTAT_SET_TIMES, AbiErrno::Inval)?;
    frame.ask_done(Request::SetModeHandle { handle, mode }).await
}

pub(super) async fn path_next_mode(frame: &mut Frame<'_>, mode: u32) -> Outcome {
    let mode = if mode == FORGET { None } else { Some(decode_mode(mode)?) };
    frame.process().next_mode = mode;
    Ok(())
}

/// The numbers, `st_mode` first.
fn encode(stat: &Stat) -> Vec<u8> {
    let kind: u64 = match stat.kind {
        FileKind::Regular => 0o100_000,
        FileKind::Directory => 0o040_000,
        FileKind::Symlink => 0o120_000,
    };
    // Where the subject does not tell the bits, the last number says so.
    let bits = stat.mode.map_or(0, Mode::bits);
    let numbers = [
        kind | u64::from(bits),
        stat.link_count,
        stat.ino.0,
        stat.size_bytes,
        stat.access_nanos,
        stat.modify_nanos,
        stat.change_nanos,
        u64::from(stat.mode.is_some()),
    ];
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

pub(super) async fn path_stat_ext(
    frame: &mut Frame<'_>,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    path_len: u32,
    result: u32,
) -> Outcome {
    let place = frame.places(result, STAT_COUNT, 8)?;
    let follow = decode_lookup(lookup_flags)?;
    let at = frame.at(fd, rights::PATH_FILESTAT_GET, path, path_len)?;
    let Value::Stat(stat) = frame.ask(Request::Stat { at, follow }).await? else { unexpected() };
    frame.write(&place, &encode(&stat));
    Ok(())
}

pub(super) async fn fd_stat_ext(frame: &mut Frame<'_>, fd: u32, result: u32) -> Outcome {
    let place = frame.places(result, STAT_COUNT, 8)?;
    let (handle, _) = frame.handle(fd, rights::FD_FILESTAT_GET, AbiErrno::Inval)?;
    let Value::Stat(stat) = frame.ask(Request::StatHandle { handle }).await? else { unexpected() };
    frame.write(&place, &encode(&stat));
    Ok(())
}

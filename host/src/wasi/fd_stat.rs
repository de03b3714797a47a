//! `fd_fdstat_*` and `fd_filestat_*`: what a descriptor is, and what its file is.

use crate::call::FileKind;
use crate::call::Halt;
use crate::call::Request;
use crate::call::TimeChange;
use crate::call::Value;
use crate::wasi::abi;
use crate::wasi::abi::FileType;
use crate::wasi::errno::AbiErrno;
use crate::wasi::fds::Target;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

pub(super) async fn fd_fdstat_get(frame: &mut Frame<'_>, fd: u32, result: u32) -> Outcome {
    let place = frame.place(result, abi::FDSTAT_BYTES)?;
    let descriptor = frame.process().fds.get(fd)?;
    let file_type = match descriptor.target {
        Target::Stdin | Target::Stdout | Target::Stderr => FileType::CharacterDevice,
        Target::Handle { kind, .. } => kind.into(),
    };
    let mut fdstat = [0; abi::FDSTAT_BYTES as usize];
    fdstat[0] = file_type as u8;
    fdstat[2..4].copy_from_slice(&abi::encode_status(descriptor.status).to_le_bytes());
    fdstat[8..16].copy_from_slice(&descriptor.rights.base.to_le_bytes());
    fdstat[16..24].copy_from_slice(&descriptor.rights.inheriting.to_le_bytes());
    frame.write(&place, &fdstat);
    Ok(())
}

/// Status flags that this host models, or why not.
pub(super) fn decode_status(bits: u32) -> Result<crate::call::StatusFlags, Failure> {
    let status = abi::decode_status(bits)?;
    for (bit, name) in abi::FD_PRIVATE {
        if bits & bit != 0 {
            return Err(Halt::Unsupported(name).into());
        }
    }
    Ok(status)
}

pub(super) async fn fd_fdstat_set_flags(frame: &mut Frame<'_>, fd: u32, bits: u32) -> Outcome {
    let target = frame.target(fd, rights::FD_FDSTAT_SET_FLAGS)?;
    let status = decode_status(bits)?;
    if status.direct != frame.process().fds.get(fd)?.status.direct {
        return Err(Halt::Unsupported("O_DIRECT (fdflags 0x100) set or cleared").into());
    }
    match target {
        Target::Handle { handle, .. } => {
            frame.ask_done(Request::SetStatusFlags { handle, status }).await?;
            frame.process().fds.set_status(handle, status);
        }
        Target::Stdin | Target::Stdout | Target::Stderr => {
            frame.process().fds.get_mut(fd)?.status = status;
        }
    }
    Ok(())
}

pub(super) async fn fd_fdstat_set_rights(
    frame: &mut Frame<'_>,
    fd: u32,
    base: u64,
    inheriting: u64,
) -> Outcome {
    if !frame.process().fds.get_mut(fd)?.rights.narrow(base, inheriting) {
        return Err(AbiErrno::Notcapable.into());
    }
    Ok(())
}

pub(super) async fn fd_filestat_get(frame: &mut Frame<'_>, fd: u32, result: u32) -> Outcome {
    let place = frame.place(result, abi::FILESTAT_BYTES)?;
    let filestat = match frame.target(fd, rights::FD_FILESTAT_GET)? {
        Target::Handle { handle, .. } => {
            let request = Request::StatHandle { handle };
            let Value::Stat(stat) = frame.ask(request).await? else { unexpected() };
            abi::encode_stat(&stat)
        }
        Target::Stdin | Target::Stdout | Target::Stderr => abi::encode_stdio_stat(fd),
    };
    frame.write(&place, &filestat);
    Ok(())
}

pub(super) async fn fd_filestat_set_size(frame: &mut Frame<'_>, fd: u32, size: u64) -> Outcome {
    let (handle, kind) = frame.handle(fd, rights::FD_FILESTAT_SET_SIZE, AbiErrno::Inval)?;
    if kind == FileKind::Directory {
        return Err(AbiErrno::Inval.into());
    }
    frame.ask_done(Request::Truncate { handle, size_bytes: size }).await
}

/// New times of access and modification.
pub(super) fn decode_times(
    access: u64,
    modify: u64,
    flags: u32,
) -> Result<(TimeChange, TimeChange), AbiErrno> {
    if flags & !abi::TIME_ALL != 0 {
        return Err(AbiErrno::Inval);
    }
    let change = |nanos, to: u32, to_now: u32| match (flags & to != 0, flags & to_now != 0) {
        (false, false) => Ok(TimeChange::Keep),
        (true, false) => Ok(TimeChange::At(nanos)),
        (false, true) => Ok(TimeChange::Now),
        (true, true) => Err(AbiErrno::Inval),
    };
    Ok((
        change(access, abi::TIME_ACCESS, abi::TIME_ACCESS_NOW)?,
        change(modify, abi::TIME_MODIFY, abi::TIME_MODIFY_NOW)?,
    ))
}

pub(super) async fn fd_filestat_set_times(
    frame: &mut Frame<'_>,
    fd: u32,
    access: u64,
    modify: u64,
    flags: u32,
) -> Outcome {
    let (handle, _) = frame.handle(fd, rights::FD_FILESTAT_SET_TIMES, AbiErrno::Inval)?;
    let (access, modify) = decode_times(access, modify, flags)?;
    frame.ask_done(Request::SetTimesHandle { handle, access, modify }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_kept_set_or_taken_from_the_clock_but_never_two_of_them() {
        for flags in 0..=abi::TIME_ALL {
            let is_both = flags & 0b11 == 0b11 || flags & 0b1100 == 0b1100;
            assert_eq!(decode_times(1, 2, flags).is_err(), is_both, "{flags:#b}");
        }
        assert_eq!(
            decode_times(1, 2, abi::TIME_ACCESS | abi::TIME_MODIFY_NOW),
            Ok((TimeChange::At(1), TimeChange::Now))
        );
        assert!(decode_times(1, 2, 16).is_err());
    }
}

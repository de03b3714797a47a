//! `fs_drop_caches`, `fs_fault`, `note`: the machine beneath, and marks.

use crate::call::Halt;
use crate::call::Manage;
use crate::call::Request;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::process::End;

pub(super) async fn fs_drop_caches(frame: &mut Frame<'_>) -> Outcome {
    frame.ask_done(Request::Manage(Manage::DropCaches)).await
}

pub(super) async fn fs_fault(frame: &mut Frame<'_>, rule: u32, rule_len: u32) -> Outcome {
    let rule = frame.path(rule, rule_len)?;
    let Ok(rule) = std::str::from_utf8(&rule) else { return Err(AbiErrno::Inval.into()) };
    let Some(on_fault) = &mut frame.process().on_fault else {
        return Err(Halt::Unsupported("fs_fault where the device is not simulated").into());
    };
    if on_fault(rule) { Ok(()) } else { Err(AbiErrno::Inval.into()) }
}

/// A mark is what the world saw: a complete line of standard output.
pub(super) async fn note(frame: &mut Frame<'_>, tag: u32, value: u64) -> Outcome {
    let line = format!("note {} {}\n", tag.cast_signed(), value.cast_signed());
    if !frame.process().output.write_line(line.as_bytes()) {
        return Err(Failure::End(End::OutputLimit));
    }
    Ok(())
}

//! `proc_exit`, `proc_raise`, `sched_yield`, `random_get`.

use crate::call::Halt;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::process::End;

/// Ends the process.
pub(super) fn proc_exit(code: u32) -> wasmtime::Result<()> {
    Err(wasmtime::Error::new(End::Exited(code)))
}

pub(super) async fn proc_raise(_frame: &mut Frame<'_>, _signal: u32) -> Outcome {
    Err(Halt::Unsupported("proc_raise").into())
}

pub(super) async fn sched_yield(frame: &mut Frame<'_>) -> Outcome {
    let sim = frame.process().sim.clone();
    sim.yield_now().await;
    Ok(())
}

pub(super) async fn random_get(frame: &mut Frame<'_>, buffer: u32, len: u32) -> Outcome {
    let place = frame.place(buffer, len)?;
    let sim = frame.process().sim.clone();
    let mut bytes = Vec::with_capacity(place.len() + 8);
    while bytes.len() < place.len() {
        bytes.extend_from_slice(&sim.random_u64().to_le_bytes());
    }
    frame.write(&place, &bytes[..place.len()]);
    Ok(())
}

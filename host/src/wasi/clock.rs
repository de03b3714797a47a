//! `clock_res_get` and `clock_time_get`: the clock of the world, which moves when it is read.

use crate::sim::EPOCH_NANOS;
use crate::sim::Sim;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;

/// Which clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Time since the Unix epoch.
    Realtime,
    /// Time since the world began; processor time is the same, as nothing takes time but waiting.
    Monotonic,
}

impl Clock {
    pub(super) fn decode(id: u32) -> Result<Self, AbiErrno> {
        match id {
            0 => Ok(Self::Realtime),
            1..=3 => Ok(Self::Monotonic),
            4.. => Err(AbiErrno::Inval),
        }
    }

    pub(super) fn now_nanos(self, sim: &Sim) -> u64 {
        match self {
            Self::Realtime => sim.now_nanos(),
            Self::Monotonic => sim.now_nanos() - EPOCH_NANOS,
        }
    }
}

pub(super) async fn clock_res_get(frame: &mut Frame<'_>, id: u32, result: u32) -> Outcome {
    let place = frame.place(result, 8)?;
    Clock::decode(id)?;
    frame.write(&place, &1_u64.to_le_bytes());
    Ok(())
}

pub(super) async fn clock_time_get(
    frame: &mut Frame<'_>,
    id: u32,
    _precision: u64,
    result: u32,
) -> Outcome {
    let place = frame.place(result, 8)?;
    let clock = Clock::decode(id)?;
    let process = frame.process();
    process.sim.advance_nanos(process.clock_tick_nanos);
    let now = clock.now_nanos(&process.sim);
    frame.write(&place, &now.to_le_bytes());
    Ok::<(), Failure>(())
}

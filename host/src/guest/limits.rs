//! What a guest may use up.

use std::num::NonZeroU64;
use std::time::Duration;

use wasmtime::StoreLimitsBuilder;

use crate::wasi::ProcessLimits;

/// Tables that a module may have.
pub(super) const MODULE_TABLES_MAX: u32 = 16;

/// Bounds on one guest process. Guests are hostile: everything they can use up has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory; growth beyond it fails as `memory.grow` fails.
    pub memory_bytes: usize,
    /// Elements of each table.
    pub table_elements: usize,
    /// Instructions, counted exactly and alike in each run; unbounded if absent.
    pub fuel: Option<u64>,
    /// After how much fuel another guest may run, of several that run at once; only at their calls
    /// if absent.
    pub preempt_fuel: Option<NonZeroU64>,
    /// Descriptors open at once, standard input and output among them.
    pub open_fds: u32,
    /// Standard output and standard error together.
    pub output_bytes: usize,
    /// A watchdog on the wall clock, for guests that loop for ever. Its end is in no trace: it
    /// differs between runs.
    pub wall_clock: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            table_elements: 100_000,
            fuel: None,
            preempt_fuel: None,
            open_fds: 1024,
            output_bytes: 16 << 20,
            wall_clock: None,
        }
    }
}

impl Limits {
    pub(super) fn of_process(&self) -> ProcessLimits {
        let store = StoreLimitsBuilder::new()
            .memory_size(self.memory_bytes)
            .table_elements(self.table_elements)
            .instances(1)
            .memories(1)
            .tables(MODULE_TABLES_MAX as usize)
            .build();
        ProcessLimits { store, open_fds: self.open_fds, output_bytes: self.output_bytes }
    }
}

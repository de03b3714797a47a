//! The state of one guest process: what its store holds.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::Global;
use wasmtime::Memory;
use wasmtime::StoreLimits;

use crate::call::CallId;
use crate::call::Caller;
use crate::call::Halt;
use crate::call::HandleId;
use crate::call::Mode;
use crate::call::ProcessId;
use crate::call::Signal;
use crate::call::Vfs;
use crate::mapping::MappingMode;
use crate::sim::Sim;
use crate::wasi::fds::FdTable;
use crate::wasi::mapped::Mapped;
use crate::wasi::stdio::Input;
use crate::wasi::stdio::LineSink;
use crate::wasi::stdio::Output;

/// Is told a rule by which the device fails from now on; says whether it can be read.
pub type FaultSink = Box<dyn FnMut(&str) -> bool + Send>;

/// What a process is started with.
pub struct ProcessConfig {
    /// Who it is.
    pub process: ProcessId,
    /// `argv`, the program's name first.
    pub args: Vec<Bytes>,
    /// `environ`, each `NAME=VALUE`.
    pub environ: Vec<Bytes>,
    /// All of standard input.
    pub stdin: Bytes,
    /// Directories the host opened for it: the name the guest knows, and the handle.
    pub preopens: Vec<(Bytes, HandleId)>,
    /// Who is told each complete line of standard output.
    pub on_line: Option<LineSink>,
    /// Who makes the device fail when it asks for that.
    pub on_fault: Option<FaultSink>,
    /// Is a page of memory a page of the file system's cache? Else no file can be mapped.
    pub maps_files: bool,
    /// By how much each reading of a clock moves it on.
    pub clock_tick_nanos: u64,
}

impl ProcessConfig {
    /// A process without arguments, environment, input or directories.
    #[must_use]
    pub fn new(process: ProcessId) -> Self {
        Self {
            process,
            args: Vec::new(),
            environ: Vec::new(),
            stdin: Bytes::new(),
            preopens: Vec::new(),
            on_line: None,
            on_fault: None,
            maps_files: true,
            clock_tick_nanos: 1_000,
        }
    }
}

impl std::fmt::Debug for ProcessConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessConfig").field("process", &self.process).finish_non_exhaustive()
    }
}

/// What a process may use up.
pub(crate) struct ProcessLimits {
    pub(crate) store: StoreLimits,
    pub(crate) open_fds: u32,
    pub(crate) output_bytes: usize,
}

/// Why a guest was stopped from within an import. Travels through the engine untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It called `proc_exit`.
    Exited(u32),
    /// It wrote more than it may.
    OutputLimit,
    /// It touched mapped memory that it may not, or that is not there.
    Killed(Killed),
    /// The run is over.
    Halted(Halt),
}

/// How an access to mapped memory ended a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Killed {
    /// By which signal.
    pub signal: Signal,
    /// Was it a store, or a load?
    pub by_store: bool,
    /// Where in its memory.
    pub address: u64,
}

impl Killed {
    /// What a shell reports of such an end: 128 and the signal's number on Linux.
    #[must_use]
    pub fn exit_status(&self) -> u32 {
        match self.signal {
            Signal::Bus => 128 + 7,
            Signal::Segv => 128 + 11,
        }
    }
}

impl std::fmt::Display for Killed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let access = if self.by_store { "a store to" } else { "a load from" };
        let (signal, why) = match self.signal {
            Signal::Bus => ("SIGBUS", "which is beyond the end of its file, or cannot be had"),
            Signal::Segv => ("SIGSEGV", "which its mapping does not permit"),
        };
        let status = self.exit_status();
        let address = self.address;
        write!(f, "{signal} (status {status}): {access} mapped memory at {address:#x}, {why}")
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with {code}"),
            Self::OutputLimit => f.write_str("wrote more than it may"),
            Self::Killed(killed) => write!(f, "killed by {killed}"),
            Self::Halted(halt) => write!(f, "the run is over: {halt:?}"),
        }
    }
}

impl std::error::Error for End {}

/// One guest process, as its imports see it.
pub(crate) struct Process {
    pub(super) sim: Sim,
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) caller: Caller,
    pub(super) args: Vec<Bytes>,
    pub(super) environ: Vec<Bytes>,
    pub(super) clock_tick_nanos: u64,
    pub(super) fds: FdTable,
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) on_fault: Option<FaultSink>,
    pub(super) maps_files: bool,
    /// The permission bits of what the next call makes, if it was told.
    pub(super) next_mode: Option<Mode>,
    /// The exported memory, kept because looking it up costs more than a call.
    pub(super) memory: Option<Memory>,
    /// What of it is mapped.
    pub(super) mapped: Mapped,
    /// Asked by the engine before memory or a table grows.
    pub(crate) limits: StoreLimits,
}

impl Process {
    pub(crate) fn new(
        sim: Sim,
        vfs: Arc<dyn Vfs>,
        config: ProcessConfig,
        limits: ProcessLimits,
        mapping: MappingMode,
    ) -> Self {
        Self {
            sim,
            vfs,
            // The recorder, if there is one, gives each call its own number.
            caller: Caller { process: config.process, call: CallId(0) },
            fds: FdTable::new(&config.preopens, limits.open_fds),
            args: config.args,
            environ: config.environ,
            clock_tick_nanos: config.clock_tick_nanos,
            input: Input(config.stdin),
            output: Output::new(config.on_line, limits.output_bytes),
            on_fault: config.on_fault,
            maps_files: config.maps_files,
            next_mode: None,
            memory: None,
            mapped: Mapped::new(mapping),
            limits: limits.store,
        }
    }

    /// The exported memory, and the globals that the rewriter added, where it did.
    pub(crate) fn keep_memory(&mut self, memory: Memory, added: Option<[Global; 4]>) {
        self.memory = Some(memory);
        self.mapped.globals = added;
    }

    pub(crate) fn take_output(&mut self) -> (Vec<u8>, Vec<u8>) {
        (std::mem::take(&mut self.output.stdout), std::mem::take(&mut self.output.stderr))
    }
}

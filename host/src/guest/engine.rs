//! The engine, with every setting that could make two runs differ decided.
//!
//! NaNs are canonical; relaxed SIMD, threads and shared memory are off. A stack overflow depends
//! on how a build lays out frames, and is reported apart from traps for that reason.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::time::Duration;

use wasmtime::Cache;
use wasmtime::Config;
use wasmtime::InstanceAllocationStrategy;
use wasmtime::PoolingAllocationConfig;

use crate::guest::cache::ModuleCache;
use crate::guest::limits::Limits;
use crate::guest::limits::MODULE_TABLES_MAX;

/// How often the watchdog looks.
const TICK: Duration = Duration::from_millis(10);

/// Instances that are taken from a pool: what an instance needs is reserved once, and cleared
/// instead of mapped anew. Modules that do not fit are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// How many may run at once.
    pub instance_count: u32,
    /// Linear memory of each.
    pub memory_bytes: usize,
    /// Elements of each table.
    pub table_elements: usize,
}

/// What becomes of an instance's memory when it ends: so many bytes are overwritten with what they
/// began as, the rest is given back to the system.
const KEPT_MEMORY_BYTES: usize = 1 << 20;

impl Pool {
    /// A pool for so many instances under such limits.
    #[must_use]
    pub fn new(instance_count: u32, limits: &Limits) -> Self {
        let Limits { memory_bytes, table_elements, .. } = *limits;
        Self { instance_count, memory_bytes, table_elements }
    }

    fn strategy(self) -> InstanceAllocationStrategy {
        let mut config = PoolingAllocationConfig::new();
        config
            .total_core_instances(self.instance_count)
            .total_memories(self.instance_count)
            .total_tables(self.instance_count * MODULE_TABLES_MAX)
            .max_tables_per_module(MODULE_TABLES_MAX)
            .total_stacks(0)
            .max_memory_size(self.memory_bytes)
            .table_elements(self.table_elements)
            .linear_memory_keep_resident(KEPT_MEMORY_BYTES)
            .table_keep_resident(KEPT_MEMORY_BYTES);
        InstanceAllocationStrategy::Pooling(config)
    }
}

/// What is compiled into modules besides what they say, and where their instances live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EngineOptions {
    /// Is fuel counted?
    pub fuel: bool,
    /// Is the wall clock watched?
    pub wall_clock: bool,
    /// Where instances are taken from; each is made anew if absent.
    pub pool: Option<Pool>,
}

impl From<&Limits> for EngineOptions {
    fn from(limits: &Limits) -> Self {
        Self {
            fuel: limits.fuel.is_some() || limits.preempt_fuel.is_some(),
            wall_clock: limits.wall_clock.is_some(),
            pool: None,
        }
    }
}

/// The watchdog's thread, which ends when this is dropped.
struct Watchdog {
    _stop: Sender<()>,
}

/// Compiles and runs modules. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    options: EngineOptions,
    _watchdog: Option<Arc<Watchdog>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The engine cannot be made on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineError(String);

impl EngineError {
    pub(super) fn new(what: String) -> Self {
        Self(what)
    }
}

impl std::fmt::Display for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the WebAssembly engine does not start: {}", self.0)
    }
}

impl std::error::Error for EngineError {}

impl Engine {
    /// An engine for modules under such limits.
    ///
    /// # Errors
    /// If the machine is none that the engine compiles for, gives no thread to the watchdog, or has
    /// no room for the pool.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        Self::keeping(options, None)
    }

    /// An engine that keeps what it compiled.
    ///
    /// # Errors
    /// As [`Engine::new`], and if nothing can be kept there.
    pub fn with_cache(options: EngineOptions, cache: &ModuleCache) -> Result<Self, EngineError> {
        Self::keeping(options, cache.open()?)
    }

    pub(super) fn keeping(
        options: EngineOptions,
        cache: Option<Cache>,
    ) -> Result<Self, EngineError> {
        let mut config = Config::new();
        config
            .cranelift_nan_canonicalization(true)
            .wasm_relaxed_simd(false)
            .shared_memory(false)
            .wasm_memory64(false)
            .wasm_multi_memory(false)
            .consume_fuel(options.fuel)
            .epoch_interruption(options.wall_clock)
            .cache(cache);
        if let Some(pool) = options.pool {
            config.allocation_strategy(pool.strategy());
        }
        let inner = wasmtime::Engine::new(&config).map_err(|error| EngineError(message(&error)))?;
        let watchdog = options.wall_clock.then(|| watch(&inner)).transpose()?.map(Arc::new);
        Ok(Self { inner, options, _watchdog: watchdog })
    }

    pub(super) fn inner(&self) -> &wasmtime::Engine {
        &self.inner
    }

    /// What is compiled into modules besides what they say.
    #[must_use]
    pub fn options(&self) -> EngineOptions {
        self.options
    }
}

/// Ticks of the watchdog in so much time.
pub(super) fn ticks(wall_clock: Duration) -> u64 {
    u64::try_from(wall_clock.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 2) + 1
}

/// Starts the watchdog. It touches no world: all it does is to end a guest that does not end.
fn watch(engine: &wasmtime::Engine) -> Result<Watchdog, EngineError> {
    let (stop, stopped) = channel::<()>();
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => break,
                }
            }
        })
        .map_err(|error| EngineError(error.to_string()))?;
    Ok(Watchdog { _stop: stop })
}

/// All that an error of the engine says, on one line.
pub(super) fn message(error: &wasmtime::Error) -> String {
    let parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    parts.join(": ").replace('\n', " ")
}

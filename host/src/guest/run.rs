//! Runs of a program: one that is alone, or several in one world.

use std::future::Future;
use std::future::poll_fn;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Poll;
use std::task::Waker;

use wasmtime::AsContextMut;
use wasmtime::Instance;
use wasmtime::Store;
use wasmtime::Trap;
use wasmtime::WasmBacktrace;

use crate::call::Halt;
use crate::call::ProcessId;
use crate::call::Vfs;
use crate::guest::engine::message;
use crate::guest::engine::ticks;
use crate::guest::limits::Limits;
use crate::guest::module::Module;
use crate::mapping::ADDED_GLOBALS;
use crate::sim::Sim;
use crate::wasi::End;
use crate::wasi::Killed;
use crate::wasi::Process;
use crate::wasi::ProcessConfig;
use crate::wasi::last_stores;

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuestEnd {
    /// It returned, or called `proc_exit`.
    Exited(u32),
    /// It did what WebAssembly forbids; says what and in which function.
    Trapped(String),
    /// It overflowed its stack. How deep it came depends on the build of the engine, so that no
    /// verdict may rest on it.
    StackOverflow,
    /// It used up its fuel.
    OutOfFuel,
    /// The watchdog ended it.
    WallClock,
    /// It wrote more than it may.
    OutputLimit,
    /// It touched mapped memory that it may not, or that is not there.
    Killed(Killed),
    /// It could not begin within its limits; says why.
    NotStarted(String),
    /// The run is over.
    Halted(Halt),
}

/// What came of one guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRun {
    /// How it ended.
    pub end: GuestEnd,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
    /// Fuel that it used, where fuel is counted.
    pub fuel_used: Option<u64>,
}

/// What guests run on.
#[derive(Clone)]
pub struct World {
    /// Its chance, time and order.
    pub sim: Sim,
    /// Its file system, as the guests see it.
    pub vfs: Arc<dyn Vfs>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("sim", &self.sim).finish_non_exhaustive()
    }
}

fn new_store(
    world: &World,
    module: &Module,
    config: ProcessConfig,
    limits: &Limits,
) -> Store<Process> {
    let (sim, vfs) = (world.sim.clone(), Arc::clone(&world.vfs));
    let process = Process::new(sim, vfs, config, limits.of_process(), module.mapping);
    let mut store = Store::new(module.engine.inner(), process);
    store.limiter(|process| &mut process.limits);
    if module.engine.options().fuel {
        store.set_fuel(limits.fuel.unwrap_or(u64::MAX)).expect("the engine counts fuel");
    }
    if module.engine.options().wall_clock {
        // Half of the range, so that the current epoch can be added.
        store.set_epoch_deadline(limits.wall_clock.map_or(u64::MAX / 2, ticks));
    }
    store
}

/// How the engine's answer is told. `started` says whether the program had begun.
fn end_of(result: wasmtime::Result<()>, started: bool) -> GuestEnd {
    let Err(error) = result else {
        return GuestEnd::Exited(0);
    };
    if let Some(end) = error.downcast_ref::<End>() {
        return match end {
            End::Exited(code) => GuestEnd::Exited(*code),
            End::OutputLimit => GuestEnd::OutputLimit,
            End::Killed(killed) => GuestEnd::Killed(killed.clone()),
            End::Halted(halt) => GuestEnd::Halted(halt.clone()),
        };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => GuestEnd::OutOfFuel,
        Some(Trap::Interrupt) => GuestEnd::WallClock,
        Some(Trap::StackOverflow) => GuestEnd::StackOverflow,
        Some(trap) => GuestEnd::Trapped(describe(trap, &error)),
        None if started => GuestEnd::Trapped(message(&error)),
        None => GuestEnd::NotStarted(message(&error)),
    }
}

/// A trap, and the innermost function that has a name.
fn describe(trap: &Trap, error: &wasmtime::Error) -> String {
    let text = trap.to_string();
    let what = text.strip_prefix("wasm trap: ").unwrap_or(&text);
    let frames = error.downcast_ref::<WasmBacktrace>().map_or(&[][..], WasmBacktrace::frames);
    let innermost = frames.iter().find_map(|frame| frame.func_name());
    innermost.map_or_else(|| what.to_owned(), |name| format!("{what}, in `{name}`"))
}

fn finish(mut store: Store<Process>, end: GuestEnd, limits: &Limits) -> GuestRun {
    let fuel_used =
        store.get_fuel().ok().map(|left| limits.fuel.unwrap_or(u64::MAX).saturating_sub(left));
    let (stdout, stderr) = store.data_mut().take_output();
    GuestRun { end, stdout, stderr, fuel_used }
}

/// Keeps what calls ask for too often to look it up, as soon as there is an instance.
fn keep_exports(store: &mut Store<Process>, instance: &Instance, module: &Module) {
    let Some(memory) = instance.get_memory(&mut *store, "memory") else { return };
    // Elsewhere these names are the guest's own.
    let names = if module.is_rewritten { &ADDED_GLOBALS[..] } else { &[] };
    let global = |name: &&str| instance.get_global(&mut *store, name);
    let added: Vec<_> = names.iter().filter_map(global).collect();
    store.data_mut().keep_memory(memory, added.try_into().ok());
}

/// Tells what a guest stored before its end, and closes what it left open, unless the run is over.
async fn end_process(
    vfs: &Arc<dyn Vfs>,
    process: ProcessId,
    store: &mut Store<Process>,
    end: GuestEnd,
) -> GuestEnd {
    if matches!(end, GuestEnd::Halted(_)) {
        return end;
    }
    let end = match last_stores(store.as_context_mut()).await {
        Ok(()) => end,
        Err(End::Halted(halt)) => return GuestEnd::Halted(halt),
        Err(End::Killed(killed)) => GuestEnd::Killed(killed),
        Err(End::Exited(_) | End::OutputLimit) => end,
    };
    match vfs.end_process(process).await {
        Ok(_) => end,
        Err(halt) => GuestEnd::Halted(halt),
    }
}

/// Runs a guest that is alone: each call is driven to its end on the spot.
#[must_use]
pub fn run_one(world: &World, module: &Module, config: ProcessConfig, limits: &Limits) -> GuestRun {
    let process = config.process;
    let mut store = new_store(world, module, config, limits);
    let mut started = false;
    let result = module.inline.instantiate(&mut store).and_then(|instance| {
        started = true;
        keep_exports(&mut store, &instance, module);
        instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())
    });
    let end = end_of(result, started);
    let end = world.sim.block_on(end_process(&world.vfs, process, &mut store, end));
    finish(store, end, limits)
}

/// Where the guests of one world learn that it is over. Clones are the same place.
#[derive(Debug, Clone, Default)]
struct HaltSignal(Arc<Mutex<Option<Halt>>>);

impl HaltSignal {
    /// Why the world is over, if it is.
    fn get(&self) -> Option<Halt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that it is over; the first word counts.
    fn give(&self, halt: &Halt) {
        let mut halted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halted.get_or_insert_with(|| halt.clone());
    }

    /// What comes of `work`, or that the world is over: work may wait for a device that is gone.
    /// Who gives the signal wakes the tasks.
    async fn or<T>(&self, work: impl Future<Output = T>) -> Result<T, Halt> {
        let mut work = pin!(work);
        poll_fn(|cx| match self.get() {
            Some(halt) => Poll::Ready(Err(halt)),
            None => work.as_mut().poll(cx).map(Ok),
        })
        .await
    }
}

/// Starts a guest and lets it run to its end.
async fn start(module: &Module, store: &mut Store<Process>) -> GuestEnd {
    let mut started = false;
    let result = match module.tasks.instantiate_async(&mut *store).await {
        Ok(instance) => {
            started = true;
            keep_exports(store, &instance, module);
            match instance.get_typed_func::<(), ()>(&mut *store, "_start") {
                Ok(start) => start.call_async(&mut *store, ()).await,
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    end_of(result, started)
}

async fn run_task(
    world: World,
    module: Module,
    config: ProcessConfig,
    halted: HaltSignal,
    limits: Limits,
) -> GuestRun {
    let process = config.process;
    let mut store = new_store(&world, &module, config, &limits);
    if module.engine.options().fuel {
        let interval = limits.preempt_fuel.map(NonZeroU64::get);
        store.fuel_async_yield_interval(interval).expect("the engine counts fuel");
    }
    let whole = async {
        let end = start(&module, &mut store).await;
        end_process(&world.vfs, process, &mut store, end).await
    };
    let end = halted.or(whole).await.unwrap_or_else(GuestEnd::Halted);
    finish(store, end, &limits)
}

/// Several guests and what came of them.
#[derive(Default)]
struct Gathering {
    runs: Vec<Option<GuestRun>>,
    /// Who waits: each guest in turn, and the one who waits for all.
    waiting: Vec<Option<Waker>>,
}

impl Gathering {
    fn end(&mut self, index: usize, run: GuestRun, halted: &HaltSignal) {
        if let GuestEnd::Halted(halt) = &run.end {
            halted.give(halt);
        }
        self.runs[index] = Some(run);
        if halted.get().is_some() || self.is_complete() {
            self.waiting.iter_mut().filter_map(Option::take).for_each(Waker::wake);
        }
    }

    fn is_complete(&self) -> bool {
        self.runs.iter().all(Option::is_some)
    }
}

fn lock(gathering: &Mutex<Gathering>) -> MutexGuard<'_, Gathering> {
    gathering.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for something as the one with this index, who can then be woken by the others.
async fn wait_as<T>(
    gathering: &Mutex<Gathering>,
    index: usize,
    awaited: impl Future<Output = T>,
) -> T {
    let mut awaited = pin!(awaited);
    poll_fn(|cx| {
        lock(gathering).waiting[index] = Some(cx.waker().clone());
        awaited.as_mut().poll(cx)
    })
    .await
}

/// Runs several guests in one world: their calls are in flight at once, and switch where the
/// world's chooser says. When one halts, the others end where they are.
#[must_use]
pub fn run_many(
    world: &World,
    guests: Vec<(Module, ProcessConfig)>,
    limits: &Limits,
) -> Vec<GuestRun> {
    let count = guests.len();
    let halted = HaltSignal::default();
    let gathering = Gathering { runs: vec![None; count], waiting: vec![None; count + 1] };
    let gathering = Arc::new(Mutex::new(gathering));
    for (index, (module, config)) in guests.into_iter().enumerate() {
        let (gathering, halted) = (Arc::clone(&gathering), halted.clone());
        let guest = run_task(world.clone(), module, config, halted.clone(), limits.clone());
        world.sim.spawn(async move {
            let run = wait_as(&gathering, index, guest).await;
            lock(&gathering).end(index, run, &halted);
        });
    }
    let all = poll_fn(|_| match lock(&gathering).is_complete() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    });
    world.sim.block_on(wait_as(&gathering, count, all));
    let runs = std::mem::take(&mut lock(&gathering).runs);
    runs.into_iter().map(|run| run.expect("all guests have ended")).collect()
}

//! One run of guests in a world.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::words::Pid;
use crashproof_spec::words::Step;

use crate::call::ProcessId;
use crate::call::Vfs;
use crate::check::Act;
use crate::check::Action;
use crate::check::crash_at::CrashAt;
use crate::check::explore::Exploration;
use crate::check::explore::has_lied;
use crate::check::finding::CrashFault;
use crate::check::finding::Met;
use crate::check::gate;
use crate::check::judge::Judged;
use crate::check::judge::TraceStream;
use crate::check::recover::recover;
use crate::check::shard::Shard;
use crate::check::tally::Tally;
use crate::check::verifier::Verifier;
use crate::check::world::Chance;
use crate::check::world::Expectation;
use crate::check::world::World;
use crate::device::FaultOrder;
use crate::device::History;
use crate::device::Image;
use crate::device::Survivors;
use crate::device::Walk;
use crate::guest;
use crate::guest::FaultSink;
use crate::guest::GuestRun;
use crate::guest::Limits;
use crate::guest::Module;
use crate::guest::PAGE_BYTES;
use crate::guest::ProcessConfig;
use crate::sim::DecisionLog;
use crate::sim::Sim;
use crate::subject::DirectorySubject;
use crate::subject::Stack;
use crate::subject::StackPlan;

/// One process of a run.
#[derive(Debug, Clone)]
pub struct ProcessPlan {
    /// Its name, as the report shows it and as `argv[0]`.
    pub name: String,
    /// Its program.
    pub module: Module,
    /// Its arguments, without its name.
    pub arguments: Vec<String>,
    /// Its environment, each `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Its standard input.
    pub stdin: Bytes,
}

/// What is tested.
#[derive(Debug, Clone)]
pub enum SubjectPlan {
    /// The reference stack.
    Reference(Box<StackPlan>),
    /// A directory of this machine.
    Directory(std::path::PathBuf),
}

/// A run before it begins.
#[derive(Debug, Clone)]
pub struct RunPlan {
    /// What is tested.
    pub subject: SubjectPlan,
    /// What it is held to.
    pub expectation: Expectation,
    /// Who answers what is left to chance.
    pub chance: Chance,
    /// Who runs.
    pub processes: Vec<ProcessPlan>,
    /// What they find preopened.
    pub directories: Vec<String>,
    /// What they may use up.
    pub limits: Limits,
    /// What happens when one of them prints a line.
    pub actions: Vec<Action>,
    /// Before every so many of their calls, whatever is clean in memory is evicted.
    pub evict_every: Option<NonZeroU64>,
}

/// What came of a run.
pub struct Recorded {
    /// What was judged.
    pub judged: Judged,
    /// How each process ended, in the order of the plan.
    pub ends: Vec<(String, GuestRun)>,
    /// What the device was told, if the run is watched, or cut short.
    pub history: Option<History>,
    /// The device as it is, cache included.
    pub image: Option<Image>,
    /// The decisions that were taken.
    pub decisions: DecisionLog,
    /// The stack as the run left it.
    pub stack: Option<Stack>,
}

/// How a run is watched.
#[derive(Default)]
pub struct Watching {
    /// Are the moments at which it could be cut short collected?
    pub moments: bool,
    /// Where the trace goes.
    pub trace: Option<TraceStream>,
    /// How the run is cut short, if it is.
    pub crash: Option<CrashKind>,
    /// After how many calls of its processes it is cut short; at its end if absent.
    pub call_count_max: Option<u64>,
    /// Is nothing judged?
    pub is_unjudged: bool,
}

/// Runs guests.
///
/// # Errors
/// If the world could not be made; nothing was judged then.
pub fn run(plan: &RunPlan, watching: Watching) -> Result<Recorded, String> {
    let world = make_world(plan)?;
    world.judge_beside();
    if let Some(trace) = watching.trace {
        world.stream(trace);
    }
    if watching.is_unjudged {
        world.judge_nothing();
    }
    let mut handles = Vec::new();
    for name in &plan.directories {
        handles.push((Bytes::copy_from_slice(name.as_bytes()), world.preopen(name)?));
    }
    if world.stack.is_some() {
        world.settle().map_err(|halt| format!("prepare the file system: {halt:?}"))?;
    }
    let is_kept = watching.moments || watching.crash.is_some();
    if watching.moments {
        world.watch();
    } else if let Some(stack) = world.stack.as_ref().filter(|_| !is_kept) {
        stack.disk.history().forget();
    }
    let started = |(number, process): (usize, &ProcessPlan)| {
        let id = ProcessId(number as u32 + 1);
        (process.module.clone(), config(&world, plan, process, id, &handles))
    };
    let mut guests: Vec<_> = plan.processes.iter().enumerate().map(started).collect();
    let vfs = gate::before_calls(&world, plan.evict_every, watching.call_count_max);
    let ground = guest::World { sim: world.sim.clone(), vfs };
    let runs = match guests.len() {
        1 => {
            let (module, config) = guests.remove(0);
            vec![guest::run_one(&ground, &module, config, &plan.limits)]
        }
        _ => guest::run_many(&ground, guests, &plan.limits),
    };
    world.sim.run_background();
    world.audit_space();
    if let Some(kind) = watching.crash {
        cut_short(&world, plan, kind);
    }
    let history = world.stack.as_ref().filter(|_| is_kept).map(|stack| stack.disk.history());
    let image = match (&world.stack, &plan.subject) {
        (Some(stack), SubjectPlan::Reference(of)) => Some(of.view(&stack.disk.cached_image())),
        _ => None,
    };
    let decisions = world.sim.decisions();
    let stack = world.stack.clone();
    let names = plan.processes.iter().map(|process| process.name.clone());
    let ends = names.zip(runs).collect();
    Ok(Recorded { judged: world.finish(), ends, history, image, decisions, stack })
}

fn make_world(plan: &RunPlan) -> Result<World, String> {
    match &plan.subject {
        SubjectPlan::Reference(stack) => World::reference(stack, &plan.chance, &plan.expectation)
            .map_err(|error| error.to_string()),
        SubjectPlan::Directory(path) => {
            let subject = DirectorySubject::open(path).map_err(|error| error.to_string())?;
            let (sim, witness) = (plan.chance.sim(), crate::call::Witness::default());
            Ok(World::new(sim, Arc::new(subject), witness, &plan.expectation))
        }
    }
}

fn config(
    world: &World,
    plan: &RunPlan,
    process: &ProcessPlan,
    id: ProcessId,
    handles: &[(Bytes, crate::call::HandleId)],
) -> ProcessConfig {
    let mut config = ProcessConfig::new(id);
    let bytes = |text: &String| Bytes::copy_from_slice(text.as_bytes());
    config.args = std::iter::once(&process.name).chain(&process.arguments).map(bytes).collect();
    config.environ = process.environment.iter().map(bytes).collect();
    config.stdin = process.stdin.clone();
    config.preopens = handles.to_vec();
    let mut take_line = world.line_taker(id);
    let (stack, sim) = (world.stack.clone(), world.sim.clone());
    let actions = plan.actions.clone();
    config.on_line = Some(Box::new(move |line: &[u8]| {
        take_line(line);
        for action in actions.iter().filter(|action| action.on_line.as_bytes() == line) {
            act(action.act, stack.as_ref(), &sim);
        }
    }));
    if let SubjectPlan::Reference(stack) = &plan.subject {
        config.maps_files = u64::from(stack.geometry.block_size_bytes) == PAGE_BYTES;
    }
    config.on_fault = world.stack.as_ref().map(|stack| fault_sink(stack, &world.sim));
    config
}

/// Takes the faults that a guest asks for.
pub(super) fn fault_sink(stack: &Stack, sim: &Sim) -> FaultSink {
    let (stack, sim) = (stack.clone(), sim.clone());
    Box::new(move |rule: &str| {
        if let Some(leg) = rule.strip_prefix("lose-leg:") {
            let lost = leg.parse().ok().zip(stack.mirrored.as_ref());
            return lost.is_some_and(|(leg, of)| of.mirror.lose(leg).is_ok());
        }
        if let Some(leg) = rule.strip_prefix("return-leg:") {
            let back = leg.parse().ok().zip(stack.mirrored.as_ref());
            return back.is_some_and(|(leg, of)| of.mirror.bring_back(leg).is_ok());
        }
        if rule == "scrub" {
            let cow = stack.cow.clone();
            // What cannot be read, a call tells.
            sim.spawn(async move { cow.scrub().await.unwrap_or_default() });
            sim.run_background();
            return true;
        }
        if rule == "evict" {
            stack.vfs.evict_all();
            return true;
        }
        rule.parse().is_ok_and(|order: FaultOrder| stack.obey(order))
    })
}

fn act(act: Act, stack: Option<&Stack>, sim: &Sim) {
    let Some(stack) = stack else { return };
    match act {
        Act::Evict => stack.vfs.evict_all(),
        Act::Flush => {
            let vfs = Arc::clone(&stack.vfs);
            // What fails is in the error ledger: a sync tells.
            sim.spawn(async move { vfs.flush_background().await.unwrap_or_default() });
            sim.run_background();
        }
        Act::Commit => {
            let (vfs, cow) = (Arc::clone(&stack.vfs), stack.cow.clone());
            sim.spawn(async move {
                vfs.flush_background().await.unwrap_or_default();
                // What fails stays in memory, or stops the file system: a call tells.
                cow.commit().await.unwrap_or_default();
            });
            sim.run_background();
        }
        Act::Heal => stack.heal(),
    }
}

/// Crashes a world after its guests ended, recovers and surveys.
fn cut_short(world: &World, plan: &RunPlan, kind: CrashKind) {
    let (Some(stack), SubjectPlan::Reference(stack_plan)) = (&world.stack, &plan.subject) else {
        return;
    };
    let survey = match kind {
        CrashKind::Process(process) => {
            let piece = stack_plan.geometry.block_size_bytes;
            world.sim.block_on(async {
                // Its handles are closed by whoever survives it.
                let _ = stack.vfs.end_process(ProcessId(process.0)).await;
                let walked = crate::observe::survey_tree(stack.vfs.as_ref(), piece).await;
                walked.map(|walked| walked.survey)
            })
        }
        CrashKind::Kernel => recover(&stack.disk.cached_image(), stack_plan).survey(),
        CrashKind::Power => recover(&stack.disk.durable_image(), stack_plan).survey(),
    };
    let history = stack.disk.history();
    let mut walk = Walk::new(&history);
    let has_lied = has_lied(walk.advance(history.len()), kind);
    world.crash(kind, has_lied, survey);
}

/// Crashes a process after each of its calls: the page cache survives, and everything that was
/// acknowledged is visible. Of several shards each has the kills after calls whose number is its
/// own.
///
/// # Errors
/// If the world could not be made.
pub fn explore_kills(
    plan: &RunPlan,
    shard: Shard,
    call_count: u64,
    verifier: Option<&Verifier>,
    progress: &dyn Fn(u64),
) -> Result<Exploration, String> {
    let mut exploration = Exploration::default();
    let mut known = BTreeMap::new();
    for killed_after in (0..=call_count).filter(|number| shard.has(u128::from(*number))) {
        let (recorded, survey_step) = kill(plan, killed_after)?;
        let account = &mut exploration.account;
        account.moment_count += 1;
        account.state_count += 1;
        account.recovered_count += 1;
        account.judged_count += 1;
        account.tally.most(&Tally::of(&recorded.judged.oracle));
        let found = recorded.judged.oracle.violations();
        let mut faults: Vec<_> =
            found.filter(|v| v.step >= survey_step).cloned().map(CrashFault::Subject).collect();
        if let (Some(verifier), Some(stack)) = (verifier, recorded.stack) {
            account.verified_count += 1;
            let lines = &recorded.judged.lines;
            // Its handles are still open: what the verifier is answered is not judged.
            let verification = verifier.verify_stack(stack, Sim::calm(), lines, None);
            faults.extend(verification.faults());
        }
        let (position, survivors) = (killed_after as usize, Survivors::default());
        let at = CrashAt { position, survivors, lost_leg: None, again: Vec::new() };
        let mut seen = BTreeSet::new();
        for what in faults {
            let met = Met([killed_after, 0, 0]);
            let line_count = recorded.judged.lines.len();
            let number = exploration.add(&mut known, what, met, &at, line_count);
            exploration.findings[number].state_count += u64::from(seen.insert(number));
        }
        progress(killed_after);
    }
    Ok(exploration)
}

/// A run that is killed after so many calls, and the step of its crash.
///
/// # Errors
/// If the world could not be made.
pub fn kill(plan: &RunPlan, killed_after: u64) -> Result<(Recorded, Step), String> {
    let crash = Some(CrashKind::Process(Pid(1)));
    let watching = Watching { crash, call_count_max: Some(killed_after), ..Watching::default() };
    let recorded = run(plan, watching)?;
    let crash_step = recorded.judged.crash_step.unwrap_or(Step(0));
    Ok((recorded, crash_step))
}

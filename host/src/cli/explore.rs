//! `crashproof explore GUEST`.

use crate::check::crash_at::CrashAt;
use crate::check::explore::Exploration;
use crate::check::explore::ExplorePlan;
use crate::check::explore::Explorer;
use crate::check::run::Recorded;
use crate::check::run::SubjectPlan;
use crate::check::run::Watching;
use crate::check::run::explore_kills;
use crate::check::run::run as run_plan;
use crate::check::shard::Shard;
use crate::check::tape::Tapes;
use crate::check::verifier::Verifier;
use crate::check::verify::Verify;
use crate::cli::Failure;
use crate::cli::args::CrashKindName;
use crate::cli::args::EXPLORE_SUBSET_BOUND;
use crate::cli::args::ExploreArguments;
use crate::cli::args::LostLeg;
use crate::cli::args::WorldArguments;
use crate::cli::files::TraceFile;
use crate::cli::plan;
use crate::cli::plan::Planned;
use crate::cli::progress;
use crate::cli::run;
use crate::cli::schedules;
use crate::cli::shards;
use crate::device::FaultPlan;
use crate::device::StateBounds;
use crate::report::Report;
use crate::report::share::Share;
use crate::report::share::StatesShare;
use crate::subject::StackPlan;

/// Runs a guest, then crashes it everywhere.
pub(super) fn explore(arguments: ExploreArguments) -> Result<u8, Failure> {
    let (share, command) = share_of(&arguments, &mut run::pass_on)?;
    shards::show(share, &command, arguments.shard, arguments.json.as_deref())
}

/// The report of an exploration. `ran` is shown what came of the run before it is crashed.
///
/// # Errors
/// If the exploration could not be begun, or its trace not be written.
pub(super) fn report_of(
    arguments: &ExploreArguments,
    ran: &mut dyn FnMut(&Recorded),
) -> Result<Report, Failure> {
    share_of(arguments, ran)?.0.report().map_err(Failure)
}

/// What an exploration has to say, and the command of all its shards.
fn share_of(
    arguments: &ExploreArguments,
    ran: &mut dyn FnMut(&Recorded),
) -> Result<(Share, String), Failure> {
    let planned = plan::plan(&arguments.world, plan::chance(&arguments.world))?;
    if matches!(planned.run.subject, SubjectPlan::Directory(_)) {
        return Err(Failure(
            "explore needs a device to crash: a directory of this machine has none".to_owned(),
        ));
    }
    goes_with_its_crash(arguments)?;
    if let SubjectPlan::Reference(stack) = &planned.run.subject {
        lost_legs(arguments, stack.policies.mirror.leg_count)?;
    }
    let command = command(arguments, &arguments.world, &planned);
    if let Some(count) = arguments.seeds {
        return schedules::search(&arguments.world, count, arguments.shard, &command, |world| {
            let planned = planned.under(world);
            let watching = Watching { moments: true, ..Watching::default() };
            let recorded = run_plan(&planned.run, watching).map_err(Failure)?;
            let exploration = explore_recorded(arguments, &planned, &recorded, Shard::WHOLE)?;
            let share = share(arguments, world, &planned, &recorded, &exploration);
            share.report().map_err(Failure)
        });
    }
    let (file, stream) = match &arguments.trace {
        Some(path) => {
            let (file, stream) = TraceFile::begin(path)?;
            (Some(file), Some(stream))
        }
        None => (None, None),
    };
    let watching = Watching { moments: true, trace: stream, ..Watching::default() };
    let mut recorded = run_plan(&planned.run, watching).map_err(Failure)?;
    if let Some(file) = file {
        file.finish(recorded.judged.trace.take())?;
    }
    ran(&recorded);
    let shard = arguments.shard.unwrap_or(Shard::WHOLE);
    let exploration = explore_recorded(arguments, &planned, &recorded, shard)?;
    let share = share(arguments, &arguments.world, &planned, &recorded, &exploration);
    Ok((share, command))
}

/// The program that says whether acknowledged lines are true.
///
/// # Errors
/// If it is no guest.
pub(super) fn verifier(name: Option<&str>, planned: &Planned) -> Result<Option<Verifier>, Failure> {
    let (Some(name), SubjectPlan::Reference(stack)) = (name, &planned.run.subject) else {
        return Ok(None);
    };
    Ok(Some(Verifier {
        process: plan::verifier(planned, name)?,
        // As the survey: what is recovered is used in a world without faults.
        stack: StackPlan { faults: FaultPlan::default(), ..(**stack).clone() },
        directories: planned.run.directories.clone(),
        limits: planned.run.limits.clone(),
        expectation: planned.run.expectation.clone(),
        tapes: Tapes::default(),
    }))
}

fn explore_recorded(
    arguments: &ExploreArguments,
    planned: &Planned,
    recorded: &Recorded,
    shard: Shard,
) -> Result<Exploration, Failure> {
    let (SubjectPlan::Reference(stack), Some(history)) = (&planned.run.subject, &recorded.history)
    else {
        return Err(Failure("explore needs a device to crash".to_owned()));
    };
    let verifier = verifier(arguments.verify.as_deref(), planned)?;
    let lost_legs = lost_legs(arguments, stack.policies.mirror.leg_count)?;
    if arguments.crash_kind == CrashKindName::Process {
        let count = recorded.judged.call_count;
        let bar = progress::bar(count, "killing after each call");
        let progress = |done| bar.set_position(done);
        let exploration = explore_kills(&planned.run, shard, count, verifier.as_ref(), &progress);
        let exploration = exploration.map_err(Failure)?;
        bar.finish_and_clear();
        return Ok(exploration);
    }
    let explore_plan = ExplorePlan {
        crash: plan::crash_kind(arguments.crash_kind),
        bounds: StateBounds {
            subset_count_max: arguments.subset_bound,
            torn: arguments.states.torn_writes,
        },
        stack: (**stack).clone(),
        audited: planned.run.expectation.audited,
        depth: arguments.states.recovery_depth,
        lost_legs,
        lost_flushes: arguments.states.lost_flush,
        prunes: !arguments.states.no_pruning,
    };
    let verify = verifier.as_ref().map(|verifier| verifier as &dyn Verify);
    let moments = &recorded.judged.moments;
    let bar = progress::bar(moments.len() as u64, "exploring moments");
    let explorer = Explorer::new(&explore_plan, moments, &recorded.judged.lines, verify);
    let exploration =
        explorer.of_shard(shard).explore(history, &|done| bar.set_position(done as u64));
    bar.finish_and_clear();
    Ok(exploration)
}

/// # Errors
/// If something was asked for that a crash of that kind has nothing of.
fn goes_with_its_crash(arguments: &ExploreArguments) -> Result<(), Failure> {
    let kind = arguments.crash_kind;
    let is_power = kind == CrashKindName::Power;
    let is_process = kind == CrashKindName::Process;
    let refused = [
        ("--torn-writes", arguments.states.torn_writes && !is_power),
        ("--lost-flush", arguments.states.lost_flush > 0 && !is_power),
        ("--recovery-depth", arguments.states.recovery_depth > 1 && is_process),
        ("--lose-leg", arguments.lose_leg.is_some() && is_process),
    ];
    match refused.into_iter().find(|(_, is_refused)| *is_refused) {
        Some((option, _)) if is_process => {
            Err(Failure(format!("{option}: the device goes on when a process dies")))
        }
        Some((option, _)) => Err(Failure(format!("{option}: the device keeps its power"))),
        None => Ok(()),
    }
}

/// The legs that are lost in turn.
///
/// # Errors
/// If there is no such leg.
fn lost_legs(arguments: &ExploreArguments, leg_count: u32) -> Result<Vec<u32>, Failure> {
    let Some(lost) = arguments.lose_leg else { return Ok(Vec::new()) };
    let legs: Vec<u32> = match lost {
        LostLeg::Each => (0..leg_count).collect(),
        LostLeg::One(leg) => vec![leg],
    };
    legs.iter().try_for_each(|leg| has_leg(*leg, leg_count))?;
    Ok(legs)
}

/// # Errors
/// If a leg cannot be lost.
pub(super) fn has_leg(leg: u32, leg_count: u32) -> Result<(), Failure> {
    if leg_count < 2 {
        return Err(Failure(format!("--lose-leg {leg}: a mirror is wanted (--legs 2)")));
    }
    if leg >= leg_count {
        return Err(Failure(format!("--lose-leg {leg}: there are {leg_count} legs, from 0")));
    }
    Ok(())
}

/// The options of an exploration that are not the default.
fn explore_words(arguments: &ExploreArguments) -> String {
    let mut words = crash_words(arguments.verify.as_deref(), arguments.crash_kind);
    if arguments.subset_bound != EXPLORE_SUBSET_BOUND {
        words.push_str(&format!(" --subset-bound {}", arguments.subset_bound));
    }
    words.push_str(&arguments.states.words());
    if let Some(lost) = arguments.lose_leg {
        words.push_str(&format!(" --lose-leg {lost}"));
    }
    if arguments.exhaustive {
        words.push_str(" --exhaustive");
    }
    words
}

pub(super) fn crash_words(verify: Option<&str>, kind: CrashKindName) -> String {
    let mut words = String::new();
    if let Some(name) = verify {
        words.push_str(&format!(" --verify {}", plan::quoted(name)));
    }
    match kind {
        CrashKindName::Power => {}
        CrashKindName::Kernel => words.push_str(" --crash-kind kernel"),
        CrashKindName::Process => words.push_str(" --crash-kind process"),
    }
    words
}

/// The command that does all of it again. `world` is the one of `arguments`, with its seed.
fn command(arguments: &ExploreArguments, world: &WorldArguments, planned: &Planned) -> String {
    let (chance, tail) = (plan::chance_words(world), plan::argument_words(world));
    let words = explore_words(arguments);
    format!("crashproof explore {}{chance}{words}{tail}", planned.world_words)
}

/// What an exploration has to say. `world` is the one of `arguments`, with the seed that was tried.
fn share(
    arguments: &ExploreArguments,
    world: &WorldArguments,
    planned: &Planned,
    recorded: &Recorded,
    exploration: &Exploration,
) -> Share {
    let mut report = run::report(world, planned, recorded, "");
    report.command = command(arguments, world, planned);
    let (chance, tail) = (plan::chance_words(world), plan::argument_words(world));
    let crash_words = crash_words(arguments.verify.as_deref(), arguments.crash_kind);
    let replay = |at: &CrashAt| {
        let (words, at) = (&planned.world_words, plan::quoted(&at.to_string()));
        format!("crashproof replay {words}{chance} --crash {at}{crash_words}{tail}")
    };
    let bounds = (arguments.subset_bound, arguments.states.recovery_depth);
    let share = StatesShare::new(report, exploration, bounds, replay);
    let share = share.kills(arguments.crash_kind == CrashKindName::Process);
    let share = share.loses_leg(arguments.lose_leg.is_some());
    Share::States(Box::new(share.exhaustive(arguments.exhaustive)))
}

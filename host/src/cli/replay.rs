//! `crashproof replay GUEST`: what a report named, again.

use crate::check::explore::ExplorePlan;
use crate::check::explore::Explorer;
use crate::check::run::SubjectPlan;
use crate::check::run::Watching;
use crate::check::run::run as run_plan;
use crate::check::verify::Verify;
use crate::check::world::Chance;
use crate::cli::Failure;
use crate::cli::args::CrashKindName;
use crate::cli::args::ReplayArguments;
use crate::cli::code_of;
use crate::cli::explore;
use crate::cli::files::TraceFile;
use crate::cli::plan;
use crate::cli::plan::Planned;
use crate::cli::run;
use crate::device::StateBounds;
use crate::report;
use crate::subject::StackPlan;

/// Runs again with the same decisions, and crashes as it was crashed.
pub(super) fn replay(arguments: ReplayArguments) -> Result<u8, Failure> {
    let chance = match &arguments.log {
        Some(log) => Chance::Replayed { log: log.clone(), seed: arguments.world.seed.unwrap_or(0) },
        None => plan::chance(&arguments.world),
    };
    let planned = plan::plan(&arguments.world, chance)?;
    let crash = arguments.crash.clone();
    if let (Some(leg), SubjectPlan::Reference(stack)) =
        (crash.as_ref().and_then(|at| at.lost_leg), &planned.run.subject)
    {
        explore::has_leg(leg, stack.policies.mirror.leg_count)?;
    }
    let (file, stream) = match &arguments.trace {
        Some(path) => {
            let (file, stream) = TraceFile::begin(path)?;
            (Some(file), Some(stream))
        }
        None => (None, None),
    };
    let killed = arguments.crash_kind == CrashKindName::Process;
    let watching = match &crash {
        Some(at) if killed => Watching {
            trace: stream,
            crash: Some(plan::crash_kind(arguments.crash_kind)),
            call_count_max: Some(at.position as u64),
            ..Watching::default()
        },
        _ => Watching { moments: crash.is_some(), trace: stream, ..Watching::default() },
    };
    let mut recorded = run_plan(&planned.run, watching).map_err(Failure)?;
    if let Some(file) = file {
        file.finish(recorded.judged.trace.take())?;
    }
    run::pass_on(&recorded);
    let mut report = run::report(&arguments.world, &planned, &recorded, "");
    let tail = plan::argument_words(&arguments.world);
    let mut words = format!("{}{}", planned.world_words, plan::chance_words(&arguments.world));
    if let Some(log) = &arguments.log {
        words.push_str(&format!(" --log {log}"));
    }
    if let (Some(at), SubjectPlan::Reference(stack), Some(history)) =
        (crash.as_ref().filter(|_| !killed), &planned.run.subject, &recorded.history)
    {
        words.push_str(&format!(" --crash {}", plan::quoted(&at.to_string())));
        words.push_str(&explore::crash_words(arguments.verify.as_deref(), arguments.crash_kind));
        let explore_plan = one_crash(&arguments, &planned, stack);
        let verifier = explore::verifier(arguments.verify.as_deref(), &planned)?;
        let verify = verifier.as_ref().map(|verifier| verifier as &dyn Verify);
        let judged = &recorded.judged;
        let explorer = Explorer::new(&explore_plan, &judged.moments, &judged.lines, verify);
        let exploration = explorer.explore_one(history, at);
        let replay = format!("crashproof replay {words}{tail}");
        let found = exploration.findings.iter();
        report.findings.extend(found.filter_map(|f| report::from_crash(f, replay.clone())));
        if exploration.account.judged_count == 0 {
            report.undecided.push("there is no such crash in this run".to_owned());
        }
        report.verdict =
            report::Verdict::of(!report.findings.is_empty(), !report.undecided.is_empty());
    }
    report.command = format!("crashproof replay {words}{tail}");
    print!("{}", report::terminal(&report));
    Ok(code_of(report.verdict))
}

/// One crash is judged by itself.
fn one_crash(arguments: &ReplayArguments, planned: &Planned, stack: &StackPlan) -> ExplorePlan {
    ExplorePlan {
        crash: plan::crash_kind(arguments.crash_kind),
        bounds: StateBounds { subset_count_max: 0, torn: false },
        stack: stack.clone(),
        audited: planned.run.expectation.audited,
        depth: 1,
        lost_legs: Vec::new(),
        lost_flushes: 0,
        prunes: false,
    }
}

//! `crashproof explore GUEST`.

use crate::check::explore::CrashFault;
use crate::check::explore::Exploration;
use crate::check::explore::ExplorePlan;
use crate::check::explore::Explorer;
use crate::check::explore::Verify;
use crate::check::run::Recorded;
use crate::check::run::SubjectPlan;
use crate::check::run::Verifier;
use crate::check::run::Watching;
use crate::check::run::explore_kills;
use crate::check::run::run as run_plan;
use crate::cli::Failure;
use crate::cli::args::CrashKindName;
use crate::cli::args::ExploreArguments;
use crate::cli::args::WorldArguments;
use crate::cli::code_of;
use crate::cli::files;
use crate::cli::files::TraceFile;
use crate::cli::plan;
use crate::cli::plan::Planned;
use crate::cli::progress;
use crate::cli::run;
use crate::cli::schedules;
use crate::device::FaultPlan;
use crate::device::StateBounds;
use crate::report;
use crate::report::AccountLines;
use crate::report::Report;
use crate::subject::StackPlan;

/// Runs a guest, then crashes it everywhere.
pub(super) fn explore(arguments: ExploreArguments) -> Result<u8, Failure> {
    let report = report_of(&arguments, &mut run::pass_on)?;
    print!("{}", report::terminal(&report));
    if let Some(path) = &arguments.json {
        files::write(path, report::json(&report).as_bytes())?;
    }
    Ok(code_of(report.verdict))
}

/// The report of an exploration. `ran` is shown what came of the run before it is crashed.
///
/// # Errors
/// If the exploration could not be begun, or its trace not be written.
pub(super) fn report_of(
    arguments: &ExploreArguments,
    ran: &mut dyn FnMut(&Recorded),
) -> Result<Report, Failure> {
    let planned = plan::plan(&arguments.world, plan::chance(&arguments.world))?;
    if matches!(planned.run.subject, SubjectPlan::Directory(_)) {
        return Err(Failure(
            "explore needs a device to crash: a directory of this machine has none".to_owned(),
        ));
    }
    if let Some(count) = arguments.seeds {
        return schedules::search(&arguments.world, count, |world| {
            let planned = planned.under(world);
            let watching = Watching { moments: true, ..Watching::default() };
            let recorded = run_plan(&planned.run, watching).map_err(Failure)?;
            let exploration = explore_recorded(arguments, &planned, &recorded)?;
            Ok(explore_report(arguments, world, &planned, &recorded, &exploration))
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
    let exploration = explore_recorded(arguments, &planned, &recorded)?;
    Ok(explore_report(arguments, &arguments.world, &planned, &recorded, &exploration))
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
    }))
}

fn explore_recorded(
    arguments: &ExploreArguments,
    planned: &Planned,
    recorded: &Recorded,
) -> Result<Exploration, Failure> {
    let (SubjectPlan::Reference(stack), Some(history)) = (&planned.run.subject, &recorded.history)
    else {
        return Err(Failure("explore needs a device to crash".to_owned()));
    };
    let verifier = verifier(arguments.verify.as_deref(), planned)?;
    if arguments.crash_kind == CrashKindName::Process {
        let count = recorded.judged.call_count;
        let bar = progress::bar(count, "killing after each call");
        let progress = |done| bar.set_position(done);
        let exploration =
            explore_kills(&planned.run, count, verifier.as_ref(), &progress).map_err(Failure)?;
        bar.finish_and_clear();
        return Ok(exploration);
    }
    let explore_plan = ExplorePlan {
        crash: plan::crash_kind(arguments.crash_kind),
        bounds: StateBounds {
            subset_count_max: arguments.subset_bound,
            torn: arguments.torn_writes,
        },
        stack: (**stack).clone(),
        audited: planned.run.expectation.audited,
    };
    let verify = verifier.as_ref().map(|verifier| verifier as &dyn Verify);
    let moments = &recorded.judged.moments;
    let bar = progress::bar(moments.len() as u64, "exploring moments");
    let explorer = Explorer::new(&explore_plan, moments, &recorded.judged.lines, verify);
    let exploration = explorer.explore(history, &|done| bar.set_position(done as u64));
    bar.finish_and_clear();
    Ok(exploration)
}

/// The options of an exploration that are not the default.
fn explore_words(arguments: &ExploreArguments) -> String {
    let mut words = crash_words(arguments.verify.as_deref(), arguments.crash_kind);
    if arguments.subset_bound != 5 {
        words.push_str(&format!(" --subset-bound {}", arguments.subset_bound));
    }
    if arguments.torn_writes {
        words.push_str(" --torn-writes");
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

/// `world` is the one of `arguments`, with the seed that was tried.
fn explore_report(
    arguments: &ExploreArguments,
    world: &WorldArguments,
    planned: &Planned,
    recorded: &Recorded,
    exploration: &Exploration,
) -> Report {
    let mut report = run::report(world, planned, recorded, "");
    let (chance, tail) = (plan::chance_words(world), plan::argument_words(world));
    let crash_words = crash_words(arguments.verify.as_deref(), arguments.crash_kind);
    for found in &exploration.findings {
        let replay = format!(
            "crashproof replay {}{chance} --crash {}:{}{crash_words}{tail}",
            planned.world_words,
            found.at.position,
            plan::quoted(&found.at.survivors.to_string()),
        );
        match report::from_crash(found, replay) {
            Some(finding) => report.findings.push(finding),
            None => {
                if let CrashFault::Unknown(why) = &found.what {
                    report.undecided.push(format!("{why} (in {} states)", found.state_count));
                }
            }
        }
    }
    report.count(&exploration.account.tally);
    if exploration.account.judged_count == 0 {
        report.undecided.push("no crash state was judged".to_owned());
    }
    if arguments.exhaustive && exploration.account.bounded_count > 0 {
        report.undecided.push("the bound was hit, and --exhaustive was asked for".to_owned());
    }
    report.account = Some(AccountLines::new(&exploration.account, arguments.subset_bound));
    report.verdict = run::verdict(!report.findings.is_empty(), !report.undecided.is_empty());
    report.command = format!(
        "crashproof explore {}{chance}{}{tail}",
        planned.world_words,
        explore_words(arguments)
    );
    report
}

//! `crashproof run GUEST`.

use crashproof_spec::violation::Reason;

use crate::check::run::Recorded;
use crate::check::run::Watching;
use crate::check::run::run as run_plan;
use crate::check::tally::Tally;
use crate::cli::Failure;
use crate::cli::args::RunArguments;
use crate::cli::args::WorldArguments;
use crate::cli::code_of;
use crate::cli::files;
use crate::cli::files::TraceFile;
use crate::cli::plan;
use crate::cli::plan::Planned;
use crate::cli::schedules;
use crate::cli::shards;
use crate::guest::GuestEnd;
use crate::guest::GuestRun;
use crate::report;
use crate::report::Report;
use crate::report::Verdict;
use crate::report::share::Share;

/// Runs a guest and judges what it was told.
pub(super) fn run(arguments: RunArguments) -> Result<u8, Failure> {
    let (report, json) = match arguments.seeds {
        Some(count) => {
            let (share, command) = search(&arguments, count)?;
            return shards::show(share, &command, arguments.shard, arguments.json.as_deref());
        }
        None => (report_of(&arguments, &mut pass_on)?, &arguments.json),
    };
    print!("{}", report::terminal(&report));
    if let Some(path) = json {
        files::write(path, report::json(&report).as_bytes())?;
    }
    Ok(code_of(report.verdict))
}

fn run_words(arguments: &RunArguments) -> String {
    match arguments.crash_kind {
        Some(kind) => format!(" --crash-kind {}", format!("{kind:?}").to_lowercase()),
        None if arguments.unjudged => " --unjudged".to_owned(),
        None => String::new(),
    }
}

/// The runs of many seeds, and the command that tries them all.
fn search(arguments: &RunArguments, count: u64) -> Result<(Share, String), Failure> {
    let planned = plan::plan(&arguments.world, plan::chance(&arguments.world))?;
    let crash = arguments.crash_kind.map(plan::crash_kind);
    let words = run_words(arguments);
    let first = command(&arguments.world, &planned, &words);
    schedules::search(&arguments.world, count, arguments.shard, &first, |world| {
        let planned = planned.under(world);
        let watching = Watching { crash, ..Watching::default() };
        let recorded = run_plan(&planned.run, watching).map_err(Failure)?;
        Ok(report(world, &planned, &recorded, &words))
    })
}

/// The report of a run, or of many. `ran` is shown what came of the run, if it is not one of many.
///
/// # Errors
/// If the run could not begin, or what was asked for could not be written.
pub(super) fn report_of(
    arguments: &RunArguments,
    ran: &mut dyn FnMut(&Recorded),
) -> Result<Report, Failure> {
    if let Some(count) = arguments.seeds {
        return search(arguments, count)?.0.report().map_err(Failure);
    }
    let mut planned = plan::plan(&arguments.world, plan::chance(&arguments.world))?;
    planned.run.expectation.audited &= !arguments.unjudged;
    let crash = arguments.crash_kind.map(plan::crash_kind);
    let (file, stream) = match &arguments.trace {
        Some(path) => {
            let (file, stream) = TraceFile::begin(path)?;
            (Some(file), Some(stream))
        }
        None => (None, None),
    };
    let is_unjudged = arguments.unjudged;
    let watching = Watching { trace: stream, crash, is_unjudged, ..Watching::default() };
    let mut recorded = run_plan(&planned.run, watching).map_err(Failure)?;
    if let Some(file) = file {
        file.finish(recorded.judged.trace.take())?;
    }
    if let (Some(path), Some(image)) = (&arguments.image, &recorded.image) {
        files::write_with(path, &|out| image.write_to(out))?;
    }
    ran(&recorded);
    Ok(report(&arguments.world, &planned, &recorded, &run_words(arguments)))
}

/// What the guests printed goes to standard error, so that standard output is the report.
pub(super) fn pass_on(recorded: &Recorded) {
    for (name, run) in &recorded.ends {
        for stream in [&run.stdout, &run.stderr] {
            for line in String::from_utf8_lossy(stream).lines() {
                eprintln!("{name}: {line}");
            }
        }
    }
}

/// What is said of a guest with wasi-libc's own `mmap`.
const LOST_STORES: &str =
    "; its libc emulates mmap: what it stored to shared mappings never reached a file";

/// How a guest ended, and whether that leaves a doubt.
pub(super) fn end_word(run: &GuestRun) -> (String, bool) {
    match &run.end {
        GuestEnd::Exited(code) => (format!("exit code {code}"), false),
        GuestEnd::Trapped(why) => (format!("trapped: {why}"), true),
        GuestEnd::StackOverflow => ("overflowed its stack".to_owned(), true),
        GuestEnd::OutOfFuel => ("ran out of fuel".to_owned(), true),
        GuestEnd::WallClock => ("ran out of time".to_owned(), true),
        GuestEnd::OutputLimit => ("wrote more output than it may".to_owned(), true),
        GuestEnd::Killed(killed) => (format!("killed by {killed}"), true),
        GuestEnd::NotStarted(why) => (format!("did not start: {why}"), true),
        GuestEnd::Halted(halt) => (format!("halted: {halt}"), true),
    }
}

/// The command that does a run again.
fn command(arguments: &WorldArguments, planned: &Planned, more_words: &str) -> String {
    let (chance, tail) = (plan::chance_words(arguments), plan::argument_words(arguments));
    format!("crashproof run {}{chance}{more_words}{tail}", planned.world_words)
}

/// What the oracle said while a run went. A guest that was cut short leaves a doubt.
pub(super) fn report(
    arguments: &WorldArguments,
    planned: &Planned,
    recorded: &Recorded,
    more_words: &str,
) -> Report {
    let oracle = &recorded.judged.oracle;
    let (chance, tail) = (plan::chance_words(arguments), plan::argument_words(arguments));
    let replay = format!("crashproof replay {}{chance}{tail}", planned.world_words);
    let findings: Vec<_> = oracle
        .violations()
        .map(|violation| report::from_violation(violation, replay.clone()))
        .collect();
    let mut undecided: Vec<String> = oracle.undecided().map(undecided_word).collect();
    let mut ends = Vec::new();
    for ((name, run), process) in recorded.ends.iter().zip(&planned.run.processes) {
        let (mut word, doubt) = end_word(run);
        if doubt {
            undecided.push(format!("{name} {word}"));
        }
        if process.module.emulates_mmap() {
            word.push_str(LOST_STORES);
        }
        ends.push((name.clone(), word));
    }
    let tally = Tally::of(oracle);
    if tally.exercised.is_empty() {
        undecided.push(report::NOTHING_JUDGED.to_owned());
    }
    let command = command(arguments, planned, more_words);
    let (workload, subject) = (planned.workload.clone(), planned.subject.clone());
    let mut report = Report {
        verdict: Verdict::of(!findings.is_empty(), !undecided.is_empty()),
        ends,
        findings,
        undecided,
        decisions: recorded.decisions.to_string(),
        ..Report::new(workload, subject, planned.expectation.clone(), command)
    };
    report.count(&tally);
    report
}

/// Why the oracle cannot tell.
pub(super) fn undecided_word(reason: &Reason) -> String {
    format!("at step {}: {}", reason.step.0, reason.what)
}

//! `crashproof conform --out DIR`: every built-in guest, one record.

use clap::Parser;

use crate::cli::Failure;
use crate::cli::args::Arguments;
use crate::cli::args::Command;
use crate::cli::args::ConformArguments;
use crate::cli::code_of;
use crate::cli::explore;
use crate::cli::files;
use crate::cli::run;
use crate::guests;
use crate::report;
use crate::report::Conformance;
use crate::report::Report;
use crate::report::Standing;

/// Runs and explores every built-in guest.
pub(super) fn conform(arguments: &ConformArguments) -> Result<u8, Failure> {
    let out = &arguments.out;
    std::fs::create_dir_all(out)
        .map_err(|error| Failure(format!("failed to make {}: {error}", out.display())))?;
    let mut reports: Vec<Report> = Vec::new();
    for guest in guests::all() {
        eprintln!("running {}", guest.name);
        reports.extend(reports_of(guest, &arguments.profile)?);
    }
    let command = format!(
        "crashproof conform --out {} --profile {}",
        crate::cli::plan::quoted(&out.display().to_string()),
        arguments.profile
    );
    let subject = format!("reference, profile {}", arguments.profile);
    let expectation = format!("{}, level strict", arguments.profile);
    let record = Conformance::new(&reports, &subject, &expectation, &command);
    files::write(&out.join("report.json"), report::json(&record).as_bytes())?;
    files::write(&out.join("report.md"), record.markdown().as_bytes())?;
    for (standing, word) in [
        (Standing::Violated, "violated"),
        (Standing::Held, "held"),
        (Standing::NotExercised, "not exercised"),
        (Standing::NotEnforced, "not enforced"),
    ] {
        println!("{:>5} clauses {word}", record.count(standing));
    }
    for report in reports.iter().filter(|r| r.verdict != report::Verdict::Accepted) {
        print!("{}", report::terminal(report));
    }
    println!("{:?}: {} and report.json", record.verdict, out.join("report.md").display());
    Ok(code_of(record.verdict))
}

/// The reports of one guest: its verifiers judge others, and come with them.
fn reports_of(guest: &guests::Guest, profile: &str) -> Result<Vec<Report>, Failure> {
    if guest.name.starts_with("verify_") {
        return Ok(Vec::new());
    }
    if guest.name.starts_with("abi_") {
        return Ok(vec![adversary(guest, profile)?]);
    }
    let variants = guest.variants.iter().copied();
    std::iter::once(&[][..]).chain(variants).map(|args| explored(guest, args, profile)).collect()
}

fn command_of(words: Vec<&str>) -> Result<Command, Failure> {
    let parsed = Arguments::try_parse_from(&words);
    let parsed = parsed.map_err(|error| Failure(format!("{}: {error}", words.join(" "))))?;
    Ok(parsed.command)
}

/// As `explore GUEST` with the guest's own verifier would.
fn explored(guest: &guests::Guest, args: &[&str], profile: &str) -> Result<Report, Failure> {
    let mut words = vec!["crashproof", "explore", guest.name, "--profile", profile];
    if let Some(verifier) = guest.verifier {
        words.extend(["--verify", verifier]);
    }
    if !args.is_empty() {
        words.push("--");
        words.extend(args);
    }
    match command_of(words)? {
        Command::Explore(arguments) => explore::report_of(&arguments, &mut |_| {}),
        Command::Run(_)
        | Command::Replay(_)
        | Command::Ace(_)
        | Command::Conform(_)
        | Command::Guests
        | Command::Defects(_)
        | Command::Profiles(_)
        | Command::Table(_)
        | Command::Spec(_)
        | Command::Fsck(_)
        | Command::Merge(_)
        | Command::Trace(_) => Err(Failure("explore was asked for".to_owned())),
    }
}

/// A guest that breaks the ABI or its limits on purpose: it is held to the end that it is meant to
/// have.
fn adversary(guest: &guests::Guest, profile: &str) -> Result<Report, Failure> {
    let words = vec!["crashproof", "run", guest.name, "--profile", profile, "--fuel", FUEL];
    let Command::Run(arguments) = command_of(words)? else {
        return Err(Failure("run was asked for".to_owned()));
    };
    let reported = run::report_of(&arguments, &mut |_| {});
    if guest.ends == Some("refused") {
        return match reported {
            Ok(_) => Err(Failure(format!("{} was loaded, and is no program", guest.name))),
            Err(why) => Ok(refused(guest, profile, &why)),
        };
    }
    let mut report = reported?;
    let meant = guest.ends.unwrap_or("exit code");
    let ended = report.ends.iter().all(|(_, word)| word.starts_with(meant));
    // It is judged by its end: that it had this one, or did nothing else, leaves no doubt.
    let words: Vec<String> =
        report.ends.iter().map(|(name, word)| format!("{name} {word}")).collect();
    report.undecided.retain(|why| why != report::NOTHING_JUDGED && !words.contains(why));
    if !ended {
        report.undecided.push(format!("{}, which is meant to be: {meant}", words.join(", ")));
    }
    report.verdict = report::Verdict::of(!report.findings.is_empty(), !report.undecided.is_empty());
    Ok(report)
}

/// The report of a guest that was not loaded, as it should not be.
fn refused(guest: &guests::Guest, profile: &str, why: &Failure) -> Report {
    // What is offered instead makes a long list.
    let why = why.0.split([',', ';']).next().unwrap_or_default();
    let (subject, expectation) =
        (format!("reference, profile {profile}"), format!("{profile}, level strict"));
    let command = format!("crashproof run {}", guest.name);
    let ends = vec![(guest.name.to_owned(), format!("refused: {why}"))];
    Report { ends, ..Report::new(guest.name.to_owned(), subject, expectation, command) }
}

/// Enough for a guest that ends, and soon used up by one that does not.
const FUEL: &str = "100000000";

//! `crashproof conform --out DIR`: every built-in guest, one record.

use clap::Parser;

use crate::cli::Failure;
use crate::cli::args::Arguments;
use crate::cli::args::Command;
use crate::cli::args::ConformArguments;
use crate::cli::code_of;
use crate::cli::explore;
use crate::cli::files;
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
    for guest in guests::all().iter().filter(|guest| is_workload(guest)) {
        eprintln!("exploring {}", guest.name);
        reports.push(one(guest, &arguments.profile)?);
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

/// As `explore GUEST` with the guest's own verifier would.
fn one(guest: &guests::Guest, profile: &str) -> Result<Report, Failure> {
    let mut words = vec!["crashproof", "explore", guest.name, "--profile", profile];
    if let Some(verifier) = guest.verifier {
        words.extend(["--verify", verifier]);
    }
    let parsed = Arguments::try_parse_from(words)
        .map_err(|error| Failure(format!("{}: {error}", guest.name)))?;
    match parsed.command {
        Command::Explore(arguments) => explore::report_of(&arguments, &mut |_| {}),
        Command::Run(_)
        | Command::Replay(_)
        | Command::Conform(_)
        | Command::Guests
        | Command::Defects
        | Command::Spec(_)
        | Command::Fsck(_)
        | Command::Trace(_) => Err(Failure("explore was asked for".to_owned())),
    }
}

/// Does the guest keep to the rules and end by itself? Verifiers judge others, and the guests of
/// the ABI (`abi_...`) break it on purpose; the tests run both.
fn is_workload(guest: &guests::Guest) -> bool {
    !guest.name.starts_with("verify_") && !guest.name.starts_with("abi_")
}

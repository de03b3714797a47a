//! `crashproof trace show|judge FILE`.

use std::path::Path;
use std::sync::Arc;

use crashproof_spec::oracle::Oracle;
use crashproof_spec::trace;
use crashproof_spec::trace::Event;
use crashproof_spec::words::Step;

use crate::check::tally::Tally;
use crate::cli::Failure;
use crate::cli::args::TraceCommand;
use crate::cli::code_of;
use crate::cli::exit;
use crate::cli::files;
use crate::cli::plan;
use crate::cli::profile;
use crate::cli::run;
use crate::report;
use crate::report::Report;

/// Shows or judges a trace.
pub(super) fn trace(command: &TraceCommand) -> Result<u8, Failure> {
    match command {
        TraceCommand::Show { file } => {
            let events = read(file)?;
            println!("{}", trace::HEADER);
            for (number, event) in events.iter().enumerate() {
                println!("{}", trace::fmt_event(event, Step(number as u64 + 1)));
            }
            Ok(exit::ACCEPTED)
        }
        TraceCommand::Judge { file, expect, level } => {
            let promises = profile::find(expect)?.promises()?;
            let level = plan::spec_level(*level);
            let mut oracle = Oracle::new(Arc::new(promises), level);
            for event in read(file)? {
                oracle.event(&event);
            }
            let expectation = format!("{expect}, level {}", plan::level_word(level));
            let report = judged(file, &oracle, expectation);
            print!("{}", report::terminal(&report));
            Ok(code_of(report.verdict))
        }
    }
}

fn read(path: &Path) -> Result<Vec<Event>, Failure> {
    let text = files::read_text(path)?;
    let failed = |why: String| Failure(format!("{}: {why}", path.display()));
    let events = trace::parse(&text).map_err(|error| failed(error.to_string()))?;
    trace::wellformed::check(&events).map_err(|error| failed(error.to_string()))?;
    Ok(events)
}

fn judged(path: &Path, oracle: &Oracle, expectation: String) -> Report {
    let name = path.display().to_string();
    let command = format!("crashproof trace judge {}", plan::quoted(&name));
    let findings: Vec<_> = oracle
        .violations()
        .map(|violation| report::from_violation(violation, command.clone()))
        .collect();
    let mut undecided: Vec<String> = oracle.undecided().map(run::undecided_word).collect();
    let tally = Tally::of(oracle);
    if tally.exercised.is_empty() {
        undecided.push(report::NOTHING_JUDGED.to_owned());
    }
    let verdict = report::Verdict::of(!findings.is_empty(), !undecided.is_empty());
    let subject = "whoever was traced".to_owned();
    let mut report =
        Report { verdict, findings, undecided, ..Report::new(name, subject, expectation, command) };
    report.count(&tally);
    report
}

//! `crashproof defects`: what `--defect` knows, and what catches each.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Parser;

use crate::cli::Failure;
use crate::cli::args::Arguments;
use crate::cli::args::Command;
use crate::cli::args::DefectsArguments;
use crate::cli::exit;
use crate::cli::explore;
use crate::cli::run;
use crate::report::Report;
use crate::report::Verdict;
use crate::subject;
use crate::subject::Defect;

/// Lists the defects, or shows them all.
pub(super) fn defects(arguments: &DefectsArguments) -> Result<u8, Failure> {
    let chosen: Vec<&Defect> = match &arguments.only {
        Some(name) => vec![subject::defect_named(name).ok_or_else(|| {
            Failure(format!("--defect {name}: `crashproof defects` lists the defects"))
        })?],
        None => subject::defects().collect(),
    };
    if !arguments.matrix {
        chosen.into_iter().for_each(describe);
        return Ok(exit::ACCEPTED);
    }
    let mut matrix = Matrix::default();
    for defect in chosen {
        eprintln!("running {}", defect.name);
        matrix.add(defect)?;
    }
    print!("{}", matrix.markdown());
    Ok(if matrix.hole_count == 0 { exit::ACCEPTED } else { exit::REJECTED })
}

fn describe(defect: &Defect) {
    println!("{}", named(defect));
    println!("  {}", defect.mechanism);
    println!("  from      {}", defect.source);
    println!("  needs     {}", defect.needs);
    let audited = defect.audit.join(" or ");
    match (defect.clauses, defect.audit) {
        ([], _) => println!("  caught by {audited}, of an audit; no answer shows it"),
        (clauses, _) => println!("  caught by {}", clauses.join(" or ")),
    }
    if !defect.clauses.is_empty() && !defect.audit.is_empty() {
        println!("  audits    may say {audited} earlier");
    }
    println!("  silent in {}", defect.silent);
    println!("  shown by  crashproof {}", with_defect(defect.shown_by, defect, ""));
}

fn named(defect: &Defect) -> String {
    match defect.number {
        "" => defect.name.to_owned(),
        number => format!("{} ({number})", defect.name),
    }
}

/// The words of a command, on the stack with a defect.
fn with_defect(command: &str, defect: &Defect, more: &str) -> String {
    let (head, tail) = command.split_once(" -- ").unwrap_or((command, ""));
    let tail = if tail.is_empty() { String::new() } else { format!(" -- {tail}") };
    format!("{head} --defect {}{more}{tail}", defect.name)
}

const HEADER: &str = "\
# What catches each defect

`crashproof defects --matrix` wrote this page, by running every command that it names. A cell in
bold is a hole: the command ends with 1 then.

- **Own workload**, **general exerciser**: judged by answers and surveys alone (`--no-audits`); the
  first of its clauses that is reported, and how many seeds were tried until then. The exerciser
  knows nothing of any defect. What no answer shows is audited here as well (LIM-07).
- **Audits**: what the own workload reports first when the stack's owner looks into it as well.
- **Controls**: runs with the defect that lack what it needs: all accepted.
- **Off**: both workloads without the defect, every seed of their budgets: all accepted.
- **Needs**: a crash, a write that the device refuses.

| Defect | Own workload | Audits | General exerciser | Controls | Off | Needs |
|---|---|---|---|---|---|---|
";

/// A row a defect.
#[derive(Default)]
struct Matrix {
    rows: String,
    commands: String,
    hole_count: u32,
    /// What the clean stack was seen to do.
    clean: BTreeMap<&'static str, Report>,
}

impl Matrix {
    fn add(&mut self, defect: &'static Defect) -> Result<(), Failure> {
        // What no answer shows is looked for where audits see it.
        let (clauses, words) = match defect.clauses {
            [] => (defect.audit, ""),
            clauses => (clauses, " --no-audits"),
        };
        let told = |command| report_of(&with_defect(command, defect, words));
        let own = self.caught(clauses, &told(defect.shown_by)?);
        let audits = if defect.audit.is_empty() {
            "none".to_owned()
        } else {
            let named = [defect.audit, defect.clauses].concat();
            self.caught(&named, &report_of(&with_defect(defect.shown_by, defect, ""))?)
        };
        let general = self.caught(clauses, &told(defect.exercised_by)?);
        let controls = defect.controls.iter();
        let controls = controls.map(|command| report_of(&with_defect(command, defect, "")));
        let controls = controls.collect::<Result<Vec<Report>, Failure>>()?;
        for command in [defect.shown_by, defect.exercised_by] {
            if !self.clean.contains_key(command) {
                self.clean.insert(command, report_of(command)?);
            }
        }
        let clean = [&self.clean[defect.shown_by], &self.clean[defect.exercised_by]];
        let (controls, off) = (accepted(controls.iter()), accepted(clean.into_iter()));
        let row = [
            named(defect),
            own,
            audits,
            general,
            controls.unwrap_or_else(|why| self.hole(&why)),
            off.unwrap_or_else(|why| self.hole(&why)),
            needs(defect).to_owned(),
        ];
        line(&mut self.rows, format_args!("| {} |", row.join(" | ")));
        line(&mut self.commands, format_args!("\n`{}`: {}", defect.name, defect.mechanism));
        let shown = [("own", defect.shown_by), ("general", defect.exercised_by)];
        let controls = defect.controls.iter().map(|command| ("control", *command));
        line(&mut self.commands, format_args!(""));
        for (label, command) in shown.into_iter().chain(controls) {
            let command = with_defect(command, defect, "");
            line(&mut self.commands, format_args!("- {label}: `crashproof {command}`"));
        }
        Ok(())
    }

    /// The clause that was reported first of those that were named.
    fn caught(&mut self, clauses: &[&str], report: &Report) -> String {
        let mut found = report.findings.iter().filter_map(|finding| finding.clause.as_deref());
        let first = found.clone().next();
        let clause = found.find(|clause| clauses.contains(clause)).or(first);
        let after = match report.schedules {
            Some(schedules) if schedules.tried > 1 => format!(", {} seeds", schedules.tried),
            Some(_) | None => String::new(),
        };
        match clause {
            Some(clause) if clauses.contains(&clause) => format!("{clause}{after}"),
            Some(clause) => self.hole(&format!("{clause}, which is not named{after}")),
            None => self.hole(&format!("nothing{after}")),
        }
    }

    fn hole(&mut self, what: &str) -> String {
        self.hole_count += 1;
        format!("**{what}**")
    }

    fn markdown(&self) -> String {
        format!("{HEADER}{}\n## Commands\n{}", self.rows, self.commands)
    }
}

/// How many runs there were, if all were accepted; else which was not.
fn accepted<'a>(reports: impl Iterator<Item = &'a Report>) -> Result<String, String> {
    let mut count = 0;
    for report in reports {
        if report.verdict != Verdict::Accepted {
            return Err(format!("{:?}: {}", report.verdict, report.command));
        }
        count += report.schedules.map_or(1, |schedules| schedules.tried);
    }
    Ok(if count == 1 { "1 run".to_owned() } else { format!("{count} runs") })
}

fn needs(defect: &Defect) -> &'static str {
    if defect.exercised_by.contains("--fail-write") {
        "a refused write"
    } else if defect.exercised_by.starts_with("explore") {
        "a crash"
    } else {
        ""
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes all");
}

/// The words of a command. What stands between quotes is one.
fn words(command: &str) -> Vec<&str> {
    let mut words = vec!["crashproof"];
    for (number, part) in command.split('\'').enumerate() {
        if number.is_multiple_of(2) {
            words.extend(part.split_whitespace());
        } else {
            words.push(part);
        }
    }
    words
}

/// The report of a command of `run` or `explore`.
fn report_of(command: &str) -> Result<Report, Failure> {
    let words = words(command);
    let parsed = Arguments::try_parse_from(words);
    let parsed = parsed.map_err(|error| Failure(format!("crashproof {command}: {error}")))?;
    match parsed.command {
        Command::Run(arguments) => run::report_of(&arguments, &mut |_| {}),
        Command::Explore(arguments) => explore::report_of(&arguments, &mut |_| {}),
        Command::Ace(_)
        | Command::Replay(_)
        | Command::Conform(_)
        | Command::Guests
        | Command::Defects(_)
        | Command::Profiles(_)
        | Command::Table(_)
        | Command::Spec(_)
        | Command::Fsck(_)
        | Command::Merge(_)
        | Command::Trace(_) => Err(Failure(format!("crashproof {command}: it judges no guest"))),
    }
}

//! A conformance record: clause by clause, held, violated, not exercised or not enforced.

use std::collections::BTreeMap;
use std::fmt::Write;

use crashproof_spec::clause::Catalogue;
use serde::Serialize;

use crate::report::Report;
use crate::report::Verdict;

/// Where a subject stands with a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Events exercised it, and none broke it.
    Held,
    /// Something broke it.
    Violated,
    /// It is enforced, and nothing exercised it.
    NotExercised,
    /// No rule enforces it.
    NotEnforced,
}

/// One clause of a record.
#[derive(Debug, Clone, Serialize)]
pub struct ClauseLine {
    /// The clause.
    pub id: String,
    /// What it says.
    pub statement: String,
    /// Where the subject stands with it.
    pub standing: Standing,
    /// How often it was exercised.
    pub exercised: u64,
    /// The commands that show it violated.
    pub replay: Vec<String>,
}

/// One workload of a record, with what was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct WorkloadLine {
    /// What is said of it.
    pub verdict: Verdict,
    /// How its guests ended.
    pub ended: Vec<String>,
    /// How many events decided a clause.
    pub judged: u64,
    /// Crash states that were judged.
    pub states: u64,
    /// Positions at which not every subset of the unflushed writes was tried.
    pub bounded: u64,
}

impl From<&Report> for WorkloadLine {
    fn from(report: &Report) -> Self {
        let account = report.account.as_ref();
        Self {
            verdict: report.verdict,
            ended: report.ends.iter().map(|(_, word)| word.clone()).collect(),
            judged: report.exercised.values().sum(),
            states: account.map_or(0, |account| account.judged),
            bounded: account.map_or(0, |account| account.bounded),
        }
    }
}

/// A record of a subject over many workloads.
#[derive(Debug, Clone, Serialize)]
pub struct Conformance {
    /// The version of this form.
    pub version: u32,
    /// What was tested.
    pub subject: String,
    /// What it was held to.
    pub expectation: String,
    /// What is said of all of it.
    pub verdict: Verdict,
    /// Each workload and what came of it.
    pub workloads: BTreeMap<String, WorkloadLine>,
    /// Why it cannot be told, where it cannot.
    pub undecided: Vec<String>,
    /// Each clause.
    pub clauses: Vec<ClauseLine>,
    /// The command that produces this record again.
    pub command: String,
}

impl Conformance {
    /// The record of these reports.
    #[must_use]
    pub fn new(reports: &[Report], subject: &str, expectation: &str, command: &str) -> Self {
        let line = |clause: &crashproof_spec::clause::Clause| clause_line(clause, reports);
        let clauses: Vec<ClauseLine> = Catalogue::embedded().iter().map(line).collect();
        let verdict = reports.iter().map(|report| report.verdict).max();
        let nothing = clauses.iter().all(|clause| clause.exercised == 0);
        Self {
            version: 1,
            subject: subject.to_owned(),
            expectation: expectation.to_owned(),
            verdict: if nothing {
                Verdict::Undecided
            } else {
                verdict.unwrap_or(Verdict::Undecided)
            },
            workloads: reports.iter().map(|r| (r.workload.clone(), r.into())).collect(),
            undecided: reports
                .iter()
                .flat_map(|r| r.undecided.iter().map(|why| format!("{}: {why}", r.workload)))
                .collect(),
            clauses,
            command: command.to_owned(),
        }
    }

    /// How many clauses stand so.
    #[must_use]
    pub fn count(&self, standing: Standing) -> usize {
        self.clauses.iter().filter(|clause| clause.standing == standing).count()
    }

    /// The record as a page of Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        self.write_markdown(&mut out).expect("a string takes all");
        out
    }

    fn write_markdown(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# Conformance\n")?;
        writeln!(out, "| | |\n|---|---|")?;
        writeln!(out, "| verdict | **{}** |", verdict_word(self.verdict))?;
        writeln!(out, "| subject | {} |", self.subject)?;
        writeln!(out, "| expected | {} |", self.expectation)?;
        for (standing, word) in STANDINGS {
            writeln!(out, "| {word} | {} clauses |", self.count(standing))?;
        }
        writeln!(out, "| again | `{}` |\n", self.command)?;
        self.write_workloads(out)?;
        for reason in &self.undecided {
            writeln!(out, "\nUndecided: {reason}")?;
        }
        for (standing, word) in STANDINGS {
            writeln!(out, "\n## {word}\n\n| clause | times | statement |\n|---|---:|---|")?;
            for clause in self.clauses.iter().filter(|clause| clause.standing == standing) {
                writeln!(out, "| {} | {} | {} |", clause.id, clause.exercised, clause.statement)?;
                for replay in &clause.replay {
                    writeln!(out, "| | | `{replay}` |")?;
                }
            }
        }
        Ok(())
    }

    fn write_workloads(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "## Workloads\n")?;
        writeln!(
            out,
            "Bound: positions at which not every subset of unflushed writes was tried.\n"
        )?;
        writeln!(out, "| workload | verdict | ended | judged | crash states | bound |")?;
        writeln!(out, "|---|---|---|---:|---:|---:|")?;
        for (workload, line) in &self.workloads {
            let WorkloadLine { verdict, ended, judged, states, bounded } = line;
            let (verdict, ended) = (verdict_word(*verdict), ended.join("; ").replace('|', "\\|"));
            writeln!(
                out,
                "| `{workload}` | {verdict} | {ended} | {judged} | {states} | {bounded} |"
            )?;
        }
        Ok(())
    }
}

const STANDINGS: [(Standing, &str); 4] = [
    (Standing::Violated, "violated"),
    (Standing::Held, "held"),
    (Standing::NotExercised, "not exercised"),
    (Standing::NotEnforced, "not enforced"),
];

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Undecided => "undecided",
        Verdict::Rejected => "rejected",
    }
}

fn clause_line(clause: &crashproof_spec::clause::Clause, reports: &[Report]) -> ClauseLine {
    let exercised = reports.iter().filter_map(|r| r.exercised.get(clause.id.as_str())).sum();
    let findings = reports.iter().flat_map(|report| &report.findings);
    let replay: Vec<String> = findings
        .filter(|finding| finding.clause.iter().chain(&finding.also).any(|id| *id == clause.id))
        .map(|finding| finding.replay.clone())
        .collect();
    let standing = match (replay.is_empty(), clause.enforced, exercised) {
        (false, _, _) => Standing::Violated,
        (true, false, _) => Standing::NotEnforced,
        (true, true, 0) => Standing::NotExercised,
        (true, true, _) => Standing::Held,
    };
    ClauseLine {
        id: clause.id.clone(),
        statement: clause.statement.clone(),
        standing,
        exercised,
        replay,
    }
}

//! `crashproof ace`: bounded workloads, all of them, each crashed everywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use rayon::prelude::*;

use crate::check::ace::Bench;
use crate::check::ace::Outcome;
use crate::check::ace::Set;
use crate::check::ace::Workload;
use crate::check::ace::Workloads;
use crate::check::explore::CrashFault;
use crate::check::world::Expectation;
use crate::cli::Failure;
use crate::cli::args::ACE_SUBSET_BOUND;
use crate::cli::args::AceArguments;
use crate::cli::args::SetName;
use crate::cli::code_of;
use crate::cli::exit;
use crate::cli::files;
use crate::cli::plan;
use crate::cli::progress;
use crate::cli::run;
use crate::device::FaultPlan;
use crate::device::Geometry;
use crate::device::StateBounds;
use crate::report;
use crate::report::AccountLines;
use crate::report::Finding;
use crate::report::Report;
use crate::report::WorkloadCount;
use crate::subject::Policies;
use crate::subject::StackPlan;

/// Workloads are done in batches of so many, which bounds memory and paces the progress.
const BATCH_SIZE: usize = 1024;

/// So many findings of one clause are kept; the others are counted.
const KEPT_MAX: u64 = 3;

/// Blocks as large as pages of memory, so that a part of a mapping can be synced alone; few of
/// them, for the files of a workload are small.
const GEOMETRY: Geometry = Geometry { block_size_bytes: 4096, block_count: 512 };

fn set(name: SetName) -> Set {
    match name {
        SetName::Ace => Set::Ace,
        SetName::Data => Set::Data,
        SetName::Metadata => Set::Metadata,
        SetName::Nested => Set::Nested,
        SetName::All => Set::All,
    }
}

/// Does every workload of a set and length, or one of them.
pub(super) fn ace(arguments: &AceArguments) -> Result<u8, Failure> {
    let workloads = Workloads::new(set(arguments.set), usize::from(arguments.seq));
    if arguments.list {
        workloads.iter().for_each(|workload| println!("{:>9}  {workload}", workload.number));
        return Ok(exit::ACCEPTED);
    }
    let report = report_of(arguments, &workloads)?;
    print!("{}", report::terminal(&report));
    if let Some(path) = &arguments.json {
        files::write(path, report::json(&report).as_bytes())?;
    }
    Ok(code_of(report.verdict))
}

fn bench(arguments: &AceArguments) -> Result<Bench, Failure> {
    let mut policies = Policies::default();
    plan::put(&arguments.defects, &mut policies)?;
    let stack = StackPlan { geometry: GEOMETRY, policies, faults: FaultPlan::default() };
    let bounds =
        StateBounds { subset_count_max: arguments.subset_bound, torn: arguments.torn_writes };
    let expectation = Expectation {
        promises: Arc::new(Promises::strict_sticky()),
        level: Level::Strict,
        audited: !arguments.no_audits,
    };
    Bench::new(stack, bounds, expectation).map_err(Failure)
}

/// The command that does the same, up to what is appended.
fn command(arguments: &AceArguments) -> String {
    let mut words = format!("crashproof ace --seq {}", arguments.seq);
    if arguments.set != SetName::Ace {
        words.push_str(&format!(" --set {}", format!("{:?}", arguments.set).to_lowercase()));
    }
    for defect in &arguments.defects {
        words.push_str(&format!(" --defect {defect}"));
    }
    if arguments.no_audits {
        words.push_str(" --no-audits");
    }
    if arguments.subset_bound != ACE_SUBSET_BOUND {
        words.push_str(&format!(" --subset-bound {}", arguments.subset_bound));
    }
    if arguments.torn_writes {
        words.push_str(" --torn-writes");
    }
    words
}

fn report_of(arguments: &AceArguments, workloads: &Workloads) -> Result<Report, Failure> {
    let bench = bench(arguments)?;
    let mut gathered = Gathered::new(arguments);
    let counted = workloads.count();
    if let Some(number) = arguments.only {
        let workload = workloads.get(number).ok_or_else(|| {
            Failure(format!(
                "--only {number}: there are the workloads 0 to {}, and some of them equal another \
                 (`--list` lists those that do not)",
                counted.saturating_sub(1)
            ))
        })?;
        gathered.add(arguments, &workload, bench.run(&workload).map_err(Failure)?);
    } else {
        let bar = progress::bar(counted, "doing workloads");
        let mut all = workloads.iter();
        loop {
            let batch: Vec<Workload> = all.by_ref().take(BATCH_SIZE).collect();
            let Some(last) = batch.last() else { break };
            bar.set_position(last.number);
            let outcomes: Vec<Result<Outcome, String>> =
                batch.par_iter().map(|workload| bench.run(workload)).collect();
            for (workload, outcome) in batch.iter().zip(outcomes) {
                gathered.add(arguments, workload, outcome.map_err(Failure)?);
            }
        }
        bar.finish_and_clear();
    }
    Ok(gathered.finish(arguments, counted))
}

/// What came of the workloads so far.
struct Gathered {
    report: Report,
    account: Option<AccountLines>,
    done: u64,
    rejected: u64,
    errors: u64,
    /// Findings by clause.
    by_clause: BTreeMap<String, u64>,
}

impl Gathered {
    fn new(arguments: &AceArguments) -> Self {
        let subject = if arguments.defects.is_empty() {
            "reference".to_owned()
        } else {
            format!("reference with {}", arguments.defects.join(", "))
        };
        let workload = format!("bounded workloads of {} operations", arguments.seq);
        let expectation = "strict-sticky, level strict".to_owned();
        let report = Report::new(workload, subject, expectation, command(arguments));
        Self { report, account: None, done: 0, rejected: 0, errors: 0, by_clause: BTreeMap::new() }
    }

    fn add(&mut self, arguments: &AceArguments, workload: &Workload, outcome: Outcome) {
        self.done += 1;
        self.report.count(&outcome.tally);
        self.report.count(&outcome.exploration.account.tally);
        self.errors += outcome.errors;
        let account = AccountLines::new(&outcome.exploration.account, arguments.subset_bound);
        match &mut self.account {
            Some(all) => all.add(account),
            None => self.account = Some(account),
        }
        let replay = format!("{} --only {}", command(arguments), workload.number);
        let violations = outcome.violations.iter();
        let mut found: Vec<Finding> =
            violations.map(|violation| report::from_violation(violation, replay.clone())).collect();
        let mut undecided = outcome.undecided;
        for crash in &outcome.exploration.findings {
            match (report::from_crash(crash, replay.clone()), &crash.what) {
                (Some(finding), _) => found.push(finding),
                (None, CrashFault::Unknown(why)) => undecided.push(why.clone()),
                (None, CrashFault::Subject(_) | CrashFault::Misled(..) | CrashFault::Guest(_)) => {}
            }
        }
        self.rejected += u64::from(!found.is_empty());
        for finding in found {
            let clause = finding.clause.clone().unwrap_or_default();
            let count = self.by_clause.entry(clause).or_default();
            *count += 1;
            if *count <= KEPT_MAX {
                let workload = Some(workload.to_string());
                self.report.findings.push(Finding { workload, ..finding });
            }
        }
        let doubt = |why: String| format!("{why}: workload {}: {workload}", workload.number);
        self.report.undecided.extend(undecided.into_iter().map(doubt));
    }

    fn finish(self, arguments: &AceArguments, counted: u64) -> Report {
        let mut report = self.report;
        let bounded = self.account.as_ref().map_or(0, |account| account.bounded);
        if arguments.exhaustive && bounded > 0 {
            report.undecided.push(format!(
                "--exhaustive: {bounded} positions have more than {} unflushed writes, and not \
                 every subset of them was tried; --subset-bound raises the bound",
                arguments.subset_bound,
            ));
        }
        if report.exercised.is_empty() {
            report.undecided.push(run::NOTHING_JUDGED.to_owned());
        }
        report.verdict = run::verdict(self.rejected > 0, !report.undecided.is_empty());
        report.account = self.account;
        report.workloads = Some(WorkloadCount {
            counted,
            done: self.done,
            rejected: self.rejected,
            errors: self.errors,
            findings: self.by_clause,
        });
        if arguments.exhaustive {
            report.command.push_str(" --exhaustive");
        }
        if let Some(number) = arguments.only {
            report.command.push_str(&format!(" --only {number}"));
        }
        report
    }
}

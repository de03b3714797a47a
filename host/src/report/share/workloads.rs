//! Bounded workloads, split one by one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::report::AccountLines;
use crate::report::Finding;
use crate::report::NOTHING_JUDGED;
use crate::report::Report;
use crate::report::Verdict;
use crate::report::WorkloadCount;
use crate::report::share::add_counts;

/// So many findings of one clause are kept; the others are counted.
const KEPT_MAX: usize = 3;

/// What a shard of bounded workloads has to say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadsShare {
    /// What is said before any was done.
    begun: Report,
    /// Is a bound that was hit a doubt?
    exhaustive: bool,
    account: Option<AccountLines>,
    exercised: BTreeMap<String, u64>,
    passed_over: BTreeMap<String, u64>,
    workloads: WorkloadCount,
    /// By the number of the workload; of each clause the first ones.
    findings: Vec<(u64, Finding)>,
    /// Likewise, all of them.
    undecided: Vec<(u64, String)>,
}

impl WorkloadsShare {
    /// Of that many workloads none was done yet.
    #[must_use]
    pub fn new(begun: Report, counted: u64, exhaustive: bool) -> Self {
        let workloads =
            WorkloadCount { counted, done: 0, rejected: 0, errors: 0, findings: BTreeMap::new() };
        Self {
            begun,
            exhaustive,
            account: None,
            exercised: BTreeMap::new(),
            passed_over: BTreeMap::new(),
            workloads,
            findings: Vec::new(),
            undecided: Vec::new(),
        }
    }

    /// One was done, with so many calls that failed and this account.
    pub fn done(&mut self, errors: u64, account: AccountLines) {
        self.workloads.done += 1;
        self.workloads.errors += errors;
        self.add_account(Some(account));
    }

    /// Adds what was counted.
    pub fn count(&mut self, tally: &crate::check::tally::Tally) {
        tally.add_to(&mut self.exercised, &mut self.passed_over);
    }

    /// What was wrong with the workload of that number, which is not below the last one's.
    pub fn found(&mut self, number: u64, findings: Vec<Finding>) {
        self.workloads.rejected += u64::from(!findings.is_empty());
        for finding in findings {
            let clause = finding.clause.clone().unwrap_or_default();
            let count = self.workloads.findings.entry(clause).or_default();
            *count += 1;
            if *count <= KEPT_MAX as u64 {
                self.findings.push((number, finding));
            }
        }
    }

    /// What could not be told of the workload of that number.
    pub fn doubted(&mut self, number: u64, why: String) {
        self.undecided.push((number, why));
    }

    fn add_account(&mut self, account: Option<AccountLines>) {
        match (&mut self.account, account) {
            (Some(all), Some(more)) => all.add(more),
            (None, more) => self.account = more,
            (Some(_), None) => {}
        }
    }

    fn add(&mut self, other: Self) -> Result<(), String> {
        let is_same = self.begun == other.begun
            && self.exhaustive == other.exhaustive
            && self.workloads.counted == other.workloads.counted;
        if !is_same {
            return Err("the shards did different workloads".to_owned());
        }
        self.add_account(other.account);
        add_counts(&mut self.exercised, &other.exercised);
        add_counts(&mut self.passed_over, &other.passed_over);
        add_counts(&mut self.workloads.findings, &other.workloads.findings);
        let (all, more) = (&mut self.workloads, &other.workloads);
        let counts = [
            (&mut all.done, more.done),
            (&mut all.rejected, more.rejected),
            (&mut all.errors, more.errors),
        ];
        for (all, more) in counts {
            *all = all.saturating_add(more);
        }
        self.findings.extend(other.findings);
        self.undecided.extend(other.undecided);
        Ok(())
    }

    fn report(self) -> Report {
        let Self { begun: mut report, mut findings, mut undecided, account, .. } = self;
        // A workload was done by one shard, which has what it showed in order.
        findings.sort_by_key(|(number, _)| *number);
        undecided.sort_by_key(|(number, _)| *number);
        let mut kept: BTreeMap<Option<String>, usize> = BTreeMap::new();
        for (_, finding) in findings {
            let count = kept.entry(finding.clause.clone()).or_default();
            *count += 1;
            if *count <= KEPT_MAX {
                report.findings.push(finding);
            }
        }
        report.undecided.extend(undecided.into_iter().map(|(_, why)| why));
        add_counts(&mut report.exercised, &self.exercised);
        add_counts(&mut report.passed_over, &self.passed_over);
        if self.exhaustive {
            report.undecided.extend(account.iter().flat_map(AccountLines::shortfall));
        }
        if report.exercised.is_empty() {
            report.undecided.push(NOTHING_JUDGED.to_owned());
        }
        report.verdict = Verdict::of(self.workloads.rejected > 0, !report.undecided.is_empty());
        report.account = account;
        report.workloads = Some(self.workloads);
        report
    }
}

/// What all shares say together.
pub(super) fn join(shares: Vec<WorkloadsShare>) -> Result<Report, String> {
    let mut shares = shares.into_iter();
    let mut all = shares.next().ok_or("there is nothing to join")?;
    shares.try_for_each(|share| all.add(share))?;
    Ok(all.report())
}

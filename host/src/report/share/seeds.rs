//! Runs of one workload, each under a seed of its own, split one by one.
//!
//! The answer is the first report that is rejected; if there is none, the first that is undecided;
//! else what was judged in all.

use serde::Deserialize;
use serde::Serialize;

use crate::report::Report;
use crate::report::Schedules;
use crate::report::Verdict;
use crate::report::share::add_counts;

/// What a shard of seeds has to say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedsShare {
    first_seed: u64,
    /// How many are to be tried, by all shards.
    count: u64,
    /// How many were.
    tried: u64,
    /// The command that tries them all.
    command: String,
    /// Which seed's report it is, from 0.
    number: u64,
    /// The first that is rejected, or undecided; or what was judged in all.
    report: Option<Report>,
}

impl SeedsShare {
    /// None of so many was tried yet. The command tries them all.
    #[must_use]
    pub fn new(first_seed: u64, count: u64, command: String) -> Self {
        Self { first_seed, count, tried: 0, command, number: 0, report: None }
    }

    /// How many were tried.
    #[must_use]
    pub fn tried(&self) -> u64 {
        self.tried
    }

    /// Is there nothing left to try?
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.verdict == Verdict::Rejected)
    }

    /// The seed of that number was tried.
    pub fn add(&mut self, number: u64, report: Report) {
        self.tried = self.tried.saturating_add(1);
        self.take(number, report);
    }

    fn take(&mut self, number: u64, mut report: Report) {
        let Some(known) = &mut self.report else {
            (self.number, self.report) = (number, Some(report));
            return;
        };
        let rank = |verdict| match verdict {
            Verdict::Rejected => 2,
            Verdict::Undecided => 1,
            Verdict::Accepted => 0,
        };
        let (was, is) = (rank(known.verdict), rank(report.verdict));
        let is_earlier = number < self.number;
        if is > was || (is == was && is_earlier) {
            std::mem::swap(known, &mut report);
            self.number = number;
        }
        if was == 0 && is == 0 {
            sum(known, report);
        }
    }

    fn join(&mut self, other: Self) -> Result<(), String> {
        let of = |share: &Self| (share.first_seed, share.count, share.command.clone());
        if of(self) != of(&other) {
            return Err("the shards tried different seeds".to_owned());
        }
        self.tried = self.tried.saturating_add(other.tried);
        if let Some(report) = other.report {
            self.take(other.number, report);
        }
        Ok(())
    }
}

/// What all shares say together.
pub(super) fn join(shares: Vec<SeedsShare>) -> Result<Report, String> {
    let is_whole = shares.len() > 1;
    let mut shares = shares.into_iter();
    let mut all = shares.next().ok_or("there is nothing to join")?;
    shares.try_for_each(|share| all.join(share))?;
    let SeedsShare { first_seed, count, tried, command, number, report } = all;
    let mut report = report.ok_or("no seed was tried: at least one is wanted")?;
    let is_rejected = report.verdict == Verdict::Rejected;
    if is_whole && !is_rejected && tried != count {
        return Err(format!("{count} seeds were to be tried, and {tried} were"));
    }
    // Had they been tried in their order, none would have been tried after one that is rejected.
    let until_then = number.saturating_add(1);
    let tried = if is_whole && is_rejected { until_then } else { tried };
    report.schedules = Some(Schedules { first_seed, tried });
    if report.verdict == Verdict::Accepted {
        // What is said of all of them is said again by all of them.
        report.command = command;
    }
    Ok(report)
}

/// What was judged in several runs is judged in all of them together.
fn sum(all: &mut Report, report: Report) {
    add_counts(&mut all.exercised, &report.exercised);
    add_counts(&mut all.passed_over, &report.passed_over);
    if let (Some(sum), Some(account)) = (&mut all.account, report.account) {
        sum.add(account);
    }
}

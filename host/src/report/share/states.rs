//! Crashes of one run, split by the content that each left; or by the call after which a process
//! was killed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::check::explore::Exploration;
use crate::check::finding::CrashFault;
use crate::check::finding::LOSS_OF_A_LEG;
use crate::report;
use crate::report::AccountLines;
use crate::report::Finding;
use crate::report::Report;
use crate::report::Verdict;
use crate::report::many;
use crate::report::share::add_counts;

/// What a shard of an exploration has to say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatesShare {
    /// What is said of the run before it is crashed: the same for each shard.
    run: Report,
    /// Is a bound that was hit a doubt?
    exhaustive: bool,
    /// Was a process killed, after each of its calls?
    kills: bool,
    /// Was a leg to be lost with each crash?
    loses_leg: bool,
    account: AccountLines,
    exercised: BTreeMap<String, u64>,
    passed_over: BTreeMap<String, u64>,
    found: Vec<Found>,
}

/// What crashes showed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// When it was met first, in an order that all shards have in common.
    met: [u64; 3],
    /// Equal for what is one.
    fingerprint: (u8, String),
    state_count: u64,
    what: What,
}

/// A finding, or a doubt.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// What is wrong.
    Finding(Box<Finding>),
    /// What could not be told.
    Doubt(String),
}

impl StatesShare {
    /// What an exploration of a run showed, within a bound of unflushed writes and of crashes in a
    /// row. `replay` is the command that shows a crash again.
    #[must_use]
    pub fn new(
        run: Report,
        exploration: &Exploration,
        (subset_bound, depth): (u32, u32),
        replay: impl Fn(&crate::check::crash_at::CrashAt) -> String,
    ) -> Self {
        let found = exploration.findings.iter().filter_map(|found| {
            let what = match (report::from_crash(found, replay(&found.at)), &found.what) {
                (Some(finding), _) => What::Finding(Box::new(finding)),
                (None, CrashFault::Unknown(why)) => What::Doubt(why.clone()),
                (None, CrashFault::Subject(_) | CrashFault::Misled(..) | CrashFault::Guest(_)) => {
                    return None;
                }
            };
            let fingerprint = found.what.fingerprint();
            Some(Found { met: found.met.0, fingerprint, state_count: found.state_count, what })
        });
        let found = found.collect();
        let tally = &exploration.account.tally;
        let account = AccountLines::new(&exploration.account, subset_bound);
        let (mut exercised, mut passed_over) = (BTreeMap::new(), BTreeMap::new());
        tally.add_to(&mut exercised, &mut passed_over);
        Self {
            run,
            exhaustive: false,
            kills: false,
            loses_leg: false,
            account: account.to_depth(depth, &exploration.account.again),
            exercised,
            passed_over,
            found,
        }
    }

    /// A bound that was hit is a doubt.
    #[must_use]
    pub fn exhaustive(self, exhaustive: bool) -> Self {
        Self { exhaustive, ..self }
    }

    /// A process was killed, after each of its calls.
    #[must_use]
    pub fn kills(self, kills: bool) -> Self {
        Self { kills, ..self }
    }

    /// A leg was to be lost with each crash; that none could be is a doubt.
    #[must_use]
    pub fn loses_leg(self, loses_leg: bool) -> Self {
        Self { loses_leg, ..self }
    }

    fn add(&mut self, other: Self) -> Result<(), String> {
        let asked = |share: &Self| (share.exhaustive, share.kills, share.loses_leg);
        if self.run != other.run || asked(self) != asked(&other) {
            return Err("the shards saw different runs".to_owned());
        }
        if !self.kills {
            self.account.check_same(&other.account)?;
        }
        let (moments, bounded) = (self.account.moments, self.account.bounded);
        let commuting = self.account.pruned_commuting;
        let (torn, lost) = (self.account.torn, self.account.lost_flush.as_ref().map(|l| l.bounded));
        self.account.add(other.account);
        // Runs that were killed share their beginning; states do not share their survey.
        let add = if self.kills { keep_most } else { add_counts };
        if !self.kills {
            let account = &mut self.account;
            (account.moments, account.bounded, account.torn) = (moments, bounded, torn);
            account.pruned_commuting = commuting;
            if let (Some(lines), Some(bounded)) = (&mut account.lost_flush, lost) {
                lines.bounded = bounded;
            }
        }
        add(&mut self.exercised, &other.exercised);
        add(&mut self.passed_over, &other.passed_over);
        self.found.extend(other.found);
        Ok(())
    }

    /// What was found, each thing once, in the order in which it was met.
    fn ordered(found: Vec<Found>) -> Vec<Found> {
        let mut found = found;
        // What was met at one state was met by one shard, which has it in order.
        found.sort_by_key(|found| found.met);
        let mut known: BTreeMap<(u8, String), usize> = BTreeMap::new();
        let mut first: Vec<Found> = Vec::new();
        for found in found {
            if let Some(number) = known.get(&found.fingerprint) {
                let count = &mut first[*number].state_count;
                *count = count.saturating_add(found.state_count);
                continue;
            }
            known.insert(found.fingerprint.clone(), first.len());
            first.push(found);
        }
        first
    }

    fn report(self) -> Report {
        let mut report = self.run;
        for Found { state_count, what, .. } in Self::ordered(self.found) {
            match what {
                What::Finding(finding) => {
                    report.findings.push(Finding { state_count, ..*finding });
                }
                What::Doubt(why) => {
                    report.undecided.push(format!("{why} (in {} states)", many(state_count)));
                }
            }
        }
        add_counts(&mut report.exercised, &self.exercised);
        add_counts(&mut report.passed_over, &self.passed_over);
        if self.account.judged == 0 {
            report.undecided.push("no crash state was judged".to_owned());
        }
        if self.loses_leg && !report.exercised.contains_key(LOSS_OF_A_LEG) {
            report.undecided.push("no crash state could lose that leg".to_owned());
        }
        if self.exhaustive {
            report.undecided.extend(self.account.shortfall());
        }
        report.verdict = Verdict::of(!report.findings.is_empty(), !report.undecided.is_empty());
        report.account = Some(self.account);
        report
    }
}

/// What all shares say together.
pub(super) fn join(shares: Vec<StatesShare>) -> Result<Report, String> {
    let mut shares = shares.into_iter();
    let mut all = shares.next().ok_or("there is nothing to join")?;
    shares.try_for_each(|share| all.add(share))?;
    Ok(all.report())
}

fn keep_most(all: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (what, count) in more {
        let most = all.entry(what.clone()).or_default();
        *most = (*most).max(*count);
    }
}

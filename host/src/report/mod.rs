//! Reports: what was judged, as a terminal, a program or a page shows it.
//!
//! Flow: a command gathers a [`Report`], where work can be split by shares of one (see
//! [`share::Share`]); [`terminal`], [`json`] and [`Conformance::markdown`] print it.
//!
//! same verdict, same bytes. There is no date, no duration and no path in a report but those
//! that were typed.

mod conformance;
pub mod share;
mod terminal;

use std::collections::BTreeMap;

use crashproof_spec::clause::Catalogue;
use crashproof_spec::violation::Violation;
use serde::Deserialize;
use serde::Serialize;

use crate::check::account::Account;
use crate::check::account::AgainAccount;
use crate::check::account::LostFlushAccount;
use crate::check::finding::CrashFault;
use crate::check::finding::CrashFinding;
use crate::check::tally::Tally;

pub use conformance::ClauseLine;
pub use conformance::Conformance;
pub use conformance::Standing;
pub use conformance::WorkloadLine;
pub use terminal::terminal;

/// What is said of a whole run or exploration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything that was judged was accepted.
    Accepted,
    /// It could not be told, or nothing was judged.
    Undecided,
    /// A promise was broken.
    Rejected,
}

impl Verdict {
    /// The worst counts: a broken promise, then a doubt.
    #[must_use]
    pub fn of(broken: bool, doubt: bool) -> Self {
        match (broken, doubt) {
            (true, _) => Self::Rejected,
            (false, true) => Self::Undecided,
            (false, false) => Self::Accepted,
        }
    }
}

/// The doubt that is left where no event decided a clause.
pub const NOTHING_JUDGED: &str = "nothing was judged";

/// Who broke a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Against {
    /// The file system broke a clause.
    Subject,
    /// The file system kept its promises; what the guest acknowledged was covered by none.
    Guest,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Who broke a promise.
    pub against: Against,
    /// The workload, where a report is about many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The clause, if the file system broke one.
    pub clause: Option<String>,
    /// Other clauses that the same fact breaks.
    pub also: Vec<String>,
    /// What the clause says, or what the finding means.
    pub statement: String,
    /// The event that no promise explains.
    pub step: Option<u64>,
    /// What was answered, found or said.
    pub observed: String,
    /// What a verifier made of the answers that it got, if they were wrong.
    pub verifier: Option<String>,
    /// What would have been allowed.
    pub allowed: Vec<String>,
    /// The steps that led there.
    pub chain: Vec<ChainLink>,
    /// The crash that shows it, if there was one.
    pub crash: Option<String>,
    /// In how many crash states it was seen.
    pub state_count: u64,
    /// The command that shows it again.
    pub replay: String,
}

/// A step that led to a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainLink {
    /// Its number.
    pub step: u64,
    /// What happened.
    pub what: String,
}

/// Everything that a command has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The version of this form.
    pub version: u32,
    /// What was run.
    pub workload: String,
    /// What was tested.
    pub subject: String,
    /// What it was held to.
    pub expectation: String,
    /// What is said of it.
    pub verdict: Verdict,
    /// How each process ended.
    pub ends: Vec<(String, String)>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Why it cannot be told, where it cannot.
    pub undecided: Vec<String>,
    /// How often each clause was exercised.
    pub exercised: BTreeMap<String, u64>,
    /// What a bound kept from being judged, and how often.
    pub passed_over: BTreeMap<String, u64>,
    /// What an exploration covered.
    pub account: Option<AccountLines>,
    /// The seeds that were tried, where that was asked for: the last is the one reported, if that
    /// was not accepted.
    pub schedules: Option<Schedules>,
    /// The bounded workloads that were done, where they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workloads: Option<WorkloadCount>,
    /// The answers of chance, one by one, as `replay --log` takes them.
    pub decisions: String,
    /// The command that produces this report again.
    pub command: String,
}

impl Report {
    /// That nothing is wrong, and nothing was judged yet.
    #[must_use]
    pub fn new(workload: String, subject: String, expectation: String, command: String) -> Self {
        Self {
            version: 1,
            workload,
            subject,
            expectation,
            verdict: Verdict::Accepted,
            ends: Vec::new(),
            findings: Vec::new(),
            undecided: Vec::new(),
            exercised: BTreeMap::new(),
            passed_over: BTreeMap::new(),
            account: None,
            schedules: None,
            workloads: None,
            decisions: String::new(),
            command,
        }
    }

    /// Adds what was counted.
    pub fn count(&mut self, tally: &Tally) {
        tally.add_to(&mut self.exercised, &mut self.passed_over);
    }
}

/// Runs of one workload, each under a seed of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedules {
    /// The first seed.
    pub first_seed: u64,
    /// How many were tried, that one included.
    pub tried: u64,
}

/// Bounded workloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadCount {
    /// How many there are, as ACE counts them.
    pub counted: u64,
    /// How many were done: those that equal another one were not.
    pub done: u64,
    /// How many showed that something is wrong.
    pub rejected: u64,
    /// Calls that were answered with an error. What follows such a call may do nothing.
    pub errors: u64,
    /// Findings by clause: more than are told.
    pub findings: BTreeMap<String, u64>,
}

/// An exploration's account, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountLines {
    /// Moments at which the run could have been cut short.
    pub moments: u64,
    /// Crash states.
    pub states: u64,
    /// Of these, those without a leg of the mirror, where one was to be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states_without_leg: Option<u64>,
    /// Contents that were recovered and surveyed.
    pub recovered: u64,
    /// States that shared recovery and survey with an earlier one.
    pub deduplicated: u64,
    /// States with the content of one that was judged at the same moment.
    pub pruned: u64,
    /// States that differ from one that was judged at the same moment only in blocks at which
    /// neither recovery nor survey nor fsck looks.
    pub pruned_unread: u64,
    /// Orders in which unflushed writes could have reached the medium, beyond their subsets: they
    /// leave the same.
    pub pruned_commuting: u64,
    /// States that were judged.
    pub judged: u64,
    /// Runs of the verifier.
    pub verified: u64,
    /// Runs of the verifier that were spared.
    pub verified_before: u64,
    /// Positions at which not every subset was tried.
    pub bounded: u64,
    /// The bound.
    pub subset_bound: u32,
    /// Positions at which not every way to tear a write was tried, where any was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub torn: Option<u64>,
    /// What only a device leaves that lost a flush, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_flush: Option<LostFlushLines>,
    /// Crashes in the middle of recovery, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<AgainLines>,
    /// Unsynced effects that were allowed to be lost, and in how many states they were.
    pub lost: BTreeMap<String, u64>,
}

/// What only a device leaves that lost a flush, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostFlushLines {
    /// So many flushes in a row at most.
    pub flushes: u32,
    /// States that a device which loses none could not leave at that position.
    pub states: u64,
    /// Of these, those in which no promise was broken.
    pub unbroken: u64,
    /// In how many of them a promise was broken, by clause: the device's doing.
    pub broken: BTreeMap<String, u64>,
    /// Positions at which not every subset was tried.
    pub bounded: u64,
}

impl LostFlushLines {
    fn new(account: &LostFlushAccount) -> Self {
        Self {
            flushes: account.flush_count,
            states: account.state_count,
            unbroken: account.unbroken_count,
            broken: account.broken.clone(),
            bounded: account.bounded_count,
        }
    }

    fn add(&mut self, other: Self) {
        let counts = [
            (&mut self.states, other.states),
            (&mut self.unbroken, other.unbroken),
            (&mut self.bounded, other.bounded),
        ];
        for (all, more) in counts {
            *all = all.saturating_add(more);
        }
        for (clause, count) in other.broken {
            let sum = self.broken.entry(clause).or_default();
            *sum = sum.saturating_add(count);
        }
    }
}

/// Crashes in the middle of recovery, as they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgainLines {
    /// So many crashes in a row at most.
    pub depth: u32,
    /// Recoveries that wrote to the device, and so were crashed.
    pub crashed: u64,
    /// What those crashes left.
    pub states: u64,
    /// Contents of them that were recovered.
    pub recovered: u64,
    /// Of these, those that did not end where the recovery ended that went through.
    pub elsewhere: u64,
    /// Positions in recoveries at which not every subset was tried.
    pub bounded: u64,
}

impl AgainLines {
    fn add(&mut self, other: &Self) {
        let counts = [
            (&mut self.crashed, other.crashed),
            (&mut self.states, other.states),
            (&mut self.recovered, other.recovered),
            (&mut self.elsewhere, other.elsewhere),
            (&mut self.bounded, other.bounded),
        ];
        for (all, more) in counts {
            *all = all.saturating_add(more);
        }
    }
}

impl AccountLines {
    /// Adds what another exploration covered within the same bound.
    pub fn add(&mut self, other: Self) {
        let counts = [
            (&mut self.moments, other.moments),
            (&mut self.states, other.states),
            (&mut self.recovered, other.recovered),
            (&mut self.deduplicated, other.deduplicated),
            (&mut self.pruned, other.pruned),
            (&mut self.pruned_unread, other.pruned_unread),
            (&mut self.pruned_commuting, other.pruned_commuting),
            (&mut self.judged, other.judged),
            (&mut self.verified, other.verified),
            (&mut self.verified_before, other.verified_before),
            (&mut self.bounded, other.bounded),
        ];
        for (all, more) in counts {
            *all = all.saturating_add(more);
        }
        if let (Some(all), Some(more)) = (&mut self.again, &other.again) {
            all.add(more);
        }
        let counts = [
            (&mut self.torn, other.torn),
            (&mut self.states_without_leg, other.states_without_leg),
        ];
        for (all, more) in counts {
            if let (Some(all), Some(more)) = (all, more) {
                *all = all.saturating_add(more);
            }
        }
        if let (Some(all), Some(more)) = (&mut self.lost_flush, other.lost_flush) {
            all.add(more);
        }
        for (effect, count) in other.lost {
            let sum = self.lost.entry(effect).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// Are these accounts of shards of one exploration? Each of them counts moments and bounds.
    ///
    /// # Errors
    /// If they are not.
    fn check_same(&self, other: &Self) -> Result<(), String> {
        let of = |account: &Self| {
            let depth = account.again.map(|again| again.depth);
            let lost = account.lost_flush.as_ref().map(|lost| (lost.flushes, lost.bounded));
            let bounds = (account.bounded, account.subset_bound, account.torn);
            (account.moments, account.pruned_commuting, bounds, depth, lost)
        };
        if of(self) == of(other) {
            return Ok(());
        }
        Err("the shards crashed the run at different moments, or within other bounds".to_owned())
    }

    /// Why it does not cover all that could be, if it does not.
    #[must_use]
    pub fn shortfall(&self) -> Vec<String> {
        let again = self.again.map_or(0, |again| again.bounded);
        let lost = self.lost_flush.as_ref().map_or(0, |lost| lost.bounded);
        let count = self.bounded.saturating_add(again).saturating_add(lost);
        let bound = self.subset_bound;
        let subsets = (count > 0).then(|| {
            format!(
                "--exhaustive: {count} positions have more than {bound} unflushed writes, and not \
                 every subset of them was tried; --subset-bound raises the bound"
            )
        });
        let torn = self.torn.filter(|count| *count > 0).map(|count| {
            format!("--exhaustive: at {count} positions writes can be torn in more ways than tried")
        });
        subsets.into_iter().chain(torn).collect()
    }

    /// With crashes in the middle of recovery, so many crashes in a row.
    #[must_use]
    pub fn to_depth(mut self, depth: u32, account: &AgainAccount) -> Self {
        self.again = (depth > 1).then_some(AgainLines {
            depth,
            crashed: account.crashed_count,
            states: account.state_count,
            recovered: account.recovered_count,
            elsewhere: account.differing_count,
            bounded: account.bounded_count,
        });
        self
    }

    /// The account of an exploration within this bound.
    #[must_use]
    pub fn new(account: &Account, subset_bound: u32) -> Self {
        Self {
            moments: account.moment_count,
            states: account.state_count,
            states_without_leg: account.without_leg_count,
            recovered: account.recovered_count,
            deduplicated: account.shared_count,
            pruned: account.repeated_count,
            pruned_unread: account.unread_count,
            pruned_commuting: account.commuting_count,
            judged: account.judged_count,
            verified: account.verified_count,
            verified_before: account.unverified_count,
            bounded: account.bounded_count,
            subset_bound,
            torn: account.torn_bounded_count,
            lost_flush: account.lost_flush.as_ref().map(LostFlushLines::new),
            again: None,
            lost: account.lost.clone(),
        }
    }
}

/// A count of which the largest number stands for more.
fn many(count: u64) -> String {
    if count == u64::MAX { "2^64 or more".to_owned() } else { count.to_string() }
}

/// What a clause says, or that the catalogue does not know it.
#[must_use]
pub fn statement(clause: &str) -> String {
    let known = Catalogue::embedded().get(clause);
    known.map_or_else(|| "a clause that is in no catalogue".to_owned(), |c| c.statement.clone())
}

/// A violation that was seen while a run went.
#[must_use]
pub fn from_violation(violation: &Violation, replay: String) -> Finding {
    Finding {
        against: Against::Subject,
        workload: None,
        clause: Some(violation.clause.to_owned()),
        also: violation.also.iter().map(ToString::to_string).collect(),
        statement: statement(violation.clause),
        step: Some(violation.step.0),
        observed: violation.observed.clone(),
        verifier: None,
        allowed: violation.allowed.clone(),
        chain: violation
            .chain
            .iter()
            .map(|(step, what)| ChainLink { step: step.0, what: what.clone() })
            .collect(),
        crash: None,
        state_count: 0,
        replay,
    }
}

/// What a crash showed; `None` if it is a doubt rather than a finding.
#[must_use]
pub fn from_crash(found: &CrashFinding, replay: String) -> Option<Finding> {
    let mut crash = format!(
        "after device event {}, of the unflushed writes survived: {}; lines printed: {}",
        found.at.position, found.at.survivors, found.line_count
    );
    if let Some(leg) = found.at.lost_leg {
        crash.push_str(&format!("; leg {leg} was lost"));
    }
    for again in &found.at.again {
        let (position, survivors) = (again.position, &again.survivors);
        crash.push_str(&format!("; in its recovery, after device event {position}: {survivors}"));
    }
    match &found.what {
        CrashFault::Subject(violation) => Some(Finding {
            crash: Some(crash),
            state_count: found.state_count,
            ..from_violation(violation, replay)
        }),
        CrashFault::Misled(violation, said) => Some(Finding {
            crash: Some(crash),
            state_count: found.state_count,
            verifier: Some(said.clone()),
            ..from_violation(violation, replay)
        }),
        CrashFault::Guest(message) => Some(Finding {
            against: Against::Guest,
            workload: None,
            clause: None,
            also: Vec::new(),
            statement: "the file system kept its promises; what the guest acknowledged was \
                        covered by none"
                .to_owned(),
            step: None,
            observed: message.clone(),
            verifier: None,
            allowed: Vec::new(),
            chain: Vec::new(),
            crash: Some(crash),
            state_count: found.state_count,
            replay,
        }),
        CrashFault::Unknown(_) => None,
    }
}

/// The report as JSON, with a line break at its end.
#[must_use]
pub fn json<T: Serialize>(report: &T) -> String {
    let mut text =
        serde_json::to_string_pretty(report).expect("a report has string keys and no floats");
    text.push('\n');
    text
}

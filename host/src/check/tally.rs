//! What an oracle counted while it judged.

use std::collections::BTreeMap;

use crashproof_spec::Counts;
use crashproof_spec::Oracle;

/// How often clauses were exercised, and how often something was not judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often each clause was exercised.
    pub exercised: Counts,
    /// What a bound kept from being judged, and how often.
    pub passed_over: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// What an oracle has counted so far.
    #[must_use]
    pub fn of(oracle: &Oracle) -> Self {
        let (exercised, passed_over) = (oracle.exercised(), oracle.passed_over());
        Self { exercised: exercised.clone(), passed_over: passed_over.collect() }
    }

    /// What was counted since the same oracle had counted this much.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        self.exercised.subtract(&before.exercised);
        subtract(&mut self.passed_over, &before.passed_over);
        self
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.exercised.add(&other.exercised);
        merge(&mut self.passed_over, &other.passed_over, |count, more| count + more);
    }

    /// Adds it to counts that may be of other programs as well, clauses and what was not judged.
    pub fn add_to(
        &self,
        exercised: &mut BTreeMap<String, u64>,
        passed_over: &mut BTreeMap<String, u64>,
    ) {
        for (clause, count) in self.exercised.iter() {
            *exercised.entry(clause.to_owned()).or_default() += count;
        }
        for (what, count) in &self.passed_over {
            *passed_over.entry((*what).to_owned()).or_default() += count;
        }
    }

    /// Of each count, the greater one: of runs that share their beginning.
    pub fn most(&mut self, other: &Self) {
        self.exercised.most(&other.exercised);
        merge(&mut self.passed_over, &other.passed_over, u64::max);
    }
}

fn subtract(counts: &mut BTreeMap<&'static str, u64>, before: &BTreeMap<&'static str, u64>) {
    counts.retain(|what, count| {
        *count = count.saturating_sub(before.get(what).copied().unwrap_or_default());
        *count > 0
    });
}

fn merge(
    counts: &mut BTreeMap<&'static str, u64>,
    more: &BTreeMap<&'static str, u64>,
    of: impl Fn(u64, u64) -> u64,
) {
    for (what, more) in more {
        let count = counts.entry(*what).or_default();
        *count = of(*count, *more);
    }
}

//! What an oracle counted while it judged.

use std::collections::BTreeMap;

use crashproof_spec::Oracle;

/// How often clauses were exercised, and how often something was not judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often each clause was exercised.
    pub exercised: BTreeMap<&'static str, u64>,
    /// What a bound kept from being judged, and how often.
    pub passed_over: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// What an oracle has counted so far.
    #[must_use]
    pub fn of(oracle: &Oracle) -> Self {
        let (exercised, passed_over) = (oracle.exercised(), oracle.passed_over());
        Self { exercised: exercised.collect(), passed_over: passed_over.collect() }
    }

    /// What was counted since the same oracle had counted this much.
    #[must_use]
    pub fn since(mut self, before: &Self) -> Self {
        subtract(&mut self.exercised, &before.exercised);
        subtract(&mut self.passed_over, &before.passed_over);
        self
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        merge(&mut self.exercised, &other.exercised, |count, more| count + more);
        merge(&mut self.passed_over, &other.passed_over, |count, more| count + more);
    }

    /// Of each count, the greater one: of runs that share their beginning.
    pub fn most(&mut self, other: &Self) {
        merge(&mut self.exercised, &other.exercised, u64::max);
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

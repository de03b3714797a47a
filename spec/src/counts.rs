//! How often clauses were decided: one number for each clause of the catalogue.
//!
//! Every call counts several, and every crash state is counted apart; so a count is an addition in
//! a row of numbers, and no search in a tree of names.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::clause::Catalogue;

/// All clauses, in the order of their ids.
struct Numbers {
    ids: Vec<&'static str>,
    by_id: FxHashMap<&'static str, usize>,
}

static NUMBERS: LazyLock<Numbers> = LazyLock::new(|| {
    let mut ids: Vec<&str> = Catalogue::embedded().iter().map(|clause| &*clause.id).collect();
    ids.sort_unstable();
    let by_id = ids.iter().enumerate().map(|(number, id)| (*id, number)).collect();
    Numbers { ids, by_id }
});

/// The place of a clause among all, in the order of their ids.
pub(crate) fn number_of(clause: &str) -> Option<usize> {
    NUMBERS.by_id.get(clause).copied()
}

/// The ids of all clauses, each at its number.
pub(crate) fn ids() -> &'static [&'static str] {
    &NUMBERS.ids
}

/// How often each clause was decided, one way or the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// By number; nothing at all before the first is counted.
    by_clause: Vec<u64>,
}

impl Counts {
    /// Counts one more, of a clause of the catalogue.
    pub fn count(&mut self, clause: &str) {
        if let Some(number) = number_of(clause) {
            self.count_number(number);
        }
    }

    pub(crate) fn count_number(&mut self, number: usize) {
        if self.by_clause.is_empty() {
            self.by_clause.resize(ids().len(), 0);
        }
        if let Some(count) = self.by_clause.get_mut(number) {
            *count += 1;
        }
    }

    /// How often a clause was decided.
    #[must_use]
    pub fn get(&self, clause: &str) -> u64 {
        number_of(clause).and_then(|number| self.by_clause.get(number)).copied().unwrap_or(0)
    }

    /// Each clause that was decided at all, and how often, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = ids().iter().zip(&self.by_clause).map(|(id, count)| (*id, *count));
        counts.filter(|(_, count)| *count > 0)
    }

    /// Was none decided?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_clause.iter().all(|count| *count == 0)
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Self) {
        self.join(other, |count, more| count.saturating_add(more));
    }

    /// Of each count, the greater one.
    pub fn most(&mut self, other: &Self) {
        self.join(other, u64::max);
    }

    /// Takes off what had been counted before.
    pub fn subtract(&mut self, before: &Self) {
        self.join(before, u64::saturating_sub);
    }

    fn join(&mut self, other: &Self, of: impl Fn(u64, u64) -> u64) {
        if self.by_clause.len() < other.by_clause.len() {
            self.by_clause.resize(other.by_clause.len(), 0);
        }
        for (count, more) in self.by_clause.iter_mut().zip(&other.by_clause) {
            *count = of(*count, *more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_apart_by_clause_and_told_in_their_order() {
        let mut counts = Counts::default();
        assert!(counts.is_empty());
        for clause in ["RSTAB-01", "DATA-RW-01", "RSTAB-01", "of no catalogue"] {
            counts.count(clause);
        }
        assert_eq!(counts.iter().collect::<Vec<_>>(), [("DATA-RW-01", 1), ("RSTAB-01", 2)]);
        assert_eq!((counts.get("RSTAB-01"), counts.get("NS-LINK-01")), (2, 0));
    }

    #[test]
    fn counts_are_joined_clause_by_clause() {
        let (mut one, mut two) = (Counts::default(), Counts::default());
        one.count("RSTAB-01");
        two.count("RSTAB-01");
        two.count("RSTAB-01");
        two.count("TRUNC-01");
        let (mut sum, mut most) = (one.clone(), one.clone());
        sum.add(&two);
        most.most(&two);
        assert_eq!(sum.iter().collect::<Vec<_>>(), [("RSTAB-01", 3), ("TRUNC-01", 1)]);
        assert_eq!(most, two);
        sum.subtract(&two);
        assert_eq!(sum.iter().collect::<Vec<_>>(), [("RSTAB-01", 1)]);
        let mut nothing = Counts::default();
        nothing.add(&one);
        assert_eq!(nothing, one);
    }
}

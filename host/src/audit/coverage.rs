//! Does the page cache forget acknowledged bytes, and are its clean pages true?
//!
//! INV-COVER: an acknowledged byte that is not stored is in a dirty page, on its way in that
//! version, or known to be lost. INV-CLEAN: a page that is neither dirty nor under writeback nor
//! lost holds what the medium would bring. INV-SYNC: a flush that succeeds leaves out nothing that
//! it took. INV-PASS: a writeback takes each page once, unless the device refused one of them: so
//! it ends, whatever is written beside it. All are looked at when a page's state changes, and so
//! cost what is written back.

use std::collections::BTreeSet;

use crashproof_spec::words::Testimony;

use crate::cache::PageCache;
use crate::cache::Transition;
use crate::cache::TransitionStep;

/// An audit of one page cache. Each clause is reported once for a file.
#[derive(Debug)]
pub struct CoverageAudit {
    cache: PageCache,
    told: BTreeSet<(u64, &'static str)>,
}

impl CoverageAudit {
    /// Audits the cache from now on.
    #[must_use]
    pub fn new(cache: &PageCache) -> Self {
        cache.watch_transitions();
        Self { cache: cache.clone(), told: BTreeSet::new() }
    }

    /// What was found since the last time.
    pub fn take(&mut self) -> Vec<Testimony> {
        let found = self.cache.take_transitions();
        let told = |transition: &Transition| {
            let (clause, evidence) = broken(transition)?;
            let is_new = self.told.insert((transition.ino, clause));
            is_new.then(|| Testimony::Audit { clause: clause.to_owned(), evidence })
        };
        found.iter().filter_map(told).collect()
    }
}

/// The clause that a transition breaks, and why.
fn broken(transition: &Transition) -> Option<(&'static str, String)> {
    let Transition { step, ino, forgotten, differs_at } = transition;
    if let Some(range) = forgotten.first() {
        let (start, end) = (range.start, range.end);
        return Some(match step {
            TransitionStep::Prepared => (
                "MAP-12",
                format!(
                    "INV-COVER: file {ino}, bytes {start} to {end} were stored while their page \
                     was prepared for writeback, and no mark is left of it"
                ),
            ),
            TransitionStep::Ended => (
                "MAP-03",
                format!(
                    "INV-COVER: file {ino}, bytes {start} to {end} are not stored, and their page \
                     counts as clean after its writeback"
                ),
            ),
            TransitionStep::Evicted => (
                "MAP-04",
                format!(
                    "INV-CLEAN: file {ino}, bytes {start} to {end} are not stored, and their page \
                     was dropped as a clean one"
                ),
            ),
            TransitionStep::TakenAgain => (
                "LIM-07",
                format!(
                    "INV-PASS: file {ino}, one writeback took the page of bytes {start} to {end} \
                     twice, and the device had refused nothing: it lasts as long as others write"
                ),
            ),
            TransitionStep::LeftOut => (
                "ERR-REPORT-09",
                format!(
                    "INV-SYNC: file {ino}, a flush succeeded that took the page of bytes {start} \
                     to {end} and wrote nothing of it"
                ),
            ),
        });
    }
    let at = differs_at.as_ref()?;
    let evidence = format!(
        "INV-CLEAN: file {ino}, a clean page differs at byte {at} from what the device took"
    );
    Some(("MAP-04", evidence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_breaks_its_clause_and_a_page_with_nothing_amiss_none() {
        let transition = |step, forgotten, differs_at| {
            broken(&Transition { step, ino: 7, forgotten, differs_at }).map(|(clause, _)| clause)
        };
        let some = || std::iter::once(3..5).collect::<Vec<_>>();
        for (step, clause) in [
            (TransitionStep::Prepared, "MAP-12"),
            (TransitionStep::Ended, "MAP-03"),
            (TransitionStep::Evicted, "MAP-04"),
            (TransitionStep::LeftOut, "ERR-REPORT-09"),
            (TransitionStep::TakenAgain, "LIM-07"),
        ] {
            assert_eq!(transition(step, some(), None), Some(clause));
            assert_eq!(transition(step, Vec::new(), None), None);
        }
        assert_eq!(transition(TransitionStep::Ended, Vec::new(), Some(9)), Some("MAP-04"));
    }
}

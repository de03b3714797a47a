//! Verdicts, and of how many states each is.
//!
//! The key of a verdict is what was found and the moment, never the former alone: between two
//! moments with equal content a promise may have been made, by an fsync that writes nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::check::explore::Exploration;

/// What has one verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Case {
    pub(super) moment: usize,
    /// Of the content.
    pub(super) key: u128,
    /// Is it only left by a device that lost a flush?
    pub(super) has_lost_flush: bool,
    /// Had the medium said what is not so?
    pub(super) has_lied: bool,
}

/// What was said of a case.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// The hash of its first content.
    content: u128,
    state_count: u64,
    /// The numbers of what is wrong.
    pub(super) findings: BTreeSet<usize>,
    /// Unsynced effects that were lost, as they may be.
    pub(super) lost: Vec<String>,
    /// The clauses that are broken because a flush was lost.
    pub(super) by_device: Option<BTreeSet<&'static str>>,
}

/// A state, compared with those of its moment that were met before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// None of them is like it.
    New,
    /// One has the same content.
    SameContent,
    /// One differs only in what nothing looked at.
    SameSight,
    /// A device that loses no flush leaves the same content.
    NotLost,
}

/// The verdicts of the moments that are not done yet.
#[derive(Debug)]
pub(super) struct Verdicts {
    open: BTreeMap<Case, Verdict>,
    /// What devices leave that lose no flush, by moment and content, where others are asked of.
    kept: Option<BTreeSet<(usize, u128)>>,
}

impl Verdicts {
    pub(super) fn new(loses_flushes: bool) -> Self {
        Self { open: BTreeMap::new(), kept: loses_flushes.then(BTreeSet::new) }
    }

    /// Meets a state, or one that stands for so many.
    pub(super) fn meet(&mut self, case: Case, content: u128, state_count: u64) -> Likeness {
        if let Some(kept) = &mut self.kept {
            let here = (case.moment, content);
            if !case.has_lost_flush {
                kept.insert(here);
            } else if kept.contains(&here) {
                return Likeness::NotLost;
            }
        }
        let Some(known) = self.open.get_mut(&case) else {
            self.open.insert(case, Verdict { content, state_count, ..Verdict::default() });
            return Likeness::New;
        };
        known.state_count = known.state_count.saturating_add(state_count);
        if known.content == content { Likeness::SameContent } else { Likeness::SameSight }
    }

    /// The verdict of a case that was met.
    pub(super) fn of(&mut self, case: Case) -> &mut Verdict {
        self.open.entry(case).or_default()
    }

    /// Counts what was said at moments before this one, as often as it was met.
    pub(super) fn close(&mut self, moment: usize, exploration: &mut Exploration) {
        let next = Case { moment, key: 0, has_lost_flush: false, has_lied: false };
        let open = self.open.split_off(&next);
        for verdict in std::mem::replace(&mut self.open, open).into_values() {
            exploration.count(verdict);
        }
        if let Some(kept) = &mut self.kept {
            *kept = kept.split_off(&(moment, 0));
        }
    }
}

impl Exploration {
    fn count(&mut self, verdict: Verdict) {
        let Verdict { state_count, findings, lost, by_device, .. } = verdict;
        if let Some(clauses) = by_device {
            self.account.add_lost_flush(&clauses, state_count);
            return;
        }
        for number in findings {
            let count = &mut self.findings[number].state_count;
            *count = count.saturating_add(state_count);
        }
        for effect in lost {
            let count = self.account.lost.entry(effect).or_default();
            *count = count.saturating_add(state_count);
        }
    }
}

//! What became of pages, for whoever audits the cache: facts, and no judgement.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use crate::sim::Notices;

/// A step in the life of a page after which it may count as clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransitionStep {
    /// Writeback prepared it: its dirty mark is cleared, its bytes are captured.
    Prepared,
    /// The device took what was captured.
    Ended,
    /// It is dropped from memory.
    Evicted,
    /// The flush ended, and told nobody of a failure, that was to write it back and did not.
    LeftOut,
    /// A writeback took it that had taken it before, and the device had refused nothing.
    TakenAgain,
}

/// What was seen of a page that counted as clean, or would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What had just happened to it.
    pub step: TransitionStep,
    /// Whose page.
    pub ino: u64,
    /// Acknowledged bytes of it that no capture has, that no mark promises, and that are not known
    /// to be lost; of what was left out or taken again, the pages.
    pub forgotten: Vec<Range<u64>>,
    /// The first byte in which it differs from what the device took, if the two were compared.
    pub differs_at: Option<u64>,
}

/// Pages, and whose, that the flush under way took and did not write.
type LeftOut = BTreeSet<(u64, u64)>;

/// Where transitions are left if somebody wants them; clones are the same place.
#[derive(Debug, Clone, Default)]
pub(super) struct Transitions {
    kept: Notices<Transition>,
    left_out: Arc<WorldMutex<LeftOut>>,
}

impl Transitions {
    fn left_out(&self) -> WorldGuard<'_, LeftOut> {
        self.left_out.lock()
    }

    pub(super) fn watch(&self) {
        self.kept.watch();
    }

    pub(super) fn is_watched(&self) -> bool {
        self.kept.is_watched()
    }

    /// Keeps a transition of a page with which something is amiss; the others say nothing.
    pub(super) fn note(&self, transition: Transition) {
        if !transition.forgotten.is_empty() || transition.differs_at.is_some() {
            self.kept.note(|| transition);
        }
    }

    /// Keeps in mind that a page is as it was before the flush under way took it.
    pub(super) fn leave_out(&self, ino: u64, page_no: u64) {
        if self.is_watched() {
            self.left_out().insert((ino, page_no));
        }
    }

    /// The pages of a file that were left out since this was asked last, by its only flush.
    pub(super) fn take_left_out(&self, ino: u64) -> Vec<u64> {
        let mut left_out = self.left_out();
        let pages = left_out.range((ino, 0)..=(ino, u64::MAX));
        let taken: Vec<(u64, u64)> = pages.copied().collect();
        taken.iter().for_each(|page| {
            left_out.remove(page);
        });
        taken.into_iter().map(|(_, page_no)| page_no).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(super) fn take(&self) -> Vec<Transition> {
        self.kept.take()
    }
}

//! The error ledger of a file: which bytes were lost, who is owed the news, and when it ends.
//!
//! Whatever the policy, the lost set is kept truthfully, because testimony is taken from it; the
//! policy decides what syncs answer and what becomes of the page.
//!
//! Invariant P-2: a sync answers what the ledger owes. Under `strict-sticky` none succeeds while
//! the lost set, evaluated after this sync's own writeback, is not empty. A range leaves the set
//! when it was rewritten after the loss and the newer bytes became durable, or was removed.

use std::ops::Range;

use crate::cache::ranges::Ranges;
use crate::call::Errno;

/// Who is told of a failed writeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observers {
    /// Every sync of the file, whoever asks.
    Everyone,
    /// Each description that was open at the failure, and those opened before anybody was told.
    OpenAtErrorOrUnseen,
    /// Whoever asks first.
    FirstWaiter,
}

/// What ends the telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClearRule {
    /// The lost range was rewritten and is durable, or was removed.
    SupersededStable,
    /// Each description is told once.
    DescriptionCursor,
    /// Somebody was told.
    FirstReport,
}

/// What becomes of a page whose writeback failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageAfterFailure {
    /// It keeps its bytes and is not evicted while it is lost.
    Pinned,
    /// It keeps its bytes and counts as clean: when it is evicted, the old bytes return.
    CleanKept,
    /// It is dropped at once: the old bytes return.
    CleanDropped,
}

/// How failed writeback is remembered and told. The default is `strict-sticky`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// Who is told.
    pub observers: Observers,
    /// What ends the telling.
    pub clear_rule: ClearRule,
    /// What becomes of the page.
    pub page_after_failure: PageAfterFailure,
    /// Does the record outlive the file's place in memory?
    pub survives_eviction: bool,
    /// Does a sync of everything tell?
    pub sync_all_reports: bool,
}

impl ErrorPolicy {
    /// Every sync of a file fails while any of its acknowledged bytes is lost.
    pub const STRICT_STICKY: Self = Self {
        observers: Observers::Everyone,
        clear_rule: ClearRule::SupersededStable,
        page_after_failure: PageAfterFailure::Pinned,
        survives_eviction: true,
        sync_all_reports: true,
    };

    /// Linux 4.17 and later, before 5.8: an error sequence with a cursor for each description.
    pub const LINUX_ERRSEQ_4_17: Self = Self {
        observers: Observers::OpenAtErrorOrUnseen,
        clear_rule: ClearRule::DescriptionCursor,
        page_after_failure: PageAfterFailure::CleanKept,
        survives_eviction: false,
        sync_all_reports: false,
    };

    /// DEF-004a: a page is marked clean although its writeback failed; one sync tells.
    pub const CLEAN_ON_ERROR: Self = Self {
        observers: Observers::FirstWaiter,
        clear_rule: ClearRule::FirstReport,
        page_after_failure: PageAfterFailure::CleanKept,
        ..Self::STRICT_STICKY
    };

    /// DEF-004b: the page is kept, but after one sync told of it the next succeeds.
    pub const REPORT_ONCE: Self = Self {
        observers: Observers::FirstWaiter,
        clear_rule: ClearRule::FirstReport,
        page_after_failure: PageAfterFailure::Pinned,
        ..Self::STRICT_STICKY
    };

    /// D-17: a page whose writeback failed is dropped, and the old bytes return, although every
    /// sync tells of it.
    pub const DROPPED_ON_ERROR: Self =
        Self { page_after_failure: PageAfterFailure::CleanDropped, ..Self::STRICT_STICKY };

    /// Every named value.
    pub const NAMED: [(&'static str, Self); 5] = [
        ("strict-sticky", Self::STRICT_STICKY),
        ("linux-errseq-4.17", Self::LINUX_ERRSEQ_4_17),
        ("clean-on-error", Self::CLEAN_ON_ERROR),
        ("report-once", Self::REPORT_ONCE),
        ("dropped-on-error", Self::DROPPED_ON_ERROR),
    ];

    /// The policy of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|(known, _)| *known == name).map(|(_, policy)| policy)
    }
}

impl Default for ErrorPolicy {
    fn default() -> Self {
        Self::STRICT_STICKY
    }
}

/// How much of a file's errors an open file description has been told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorCursor(u64);

/// Marks a moment of writeback, so that what follows it is not taken for durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark(u64);

/// The errors of one file.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    lost: Ranges,
    errno: Option<Errno>,
    /// Rewritten ranges that the device took, by moment; durable after the next sync.
    rewritten: Vec<(Mark, Range<u64>)>,
    /// The present moment: it passes with each rewritten range.
    now: u64,
    /// Number of failures so far.
    failures: u64,
    /// The failures that somebody was told of.
    seen: u64,
}

impl Ledger {
    /// Is there something that the policy does not allow to be forgotten?
    pub(super) fn must_stay(&self, policy: &ErrorPolicy) -> bool {
        let untold = self.seen < self.failures;
        let owed = match policy.clear_rule {
            ClearRule::SupersededStable => self.has_lost(),
            ClearRule::DescriptionCursor | ClearRule::FirstReport => untold,
        };
        policy.survives_eviction && owed
    }

    pub(super) fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Is any byte of the range lost?
    pub(super) fn meets(&self, range: &Range<u64>) -> bool {
        self.lost.meets(range)
    }

    /// What the last failure said, while any byte is lost.
    pub(super) fn lost_errno(&self) -> Option<Errno> {
        self.errno.filter(|_| self.has_lost())
    }

    /// A writeback failed. `ranges` are the acknowledged bytes that it would have written.
    pub(super) fn fail(&mut self, ranges: &[Range<u64>], errno: Errno) {
        self.errno = Some(errno);
        self.failures += 1;
        for range in ranges {
            self.lost.add(range.clone());
            // Bytes written before, and lost again, were not made durable by the write before.
            self.rewritten = subtract(std::mem::take(&mut self.rewritten), range);
        }
    }

    /// The device took newer bytes of these ranges.
    pub(super) fn wrote(&mut self, ranges: &[Range<u64>]) {
        for range in ranges.iter().filter(|range| self.lost.meets(range)) {
            self.rewritten.push((Mark(self.now), range.clone()));
            self.now += 1;
        }
    }

    /// What a sync that starts now will make durable.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.now)
    }

    /// A sync succeeded that started at the mark. Answers what is no longer lost.
    pub(super) fn settle(&mut self, mark: Mark) -> Vec<Range<u64>> {
        let count = self.rewritten.partition_point(|(moment, _)| *moment < mark);
        let settled: Vec<_> = self.rewritten.drain(..count).collect();
        settled.into_iter().flat_map(|(_, range)| self.lost.take(range)).collect()
    }

    /// The bytes from `size_bytes` on were removed. Answers what is no longer lost.
    pub(super) fn remove_from(&mut self, size_bytes: u64) -> Vec<Range<u64>> {
        self.remove(size_bytes..u64::MAX)
    }

    /// Bytes were removed. Answers what is no longer lost.
    pub(super) fn remove(&mut self, range: Range<u64>) -> Vec<Range<u64>> {
        self.rewritten = subtract(std::mem::take(&mut self.rewritten), &range);
        self.lost.take(range)
    }

    /// The cursor of a description that is opened now.
    pub(super) fn open_cursor(&self) -> ErrorCursor {
        // Nobody was told of the failures after `seen`: the new description is the first.
        ErrorCursor(self.seen)
    }

    /// What a sync through a description answers; the description has been told then.
    pub(super) fn collect(
        &mut self,
        policy: &ErrorPolicy,
        cursor: &mut ErrorCursor,
    ) -> Result<(), Errno> {
        let owed = match (policy.clear_rule, policy.observers) {
            (ClearRule::SupersededStable, _) => self.has_lost(),
            (
                ClearRule::DescriptionCursor,
                Observers::Everyone | Observers::OpenAtErrorOrUnseen,
            ) => cursor.0 < self.failures,
            (ClearRule::FirstReport, _)
            | (ClearRule::DescriptionCursor, Observers::FirstWaiter) => self.seen < self.failures,
        };
        cursor.0 = self.failures;
        self.seen = self.failures;
        match self.errno {
            Some(errno) if owed => Err(errno),
            _ => Ok(()),
        }
    }
}

/// The ranges without the bytes of one, in their order.
fn subtract(ranges: Vec<(Mark, Range<u64>)>, without: &Range<u64>) -> Vec<(Mark, Range<u64>)> {
    let parts = |(mark, range): (Mark, Range<u64>)| {
        let before = range.start..range.end.min(without.start);
        [(mark, before), (mark, range.start.max(without.end)..range.end)]
    };
    ranges.into_iter().flat_map(parts).filter(|(_, range)| !range.is_empty()).collect()
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "ranges are what is compared")]
mod tests {
    use super::*;

    fn failed(range: Range<u64>) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.fail(&[range], Errno::Io);
        ledger
    }

    fn sync(ledger: &mut Ledger, policy: &ErrorPolicy, cursor: &mut ErrorCursor) -> bool {
        ledger.collect(policy, cursor).is_ok()
    }

    #[test]
    fn strict_sticky_fails_until_the_whole_range_is_rewritten_and_durable() {
        let (policy, mut cursor) = (ErrorPolicy::STRICT_STICKY, ErrorCursor::default());
        let mut ledger = failed(10..30);
        assert!(!sync(&mut ledger, &policy, &mut cursor));
        assert!(!sync(&mut ledger, &policy, &mut cursor));
        ledger.wrote(&[10..20, 0..5]);
        let early = ledger.mark();
        ledger.wrote(&[20..40, 0..5]);
        assert_eq!(ledger.settle(early), [10..20]);
        assert!(!sync(&mut ledger, &policy, &mut cursor), "20..30 was written after the mark");
        assert_eq!(ledger.settle(ledger.mark()), [20..30]);
        assert!(sync(&mut ledger, &policy, &mut cursor));
    }

    #[test]
    fn a_range_that_is_lost_again_is_not_settled_by_the_write_before() {
        let mut ledger = failed(0..8);
        ledger.wrote(&[0..8, 8..16]);
        ledger.fail(&[0..4, 8..9], Errno::Io);
        assert_eq!(ledger.settle(ledger.mark()), [4..8]);
        assert!(ledger.meets(&(0..1)) && ledger.has_lost());
    }

    #[test]
    fn removing_the_lost_range_ends_it() {
        let mut ledger = failed(10..30);
        assert_eq!(ledger.remove_from(20), [20..30]);
        assert!(ledger.has_lost());
        assert_eq!(ledger.remove_from(0), [10..20]);
        assert!(sync(&mut ledger, &ErrorPolicy::STRICT_STICKY, &mut ErrorCursor::default()));
    }

    #[test]
    fn errseq_tells_each_description_once_and_an_unseen_error_the_first_new_opener() {
        let policy = ErrorPolicy::LINUX_ERRSEQ_4_17;
        let mut ledger = Ledger::default();
        let (mut first, mut second) = (ledger.open_cursor(), ledger.open_cursor());
        ledger.fail(&[Range { start: 0, end: 1 }], Errno::NoSpace);
        let mut unseen = ledger.open_cursor();
        assert_eq!(ledger.collect(&policy, &mut first), Err(Errno::NoSpace));
        assert!(sync(&mut ledger, &policy, &mut first));
        assert!(!sync(&mut ledger, &policy, &mut second));
        assert!(!sync(&mut ledger, &policy, &mut unseen));
        let mut late = ledger.open_cursor();
        assert!(sync(&mut ledger, &policy, &mut late));
    }

    #[test]
    fn the_defects_forget_what_strict_sticky_remembers() {
        for policy in [ErrorPolicy::CLEAN_ON_ERROR, ErrorPolicy::REPORT_ONCE] {
            let (mut ledger, mut cursor) = (failed(0..1), ErrorCursor::default());
            assert!(!sync(&mut ledger, &policy, &mut cursor));
            assert!(sync(&mut ledger, &policy, &mut cursor));
            assert!(ledger.has_lost());
        }
    }

    #[test]
    fn every_policy_has_a_name() {
        for (name, policy) in ErrorPolicy::NAMED {
            assert_eq!(ErrorPolicy::from_name(name), Some(policy));
        }
        assert_eq!(ErrorPolicy::from_name("none"), None);
    }
}

//! The error ledger of a file: which bytes were lost, who is owed the news, and when it ends.
//!
//! Whatever the policy, the lost set is kept truthfully, because testimony is taken from it; the
//! policy decides what syncs answer and what becomes of the page.
//!
//! Invariant P-2: a sync answers what the ledger owes. Under `strict-sticky` none succeeds while
//! the lost set, evaluated after this sync's own writeback, is not empty. A range leaves the set
//! when it was rewritten after the loss and the newer bytes became durable, or was removed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::cache::ClearRule;
use crate::cache::ErrorPolicy;
use crate::cache::Observers;
use crate::cache::ReportTime;
use crate::cache::Writer;
use crate::cache::ranges::Ranges;
use crate::call::Errno;

/// How much of a file's errors an open file description has been told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorCursor {
    told: u64,
    by: Writer,
}

impl ErrorCursor {
    /// Which description it is.
    #[must_use]
    pub fn writer(&self) -> Writer {
        self.by
    }
}

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
    /// How many writebacks of any file had failed with the last of them.
    failed_at: u64,
    /// The failures that somebody was told of.
    seen: u64,
    /// Has any writeback failed since somebody opened a file that nobody had open?
    is_flagged: bool,
    /// Whose bytes were lost, with the last error, until they are told.
    owed: BTreeMap<Writer, Errno>,
}

/// How many writebacks of any file had failed when a call began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncBegan(pub(super) u64);

impl Ledger {
    /// Is there something that somebody is owed, as long as the file has its place in memory?
    pub(super) fn is_owed(&self, policy: &ErrorPolicy) -> bool {
        // Nobody is left whose bytes they were.
        let is_of_writers = policy.observers == Observers::Writer;
        let untold = self.seen < self.failures && !is_of_writers;
        match policy.clear_rule {
            ClearRule::SupersededStable => self.has_lost(),
            ClearRule::LastClose => self.is_flagged,
            ClearRule::DescriptionCursor | ClearRule::FirstReport | ClearRule::Reopen => untold,
            // That is the file system's to remember.
            ClearRule::Remount => false,
        }
    }

    /// Is there something that the policy does not allow to be forgotten?
    pub(super) fn must_stay(&self, policy: &ErrorPolicy) -> bool {
        policy.survives_eviction && self.is_owed(policy)
    }

    /// Whoever would be told as the first is not told any more.
    pub(super) fn use_up(&mut self) {
        self.seen = self.failures;
        self.owed.clear();
    }

    /// Nobody has the file open any more.
    pub(super) fn closed(&mut self) {
        self.is_flagged = false;
    }

    /// What is lost.
    pub(super) fn lost(&self) -> Vec<Range<u64>> {
        self.lost.iter().collect()
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

    /// A writeback failed, the `number`th of any file. `ranges` are the acknowledged bytes that it
    /// would have written.
    pub(super) fn fail(&mut self, ranges: &[Range<u64>], errno: Errno, number: u64) {
        self.errno = Some(errno);
        self.failures += 1;
        self.failed_at = number;
        self.is_flagged = true;
        for range in ranges {
            self.lost.add(range.clone());
            // Bytes written before, and lost again, were not made durable by the write before.
            self.rewritten = subtract(std::mem::take(&mut self.rewritten), range);
        }
    }

    /// The bytes of a failed writeback were of these descriptions.
    pub(super) fn owe(&mut self, writers: &BTreeSet<Writer>, errno: Errno) {
        self.owed.extend(writers.iter().map(|writer| (*writer, errno)));
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
    pub(super) fn open_cursor(&self, policy: &ErrorPolicy, by: Writer) -> ErrorCursor {
        let told = match policy.observers {
            Observers::OpenAtError => self.failures,
            // Nobody was told of the failures after `seen`: the new description is the first.
            Observers::Everyone
            | Observers::OpenAtErrorOrUnseen
            | Observers::FirstWaiter
            | Observers::Waiter
            | Observers::Writer => self.seen,
        };
        ErrorCursor { told, by }
    }

    /// A sync begins. Where the next sync tells, an error that is owed ends it at once.
    pub(super) fn begin(
        &mut self,
        policy: &ErrorPolicy,
        cursor: &mut ErrorCursor,
    ) -> Result<(), Errno> {
        if policy.report == ReportTime::NextSync && cursor.told < self.failures {
            self.tell(cursor, self.failures);
            return self.errno.map_or(Ok(()), Err);
        }
        Ok(())
    }

    fn tell(&mut self, cursor: &mut ErrorCursor, failures: u64) {
        cursor.told = failures;
        self.seen = self.seen.max(failures);
    }

    /// What a sync through a description answers whose call began then; the description has been
    /// told.
    pub(super) fn collect(
        &mut self,
        policy: &ErrorPolicy,
        cursor: &mut ErrorCursor,
        began: SyncBegan,
    ) -> Result<(), Errno> {
        let is_behind = cursor.told < self.failures;
        let owed = match policy.observers {
            Observers::Everyone if policy.clear_rule == ClearRule::LastClose => self.is_flagged,
            Observers::Everyone => self.has_lost(),
            Observers::OpenAtError | Observers::OpenAtErrorOrUnseen => is_behind,
            Observers::FirstWaiter => self.seen < self.failures,
            Observers::Waiter => began.0 < self.failed_at,
            Observers::Writer => return self.owed.remove(&cursor.by).map_or(Ok(()), Err),
        };
        if policy.report == ReportTime::NextSync {
            // What failed meanwhile is told by the next one.
            return Ok(());
        }
        if policy.clear_rule == ClearRule::Reopen {
            self.seen = self.failures;
        } else {
            self.tell(cursor, self.failures);
        }
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
        ledger.fail(&[range], Errno::Io, 1);
        ledger
    }

    const LINUX: ErrorPolicy = ErrorPolicy {
        observers: Observers::OpenAtErrorOrUnseen,
        clear_rule: ClearRule::DescriptionCursor,
        page_after_failure: crate::cache::PageAfterFailure::CleanKept,
        ..ErrorPolicy::STRICT_STICKY
    };

    fn told(
        ledger: &mut Ledger,
        policy: &ErrorPolicy,
        cursor: &mut ErrorCursor,
    ) -> Result<(), Errno> {
        let began = SyncBegan(ledger.failed_at);
        ledger.begin(policy, cursor)?;
        ledger.collect(policy, cursor, began)
    }

    fn sync(ledger: &mut Ledger, policy: &ErrorPolicy, cursor: &mut ErrorCursor) -> bool {
        told(ledger, policy, cursor).is_ok()
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
        ledger.fail(&[0..4, 8..9], Errno::Io, 2);
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
        let policy = LINUX;
        let mut ledger = Ledger::default();
        let open = |ledger: &Ledger| ledger.open_cursor(&policy, Writer::NOBODY);
        let (mut first, mut second) = (open(&ledger), open(&ledger));
        ledger.fail(&[Range { start: 0, end: 1 }], Errno::NoSpace, 1);
        let mut unseen = open(&ledger);
        assert_eq!(told(&mut ledger, &policy, &mut first), Err(Errno::NoSpace));
        assert!(sync(&mut ledger, &policy, &mut first));
        assert!(!sync(&mut ledger, &policy, &mut second));
        assert!(!sync(&mut ledger, &policy, &mut unseen));
        let mut late = open(&ledger);
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
    fn linux_4_13_tells_only_who_had_it_open() {
        let policy = ErrorPolicy { observers: Observers::OpenAtError, ..LINUX };
        let mut ledger = failed(0..1);
        assert!(!sync(&mut ledger, &policy, &mut ErrorCursor::default()));
        let mut ledger = failed(0..1);
        let mut late = ledger.open_cursor(&policy, Writer::NOBODY);
        assert!(sync(&mut ledger, &policy, &mut late));
    }

    #[test]
    fn a_late_report_comes_with_the_next_sync_and_then_ends() {
        let policy = ErrorPolicy { report: ReportTime::NextSync, ..LINUX };
        let (mut ledger, mut cursor) = (Ledger::default(), ErrorCursor::default());
        let began = SyncBegan(0);
        ledger.begin(&policy, &mut cursor).expect("nothing has failed");
        ledger.fail(&[Range { start: 0, end: 1 }], Errno::Io, 1);
        assert_eq!(ledger.collect(&policy, &mut cursor, began), Ok(()));
        assert!(!sync(&mut ledger, &policy, &mut cursor));
        assert!(sync(&mut ledger, &policy, &mut cursor));
    }

    #[test]
    fn a_vnode_flag_stays_until_the_last_close_whatever_is_rewritten() {
        let clear_rule = ClearRule::LastClose;
        let policy =
            ErrorPolicy { clear_rule, survives_eviction: false, ..ErrorPolicy::STRICT_STICKY };
        let (mut ledger, mut cursor) = (failed(0..1), ErrorCursor::default());
        ledger.remove_from(0);
        assert!(!sync(&mut ledger, &policy, &mut cursor));
        ledger.closed();
        assert!(sync(&mut ledger, &policy, &mut cursor));
    }

    #[test]
    fn a_description_that_was_told_for_good_is_told_again_and_a_new_one_is_not() {
        let policy = ErrorPolicy { clear_rule: ClearRule::Reopen, ..LINUX };
        let (mut ledger, mut cursor) = (failed(0..1), ErrorCursor::default());
        assert!(!sync(&mut ledger, &policy, &mut cursor));
        assert!(!sync(&mut ledger, &policy, &mut cursor));
        let mut late = ledger.open_cursor(&policy, Writer::NOBODY);
        assert!(sync(&mut ledger, &policy, &mut late));
    }

    #[test]
    fn a_waiter_is_told_of_its_own_failures_alone() {
        let clear_rule = ClearRule::FirstReport;
        let observers = Observers::Waiter;
        let policy = ErrorPolicy { observers, clear_rule, ..ErrorPolicy::STRICT_STICKY };
        let (mut ledger, mut cursor) = (failed(0..1), ErrorCursor::default());
        assert!(sync(&mut ledger, &policy, &mut cursor));
        // Another file's failure, and one of this, before the sync did anything.
        let began = SyncBegan(7);
        ledger.fail(&[Range { start: 0, end: 1 }], Errno::Io, 8);
        ledger.begin(&policy, &mut cursor).expect("it tells at the end");
        assert_eq!(ledger.collect(&policy, &mut cursor, began), Err(Errno::Io));
    }

    #[test]
    fn a_writer_is_told_once_of_its_own_bytes_and_nobody_else_is() {
        let observers = Observers::Writer;
        let policy = ErrorPolicy { observers, survives_eviction: false, ..LINUX };
        let mut ledger = failed(0..1);
        ledger.owe(&BTreeSet::from([Writer(1)]), Errno::NoSpace);
        let open = |ledger: &Ledger, number| ledger.open_cursor(&policy, Writer(number));
        let (mut writer, mut other) = (open(&ledger, 1), open(&ledger, 2));
        assert!(sync(&mut ledger, &policy, &mut other));
        assert_eq!(told(&mut ledger, &policy, &mut writer), Err(Errno::NoSpace));
        assert!(sync(&mut ledger, &policy, &mut writer));
        assert!(!ledger.is_owed(&policy));
    }
}

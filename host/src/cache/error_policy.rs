//! How failed writeback is remembered and told, as values: what systems do differently.
//!
//! Each value says what the cache does. What a caller may rely on is written down elsewhere, in the
//! words of the spec, so that neither is made from the other.

use serde::Deserialize;

/// Who is told of a failed writeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observers {
    /// Every sync of the file, whoever asks.
    Everyone,
    /// Each description that was open at the failure (Linux 4.13, commit 5660e13d2fd6).
    OpenAtError,
    /// And those opened before anybody was told (Linux 4.17, commit b4678df184b3).
    OpenAtErrorOrUnseen,
    /// Whoever asks first (Linux before 4.13).
    FirstWaiter,
    /// The sync whose own writeback it was; of one in the background nobody (FreeBSD).
    Waiter,
    /// The description through which the lost bytes were written, and no other (the NFS client of
    /// Linux, which kept the error in the open context).
    Writer,
}

/// What ends the telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClearRule {
    /// The lost range was written and is durable, or was removed.
    SupersededStable,
    /// Each description is told once.
    DescriptionCursor,
    /// Somebody was told.
    FirstReport,
    /// Nobody has the file open any more; a page that is still dirty then is given up (OpenBSD:
    /// the flag of the vnode; gluster with resync-failed-syncs-after-fsync).
    LastClose,
    /// A description that was told once is told for good: only a new one is not (QEMU's file
    /// driver, which fails every flush after the first that failed).
    Reopen,
    /// The file system is mounted again; whatever file failed (overlayfs mounted volatile).
    Remount,
}

/// What a sync does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Syncs {
    /// It writes, and waits for the device.
    Performed,
    /// Nothing, but for looking whether any writeback failed (overlayfs mounted volatile).
    LeftOut,
}

/// Which sync tells of a failure that it met itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportTime {
    /// That one.
    SameSync,
    /// The next one, which then writes nothing (ext4 data=journal: the first has its data in the
    /// journal).
    NextSync,
}

/// What becomes of a page whose writeback failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageAfterFailure {
    /// It keeps its bytes and is not evicted while it is lost.
    Pinned,
    /// It keeps its bytes and counts as clean: when it is evicted, the old bytes return.
    CleanKept,
    /// It is dropped at once: the old bytes return. A page that is no longer up to date is the
    /// same to whoever reads.
    CleanDropped,
    /// It is dirty again: the next writeback tries again.
    Redirtied,
    /// It is dropped, and with it whatever else of the file was waiting to be written (gluster's
    /// write-behind).
    QueueDropped,
}

/// Does a sync of everything tell?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncAllReports {
    /// No.
    Never,
    /// Each failure once. Linux from 5.8 on tells each description once; the call does not say
    /// through which it was made.
    Once,
    /// As long as anything is lost.
    Always,
    /// No, and whoever would have been told of it as the first is not told any more either (D-05:
    /// it clears the mark that the owner's sync looks for).
    UsedUp,
}

/// What `close` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CloseReports {
    /// Nothing but closing.
    Never,
    /// It writes the file back first, and tells what failed. The descriptor is gone all the same.
    FlushThenReport,
}

/// What happens while file data cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suspension {
    /// Nothing more.
    None,
    /// Whoever would write it waits, and tries again (zpoolprops failmode=wait).
    BlockCallers,
    /// Every write is refused (zpoolprops failmode=continue).
    FailCallers,
}

/// What becomes of a file's size when the bytes that it covers could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeAfterFailure {
    /// It is not stored: what is found after power loss is not longer for them.
    Withheld,
    /// It is stored: what is found after power loss is as long as it was told (ext4, XFS).
    Stored,
}

/// How failed writeback is remembered and told. The default is `strict-sticky`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// Who is told.
    pub observers: Observers,
    /// What ends the telling.
    pub clear_rule: ClearRule,
    /// When it is told.
    pub report: ReportTime,
    /// What becomes of the page.
    pub page_after_failure: PageAfterFailure,
    /// What becomes of the size.
    pub size_after_failure: SizeAfterFailure,
    /// Does the record outlive the file's place in memory?
    pub survives_eviction: bool,
    /// Does a sync of everything tell?
    pub sync_all: SyncAllReports,
    /// What `close` does.
    pub close: CloseReports,
    /// What happens meanwhile.
    pub suspension: Suspension,
    /// What a sync does.
    pub syncs: Syncs,
}

impl ErrorPolicy {
    /// Every sync of a file fails while any of its acknowledged bytes is lost.
    pub const STRICT_STICKY: Self = Self {
        observers: Observers::Everyone,
        clear_rule: ClearRule::SupersededStable,
        report: ReportTime::SameSync,
        page_after_failure: PageAfterFailure::Pinned,
        size_after_failure: SizeAfterFailure::Withheld,
        survives_eviction: true,
        sync_all: SyncAllReports::Always,
        close: CloseReports::Never,
        suspension: Suspension::None,
        syncs: Syncs::Performed,
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

    /// DEF-004d: a sync that fails drops whatever else of the file was waiting to be written, and
    /// the next one succeeds (gluster's write-behind, as its default is).
    pub const QUEUE_FORGOTTEN: Self = Self {
        observers: Observers::Waiter,
        clear_rule: ClearRule::FirstReport,
        page_after_failure: PageAfterFailure::QueueDropped,
        ..Self::STRICT_STICKY
    };

    /// DEF-004e: a page whose writeback failed counts as clean, and the record of it goes with the
    /// file's place in memory. Until then every sync fails.
    pub const FORGOTTEN_ON_EVICTION: Self = Self {
        page_after_failure: PageAfterFailure::CleanKept,
        survives_eviction: false,
        ..Self::STRICT_STICKY
    };

    /// Is what could not be written tried again?
    #[must_use]
    pub fn retries(&self) -> bool {
        self.page_after_failure == PageAfterFailure::Redirtied
    }

    /// Which two values cannot go together, if any cannot: the names of their keys, and why.
    #[must_use]
    pub fn conflict(&self) -> Option<Conflict> {
        let (allowed, why): (&[ClearRule], _) = match self.observers {
            Observers::Everyone => (
                &[ClearRule::SupersededStable, ClearRule::LastClose, ClearRule::Remount],
                "with these observers it is \"superseded-stable\", \"last-close\" or \"remount\"",
            ),
            Observers::OpenAtError | Observers::OpenAtErrorOrUnseen => (
                &[ClearRule::DescriptionCursor, ClearRule::Reopen],
                "with these observers it is \"description-cursor\" or \"reopen\"",
            ),
            Observers::Waiter if self.retries() => (
                &[ClearRule::SupersededStable, ClearRule::LastClose],
                "with these observers, and what is tried again, it is \"superseded-stable\" or \
                 \"last-close\"",
            ),
            Observers::FirstWaiter | Observers::Waiter => {
                (&[ClearRule::FirstReport], "with these observers it is \"first-report\"")
            }
            Observers::Writer => (
                &[ClearRule::DescriptionCursor],
                "with these observers it is \"description-cursor\"",
            ),
        };
        let ends = [ClearRule::SupersededStable, ClearRule::LastClose];
        let is_late = self.report == ReportTime::NextSync;
        let is_suspended = self.suspension != Suspension::None;
        let cases = [
            (!allowed.contains(&self.clear_rule), "clear", why),
            (
                self.retries() && !ends.contains(&self.clear_rule),
                "clear",
                "what is tried again is told of until it is written, or until the last close",
            ),
            (
                is_late && self.clear_rule != ClearRule::DescriptionCursor,
                "report",
                "next-sync needs clear = \"description-cursor\"",
            ),
            (
                is_late && self.observers == Observers::Writer,
                "report",
                "with observers = \"writer\" it is \"same-sync\"",
            ),
            (
                self.survives_eviction && self.observers == Observers::Writer,
                "survives_eviction",
                "what a writer was not told goes with its description",
            ),
            (
                is_suspended && !self.retries(),
                "suspend",
                "needs page_after_failure = \"redirtied\": what is waited for is tried again",
            ),
            (
                is_suspended && self.clear_rule != ClearRule::SupersededStable,
                "suspend",
                "needs clear = \"superseded-stable\"",
            ),
            (
                self.clear_rule == ClearRule::LastClose && self.survives_eviction,
                "survives_eviction",
                "nothing survives the last close",
            ),
            (
                (self.clear_rule == ClearRule::Remount) != (self.syncs == Syncs::LeftOut),
                "syncs",
                "\"left-out\" and clear = \"remount\" go together",
            ),
        ];
        let found = cases.into_iter().find(|(is_wrong, _, _)| *is_wrong);
        found.map(|(_, key, why)| Conflict { key, why })
    }
}

impl Default for ErrorPolicy {
    fn default() -> Self {
        Self::STRICT_STICKY
    }
}

/// Why values cannot go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The key whose value cannot be had beside the others.
    pub key: &'static str,
    /// Why not.
    pub why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_names_itself_goes_together() {
        for policy in [
            ErrorPolicy::STRICT_STICKY,
            ErrorPolicy::CLEAN_ON_ERROR,
            ErrorPolicy::REPORT_ONCE,
            ErrorPolicy::DROPPED_ON_ERROR,
            ErrorPolicy::QUEUE_FORGOTTEN,
            ErrorPolicy::FORGOTTEN_ON_EVICTION,
        ] {
            assert_eq!(policy.conflict(), None);
        }
    }

    #[test]
    fn each_conflict_is_told_by_the_key_that_is_to_be_changed() {
        let strict = ErrorPolicy::STRICT_STICKY;
        let redirtied = PageAfterFailure::Redirtied;
        for (policy, key) in [
            (ErrorPolicy { observers: Observers::OpenAtError, ..strict }, "clear"),
            (
                ErrorPolicy {
                    observers: Observers::FirstWaiter,
                    clear_rule: ClearRule::FirstReport,
                    page_after_failure: redirtied,
                    ..strict
                },
                "clear",
            ),
            (ErrorPolicy { report: ReportTime::NextSync, ..strict }, "report"),
            (ErrorPolicy { suspension: Suspension::FailCallers, ..strict }, "suspend"),
            (
                ErrorPolicy {
                    suspension: Suspension::BlockCallers,
                    page_after_failure: redirtied,
                    clear_rule: ClearRule::LastClose,
                    survives_eviction: false,
                    ..strict
                },
                "suspend",
            ),
            (ErrorPolicy { clear_rule: ClearRule::LastClose, ..strict }, "survives_eviction"),
            (ErrorPolicy { clear_rule: ClearRule::Remount, ..strict }, "syncs"),
            (ErrorPolicy { observers: Observers::Writer, ..strict }, "clear"),
            (
                ErrorPolicy {
                    observers: Observers::Writer,
                    clear_rule: ClearRule::DescriptionCursor,
                    ..strict
                },
                "survives_eviction",
            ),
            (ErrorPolicy { syncs: Syncs::LeftOut, ..strict }, "syncs"),
        ] {
            assert_eq!(policy.conflict().map(|conflict| conflict.key), Some(key), "{policy:?}");
        }
    }
}

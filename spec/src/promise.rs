//! Profiles: which promises a subject makes. Data, not code.

/// How demanding the reading is. A clause above the chosen level is not enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What the standard says.
    Posix,
    /// What programs on Linux have come to rely on.
    Linux,
    /// What a careful reader would want.
    Strict,
}

/// The promises of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promises {
    /// How the profile is called.
    pub name: String,
    /// Do changes of names survive a crash as a prefix of their history [CRASH-05]?
    pub ordered_namespace: bool,
    /// Does a sync of a file make its names durable as well [DUR-DIR-02]?
    pub file_sync_covers_names: bool,
    /// What is promised about failures.
    pub error: ErrorPromise,
}

/// Who is owed the report of a failed writeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observers {
    /// Whoever syncs the file.
    Everyone,
    /// Each description that was open when it happened.
    OpenAtError,
}

/// What ends the reports of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClearRule {
    /// The lost range was rewritten and the new bytes are durable, or it was removed.
    SupersededAndStable,
    /// One report for each description.
    PerDescriptionCursor,
}

/// What a read finds after a failed writeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// The new bytes, or an error.
    KeepsNew,
    /// The new bytes as long as they are cached; the old ones afterwards.
    MayRevertAfterEviction,
}

/// What is promised about failures of writeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorPromise {
    /// Who is owed a report.
    pub observers: Observers,
    /// What ends the reports.
    pub clear: ClearRule,
    /// What reads find.
    pub after_failure: AfterFailure,
    /// Is a failure that nobody has seen reported to whoever opens the file next?
    pub unseen_reaches_next_opener: bool,
    /// Is it still reported once nobody holds the file and memory was short?
    pub survives_inode_eviction: bool,
}

impl Promises {
    /// A lost range is an error of every sync, until it is superseded and durable, or removed.
    #[must_use]
    pub fn strict_sticky() -> Self {
        Self {
            name: "strict-sticky".to_owned(),
            ordered_namespace: true,
            file_sync_covers_names: true,
            error: ErrorPromise {
                observers: Observers::Everyone,
                clear: ClearRule::SupersededAndStable,
                after_failure: AfterFailure::KeepsNew,
                unseen_reaches_next_opener: true,
                survives_inode_eviction: true,
            },
        }
    }

    /// Linux since 4.17: a failure is reported once to each description, then forgotten.
    #[must_use]
    pub fn linux_errseq_4_17() -> Self {
        Self {
            name: "linux-errseq-4.17".to_owned(),
            ordered_namespace: true,
            file_sync_covers_names: true,
            error: ErrorPromise {
                observers: Observers::OpenAtError,
                clear: ClearRule::PerDescriptionCursor,
                after_failure: AfterFailure::MayRevertAfterEviction,
                unseen_reaches_next_opener: true,
                survives_inode_eviction: false,
            },
        }
    }
}

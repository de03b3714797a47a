//! What the file system is assembled from: orders of steps and bounds, as values.
//!
//! The default is correct. A defect is another value, named for what it does wrong.

use serde::Deserialize;

/// One step of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommitStep {
    /// Write every block of the tree that is not on the device yet.
    WriteTree,
    /// Make what was written durable.
    Flush,
    /// Write the root that names the tree.
    WriteRoot,
}

/// What becomes of the file system when records of its own could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordFailure {
    /// It goes on: the next sync or commit writes all of it again.
    Continues,
    /// It takes no change any more, until it is mounted again.
    ReadOnly,
    /// It answers nothing any more, until it is mounted again.
    Shutdown,
}

/// What a commit makes of the errors of the tree's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TreeErrors {
    /// It fails, and writes no root.
    Kept,
    /// They are forgotten before it looks: the root names blocks that are not there (D-34).
    Forgotten,
}

/// One step of a sync through the intent log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncStep {
    /// Make what was written durable.
    Flush,
    /// Write the batch into the blocks of the log.
    WriteLog,
}

/// Invariant C-4: the tree is durable before any root names it, and the root is durable before
/// the commit returns. The order is a table so that it can be printed, and broken on purpose.
pub const COMMIT_ORDER: [CommitStep; 4] =
    [CommitStep::WriteTree, CommitStep::Flush, CommitStep::WriteRoot, CommitStep::Flush];

/// Invariant C-5: content is durable before the log names it, and the log is durable before the
/// sync returns.
pub const SYNC_ORDER: [SyncStep; 3] = [SyncStep::Flush, SyncStep::WriteLog, SyncStep::Flush];

/// One step of mounting what a crash left, if the intent log has something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecoveryStep {
    /// Each whole batch of the log takes effect, in order, in memory.
    Replay,
    /// The log is ended, durably: what is mounted next finds nothing in it.
    EndLog,
    /// What took effect is committed, if there is room.
    Commit,
}

/// Invariant C-8: what the log says stays there until a durable root says it. So recovery may be
/// cut short anywhere, and begins again. This one writes nothing at all. The order is a table so
/// that it can be printed, and broken on purpose.
pub const RECOVERY_ORDER: &[RecoveryStep] = &[RecoveryStep::Replay];

/// A recovery that writes: the commit makes the log needless, and its root names another.
pub const RECOVERY_COMMITS: &[RecoveryStep] = &[RecoveryStep::Replay, RecoveryStep::Commit];

/// The log is ended before what it says is committed: of a recovery that is cut short in between
/// nothing is left to recover.
pub const RECOVERY_ENDS_LOG_FIRST: &[RecoveryStep] =
    &[RecoveryStep::Replay, RecoveryStep::EndLog, RecoveryStep::Commit];

/// One step between the choice of a free block and its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GrantStep {
    /// Its slot is locked and read again: it must still be free.
    Reread,
    /// Nobody else may have been granted it.
    OpenCheck,
}

/// Invariant C-6: after the last place where others may run, a block is seen to be free and to be
/// granted to nobody, and then it is granted. The order is a table so that it can be printed, and
/// broken on purpose.
pub const GRANT_ORDER: &[GrantStep] = &[GrantStep::Reread, GrantStep::OpenCheck];

/// DEF-002: what the scan saw is believed. A block that others were granted, used and let go of
/// since then looks as if nothing had happened.
pub const GRANT_UNREAD: &[GrantStep] = &[GrantStep::OpenCheck];

/// DEF-002b: whether others were granted the block is asked before its slot is locked.
pub const GRANT_CHECKED_FIRST: &[GrantStep] = &[GrantStep::OpenCheck, GrantStep::Reread];

/// When a block whose last use ended may be granted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reuse {
    /// When the commit that ended the use is durable.
    WhenStable,
    /// At once, while what is found after power loss still names it (DEF-002c).
    AtOnce,
}

/// Which discards are sent to the device, and when their blocks may be granted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discards {
    /// None is sent.
    Never,
    /// Those of what a durable commit freed; they are free when the device has answered.
    Awaited,
    /// They are free at once: a discard may reach what was written since (D-79).
    Overtaken,
    /// Those of what a failed commit would have freed are sent too (D-87).
    AlsoAborted,
}

/// How it is found out whether an object is dirty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DirtyTest {
    /// It is on the list of dirty objects of a group, or has dirty records in one.
    ListAndRecords,
    /// It is on a list. Between the two steps in which a group retires it, it counts as clean, and
    /// where its content is, is what it was before (DEF-003e).
    ListOnly,
    /// Content of it was written. A clone and what was freed do not count (DEF-003f).
    DataOnly,
}

/// How the dirty records of an object are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordSearch {
    /// To the last block of each.
    Whole,
    /// Without the last block of each: one of a single block is not seen (D-38).
    OffByOne,
}

/// What writing does to a block that was cloned in the same group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OverwrittenClone {
    /// It replaces it.
    Replaced,
    /// The record of the clone stays, and with it the block that was cloned (D-55).
    Stays,
}

/// What becomes of the record that a range was freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FreedRanges {
    /// Whatever fills the range ends it.
    Superseded,
    /// A clone does not: until the commit, reads find that an earlier group freed it (D-57).
    OutliveClones,
}

/// Which uses of blocks mounting counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplayedUses {
    /// All.
    Counted,
    /// Those of the committed tree: a clone that the log replays is none (D-54).
    Forgotten,
}

/// What writing in place does with a block that something else names too, or a snapshot may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// It leaves the block alone: a fresh one takes its place.
    BrokenFirst,
    /// It writes to it (D-29).
    Ignored,
}

/// Where in a run the blocks are that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunOffset {
    /// Where the slot of each says.
    OfEach,
    /// As far behind the first one as in the file: a part of the run that the file shows once more,
    /// or in another order, is read as what follows the first, or as zeros behind the run (D-37).
    OfFirst,
}

/// Which transactions the intent log is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Logged {
    /// Each.
    All,
    /// Not those that clone (D-45).
    NotClones,
    /// Not those that only free (D-44).
    NotHoles,
}

/// What becomes of a copy that has not its checksum, where the device keeps others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCopy {
    /// One that is right is answered, and the wrong one is repaired by it.
    Repaired,
    /// It is answered: several copies are taken for reason enough.
    Trusted,
    /// One that is right is answered, and the first is copied over the others without looking.
    FirstOverOthers,
}

/// What is done for whoever needs blocks that only the next commit frees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingFrees {
    /// The commit is made first.
    Awaited,
    /// They are taken for used.
    Ignored,
}

/// Orders and bounds of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CowPolicy {
    /// The steps of a commit.
    pub commit_order: Vec<CommitStep>,
    /// The steps of a sync through the log.
    pub sync_order: Vec<SyncStep>,
    /// What a write of the log that failed means.
    pub log_failure: RecordFailure,
    /// What a flush that failed means: whether what it was to make durable is still in the
    /// device's cache, nobody knows.
    pub flush_failure: RecordFailure,
    /// What a write of the tree or the root that failed means.
    pub tree_failure: RecordFailure,
    /// What becomes of errors of the tree's blocks before that.
    pub tree_errors: TreeErrors,
    /// The steps of mounting what a crash left.
    pub recovery_order: &'static [RecoveryStep],
    /// The steps of granting a block for content.
    pub grant_order: &'static [GrantStep],
    /// When blocks are used again.
    pub reuse: Reuse,
    /// Which discards are sent.
    pub discards: Discards,
    /// A log of more blocks becomes a commit.
    pub log_blocks_max: u32,
    /// Room for content in one group of transactions, in bytes.
    pub group_dirty_bytes_max: u64,
    /// Whether an object is dirty.
    pub dirty_test: DirtyTest,
    /// How dirty records are searched.
    pub record_search: RecordSearch,
    /// What a write does to a clone of its group.
    pub overwritten_clone: OverwrittenClone,
    /// How long a freed range is known.
    pub freed_ranges: FreedRanges,
    /// What is counted after replay.
    pub replayed_uses: ReplayedUses,
    /// What writing in place does with what is shared.
    pub sharing: Sharing,
    /// Where blocks are that are read together.
    pub run_offset: RunOffset,
    /// What is logged.
    pub logged: Logged,
    /// What becomes of a wrong copy.
    pub bad_copy: BadCopy,
    /// Whether a commit is made for the blocks that it frees.
    pub pending_frees: PendingFrees,
}

impl Default for CowPolicy {
    fn default() -> Self {
        Self {
            commit_order: COMMIT_ORDER.to_vec(),
            sync_order: SYNC_ORDER.to_vec(),
            log_failure: RecordFailure::Continues,
            flush_failure: RecordFailure::Continues,
            tree_failure: RecordFailure::Continues,
            tree_errors: TreeErrors::Kept,
            recovery_order: RECOVERY_ORDER,
            grant_order: GRANT_ORDER,
            reuse: Reuse::WhenStable,
            discards: Discards::Awaited,
            log_blocks_max: 64,
            group_dirty_bytes_max: 64 << 20,
            dirty_test: DirtyTest::ListAndRecords,
            record_search: RecordSearch::Whole,
            overwritten_clone: OverwrittenClone::Replaced,
            freed_ranges: FreedRanges::Superseded,
            replayed_uses: ReplayedUses::Counted,
            sharing: Sharing::BrokenFirst,
            run_offset: RunOffset::OfEach,
            logged: Logged::All,
            bad_copy: BadCopy::Repaired,
            pending_frees: PendingFrees::Awaited,
        }
    }
}

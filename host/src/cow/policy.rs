//! What the file system is assembled from: orders of steps and bounds, as values.
//!
//! The default is correct. A defect is another value, named for what it does wrong.

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

/// What mounting does with the intent log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replay {
    /// Each whole batch takes effect, in order.
    Replayed,
    /// The log is not read.
    Ignored,
}

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

/// Orders and bounds of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CowPolicy {
    /// The steps of a commit.
    pub commit_order: Vec<CommitStep>,
    /// The steps of a sync through the log.
    pub sync_order: Vec<SyncStep>,
    /// What mounting does with the log.
    pub replay: Replay,
    /// The steps of granting a block for content.
    pub grant_order: &'static [GrantStep],
    /// When blocks are used again.
    pub reuse: Reuse,
    /// A log of more blocks becomes a commit.
    pub log_blocks_max: u32,
}

impl Default for CowPolicy {
    fn default() -> Self {
        Self {
            commit_order: COMMIT_ORDER.to_vec(),
            sync_order: SYNC_ORDER.to_vec(),
            replay: Replay::Replayed,
            grant_order: GRANT_ORDER,
            reuse: Reuse::WhenStable,
            log_blocks_max: 64,
        }
    }
}

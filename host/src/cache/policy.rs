//! What the cache is assembled from: orders of steps and choices, as values.
//!
//! The default is correct. A defect is another value, named for what it does wrong.

use crate::cache::ErrorPolicy;
use crate::sim::Point;

/// One step of preparing a page for the device, while it is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageStep {
    /// The dirty bits of its mappings become its own mark, and the mappings are write-protected:
    /// the next mapped store faults.
    Protect,
    /// Its dirty mark is cleared; it is under writeback.
    Clean,
    /// Its bytes are read, for the transform, for the checksum and for the device.
    Capture,
}

impl PageStep {
    pub(super) fn point(self) -> Point {
        match self {
            Self::Protect => Point::WbProtect,
            Self::Clean => Point::WbClean,
            Self::Capture => Point::WbCapture,
        }
    }
}

/// Invariant MP-2: a page's mappings are write-protected before its dirty mark is cleared, and its
/// bytes are read after both: a store that the bytes do not have makes the page dirty again. The
/// order is a table so that it can be printed, and broken on purpose.
pub const PAGE_ORDER: &[PageStep] = &[PageStep::Protect, PageStep::Clean, PageStep::Capture];

/// DEF-000: the bytes are read first. A store between that and the write-protection is in the
/// page, but neither in what is written nor in any mark.
pub const PAGE_CAPTURED_FIRST: &[PageStep] =
    &[PageStep::Capture, PageStep::Protect, PageStep::Clean];

/// What becomes of pages that the transform gave up, as those that do not get smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransformFallback {
    /// They are dirty again, and the same writeback prepares and stores them as they are.
    Redirties,
    /// Their dirty marks stay cleared, and nothing of them is written (DEF-000b).
    LeavesClean,
}

/// What truncating does with the bytes beyond the new end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truncation {
    /// They are gone for good.
    DropsBytes,
    /// Only the size changes; they return when the file grows again.
    KeepsOldBytes,
}

/// What `fdatasync` makes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataSyncScope {
    /// Content, and the size that is needed to read it.
    DataAndSize,
    /// Content alone: bytes beyond the old end of the file cannot be found afterwards.
    DataOnly,
}

/// What a fault does while writeback has the page locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultLock {
    /// It waits.
    Waits,
    /// It makes the page dirty and writable at once, between two steps of writeback (D-02).
    Ignored,
}

/// Which bytes writeback takes for those beyond the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TailZeroing {
    /// Those beyond the end at the capture, in the captured copy alone.
    InCopy,
    /// Those beyond the end when writeback began, in the page itself: a store to a file that grew
    /// meanwhile becomes zeros (D-24).
    InPageByOldSize,
}

/// When a write looks what is in the pages that it covers in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteLookup {
    /// Until all of them are in memory at the moment of the write.
    AtTheWrite,
    /// Once. A page that was evicted while others were brought in is taken for a hole, and what
    /// the write does not cover of it becomes zeros (D-13).
    Once,
}

/// What a write that has to wait does with the pages that it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteRetry {
    /// Nothing.
    KeepsMarks,
    /// It marks them clean, to mark them dirty once it has changed them: until then they can be
    /// evicted, with the writes before (D-11).
    CleansPages,
}

/// What becomes of the pages of a write if there is no block for them just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteShortage {
    /// They hold what they held.
    KeepsPages,
    /// They count as not read. When there are blocks, the same write or a later one takes them for
    /// new, and zeroes what it does not cover (D-07).
    ClearsUptodate,
}

/// What becomes of a change for which there is no space, of bytes that have blocks of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OwnedSpace {
    /// It takes those.
    Used,
    /// It is refused: space is asked for as if there were none (D-36).
    AskedForAgain,
}

/// What a write does for which there is not all the space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteFit {
    /// It writes what fits.
    WhatFits,
    /// It is refused whole.
    AllOrNothing,
}

/// When writeback looks where the pages are beneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExtentLookup {
    /// When nobody else can change it.
    UnderLock,
    /// Before it waits for its turn. If another writeback came between, the two looks contradict
    /// each other, the pages count as a hole, and nothing of them is written (D-12).
    BeforeLock,
}

/// What a hole query does with pages that are dirty, before it walks the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeekFlush {
    /// It writes them back and waits; where that fails, everything counts as data.
    Integrity,
    /// It begins to write them back, but passes over those that are under writeback already, and
    /// looks at no error (DEF-003c).
    BestEffort,
    /// Nothing (DEF-003g).
    Nothing,
}

/// What writeback does when the open group of transactions is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupPressure {
    /// It lets the group sync and asks again.
    Waits,
    /// The page is dirty again, and its writeback ends with an error (DEF-003a).
    GivesUp,
}

/// What the writeback of a range does with the errors of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageErrors {
    /// It ends with the first one.
    Told,
    /// It forgets them and goes on (DEF-003b).
    Dropped,
}

/// What a sync of everything does if the file system could not commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommitFailure {
    /// It fails.
    Told,
    /// It does not look (D-49, its second half).
    Forgotten,
}

/// What a writeback does while another one of the same file is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WritebackTurn {
    /// It waits for it.
    Waits,
    /// It goes on: of two versions of a page the one that is named last stays, be it the older one
    /// (D-67).
    GoesOn,
}

/// When a writeback of a file is over, of which the device refuses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WritebackEnd {
    /// After one pass over what was dirty when it began.
    OnePass,
    /// When nothing is dirty: not as long as others go on writing.
    NothingDirty,
}

/// What of a file a sync covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncReach {
    /// All of it, or of the range that it was asked for.
    Whole,
    /// What of that is in the first of the shards of a file, each of [`SHARD_BYTES`] (D-69).
    FirstShard,
}

/// The bytes of a shard of [`SyncReach::FirstShard`]. Those of gluster are of 64 MiB; here files
/// are small.
pub const SHARD_BYTES: u64 = 16 << 10;

/// What a file that comes into memory finds in the record of failures of its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecycledRecord {
    /// Nothing: the record is new.
    Reset,
    /// What the file left that had the place before (D-03).
    Kept,
}

/// What a failed writeback is remembered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// What the device said.
    Kept,
    /// An I/O error, whatever the device said (Linux, fs/buffer.c: mark_buffer_write_io_error).
    AlwaysIo,
}

/// Of which parts of what was handed down together a failure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartFailures {
    /// Of each.
    All,
    /// Of the last one: what became of those before it is overwritten (D-16).
    LastAlone,
}

/// Of which files a clone writes back what is dirty, before it shares what is beneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloneFlush {
    /// Of both.
    BothFiles,
    /// Of the destination: the clone shows what the source was before (DEF-003d).
    DestinationAlone,
}

/// Which dirty pages are written back before blocks are shared or holes are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MapFlush {
    /// All.
    AllDirty,
    /// Those that a call changed: what was stored through a mapping alone stays in memory, and
    /// what is beneath counts (D-51).
    WrittenAlone,
}

/// What becomes of pages in memory that show what a clone replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClonedPages {
    /// They are dropped.
    Dropped,
    /// They stay, and are what is read until they are evicted (D-86).
    Kept,
}

/// What writeback hands down of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PagePayload {
    /// The bytes that were captured.
    Captured,
    /// The page itself: whoever writes it to a medium reads it then. What has a checksum is
    /// captured for that, once; what is written in place has none (DEF-001).
    Live,
}

/// What the cache is assembled from. The default is correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePolicy {
    /// How failed writeback is remembered.
    pub errors: ErrorPolicy,
    /// What truncating does with bytes.
    pub truncation: Truncation,
    /// What `fdatasync` covers.
    pub data_sync_scope: DataSyncScope,
    /// The steps of preparing a page for the device.
    pub page_order: &'static [PageStep],
    /// The same for pages that are transformed on their way, as by compression.
    pub transformed_order: &'static [PageStep],
    /// What becomes of those that the transform gave up.
    pub transform_fallback: TransformFallback,
    /// What a fault does while the page is locked.
    pub fault_lock: FaultLock,
    /// Which bytes are beyond the end.
    pub tail_zeroing: TailZeroing,
    /// When a write looks at its pages.
    pub write_lookup: WriteLookup,
    /// What a write that waits does with its pages.
    pub write_retry: WriteRetry,
    /// What a write does with its pages while there is no space for them.
    pub write_shortage: WriteShortage,
    /// What becomes of changes that need no more space than there is.
    pub owned_space: OwnedSpace,
    /// What a write does that does not fit whole.
    pub write_fit: WriteFit,
    /// When writeback looks where its pages are.
    pub extent_lookup: ExtentLookup,
    /// What a hole query does first.
    pub seek_flush: SeekFlush,
    /// What writeback does without room in the group.
    pub group_pressure: GroupPressure,
    /// What becomes of errors of pages.
    pub page_errors: PageErrors,
    /// What a sync of everything does if there was no commit.
    pub commit_failure: CommitFailure,
    /// What a writeback does beside another one.
    pub writeback_turn: WritebackTurn,
    /// When a writeback is over.
    pub writeback_end: WritebackEnd,
    /// What of a file a sync covers.
    pub sync_reach: SyncReach,
    /// What a file finds in its record of failures.
    pub recycled_record: RecycledRecord,
    /// What failures are remembered as.
    pub failure_kind: FailureKind,
    /// Which failures count of what is handed down together.
    pub part_failures: PartFailures,
    /// What a clone does first.
    pub clone_flush: CloneFlush,
    /// Which pages clones and hole queries write back first.
    pub map_flush: MapFlush,
    /// What a clone leaves in memory.
    pub cloned_pages: ClonedPages,
    /// What is handed down of a page.
    pub page_payload: PagePayload,
    /// More cached bytes are written back and evicted.
    pub cached_bytes_max: u64,
    /// Pages that are handed down together.
    pub batch_pages_max: usize,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            errors: ErrorPolicy::default(),
            truncation: Truncation::DropsBytes,
            data_sync_scope: DataSyncScope::DataAndSize,
            page_order: PAGE_ORDER,
            transformed_order: PAGE_ORDER,
            transform_fallback: TransformFallback::Redirties,
            fault_lock: FaultLock::Waits,
            tail_zeroing: TailZeroing::InCopy,
            write_lookup: WriteLookup::AtTheWrite,
            write_retry: WriteRetry::KeepsMarks,
            write_shortage: WriteShortage::KeepsPages,
            owned_space: OwnedSpace::Used,
            write_fit: WriteFit::WhatFits,
            extent_lookup: ExtentLookup::UnderLock,
            seek_flush: SeekFlush::Integrity,
            group_pressure: GroupPressure::Waits,
            page_errors: PageErrors::Told,
            commit_failure: CommitFailure::Told,
            writeback_turn: WritebackTurn::Waits,
            writeback_end: WritebackEnd::OnePass,
            sync_reach: SyncReach::Whole,
            recycled_record: RecycledRecord::Reset,
            failure_kind: FailureKind::Kept,
            part_failures: PartFailures::All,
            clone_flush: CloneFlush::BothFiles,
            map_flush: MapFlush::AllDirty,
            cloned_pages: ClonedPages::Dropped,
            page_payload: PagePayload::Captured,
            cached_bytes_max: 64 << 20,
            batch_pages_max: 256,
        }
    }
}

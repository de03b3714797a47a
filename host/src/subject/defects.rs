//! Defects: policies with another value, each named for what it does wrong.
//!
//! Architecture invariant: a defect sets policy values and nothing else; with none of them the
//! stack is correct, so that every defect is its own negative control.

use crate::cache::DataSyncScope;
use crate::cache::ErrorPolicy;
use crate::cache::ExtentLookup;
use crate::cache::FaultLock;
use crate::cache::PAGE_CAPTURED_FIRST;
use crate::cache::TailZeroing;
use crate::cache::TransformFallback;
use crate::cache::Truncation;
use crate::cache::WriteLookup;
use crate::cache::WriteRetry;
use crate::cow::CommitStep;
use crate::cow::Replay;
use crate::cow::SyncStep;
use crate::subject::Policies;
use crate::vfs::DirectorySync;
use crate::vfs::RENAME_TARGET_FIRST;

/// A way in which the stack can be broken.
#[derive(Debug, Clone, Copy)]
pub struct Defect {
    /// What it does wrong.
    pub name: &'static str,
    /// How it comes about.
    pub mechanism: &'static str,
    /// Where it was seen, or why it is here.
    pub source: &'static str,
    /// What a run needs to show it, besides ordinary operations.
    pub needs: &'static str,
    /// The clause that catches it by answers and surveys, and others that may, where another
    /// workload shows it.
    pub clauses: &'static [&'static str],
    /// The clauses that an audit may report it by, earlier.
    pub audit: &'static [&'static str],
    /// Where it must not show.
    pub silent: &'static str,
    /// Puts it into the policies.
    pub apply: fn(&mut Policies),
}

/// Every defect, by name.
pub const DEFECTS: &[Defect] = &[
    Defect {
        name: "clean_on_error",
        mechanism: "a page whose writeback failed is marked clean, the failure is told once, and \
                    later syncs succeed (DEF-004a)",
        source: "seed 004; Linux page cache",
        needs: "a write that the device refuses",
        clauses: &["ERR-STICKY-01", "ERR-CLAIM-01"],
        audit: &[],
        silent: "runs without a refused write",
        apply: |policies| policies.cache.errors = ErrorPolicy::CLEAN_ON_ERROR,
    },
    Defect {
        name: "report_once",
        mechanism: "a page whose writeback failed is kept, but after one sync told of it the next \
                    succeeds (DEF-004b)",
        source: "seed 004",
        needs: "a write that the device refuses",
        clauses: &["ERR-STICKY-01", "ERR-CLAIM-01"],
        audit: &[],
        silent: "runs without a refused write",
        apply: |policies| policies.cache.errors = ErrorPolicy::REPORT_ONCE,
    },
    Defect {
        name: "sync_without_flush",
        mechanism: "fsync writes content and log but never flushes the device's cache",
        source: "synthetic; the class of D-59 to D-63",
        needs: "a crash",
        clauses: &["DUR-FSYNC-03", "DUR-FSYNC-01", "DUR-DIR-01", "DUR-DIR-02", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash",
        apply: |policies| policies.cow.sync_order = vec![SyncStep::WriteLog],
    },
    Defect {
        name: "root_before_tree",
        mechanism: "a commit writes the root before the tree that it names is durable",
        source: "synthetic; the order that copy-on-write rests on",
        needs: "a crash between two flushes",
        clauses: &["CRASH-01"],
        audit: &[],
        silent: "runs without a crash",
        apply: |policies| {
            policies.cow.commit_order =
                vec![CommitStep::WriteRoot, CommitStep::WriteTree, CommitStep::Flush];
        },
    },
    Defect {
        name: "log_not_replayed",
        mechanism: "mounting after a crash ignores the intent log",
        source: "synthetic",
        needs: "a crash",
        clauses: &["DUR-DIR-02", "DUR-FSYNC-01", "DUR-DIR-01", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash",
        apply: |policies| policies.cow.replay = Replay::Ignored,
    },
    Defect {
        name: "rename_in_two_steps",
        mechanism: "rename removes the old entry and adds the new one in two transactions, each \
                    committed",
        source: "synthetic; CrashMonkey's lost renames are of this class",
        needs: "a crash",
        clauses: &["DUR-RENAME-02", "DUR-RENAME-01", "CRASH-06", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash or a rename",
        apply: |policies| policies.vfs.rename = RENAME_TARGET_FIRST,
    },
    Defect {
        name: "truncate_keeps_bytes",
        mechanism: "truncating changes the size alone, and growing again shows the old bytes",
        source: "synthetic; xfstests generic/029 is of this class",
        needs: "a file that shrinks and grows",
        clauses: &["TRUNC-01", "DATA-RW-04", "CRASH-07", "CRASH-09", "MAP-07"],
        audit: &[],
        silent: "runs without a truncation",
        apply: |policies| policies.cache.truncation = Truncation::KeepsOldBytes,
    },
    Defect {
        name: "fdatasync_forgets_size",
        mechanism: "fdatasync makes content durable but not the size that is needed to read it",
        source: "D-22",
        needs: "a crash",
        clauses: &["DUR-FDS-01", "DUR-OSYNC-01"],
        audit: &[],
        silent: "runs that use fsync alone",
        apply: |policies| policies.cache.data_sync_scope = DataSyncScope::DataOnly,
    },
    Defect {
        name: "directory_sync_ignored",
        mechanism: "fsync of a directory succeeds and does nothing",
        source: "synthetic; CrashMonkey 3 and 6 are of this class",
        needs: "a crash",
        clauses: &["DUR-RENAME-01", "DUR-DIR-01", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash",
        apply: |policies| policies.vfs.directory_sync = DirectorySync::Ignored,
    },
    Defect {
        name: "sync_without_log",
        mechanism: "fsync writes content and flushes, but never writes the intent log, so that \
                    nothing names the content",
        source: "synthetic",
        needs: "a crash",
        clauses: &["DUR-DIR-02", "DUR-FSYNC-01", "DUR-DIR-01", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash",
        apply: |policies| policies.cow.sync_order = vec![SyncStep::Flush],
    },
    Defect {
        name: "capture_before_protect",
        mechanism: "pages that are compressed are read before their mappings are write-protected \
                    and their dirty marks cleared: a mapped store between is in the page, but \
                    neither in what is written nor in any mark (DEF-000)",
        source: "seed 000; torvalds/linux 4adaa611020f",
        needs: "a compressed file, a shared mapping, writeback beside the stores",
        clauses: &["DUR-MSYNC-01", "DUR-FSYNC-01", "DATA-RW-01", "MAP-01", "MAP-02"],
        audit: &["MAP-12", "MAP-03", "MAP-04"],
        silent: "runs without compression, or with write alone",
        apply: |policies| policies.cache.transformed_order = PAGE_CAPTURED_FIRST,
    },
    Defect {
        name: "no_redirty_on_fallback",
        mechanism: "pages that compression does not make smaller are not made dirty again: nothing \
                    of them is written, and they count as clean (DEF-000b)",
        source: "seed 000; the second half of torvalds/linux 4adaa611020f",
        needs: "a compressed file, two neighbouring pages of bytes that do not get smaller",
        clauses: &["DUR-MSYNC-01", "DUR-FSYNC-01", "DUR-FDS-01", "DATA-RW-01", "MAP-01", "MAP-02"],
        audit: &["MAP-03", "MAP-04"],
        silent: "runs without compression, or with bytes that get smaller",
        apply: |policies| policies.cache.transform_fallback = TransformFallback::LeavesClean,
    },
    Defect {
        name: "fault_ignores_page_lock",
        mechanism: "a fault makes a page dirty and writable while writeback is between \
                    write-protecting it and clearing its dirty mark: later stores through the \
                    mapping leave no mark (D-02)",
        source: "D-02; torvalds/linux 79352894b285",
        needs: "a shared mapping, writeback beside the stores",
        clauses: &["DUR-MSYNC-01", "DUR-FSYNC-01", "DUR-SYNCFS-01"],
        audit: &["MAP-03"],
        silent: "runs with write alone; reads, for the page is never dropped",
        apply: |policies| policies.cache.fault_lock = FaultLock::Ignored,
    },
    Defect {
        name: "write_cleans_pages",
        mechanism: "a write that has to wait for one of its pages marks the others clean until it \
                    goes on: reclaim drops them with what was written before (D-11)",
        source: "D-11; torvalds/linux 7703bdd8d23e",
        needs: "reclaim beside a write across two pages",
        clauses: &["DATA-RW-01", "DATA-RW-03"],
        audit: &["MAP-04"],
        silent: "runs without reclaim",
        apply: |policies| policies.cache.write_retry = WriteRetry::CleansPages,
    },
    Defect {
        name: "stale_lookup_skips_pages",
        mechanism: "writeback looks where pages are before it waits for its turn; if another \
                    writeback came between, it writes nothing and the pages count as clean (D-12)",
        source: "D-12; xfstests xfs/558, torvalds/linux 5c665e5b5af6",
        needs: "two writebacks of a file at once",
        clauses: &["DATA-RW-01", "DUR-FSYNC-01", "DUR-FDS-01", "DUR-OSYNC-01", "DUR-MSYNC-01"],
        audit: &["MAP-03", "MAP-04"],
        silent: "runs with one writeback at a time",
        apply: |policies| policies.cache.extent_lookup = ExtentLookup::BeforeLock,
    },
    Defect {
        name: "stale_lookup_zeroes",
        mechanism: "a write looks once what its pages hold: one that was evicted while another was \
                    brought in is taken for a hole, and its other bytes become zeros (D-13)",
        source: "D-13; xfstests xfs/559, torvalds/linux 304a68b9c63b",
        needs: "reclaim beside a write across two pages",
        clauses: &["DATA-RW-03", "DATA-RW-01"],
        audit: &[],
        silent: "runs without reclaim",
        apply: |policies| policies.cache.write_lookup = WriteLookup::Once,
    },
    Defect {
        name: "dropped_on_error",
        mechanism: "a page whose writeback failed is dropped, and the old bytes return, although \
                    every sync tells of it (D-17)",
        source: "D-17; torvalds/linux e9c3a8e820ed",
        needs: "a write that the device refuses",
        clauses: &["RSTAB-02", "RSTAB-01"],
        audit: &[],
        silent: "runs without a refused write",
        apply: |policies| policies.cache.errors = ErrorPolicy::DROPPED_ON_ERROR,
    },
    Defect {
        name: "tail_zeroed_by_old_size",
        mechanism: "writeback zeroes the last page beyond the size that the file had when it \
                    began: a store to a file that grew meanwhile is gone (D-24)",
        source: "D-24; xfstests generic/438 and generic/469",
        needs: "a shared mapping of a file that grows, writeback beside the stores",
        clauses: &["DATA-RW-01", "MAP-02", "MAP-01", "DUR-MSYNC-01"],
        audit: &[],
        silent: "runs in which the file does not grow",
        apply: |policies| policies.cache.tail_zeroing = TailZeroing::InPageByOldSize,
    },
];

/// The defect of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Defect> {
    DEFECTS.iter().find(|defect| defect.name == name)
}

//! Defects: policies with another value, each named for what it does wrong.
//!
//! Architecture invariant: a defect sets policy values and nothing else; with none of them the
//! stack is correct, so that every defect is its own negative control.

use crate::cache::DataSyncScope;
use crate::cache::ErrorPolicy;
use crate::cache::Truncation;
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
    /// The clause that catches it, and others that may, where another workload shows it.
    pub clauses: &'static [&'static str],
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
        clauses: &["ERR-STICKY-01", "ERR-CLAIM-01"],
        apply: |policies| policies.cache.errors = ErrorPolicy::CLEAN_ON_ERROR,
    },
    Defect {
        name: "report_once",
        mechanism: "a page whose writeback failed is kept, but after one sync told of it the next \
                    succeeds (DEF-004b)",
        source: "seed 004",
        clauses: &["ERR-STICKY-01", "ERR-CLAIM-01"],
        apply: |policies| policies.cache.errors = ErrorPolicy::REPORT_ONCE,
    },
    Defect {
        name: "sync_without_flush",
        mechanism: "fsync writes content and log but never flushes the device's cache",
        source: "synthetic; the class of D-59 to D-63",
        clauses: &["DUR-FSYNC-03", "DUR-FSYNC-01", "DUR-DIR-01", "DUR-DIR-02", "CRASH-03"],
        apply: |policies| policies.cow.sync_order = vec![SyncStep::WriteLog],
    },
    Defect {
        name: "root_before_tree",
        mechanism: "a commit writes the root before the tree that it names is durable",
        source: "synthetic; the order that copy-on-write rests on",
        clauses: &["CRASH-01"],
        apply: |policies| {
            policies.cow.commit_order =
                vec![CommitStep::WriteRoot, CommitStep::WriteTree, CommitStep::Flush];
        },
    },
    Defect {
        name: "log_not_replayed",
        mechanism: "mounting after a crash ignores the intent log",
        source: "synthetic",
        clauses: &["DUR-DIR-02", "DUR-FSYNC-01", "DUR-DIR-01", "CRASH-03"],
        apply: |policies| policies.cow.replay = Replay::Ignored,
    },
    Defect {
        name: "rename_in_two_steps",
        mechanism: "rename removes the old entry and adds the new one in two transactions, each \
                    committed",
        source: "synthetic; CrashMonkey's lost renames are of this class",
        clauses: &["DUR-RENAME-02", "DUR-RENAME-01", "CRASH-06", "CRASH-03"],
        apply: |policies| policies.vfs.rename = RENAME_TARGET_FIRST,
    },
    Defect {
        name: "truncate_keeps_bytes",
        mechanism: "truncating changes the size alone, and growing again shows the old bytes",
        source: "synthetic; xfstests generic/029 is of this class",
        clauses: &["TRUNC-01", "DATA-RW-04", "CRASH-07", "CRASH-09"],
        apply: |policies| policies.cache.truncation = Truncation::KeepsOldBytes,
    },
    Defect {
        name: "fdatasync_forgets_size",
        mechanism: "fdatasync makes content durable but not the size that is needed to read it",
        source: "D-22",
        clauses: &["DUR-FDS-01", "DUR-OSYNC-01"],
        apply: |policies| policies.cache.data_sync_scope = DataSyncScope::DataOnly,
    },
    Defect {
        name: "directory_sync_ignored",
        mechanism: "fsync of a directory succeeds and does nothing",
        source: "synthetic; CrashMonkey 3 and 6 are of this class",
        clauses: &["DUR-RENAME-01", "DUR-DIR-01", "CRASH-03"],
        apply: |policies| policies.vfs.directory_sync = DirectorySync::Ignored,
    },
    Defect {
        name: "sync_without_log",
        mechanism: "fsync writes content and flushes, but never writes the intent log, so that \
                    nothing names the content",
        source: "synthetic",
        clauses: &["DUR-DIR-02", "DUR-FSYNC-01", "DUR-DIR-01", "CRASH-03"],
        apply: |policies| policies.cow.sync_order = vec![SyncStep::Flush],
    },
];

/// The defect of that name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Defect> {
    DEFECTS.iter().find(|defect| defect.name == name)
}

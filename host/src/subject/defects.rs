//! Defects: policies with another value, each named for what it does wrong.
//!
//! Architecture invariant: a defect sets policy values and nothing else; with none of them the
//! stack is correct, so that every defect is its own negative control.

mod errors;
mod mirror;
mod sharing;
mod space;

use crate::cache::DataSyncScope;
use crate::cache::ErrorPolicy;
use crate::cache::ExtentLookup;
use crate::cache::FaultLock;
use crate::cache::PAGE_CAPTURED_FIRST;
use crate::cache::SyncReach;
use crate::cache::TailZeroing;
use crate::cache::TransformFallback;
use crate::cache::Truncation;
use crate::cache::WriteLookup;
use crate::cache::WriteRetry;
use crate::cache::WriteShortage;
use crate::cache::WritebackEnd;
use crate::cache::WritebackTurn;
use crate::cow::CommitStep;
use crate::cow::RECOVERY_ENDS_LOG_FIRST;
use crate::cow::SyncStep;
use crate::subject::Policies;
use crate::vfs::DirectorySync;
use crate::vfs::RENAME_TARGET_FIRST;

/// A way in which the stack can be broken.
#[derive(Debug, Clone, Copy)]
pub struct Defect {
    /// What it does wrong.
    pub name: &'static str,
    /// Its number in the list of historical bugs, which names it too; empty if it is none of them.
    pub number: &'static str,
    /// How it comes about.
    pub mechanism: &'static str,
    /// Where it was seen, or why it is here.
    pub source: &'static str,
    /// What a run needs to show it, besides ordinary operations.
    pub needs: &'static str,
    /// The clause that catches it by answers and surveys, and others that may, where another
    /// workload shows it. None, if only an audit can tell.
    pub clauses: &'static [&'static str],
    /// The clauses that an audit may report it by, earlier.
    pub audit: &'static [&'static str],
    /// Where it must not show.
    pub silent: &'static str,
    /// A command that shows it: of a workload that was made for its kind.
    pub shown_by: &'static str,
    /// A command of the general exerciser, which knows nothing of it, that shows it.
    pub exercised_by: &'static str,
    /// Commands that must not show it: what it needs is missing.
    pub controls: &'static [&'static str],
    /// Puts it into the policies.
    pub apply: fn(&mut Policies),
}

/// The general exerciser, which goes on after writes that the device refused.
const EXERCISED_WITH_FAULTS: &str = "run posix_exerciser --fail-write data:3x2 --seed 1 \
                                     --adversity --seeds 20 -- random 300 mapped";

/// The general exerciser, cut short after every event of the device.
const EXERCISED_WITH_CRASHES: &str =
    "explore posix_exerciser --seed 1 --seeds 20 -- random 60 files";

/// The same, and each recovery cut short in turn.
const EXERCISED_WITH_RELAPSES: &str =
    "explore posix_exerciser --recovery-depth 2 --seed 1 --seeds 20 -- random 60 files";

/// The general exerciser on mapped memory, under random schedules.
const EXERCISED_WITH_RACES: &str =
    "run posix_exerciser --seed 1 --adversity --seeds 1000 -- random 300 mapped";

/// The general exerciser, beside a process that begins writeback.
const EXERCISED_BESIDE_FLUSHES: &str = "run posix_exerciser --also 'posix_pressure flush 20' \
     --seed 1 --adversity --seeds 60 -- random 300 files";

/// The general exerciser, on a device that is nearly full.
const EXERCISED_WITHOUT_SPACE: &str =
    "run posix_exerciser --fs-size 40K --block-size 512 --seed 1 --seeds 200 -- random 250 files";

/// The general exerciser, calmly: no crash, no refused write, nothing beside it.
const CALM: &str = "run posix_exerciser -- 1 300";

/// Every defect.
pub fn all() -> impl Iterator<Item = &'static Defect> {
    let basic = BASIC.iter().chain(sharing::SHARING);
    basic.chain(mirror::MIRROR).chain(errors::ERRORS).chain(space::SPACE)
}

/// Those of syncs, commits, names, and mapped pages and their writeback.
const BASIC: &[Defect] = &[
    Defect {
        name: "clean_on_error",
        number: "DEF-004a",
        mechanism: "a page whose writeback failed is marked clean, the failure is told once, and \
                    later syncs succeed",
        source: "seed 004; Linux page cache",
        needs: "a write that the device refuses",
        clauses: &["ERR-STICKY-01", "ERR-CLAIM-01", "RSTAB-02"],
        audit: &[],
        silent: "runs without a refused write",
        shown_by: "run seed_004_qemu_fsync",
        exercised_by: EXERCISED_WITH_FAULTS,
        controls: &[CALM],
        apply: |policies| policies.cache.errors = ErrorPolicy::CLEAN_ON_ERROR,
    },
    Defect {
        name: "report_once",
        number: "DEF-004b",
        mechanism: "a page whose writeback failed is kept, but after one sync told of it the next \
                    succeeds",
        source: "seed 004",
        needs: "a write that the device refuses",
        clauses: &["ERR-STICKY-01", "ERR-CLAIM-01"],
        audit: &[],
        silent: "runs without a refused write",
        shown_by: "run seed_004_qemu_fsync",
        exercised_by: EXERCISED_WITH_FAULTS,
        controls: &[CALM],
        apply: |policies| policies.cache.errors = ErrorPolicy::REPORT_ONCE,
    },
    Defect {
        name: "sync_without_flush",
        number: "",
        mechanism: "fsync writes content and log but never flushes the device's cache",
        source: "synthetic; the class of D-59 to D-63",
        needs: "a crash",
        clauses: &["DUR-FSYNC-03", "DUR-FSYNC-01", "DUR-DIR-01", "DUR-DIR-02", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash",
        shown_by: "explore crash_append_log -- 3",
        exercised_by: EXERCISED_WITH_CRASHES,
        controls: &[CALM],
        apply: |policies| policies.cow.sync_order = vec![SyncStep::WriteLog],
    },
    Defect {
        name: "flush_before_log",
        number: "D-62",
        mechanism: "a sync flushes the device before it has written the log, and not again: what \
                    names the content is not durable when it returns",
        source: "D-62; dm-writecache (commit aa9509209c5a) flushed before it waited for the data",
        needs: "a crash",
        clauses: &["DUR-DIR-02", "DUR-FSYNC-01", "DUR-FSYNC-03", "DUR-DIR-01", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash",
        shown_by: "explore crash_append_log -- 3",
        exercised_by: EXERCISED_WITH_CRASHES,
        controls: &[CALM],
        apply: |policies| policies.cow.sync_order = vec![SyncStep::Flush, SyncStep::WriteLog],
    },
    Defect {
        name: "log_before_content",
        number: "D-61",
        mechanism: "a sync writes the log, which names the content, before it makes the content \
                    durable: a crash between the two leaves names of blocks that hold what was \
                    there before",
        source: "D-61; dm-thin committed its mappings before it flushed the data \
                 (torvalds/linux 694cfe7f31db)",
        needs: "a crash in a sync",
        clauses: &["CRASH-04", "CRASH-02", "CRASH-03", "CRASH-07"],
        audit: &[],
        silent: "runs without a crash",
        shown_by: "explore crash_append_log -- 3",
        exercised_by: EXERCISED_WITH_CRASHES,
        controls: &[CALM],
        apply: |policies| policies.cow.sync_order = vec![SyncStep::WriteLog, SyncStep::Flush],
    },
    Defect {
        name: "root_before_tree",
        number: "",
        mechanism: "a commit writes the root before the tree that it names is durable",
        source: "synthetic; the order that copy-on-write rests on",
        needs: "a crash between two flushes",
        clauses: &["CRASH-01"],
        audit: &[],
        silent: "runs without a crash",
        shown_by: "explore posix_mapping",
        exercised_by: EXERCISED_WITH_CRASHES,
        controls: &[CALM],
        apply: |policies| {
            policies.cow.commit_order =
                vec![CommitStep::WriteRoot, CommitStep::WriteTree, CommitStep::Flush];
        },
    },
    Defect {
        name: "log_not_replayed",
        number: "",
        mechanism: "mounting after a crash ignores the intent log",
        source: "synthetic",
        needs: "a crash",
        clauses: &["DUR-DIR-02", "DUR-FSYNC-01", "DUR-DIR-01", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash",
        shown_by: "explore crash_write_rename -- file",
        exercised_by: EXERCISED_WITH_CRASHES,
        controls: &[CALM],
        apply: |policies| policies.cow.recovery_order = &[],
    },
    Defect {
        name: "log_ended_first",
        number: "",
        mechanism: "mounting after a crash ends the intent log before what it says is committed: \
                    if that is cut short, the next mount finds neither",
        source: "synthetic; journal recovery of ext3 and ext4 flushes what it replayed before the \
                 journal is marked empty (jbd2_journal_recover)",
        needs: "a crash in the recovery from another",
        clauses: &["CRASH-08"],
        audit: &[],
        silent: "runs whose recoveries go through",
        shown_by: "explore crash_append_log --recovery-depth 2 -- 3",
        exercised_by: EXERCISED_WITH_RELAPSES,
        controls: &[CALM, "explore crash_append_log -- 3"],
        apply: |policies| policies.cow.recovery_order = RECOVERY_ENDS_LOG_FIRST,
    },
    Defect {
        name: "rename_in_two_steps",
        number: "",
        mechanism: "rename removes the old entry and adds the new one in two transactions, each \
                    committed",
        source: "synthetic; CrashMonkey's lost renames are of this class",
        needs: "a crash",
        clauses: &["DUR-RENAME-02", "DUR-RENAME-01", "CRASH-06", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash or a rename",
        shown_by: "explore crash_write_rename",
        exercised_by: EXERCISED_WITH_CRASHES,
        controls: &[CALM, "explore crash_append_log -- 3"],
        apply: |policies| policies.vfs.rename = RENAME_TARGET_FIRST,
    },
    Defect {
        name: "truncate_keeps_bytes",
        number: "",
        mechanism: "truncating changes the size alone, and growing again shows the old bytes",
        source: "synthetic; xfstests generic/029 is of this class",
        needs: "a file that shrinks and grows",
        clauses: &["TRUNC-01", "DATA-RW-04", "CRASH-07", "CRASH-09", "MAP-07", "MAP-13"],
        audit: &[],
        silent: "runs without a truncation",
        shown_by: "run posix_data",
        exercised_by: EXERCISED_WITH_RACES,
        controls: &["explore crash_append_log -- 3"],
        apply: |policies| policies.cache.truncation = Truncation::KeepsOldBytes,
    },
    Defect {
        name: "fdatasync_forgets_size",
        number: "D-22",
        mechanism: "fdatasync makes content durable but not the size that is needed to read it",
        source: "D-22",
        needs: "a crash",
        clauses: &["DUR-FDS-01", "DUR-OSYNC-01"],
        audit: &[],
        silent: "runs that use fsync alone",
        shown_by: "explore crash_append_log -- 5 fdatasync",
        exercised_by: EXERCISED_WITH_CRASHES,
        controls: &["explore crash_append_log -- 5"],
        apply: |policies| policies.cache.data_sync_scope = DataSyncScope::DataOnly,
    },
    Defect {
        name: "directory_sync_ignored",
        number: "",
        mechanism: "fsync of a directory succeeds and does nothing",
        source: "synthetic; CrashMonkey 3 and 6 are of this class",
        needs: "a crash",
        clauses: &["DUR-RENAME-01", "DUR-DIR-01", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash",
        shown_by: "explore crash_write_rename",
        exercised_by: EXERCISED_WITH_CRASHES,
        controls: &[CALM],
        apply: |policies| policies.vfs.directory_sync = DirectorySync::Ignored,
    },
    Defect {
        name: "sync_without_log",
        number: "",
        mechanism: "fsync writes content and flushes, but never writes the intent log, so that \
                    nothing names the content",
        source: "synthetic",
        needs: "a crash",
        clauses: &["DUR-DIR-02", "DUR-FSYNC-01", "DUR-DIR-01", "CRASH-03"],
        audit: &[],
        silent: "runs without a crash",
        shown_by: "explore crash_write_rename -- file",
        exercised_by: EXERCISED_WITH_CRASHES,
        controls: &[CALM],
        apply: |policies| policies.cow.sync_order = vec![SyncStep::Flush],
    },
    Defect {
        name: "capture_before_protect",
        number: "DEF-000",
        mechanism: "pages that are compressed are read before their mappings are write-protected \
                    and their dirty marks cleared: a mapped store between is in the page, but \
                    neither in what is written nor in any mark",
        source: "seed 000; torvalds/linux 4adaa611020f",
        needs: "a compressed file, a shared mapping, writeback beside the stores",
        clauses: &[
            "DUR-MSYNC-01",
            "DUR-FSYNC-01",
            "DATA-RW-01",
            "MAP-01",
            "MAP-02",
            "SNAP-01",
            "SNAP-02",
            "SNAP-03",
            "SNAP-04",
        ],
        audit: &["MAP-12", "MAP-03", "MAP-04"],
        silent: "runs without compression, or with write alone",
        shown_by: "run seed_000_leveldb_mmap --seed 1 --seeds 50 -- write",
        exercised_by: EXERCISED_WITH_RACES,
        controls: &[
            "run seed_000_leveldb_mmap --seed 1 --seeds 20 -- write plain",
            "run seed_000_leveldb_mmap --seed 1 --seeds 20 -- write write-calls",
        ],
        apply: |policies| policies.cache.transformed_order = PAGE_CAPTURED_FIRST,
    },
    Defect {
        name: "no_redirty_on_fallback",
        number: "DEF-000b",
        mechanism: "pages that compression does not make smaller are not made dirty again: nothing \
                    of them is written, and they count as clean",
        source: "seed 000; the second half of torvalds/linux 4adaa611020f",
        needs: "a compressed file, two neighbouring pages of bytes that do not get smaller",
        clauses: &[
            "DUR-MSYNC-01",
            "DUR-FSYNC-01",
            "DUR-FDS-01",
            "DATA-RW-01",
            "MAP-01",
            "MAP-02",
            "SNAP-01",
            "SNAP-02",
            "SNAP-03",
            "SNAP-04",
        ],
        audit: &["MAP-03", "MAP-04", "ERR-REPORT-09"],
        silent: "runs without compression, or with bytes that get smaller",
        shown_by: "run seed_000_leveldb_mmap -- write random",
        exercised_by: EXERCISED_WITH_RACES,
        controls: &[
            "run seed_000_leveldb_mmap --seed 1 --seeds 20 -- write plain random",
            "run seed_000_leveldb_mmap --seed 1 --seeds 20",
        ],
        apply: |policies| policies.cache.transform_fallback = TransformFallback::LeavesClean,
    },
    Defect {
        name: "fault_ignores_page_lock",
        number: "D-02",
        mechanism: "a fault makes a page dirty and writable while writeback is between \
                    write-protecting it and clearing its dirty mark: later stores through the \
                    mapping leave no mark",
        source: "D-02; torvalds/linux 79352894b285",
        needs: "a shared mapping, writeback beside the stores",
        clauses: &[
            "DUR-MSYNC-01",
            "DUR-FSYNC-01",
            "DUR-SYNCFS-01",
            "SNAP-01",
            "SNAP-02",
            "SNAP-03",
            "SNAP-04",
        ],
        audit: &["MAP-03"],
        silent: "runs with write alone; reads, for the page is never dropped",
        shown_by: "run posix_pressure --seed 1 --seeds 50 -- stores",
        exercised_by: EXERCISED_WITH_RACES,
        controls: &["run posix_pressure --seed 1 --seeds 50 -- writes"],
        apply: |policies| policies.cache.fault_lock = FaultLock::Ignored,
    },
    Defect {
        name: "write_cleans_pages",
        number: "D-11",
        mechanism: "a write that has to wait for one of its pages marks the others clean until it \
                    goes on: reclaim drops them with what was written before",
        source: "D-11; torvalds/linux 7703bdd8d23e",
        needs: "reclaim beside a write across two pages",
        clauses: &[
            "DATA-RW-01",
            "DATA-RW-02",
            "DATA-RW-03",
            "MAP-01",
            "MAP-02",
            "SNAP-01",
            "SNAP-02",
            "SNAP-03",
            "SNAP-04",
        ],
        audit: &["MAP-04", "MAP-03"],
        silent: "runs without reclaim",
        shown_by: "run posix_pressure --seed 1 --seeds 50 -- writes",
        exercised_by: EXERCISED_WITH_RACES,
        controls: &[CALM],
        apply: |policies| policies.cache.write_retry = WriteRetry::CleansPages,
    },
    Defect {
        name: "older_capture_stays",
        number: "D-67",
        mechanism: "two writebacks of a file are under way at once, in no order: of two versions \
                    of a page the one that is named last stays, also if it is the older one",
        source: "D-67; gluster/glusterfs 685118900f",
        needs: "two writebacks of a file at once, a write between them",
        clauses: &[
            "DATA-RW-02",
            "DATA-RW-01",
            "DATA-RW-03",
            "DATA-DIO-01",
            "DUR-FSYNC-01",
            "DUR-FDS-01",
            "DUR-OSYNC-01",
            "DUR-MSYNC-01",
            "MAP-01",
            "MAP-02",
            "MAP-05",
            "SNAP-01",
            "SNAP-02",
            "SNAP-03",
            "SNAP-04",
        ],
        audit: &["MAP-04", "MAP-03"],
        silent: "runs with one writeback at a time",
        shown_by: "run posix_pressure --seed 1 --seeds 50 -- writes",
        exercised_by: EXERCISED_BESIDE_FLUSHES,
        controls: &[CALM, "run posix_data"],
        apply: |policies| policies.cache.writeback_turn = WritebackTurn::GoesOn,
    },
    Defect {
        name: "sync_chases_writers",
        number: "",
        mechanism: "a writeback is over when nothing is dirty, instead of after one pass over what \
                    was dirty when it began: a sync lasts as long as others go on writing",
        source: "seed 003, which suspects that a sync livelocks where \"a single pass of writeback \
                 work\" was to do",
        needs: "a write beside a writeback of its file",
        clauses: &[],
        audit: &["LIM-07"],
        silent: "runs with nothing beside a writeback",
        shown_by: "run posix_pressure --seed 1 --seeds 50 -- writes",
        exercised_by: EXERCISED_BESIDE_FLUSHES,
        controls: &[CALM, "run posix_data"],
        apply: |policies| policies.cache.writeback_end = WritebackEnd::NothingDirty,
    },
    Defect {
        name: "sync_first_shard_only",
        number: "D-69",
        mechanism: "a sync of a file that is kept in shards of 16 KiB is asked of the first shard, \
                    and not of the others",
        source: "D-69; gluster/glusterfs 0f7923b4a5, whose shards are of 64 MiB",
        needs: "a file of more than one shard, a crash",
        clauses: &[
            "DUR-FSYNC-01",
            "DUR-RENAME-02",
            "DUR-MSYNC-01",
            "DUR-FSYNC-03",
            "DUR-FDS-01",
            "DUR-OSYNC-01",
        ],
        audit: &[],
        silent: "runs without a crash, files of less than 16 KiB",
        shown_by: "explore app_redb --verify verify_redb",
        exercised_by: "explore posix_exerciser --seed 1 --seeds 20 -- random 60 mapped",
        controls: &[CALM, "explore crash_append_log -- 3"],
        apply: |policies| policies.cache.sync_reach = SyncReach::FirstShard,
    },
    Defect {
        name: "stale_lookup_skips_pages",
        number: "D-12",
        mechanism: "writeback looks where pages are before it waits for its turn; if another \
                    writeback came between, it writes nothing and the pages count as clean",
        source: "D-12; xfstests xfs/558, torvalds/linux 5c665e5b5af6",
        needs: "two writebacks of a file at once",
        clauses: &[
            "DATA-RW-01",
            "DUR-FSYNC-01",
            "DUR-FDS-01",
            "DUR-OSYNC-01",
            "DUR-MSYNC-01",
            "MAP-01",
            "MAP-02",
            "MAP-05",
            "SNAP-01",
            "SNAP-02",
            "SNAP-03",
            "SNAP-04",
        ],
        audit: &["MAP-03", "MAP-04", "ERR-REPORT-09"],
        silent: "runs with one writeback at a time",
        shown_by: "run posix_pressure --seed 1 --seeds 50 -- stores",
        exercised_by: EXERCISED_WITH_RACES,
        controls: &["run posix_data"],
        apply: |policies| policies.cache.extent_lookup = ExtentLookup::BeforeLock,
    },
    Defect {
        name: "stale_lookup_zeroes",
        number: "D-13",
        mechanism: "a write looks once what its pages hold: one that was evicted while another was \
                    brought in is taken for a hole, and its other bytes become zeros",
        source: "D-13; xfstests xfs/559, torvalds/linux 304a68b9c63b",
        needs: "reclaim beside a write across two pages",
        clauses: &[
            "DATA-RW-03",
            "DATA-RW-01",
            "MAP-01",
            "MAP-02",
            "MAP-05",
            "SNAP-01",
            "SNAP-02",
            "SNAP-03",
            "SNAP-04",
        ],
        audit: &[],
        silent: "runs without reclaim",
        shown_by: "run posix_pressure --seed 1 --seeds 50 -- writes",
        exercised_by: EXERCISED_WITH_RACES,
        controls: &[CALM],
        apply: |policies| policies.cache.write_lookup = WriteLookup::Once,
    },
    Defect {
        name: "failed_write_clears_uptodate",
        number: "D-07",
        mechanism: "pages of a write for which there is no space count as not read; once there is \
                    space the write is tried again, takes them for new, and zeroes what it does \
                    not cover",
        source: "D-07; torvalds/linux f9f07b6c1372",
        needs: "a device that is full until overwritten blocks are free, writes of parts of pages",
        clauses: &["DATA-RW-03", "DATA-ERR-01", "MAP-01", "DATA-RW-01", "RSTAB-01"],
        audit: &[],
        silent: "runs with space to spare, or with writes of whole pages",
        shown_by: "run posix_data --fs-size 40K --block-size 512",
        exercised_by: EXERCISED_WITHOUT_SPACE,
        controls: &[CALM],
        apply: |policies| policies.cache.write_shortage = WriteShortage::ClearsUptodate,
    },
    Defect {
        name: "dropped_on_error",
        number: "D-17",
        mechanism: "a page whose writeback failed is dropped, and the old bytes return, although \
                    every sync tells of it",
        source: "D-17; torvalds/linux e9c3a8e820ed",
        needs: "a write that the device refuses",
        clauses: &["RSTAB-02", "RSTAB-01"],
        audit: &[],
        silent: "runs without a refused write",
        shown_by: "run seed_004_qemu_fsync",
        exercised_by: EXERCISED_WITH_FAULTS,
        controls: &[CALM],
        apply: |policies| policies.cache.errors = ErrorPolicy::DROPPED_ON_ERROR,
    },
    Defect {
        name: "tail_zeroed_by_old_size",
        number: "D-24",
        mechanism: "writeback zeroes the last page beyond the size that the file had when it \
                    began: a store to a file that grew meanwhile is gone",
        source: "D-24; xfstests generic/438 and generic/469",
        needs: "a shared mapping of a file that grows, writeback beside the stores",
        clauses: &["DATA-RW-01", "MAP-02", "MAP-01", "DUR-MSYNC-01"],
        audit: &[],
        silent: "runs in which the file does not grow",
        shown_by: "run posix_pressure --seed 1 --seeds 50 -- appends",
        exercised_by: EXERCISED_WITH_RACES,
        controls: &["run posix_pressure --seed 1 --seeds 50 -- stores"],
        apply: |policies| policies.cache.tail_zeroing = TailZeroing::InPageByOldSize,
    },
];

/// The defect of that name or number.
#[must_use]
pub fn named(name: &str) -> Option<&'static Defect> {
    let is_meant =
        |defect: &&Defect| defect.name == name || !name.is_empty() && defect.number == name;
    all().find(is_meant)
}

//! Defects of what files share: free blocks, clones, holes, snapshots.

use crate::cache::CloneFlush;
use crate::cache::ClonedPages;
use crate::cache::GroupPressure;
use crate::cache::MapFlush;
use crate::cache::PageErrors;
use crate::cache::SeekFlush;
use crate::cow::DirtyTest;
use crate::cow::Discards;
use crate::cow::FreedRanges;
use crate::cow::GRANT_CHECKED_FIRST;
use crate::cow::GRANT_UNREAD;
use crate::cow::Logged;
use crate::cow::OverwrittenClone;
use crate::cow::RecordSearch;
use crate::cow::ReplayedUses;
use crate::cow::Reuse;
use crate::cow::RunOffset;
use crate::cow::Sharing;
use crate::subject::defects::CALM;
use crate::subject::defects::Defect;
use crate::vfs::CloneSync;
use crate::vfs::SnapshotHold;

/// The general exerciser, with all that it does, mapped memory among it.
const EXERCISED_ALL: &str = "run posix_exerciser --seed 1 --adversity --seeds 300 -- random 300";

/// The general exerciser, on ranges of files.
const EXERCISED: &str = "run posix_exerciser --seed 1 --adversity --seeds 300 -- random 300 ranges";

/// The same, beside a process that syncs, drops caches and takes snapshots.
const EXERCISED_IN_COMPANY: &str = "run posix_exerciser --also posix_pressure --seed 200 \
     --adversity --seeds 100 -- random 300 ranges";

/// The whole exerciser, beside a process that takes snapshots and reads whatever is in them.
const EXERCISED_AND_FROZEN: &str = "run posix_exerciser --also 'posix_pressure look 20' --seed 1 \
     --adversity --seeds 100 -- random 300 all";

/// The exerciser on ranges of files, cut short after every event of the device.
const EXERCISED_RANGES_WITH_CRASHES: &str =
    "explore posix_exerciser --seed 1 --seeds 60 -- random 60 ranges";

/// The same, with little room; what is recovered is used until there is none.
const EXERCISED_AND_USED_AFTER_CRASHES: &str = "explore posix_exerciser --fs-size 256K \
     --verify verify_usable --seed 1 --seeds 60 -- random 60 ranges";

/// The general exerciser beside another process, with little room.
const EXERCISED_SIDE_BY_SIDE: &str = "run posix_exerciser --also posix_pressure --fs-size 512K \
     --seed 1 --adversity --seeds 60 -- random 300 files";

/// The same, cut short after every event.
const EXERCISED_WITH_LITTLE_ROOM: &str = "explore posix_exerciser --also posix_pressure \
     --fs-size 512K --seed 1 --seeds 20 -- random 60 files";

/// Those of free blocks, of groups of transactions, of holes and of clones.
pub(super) const SHARING: &[Defect] = &[
    Defect {
        name: "grant_unread",
        number: "DEF-002",
        mechanism: "a free block is granted by what the scan saw of it: another writer may have \
                    been granted it, used it and let go of it since",
        source: "seed 002; kirr/linux 385a82f62a9b",
        needs: "two writers at once, little room",
        clauses: &[
            "ERR-FALSE-01",
            "DATA-ISO-01",
            "DATA-RW-01",
            "CRASH-01",
            "CRASH-04",
            "DUR-FDS-01",
            "DUR-FSYNC-01",
        ],
        audit: &["ALLOC-01", "ALLOC-02", "REF-02"],
        silent: "runs with one writer",
        shown_by: "run seed_002_parallel_writers --seed 1 --seeds 20",
        exercised_by: EXERCISED_SIDE_BY_SIDE,
        controls: &[CALM],
        apply: |policies| policies.cow.grant_order = GRANT_UNREAD,
    },
    Defect {
        name: "grant_checked_first",
        number: "DEF-002b",
        mechanism: "whether others were granted a block is asked before its slot is locked and \
                    read again",
        source: "seed 002, a variant",
        needs: "two writers at once, little room",
        clauses: &[
            "ERR-FALSE-01",
            "DATA-ISO-01",
            "DATA-RW-01",
            "CRASH-01",
            "CRASH-04",
            "DUR-FDS-01",
            "DUR-FSYNC-01",
        ],
        audit: &["ALLOC-01", "ALLOC-02", "REF-02"],
        silent: "runs with one writer",
        shown_by: "run seed_002_parallel_writers --seed 1 --seeds 20",
        exercised_by: EXERCISED_SIDE_BY_SIDE,
        controls: &[CALM],
        apply: |policies| policies.cow.grant_order = GRANT_CHECKED_FIRST,
    },
    Defect {
        name: "reuse_at_once",
        number: "DEF-002c",
        mechanism: "a freed block is granted again before the commit that freed it is durable",
        source: "seed 002, a variant; the rule that copy-on-write rests on",
        needs: "a crash, little room",
        clauses: &[
            "CRASH-01",
            "DUR-FSYNC-01",
            "DUR-FDS-01",
            "DUR-DIR-01",
            "DUR-DIR-02",
            "CRASH-03",
        ],
        audit: &["ALLOC-04"],
        silent: "runs without a crash",
        shown_by: "explore seed_002_parallel_writers --seed 1 --seeds 20",
        exercised_by: EXERCISED_WITH_LITTLE_ROOM,
        controls: &["run posix_exerciser --no-audits -- 1 300"],
        apply: |policies| policies.cow.reuse = Reuse::AtOnce,
    },
    Defect {
        name: "discards_overtaken",
        number: "D-79",
        mechanism: "blocks are granted again while their discard is under way: the device erases \
                    what was written to them since",
        source: "D-79; openzfs/zfs 8a74070128",
        needs: "a device that is slow to discard, little room",
        clauses: &["ERR-FALSE-01", "DATA-RW-01", "CRASH-01", "CRASH-04", "DUR-FSYNC-01"],
        audit: &["ALLOC-05"],
        silent: "runs on a device that does nothing with discards",
        shown_by: "run seed_002_parallel_writers --seed 1 --seeds 100",
        exercised_by: "run posix_exerciser --also posix_pressure --fs-size 512K --seed 1 \
                       --seeds 100 -- random 300 files",
        controls: &[CALM],
        apply: |policies| policies.cow.discards = Discards::Overtaken,
    },
    Defect {
        name: "discards_after_abort",
        number: "D-87",
        mechanism: "when a commit failed, the blocks that it would have freed are discarded: the \
                    last good commit still names them",
        source: "D-87; xfstests btrfs/088",
        needs: "a commit that the device refuses, a crash",
        clauses: &["CRASH-01", "CRASH-04", "DUR-FSYNC-01", "DUR-FDS-01", "DUR-DIR-01"],
        audit: &["ALLOC-05"],
        silent: "runs without a crash, or without a failed commit",
        shown_by: "explore crash_append_log --fail-write root:2 --seed 1 --seeds 20 -- 12",
        exercised_by: "explore posix_exerciser --fail-write root:2x2 --seed 1 --seeds 20 -- \
                       random 60 files",
        controls: &[CALM],
        apply: |policies| policies.cow.discards = Discards::AlsoAborted,
    },
    Defect {
        name: "writeback_gives_up",
        number: "DEF-003a",
        mechanism: "writeback of a page for which the open group of transactions has no room \
                    makes it dirty again and ends with an error; with errors that are dropped, a \
                    copy of the file is made of what was there before",
        source: "seed 003; openzfs/zfs 102b468b5e",
        needs: "errors of pages that are dropped (DEF-003b), a group that is full",
        clauses: &[
            "COPY-01",
            "SEEK-02",
            "SEEK-05",
            "SNAP-01",
            "DUR-FSYNC-01",
            "DUR-MSYNC-01",
            "DATA-RW-01",
        ],
        audit: &["ERR-REPORT-09"],
        silent: "runs without DEF-003b: a flush fails, and does not lie",
        shown_by: "run seed_003_go_linker_copy --defect DEF-003b --seed 1 --seeds 50",
        exercised_by: "run posix_exerciser --defect DEF-003b --seed 1 --adversity --seeds 300 -- \
                       random 300 ranges",
        controls: &[CALM],
        apply: |policies| policies.cache.group_pressure = GroupPressure::GivesUp,
    },
    Defect {
        name: "page_errors_dropped",
        number: "DEF-003b",
        mechanism: "a flush forgets the errors of single pages, and succeeds",
        source: "seed 003; openzfs/zfs 102b468b5e",
        needs: "errors of pages: a writeback that gives up (DEF-003a)",
        clauses: &[
            "COPY-01",
            "SEEK-02",
            "SEEK-05",
            "SNAP-01",
            "DUR-FSYNC-01",
            "DUR-MSYNC-01",
            "DATA-RW-01",
        ],
        audit: &["ERR-REPORT-09"],
        silent: "runs without DEF-003a",
        shown_by: "run seed_003_go_linker_copy --defect DEF-003a --seed 1 --seeds 50",
        exercised_by: "run posix_exerciser --defect DEF-003a --seed 1 --adversity --seeds 300 -- \
                       random 300 ranges",
        controls: &[CALM],
        apply: |policies| policies.cache.page_errors = PageErrors::Dropped,
    },
    Defect {
        name: "seek_flush_best_effort",
        number: "DEF-003c",
        mechanism: "a search for holes flushes only pages that are not under writeback yet, and \
                    looks at no error",
        source: "seed 003; openzfs/zfs 102b468b5e",
        needs: "a mapping, writeback beside the search",
        clauses: &["SEEK-02", "SEEK-05", "SEEK-06"],
        audit: &[],
        silent: "clones; runs without writeback beside the search",
        shown_by: "run seed_003_go_linker_copy --seed 1 --seeds 200 -- seek",
        exercised_by: EXERCISED,
        controls: &["run seed_003_go_linker_copy --seed 1 --seeds 20 -- seek synced"],
        apply: |policies| policies.cache.seek_flush = SeekFlush::BestEffort,
    },
    Defect {
        name: "clone_no_source_flush",
        number: "DEF-003d",
        mechanism: "a clone does not write back what is dirty of its source: it shares what was \
                    beneath before",
        source: "seed 003; openzfs/zfs 102b468b5e",
        needs: "a clone of what is only in memory",
        clauses: &["COPY-01", "COPY-03", "COPY-11"],
        audit: &[],
        silent: "searches; runs in which the source is synced before",
        shown_by: "run seed_003_go_linker_copy -- clone",
        exercised_by: EXERCISED,
        controls: &["run seed_003_go_linker_copy --seed 1 --seeds 20 -- clone synced"],
        apply: |policies| policies.cache.clone_flush = CloneFlush::DestinationAlone,
    },
    Defect {
        name: "mapped_dirt_not_flushed",
        number: "D-51",
        mechanism: "clones, copies and searches for holes write back only what calls wrote: of \
                    what was stored through a mapping alone they see what was beneath before",
        source: "D-51; FreeBSD 47ec00d9d607, PR 276002",
        needs: "a clone, a copy or a search after stores through a mapping",
        clauses: &["COPY-01", "COPY-03", "SEEK-05", "SEEK-02", "SEEK-06"],
        audit: &[],
        silent: "runs in which files are written by calls alone, or synced before",
        shown_by: "run seed_003_go_linker_copy -- range",
        exercised_by: EXERCISED_ALL,
        controls: &[
            "run seed_003_go_linker_copy --seed 1 --seeds 20 -- clone write-calls",
            "run seed_003_go_linker_copy --seed 1 --seeds 20 -- clone synced",
            "run seed_003_go_linker_copy --seed 1 --seeds 20 -- seek synced",
        ],
        apply: |policies| policies.cache.map_flush = MapFlush::WrittenAlone,
    },
    Defect {
        name: "clone_keeps_pages",
        number: "D-86",
        mechanism: "pages in memory that show what a clone replaced stay, and are read until they \
                    are evicted",
        source: "D-86; xfstests btrfs/081",
        needs: "a clone over what was read or written",
        clauses: &["COPY-05", "COPY-01", "COPY-11", "SNAP-01", "MAP-01", "MAP-02"],
        audit: &["MAP-04", "MAP-03"],
        silent: "runs with clones into new files",
        shown_by: "run posix_clone_snapshot",
        exercised_by: EXERCISED,
        controls: &["run seed_003_go_linker_copy --seed 1 --seeds 20 -- clone"],
        apply: |policies| policies.cache.cloned_pages = ClonedPages::Kept,
    },
    Defect {
        name: "clone_ignores_sync_flags",
        number: "D-82",
        mechanism: "a clone or a copy into a file that is open for synchronous writes is not \
                    durable when it returns",
        source: "D-82; xfstests generic/628 and generic/629",
        needs: "a crash",
        clauses: &["COPY-09", "DUR-OSYNC-01", "CRASH-09"],
        audit: &[],
        silent: "runs without a crash or O_SYNC",
        shown_by: "explore posix_clone_snapshot",
        exercised_by: EXERCISED_RANGES_WITH_CRASHES,
        controls: &["explore crash_append_log -- 3"],
        apply: |policies| policies.vfs.clone_sync = CloneSync::Forgotten,
    },
    Defect {
        name: "dirty_by_list_only",
        number: "DEF-003e",
        mechanism: "an object counts as clean once it is off the list of dirty ones, while its \
                    dirty records are not written into the map yet",
        source: "seed 003; openzfs/zfs #15526, 30d581121b",
        needs: "a search while a group of transactions retires its objects",
        clauses: &["SEEK-02", "SEEK-06", "SEEK-05", "COPY-01"],
        audit: &[],
        silent: "runs with mappings alone",
        shown_by: "run seed_003_go_linker_copy --seed 1 --seeds 200 -- append",
        exercised_by: EXERCISED_IN_COMPANY,
        controls: &[CALM],
        apply: |policies| policies.cow.dirty_test = DirtyTest::ListOnly,
    },
    Defect {
        name: "dirty_by_data_only",
        number: "DEF-003f",
        mechanism: "clones and freed ranges do not make an object dirty: until they are in the \
                    map, searches and clones see what was before",
        source: "seed 003; openzfs/zfs #14753, accfdeb948",
        needs: "a search or a clone after a clone or a hole",
        clauses: &["SEEK-02", "SEEK-06", "COPY-01"],
        audit: &[],
        silent: "runs with written data alone",
        shown_by: "run posix_clone_snapshot --seed 1 --seeds 50",
        exercised_by: EXERCISED,
        controls: &["run seed_003_go_linker_copy --seed 1 --seeds 20 -- seek"],
        apply: |policies| policies.cow.dirty_test = DirtyTest::DataOnly,
    },
    Defect {
        name: "seek_without_flush",
        number: "DEF-003g",
        mechanism: "a search for holes neither flushes nor looks into the cache",
        source: "seed 003; openzfs/zfs before de198f2d95",
        needs: "a mapping, or a write that is not written back",
        clauses: &["SEEK-02", "SEEK-05", "SEEK-06"],
        audit: &[],
        silent: "runs in which files are synced before the search",
        shown_by: "run seed_003_go_linker_copy -- seek",
        exercised_by: EXERCISED,
        controls: &["run seed_003_go_linker_copy --seed 1 --seeds 20 -- seek synced"],
        apply: |policies| policies.cache.seek_flush = SeekFlush::Nothing,
    },
    Defect {
        name: "record_search_off_by_one",
        number: "D-38",
        mechanism: "a search does not see the last block of a dirty range, and nothing of a range \
                    of one block",
        source: "D-38; xfstests generic/706",
        needs: "data that no group of transactions has retired",
        clauses: &["SEEK-02", "SEEK-05", "SEEK-06"],
        audit: &[],
        silent: "runs in which everything is committed before the search",
        shown_by: "run posix_holes",
        exercised_by: EXERCISED,
        controls: &["run posix_data"],
        apply: |policies| policies.cow.record_search = RecordSearch::OffByOne,
    },
    Defect {
        name: "overwritten_clone_stays",
        number: "D-55",
        mechanism: "writing to a block that was cloned in the same group leaves the record of the \
                    clone",
        source: "D-55; openzfs/zfs 555ef90c5c",
        needs: "a clone that is written to at once",
        clauses: &[
            "COPY-11",
            "COPY-01",
            "COPY-04",
            "DATA-RW-01",
            "DATA-RW-03",
            "FALLOC-03",
            "MAP-01",
            "RSTAB-01",
            "SEEK-02",
            "SNAP-04",
        ],
        audit: &["MAP-03"],
        silent: "runs without clones",
        shown_by: "run posix_clone_snapshot --seed 1 --seeds 50",
        exercised_by: EXERCISED,
        controls: &["run posix_data"],
        apply: |policies| policies.cow.overwritten_clone = OverwrittenClone::Stays,
    },
    Defect {
        name: "freed_ranges_outlive_clones",
        number: "D-57",
        mechanism: "a clone into a range that was just cut is read as a hole until the commit",
        source: "D-57; openzfs/zfs 1644e2ffd2",
        needs: "a clone over what was cut in the same group",
        clauses: &["COPY-11", "COPY-01", "SEEK-02", "SNAP-01"],
        audit: &[],
        silent: "runs without clones",
        shown_by: "run posix_clone_snapshot --seed 1 --seeds 50",
        exercised_by: EXERCISED,
        controls: &["run posix_data"],
        apply: |policies| policies.cow.freed_ranges = FreedRanges::OutliveClones,
    },
    Defect {
        name: "replay_counts_no_clones",
        number: "D-54",
        mechanism: "after a crash, a clone that the intent log replays counts as no use of its \
                    blocks: they are granted again when what was cloned lets go of them",
        source: "D-54; openzfs/zfs a03ebd9bee",
        needs: "a crash after a clone was synced, and use of what was recovered",
        clauses: &["ERR-FALSE-01", "COPY-04", "DATA-ISO-01", "DATA-RW-01"],
        audit: &["REF-04"],
        silent: "runs in which nothing is written after the crash; runs without a clone",
        shown_by: "explore crash_clone_kept --fs-size 256K --verify verify_usable",
        exercised_by: EXERCISED_AND_USED_AFTER_CRASHES,
        controls: &[
            "explore crash_append_log --fs-size 256K --verify verify_usable -- 3",
            "explore crash_clone_kept --fs-size 256K --no-audits",
        ],
        apply: |policies| policies.cow.replayed_uses = ReplayedUses::Forgotten,
    },
    Defect {
        name: "clones_not_logged",
        number: "D-45",
        mechanism: "an fsync after a clone succeeds, and the intent log is not told of it",
        source: "D-45; xfstests btrfs/056",
        needs: "a crash",
        clauses: &["COPY-08", "COPY-09", "DUR-FSYNC-01", "DUR-OSYNC-01"],
        audit: &[],
        silent: "runs without a crash or a clone",
        shown_by: "explore posix_clone_snapshot",
        exercised_by: EXERCISED_RANGES_WITH_CRASHES,
        controls: &["explore crash_append_log -- 3"],
        apply: |policies| policies.cow.logged = Logged::NotClones,
    },
    Defect {
        name: "holes_not_logged",
        number: "D-44",
        mechanism: "an fsync after a hole was punched succeeds, and the intent log is not told of \
                    it",
        source: "D-44; xfstests btrfs and generic/177",
        needs: "a crash",
        clauses: &["DUR-FSYNC-01", "DUR-FDS-01", "CRASH-07", "CRASH-09", "DUR-OSYNC-01"],
        audit: &[],
        silent: "runs without a crash or a hole",
        shown_by: "explore posix_holes",
        exercised_by: EXERCISED_RANGES_WITH_CRASHES,
        controls: &["explore crash_append_log -- 3"],
        apply: |policies| policies.cow.logged = Logged::NotHoles,
    },
    Defect {
        name: "shared_blocks_in_place",
        number: "D-29",
        mechanism: "a file that is written in place is written in place also where a snapshot or a \
                    clone shares its blocks",
        source: "D-29; torvalds/linux e9894fd3e3b3",
        needs: "a file that is written in place, a snapshot or a clone",
        clauses: &["SNAP-04", "SNAP-01", "COPY-11", "COPY-04", "DATA-RW-01", "DATA-ISO-01"],
        audit: &[],
        silent: "runs without snapshots and clones",
        shown_by: "run posix_clone_snapshot",
        exercised_by: EXERCISED,
        controls: &["run posix_data"],
        apply: |policies| policies.cow.sharing = Sharing::Ignored,
    },
    Defect {
        name: "snapshot_lets_writes_go_on",
        number: "D-28",
        mechanism: "writes go on while a snapshot is made: a direct one is in it, and one through \
                    the cache that was acknowledged before is not",
        source: "D-28; torvalds/linux 609e804d771f",
        needs: "a snapshot beside direct writes and writes through the cache",
        clauses: &["SNAP-02", "SNAP-01"],
        audit: &[],
        silent: "runs without snapshots; runs of one process",
        shown_by: "run posix_pressure --seed 1 --seeds 50 -- direct",
        exercised_by: EXERCISED_AND_FROZEN,
        controls: &[CALM, "run posix_data"],
        apply: |policies| policies.vfs.snapshot_hold = SnapshotHold::NotWrites,
    },
    Defect {
        name: "snapshot_lets_cuts_go_on",
        number: "D-30",
        mechanism: "writes and truncation go on while a snapshot is made: the new size is in it, \
                    and what was written and acknowledged before is not",
        source: "D-30; xfstests btrfs/080",
        needs: "a snapshot beside a truncation behind a write",
        clauses: &["SNAP-02", "SNAP-01"],
        audit: &[],
        silent: "runs without snapshots; runs of one process",
        shown_by: "run posix_pressure --seed 1 --seeds 50 -- cuts",
        exercised_by: EXERCISED_AND_FROZEN,
        controls: &[CALM, "run posix_data"],
        apply: |policies| policies.vfs.snapshot_hold = SnapshotHold::NotTruncation,
    },
    Defect {
        name: "batched_reads_go_on",
        number: "D-37",
        mechanism: "blocks of one compressed run that are read together are taken from it one \
                    behind the other, also where a clone put a part of the run once more, or in \
                    another order",
        source: "D-37; xfstests btrfs/103 and btrfs/106",
        needs: "a clone of a part of what is compressed, read at once from the medium",
        clauses: &["DATA-RW-01", "DATA-DIO-01", "COPY-01", "COPY-04", "SNAP-04", "SNAP-01"],
        audit: &[],
        silent: "runs without compression or clones; reads of a page at a time",
        shown_by: "run posix_clone_snapshot -- compressed",
        exercised_by: EXERCISED,
        controls: &["run posix_clone_snapshot", "run seed_000_leveldb_mmap"],
        apply: |policies| policies.cow.run_offset = RunOffset::OfFirst,
    },
];

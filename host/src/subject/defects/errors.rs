//! Defects of the record of failed writes (seed 004 and others of its kind).

use crate::cache::CommitFailure;
use crate::cache::ErrorPolicy;
use crate::cache::FailureKind;
use crate::cache::Observers;
use crate::cache::PartFailures;
use crate::cache::RecycledRecord;
use crate::cache::ReportTime;
use crate::cache::SyncAllReports;
use crate::cow::RecordFailure;
use crate::cow::TreeErrors;
use crate::subject::defects::CALM;
use crate::subject::defects::Defect;
use crate::subject::defects::EXERCISED_WITH_FAULTS;
use crate::vfs::CloseTurn;

/// The same exerciser on the stack of Linux 4.17, held to what that promises.
const EXERCISED_ON_LINUX: &str = "run posix_exerciser --profile linux-errseq-4.17 --fail-write \
     data:3x2 --seed 1 --adversity --seeds 60 -- random 300 mapped reverting";

/// The general exerciser with all that it has, which goes on after writes that the device refused.
const EXERCISED_EVERYWHERE_WITH_FAULTS: &str = "run posix_exerciser --fail-write data:3x2 --seed 1 \
                                                --seeds 100 -- random 300 all";

/// The same on files that come and go.
const EXERCISED_ON_FILES_WITH_FAULTS: &str = "run posix_exerciser --fail-write data:3x2 --seed 1 \
     --adversity --seeds 60 -- random 300 files";

/// The general exerciser on a device that has no space for some writes.
const EXERCISED_WITHOUT_SPACE: &str = "run posix_exerciser --fail-write data:3x2=enospc --seed 1 \
                                       --adversity --seeds 20 -- random 300 mapped";

/// The same where a close writes the file back, and tells what failed.
const EXERCISED_WITH_CLOSES: &str = "run posix_exerciser --profile nfs-context --fail-write \
     data:3x2 --seed 1 --adversity --seeds 60 -- random 300 files reverting";

const LINUX_CALM: &str = "run posix_exerciser --profile linux-errseq-4.17 -- 1 300";

pub(super) const ERRORS: &[Defect] = &[
    Defect {
        name: "queue_forgotten",
        number: "DEF-004d",
        mechanism: "a sync that fails drops whatever else of the file was waiting to be written; \
                    the next sync has nothing to write, and succeeds",
        source: "seed 004, D-92; gluster's write-behind (commit d76b0072aa)",
        needs: "a write that the device refuses",
        clauses: &["ERR-STICKY-01", "ERR-REPORT-01", "ERR-CLAIM-01", "RSTAB-02"],
        audit: &[],
        silent: "runs without a refused write",
        shown_by: "run seed_004_qemu_fsync",
        exercised_by: EXERCISED_WITH_FAULTS,
        controls: &[CALM],
        apply: |policies| policies.cache.errors = ErrorPolicy::QUEUE_FORGOTTEN,
    },
    Defect {
        name: "syncfs_uses_up_errors",
        number: "DEF-004g",
        mechanism: "a sync of everything clears the mark of a failure that the owner's sync would \
                    have looked for, and tells nobody",
        source: "seed 004, D-05; Linux before the errors were kept by system-wide syncs",
        needs: "a write that the device refuses, a syncfs",
        clauses: &["ERR-REPORT-05", "ERR-REPORT-02", "ERR-REPORT-03", "ERR-REPORT-01"],
        audit: &[],
        silent: "runs without a refused write or without syncfs",
        shown_by: "run litmus_sync_errors --profile linux-flags -- L10",
        exercised_by: "run posix_exerciser --profile linux-flags --fail-write data:3x2 --seed 1 \
                       --adversity --seeds 60 -- random 300 mapped reverting",
        controls: &[
            "run posix_exerciser --profile linux-flags -- 1 300",
            "run litmus_sync_errors --profile linux-flags -- L1",
        ],
        apply: |policies| policies.cache.errors.sync_all = SyncAllReports::UsedUp,
    },
    Defect {
        name: "late_opener_untold",
        number: "D-04",
        mechanism: "a description begins after every failure so far, those too that nobody was \
                    told of",
        source: "D-04; Linux 4.13 to 4.16 (commit b4678df184b3)",
        needs: "a write that the device refuses before the file is opened",
        clauses: &["ERR-REPORT-03", "ERR-REPORT-01"],
        audit: &[],
        silent: "runs without a refused write, or with the file open",
        shown_by: "run litmus_sync_errors --profile linux-errseq-4.17 -- L4",
        exercised_by: EXERCISED_ON_LINUX,
        controls: &[LINUX_CALM, "run litmus_sync_errors --profile linux-errseq-4.17 -- L1"],
        apply: |policies| policies.cache.errors.observers = Observers::OpenAtError,
    },
    Defect {
        name: "failure_told_late",
        number: "D-15",
        mechanism: "a sync says success although its own writeback failed; the next one tells",
        source: "D-15; ext4 with data=journal",
        needs: "a write that the device refuses in a sync",
        clauses: &["ERR-REPORT-01", "ERR-REPORT-02"],
        audit: &[],
        silent: "runs without a refused write",
        shown_by: "run litmus_sync_errors --profile linux-errseq-4.17 -- L18",
        exercised_by: "run posix_exerciser --profile linux-errseq-4.17 --fail-write data:3x2 \
                       --seed 1 --seeds 60 -- random 300 files reverting",
        controls: &[LINUX_CALM],
        apply: |policies| policies.cache.errors.report = ReportTime::NextSync,
    },
    Defect {
        name: "syncfs_tells_nothing",
        number: "D-49",
        mechanism: "syncfs has no record of failures: it says success after any of them",
        source: "D-49; Linux before 5.8 (commit 735e4ae5ba28)",
        needs: "a write that the device refuses, a syncfs",
        clauses: &["ERR-REPORT-06", "ERR-REPORT-01", "ERR-STICKY-01"],
        audit: &[],
        silent: "runs without a refused write or without syncfs",
        shown_by: "run litmus_sync_errors --profile linux-5.8 -- L11",
        exercised_by: "run posix_exerciser --profile linux-5.8 --fail-write data:3x2 --seed 1 \
                       --adversity --seeds 60 -- random 300 mapped reverting",
        controls: &["run posix_exerciser --profile linux-5.8 -- 1 300"],
        apply: |policies| policies.cache.errors.sync_all = SyncAllReports::Never,
    },
    Defect {
        name: "no_space_told_as_io",
        number: "",
        mechanism: "a file remembers of a failed writeback that there was an I/O error, also where \
                    the device had no space",
        source: "torvalds/linux fs/buffer.c, mark_buffer_write_io_error; gluster commit \
                 970a97f271 is of this class",
        needs: "a write that the device refuses for want of space",
        clauses: &["ERR-REPORT-10"],
        audit: &[],
        silent: "runs in which the device refuses writes for no other reason than an I/O error",
        shown_by: EXERCISED_WITHOUT_SPACE,
        exercised_by: EXERCISED_WITHOUT_SPACE,
        controls: &[CALM, EXERCISED_WITH_FAULTS],
        apply: |policies| policies.cache.failure_kind = FailureKind::AlwaysIo,
    },
    Defect {
        name: "failed_close_keeps_descriptor",
        number: "",
        mechanism: "a close writes the file back before it gives the descriptor up: if that fails, \
                    the descriptor stays open, and a second close succeeds",
        source: "synthetic; Linux manual page close, of systems other than Linux",
        needs: "a write that the device refuses in a close, a second close",
        clauses: &["ERR-CLOSE-01"],
        audit: &[],
        silent: "runs without a refused write, or whose close tells no errors",
        shown_by: EXERCISED_WITH_CLOSES,
        exercised_by: EXERCISED_WITH_CLOSES,
        controls: &[
            "run posix_exerciser --profile nfs-context -- 1 300",
            EXERCISED_ON_FILES_WITH_FAULTS,
        ],
        apply: |policies| policies.vfs.close_turn = CloseTurn::FlushesFirst,
    },
    Defect {
        name: "syncfs_ignores_commit",
        number: "",
        mechanism: "syncfs says success although the file system could not commit its records",
        source: "the second half of D-49; torvalds/linux 5679897eb104, xfstests xfs/546",
        needs: "a tree block that the device refuses, a syncfs",
        clauses: &["ERR-REPORT-07", "DUR-SYNCFS-01"],
        audit: &[],
        silent: "runs without a refused write or without syncfs",
        shown_by: "run posix_exerciser --fail-write tree:1x9 --seed 1 --seeds 10 -- random 300 all",
        exercised_by: "run posix_exerciser --fail-write tree:1x9 --seed 1 --seeds 10 -- \
                       random 300 all",
        controls: &[CALM, "run posix_exerciser --seed 1 --seeds 20 -- random 300 all"],
        apply: |policies| policies.cache.commit_failure = CommitFailure::Forgotten,
    },
    Defect {
        name: "forgotten_on_eviction",
        number: "DEF-004e",
        mechanism: "a page whose writeback failed counts as clean, and once nobody has the file \
                    open it is dropped, and the record of the failure with it: the next to open \
                    the file syncs it with success",
        source: "seed 004; Linux's record of errors is in the inode",
        needs: "a write that the device refuses, the last close, short memory",
        clauses: &["ERR-REPORT-04", "ERR-REPORT-01", "ERR-STICKY-01", "ERR-CLAIM-01", "RSTAB-02"],
        audit: &[],
        silent: "runs without a refused write, or with the file open",
        shown_by: "run litmus_sync_errors -- L6",
        exercised_by: EXERCISED_EVERYWHERE_WITH_FAULTS,
        controls: &[CALM, "run litmus_sync_errors -- L1"],
        apply: |policies| policies.cache.errors = ErrorPolicy::FORGOTTEN_ON_EVICTION,
    },
    Defect {
        name: "flush_failure_goes_on",
        number: "DEF-004f",
        mechanism: "a flush that failed stops nothing, though the device may have dropped what it \
                    had in its cache: the next sync flushes what is left, and says success",
        source: "seed 004: a device may drop its cache when the flush command fails",
        needs: "a flush that fails and drops the device's cache, a crash or an eviction",
        clauses: &[
            "CRASH-04",
            "DUR-FSYNC-01",
            "DUR-FSYNC-03",
            "DUR-DIR-02",
            "CRASH-03",
            "CRASH-01",
        ],
        audit: &[],
        silent: "runs without a failed flush, or whose device keeps its cache",
        shown_by: "explore posix_exerciser --profile xfs --fail-write 'dropping-flush nth=2' \
                   --seed 1 --seeds 20 -- random 60 files reverting",
        exercised_by: "explore posix_exerciser --profile xfs --fail-write 'dropping-flush nth=2' \
                       --seed 1 --seeds 20 -- random 60 files reverting",
        controls: &[
            "run posix_exerciser --profile xfs -- 1 300",
            "explore posix_exerciser --profile xfs --fail-write 'flush-error nth=2' --seed 1 \
             --seeds 20 -- random 60 files reverting",
        ],
        apply: |policies| policies.cow.flush_failure = RecordFailure::Continues,
    },
    Defect {
        name: "record_left_to_next_file",
        number: "D-03",
        mechanism: "the record of failures is not reset when a file comes to the place in memory \
                    that another one had: what that one lost is told of this one",
        source: "D-03; torvalds/linux 829bc787c1a0",
        needs: "a write that the device refuses, a removal of that file, another file",
        clauses: &["ERR-FALSE-01", "ERR-FALSE-02"],
        audit: &[],
        silent: "runs without a refused write, or in which no file is removed",
        shown_by: "run litmus_sync_errors -- L13",
        exercised_by: EXERCISED_ON_FILES_WITH_FAULTS,
        controls: &[CALM, "run litmus_sync_errors -- L12"],
        apply: |policies| policies.cache.recycled_record = RecycledRecord::Kept,
    },
    Defect {
        name: "last_part_counts",
        number: "D-16",
        mechanism: "of what was handed to the device together the last part's result counts: that \
                    an earlier one failed is overwritten",
        source: "D-16; xfstests generic/108",
        needs: "a write that the device refuses, of several that are handed down together",
        clauses: &[
            "ERR-REPORT-01",
            "ERR-REPORT-08",
            "ERR-STICKY-01",
            "ERR-CLAIM-01",
            "RSTAB-01",
            "RSTAB-02",
        ],
        audit: &[],
        silent: "runs without a refused write",
        shown_by: "run posix_data --fail-write data:1",
        exercised_by: EXERCISED_WITH_FAULTS,
        controls: &[CALM, "run litmus_sync_errors -- L1"],
        apply: |policies| policies.cache.part_failures = PartFailures::LastAlone,
    },
    Defect {
        name: "tree_errors_forgotten",
        number: "D-34",
        mechanism: "that a block of the tree could not be written is forgotten before the commit \
                    looks: it writes the root that names it",
        source: "D-34; btrfs (commit 656f30dba7ab)",
        needs: "a tree block that the device refuses, a crash",
        clauses: &["CRASH-01"],
        audit: &["ERR-META-01"],
        silent: "runs without a refused write; judged from outside, runs without a crash",
        shown_by: "explore posix_mapping --fail-write tree:1",
        exercised_by: "explore posix_exerciser --fail-write tree:2x2 --seed 1 --seeds 20 -- \
                       random 60 files",
        controls: &[CALM, "run posix_exerciser --fail-write tree:2x2 --no-audits -- 1 300"],
        apply: |policies| policies.cow.tree_errors = TreeErrors::Forgotten,
    },
];

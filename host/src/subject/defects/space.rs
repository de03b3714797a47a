//! Defects of a device that is full, and of limits.

use crate::cache::OwnedSpace;
use crate::cache::WriteFit;
use crate::cow::PendingFrees;
use crate::subject::defects::CALM;
use crate::subject::defects::Defect;
use crate::vfs::SizeLimit;

/// The general exerciser on files that are written in place, on a device that is nearly full.
const EXERCISED_IN_PLACE: &str = "run posix_exerciser --fs-size 104K --seed 1 --seeds 30 -- \
                                  random 250 owned";

/// The same, with space to spare.
const SPACIOUS: &str = "run posix_exerciser --seed 1 --seeds 20 -- random 250 owned";

/// The general exerciser, under a limit of the size of files.
const LIMITED: &str = "run posix_exerciser --file-size-max 8K --seed 1 --seeds 20 -- \
                       random 250 ranges";

/// The general exerciser, which fills a part of the device and removes it again.
const FILLED: &str = "run posix_exerciser --fs-size 1M --seed 1 --seeds 20 -- random 150 filled";

/// The same, with space to spare.
const SPACIOUS_FILLED: &str = "run posix_exerciser --seed 1 --seeds 3 -- random 20 filled";

pub(super) const SPACE: &[Defect] = &[
    Defect {
        name: "owned_space_asked_for",
        number: "D-36",
        mechanism: "a write, or a mapped store, asks for space also where the file has blocks of \
                    its own and is written in place: on a full device it is refused",
        source: "D-36; torvalds/linux 6599716de2d6, xfstests generic/211",
        needs: "a file that is written in place, a device that is full",
        clauses: &["LIM-04", "FALLOC-01", "LIM-01"],
        audit: &[],
        silent: "runs with space to spare, or with files that are not written in place",
        shown_by: EXERCISED_IN_PLACE,
        exercised_by: EXERCISED_IN_PLACE,
        controls: &[CALM, SPACIOUS],
        apply: |policies| policies.cache.owned_space = OwnedSpace::AskedForAgain,
    },
    Defect {
        name: "write_fits_whole_or_not",
        number: "",
        mechanism: "a write for which there is not all the space is refused whole, also where its \
                    first bytes need none",
        source: "xfstests generic/275 is of this class",
        needs: "a file that is written in place, a device that is full",
        clauses: &["LIM-01"],
        audit: &[],
        silent: "runs with space to spare, or with files that are not written in place",
        shown_by: EXERCISED_IN_PLACE,
        exercised_by: EXERCISED_IN_PLACE,
        controls: &[CALM, SPACIOUS],
        apply: |policies| policies.cache.write_fit = WriteFit::AllOrNothing,
    },
    Defect {
        name: "limit_of_writes_alone",
        number: "",
        mechanism: "the limit of a file's size is asked by writes, truncation and copies: a clone \
                    or an allocation makes a file longer",
        source: "xfstests generic/514",
        needs: "a limit of the size of files, a clone or an allocation",
        clauses: &["LIM-06"],
        audit: &[],
        silent: "runs without a limit",
        shown_by: LIMITED,
        exercised_by: LIMITED,
        controls: &[CALM, SPACIOUS],
        apply: |policies| policies.vfs.size_limit = SizeLimit::WritesAlone,
    },
    Defect {
        name: "pending_frees_ignored",
        number: "",
        mechanism: "blocks that only the next commit frees count as used, and nobody commits for \
                    them: a write is refused although what was removed or written over is more \
                    than enough",
        source: "xfstests generic/371, generic/500 and btrfs/132 are of this class",
        needs: "more bytes written and removed than the device has, without a commit between",
        clauses: &["LIM-05"],
        audit: &[],
        silent: "runs with space to spare",
        shown_by: FILLED,
        exercised_by: FILLED,
        controls: &[CALM, SPACIOUS_FILLED],
        apply: |policies| policies.cow.pending_frees = PendingFrees::Ignored,
    },
];

//! Defects of the mirror beneath (seed 001).

use crate::cache::PagePayload;
use crate::cow::BadCopy;
use crate::device::CopyFailure;
use crate::device::LegPayload;
use crate::device::RegionClearing;
use crate::device::RegionMarking;
use crate::device::ReturningLeg;
use crate::subject::defects::Defect;

/// The general exerciser on files that are written in place, on a mirror, beside a process that
/// begins writeback and syncs; cut short after every event of the device.
const EXERCISED_ON_A_MIRROR: &str = "explore posix_exerciser --legs 2 --also \
     'posix_pressure flush 20' --verify verify_mirror_legs --seed 20 --seeds 10 -- \
     random 60 in-place";

/// What legs differ in is in memory, and dirty. An audit sees the legs differ all the same.
const UNCRASHED: &str = "run seed_001_mirror_legs --seed 1 --seeds 10 --no-audits";

/// Nothing differs that is made equal whole after each crash. An audit sees that it would.
const RESYNCED: &str = "explore seed_001_mirror_legs --resync full --verify verify_mirror_legs \
                        --seed 1 --seeds 10 --no-audits";

/// The general exerciser on a mapped file for parts of which room is set aside, cut short after
/// every event of the device.
const EXERCISED_ON_ROOM_SET_ASIDE: &str =
    "explore posix_exerciser --seed 1 --adversity --seeds 20 -- random 300 room";

/// The general exerciser, which takes a leg away and brings it back.
const RETURNING: &str = "run posix_exerciser --legs 2 --seed 1 --seeds 60 -- random 150 legs";

/// The general exerciser, some of whose writes go elsewhere on the first leg.
const STRAYING: &str = "run posix_exerciser --legs 2 --fail-write 'misdirected-write class=data \
                        leg=0 nth=3 times=10' --seed 1 --seeds 20 -- random 150 files";

/// The same, while it has every leg looked at and repaired.
const STRAYING_AND_SCRUBBED: &str = "run posix_exerciser --legs 2 --fail-write 'misdirected-write \
     class=data leg=0 nth=3 times=10' --seed 1 --seeds 60 -- random 150 scrubbed";

/// Every write goes where it should.
const STRAYS_NOT: &[&str] = &[
    "run seed_001_mirror_legs --seed 1 --seeds 20",
    "run posix_exerciser --legs 2 --seed 1 --seeds 20 -- random 150 files",
];

/// No leg is lost.
const RETURNS_NOT: &[&str] = &[
    "run seed_001_mirror_legs --seed 1 --seeds 20",
    "run posix_exerciser --legs 2 --seed 1 --seeds 20 -- random 150 in-place",
];

pub(super) const MIRROR: &[Defect] = &[
    Defect {
        name: "legs_read_live_pages",
        number: "DEF-001",
        mechanism: "each leg of a mirror reads a page when it writes it: a change between the two \
                    makes them differ, and the region is called clean",
        source: "seed 001; dm-devel, 2 April 2008",
        needs: "a mirror, a file that is written in place, a crash",
        clauses: &["RSTAB-01", "DATA-RW-01"],
        audit: &["RED-02", "RED-01"],
        silent: "runs without a crash, and a mirror that is made equal whole after a crash, both \
                 judged from outside: an audit sees each write that the legs read differently",
        shown_by: "explore seed_001_mirror_legs --verify verify_mirror_legs --seed 1 --seeds 10",
        exercised_by: EXERCISED_ON_A_MIRROR,
        controls: &[UNCRASHED, RESYNCED],
        apply: |policies| {
            policies.mirror.payload = LegPayload::EachLeg;
            policies.cache.page_payload = PagePayload::Live;
        },
    },
    Defect {
        name: "checksum_of_another_version",
        number: "D-33",
        mechanism: "the device reads a page itself, after its checksum was taken: a store between \
                    the two leaves bytes on the medium that have another checksum",
        source: "D-33; xfstests generic/761; btrfs (commit 968f19c5b1b7)",
        needs: "blocks that were set aside, a mapped store during their first writeback, a crash",
        clauses: &["CRASH-04", "CRASH-03", "DATA-RW-01"],
        audit: &["RED-09"],
        silent: "runs without a mapping or without room set aside; judged from outside, runs \
                 without a crash: the page is dirty, and is written again",
        shown_by: "explore posix_exerciser --seed 16 --adversity -- random 300 room",
        exercised_by: EXERCISED_ON_ROOM_SET_ASIDE,
        controls: &["run posix_exerciser --seed 1 --adversity --seeds 20 -- random 300 files"],
        apply: |policies| policies.cache.page_payload = PagePayload::Live,
    },
    Defect {
        name: "region_clean_with_the_first_leg",
        number: "DEF-001b",
        mechanism: "a region counts as clean once the first leg has written: a crash before the \
                    others have leaves legs that differ, and nobody makes them equal",
        source: "seed 001, a variant",
        needs: "a mirror, a flush beside a write, a crash",
        clauses: &["RSTAB-01", "DATA-RW-01"],
        audit: &["RED-03", "RED-01"],
        silent: "runs without a crash, and a mirror that is made equal whole after a crash, both \
                 judged from outside: an audit sees each region that is called clean too early",
        shown_by: "explore seed_001_mirror_legs --verify verify_mirror_legs --seed 1 --seeds 10",
        exercised_by: EXERCISED_ON_A_MIRROR,
        controls: &[UNCRASHED, RESYNCED],
        apply: |policies| policies.mirror.clearing = RegionClearing::AfterFirstLeg,
    },
    Defect {
        name: "region_marked_unforced",
        number: "D-60",
        mechanism: "the mark that a region is dirty is answered before it is durable, its forced \
                    access ignored: a crash leaves what was written to one leg and not the mark, \
                    and nobody makes the legs equal",
        source: "D-60; dm-thin answered a forced write before the mapping that it needs was \
                 committed (torvalds/linux 4ae280b4ee34)",
        needs: "a mirror, a crash",
        clauses: &["RSTAB-01", "DATA-RW-01"],
        audit: &["RED-04", "RED-01", "RED-03"],
        silent: "runs without a crash, and a mirror that is made equal whole after a crash, both \
                 judged from outside: an audit sees each leg that is written before the mark",
        shown_by: "explore seed_001_mirror_legs --verify verify_mirror_legs --seed 1 --seeds 10",
        exercised_by: EXERCISED_ON_A_MIRROR,
        controls: &[UNCRASHED, RESYNCED],
        apply: |policies| policies.mirror.marking = RegionMarking::Answered,
    },
    Defect {
        name: "returning_leg_read_at_once",
        number: "D-95",
        mechanism: "a leg that was lost and comes back is read at once: what was written meanwhile \
                    is older on it",
        source: "xfstests btrfs/124",
        needs: "a mirror, a leg that is lost and comes back",
        clauses: &["DATA-RW-03", "DATA-RW-01", "ERR-FALSE-01"],
        audit: &["RED-07", "RED-03", "RED-05"],
        silent: "runs in which no leg is lost",
        shown_by: "run seed_001_mirror_legs -- return 3",
        exercised_by: RETURNING,
        controls: RETURNS_NOT,
        apply: |policies| policies.mirror.returning = ReturningLeg::AtOnce,
    },
    Defect {
        name: "last_write_ends_copying",
        number: "D-65",
        mechanism: "while a leg that came back is copied to, the last write to a region counts as \
                    having copied it: it is called clean, and the leg lacks the rest of what it \
                    missed there",
        source: "D-65; dm-raid1, Nomura 2006",
        needs: "a mirror, a leg that is lost and comes back, writes before it was copied to",
        clauses: &[
            "RED-06",
            "DUR-FSYNC-01",
            "DUR-FSYNC-03",
            "CRASH-04",
            "DATA-RW-03",
            "DATA-RW-01",
            "ERR-FALSE-01",
        ],
        audit: &["RED-03", "RED-05", "RED-07"],
        silent: "runs in which no leg is lost",
        shown_by: "explore seed_001_mirror_legs --lose-leg each -- return 3 1",
        exercised_by: RETURNING,
        controls: RETURNS_NOT,
        apply: |policies| policies.mirror.returning = ReturningLeg::LastWriteEndsCopying,
    },
    Defect {
        name: "failed_copy_counts_as_done",
        number: "D-94",
        mechanism: "a leg that came back refuses what is copied to it, and counts as having it",
        source: "D-94; torvalds/linux f44db678edcc",
        needs: "a mirror, a leg that is lost, comes back and refuses a write",
        clauses: &["DATA-RW-03", "DATA-RW-01", "ERR-FALSE-01"],
        audit: &["RED-07", "RED-03", "RED-05"],
        silent: "runs in which a leg takes what is copied to it",
        shown_by: "run seed_001_mirror_legs --fail-write 'write-error object=0 leg=0 \
                   times=until-healed' --seed 1 --seeds 10 -- return 3",
        exercised_by: "run posix_exerciser --legs 2 --fail-write 'write-error object=0 leg=0 \
                       times=until-healed' --seed 1 --seeds 20 -- random 150 legs",
        controls: &["run posix_exerciser --legs 2 --seed 1 --seeds 20 -- random 150 legs"],
        apply: |policies| policies.mirror.copy_failure = CopyFailure::CountsAsDone,
    },
    Defect {
        name: "mirrored_copies_trusted",
        number: "",
        mechanism: "where a mirror is beneath, bytes are answered whose checksum is wrong, though \
                    another leg has the right ones",
        source: "synthetic; xfstests btrfs/141 and btrfs/265 to 268 are of this class",
        needs: "a mirror, a leg that has not what was written to it",
        clauses: &["DATA-RW-01", "DATA-RW-03", "COPY-01", "RSTAB-01", "ERR-FALSE-01", "RED-08"],
        audit: &["RED-08"],
        silent: "runs in which every leg has what was written to it",
        shown_by: "run seed_001_mirror_legs --seed 1 --seeds 10 -- repair 4",
        exercised_by: STRAYING,
        controls: STRAYS_NOT,
        apply: |policies| policies.cow.bad_copy = BadCopy::Trusted,
    },
    Defect {
        name: "first_copy_over_others",
        number: "",
        mechanism: "repair and scrub copy the first leg over the others where one is wrong, \
                    without looking which",
        source: "openzfs 62d4287f27 is of this class",
        needs: "a mirror, a first leg that has not what was written to it",
        clauses: &["ERR-FALSE-01", "RED-10"],
        audit: &["RED-10"],
        silent: "runs in which every leg has what was written to it",
        shown_by: "run seed_001_mirror_legs --seed 1 --seeds 10 -- repair 4",
        exercised_by: STRAYING_AND_SCRUBBED,
        controls: STRAYS_NOT,
        apply: |policies| policies.cow.bad_copy = BadCopy::FirstOverOthers,
    },
];

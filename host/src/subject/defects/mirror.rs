//! Defects of the mirror beneath (seed 001).

use crate::cache::PagePayload;
use crate::device::LegPayload;
use crate::device::RegionClearing;
use crate::device::ReturningLeg;
use crate::subject::defects::Defect;

/// The general exerciser on files that are written in place, on a mirror, beside a process that
/// begins writeback and syncs; cut short after every event of the device.
const EXERCISED_ON_A_MIRROR: &str = "explore posix_exerciser --legs 2 --also \
     'posix_pressure flush 20' --verify verify_mirror_legs --seed 1 --seeds 10 -- \
     random 60 in-place";

/// No leg is read but the first. An audit sees the legs differ all the same.
const UNCRASHED: &str = "run seed_001_mirror_legs --seed 1 --seeds 10 --no-audits";

/// Nothing differs that is made equal whole after each crash. An audit sees that it would.
const RESYNCED: &str = "explore seed_001_mirror_legs --resync full --verify verify_mirror_legs \
                        --seed 1 --seeds 10 --no-audits";

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
        name: "returning_leg_read_at_once",
        number: "D-95",
        mechanism: "a leg that was lost and comes back is read at once: what was written meanwhile \
                    is older on it",
        source: "xfstests btrfs/124",
        needs: "a mirror, a leg that is lost and comes back",
        clauses: &["DATA-RW-03", "DATA-RW-01", "ERR-FALSE-01"],
        audit: &["RED-07"],
        silent: "runs in which no leg is lost",
        shown_by: "run seed_001_mirror_legs -- return 3",
        exercised_by: "run posix_exerciser --legs 2 --seed 1 --seeds 20 -- random 150 legs",
        controls: &[
            "run seed_001_mirror_legs --seed 1 --seeds 20",
            "run posix_exerciser --legs 2 --seed 1 --seeds 20 -- random 150 in-place",
        ],
        apply: |policies| policies.mirror.returning = ReturningLeg::AtOnce,
    },
];

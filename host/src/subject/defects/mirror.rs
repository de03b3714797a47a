//! Defects of the mirror beneath (seed 001).

use crate::device::RegionClearing;
use crate::subject::defects::CALM;
use crate::subject::defects::Defect;

/// The general exerciser on files that are written in place, on a mirror, beside a process that
/// writes back and syncs; cut short after every event of the device.
const EXERCISED_ON_A_MIRROR: &str = "explore posix_exerciser --legs 2 --also \
     'posix_pressure writes 20' --verify verify_mirror_legs --seed 1 --seeds 40 -- \
     random 60 in-place";

pub(super) const MIRROR: &[Defect] = &[Defect {
    name: "region_clean_with_the_first_leg",
    number: "DEF-001b",
    mechanism: "a region counts as clean once the first leg has written: a crash before the \
                    others have leaves legs that differ, and nobody makes them equal",
    source: "seed 001, a variant",
    needs: "a mirror, a flush beside a write, a crash",
    clauses: &["RSTAB-01", "DATA-RW-01"],
    audit: &["RED-01"],
    silent: "runs without a crash",
    shown_by: "explore seed_001_mirror_legs --verify verify_mirror_legs --seed 1 --seeds 20",
    exercised_by: EXERCISED_ON_A_MIRROR,
    controls: &[CALM],
    apply: |policies| policies.mirror.clearing = RegionClearing::AfterFirstLeg,
}];

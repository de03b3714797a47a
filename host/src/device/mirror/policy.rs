//! What a mirror is assembled from: the correct values, and those of its defects.

/// How many times a leg captures what a request brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LegPayload {
    /// It is captured once, for all legs.
    Once,
    /// Each leg captures it when it writes: a page that changes meanwhile differs (DEF-001).
    EachLeg,
}

/// When a region is called clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegionClearing {
    /// When every leg has written everything, and was flushed.
    AfterAllLegs,
    /// When the first leg has (DEF-001b).
    AfterFirstLeg,
}

/// When the mark is taken for durable that a region is dirty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RegionMarking {
    /// When it is: the log is written with forced access.
    Forced,
    /// When its write is answered, though nothing forces it: what it is to cover may be durable
    /// before it (D-60).
    Answered,
}

/// What is made equal after a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resync {
    /// The regions that the log calls dirty.
    DirtyRegions,
    /// Everything.
    All,
}

/// When a leg that was lost, and came back, is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReturningLeg {
    /// When it has what it missed.
    CaughtUp,
    /// At once (D-95).
    AtOnce,
    /// When it has what it missed, where the last write to a region counts as having copied all of
    /// it (D-65).
    LastWriteEndsCopying,
}

/// What becomes of a leg that did not take what was copied to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CopyFailure {
    /// It is lost.
    LosesLeg,
    /// It counts as having it (D-94).
    CountsAsDone,
}

/// What a mirror is assembled from. The default is correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MirrorPolicy {
    /// Legs; with one there is no mirror.
    pub leg_count: u32,
    /// Who captures a payload.
    pub payload: LegPayload,
    /// When a region is marked dirty.
    pub marking: RegionMarking,
    /// When a region is clean.
    pub clearing: RegionClearing,
    /// What a recovery makes equal.
    pub resync: Resync,
    /// When a leg that came back is read.
    pub returning: ReturningLeg,
    /// What a copy that failed does to its leg.
    pub copy_failure: CopyFailure,
}

impl Default for MirrorPolicy {
    fn default() -> Self {
        Self {
            leg_count: 1,
            payload: LegPayload::Once,
            marking: RegionMarking::Forced,
            clearing: RegionClearing::AfterAllLegs,
            resync: Resync::DirtyRegions,
            returning: ReturningLeg::CaughtUp,
            copy_failure: CopyFailure::LosesLeg,
        }
    }
}

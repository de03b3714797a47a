//! Who is owed which error, and who may be told success.
//!
//! A range enters the ledger when the subject says that it is lost, or, of a subject that says
//! nothing, when a sync fails. It leaves when it was rewritten by changes that a successful sync
//! covers, or removed.

mod failure;
mod kind;
mod ledger;
mod lost_set;
mod mapped;
mod placed;
pub(crate) mod reads;
mod success;

use std::ops::Range;

use imbl::Vector;

use crate::model::overlaps;
use crate::ops::Judge;
use crate::promise::AfterFailure;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Step;

pub(crate) use failure::close_failed;
pub(crate) use failure::sync_all_failed;
pub(crate) use failure::sync_failed;
pub(crate) use failure::synced_write_failed;
pub(crate) use failure::was_told;
pub(crate) use kind::Kinds;
pub(crate) use kind::is_kept;
pub(crate) use ledger::attribute;
pub(crate) use ledger::identified;
pub(crate) use ledger::opened;
pub(crate) use ledger::said;
pub(crate) use ledger::said_in_failed;
pub(crate) use ledger::said_together;
pub(crate) use lost_set::LostSet;
pub(crate) use success::range_sync_succeeded;
pub(crate) use success::says_durable;
pub(crate) use success::sync_all_ended_well;
pub(crate) use success::sync_all_succeeded;
pub(crate) use success::sync_succeeded;
pub(crate) use success::synced_write_succeeded;

/// Bytes that were acknowledged and could not be made durable.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    pub(crate) ranges: Vec<Range<u64>>,
    pub(crate) errno: Errno,
    pub(crate) step: Step,
    /// Changes up to here are lost; later ones may supersede them.
    pub(crate) order: u64,
    /// The calls whose bytes are lost, at most a few.
    pub(crate) writes: Vec<(Step, Range<u64>)>,
    /// Through which description the newest of them came, by range.
    pub(crate) writers: Vec<(HandleId, Range<u64>)>,
    /// Who was told.
    pub(crate) reported: Vector<(HandleId, Step)>,
    /// Concluded from a failed sync, not said by the subject.
    pub(crate) inferred: bool,
    pub(crate) evicted: bool,
    /// Was any of it stored through a mapping?
    pub(crate) is_stored: bool,
    /// Was there a moment since at which nobody held the file?
    pub(crate) is_closed_over: bool,
    /// And may memory have been short then, so that the file had no place in it any more?
    pub(crate) is_forgotten: bool,
    /// When success was first told since of a sync that covers it.
    pub(crate) passed: Option<Step>,
    /// What of it was read as it had been written, after that.
    pub(crate) seen_since: Vec<Range<u64>>,
}

impl Lost {
    /// Was any of a range still as it had been written, after success was told? Then nobody could
    /// see before that old bytes may come back [RSTAB-03].
    pub(crate) fn was_seen_since(&self, range: &Range<u64>) -> bool {
        self.seen_since.iter().any(|seen| overlaps(seen, range))
    }
}

/// May a lost range read as it was before?
pub(crate) fn may_revert(judge: &Judge, lost: &Lost) -> bool {
    match judge.promises.error.after_failure {
        AfterFailure::KeepsNew => false,
        AfterFailure::MayRevertAfterEviction => lost.evicted || !judge.testifies,
        AfterFailure::MayRevert => true,
    }
}

//! What an exploration covered.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::check::relapse::Relapses;
use crate::check::tally::Tally;
use crate::device::CrashStates;

/// What an exploration covered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Moments at which the run could have been cut short.
    pub moment_count: u64,
    /// Crash states: a moment and what survived.
    pub state_count: u64,
    /// Of these, those without a leg of the mirror, where one was to be lost.
    pub without_leg_count: Option<u64>,
    /// States whose content had been seen before: recovery and survey were shared.
    pub shared_count: u64,
    /// States with the content of one that was judged at the same moment.
    pub repeated_count: u64,
    /// States that differ from one that was judged at the same moment only in blocks at which
    /// neither recovery nor survey nor fsck looks: see [`crate::check::footprint`].
    pub unread_count: u64,
    /// Orders in which unflushed writes could have reached the medium, beyond their subsets: they
    /// leave the same, since writes to several blocks commute.
    pub commuting_count: u64,
    /// Contents that were recovered and surveyed, but those that are equal wherever it is looked.
    pub recovered_count: u64,
    /// Verdicts of the oracle.
    pub judged_count: u64,
    /// Runs of the verifier.
    pub verified_count: u64,
    /// Runs of the verifier that were spared: same content, same lines.
    pub unverified_count: u64,
    /// Device positions at which not every subset was tried.
    pub bounded_count: u64,
    /// Device positions at which not every way to tear a write was tried, where any was.
    pub torn_bounded_count: Option<u64>,
    /// What only a device leaves that lost a flush, where that was asked for.
    pub lost_flush: Option<LostFlushAccount>,
    /// What recoveries were crashed in turn.
    pub again: AgainAccount,
    /// Unsynced effects that were lost, as they may be, and in how many judged states.
    pub lost: BTreeMap<String, u64>,
    /// What was counted in judging what was found after a crash.
    pub tally: Tally,
}

/// What an exploration covered of a device that lost flushes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LostFlushAccount {
    /// So many flushes in a row at most.
    pub flush_count: u32,
    /// States that a device which loses none could not leave at that position.
    pub state_count: u64,
    /// Of these, those in which no promise was broken.
    pub unbroken_count: u64,
    /// In how many of them a promise was broken, by clause: the device's doing.
    pub broken: BTreeMap<String, u64>,
    /// Positions at which not every subset was tried.
    pub bounded_count: u64,
}

/// What an exploration covered of crashes in the middle of recovery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgainAccount {
    /// Recoveries that wrote to the device, and so were crashed.
    pub crashed_count: u64,
    /// What those crashes left.
    pub state_count: u64,
    /// Contents of them that were recovered.
    pub recovered_count: u64,
    /// Of these, those that did not end where the recovery ended that went through.
    pub differing_count: u64,
    /// Positions in recoveries at which not every subset was tried.
    pub bounded_count: u64,
}

impl AgainAccount {
    /// Adds what crashes of one recovery came to.
    pub(super) fn add(&mut self, relapses: &Relapses) {
        self.crashed_count += relapses.crashed_count;
        self.state_count += relapses.state_count;
        self.recovered_count += relapses.recovered_count;
        self.differing_count += relapses.differing.len() as u64;
        self.bounded_count += relapses.bounded_count;
    }
}

impl Account {
    /// One state was met, that stands for so many.
    pub(super) fn count_states(&mut self, stands_for: u64) {
        self.state_count = self.state_count.saturating_add(stands_for);
    }

    /// So many differ from a judged one only where nothing looks.
    pub(super) fn count_unread(&mut self, state_count: u64) {
        self.unread_count = self.unread_count.saturating_add(state_count);
    }

    /// A state without a leg is one of those that are explored.
    pub(super) fn count_without_leg(&mut self) {
        *self.without_leg_count.get_or_insert_default() += 1;
    }

    /// So many crashes were judged on a device that had lost a flush, and these clauses are broken.
    pub(super) fn add_lost_flush(&mut self, clauses: &BTreeSet<&'static str>, state_count: u64) {
        let lost = self.lost_flush.get_or_insert_default();
        lost.state_count += state_count;
        lost.unbroken_count += if clauses.is_empty() { state_count } else { 0 };
        for clause in clauses {
            *lost.broken.entry((*clause).to_owned()).or_default() += state_count;
        }
    }

    /// What was left out of the states of one position.
    pub(super) fn count_bounds(&mut self, states: &CrashStates, is_lost: bool) {
        if is_lost {
            let is_bounded = states.bounded || states.torn_bounded;
            self.lost_flush.get_or_insert_default().bounded_count += u64::from(is_bounded);
            return;
        }
        self.bounded_count += u64::from(states.bounded);
        self.commuting_count = self.commuting_count.saturating_add(states.commuting_count);
        if let Some(count) = &mut self.torn_bounded_count {
            *count += u64::from(states.torn_bounded);
        }
    }
}

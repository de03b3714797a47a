//! Crashes in the middle of recovery: what a recovery wrote is crashed as the run was, recovered
//! again, and so on to a depth.
//!
//! Nobody was told anything in between, so that all of them have to end where the recovery ends
//! that went through. Those that do are judged with it; only the others are judged by themselves.
//!
//! Equal content is shared among the crashes of one recovery, and not with other recoveries: so
//! what is counted does not depend on what else is explored.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use crashproof_spec::trace::CrashKind;

use crate::check::crash_at::CrashAt;
use crate::check::recover::Recovered;
use crate::check::recover::Recovery;
use crate::device::CrashPoint;
use crate::device::CrashStates;
use crate::device::History;
use crate::device::Image;
use crate::device::StateBounds;
use crate::device::Walk;

/// What is crashed again.
#[derive(Debug, Clone, Copy)]
pub(super) struct RelapsePlan {
    pub(super) crash: CrashKind,
    pub(super) bounds: StateBounds,
    /// So many crashes in a row; 1 is the run's alone.
    pub(super) depth: u32,
}

/// What crashes of one recovery came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Relapses {
    /// Recoveries that wrote, and so were crashed.
    pub(super) crashed_count: u64,
    pub(super) state_count: u64,
    pub(super) recovered_count: u64,
    pub(super) bounded_count: u64,
    /// Those that ended elsewhere.
    pub(super) differing: Vec<Relapse>,
}

/// A crash in a recovery that the next recovery made something else of.
#[derive(Debug, Clone)]
pub(super) struct Relapse {
    /// The crashes, each in the recovery from the one before.
    pub(super) crashes: Vec<CrashAt>,
    pub(super) recovered: Recovered,
}

/// The states that a crash of this kind could leave at a point.
pub(super) fn states(point: &CrashPoint, kind: CrashKind, bounds: &StateBounds) -> CrashStates {
    match kind {
        CrashKind::Power => point.states(bounds),
        CrashKind::Kernel | CrashKind::Process(_) => point.all_survive(),
    }
}

impl RelapsePlan {
    /// Crashes the recovery that `first` is of, everywhere, and what follows.
    pub(super) fn crash(&self, recovery: &Recovery, image: &Image, first: &Recovered) -> Relapses {
        let mut relapses = Relapses::default();
        let mut seen = BTreeSet::from([image.hash()]);
        let mut next: VecDeque<(Vec<CrashAt>, History)> = VecDeque::new();
        if self.depth > 1 {
            next.extend(first.writes().map(|writes| (Vec::new(), writes.clone())));
        }
        while let Some((crashes, writes)) = next.pop_front() {
            relapses.crashed_count += 1;
            let mut walk = Walk::new(&writes);
            for position in 0..=writes.len() {
                let states = states(walk.advance(position), self.crash, &self.bounds);
                relapses.bounded_count += u64::from(states.bounded || states.torn_bounded);
                for state in states.states {
                    relapses.state_count += 1;
                    if !seen.insert(state.image.hash()) {
                        continue;
                    }
                    relapses.recovered_count += 1;
                    let recovered = recovery.recover(&state.image);
                    let survivors = state.survivors;
                    let (lost_leg, again) = (None, Vec::new());
                    let at = CrashAt { position, survivors, lost_leg, again };
                    let crashes = [&crashes[..], &[at]].concat();
                    // The run's crash is the first one, this recovery's the last but one.
                    let goes_on = crashes.len() as u64 + 1 < u64::from(self.depth);
                    if let Some(writes) = recovered.writes().filter(|_| goes_on) {
                        next.push_back((crashes.clone(), writes.clone()));
                    }
                    if !recovered.ends_as(first) {
                        relapses.differing.push(Relapse { crashes, recovered });
                    }
                }
            }
        }
        relapses
    }
}

/// Crashes recoveries as they were crashed; `None` if there are no such crashes.
pub(super) fn follow(
    recovery: &Recovery,
    first: &Recovered,
    crashes: &[CrashAt],
) -> Option<Recovered> {
    let mut recovered = first.clone();
    for at in crashes {
        let writes = recovered.writes().filter(|writes| at.position <= writes.len())?;
        let mut walk = Walk::new(writes);
        let point = walk.advance(at.position);
        if point.unflushed.len() != at.survivors.0.len() {
            return None;
        }
        let image = point.state(at.survivors.clone()).image;
        recovered = recovery.recover(&image);
    }
    Some(recovered)
}

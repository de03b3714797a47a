//! Is a leg of a mirror read that is behind?
//!
//! The audit keeps its own account of what each leg missed, from what it is told of each block. A
//! block that was written since is not behind any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use crashproof_spec::words::Testimony;

use crate::device::BlockNo;
use crate::device::LegDeed;
use crate::device::LegEvent;
use crate::device::Mirror;

/// An audit of one mirror. It reports a block once.
pub struct LegsAudit {
    mirror: Arc<Mirror>,
    ledger: Ledger,
}

impl LegsAudit {
    /// Audits the mirror from now on.
    #[must_use]
    pub fn new(mirror: &Arc<Mirror>) -> Self {
        mirror.watch();
        Self { mirror: Arc::clone(mirror), ledger: Ledger::default() }
    }

    /// What was found since the last time.
    pub fn take(&mut self) -> Vec<Testimony> {
        let events = self.mirror.take_events();
        let stale = events.into_iter().filter(|event| self.ledger.is_stale(event));
        let testimony = |event: LegEvent| Testimony::Audit {
            clause: "RED-07".to_owned(),
            evidence: format!("block {} is read from leg {}, behind", event.block.0, event.leg),
        };
        stale.map(testimony).collect()
    }
}

#[derive(Debug, Default)]
struct Ledger {
    missed: BTreeSet<(u32, BlockNo)>,
    told: BTreeSet<(u32, BlockNo)>,
}

impl Ledger {
    /// Notes an event; is it the first read of a block that the leg is behind with?
    fn is_stale(&mut self, event: &LegEvent) -> bool {
        let at = (event.leg, event.block);
        match event.deed {
            LegDeed::Missed => {
                self.missed.insert(at);
                false
            }
            LegDeed::Put => {
                self.missed.remove(&at);
                false
            }
            LegDeed::Read => self.missed.contains(&at) && self.told.insert(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_behind_from_what_was_missed_to_what_was_written() {
        let mut ledger = Ledger::default();
        let mut is_stale = |leg, deed| ledger.is_stale(&LegEvent { leg, block: BlockNo(7), deed });
        assert!(!is_stale(0, LegDeed::Read), "nothing was missed");
        assert!(!is_stale(0, LegDeed::Missed));
        assert!(!is_stale(1, LegDeed::Read), "the other leg is not behind");
        assert!(is_stale(0, LegDeed::Read));
        assert!(!is_stale(0, LegDeed::Read), "it is told once");
        assert!(!is_stale(0, LegDeed::Missed));
        assert!(!is_stale(0, LegDeed::Put));
        assert!(!is_stale(0, LegDeed::Read), "it has caught up");
    }
}

//! What became of blocks on legs, for whoever audits a mirror: facts, and no judgement.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::device::BlockNo;
use crate::device::LivePage;
use crate::device::Payload;
use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use crate::sim::Notices;

/// What happened to a block on a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegDeed {
    /// The mirror was asked to change it, and did not ask the leg.
    Missed,
    /// The leg was asked to change it.
    Asked,
    /// The leg read what a write brings.
    Took {
        /// Which write to the mirror.
        write: u64,
        /// What it read.
        bytes: Bytes,
    },
    /// It was changed.
    Put,
    /// It has what another leg has.
    Copied {
        /// What that is.
        bytes: Bytes,
    },
    /// It was found wrong, and has now what another leg has. Said after [`LegDeed::Copied`].
    Repaired {
        /// What that is.
        bytes: Bytes,
    },
    /// The leg did not change it as it was asked.
    Refused,
    /// It is about to be read, to answer whoever asked the mirror.
    Read,
}

/// Something that happened to a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegEvent {
    /// To a block on a leg.
    Block {
        /// Which leg, from 0.
        leg: u32,
        /// Which block of it.
        block: BlockNo,
        /// What happened.
        deed: LegDeed,
    },
    /// No leg is asked any more for a write to the mirror.
    Ended {
        /// Which.
        write: u64,
    },
    /// The log is on the medium.
    Logged {
        /// The blocks that it calls dirty.
        dirty: Vec<Range<u64>>,
        /// The legs that it calls lost.
        lost: BTreeSet<u32>,
    },
    /// A flush of all legs begins.
    FlushBegan {
        /// Which.
        flush: u64,
    },
    /// It is over: what had been put when it began is durable.
    Flushed {
        /// Which.
        flush: u64,
    },
}

#[derive(Debug, Default)]
struct Counts {
    write_count: u64,
    flush_count: u64,
}

/// Where events are left if somebody wants them; clones are the same place.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    events: Notices<LegEvent>,
    counts: Arc<WorldMutex<Counts>>,
}

impl Journal {
    fn counts(&self) -> WorldGuard<'_, Counts> {
        self.counts.lock()
    }

    pub(super) fn watch(&self) {
        self.events.watch();
    }

    pub(super) fn push(&self, event: LegEvent) {
        self.events.note(|| event);
    }

    /// The same thing happened to some blocks of a leg.
    pub(super) fn note(&self, leg: u32, blocks: Range<u64>, deed: LegDeed) {
        for block in blocks.map(BlockNo) {
            self.push(LegEvent::Block { leg, block, deed: deed.clone() });
        }
    }

    /// The number of a write that begins.
    pub(super) fn next_write(&self) -> u64 {
        let mut counts = self.counts();
        counts.write_count += 1;
        counts.write_count
    }

    /// A flush begins; its number.
    pub(super) fn flush_begins(&self) -> u64 {
        let flush = {
            let mut counts = self.counts();
            counts.flush_count += 1;
            counts.flush_count
        };
        self.push(LegEvent::FlushBegan { flush });
        flush
    }

    /// What a write brings to a block of a leg, such that it is noted what the leg reads of it.
    pub(super) fn witness(
        &self,
        payload: &Payload,
        write: u64,
        leg: u32,
        block: BlockNo,
    ) -> Payload {
        if !self.events.is_watched() {
            return payload.clone();
        }
        let (payload, journal) = (payload.clone(), self.clone());
        Payload::Borrowed(Arc::new(Witnessed { payload, journal, write, leg, block }))
    }

    pub(super) fn take(&self) -> Vec<LegEvent> {
        self.events.take()
    }
}

/// What a write brings to a leg, noted when the leg reads it.
struct Witnessed {
    payload: Payload,
    journal: Journal,
    write: u64,
    leg: u32,
    block: BlockNo,
}

impl LivePage for Witnessed {
    fn capture(&self) -> Bytes {
        let bytes = self.payload.capture();
        let deed = LegDeed::Took { write: self.write, bytes: bytes.clone() };
        self.journal.push(LegEvent::Block { leg: self.leg, block: self.block, deed });
        bytes
    }
}

//! Do the legs of a mirror get the same, is its log right, and is a leg read that is behind?
//!
//! The audit keeps its own account of each block of each leg, from what it is told: what the leg
//! missed, what it was asked and did not do yet, and what a flush has not made durable yet. It
//! never asks the mirror what that thinks of a leg or a region.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use crashproof_spec::words::Testimony;

use crate::device::BlockNo;
use crate::device::LegDeed;
use crate::device::LegEvent;
use crate::device::Mirror;

/// An audit of one mirror. It reports each clause once.
pub struct LegsAudit {
    mirror: Arc<Mirror>,
    ledger: Ledger,
    told: BTreeSet<&'static str>,
}

impl LegsAudit {
    /// Audits the mirror from now on.
    #[must_use]
    pub fn new(mirror: &Arc<Mirror>) -> Self {
        mirror.watch();
        let (ledger, told) = (Ledger::default(), BTreeSet::new());
        Self { mirror: Arc::clone(mirror), ledger, told }
    }

    /// What was found since the last time.
    pub fn take(&mut self) -> Vec<Testimony> {
        let mut found = Vec::new();
        for event in self.mirror.take_events() {
            let Some((clause, evidence)) = self.ledger.note(event) else { continue };
            if self.told.insert(clause) {
                found.push(Testimony::Audit { clause: clause.to_owned(), evidence });
            }
        }
        found
    }
}

/// A block of a leg.
type At = (u32, BlockNo);

/// A clause that is broken, and what shows it.
type Broken = (&'static str, String);

#[derive(Debug, Default)]
struct Ledger {
    /// What a leg was not asked.
    missed: BTreeSet<At>,
    /// How much it was asked and did not answer yet.
    asked: BTreeMap<At, u32>,
    /// What it did that no flush has made durable, and after how many such deeds.
    unflushed: BTreeMap<At, u64>,
    put_count: u64,
    /// How many had been done when a flush began.
    flushes: BTreeMap<u64, u64>,
    /// What the first leg read of a write that is under way, and which leg that was.
    taken: BTreeMap<(u64, BlockNo), (u32, Bytes)>,
    /// The blocks that the log calls dirty: where each range of them begins, and its end.
    dirty: BTreeMap<u64, u64>,
}

impl Ledger {
    /// Notes an event; what it breaks.
    fn note(&mut self, event: LegEvent) -> Option<Broken> {
        match event {
            LegEvent::Block { leg, block, deed } => self.deed((leg, block), deed),
            LegEvent::Ended { write } => {
                self.taken.retain(|(of, _), _| *of != write);
                None
            }
            LegEvent::Logged { dirty, lost } => self.logged(&dirty, &lost),
            LegEvent::FlushBegan { flush } => {
                self.flushes.insert(flush, self.put_count);
                None
            }
            LegEvent::Flushed { flush } => {
                let covers = self.flushes.remove(&flush).unwrap_or(0);
                self.unflushed.retain(|_, number| *number > covers);
                None
            }
        }
    }

    fn deed(&mut self, at: At, deed: LegDeed) -> Option<Broken> {
        match deed {
            LegDeed::Missed => {
                self.missed.insert(at);
                None
            }
            LegDeed::Asked => {
                *self.asked.entry(at).or_default() += 1;
                (!self.is_dirty(at.1)).then(|| {
                    let evidence = format!(
                        "leg {} is asked to change block {}, which the log calls clean",
                        at.0, at.1.0
                    );
                    ("RED-04", evidence)
                })
            }
            LegDeed::Took { write, bytes } => self.took(write, at, bytes),
            LegDeed::Put => {
                self.answered(at);
                self.missed.remove(&at);
                self.put_count += 1;
                self.unflushed.insert(at, self.put_count);
                None
            }
            LegDeed::Refused => {
                self.answered(at);
                self.missed.insert(at);
                None
            }
            LegDeed::Read => self
                .missed
                .contains(&at)
                .then(|| ("RED-07", format!("block {} is read from leg {}, behind", at.1.0, at.0))),
        }
    }

    fn answered(&mut self, at: At) {
        if let Some(count) = self.asked.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                self.asked.remove(&at);
            }
        }
    }

    fn took(&mut self, write: u64, (leg, block): At, bytes: Bytes) -> Option<Broken> {
        let (first, taken) = self.taken.entry((write, block)).or_insert((leg, bytes.clone()));
        (*taken != bytes).then(|| {
            let evidence = format!(
                "of one write to block {}, leg {leg} reads other bytes than leg {first}",
                block.0
            );
            ("RED-02", evidence)
        })
    }

    fn is_dirty(&self, block: BlockNo) -> bool {
        self.dirty.range(..=block.0).next_back().is_some_and(|(_, end)| block.0 < *end)
    }

    fn logged(&mut self, dirty: &[Range<u64>], lost: &BTreeSet<u32>) -> Option<Broken> {
        self.dirty = dirty.iter().map(|range| (range.start, range.end)).collect();
        let is_wrong = |(leg, block): &&At| !lost.contains(leg) && !self.is_dirty(*block);
        let (leg, block) = self.asked.keys().chain(self.unflushed.keys()).find(is_wrong)?;
        let evidence = format!(
            "the log calls block {} clean before leg {leg} has durably what was written to it",
            block.0
        );
        Some(("RED-03", evidence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(leg: u32, deed: LegDeed) -> LegEvent {
        LegEvent::Block { leg, block: BlockNo(7), deed }
    }

    /// The log calls regions of four blocks dirty that begin so.
    fn logged(dirty: &[u64]) -> LegEvent {
        let dirty = dirty.iter().map(|start| *start..start + 4).collect();
        LegEvent::Logged { dirty, lost: BTreeSet::new() }
    }

    fn took(leg: u32, write: u64, byte: u8) -> LegEvent {
        at(leg, LegDeed::Took { write, bytes: Bytes::from(vec![byte; 4]) })
    }

    /// The clauses that these events break, in their order.
    fn broken(events: Vec<LegEvent>) -> Vec<&'static str> {
        let mut ledger = Ledger::default();
        events.into_iter().filter_map(|event| Some(ledger.note(event)?.0)).collect()
    }

    /// A write to both legs in a region that the log calls dirty, up to their answers.
    fn written() -> Vec<LegEvent> {
        let asked = [at(0, LegDeed::Asked), at(1, LegDeed::Asked)];
        let put = [at(0, LegDeed::Put), at(1, LegDeed::Put)];
        [vec![logged(&[0, 4])], asked.to_vec(), put.to_vec()].concat()
    }

    #[test]
    fn a_block_is_behind_from_what_was_missed_to_what_was_written() {
        let read = || at(0, LegDeed::Read);
        assert_eq!(broken(vec![read()]), [""; 0], "nothing was missed");
        let missed = || at(0, LegDeed::Missed);
        assert_eq!(broken(vec![missed(), at(1, LegDeed::Read)]), [""; 0], "not the other leg");
        assert_eq!(broken(vec![missed(), read()]), ["RED-07"]);
        assert_eq!(broken(vec![missed(), at(0, LegDeed::Put), read()]), [""; 0], "caught up");
    }

    #[test]
    fn legs_have_to_read_the_same_of_one_write_and_not_of_two() {
        assert_eq!(broken(vec![took(1, 1, b'a'), took(0, 1, b'a')]), [""; 0]);
        assert_eq!(broken(vec![took(1, 1, b'a'), took(0, 2, b'b')]), [""; 0]);
        assert_eq!(broken(vec![took(1, 1, b'a'), took(0, 1, b'b')]), ["RED-02"]);
        let ended = LegEvent::Ended { write: 1 };
        assert_eq!(broken(vec![took(1, 1, b'a'), ended, took(0, 1, b'b')]), [""; 0]);
    }

    #[test]
    fn a_region_is_clean_when_every_leg_has_what_was_written_durably() {
        let (began, over) =
            (|flush| LegEvent::FlushBegan { flush }, |flush| LegEvent::Flushed { flush });
        let then = |events: Vec<LegEvent>| broken([written(), events].concat());
        assert_eq!(then(vec![began(1), over(1), logged(&[0])]), [""; 0]);
        assert_eq!(then(vec![logged(&[0, 4])]), [""; 0], "it is dirty still");
        assert_eq!(then(vec![logged(&[0])]), ["RED-03"], "nothing was flushed");
        assert_eq!(then(vec![began(1), logged(&[])]), ["RED-03"], "the flush is not over");
        let late = [vec![began(1)], written(), vec![over(1), logged(&[])]].concat();
        assert_eq!(broken(late), ["RED-03"], "the flush had begun before");
        let half = vec![logged(&[4]), at(1, LegDeed::Asked), logged(&[])];
        assert_eq!(broken(half), ["RED-03"], "a leg has not answered");
        let lost = LegEvent::Logged { dirty: Vec::new(), lost: BTreeSet::from([0, 1]) };
        assert_eq!(then(vec![lost]), [""; 0], "of a lost leg nothing is said");
    }

    #[test]
    fn a_region_is_dirty_before_a_leg_is_asked() {
        assert_eq!(broken(vec![logged(&[4]), at(0, LegDeed::Asked)]), [""; 0]);
        assert_eq!(broken(vec![logged(&[8]), at(0, LegDeed::Asked)]), ["RED-04"]);
        assert_eq!(broken(vec![logged(&[0]), at(0, LegDeed::Asked)]), ["RED-04"]);
    }
}

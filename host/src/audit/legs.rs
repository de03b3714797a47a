//! Do the legs of a mirror get the same, is its log right, and does a read depend on its leg?
//!
//! The audit keeps its own account of each block of each leg, from what it is told: what the leg
//! missed, what it was asked and did not do yet, what a flush has not made durable yet, and which
//! bytes it has. It never asks the mirror what that thinks of a leg or a region.

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
            for (clause, evidence) in self.ledger.note(event) {
                if self.told.insert(clause) {
                    found.push(Testimony::Audit { clause: clause.to_owned(), evidence });
                }
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
    /// The legs that the log calls lost.
    lost: BTreeSet<u32>,
    /// What legs have in blocks that were written since the audit began.
    holds: BTreeMap<BlockNo, BTreeMap<u32, Bytes>>,
    /// What was written last, and by which write.
    newest: BTreeMap<BlockNo, (u64, Bytes)>,
}

impl Ledger {
    /// Notes an event; what it breaks.
    fn note(&mut self, event: LegEvent) -> Vec<Broken> {
        match event {
            LegEvent::Block { leg, block, deed } => return self.deed((leg, block), deed),
            LegEvent::Ended { write } => self.taken.retain(|(of, _), _| *of != write),
            LegEvent::Logged { dirty, lost } => {
                return self.logged(&dirty, lost).into_iter().collect();
            }
            LegEvent::FlushBegan { flush } => {
                self.flushes.insert(flush, self.put_count);
            }
            LegEvent::Flushed { flush } => {
                let covers = self.flushes.remove(&flush).unwrap_or(0);
                self.unflushed.retain(|_, number| *number > covers);
            }
        }
        Vec::new()
    }

    fn deed(&mut self, at: At, deed: LegDeed) -> Vec<Broken> {
        match deed {
            LegDeed::Missed => {
                self.missed.insert(at);
            }
            LegDeed::Asked => {
                *self.asked.entry(at).or_default() += 1;
                // What it has is known again when it read what a write brings.
                self.forget(at);
                self.newest.remove(&at.1);
                if !self.is_dirty(at.1) {
                    let evidence = format!(
                        "leg {} is asked to change block {}, which the log calls clean",
                        at.0, at.1.0
                    );
                    return vec![("RED-04", evidence)];
                }
            }
            LegDeed::Took { write, bytes } => return self.took(write, at, bytes),
            LegDeed::Put => {
                self.answered(at);
                self.has_changed(at);
            }
            LegDeed::Copied { bytes } => {
                self.holds.entry(at.1).or_default().insert(at.0, bytes);
                self.has_changed(at);
            }
            LegDeed::Repaired { bytes } => return self.repaired(at, &bytes),
            LegDeed::Refused => {
                self.answered(at);
                self.forget(at);
                self.newest.remove(&at.1);
                self.missed.insert(at);
            }
            LegDeed::Read => return self.read(at),
        }
        Vec::new()
    }

    fn has_changed(&mut self, at: At) {
        self.missed.remove(&at);
        self.put_count += 1;
        self.unflushed.insert(at, self.put_count);
    }

    fn repaired(&self, (leg, block): At, bytes: &Bytes) -> Vec<Broken> {
        let is_written = self.asked.keys().any(|(_, of)| *of == block);
        match self.newest.get(&block) {
            Some((_, newest)) if !is_written && newest != bytes => {
                let block = block.0;
                let evidence =
                    format!("leg {leg} gets other bytes of block {block} than were written last");
                vec![("RED-10", evidence)]
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn forget(&mut self, (leg, block): At) {
        if let Some(held) = self.holds.get_mut(&block) {
            held.remove(&leg);
        }
    }

    fn read(&self, (leg, block): At) -> Vec<Broken> {
        let mut broken = Vec::new();
        if self.missed.contains(&(leg, block)) {
            broken.push(("RED-07", format!("block {} is read from leg {leg}, behind", block.0)));
        }
        // While a write to the block is under way, legs may differ in it.
        let is_quiet = |leg: u32| !self.asked.contains_key(&(leg, block));
        let held = self.holds.get(&block);
        let of_leg = held.and_then(|held| held.get(&leg)).filter(|_| is_quiet(leg));
        let is_other = |(other, bytes): &(&u32, &Bytes)| {
            !self.lost.contains(*other) && is_quiet(**other) && Some(*bytes) != of_leg
        };
        if of_leg.is_some()
            && let Some((other, _)) = held.into_iter().flatten().find(is_other)
        {
            let block = block.0;
            let evidence = format!(
                "a read of block {block} finds other bytes on leg {leg} than on leg {other}"
            );
            broken.push(("RED-05", evidence));
        }
        broken
    }

    fn answered(&mut self, at: At) {
        if let Some(count) = self.asked.get_mut(&at) {
            *count -= 1;
            if *count == 0 {
                self.asked.remove(&at);
            }
        }
    }

    fn took(&mut self, write: u64, (leg, block): At, bytes: Bytes) -> Vec<Broken> {
        self.holds.entry(block).or_default().insert(leg, bytes.clone());
        let newest = self.newest.entry(block).or_insert((write, bytes.clone()));
        if newest.0 < write {
            *newest = (write, bytes.clone());
        }
        let (first, taken) = self.taken.entry((write, block)).or_insert((leg, bytes.clone()));
        if *taken == bytes {
            return Vec::new();
        }
        let evidence = format!(
            "of one write to block {}, leg {leg} reads other bytes than leg {first}",
            block.0
        );
        vec![("RED-02", evidence)]
    }

    fn is_dirty(&self, block: BlockNo) -> bool {
        self.dirty.range(..=block.0).next_back().is_some_and(|(_, end)| block.0 < *end)
    }

    fn logged(&mut self, dirty: &[Range<u64>], lost: BTreeSet<u32>) -> Option<Broken> {
        self.dirty = dirty.iter().map(|range| (range.start, range.end)).collect();
        self.lost = lost;
        let is_wrong = |(leg, block): &&At| !self.lost.contains(leg) && !self.is_dirty(*block);
        let under_way = self.asked.keys().chain(self.unflushed.keys());
        let (leg, block) = under_way.chain(&self.missed).find(is_wrong)?;
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
        let clause = |(clause, _): Broken| clause;
        events.into_iter().flat_map(|event| ledger.note(event)).map(clause).collect()
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
        let copied = at(0, LegDeed::Copied { bytes: Bytes::from_static(b"a") });
        assert_eq!(broken(vec![missed(), copied, read()]), [""; 0], "copied to");
    }

    #[test]
    fn a_repair_brings_what_was_written_last() {
        let repaired = |byte| at(1, LegDeed::Repaired { bytes: Bytes::from(vec![byte; 4]) });
        let then = |event| broken(vec![took(0, 1, b'a'), took(0, 2, b'b'), event]);
        assert_eq!(then(repaired(b'b')), [""; 0]);
        assert_eq!(then(repaired(b'a')), ["RED-10"]);
        assert_eq!(broken(vec![repaired(b'a')]), [""; 0], "what was written is not known");
        let under_way = vec![logged(&[4]), took(0, 1, b'a'), at(0, LegDeed::Asked)];
        assert_eq!(broken([under_way, vec![repaired(b'b')]].concat()), [""; 0]);
    }

    #[test]
    fn a_read_finds_the_same_on_whichever_leg() {
        let read = || at(1, LegDeed::Read);
        let took = |first, second| vec![took(0, 1, first), took(1, 2, second)];
        assert_eq!(broken([took(b'a', b'a'), vec![read()]].concat()), [""; 0]);
        assert_eq!(broken([took(b'a', b'b'), vec![read()]].concat()), ["RED-05"]);
        let lost = LegEvent::Logged { dirty: Vec::new(), lost: BTreeSet::from([0]) };
        assert_eq!(broken([took(b'a', b'b'), vec![lost, read()]].concat()), [""; 0], "it is lost");
        let asked = vec![logged(&[4]), at(0, LegDeed::Asked)];
        let asked = [asked, took(b'a', b'b'), vec![read()]].concat();
        assert_eq!(broken(asked), [""; 0], "a write is under way");
        let copied = at(0, LegDeed::Copied { bytes: Bytes::from(vec![b'b'; 4]) });
        assert_eq!(broken([took(b'a', b'b'), vec![copied, read()]].concat()), [""; 0]);
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
        assert_eq!(then(vec![lost.clone()]), [""; 0], "of a lost leg nothing is said");
        let missed = || vec![lost.clone(), at(0, LegDeed::Missed)];
        assert_eq!(broken([missed(), vec![logged(&[4])]].concat()), [""; 0]);
        assert_eq!(broken([missed(), vec![logged(&[])]].concat()), ["RED-03"], "it missed a write");
    }

    #[test]
    fn a_region_is_dirty_before_a_leg_is_asked() {
        assert_eq!(broken(vec![logged(&[4]), at(0, LegDeed::Asked)]), [""; 0]);
        assert_eq!(broken(vec![logged(&[8]), at(0, LegDeed::Asked)]), ["RED-04"]);
        assert_eq!(broken(vec![logged(&[0]), at(0, LegDeed::Asked)]), ["RED-04"]);
    }
}

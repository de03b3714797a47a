//! Is a block granted while something has it?
//!
//! INV-ALLOC: at each grant, the block is in use by nothing, no other writer was granted it, and
//! what was in it before is no longer part of what is found after power loss. The audit keeps its
//! own account, from what it is told of each block, and so costs what is allocated. A block that
//! is discarded is in use by nothing, after power loss either, and is granted when the discard is
//! over.
//!
//! INV-ROOT: the device had taken each block of a tree when the root that names it is written.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crashproof_spec::words::Testimony;

use crate::cow::Cow;
use crate::cow::Grant;
use crate::device::BlockNo;

/// What has a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// A writer, that was granted it.
    Writer,
    /// Content, a tree or the log.
    Named,
    /// Nothing in memory, but what is found after power loss.
    Medium,
    /// Nothing.
    Nobody,
}

/// An audit of one file system's allocator. Each clause is reported once for a block.
#[derive(Debug)]
pub struct AllocationAudit {
    cow: Cow,
    ledger: Ledger,
    told: BTreeSet<(BlockNo, &'static str)>,
}

impl AllocationAudit {
    /// Audits the file system from now on.
    #[must_use]
    pub fn new(cow: &Cow) -> Self {
        cow.watch_grants();
        Self { cow: cow.clone(), ledger: Ledger::default(), told: BTreeSet::new() }
    }

    /// What was found since the last time.
    pub fn take(&mut self) -> Vec<Testimony> {
        let mut found = Vec::new();
        for grant in self.cow.take_grants() {
            let Some((block, clause, what)) = self.ledger.note(&grant) else { continue };
            if self.told.insert((block, clause)) {
                let invariant = if clause == "ERR-META-01" { "INV-ROOT" } else { "INV-ALLOC" };
                let evidence = format!("{invariant}: block {} {what}", block.0);
                found.push(Testimony::Audit { clause: clause.to_owned(), evidence });
            }
        }
        found
    }
}

/// Who has which block.
#[derive(Debug, Default)]
struct Ledger {
    /// Runs that were free when the free blocks were found: from the first block to the end.
    found_free: BTreeMap<u64, u64>,
    /// What became of blocks since then.
    holders: BTreeMap<BlockNo, Holder>,
    /// Those whose last use ended with a commit that is durable.
    stable: BTreeSet<BlockNo>,
    /// Those whose discard is under way.
    discarding: BTreeSet<BlockNo>,
}

impl Ledger {
    fn holder(&self, block: BlockNo) -> Holder {
        self.holders.get(&block).copied().unwrap_or_else(|| self.found(block))
    }

    fn found(&self, block: BlockNo) -> Holder {
        let run = self.found_free.range(..=block.0).next_back();
        if run.is_some_and(|(_, end)| block.0 < *end) { Holder::Nobody } else { Holder::Named }
    }

    fn set(&mut self, block: BlockNo, holder: Holder) -> Holder {
        self.holders.insert(block, holder).unwrap_or_else(|| self.found(block))
    }

    /// What a grant breaks.
    fn note(&mut self, grant: &Grant) -> Option<(BlockNo, &'static str, &'static str)> {
        match grant {
            Grant::Found(free) => {
                self.found_free = free.iter().map(|run| (run.start, run.end)).collect();
                self.holders.clear();
                None
            }
            Grant::Opened(block) => match self.set(*block, Holder::Writer) {
                _ if self.discarding.contains(block) => {
                    Some((*block, "ALLOC-05", "was granted while its discard was under way"))
                }
                Holder::Writer => Some((*block, "ALLOC-01", "was granted to two writers")),
                Holder::Named => Some((*block, "ALLOC-02", "was granted although it is in use")),
                Holder::Medium => Some((
                    *block,
                    "ALLOC-04",
                    "was granted before the commit that freed it was durable",
                )),
                Holder::Nobody => None,
            },
            Grant::Used(block) => {
                self.set(*block, Holder::Named);
                self.stable.remove(block);
                None
            }
            Grant::GivenBack(block) => {
                self.set(*block, Holder::Nobody);
                None
            }
            Grant::Stable(blocks) => {
                self.stable.extend(blocks);
                None
            }
            Grant::Discarding(blocks) => {
                self.discarding.extend(blocks);
                let is_used = |block: &&BlockNo| {
                    !self.stable.contains(block) && self.holder(**block) != Holder::Nobody
                };
                let used = blocks.iter().find(is_used)?;
                Some((*used, "ALLOC-05", "was discarded although it is in use after power loss"))
            }
            Grant::Discarded(blocks) => {
                self.discarding.retain(|block| !blocks.contains(block));
                None
            }
            Grant::Unwritten(blocks) => {
                let what = "is named by a root that was written after the device had refused it";
                blocks.first().map(|block| (*block, "ERR-META-01", what))
            }
            Grant::Released(block) => {
                let is_stable = self.stable.remove(block);
                let was = self.holder(*block);
                self.set(*block, if is_stable { Holder::Nobody } else { Holder::Medium });
                let again = matches!(was, Holder::Nobody | Holder::Medium);
                again.then_some((*block, "REF-02", "was freed although nothing had it"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const B: BlockNo = BlockNo(7);

    fn last(grants: &[Grant]) -> Option<&'static str> {
        let mut ledger = Ledger::default();
        ledger.note(&Grant::Found(std::iter::once(B.0..B.0 + 1).collect()));
        let mut all = grants.iter().map(|grant| ledger.note(grant)).collect::<Vec<_>>();
        let last = all.pop().flatten();
        assert_eq!(all.iter().flatten().count(), 0, "only the last one breaks something");
        last.map(|(_, clause, _)| clause)
    }

    #[test]
    fn a_block_that_somebody_has_is_not_granted() {
        let (open, used) = (Grant::Opened(B), Grant::Used(B));
        assert_eq!(last(std::slice::from_ref(&open)), None);
        assert_eq!(last(&[open.clone(), open.clone()]), Some("ALLOC-01"));
        assert_eq!(last(&[open.clone(), used.clone(), open.clone()]), Some("ALLOC-02"));
        assert_eq!(last(&[open.clone(), Grant::GivenBack(B), open.clone()]), None);
        assert_eq!(last(&[Grant::Opened(BlockNo(8))]), Some("ALLOC-02"));
    }

    #[test]
    fn a_root_that_names_what_the_device_refused_is_told() {
        assert_eq!(last(&[Grant::Unwritten(vec![B])]), Some("ERR-META-01"));
        assert_eq!(last(&[Grant::Unwritten(Vec::new())]), None);
    }

    #[test]
    fn a_block_that_was_freed_is_granted_when_that_is_durable_and_freed_once() {
        let (open, used, freed) = (Grant::Opened(B), Grant::Used(B), Grant::Released(B));
        let taken = [open.clone(), used];
        let after = |more: &[Grant]| last(&[&taken, more].concat());
        assert_eq!(after(&[freed.clone(), open.clone()]), Some("ALLOC-04"));
        let stable = Grant::Stable(vec![B]);
        assert_eq!(after(&[stable.clone(), freed.clone(), open]), None);
        assert_eq!(after(&[stable, freed.clone(), freed]), Some("REF-02"));
    }

    #[test]
    fn a_block_is_discarded_when_its_end_is_durable_and_granted_when_that_is_over() {
        let (open, used, freed) = (Grant::Opened(B), Grant::Used(B), Grant::Released(B));
        let taken = [open.clone(), used];
        let after = |more: &[Grant]| last(&[&taken, more].concat());
        let (begun, over) = (Grant::Discarding(vec![B]), Grant::Discarded(vec![B]));
        let stable = Grant::Stable(vec![B]);
        assert_eq!(after(std::slice::from_ref(&begun)), Some("ALLOC-05"));
        let granted = [stable.clone(), begun.clone(), over, freed.clone(), open.clone()];
        assert_eq!(after(&granted), None);
        assert_eq!(after(&[stable, begun, freed, open]), Some("ALLOC-05"));
    }
}

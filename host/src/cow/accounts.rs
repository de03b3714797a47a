//! The accounts of space, against what is there: every use of every block, counted again.
//!
//! Invariant C-3: reachable and free blocks are disjoint and together are all; a block is known to
//! have as many uses as it has.

use std::collections::BTreeSet;

use crate::cow::CowError;
use crate::cow::alloc::Allocator;
use crate::cow::format::ROOT_SLOTS;
use crate::cow::share::Use;
use crate::cow::spans::Spans;
use crate::cow::store::Store;
use crate::cow::tree::Tree;
use crate::device::BlockNo;

/// Something in the accounts that is not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Discrepancy {
    /// Of this block.
    pub block: BlockNo,
    /// What is wrong with it.
    pub what: Misuse,
}

/// What is wrong with a block in the accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misuse {
    /// It is free, or about to be, and something uses it.
    FreeInUse,
    /// It is free, and after power loss something would use it.
    FreeTooEarly,
    /// It is freed more than once.
    FreedTwice,
    /// It is not free, and nothing uses it.
    Lost,
    /// It has another number of uses than is known.
    Count {
        /// As is known.
        known: u32,
        /// As was found.
        found: u32,
    },
}

impl Store {
    /// Counts the uses of what is in use again, if the log was replayed.
    pub(super) async fn audit_replay(&self) -> Result<Vec<Discrepancy>, CowError> {
        if !self.state().uncommitted {
            return Ok(Vec::new());
        }
        self.find_free().await?;
        let _durable = self.durable.acquire().await;
        let _quiet = self.quiet.acquire().await;
        let (live, snapshots) = {
            let state = self.state();
            (state.live.clone(), state.snapshots.trees())
        };
        let uses = self.uses_of(live, &snapshots).await?;
        let state = self.state();
        let mut shares = state.shares.clone();
        let _ = shares.settle(state.freed.clone());
        let discrepancy = |(block, used): (&BlockNo, &Use)| {
            let (known, found) = (shares.of(*block) + 1, used.count);
            let what = Misuse::Count { known, found };
            (known != found).then_some(Discrepancy { block: *block, what })
        };
        Ok(uses.0.iter().filter_map(discrepancy).collect())
    }

    /// The blocks that trees reach.
    pub(super) async fn used_blocks(&self) -> Result<BTreeSet<BlockNo>, CowError> {
        let _quiet = self.quiet.acquire().await;
        let (live, snapshots, log) = {
            let state = self.state();
            (state.live.clone(), state.snapshots.trees(), state.log.blocks.clone())
        };
        let uses = self.uses_of(live, &snapshots).await?;
        let roots = (0..ROOT_SLOTS).map(BlockNo);
        Ok(uses.0.into_keys().chain(log).chain(roots).collect())
    }

    /// Counts all uses again. What is under way is waited for as far as a lock tells; a block that
    /// was granted and is not used yet is in order.
    pub(super) async fn audit_space(&self) -> Result<Vec<Discrepancy>, CowError> {
        self.find_free().await?;
        let _durable = self.durable.acquire().await;
        let _quiet = self.quiet.acquire().await;
        let (live, durable, snapshots, list) = {
            let state = self.state();
            let list: Vec<Tree> = state.snapshots.list().cloned().into_iter().collect();
            (state.live.clone(), state.durable.clone(), state.snapshots.trees(), list)
        };
        let uses = self.uses_of(live, &snapshots).await?;
        let uses_durable = self.uses_of(durable, &snapshots).await?;
        let mut others: BTreeSet<BlockNo> = BTreeSet::new();
        for list in list {
            others.extend(self.uses_of(list, &[]).await?.0.into_keys());
        }
        let state = self.state();
        others.extend(&state.log.blocks);
        let mut found = Vec::new();
        let mut note = |block, what| found.push(Discrepancy { block, what });
        // The accounts as they will be when the next commit is durable.
        let mut shares = state.shares.clone();
        let mut gone: BTreeSet<BlockNo> = BTreeSet::new();
        for block in shares.settle(state.freed.clone()) {
            if !gone.insert(block) {
                note(block, Misuse::FreedTwice);
            }
        }
        let discarding: BTreeSet<BlockNo> = state.discards.blocks().collect();
        // Of a block that is free, and that nothing else speaks of, there is nothing to say.
        let all = ROOT_SLOTS..self.geometry.block_count;
        let mut spoken_of = Spans::default();
        spoken_of.add(&all);
        let free = state.free.as_ref().map(Allocator::free_runs).unwrap_or_default();
        free.iter().for_each(|run| spoken_of.remove(run));
        let named = uses.0.keys().chain(uses_durable.0.keys()).chain(&others);
        let named = named.chain(&gone).chain(&discarding).filter(|block| all.contains(&block.0));
        named.for_each(|block| spoken_of.add(&(block.0..block.0 + 1)));
        for block in spoken_of.iter().flatten().map(BlockNo) {
            let count = uses.0.get(&block).map_or(0, |used| used.count);
            let is_used = count > 0 || others.contains(&block);
            let is_open = state.free.as_ref().is_some_and(|free| free.is_open(block));
            let is_free = state.free.as_ref().is_some_and(|free| free.is_free(block)) && !is_open
                || discarding.contains(&block);
            match (is_used, is_free || gone.contains(&block)) {
                (true, true) => note(block, Misuse::FreeInUse),
                (false, false) if !is_open => note(block, Misuse::Lost),
                (true | false, false) | (false, true) => {}
            }
            if is_free && gone.contains(&block) {
                note(block, Misuse::FreedTwice);
            }
            if is_free && uses_durable.0.contains_key(&block) {
                note(block, Misuse::FreeTooEarly);
            }
            let known = shares.of(block) + 1;
            if count > 0 && known != count {
                note(block, Misuse::Count { known, found: count });
            }
        }
        Ok(found)
    }
}

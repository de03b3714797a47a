//! Discards: the device is told of the blocks that nothing uses any more.
//!
//! They are sent when a commit is durable, and waited for when blocks are needed: before the next
//! commit at the latest. A discard that fails, or does nothing, changes nothing.
//!
//! Invariant C-8: only blocks that nothing uses after power loss are discarded, and none of them is
//! granted again before the device has answered.

use std::collections::VecDeque;

use crate::cow::Discards;
use crate::cow::grants::Grant;
use crate::cow::store::Freed;
use crate::cow::store::State;
use crate::cow::store::Store;
use crate::device::BlockNo;
use crate::device::Request;
use crate::device::RequestId;
use crate::device::completion;

/// Neighbours whose discard is under way.
#[derive(Debug)]
struct Discard {
    request: RequestId,
    blocks: Vec<BlockNo>,
    /// Do they become free with it?
    frees: bool,
}

/// The discards that are under way, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Discard>);

impl Queue {
    /// The blocks that become free when the device has answered.
    pub(super) fn blocks(&self) -> impl Iterator<Item = BlockNo> {
        self.0.iter().filter(|discard| discard.frees).flat_map(|d| d.blocks.iter().copied())
    }
}

impl State {
    fn release(&mut self, blocks: &[BlockNo]) {
        if let Some(free) = &mut self.free {
            blocks.iter().for_each(|block| free.release(*block));
        }
    }
}

impl Store {
    /// The last use of these blocks ended, which is durable.
    pub(super) fn give_up(&self, gone: Vec<BlockNo>) {
        match self.policy.discards {
            Discards::Never => self.state().release(&gone),
            Discards::Awaited | Discards::AlsoAborted => self.discard(gone, true),
            Discards::Overtaken => {
                self.discard(gone.clone(), false);
                self.state().release(&gone);
            }
        }
    }

    /// A commit that would have ended these uses failed.
    pub(super) fn keep_aborted(&self, freed: Freed) {
        match self.policy.discards {
            Discards::Never | Discards::Awaited | Discards::Overtaken => {}
            Discards::AlsoAborted => {
                let gone = self.state().shares.clone().settle(freed);
                self.discard(gone, false);
            }
        }
    }

    fn discard(&self, mut gone: Vec<BlockNo>, frees: bool) {
        gone.sort_unstable();
        for run in gone.chunk_by(|one, two| one.0 + 1 == two.0) {
            let blocks = run.to_vec();
            self.grants.note(|| Grant::Discarding(blocks.clone()));
            let request = Request::Discard { block: blocks[0], count: blocks.len() as u64 };
            let request = self.device.submit(request);
            self.state().discards.0.push_back(Discard { request, blocks, frees });
        }
    }

    /// Waits for the discards that are under way, if blocks become free with them.
    pub(super) async fn finish_discards(&self) {
        if self.state().discards.blocks().next().is_none() {
            return;
        }
        Box::pin(self.finish_discards_now()).await;
    }

    async fn finish_discards_now(&self) {
        let alone = self.discarding.acquire().await;
        loop {
            let oldest = self.state().discards.0.front().map(|discard| discard.request);
            let Some(request) = oldest else { break };
            // What the device made of it is its own affair.
            let _ = completion(&*self.device, request).await;
            let mut state = self.state();
            let Some(done) = state.discards.0.pop_front() else { break };
            self.grants.note(|| Grant::Discarded(done.blocks.clone()));
            if done.frees {
                state.release(&done.blocks);
            }
        }
        drop(alone);
    }
}

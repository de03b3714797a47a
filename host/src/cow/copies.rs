//! Copies of what has a checksum, on a device that keeps several.
//!
//! Invariant C-9: what is answered has its checksum. A copy that has not is not answered; where
//! another one has, that is, and the wrong one is repaired by it. A scrub looks at every copy of
//! everything that a tree reaches. What is written in place, without a checksum, is beyond it.
//! Roots and the log carry checksums of their own, by which an old version is as good as a new one:
//! mounting looks at every copy of them, takes the newest root and the block that goes on with the
//! log, and makes the other copies equal. Then it does the same for what a loss of power may have
//! left different, before the device makes the rest equal.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::cow::BadCopy;
use crate::cow::CowError;
use crate::cow::format::extent::Extent;
use crate::cow::format::extent::Run;
use crate::cow::format::extent::Slot;
use crate::cow::format::item::Key;
use crate::cow::format::node::Record;
use crate::cow::grants::Mismatch;
use crate::cow::store::Store;
use crate::cow::store::read;
use crate::cow::tree::Body;
use crate::device::BlockNo;
use crate::device::Copies;
use crate::device::Device;
use crate::device::Geometry;

/// What several copies of some blocks turned out to be.
struct Compared {
    /// The first that is right.
    right: (u32, Bytes),
    wrong: Vec<u32>,
}

fn has(bytes: &Bytes, checksum: u32) -> bool {
    crc32c::crc32c(bytes) == checksum
}

impl Store {
    /// Reads blocks that have one checksum together.
    ///
    /// # Errors
    /// As corrupt, by that invariant, if no copy of them has it.
    pub(super) async fn read_checked(
        &self,
        blocks: &[BlockNo],
        checksum: u32,
        invariant: &'static str,
    ) -> Result<Bytes, CowError> {
        let mut found = match blocks {
            // Most have one block, and its bytes are shared.
            [block] => self.read(*block).await?,
            several => {
                let mut found = Vec::new();
                for block in several {
                    found.extend_from_slice(&self.read(*block).await?);
                }
                Bytes::from(found)
            }
        };
        if !has(&found, checksum) {
            let at = blocks.first().copied().unwrap_or(BlockNo(0));
            let other = self.other_copy(blocks, checksum, found).await;
            found = other.ok_or(Self::corrupt(at, invariant))?;
            if !has(&found, checksum) {
                self.mismatches.note(|| Mismatch::Read(at));
            }
        }
        Ok(found)
    }

    /// What is answered in place of bytes that have not their checksum.
    async fn other_copy(&self, blocks: &[BlockNo], checksum: u32, found: Bytes) -> Option<Bytes> {
        let copies = self.device.copies()?;
        match self.policy.bad_copy {
            BadCopy::Trusted => Some(found),
            BadCopy::Repaired | BadCopy::FirstOverOthers => {
                let compared = self.compare(copies, blocks, checksum).await?;
                self.mend(copies, blocks, &compared).await;
                Some(compared.right.1)
            }
        }
    }

    /// Looks at each copy of some blocks; nothing, if none is right.
    async fn compare(
        &self,
        copies: &dyn Copies,
        blocks: &[BlockNo],
        checksum: u32,
    ) -> Option<Compared> {
        let (mut right, mut wrong) = (None, Vec::new());
        for copy in 0..copies.count() {
            let mut bytes = Vec::new();
            let mut is_read = true;
            for block in blocks {
                match copies.read_copy(copy, *block).await {
                    Ok(read) => bytes.extend_from_slice(&read),
                    // It is lost, or does not say what it has.
                    Err(_) => is_read = false,
                }
            }
            let bytes = Bytes::from(bytes);
            if is_read && has(&bytes, checksum) {
                right.get_or_insert((copy, bytes));
            } else if is_read {
                wrong.push(copy);
            }
        }
        Some(Compared { right: right?, wrong })
    }

    async fn mend(&self, copies: &dyn Copies, blocks: &[BlockNo], compared: &Compared) {
        let Compared { right: (right, _), wrong } = compared;
        let (from, to) = match self.policy.bad_copy {
            BadCopy::Repaired => (*right, wrong.clone()),
            BadCopy::Trusted => return,
            BadCopy::FirstOverOthers if wrong.is_empty() => return,
            BadCopy::FirstOverOthers => (0, (1..copies.count()).collect()),
        };
        for block in blocks {
            for copy in &to {
                // One that does not take it is lost, or is as wrong as before.
                let _ = copies.repair(*block, from, *copy).await;
            }
        }
    }

    /// Looks at every copy of what the trees reach, and repairs those that are wrong.
    ///
    /// # Errors
    /// If a node cannot be read.
    pub(super) async fn scrub(&self) -> Result<(), CowError> {
        let Some(copies) = self.device.copies() else { return Ok(()) };
        let _quiet = self.quiet.acquire().await;
        self.scrub_chosen(copies, &|_| true).await
    }

    /// The same of what is in doubt after a loss of power; then the device makes the rest equal.
    ///
    /// # Errors
    /// What the device answers.
    pub(super) async fn settle_copies(&self) -> Result<(), CowError> {
        let Some(copies) = self.device.copies() else { return Ok(()) };
        if copies.has_doubt() {
            let is_chosen = |blocks: &[BlockNo]| blocks.iter().any(|no| copies.is_in_doubt(*no));
            // Of a node that no copy has right, whoever asks for it is told.
            let _ = self.scrub_chosen(copies, &is_chosen).await;
        }
        copies.settle().await.map_err(CowError::Device)
    }

    /// Of what cannot be read the first error is answered, after all else was looked at.
    async fn scrub_chosen(
        &self,
        copies: &dyn Copies,
        is_chosen: &(dyn Fn(&[BlockNo]) -> bool + Sync),
    ) -> Result<(), CowError> {
        let mut open = {
            let state = self.state();
            let snapshots = state.snapshots.trees();
            let tops = snapshots.iter().map(|tree| tree.top.clone());
            let mounted = [state.live.top.clone(), state.durable.top.clone()];
            mounted.into_iter().chain(tops).collect::<Vec<_>>()
        };
        let (mut seen, mut outcome) = (BTreeSet::new(), Ok(()));
        while let Some(child) = open.pop() {
            if let Some(ptr) = child.ptr() {
                if !seen.insert(ptr.block) {
                    continue;
                }
                self.scrub_blocks(copies, &[ptr.block], ptr.checksum, is_chosen).await;
            }
            let node = match self.node(&child).await {
                Ok(node) => node,
                Err(error) => {
                    outcome = outcome.and(Err(error));
                    continue;
                }
            };
            match &node.body {
                Body::Inner(branches) => {
                    open.extend(branches.iter().map(|branch| branch.child.clone()));
                }
                Body::Leaf(records) => {
                    for (blocks, checksum) in records.iter().flat_map(checked) {
                        self.scrub_blocks(copies, &blocks, checksum, is_chosen).await;
                    }
                }
            }
        }
        outcome
    }

    async fn scrub_blocks(
        &self,
        copies: &dyn Copies,
        blocks: &[BlockNo],
        checksum: u32,
        is_chosen: &(dyn Fn(&[BlockNo]) -> bool + Sync),
    ) {
        if !is_chosen(blocks) {
            return;
        }
        if let Some(compared) = self.compare(copies, blocks, checksum).await {
            self.mend(copies, blocks, &compared).await;
        }
    }
}

/// The copy of a block that says the most by its own checksum, if any says something; the others
/// are made equal to it. `None` ranks below everything.
///
/// # Errors
/// What the device answers, where it keeps one copy.
pub(super) async fn best_copy<T, R: Ord>(
    device: &dyn Device,
    geometry: Geometry,
    block: BlockNo,
    read_as: impl Fn(&Bytes) -> Option<(R, T)>,
) -> Result<Option<T>, CowError> {
    let Some(copies) = device.copies() else {
        let bytes = read(device, geometry, block).await?;
        return Ok(read_as(&bytes).map(|(_, said)| said));
    };
    let mut best: Option<(R, T, u32, Bytes)> = None;
    let mut others = Vec::new();
    for copy in 0..copies.count() {
        // One that is lost, or does not say what it has, is none.
        let Ok(bytes) = copies.read_copy(copy, block).await else { continue };
        match read_as(&bytes) {
            Some((rank, said)) if best.as_ref().is_none_or(|(most, ..)| *most < rank) => {
                let was = best.replace((rank, said, copy, bytes));
                others.extend(was.map(|(_, _, copy, bytes)| (copy, bytes)));
            }
            Some(_) | None => others.push((copy, bytes)),
        }
    }
    let Some((_, said, from, right)) = best else { return Ok(None) };
    for (to, bytes) in others {
        if bytes != right {
            // One that does not take it is lost, or is as wrong as before.
            let _ = copies.repair(block, from, to).await;
        }
    }
    Ok(Some(said))
}

/// The blocks that a record says to have a checksum.
fn checked(record: &Record) -> Vec<(Vec<BlockNo>, u32)> {
    match Key::decode_in(record.bytes(), record.key()) {
        Some(Key::Extent { .. }) => {
            let slots = Extent::decode(record.value()).unwrap_or_default().slots;
            let plain = |slot| match slot {
                Some(Slot::Plain(ptr)) => Some((vec![ptr.block], ptr.checksum)),
                Some(Slot::InPlace(_) | Slot::Packed { .. }) | None => None,
            };
            slots.into_iter().filter_map(plain).collect()
        }
        Some(Key::Run { .. }) => {
            Run::decode(record.value()).map(|run| (run.blocks, run.checksum)).into_iter().collect()
        }
        Some(
            Key::Inode { .. }
            | Key::Name { .. }
            | Key::Entry { .. }
            | Key::Symlink { .. }
            | Key::Orphan { .. }
            | Key::Snapshot { .. }
            | Key::Attribute { .. },
        )
        | None => Vec::new(),
    }
}

//! The object layer: what is dirty in the groups of transactions that are open and syncing.
//!
//! A transaction joins the open group. A group syncs in memory: it is closed, each object leaves
//! the list of dirty objects, and then the dirty records are retired and the *settled* tree becomes
//! what the group made. Each is a step of its own, between which others run. Whoever asks where the
//! content of a clean object is, asks the settled tree.
//!
//! Invariant OB-1: what the settled tree says of an object that is neither on a list nor has
//! records is what the live tree says. So both are asked before an object is taken for clean.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::cow::CowError;
use crate::cow::DirtyTest;
use crate::cow::FreedRanges;
use crate::cow::RecordSearch;
use crate::cow::read;
use crate::cow::spans::Spans;
use crate::cow::store::Store;
use crate::cow::tree::Tree;
use crate::sim::Point;
use crate::sim::Site;

/// What a transaction did to some blocks of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    Wrote,
    Cloned,
    Freed,
}

/// Which blocks of which object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) ino: u64,
    pub(super) deed: Deed,
    pub(super) blocks: Range<u64>,
}

/// The dirty records of one object in one group: the newest deed of each block.
#[derive(Debug, Clone, Default)]
struct Records {
    wrote: Spans,
    cloned: Spans,
    freed: Spans,
}

impl Records {
    fn add(&mut self, deed: Deed, blocks: &Range<u64>) {
        for spans in [&mut self.wrote, &mut self.cloned, &mut self.freed] {
            spans.remove(blocks);
        }
        match deed {
            Deed::Wrote => self.wrote.add(blocks),
            Deed::Cloned => self.cloned.add(blocks),
            Deed::Freed => self.freed.add(blocks),
        }
    }

    fn append(&mut self, other: &Self) {
        let deeds = [
            (Deed::Wrote, &other.wrote),
            (Deed::Cloned, &other.cloned),
            (Deed::Freed, &other.freed),
        ];
        for (deed, spans) in deeds {
            spans.iter().for_each(|blocks| self.add(deed, &blocks));
        }
    }
}

/// The objects that a group of transactions made dirty.
#[derive(Debug, Clone, Default)]
struct Group {
    listed: BTreeSet<u64>,
    records: BTreeMap<u64, Records>,
    /// Bytes of content for which room was reserved in it.
    reserved_bytes: u64,
}

/// Ranges that a group freed whose commit is not durable yet.
#[derive(Debug)]
struct FreedBy {
    epoch: u64,
    spans: BTreeMap<u64, Spans>,
}

/// The object layer's state.
#[derive(Debug)]
pub(super) struct Objects {
    open: Group,
    syncing: Group,
    /// What the groups that synced made.
    settled: Tree,
    freed: Vec<FreedBy>,
}

impl Objects {
    /// Everything is clean.
    pub(super) fn clean(tree: Tree) -> Self {
        let (open, syncing) = (Group::default(), Group::default());
        Self { open, syncing, settled: tree, freed: Vec::new() }
    }

    /// Notes what a transaction did.
    pub(super) fn note(&mut self, record: &Record, freed_ranges: FreedRanges) {
        let Record { ino, deed, blocks } = record;
        self.open.listed.insert(*ino);
        self.open.records.entry(*ino).or_default().add(*deed, blocks);
        let is_superseded = match (deed, freed_ranges) {
            (Deed::Wrote, _) | (Deed::Cloned, FreedRanges::Superseded) => true,
            (Deed::Cloned, FreedRanges::OutliveClones) | (Deed::Freed, _) => false,
        };
        if is_superseded {
            let spans = self.freed.iter_mut().filter_map(|freed| freed.spans.get_mut(ino));
            spans.for_each(|spans| spans.remove(blocks));
        }
    }

    /// Did the open group clone this block, and not write it since?
    pub(super) fn is_cloned_in_open_group(&self, ino: u64, block: u64) -> bool {
        self.open.records.get(&ino).is_some_and(|records| records.cloned.contains(block))
    }

    /// Did a group that synced free this block, and nobody fill it since?
    pub(super) fn is_freed(&self, ino: u64, block: u64) -> bool {
        let mut spans = self.freed.iter().filter_map(|freed| freed.spans.get(&ino));
        spans.any(|spans| spans.contains(block))
    }

    fn is_dirty(&self, ino: u64, test: DirtyTest) -> bool {
        let groups = [&self.open, &self.syncing];
        let is_listed = groups.iter().any(|group| group.listed.contains(&ino));
        let records = || groups.into_iter().filter_map(|group| group.records.get(&ino));
        match test {
            DirtyTest::ListAndRecords => is_listed || records().next().is_some(),
            DirtyTest::ListOnly => is_listed,
            DirtyTest::DataOnly => records().any(|records| !records.wrote.is_empty()),
        }
    }

    /// The blocks of an object that have dirty records.
    fn dirty_blocks(&self, ino: u64) -> Spans {
        let mut spans = Spans::default();
        let groups = [&self.open, &self.syncing].into_iter();
        for records in groups.filter_map(|group| group.records.get(&ino)) {
            let all = [&records.wrote, &records.cloned, &records.freed].into_iter();
            all.flat_map(Spans::iter).for_each(|blocks| spans.add(&blocks));
        }
        spans
    }

    /// Makes the open group the syncing one.
    pub(super) fn quiesce(&mut self, epoch: u64) {
        let Group { listed, records, .. } = std::mem::take(&mut self.open);
        let mut spans = BTreeMap::new();
        for (ino, records) in records {
            if !records.freed.is_empty() {
                spans.insert(ino, records.freed.clone());
            }
            self.syncing.records.entry(ino).or_default().append(&records);
        }
        self.syncing.listed.extend(listed);
        if !spans.is_empty() {
            self.freed.push(FreedBy { epoch, spans });
        }
    }

    /// A commit is durable: what groups up to its own freed is known to the medium.
    pub(super) fn committed(&mut self, epoch: u64) {
        self.freed.retain(|freed| freed.epoch > epoch);
    }

    pub(super) fn settled(&self) -> &Tree {
        &self.settled
    }
}

/// What came of asking for room in the open group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reservation {
    /// There is room.
    Granted,
    /// The group is full: there will be room when it has synced.
    Restart,
}

impl Store {
    /// Is the object dirty, as far as the policy looks?
    pub(super) fn is_dirty(&self, ino: u64) -> bool {
        self.state().objects.is_dirty(ino, self.policy.dirty_test)
    }

    /// Asks for room for content in the open group; by chance there is none for who asks for the
    /// first time.
    pub(super) fn reserve_in_group(&self, bytes: u64, is_first: bool) -> Reservation {
        if is_first && self.sim.happens(Site::GroupFull) {
            return Reservation::Restart;
        }
        let mut state = self.state();
        let open = &mut state.objects.open;
        let wanted = open.reserved_bytes.saturating_add(bytes);
        // A group that is empty takes what does not fit into any.
        if open.reserved_bytes > 0 && wanted > self.policy.group_dirty_bytes_max {
            return Reservation::Restart;
        }
        open.reserved_bytes = wanted;
        Reservation::Granted
    }

    /// Lets the open group sync, in memory.
    pub(super) async fn settle(&self) {
        let _one = self.syncing.acquire().await;
        self.sim.point(Point::TxQuiesce).await;
        let quiet = self.quiet.acquire().await;
        let tree = {
            let mut state = self.state();
            let epoch = state.epoch;
            state.objects.quiesce(epoch);
            state.live.clone()
        };
        drop(quiet);
        self.retire(tree).await;
    }

    /// Retires the syncing group, which made the tree. The caller holds `syncing`.
    pub(super) async fn retire(&self, tree: Tree) {
        let listed: Vec<u64> = self.state().objects.syncing.listed.iter().copied().collect();
        for ino in listed {
            self.sim.point(Point::TxSyncUnlink).await;
            self.state().objects.syncing.listed.remove(&ino);
        }
        self.sim.point(Point::TxSyncRecords).await;
        let mut state = self.state();
        state.objects.syncing = Group::default();
        state.objects.settled = tree;
    }

    /// The next run of data of a file from a block on, as it was at one moment.
    pub(super) async fn next_data(
        &self,
        file: u64,
        from_block: u64,
    ) -> Result<Option<Range<u64>>, CowError> {
        if let Some((tree, ino)) = self.snapshot_of(file)? {
            let found = read::next_run(self, &tree, ino, from_block..u64::MAX).await;
            self.snapshot_of(file)?; // It may have been deleted, and written over since.
            return found;
        }
        loop {
            let (live, settled, mut dirty) = {
                let state = self.state();
                let objects = &state.objects;
                let is_dirty = objects.is_dirty(file, self.policy.dirty_test);
                let dirty = if is_dirty { objects.dirty_blocks(file) } else { Spans::default() };
                (state.live.clone(), objects.settled.clone(), dirty)
            };
            if self.policy.record_search == RecordSearch::OffByOne {
                let last: Vec<u64> = dirty.iter().map(|blocks| blocks.end - 1).collect();
                last.into_iter().for_each(|last| dirty.remove(&(last..last + 1)));
            }
            let pieces = pieces(&dirty, from_block);
            match self.next_in_pieces(&live, &settled, file, pieces).await {
                Ok(found) => return Ok(found),
                // What was read may have been freed and written over since.
                Err(error) => {
                    let state = self.state();
                    if state.live.is(&live) && state.objects.settled.is(&settled) {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn next_in_pieces(
        &self,
        live: &Tree,
        settled: &Tree,
        ino: u64,
        pieces: Vec<(Version, Range<u64>)>,
    ) -> Result<Option<Range<u64>>, CowError> {
        let mut run: Option<Range<u64>> = None;
        for (version, piece) in pieces {
            let tree = match version {
                Version::Live => live,
                Version::Settled => settled,
            };
            if run.as_ref().is_some_and(|run| run.end < piece.start) {
                break;
            }
            let found = read::next_run(self, tree, ino, piece).await?;
            run = match (run, found) {
                (None, found) => found,
                (Some(run), Some(found)) if found.start == run.end => Some(run.start..found.end),
                (Some(run), _) => Some(run),
            };
        }
        Ok(run)
    }
}

/// Which tree says where a part of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Live,
    Settled,
}

/// Everything from a block on, in order: what is dirty as it is now, the rest as it settled.
fn pieces(dirty: &Spans, from: u64) -> Vec<(Version, Range<u64>)> {
    let mut pieces = Vec::new();
    let mut at = from;
    for blocks in dirty.iter().filter(|blocks| blocks.end > from) {
        pieces.push((Version::Settled, at..blocks.start.max(at)));
        pieces.push((Version::Live, blocks.start.max(at)..blocks.end));
        at = blocks.end;
    }
    pieces.push((Version::Settled, at..u64::MAX));
    pieces.retain(|(_, piece)| !piece.is_empty());
    pieces
}

//! Contents of the device, and what becomes of each: recovered once, and once for all that are
//! equal to it wherever it was looked at.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::OnceLock;

use rayon::prelude::*;

use crate::check::recover::Recovered;
use crate::check::recover::Recovery;
use crate::check::relapse::Relapses;
use crate::device::BlockNo;
use crate::device::Image;

/// One content of the device, and what became of it.
pub(super) struct Content {
    pub(super) image: Image,
    pub(super) recovered: OnceLock<Recovered>,
    pub(super) relapses: OnceLock<Relapses>,
}

impl Content {
    pub(super) fn new(image: Image) -> Arc<Self> {
        Arc::new(Self { image, recovered: OnceLock::new(), relapses: OnceLock::new() })
    }

    pub(super) fn recovered(&self, recovery: &Recovery) -> &Recovered {
        self.recovered.get_or_init(|| recovery.recover(&self.image))
    }

    /// Equal for contents of which the same is found: the hash of what was looked at if that is
    /// known, else of all of it.
    pub(super) fn key(&self) -> u128 {
        let footprint = self.recovered.get().and_then(Recovered::footprint);
        footprint.map_or_else(|| self.image.hash(), |footprint| footprint.key())
    }

    /// Does what is found depend on what is in this block?
    pub(super) fn depends_on(&self, block: BlockNo) -> bool {
        let footprint = self.recovered.get().and_then(Recovered::footprint);
        footprint.is_none_or(|footprint| footprint.has(block))
    }

    fn covers(&self, image: &Image) -> bool {
        let footprint = self.recovered.get().and_then(Recovered::footprint);
        footprint.is_some_and(|footprint| footprint.covers(image))
    }
}

/// A new content is compared with so many of those met last before it is recovered. What it is
/// equal to is found by its key as well, only later.
const RECENT_COUNT: usize = 8;

/// No more contents are recovered at once without a look at whether one is equal to another.
const WAVE_COUNT_MAX: usize = 64;

/// The contents that were met.
pub(super) struct Contents {
    recovery: Recovery,
    /// By hash and by key, each with the batch in which it was met last.
    by_hash: BTreeMap<u128, (u64, Arc<Content>)>,
    by_key: BTreeMap<u128, (u64, Arc<Content>)>,
    recent: VecDeque<Arc<Content>>,
    /// The keys of those that were met for the first time, or again after they were forgotten.
    new: BTreeSet<u128>,
}

impl Contents {
    pub(super) fn new(recovery: Recovery) -> Self {
        Self {
            recovery,
            by_hash: BTreeMap::new(),
            by_key: BTreeMap::new(),
            recent: VecDeque::new(),
            new: BTreeSet::new(),
        }
    }

    pub(super) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Is something else a content's key than its hash?
    pub(super) fn prunes(&self) -> bool {
        self.recovery.takes_footprints()
    }

    /// Was this one met?
    pub(super) fn has(&self, hash: u128) -> bool {
        self.by_hash.contains_key(&hash)
    }

    /// What stands for a content that was met.
    pub(super) fn get(&self, hash: u128) -> Option<&Arc<Content>> {
        self.by_hash.get(&hash).map(|(_, content)| content)
    }

    /// Forgets contents that were not met since a batch.
    pub(super) fn forget(&mut self, oldest: u64) {
        self.by_hash.retain(|_, (met, _)| *met >= oldest);
        self.by_key.retain(|_, (met, _)| *met >= oldest);
    }

    /// These were met again.
    pub(super) fn touch(&mut self, hash: u128, batch: u64) {
        let Some((met, content)) = self.by_hash.get_mut(&hash) else { return };
        *met = batch;
        if let Some((met, _)) = self.by_key.get_mut(&content.key()) {
            *met = batch;
        }
    }

    /// Which of them were met for the first time since this was asked last.
    pub(super) fn take_new(&mut self) -> BTreeSet<u128> {
        std::mem::take(&mut self.new)
    }

    /// What stands for one content.
    pub(super) fn look(&mut self, image: &Image, batch: u64) -> Arc<Content> {
        let hash = image.hash();
        if self.has(hash) {
            self.touch(hash, batch);
        } else {
            self.meet(vec![image.clone()], batch);
        }
        self.get(hash).map_or_else(|| Content::new(image.clone()), Arc::clone)
    }

    /// Meets contents in a batch that were not met before.
    pub(super) fn meet(&mut self, images: Vec<Image>, batch: u64) {
        if !self.prunes() {
            for image in images {
                let (hash, content) = (image.hash(), Content::new(image));
                self.new.insert(hash);
                self.by_key.insert(hash, (batch, Arc::clone(&content)));
                self.by_hash.insert(hash, (batch, content));
            }
            return;
        }
        let (mut wave, mut wave_count_max) = (Vec::new(), 1);
        for image in images {
            if let Some(known) = self.find_recent(&image) {
                self.by_key.insert(known.key(), (batch, Arc::clone(&known)));
                self.by_hash.insert(image.hash(), (batch, known));
                continue;
            }
            wave.push(image);
            if wave.len() >= wave_count_max {
                let wave = std::mem::take(&mut wave);
                let is_all_new = self.recover(wave, batch);
                // Where they turn out to be equal to each other, it is better to look first.
                wave_count_max =
                    if is_all_new { WAVE_COUNT_MAX.min(2 * wave_count_max) } else { 1 };
            }
        }
        self.recover(wave, batch);
    }

    /// The hashes of those that were met.
    #[cfg(test)]
    pub(super) fn hashes(&self) -> impl Iterator<Item = u128> {
        self.by_hash.keys().copied()
    }

    /// Those that are not equal wherever it is looked.
    #[cfg(test)]
    pub(super) fn distinct(&self) -> impl Iterator<Item = &Content> {
        self.by_key.values().map(|(_, content)| &**content)
    }

    fn find_recent(&mut self, image: &Image) -> Option<Arc<Content>> {
        let at = self.recent.iter().position(|content| content.covers(image))?;
        let found = self.recent.remove(at)?;
        self.recent.push_front(Arc::clone(&found));
        Some(found)
    }

    /// Recovers contents at once. Is each of them one that was not met?
    fn recover(&mut self, wave: Vec<Image>, batch: u64) -> bool {
        let recovery = &self.recovery;
        let recovered = wave.into_par_iter().map(|image| {
            let content = Content::new(image);
            content.recovered(recovery);
            content
        });
        let recovered: Vec<Arc<Content>> = recovered.collect();
        let (wave_count, known_count) = (recovered.len(), self.new.len());
        for content in recovered {
            let (hash, key) = (content.image.hash(), content.key());
            let kept = self.by_key.entry(key).or_insert_with(|| {
                self.new.insert(key);
                (batch, content)
            });
            kept.0 = batch;
            let content = Arc::clone(&kept.1);
            self.by_hash.insert(hash, (batch, Arc::clone(&content)));
            self.recent.retain(|recent| !Arc::ptr_eq(recent, &content));
            self.recent.push_front(content);
            self.recent.truncate(RECENT_COUNT);
        }
        self.new.len() - known_count == wave_count
    }
}

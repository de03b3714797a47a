//! Keeps the log of a file short whose stores nobody syncs.
//!
//! Older stores to one page that touch each other become one, which holds the newest bytes. Where
//! one had overwritten another, the older bytes are forgotten: a crash may then leave any value
//! there, and a loss that is said much later may not be noticed. Both err towards silence. Nothing
//! is forgotten of what a sync promises: that is the newest bytes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use crate::model::Change;
use crate::model::Effect;
use crate::model::Extents;
use crate::model::MEMORY_PAGE_BYTES;
use crate::model::Regular;
use crate::model::index;
use crate::words::HandleId;

/// So many changes are remembered, each by itself, before older ones are put together.
const LOG_LEN_MAX: usize = 4096;

/// The newest changes that stay as they are: losses are said soon after the store.
const NEWEST_KEPT: usize = 1024;

impl Regular {
    /// Puts older stores together once there are many.
    pub(super) fn compact(&mut self) {
        if self.log.len() < self.compact_at.max(LOG_LEN_MAX) {
            return;
        }
        for stores in self.compactable() {
            self.join(&stores);
        }
        self.compact_at = 2 * self.log.len();
    }

    /// Older stores by page, in order, with nothing between them to which their order matters.
    fn compactable(&self) -> Vec<Vec<u64>> {
        let cuts: BTreeSet<u64> = self
            .maybes
            .keys()
            .copied()
            .chain(self.lost.iter().map(|lost| lost.order))
            .chain(self.said_stable.iter().map(|(_, order)| *order))
            .collect();
        let mut done = Vec::new();
        let mut pages: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut last = 0;
        for (order, change) in self.log.iter().take(self.log.len().saturating_sub(NEWEST_KEPT)) {
            let is_store = change.acked.is_some() && matches!(change.effect, Effect::Store { .. });
            if !is_store || cuts.range(last..*order).next().is_some() {
                done.extend(std::mem::take(&mut pages).into_values());
            }
            if is_store {
                let page = change.range().start / MEMORY_PAGE_BYTES;
                pages.entry(page).or_default().push(*order);
            }
            last = *order;
        }
        done.extend(pages.into_values());
        done.retain(|stores| stores.len() > 1 && !self.is_newer_promised(stores));
        done
    }

    /// Is something promised of their page that is newer than the oldest of these stores?
    fn is_newer_promised(&self, stores: &[u64]) -> bool {
        let Some((oldest, first)) = self.log.get_key_value(&stores[0]) else { return true };
        let page = first.range().start / MEMORY_PAGE_BYTES * MEMORY_PAGE_BYTES;
        let runs = self.floor.runs(page..page.saturating_add(MEMORY_PAGE_BYTES));
        runs.iter().any(|run| run.order > *oldest)
    }

    /// Stores to one page become one for each stretch that they cover.
    fn join(&mut self, stores: &[u64]) {
        let mut newest = Extents::default();
        let mut blurred: Vec<Range<u64>> = Vec::new();
        let mut taken: Vec<(u64, Change)> = Vec::new();
        for order in stores {
            let Some(change) = self.log.remove(order) else { continue };
            let range = change.range();
            let overwritten = newest.runs(range.clone()).into_iter().filter(|run| run.order > 0);
            blurred.extend(overwritten.map(|run| run.start..run.end));
            if let Effect::Store { data, blurred: before, .. } = &change.effect {
                newest.put(range, Some(data.clone()), *order, None);
                blurred.push(before.clone());
            }
            taken.push((*order, change));
        }
        for stretch in stretches(&newest, &taken) {
            self.put_joined(&newest, &stretch, &blurred, &taken);
        }
    }

    fn put_joined(
        &mut self,
        newest: &Extents,
        stretch: &Range<u64>,
        blurred: &[Range<u64>],
        taken: &[(u64, Change)],
    ) {
        let within = |change: &Change| stretch.contains(&change.range().start);
        let Some((order, last)) = taken.iter().rev().find(|(_, change)| within(change)) else {
            return;
        };
        let Effect::Store { mapping, .. } = last.effect else { return };
        let mut bytes = Vec::with_capacity(index(stretch.end - stretch.start));
        for run in newest.runs(stretch.clone()) {
            bytes.extend_from_slice(&run.part(run.start, run.end).unwrap_or_default());
        }
        let data = bytes::Bytes::from(bytes);
        let is_within = |range: &&Range<u64>| !range.is_empty() && stretch.contains(&range.start);
        let blurs = blurred.iter().filter(is_within);
        let blurred = blurs.fold(0..0, |all: Range<u64>, range| match all.is_empty() {
            true => range.clone(),
            false => all.start.min(range.start)..all.end.max(range.end),
        });
        let oldest = taken.first().map_or(*order, |(order, _)| *order);
        let is_ours = |of: u64| (oldest..=*order).contains(&of);
        let mut live: Vec<Range<u64>> = Vec::new();
        for run in self.live.runs(stretch.clone()).iter().filter(|run| is_ours(run.order)) {
            match live.last_mut() {
                Some(last) if last.end == run.start => last.end = run.end,
                Some(_) | None => live.push(run.start..run.end),
            }
        }
        for range in live {
            let at = |offset: u64| index(offset - stretch.start);
            let data = data.slice(at(range.start)..at(range.end));
            self.live.put_stored(range.start, data, *order, mapping);
        }
        let effect = Effect::Store { offset: stretch.start, data, mapping, blurred };
        // Who wrote what of it is not known any more.
        let of_one = taken.iter().all(|(_, change)| change.handle == last.handle);
        let handle = if of_one { last.handle } else { HandleId::ROOT };
        self.log.insert(*order, Change { effect, handle, ..last.clone() });
    }
}

/// The stretches that stores cover, each without a gap.
fn stretches(newest: &Extents, taken: &[(u64, Change)]) -> Vec<Range<u64>> {
    let start = taken.iter().map(|(_, change)| change.range().start).min().unwrap_or(0);
    let end = taken.iter().map(|(_, change)| change.range().end).max().unwrap_or(0);
    let mut found: Vec<Range<u64>> = Vec::new();
    for run in newest.runs(start..end).iter().filter(|run| run.order > 0) {
        match found.last_mut() {
            Some(last) if last.end == run.start => last.end = run.end,
            Some(_) | None => found.push(run.start..run.end),
        }
    }
    found
}

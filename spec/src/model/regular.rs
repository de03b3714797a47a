//! A regular file: what is visible, what is promised, and what lies between.
//!
//! Per byte, what a crash may leave is the floor's version or any later one in the log.

use std::ops::Range;

use bytes::Bytes;
use imbl::OrdMap;
use imbl::OrdSet;
use imbl::Vector;

use crate::errors::Kinds;
use crate::errors::LostSet;
use crate::model::Copies;
use crate::model::Extents;
use crate::model::Origin;
use crate::model::Peer;
use crate::model::Placed;
use crate::model::Promise;
use crate::model::Run;
use crate::model::index;
use crate::ops::Floating;
use crate::ops::Frame;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::MappingId;
use crate::words::Step;

/// What is mapped is mapped in pages of this size, or of a smaller one.
pub(crate) const MEMORY_PAGE_BYTES: u64 = 4096;

/// So many changes that are durable are remembered for calls that were under way.
const FOLDED_MAX: usize = 64;

/// What a change does to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Bytes at an offset.
    Write { offset: u64, data: Bytes },
    /// Bytes stored through a shared mapping, within the size that the file had.
    /// Of what is blurred, older versions are forgotten.
    Store { offset: u64, data: Bytes, mapping: MappingId, blurred: Range<u64> },
    /// A new size; bytes beyond a smaller one are gone for good.
    Resize { from: u64, to: u64 },
    /// A whole range at once: zeros, and over them these bytes.
    Place { range: Range<u64>, content: Extents, by: Placed, reach: Reach },
    /// Bytes at the end of a file whose end was not known: it was in this range.
    Append { ends: Range<u64>, data: Bytes },
}

/// What a range that is put in its place does to the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing.
    Keep,
    /// The file reaches the end of the range.
    Grow,
    /// It becomes this.
    Set(u64),
}

/// A change that is not promised to be durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The call.
    pub(crate) step: Step,
    /// When it was acknowledged.
    pub(crate) acked: Option<Step>,
    /// The handle that it came through.
    pub(crate) handle: HandleId,
    pub(crate) effect: Effect,
}

impl Change {
    pub(crate) fn new(frame: &Frame, handle: HandleId, effect: Effect) -> Self {
        Self { step: frame.called, acked: frame.acked, handle, effect }
    }

    /// Bytes that it holds by itself; what was copied is held by others as well.
    pub(crate) fn size_bytes(&self) -> u64 {
        match &self.effect {
            Effect::Write { data, .. }
            | Effect::Store { data, .. }
            | Effect::Append { data, .. } => data.len() as u64,
            Effect::Resize { .. } | Effect::Place { .. } => 0,
        }
    }

    /// The bytes that it determines.
    pub(crate) fn range(&self) -> Range<u64> {
        match &self.effect {
            Effect::Write { offset, data } | Effect::Store { offset, data, .. } => {
                *offset..offset.saturating_add(data.len() as u64)
            }
            Effect::Resize { from, to } if to < from => *to..u64::MAX,
            Effect::Resize { .. } => 0..0,
            Effect::Place { range, .. } => range.clone(),
            Effect::Append { ends, data } => ends.start..ends.end.saturating_add(data.len() as u64),
        }
    }

    /// The bytes that it brings, in a range within its own; where it brings none, zeros.
    pub(crate) fn parts(&self, range: Range<u64>) -> Vec<Run> {
        let data = match &self.effect {
            Effect::Place { content, .. } => return content.runs(range),
            Effect::Write { data, .. } | Effect::Store { data, .. } => Some(data),
            // Wherever it went, it began there with its first byte.
            Effect::Append { data, .. } => Some(data),
            Effect::Resize { .. } => None,
        };
        let start = self.range().start;
        let part = |data: &Bytes| {
            let at = |offset: u64| index(offset - start).min(data.len());
            data.slice(at(range.start)..at(range.end))
        };
        let (data, order, promise) = (data.map(part), 0, None);
        let origin = Origin::Written;
        vec![Run { start: range.start, end: range.end, data, order, promise, origin }]
    }

    /// Does it do more than give the file a size?
    pub(crate) fn brings_bytes(&self) -> bool {
        match &self.effect {
            Effect::Write { .. }
            | Effect::Store { .. }
            | Effect::Append { .. }
            | Effect::Place { .. } => true,
            Effect::Resize { .. } => false,
        }
    }

    /// Does it give the file a size, whatever the size was?
    pub(crate) fn sets_size(&self) -> bool {
        matches!(self.effect, Effect::Resize { .. } | Effect::Place { reach: Reach::Set(_), .. })
    }

    /// How it came there, if it put a whole range in its place.
    pub(crate) fn placed(&self) -> Option<Placed> {
        match self.effect {
            Effect::Place { by, .. } => Some(by),
            Effect::Write { .. }
            | Effect::Store { .. }
            | Effect::Append { .. }
            | Effect::Resize { .. } => None,
        }
    }

    /// Could the byte at this offset be this by the change?
    pub(crate) fn may_hold(&self, at: u64, byte: u8) -> bool {
        let range = self.range();
        range.contains(&at)
            && match &self.effect {
                Effect::Write { data, .. } => data[crate::model::index(at - range.start)] == byte,
                Effect::Store { data, blurred, .. } => {
                    blurred.contains(&at) || data[crate::model::index(at - range.start)] == byte
                }
                Effect::Resize { .. } => byte == 0,
                Effect::Place { content, .. } => {
                    content.runs(at..at.saturating_add(1)).iter().all(|run| run.byte(at) == byte)
                }
                Effect::Append { data, .. } => data.contains(&byte),
            }
    }

    pub(crate) fn describe(&self, path: &str) -> String {
        match &self.effect {
            Effect::Write { offset, data } => {
                let end = offset.saturating_add(data.len() as u64);
                format!("write of {offset}..{end} of {path}")
            }
            Effect::Store { offset, data, .. } => {
                let end = offset.saturating_add(data.len() as u64);
                format!("store to {offset}..{end} of {path}")
            }
            Effect::Resize { to, .. } => format!("truncation of {path} to {to}"),
            Effect::Place { range: Range { start, end }, by, .. } => match by {
                Placed::Copied => format!("copy to {start}..{end} of {path}"),
                Placed::Cloned => format!("clone to {start}..{end} of {path}"),
                Placed::Zeroed => format!("zeroing of {start}..{end} of {path}"),
                Placed::Moved => format!("move of {start}..{end} of {path}"),
            },
            Effect::Append { data, .. } => format!("append of {} bytes to {path}", data.len()),
        }
    }
}

/// A regular file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Regular {
    pub(crate) size: u64,
    pub(crate) live: Extents,
    /// Changes since the floor, by order.
    pub(crate) log: OrdMap<u64, Change>,
    /// The last changes that became part of the floor, by order.
    pub(crate) folded: OrdMap<u64, Change>,
    /// Of those up to this one, some are forgotten.
    pub(crate) forgotten: u64,
    /// Of the log, the changes of size alone.
    pub(crate) resizes: OrdSet<u64>,
    /// The length of the log at which it is compacted.
    pub(crate) compact_at: usize,
    pub(crate) floor: Extents,
    pub(crate) floor_size: u64,
    /// The newest change of size alone that is in the floor.
    pub(crate) floor_size_order: u64,
    /// Ends of writes that were promised before older changes of size: order and end.
    pub(crate) promised_ends: OrdMap<u64, u64>,
    pub(crate) size_promise: Option<Promise>,
    /// The greatest size that was durably taken away.
    pub(crate) shrunk_from: u64,
    /// The clause that is about the current size.
    pub(crate) size_clause: Option<&'static str>,
    /// Failed writes, and appends behind them: any of their bytes may be visible.
    pub(crate) maybes: OrdMap<u64, Change>,
    /// Failed writes up to here are known to be in the size, or not to be.
    pub(crate) sized_order: u64,
    pub(crate) lost: LostSet,
    pub(crate) lost_ever: bool,
    /// When it was said last that some were, also if they are no more.
    pub(crate) lost_last: Option<Step>,
    /// With which errors.
    pub(crate) lost_kinds: Kinds,
    /// Through which descriptions anything came that was lost.
    pub(crate) lost_by: OrdSet<HandleId>,
    /// Bytes of failed calls that the subject says to be lost: it may go on failing for them.
    pub(crate) lost_unacknowledged: Vec<Range<u64>>,
    /// What of that left memory afterwards.
    pub(crate) evicted_unacknowledged: Vec<Range<u64>>,
    /// Of those, what nothing explains yet: bytes of a call that is under way.
    pub(crate) lost_unexplained: Vector<Floating>,
    /// The newest change.
    pub(crate) last_order: u64,
    /// The bytes of the last append.
    pub(crate) last_append: Option<Bytes>,
    /// What the last change allocated.
    pub(crate) last_allocated: Range<u64>,
    /// Which changes, up to which order, the subject says to be durable.
    pub(crate) said_stable: Vector<(Range<u64>, u64)>,
    /// Bytes stored beyond the end of the file, in its last page.
    pub(crate) tail: Extents,
    /// Such bytes that the file then grew over.
    pub(crate) overgrown: Extents,
    /// Of bytes that were copied, which others they may be.
    pub(crate) copies: Copies,
    /// Files with which ranges are shared, or were, the newest last.
    pub(crate) peers: Vector<Peer>,
    /// The last clone that was refused, and what deduplication last shared.
    pub(crate) refused: Option<(Change, Errno)>,
    pub(crate) deduplicated: Range<u64>,
    /// The last change of size: the size before and after, and its order.
    pub(crate) last_resize: Option<(u64, u64, u64)>,
    /// Are its bytes written in place, and for which of them is there room?
    pub(crate) is_in_place: bool,
    pub(crate) reserved: Vec<Range<u64>>,
    /// What was written in place and is durable, and by which change: it has room of its own.
    pub(crate) owned: Vec<(Range<u64>, u64)>,
    /// Has any of it been forgotten?
    pub(crate) is_owned_forgotten: bool,
    /// The last change after which older ones say nothing about room: bytes were shared, cut or
    /// put in their place.
    pub(crate) unowned_at: u64,
    /// The order that the changes had reached when there was room last.
    pub(crate) reserved_at: u64,
    /// How far room was made beyond the end without a new size.
    pub(crate) reserved_beyond: u64,
    /// The last search for data or holes since the last change.
    pub(crate) searched: Option<Step>,
    /// When the size was seen last since the last change.
    pub(crate) sized_at: Option<Step>,
    /// What was read since the last change.
    pub(crate) reads: Vector<(Range<u64>, Step)>,
}

impl Regular {
    /// A change takes effect.
    pub(crate) fn change(&mut self, order: u64, change: Change) {
        match &change.effect {
            Effect::Store { offset, data, mapping, .. } => {
                self.live.put_stored(*offset, data.clone(), order, *mapping);
            }
            Effect::Place { range, content, by, .. } => {
                for part in content.runs(range.clone()) {
                    self.live.put_placed(&part, order, *by);
                }
            }
            Effect::Write { data, .. } | Effect::Append { data, .. } => {
                self.live.put(change.range(), Some(data.clone()), order, None);
            }
            Effect::Resize { .. } => self.live.put(change.range(), None, order, None),
        }
        let size = resized(self.size, &change);
        if !self.tail.is_empty() && size != self.size {
            self.move_end(size);
        }
        if size < self.size || change.sets_size() {
            self.last_resize = Some((self.size, size, order));
            self.has_no_room(&(size..u64::MAX));
            self.reserved_beyond = 0;
        }
        self.size = size;
        if change.sets_size() {
            self.sized_order = order;
        }
        self.reads.clear();
        (self.searched, self.sized_at, self.refused) = (None, None, None);
        self.deduplicated = 0..0;
        self.last_order = order;
        self.last_append = None;
        let is_store = matches!(change.effect, Effect::Store { .. });
        if change.placed().is_some() || change.sets_size() {
            self.unowned_at = order;
        }
        if change.sets_size() {
            self.resizes.insert(order);
        }
        self.last_allocated = 0..0;
        self.log.insert(order, change);
        if is_store {
            self.compact();
        }
    }

    /// Was there a failed write to a byte after the change of this order?
    pub(crate) fn may_have_failed(&self, at: u64, order: u64) -> bool {
        self.maybes.range(order + 1..).any(|(_, change)| change.range().contains(&at))
    }

    /// Is every byte known?
    pub(crate) fn is_sure(&self) -> bool {
        self.maybes.is_empty() && self.copies.is_empty()
    }

    /// How far the file may reach, for what is known: a failed write may have made it longer.
    pub(crate) fn size_most(&self) -> u64 {
        let failed = self.maybes.range(self.sized_order + 1..);
        failed.map(|(_, change)| change.range().end).fold(self.size, u64::max)
    }

    /// Of what was stored beyond the end, the file grows over some; some stays in the last page.
    fn move_end(&mut self, size: u64) {
        let tail = std::mem::take(&mut self.tail);
        let end = size.checked_next_multiple_of(MEMORY_PAGE_BYTES).unwrap_or(u64::MAX);
        for run in tail.runs(self.size..size.max(self.size)) {
            self.overgrown.put(run.start..run.end, run.data, run.order, None);
        }
        for run in tail.runs(size..end).into_iter().filter(|run| run.data.is_some()) {
            self.tail.put(run.start..run.end, run.data, run.order, None);
        }
    }

    /// Changes that nobody acknowledged are seen to have happened, or are covered by what is seen.
    pub(crate) fn acknowledge(&mut self, step: Step) {
        let open = self.log.iter().filter(|(_, change)| change.acked.is_none());
        let open: Vec<u64> = open.map(|(order, _)| *order).collect();
        for order in open {
            if let Some(change) = self.log.get_mut(&order) {
                change.acked = Some(step);
            }
        }
    }

    /// Everything acknowledged before `began` is promised, except what is known to be lost.
    pub(crate) fn promise(&mut self, began: Step, by: HandleId, promise: Promise) {
        let due: Vec<(u64, Change)> = self
            .log
            .iter()
            .filter(|(_, change)| change.acked.is_some_and(|acked| acked < began))
            .map(|(order, change)| (*order, change.clone()))
            .collect();
        let is_clean = due.iter().all(|(_, change)| !change.brings_bytes());
        for (order, change) in due {
            let through_other = change.handle != by && change.brings_bytes();
            let is_clone = change.placed() == Some(Placed::Cloned);
            let clause = match promise.clause {
                "DUR-FSYNC-01" | "DUR-FDS-01" if is_clone => "COPY-08",
                "DUR-FSYNC-01" if through_other => "DUR-FSYNC-02",
                clause => clause,
            };
            self.fold(order, &change, Promise { clause, step: promise.step });
            if is_clean && clause == "DUR-FSYNC-01" {
                let step = promise.step;
                self.size_promise = Some(Promise { clause: "DUR-FSYNC-05", step });
            }
        }
    }

    /// What was stored to a range through mappings, and acknowledged before `began`, is promised,
    /// except what is known to be lost.
    pub(crate) fn promise_stores(&mut self, began: Step, range: &Range<u64>, promise: Promise) {
        let is_due = |change: &Change| {
            matches!(change.effect, Effect::Store { .. })
                && change.acked.is_some_and(|acked| acked < began)
                && overlaps(&change.range(), range)
        };
        let due: Vec<(u64, Change)> = self
            .log
            .iter()
            .filter(|(_, change)| is_due(change))
            .map(|(order, change)| (*order, change.clone()))
            .collect();
        for (order, change) in due {
            self.fold(order, &change, promise);
        }
    }

    /// One change is promised.
    pub(crate) fn promise_one(&mut self, order: u64, promise: Promise) {
        if let Some(change) = self.log.get(&order).cloned() {
            self.fold(order, &change, promise);
        }
    }

    fn fold(&mut self, order: u64, change: &Change, promise: Promise) {
        let is_copy = matches!(change.placed(), Some(Placed::Copied | Placed::Cloned));
        let promise = match promise.clause {
            "DUR-OSYNC-01" if is_copy => Promise { clause: "COPY-09", step: promise.step },
            _ => promise,
        };
        let range = change.range();
        let lost: Vec<Range<u64>> = self
            .lost
            .meeting(&range)
            .filter(|lost| order <= lost.order)
            .flat_map(|lost| lost.ranges.iter().cloned())
            .collect();
        let is_lost = lost.iter().any(|lost| overlaps(lost, &range));
        let kept = subtract(vec![range.clone()], &lost);
        if matches!(change.effect, Effect::Write { .. } | Effect::Store { .. }) {
            self.owns(order, &kept);
        }
        for part in kept {
            for part in change.parts(part) {
                let range = part.start..part.end;
                self.floor.put_over_older(range, part.data.as_ref(), order, Some(promise));
            }
        }
        if is_lost {
            return;
        }
        let is_write = !change.sets_size();
        if order > self.floor_size_order {
            let size = self.with_promised_ends(order, reached(self.floor_size, change));
            if size < self.floor_size {
                self.shrunk_from = self.shrunk_from.max(self.floor_size);
            }
            if size != self.floor_size || self.size_promise.is_none() {
                let of_bytes = ["DUR-FSYNC-01", "DUR-FSYNC-02"];
                let whole = of_bytes.contains(&promise.clause);
                let clause = if whole { "DUR-FSYNC-03" } else { promise.clause };
                self.size_promise = Some(Promise { clause, step: promise.step });
            }
            self.floor_size = size;
            if !is_write {
                self.floor_size_order = order;
            }
        }
        self.log.remove(&order);
        self.resizes.remove(&order);
        self.folded.insert(order, change.clone());
        if self.folded.len() > FOLDED_MAX
            && let Some((oldest, _)) = self.folded.get_min().cloned()
        {
            self.folded.remove(&oldest);
            self.forgotten = self.forgotten.max(oldest);
        }
        if is_write && self.resizes.get_min().is_some_and(|first| *first < order) {
            self.note_promised_end(order, reached(0, change));
        } else if self.resizes.is_empty() {
            self.promised_ends = OrdMap::new();
        }
    }

    /// A write was promised that the file reaches this end. What an older write reached, and no
    /// more, is forgotten: the ends that are kept become smaller as their orders grow.
    fn note_promised_end(&mut self, order: u64, end: u64) {
        if self.promised_ends.range(order..).next().is_some_and(|(_, later)| *later >= end) {
            return;
        }
        while let Some((older, reached)) = self.promised_ends.range(..=order).next_back()
            && *reached <= end
        {
            let older = *older;
            self.promised_ends.remove(&older);
        }
        self.promised_ends.insert(order, end);
    }

    /// A size that a change of `order` gave, and what later writes made of it that were promised
    /// before the change was.
    pub(crate) fn with_promised_ends(&self, order: u64, size: u64) -> u64 {
        let mut later = self.promised_ends.range(order + 1..);
        later.next().map_or(size, |(_, end)| size.max(*end))
    }

    /// The changes after this order, durable or not.
    pub(crate) fn since(&self, order: u64) -> impl Iterator<Item = (u64, &Change)> {
        let folded = self.folded.range(order + 1..);
        folded.chain(self.log.range(order + 1..)).map(|(order, change)| (*order, change))
    }

    /// Are the changes after this order not all remembered?
    pub(crate) fn forgets_since(&self, order: u64) -> bool {
        self.forgotten > order
    }

    /// The newest change of a byte in the log, if there is one.
    pub(crate) fn newest(&self, at: u64, up_to: u64) -> Option<&Change> {
        self.log
            .iter()
            .rev()
            .filter(|(order, _)| **order <= up_to)
            .map(|(_, change)| change)
            .find(|change| change.range().contains(&at))
    }
}

/// The size after a change.
pub(crate) fn resized(size: u64, change: &Change) -> u64 {
    match &change.effect {
        Effect::Write { data, .. } if data.is_empty() => size,
        Effect::Write { .. } | Effect::Append { .. } => size.max(change.range().end),
        Effect::Store { .. } => size,
        Effect::Place { range, .. } if range.is_empty() => size,
        Effect::Place { reach: Reach::Keep, .. } => size,
        Effect::Place { range, reach: Reach::Grow, .. } => size.max(range.end),
        Effect::Resize { to, .. } | Effect::Place { reach: Reach::Set(to), .. } => *to,
    }
}

/// The size that it takes to read a change back.
fn reached(size: u64, change: &Change) -> u64 {
    match &change.effect {
        Effect::Store { .. } => size.max(change.range().end),
        Effect::Write { .. }
        | Effect::Resize { .. }
        | Effect::Append { .. }
        | Effect::Place { .. } => resized(size, change),
    }
}

pub(crate) fn overlaps(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

/// What ranges have in common with others.
pub(crate) fn common(ranges: Vec<Range<u64>>, others: &[Range<u64>]) -> Vec<Range<u64>> {
    let elsewhere = subtract(ranges.clone(), others);
    subtract(ranges, &elsewhere)
}

/// What is left of ranges without others.
pub(crate) fn subtract(ranges: Vec<Range<u64>>, others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = ranges;
    for other in others {
        let mut next = Vec::with_capacity(left.len());
        for range in left {
            if overlaps(&range, other) {
                next.push(range.start..other.start.max(range.start));
                next.push(other.end.min(range.end)..range.end);
            } else {
                next.push(range);
            }
        }
        next.retain(|range| range.start < range.end);
        left = next;
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promised_ends_are_the_greatest_of_later_writes_and_few_are_kept() {
        let (mut regular, mut all) = (Regular::default(), Vec::new());
        let mut number = 1_u64;
        let mut next = |below: u64| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number >> 33) % below
        };
        for _ in 0..2_000 {
            let (order, end) = (next(5_000), next(100));
            regular.note_promised_end(order, end);
            all.push((order, end));
            let (asked, size) = (next(5_000), next(120));
            let later = all.iter().filter(|(of, _)| *of > asked).map(|(_, end)| *end);
            assert_eq!(regular.with_promised_ends(asked, size), later.fold(size, u64::max));
            assert!(regular.promised_ends.len() <= 100);
        }
    }
}

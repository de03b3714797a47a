//! Bytes by offset, each with the order of the change that put it there.

use std::ops::Bound;
use std::ops::Range;

use bytes::Bytes;
use imbl::OrdMap;

use crate::model::difference;
use crate::words::MappingId;
use crate::words::Step;

/// Which clause promised that something is durable, and by which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) clause: &'static str,
    pub(crate) step: Step,
}

/// What put a whole range of bytes in its place at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    /// `copy_file_range`.
    Copied,
    /// A clone.
    Cloned,
    /// A punched or zeroed range.
    Zeroed,
    /// A range that was collapsed or inserted: what follows it moved.
    Moved,
}

/// How bytes came to their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Origin {
    /// By a write, or a change of size.
    #[default]
    Written,
    /// By a store through this mapping.
    Stored(MappingId),
    /// By a write past the cache.
    Direct,
    /// With a whole range.
    Placed(Placed),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    end: u64,
    data: Option<Bytes>,
    order: u64,
    promise: Option<Promise>,
    origin: Origin,
}

/// A stretch of bytes with one origin; `data` absent means zeros.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) data: Option<Bytes>,
    pub(crate) order: u64,
    pub(crate) promise: Option<Promise>,
    pub(crate) origin: Origin,
}

/// Pieces that do not overlap; what none covers is zero, of order 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extents {
    pieces: OrdMap<u64, Piece>,
}

/// An index into bytes that are in memory.
pub(crate) fn index(at: u64) -> usize {
    usize::try_from(at).expect("an offset within bytes in memory fits")
}

impl Run {
    /// The mapping that the bytes were stored through, if they were.
    pub(crate) fn mapping(&self) -> Option<MappingId> {
        match self.origin {
            Origin::Stored(mapping) => Some(mapping),
            Origin::Written | Origin::Direct | Origin::Placed(_) => None,
        }
    }

    /// The part of the run within a range that it contains.
    pub(crate) fn part(&self, start: u64, end: u64) -> Option<Bytes> {
        let data = self.data.as_ref()?;
        Some(data.slice(index(start - self.start)..index(end - self.start)))
    }

    pub(crate) fn byte(&self, at: u64) -> u8 {
        self.data.as_ref().map_or(0, |data| data[index(at - self.start)])
    }
}

impl Extents {
    /// Puts bytes, or zeros, over whatever was there.
    pub(crate) fn put(
        &mut self,
        range: Range<u64>,
        data: Option<Bytes>,
        order: u64,
        promise: Option<Promise>,
    ) {
        self.put_piece(range, data, order, promise, Origin::Written);
    }

    /// Puts bytes that were written past the cache over whatever was there.
    pub(crate) fn put_direct(&mut self, start: u64, data: Bytes, order: u64) {
        let end = start.saturating_add(data.len() as u64);
        self.put_piece(start..end, Some(data), order, None, Origin::Direct);
    }

    /// Puts a part of what a range holds over whatever was there.
    pub(crate) fn put_placed(&mut self, part: &Run, order: u64, by: Placed) {
        let range = part.start..part.end;
        self.put_piece(range, part.data.clone(), order, None, Origin::Placed(by));
    }

    /// Corrects bytes; how they came there stays.
    pub(crate) fn correct(&mut self, range: Range<u64>, data: Bytes, run: &Run) {
        self.put_piece(range, Some(data), run.order, None, run.origin);
    }

    /// The same bytes elsewhere: those from `from` on at `to`. No byte is copied.
    pub(crate) fn moved(&self, from: Range<u64>, to: u64) -> Self {
        let mut moved = Self::default();
        // What would lie beyond the last offset goes nowhere.
        let end = from.end.min(from.start.saturating_add(u64::MAX - to));
        let from = from.start..end;
        for run in self.runs(from.clone()).into_iter().filter(|run| run.data.is_some()) {
            let (start, end) = (to + (run.start - from.start), to + (run.end - from.start));
            moved.put(start..end, run.data, run.order, None);
        }
        moved
    }

    /// Puts bytes that were stored through a mapping over whatever was there.
    pub(crate) fn put_stored(&mut self, start: u64, data: Bytes, order: u64, by: MappingId) {
        let end = start.saturating_add(data.len() as u64);
        self.put_piece(start..end, Some(data), order, None, Origin::Stored(by));
    }

    fn put_piece(
        &mut self,
        range: Range<u64>,
        data: Option<Bytes>,
        order: u64,
        promise: Option<Promise>,
        origin: Origin,
    ) {
        if range.is_empty() {
            return;
        }
        self.cut(range.start);
        self.cut(range.end);
        let covered = |pieces: &OrdMap<u64, Piece>| {
            pieces
                .range((Bound::Excluded(range.start), Bound::Excluded(range.end)))
                .next()
                .map(|of| *of.0)
        };
        while let Some(at) = covered(&self.pieces) {
            self.pieces.remove(&at);
        }
        self.pieces.insert(range.start, Piece { end: range.end, data, order, promise, origin });
    }

    /// Removes what is there.
    pub(crate) fn forget(&mut self, range: Range<u64>) {
        self.put(range.clone(), None, 0, None);
        self.pieces.remove(&range.start);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Puts bytes, or zeros, over what is older.
    pub(crate) fn put_over_older(
        &mut self,
        range: Range<u64>,
        data: Option<&Bytes>,
        order: u64,
        promise: Option<Promise>,
    ) {
        for run in self.runs(range.clone()) {
            if run.order < order {
                let part = data.map(|data| {
                    data.slice(index(run.start - range.start)..index(run.end - range.start))
                });
                self.put(run.start..run.end, part, order, promise);
            }
        }
    }

    fn cut(&mut self, at: u64) {
        let Some((start, piece)) = self.pieces.get_prev(&at) else { return };
        if *start == at || piece.end <= at {
            return;
        }
        let (start, piece) = (*start, piece.clone());
        let mut left = piece.clone();
        left.end = at;
        left.data = piece.data.as_ref().map(|data| data.slice(..index(at - start)));
        let mut right = piece;
        right.data = right.data.map(|data| data.slice(index(at - start)..));
        self.pieces.insert(start, left);
        self.pieces.insert(at, right);
    }

    /// The first byte of a range that is another than elsewhere.
    pub(crate) fn first_difference(&self, other: &Self, range: Range<u64>) -> Option<u64> {
        self.runs(range).iter().find_map(|run| {
            let others = other.runs(run.start..run.end);
            others.iter().find_map(|other| differs(run, other, other.start, other.end))
        })
    }

    /// Where it differs from what it was.
    pub(crate) fn changed<'a>(&'a self, was: &'a Self) -> impl Iterator<Item = Range<u64>> {
        difference(&was.pieces, &self.pieces).map(|(at, piece)| *at..piece.end)
    }

    /// The runs of a range, in order, without a gap.
    pub(crate) fn runs(&self, range: Range<u64>) -> Vec<Run> {
        let mut runs = Vec::new();
        if range.is_empty() {
            return runs;
        }
        let mut at = range.start;
        let first = self.pieces.get_prev(&range.start).map_or(range.start, |(at, _)| *at);
        for (start, piece) in self.pieces.range(first..range.end) {
            let (from, to) = ((*start).max(range.start), piece.end.min(range.end));
            if from >= to {
                continue;
            }
            if from > at {
                runs.push(gap(at, from));
            }
            let data =
                piece.data.as_ref().map(|data| data.slice(index(from - start)..index(to - start)));
            let (order, promise, origin) = (piece.order, piece.promise, piece.origin);
            runs.push(Run { start: from, end: to, data, order, promise, origin });
            at = to;
        }
        if at < range.end {
            runs.push(gap(at, range.end));
        }
        runs
    }
}

fn gap(start: u64, end: u64) -> Run {
    Run { start, end, data: None, order: 0, promise: None, origin: Origin::Written }
}

/// The first stretch in which bytes differ from a run, within a range that both contain.
pub(crate) fn differs(run: &Run, found: &Run, start: u64, end: u64) -> Option<u64> {
    match (run.part(start, end), found.part(start, end)) {
        (None, None) => None,
        (Some(a), Some(b)) => {
            if a.as_ptr() == b.as_ptr() || a == b {
                return None;
            }
            a.iter().zip(&b).position(|(a, b)| a != b).map(|at| start + at as u64)
        }
        (Some(bytes), None) | (None, Some(bytes)) => {
            bytes.iter().position(|byte| *byte != 0).map(|at| start + at as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_put_is_found_and_its_neighbours_stay() {
        let mut extents = Extents::default();
        extents.put(0..6, Some(Bytes::from_static(b"abcdef")), 1, None);
        extents.put(2..4, None, 2, None);
        let bytes: Vec<u8> = extents
            .runs(0..8)
            .iter()
            .flat_map(|run| (run.start..run.end).map(|at| run.byte(at)))
            .collect();
        assert_eq!(bytes, b"ab\0\0ef\0\0");
    }

    #[test]
    fn an_older_change_does_not_hide_a_newer_one() {
        let mut extents = Extents::default();
        extents.put(2..4, Some(Bytes::from_static(b"XY")), 2, None);
        extents.put_over_older(0..6, Some(&Bytes::from_static(b"abcdef")), 1, None);
        let orders: Vec<u64> = extents.runs(0..6).iter().map(|run| run.order).collect();
        assert_eq!(orders, [1, 2, 1]);
    }
}

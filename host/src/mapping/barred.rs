//! Where in a process's memory a load raises a signal instead of finding bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::call::MappingId;
use crate::mapping::regions::Piece;
use crate::mapping::regions::Regions;

/// What of a process's mappings it cannot load from.
#[derive(Debug, Default)]
pub(crate) struct Barred {
    /// As the file system told it last.
    told: Vec<(MappingId, Range<u64>)>,
    /// What could not be loaded when it should have been: where it is in its mapping, its length.
    unread: BTreeMap<(MappingId, u64), u64>,
    /// Where in memory both are seen, in order; ranges neither overlap nor touch.
    at: Vec<Range<u64>>,
    /// Was one of the first two changed since the third was made of them?
    is_changed: bool,
}

impl Barred {
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// What the file system tells, in place of what it told before.
    pub(crate) fn tell(&mut self, told: Vec<(MappingId, Range<u64>)>) {
        self.told = told;
        self.is_changed = true;
    }

    /// It could not be loaded.
    pub(crate) fn add_unread(&mut self, piece: &Piece) {
        let len = piece.at.end - piece.at.start;
        self.unread.insert((piece.mapping, piece.offset), len);
        self.is_changed = true;
    }

    /// It was loaded. What could not be began where this begins, or in it, and ends in it.
    pub(crate) fn remove_unread(&mut self, piece: &Piece) {
        let (start, end) = (piece.offset, piece.in_mapping().end);
        let found = self.unread.range((piece.mapping, start)..(piece.mapping, end));
        let loaded: Vec<_> = found.map(|(key, _)| *key).collect();
        self.is_changed |= !loaded.is_empty();
        for key in loaded {
            self.unread.remove(&key);
        }
    }

    /// Finds where in memory it is.
    pub(crate) fn locate(&mut self, regions: &Regions) {
        let unread = self.unread.iter().map(|((id, start), len)| (*id, *start..*start + *len));
        let all = self.told.iter().cloned().chain(unread);
        let seen = all.flat_map(|(mapping, range)| regions.of_mapping(mapping, &range));
        let mut seen: Vec<Range<u64>> = seen.map(|piece| piece.at).collect();
        seen.sort_unstable_by_key(|range| range.start);
        self.at.clear();
        for range in seen {
            match self.at.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                Some(_) | None => self.at.push(range),
            }
        }
        self.is_changed = false;
    }

    /// The smallest range of memory that holds all of it.
    pub(crate) fn hull(&self) -> Range<u64> {
        let first = self.at.first().map_or(0, |range| range.start);
        first..self.at.last().map_or(first, |range| range.end)
    }

    /// What of a range of memory is barred, in the order of addresses.
    pub(crate) fn within(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let first = self.at.partition_point(|barred| barred.end <= range.start);
        let met = self.at[first..].iter().take_while(|barred| barred.start < range.end);
        met.map(|barred| barred.start.max(range.start)..barred.end.min(range.end))
            .filter(|cut| cut.start < cut.end)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: MappingId = MappingId(1);

    fn piece(at: Range<u64>, mapping: MappingId, offset: u64) -> Piece {
        Piece { at, mapping, offset }
    }

    #[test]
    fn what_is_barred_is_found_where_its_mapping_is_seen() {
        let mut regions = Regions::default();
        regions.insert(piece(100..140, ONE, 0));
        regions.insert(piece(140..150, MappingId(2), 0));
        let mut barred = Barred::default();
        assert_eq!(barred.hull(), 0..0);
        barred.tell(vec![(ONE, 30..40), (MappingId(2), 0..5), (MappingId(3), 0..9)]);
        barred.add_unread(&piece(104..106, ONE, 4));
        assert!(barred.is_changed());
        barred.locate(&regions);
        assert_eq!(barred.hull(), 104..145);
        assert_eq!(barred.within(&(0..1000)), [104..106, 130..145]);
        assert_eq!(barred.within(&(105..131)), [105..106, 130..131]);
        for free in [0..104, 106..130, 145..999, 131..131] {
            assert_eq!(barred.within(&free), [], "{free:?}");
        }
        // Only a whole that was loaded is forgotten.
        barred.remove_unread(&piece(105..130, ONE, 5));
        assert!(!barred.is_changed());
        barred.remove_unread(&piece(100..130, ONE, 0));
        regions.remove(&(130..140));
        barred.locate(&regions);
        assert_eq!(barred.hull(), 140..145);
    }
}

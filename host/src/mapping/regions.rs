//! Which range of a process's memory shows which part of which mapping.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::call::MappingId;

/// Size of a page of mapped memory.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// A part of a mapping, and where a process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// In the process's memory.
    pub(crate) at: Range<u64>,
    /// Which mapping.
    pub(crate) mapping: MappingId,
    /// Where in the mapping.
    pub(crate) offset: u64,
}

impl Piece {
    /// Where in its mapping an address lies, which must be in the piece.
    pub(crate) fn offset_of(&self, address: u64) -> u64 {
        self.offset + (address - self.at.start)
    }

    /// Its bytes in the mapping.
    pub(crate) fn in_mapping(&self) -> Range<u64> {
        self.offset..self.offset_of(self.at.end)
    }

    /// The part of it in a range of memory, if there is one.
    fn cut(&self, range: &Range<u64>) -> Option<Self> {
        let at = self.at.start.max(range.start)..self.at.end.min(range.end);
        let offset = self.offset + at.start.checked_sub(self.at.start)?;
        (at.start < at.end).then_some(Self { at, mapping: self.mapping, offset })
    }
}

/// What a range of memory holds of mappings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vacancy {
    /// None.
    Empty,
    /// Some, and some of it is free.
    Partly,
    /// All of it is mapped.
    Full,
}

/// All that a process has mapped. Pieces are whole pages and never overlap.
#[derive(Debug, Default)]
pub(crate) struct Regions {
    /// By where they start in memory.
    pieces: BTreeMap<u64, Piece>,
    /// By where they start in their mapping.
    starts: BTreeMap<(MappingId, u64), u64>,
}

impl Regions {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The smallest range that holds every piece.
    pub(crate) fn hull(&self) -> Range<u64> {
        let first = self.pieces.first_key_value().map(|(start, _)| *start);
        let last = self.pieces.last_key_value().map(|(_, piece)| piece.at.end);
        first.unwrap_or(0)..last.unwrap_or(0)
    }

    /// What lies in a range, in the order of addresses.
    pub(crate) fn pieces(&self, range: &Range<u64>) -> Vec<Piece> {
        let first =
            self.pieces.range(..=range.start).next_back().map_or(range.start, |(at, _)| *at);
        if first >= range.end {
            return Vec::new();
        }
        self.pieces.range(first..range.end).filter_map(|(_, piece)| piece.cut(range)).collect()
    }

    /// What lies in a range of a mapping, in the order of offsets.
    pub(crate) fn of_mapping(&self, mapping: MappingId, range: &Range<u64>) -> Vec<Piece> {
        let before = self.starts.range((mapping, 0)..=(mapping, range.start)).next_back();
        let first = before.map_or((mapping, range.start), |(key, _)| *key);
        if first.1 >= range.end {
            return Vec::new();
        }
        let starts = self.starts.range(first..(mapping, range.end));
        starts
            .filter_map(|(_, start)| {
                let piece = self.pieces.get(start).expect("both maps hold the same pieces");
                let shown = piece.in_mapping();
                let (from, to) = (shown.start.max(range.start), shown.end.min(range.end));
                let at = |offset: u64| piece.at.start + (offset - shown.start);
                if from < to { piece.cut(&(at(from)..at(to))) } else { None }
            })
            .collect()
    }

    /// How much of a range is mapped.
    pub(crate) fn vacancy(&self, range: &Range<u64>) -> Vacancy {
        let pieces = self.pieces(range);
        let mapped: u64 = pieces.iter().map(|piece| piece.at.end - piece.at.start).sum();
        match mapped {
            0 => Vacancy::Empty,
            _ if mapped == range.end - range.start => Vacancy::Full,
            _ => Vacancy::Partly,
        }
    }

    /// Adds a piece where nothing is mapped.
    pub(crate) fn insert(&mut self, piece: Piece) {
        assert_eq!(self.vacancy(&piece.at), Vacancy::Empty, "pieces never overlap");
        self.starts.insert((piece.mapping, piece.offset), piece.at.start);
        self.pieces.insert(piece.at.start, piece);
    }

    /// Takes out what lies in a range; what was cut off at its ends stays.
    pub(crate) fn remove(&mut self, range: &Range<u64>) -> Vec<Piece> {
        let removed = self.pieces(range);
        for part in &removed {
            let (_, whole) = self
                .pieces
                .range(..=part.at.start)
                .next_back()
                .expect("a part has a whole that starts no later");
            let whole = whole.clone();
            self.pieces.remove(&whole.at.start);
            self.starts.remove(&(whole.mapping, whole.offset));
            let around = [whole.at.start..part.at.start, part.at.end..whole.at.end];
            for rest in around.iter().filter_map(|range| whole.cut(range)) {
                self.insert(rest);
            }
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(at: Range<u64>, mapping: u64, offset: u64) -> Piece {
        Piece { at, mapping: MappingId(mapping), offset }
    }

    /// Page by page, what a table says, against the same kept page by page.
    fn check(regions: &Regions, model: &[Option<(u64, u64)>]) {
        for (page, expected) in (0..).zip(model) {
            let seen = regions.pieces(&(page..page + 1));
            let seen: Vec<_> = seen.iter().map(|seen| (seen.mapping.0, seen.offset)).collect();
            assert_eq!(seen, expected.iter().copied().collect::<Vec<_>>(), "page {page}");
            if let Some((mapping, offset)) = expected {
                let back = regions.of_mapping(MappingId(*mapping), &(*offset..offset + 1));
                assert!(back.contains(&piece(page..page + 1, *mapping, *offset)), "page {page}");
            }
        }
        let mapped = model.iter().filter(|page| page.is_some()).count() as u64;
        let all: u64 = regions.pieces.values().map(|piece| piece.at.end - piece.at.start).sum();
        assert_eq!(all, mapped);
    }

    #[test]
    fn whatever_is_removed_the_rest_stays_where_it_was() {
        for first in 0..6u64 {
            for last in first..=6 {
                for (from, to) in (0..=8).flat_map(|from| (from..=8).map(move |to| (from, to))) {
                    let mut regions = Regions::default();
                    let mut model = vec![None; 8];
                    regions.insert(piece(first..last + 1, 1, 10));
                    (first..last + 1).for_each(|page| {
                        model[page as usize] = Some((1, 10 + page - first));
                    });
                    regions.insert(piece(7..8, 2, 0));
                    model[7] = Some((2, 0));
                    regions.remove(&(from..to));
                    model[from as usize..to as usize].fill(None);
                    check(&regions, &model);
                }
            }
        }
    }

    #[test]
    fn the_hull_and_the_vacancy_follow_the_pieces() {
        let mut regions = Regions::default();
        assert_eq!(regions.hull(), 0..0);
        regions.insert(piece(10..20, 1, 0));
        regions.insert(piece(30..40, 2, 0));
        assert_eq!(regions.hull(), 10..40);
        assert_eq!(regions.vacancy(&(20..30)), Vacancy::Empty);
        assert_eq!(regions.vacancy(&(15..25)), Vacancy::Partly);
        assert_eq!(regions.vacancy(&(12..20)), Vacancy::Full);
        regions.remove(&(10..20));
        assert_eq!(regions.hull(), 30..40);
    }

    #[test]
    fn a_mapping_seen_in_two_pieces_is_found_in_both() {
        let mut regions = Regions::default();
        regions.insert(piece(100..140, 1, 0));
        regions.remove(&(110..120));
        let found = regions.of_mapping(MappingId(1), &(5..25));
        assert_eq!(found, [piece(105..110, 1, 5), piece(120..125, 1, 20)]);
        assert_eq!(regions.of_mapping(MappingId(2), &(0..99)), []);
    }
}

//! What of a mapping is left, and what its process may do there.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::call::Access;

/// Parts of a mapping that neither overlap nor, with equal access, touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Start of each part, with its end.
    parts: BTreeMap<u64, (u64, Access)>,
}

impl Pieces {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Range<u64>, Access)> + '_ {
        self.parts.iter().map(|(start, (end, access))| (*start..*end, *access))
    }

    /// Is the whole range there, and does `may` hold for the access of each part of it?
    pub(super) fn all(&self, range: &Range<u64>, may: impl Fn(Access) -> bool) -> bool {
        let mut at = range.start;
        while at < range.end {
            match self.parts.range(..=at).next_back() {
                Some((_, (end, access))) if *end > at && may(*access) => at = *end,
                Some(_) | None => return false,
            }
        }
        true
    }

    /// Gives a range this access, or takes it away.
    pub(super) fn set(&mut self, range: Range<u64>, access: Option<Access>) {
        if range.is_empty() {
            return;
        }
        self.split(range.start);
        self.split(range.end);
        let within: Vec<u64> = self.parts.range(range.clone()).map(|(start, _)| *start).collect();
        for start in within {
            self.parts.remove(&start);
        }
        let Some(access) = access else { return };
        let (mut start, mut end) = (range.start, range.end);
        if let Some((before, (before_end, same))) = self.parts.range(..start).next_back()
            && *before_end == start
            && *same == access
        {
            start = *before;
        }
        if let Some((after_end, same)) = self.parts.get(&end).copied()
            && same == access
        {
            self.parts.remove(&end);
            end = after_end;
        }
        self.parts.insert(start, (end, access));
    }

    /// No part goes across `at` any more.
    fn split(&mut self, at: u64) {
        if let Some((_, (end, access))) = self.parts.range_mut(..at).next_back()
            && *end > at
        {
            let rest = (*end, *access);
            *end = at;
            self.parts.insert(at, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 5;
    const KINDS: [Option<Access>; 3] =
        [None, Some(Access { read: true, write: false }), Some(Access { read: true, write: true })];

    fn bytes(pieces: &Pieces) -> Vec<Option<Access>> {
        let of = |at: u64| pieces.iter().find(|(range, _)| range.contains(&at));
        (0..END).map(|at| of(at).map(|(_, access)| access)).collect()
    }

    /// Every way to give each of `END` bytes one of the kinds.
    fn all_sets() -> impl Iterator<Item = Pieces> {
        (0..3_u32.pow(END as u32)).map(|number| {
            let mut pieces = Pieces::default();
            for at in 0..END {
                let kind = number / 3_u32.pow(at as u32) % 3;
                pieces.set(at..at + 1, KINDS[kind as usize]);
            }
            pieces
        })
    }

    #[test]
    fn setting_changes_a_range_and_nothing_else_and_equal_neighbours_are_one() {
        for pieces in all_sets() {
            for start in 0..=END {
                for end in start..=END {
                    for kind in KINDS {
                        let (mut changed, mut expected) = (pieces.clone(), bytes(&pieces));
                        changed.set(start..end, kind);
                        expected[start as usize..end as usize].fill(kind);
                        assert_eq!(bytes(&changed), expected);
                        let parts: Vec<_> = changed.iter().collect();
                        let are_apart = parts
                            .windows(2)
                            .all(|pair| pair[0].0.end < pair[1].0.start || pair[0].1 != pair[1].1);
                        assert!(are_apart, "{parts:?}");
                        let is_whole = expected[start as usize..end as usize]
                            .iter()
                            .all(|access| access.is_some_and(|access| access.write));
                        assert_eq!(changed.all(&(start..end), |may| may.write), is_whole);
                    }
                }
            }
        }
    }
}

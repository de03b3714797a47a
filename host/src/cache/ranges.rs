//! Sets of bytes of a file, as ranges that neither overlap nor touch.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of byte offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// Start of each range, with its end.
    ends: BTreeMap<u64, u64>,
}

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ends.iter().map(|(start, end)| *start..*end)
    }

    /// Adds a range; ranges that it meets become one with it.
    pub(super) fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        while let Some((near_start, near_end)) = self.last_starting_by(end) {
            if near_end < start {
                break;
            }
            self.ends.remove(&near_start);
            start = start.min(near_start);
            end = end.max(near_end);
        }
        self.ends.insert(start, end);
    }

    /// Removes a range, and answers what of it was there.
    pub(super) fn take(&mut self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut taken = Vec::new();
        if range.is_empty() {
            return taken;
        }
        while let Some((start, end)) = self.last_starting_by(range.end - 1) {
            if end <= range.start {
                break;
            }
            self.ends.remove(&start);
            if end > range.end {
                self.ends.insert(range.end, end);
            }
            taken.push(start.max(range.start)..end.min(range.end));
            if start < range.start {
                self.ends.insert(start, range.start);
                break;
            }
        }
        taken.reverse();
        taken
    }

    /// What of a range is in the set.
    pub(super) fn within(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut found = Vec::new();
        let mut at = range.end;
        while at > range.start
            && let Some((start, end)) = self.last_starting_by(at - 1)
            && end > range.start
        {
            found.push(start.max(range.start)..end.min(range.end));
            at = start;
        }
        found.reverse();
        found
    }

    /// Is any byte of the range in the set?
    pub(super) fn meets(&self, range: &Range<u64>) -> bool {
        !range.is_empty()
            && self.last_starting_by(range.end - 1).is_some_and(|(_, end)| end > range.start)
    }

    fn last_starting_by(&self, offset: u64) -> Option<(u64, u64)> {
        self.ends.range(..=offset).next_back().map(|(start, end)| (*start, *end))
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "ranges are what is compared")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const END: u64 = 5;

    fn bytes(ranges: &Ranges) -> BTreeSet<u64> {
        ranges.iter().flatten().collect()
    }

    /// Every set of up to three ranges below `END`.
    fn all_sets() -> Vec<Ranges> {
        (0_u64..1 << END)
            .map(|bits| {
                let mut ranges = Ranges::default();
                (0..END).filter(|at| bits >> at & 1 == 1).for_each(|at| ranges.add(at..at + 1));
                ranges
            })
            .collect()
    }

    #[test]
    fn adding_and_taking_are_union_and_difference() {
        for set in all_sets() {
            for start in 0..=END {
                for end in start..=END {
                    let (mut more, mut less) = (set.clone(), set.clone());
                    more.add(start..end);
                    let taken: BTreeSet<u64> =
                        less.take(start..end).into_iter().flatten().collect();
                    let range: BTreeSet<u64> = (start..end).collect();
                    let within = set.within(&(start..end)).into_iter().flatten();
                    assert!(within.eq(&bytes(&set) & &range));
                    assert_eq!(bytes(&more), &bytes(&set) | &range);
                    assert_eq!(bytes(&less), &bytes(&set) - &range);
                    assert_eq!(taken, &bytes(&set) & &range);
                    assert_eq!(set.meets(&(start..end)), !taken.is_empty());
                }
            }
        }
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let mut ranges = Ranges::default();
        ranges.add(0..2);
        ranges.add(4..6);
        ranges.add(2..4);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [0..6]);
    }
}

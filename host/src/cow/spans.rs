//! Sets of blocks of a file, as ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of numbers, kept as ranges that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans {
    /// From the first number of each range to the one behind its last.
    ends: BTreeMap<u64, u64>,
}

impl Spans {
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ends.iter().map(|(start, end)| *start..*end)
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.ends.range(..=number).next_back().is_some_and(|(_, end)| number < *end)
    }

    pub(super) fn add(&mut self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        let touching = self.ends.range(..=end).rev().take_while(|(_, old_end)| **old_end >= start);
        let touching: Vec<(u64, u64)> = touching.map(|(start, end)| (*start, *end)).collect();
        for (old_start, old_end) in touching {
            self.ends.remove(&old_start);
            start = start.min(old_start);
            end = end.max(old_end);
        }
        self.ends.insert(start, end);
    }

    pub(super) fn remove(&mut self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        let inside = self.ends.range(..range.end).rev().take_while(|(_, end)| **end > range.start);
        let inside: Vec<(u64, u64)> = inside.map(|(start, end)| (*start, *end)).collect();
        for (start, end) in inside {
            self.ends.remove(&start);
            if start < range.start {
                self.ends.insert(start, range.start);
            }
            if end > range.end {
                self.ends.insert(range.end, end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::mix;
    use std::collections::BTreeSet;

    #[test]
    fn spans_are_a_set_of_numbers() {
        let (mut spans, mut set) = (Spans::default(), BTreeSet::new());
        for step in 0..3000_u64 {
            let random = mix(step);
            let start = random >> 8 & 31;
            let range = start..start + (random >> 16 & 7);
            if random & 1 == 0 {
                spans.add(&range);
                set.extend(range);
            } else {
                spans.remove(&range);
                set.retain(|number| !range.contains(number));
            }
            assert!(spans.iter().flatten().eq(set.iter().copied()), "step {step}");
            assert!((0..40).all(|number| spans.contains(number) == set.contains(&number)));
            let ends: Vec<Range<u64>> = spans.iter().collect();
            assert!(ends.windows(2).all(|pair| pair[0].end < pair[1].start), "they do not touch");
            assert_eq!(spans.is_empty(), set.is_empty());
        }
    }
}

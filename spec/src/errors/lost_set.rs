//! What is lost of one file, found by place: there may be many ranges, and most calls have to do
//! with few of them.

use std::collections::BTreeSet;
use std::ops::Range;

use imbl::OrdMap;

use crate::errors::Lost;
use crate::model::subtract;

/// Losses, in the order in which they were told. None of them is empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct LostSet {
    entries: OrdMap<u64, Lost>,
    /// Where each range begins, and of which loss it is; where it ends.
    ends: OrdMap<(u64, u64), u64>,
    next: u64,
    /// No range is longer.
    longest: u64,
}

impl LostSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lost> {
        self.entries.values()
    }

    pub(crate) fn push(&mut self, lost: Lost) {
        let number = self.next;
        self.next += 1;
        self.place(number, &lost.ranges);
        self.entries.insert(number, lost);
    }

    /// The losses of any byte of a range, in their order.
    pub(crate) fn meeting(&self, range: &Range<u64>) -> impl Iterator<Item = &Lost> {
        self.numbers(range).into_iter().filter_map(|number| self.entries.get(&number))
    }

    /// Changes what is known of the losses of any byte of a range, but not what is lost.
    pub(crate) fn note(&mut self, range: &Range<u64>, mut change: impl FnMut(&mut Lost)) {
        for number in self.numbers(range) {
            self.entries.get_mut(&number).into_iter().for_each(&mut change);
        }
    }

    /// The same of every loss.
    pub(crate) fn note_all(&mut self, change: impl FnMut(&mut Lost)) {
        self.note(&(0..u64::MAX), change);
    }

    /// Of the losses of any byte of a range, takes out what is no longer lost.
    pub(crate) fn narrow(&mut self, range: &Range<u64>, gone: impl Fn(&Lost) -> Vec<Range<u64>>) {
        for number in self.numbers(range) {
            let Some(lost) = self.entries.get(&number) else { continue };
            let (old, gone) = (lost.ranges.clone(), gone(lost));
            if gone.is_empty() {
                continue;
            }
            for range in &old {
                self.ends.remove(&(range.start, number));
            }
            let left = subtract(old, &gone);
            self.place(number, &left);
            match self.entries.get_mut(&number) {
                Some(lost) if !left.is_empty() => lost.ranges = left,
                Some(_) | None => drop(self.entries.remove(&number)),
            }
        }
    }

    /// Keeps some.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&Lost) -> bool) {
        let is_out = |(number, lost): (&u64, &Lost)| (!is_kept(lost)).then_some(*number);
        let out: Vec<u64> = self.entries.iter().filter_map(is_out).collect();
        for number in out {
            let ranges = self.entries.remove(&number).map(|lost| lost.ranges);
            for range in ranges.into_iter().flatten() {
                self.ends.remove(&(range.start, number));
            }
        }
    }

    fn place(&mut self, number: u64, ranges: &[Range<u64>]) {
        for range in ranges {
            self.longest = self.longest.max(range.end - range.start);
            self.ends.insert((range.start, number), range.end);
        }
    }

    fn numbers(&self, range: &Range<u64>) -> BTreeSet<u64> {
        let first = range.start.saturating_sub(self.longest);
        let near = self.ends.range((first, 0)..(range.end, 0));
        near.filter(|(_, end)| **end > range.start).map(|((_, number), _)| *number).collect()
    }
}

#[cfg(test)]
mod tests {
    use imbl::Vector;

    use super::*;
    use crate::model::overlaps;
    use crate::words::Errno;
    use crate::words::Step;

    fn lost(order: u64, ranges: Vec<Range<u64>>) -> Lost {
        Lost {
            ranges,
            errno: Errno::Io,
            step: Step(order),
            order,
            writes: Vec::new(),
            writers: Vec::new(),
            reported: Vector::new(),
            inferred: false,
            evicted: false,
            is_stored: false,
            is_closed_over: false,
            is_forgotten: false,
            passed: None,
            seen_since: Vec::new(),
        }
    }

    /// Numbers that look random.
    fn drawn(seed: &mut u64, below: u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (*seed >> 33) % below
    }

    /// Beside a list that is walked through whole.
    #[test]
    fn it_finds_and_narrows_what_a_list_does() {
        let (mut set, mut list, mut seed) = (LostSet::default(), Vec::<Lost>::new(), 1);
        for order in 0..3_000 {
            let start = drawn(&mut seed, 200);
            let range = start..start + 1 + drawn(&mut seed, 30);
            match drawn(&mut seed, 8) {
                0..=3 => {
                    let other = range.end + 1..range.end + 1 + drawn(&mut seed, 3);
                    let mut ranges = vec![range, other];
                    ranges.retain(|range| !range.is_empty());
                    set.push(lost(order, ranges.clone()));
                    list.push(lost(order, ranges));
                }
                4..=6 => {
                    set.narrow(&range, |_| vec![range.clone()]);
                    for lost in &mut list {
                        let ranges = std::mem::take(&mut lost.ranges);
                        lost.ranges = subtract(ranges, std::slice::from_ref(&range));
                    }
                    list.retain(|lost| !lost.ranges.is_empty());
                }
                _ => {
                    set.retain(|lost| lost.order % 7 != order % 7);
                    list.retain(|lost| lost.order % 7 != order % 7);
                }
            }
            let place = drawn(&mut seed, 240);
            let asked = place..place + 1 + drawn(&mut seed, 5);
            let found: Vec<u64> = set.meeting(&asked).map(|lost| lost.order).collect();
            let meets = |lost: &&Lost| lost.ranges.iter().any(|lost| overlaps(lost, &asked));
            let expected: Vec<u64> = list.iter().filter(meets).map(|lost| lost.order).collect();
            assert_eq!(found, expected, "{asked:?}");
            assert!(set.iter().map(|lost| &lost.ranges).eq(list.iter().map(|lost| &lost.ranges)));
        }
        assert!(!list.is_empty());
    }
}

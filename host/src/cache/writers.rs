//! Who wrote the bytes that wait to be written back: kept where a failure belongs to the writer.
//!
//! Of bytes that were written twice the newest writer is known. What is known of bytes that do not
//! wait any more is of no use, and stays until they are written again.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

/// An open file description, as the cache numbers them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Writer(pub(super) u64);

impl Writer {
    /// No description.
    pub const NOBODY: Self = Self(0);
}

/// The newest writer of each byte of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Writers {
    /// By the first byte of a run: where it ends, and whose it is.
    runs: BTreeMap<u64, (u64, Writer)>,
}

impl Writers {
    /// Bytes are written through a description.
    pub(super) fn put(&mut self, range: Range<u64>, by: Writer) {
        if range.is_empty() {
            return;
        }
        let meeting: Vec<u64> = self.meeting(&range).map(|(start, ..)| start).collect();
        for start in meeting {
            let Some((end, of)) = self.runs.remove(&start) else { continue };
            if start < range.start {
                self.runs.insert(start, (range.start, of));
            }
            if range.end < end {
                self.runs.insert(range.end, (end, of));
            }
        }
        let before = self.runs.range(..range.start).next_back();
        let joined = before.filter(|(_, (end, of))| *end == range.start && *of == by);
        let start = joined.map_or(range.start, |(start, _)| *start);
        self.runs.insert(start, (range.end, by));
    }

    /// Who wrote any byte of a range.
    pub(super) fn of(&self, range: &Range<u64>) -> BTreeSet<Writer> {
        if range.is_empty() {
            return BTreeSet::new();
        }
        self.meeting(range).map(|(_, _, by)| by).filter(|by| *by != Writer::NOBODY).collect()
    }

    fn meeting(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, u64, Writer)> + '_ {
        let from = range.start;
        let until = self.runs.range(..range.end).rev();
        until.map(|(start, (end, by))| (*start, *end, *by)).take_while(move |run| run.1 > from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::mix;

    /// Beside a list of the writer of each byte.
    #[test]
    fn the_newest_writer_of_each_byte_is_known() {
        const END: u64 = 40;
        let (mut writers, mut list) = (Writers::default(), vec![Writer::NOBODY; END as usize]);
        for number in 0..2_000 {
            let start = mix(number) % END;
            let range = start..(start + mix(number + 7_000) % 9).min(END);
            let by = Writer(mix(number + 14_000) % 4);
            writers.put(range.clone(), by);
            list[range.start as usize..range.end as usize].fill(by);
            for from in 0..END {
                for to in from..END {
                    let expected = &list[from as usize..to as usize];
                    let expected: BTreeSet<Writer> =
                        expected.iter().copied().filter(|by| *by != Writer::NOBODY).collect();
                    assert_eq!(writers.of(&(from..to)), expected, "{from}..{to}");
                }
            }
        }
    }
}

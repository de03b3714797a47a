//! Operations on ranges of files: holes, space, copies and clones.

use std::io;
use std::ops::Range;

use crashproof_guest::file;

use super::Exerciser;
use super::OFFSET_MAX;
use super::SIZE_MAX;
use super::expect;
use super::is_refused_by_machine;
use super::size;
use super::tree::NodeId;
use super::uninterrupted;

pub(super) const OPERATION_COUNT: u64 = 20;

/// The error number for a search that finds nothing more.
const NO_MORE: i32 = 60;

/// What a call does to a file if it succeeds.
type Effect = fn(&mut Exerciser, NodeId, Range<usize>);

/// Two ranges of the same length, each in an open file.
#[derive(Debug, Clone, Copy)]
struct Pair {
    from: usize,
    from_at: usize,
    to: usize,
    to_at: usize,
    count: usize,
}

fn has_met(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

impl Exerciser {
    pub(super) fn on_ranges(&mut self, operation: u64) -> io::Result<()> {
        if self.open.is_empty() {
            return self.open("f");
        }
        let position = self.draws.index(self.open.len());
        let (at, count) =
            (size(self.draws.below(OFFSET_MAX)), 1 + size(self.draws.below(SIZE_MAX)));
        match operation {
            0..=1 => self.seek_data(position, at),
            2..=3 => self.seek_hole(position, at),
            4..=6 => self.copy_range(at, count),
            7..=8 => self.clone_range(),
            9 => self.clone_whole(),
            10 => self.dedupe(),
            11..=12 => self.punch(position, at, count),
            13 => self.zero(position, at, count),
            14 => self.keep(position, at, count),
            15 => self.collapse(position),
            16 => self.insert(position),
            17..=18 => self.open_direct(),
            _ => self.punch_blocks(position),
        }
    }

    /// Bytes in a block, once it is asked for.
    pub(super) fn block_size(&mut self, file: usize) -> io::Result<usize> {
        if self.block_size == 0 {
            let told = uninterrupted(|| file::space(&self.open[file].file))?;
            self.block_size = size(told.numbers[0]);
        }
        Ok(self.block_size)
    }

    fn seek_data(&mut self, position: usize, at: usize) -> io::Result<()> {
        let answer = file::seek_data(&self.open[position].file, at as u64);
        let content = self.tree.content(self.node_of(position));
        match &answer {
            Ok(found) => {
                let found = size(*found);
                assert!((at..content.len()).contains(&found), "data at {found}, from {at} on");
                assert!(content.may_be_zero(at..found), "data before {found}, from {at} on");
            }
            Err(error) if error.raw_os_error() == Some(NO_MORE) => {
                let is_none = at >= content.len() || content.may_be_zero(at..content.len());
                assert!(is_none, "no data from {at} on, and there is some");
            }
            Err(_) => expect("a search for data", true, &answer),
        }
        self.description_mut(position).offset = answer?;
        Ok(())
    }

    fn seek_hole(&mut self, position: usize, at: usize) -> io::Result<()> {
        let answer = file::seek_hole(&self.open[position].file, at as u64);
        let content = self.tree.content(self.node_of(position));
        match &answer {
            Ok(found) => {
                let (found, end) = (size(*found), content.len());
                assert!(at < end && found >= at && found <= end, "a hole at {found}, from {at} on");
                assert!(content.may_be_zero(found..end.min(found + 1)), "no hole at {found}");
            }
            Err(error) if error.raw_os_error() == Some(NO_MORE) => {
                assert!(at >= content.len(), "no hole from {at} on, and the end is one");
            }
            Err(_) => expect("a search for a hole", true, &answer),
        }
        self.description_mut(position).offset = answer?;
        Ok(())
    }

    /// Two open files, which may be the same.
    fn two(&mut self) -> (usize, usize) {
        (self.draws.index(self.open.len()), self.draws.index(self.open.len()))
    }

    /// May bytes be shared with, or copied to, an open file?
    fn takes(&self, to: usize) -> bool {
        let description = self.description(to);
        description.is_writable && !description.is_append
    }

    /// Do two ranges of one file overlap?
    fn overlaps(&self, pair: &Pair) -> bool {
        let (from, to) =
            (pair.from_at..pair.from_at + pair.count, pair.to_at..pair.to_at + pair.count);
        self.node_of(pair.from) == self.node_of(pair.to) && has_met(&from, &to)
    }

    /// The bytes of one range are now in the other too.
    fn copied(&mut self, pair: &Pair) {
        let (from, to) = (self.node_of(pair.from), self.node_of(pair.to));
        let source = self.tree.content(from).part(pair.from_at..pair.from_at + pair.count);
        self.tree.content_mut(to).put(pair.to_at, &source);
        self.tree.touch(to);
    }

    fn copy_range(&mut self, from_at: usize, count: usize) -> io::Result<()> {
        let (from, to) = self.two();
        let to_at = size(self.draws.below(OFFSET_MAX));
        let asked = Pair { from, from_at, to, to_at, count };
        let room = self.tree.content(self.node_of(from)).len().saturating_sub(from_at);
        let mut pair = Pair { count: count.min(room), ..asked };
        if self.overlaps(&asked) != self.overlaps(&pair) {
            return Ok(()); // Whether that is an overlap may be seen either way.
        }
        let [source, target] = [from, to].map(|position| &self.open[position].file);
        let (from_at, to_at) = (from_at as u64, to_at as u64);
        let answer = file::copy_range(source, from_at, target, to_at, count as u64);
        expect("copy_file_range", self.takes(to) && !self.overlaps(&asked), &answer);
        match answer {
            Ok(told) => {
                let told = size(told);
                assert!(told <= pair.count, "more was copied than there is");
                assert!(told > 0 || pair.count == 0, "nothing was copied, and there is more");
                pair.count = told;
                if told > 0 {
                    self.copied(&pair);
                }
                Ok(())
            }
            Err(error) => self.failed(to, error),
        }
    }

    /// Two ranges that may be cloned, most times.
    fn blocks(&mut self) -> io::Result<(Pair, bool)> {
        let (from, to) = self.two();
        let block = self.block_size(from)?;
        let mut draw = |blocks: usize| self.draws.index(blocks) * block;
        let unit = (4096 / block).max(1);
        let (mut from_at, to_at) = (draw(3 * unit), draw(4 * unit));
        let mut count = block + draw(2 * unit);
        let end = self.tree.content(self.node_of(from)).len();
        match self.draws.below(8) {
            0 => from_at += 1,
            1 if from_at < end => count = end - from_at,
            _ => {}
        }
        let pair = Pair { from, from_at, to, to_at, count };
        let old = self.tree.content(self.node_of(to)).len();
        let is_tail = from_at + count == end && to_at + count >= old;
        let fits = from_at % block == 0
            && from_at + count <= end
            && (count % block == 0 || is_tail)
            && self.takes(to)
            && !self.overlaps(&pair);
        Ok((pair, fits))
    }

    fn clone_range(&mut self) -> io::Result<()> {
        let (pair, should) = self.blocks()?;
        let [source, target] = [pair.from, pair.to].map(|position| &self.open[position].file);
        let (from_at, to_at) = (pair.from_at as u64, pair.to_at as u64);
        let answer = file::clone_range(source, from_at, pair.count as u64, target, to_at);
        self.cloned(&pair, should, answer)
    }

    fn cloned(&mut self, pair: &Pair, should: bool, answer: io::Result<()>) -> io::Result<()> {
        expect("a clone", should, &answer);
        match answer {
            Ok(()) if pair.count > 0 => self.copied(pair),
            Ok(()) => {}
            // It is all, or nothing: but a sync of a description that syncs comes after it.
            Err(error) if is_refused_by_machine(&error) => return self.failed(pair.to, error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn clone_whole(&mut self) -> io::Result<()> {
        let (from, to) = self.two();
        let (source, target) = (self.node_of(from), self.node_of(to));
        let (count, old) = (self.tree.content(source).len(), self.tree.content(target).len());
        let block = self.block_size(from)?;
        if source == target {
            return Ok(());
        }
        let should = self.takes(to) && (count % block == 0 || count >= old);
        let answer = file::clone(&self.open[from].file, &self.open[to].file);
        self.cloned(&Pair { from, from_at: 0, to, to_at: 0, count }, should, answer)
    }

    fn dedupe(&mut self) -> io::Result<()> {
        let (pair, fits) = self.blocks()?;
        let inside = self.tree.content(self.node_of(pair.to)).len() >= pair.to_at + pair.count;
        let block = self.block_size;
        if !fits || !inside || pair.count % block != 0 {
            return Ok(()); // Which of those are refused is told apart by systems in their own ways.
        }
        let [source, target] = [pair.from, pair.to].map(|position| &self.open[position].file);
        let (from_at, to_at) = (pair.from_at as u64, pair.to_at as u64);
        let answer = file::dedupe_range(source, from_at, pair.count as u64, target, to_at);
        expect("dedupe", true, &answer);
        let one = self
            .tree
            .content(self.node_of(pair.from))
            .part(pair.from_at..pair.from_at + pair.count);
        let other =
            self.tree.content(self.node_of(pair.to)).part(pair.to_at..pair.to_at + pair.count);
        if one.is_sure() && other.is_sure() {
            let is_same = one.bytes() == other.bytes();
            assert_eq!(answer?, is_same, "whether two ranges are the same");
        }
        Ok(())
    }

    /// A range became zeros. What private mappings had stored there is not looked at any more.
    fn zeroed(&mut self, node: NodeId, range: Range<usize>) {
        let end = range.end.min(self.tree.content(node).len());
        if range.start < end {
            self.views.iter_mut().for_each(|view| view.cut(node, range.start));
            self.tree.content_mut(node).write(range.start, &vec![0; end - range.start]);
        }
        self.tree.touch(node);
    }

    /// One call of fallocate, and what it does if it succeeds.
    fn allocate_with(
        &mut self,
        position: usize,
        mode: i32,
        range: Range<usize>,
        fits: bool,
        apply: Effect,
    ) -> io::Result<()> {
        let should = fits && self.description(position).is_writable;
        let (at, count) = (range.start as u64, range.len() as u64);
        let answer = file::fallocate(&self.open[position].file, mode, at, count);
        expect("fallocate", should, &answer);
        match answer {
            Ok(()) => apply(self, self.node_of(position), range),
            Err(error) => return self.failed(position, error),
        }
        Ok(())
    }

    fn punch(&mut self, position: usize, at: usize, count: usize) -> io::Result<()> {
        let mode = file::PUNCH_HOLE | file::KEEP_SIZE;
        self.allocate_with(position, mode, at..at + count, true, Self::zeroed)
    }

    /// Punches whole blocks.
    fn punch_blocks(&mut self, position: usize) -> io::Result<()> {
        let range = self.block_range(position)?;
        self.punch(position, range.start, range.len())
    }

    fn zero(&mut self, position: usize, at: usize, count: usize) -> io::Result<()> {
        let (mode, apply): (i32, Effect) = match self.draws.below(2) {
            0 => (file::ZERO_RANGE | file::KEEP_SIZE, Self::zeroed),
            _ => (file::ZERO_RANGE, |own, node, range| {
                let old = own.tree.content(node).len();
                own.zeroed(node, range.start..range.end);
                own.resized(node, old.max(range.end));
            }),
        };
        self.allocate_with(position, mode, at..at + count, true, apply)
    }

    fn keep(&mut self, position: usize, at: usize, count: usize) -> io::Result<()> {
        let apply = |own: &mut Self, node, _| own.tree.touch(node);
        self.allocate_with(position, file::KEEP_SIZE, at..at + count, true, apply)
    }

    /// Whole blocks, or nearly so now and then.
    fn block_range(&mut self, position: usize) -> io::Result<Range<usize>> {
        let block = self.block_size(position)?;
        let unit = (4096 / block).max(1);
        let start = self.draws.index(3 * unit) * block + size(self.draws.below(8) / 7);
        Ok(start..start + (1 + self.draws.index(2 * unit)) * block)
    }

    fn collapse(&mut self, position: usize) -> io::Result<()> {
        let range = self.block_range(position)?;
        let old = self.tree.content(self.node_of(position)).len();
        let fits = range.start % self.block_size == 0 && range.end < old;
        self.allocate_with(position, file::COLLAPSE_RANGE, range, fits, |own, node, range| {
            own.views.iter_mut().for_each(|view| view.cut(node, range.start));
            own.tree.content_mut(node).collapse(range);
            own.tree.touch(node);
        })
    }

    fn insert(&mut self, position: usize) -> io::Result<()> {
        let range = self.block_range(position)?;
        let old = self.tree.content(self.node_of(position)).len();
        if old > 2 * size(OFFSET_MAX) {
            return Ok(());
        }
        let fits = range.start % self.block_size == 0 && range.start < old;
        self.allocate_with(position, file::INSERT_RANGE, range, fits, |own, node, range| {
            own.views.iter_mut().for_each(|view| view.cut(node, range.start));
            own.tree.content_mut(node).insert(range);
            own.tree.touch(node);
        })
    }
}

//! Power loss: which images a history could leave at a position.
//!
//! Fault model: what was flushed is there. Of the other writes any subset is, each whole or torn
//! at sector boundaries (any of its sectors), the newest survivor winning where two wrote the same
//! block. A block that is not torn is one atomic write. A flush that was lost made nothing durable,
//! and its device is broken. Misdirected writes are another fault.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::device::Block;
use crate::device::BlockNo;
use crate::device::DeviceEvent;
use crate::device::History;
use crate::device::Image;
use crate::device::Lie;
use crate::device::SECTOR_SIZE_BYTES;
use crate::device::Written;
use crate::device::cover::cover;
use crate::device::orders::order_count;
use crate::sim::Sim;
use crate::sim::Site;

/// No more unflushed writes have all their subsets tried: these have 65536.
pub const SUBSET_BOUND_MAX: u32 = 16;

/// No more images are to stand for all subsets of one position.
const COVER_COUNT_MAX: usize = 256;

/// What is tried at one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateBounds {
    /// All subsets are tried while there are at most so many unflushed writes.
    pub subset_count_max: u32,
    /// Are surviving writes also torn?
    pub torn: bool,
}

/// What became of the unflushed writes of a position: one entry each, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Survivors(pub Vec<Survival>);

/// What became of one unflushed write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Survival {
    /// It is not there.
    Lost,
    /// It is there whole.
    Whole,
    /// Only so many of its sectors are there, from the first.
    Sectors(u16),
    /// Only these of its sectors are there: a bit each, the first one's the lowest.
    Scattered(u128),
}

/// All ways to tear a write of no more sectors are tried: 14.
const TORN_SECTORS_MAX: usize = 4;

impl fmt::Display for Survivors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        for survival in &self.0 {
            match survival {
                Survival::Lost => f.write_str("0")?,
                Survival::Whole => f.write_str("1")?,
                Survival::Sectors(count) => write!(f, "({count})")?,
                Survival::Scattered(sectors) => {
                    let count = u128::BITS - sectors.leading_zeros();
                    let bit = |at| if (sectors >> at) & 1 == 1 { '1' } else { '0' };
                    write!(f, "[{}]", (0..count).map(bit).collect::<String>())?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Survivors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut survivals = Vec::new();
        let mut rest = if text == "-" { "" } else { text };
        while let Some(first) = rest.chars().next() {
            let (survival, used) = match first {
                '0' => (Survival::Lost, 1),
                '1' => (Survival::Whole, 1),
                '(' => {
                    let end = rest.find(')').ok_or("a `(` without its `)`")?;
                    let count = rest[1..end].parse().map_err(|_| "no number in `( )`")?;
                    (Survival::Sectors(count), end + 1)
                }
                '[' => {
                    let end = rest.find(']').ok_or("a `[` without its `]`")?;
                    (Survival::Scattered(scattered(&rest[1..end])?), end + 1)
                }
                other => return Err(format!("`{other}` is not 0, 1, (COUNT) or [SECTORS]")),
            };
            survivals.push(survival);
            rest = &rest[used..];
        }
        Ok(Self(survivals))
    }
}

/// Which sectors are there, a digit each.
fn scattered(digits: &str) -> Result<u128, String> {
    if digits.len() > u128::BITS as usize {
        return Err(format!("more than {} sectors in `[ ]`", u128::BITS));
    }
    digits.chars().rev().try_fold(0, |sectors, digit| match digit {
        '0' => Ok(sectors << 1),
        '1' => Ok((sectors << 1) | 1),
        other => Err(format!("`{other}` in `[ ]` is not 0 or 1")),
    })
}

/// An image that a crash could leave.
#[derive(Debug, Clone)]
pub struct CrashState {
    /// The image.
    pub image: Image,
    /// What became of the unflushed writes.
    pub survivors: Survivors,
    /// So many subsets of the writes it stands for: itself, and those that differ from it in blocks
    /// that do not matter. The largest number stands for more.
    pub stands_for: u64,
}

/// The images that a crash at one position could leave, as far as they were tried.
#[derive(Debug, Clone)]
pub struct CrashStates {
    /// The images. The first is the one that every loss leaves; the order is fixed.
    pub states: Vec<CrashState>,
    /// Were some left out?
    pub bounded: bool,
    /// Were some ways to tear a write left out?
    pub torn_bounded: bool,
    /// Orders in which the writes could have reached the medium, beyond the subsets that were
    /// tried, where all of these were: they leave nothing else.
    pub commuting_count: u64,
}

/// A position at which power fails.
#[derive(Debug, Clone)]
pub struct CrashPoint {
    /// What is sure to be there.
    pub durable: Image,
    /// What may be there, oldest first.
    pub unflushed: Vec<Written>,
    /// Writes with numbers below this were said to be durable by a flush that lied, and no other
    /// flush has made them so.
    lied_until: Option<u64>,
    /// Did a write go to another block than it was sent to?
    is_misplaced: bool,
}

impl CrashPoint {
    fn new(durable: Image) -> Self {
        Self { durable, unflushed: Vec::new(), lied_until: None, is_misplaced: false }
    }

    /// May what a loss of power leaves here be other than the device had said?
    #[must_use]
    pub fn is_lied_to(&self) -> bool {
        self.lied_until.is_some() || self.is_misplaced
    }

    /// May what a crash of the kernel leaves here be other than the device had said?
    #[must_use]
    pub fn is_misplaced(&self) -> bool {
        self.is_misplaced
    }

    /// The image in which these writes survived.
    #[must_use]
    pub fn state(&self, survivors: Survivors) -> CrashState {
        let mut image = self.durable.clone();
        for (written, survival) in self.unflushed.iter().zip(&survivors.0) {
            match survival {
                Survival::Lost => {}
                Survival::Whole => image.set(written.block, written.content.clone()),
                Survival::Sectors(count) => {
                    tear(&mut image, written, |sector| sector < usize::from(*count));
                }
                Survival::Scattered(sectors) => {
                    tear(&mut image, written, |sector| (sectors >> sector.min(127)) & 1 == 1);
                }
            }
        }
        CrashState { image, survivors, stands_for: 1 }
    }

    /// Every write survives: what a kernel that died leaves behind.
    #[must_use]
    pub fn all_survive(&self) -> CrashStates {
        let survivors = Survivors(vec![Survival::Whole; self.unflushed.len()]);
        let states = vec![self.state(survivors)];
        CrashStates { states, bounded: false, torn_bounded: false, commuting_count: 0 }
    }

    /// The images within `bounds`: every subset if there are few unflushed writes, otherwise
    /// none, every prefix, each one alone and each one missing.
    #[must_use]
    pub fn states(&self, bounds: &StateBounds) -> CrashStates {
        let count = self.unflushed.len();
        let bounded = self.has_many(bounds);
        let subsets = if bounded { few_subsets(count) } else { all_subsets(count) };
        let states = subsets.into_iter().map(|s| self.state(Survivors(s))).collect();
        self.finish(states, bounded, bounds)
    }

    /// Are there too many unflushed writes to try each of their subsets?
    #[must_use]
    pub fn has_many(&self, bounds: &StateBounds) -> bool {
        self.unflushed.len() > bounds.subset_count_max.min(SUBSET_BOUND_MAX) as usize
    }

    /// The same, where `look` tells which blocks matter to what becomes of an image: the images
    /// that stand for all subsets, if a few of them do.
    #[must_use]
    pub fn covering_states<Matters: Fn(BlockNo) -> bool>(
        &self,
        bounds: &StateBounds,
        look: impl FnMut(&Image) -> Matters,
    ) -> CrashStates {
        let mut cover = cover(self, COVER_COUNT_MAX, look);
        let mut states = std::mem::take(&mut cover.states);
        if !cover.is_complete {
            let few = few_subsets(self.unflushed.len()).into_iter().map(Survivors);
            states.extend(few.filter(|few| !cover.has(few)).map(|few| self.state(few)));
        }
        self.finish(states, !cover.is_complete, bounds)
    }

    fn finish(
        &self,
        mut states: Vec<CrashState>,
        bounded: bool,
        bounds: &StateBounds,
    ) -> CrashStates {
        let subset_count = states.iter().map(|state| state.stands_for).fold(0, u64::saturating_add);
        let commuting_count = match order_count(&self.unflushed) {
            u64::MAX => u64::MAX,
            count => count.saturating_sub(subset_count),
        };
        let commuting_count = if bounded { 0 } else { commuting_count };
        if bounds.torn {
            states.extend(self.torn().into_iter().map(|s| self.state(Survivors(s))));
        }
        let is_long = |written: &Written| sector_count(written) > TORN_SECTORS_MAX;
        let has_more = self.unflushed.len() > 1 || self.unflushed.iter().any(is_long);
        let torn_bounded = bounds.torn && has_more;
        CrashStates { states, bounded, torn_bounded, commuting_count }
    }

    /// Each write torn, the older ones whole and the newer ones lost; and the newer ones whole.
    fn torn(&self) -> Vec<Vec<Survival>> {
        let count = self.unflushed.len();
        let mut torn = Vec::new();
        for at in 0..count {
            for kept in ways_to_tear(sector_count(&self.unflushed[at])) {
                for newer in [Survival::Lost, Survival::Whole] {
                    let mut survivals = vec![Survival::Whole; at];
                    survivals.push(kept);
                    survivals.resize(count, newer);
                    torn.push(survivals);
                    if at + 1 == count {
                        break;
                    }
                }
            }
        }
        torn
    }

    /// One image, by chance.
    #[must_use]
    pub fn lose_power(&self, sim: &Sim) -> CrashState {
        let survive = |written: &Written| {
            if !sim.happens(Site::WriteSurvives) {
                return Survival::Lost;
            }
            let sectors = sector_count(written);
            match sim.choose(Site::WriteTorn, u32::try_from(sectors).unwrap_or(1)) {
                0 => Survival::Whole,
                kept => Survival::Sectors(u16::try_from(kept).unwrap_or(u16::MAX)),
            }
        };
        self.state(Survivors(self.unflushed.iter().map(survive).collect()))
    }
}

fn sector_count(written: &Written) -> usize {
    written.content.bytes().len() / SECTOR_SIZE_BYTES
}

/// Of a few sectors every subset, of more every prefix, every suffix, each one alone and each one
/// missing.
fn ways_to_tear(sector_count: usize) -> Vec<Survival> {
    let prefix = |count: usize| Survival::Sectors(u16::try_from(count).unwrap_or(u16::MAX));
    let mut ways: Vec<_> = (1..sector_count).map(prefix).collect();
    // Sectors beyond the bits have prefixes alone.
    let count = sector_count.min(u128::BITS as usize);
    let all = u128::MAX >> (u128::BITS as usize - count.max(1));
    let is_prefix = |sectors: u128| (sectors & sectors.wrapping_add(1)) == 0;
    let scattered: Vec<u128> = if count <= TORN_SECTORS_MAX {
        (1..all).collect()
    } else {
        let suffixes = (1..count).map(|first| all & (all << first));
        let (alone, missing) =
            ((0..count).map(|at| 1 << at), (0..count).map(|at| all & !(1 << at)));
        suffixes.chain(alone).chain(missing).collect()
    };
    let mut known = std::collections::BTreeSet::new();
    let is_new = |sectors: &u128| !is_prefix(*sectors) && known.insert(*sectors);
    ways.extend(scattered.into_iter().filter(is_new).map(Survival::Scattered));
    ways
}

fn tear(image: &mut Image, written: &Written, is_kept: impl Fn(usize) -> bool) {
    let new = written.content.bytes();
    let Some(old) = image.get(written.block) else { return };
    let sectors = new.chunks(SECTOR_SIZE_BYTES).zip(old.chunks(SECTOR_SIZE_BYTES)).enumerate();
    let kept = sectors.map(|(number, (new, old))| if is_kept(number) { new } else { old });
    let torn = Bytes::from(kept.collect::<Vec<_>>().concat());
    image.set(written.block, Block::new(written.block, torn));
}

fn all_subsets(count: usize) -> Vec<Vec<Survival>> {
    let survival = |bits: u32, at: usize| match (bits >> at) & 1 {
        0 => Survival::Lost,
        _ => Survival::Whole,
    };
    (0..1_u32 << count).map(|bits| (0..count).map(|at| survival(bits, at)).collect()).collect()
}

fn few_subsets(count: usize) -> Vec<Vec<Survival>> {
    let mut subsets = Vec::with_capacity(3 * count + 1);
    for prefix in 0..=count {
        let mut survivals = vec![Survival::Whole; prefix];
        survivals.resize(count, Survival::Lost);
        subsets.push(survivals);
    }
    for at in 0..count {
        let mut alone = vec![Survival::Lost; count];
        alone[at] = Survival::Whole;
        let mut missing = vec![Survival::Whole; count];
        missing[at] = Survival::Lost;
        subsets.extend([alone, missing]);
    }
    subsets
}

/// A walk along a history; each step costs what changed.
pub struct Walk {
    history: History,
    position: usize,
    point: CrashPoint,
    /// As if the last flush had made nothing durable, the last two, and so on.
    lost: Vec<CrashPoint>,
    lost_max: usize,
}

impl Walk {
    /// A walk from the start of the history.
    #[must_use]
    pub fn new(history: &History) -> Self {
        let point = CrashPoint::new(history.start());
        Self { history: history.clone(), position: 0, point, lost: Vec::new(), lost_max: 0 }
    }

    /// The same walk, which also sees what there is if so many flushes were lost.
    #[must_use]
    pub fn losing(self, flush_count: usize) -> Self {
        Self { lost_max: flush_count, ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn point(&self) -> &CrashPoint {
        &self.point
    }

    /// As if the last flush before here had made nothing durable, the last two, and so on.
    #[must_use]
    pub fn lost(&self) -> &[CrashPoint] {
        &self.lost
    }

    /// Goes on to `position`, which is not behind; stops at the end of the history.
    pub fn advance(&mut self, position: usize) -> &CrashPoint {
        while self.position < position {
            let Some(event) = self.history.event(self.position) else { break };
            self.apply(event);
            self.position += 1;
        }
        &self.point
    }

    fn apply(&mut self, event: DeviceEvent) {
        if let DeviceEvent::Flushed { .. } = event {
            // A later flush makes up for a lost one: only the last ones can be missed.
            self.lost.insert(0, self.point.clone());
            self.lost.truncate(self.lost_max);
        } else {
            self.lost.iter_mut().for_each(|lost| lost.apply(event.clone()));
        }
        self.point.apply(event);
    }
}

impl CrashPoint {
    fn apply(&mut self, event: DeviceEvent) {
        let Self { durable, unflushed, lied_until, is_misplaced } = self;
        match event {
            DeviceEvent::Written(written) if written.forced => {
                unflushed.retain(|older| older.block != written.block);
                durable.set(written.block, written.content);
            }
            DeviceEvent::Written(written) => unflushed.push(written),
            DeviceEvent::Flushed { until } => {
                let kept = unflushed.partition_point(|written| written.number < until);
                for written in unflushed.drain(..kept) {
                    durable.set(written.block, written.content);
                }
                *lied_until = lied_until.filter(|lied| *lied > until);
            }
            DeviceEvent::Dropped => unflushed.clear(),
            DeviceEvent::Lied(Lie::Flush) => {
                let newest = unflushed.last().map(|written| written.number + 1);
                *lied_until = newest.or(*lied_until);
            }
            DeviceEvent::Lied(Lie::Place) => *is_misplaced = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::BTreeSet;

    use super::*;
    use crate::device::BlockNo;
    use crate::device::Class;
    use crate::device::DeviceError;
    use crate::device::Disk;
    use crate::device::Geometry;
    use crate::device::Origin;
    use crate::device::Payload;
    use crate::device::Request;
    use crate::device::perform;
    use crate::sim::Seeded;
    use crate::sim::Unrest;

    const SHAPE: Geometry = Geometry { block_size_bytes: 1024, block_count: 2 };
    const ALL: StateBounds = StateBounds { subset_count_max: 8, torn: false };

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Step {
        Write(u64),
        Forced(u64),
        Flush,
    }

    const STEPS: [Step; 5] =
        [Step::Write(0), Step::Write(1), Step::Forced(0), Step::Forced(1), Step::Flush];

    fn programs() -> Vec<Vec<Step>> {
        let mut all: Vec<Vec<Step>> = vec![Vec::new()];
        for _ in 0..4 {
            let longer = |p: &Vec<Step>| STEPS.map(|step| [&p[..], &[step]].concat());
            all.extend(all.clone().iter().flat_map(longer));
        }
        all
    }

    /// Runs a program; write number n fills its block with n + 1.
    fn run(program: &[Step]) -> Disk {
        let sim = Sim::calm();
        let disk = Disk::new(Image::new(SHAPE), sim.clone());
        for (number, step) in program.iter().enumerate() {
            let write = |block, force_unit_access| Request::Write {
                block: BlockNo(block),
                payload: Payload::Owned(Bytes::from(vec![number as u8 + 1; 1024])),
                force_unit_access,
                origin: Origin { class: Class::Data, object: 0, offset: 0 },
            };
            let request = match step {
                Step::Write(block) => write(*block, false),
                Step::Forced(block) => write(*block, true),
                Step::Flush => Request::Flush,
            };
            sim.block_on(perform(&disk, request)).expect("the disk is whole");
        }
        disk
    }

    fn first_bytes(image: &Image) -> [u8; 2] {
        [0, 1].map(|block| image.get(BlockNo(block)).expect("two blocks")[0])
    }

    /// What may be in each block, from the program alone: the newest durable write and every
    /// later one.
    fn allowed(program: &[Step]) -> BTreeMap<u64, BTreeSet<u8>> {
        let mut allowed = BTreeMap::from([(0, vec![0]), (1, vec![0])]);
        for (number, step) in program.iter().enumerate() {
            let value = number as u8 + 1;
            match step {
                Step::Write(block) => allowed.entry(*block).or_default().push(value),
                Step::Forced(block) => *allowed.entry(*block).or_default() = vec![value],
                Step::Flush => {
                    for values in allowed.values_mut() {
                        values.drain(..values.len() - 1);
                    }
                }
            }
        }
        allowed.into_iter().map(|(block, values)| (block, values.into_iter().collect())).collect()
    }

    fn reached(disk: &Disk) -> BTreeSet<[u8; 2]> {
        let history = disk.history();
        let mut walk = Walk::new(&history);
        let states = walk.advance(history.len()).states(&ALL);
        assert!(!states.bounded);
        states.states.iter().map(|state| first_bytes(&state.image)).collect()
    }

    #[test]
    fn power_loss_leaves_exactly_what_no_flush_covers_in_doubt() {
        for program in programs() {
            let disk = run(&program);
            let allowed = allowed(&program);
            let product: BTreeSet<[u8; 2]> = allowed[&0]
                .iter()
                .flat_map(|zero| allowed[&1].iter().map(move |one| [*zero, *one]))
                .collect();
            assert_eq!(reached(&disk), product, "D-1, {program:?}");
        }
    }

    #[test]
    fn a_flush_that_is_left_out_is_noticed() {
        let with = run(&[Step::Write(0), Step::Flush]);
        let without = run(&[Step::Write(0)]);
        assert_ne!(reached(&with), reached(&without));
    }

    #[test]
    fn a_read_returns_the_newest_write() {
        for program in programs() {
            let disk = run(&program);
            let newest = |block| {
                program.iter().rposition(|s| *s == Step::Write(block) || *s == Step::Forced(block))
            };
            for block in [0, 1] {
                let read = Request::Read { block: BlockNo(block) };
                let bytes = Sim::calm().block_on(perform(&disk, read)).expect("the disk is whole");
                let expected = newest(block).map_or(0, |number| number as u8 + 1);
                assert_eq!(bytes[0], expected, "D-2, {program:?}");
            }
        }
    }

    #[test]
    fn a_torn_write_keeps_a_prefix_of_its_sectors() {
        let disk = run(&[Step::Write(0), Step::Flush, Step::Write(0)]);
        let mut walk = Walk::new(&disk.history());
        let bounds = StateBounds { torn: true, ..ALL };
        let states = walk.advance(disk.history().len()).states(&bounds);
        let torn: Vec<_> = states
            .states
            .iter()
            .filter(|state| matches!(state.survivors.0[0], Survival::Sectors(_)))
            .map(|state| state.image.get(BlockNo(0)).expect("a block"))
            .collect();
        assert_eq!(torn.len(), 1);
        assert_eq!((torn[0][511], torn[0][512]), (3, 1));
    }

    /// Zeros as a write brings them: there, lost, or flushed.
    #[test]
    fn a_discard_does_nothing_or_writes_zeros_that_power_loss_may_lose() {
        for erases in [false, true] {
            let odds = if erases { 1 } else { u32::MAX };
            let unrest = [(Site::DiscardErases, Unrest::one_in(odds))];
            let sim = Sim::new(Seeded::new(7, &unrest));
            let disk = Disk::new(Image::new(SHAPE), sim.clone());
            let write = |block| Request::Write {
                block: BlockNo(block),
                payload: Payload::Owned(Bytes::from(vec![9; 1024])),
                force_unit_access: false,
                origin: Origin { class: Class::Data, object: 0, offset: 0 },
            };
            let discard = Request::Discard { block: BlockNo(0), count: 2 };
            for request in [write(0), write(1), Request::Flush, discard] {
                sim.block_on(perform(&disk, request)).expect("the disk is whole");
            }
            let product = [[0, 0], [0, 9], [9, 0], [9, 9]];
            let expected: BTreeSet<_> =
                product.into_iter().skip(3 * usize::from(!erases)).collect();
            assert_eq!(reached(&disk), expected);
            sim.block_on(perform(&disk, Request::Flush)).expect("the disk is whole");
            let flushed = if erases { [0, 0] } else { [9, 9] };
            assert_eq!(reached(&disk), BTreeSet::from([flushed]));
            let beyond = Request::Discard { block: BlockNo(1), count: 2 };
            assert_eq!(sim.block_on(perform(&disk, beyond)), Err(DeviceError::OutOfRange));
        }
    }

    #[test]
    fn a_write_of_few_sectors_is_torn_in_every_way_and_a_longer_one_in_some() {
        assert_eq!([1, 2, 3, 4].map(|sectors| ways_to_tear(sectors).len()), [0, 2, 6, 14]);
        // Prefixes, suffixes, one of the middle alone, one of the middle missing.
        assert_eq!(ways_to_tear(8).len(), 7 + 7 + 6 + 6);
        assert_eq!(ways_to_tear(128).len(), 127 + 127 + 126 + 126);
        for sectors in 0..10 {
            let ways: BTreeSet<_> = ways_to_tear(sectors).into_iter().collect();
            assert_eq!(ways.len(), ways_to_tear(sectors).len(), "each is another one");
        }
        let disk = run(&[Step::Write(0), Step::Flush, Step::Write(0)]);
        let mut walk = Walk::new(&disk.history());
        let point = walk.advance(disk.history().len());
        let suffix = point.state(Survivors(vec![Survival::Scattered(2)])).image;
        let block = suffix.get(BlockNo(0)).expect("a block");
        assert_eq!((block[511], block[512]), (1, 3));
    }

    #[test]
    fn a_flush_that_is_lost_is_as_if_it_had_not_been() {
        for program in programs() {
            let disk = run(&program);
            let history = disk.history();
            let mut walk = Walk::new(&history).losing(2);
            walk.advance(history.len());
            let is_flush =
                |at: &usize| matches!(history.event(*at), Some(DeviceEvent::Flushed { .. }));
            let flushes: Vec<usize> = (0..history.len()).filter(is_flush).collect();
            assert_eq!(walk.lost().len(), flushes.len().min(2));
            for (count, point) in (1..).zip(walk.lost()) {
                // The same events without the last flushes.
                let missed = &flushes[flushes.len() - count..];
                let without = History::new(history.start());
                let kept = (0..history.len()).filter(|at| !missed.contains(at));
                kept.filter_map(|at| history.event(at)).for_each(|event| without.push(event));
                let states = |point: &CrashPoint| -> BTreeSet<u128> {
                    point.states(&ALL).states.iter().map(|state| state.image.hash()).collect()
                };
                let other = states(Walk::new(&without).advance(without.len()));
                assert_eq!(states(point), other, "{program:?}");
            }
        }
    }

    #[test]
    fn survivors_read_back_as_themselves() {
        for text in ["-", "0110", "1(3)0", "1[0101]0"] {
            assert_eq!(text.parse::<Survivors>().expect("well formed").to_string(), text);
        }
        assert!("2".parse::<Survivors>().is_err());
        for nonsense in ["(1", "[01", "[2]", "[", "]", "[0101"] {
            assert!(nonsense.parse::<Survivors>().is_err(), "{nonsense}");
        }
        assert!(format!("[{}]", "1".repeat(129)).parse::<Survivors>().is_err());
    }

    #[test]
    fn a_disk_without_power_completes_nothing() {
        let disk = run(&[Step::Write(0)]);
        disk.power_off();
        let read = Request::Read { block: BlockNo(0) };
        assert!(Sim::calm().block_on(perform(&disk, read)).is_err());
    }
}

//! Power loss: which images a history could leave at a position.
//!
//! Fault model: what was flushed is there. Of the other writes any subset is, each whole or torn
//! at sector boundaries (a prefix of its sectors), the newest survivor winning where two wrote
//! the same block. A block that is not torn is one atomic write. Misdirected writes and lying
//! flushes are other faults.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::device::Block;
use crate::device::DeviceEvent;
use crate::device::History;
use crate::device::Image;
use crate::device::Lie;
use crate::device::SECTOR_SIZE_BYTES;
use crate::device::Written;
use crate::sim::Sim;
use crate::sim::Site;

/// No more unflushed writes have all their subsets tried: these have 65536.
pub const SUBSET_BOUND_MAX: u32 = 16;

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
}

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
                other => return Err(format!("`{other}` is not 0, 1 or (SECTORS)")),
            };
            survivals.push(survival);
            rest = &rest[used..];
        }
        Ok(Self(survivals))
    }
}

/// An image that a crash could leave.
#[derive(Debug, Clone)]
pub struct CrashState {
    /// The image.
    pub image: Image,
    /// What became of the unflushed writes.
    pub survivors: Survivors,
}

/// The images that a crash at one position could leave, as far as they were tried.
#[derive(Debug, Clone)]
pub struct CrashStates {
    /// The images. The first is the one that every loss leaves; the order is fixed.
    pub states: Vec<CrashState>,
    /// Were some left out?
    pub bounded: bool,
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
                Survival::Sectors(count) => tear(&mut image, written, *count),
            }
        }
        CrashState { image, survivors }
    }

    /// Every write survives: what a kernel that died leaves behind.
    #[must_use]
    pub fn all_survive(&self) -> CrashStates {
        let survivors = Survivors(vec![Survival::Whole; self.unflushed.len()]);
        CrashStates { states: vec![self.state(survivors)], bounded: false }
    }

    /// The images within `bounds`: every subset if there are few unflushed writes, otherwise
    /// none, every prefix, each one alone and each one missing.
    #[must_use]
    pub fn states(&self, bounds: &StateBounds) -> CrashStates {
        let count = self.unflushed.len();
        let bounded = count > bounds.subset_count_max.min(SUBSET_BOUND_MAX) as usize;
        let subsets = if bounded { few_subsets(count) } else { all_subsets(count) };
        let mut states: Vec<_> = subsets.into_iter().map(|s| self.state(Survivors(s))).collect();
        if bounds.torn {
            states.extend(self.torn().into_iter().map(|s| self.state(Survivors(s))));
        }
        CrashStates { states, bounded: bounded || (bounds.torn && count > 1) }
    }

    /// Each write torn at each boundary, the older ones whole and the newer ones lost; and the
    /// newer ones whole.
    fn torn(&self) -> Vec<Vec<Survival>> {
        let count = self.unflushed.len();
        let mut torn = Vec::new();
        for at in 0..count {
            let sectors = self.unflushed[at].content.bytes().len() / SECTOR_SIZE_BYTES;
            for kept in 1..sectors {
                for newer in [Survival::Lost, Survival::Whole] {
                    let mut survivals = vec![Survival::Whole; at];
                    survivals.push(Survival::Sectors(u16::try_from(kept).unwrap_or(u16::MAX)));
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
            let sectors = written.content.bytes().len() / SECTOR_SIZE_BYTES;
            match sim.choose(Site::WriteTorn, u32::try_from(sectors).unwrap_or(1)) {
                0 => Survival::Whole,
                kept => Survival::Sectors(u16::try_from(kept).unwrap_or(u16::MAX)),
            }
        };
        self.state(Survivors(self.unflushed.iter().map(survive).collect()))
    }
}

fn tear(image: &mut Image, written: &Written, count: u16) {
    let kept = usize::from(count) * SECTOR_SIZE_BYTES;
    let new = written.content.bytes();
    let Some(old) = image.get(written.block) else { return };
    let kept = kept.min(new.len());
    let torn = Bytes::from([&new[..kept], &old[kept..]].concat());
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
}

impl Walk {
    /// A walk from the start of the history.
    #[must_use]
    pub fn new(history: &History) -> Self {
        let point = CrashPoint::new(history.start());
        Self { history: history.clone(), position: 0, point }
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
        let CrashPoint { durable, unflushed, lied_until, is_misplaced } = &mut self.point;
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
    fn survivors_read_back_as_themselves() {
        for text in ["-", "0110", "1(3)0"] {
            assert_eq!(text.parse::<Survivors>().expect("well formed").to_string(), text);
        }
        assert!("2".parse::<Survivors>().is_err());
        assert!("(1".parse::<Survivors>().is_err());
    }

    #[test]
    fn a_disk_without_power_completes_nothing() {
        let disk = run(&[Step::Write(0)]);
        disk.power_off();
        let read = Request::Read { block: BlockNo(0) };
        assert!(Sim::calm().block_on(perform(&disk, read)).is_err());
    }
}

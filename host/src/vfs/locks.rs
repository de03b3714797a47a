//! Advisory locks: which are held, and who waits. Values only; nobody waits in here.
//!
//! Locks on whole files and locks on bytes know nothing of each other, as on Linux.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::call::Errno;
use crate::call::HandleId;
use crate::call::HeldLock;
use crate::call::LockKind;
use crate::call::ProcessId;

/// The last byte that a file can have.
const LAST_BYTE: u64 = i64::MAX as u64;

/// What ends a lock, besides its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockEnd {
    /// The close of a descriptor, and the end of a process.
    WithDescriptor,
    /// Nothing.
    ByReleaseAlone,
}

/// Bytes of a file, the last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    first: u64,
    last: u64,
}

impl Extent {
    /// From where on, and how many bytes; 0 is to the end of any file.
    pub(super) fn new(start: u64, len: u64) -> Result<Self, Errno> {
        if start > LAST_BYTE {
            return Err(Errno::Invalid);
        }
        let last = match len.checked_sub(1) {
            None => Some(LAST_BYTE),
            Some(more) => start.checked_add(more).filter(|last| *last <= LAST_BYTE),
        };
        Ok(Self { first: start, last: last.ok_or(Errno::Overflow)? })
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// As [`Extent::new`] takes it.
    fn len(self) -> u64 {
        if self.last == LAST_BYTE { 0 } else { self.last - self.first + 1 }
    }
}

/// Who holds a lock on bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    Process(ProcessId),
    Description(HandleId),
}

impl Owner {
    /// The process, if it is one.
    pub(super) fn process(self) -> Option<ProcessId> {
        match self {
            Self::Process(process) => Some(process),
            Self::Description(_) => None,
        }
    }
}

/// A lock on bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    extent: Extent,
    kind: LockKind,
}

/// A process waits for a lock on bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) ino: u64,
    pub(super) kind: LockKind,
    pub(super) extent: Extent,
}

/// Every lock that is held.
#[derive(Debug, Default)]
pub(super) struct Locks {
    whole: BTreeMap<u64, BTreeMap<HandleId, LockKind>>,
    /// By file and owner; in order, apart, and none beside another of its kind.
    records: BTreeMap<u64, BTreeMap<Owner, Vec<Record>>>,
    /// How many of them each owner has.
    counts: BTreeMap<Owner, usize>,
    waiting: BTreeMap<ProcessId, Wait>,
}

impl Locks {
    /// Gives a description the lock, unless another holds one in its way.
    pub(super) fn lock_whole(&mut self, ino: u64, by: HandleId, kind: LockKind) -> bool {
        let holders = self.whole.entry(ino).or_default();
        if holders.iter().any(|(holder, held)| *holder != by && held.conflicts(kind)) {
            return false;
        }
        holders.insert(by, kind);
        true
    }

    /// Lets go of a description's lock if it is of another kind; says whether it was.
    pub(super) fn release_other(&mut self, ino: u64, by: HandleId, kind: LockKind) -> bool {
        let held = self.whole.get(&ino).and_then(|holders| holders.get(&by));
        held.is_some_and(|held| *held != kind) && self.release_whole(ino, by)
    }

    /// Lets go of a description's lock; says whether it had one.
    pub(super) fn release_whole(&mut self, ino: u64, by: HandleId) -> bool {
        let Some(holders) = self.whole.get_mut(&ino) else { return false };
        let had_one = holders.remove(&by).is_some();
        if holders.is_empty() {
            self.whole.remove(&ino);
        }
        had_one
    }

    fn in_the_way(
        &self,
        ino: u64,
        by: Owner,
        kind: LockKind,
        extent: Extent,
    ) -> impl Iterator<Item = (Owner, Record)> {
        let of_others =
            self.records.get(&ino).into_iter().flatten().filter(move |(owner, _)| **owner != by);
        of_others
            .flat_map(|(owner, records)| records.iter().map(|record| (*owner, *record)))
            .filter(move |(_, record)| {
                record.kind.conflicts(kind) && record.extent.overlaps(extent)
            })
    }

    /// A lock on bytes that is in the way of such a lock: that of the lowest byte.
    pub(super) fn first_in_the_way(
        &self,
        ino: u64,
        by: Owner,
        kind: LockKind,
        extent: Extent,
    ) -> Option<HeldLock> {
        let first = self.in_the_way(ino, by, kind, extent).min_by_key(|met| met.1.extent.first);
        first.map(|(owner, Record { extent, kind })| HeldLock {
            process: owner.process(),
            kind,
            start: extent.first,
            len: extent.len(),
        })
    }

    /// Gives an owner a lock on bytes, or takes it away. Who asks has seen that nothing is in the
    /// way.
    ///
    /// # Errors
    /// ENOLCK if the owner would have more pieces than it may; nothing has changed then.
    pub(super) fn set_records(
        &mut self,
        ino: u64,
        by: Owner,
        kind: Option<LockKind>,
        extent: Extent,
        count_max: usize,
    ) -> Result<(), Errno> {
        let before = self.records.get(&ino).and_then(|owners| owners.get(&by));
        let before = before.map_or(&[][..], Vec::as_slice);
        let after = merged(before, kind, extent);
        let count = self.counts.get(&by).copied().unwrap_or(0) - before.len() + after.len();
        if count > count_max && after.len() > before.len() {
            return Err(Errno::NoLocks);
        }
        self.counts.insert(by, count);
        self.records.entry(ino).or_default().insert(by, after);
        self.tidy(ino, by);
        Ok(())
    }

    /// Forgets what is empty.
    fn tidy(&mut self, ino: u64, owner: Owner) {
        if let Some(owners) = self.records.get_mut(&ino) {
            owners.retain(|_, records| !records.is_empty());
            if owners.is_empty() {
                self.records.remove(&ino);
            }
        }
        if self.counts.get(&owner) == Some(&0) {
            self.counts.remove(&owner);
        }
    }

    /// A process closed a descriptor of a file, or a description its last one: its locks on the
    /// bytes there are gone. Says whether it had any.
    pub(super) fn close_file(&mut self, ino: u64, owner: Owner) -> bool {
        let Some(owners) = self.records.get_mut(&ino) else { return false };
        let Some(gone) = owners.remove(&owner) else { return false };
        if let Some(count) = self.counts.get_mut(&owner) {
            *count -= gone.len();
        }
        self.tidy(ino, owner);
        true
    }

    /// A process ended: its locks on bytes are gone.
    pub(super) fn end_process(&mut self, process: ProcessId) {
        let process = Owner::Process(process);
        let held = self.records.iter().filter(|(_, owners)| owners.contains_key(&process));
        let files: Vec<u64> = held.map(|(ino, _)| *ino).collect();
        for ino in files {
            self.close_file(ino, process);
        }
    }

    /// A process begins to wait, or no longer does.
    pub(super) fn set_waiting(&mut self, process: ProcessId, wait: Option<Wait>) {
        match wait {
            Some(wait) => self.waiting.insert(process, wait),
            None => self.waiting.remove(&process),
        };
    }

    /// Would the process wait for one that waits, directly or through others, for it?
    pub(super) fn would_deadlock(&self, process: ProcessId, wait: &Wait) -> bool {
        let holders = |by: ProcessId, wait: &Wait| {
            let met = self.in_the_way(wait.ino, Owner::Process(by), wait.kind, wait.extent);
            // Who waits through a description is not known: as on Linux, nobody looks for rings.
            met.filter_map(|(holder, _)| holder.process()).collect::<Vec<_>>()
        };
        let (mut known, mut left) = (BTreeSet::new(), holders(process, wait));
        while let Some(holder) = left.pop() {
            if holder == process {
                return true;
            }
            if known.insert(holder)
                && let Some(wait) = self.waiting.get(&holder)
            {
                left.extend(holders(holder, wait));
            }
        }
        false
    }
}

/// An owner's locks on one file after it got a lock, or let go, of these bytes.
fn merged(before: &[Record], kind: Option<LockKind>, extent: Extent) -> Vec<Record> {
    let mut pieces = Vec::with_capacity(before.len() + 2);
    for Record { extent: held, kind } in before.iter().copied() {
        if held.first < extent.first {
            let last = held.last.min(extent.first - 1);
            pieces.push(Record { extent: Extent { last, ..held }, kind });
        }
        if held.last > extent.last {
            let first = held.first.max(extent.last + 1);
            pieces.push(Record { extent: Extent { first, ..held }, kind });
        }
    }
    pieces.extend(kind.map(|kind| Record { extent, kind }));
    pieces.sort_unstable_by_key(|piece| piece.extent.first);
    let mut after: Vec<Record> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match after.last_mut() {
            Some(last) if last.kind == piece.kind && last.extent.last + 1 == piece.extent.first => {
                last.extent.last = piece.extent.last;
            }
            Some(_) | None => after.push(piece),
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::mix;

    const FILE: u64 = 7;
    const COUNT_MAX: usize = 4;

    /// What of a file the naive model knows: the first bytes, all in the middle as one, the last.
    const CELL_COUNT: usize = 16;
    const MIDDLE: usize = 12;

    fn bytes_of(cell: usize) -> Extent {
        let from_end = |cells: usize| LAST_BYTE - cells as u64;
        match cell {
            MIDDLE => Extent { first: MIDDLE as u64, last: from_end(CELL_COUNT - MIDDLE - 1) },
            _ if cell < MIDDLE => Extent { first: cell as u64, last: cell as u64 },
            _ => Extent { first: from_end(CELL_COUNT - 1 - cell), last: from_end(15 - cell) },
        }
    }

    /// Who holds what, cell by cell.
    #[derive(Default)]
    struct Naive {
        cells: BTreeMap<Owner, [Option<LockKind>; CELL_COUNT]>,
    }

    impl Naive {
        fn is_in_the_way(&self, by: Owner, kind: LockKind, [from, to]: [usize; 2]) -> bool {
            let others = self.cells.iter().filter(|(process, _)| **process != by);
            others
                .flat_map(|(_, cells)| cells[from..=to].iter().flatten())
                .any(|held| held.conflicts(kind))
        }

        fn records(&self, process: Owner) -> Vec<Record> {
            let mut records: Vec<Record> = Vec::new();
            let cells = self.cells.get(&process).copied().unwrap_or_default();
            for (cell, kind) in cells.into_iter().enumerate() {
                let (Some(kind), extent) = (kind, bytes_of(cell)) else { continue };
                match records.last_mut() {
                    Some(last) if last.kind == kind && last.extent.last + 1 == extent.first => {
                        last.extent.last = extent.last;
                    }
                    Some(_) | None => records.push(Record { extent, kind }),
                }
            }
            records
        }
    }

    /// Two processes and a description.
    fn owner(number: u64) -> Owner {
        match number {
            2 => Owner::Description(HandleId(1)),
            _ => Owner::Process(ProcessId(number as u32)),
        }
    }

    fn kind_of(chance: u64) -> LockKind {
        if chance.is_multiple_of(2) { LockKind::Shared } else { LockKind::Exclusive }
    }

    /// One random operation on both; the answers agree.
    fn step(locks: &mut Locks, naive: &mut Naive, next: &mut impl FnMut() -> u64) {
        let process = owner(next() % 3);
        let mut cell = || match (next() % (CELL_COUNT as u64 - 1)) as usize {
            below if below < MIDDLE => below,
            above => above + 1,
        };
        let (one, two) = (cell(), cell());
        let cells = [one.min(two), one.max(two)];
        let extent = Extent { first: bytes_of(cells[0]).first, last: bytes_of(cells[1]).last };
        let kind = kind_of(next());
        let expected = naive.is_in_the_way(process, kind, cells);
        let met = locks.first_in_the_way(FILE, process, kind, extent);
        assert_eq!(met.is_some(), expected);
        if let Some(met) = met {
            let told = Extent::new(met.start, met.len).expect("it is what was locked");
            let record = Record { extent: told, kind: met.kind };
            let owner = met.process.map_or(owner(2), Owner::Process);
            assert!(naive.records(owner).contains(&record), "{met:?}");
        }
        let wanted = if next().is_multiple_of(3) { None } else { Some(kind) };
        if wanted.is_some() && expected {
            return;
        }
        if next().is_multiple_of(16) {
            locks.close_file(FILE, process);
            naive.cells.remove(&process);
            return;
        }
        let before = naive.cells.get(&process).copied();
        let cells_held = naive.cells.entry(process).or_default();
        cells_held[cells[0]..=cells[1]].fill(wanted);
        let counts = [
            before.map_or(0, |_| locks.counts.get(&process).copied().unwrap_or(0)),
            naive.records(process).len(),
        ];
        let set = locks.set_records(FILE, process, wanted, extent, COUNT_MAX);
        let is_too_many = counts[1] > COUNT_MAX && counts[1] > counts[0];
        assert_eq!(set, if is_too_many { Err(Errno::NoLocks) } else { Ok(()) });
        if is_too_many {
            naive.cells.insert(process, before.unwrap_or_default());
        }
    }

    #[test]
    fn locks_on_bytes_are_what_a_naive_model_says() {
        let mut refused = 0;
        for seed in 0..200 {
            let (mut locks, mut naive, mut state) = (Locks::default(), Naive::default(), 0);
            let mut next = || {
                state += 1;
                mix(seed << 32 | state)
            };
            for _ in 0..100 {
                step(&mut locks, &mut naive, &mut next);
                for process in (0..3).map(owner) {
                    let expected = naive.records(process);
                    let held = locks.records.get(&FILE).and_then(|all| all.get(&process));
                    assert_eq!(held.cloned().unwrap_or_default(), expected, "seed {seed}");
                    let count = locks.counts.get(&process).copied().unwrap_or(0);
                    assert_eq!(count, expected.len(), "seed {seed}");
                    refused += u32::from(count == COUNT_MAX);
                }
            }
        }
        assert!(refused > 100, "the bound is met: {refused}");
    }

    #[test]
    fn an_extent_ends_where_a_file_can() {
        let extent = |first, last| Ok(Extent { first, last });
        assert_eq!(Extent::new(3, 0), extent(3, LAST_BYTE));
        assert_eq!(Extent::new(3, 2), extent(3, 4));
        assert_eq!(Extent::new(LAST_BYTE, 1), extent(LAST_BYTE, LAST_BYTE));
        assert_eq!(Extent::new(LAST_BYTE, 2), Err(Errno::Overflow));
        assert_eq!(Extent::new(1, u64::MAX), Err(Errno::Overflow));
        assert_eq!(Extent::new(LAST_BYTE + 1, 0), Err(Errno::Invalid));
        assert_eq!(extent(3, LAST_BYTE).map(Extent::len), Ok::<_, Errno>(0));
        assert_eq!(extent(3, 4).map(Extent::len), Ok::<_, Errno>(2));
    }
}

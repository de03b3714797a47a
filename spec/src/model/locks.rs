//! Who holds which lock, as far as answers tell: descriptions on whole files, processes and
//! descriptions on bytes.
//!
//! Locks on whole files and on bytes know nothing of each other, as on Linux.

use imbl::OrdMap;
use imbl::Vector;

use crate::model::FileId;
use crate::words::HandleId;
use crate::words::LockKind;
use crate::words::Pid;

/// The last byte that a file can have (`OFFSET_MAX`).
const LAST_BYTE: u64 = i64::MAX as u64;

/// How many locks of a file are remembered that ended with a close or a process.
const ENDED_MAX: usize = 64;

/// Bytes of a file, the last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Extent {
    /// From where on, and how many bytes; 0 is to the end of any file. Nothing if the end is none
    /// that a file can have.
    pub(crate) fn new(start: u64, len: u64) -> Option<Self> {
        let last = match len {
            0 => LAST_BYTE,
            _ => start.checked_add(len - 1)?,
        };
        (start <= last && last <= LAST_BYTE).then_some(Self { first: start, last })
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// What a description may hold: more than one after a conversion that failed, for the old lock
/// may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MayHold {
    nothing: bool,
    shared: bool,
    exclusive: bool,
}

impl MayHold {
    fn just(kind: LockKind) -> Self {
        let shared = kind == LockKind::Shared;
        Self { nothing: false, shared, exclusive: !shared }
    }

    fn may_conflict(self, kind: LockKind) -> bool {
        self.exclusive || (self.shared && kind == LockKind::Exclusive)
    }

    fn must_conflict(self, kind: LockKind) -> bool {
        !self.nothing && (kind == LockKind::Exclusive || !self.shared)
    }

    /// The other holds a lock of this kind.
    fn beside(self, kind: LockKind) -> Option<Self> {
        let shared = self.shared && kind == LockKind::Shared;
        shared.then_some(Self { nothing: self.nothing, shared, exclusive: false })
    }
}

/// Who holds a lock on bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Process(Pid),
    Description(HandleId),
}

impl Owner {
    const FIRST: Self = Self::Process(Pid(0));
    const LAST: Self = Self::Description(HandleId(u64::MAX));

    pub(crate) fn name(self) -> String {
        match self {
            Self::Process(process) => format!("p{}", process.0),
            Self::Description(handle) => format!("h{}", handle.0),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Record {
    last: u64,
    kind: LockKind,
}

/// A lock that ended without being released by name.
#[derive(Debug, Clone, Copy)]
struct Ended {
    kind: LockKind,
    /// Of a record lock.
    extent: Option<Extent>,
}

/// Every lock.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    whole: OrdMap<(FileId, HandleId), MayHold>,
    /// By file, owner and first byte; those of one owner do not overlap.
    records: OrdMap<(FileId, Owner, u64), Record>,
    ended: OrdMap<FileId, Vector<Ended>>,
}

impl Locks {
    /// Other descriptions that surely hold a lock in the way.
    pub(crate) fn whole_in_the_way(
        &self,
        file: FileId,
        by: HandleId,
        kind: LockKind,
    ) -> impl Iterator<Item = HandleId> {
        self.others(file, by).filter(move |(_, held)| held.must_conflict(kind)).map(|held| held.0)
    }

    /// May another description hold a lock in the way?
    pub(crate) fn whole_may_be_in_the_way(
        &self,
        file: FileId,
        by: HandleId,
        kind: LockKind,
    ) -> bool {
        self.others(file, by).any(|(_, held)| held.may_conflict(kind))
    }

    fn others(
        &self,
        file: FileId,
        by: HandleId,
    ) -> impl Iterator<Item = (HandleId, MayHold)> + use<'_> {
        let all = self.whole.range((file, HandleId(0))..=(file, HandleId(u64::MAX)));
        all.filter(move |((_, holder), _)| *holder != by)
            .map(|((_, holder), held)| (*holder, *held))
    }

    /// A description got a lock, or let go of it.
    pub(crate) fn set_whole(&mut self, file: FileId, by: HandleId, kind: Option<LockKind>) {
        let Some(kind) = kind else {
            self.whole.remove(&(file, by));
            return;
        };
        let others: Vec<(HandleId, MayHold)> = self.others(file, by).collect();
        for (other, held) in others {
            // Whoever might have been in the way was not.
            match held.beside(kind) {
                Some(held) => self.whole.insert((file, other), held),
                None => self.whole.remove(&(file, other)),
            };
        }
        self.whole.insert((file, by), MayHold::just(kind));
        self.disprove(file, kind, None);
    }

    /// A conversion failed: the old lock may be gone.
    pub(crate) fn may_have_lost_whole(&mut self, file: FileId, by: HandleId) {
        if let Some(held) = self.whole.get_mut(&(file, by)) {
            held.nothing = true;
        }
    }

    fn records_of(
        &self,
        file: FileId,
        owner: Owner,
    ) -> impl DoubleEndedIterator<Item = (Extent, LockKind)> + use<'_> {
        let all = self.records.range((file, owner, 0)..=(file, owner, u64::MAX));
        all.map(|((_, _, first), record)| {
            (Extent { first: *first, last: record.last }, record.kind)
        })
    }

    /// Owners that hold a record lock in the way, each once.
    pub(crate) fn records_in_the_way(
        &self,
        file: FileId,
        by: Owner,
        kind: LockKind,
        extent: Extent,
    ) -> Vec<Owner> {
        let all = self.records.range((file, Owner::FIRST, 0)..=(file, Owner::LAST, u64::MAX));
        let mut found: Vec<Owner> = all
            .filter(|((_, holder, first), record)| {
                let held = Extent { first: *first, last: record.last };
                *holder != by && held.overlaps(extent) && record.kind.conflicts(kind)
            })
            .map(|((_, holder, _), _)| *holder)
            .collect();
        found.dedup();
        found
    }

    /// Does the owner hold such a lock on each of these bytes?
    pub(crate) fn holds_records(
        &self,
        file: FileId,
        owner: Owner,
        kind: LockKind,
        extent: Extent,
    ) -> bool {
        let mut next = extent.first;
        for (held, held_kind) in self.records_of(file, owner) {
            if held.last < next || held_kind != kind {
                continue;
            }
            if held.first > next {
                return false;
            }
            if held.last >= extent.last {
                return true;
            }
            next = held.last + 1;
        }
        false
    }

    /// An owner got a lock on bytes, or let go of them.
    pub(crate) fn set_records(
        &mut self,
        file: FileId,
        owner: Owner,
        kind: Option<LockKind>,
        extent: Extent,
    ) {
        let touched = self.records_of(file, owner).filter(|(held, _)| held.overlaps(extent));
        let touched: Vec<(Extent, LockKind)> = touched.collect();
        for (held, kind) in touched {
            self.records.remove(&(file, owner, held.first));
            if held.first < extent.first {
                let record = Record { last: extent.first - 1, kind };
                self.records.insert((file, owner, held.first), record);
            }
            if held.last > extent.last {
                let record = Record { last: held.last, kind };
                self.records.insert((file, owner, extent.last + 1), record);
            }
        }
        if let Some(kind) = kind {
            let record = Record { last: extent.last, kind };
            self.records.insert((file, owner, extent.first), record);
            self.disprove(file, kind, Some(extent));
        }
    }

    /// The last descriptor of a description is closed.
    pub(crate) fn close_description(&mut self, file: FileId, handle: HandleId) {
        self.release_records(file, Owner::Description(handle));
        let Some(held) = self.whole.remove(&(file, handle)) else { return };
        if !held.nothing {
            let kind = if held.exclusive { LockKind::Exclusive } else { LockKind::Shared };
            self.remember(file, Ended { kind, extent: None });
        }
    }

    /// A process closed a descriptor of a file: its record locks there are gone.
    pub(crate) fn close_file(&mut self, file: FileId, process: Pid) {
        self.release_records(file, Owner::Process(process));
    }

    fn release_records(&mut self, file: FileId, owner: Owner) {
        let gone: Vec<(Extent, LockKind)> = self.records_of(file, owner).collect();
        for (extent, kind) in gone {
            self.records.remove(&(file, owner, extent.first));
            self.remember(file, Ended { kind, extent: Some(extent) });
        }
    }

    /// Some description that holds such a lock on each of these bytes.
    pub(crate) fn description_that_holds(
        &self,
        file: FileId,
        kind: LockKind,
        extent: Extent,
    ) -> Option<Owner> {
        let from = Owner::Description(HandleId(0));
        let all = self.records.range((file, from, 0)..=(file, Owner::LAST, u64::MAX));
        let mut owners = all.map(|((_, owner, _), _)| *owner);
        owners.find(|owner| self.holds_records(file, *owner, kind, extent))
    }

    /// A process ended: its record locks are gone.
    pub(crate) fn end_process(&mut self, process: Pid) {
        let owner = Owner::Process(process);
        let held = self.records.keys().filter(|(_, holder, _)| *holder == owner);
        let files: Vec<FileId> = held.map(|(file, _, _)| *file).collect();
        files.into_iter().for_each(|file| self.close_file(file, process));
    }

    fn remember(&mut self, file: FileId, ended: Ended) {
        let of_file = self.ended.entry(file).or_default();
        of_file.push_back(ended);
        if of_file.len() > ENDED_MAX {
            of_file.pop_front();
        }
    }

    /// There is no such file any more, and nobody holds a lock of it.
    pub(crate) fn forget(&mut self, file: FileId) {
        self.ended.remove(&file);
    }

    /// Would a lock that ended with a close or a process be in the way, had it not ended?
    pub(crate) fn ended_in_the_way(
        &self,
        file: FileId,
        kind: LockKind,
        extent: Option<Extent>,
    ) -> bool {
        let Some(ended) = self.ended.get(&file) else { return false };
        ended.iter().any(|ended| ended.is_in_the_way(kind, extent))
    }

    /// Somebody got a lock: whatever ended in its way has indeed ended.
    fn disprove(&mut self, file: FileId, kind: LockKind, extent: Option<Extent>) {
        if let Some(ended) = self.ended.get_mut(&file) {
            ended.retain(|ended| !ended.is_in_the_way(kind, extent));
        }
    }
}

impl Ended {
    fn is_in_the_way(&self, kind: LockKind, extent: Option<Extent>) -> bool {
        let meets = match (self.extent, extent) {
            (None, None) => true,
            (Some(one), Some(two)) => one.overlaps(two),
            (None, Some(_)) | (Some(_), None) => false,
        };
        meets && self.kind.conflicts(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId(1);
    const P: Owner = Owner::Process(Pid(1));

    fn extent(first: u64, last: u64) -> Extent {
        Extent { first, last }
    }

    #[test]
    fn an_extent_of_length_zero_ends_with_any_file() {
        assert_eq!(Extent::new(5, 0), Some(extent(5, LAST_BYTE)));
        assert_eq!(Extent::new(5, 2), Some(extent(5, 6)));
        assert_eq!(Extent::new(LAST_BYTE, 1), Some(extent(LAST_BYTE, LAST_BYTE)));
        assert_eq!(Extent::new(LAST_BYTE, 2), None);
        assert_eq!(Extent::new(LAST_BYTE + 1, 0), None);
        assert_eq!(Extent::new(u64::MAX, u64::MAX), None);
    }

    #[test]
    fn a_new_lock_cuts_the_old_one_of_its_owner() {
        let mut locks = Locks::default();
        locks.set_records(FILE, P, Some(LockKind::Exclusive), extent(10, 29));
        locks.set_records(FILE, P, Some(LockKind::Shared), extent(15, 19));
        assert!(locks.holds_records(FILE, P, LockKind::Exclusive, extent(10, 14)));
        assert!(locks.holds_records(FILE, P, LockKind::Shared, extent(15, 19)));
        assert!(locks.holds_records(FILE, P, LockKind::Exclusive, extent(20, 29)));
        assert!(!locks.holds_records(FILE, P, LockKind::Exclusive, extent(10, 29)));
        locks.set_records(FILE, P, None, extent(0, 14));
        assert!(
            locks
                .records_in_the_way(
                    FILE,
                    Owner::Description(HandleId(2)),
                    LockKind::Exclusive,
                    extent(0, 14)
                )
                .is_empty()
        );
        let shared = locks.records_in_the_way(
            FILE,
            Owner::Description(HandleId(2)),
            LockKind::Shared,
            extent(0, 19),
        );
        assert!(shared.is_empty());
        let met = locks.records_in_the_way(
            FILE,
            Owner::Description(HandleId(2)),
            LockKind::Exclusive,
            extent(0, 19),
        );
        assert_eq!(met, [P]);
    }

    #[test]
    fn a_failed_conversion_leaves_either() {
        let mut locks = Locks::default();
        let (one, two) = (HandleId(1), HandleId(2));
        locks.set_whole(FILE, one, Some(LockKind::Shared));
        locks.set_whole(FILE, two, Some(LockKind::Shared));
        assert_eq!(locks.whole_in_the_way(FILE, one, LockKind::Exclusive).count(), 1);
        locks.may_have_lost_whole(FILE, two);
        assert_eq!(locks.whole_in_the_way(FILE, one, LockKind::Exclusive).count(), 0);
        assert!(locks.whole_may_be_in_the_way(FILE, one, LockKind::Exclusive));
        locks.set_whole(FILE, one, Some(LockKind::Exclusive));
        assert!(!locks.whole_may_be_in_the_way(FILE, one, LockKind::Exclusive), "it was lost");
    }
}

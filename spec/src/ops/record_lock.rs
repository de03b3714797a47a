//! `fcntl(F_SETLK)`, `F_SETLKW` and `F_GETLK`, and their kin for descriptions: locks on bytes of a
//! file, of a process or of an open file description [LOCK-OFD-01]. Locks in a snapshot are not
//! judged.

use std::collections::BTreeSet;

use crate::model::Extent;
use crate::model::FileId;
use crate::model::Owner;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::HeldLock;
use crate::words::Lock;
use crate::words::LockKind;
use crate::words::LockOwner;
use crate::words::Outcome;
use crate::words::Pid;
use crate::words::Value;

const BAD_EXTENT: &[Errno] = &[Errno::Invalid, Errno::Overflow];

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) kind: Option<LockKind>,
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) wait: bool,
    pub(crate) owner: LockOwner,
}

/// Who would hold the lock that a process asks for through a description.
fn owner(frame: &Frame, id: HandleId, owner: LockOwner) -> Owner {
    match owner {
        LockOwner::Process => Owner::Process(frame.process),
        LockOwner::Description => Owner::Description(id),
    }
}

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    wanted: Wanted,
    outcome: &Outcome,
) {
    if judge.frozen.is_some() {
        return;
    }
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let (file, by) = (handle.file, owner(frame, id, wanted.owner));
    let is_of_description = wanted.owner == LockOwner::Description;
    let has_access = match wanted.kind {
        Some(LockKind::Shared) => handle.read,
        Some(LockKind::Exclusive) => handle.write,
        None => true,
    };
    let extent = Extent::new(wanted.start, wanted.len);
    let lock = wanted.kind.zip(extent);
    let locks = &judge.model.locks;
    let holders = lock.map(|(kind, extent)| locks.records_in_the_way(file, by, kind, extent));
    let holders = holders.unwrap_or_default();
    let has_ended =
        lock.is_some_and(|(kind, extent)| locks.ended_in_the_way(file, kind, Some(extent)));
    // Whoever waits for a description's lock is not looked for.
    let may_deadlock = *outcome == Err(Errno::Deadlock)
        && wanted.wait
        && !is_of_description
        && judge.waits_for(frame, &holders);
    let clause = match outcome {
        Ok(_) | Err(_) if is_of_description => "LOCK-OFD-01",
        Ok(_) if wanted.kind.is_some() => "LOCK-REC-01",
        Err(Errno::Deadlock) => "LOCK-REC-05",
        Err(Errno::Again | Errno::Access) if has_ended => "LOCK-REC-03",
        Ok(_) | Err(_) => "LOCK-REC-02",
    };
    let permitted = Permitted::of(clause, file)
        .must_by(!has_access, &[Errno::BadFile], "LOCK-REC-06")
        .must(extent.is_none(), BAD_EXTENT)
        .may(!wanted.wait && !holders.is_empty(), &[Errno::Again, Errno::Access])
        .may(may_deadlock, &[Errno::Deadlock])
        .may(true, &[Errno::NoLocks]);
    let (true, Some(extent)) = (judge.settle(frame, &permitted, outcome), extent) else { return };
    if has_ended && !is_of_description {
        judge.exercise("LOCK-REC-03");
    }
    if let Some(holder) = holders.first() {
        let subject = judge.model.path_text(file);
        let observed = format!("granted, while {} holds a lock in the way", holder.name());
        let allowed = if wanted.wait { "to wait" } else { "EAGAIN or EACCES" };
        let clause = if is_of_description { "LOCK-OFD-01" } else { "LOCK-REC-01" };
        judge.broken(frame, clause, subject, observed, allowed.to_owned());
    }
    judge.model.locks.set_records(file, by, wanted.kind, extent);
}

/// `fcntl(F_GETLK)`: a lock that is in the way, or that none is.
pub(crate) fn test(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    (kind, by): (LockKind, LockOwner),
    extent: Option<Extent>,
    outcome: &Outcome,
) {
    if judge.frozen.is_some() {
        return;
    }
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let file = handle.file;
    let subject = judge.model.path_text(file);
    let clause = match by {
        LockOwner::Process => "LOCK-REC-04",
        LockOwner::Description => "LOCK-OFD-01",
    };
    let by = owner(frame, id, by);
    let permitted = Permitted::of(clause, file).must(extent.is_none(), BAD_EXTENT);
    let (true, Some(extent)) = (judge.settle(frame, &permitted, outcome), extent) else { return };
    let Ok(Value::Lock(told)) = outcome else { return judge.malformed(frame) };
    let locks = &judge.model.locks;
    let holders = locks.records_in_the_way(file, by, kind, extent);
    match told {
        None if holders.is_empty() => {}
        None => {
            let observed = "no lock in the way".to_owned();
            let names: Vec<String> = holders.iter().map(|holder| holder.name()).collect();
            let allowed = format!("a lock of {}", names.join(" or "));
            judge.broken(frame, clause, subject, observed, allowed);
        }
        Some(held) if is_in_the_way(judge, (file, by), held, kind, extent) => {}
        Some(held) => {
            let HeldLock { process, start, len, .. } = held;
            let holder = process.map_or("a description".to_owned(), |by| format!("p{}", by.0));
            let observed = format!("a lock of {holder}, {len} bytes from {start}");
            let allowed = "a lock that is held and in the way, or none".to_owned();
            judge.broken(frame, clause, subject, observed, allowed);
        }
    }
}

fn is_in_the_way(
    judge: &Judge,
    (file, by): (FileId, Owner),
    held: &HeldLock,
    kind: LockKind,
    extent: Extent,
) -> bool {
    let Some(told) = Extent::new(held.start, held.len) else { return false };
    let locks = &judge.model.locks;
    let holds = |owner: &Owner| locks.holds_records(file, *owner, held.kind, told);
    let holder = match held.process {
        Some(process) => Some(Owner::Process(process)).filter(holds),
        None => locks.description_that_holds(file, held.kind, told),
    };
    held.kind.conflicts(kind) && told.overlaps(extent) && holder.is_some_and(|holder| holder != by)
}

impl Judge {
    /// May one of these wait, by calls under way, for the process that asks?
    fn waits_for(&self, frame: &Frame, holders: &[Owner]) -> bool {
        let mut left: Vec<Pid> = processes(holders).collect();
        let mut known: BTreeSet<Pid> = left.iter().copied().collect();
        while let Some(holder) = left.pop() {
            if holder == frame.process {
                return true;
            }
            let calls = self.lock_calls.iter().filter(|(called, _)| **called < frame.step());
            for (_, (_, asked)) in calls.filter(|(_, (process, _))| *process == holder) {
                let met = self.awaited(holder, asked);
                left.extend(processes(&met).filter(|process| known.insert(*process)));
            }
        }
        false
    }

    /// For whom a call waits, if it is one that does.
    fn awaited(&self, process: Pid, asked: &Lock) -> Vec<Owner> {
        let Lock::Record { handle, kind: Some(kind), start, len, wait: true, owner: by } = asked
        else {
            return Vec::new();
        };
        if *by != LockOwner::Process {
            return Vec::new();
        }
        let handle = self.model.handles.get(handle);
        let Some((handle, extent)) = handle.zip(Extent::new(*start, *len)) else {
            return Vec::new();
        };
        let by = Owner::Process(process);
        self.model.locks.records_in_the_way(handle.file, by, *kind, extent)
    }
}

/// Those of the owners that can wait: a description does not.
fn processes(owners: &[Owner]) -> impl Iterator<Item = Pid> {
    owners.iter().filter_map(|owner| match owner {
        Owner::Process(process) => Some(*process),
        Owner::Description(_) => None,
    })
}

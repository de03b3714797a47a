//! `fcntl(F_SETLK)`, `F_SETLKW` and `F_GETLK`: locks of a process on bytes of a file. Locks in a
//! snapshot are not judged.

use std::collections::BTreeSet;

use crate::model::Extent;
use crate::model::FileId;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::Permitted;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::HeldLock;
use crate::words::Lock;
use crate::words::LockKind;
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
    let (file, process) = (handle.file, frame.process);
    let has_access = match wanted.kind {
        Some(LockKind::Shared) => handle.read,
        Some(LockKind::Exclusive) => handle.write,
        None => true,
    };
    let extent = Extent::new(wanted.start, wanted.len);
    let lock = wanted.kind.zip(extent);
    let locks = &judge.model.locks;
    let holders = lock.map(|(kind, extent)| locks.records_in_the_way(file, process, kind, extent));
    let holders = holders.unwrap_or_default();
    let has_ended =
        lock.is_some_and(|(kind, extent)| locks.ended_in_the_way(file, kind, Some(extent)));
    let may_deadlock =
        *outcome == Err(Errno::Deadlock) && wanted.wait && judge.waits_for(frame, &holders);
    let clause = match outcome {
        Ok(_) if wanted.kind.is_some() => "LOCK-REC-01",
        Err(Errno::Deadlock) => "LOCK-REC-05",
        Err(Errno::Again | Errno::Access) if has_ended => "LOCK-REC-03",
        Ok(_) | Err(_) => "LOCK-REC-02",
    };
    let permitted = Permitted::new(clause, judge.model.path_text(file))
        .must_by(!has_access, &[Errno::BadFile], "LOCK-REC-06")
        .must(extent.is_none(), BAD_EXTENT)
        .may(!wanted.wait && !holders.is_empty(), &[Errno::Again, Errno::Access])
        .may(may_deadlock, &[Errno::Deadlock])
        .may(true, &[Errno::NoLocks]);
    let (true, Some(extent)) = (judge.settle(frame, &permitted, outcome), extent) else { return };
    if has_ended {
        judge.exercise("LOCK-REC-03");
    }
    if let Some(holder) = holders.first() {
        let subject = judge.model.path_text(file);
        let observed = format!("granted, while p{} holds a lock in the way", holder.0);
        let allowed = if wanted.wait { "to wait" } else { "EAGAIN or EACCES" };
        judge.broken(frame, "LOCK-REC-01", subject, observed, allowed.to_owned());
    }
    judge.model.locks.set_records(file, process, wanted.kind, extent);
}

/// `fcntl(F_GETLK)`: a lock that is in the way, or that none is.
pub(crate) fn test(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    kind: LockKind,
    extent: Option<Extent>,
    outcome: &Outcome,
) {
    if judge.frozen.is_some() {
        return;
    }
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let file = handle.file;
    let subject = judge.model.path_text(file);
    let permitted =
        Permitted::new("LOCK-REC-04", subject.clone()).must(extent.is_none(), BAD_EXTENT);
    let (true, Some(extent)) = (judge.settle(frame, &permitted, outcome), extent) else { return };
    let Ok(Value::Lock(told)) = outcome else { return judge.malformed(frame) };
    let locks = &judge.model.locks;
    let holders = locks.records_in_the_way(file, frame.process, kind, extent);
    match told {
        None if holders.is_empty() => {}
        None => {
            let observed = "no lock in the way".to_owned();
            let names: Vec<String> =
                holders.iter().map(|holder| format!("p{}", holder.0)).collect();
            let allowed = format!("a lock of {}", names.join(" or "));
            judge.broken(frame, "LOCK-REC-04", subject, observed, allowed);
        }
        Some(held) if is_in_the_way(judge, frame, file, held, kind, extent) => {}
        Some(held) => {
            let HeldLock { process, start, len, .. } = held;
            let observed = format!("a lock of p{}, {len} bytes from {start}", process.0);
            let allowed = "a lock that is held and in the way, or none".to_owned();
            judge.broken(frame, "LOCK-REC-04", subject, observed, allowed);
        }
    }
}

fn is_in_the_way(
    judge: &Judge,
    frame: &Frame,
    file: FileId,
    held: &HeldLock,
    kind: LockKind,
    extent: Extent,
) -> bool {
    let Some(told) = Extent::new(held.start, held.len) else { return false };
    held.process != frame.process
        && held.kind.conflicts(kind)
        && told.overlaps(extent)
        && judge.model.locks.holds_records(file, held.process, held.kind, told)
}

impl Judge {
    /// May one of these wait, by calls under way, for the process that asks?
    fn waits_for(&self, frame: &Frame, holders: &[Pid]) -> bool {
        let mut known: BTreeSet<Pid> = holders.iter().copied().collect();
        let mut left: Vec<Pid> = holders.to_vec();
        while let Some(holder) = left.pop() {
            if holder == frame.process {
                return true;
            }
            let calls = self.lock_calls.iter().filter(|(called, _)| **called < frame.step());
            for (_, (_, asked)) in calls.filter(|(_, (process, _))| *process == holder) {
                let met = self.awaited(holder, asked);
                left.extend(met.into_iter().filter(|process| known.insert(*process)));
            }
        }
        false
    }

    /// For whom a call waits, if it is one that does.
    fn awaited(&self, process: Pid, asked: &Lock) -> Vec<Pid> {
        let Lock::Record { handle, kind: Some(kind), start, len, wait: true } = asked else {
            return Vec::new();
        };
        let handle = self.model.handles.get(handle);
        let Some((handle, extent)) = handle.zip(Extent::new(*start, *len)) else {
            return Vec::new();
        };
        self.model.locks.records_in_the_way(handle.file, process, *kind, extent)
    }
}

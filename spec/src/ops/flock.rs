//! `flock`: a lock of an open file description on a whole file. Locks in a snapshot are not
//! judged.
//!
//! A conversion is not atomic: the old lock goes first, so that a call that is under way may have
//! lost it, and one that failed may have too.

use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Lock;
use crate::words::LockKind;
use crate::words::Outcome;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: HandleId,
    kind: Option<LockKind>,
    wait: bool,
    outcome: &Outcome,
) {
    if judge.frozen.is_some() {
        return;
    }
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let (file, locks) = (handle.file, &judge.model.locks);
    let has_ended = kind.is_some_and(|kind| locks.ended_in_the_way(file, kind, None));
    let is_held = kind.is_some_and(|kind| locks.whole_may_be_in_the_way(file, id, kind));
    let clause = match outcome {
        Ok(_) if kind.is_some() => "LOCK-FILE-01",
        Err(Errno::Again) if has_ended => "LOCK-FILE-03",
        Ok(_) | Err(_) => "LOCK-FILE-02",
    };
    let permitted = Permitted::of(clause, file)
        .may(is_held && !wait, &[Errno::Again])
        .may(true, &[Errno::NoLocks]);
    if !judge.settle(frame, &permitted, outcome) {
        return judge.model.locks.may_have_lost_whole(file, id);
    }
    let Some(kind) = kind else { return judge.model.locks.set_whole(file, id, None) };
    if has_ended {
        judge.exercise("LOCK-FILE-03");
    }
    let holders: Vec<HandleId> = judge.model.locks.whole_in_the_way(file, id, kind).collect();
    if let Some(holder) = holders.into_iter().find(|holder| !judge.may_convert(frame, *holder)) {
        let subject = judge.model.path_text(file);
        let observed = format!("granted, while h{} holds a lock in the way", holder.0);
        let allowed = if wait { "to wait" } else { "EAGAIN" };
        judge.broken(frame, "LOCK-FILE-01", subject, observed, allowed.to_owned());
    }
    judge.model.locks.set_whole(file, id, Some(kind));
}

impl Judge {
    /// Is a call under way that may have let go of the description's lock?
    fn may_convert(&self, frame: &Frame, holder: HandleId) -> bool {
        self.lock_calls.iter().any(|(called, (_, asked))| match asked {
            Lock::Whole { handle, .. } => *handle == holder && *called < frame.step(),
            Lock::Record { .. } | Lock::Test { .. } | Lock::CloseDuplicate { .. } => false,
        })
    }
}

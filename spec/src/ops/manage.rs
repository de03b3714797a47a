//! What POSIX does not have. Most of it changes nothing that can be seen, and promises nothing
//! [DUR-SFR-01].

use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::snapshot;
use crate::words::Manage;
use crate::words::Outcome;

pub(crate) fn judge(judge: &mut Judge, frame: &Frame, asked: &Manage, outcome: &Outcome) {
    match asked {
        Manage::SetNoCow { handle, on } => {
            let known = judge.handle(frame, *handle, outcome).filter(|_| outcome.is_ok());
            let order = judge.model.order;
            if let Some(regular) = known.and_then(|known| judge.model.regular_mut(known.file)) {
                regular.is_in_place = *on;
                regular.has_unknown_room(order);
            }
        }
        Manage::SetCompression { handle, .. } | Manage::SyncRange { handle, .. } => {
            judge.handle(frame, *handle, outcome);
        }
        Manage::DropCaches => {}
        Manage::Space => judge.told_free(outcome),
        Manage::Snapshot { name } => snapshot::make(judge, frame, name, outcome),
        Manage::OpenSnapshot { name } => snapshot::open(judge, frame, name, outcome),
        Manage::DeleteSnapshot { name } => snapshot::delete(judge, name),
    }
}

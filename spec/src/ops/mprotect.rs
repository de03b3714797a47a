//! `mprotect`: from now on a range permits this, which is not more than its descriptor did.

use std::ops::Range;

use crate::ops::Frame;
use crate::ops::Judge;
use crate::words::Access;
use crate::words::MappingId;
use crate::words::Outcome;
use crate::words::Sharing;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: MappingId,
    range: Range<u64>,
    access: Access,
    outcome: &Outcome,
) {
    let Some(known) = judge.mapping(frame, id, outcome) else { return };
    if outcome.is_err() {
        return;
    }
    judge.exercise("MAP-14");
    if known.sharing == Sharing::Shared && access.write && !known.handle.1.write {
        let subject = judge.model.path_text(known.file);
        let observed = "writable, through a descriptor that is not".to_owned();
        judge.broken(frame, "MAP-14", subject, observed, "EACCES".to_owned());
    }
    if let Some(mapping) = judge.model.mapping_mut(id) {
        mapping.set(range, Some(access));
    }
}

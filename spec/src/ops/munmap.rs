//! `munmap`: the range is gone; what was stored through it stays in the file [MAP-05].

use std::ops::Range;

use crate::ops::Frame;
use crate::ops::Judge;
use crate::words::MappingId;
use crate::words::Outcome;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: MappingId,
    range: Range<u64>,
    outcome: &Outcome,
) {
    if judge.mapping(frame, id, outcome).is_none() || outcome.is_err() {
        return;
    }
    let Some(mapping) = judge.model.mapping_mut(id) else { return };
    mapping.set(range, None);
    if mapping.is_gone() {
        judge.model.unmap(id);
    }
}

//! A store to mapped memory: a change of the file if the mapping is shared [MAP-01], else of the
//! mapping alone [MAP-06]. It promises nothing durable. Beyond the end of the file it stays in
//! memory [MAP-07].

use bytes::Bytes;

use crate::model::Change;
use crate::model::Effect;
use crate::model::Mapping;
use crate::model::index;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::words::MappingId;
use crate::words::Outcome;
use crate::words::Sharing;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: MappingId,
    offset: u64,
    data: &Bytes,
    outcome: &Outcome,
) {
    let Some(mapping) = judge.mapping_of_access(frame, id, outcome) else { return };
    let range = offset..offset.saturating_add(data.len() as u64);
    let may = |access: crate::words::Access| access.write;
    let is_shared = mapping.sharing == Sharing::Shared;
    if data.is_empty() || !judge.accessed(frame, &mapping, (&range, is_shared), may, outcome) {
        return;
    }
    let at = mapping.start.saturating_add(offset);
    match mapping.sharing {
        Sharing::Shared => shared(judge, frame, id, &mapping, at, data),
        Sharing::Private => {
            let order = judge.model.next_order();
            judge.exercise("MAP-06");
            if let Some(mapping) = judge.model.mapping_mut(id) {
                mapping.own.put_stored(at, data.clone(), order, id);
            }
        }
    }
}

fn shared(
    judge: &mut Judge,
    frame: &Frame,
    id: MappingId,
    mapping: &Mapping,
    at: u64,
    data: &Bytes,
) {
    let order = judge.model.next_order();
    let Some(regular) = judge.model.regular_mut(mapping.file) else { return };
    let kept = regular.size.saturating_sub(at).min(data.len() as u64);
    let kept = index(kept);
    let most = regular.size_most();
    if kept < data.len() {
        let (offset, data) = (at + kept as u64, data.slice(kept..));
        regular.tail.put_stored(offset, data.clone(), order, id);
        if most > offset {
            // A failed write may have made the file longer, and these bytes a part of it.
            let data = data.slice(..index(most - offset).min(data.len()));
            let effect = Effect::Store { offset, data, mapping: id, blurred: 0..0 };
            let change = Change { acked: None, ..Change::new(frame, mapping.handle.0, effect) };
            regular.maybes.insert(order, change);
        }
    }
    if kept > 0 {
        let data = data.slice(..kept);
        let effect = Effect::Store { offset: at, data: data.clone(), mapping: id, blurred: 0..0 };
        regular.change(order, Change::new(frame, mapping.handle.0, effect));
        judge.model.last_write = Some((mapping.file, data));
    }
}

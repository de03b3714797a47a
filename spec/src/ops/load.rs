//! A load from mapped memory: the newest bytes of the file, and zeros beyond its end. Through a
//! private mapping also what was stored through it; what others changed since it was made may be
//! seen, or not.

use std::ops::Range;

use bytes::Bytes;

use crate::errors::reads;
use crate::errors::reads::View;
use crate::model::MEMORY_PAGE_BYTES;
use crate::model::Mapping;
use crate::model::Origin;
use crate::model::Run;
use crate::model::index;
use crate::model::subtract;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::violation::show;
use crate::words::MappingId;
use crate::words::Outcome;
use crate::words::Sharing;
use crate::words::Value;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: MappingId,
    offset: u64,
    len: u32,
    outcome: &Outcome,
) {
    let Some(mapping) = judge.mapping_of_access(frame, id, outcome) else { return };
    let range = offset..offset.saturating_add(u64::from(len));
    let is_shut = !mapping.permits(&range, |access| access.read);
    // Where memory can be stored to, the hardware may let it be loaded from.
    let may = |access: crate::words::Access| access.read || access.write;
    if len == 0 || (is_shut && matches!(outcome, Ok(Value::Signal(_)))) {
        return;
    }
    if !judge.accessed(frame, &mapping, (&range, false), may, outcome) {
        return;
    }
    let Ok(Value::Data(data)) = outcome else { return judge.malformed(frame) };
    if data.len() != len as usize {
        return judge.malformed(frame);
    }
    let at = mapping.start.saturating_add(offset);
    match mapping.sharing {
        Sharing::Shared => shared(judge, frame, &mapping, id, at, data),
        Sharing::Private => private(judge, frame, &mapping, id, at, data),
    }
}

fn shared(
    judge: &mut Judge,
    frame: &Frame,
    mapping: &Mapping,
    id: MappingId,
    at: u64,
    data: &Bytes,
) {
    let size = judge.model.regular(mapping.file).map_or(0, |regular| regular.size);
    let inside = index(size.saturating_sub(at).min(data.len() as u64));
    if inside > 0 {
        judge.exercise("MAP-01");
        judge.exercise("MAP-02");
        if judge.model.is_only_mapped(mapping.file) {
            judge.exercise("MAP-09");
        }
        let view = View::Mapped(id);
        reads::compare(judge, frame, mapping.file, at, &data.slice(..inside), view);
    }
    let is_end_known = judge.model.regular(mapping.file).is_some_and(|of| of.size_most() == size);
    if inside < data.len() && is_end_known {
        beyond(judge, frame, mapping, at + inside as u64, &data.slice(inside..));
    }
}

/// Beyond the end of the file there are zeros, or what was stored there while the page is kept.
fn beyond(judge: &mut Judge, frame: &Frame, mapping: &Mapping, at: u64, data: &Bytes) {
    judge.exercise("MAP-07");
    let Some(regular) = judge.model.regular(mapping.file) else { return };
    let range = at..at.saturating_add(data.len() as u64);
    let found = run(at, data);
    let wrong = regular.tail.runs(range).into_iter().find_map(|run| {
        (run.start..run.end).find(|at| found.byte(*at) != 0 && found.byte(*at) != run.byte(*at))
    });
    let Some(wrong) = wrong.filter(|_| !frame.overlapped) else { return };
    let subject = judge.model.path_text(mapping.file);
    let observed = format!("{} at {wrong}, beyond the end", show(&data[index(wrong - at)..]));
    judge.broken(frame, "MAP-07", subject, observed, "zeros".to_owned());
}

fn private(
    judge: &mut Judge,
    frame: &Frame,
    mapping: &Mapping,
    id: MappingId,
    at: u64,
    data: &Bytes,
) {
    let end = at.saturating_add(data.len() as u64);
    let found = run(at, data);
    for own in mapping.own.runs(at..end) {
        let told = found.part(own.start, own.end).unwrap_or_default();
        match own.part(own.start, own.end) {
            Some(stored) if stored != told => {
                judge.exercise("MAP-06");
                let subject = judge.model.path_text(mapping.file);
                let observed = format!("{} at {}", show(&told), own.start);
                let allowed = format!("{}, as stored through the mapping", show(&stored));
                judge.broken(frame, "MAP-06", subject, observed, allowed);
            }
            Some(_) => judge.exercise("MAP-06"),
            None => unchanged(judge, frame, mapping, id, own.start..own.end, &found),
        }
    }
}

/// The pages of a range that a store through a private mapping made the mapping's own. The rest of
/// such a page stays as it was then, whatever a failure does to the file.
fn own_pages(mapping: &Mapping, range: &Range<u64>) -> Vec<Range<u64>> {
    let whole = |range: Range<u64>| {
        let end = range.end.checked_next_multiple_of(MEMORY_PAGE_BYTES).unwrap_or(u64::MAX);
        range.start / MEMORY_PAGE_BYTES * MEMORY_PAGE_BYTES..end
    };
    let runs = mapping.own.runs(whole(range.clone())).into_iter();
    runs.filter(|run| run.data.is_some()).map(|run| whole(run.start..run.end)).collect()
}

/// What nobody changed since a private mapping was made is seen through it. A write that failed
/// may have changed it, and so may a failure that let earlier bytes come back.
fn unchanged(
    judge: &mut Judge,
    frame: &Frame,
    mapping: &Mapping,
    id: MappingId,
    range: Range<u64>,
    found: &Run,
) {
    let Some(regular) = judge.model.regular(mapping.file) else { return };
    let end = range.end.min(regular.size).min(mapping.size_when_made).min(mapping.own_until);
    let failed = regular.maybes.range(mapping.made + 1..);
    let mut failed: Vec<Range<u64>> = failed.map(|(_, change)| change.range()).collect();
    if regular.lost_ever {
        failed.extend(own_pages(mapping, &range));
    }
    let mut same: Vec<Range<u64>> = Vec::new();
    for run in regular.live.runs(range.start..end.max(range.start)) {
        if run.order <= mapping.made {
            let whole = std::iter::once(run.start..run.end).collect();
            same.extend(subtract(whole, &failed));
        }
    }
    for range in same {
        let told = found.part(range.start, range.end).unwrap_or_default();
        reads::compare(judge, frame, mapping.file, range.start, &told, View::Private(id));
    }
}

fn run(at: u64, data: &Bytes) -> Run {
    let end = at.saturating_add(data.len() as u64);
    let data = Some(data.clone());
    Run { start: at, end, data, order: 0, promise: None, origin: Origin::Written }
}

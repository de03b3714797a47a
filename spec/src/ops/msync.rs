//! `msync`: if it waits and succeeds, what was stored to the pages before it began is durable,
//! through whichever mapping [DUR-MSYNC-01]; else it promises nothing [DUR-MSYNC-02].

use std::ops::Range;

use crate::errors;
use crate::model::MEMORY_PAGE_BYTES;
use crate::model::Promise;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::words::MappingId;
use crate::words::Outcome;
use crate::words::Sharing;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    id: MappingId,
    range: Range<u64>,
    waits: bool,
    outcome: &Outcome,
) {
    let Some(mapping) = judge.mapping(frame, id, outcome) else { return };
    let Some(step) = frame.acked else { return };
    if !waits {
        return;
    }
    if mapping.sharing == Sharing::Private {
        if let Err(errno) = outcome {
            errors::was_told(judge, frame, mapping.handle.0, mapping.file, *errno);
        }
        return;
    }
    let end = range.end.checked_next_multiple_of(MEMORY_PAGE_BYTES).unwrap_or(u64::MAX);
    let start = range.start - range.start % MEMORY_PAGE_BYTES;
    let pages = mapping.start.saturating_add(start)..mapping.start.saturating_add(end);
    let (by, description) = &mapping.handle;
    match outcome {
        Err(errno) => errors::sync_failed(judge, frame, *by, mapping.file, &pages, *errno),
        Ok(_) if !mapping.permits(&range, |_| true) => {}
        Ok(_) if !errors::says_durable(judge, frame, mapping.file) => {}
        Ok(_) => {
            judge.exercise("DUR-MSYNC-01");
            let by = (*by, description);
            errors::range_sync_succeeded(judge, frame, by, mapping.file, &pages);
            let promise = Promise { clause: "DUR-MSYNC-01", step };
            if let Some(regular) = judge.model.regular_mut(mapping.file) {
                regular.promise_stores(frame.called, &pages, promise);
            }
        }
    }
}

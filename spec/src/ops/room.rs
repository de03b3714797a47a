//! Room that a file has: what was allocated, and what was written in place before.
//!
//! A file that is written in place needs no room again where it has some: of a range that was
//! allocated [FALLOC-01], and of one whose bytes are durable, while nothing else shares them
//! [LIM-04]. Where the first byte has room, a write fits in part [LIM-01]. No call makes a file
//! longer than a limit [LIM-06], and a write at a limit writes what is below it [LIM-01].

use std::ops::Range;

use crate::model::FileId;
use crate::model::Mapping;
use crate::model::Regular;
use crate::model::subtract;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::space::LESS_THAN_SAID;
use crate::violation::Violation;
use crate::words::Call;

/// The room of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// All of it was allocated.
    Allocated,
    /// All of it was allocated or written.
    Owned,
    /// Its first byte has some.
    First,
    /// As far as is known, it has none.
    Unknown,
}

/// So many ranges are remembered that were written; of more, the oldest are forgotten, and what is
/// refused for want of room in such a file is counted as passed over.
const OWNED_MAX: usize = 64;

impl Regular {
    /// The range has no room of its own any more: others share it, or it is a hole.
    pub(crate) fn has_no_room(&mut self, range: &Range<u64>) {
        let gone = std::slice::from_ref(range);
        self.reserved = subtract(std::mem::take(&mut self.reserved), gone);
        self.forget_owned(gone);
    }

    /// Whatever room it has, it is not known any more.
    pub(crate) fn has_unknown_room(&mut self, order: u64) {
        self.has_no_room(&(0..u64::MAX));
        self.unowned_at = order;
    }

    fn forget_owned(&mut self, gone: &[Range<u64>]) {
        let owned = std::mem::take(&mut self.owned);
        let left = owned.into_iter().flat_map(|(range, order)| {
            subtract(vec![range], gone).into_iter().map(move |range| (range, order))
        });
        self.owned = left.collect();
    }

    /// What a change wrote is durable, and in place, unless bytes were shared, cut or put in their
    /// place since.
    pub(crate) fn owns(&mut self, order: u64, ranges: &[Range<u64>]) {
        if !self.is_in_place || order <= self.unowned_at {
            return;
        }
        self.forget_owned(ranges);
        self.owned.extend(ranges.iter().map(|range| (range.clone(), order)));
        let many = self.owned.len().saturating_sub(OWNED_MAX);
        self.owned.drain(..many);
        self.is_owned_forgotten |= many > 0;
    }

    fn room(&self, frozen: u64, range: &Range<u64>) -> Room {
        if !self.is_in_place || range.is_empty() {
            return Room::Unknown;
        }
        let reserved = if self.reserved_at >= frozen { &self.reserved[..] } else { &[] };
        // What was written before a snapshot is the snapshot's as well.
        let owned = self.owned.iter().filter(|(_, order)| *order > frozen);
        let owned: Vec<Range<u64>> = owned.map(|(range, _)| range.clone()).collect();
        let missing = subtract(vec![range.clone()], reserved);
        if missing.is_empty() {
            return Room::Allocated;
        }
        let missing = subtract(missing, &owned);
        match missing.first() {
            None => Room::Owned,
            Some(_) if missing.iter().all(|part| part.start > range.start) => Room::First,
            Some(_) => Room::Unknown,
        }
    }
}

/// There is room for a range from now on.
pub(crate) fn reserve(judge: &mut Judge, file: FileId, range: Range<u64>) {
    let order = judge.model.order;
    let frozen = judge.frozen_at;
    let Some(regular) = judge.model.regular_mut(file) else { return };
    regular.last_allocated = range.clone();
    if !regular.is_in_place {
        return;
    }
    if regular.reserved_at < frozen {
        regular.reserved.clear();
    }
    regular.reserved_at = order.max(frozen);
    regular.reserved =
        subtract(std::mem::take(&mut regular.reserved), std::slice::from_ref(&range));
    regular.reserved.push(range);
}

/// Why nobody can say that a refusal was wrong, although there was room.
const REFUSED_AMONG_OTHERS: &str = "a write without room that others, or its sync, may have taken";

/// Files up to this size are allowed everywhere, unless there is a limit.
pub(crate) const FILE_SIZE_SURE: u64 = 1 << 31;

impl Judge {
    /// Would a file that ends there be longer than is allowed? An end beyond every number is
    /// another matter.
    pub(crate) fn is_beyond_limit(&self, end: Option<u64>) -> bool {
        let limit = self.promises.file_size_bytes_max;
        limit.is_some_and(|limit| end.is_some_and(|end| end > limit))
    }

    /// A write of some bytes was refused because the file would become too long, and the first of
    /// them lies there, or before: does it fit?
    pub(crate) fn judge_limit(&mut self, frame: &Frame, file: FileId, at: u64) {
        let limit = self.promises.file_size_bytes_max;
        if limit.is_some() {
            self.exercise("LIM-06");
        }
        let limit = limit.unwrap_or(FILE_SIZE_SURE);
        if at < limit && frame.overlapped {
            return self.pass_over("a write refused for the size of a file beside other calls");
        }
        self.exercise("LIM-01");
        if at >= limit {
            return;
        }
        let (subject, observed) = (self.model.path_text(file), format!("EFBIG at {at}"));
        let allowed = format!("what fits below {limit}");
        self.broken(frame, "LIM-01", subject, observed, allowed);
    }

    /// The file that a call may make longer, and its size before, if there is a limit.
    pub(crate) fn growing(&self, call: &Call) -> Option<(FileId, u64)> {
        self.promises.file_size_bytes_max?;
        let (Call::Write { handle, .. }
        | Call::Truncate { handle, .. }
        | Call::Allocate { handle, .. }
        | Call::CopyRange { to: handle, .. }
        | Call::CloneRange { to: handle, .. }) = call
        else {
            return None;
        };
        let file = self.model.handles.get(handle)?.file;
        Some((file, self.model.regular(file)?.size))
    }

    /// A call may have made a file longer than is allowed: it had this size before.
    pub(crate) fn judge_growth(&mut self, frame: &Frame, file: FileId, before: u64) {
        let Some(limit) = self.promises.file_size_bytes_max else { return };
        let Some(size) = self.model.regular(file).map(|regular| regular.size) else { return };
        if size <= before {
            return;
        }
        self.exercise("LIM-06");
        if size > limit {
            let (subject, observed) = (self.model.path_text(file), format!("a size of {size}"));
            self.broken(frame, "LIM-06", subject, observed, format!("at most {limit}"));
        }
    }

    /// Was there to be room for a write that failed for want of it? One that syncs may have failed
    /// in its sync.
    pub(crate) fn judge_room(
        &mut self,
        frame: &Frame,
        file: FileId,
        range: &Range<u64>,
        is_synced: bool,
    ) {
        let Some(regular) = self.model.regular(file) else { return };
        let room = regular.room(self.frozen_at, range);
        if room != Room::Unknown && self.has_device_lacked_space() {
            return self.pass_over(LESS_THAN_SAID);
        }
        let (clause, also, allowed) = match room {
            Room::Allocated => (
                "FALLOC-01",
                vec!["LIM-04", "LIM-01"],
                "room: it was allocated, in a file that is written in place",
            ),
            Room::Owned if !is_synced && !frame.overlapped => (
                "LIM-04",
                vec!["LIM-01"],
                "room: it was written and durable, in a file that is written in place",
            ),
            Room::First if !is_synced && !frame.overlapped => {
                ("LIM-01", Vec::new(), "a part: the first of it has room")
            }
            Room::Owned | Room::First => return self.pass_over(REFUSED_AMONG_OTHERS),
            Room::Unknown if regular.is_owned_forgotten => {
                return self.pass_over("a write without room, of a file with many written parts");
            }
            Room::Unknown => return,
        };
        let subject = self.model.path_text(file);
        let (step, chain) = (frame.step(), Vec::new());
        let observed = format!("ENOSPC for {}..{}", range.start, range.end);
        let allowed = vec![allowed.to_owned()];
        self.report(Violation { clause, also, step, subject, observed, allowed, chain });
    }

    /// A write had room where it was known to have some.
    pub(crate) fn note_room(&mut self, file: FileId, asked: &Range<u64>, is_short: bool) {
        let Some(regular) = self.model.regular(file) else { return };
        match regular.room(self.frozen_at, asked) {
            Room::Allocated => self.exercise("FALLOC-01"),
            Room::Owned => self.exercise("LIM-04"),
            Room::First if is_short => self.exercise("LIM-01"),
            Room::First | Room::Unknown => {}
        }
    }

    /// A mapped store was refused with a bus error: was there to be room for it, and nothing else
    /// that failed?
    pub(crate) fn judge_stored_room(&mut self, frame: &Frame, mapping: &Mapping, at: &Range<u64>) {
        let range = mapping.start.saturating_add(at.start)..mapping.start.saturating_add(at.end);
        let Some(regular) = self.model.regular(mapping.file) else { return };
        let is_owned =
            [Room::Allocated, Room::Owned].contains(&regular.room(self.frozen_at, &range));
        // Room may be kept behind the end of the file, where no page is.
        let is_inside = range.end <= regular.size;
        if !is_owned || !is_inside {
            return;
        }
        if frame.overlapped || !self.testifies || self.has_failed {
            return self.pass_over(REFUSED_AMONG_OTHERS);
        }
        let subject = self.model.path_text(mapping.file);
        let observed = format!("SIGBUS for {}..{}", range.start, range.end);
        let allowed = "room: the file has it there, and is written in place".to_owned();
        self.broken(frame, "LIM-04", subject, observed, allowed);
    }
}

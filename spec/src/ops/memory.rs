//! Mapped memory: what an access may be answered is the same for loads and stores.
//!
//! [MAP-14] comes before [MAP-08]; where both signals have a cause, either is right. A bus error
//! inside the file is right as well: it is how an access says that the bytes cannot be had.

use std::ops::Range;
use std::sync::Arc;

use crate::model::MEMORY_PAGE_BYTES;
use crate::model::Mapping;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::load;
use crate::ops::mmap;
use crate::ops::mprotect;
use crate::ops::msync;
use crate::ops::munmap;
use crate::ops::store;
use crate::words::Access;
use crate::words::MappingId;
use crate::words::Memory;
use crate::words::Outcome;
use crate::words::Signal;
use crate::words::Value;

pub(crate) fn judge(judge: &mut Judge, frame: &Frame, asked: &Memory, outcome: &Outcome) {
    match asked {
        Memory::Map { .. } => mmap::judge(judge, frame, asked, outcome),
        Memory::Unmap { mapping, offset, len } => {
            munmap::judge(judge, frame, *mapping, *offset..offset.saturating_add(*len), outcome);
        }
        Memory::Protect { mapping, offset, len, access } => {
            let range = *offset..offset.saturating_add(*len);
            mprotect::judge(judge, frame, *mapping, range, *access, outcome);
        }
        Memory::Store { mapping, offset, data } => {
            store::judge(judge, frame, *mapping, *offset, data, outcome);
        }
        Memory::Load { mapping, offset, len } => {
            load::judge(judge, frame, *mapping, *offset, *len, outcome);
        }
        Memory::SyncMapping { mapping, offset, len, wait, .. } => {
            let range = *offset..offset.saturating_add(*len);
            msync::judge(judge, frame, *mapping, range, *wait, outcome);
        }
    }
}

impl Judge {
    /// The mapping of an access, or the judgement of its answer if there is none.
    pub(crate) fn mapping_of_access(
        &mut self,
        frame: &Frame,
        id: MappingId,
        outcome: &Outcome,
    ) -> Option<Arc<Mapping>> {
        let known = self.mapping(frame, id, outcome);
        let is_let_through = !matches!(outcome, Ok(Value::Signal(_)) | Err(_));
        if known.is_none() && is_let_through && id <= self.model.last_mapping {
            let (subject, observed) = (format!("mapping {}", id.0), "no signal".to_owned());
            let allowed = "SIGSEGV: it is not mapped any more".to_owned();
            self.broken(frame, "MAP-14", subject, observed, allowed);
        }
        known
    }

    /// The mapping, or the judgement of an answer about one that was never there.
    pub(crate) fn mapping(
        &mut self,
        frame: &Frame,
        id: MappingId,
        outcome: &Outcome,
    ) -> Option<Arc<Mapping>> {
        let known = self.model.mappings.get(&id).cloned();
        let is_known = id <= self.model.last_mapping;
        if !is_known && outcome.is_ok() {
            let what = "malformed trace: success on a mapping that was never made";
            self.undecided(frame.step(), what);
        }
        known
    }

    /// Judges whether an access was let through; true if it was, and should have been. One that
    /// may need room may lack it [MAP-11].
    pub(crate) fn accessed(
        &mut self,
        frame: &Frame,
        mapping: &Mapping,
        (range, may_need_room): (&Range<u64>, bool),
        may: impl Fn(Access) -> bool,
        outcome: &Outcome,
    ) -> bool {
        let Ok(value) = outcome else { return false };
        let is_permitted = mapping.permits(range, may);
        let regular = self.model.regular(mapping.file);
        let (size, most) = regular.map_or((0, 0), |of| (of.size, of.size_most()));
        let end = most.checked_next_multiple_of(MEMORY_PAGE_BYTES).unwrap_or(u64::MAX);
        let is_beyond = mapping.start.saturating_add(range.end) > end;
        self.exercise("MAP-14");
        if is_beyond {
            self.exercise("MAP-08");
        }
        let told = match value {
            Value::Signal(signal) => Some(*signal),
            Value::Done
            | Value::Handle { .. }
            | Value::Data(_)
            | Value::Count(_)
            | Value::Offset(_)
            | Value::Stat(_)
            | Value::Entries(_)
            | Value::Target(_)
            | Value::Same(_)
            | Value::AttributeValue(_)
            | Value::AttributeNames(_)
            | Value::Mapping(_)
            | Value::Lock(_)
            | Value::Space { .. } => None,
        };
        let (clause, allowed) = match (is_permitted, told) {
            (false, None) => ("MAP-14", "SIGSEGV: the mapping does not permit it"),
            (true, Some(Signal::Segv)) => ("MAP-14", "what the mapping permits"),
            (true, None) if is_beyond => ("MAP-08", "SIGBUS: the page is beyond the end"),
            (true, None) => return true,
            (true, Some(Signal::Bus)) if may_need_room => {
                self.judge_stored_room(frame, mapping, range);
                return false;
            }
            (true, Some(Signal::Bus)) if mapping.start.saturating_add(range.end) <= size => {
                let subject = self.model.path_text(mapping.file);
                self.failed_without_cause(frame, &subject, "SIGBUS");
                return false;
            }
            (false | true, Some(_)) => return false,
        };
        let subject = self.model.path_text(mapping.file);
        let what = match told {
            None => "no signal",
            Some(Signal::Bus) => "SIGBUS",
            Some(Signal::Segv) => "SIGSEGV",
        };
        let at = mapping.start.saturating_add(range.start);
        let observed = format!("{what} at {at}, with the file's end at {size}");
        self.broken(frame, clause, subject, observed, allowed.to_owned());
        false
    }
}

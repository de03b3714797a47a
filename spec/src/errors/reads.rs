//! What a read may find: the newest bytes; after a failure, what is promised about failures.

use std::ops::Range;

use bytes::Bytes;

use crate::errors::Lost;
use crate::errors::mapped;
use crate::errors::may_revert;
use crate::errors::placed;
use crate::model::FileId;
use crate::model::Origin;
use crate::model::Past;
use crate::model::Promise;
use crate::model::Regular;
use crate::model::Run;
use crate::model::common;
use crate::model::differs;
use crate::model::overlaps;
use crate::model::subtract;
use crate::model::was_since;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::promise::AfterFailure;
use crate::violation::Violation;
use crate::violation::show;
use crate::words::MappingId;
use crate::words::Step;

/// By which way bytes were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// `read`.
    Read,
    /// `read`, past the cache.
    Direct,
    /// A shared mapping.
    Mapped(MappingId),
    /// A private mapping.
    Private(MappingId),
}

const READS_KEPT_MAX: usize = 16;

impl Judge {
    /// The clause that a wrong size of a file breaks.
    pub(crate) fn size_clause(&self, file: FileId) -> &'static str {
        let Some(regular) = self.model.regular(file) else { return "DATA-RW-01" };
        if self.model.file(file).names == 0 {
            return "NS-UNLINK-01";
        }
        match regular.size_clause {
            Some(clause) if clause.starts_with("TRUNC") => clause,
            Some(_) | None if !regular.maybes.is_empty() && self.enforces("DATA-ERR-01") => {
                "DATA-ERR-01"
            }
            Some(clause) => clause,
            None => "DATA-RW-01",
        }
    }
}

/// A file is seen to have at least this size.
pub(crate) fn size_at_least(judge: &mut Judge, frame: &Frame, file: FileId, size: u64) {
    if judge.model.regular(file).is_some_and(|regular| size > regular.size) {
        check_size(judge, frame, file, size, false);
    }
}

/// A file is seen to have this size.
pub(crate) fn size_is(judge: &mut Judge, frame: &Frame, file: FileId, size: u64) {
    check_size(judge, frame, file, size, true);
    let order = judge.model.order;
    if let Some(regular) = judge.model.regular_mut(file).filter(|_| !frame.overlapped) {
        regular.sized_order = order;
        regular.sized_at = Some(frame.step());
    }
}

fn check_size(judge: &mut Judge, frame: &Frame, file: FileId, size: u64, is_whole: bool) {
    let clause = judge.size_clause(file);
    judge.exercise(clause);
    // A snapshot that other calls overlapped has the size of one of its moments.
    let order = judge.model.order;
    let is_between = judge.is_in_between();
    let Some(regular) = judge.model.regular_mut(file) else { return };
    let (expected, most) = (regular.size, regular.size_most());
    if is_between {
        regular.size = size;
        return judge.note_cut_size(frame, file, size, is_whole);
    }
    if size == expected {
        return;
    }
    let stored = regular.tail.runs(expected..size.max(expected));
    let is_stored = !stored.is_empty() && stored.iter().all(|run| run.data.is_some());
    let is_searched = regular.searched > regular.sized_at && regular.sized_at.is_some();
    let is_beyond = size > expected && size <= regular.reserved_beyond;
    regular.size = size;
    if size > expected && size <= most {
        return;
    }
    if size < expected
        && let Some(regular) = judge.model.regular_mut(file)
    {
        regular.live.put(size..u64::MAX, None, order, None);
    }
    let clause = match (is_stored, is_searched, is_beyond) {
        (true, ..) => "MAP-07",
        (false, true, _) => "SEEK-07",
        (false, false, true) => "FALLOC-05",
        (false, false, false) => clause,
    };
    let subject = judge.model.path_text(file);
    judge.broken(frame, clause, subject, format!("size {size}"), format!("size {expected}"));
}

/// Compares bytes that were read with what they may be; afterwards they are what was read.
pub(crate) fn compare(
    judge: &mut Judge,
    frame: &Frame,
    file: FileId,
    at: u64,
    data: &Bytes,
    view: View,
) {
    judge.exercise("DATA-RW-01");
    if data.is_empty() {
        return;
    }
    let end = at.saturating_add(data.len() as u64);
    if frame.overlapped {
        judge.exercise("DATA-RW-06");
    }
    if judge.model.file(file).names == 0 {
        judge.exercise("NS-UNLINK-02");
    }
    let allocated = judge.model.regular(file).map(|regular| regular.last_allocated.clone());
    if allocated.is_some_and(|allocated| overlaps(&allocated, &(at..end))) {
        judge.exercise("FALLOC-02");
    }
    let bytes = Some(data.clone());
    let found =
        Run { start: at, end, data: bytes, order: 0, promise: None, origin: Origin::Written };
    let Some(regular) = judge.model.regular(file) else { return };
    let mut wrong: Vec<(u64, u64, Run)> = Vec::new();
    let (mut crosses, mut is_synced) = (false, false);
    for run in regular.live.runs(at..end) {
        if is_by_other_way(&run, view) && !frame.overlapped {
            crosses = true;
            is_synced |= promised(regular, run.start, run.order).is_some();
        }
        let mut from = run.start;
        while let Some(first) = differs(&run, &found, from, run.end) {
            let same = |at: &u64| run.byte(*at) == found.byte(*at);
            let last = (first..run.end).find(same).unwrap_or(run.end);
            wrong.push((first, last, run.clone()));
            from = last;
        }
    }
    if crosses {
        judge.exercise("DATA-DIO-01");
    }
    if is_synced {
        judge.exercise("DATA-DIO-02");
    }
    note_kept(judge, frame, file, (at, end), &wrong);
    let mut reported = false;
    for (from, to, run) in wrong {
        let told = found.part(from, to).unwrap_or_default();
        if !explained(judge, frame, file, from, &told, &run) && !reported {
            reported = true;
            report(judge, frame, file, (from, &told, view), &run);
        }
        if !frame.overlapped
            && let Some(regular) = judge.model.regular_mut(file)
        {
            regular.live.correct(from..to, told, &run);
        }
    }
    note(judge, frame, file, at, end);
    judge.note_cut(frame, file, at, data);
}

/// What promised that a byte is durable as a change of this order left it.
fn promised(regular: &Regular, at: u64, order: u64) -> Option<Promise> {
    let floor = regular.floor.runs(at..at.saturating_add(1)).into_iter();
    floor.filter(|floor| floor.order == order).find_map(|floor| floor.promise)
}

/// Did bytes go one way, past the cache or through it, and are they read the other way?
fn is_by_other_way(run: &Run, view: View) -> bool {
    run.data.is_some() && (run.origin == Origin::Direct) != (view == View::Direct)
}

/// Notes which lost bytes were read as they had been written, after a sync had said success.
fn note_kept(
    judge: &mut Judge,
    frame: &Frame,
    file: FileId,
    (at, end): (u64, u64),
    wrong: &[(u64, u64, Run)],
) {
    let Some(regular) = judge.model.regular_mut(file).filter(|file| !file.lost.is_empty()) else {
        return;
    };
    let wrong: Vec<Range<u64>> = wrong.iter().map(|(from, to, _)| *from..*to).collect();
    let runs = regular.live.runs(at..end);
    let mut is_exercised = false;
    regular.lost.note(&(at..end), |lost| {
        is_exercised |= lost.passed.is_some();
        if lost.passed.is_none() || frame.overlapped {
            return;
        }
        let written = runs.iter().filter(|run| run.order <= lost.order);
        let seen: Vec<Range<u64>> = written.map(|run| run.start..run.end).collect();
        let seen = subtract(common(seen, &lost.ranges), &wrong);
        lost.seen_since.extend(subtract(seen, &lost.seen_since));
    });
    if is_exercised {
        judge.exercise("RSTAB-03");
    }
}

fn note(judge: &mut Judge, frame: &Frame, file: FileId, at: u64, end: u64) {
    let Some(regular) = judge.model.regular_mut(file) else { return };
    let has_lost = !regular.lost.is_empty();
    regular.reads.push_back((at..end, frame.step()));
    if regular.reads.len() > READS_KEPT_MAX {
        regular.reads.pop_front();
    }
    judge.exercise("RSTAB-01");
    if has_lost {
        judge.exercise("RSTAB-02");
    }
}

/// Do failed writes, losses or overlapping calls explain bytes that differ?
fn explained(
    judge: &mut Judge,
    frame: &Frame,
    file: FileId,
    from: u64,
    told: &Bytes,
    run: &Run,
) -> bool {
    let Some(regular) = judge.model.regular(file) else { return false };
    let to = from + told.len() as u64;
    let is_late = |lost: &Lost| judge.enforces("RSTAB-03") && lost.was_seen_since(&(from..to));
    let reverts =
        regular.lost.meeting(&(from..to)).any(|lost| may_revert(judge, lost) && !is_late(lost));
    let is_lost = judge.frozen.is_some() && regular.lost.meeting(&(from..to)).next().is_some();
    let reverts = reverts || is_lost;
    let has_fallen_back = has_fallen_back(judge, regular, &(from..to));
    let mut is_forgotten = false;
    let explained = told.iter().zip(from..).all(|(byte, at)| {
        let failed = regular.may_be_otherwise(at, *byte, run.order);
        let reverts = reverts || (has_fallen_back && regular.may_have_failed(at, run.order));
        if failed || (reverts && regular.may_have_been(at, *byte)) {
            return true;
        }
        let past = match judge.was_in_between(file, at, *byte) {
            Past::Other if frame.overlapped => was_meanwhile(judge, frame, file, at, *byte),
            past @ (Past::Was | Past::Other | Past::Forgotten) => past,
        };
        is_forgotten |= past == Past::Forgotten;
        past != Past::Other
    });
    if is_forgotten {
        judge.pass_over("bytes that were overwritten and synced while they were read");
    }
    explained
}

/// Was a byte this at some moment while a call was under way? A snapshot never changes.
fn was_meanwhile(judge: &Judge, frame: &Frame, file: FileId, at: u64, byte: u8) -> Past {
    let Some(now) = judge.model.regular(file).filter(|_| judge.frozen.is_none()) else {
        return Past::Other;
    };
    let began = judge.began.get(&frame.called);
    match began.and_then(|began| began.regular(file)) {
        Some(before) => was_since(before, now, at, byte, |_| true),
        None if now.may_have_been(at, byte) => Past::Was,
        None => Past::Other,
    }
}

/// May the page have given up what a failed write had left in it?
fn has_fallen_back(judge: &Judge, regular: &Regular, range: &Range<u64>) -> bool {
    let meets = |ranges: &[Range<u64>]| ranges.iter().any(|lost| overlaps(lost, range));
    let is_lost = meets(&regular.lost_unacknowledged);
    match judge.promises.error.after_failure {
        AfterFailure::KeepsNew => false,
        AfterFailure::MayRevertAfterEviction if judge.testifies => {
            is_lost && meets(&regular.evicted_unacknowledged)
        }
        AfterFailure::MayRevertAfterEviction | AfterFailure::MayRevert => is_lost,
    }
}

fn report(
    judge: &mut Judge,
    frame: &Frame,
    file: FileId,
    (from, told, view): (u64, &Bytes, View),
    run: &Run,
) {
    let Some(regular) = judge.model.regular(file) else { return };
    let to = from + told.len() as u64;
    let older = told.iter().zip(from..).all(|(byte, at)| regular.may_have_been(at, *byte));
    let lost = regular.lost.meeting(&(from..to)).next().cloned();
    let passed = lost.as_ref().filter(|lost| lost.was_seen_since(&(from..to)));
    let passed = passed.and_then(|lost| lost.passed).filter(|_| judge.enforces("RSTAB-03"));
    let may_revert = judge.promises.error.after_failure == AfterFailure::MayRevert;
    let earlier = regular.reads.iter().find(|(read, _)| overlaps(read, &(from..to))).cloned();
    let subject = judge.model.path_text(file);
    let promised = promised(regular, from, run.order);
    let right = match regular.log.get(&run.order) {
        Some(change) => Some((change.step, change.describe(&subject))),
        None => promised
            .map(|promise| (promise.step, "the right bytes were durable from here on".to_owned())),
    };
    let chain = what_happened(right, lost.as_ref(), passed, earlier.as_ref().map(|read| read.1));
    let mut special = Vec::new();
    if !frame.overlapped && is_by_other_way(run, view) {
        special.push("DATA-DIO-01");
        // A sync that covered these bytes said success: nothing told that the two ways differ.
        special.extend(promised.is_some().then_some("DATA-DIO-02"));
    }
    special.extend(placed::clauses(judge, file, from, told, run, older));
    if let (Some((_, read)), Some(searched)) = (&earlier, regular.searched)
        && *read < searched
    {
        special.push("SEEK-07");
    }
    special.extend(mapped::clauses(judge, file, (from, told, view), run, older));
    let clause = match (&lost, &earlier) {
        (None, _) if !special.is_empty() => special[0],
        (Some(_), _) if older && may_revert && passed.is_some() => "RSTAB-03",
        (Some(_), Some(_)) if older => "RSTAB-01",
        (Some(_), None) if older => "RSTAB-02",
        (Some(_), _) => "DATA-RW-03",
        (None, Some(_)) if !older => "RSTAB-01",
        (None, _) => foreign(judge, file, from, told, run, older),
    };
    let is_given_away = judge.model.file(file).names == 0 && !older && lost.is_none();
    let clause = match (&judge.frozen, &earlier) {
        (None, _) => clause,
        (Some(_), Some(_)) => "SNAP-04",
        (Some(_), None) if promised.is_some() => "SNAP-03",
        (Some(_), None) => "SNAP-01",
    };
    let verb = if matches!(view, View::Read | View::Direct) { "read" } else { "loaded" };
    let expected = run.part(from, to).unwrap_or_else(|| vec![0; told.len()].into());
    // Foreign bytes in a file without names: its space was given away too early. What is of none
    // of the versions of calls that overlap is of no order of them.
    let is_late = passed.is_some() && older && clause != "RSTAB-03";
    let is_given_up = lost.is_some() && judge.enforces("ERR-SUSP-01") && older;
    let broken = [
        ("NS-UNLINK-02", is_given_away),
        ("DATA-RW-06", frame.overlapped),
        ("RSTAB-03", is_late),
        ("ERR-SUSP-01", is_given_up),
    ];
    let mut also = if clause == *special.first().unwrap_or(&"") { special } else { Vec::new() };
    also.extend(broken.into_iter().filter(|(_, breaks)| *breaks).map(|(id, _)| id));
    judge.report(Violation {
        clause,
        also,
        step: frame.step(),
        subject,
        observed: format!("{verb} {} at {from}", show(told)),
        allowed: vec![show(&expected)],
        chain,
    });
}

/// What explains wrong bytes, in its order: where the right ones come from, the failure, a success
/// that hid it, and an earlier read.
fn what_happened(
    right: Option<(Step, String)>,
    lost: Option<&Lost>,
    passed: Option<Step>,
    read: Option<Step>,
) -> Vec<(Step, String)> {
    let failed = lost.map(|lost| (lost.step, format!("writeback failed: {}", lost.errno.name())));
    let said = "a sync said success, and the new bytes were read later";
    let said = passed.map(|step| (step, said.to_owned()));
    let read = read.map(|step| (step, "read, and nothing was changed since".to_owned()));
    let mut chain: Vec<_> = [right, failed, said, read].into_iter().flatten().collect();
    chain.sort();
    chain
}

/// Which clause bytes break that differ without a failure.
fn foreign(
    judge: &Judge,
    file: FileId,
    from: u64,
    told: &Bytes,
    run: &Run,
    older: bool,
) -> &'static str {
    let Some(regular) = judge.model.regular(file) else { return "DATA-RW-01" };
    let failed = regular.maybes.values().any(|change| change.range().contains(&from));
    let appended = regular.last_append.as_ref().is_some_and(|data| data.starts_with(told));
    let is_newest = run.order == regular.last_order;
    let is_zero = told.iter().all(|byte| *byte == 0);
    let other = judge.model.last_write.as_ref().filter(|(other, data)| {
        *other != file && !is_zero && data.windows(told.len()).any(|part| part == told)
    });
    let gone = other.is_some_and(|(other, _)| judge.model.file(*other).names == 0);
    match (run.data.is_some(), older) {
        _ if failed && judge.enforces("DATA-ERR-01") => "DATA-ERR-01",
        _ if appended => "APP-01",
        _ if regular.last_allocated.contains(&from) => "FALLOC-02",
        _ if gone && judge.enforces("DATA-STALE-01") => "DATA-STALE-01",
        _ if other.is_some() && judge.enforces("DATA-ISO-01") => "DATA-ISO-01",
        (true, true) if !is_zero => "DATA-RW-02",
        (true, true) if is_newest => "DATA-RW-01",
        (true, false) if is_zero && is_newest => "DATA-RW-01",
        (true, _) => "DATA-RW-03",
        (false, _) if run.order > 0 => "TRUNC-01",
        (false, _) => "DATA-RW-04",
    }
}

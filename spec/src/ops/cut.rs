//! The order of what a snapshot holds [SNAP-02]: if it shows a change, then every change that was
//! acknowledged before that one began.
//!
//! Judged by what is read of it. Each byte had one version after the other, and shows one of them:
//! the change that made it is in the snapshot, and those that came later are not. If several are
//! alike, the weakest conclusion counts. Sizes are versions as well.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;

use crate::model::Change;
use crate::model::Effect;
use crate::model::FileId;
use crate::model::Regular;
use crate::model::Run;
use crate::model::overlaps;
use crate::model::resized;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::violation::Violation;
use crate::words::Step;

/// What reading a snapshot has shown of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut {
    /// The change in it that began last, and what it is.
    has: Option<(Step, String)>,
    /// The change not in it that was acknowledged first, and what it is.
    lacks: Option<(Step, String)>,
    /// Is it not known which changes came before the snapshot, and which after it?
    pub(crate) is_of_any_moment: bool,
}

/// So many times a byte is compared with a version, for one read.
const COMPARISONS_MAX: usize = 1 << 20;

/// A read of a file with a longer history is left alone.
const CHANGES_MAX: usize = 2048;

/// One of the versions of a byte or of a size: of a change, or of what was promised before.
struct Version<'a> {
    change: Option<&'a Change>,
    floor: Option<Run>,
    size: u64,
}

impl Version<'_> {
    fn acked(&self) -> Option<Step> {
        let promised = self.floor.as_ref().and_then(|floor| floor.promise);
        match self.change {
            // Where it went is not known: it may be in the snapshot and not be seen.
            Some(Change { effect: Effect::Append { .. }, .. }) => None,
            Some(change) => change.acked,
            None => promised.map(|promise| promise.step),
        }
    }

    fn describe(&self, path: &str) -> String {
        self.change.map_or_else(|| format!("durable bytes of {path}"), |of| of.describe(path))
    }
}

/// The versions that a file had, by the order of the changes.
struct History<'a> {
    /// When the call began that made the snapshot, if others overlapped it.
    before: Option<&'a Regular>,
    now: &'a Regular,
}

impl<'a> History<'a> {
    fn regulars(&self) -> impl Iterator<Item = &'a Regular> + use<'a> {
        self.before.into_iter().chain(std::iter::once(self.now))
    }

    /// The changes of bytes in a range.
    fn changes(&self, range: &Range<u64>) -> BTreeMap<u64, &'a Change> {
        let all = self.regulars().flat_map(|regular| regular.since(0));
        all.filter(|(_, change)| overlaps(&change.range(), range)).collect()
    }

    /// The versions of the bytes of a range between two edges, by order.
    fn versions(
        &self,
        changes: &BTreeMap<u64, &'a Change>,
        range: Range<u64>,
    ) -> Vec<(u64, Version<'a>)> {
        let covers = changes.iter().filter(|(_, change)| change.range().contains(&range.start));
        let version = |(order, change): (&u64, &&'a Change)| {
            (*order, Version { change: Some(change), floor: None, size: 0 })
        };
        let mut found: BTreeMap<u64, Version<'a>> = covers.map(version).collect();
        for regular in self.regulars() {
            for floor in regular.floor.runs(range.clone()) {
                let order = floor.order;
                let promised = || Version { change: None, floor: Some(floor), size: 0 };
                found.entry(order).or_insert_with(promised);
            }
        }
        found.into_iter().collect()
    }

    /// Where the versions of bytes of a range may change.
    fn edges(&self, changes: &BTreeMap<u64, &'a Change>, range: &Range<u64>) -> BTreeSet<u64> {
        let mut edges = BTreeSet::from([range.start, range.end]);
        let mut add = |of: Range<u64>| {
            edges.extend([of.start, of.end].into_iter().filter(|edge| range.contains(edge)));
        };
        changes.values().for_each(|change| add(change.range()));
        for regular in self.regulars() {
            regular.maybes.values().for_each(|change| add(change.range()));
            for floor in regular.floor.runs(range.clone()) {
                add(floor.start..floor.end);
            }
        }
        edges
    }

    /// May a change that failed be in a byte?
    fn is_unsure(&self, at: u64) -> bool {
        let mut failed = self.regulars().flat_map(|regular| regular.maybes.values());
        failed.any(|change| change.range().contains(&at))
    }

    /// May one be in some byte of a range?
    fn is_unsure_in(&self, range: &Range<u64>) -> bool {
        let mut failed = self.regulars().flat_map(|regular| regular.maybes.values());
        failed.any(|change| overlaps(&change.range(), range))
    }

    fn holds(&self, (order, version): &(u64, Version<'_>), at: u64, byte: u8) -> bool {
        let mut copied = self.regulars().filter_map(|regular| regular.copies.get(*order));
        let is_itself = match (version.change, &version.floor) {
            (Some(change), _) => change.may_hold(at, byte),
            (None, Some(floor)) => floor.byte(at) == byte,
            (None, None) => false,
        };
        is_itself || copied.any(|copied| copied.may_hold(at, byte))
    }
}

/// What versions are known to be in a snapshot, and not to be in it.
struct Shown<'a> {
    path: &'a str,
    cut: Cut,
    is_blind: bool,
}

impl Shown<'_> {
    /// Of some versions, these are seen, or one of them: none of those after the last is in it.
    fn note(&mut self, versions: &[(u64, Version<'_>)], seen: &[usize]) {
        let Some(last) = seen.last() else { return };
        let began = |index: &usize| versions[*index].1.change.map(|change| (change.step, *index));
        let began: Option<Vec<(Step, usize)>> = seen.iter().map(began).collect();
        let first = began.and_then(|began| began.into_iter().min());
        if let Some((step, index)) = first {
            self.is_blind = false;
            if self.cut.has.as_ref().is_none_or(|(other, _)| *other < step) {
                self.cut.has = Some((step, versions[index].1.describe(self.path)));
            }
        }
        for (_, version) in &versions[last + 1..] {
            let Some(acked) = version.acked() else { continue };
            self.is_blind = false;
            if self.cut.lacks.as_ref().is_none_or(|(other, _)| acked < *other) {
                self.cut.lacks = Some((acked, version.describe(self.path)));
            }
        }
    }
}

impl Judge {
    /// Bytes of a file were read from a snapshot.
    pub(crate) fn note_cut(&mut self, frame: &Frame, file: FileId, at: u64, told: &Bytes) {
        let Some(frozen) = &self.frozen else { return };
        if frozen.cut.is_of_any_moment {
            return self.pass_over("the order in a snapshot of which the moment is not known");
        }
        let between = frozen.between.as_deref();
        let model = between.map_or(&self.model, |(_, after)| after);
        let Some(now) = model.regular(file) else { return };
        let before = between.and_then(|(before, _)| before.regular(file));
        let history = History { before, now };
        if history.regulars().any(|regular| !regular.lost.is_empty()) {
            return self.pass_over("the order in a snapshot of a file that lost bytes");
        }
        let path = model.path_text(file);
        let mut shown = Shown { path: &path, cut: frozen.cut.clone(), is_blind: true };
        if !note_bytes(&mut shown, &history, at, told) {
            return self.pass_over("the order in a snapshot of a file with a long history");
        }
        let Shown { cut, is_blind, .. } = shown;
        if history.is_unsure_in(&(at..at.saturating_add(told.len() as u64))) {
            self.pass_over("the order in a snapshot of bytes that a failed write may have changed");
        }
        self.judge_cut(frame, cut, is_blind, path);
    }

    /// A file was seen to be so long, or longer, in a snapshot that other calls overlapped.
    pub(crate) fn note_cut_size(&mut self, frame: &Frame, file: FileId, size: u64, is_whole: bool) {
        let Some(frozen) = &self.frozen else { return };
        let Some((before, after)) = frozen.between.as_deref() else { return };
        let absent = Regular::default();
        let before = before.regular(file).unwrap_or(&absent);
        let Some(now) = after.regular(file) else {
            return self
                .pass_over("the size in a snapshot of a file that was gone when it was made");
        };
        let is_sure = before.maybes.is_empty() && now.maybes.is_empty() && now.lost.is_empty();
        if !is_sure || now.forgets_since(before.last_order) {
            return self.pass_over("sizes in a snapshot that syncs or failures overlapped");
        }
        let path = after.path_text(file);
        let mut last = before.size;
        let mut versions = vec![(0, Version { change: None, floor: None, size: last })];
        let since: BTreeMap<u64, &Change> = now.since(before.last_order).collect();
        for (order, change) in since {
            let size = resized(last, change);
            if size != last {
                versions.push((order, Version { change: Some(change), floor: None, size }));
            }
            last = size;
        }
        let is_seen = |of: u64| if is_whole { of == size } else { of >= size };
        let seen = versions.iter().enumerate().filter(|(_, (_, version))| is_seen(version.size));
        let seen: Vec<usize> = seen.map(|(index, _)| index).collect();
        let mut shown = Shown { path: &path, cut: frozen.cut.clone(), is_blind: true };
        shown.note(&versions, &seen);
        let sizes: BTreeSet<u64> = versions.iter().map(|(_, version)| version.size).collect();
        let Shown { cut, is_blind, .. } = shown;
        self.exercise("SNAP-01");
        if seen.is_empty() {
            let allowed = sizes.iter().map(|size| format!("size {size}"));
            self.report(Violation {
                clause: "SNAP-01",
                also: Vec::new(),
                step: frame.step(),
                subject: path.clone(),
                observed: format!("size {size}"),
                allowed: allowed.collect(),
                chain: Vec::new(),
            });
        }
        self.judge_cut(frame, cut, is_blind, path);
    }

    /// A snapshot that shows nothing of what was changed lately says nothing of the order.
    fn judge_cut(&mut self, frame: &Frame, cut: Cut, is_blind: bool, subject: String) {
        if !is_blind {
            self.exercise("SNAP-02");
        }
        if let (Some((began, has)), Some((acked, lacks))) = (&cut.has, &cut.lacks)
            && acked < began
        {
            self.report(Violation {
                clause: "SNAP-02",
                also: Vec::new(),
                step: frame.step(),
                subject,
                observed: format!("it holds the {has}, and lacks the {lacks}"),
                allowed: vec!["with a change, every one acknowledged before it began".to_owned()],
                chain: vec![
                    (*acked, format!("{lacks}: acknowledged")),
                    (*began, format!("{has}: began")),
                ],
            });
        }
        if let Some(frozen) = &mut self.frozen {
            frozen.cut = cut;
        }
    }
}

/// Compares bytes with the versions that they had. False if those are too many.
fn note_bytes(shown: &mut Shown<'_>, history: &History<'_>, at: u64, told: &Bytes) -> bool {
    let range = at..at.saturating_add(told.len() as u64);
    let changes = history.changes(&range);
    if changes.len() > CHANGES_MAX {
        return false;
    }
    let edges: Vec<u64> = history.edges(&changes, &range).into_iter().collect();
    let mut comparisons = 0;
    for part in edges.windows(2) {
        let (start, end) = (part[0], part[1]);
        if history.is_unsure(start) {
            continue;
        }
        let versions = history.versions(&changes, start..end);
        let bytes = &told[crate::model::index(start - at)..crate::model::index(end - at)];
        comparisons += versions.len() * bytes.len();
        if comparisons > COMPARISONS_MAX {
            return false;
        }
        let mut before: Option<Vec<usize>> = None;
        for (at, byte) in (start..).zip(bytes) {
            let seen = versions.iter().enumerate().filter(|(_, of)| history.holds(of, at, *byte));
            let seen: Vec<usize> = seen.map(|(index, _)| index).collect();
            if before.as_ref() != Some(&seen) {
                shown.note(&versions, &seen);
            }
            before = Some(seen);
        }
    }
    true
}

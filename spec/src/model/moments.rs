//! What bytes that were copied may be, where it is not known what the source held then.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use imbl::OrdMap;

use crate::model::Change;
use crate::model::Effect;
use crate::model::FileId;
use crate::model::Regular;
use crate::model::Run;
use crate::model::overlaps;

/// So many copies of copies are looked through; of what was copied still more often, nothing is
/// known. It bounds the depth of all questions.
const DEPTH_MAX: u32 = 256;

/// With more copies than this, and twice as many as were kept the last time, those are forgotten
/// that are of no bytes any more.
const KEPT_LEAST: usize = 64;

/// Of a file with more copies than this, all are taken to matter to all of its bytes.
const SOUGHT_MAX: usize = 1024;

/// The versions of a source during the call that copied from it.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    /// When the call began; absent if nothing else was under way.
    before: Option<Arc<Regular>>,
    /// When it answered.
    after: Arc<Regular>,
    copied: Copied,
    /// How many copies of copies there are.
    depth: u32,
}

/// What was copied, and what may be true of its source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copied {
    /// Which bytes of the source.
    pub(crate) from: Range<u64>,
    /// Where the range begins in the destination.
    pub(crate) to: u64,
    /// Is only what was stored through mappings of any moment [COPY-03]?
    pub(crate) is_whole: bool,
    /// May the source have read as it was before a failure?
    pub(crate) reverts: bool,
    /// Is nothing known of the source?
    pub(crate) is_any: bool,
}

/// What is passed over where a copy is of too many copies.
pub(crate) const TOO_DEEP: &str = "bytes of a copy of more than 256 copies, one of another";

/// Of bytes that were copied, which others they may be, by the order of the change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copies {
    by_order: OrdMap<u64, Arc<Moments>>,
    /// How many there were when those of no bytes were forgotten last.
    kept: usize,
    /// No copy has more copies of copies.
    depth: u32,
}

/// A file that a range is shared with.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) file: FileId,
    /// Where the range begins there, and here; how long it is.
    pub(crate) there: u64,
    pub(crate) here: u64,
    pub(crate) len: u64,
    /// The change that shared it.
    pub(crate) order: u64,
}

/// What was asked while one byte is explained: copies lead to the same versions by many ways, and
/// who was asked once answers nothing new.
#[derive(Debug, Default)]
struct Asked(BTreeSet<(*const Moments, u64)>);

impl Copies {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_order.is_empty()
    }

    pub(crate) fn get(&self, order: u64) -> Option<&Moments> {
        self.by_order.get(&order).map(Arc::as_ref)
    }

    fn insert(&mut self, order: u64, moments: Arc<Moments>) {
        // Of what is too deep nothing is asked: it is the end of the ways to it.
        self.depth = self.depth.max(if moments.is_too_deep() { 0 } else { moments.depth });
        self.by_order.insert(order, moments);
    }

    /// All of them that are needed.
    fn only(&self, is_needed: impl Fn(u64) -> bool) -> Self {
        let mut only = Self::default();
        let needed = self.by_order.iter().filter(|(order, _)| is_needed(**order));
        needed.for_each(|(order, moments)| only.insert(*order, Arc::clone(moments)));
        only.kept = only.by_order.len();
        only
    }
}

impl Moments {
    /// The versions of what was copied, from when the call began to when it answered.
    pub(crate) fn new(
        before: Option<Arc<Regular>>,
        after: Arc<Regular>,
        copied: Copied,
    ) -> Arc<Self> {
        let before = before.map(|before| before.within(&copied.from));
        let after = after.within(&copied.from);
        let of_before = before.as_ref().map_or(0, |before| before.copies.depth);
        let depth = 1 + after.copies.depth.max(of_before);
        Arc::new(if depth <= DEPTH_MAX {
            Self { before, after, copied, depth }
        } else {
            let copied = Copied { is_any: true, ..copied };
            Self { before: None, after: Arc::default(), copied, depth }
        })
    }

    /// The same, if the source may have changed until then.
    pub(crate) fn until(&self, before: Option<Arc<Regular>>, after: Arc<Regular>) -> Arc<Self> {
        Self::new(before.or_else(|| self.before.clone()), after, self.copied.clone())
    }

    /// Is nothing known of the bytes because too many copies were one of another?
    pub(crate) fn is_too_deep(&self) -> bool {
        self.depth > DEPTH_MAX
    }

    /// May the byte at this offset of the destination be this?
    pub(crate) fn may_hold(&self, at: u64, byte: u8) -> bool {
        self.may_hold_unasked(at, byte, &mut Asked::default())
    }

    /// Would it be right of a copy that is done byte by byte?
    pub(crate) fn may_hold_torn(&self, at: u64, byte: u8) -> bool {
        let asked = &mut Asked::default();
        self.source(at).is_some_and(|at| self.held(at, byte, false, asked))
    }

    fn may_hold_unasked(&self, at: u64, byte: u8, asked: &mut Asked) -> bool {
        self.copied.is_any
            || asked.0.insert((std::ptr::from_ref(self), at))
                && self
                    .source(at)
                    .is_some_and(|at| self.held(at, byte, self.copied.is_whole, asked))
    }

    fn source(&self, at: u64) -> Option<u64> {
        at.checked_sub(self.copied.to)?.checked_add(self.copied.from.start)
    }

    fn held(&self, at: u64, byte: u8, is_whole: bool, asked: &mut Asked) -> bool {
        let after = &self.after;
        let runs = after.live.runs(at..at.saturating_add(1));
        let is_unsure = runs.iter().any(|run| after.otherwise(at, byte, run.order, asked));
        if is_unsure || self.copied.reverts && after.was(at, byte, asked) {
            return true;
        }
        let Some(before) = &self.before else { return false };
        let counts = |change: &Change| !is_whole || matches!(change.effect, Effect::Store { .. });
        since(before, after, (at, byte), counts, asked) != Past::Other
    }
}

impl Regular {
    /// Notes what a change that copied may have brought instead.
    pub(crate) fn note_copied(&mut self, order: u64, moments: Arc<Moments>) {
        self.copies.insert(order, moments);
        if self.copies.by_order.len() > KEPT_LEAST.max(2 * self.copies.kept) {
            self.copies = self.copies_in(&(0..u64::MAX));
        }
    }

    /// The copies that may have brought the bytes of a range.
    fn copies_in(&self, range: &Range<u64>) -> Copies {
        let runs = self.live.runs(range.clone()).into_iter().chain(self.floor.runs(range.clone()));
        let shown: BTreeSet<u64> = runs.map(|run| run.order).collect();
        self.copies.only(|order| {
            let change = self.log.get(&order).or_else(|| self.maybes.get(&order));
            change.map_or(shown.contains(&order), |change| overlaps(&change.range(), range))
        })
    }

    /// The same file; of what it copied, no more than matters to a range.
    fn within(self: Arc<Self>, range: &Range<u64>) -> Arc<Self> {
        if !(1..=SOUGHT_MAX).contains(&self.copies.by_order.len()) {
            return self;
        }
        let copies = self.copies_in(range);
        if copies.by_order.len() == self.copies.by_order.len() {
            return self;
        }
        Arc::new(Self { copies, ..Self::clone(&self) })
    }

    /// May a byte be this although a change of this order brought another? Failed writes may have
    /// changed it since, and what was copied may have been of another moment.
    pub(crate) fn may_be_otherwise(&self, at: u64, byte: u8, order: u64) -> bool {
        self.otherwise(at, byte, order, &mut Asked::default())
    }

    fn otherwise(&self, at: u64, byte: u8, order: u64, asked: &mut Asked) -> bool {
        self.may_have_copied(order, at, byte, asked)
            || self
                .maybes
                .range(order + 1..)
                .any(|change| self.may_have_brought(change, at, byte, asked))
    }

    /// Was a byte ever this, as far as is remembered? A failed write may have made it so, and what
    /// is durable may have been copied from bytes that nobody knew.
    pub(crate) fn may_have_been(&self, at: u64, byte: u8) -> bool {
        self.was(at, byte, &mut Asked::default())
    }

    fn was(&self, at: u64, byte: u8, asked: &mut Asked) -> bool {
        let floor = self.floor.runs(at..at.saturating_add(1));
        floor
            .iter()
            .all(|run| run.byte(at) == byte || self.may_have_copied(run.order, at, byte, asked))
            || self
                .log
                .iter()
                .chain(self.maybes.iter())
                .any(|change| self.may_have_brought(change, at, byte, asked))
    }

    fn may_have_brought(
        &self,
        (order, change): (&u64, &Change),
        at: u64,
        byte: u8,
        asked: &mut Asked,
    ) -> bool {
        change.may_hold(at, byte)
            || change.range().contains(&at) && self.may_have_copied(*order, at, byte, asked)
    }

    /// May a change of this order have copied the byte, where it is not known what the source held?
    fn may_have_copied(&self, order: u64, at: u64, byte: u8, asked: &mut Asked) -> bool {
        self.copies.get(order).is_some_and(|copied| copied.may_hold_unasked(at, byte, asked))
    }
}

/// Whether a byte was something at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    /// It was.
    Was,
    /// It was something else all the time.
    Other,
    /// It may have been anything: of what is durable only the last changes are remembered.
    Forgotten,
}

/// Was a byte this at some moment since there was an earlier version, if only some changes count?
/// Without one of them it was never anything else than what it is known to be.
pub(crate) fn was_since(
    before: &Regular,
    now: &Regular,
    at: u64,
    byte: u8,
    counts: impl Fn(&Change) -> bool,
) -> Past {
    since(before, now, (at, byte), counts, &mut Asked::default())
}

fn since(
    before: &Regular,
    now: &Regular,
    (at, byte): (u64, u8),
    counts: impl Fn(&Change) -> bool,
    asked: &mut Asked,
) -> Past {
    let range = at..at.saturating_add(1);
    let since = now.since(before.last_order).map(|(_, change)| change);
    let mut since = since.filter(|change| change.range().contains(&at) && counts(change));
    let mut held = |regular: &Regular| {
        let mut held =
            |run: &Run| run.byte(at) == byte || regular.otherwise(at, byte, run.order, asked);
        regular.live.runs(range.clone()).iter().any(&mut held)
    };
    let is_folded = |run: &Run| run.order > before.last_order;
    if now.forgets_since(before.last_order) && now.floor.runs(range.clone()).iter().any(is_folded) {
        return Past::Forgotten;
    }
    let Some(first) = since.next() else { return Past::Other };
    let was = held(before)
        || held(now)
        || first.may_hold(at, byte)
        || since.any(|change| change.may_hold(at, byte));
    if was { Past::Was } else { Past::Other }
}

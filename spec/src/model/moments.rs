//! What bytes that were copied may be, where it is not known what the source held then.

use std::sync::Arc;

use crate::model::Change;
use crate::model::Effect;
use crate::model::FileId;
use crate::model::Regular;
use crate::model::Run;

/// The versions of a source during the call that copied from it.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    /// When the call began; absent if nothing else was under way.
    pub(crate) before: Option<Arc<Regular>>,
    /// When it answered.
    pub(crate) after: Arc<Regular>,
    /// Where the range begins in the source, and in the destination.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Is only what was stored through mappings of any moment [COPY-03]?
    pub(crate) is_whole: bool,
    /// May the source have read as it was before a failure?
    pub(crate) reverts: bool,
    /// Is nothing known of the source?
    pub(crate) is_any: bool,
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

impl Moments {
    /// May the byte at this offset of the destination be this?
    pub(crate) fn may_hold(&self, at: u64, byte: u8) -> bool {
        self.is_any || self.source(at).is_some_and(|at| self.held(at, byte, self.is_whole))
    }

    /// Would it be right of a copy that is done byte by byte?
    pub(crate) fn may_hold_torn(&self, at: u64, byte: u8) -> bool {
        self.source(at).is_some_and(|at| self.held(at, byte, false))
    }

    fn source(&self, at: u64) -> Option<u64> {
        at.checked_sub(self.to)?.checked_add(self.from)
    }

    fn held(&self, at: u64, byte: u8, is_whole: bool) -> bool {
        let after = &self.after;
        let is_unsure = |regular: &Regular| {
            let runs = regular.live.runs(at..at.saturating_add(1));
            runs.iter().any(|run| regular.may_be_otherwise(at, byte, run.order))
        };
        if is_unsure(after) || self.reverts && was(after, at, byte) {
            return true;
        }
        let Some(before) = &self.before else { return false };
        let counts = |change: &Change| !is_whole || matches!(change.effect, Effect::Store { .. });
        was_since(before, after, at, byte, counts) != Past::Other
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
    let range = at..at.saturating_add(1);
    let since = now.since(before.last_order).map(|(_, change)| change);
    let mut since = since.filter(|change| change.range().contains(&at) && counts(change));
    let held = |regular: &Regular| {
        let held =
            |run: &Run| run.byte(at) == byte || regular.may_be_otherwise(at, byte, run.order);
        regular.live.runs(range.clone()).iter().any(held)
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

/// Was a byte ever this, as far as is remembered? A failed write may have made it so.
fn was(regular: &Regular, at: u64, byte: u8) -> bool {
    let floor = regular.floor.runs(at..at.saturating_add(1));
    let mut changes = regular.log.values().chain(regular.maybes.values());
    floor.iter().all(|run| run.byte(at) == byte) || changes.any(|change| change.may_hold(at, byte))
}

//! The order of what a snapshot holds [SNAP-02]: if it shows a change, then every change that was
//! acknowledged before that one began.
//!
//! Judged by what is read of it: a byte that only a change, or a later one, explains shows the
//! change; a byte that only an earlier one explains shows that it is lacking. Changes that a sync
//! had covered are not looked at here: [SNAP-03] is about them.

use bytes::Bytes;

use crate::model::Change;
use crate::model::FileId;
use crate::model::Regular;
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

/// So many changes of what is read are looked at: a longer history is left alone.
const CHANGES_MAX: usize = 64;

impl Judge {
    /// Bytes of a file were read from a snapshot.
    pub(crate) fn note_cut(&mut self, frame: &Frame, file: FileId, at: u64, told: &Bytes) {
        let Some(frozen) = &self.frozen else { return };
        if frozen.cut.is_of_any_moment {
            return;
        }
        let model = frozen.between.as_ref().map_or(&self.model, |between| &between.1);
        let regular = model.regular(file).filter(|regular| regular.lost.is_empty());
        let Some(regular) = regular else { return };
        let path = model.path_text(file);
        let mut cut = frozen.cut.clone();
        let mut is_blind = true;
        for (order, change) in changes(regular, at, told) {
            let Some(acked) = change.acked else { continue };
            let of = change.range();
            let seen = (at..).zip(told).filter(|(at, _)| of.contains(at));
            let (mut has, mut lacks) = (false, false);
            for (at, byte) in seen {
                // What a sync covered may be newer than a change that it did not cover.
                let floor = regular.floor.runs(at..at + 1);
                let floor = floor.iter().find(|floor| floor.byte(at) == *byte);
                let is_older = is_held(regular, at, *byte, |other| other.step < change.step)
                    || floor.is_some_and(|floor| floor.order < order);
                let is_newer = is_held(regular, at, *byte, |other| other.step >= change.step)
                    || floor.is_some_and(|floor| floor.order > order);
                has |= is_newer && !is_older;
                lacks |= !is_newer && is_older;
            }
            is_blind &= !has && !lacks;
            let what = change.describe(&path);
            if has && cut.has.as_ref().is_none_or(|(began, _)| *began < change.step) {
                cut.has = Some((change.step, what));
            } else if lacks && cut.lacks.as_ref().is_none_or(|(other, _)| acked < *other) {
                cut.lacks = Some((acked, what));
            }
        }
        // A snapshot that shows nothing of what was changed lately says nothing of their order.
        if !is_blind {
            self.exercise("SNAP-02");
        }
        self.judge_cut(frame, &cut, path);
        if let Some(frozen) = &mut self.frozen {
            frozen.cut = cut;
        }
    }

    fn judge_cut(&mut self, frame: &Frame, cut: &Cut, subject: String) {
        let (Some((began, has)), Some((acked, lacks))) = (&cut.has, &cut.lacks) else { return };
        if acked >= began {
            return;
        }
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
}

/// The changes of bytes that were read, if they are few.
fn changes(regular: &Regular, at: u64, told: &Bytes) -> Vec<(u64, Change)> {
    let range = at..at.saturating_add(told.len() as u64);
    let overlaps =
        |change: &Change| change.brings_bytes() && crate::model::overlaps(&change.range(), &range);
    let found = regular.log.iter().filter(|(_, change)| overlaps(change)).take(CHANGES_MAX + 1);
    let found: Vec<(u64, Change)> = found.map(|(order, change)| (*order, change.clone())).collect();
    if found.len() > CHANGES_MAX { Vec::new() } else { found }
}

/// Does some change of a kind hold this byte? Failed ones are of any kind.
fn is_held(regular: &Regular, at: u64, byte: u8, kind: impl Fn(&Change) -> bool) -> bool {
    regular.log.values().any(|change| kind(change) && change.may_hold(at, byte))
        || regular.maybes.values().any(|change| change.may_hold(at, byte))
}

//! Which clauses wrong bytes break that came through a mapping, or that went in through one.

use bytes::Bytes;

use crate::errors::reads::View;
use crate::model::FileId;
use crate::model::Run;
use crate::model::index;
use crate::ops::Judge;

/// The clauses, the most specific first; none if mappings have nothing to do with it.
pub(crate) fn clauses(
    judge: &Judge,
    file: FileId,
    (from, told, view): (u64, &Bytes, View),
    run: &Run,
    is_older: bool,
) -> Vec<&'static str> {
    let Some(regular) = judge.model.regular(file) else { return Vec::new() };
    let range = from..from + told.len() as u64;
    let is_zero = told.iter().all(|byte| *byte == 0);
    let shows = |runs: Vec<Run>| {
        !is_zero
            && runs.iter().all(|run| {
                let at = index(run.start - from);
                run.data.as_ref().is_some_and(|data| told[at..].starts_with(data))
            })
    };
    let is_hole = run.data.is_none();
    let beyond = [&regular.overgrown, &regular.tail];
    if is_hole && beyond.into_iter().any(|stored| shows(stored.runs(range.clone()))) {
        return vec!["MAP-07"];
    }
    let mut of_file = judge.model.mappings.values().filter(|mapping| mapping.file == file);
    if of_file.any(|mapping| shows(mapping.own.runs(range.clone()))) {
        return vec!["MAP-06"];
    }
    let mut clauses = Vec::new();
    let is_mapped = matches!(view, View::Mapped(_) | View::Private(_));
    if is_mapped && judge.model.is_only_mapped(file) {
        clauses.push("MAP-09");
    }
    if let Some(by) = run.mapping() {
        if !judge.model.mappings.contains_key(&by) {
            clauses.push("MAP-05");
        }
        clauses.push(if is_mapped { "MAP-01" } else { "MAP-02" });
        if is_older || is_zero {
            clauses.push("MAP-03");
        }
    } else if is_mapped && run.data.is_none() && run.order > 0 {
        clauses.push("MAP-13");
    } else if is_mapped && changed_since(judge, view, run.order) {
        clauses.push("MAP-02");
    }
    clauses
}

/// Was the change made while the mapping was there?
fn changed_since(judge: &Judge, view: View, order: u64) -> bool {
    match view {
        View::Read | View::Direct => false,
        View::Mapped(id) | View::Private(id) => {
            judge.model.mappings.get(&id).is_some_and(|mapping| order > mapping.made)
        }
    }
}

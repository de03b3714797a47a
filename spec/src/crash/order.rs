//! The order of operations on names: each happened or not, for all its names at once; and, if
//! that is promised, none happened without all before it.

use std::collections::BTreeMap;

use crate::crash::Inquest;
use crate::crash::names::History;
use crate::model::Name;
use crate::promise::Level;
use crate::violation::LostEffect;

const GUESSES_MAX: u32 = 10_000;

/// Finds the operations that happened, or reports that no choice of them explains the names;
/// tells whether they were found.
pub(crate) fn judge(inquest: &mut Inquest<'_>, histories: &BTreeMap<Name, History>) -> bool {
    let judge = &mut *inquest.judge;
    if !judge.model.names.log.is_empty() {
        judge.exercise("CRASH-06");
    }
    let ordered = judge.promises.ordered_namespace && judge.level >= Level::Strict;
    if ordered {
        judge.exercise("CRASH-05");
        if let Some(last) = prefix(inquest, histories) {
            account(inquest, |order| order <= last);
            return true;
        }
    }
    let mut guesses = GUESSES_MAX;
    let fits = histories.iter().map(|(name, history)| (name.clone(), history.fits.clone()));
    let constraints = constraints(inquest, histories);
    match solve(&constraints, fits.collect(), &mut guesses) {
        Some(chosen) => {
            if ordered {
                not_a_prefix(inquest, histories, &chosen);
            }
            account(inquest, |order| {
                constraints.iter().filter(|tie| tie.order == order).all(|tie| {
                    let fits = &chosen[&tie.name];
                    fits.iter().position(|fit| *fit).is_some_and(|index| index >= tie.index)
                })
            });
            true
        }
        None if guesses == 0 => {
            inquest.undecided("too many ways in which names may have survived");
            false
        }
        None => {
            half_done(inquest, histories);
            false
        }
    }
}

/// The longest prefix of the operations that explains all names.
fn prefix(inquest: &Inquest<'_>, histories: &BTreeMap<Name, History>) -> Option<u64> {
    let orders: Vec<u64> = inquest.judge.model.names.log.keys().copied().collect();
    let mut votes = vec![0_i64; orders.len() + 2];
    let position = |order: u64| match orders.binary_search(&order) {
        Ok(at) => at + 1,
        Err(_) => 0,
    };
    for history in histories.values() {
        for (index, (order, _)) in history.versions.iter().enumerate() {
            if history.fits[index] {
                let next = history.versions.get(index + 1);
                votes[position(*order)] += 1;
                votes[next.map_or(orders.len() + 1, |(order, _)| position(*order))] -= 1;
            }
        }
    }
    let all = i64::try_from(histories.len()).unwrap_or(i64::MAX);
    let mut sum = 0;
    let mut best = None;
    for (at, vote) in votes.iter().take(orders.len() + 1).enumerate() {
        sum += vote;
        if sum == all {
            best = Some(if at == 0 { 0 } else { orders[at - 1] });
        }
    }
    best
}

/// An operation and one of its names: it happened iff the name is at least at this version.
struct Tie {
    order: u64,
    name: Name,
    index: usize,
}

fn constraints(inquest: &Inquest<'_>, histories: &BTreeMap<Name, History>) -> Vec<Tie> {
    let mut ties = Vec::new();
    for (order, op) in &inquest.judge.model.names.log {
        for edit in &op.edits {
            let name = (edit.directory, edit.name.clone());
            let Some(history) = histories.get(&name) else { continue };
            let index = history.versions.iter().position(|(at, _)| at == order);
            ties.extend(index.map(|index| Tie { order: *order, name, index }));
        }
    }
    ties
}

type Fits = BTreeMap<Name, Vec<bool>>;

/// Narrows the versions by the ties, then guesses; each name is left with one version.
fn solve(ties: &[Tie], mut fits: Fits, guesses: &mut u32) -> Option<Fits> {
    narrow(ties, &mut fits)?;
    let open = fits.iter().find(|(_, fits)| fits.iter().filter(|fit| **fit).count() > 1);
    let Some((name, options)) = open.map(|(name, fits)| (name.clone(), fits.clone())) else {
        return Some(fits);
    };
    for index in (0..options.len()).rev().filter(|index| options[*index]) {
        *guesses = guesses.checked_sub(1)?;
        let mut guess = fits.clone();
        let only = (0..options.len()).map(|at| at == index).collect();
        guess.insert(name.clone(), only);
        if let Some(solved) = solve(ties, guess, guesses) {
            return Some(solved);
        }
        if *guesses == 0 {
            return None;
        }
    }
    None
}

fn narrow(ties: &[Tie], fits: &mut Fits) -> Option<()> {
    loop {
        let mut changed = false;
        for (at, a) in ties.iter().enumerate() {
            for b in ties[at + 1..].iter().take_while(|b| b.order == a.order) {
                changed |= follow(a, b, fits)?;
                changed |= follow(b, a, fits)?;
            }
        }
        if !changed {
            return Some(());
        }
    }
}

/// If one name shows whether the operation happened, the other has to agree.
fn follow(a: &Tie, b: &Tie, fits: &mut Fits) -> Option<bool> {
    let known = &fits[&a.name];
    let happened = known[a.index..].contains(&true);
    let not = known[..a.index].contains(&true);
    let other = fits.get_mut(&b.name)?;
    let mut changed = false;
    for (index, fit) in other.iter_mut().enumerate() {
        let out = if index >= b.index { !happened } else { !not };
        if *fit && out {
            *fit = false;
            changed = true;
        }
    }
    if other.contains(&true) { Some(changed) } else { None }
}

fn not_a_prefix(inquest: &mut Inquest<'_>, histories: &BTreeMap<Name, History>, chosen: &Fits) {
    let index = |name: &Name| chosen[name].iter().position(|fit| *fit).unwrap_or(0);
    let behind = histories.iter().filter_map(|(name, history)| {
        history.versions.get(index(name) + 1).map(|(order, _)| *order)
    });
    let ahead = histories.iter().map(|(name, history)| history.versions[index(name)].0);
    let log = &inquest.judge.model.names.log;
    let mut chain = Vec::new();
    for (order, what) in [(behind.min(), "lost"), (ahead.max(), "kept")] {
        if let Some(op) = order.and_then(|order| log.get(&order)) {
            chain.push((op.step, format!("{}: {what}", op.describe())));
        }
    }
    let observed = "a later operation on names survived without an earlier one".to_owned();
    let allowed = "the names after some prefix of the operations".to_owned();
    inquest.broken("CRASH-05", &[], ".".to_owned(), observed, allowed, chain);
}

/// Reports the newest operation that by itself shows that it happened and that it did not; else
/// the newest one of several names, for then only all of them together show it.
fn half_done(inquest: &mut Inquest<'_>, histories: &BTreeMap<Name, History>) {
    let ties = constraints(inquest, histories);
    let by_order = || ties.chunk_by(|a, b| a.order == b.order).rev();
    let is_torn = |tied: &&[Tie]| {
        let fits = histories.iter().map(|(name, history)| (name.clone(), history.fits.clone()));
        narrow(tied, &mut fits.collect()).is_none()
    };
    let torn = by_order().find(is_torn).or_else(|| by_order().find(|tied| tied.len() > 1));
    let op = torn.and_then(|tied| inquest.judge.model.names.log.get(&tied.first()?.order)).cloned();
    let Some(op) = op else {
        // M-2: names that no operation ties together always have an explanation.
        let what = "names that nothing explains, with no operation to blame";
        return inquest.undecided(what);
    };
    let chain = vec![(op.step, op.describe())];
    let observed = "some names show it, others do not".to_owned();
    let allowed = "all of it or nothing".to_owned();
    inquest.broken("CRASH-06", &[], op.describe(), observed, allowed, chain);
}

/// Notes the acknowledged operations that were lost, as they were allowed to be.
fn account(inquest: &mut Inquest<'_>, happened: impl Fn(u64) -> bool) {
    let lost: Vec<LostEffect> = inquest
        .judge
        .model
        .names
        .log
        .iter()
        .filter(|(order, op)| op.acked.is_some() && !happened(**order))
        .map(|(_, op)| LostEffect { step: op.step, what: op.describe() })
        .collect();
    inquest.judge.lost_allowed.extend(lost);
}

//! Sequences of operations with choices of persistence, numbered.

use std::collections::BTreeSet;
use std::fmt;

use crate::check::ace::AceName;
use crate::check::ace::AceOperation;
use crate::check::ace::Set;

/// Longer sequences than that are refused: nobody would wait for them.
pub const LENGTH_MAX: usize = 3;

/// From this length on, an operation must use a name that was used before, or a directory, and
/// what is synced is one of the names that are used. Shorter ones may also sync what is beside and
/// above them.
const NARROW_FROM: usize = 3;

/// What is made durable after an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing.
    Nothing,
    /// `fsync` of this name's file or directory.
    Fsync(AceName),
    /// `sync`.
    Sync,
}

impl fmt::Display for Persistence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("none"),
            Self::Fsync(name) => write!(f, "fsync {}", name.path()),
            Self::Sync => f.write_str("sync"),
        }
    }
}

/// A sequence of operations, each with what is made durable after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Which one of its set and length, from 0, counted as ACE counts.
    pub number: u64,
    /// The operations.
    pub operations: Vec<(AceOperation, Persistence)>,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (operation, persistence)) in self.operations.iter().enumerate() {
            let gap = if index == 0 { "" } else { "; " };
            write!(f, "{gap}{operation}")?;
            if *persistence != Persistence::Nothing {
                write!(f, "; {persistence}")?;
            }
        }
        Ok(())
    }
}

/// All workloads of a set and a length.
#[derive(Debug, Clone)]
pub struct Workloads {
    operations: Vec<AceOperation>,
    len: usize,
}

/// A choice of operations, and the choices of persistence that it leaves.
struct Skeleton {
    operations: Vec<AceOperation>,
    related: Vec<AceName>,
}

impl Skeleton {
    fn new(operations: Vec<AceOperation>) -> Self {
        let used: BTreeSet<AceName> =
            operations.iter().flat_map(|operation| operation.names()).flatten().collect();
        let related = if operations.len() < NARROW_FROM {
            used.iter().flat_map(|name| [*name, name.sibling(), name.parent()]).collect()
        } else {
            used
        };
        Self { operations, related: related.into_iter().collect() }
    }

    /// How many choices there are after one of the operations. After the last one nothing is no
    /// choice: it would be a shorter workload.
    fn choices(&self, index: usize) -> u64 {
        let is_last = index + 1 == self.operations.len();
        self.related.len() as u64 + if is_last { 1 } else { 2 }
    }

    fn count(&self) -> u64 {
        (0..self.operations.len()).map(|index| self.choices(index)).product()
    }

    fn persistence(&self, choice: u64) -> Persistence {
        match self.related.get(choice as usize) {
            Some(name) => Persistence::Fsync(*name),
            None if choice == self.related.len() as u64 => Persistence::Sync,
            None => Persistence::Nothing,
        }
    }

    /// One of its workloads. None if it equals one with a smaller number: it differs in a choice
    /// that is not made, after an operation that persists what it does by itself.
    fn workload(&self, first: u64, mut choice: u64) -> Option<Workload> {
        let number = first + choice;
        let mut operations = Vec::new();
        for (index, operation) in self.operations.iter().enumerate().rev() {
            let choices = self.choices(index);
            let chosen = choice % choices;
            choice /= choices;
            let persistence = if operation.persists() {
                if chosen > 0 {
                    return None;
                }
                Persistence::Nothing
            } else {
                self.persistence(chosen)
            };
            operations.push((*operation, persistence));
        }
        operations.reverse();
        Some(Workload { number, operations })
    }
}

impl Workloads {
    /// Of a set, with so many operations.
    #[must_use]
    pub fn new(set: Set, len: usize) -> Self {
        Self { operations: set.operations(), len }
    }

    fn skeletons(&self) -> impl Iterator<Item = Skeleton> {
        let base = self.operations.len();
        let total = base.pow(self.len as u32);
        (0..total).filter_map(move |number| {
            let digit = |index: usize| number / base.pow((self.len - 1 - index) as u32) % base;
            let operations: Vec<AceOperation> =
                (0..self.len).map(|index| self.operations[digit(index)]).collect();
            is_connected(&operations).then(|| Skeleton::new(operations))
        })
    }

    /// How many workloads there are, as ACE counts.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.skeletons().map(|skeleton| skeleton.count()).sum()
    }

    /// All of them that differ, in order.
    pub fn iter(&self) -> impl Iterator<Item = Workload> {
        let mut first = 0;
        self.skeletons().flat_map(move |skeleton| {
            let begin = first;
            first += skeleton.count();
            (0..skeleton.count()).filter_map(move |choice| skeleton.workload(begin, choice))
        })
    }

    /// The one of that number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Workload> {
        let mut first = 0;
        for skeleton in self.skeletons() {
            if number < first + skeleton.count() {
                return skeleton.workload(first, number - first);
            }
            first += skeleton.count();
        }
        None
    }
}

/// Does each operation of a long sequence have to do with those before it?
///
/// As ACE has it (`doPermutation` in its `ace.py`): it is about a directory first, or has a
/// parameter in common with one before it, a name or an option; or `A` and `B` are all that was
/// used. Of an operation whose only parameter is a name ACE compares the letters, so that
/// `creat foo` has to do with `unlink A/foo`, and not with `write foo`, and `creat A/foo` is about
/// a directory. Three writes are left out. Other rules would be as good, but the workloads would
/// not be those that others count.
fn is_connected(operations: &[AceOperation]) -> bool {
    if operations.len() < NARROW_FROM {
        return true;
    }
    if operations.iter().all(|operation| matches!(operation, AceOperation::Write(..))) {
        return false;
    }
    let mut used: BTreeSet<String> = BTreeSet::new();
    operations.iter().all(|operation| {
        let text = operation.to_string();
        let words: Vec<&str> = text.split(' ').skip(1).collect();
        let letters = |name: &str| name.chars().map(String::from).collect();
        let parameters: Vec<String> = match words[..] {
            [name] => letters(name),
            _ => words.into_iter().map(ToOwned::to_owned).collect(),
        };
        let first = parameters.first().map(String::as_str);
        let is_of_directory = matches!(first, None | Some("A" | "B" | "A/C"));
        let are_directories = used.iter().eq(["A", "B"]);
        let meets = parameters.iter().any(|parameter| used.contains(parameter));
        let is_met = used.is_empty() || is_of_directory || are_directories || meets;
        used.extend(parameters);
        is_met
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_those_of_aces_rules() {
        let count = |len| Workloads::new(Set::Ace, len).count();
        assert_eq!((count(1), count(2), count(3)), (328, 241_720, 7_478_858));
        let different = |len| Workloads::new(Set::Ace, len).iter().count();
        assert_eq!((different(1), different(2)), (316, 221_584));
    }

    #[test]
    fn a_workload_is_found_by_its_number() {
        let workloads = Workloads::new(Set::All, 2);
        for workload in workloads.iter().step_by(9973) {
            assert_eq!(workloads.get(workload.number).as_ref(), Some(&workload));
            let (_, last) = workload.operations[1];
            let persists = workload.operations[1].0.persists();
            assert!(persists || last != Persistence::Nothing, "{workload}");
        }
        assert_eq!(workloads.get(workloads.count()), None);
    }

    #[test]
    fn no_two_workloads_are_equal() {
        let texts: Vec<String> =
            Workloads::new(Set::Nested, 2).iter().map(|workload| workload.to_string()).collect();
        let different: BTreeSet<&String> = texts.iter().collect();
        assert_eq!(different.len(), texts.len());
    }
}

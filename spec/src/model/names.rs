//! The history of names: what is promised, and the operations since, each atomic.

use bytes::Bytes;
use imbl::OrdMap;
use imbl::OrdSet;

use crate::model::FileId;
use crate::model::Promise;
use crate::words::Step;

/// One name changes its meaning.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) directory: FileId,
    pub(crate) name: Bytes,
    pub(crate) before: Option<FileId>,
    pub(crate) after: Option<FileId>,
}

/// An operation on names.
#[derive(Debug, Clone)]
pub(crate) struct NameOp {
    pub(crate) step: Step,
    pub(crate) acked: Option<Step>,
    pub(crate) edits: Vec<Edit>,
    /// What it was: a verb and up to two paths.
    pub(crate) verb: &'static str,
    pub(crate) paths: [Bytes; 2],
}

impl NameOp {
    /// Bytes of the names that it holds.
    pub(crate) fn size_bytes(&self) -> u64 {
        let edits = self.edits.iter().map(|edit| edit.name.len());
        edits.chain(self.paths.iter().map(Bytes::len)).sum::<usize>() as u64
    }

    pub(crate) fn describe(&self) -> String {
        let text = |path: &Bytes| String::from_utf8_lossy(path).into_owned();
        if self.paths[1].is_empty() {
            return format!("{} of {}", self.verb, text(&self.paths[0]));
        }
        format!("{} of {} -> {}", self.verb, text(&self.paths[0]), text(&self.paths[1]))
    }
}

/// What a name durably means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Nothing, if it was durably removed.
    pub(crate) file: Option<FileId>,
    pub(crate) promise: Option<Promise>,
}

/// A directory and a name in it.
pub(crate) type Name = (FileId, Bytes);

/// Promises about names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) durable: OrdMap<Name, Bound>,
    /// Operations since, by order.
    pub(crate) log: OrdMap<u64, NameOp>,
}

impl Names {
    /// Operations that nobody acknowledged are seen to have happened.
    pub(crate) fn acknowledge(&mut self, step: Step) {
        let open = self.log.iter().filter(|(_, op)| op.acked.is_none());
        let open: Vec<u64> = open.map(|(order, _)| *order).collect();
        for order in open {
            if let Some(op) = self.log.get_mut(&order) {
                op.acked = Some(step);
            }
        }
    }

    /// The names of a directory that are durable, or durably removed.
    pub(crate) fn durable_in(&self, directory: FileId) -> impl Iterator<Item = (&Name, &Bound)> {
        let first = (directory, Bytes::new());
        self.durable.range(first..).take_while(move |((of, _), _)| *of == directory)
    }

    /// All operations up to `last` are promised.
    pub(crate) fn promise_prefix(&mut self, last: u64, promise: Promise) {
        let due: Vec<u64> = self.log.range(..=last).map(|(order, _)| *order).collect();
        for order in due {
            self.fold(order, promise);
        }
    }

    /// Operations that satisfy `due` are promised, and with them all earlier ones on their names.
    pub(crate) fn promise_where(&mut self, due: impl Fn(&NameOp) -> bool, promise: Promise) {
        let mut names: OrdSet<Name> = OrdSet::new();
        let mut folded = Vec::new();
        for (order, op) in self.log.iter().rev() {
            let touches = |edit: &Edit| names.contains(&(edit.directory, edit.name.clone()));
            if due(op) || op.edits.iter().any(touches) {
                names.extend(op.edits.iter().map(|edit| (edit.directory, edit.name.clone())));
                folded.push(*order);
            }
        }
        for order in folded.into_iter().rev() {
            self.fold(order, promise);
        }
    }

    fn fold(&mut self, order: u64, promise: Promise) {
        let Some(op) = self.log.remove(&order) else { return };
        let clause = match (op.verb, promise.clause) {
            ("rename", "DUR-DIR-01") => "DUR-RENAME-01",
            ("link", "DUR-DIR-02") => "DUR-LINK-01",
            (_, clause) => clause,
        };
        let promise = Some(Promise { clause, step: promise.step });
        for edit in op.edits {
            let bound = Bound { file: edit.after, promise };
            self.durable.insert((edit.directory, edit.name), bound);
        }
    }
}

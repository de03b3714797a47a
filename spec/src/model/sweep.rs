//! Files that nothing leads to any more are forgotten: not a name, whether it is there, durable or
//! of an operation since; not a handle or a mapping.

use std::collections::BTreeSet;

use crate::model::FileId;
use crate::model::Model;
use crate::model::Name;
use crate::model::Node;

impl Model {
    /// Forgets files that no call, no crash and no loss can be about any more.
    pub(crate) fn sweep(&mut self) {
        let kept = self.reached();
        let gone: Vec<FileId> =
            self.files.keys().filter(|file| !kept.contains(file)).copied().collect();
        for file in gone {
            self.files.remove(&file);
            self.locks.forget(file);
        }
        let is_gone = |name: &&Name| !kept.contains(&name.0);
        for name in self.names.durable.keys().filter(is_gone).cloned().collect::<Vec<Name>>() {
            self.names.durable.remove(&name);
        }
        for name in self.lookups.keys().filter(is_gone).cloned().collect::<Vec<Name>>() {
            self.lookups.remove(&name);
        }
    }

    /// The files that something leads to.
    fn reached(&self) -> BTreeSet<FileId> {
        let mut due: Vec<FileId> = vec![FileId::ROOT];
        due.extend(self.files.keys().filter(|file| self.is_held(**file)));
        due.extend(self.last_write.iter().map(|(file, _)| *file));
        for edit in self.names.log.values().flat_map(|op| &op.edits) {
            due.push(edit.directory);
            due.extend(edit.before.into_iter().chain(edit.after));
        }
        let mut reached = BTreeSet::new();
        while let Some(file) = due.pop() {
            if !reached.insert(file) {
                continue;
            }
            let Some(directory) = self.directory(file) else { continue };
            due.push(directory.parent);
            due.extend(self.names.durable_in(file).filter_map(|(_, bound)| bound.file));
        }
        reached
    }

    /// Has a file a name or a handle, or may something be said of it that is not said yet?
    fn is_held(&self, id: FileId) -> bool {
        let file = self.file(id);
        if file.names > 0 || file.handles > 0 {
            return true;
        }
        let Node::Regular(regular) = &file.node else { return false };
        // Of one whose number nobody knows, what is unsynced may yet be said to be lost.
        let is_unsynced = !regular.log.is_empty() || !regular.maybes.is_empty();
        file.ino.is_none() && is_unsynced
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::model::Change;
    use crate::model::Edit;
    use crate::model::Effect;
    use crate::model::NameOp;
    use crate::model::Promise;
    use crate::words::HandleId;
    use crate::words::Ino;
    use crate::words::Step;

    const PROMISE: Promise = Promise { clause: "DUR-DIR-01", step: Step(9) };

    fn edited(model: &mut Model, edit: Edit) {
        let (verb, paths) = ("create", [Bytes::new(), Bytes::new()]);
        let op = NameOp { step: Step(1), acked: Some(Step(2)), edits: vec![edit], verb, paths };
        model.rename_edits(op);
    }

    fn edit(directory: FileId, before: Option<FileId>, after: Option<FileId>) -> Edit {
        Edit { directory, name: Bytes::from_static(b"a"), before, after }
    }

    fn synced(model: &mut Model) {
        model.names.promise_prefix(u64::MAX, PROMISE);
    }

    #[test]
    fn a_file_stays_until_no_crash_can_bring_it_back() {
        let mut model = Model::new();
        let parent = model.new_file(Node::directory(FileId::ROOT), Bytes::new());
        let file = model.new_file(regular(), Bytes::new());
        edited(&mut model, edit(FileId::ROOT, None, Some(parent)));
        edited(&mut model, edit(parent, None, Some(file)));
        synced(&mut model);
        edited(&mut model, edit(parent, Some(file), None));
        // The removal may be undone, as may that of the directory.
        model.sweep();
        assert_eq!(model.files.len(), 3);
        edited(&mut model, edit(FileId::ROOT, Some(parent), None));
        model.sweep();
        assert_eq!(model.files.len(), 3);
        assert_eq!(model.names.durable.len(), 2);
        synced(&mut model);
        model.sweep();
        assert_eq!(model.files.len(), 1);
        // That there is no directory is promised; what was in it is nobody's concern.
        assert_eq!(model.names.durable.len(), 1);
    }

    fn regular() -> Node {
        Node::Regular(Arc::default())
    }

    #[test]
    fn a_file_that_only_an_operation_knows_stays() {
        let mut model = Model::new();
        let file = model.new_file(regular(), Bytes::new());
        edited(&mut model, edit(FileId::ROOT, None, Some(file)));
        edited(&mut model, edit(FileId::ROOT, Some(file), None));
        model.sweep();
        assert!(model.files.contains_key(&file));
        synced(&mut model);
        model.sweep();
        assert!(!model.files.contains_key(&file));
    }

    #[test]
    fn a_directory_that_is_open_keeps_its_parent() {
        let mut model = Model::new();
        let parent = model.new_file(Node::directory(FileId::ROOT), Bytes::new());
        let child = model.new_file(Node::directory(parent), Bytes::new());
        model.file_mut(child).handles = 1;
        model.sweep();
        assert_eq!(model.files.len(), 3);
        model.file_mut(child).handles = 0;
        model.sweep();
        assert_eq!(model.files.len(), 1);
    }

    #[test]
    fn a_file_that_a_loss_may_be_about_stays() {
        let mut model = Model::new();
        let files = [(); 2].map(|()| model.new_file(regular(), Bytes::new()));
        for (file, ino) in files.into_iter().zip([None, Some(Ino(7))]) {
            model.file_mut(file).ino = ino;
            let effect = Effect::Write { offset: 0, data: Bytes::from_static(b"a") };
            let (step, acked, handle) = (Step(1), Some(Step(2)), HandleId(3));
            let written = model.regular_mut(file).expect("it is a regular file");
            written.change(1, Change { step, acked, handle, effect });
        }
        model.sweep();
        // Of what number the first has nobody knows yet.
        assert!(model.files.contains_key(&files[0]) && !model.files.contains_key(&files[1]));
    }
}

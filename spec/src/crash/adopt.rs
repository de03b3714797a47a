//! After a survey the model goes on from what was found: that is what there is, and durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;

use crate::crash::content;
use crate::model::Attributes;
use crate::model::File;
use crate::model::FileId;
use crate::model::Model;
use crate::model::Node;
use crate::model::Promise;
use crate::model::Regular;
use crate::trace::CrashKind;
use crate::words::Found;
use crate::words::FoundKind;
use crate::words::HandleId;
use crate::words::Ino;
use crate::words::Step;
use crate::words::Survey;

/// What was found, and not yet looked back at: many an oracle is asked for its verdict alone.
#[derive(Debug, Clone)]
pub(crate) struct Adoption {
    pub(super) survey: Survey,
    /// Which file each path was taken for.
    pub(super) taken: OrdMap<Bytes, FileId>,
    pub(super) kind: CrashKind,
    pub(super) step: Step,
}

/// The model goes on from what was found.
pub(crate) fn adopt(before: &Model, adoption: &Adoption) -> Model {
    let found = Promise { clause: "CRASH-08", step: adoption.step };
    let mut model = Model::new();
    model.next_file = before.next_file;
    model.order = before.order;
    model.last_mapping = before.last_mapping;
    let mut by_ino: BTreeMap<Ino, FileId> = BTreeMap::new();
    let mut places: BTreeMap<Bytes, FileId> = BTreeMap::from([(Bytes::new(), FileId::ROOT)]);
    for (path, thing) in &adoption.survey.names {
        if path.is_empty() {
            let root = model.file_mut(FileId::ROOT);
            root.ino = Some(thing.ino);
            root.attributes = Arc::new(Attributes::found(thing, found));
            model.inos.insert(thing.ino, FileId::ROOT);
            continue;
        }
        let at = path.iter().rposition(|byte| *byte == b'/');
        let parent = path.slice(..at.unwrap_or(0));
        let name = path.slice(at.map_or(0, |at| at + 1)..);
        let Some(directory) = places.get(&parent).copied() else { continue };
        let file = *by_ino.entry(thing.ino).or_insert_with(|| {
            let taken = adoption.taken.get(path).copied();
            let id = taken.filter(|id| !model.files.contains_key(id));
            add(&mut model, id, path, thing, directory, found)
        });
        if model.directory(file).is_some() {
            places.insert(path.clone(), file);
        }
        model.bind_found(directory, name, file, found);
    }
    if let CrashKind::Process(dead) = adoption.kind {
        keep_handles(&mut model, before, |handle| handle.process != dead);
        model.locks = before.locks.clone();
        model.given_up = before.given_up.clone();
    }
    model
}

fn add(
    model: &mut Model,
    id: Option<FileId>,
    path: &Bytes,
    thing: &Found,
    directory: FileId,
    promise: Promise,
) -> FileId {
    let order = model.next_order();
    let node = match &thing.kind {
        FoundKind::Directory => Node::directory(directory),
        FoundKind::Symlink { target } => Node::Symlink(target.clone()),
        FoundKind::Unreadable { .. } => Node::Regular(Arc::default()),
        FoundKind::Regular { size_bytes, content } => {
            let bytes =
                content.as_ref().map(|content| content::extents(content, order, Some(promise)));
            let floor = bytes.unwrap_or_default();
            Node::Regular(Arc::new(Regular {
                size: *size_bytes,
                live: floor.clone(),
                floor,
                floor_size: *size_bytes,
                floor_size_order: order,
                size_promise: Some(promise),
                ..Regular::default()
            }))
        }
    };
    let mut file = File::new(node, path.clone());
    file.ino = Some(thing.ino);
    file.attributes = Arc::new(Attributes::found(thing, promise));
    let id = id.unwrap_or_else(|| {
        let id = FileId(model.next_file);
        model.next_file += 1;
        id
    });
    model.files.insert(id, file);
    model.inos.insert(thing.ino, id);
    id
}

/// Handles of processes that live on, with the files that only they hold.
fn keep_handles(model: &mut Model, before: &Model, lives: impl Fn(&crate::model::Handle) -> bool) {
    let kept: OrdMap<HandleId, crate::model::Handle> = before
        .handles
        .iter()
        .filter(|(id, handle)| **id != HandleId::ROOT && lives(handle))
        .map(|(id, handle)| (*id, handle.clone()))
        .collect();
    for (id, handle) in kept {
        if !model.files.contains_key(&handle.file) {
            let mut file = before.file(handle.file).clone();
            (file.names, file.handles) = (0, 0);
            model.files.insert(handle.file, file);
        }
        model.open(id, handle);
    }
    for (id, mapping) in before.mappings.iter().filter(|(_, mapping)| lives(&mapping.handle.1)) {
        if !model.files.contains_key(&mapping.file) {
            let mut file = before.file(mapping.file).clone();
            (file.names, file.handles) = (0, 0);
            model.files.insert(mapping.file, file);
        }
        model.file_mut(mapping.file).handles += 1;
        model.mappings.insert(*id, mapping.clone());
    }
}

//! After the death of a process everything else lives on: what was durable stays durable, and
//! nothing becomes durable by it. Only of the calls that died with it something is learnt.

use bytes::Bytes;

use crate::crash::Inquest;
use crate::crash::content;
use crate::model::AttributeChange;
use crate::model::Change;
use crate::model::Effect;
use crate::model::FileId;
use crate::model::Model;
use crate::model::NameOp;
use crate::model::Regular;
use crate::model::differs;
use crate::trace::CrashKind;
use crate::words::Content;
use crate::words::Found;
use crate::words::FoundKind;
use crate::words::HandleId;
use crate::words::Step;

/// What there is now, with all that is promised: `settled` is what there was before the calls that
/// died, `live` also has their whole effect. Nothing if that does not explain what was found.
pub(crate) fn go_on(
    inquest: &Inquest<'_>,
    live: &Model,
    settled: Model,
    kind: CrashKind,
) -> Option<Model> {
    let mut model = settled;
    let died_after = model.order;
    model.order = live.order;
    model.next_file = live.next_file;
    if let CrashKind::Process(dead) = kind {
        model.end_process(dead);
    }
    model.names.acknowledge(inquest.step);
    for (_, op) in live.names.log.range(died_after + 1..) {
        if happened(inquest, op) {
            add_name(&mut model, live, op, inquest.step);
        }
    }
    for (path, file) in &inquest.reading.taken {
        let found = inquest.survey.names.get(path)?;
        identify(&mut model, *file, found)?;
        learn_attributes(&mut model, *file, found, inquest.step);
        let FoundKind::Regular { size_bytes, content: Ok(content) } = &found.kind else { continue };
        let grown = live.regular(*file).map(|live| written_since(live, died_after))?;
        let order = &mut model.order.clone();
        let regular = model.regular_mut(*file)?;
        learn(regular, *size_bytes, content, &grown, order, inquest.step)?;
        model.order = *order;
    }
    unseen(&mut model, live, inquest, died_after);
    agrees(&model, inquest).then_some(model)
}

/// Was an operation of names found, all of it?
fn happened(inquest: &Inquest<'_>, op: &NameOp) -> bool {
    op.edits.iter().all(|edit| {
        let Some(parent) = inquest.reading.found_directories.get(&edit.directory) else {
            return false;
        };
        let path = super::child(parent, &edit.name);
        match (edit.after, inquest.survey.names.get(&path)) {
            (None, None) => true,
            (Some(file), Some(_)) => {
                inquest.reading.places.get(&path) == Some(&file)
                    || inquest.reading.files_meant_by(&path).any(|meant| meant == file)
            }
            (None, Some(_)) | (Some(_), None) => false,
        }
    })
}

fn add_name(model: &mut Model, live: &Model, op: &NameOp, step: Step) {
    for file in op.edits.iter().filter_map(|edit| edit.after) {
        if !model.files.contains_key(&file) {
            let mut made = live.file(file).clone();
            (made.names, made.handles) = (0, 0);
            model.files.insert(file, made);
        }
    }
    // Its order is a new one: it comes after all that was acknowledged.
    model.rename_edits(NameOp { acked: Some(step), ..op.clone() });
}

fn identify(model: &mut Model, file: FileId, found: &Found) -> Option<()> {
    model.files.get_mut(&file)?.ino = Some(found.ino);
    model.inos.insert(found.ino, file);
    Some(())
}

/// What is found of attributes differs from what was acknowledged by changes of calls that died.
fn learn_attributes(model: &mut Model, file: FileId, found: &Found, step: Step) {
    if let Some(mode) = found.mode
        && mode != model.file(file).attributes.mode.live
    {
        let order = model.next_order();
        model.attributes_mut(file).mode.change(order, mode, Some(step));
    }
    let known = &model.file(file).attributes;
    if known.live == found.attributes {
        return;
    }
    let names: Vec<Bytes> = known.live.keys().chain(found.attributes.keys()).cloned().collect();
    for name in names {
        let value = found.attributes.get(&name).cloned();
        if model.file(file).attributes.live.get(&name) != value.as_ref() {
            let order = model.next_order();
            let change = AttributeChange { name, value, acked: Some(step) };
            model.attributes_mut(file).change(order, change);
        }
    }
}

/// The writes of calls that died.
fn written_since(live: &Regular, order: u64) -> Vec<Change> {
    let later = live.log.range(order + 1..).map(|(_, change)| change);
    later.filter(|change| change.brings_bytes()).cloned().collect()
}

/// What is found differs from what was acknowledged by changes of calls that died.
fn learn(
    regular: &mut Regular,
    size: u64,
    content: &Content,
    died: &[Change],
    order: &mut u64,
    step: Step,
) -> Option<()> {
    regular.acknowledge(step);
    let found = content::extents(content, 0, None);
    let mut add = |regular: &mut Regular, effect: Effect| {
        *order += 1;
        let change = Change { step, acked: Some(step), handle: HandleId::ROOT, effect };
        regular.change(*order, change);
    };
    let from = regular.size;
    let reaches = died.iter().any(|change| change.range().end >= size);
    if size < from || (size > from && !reaches) {
        add(regular, Effect::Resize { from, to: size });
    }
    let mut written: Vec<(u64, Bytes)> = Vec::new();
    for range in died.iter().map(Change::range) {
        // What grew is written as a whole, zeros as well: so power loss may leave a part of it.
        let (start, end) = (range.start.max(from), range.end.min(size));
        for run in found.runs(start..end.max(start)) {
            let zeros = || vec![0; crate::model::index(run.end - run.start)].into();
            written.push((run.start, run.data.clone().unwrap_or_else(zeros)));
        }
    }
    for run in found.runs(0..size) {
        for known in regular.live.runs(run.start..run.end) {
            if let Some(at) = differs(&known, &run, known.start, known.end) {
                let zeros = || vec![0; crate::model::index(known.end - at)].into();
                written.push((at, run.part(at, known.end).unwrap_or_else(zeros)));
            }
        }
    }
    for (offset, data) in written {
        add(regular, Effect::Write { offset, data });
    }
    regular.sized_order = *order;
    (regular.size == size).then_some(())
}

/// Of files that nobody can look at, nothing is learnt: what died may have happened there, or not.
fn unseen(model: &mut Model, live: &Model, inquest: &Inquest<'_>, died_after: u64) {
    let seen: Vec<FileId> = inquest.reading.taken.values().copied().collect();
    let files: Vec<FileId> = model.files.keys().copied().collect();
    for file in files.into_iter().filter(|file| !seen.contains(file)) {
        let died = live.regular(file).map(|live| live.log.range(died_after + 1..));
        let died: Vec<(u64, Change)> =
            died.into_iter().flatten().map(|(order, change)| (*order, change.clone())).collect();
        if let (false, Some(regular)) = (died.is_empty(), model.regular_mut(file)) {
            regular.maybes.extend(died);
        }
    }
}

/// Are the names of the model those that were found?
fn agrees(model: &Model, inquest: &Inquest<'_>) -> bool {
    let mut count = 1;
    for (directory, path) in &inquest.reading.found_directories {
        let Some(known) = model.directory(*directory) else { return false };
        count += known.entries.len();
        let is_found = |(name, file): (&Bytes, &FileId)| {
            let path = super::child(path, name);
            inquest.reading.taken.get(&path).or(inquest.reading.places.get(&path)) == Some(file)
        };
        if !known.entries.iter().all(is_found) {
            return false;
        }
    }
    count == inquest.survey.names.len()
}

//! `stat`: identity, kind, number of names, size.

use crate::errors;
use crate::errors::reads;
use crate::model::FileId;
use crate::model::Node;
use crate::model::resolve;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::mode;
use crate::ops::permitted::Permitted;
use crate::words::At;
use crate::words::Errno;
use crate::words::FileKind;
use crate::words::HandleId;
use crate::words::Ino;
use crate::words::Outcome;
use crate::words::Stat;
use crate::words::Value;

pub(crate) fn by_path(judge: &mut Judge, frame: &Frame, at: &At, follow: bool, outcome: &Outcome) {
    let place = resolve(&judge.model, at, follow);
    let missing = place.as_ref().is_ok_and(|place| place.file.is_none());
    let slash_on_file = place.as_ref().is_ok_and(|place| {
        place.slash && place.file.is_some_and(|file| judge.model.directory(file).is_none())
    });
    let slash = place.as_ref().is_ok_and(|place| place.slash);
    let permitted = Permitted::path("NS-CREATE-01", &at.path)
        .looked_up(judge, &place)
        .resolved(&place)
        .must_by(missing, &[Errno::NoEntry], "NS-UNLINK-01")
        .must(slash_on_file, &[Errno::NotDirectory])
        .may(slash, &[Errno::NotDirectory]);
    if judge.settle(frame, &permitted, outcome)
        && let Ok(place) = place
        && let Some(file) = place.file
    {
        check(judge, frame, file, outcome);
    }
}

pub(crate) fn by_handle(judge: &mut Judge, frame: &Frame, id: HandleId, outcome: &Outcome) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let permitted = Permitted::of("NS-CREATE-01", handle.file);
    if judge.settle(frame, &permitted, outcome) {
        check(judge, frame, handle.file, outcome);
    }
}

fn check(judge: &mut Judge, frame: &Frame, file: FileId, outcome: &Outcome) {
    let Ok(Value::Stat(stat)) = outcome else { return judge.malformed(frame) };
    kind(judge, frame, file, stat.kind);
    identity(judge, frame, file, stat.ino);
    links(judge, frame, file, stat);
    mode::told(judge, frame, file, stat.mode);
    match &judge.model.file(file).node {
        Node::Regular(_) => reads::size_is(judge, frame, file, stat.size_bytes),
        Node::Symlink(target) => {
            let len = target.len() as u64;
            if len != stat.size_bytes {
                let subject = judge.model.path_text(file);
                let observed = format!("size {}", stat.size_bytes);
                judge.broken(frame, "NS-CREATE-01", subject, observed, format!("size {len}"));
            }
        }
        Node::Directory(_) => {}
    }
}

/// A file is of the kind that it was made.
pub(crate) fn kind(judge: &mut Judge, frame: &Frame, file: FileId, kind: FileKind) {
    let expected = judge.model.file(file).kind();
    if expected != kind {
        let subject = judge.model.path_text(file);
        let observed = format!("{kind:?}");
        judge.broken(frame, "NS-CREATE-01", subject, observed, format!("{expected:?}"));
    }
}

/// A file keeps its number, and no other file has it.
pub(crate) fn identity(judge: &mut Judge, frame: &Frame, file: FileId, ino: Ino) {
    judge.exercise("NS-INO-01");
    let owner = judge.model.inos.get(&ino).copied();
    let known = judge.model.file(file).ino;
    // A file in a snapshot has a number of its own, or that of the file it was.
    let known = known.filter(|_| judge.frozen.is_none() || owner == Some(file));
    let taken = owner.is_some_and(|owner| owner != file);
    if taken || known.is_some_and(|known| known != ino) {
        let subject = judge.model.path_text(file);
        let allowed = match known {
            Some(known) => format!("number {}, as before", known.0),
            None => "a number that no other file has".to_owned(),
        };
        judge.broken(frame, "NS-INO-01", subject, format!("number {}", ino.0), allowed);
    }
    if judge.model.file(file).ino != Some(ino) {
        judge.model.file_mut(file).ino = Some(ino);
    }
    if owner != Some(file) {
        judge.model.inos.insert(ino, file);
    }
    if owner.is_none() {
        errors::identified(judge, file, ino);
    }
}

fn links(judge: &mut Judge, frame: &Frame, file: FileId, stat: &Stat) {
    let names = judge.model.file(file).names;
    if judge.model.directory(file).is_some() {
        return;
    }
    judge.exercise("NS-LINK-01");
    if names != stat.link_count {
        let subject = judge.model.path_text(file);
        let observed = format!("link count {}", stat.link_count);
        judge.broken(frame, "NS-LINK-01", subject, observed, format!("link count {names}"));
    }
}

//! `link`, `symlink`, `readlink`: further names, and names that say a path.

use bytes::Bytes;

use crate::model::Edit;
use crate::model::Node;
use crate::model::Place;
use crate::model::resolve;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::violation::show;
use crate::words::At;
use crate::words::Errno;
use crate::words::Outcome;
use crate::words::Value;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    from: &At,
    follow: bool,
    to: &At,
    outcome: &Outcome,
) {
    let source = resolve(&judge.model, from, follow);
    let target = resolve(&judge.model, to, false);
    let mut permitted = Permitted::path("NS-CREATE-01", &to.path)
        .resolved(&source)
        .resolved(&target)
        .may(from.path.len() > 14, &[Errno::NameTooLong])
        .may(follow, &[Errno::Invalid])
        .may(true, &[Errno::TooManyLinks]);
    if let Ok(source) = &source {
        let is_directory = source.file.is_some_and(|file| judge.model.directory(file).is_some());
        let is_symlink =
            source.file.is_some_and(|file| matches!(judge.model.file(file).node, Node::Symlink(_)));
        permitted = permitted
            .must(source.file.is_none(), &[Errno::NoEntry])
            .must(is_directory, &[Errno::NotPermitted, Errno::IsDirectory])
            .must(source.slash && source.file.is_some() && !is_directory, &[Errno::NotDirectory])
            .may(is_symlink, &[Errno::Loop, Errno::NotPermitted]);
    }
    if let Ok(target) = &target {
        permitted = new_name(judge, permitted, target);
    }
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    if let (Ok(source), Ok(target)) = (source, target)
        && let Some(name) = target.name
    {
        let path = judge.model.path_of(target.directory, &name);
        let edit = Edit { directory: target.directory, name, before: None, after: source.file };
        judge.names(frame, "link", [path, Bytes::new()], vec![edit]);
    }
}

pub(super) fn new_name(judge: &Judge, permitted: Permitted, place: &Place) -> Permitted {
    let odd = place.slash || place.name.is_none();
    permitted
        .renames_in(judge, place.directory)
        .must(place.file.is_some(), &[Errno::Exists])
        .must(place.file.is_none() && !judge.is_linked(place.directory), &[Errno::NoEntry])
        .must(place.slash && place.file.is_none(), &[Errno::NoEntry, Errno::NotDirectory])
        .may(odd, &[Errno::NotDirectory, Errno::NoEntry, Errno::Invalid, Errno::Exists])
        .may(odd, &[Errno::IsDirectory])
}

/// `symlink`: nobody looks at the target.
pub(crate) fn symlink(
    judge: &mut Judge,
    frame: &Frame,
    target: &Bytes,
    at: &At,
    outcome: &Outcome,
) {
    let place = resolve(&judge.model, at, false);
    let refused = target.is_empty() || target.starts_with(b"/") || target.contains(&0);
    let mut permitted = Permitted::path("NS-CREATE-01", &at.path)
        .resolved(&place)
        .may(refused, &[Errno::NoEntry, Errno::Invalid, Errno::NotPermitted, Errno::NotCapable])
        .may(target.len() > 255, &[Errno::NameTooLong])
        .may(std::str::from_utf8(target).is_err(), &[Errno::IllegalSequence, Errno::Invalid]);
    if let Ok(place) = &place {
        permitted = new_name(judge, permitted, place);
    }
    if judge.settle(frame, &permitted, outcome)
        && let Ok(place) = place
        && let Some(name) = place.name
    {
        let path = judge.model.path_of(place.directory, &name);
        let file = judge.model.new_file(Node::Symlink(target.clone()), path.clone());
        let edit = Edit { directory: place.directory, name, before: None, after: Some(file) };
        judge.names(frame, "symlink", [path, Bytes::new()], vec![edit]);
    }
}

/// `readlink`: what the link was made to say.
pub(crate) fn read(judge: &mut Judge, frame: &Frame, at: &At, outcome: &Outcome) {
    let place = resolve(&judge.model, at, false);
    let mut permitted = Permitted::path("NS-CREATE-01", &at.path).resolved(&place);
    let mut expected = None;
    if let Ok(place) = &place {
        if let Some(file) = place.file
            && let Node::Symlink(target) = &judge.model.file(file).node
        {
            expected = Some(target.clone());
        }
        permitted = permitted
            .must(place.file.is_none(), &[Errno::NoEntry])
            .must(place.file.is_some() && expected.is_none(), &[Errno::Invalid])
            .may(place.slash, &[Errno::NotDirectory, Errno::Invalid])
            .may(place.name.is_none(), &[Errno::NotCapable]);
    }
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    let (Ok(Value::Target(told)), Some(expected)) = (outcome, expected) else {
        return judge.malformed(frame);
    };
    if *told != expected {
        let subject = String::from_utf8_lossy(&at.path).into_owned();
        judge.broken(frame, "NS-CREATE-01", subject, show(told), show(&expected));
    }
}

//! `exchange`: one step, in which each of two names gets the other's file.

use crate::model::Denial;
use crate::model::Edit;
use crate::model::Place;
use crate::model::resolve;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::ops::rename::is_within;
use crate::ops::rename::moves;
use crate::words::At;
use crate::words::Errno;
use crate::words::Outcome;
use crate::words::Right;

pub(crate) fn judge(judge: &mut Judge, frame: &Frame, from: &At, to: &At, outcome: &Outcome) {
    let one = resolve(&judge.model, from, false);
    let other = resolve(&judge.model, to, false);
    let mut permitted = Permitted::path("NS-EXCH-01", &from.path)
        .resolved(&one)
        .resolved(&other)
        .may(to.path.len() > 14, &[Errno::NameTooLong])
        .may(std::str::from_utf8(&to.path).is_err(), &[Errno::IllegalSequence])
        // A file system need not have it.
        .may(true, &[Errno::Invalid, Errno::TooManyLinks]);
    if let (Ok(one), Ok(other)) = (&one, &other) {
        permitted = conditions(judge, permitted, one, other);
    }
    let may_happen = judge.settle(frame, &permitted, outcome);
    let (Ok(one), Ok(other)) = (one, other) else { return };
    if may_happen {
        apply(judge, frame, &one, &other);
    } else if outcome.is_err() {
        judge.exercise("NS-RENAME-03");
        for place in [&one, &other] {
            judge.remember(place, "NS-RENAME-03");
        }
    }
}

fn conditions(judge: &Judge, permitted: Permitted, one: &Place, other: &Place) -> Permitted {
    let model = &judge.model;
    let is_file = |place: &Place| place.file.is_some_and(|file| model.directory(file).is_none());
    let dots = one.name.is_none() || other.name.is_none();
    let holds = |outer: &Place, inner: &Place| {
        outer.file.is_some_and(|outer| is_within(model, inner.directory, outer))
    };
    let slash = one.slash || other.slash;
    let needs_directory = (one.slash && is_file(one)) || (other.slash && is_file(other));
    let permitted = match one.file == other.file {
        // Nothing is changed.
        true => permitted.may(true, &[Errno::Access]),
        false => moves(judge, permitted, one, other),
    };
    let is_denied = [one, other].iter().any(|place| {
        let directory = place.file.filter(|file| model.directory(*file).is_some());
        directory.is_some_and(|file| model.denial(file, Right::Write) != Denial::No)
    });
    permitted
        // What moves to another parent may have to be writable itself.
        .may(is_denied, &[Errno::Access])
        .must(one.file.is_none() || other.file.is_none(), &[Errno::NoEntry])
        .must(dots, &[Errno::Busy, Errno::Invalid])
        .must(holds(one, other) || holds(other, one), &[Errno::Invalid])
        .must(needs_directory, &[Errno::NotDirectory])
        .may(slash, &[Errno::NotDirectory, Errno::NoEntry])
}

fn apply(judge: &mut Judge, frame: &Frame, one: &Place, other: &Place) {
    judge.exercise("NS-EXCH-01");
    if one.file != other.file
        && let (Some(first), Some(second)) = (one.name.clone(), other.name.clone())
    {
        let paths = [
            judge.model.path_of(one.directory, &first),
            judge.model.path_of(other.directory, &second),
        ];
        let edits = vec![
            Edit { directory: one.directory, name: first, before: one.file, after: other.file },
            Edit { directory: other.directory, name: second, before: other.file, after: one.file },
        ];
        judge.names(frame, "exchange", paths, edits);
    }
    judge.remember(&Place { file: other.file, ..one.clone() }, "NS-EXCH-01");
    judge.remember(&Place { file: one.file, ..other.clone() }, "NS-EXCH-01");
}

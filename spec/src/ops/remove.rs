//! `unlink` and `rmdir`: the name is gone; who holds the file keeps it.

use bytes::Bytes;

use crate::model::Edit;
use crate::model::Place;
use crate::model::resolve;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::ops::space::LESS_THAN_SAID;
use crate::words::At;
use crate::words::Errno;
use crate::words::FileKind;
use crate::words::Outcome;

pub(crate) fn unlink(judge: &mut Judge, frame: &Frame, at: &At, outcome: &Outcome) {
    let place = resolve(&judge.model, at, false);
    let mut permitted = Permitted::path("NS-CREATE-01", &at.path).resolved(&place);
    if let Ok(place) = &place {
        let kind = place.file.map(|file| judge.model.file(file).kind());
        let is_directory = kind == Some(FileKind::Directory);
        let slash_on_file = place.slash && kind.is_some() && !is_directory;
        permitted = permitted
            .renames_in(judge, place.directory)
            .must_by(kind.is_none(), &[Errno::NoEntry], "NS-UNLINK-01")
            .must(is_directory, &[Errno::IsDirectory, Errno::NotPermitted])
            .must(slash_on_file, &[Errno::NotDirectory])
            .may(place.slash, &[Errno::NotDirectory])
            .may(place.name.is_none(), &[Errno::Invalid, Errno::Busy, Errno::NotEmpty]);
    }
    if judge.settle(frame, &permitted, outcome)
        && let Ok(place) = place
    {
        judge.exercise("NS-UNLINK-01");
        apply(judge, frame, "unlink", &place);
    }
    needs_no_space(judge, frame, crate::crash::text(&at.path), outcome);
}

/// Removing and cutting files needs no space that somebody else could have taken. A device that has
/// less than it says is another matter: there no commit can be made.
pub(crate) fn needs_no_space(judge: &mut Judge, frame: &Frame, subject: String, told: &Outcome) {
    if !judge.enforces("LIM-03") {
        return;
    }
    let is_refused = *told == Err(Errno::NoSpace);
    if is_refused && judge.has_device_lacked_space() {
        return judge.pass_over(LESS_THAN_SAID);
    }
    judge.exercise("LIM-03");
    if is_refused {
        let observed = Errno::NoSpace.name().to_owned();
        judge.broken(frame, "LIM-03", subject, observed, "success".to_owned());
    }
}

pub(crate) fn directory(judge: &mut Judge, frame: &Frame, at: &At, outcome: &Outcome) {
    let place = resolve(&judge.model, at, false);
    let mut permitted = Permitted::path("NS-DIR-01", &at.path).resolved(&place);
    if let Ok(place) = &place {
        let directory = place.file.and_then(|file| judge.model.directory(file));
        let is_other = place.file.is_some() && directory.is_none();
        let is_full = directory.is_some_and(|directory| !directory.entries.is_empty());
        let dots = place.name.is_none();
        permitted = permitted
            .renames_in(judge, place.directory)
            .must(place.file.is_none(), &[Errno::NoEntry])
            .must(is_other, &[Errno::NotDirectory])
            .must(is_full, &[Errno::NotEmpty, Errno::Exists])
            .must(dots, &[Errno::Invalid, Errno::NotEmpty, Errno::Exists, Errno::Busy])
            .may(dots, &[Errno::NotPermitted, Errno::NotCapable])
            .may(place.slash, &[Errno::NotDirectory]);
    }
    if judge.settle(frame, &permitted, outcome)
        && let Ok(place) = place
    {
        apply(judge, frame, "rmdir", &place);
    }
}

fn apply(judge: &mut Judge, frame: &Frame, verb: &'static str, place: &Place) {
    let Some(name) = place.name.clone() else { return };
    let path = judge.model.path_of(place.directory, &name);
    let edit = Edit { directory: place.directory, name, before: place.file, after: None };
    judge.names(frame, verb, [path, Bytes::new()], vec![edit]);
}

//! `rename`: one step, in which the old name goes and the new one means the file.

use crate::model::Edit;
use crate::model::FileId;
use crate::model::Model;
use crate::model::Place;
use crate::model::resolve;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::words::At;
use crate::words::Errno;
use crate::words::Outcome;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    from: &At,
    to: &At,
    replace: bool,
    outcome: &Outcome,
) {
    let source = resolve(&judge.model, from, false);
    let target = resolve(&judge.model, to, false);
    let mut permitted = Permitted::path("NS-RENAME-01", &from.path)
        .resolved(&source)
        .resolved(&target)
        .may(to.path.len() > 14, &[Errno::NameTooLong])
        .may(std::str::from_utf8(&to.path).is_err(), &[Errno::IllegalSequence]);
    if let (Ok(source), Ok(target)) = (&source, &target) {
        permitted = conditions(judge, permitted, source, target);
        let is_kept = !replace && source.file.is_some() && target.file.is_some();
        permitted = permitted.must_by(is_kept, &[Errno::Exists], "NS-RENAME-04");
    }
    // A file system need not have the flag.
    permitted = permitted.may(!replace, &[Errno::Invalid]);
    if !judge.settle(frame, &permitted, outcome) {
        if outcome.is_err() {
            judge.exercise("NS-RENAME-03");
            for place in [&source, &target].into_iter().flatten() {
                judge.remember(place, "NS-RENAME-03");
            }
        }
        return;
    }
    if let (Ok(source), Ok(target)) = (source, target) {
        apply(judge, frame, &source, &target);
    }
}

fn conditions(judge: &Judge, permitted: Permitted, source: &Place, target: &Place) -> Permitted {
    let model = &judge.model;
    let Some(moved) = source.file else {
        return permitted.must(true, &[Errno::NoEntry]);
    };
    let dots = source.name.is_none() || target.name.is_none();
    let moves_directory = model.directory(moved).is_some();
    let over = target.file.filter(|file| *file != moved);
    let over_directory = over.and_then(|file| model.directory(file));
    let is_full = over_directory.is_some_and(|directory| !directory.entries.is_empty());
    let slash = source.slash || target.slash;
    let unlinked = target.file.is_none() && !judge.is_linked(target.directory);
    let inside = moves_directory && is_within(model, target.directory, moved);
    let contains = target.file.is_some_and(|over| is_within(model, source.directory, over));
    let permitted = match target.file == Some(moved) {
        // Nothing is changed.
        true => permitted.may(true, &[Errno::Access]),
        false => moves(judge, permitted, source, target).may(moves_directory, &[Errno::Access]),
    };
    permitted
        .about(target.file == Some(moved), "NS-RENAME-02")
        .must(dots, &[Errno::Busy, Errno::Invalid, Errno::NotEmpty, Errno::Exists])
        .may(dots, &[Errno::NotPermitted, Errno::NotDirectory, Errno::IsDirectory])
        .must(inside, &[Errno::Invalid])
        .may(contains, &[Errno::NotEmpty, Errno::Exists, Errno::Invalid])
        .must(unlinked, &[Errno::NoEntry])
        .must(is_full && moves_directory, &[Errno::NotEmpty, Errno::Exists])
        .must(over_directory.is_some() && !moves_directory, &[Errno::IsDirectory])
        .may(is_full, &[Errno::NotEmpty, Errno::Exists])
        .must(over.is_some() && over_directory.is_none() && moves_directory, &[Errno::NotDirectory])
        .must(slash && !moves_directory, &[Errno::NotDirectory])
        .may(slash, &[Errno::NotDirectory, Errno::NoEntry, Errno::Invalid, Errno::IsDirectory])
        .may(true, &[Errno::TooManyLinks])
}

/// Names go from one directory to another.
pub(super) fn moves(judge: &Judge, to: Permitted, source: &Place, target: &Place) -> Permitted {
    to.renames_in(judge, source.directory).renames_in(judge, target.directory)
}

/// Is a directory another one, or beneath it?
pub(super) fn is_within(model: &Model, mut directory: FileId, ancestor: FileId) -> bool {
    loop {
        if directory == ancestor {
            return true;
        }
        match model.directory(directory) {
            Some(node) if directory != FileId::ROOT && node.parent != directory => {
                directory = node.parent;
            }
            Some(_) | None => return false,
        }
    }
}

fn apply(judge: &mut Judge, frame: &Frame, source: &Place, target: &Place) {
    if source.file == target.file {
        judge.remember(source, "NS-RENAME-02");
        judge.remember(target, "NS-RENAME-02");
        return judge.exercise("NS-RENAME-02");
    }
    let (Some(old), Some(new)) = (source.name.clone(), target.name.clone()) else { return };
    let paths =
        [judge.model.path_of(source.directory, &old), judge.model.path_of(target.directory, &new)];
    let gone = Edit { directory: source.directory, name: old, before: source.file, after: None };
    let come =
        Edit { directory: target.directory, name: new, before: target.file, after: source.file };
    judge.exercise("NS-RENAME-01");
    judge.names(frame, "rename", paths, vec![gone, come]);
    judge.remember(&Place { file: source.file, ..target.clone() }, "NS-RENAME-01");
}

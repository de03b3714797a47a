//! `open`: a name becomes a handle, and may be made on the way.

use std::sync::Arc;

use crate::errors;
use crate::model::Change;
use crate::model::Edit;
use crate::model::Effect;
use crate::model::FileId;
use crate::model::Handle;
use crate::model::Node;
use crate::model::Place;
use crate::model::resolve;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::ops::stat;
use crate::words::At;
use crate::words::Errno;
use crate::words::FileKind;
use crate::words::HandleId;
use crate::words::OpenOptions;
use crate::words::Outcome;
use crate::words::Right;
use crate::words::Value;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    at: &At,
    options: OpenOptions,
    outcome: &Outcome,
) {
    let follow = options.follow && !(options.create && options.exclusive);
    let place = resolve(&judge.model, at, follow);
    let permitted = permitted(judge, at, options, &place);
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    let Ok(place) = place else { return };
    let Ok(Value::Handle { handle, kind, ino }) = outcome else {
        return judge.malformed(frame);
    };
    if let Some(known) = judge.model.handles.get_mut(handle) {
        // A close that is under way may be that of either.
        known.opened = frame.step();
        return judge.undecided(frame.step(), "malformed trace: a handle is given out twice");
    }
    let file = apply(judge, frame, at, options, &place);
    if let Some(ino) = ino {
        stat::identity(judge, frame, file, *ino);
    }
    let expected = judge.model.file(file).kind();
    if expected != *kind {
        let subject = judge.model.path_text(file);
        let observed = format!("opened as {kind:?}");
        judge.broken(frame, "NS-CREATE-01", subject, observed, format!("{expected:?}"));
    }
    give_handle(judge, frame, *handle, file, options);
}

/// The handle leads to the file from now on.
pub(super) fn give_handle(
    judge: &mut Judge,
    frame: &Frame,
    handle: HandleId,
    file: FileId,
    options: OpenOptions,
) {
    errors::opened(judge, file);
    let seen = judge
        .model
        .regular(file)
        .and_then(|regular| {
            regular.lost.iter().filter(|lost| !lost.reported.is_empty()).map(|l| l.step).max()
        })
        .unwrap_or(crate::words::Step(0));
    judge.model.open(
        handle,
        Handle {
            file,
            process: frame.process,
            opened: frame.step(),
            read: options.read,
            write: options.write,
            status: options.status,
            offset: Some(0),
            scan: None,
            errors_seen_until: seen,
            told: None,
        },
    );
}

fn permitted(
    judge: &Judge,
    at: &At,
    options: OpenOptions,
    place: &Result<Place, Vec<Errno>>,
) -> Permitted {
    let permitted =
        Permitted::path("NS-CREATE-01", &at.path).looked_up(judge, place).resolved(place);
    let Ok(place) = place else { return permitted };
    let Some(file) = place.file else {
        let odd = place.slash || options.directory;
        let permitted = match options.create {
            true => permitted.renames_in(judge, place.directory),
            false => permitted,
        };
        return permitted
            .must_by(!options.create, &[Errno::NoEntry], "NS-UNLINK-01")
            .must(place.slash && options.create, &[Errno::IsDirectory, Errno::NotDirectory])
            .must(options.create && !judge.is_linked(place.directory), &[Errno::NoEntry])
            .may(odd, &[Errno::Invalid, Errno::NotDirectory, Errno::IsDirectory, Errno::NoEntry]);
    };
    let kind = judge.model.file(file).kind();
    let is_directory = kind == FileKind::Directory;
    let changes = options.write || options.create || options.truncate;
    let mut permitted = permitted;
    let writes = options.write || options.truncate;
    for (_, right) in
        [(options.read, Right::Read), (writes, Right::Write)].into_iter().filter(|(asks, _)| *asks)
    {
        permitted = permitted.granted(judge, file, right);
    }
    permitted
        .must_by(options.create && options.exclusive, &[Errno::Exists], "NS-EXCL-01")
        .must(kind == FileKind::Symlink, &[Errno::Loop])
        .may(kind == FileKind::Symlink && options.directory, &[Errno::NotDirectory])
        .must(options.directory && kind == FileKind::Regular, &[Errno::NotDirectory])
        .must(place.slash && kind == FileKind::Regular, &[Errno::NotDirectory])
        .may(is_directory && changes, &[Errno::IsDirectory, Errno::Invalid, Errno::Exists])
        .may(options.directory && options.create, &[Errno::Invalid, Errno::NotDirectory])
        .may(place.slash && options.create, &[Errno::IsDirectory])
}

fn apply(judge: &mut Judge, frame: &Frame, at: &At, options: OpenOptions, place: &Place) -> FileId {
    let Some(file) = place.file else {
        let path = at.path.clone();
        let file = judge.model.new_file(Node::Regular(Arc::default()), path.clone());
        judge.model.set_made_mode(file, options.mode);
        let name = place.name.clone().unwrap_or_default();
        let edit = Edit { directory: place.directory, name, before: None, after: Some(file) };
        judge.names(frame, "create", [path, bytes::Bytes::new()], vec![edit]);
        return file;
    };
    let order = judge.model.next_order();
    if options.truncate
        && let Some(regular) = judge.model.regular_mut(file)
        && regular.size > 0
    {
        let effect = Effect::Resize { from: regular.size, to: 0 };
        regular.change(order, Change::new(frame, HandleId::ROOT, effect));
        regular.size_clause = Some("TRUNC-01");
        judge.model.cut_mappings(file, 0);
    }
    file
}

//! Files that are made without a name, and names for files that are open.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::Edit;
use crate::model::Node;
use crate::model::resolve;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::link::new_name;
use crate::ops::open::give_handle;
use crate::ops::permitted::Permitted;
use crate::ops::stat;
use crate::words::At;
use crate::words::Errno;
use crate::words::FileKind;
use crate::words::HandleId;
use crate::words::OpenOptions;
use crate::words::Outcome;
use crate::words::Value;

/// `openunnamed`: nobody finds the file by a name.
pub(crate) fn open(
    judge: &mut Judge,
    frame: &Frame,
    at: &At,
    options: OpenOptions,
    outcome: &Outcome,
) {
    let place = resolve(&judge.model, at, true);
    let mut permitted = Permitted::path("NS-UNNAMED-01", &at.path)
        .resolved(&place)
        .must(!options.write || options.create, &[Errno::Invalid])
        // A file system need not have them: NotSupported, or what an older kernel says.
        .may(true, &[Errno::IsDirectory, Errno::Invalid]);
    if let Ok(place) = &place {
        let directory = place.file.filter(|file| judge.model.directory(*file).is_some());
        let is_gone = directory.is_some_and(|directory| !judge.is_linked(directory));
        permitted = permitted
            .must(place.file.is_none() || is_gone, &[Errno::NoEntry])
            .must(place.file.is_some() && directory.is_none(), &[Errno::NotDirectory]);
        if let Some(directory) = directory {
            permitted = permitted.renames_in(judge, directory);
        }
    }
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    let Ok(Value::Handle { handle, kind: FileKind::Regular, ino }) = outcome else {
        return judge.malformed(frame);
    };
    if let Some(known) = judge.model.handles.get_mut(handle) {
        // A close that is under way may be that of either.
        known.opened = frame.step();
        return judge.undecided(frame.step(), "malformed trace: a handle is given out twice");
    }
    let file = judge.model.new_file(Node::Regular(Arc::default()), at.path.clone());
    judge.model.file_mut(file).is_linkable = !options.exclusive;
    judge.model.set_made_mode(file, options.mode);
    if let Some(ino) = ino {
        stat::identity(judge, frame, file, *ino);
    }
    give_handle(judge, frame, *handle, file, options);
}

/// `linkhandle`: one more name, or the first.
pub(crate) fn link(judge: &mut Judge, frame: &Frame, id: HandleId, to: &At, outcome: &Outcome) {
    let Some(handle) = judge.handle(frame, id, outcome) else { return };
    let target = resolve(&judge.model, to, false);
    let file = judge.model.file(handle.file);
    let is_lost = file.names == 0 && !file.is_linkable;
    let is_directory = file.kind() == FileKind::Directory;
    let mut permitted = Permitted::path("NS-UNNAMED-01", &to.path)
        .resolved(&target)
        .must(is_directory, &[Errno::NotPermitted, Errno::IsDirectory])
        .must_by(is_lost, &[Errno::NoEntry], "NS-UNNAMED-02")
        .may(true, &[Errno::TooManyLinks]);
    if let Ok(target) = &target {
        permitted = new_name(judge, permitted, target);
    }
    if judge.settle(frame, &permitted, outcome)
        && let Ok(target) = target
        && let Some(name) = target.name
    {
        let path = judge.model.path_of(target.directory, &name);
        let after = Some(handle.file);
        let edit = Edit { directory: target.directory, name, before: None, after };
        judge.model.file_mut(handle.file).is_linkable = false;
        judge.names(frame, "link", [path, Bytes::new()], vec![edit]);
    }
}

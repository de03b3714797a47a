//! `mkdir`.

use bytes::Bytes;

use crate::model::Edit;
use crate::model::Node;
use crate::model::resolve;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::permitted::Permitted;
use crate::words::At;
use crate::words::Errno;
use crate::words::Mode;
use crate::words::Outcome;

pub(crate) fn judge(
    judge: &mut Judge,
    frame: &Frame,
    at: &At,
    mode: Option<Mode>,
    outcome: &Outcome,
) {
    let place = resolve(&judge.model, at, false);
    let mut permitted = Permitted::path("NS-CREATE-01", &at.path).resolved(&place);
    if let Ok(place) = &place {
        let dots = place.name.is_none();
        permitted = permitted
            .renames_in(judge, place.directory)
            .must(place.file.is_some(), &[Errno::Exists])
            .must(place.file.is_none() && !judge.is_linked(place.directory), &[Errno::NoEntry])
            .may(dots, &[Errno::Invalid, Errno::NoEntry, Errno::Busy])
            .may(true, &[Errno::TooManyLinks]);
    }
    if !judge.settle(frame, &permitted, outcome) {
        return;
    }
    let Ok(place) = place else { return };
    let Some(name) = place.name else { return };
    let path = judge.model.path_of(place.directory, &name);
    let file = judge.model.new_file(Node::directory(place.directory), path.clone());
    judge.model.set_made_mode(file, mode);
    let edit = Edit { directory: place.directory, name, before: None, after: Some(file) };
    judge.names(frame, "mkdir", [path, Bytes::new()], vec![edit]);
}

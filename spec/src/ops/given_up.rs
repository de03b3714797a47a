//! A handle whose close failed: it was given up all the same [ERR-CLOSE-01].
//!
//! A call on it that began after that answer and succeeds breaks the clause; EBADF keeps it, and
//! another error decides nothing. A call that began before is as of any handle: it may have come
//! first. Nothing that such a success did takes effect, for nobody knows to what.

use crate::model::GivenUp;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::ops::snapshot::handles_of;
use crate::violation::Violation;
use crate::words::Call;
use crate::words::Errno;
use crate::words::HandleId;
use crate::words::Outcome;
use crate::words::Value;

/// The handles that a call is made on.
fn named(call: &Call) -> impl Iterator<Item = HandleId> + use<> {
    let source = if let Call::CopyRange { from, .. }
    | Call::CloneRange { from, .. }
    | Call::DedupeRange { from, .. } = call
    {
        Some(*from)
    } else {
        None
    };
    handles_of(call).into_iter().chain([source]).flatten()
}

impl Judge {
    /// Judges a call on a handle whose close failed. Was it a success, so that there is no more to
    /// it?
    pub(crate) fn uses_given_up(&mut self, frame: &Frame, call: &Call, outcome: &Outcome) -> bool {
        if self.model.given_up.is_empty() {
            return false;
        }
        let mut used = named(call).filter_map(|id| self.model.given_up.get(frame.process, id));
        let Some(known) = used.find(|known| frame.called > known.step).cloned() else {
            return false;
        };
        if *outcome == Err(Errno::BadFile) {
            self.exercise("ERR-CLOSE-01");
        }
        if outcome.is_err() {
            return false;
        }
        let GivenUp { handle, step, errno, path, .. } = known;
        self.report(Violation {
            clause: "ERR-CLOSE-01",
            also: Vec::new(),
            step: frame.step(),
            subject: path,
            observed: "answered success on a descriptor whose close had failed".to_owned(),
            allowed: vec!["EBADF: the close gave it up".to_owned()],
            chain: vec![(step, format!("close of h{} answered {}", handle.0, errno.name()))],
        });
        true
    }

    /// The handle that a close gives up although it fails. One that was given out while the close
    /// was under way is another.
    pub(crate) fn gives_up(
        &self,
        frame: &Frame,
        call: &Call,
        outcome: &Outcome,
    ) -> Option<GivenUp> {
        let (Call::Close { handle }, Err(errno)) = (call, outcome) else { return None };
        if *errno == Errno::BadFile || *handle == HandleId::ROOT {
            return None;
        }
        let model = self.snapshots.model_of(*handle).unwrap_or(&self.model);
        let known = model.handles.get(handle).filter(|known| known.opened < frame.called)?;
        let (handle, process, step) = (*handle, frame.process, frame.step());
        Some(GivenUp { handle, process, step, errno: *errno, path: model.path_text(known.file) })
    }

    /// What a call did to handles that were given up.
    pub(crate) fn note_given_up(&mut self, given_up: Option<GivenUp>, outcome: &Outcome) {
        if let Some(given_up) = given_up {
            self.model.given_up.add(given_up);
        }
        if let Ok(Value::Handle { handle, .. }) = outcome
            && !self.model.given_up.is_empty()
        {
            self.model.given_up.forget(*handle);
        }
    }
}

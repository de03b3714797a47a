//! The recorder: a `Vfs` around another that writes down what is asked and answered.
//!
//! O-2: with or without it, the guest sees the same.

use std::ops::Range;
use std::sync::Arc;

use crashproof_spec::trace::Event;
use crashproof_spec::words;
use crashproof_spec::words::Step;

use crate::call::CallId;
use crate::call::Caller;
use crate::call::MappingId;
use crate::call::ProcessId;
use crate::call::ReplyFuture;
use crate::call::Request;
use crate::call::Testimony;
use crate::call::Vfs;
use crate::call::Witness;
use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use crate::observe::translate;

/// Receives the events of a trace in order, each with its step.
pub trait Sink: Send {
    /// Takes the next event.
    fn take(&mut self, step: Step, event: Event);
}

impl<F: FnMut(Step, Event) + Send> Sink for F {
    fn take(&mut self, step: Step, event: Event) {
        self(step, event);
    }
}

/// What was written down: the last step, and who was told.
pub struct Notes<S: ?Sized> {
    last: Step,
    /// Who is told.
    pub sink: S,
}

/// Another witness: what it has to say since it was asked last.
pub type Audit = Box<dyn FnMut() -> Vec<words::Testimony> + Send>;

/// Where events are written down. Clones are the same place.
#[derive(Clone)]
pub struct Notebook {
    notes: Arc<WorldMutex<Notes<dyn Sink>>>,
    witness: Witness,
    audit: Option<Arc<WorldMutex<Audit>>>,
}

impl Notebook {
    /// A notebook that hands every event to `sink`, testimony left at `witness` among them.
    #[must_use]
    pub fn new(witness: Witness, sink: impl Sink + 'static) -> Self {
        Self::with_notes(witness, sink).0
    }

    /// The same, and what it hands them to.
    #[must_use]
    pub fn with_notes<S: Sink + 'static>(
        witness: Witness,
        sink: S,
    ) -> (Self, Arc<WorldMutex<Notes<S>>>) {
        let notes = Arc::new(WorldMutex::new(Notes { last: Step(0), sink }));
        (Self { notes: Arc::clone(&notes) as _, witness, audit: None }, notes)
    }

    /// The same notebook, for a subject that leaves its testimony elsewhere.
    #[must_use]
    pub fn with_witness(&self, witness: Witness) -> Self {
        Self { notes: Arc::clone(&self.notes), witness, audit: None }
    }

    /// The same notebook, which also asks an audit before each event.
    #[must_use]
    pub fn with_audit(&self, audit: Audit) -> Self {
        Self { audit: Some(Arc::new(WorldMutex::new(audit))), ..self.clone() }
    }

    fn lock(&self) -> WorldGuard<'_, Notes<dyn Sink>> {
        self.notes.lock()
    }

    /// Goes on after `step`, as if nothing had been written down since.
    pub fn resume_after(&self, step: Step) {
        self.lock().last = step;
    }

    /// Writes down an event, after the testimony that was given before it.
    pub fn note(&self, event: Event) -> Step {
        let mut notes = self.lock();
        // A survey asks without being written down: what its calls did is nobody's event.
        let unasked = Testimony::Committed { call: CallId(0) };
        self.witness.hear(|said| {
            if said != unasked {
                notes.add(Event::Testified(translate::testimony(&said)));
            }
        });
        if let Some(audit) = &self.audit {
            let mut audit = audit.lock();
            for testimony in audit() {
                notes.add(Event::Testified(testimony));
            }
        }
        notes.add(event)
    }
}

impl<S: Sink + ?Sized> Notes<S> {
    /// O-1: steps are dense, from 1.
    fn add(&mut self, event: Event) -> Step {
        self.last = Step(self.last.0 + 1);
        self.sink.take(self.last, event);
        self.last
    }
}

/// Passes requests on and writes them down.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<dyn Vfs>,
    notebook: Notebook,
}

impl Recorder {
    /// Records what goes to and comes from `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Vfs>, notebook: Notebook) -> Self {
        Self { inner, notebook }
    }
}

impl Vfs for Recorder {
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_> {
        Box::pin(async move {
            let process = translate::process(caller.process);
            let asked = Event::Called { process, call: translate::request(&request) };
            let step = self.notebook.note(asked);
            let caller = Caller { call: CallId(step.0), ..caller };
            let answer = self.inner.call(caller, request).await?;
            let outcome = translate::answer(&answer);
            self.notebook.note(Event::Answered { call: step, outcome });
            Ok(answer)
        })
    }

    fn end_process(&self, process: ProcessId) -> ReplyFuture<'_> {
        Box::pin(async move {
            let reply = self.inner.end_process(process).await?;
            self.notebook.note(Event::Exited { process: translate::process(process) });
            Ok(reply)
        })
    }

    fn take_stale(&self, process: ProcessId) -> Vec<(MappingId, Range<u64>)> {
        self.inner.take_stale(process)
    }

    fn take_barred(&self, process: ProcessId) -> Option<Vec<(MappingId, Range<u64>)>> {
        self.inner.take_barred(process)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use crashproof_spec::trace::CrashKind;
    use crashproof_spec::words::Pid;

    use super::*;

    #[test]
    fn what_calls_did_that_are_not_in_the_trace_is_not_in_it_either() {
        let (witness, events) = (Witness::default(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&events);
        let sink = move |step: Step, _| kept.lock().expect("nobody panics here").push(step.0);
        let notebook = Notebook::new(witness.clone(), sink);
        witness.say(Testimony::Committed { call: CallId(0) });
        witness.say(Testimony::Committed { call: CallId(7) });
        notebook.note(Event::Crashed(CrashKind::Process(Pid(1))));
        assert_eq!(*events.lock().expect("nobody panics here"), [1, 2]);
    }
}

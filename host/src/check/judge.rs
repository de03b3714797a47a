//! The judge of a running world: every event goes to the oracle as it is written, and where the
//! world could be cut short, the oracle is forked.

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::RangeInclusive;

use bytes::Bytes;
use crashproof_spec::oracle::Oracle;
use crashproof_spec::trace::Event;
use crashproof_spec::trace::HEADER;
use crashproof_spec::trace::fmt_event;
use crashproof_spec::words::Call;
use crashproof_spec::words::HandleId;
use crashproof_spec::words::Manage;
use crashproof_spec::words::Pid;
use crashproof_spec::words::Role;
use crashproof_spec::words::StatusFlags;
use crashproof_spec::words::Step;
use crashproof_spec::words::Value;

/// A complete line that a guest printed: acknowledged to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Who printed it.
    pub process: Pid,
    /// The line, without its end.
    pub text: Bytes,
}

/// A stretch of a run in which nothing was promised or taken back, so that a crash within it is
/// judged by one state of the oracle.
#[derive(Clone)]
pub struct Moment {
    /// The positions of the device's history at which a crash falls into it.
    pub positions: RangeInclusive<usize>,
    /// The oracle, as it was.
    pub oracle: Oracle,
    /// How many lines had been printed.
    pub line_count: usize,
    /// The last event before it.
    pub step: Step,
}

/// A stream that the trace is written to, with what went wrong with it.
pub struct TraceStream {
    out: Box<dyn Write + Send>,
    failure: Option<std::io::Error>,
}

impl TraceStream {
    /// Writes a trace to `out`, beginning with its first line.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        let mut stream = Self { out, failure: None };
        stream.line(HEADER);
        stream
    }

    fn line(&mut self, line: &str) {
        if self.failure.is_none() {
            self.failure = writeln!(self.out, "{line}").err();
        }
    }

    /// Ends the trace.
    ///
    /// # Errors
    /// If any part of it could not be written.
    pub fn finish(mut self) -> std::io::Result<()> {
        match self.failure.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}

/// Judges a world while it runs.
pub struct Judge {
    oracle: Oracle,
    moments: Option<Vec<Moment>>,
    position: usize,
    last: Step,
    lines: Vec<Line>,
    call_count: u64,
    crash_step: Option<Step>,
    syncing: BTreeSet<HandleId>,
    asked: std::collections::BTreeMap<Step, Promise>,
    trace: Option<TraceStream>,
    rests: bool,
}

/// What the answer of a call may change about what is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// Nothing, whatever the answer.
    Never,
    /// A failure takes an effect back.
    IfFailed,
    /// Success promises durability; a failure takes an effect back.
    Always,
    /// As `Always`, and the handle that is opened promises with each write.
    OpensSyncing,
}

impl Judge {
    /// A judge without a device to crash.
    #[must_use]
    pub fn new(oracle: Oracle) -> Self {
        Self {
            oracle,
            moments: None,
            position: 0,
            last: Step(0),
            lines: Vec::new(),
            call_count: 0,
            crash_step: None,
            syncing: BTreeSet::new(),
            asked: std::collections::BTreeMap::new(),
            trace: None,
            rests: false,
        }
    }

    /// Collects the moments at which a world above a device could be cut short, from this position
    /// of its history on.
    pub fn watch(&mut self, position: usize) {
        self.position = position;
        self.moments = Some(Vec::new());
        self.add_moment(self.position..=self.position);
    }

    /// Goes on from a moment, as if nothing had happened since; no moments are collected any more.
    pub fn resume(&mut self, moment: &Moment) {
        self.oracle = moment.oracle.clone();
        self.last = moment.step;
        self.lines.truncate(moment.line_count);
        self.moments = None;
    }

    /// The moments so far, of a device whose history is at this position.
    #[must_use]
    pub fn moments(&mut self, position: usize) -> &[Moment] {
        self.catch_up(position);
        self.moments.as_deref().unwrap_or_default()
    }

    /// Judges nothing from now on.
    pub fn rest(&mut self) {
        self.rests = true;
    }

    /// Also writes the trace to a stream.
    pub fn stream(&mut self, trace: TraceStream) {
        self.trace = Some(trace);
    }

    /// Does nothing come of what it is told?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.rests && self.trace.is_none()
    }

    /// Takes one event, before which the device's history was at this position.
    pub fn event(&mut self, position: usize, step: Step, event: &Event) {
        if let Some(trace) = &mut self.trace {
            trace.line(&fmt_event(event, step));
        }
        self.catch_up(position);
        let promising = self.moments.is_some() && self.promising(step, event);
        match event {
            Event::Called { process, .. } => self.call_count += u64::from(process.0 != 0),
            Event::Crashed(_) => self.crash_step = Some(step),
            Event::Answered { .. }
            | Event::Exited { .. }
            | Event::Testified(_)
            | Event::Surveyed(_) => {}
        }
        if !self.rests {
            self.oracle.event(event);
        }
        self.last = step;
        if promising {
            self.add_moment(self.position..=self.position);
        }
    }

    /// Takes a line that a guest printed, before which the device's history was at this position.
    pub fn line(&mut self, position: usize, line: Line) {
        self.catch_up(position);
        self.lines.push(line);
        if self.moments.is_some() {
            self.add_moment(self.position..=self.position);
        }
    }

    /// Device events since the last event belong to the world as it was before this one.
    fn catch_up(&mut self, now: usize) {
        if self.moments.is_some() && now > self.position {
            let before = self.position + 1;
            self.position = now;
            self.add_moment(before..=now);
        }
    }

    fn add_moment(&mut self, positions: RangeInclusive<usize>) {
        let moment = Moment {
            positions,
            oracle: self.oracle.clone(),
            line_count: self.lines.len(),
            step: self.last,
        };
        if let Some(moments) = &mut self.moments {
            moments.push(moment);
        }
    }

    fn promising(&mut self, step: Step, event: &Event) -> bool {
        match event {
            Event::Called { call, .. } => {
                let promise = self.promise(call);
                if promise != Promise::Never {
                    self.asked.insert(step, promise);
                }
                false
            }
            Event::Answered { call, outcome } => {
                let promise = self.asked.remove(call).unwrap_or(Promise::Never);
                if let (Promise::OpensSyncing, Ok(Value::Handle { handle, .. })) =
                    (promise, outcome)
                {
                    self.syncing.insert(*handle);
                }
                match promise {
                    Promise::Never => false,
                    Promise::IfFailed => outcome.is_err(),
                    Promise::Always | Promise::OpensSyncing => true,
                }
            }
            Event::Exited { .. } | Event::Testified(_) | Event::Crashed(_) | Event::Surveyed(_) => {
                false
            }
        }
    }

    fn promise(&mut self, call: &Call) -> Promise {
        let is_syncing = |status: &StatusFlags| status.sync || status.data_sync;
        if let Call::Open { options, .. } = call
            && is_syncing(&options.status)
        {
            return Promise::OpensSyncing;
        }
        if let Call::SetStatusFlags { handle, status } = call
            && is_syncing(status)
        {
            self.syncing.insert(*handle);
        }
        if let Call::Write { handle, .. } = call
            && self.syncing.contains(handle)
        {
            return Promise::Always;
        }
        if let Call::Manage(Manage::Snapshot { .. }) = call {
            return Promise::Always;
        }
        match call.role() {
            Role::Syncs => Promise::Always,
            Role::Changes => Promise::IfFailed,
            Role::Looks => Promise::Never,
        }
    }

    /// The oracle, as it is now.
    #[must_use]
    pub fn oracle(&self) -> &Oracle {
        &self.oracle
    }

    /// Ends the run, with the device's history at this position: what was judged, and the trace to
    /// be finished.
    #[must_use]
    pub fn finish(mut self, position: usize) -> Judged {
        self.catch_up(position);
        let moments = self.moments.take().unwrap_or_default();
        Judged {
            oracle: self.oracle,
            moments,
            lines: self.lines,
            trace: self.trace,
            call_count: self.call_count,
            crash_step: self.crash_step,
        }
    }
}

/// What a judge has to say at the end of a run.
pub struct Judged {
    /// The oracle at the end.
    pub oracle: Oracle,
    /// The moments at which the run could have been cut short, in order.
    pub moments: Vec<Moment>,
    /// The lines that were printed.
    pub lines: Vec<Line>,
    /// The trace, to be finished.
    pub trace: Option<TraceStream>,
    /// How many calls its processes made, the host's own not among them.
    pub call_count: u64,
    /// The step of its crash, if it was cut short.
    pub crash_step: Option<Step>,
}

//! Where a world is judged: at once, or, once its run is long, on a thread of its own.
//!
//! A judge hears and is not asked, so that the world need not wait for it; what it says does not
//! depend on when it hears. What it has not heard yet is bounded.

use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use crashproof_spec::trace::Event;
use crashproof_spec::words::Step;

use crate::check::judge::Judge;
use crate::check::judge::Judged;
use crate::check::judge::Line;
use crate::device::History;
use crate::observe::Sink;

/// Shorter runs are over before a thread would be of use.
const EVENT_COUNT_MIN: u32 = 4096;

/// What is told at once: so many notes, or notes with so many bytes.
const NOTE_COUNT: usize = 512;
const NOTES_SIZE_BYTES: usize = 256 << 10;

/// So many times as much may wait to be heard.
const WAITING_COUNT: usize = 8;

/// What a judge hears, and the position of the device's history before it.
struct Note {
    position: usize,
    said: Said,
}

enum Said {
    Event(Step, Event),
    Line(Line),
}

fn hear(judge: &mut Judge, note: &Note) {
    match &note.said {
        Said::Event(step, event) => judge.event(note.position, *step, event),
        Said::Line(line) => judge.line(note.position, line.clone()),
    }
}

/// A judge on a thread of its own, and what it was not told yet.
struct Away {
    notes: Vec<Note>,
    size_bytes: usize,
    seat: SyncSender<Judge>,
    sender: SyncSender<Vec<Note>>,
    /// Notes that were heard, to be written over: memory goes back to the thread that it is of.
    heard: Receiver<Vec<Note>>,
    thread: JoinHandle<Judge>,
}

impl Away {
    /// A thread that waits for its judge, if there can be one.
    fn begin() -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<Vec<Note>>(WAITING_COUNT);
        let (seat, seated) = sync_channel::<Judge>(1);
        let (back, heard) = sync_channel::<Vec<Note>>(WAITING_COUNT);
        let thread = std::thread::Builder::new().name("judge".to_owned()).spawn(move || {
            let mut judge = seated.recv().expect("a judge is sent to each thread");
            for notes in receiver {
                notes.iter().for_each(|note| hear(&mut judge, note));
                // Nobody may wait for them: they go with the last that are told.
                let _ = back.try_send(notes);
            }
            judge
        })?;
        let notes = Vec::with_capacity(NOTE_COUNT);
        Ok(Self { notes, size_bytes: 0, seat, sender, heard, thread })
    }

    fn take(&mut self, note: Note) {
        if let Said::Event(_, event) = &note.said {
            self.size_bytes += event.payload_bytes();
        }
        self.notes.push(note);
        if self.notes.len() >= NOTE_COUNT || self.size_bytes >= NOTES_SIZE_BYTES {
            let mut next = self.heard.try_recv().unwrap_or_default();
            next.clear();
            let notes = std::mem::replace(&mut self.notes, next);
            self.size_bytes = 0;
            // Nobody hears it if the judge panicked; that is told when it is called back.
            let _ = self.sender.send(notes);
        }
    }

    /// Calls the judge back, once it has heard everything.
    fn back(self) -> Judge {
        let _ = self.sender.send(self.notes);
        drop(self.sender);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A judge, and where it is.
pub(super) struct Judging {
    /// The judge, while it is here.
    here: Option<Judge>,
    away: Option<Away>,
    history: Option<History>,
    /// So many events are heard here, before the judge goes; none, if it stays.
    events_to_go: Option<u32>,
}

impl Judging {
    /// A judge that stays.
    pub(super) fn new(judge: Judge) -> Self {
        Self { here: Some(judge), away: None, history: None, events_to_go: None }
    }

    /// Lets the judge go to a thread of its own if the run gets long, and if this machine can do
    /// two things at once.
    pub(super) fn may_go(&mut self) {
        let is_of_use = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        self.events_to_go = is_of_use.then_some(EVENT_COUNT_MIN);
    }

    /// Collects the moments at which a world above this device could be cut short.
    pub(super) fn watch(&mut self, history: History) {
        let position = history.len();
        self.history = Some(history);
        self.judge().watch(position);
    }

    /// Takes one event.
    fn event(&mut self, step: Step, event: Event) {
        if let Some(left) = &mut self.events_to_go {
            *left -= 1;
            if *left == 0 {
                self.events_to_go = None;
                self.go();
            }
        }
        self.take(Said::Event(step, event));
    }

    /// Takes a line that a guest printed.
    pub(super) fn line(&mut self, line: Line) {
        self.take(Said::Line(line));
    }

    fn take(&mut self, said: Said) {
        let note = Note { position: self.position(), said };
        if let Some(away) = &mut self.away {
            away.take(note);
        } else if let Some(judge) = &mut self.here {
            hear(judge, &note);
        }
    }

    fn position(&self) -> usize {
        self.history.as_ref().map_or(0, History::len)
    }

    fn go(&mut self) {
        // It stays where there can be no thread, and where there is nothing to do.
        if self.here.as_ref().is_none_or(Judge::is_idle) {
            return;
        }
        let Ok(away) = Away::begin() else { return };
        if let Some(judge) = self.here.take() {
            away.seat.send(judge).expect("the thread waits for it");
            self.away = Some(away);
        }
    }

    /// The judge, when it has heard everything. It stays then.
    pub(super) fn judge(&mut self) -> &mut Judge {
        if let Some(away) = self.away.take() {
            self.here = Some(away.back());
        }
        self.here.as_mut().expect("a judge that is not away is here")
    }

    /// Ends the run.
    pub(super) fn finish(mut self) -> Judged {
        let position = self.position();
        self.judge();
        self.here.expect("it was called back").finish(position)
    }
}

/// Once a run has ended, nobody judges what comes.
impl Sink for Option<Judging> {
    fn take(&mut self, step: Step, event: Event) {
        if let Some(judging) = self {
            judging.event(step, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::Mutex;

    use bytes::Bytes;
    use crashproof_spec::promise::Level;
    use crashproof_spec::promise::Promises;

    use crate::call::At;
    use crate::call::HandleId;
    use crate::call::OpenOptions;
    use crate::call::ProcessId;
    use crate::call::Request;
    use crate::call::Value;
    use crate::check::judge::TraceStream;
    use crate::check::world::Chance;
    use crate::check::world::Expectation;
    use crate::check::world::World;
    use crate::device::FaultPlan;
    use crate::device::Geometry;
    use crate::subject::Policies;
    use crate::subject::StackPlan;

    /// Where a trace goes.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panics here").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn world() -> World {
        let geometry = Geometry { block_size_bytes: 512, block_count: 256 };
        let plan =
            StackPlan { geometry, policies: Policies::default(), faults: FaultPlan::default() };
        let promises = Arc::new(Promises::strict_sticky());
        let expectation = Expectation { promises, level: Level::Strict, audited: true };
        World::reference(&plan, &Chance::Calm, &expectation).expect("there is room")
    }

    /// A run of so many calls, twice as many events, and of lines.
    fn long_run(world: &World, call_count: u32) {
        let at = At { directory: HandleId::ROOT, path: Bytes::from("file") };
        let options =
            OpenOptions { read: true, write: true, create: true, ..OpenOptions::default() };
        let Ok(Ok(Value::Handle { handle, .. })) = world.ask(Request::Open { at, options }) else {
            panic!("open answers a handle")
        };
        let mut line = world.line_taker(ProcessId(1));
        for number in 0..call_count {
            let data = Bytes::from(number.to_le_bytes().to_vec());
            let offset = Some(u64::from(number % 128) * 64);
            let request = match number % 64 {
                0 => Request::Fsync { handle },
                1..32 => Request::Write { handle, offset, data },
                _ => Request::Read { handle, offset, len: 700 },
            };
            world.ask(request).expect("the run goes on").expect("it can be done");
            if number % 500 == 0 {
                line(number.to_string().as_bytes());
            }
        }
    }

    #[test]
    fn what_a_judge_says_does_not_depend_on_where_it_sits() {
        let said = |goes_after: Option<u32>| {
            let (world, page) = (world(), Page::default());
            world.stream(TraceStream::new(Box::new(page.clone())));
            world.watch();
            world.with_judging(|judging| judging.events_to_go = goes_after);
            long_run(&world, 3000);
            let is_away = world.with_judging(|judging| judging.away.is_some());
            assert_eq!(is_away, Some(goes_after.is_some()));
            let judged = world.finish();
            judged.trace.expect("there is a stream").finish().expect("a page takes all");
            let moments = judged.moments.iter().map(|moment| {
                (moment.positions.clone(), moment.line_count, moment.step, moment.oracle.step())
            });
            let moments: Vec<_> = moments.collect();
            let page = page.0.lock().expect("nobody panics here").clone();
            let counts: Vec<_> = judged.oracle.exercised().iter().collect();
            (moments, judged.lines, judged.call_count, format!("{counts:?}"), page)
        };
        let here = said(None);
        assert!(here.0.len() > 100);
        assert!(here == said(Some(1)), "heard on a thread from the first event");
        assert!(here == said(Some(1777)), "the judge goes while events come");
    }

    /// Where no trace can be written.
    struct Torn;

    impl Write for Torn {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            assert!(bytes.starts_with(b"crashproof-trace") || !bytes.contains(&b'9'), "torn");
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    #[should_panic(expected = "torn")]
    fn a_judge_that_panics_is_not_passed_over() {
        let world = world();
        world.stream(TraceStream::new(Box::new(Torn)));
        world.with_judging(|judging| judging.events_to_go = Some(1));
        long_run(&world, 20_000);
        let _ = world.finish();
    }
}

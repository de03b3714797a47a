//! The history of a device: which writes took effect, and when they were made durable.
//!
//! A position in it is a moment at which the power can fail. Positions are how crash states are
//! aligned with the trace of calls.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::device::Block;
use crate::device::BlockNo;
use crate::device::Image;
use crate::device::Origin;

/// One thing that happened to a device.
#[derive(Debug, Clone)]
pub enum DeviceEvent {
    /// A write took effect in the volatile cache, or on the medium if it was forced there.
    Written(Written),
    /// Of the writes so far, those with numbers below this are durable, and all that are older.
    Flushed {
        /// Number of the first write that is not covered.
        until: u64,
    },
    /// What was not durable is gone.
    Dropped,
    /// The device said that it did what it did not.
    Lied(Lie),
}

/// What a device that lies did not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A flush made nothing durable.
    Flush,
    /// A write went to another block.
    Place,
}

/// A write that took effect.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its number, from 0, in the order of taking effect.
    pub number: u64,
    /// Which block.
    pub block: BlockNo,
    /// What is in it now.
    pub content: Block,
    /// Was it durable at once (forced unit access)?
    pub forced: bool,
    /// What it was for.
    pub origin: Origin,
}

#[derive(Debug)]
struct State {
    start: Image,
    events: Vec<DeviceEvent>,
    is_kept: bool,
}

/// What happened to a device since it was made. Clones are the same history.
#[derive(Debug, Clone)]
pub struct History(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    state: Mutex<State>,
    /// Number of events: each note of a run asks for it.
    count: AtomicUsize,
}

impl History {
    /// The history of a device that begins with this image, durable.
    #[must_use]
    pub fn new(start: Image) -> Self {
        Self::of(State { start, events: Vec::new(), is_kept: true })
    }

    fn of(state: State) -> Self {
        let count = AtomicUsize::new(state.events.len());
        Self(Arc::new(Kept { state: Mutex::new(state), count }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an event, if the history is kept.
    pub fn push(&self, event: DeviceEvent) {
        let mut state = self.lock();
        if state.is_kept {
            state.events.push(event);
            self.0.count.store(state.events.len(), Ordering::Release);
        }
    }

    /// Forgets what happened, and keeps nothing from now on: of a device that nobody will cut off
    /// from its power, which may run for long.
    pub fn forget(&self) {
        let mut state = self.lock();
        (state.is_kept, state.events) = (false, Vec::new());
        self.0.count.store(0, Ordering::Release);
    }

    /// Number of events so far; the newest position.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Has nothing happened?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The history so far, to which nothing is added any more.
    #[must_use]
    pub fn fork(&self) -> Self {
        let state = self.lock();
        let (start, events) = (state.start.clone(), state.events.clone());
        Self::of(State { start, events, is_kept: true })
    }

    /// The image that the history begins with.
    #[must_use]
    pub fn start(&self) -> Image {
        self.lock().start.clone()
    }

    /// The event that led from position `at` to the next.
    #[must_use]
    pub fn event(&self, at: usize) -> Option<DeviceEvent> {
        self.lock().events.get(at).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceEvent;
    use super::History;
    use crate::device::Geometry;
    use crate::device::Image;

    #[test]
    fn a_forgotten_history_keeps_nothing_of_before_or_after() {
        let geometry = Geometry { block_size_bytes: 512, block_count: 8 };
        let history = History::new(Image::new(geometry));
        let flush = || DeviceEvent::Flushed { until: 0 };
        history.push(flush());
        assert_eq!(history.len(), 1);
        history.forget();
        assert!(history.is_empty());
        history.push(flush());
        assert!(history.is_empty());
        assert!(history.event(0).is_none());
    }
}

//! Testimony: what a file system says about itself, in file words, while it works.
//!
//! The oracle judges from outside; where outside is not enough, it may ask the subject. A
//! subject that says nothing is judged by answers and surveys alone.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::call::CallId;
use crate::call::Errno;
use crate::call::Ino;
use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;

/// One statement of a subject about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Testimony {
    /// The call took effect now, after every call that said so before.
    Committed {
        /// Which call.
        call: CallId,
    },
    /// Bytes that were acknowledged could not be written and are no longer scheduled to be.
    Lost {
        /// Of which file.
        file: Ino,
        /// Which bytes.
        range: Range<u64>,
        /// What the device said.
        errno: Errno,
        /// Which version of them: the last call that had taken effect when they were taken. What
        /// later calls wrote there is not lost with them.
        seen: Option<CallId>,
    },
    /// A lost range is no longer lost: it was rewritten and the new bytes are durable, or it was
    /// removed.
    Resolved {
        /// Of which file.
        file: Ino,
        /// Which bytes.
        range: Range<u64>,
    },
    /// An attempt to make things durable failed. Nothing is lost by it: the next one tries again.
    Failed {
        /// What the device said.
        errno: Errno,
        /// Of which file's content; none if it is the file system's own, or not known.
        file: Option<Ino>,
    },
    /// Cached bytes were dropped; the next read comes from the medium.
    Evicted {
        /// Of which file.
        file: Ino,
        /// Which bytes.
        range: Range<u64>,
    },
}

/// Where a subject leaves its testimony; clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct Witness(Arc<Place>);

#[derive(Debug, Default)]
struct Place {
    said: WorldMutex<Said>,
    /// Is anything pending? It is asked before each event.
    is_pending: AtomicBool,
}

#[derive(Debug, Default)]
struct Said {
    pending: Vec<Testimony>,
    last_effect: Option<CallId>,
}

impl Witness {
    /// Says something.
    pub fn say(&self, testimony: Testimony) {
        let mut said = self.lock();
        if let Testimony::Committed { call } = testimony {
            said.last_effect = Some(call);
        }
        said.pending.push(testimony);
        self.0.is_pending.store(true, Ordering::Relaxed);
    }

    /// The last call that took effect.
    #[must_use]
    pub fn last_effect(&self) -> Option<CallId> {
        self.lock().last_effect
    }

    fn lock(&self) -> WorldGuard<'_, Said> {
        self.0.said.lock()
    }

    /// Hears what was said since the last time, in order. Whoever hears it says nothing.
    pub fn hear(&self, hear: impl FnMut(Testimony)) {
        if self.0.is_pending.load(Ordering::Relaxed) {
            let mut said = self.lock();
            self.0.is_pending.store(false, Ordering::Relaxed);
            said.pending.drain(..).for_each(hear);
        }
    }

    /// Takes what was said since the last time, in order.
    #[must_use]
    pub fn take(&self) -> Vec<Testimony> {
        let mut taken = Vec::new();
        self.hear(|testimony| taken.push(testimony));
        taken
    }
}

//! Permission bits of a file: what is set, what is promised, and what lies between.

use imbl::OrdMap;

use crate::model::FileId;
use crate::model::Model;
use crate::model::Promise;
use crate::words::FileKind;
use crate::words::Mode;
use crate::words::Pid;
use crate::words::Right;
use crate::words::Step;

/// The permission bits of a file.
#[derive(Debug, Clone)]
pub(crate) struct Modes {
    pub(crate) live: Mode,
    /// Changes since the floor, by order, and when they were acknowledged.
    pub(crate) log: OrdMap<u64, (Mode, Option<Step>)>,
    /// What a crash leaves at least: what a sync promised, or what the file was made with.
    pub(crate) floor: (Mode, Option<Promise>),
}

impl Default for Modes {
    fn default() -> Self {
        Self::made(Mode::FILE)
    }
}

impl Modes {
    /// Of a file that was made so.
    pub(crate) fn made(mode: Mode) -> Self {
        Self { live: mode, log: OrdMap::new(), floor: (mode, None) }
    }

    /// As it was found: that is what there is, and durable.
    pub(crate) fn found(mode: Mode, promise: Promise) -> Self {
        Self { live: mode, log: OrdMap::new(), floor: (mode, Some(promise)) }
    }

    /// A change takes effect.
    pub(crate) fn change(&mut self, order: u64, mode: Mode, acked: Option<Step>) {
        self.live = mode;
        self.log.insert(order, (mode, acked));
    }

    /// What was acknowledged before `began` is promised.
    pub(crate) fn promise(&mut self, began: Step, promise: Promise) {
        for (order, (mode, acked)) in self.log.clone() {
            if acked.is_some_and(|acked| acked < began) {
                self.floor = (mode, Some(promise));
                self.log.remove(&order);
            }
        }
    }

    /// May a crash leave it so, or was it so at some time since the last sync?
    pub(crate) fn may_be(&self, mode: Mode) -> bool {
        self.floor.0 == mode || self.log.values().any(|(later, _)| *later == mode)
    }
}

/// What a file or a directory of that kind is made with, if nothing is said.
pub(crate) fn ordinary(kind: FileKind) -> Mode {
    match kind {
        FileKind::Regular => Mode::FILE,
        FileKind::Directory | FileKind::Symlink => Mode::DIRECTORY,
    }
}

/// Is something denied to a caller?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denial {
    No,
    /// The bits are being changed.
    Perhaps,
    Yes,
}

impl Model {
    /// Do the bits of a file deny something to whoever calls?
    pub(crate) fn denial(&self, file: FileId, right: Right) -> Denial {
        if self.actor == Pid(0) {
            return Denial::No;
        }
        if self.are_modes_in_doubt {
            return Denial::Perhaps;
        }
        let mode = self.file(file).attributes.mode.live;
        if mode.allows(right) { Denial::No } else { Denial::Yes }
    }

    /// A file that was just made has these bits.
    pub(crate) fn set_made_mode(&mut self, file: FileId, mode: Option<Mode>) {
        if let Some(mode) = mode {
            self.attributes_mut(file).mode = Modes::made(mode);
        }
    }
}

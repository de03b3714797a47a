//! Advisory locks: of an open file description on a whole file (`flock`), and of a process or a
//! description on bytes of a file (`fcntl`).

use crate::words::HandleId;
use crate::words::Pid;

/// What a lock keeps others from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockKind {
    /// From exclusive locks (`LOCK_SH`, `F_RDLCK`).
    Shared,
    /// From all locks (`LOCK_EX`, `F_WRLCK`).
    Exclusive,
}

/// Whose a lock on bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockOwner {
    /// The process's that asks for it (`F_SETLK`).
    Process,
    /// The open file description's (`F_OFD_SETLK`).
    Description,
}

impl LockKind {
    /// Can two holders not have these at once?
    #[must_use]
    pub fn conflicts(self, other: Self) -> bool {
        self == Self::Exclusive || other == Self::Exclusive
    }
}

/// One call of a process about locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// `flock`: the description's lock on its file.
    Whole {
        /// Which description.
        handle: HandleId,
        /// The new lock; none is `LOCK_UN`.
        kind: Option<LockKind>,
        /// Does the call wait where another holds a lock in the way (no `LOCK_NB`)?
        wait: bool,
    },
    /// `fcntl(F_SETLK)`, or `F_SETLKW` if it waits, and their kin for descriptions: a lock on bytes
    /// of a file.
    Record {
        /// A description of the file.
        handle: HandleId,
        /// The new lock; none is `F_UNLCK`.
        kind: Option<LockKind>,
        /// The first byte.
        start: u64,
        /// How many bytes; 0 is to the end of any file.
        len: u64,
        /// Does the call wait where another owner holds a lock in the way?
        wait: bool,
        /// Whose lock it is.
        owner: LockOwner,
    },
    /// `fcntl(F_GETLK)`: what is in the way of such a lock; answers
    /// [`crate::words::Value::Lock`].
    Test {
        /// A description of the file.
        handle: HandleId,
        /// The lock that would be asked for.
        kind: LockKind,
        /// Its first byte.
        start: u64,
        /// How many bytes; 0 is to the end of any file.
        len: u64,
        /// Whose lock it would be.
        owner: LockOwner,
    },
    /// `close` of a descriptor whose description another one keeps open.
    CloseDuplicate {
        /// The description.
        handle: HandleId,
    },
}

impl Lock {
    /// The description that it names.
    #[must_use]
    pub fn handle(&self) -> HandleId {
        match self {
            Self::Whole { handle, .. }
            | Self::Record { handle, .. }
            | Self::Test { handle, .. }
            | Self::CloseDuplicate { handle } => *handle,
        }
    }
}

/// A record lock that is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLock {
    /// The process that holds it, unless a description does.
    pub process: Option<Pid>,
    /// What it keeps others from.
    pub kind: LockKind,
    /// Its first byte.
    pub start: u64,
    /// How many bytes; 0 is to the end of any file.
    pub len: u64,
}

//! Seam 1: one request in, one answer out.
//!
//! Flow: a guest's import, or the host itself, makes a [`Request`]; a [`Vfs`] answers it. What
//! watches or disturbs the road wraps a `Vfs`.
//!
//! The answer has two levels, and they never mix: [`Reply`] says whether the run goes on,
//! [`Answer`] what the guest is told.

mod attribute;
mod errno;
mod lock;
mod manage;
mod memory;
mod mode;
mod request;
mod witness;

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

pub use attribute::Attribute;
pub use attribute::SetAttribute;
pub use errno::Errno;
pub use lock::HeldLock;
pub use lock::Lock;
pub use lock::LockKind;
pub use lock::LockOwner;
pub use manage::Manage;
pub use memory::Access;
pub use memory::MappingId;
pub use memory::Memory;
pub use memory::Sharing;
pub use memory::Signal;
pub use mode::Mode;
pub use mode::Right;
pub use request::AllocateMode;
pub use request::Answer;
pub use request::At;
pub use request::CallId;
pub use request::DirectoryEntry;
pub use request::FileKind;
pub use request::HandleId;
pub use request::Ino;
pub use request::OpenOptions;
pub use request::Path;
pub use request::ProcessId;
pub use request::Request;
pub use request::Stat;
pub use request::StatusFlags;
pub use request::TimeChange;
pub use request::Value;
pub use request::Whence;
pub use witness::Testimony;
pub use witness::Witness;

/// What came of a request. `Err` is not for the guest: the run itself is over.
pub type Reply = Result<Answer, Halt>;

/// Why a run is over before its guests are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// The machine lost power, its kernel died, or the process was killed, as planned.
    Crashed,
    /// The guest asked for something this host does not model. Never an errno: the guest would
    /// carry on, and the trace would be judged against a call that nobody made.
    Unsupported(&'static str),
    /// Every process waits for a lock that another holds, or that it holds itself: on a real
    /// machine they would wait for ever.
    Stuck,
    /// A call waits for a device that refuses its writes, and that nobody heals.
    Suspended,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashed => f.write_str("crashed"),
            Self::Unsupported(what) => write!(f, "{what} is not supported"),
            Self::Stuck => f.write_str("every process waits for a lock"),
            Self::Suspended => {
                f.write_str("a call waits for a device that refuses writes for ever")
            }
        }
    }
}

/// Who asks, and as which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The process.
    pub process: ProcessId,
    /// The call, for testimony about it.
    pub call: CallId,
}

/// The future of a reply.
pub type ReplyFuture<'a> = Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// A file system as its callers see it.
pub trait Vfs: Send + Sync {
    /// Answers one request. Several may be under way at once; each takes effect at one moment
    /// between its start and its answer.
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_>;

    /// Closes every handle of a process that ended, however it ended.
    fn end_process(&self, process: ProcessId) -> ReplyFuture<'_>;

    /// Where the process's mappings hold other bytes than it last loaded or stored there, since
    /// this was asked last; a new mapping does wherever its file has data. Whoever runs the
    /// process loads these ranges before it goes on.
    fn take_stale(&self, _process: ProcessId) -> Vec<(MappingId, Range<u64>)> {
        Vec::new()
    }

    /// Where in the process's mappings a load raises a signal, in the order of mappings, if that is
    /// not what it was when this was asked last. Whoever runs the process asks for each load there
    /// before the process makes it.
    fn take_barred(&self, _process: ProcessId) -> Option<Vec<(MappingId, Range<u64>)>> {
        None
    }
}

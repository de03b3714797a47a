//! A trace: what was called, what came back, where it crashed, what was found.
//!
//! O-1: steps are dense; each call has one outcome, or the halt that cut it.

mod cursor;
mod error;
mod parse;
mod parse_call;
mod quoted;
mod text;
pub mod wellformed;

pub use error::ParseError;
pub use error::Problem;
pub use parse::Events;
pub use parse::Limits;
pub use parse::Parser;
pub use parse::events;
pub use parse::parse;
pub use quoted::Quoted;
pub use text::HEADER;
pub use text::Writer;
pub use text::fmt_event;
pub use text::kind_name;
pub use text::write_call;
pub use text::write_event;
pub use text::write_outcome;
pub use text::write_testimony;

use crate::words::Call;
use crate::words::Memory;
use crate::words::Outcome;
use crate::words::Pid;
use crate::words::Step;
use crate::words::Survey;
use crate::words::Testimony;
use crate::words::Value;

/// How a run was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashKind {
    /// One process died: what it was told is visible to everyone else.
    Process(Pid),
    /// The operating system died: what the medium was told is there.
    Kernel,
    /// Power was lost: what was promised to be durable is there.
    Power,
}

/// One event of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A call began.
    Called {
        /// Whose.
        process: Pid,
        /// What was asked.
        call: Call,
    },
    /// A call ended.
    Answered {
        /// The step at which it began.
        call: Step,
        /// What was told.
        outcome: Outcome,
    },
    /// A process ended by itself; its handles are closed.
    Exited {
        /// Which.
        process: Pid,
    },
    /// The subject said something about itself.
    Testified(Testimony),
    /// The run was cut short. Calls without an outcome never get one.
    Crashed(CrashKind),
    /// After a crash the file system was opened again and walked; `Err` says that it could not
    /// be opened, and what whoever opened it said.
    Surveyed(Result<Survey, String>),
}

impl Event {
    /// How much memory it keeps beside itself, in bytes, about: that of payloads and of lists. A
    /// survey counts as nothing, since it is made before it is told.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        match self {
            Self::Called { call: Call::Write { data, .. }, .. }
            | Self::Called { call: Call::Memory(Memory::Store { data, .. }), .. } => data.len(),
            Self::Called { .. }
            | Self::Exited { .. }
            | Self::Testified(_)
            | Self::Crashed(_)
            | Self::Surveyed(_) => 0,
            Self::Answered { outcome, .. } => match outcome {
                Ok(Value::Data(data) | Value::AttributeValue(data)) => data.len(),
                Ok(Value::Entries(entries)) => size_of_val(&entries[..]),
                Ok(Value::AttributeNames(names)) => size_of_val(&names[..]),
                Ok(_) | Err(_) => 0,
            },
        }
    }
}

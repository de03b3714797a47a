//! What a subject says about itself, in file words.

use std::ops::Range;

use crate::words::Errno;
use crate::words::Ino;
use crate::words::Step;

/// One statement of a subject about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Testimony {
    /// The call took effect now, after every call that said so before.
    Committed {
        /// The step at which the call began.
        call: Step,
    },
    /// Acknowledged bytes could not be made durable and are no longer scheduled to be.
    Lost {
        /// Of which file.
        file: Ino,
        /// Which bytes.
        range: Range<u64>,
        /// Why.
        errno: Errno,
        /// Which version of them: they were as the call that began at this step had left them, or
        /// an earlier one. What later calls wrote there is not lost with them. Absent: as they are
        /// now.
        seen: Option<Step>,
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
    /// A call that tries again itself, and succeeds, does not say it.
    Failed {
        /// Why.
        errno: Errno,
        /// Of which file's content; none if it is the file system's own, or not known.
        file: Option<Ino>,
    },
    /// The next read of these bytes comes from the medium.
    Evicted {
        /// Of which file.
        file: Ino,
        /// Which bytes.
        range: Range<u64>,
    },
    /// The medium had said that it did what it had not done. After a crash: what is found then is
    /// not the subject's doing. Else: what cannot be read from here on has a cause.
    Lied,
    /// An invariant that only the subject's owner can see is broken.
    Audit {
        /// The clause that is decided from this audit.
        clause: String,
        /// What was seen.
        evidence: String,
    },
}

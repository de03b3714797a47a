//! What can be wrong after a crash, and where it was met.

use crashproof_spec::violation::Violation;

use crate::check::crash_at::CrashAt;

/// When something was met, in an order that is the same however the work is split: the batch,
/// before or after its verifications, the state in the batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Met(pub [u64; 3]);

/// Something that is wrong, with the first crash that shows it.
#[derive(Debug, Clone)]
pub struct CrashFinding {
    /// What.
    pub what: CrashFault,
    /// When it was met first.
    pub met: Met,
    /// The first crash that shows it.
    pub at: CrashAt,
    /// How many lines had been printed.
    pub line_count: usize,
    /// In how many states it was seen.
    pub state_count: u64,
}

/// What can be wrong after a crash.
#[derive(Debug, Clone)]
pub enum CrashFault {
    /// The subject broke a clause.
    Subject(Violation),
    /// The subject broke a clause in what it answered a verifier, and what that made of it.
    Misled(Violation, String),
    /// The subject kept its promises, and the guest acknowledged what none covers.
    Guest(String),
    /// It could not be told.
    Unknown(String),
}

/// The loss of any one leg loses nothing that was durable.
pub const LOSS_OF_A_LEG: &str = "RED-06";

impl CrashFault {
    /// What is wrong after a crash with which a leg was lost, and not with all legs, is the loss's
    /// doing as well.
    pub(super) fn blame_loss(&mut self, leg: u32) {
        match self {
            Self::Subject(violation) | Self::Misled(violation, _) => {
                violation.also.push(LOSS_OF_A_LEG);
                let what = format!("leg {leg} of the mirror was lost with the crash");
                violation.chain.push((violation.step, what));
            }
            Self::Guest(_) | Self::Unknown(_) => {}
        }
    }

    /// Equal for findings that are one.
    #[must_use]
    pub fn fingerprint(&self) -> (u8, String) {
        let of = |violation: &Violation| {
            format!("{} {} {}", violation.clause, violation.subject, violation.observed)
        };
        match self {
            Self::Subject(violation) => (0, of(violation)),
            Self::Misled(violation, said) => (3, format!("{} {said}", of(violation))),
            Self::Guest(message) => (1, message.clone()),
            Self::Unknown(reason) => (2, reason.clone()),
        }
    }
}

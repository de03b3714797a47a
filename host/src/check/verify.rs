//! What a verifier says of a recovered file system.

use bytes::Bytes;
use crashproof_spec::oracle::Oracle;
use crashproof_spec::violation::Violation;

use crate::check::finding::CrashFault;
use crate::check::judge::Line;
use crate::device::Image;

/// Says whether acknowledged lines are true on a recovered file system.
pub trait Verify: Sync {
    /// The lines that were printed before the crash, against what is there after it. An oracle
    /// that knows what was found there also judges what the verifier is answered.
    fn verify(&self, image: &Image, lines: &[Line], oracle: Option<Oracle>) -> Verification;
}

/// What a run of a verifier showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// What it said.
    pub said: Verified,
    /// What was wrong with the answers that it got.
    pub broken: Vec<Violation>,
    /// What of them could not be told.
    pub undecided: Vec<String>,
}

/// What a verifier said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Verified {
    /// The lines are true.
    #[default]
    True,
    /// They are not, and why.
    False(String),
    /// It could not tell, and why.
    Unknown(String),
}

impl Verification {
    /// What it found wrong.
    #[must_use]
    pub fn faults(&self) -> Vec<CrashFault> {
        let mut broken = self.broken.iter().cloned();
        // Where the answers were wrong, what the verifier makes of them is no other finding.
        let first = match (broken.next(), &self.said) {
            (Some(violation), Verified::False(why)) => {
                Some(CrashFault::Misled(violation, why.clone()))
            }
            (Some(violation), Verified::True | Verified::Unknown(_)) => {
                Some(CrashFault::Subject(violation))
            }
            (None, Verified::False(why)) => Some(CrashFault::Guest(why.clone())),
            (None, Verified::Unknown(why)) => Some(CrashFault::Unknown(why.clone())),
            (None, Verified::True) => None,
        };
        let undecided = self.undecided.iter().cloned().map(CrashFault::Unknown);
        first.into_iter().chain(broken.map(CrashFault::Subject)).chain(undecided).collect()
    }
}

/// What the verifier reads: the lines of each process, in order.
#[must_use]
pub fn acknowledged(lines: &[Line]) -> Bytes {
    let mut text = Vec::new();
    for line in lines {
        text.extend_from_slice(&line.text);
        text.push(b'\n');
    }
    Bytes::from(text)
}

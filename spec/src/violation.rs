//! What is reported: a broken promise, or why nobody can tell.

use std::fmt;

use crate::words::Step;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The clause of the catalogue; of several that the same fact breaks, the most specific.
    pub clause: &'static str,
    /// The other clauses that the same fact breaks.
    pub also: Vec<&'static str>,
    /// The event that nothing permitted explains.
    pub step: Step,
    /// Which file or name it is about.
    pub subject: String,
    /// What was answered or found.
    pub observed: String,
    /// What would have been right, each with its reason.
    pub allowed: Vec<String>,
    /// The earlier events that matter, in order.
    pub chain: Vec<(Step, String)>,
}

impl Violation {
    /// The clauses that the fact breaks, the most specific first.
    pub fn clauses(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.clause).chain(self.also.iter().copied())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.clause)?;
        if !self.also.is_empty() {
            write!(out, " (also {})", self.also.join(", "))?;
        }
        write!(out, " at step {}: {}: {}", self.step.0, self.subject, self.observed)?;
        for allowed in &self.allowed {
            write!(out, "\n  allowed: {allowed}")?;
        }
        for (step, what) in &self.chain {
            write!(out, "\n  step {}: {what}", step.0)?;
        }
        Ok(())
    }
}

/// Why nobody can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The event at which it became so.
    pub step: Step,
    /// A fixed sentence that can be searched for.
    pub what: &'static str,
}

/// The answer of the oracle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A system that keeps its promises could have produced the trace.
    Accepted,
    /// No system that keeps its promises could have produced it.
    Rejected(Vec<Violation>),
    /// The oracle cannot tell.
    Undecided(Vec<Reason>),
}

/// An effect that was not promised to be durable, and was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostEffect {
    /// The call that had it.
    pub step: Step,
    /// What it was.
    pub what: String,
}

/// Bytes as a person reads them, shortened.
pub(crate) fn show(bytes: &[u8]) -> String {
    const SHOWN_MAX: usize = 32;
    let mut text = String::from("\"");
    for byte in bytes.iter().take(SHOWN_MAX) {
        text.extend(std::ascii::escape_default(*byte).map(char::from));
    }
    text.push('"');
    if bytes.len() > SHOWN_MAX {
        text.push_str("...");
    }
    text
}

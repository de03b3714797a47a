//! Invariants that only the stack's owner can see, reported as testimony.
//!
//! An audit is one more witness: it may find a fault earlier than any answer shows it, and never
//! takes the place of a rule. Whatever it reports, answers and surveys must show as well, with
//! audits off.

mod coverage;

pub use coverage::CoverageAudit;

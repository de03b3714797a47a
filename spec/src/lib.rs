//! Executable specification of file-system durability: a judge of traces.
//!
//! The crate reads a trace and says whether a system that keeps its promises could have produced
//! it. It never runs a system and never sees a block.
//!
//! Architecture invariant: pure crates only; no clock, no chance and no I/O.

pub mod clause;
mod counts;
mod crash;
mod enforced;
mod errors;
mod model;
mod ops;
pub mod oracle;
pub mod promise;
pub mod trace;
pub mod violation;
pub mod words;

pub use counts::Counts;
pub use enforced::ENFORCED;
pub use oracle::Oracle;

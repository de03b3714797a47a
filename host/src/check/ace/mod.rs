//! Bounded workloads: every short sequence of operations on a few names, each with every choice of
//! what is synced after it.
//!
//! The rules are those of ACE (CrashMonkey, OSDI'18, section 5.2), and beyond them what it has
//! not: symbolic links, rmdir, mapped stores with a ranged msync, clones and snapshots.
//!
//! Flow: a [`Set`] of operations and a length -> [`Workload`]s, numbered -> each is done by an
//! actor on a stack of its own, with what it depends on -> every crash is explored.

mod actor;
mod operation;
mod run;
mod sequence;

#[cfg(test)]
pub(in crate::check) use actor::Actor;
pub use operation::AceName;
pub use operation::AceOperation;
pub use operation::Placed;
pub use operation::Set;
pub use run::Bench;
pub use run::Outcome;
pub use sequence::LENGTH_MAX;
pub use sequence::Persistence;
pub use sequence::Workload;
pub use sequence::Workloads;

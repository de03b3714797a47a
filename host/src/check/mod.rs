//! One run, and everything that is derived from it.
//!
//! Flow: [`world::World`] (a subject, a recorder, a judge) -> a run of guests or of a program ->
//! moments -> [`explore::Explorer`] -> findings and an account.

pub mod account;
pub mod ace;
pub mod campaign;
pub mod crash_at;
pub mod explore;
pub mod finding;
pub mod footprint;
#[cfg(feature = "wasm")]
mod gate;
pub mod judge;
mod judging;
#[cfg(test)]
mod locks;
pub mod mapped;
#[cfg(test)]
mod modes;
pub mod program;
pub mod recover;
mod relapse;
#[cfg(feature = "wasm")]
pub mod run;
pub mod shard;
pub mod shared;
pub mod tally;
#[cfg(feature = "wasm")]
pub mod tape;
#[cfg(feature = "wasm")]
pub mod verifier;
pub mod verify;
pub mod world;

/// What can happen to a world while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Clean pages are dropped.
    Evict,
    /// Background writeback of every dirty page.
    Flush,
    /// The same, and a commit: what some seconds of idleness do.
    Commit,
    /// The device's faults end.
    Heal,
}

/// Something that happens when a guest prints a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The line, whole.
    pub on_line: String,
    /// What happens.
    pub act: Act,
}

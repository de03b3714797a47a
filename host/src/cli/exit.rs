//! Exit codes: what a script learns from a run.
//!
//! Of several runs the worst counts: a bug of ours, then a broken promise, then a doubt, then
//! acceptance. Wrong usage comes before any run.

/// Everything that was judged was accepted, within the bounds that are printed.
pub const ACCEPTED: u8 = 0;
/// A promise was broken: by the file system, or by the guest.
pub const REJECTED: u8 = 1;
/// Wrong usage, or a file that cannot be used.
pub const USAGE: u8 = 2;
/// A bug of crashproof itself.
pub const BUG: u8 = 3;
/// The oracle cannot tell, a limit cut the run short, or nothing was checked.
pub const UNDECIDED: u8 = 4;
/// Ctrl-C, as a shell tells of it; no file was left half written.
pub const INTERRUPTED: u8 = 130;

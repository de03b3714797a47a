//! One run, and everything that is derived from it.
pub mod program;

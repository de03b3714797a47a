//! Mapped memory of a guest: every store to it is seen, exactly and in order.
//!
//! Flow: a module that maps files is rewritten before it is compiled (`rewrite`), so that each
//! store into a mapped range is announced, and each load from a page that cannot be had; the
//! process keeps which range shows which mapping
//! (`regions`). Where rewriting is not wanted, what a guest stored is found by comparing its memory
//! with what was there before (`twin`). `libc` knows a module whose stores nobody can see.
//!
//! Architecture invariant: nothing here asks the file system; `wasi` does.

mod access;
mod barred;
mod libc;
mod regions;
mod rewrite;
mod shape;
#[cfg(test)]
mod tests;
mod twin;

pub(crate) use barred::Barred;
pub(crate) use libc::emulates_mmap;
pub(crate) use regions::PAGE_BYTES;
pub(crate) use regions::Piece;
pub(crate) use regions::Regions;
pub(crate) use regions::Vacancy;
pub use rewrite::RewriteError;
pub(crate) use rewrite::rewrite;
pub(crate) use shape::ADDED_GLOBALS;
pub(crate) use shape::imports_function;
pub(crate) use twin::differences;

/// Name of the import that maps a file: a module that has it is rewritten.
pub(crate) const MAP_IMPORT: &str = "fd_mmap";
/// Name of the import that announces a store; only the rewriter adds it.
pub(crate) const STORE_IMPORT: &str = "on_store";
/// Name of the import that announces a load; only the rewriter adds it.
pub(crate) const LOAD_IMPORT: &str = "on_load";

/// The longest access that an instruction makes; longer ones are bulk instructions.
pub(crate) const ACCESS_BYTES_MAX: u32 = 16;
/// What reaches the file system at once of a store that is longer.
pub(crate) const ATOM_BYTES: u64 = 64;

/// How a guest's stores to mapped memory are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MappingMode {
    /// The module is rewritten: each store is announced when it is made, and each load that may be
    /// a signal before it is made.
    #[default]
    Stores,
    /// Nothing is rewritten: at each call, memory is compared with what it was.
    Twin,
}

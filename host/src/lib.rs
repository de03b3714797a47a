//! A WebAssembly-hosted checker of file-system durability semantics.
//!
//! The road of a call, going down: [`wasi`] decodes it, [`call`] is what is asked, [`vfs`] knows
//! names, [`cache`] pages, [`cow`] blocks, and [`device`] stores them. [`sim`] answers every
//! question that is left to chance. Coming up: [`observe`] writes down what happened in the words
//! of `crashproof-spec`, whose oracle judges it, and [`check`] runs, crashes and recovers.
//!
//! `host/docs/architecture.md` says more, and what is deliberately absent.

pub mod audit;
pub mod cache;
pub mod call;
pub mod check;
#[cfg(feature = "wasm")]
pub mod cli;
pub mod cow;
pub mod device;
#[cfg(feature = "wasm")]
pub mod guest;
#[cfg(feature = "wasm")]
pub mod guests;
#[cfg(feature = "wasm")]
mod mapping;
pub mod mutex;
pub mod observe;
pub mod report;
pub mod sim;
pub mod subject;
pub mod vfs;
#[cfg(feature = "wasm")]
pub mod wasi;

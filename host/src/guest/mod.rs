//! Guests: WebAssembly programs whose only exits are the imports of `wasi`.
//!
//! Flow: bytes become a [`Module`] (checked, compiled once); [`run_one`] or [`run_many`] gives it
//! a store of its own, [`Limits`] and a [`World`]; what came of it is a [`GuestRun`].
//!
//! Architecture invariant: nothing of a run outlives it but what it did to the file system.

mod cache;
mod engine;
mod limits;
mod module;
mod run;

pub use cache::ModuleCache;
pub use engine::Engine;
pub use engine::EngineError;
pub use engine::EngineOptions;
pub use engine::Pool;
pub use limits::Limits;
pub use module::LoadError;
pub use module::MODULE_BYTES_MAX;
pub use module::Module;
pub use run::GuestEnd;
pub use run::GuestRun;
pub use run::World;
pub use run::run_many;
pub use run::run_one;

pub use crate::mapping::MappingMode;
pub(crate) use crate::mapping::PAGE_BYTES;
pub use crate::mapping::RewriteError;
pub use crate::wasi::FaultSink;
pub use crate::wasi::Killed;
pub use crate::wasi::LineSink;
pub use crate::wasi::ProcessConfig;

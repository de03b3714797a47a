//! What is tested: assembles stacks, and other file systems to compare them with.

#[cfg(feature = "wasm")]
mod directory;

#[cfg(feature = "wasm")]
pub use directory::DirectorySubject;

//! What is tested: assembles stacks, and other file systems to compare them with.

#[cfg(feature = "wasm")]
pub mod directory;

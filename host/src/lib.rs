//! A WebAssembly-hosted checker of file-system durability semantics.
pub mod call;
pub mod device;
#[cfg(feature = "wasm")]
pub mod guests;
pub mod sim;

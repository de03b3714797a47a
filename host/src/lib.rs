//! A WebAssembly-hosted checker of file-system durability semantics.
pub mod call;
pub mod device;
#[cfg(feature = "wasm")]
pub mod guest;
pub mod sim;
pub mod subject;
#[cfg(feature = "wasm")]
pub mod wasi;

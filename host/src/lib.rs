//! A WebAssembly-hosted checker of file-system durability semantics.
pub mod cache;
pub mod call;
pub mod check;
pub mod cow;
pub mod device;
#[cfg(feature = "wasm")]
pub mod guest;
pub mod observe;
pub mod sim;
pub mod subject;
pub mod vfs;
#[cfg(feature = "wasm")]
pub mod wasi;

//! A WebAssembly-hosted checker of file-system durability semantics.
pub mod cache;
pub mod call;
pub mod cow;
pub mod device;
pub mod sim;
pub mod vfs;

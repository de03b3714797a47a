//! A WebAssembly-hosted checker of file-system durability semantics.
pub mod call;
pub mod check;
pub mod cow;
pub mod device;
pub mod observe;
pub mod sim;

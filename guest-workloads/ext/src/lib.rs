//! For programs that run under crashproof: mapped memory, and calls that preview1 does not have.
//!
//! Each function is one import of `crashproof_ext_v0`, whose semantics `host/docs/extension.md`
//! gives; names and numbers are those of Linux. An error is preview1's own number. A module that
//! uses one of them runs under crashproof alone; it imports no more than it uses.
//!
//! What the host does not have ends the run, as unsupported, and is never an error that a program
//! could handle.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! use crashproof_guest::mapping::Access;
//! use crashproof_guest::mapping::Mapping;
//! let file = std::fs::File::options().read(true).write(true).open("table")?;
//! let mut mapping = Mapping::shared(&file, 0, 65_536, Access::READ_WRITE)?;
//! mapping.store(100, b"a record");
//! mapping.sync(0, 4096)?;
//! mapping.unmap()
//! # }
//! ```
#![allow(unsafe_code, reason = "the crate is what stands between programs and the imports")]

mod answer;
pub mod attributes;
pub mod file;
mod imports;
pub mod locks;
pub mod machine;
pub mod mapping;
mod region;
pub mod snapshot;

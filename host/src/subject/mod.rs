//! Assembles what is tested: the reference stack, the stack with a defect, a host directory.
//!
//! Flow: [`StackPlan`] (geometry, policies, faults) -> [`Stack`] (disk, wrappers, file system,
//! cache, vfs).
//!
//! Architecture invariant: a defect is a value of a policy; nothing here changes what a layer
//! does in any other way.

mod defects;
#[cfg(feature = "wasm")]
mod directory;
mod profile;
mod reference;

/// A policy of locks, which no defect of the list changes: locks are for several processes.
pub use crate::vfs::LockEnd;
pub use defects::Defect;
pub use defects::all as defects;
pub use defects::named as defect_named;
#[cfg(feature = "wasm")]
pub use directory::DirectorySubject;
pub use profile::Behaviour;
pub use profile::Impossible;
pub use profile::profile_named;
pub use profile::profile_names;
pub use profile::profile_text;
pub use reference::Mirrored;
pub use reference::MountError;
pub use reference::Policies;
pub use reference::Stack;
pub use reference::StackPlan;

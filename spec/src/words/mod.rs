//! The words of a trace: calls, outcomes, errors, identities.
//!
//! Architecture invariant: there is no word here for a block, a page, a cache, a root or a
//! device.

mod attribute;
mod call;
mod errno;
mod found;
mod lock;
mod manage;
mod memory;
mod mode;
mod testimony;

pub use attribute::Attribute;
pub use attribute::SetAttribute;
pub use call::AllocateMode;
pub use call::At;
pub use call::Call;
pub use call::DirectoryEntry;
pub use call::FileKind;
pub use call::HandleId;
pub use call::Ino;
pub use call::OpenOptions;
pub use call::Outcome;
pub use call::Path;
pub use call::Pid;
pub use call::Role;
pub use call::Stat;
pub use call::StatusFlags;
pub use call::Step;
pub use call::TimeChange;
pub use call::Value;
pub use call::Whence;
pub use errno::Errno;
pub use found::Content;
pub use found::Found;
pub use found::FoundKind;
pub use found::Survey;
pub use lock::HeldLock;
pub use lock::Lock;
pub use lock::LockKind;
pub use lock::LockOwner;
pub use manage::Manage;
pub use memory::Access;
pub use memory::MappingId;
pub use memory::Memory;
pub use memory::Sharing;
pub use memory::Signal;
pub use mode::Mode;
pub use mode::Right;
pub use testimony::Testimony;

//! Copies: a device that keeps every block more than once lets whoever can tell a right copy from a
//! wrong one choose.

use std::pin::Pin;

use crate::device::BlockNo;
use crate::device::Completion;
use crate::device::DeviceError;

/// Something about copies that is under way.
pub type CopyTask<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The copies of a device's blocks.
pub trait Copies: Send + Sync {
    /// How many there are of each block; they are numbered from 0.
    fn count(&self) -> u32;

    /// Reads a block of one copy, and of no other where that cannot be read.
    fn read_copy(&self, copy: u32, block: BlockNo) -> CopyTask<'_, Completion>;

    /// Makes a block of a copy what it is in another one. Nothing happens while somebody else
    /// writes to it: then it is theirs to be right.
    fn repair(&self, block: BlockNo, from: u32, to: u32) -> CopyTask<'_, Result<(), DeviceError>>;

    /// May the copies of a block differ, because a loss of power came between them? Until
    /// [`Copies::settle`].
    fn is_in_doubt(&self, block: BlockNo) -> bool;

    /// May the copies of any block?
    fn has_doubt(&self) -> bool;

    /// Makes the copies equal that are in doubt, whichever is right: whoever can tell has had them
    /// repaired.
    fn settle(&self) -> CopyTask<'_, Result<(), DeviceError>>;
}

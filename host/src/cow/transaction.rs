//! A transaction: changes of the tree that take effect together, or not at all.

use bytes::Bytes;

use crate::cow::CowError;
use crate::cow::format::item::EntryTarget;
use crate::cow::format::item::Inode;
use crate::cow::format::item::Kind;
use crate::cow::format::item::Times;

/// Changes under way. One at a time; dropped without [`Transaction::finish`], nothing happened.
#[derive(Debug)]
#[must_use = "a transaction that is not finished changes nothing"]
pub struct Transaction {}

impl Transaction {
    /// The inode of that number, as this transaction sees it.
    pub async fn inode(&self, ino: u64) -> Result<Option<Inode>, CowError> {
        todo!("{ino}")
    }

    /// Writes an inode.
    pub async fn put_inode(&mut self, ino: u64, inode: &Inode) -> Result<(), CowError> {
        todo!("{ino} {inode:?}")
    }

    /// Makes an inode without names (link count 0) and without content. `parent` is kept for
    /// directories.
    pub async fn create_inode(
        &mut self,
        kind: Kind,
        parent: u64,
        times: Times,
    ) -> Result<u64, CowError> {
        todo!("{kind:?} {parent} {times:?}")
    }

    /// Where a name leads, as this transaction sees it.
    pub async fn lookup(&self, dir: u64, name: &[u8]) -> Result<Option<EntryTarget>, CowError> {
        todo!("{dir} {name:?}")
    }

    /// Does the directory have no names, as this transaction sees it?
    pub async fn is_empty(&self, dir: u64) -> Result<bool, CowError> {
        todo!("{dir}")
    }

    /// Adds a name that is not there, with a fresh cookie. Link counts are the caller's.
    pub async fn insert_entry(
        &mut self,
        dir: u64,
        name: &[u8],
        ino: u64,
        kind: Kind,
    ) -> Result<u64, CowError> {
        todo!("{dir} {name:?} {ino} {kind:?}")
    }

    /// Makes a name that is there lead elsewhere; its cookie stays. Answers where it led.
    pub async fn replace_entry(
        &mut self,
        dir: u64,
        name: &[u8],
        ino: u64,
        kind: Kind,
    ) -> Result<EntryTarget, CowError> {
        todo!("{dir} {name:?} {ino} {kind:?}")
    }

    /// Removes a name that is there. Answers where it led.
    pub async fn remove_entry(&mut self, dir: u64, name: &[u8]) -> Result<EntryTarget, CowError> {
        todo!("{dir} {name:?}")
    }

    /// Says what a symbolic link leads to; its inode's size follows.
    pub async fn set_symlink(&mut self, ino: u64, target: &[u8]) -> Result<(), CowError> {
        todo!("{ino} {target:?}")
    }

    /// Notes that a file has no name and is to be removed when nobody has it open.
    pub async fn add_orphan(&mut self, ino: u64) -> Result<(), CowError> {
        todo!("{ino}")
    }

    /// Takes a file from the list of orphans.
    pub async fn remove_orphan(&mut self, ino: u64) -> Result<(), CowError> {
        todo!("{ino}")
    }

    /// Removes an inode with its content, its target and its mark as an orphan.
    pub async fn remove_inode(&mut self, ino: u64) -> Result<(), CowError> {
        todo!("{ino}")
    }

    /// Removes the content from a block of the file on; the inode's size is the caller's.
    pub async fn truncate_extents(
        &mut self,
        ino: u64,
        from_file_block: u64,
    ) -> Result<(), CowError> {
        todo!("{ino} {from_file_block}")
    }

    /// Lets the changes take effect, all at once. `NoSpace` if no commit could hold them: then
    /// nothing happened.
    pub async fn finish(self) -> Result<(), CowError> {
        todo!()
    }

    /// The target of a symbolic link, as this transaction sees it.
    pub async fn symlink_target(&self, ino: u64) -> Result<Bytes, CowError> {
        todo!("{ino}")
    }
}

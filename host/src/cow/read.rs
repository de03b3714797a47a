//! What the records of the tree say.
//!
//! Each record was checked when its node was read or its batch replayed; one that says nothing
//! all the same is reported as corrupt.

use bytes::Bytes;

use crate::cow::CowError;
use crate::cow::EntryItem;
use crate::cow::EntryTarget;
use crate::cow::Inode;
use crate::cow::format::item::Extent;
use crate::cow::format::item::ItemKind;
use crate::cow::format::item::Key;
use crate::cow::format::node::Record;
use crate::cow::store::Store;
use crate::cow::tree::Found;
use crate::cow::tree::Tree;
use crate::device::BlockNo;

const NOT_AN_ITEM: CowError =
    CowError::Corrupt { at: BlockNo(0), invariant: "F-1: a record of a leaf is an item" };

pub(super) fn inode(value: Option<Bytes>) -> Result<Option<Inode>, CowError> {
    value.map(|value| Inode::decode(&value).ok_or(NOT_AN_ITEM)).transpose()
}

pub(super) fn target(value: Option<Bytes>) -> Result<Option<EntryTarget>, CowError> {
    value.map(|value| EntryTarget::decode(&value).ok_or(NOT_AN_ITEM)).transpose()
}

pub(super) fn extent(value: Option<Bytes>) -> Result<Extent, CowError> {
    value.map_or(Ok(Extent::default()), |value| Extent::decode(&value).ok_or(NOT_AN_ITEM))
}

pub(super) fn record(record: Record) -> Result<(Key, Bytes), CowError> {
    Ok((Key::decode(&record.key).ok_or(NOT_AN_ITEM)?, record.value))
}

pub(super) fn symlink_target(tree: &Tree, ino: u64) -> Found<Bytes> {
    let (from, to) = (Key::start(ino, ItemKind::Symlink), Key::end(ino, ItemKind::Symlink));
    let parts = tree.range(&from, &to, usize::MAX)?;
    Ok(parts.iter().flat_map(|part| part.value.iter().copied()).collect())
}

/// The entries of a directory from a cookie on.
pub(super) async fn entries(
    store: &Store,
    dir: u64,
    from_cookie: u64,
    max: usize,
) -> Result<Vec<EntryItem>, CowError> {
    let from = Key::Entry { dir, cookie: from_cookie }.encode();
    let to = Key::end(dir, ItemKind::Entry);
    let records = store.ask_live(|tree| tree.range(&from, &to, max)).await?;
    let entry = |found: Record| {
        let (key, value) = record(found)?;
        let Key::Entry { cookie, .. } = key else { return Err(NOT_AN_ITEM) };
        EntryItem::decode(cookie, &value).ok_or(NOT_AN_ITEM)
    };
    records.into_iter().map(entry).collect()
}

/// The files on the list of orphans.
pub(super) async fn orphans(store: &Store) -> Result<Vec<u64>, CowError> {
    let (from, to) = (Key::start(0, ItemKind::Orphan), Key::end(0, ItemKind::Orphan));
    let records = store.ask_live(|tree| tree.range(&from, &to, usize::MAX)).await?;
    let ino = |found: Record| match record(found)?.0 {
        Key::Orphan { ino } => Ok(ino),
        Key::Inode { .. }
        | Key::Name { .. }
        | Key::Entry { .. }
        | Key::Extent { .. }
        | Key::Symlink { .. } => Err(NOT_AN_ITEM),
    };
    records.into_iter().map(ino).collect()
}

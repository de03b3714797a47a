//! What the records of the tree say.
//!
//! Each record was checked when its node was read or its batch replayed; one that says nothing
//! all the same is reported as corrupt.

use std::ops::Range;

use bytes::Bytes;

use crate::cow::CowError;
use crate::cow::EntryItem;
use crate::cow::EntryTarget;
use crate::cow::Inode;
use crate::cow::format::extent::Extent;
use crate::cow::format::extent::Run;
use crate::cow::format::extent::Slot;
use crate::cow::format::item::ItemKind;
use crate::cow::format::item::Key;
use crate::cow::format::node::Record;
use crate::cow::store::Store;
use crate::cow::tree::Found;
use crate::cow::tree::Tree;
use crate::device::BlockNo;

pub(super) const NOT_AN_ITEM: CowError =
    CowError::Corrupt { at: BlockNo(0), invariant: "F-1: a record of a leaf is an item" };

pub(super) fn inode(value: Option<&[u8]>) -> Result<Option<Inode>, CowError> {
    value.map(|value| Inode::decode(value).ok_or(NOT_AN_ITEM)).transpose()
}

pub(super) fn target(value: Option<&[u8]>) -> Result<Option<EntryTarget>, CowError> {
    value.map(|value| EntryTarget::decode(value).ok_or(NOT_AN_ITEM)).transpose()
}

pub(super) fn extent(value: Option<&[u8]>) -> Result<Extent, CowError> {
    value.map_or(Ok(Extent::default()), |value| Extent::decode(value).ok_or(NOT_AN_ITEM))
}

pub(super) fn run(value: Option<&[u8]>) -> Result<Option<Run>, CowError> {
    value.map(|value| Run::decode(value).ok_or(NOT_AN_ITEM)).transpose()
}

pub(super) fn record(record: Record) -> Result<(Key, Bytes), CowError> {
    let key = Key::decode_in(record.bytes(), record.key()).ok_or(NOT_AN_ITEM)?;
    Ok((key, record.value_bytes()))
}

pub(super) fn symlink_target(tree: &Tree, ino: u64) -> Found<Bytes> {
    let (from, to) = (Key::start(ino, ItemKind::Symlink), Key::end(ino, ItemKind::Symlink));
    let parts = tree.range(&from, &to, usize::MAX)?;
    Ok(parts.iter().flat_map(|part| part.value().iter().copied()).collect())
}

/// The names of a file's extended attributes, in order.
pub(super) fn attribute_names(tree: &Tree, ino: u64) -> Found<Result<Vec<Bytes>, CowError>> {
    let (from, to) = (Key::start(ino, ItemKind::Attribute), Key::end(ino, ItemKind::Attribute));
    let records = tree.range(&from, &to, usize::MAX)?;
    let name = |found: Record| match record(found)?.0 {
        Key::Attribute { name, .. } => Ok(name),
        Key::Inode { .. }
        | Key::Name { .. }
        | Key::Entry { .. }
        | Key::Extent { .. }
        | Key::Symlink { .. }
        | Key::Orphan { .. }
        | Key::Run { .. }
        | Key::Snapshot { .. } => Err(NOT_AN_ITEM),
    };
    Ok(records.into_iter().map(name).collect())
}

/// The entries of a directory from a cookie on.
pub(super) fn entries(
    tree: &Tree,
    dir: u64,
    from_cookie: u64,
    max: usize,
) -> Found<Result<Vec<EntryItem>, CowError>> {
    let from = Key::Entry { dir, cookie: from_cookie }.encode();
    let to = Key::end(dir, ItemKind::Entry);
    let records = tree.range(&from, &to, max)?;
    let entry = |found: Record| {
        let (key, value) = record(found)?;
        let Key::Entry { cookie, .. } = key else { return Err(NOT_AN_ITEM) };
        EntryItem::decode(cookie, &value).ok_or(NOT_AN_ITEM)
    };
    Ok(records.into_iter().map(entry).collect())
}

/// Records that one question brings.
const SCAN_RECORDS: usize = 64;

/// Blocks of a file that are no holes, in order; neighbours are one range.
pub(super) async fn data_blocks(
    store: &Store,
    ino: u64,
    blocks: Range<u64>,
) -> Result<Vec<Range<u64>>, CowError> {
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut next = Some(Extent::place(blocks.start).0);
    while let Some(first) = next.take().filter(|first| *first < blocks.end) {
        let question = |tree: &Tree, ino: u64| {
            let from = Key::Extent { ino, first }.encode();
            tree.range(&from, &Key::end(ino, ItemKind::Extent), SCAN_RECORDS)
        };
        let records = store.ask_file(ino, question).await?;
        for found_record in records {
            let (Key::Extent { first, .. }, value) = record(found_record)? else {
                return Err(NOT_AN_ITEM);
            };
            let slots = extent(Some(&value[..]))?.slots;
            let is_data = |slot: &Option<Slot>| slot.is_some_and(|slot| !slot.is_unwritten());
            let full = (first..).zip(slots).filter(|(_, slot)| is_data(slot));
            for (block, _) in full.filter(|(block, _)| blocks.contains(block)) {
                match found.last_mut() {
                    Some(last) if last.end == block => last.end += 1,
                    Some(_) | None => found.push(block..block + 1),
                }
            }
            next = first.checked_add(Extent::SLOTS);
        }
    }
    Ok(found)
}

/// The first run of data in a part of a file, as a tree says; at most to the part's end.
pub(super) async fn next_run(
    store: &Store,
    tree: &Tree,
    ino: u64,
    blocks: Range<u64>,
) -> Result<Option<Range<u64>>, CowError> {
    let mut run: Option<Range<u64>> = None;
    let mut next = Some(Extent::place(blocks.start).0);
    let to = Key::end(ino, ItemKind::Extent);
    let mut count = 1;
    while let Some(first) = next.take().filter(|first| *first < blocks.end) {
        let from = Key::Extent { ino, first }.encode();
        let records = store.ask(tree, |tree| tree.range(&from, &to, count)).await?;
        count = (2 * count).min(SCAN_RECORDS);
        for found_record in records {
            let (Key::Extent { first, .. }, value) = record(found_record)? else {
                return Err(NOT_AN_ITEM);
            };
            next = first.checked_add(Extent::SLOTS);
            let slots = (first..).zip(extent(Some(&value[..]))?.slots);
            for (block, slot) in slots.filter(|(block, _)| blocks.contains(block)) {
                let is_data = slot.is_some_and(|slot| !slot.is_unwritten());
                match &mut run {
                    None if is_data => run = Some(block..block + 1),
                    Some(run) if is_data && run.end == block => run.end += 1,
                    Some(_) => return Ok(run),
                    None => {}
                }
            }
        }
    }
    Ok(run)
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
        | Key::Symlink { .. }
        | Key::Run { .. }
        | Key::Snapshot { .. }
        | Key::Attribute { .. } => Err(NOT_AN_ITEM),
    };
    records.into_iter().map(ino).collect()
}

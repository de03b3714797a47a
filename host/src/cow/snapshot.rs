//! Snapshots: frozen versions of the whole tree, each with a name.
//!
//! A snapshot is taken by a commit: the root that makes a tree the file system names it in its list
//! of snapshots too, so that both are durable or neither is. Nothing is copied: the blocks that a
//! snapshot reaches have one use more ([`super::share`]), and go when their last use ends.
//!
//! A file of a snapshot is known by one number, the snapshot's above the file's: so whoever can
//! read a file can read it in a snapshot.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::cow::CowError;
use crate::cow::ROOT_INO;
use crate::cow::format::BlockPtr;
use crate::cow::format::Generation;
use crate::cow::format::item::INO_BITS;
use crate::cow::format::item::INO_END;
use crate::cow::format::item::ItemKind;
use crate::cow::format::item::Key;
use crate::cow::format::item::SNAPSHOT_END;
use crate::cow::format::item::SnapshotItem;
use crate::cow::format::item::is_name;
use crate::cow::format::item::name_max;
use crate::cow::format::node::Record;
use crate::cow::format::root::Root;
use crate::cow::read;
use crate::cow::store::Store;
use crate::cow::tree::Edit;
use crate::cow::tree::Found;
use crate::cow::tree::Node;
use crate::cow::tree::Tree;
use crate::device::BlockNo;

/// There are never more snapshots.
pub const SNAPSHOTS_MAX: usize = 64;

/// Levels of the longest list of snapshots: a node holds at least three.
pub(super) const SNAPSHOT_LEVELS: u64 = 4;
const _: () = assert!(3_usize.pow(SNAPSHOT_LEVELS as u32) >= SNAPSHOTS_MAX, "the list has room");

/// What happens to the list of snapshots with a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListChange {
    /// The tree that is committed is a snapshot too.
    Take(Bytes),
    /// This snapshot is gone.
    Drop(Bytes),
}

#[derive(Debug, Clone)]
struct Snapshot {
    name: Bytes,
    tree: Tree,
}

/// The snapshots of the durable root.
#[derive(Debug)]
pub(super) struct Snapshots {
    by_number: BTreeMap<u32, Snapshot>,
    /// They as a tree on the device, if there are any.
    list: Option<Tree>,
    next: u32,
    /// Deleted durably; their blocks are still in use.
    ended: Vec<Tree>,
    /// The commit that takes one, until it is durable or a later one is.
    pub(super) pending: Option<Generation>,
}

/// The list of snapshots as a commit writes it.
#[derive(Debug)]
pub(super) struct NewList {
    pub(super) tree: Option<Tree>,
    /// Nodes of the old list that are not in the new one.
    pub(super) replaced: Vec<std::sync::Arc<Node>>,
    pub(super) next: u32,
}

const NOT_A_LIST: CowError =
    CowError::Corrupt { at: BlockNo(0), invariant: "F-1: the list of snapshots names snapshots" };

impl Snapshots {
    pub(super) fn named_by(root: &Root) -> Self {
        let list = root.snapshots.map(Tree::on_disk);
        Self {
            by_number: BTreeMap::new(),
            list,
            next: root.next_snapshot,
            ended: Vec::new(),
            pending: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    pub(super) fn list(&self) -> Option<&Tree> {
        self.list.as_ref()
    }

    /// The trees whose blocks are in use.
    pub(super) fn trees(&self) -> Vec<Tree> {
        let named = self.by_number.values().map(|snapshot| &snapshot.tree);
        named.chain(&self.ended).cloned().collect()
    }

    /// The newest generation that a node of a snapshot can have.
    pub(super) fn newest(&self) -> Option<Generation> {
        let tops = self.by_number.values().filter_map(|snapshot| snapshot.tree.top.ptr());
        tops.map(|ptr| ptr.generation).chain(self.pending).max()
    }

    fn find(&self, name: &[u8]) -> Option<u32> {
        let mut snapshots = self.by_number.iter();
        snapshots.find(|(_, snapshot)| snapshot.name == name).map(|(number, _)| *number)
    }

    /// The list after a change. `top` is where the tree that is committed will be.
    pub(super) fn changed(
        &self,
        change: Option<&ListChange>,
        top: BlockPtr,
        mut edit: Edit,
    ) -> Found<NewList> {
        let (tree, next) = match change {
            None => (self.list.clone(), self.next),
            Some(ListChange::Take(name)) => {
                let key = Key::Snapshot { name: name.clone() }.encode();
                let value = SnapshotItem { number: self.next, tree: top }.encode();
                let mut list = self.list.clone().unwrap_or_else(Tree::empty);
                list.get(&key)?;
                list.put(Record::new(&key, &value), &mut edit);
                (Some(list), self.next + 1)
            }
            Some(ListChange::Drop(name)) => {
                let key = Key::Snapshot { name: name.clone() }.encode();
                let list = self.list.as_ref().map(|list| list.delete(&key, &mut edit));
                let left = list.transpose()?.flatten().filter(|_| self.by_number.len() > 1);
                (left, self.next)
            }
        };
        Ok(NewList { tree, replaced: edit.replaced, next })
    }

    /// The commit of a change is durable; `tree` is what it committed.
    pub(super) fn change(&mut self, change: Option<ListChange>, list: NewList, tree: &Tree) {
        match change {
            None => {}
            Some(ListChange::Take(name)) => {
                self.by_number.insert(self.next, Snapshot { name, tree: tree.clone() });
            }
            Some(ListChange::Drop(name)) => {
                let number = self.find(&name);
                let gone = number.and_then(|number| self.by_number.remove(&number));
                self.ended.extend(gone.map(|snapshot| snapshot.tree));
            }
        }
        self.pending = None;
        self.next = list.next;
        self.list = list.tree;
    }
}

/// The number of a file of a snapshot; snapshot 0 is the live tree.
pub(super) fn number_in(snapshot: u32, ino: u64) -> u64 {
    u64::from(snapshot) << INO_BITS | ino
}

/// The snapshot of a file, and its number there.
pub(super) fn split(file: u64) -> (u32, u64) {
    ((file >> INO_BITS) as u32, file & (INO_END - 1))
}

impl Store {
    /// Reads the list of snapshots, on mounting.
    pub(super) async fn load_snapshots(&self) -> Result<(), CowError> {
        let Some(list) = self.state().snapshots.list.clone() else { return Ok(()) };
        let (from, to) = (Key::start(0, ItemKind::Snapshot), Key::end(0, ItemKind::Snapshot));
        // One more than there may be: so what is too many is seen.
        let question = |list: &Tree| list.range(&from, &to, SNAPSHOTS_MAX + 1);
        let records = self.ask(&list, question).await?;
        if records.is_empty() || records.len() > SNAPSHOTS_MAX {
            return Err(NOT_A_LIST);
        }
        for record in records {
            let (key, value) = read::record(record)?;
            let item = SnapshotItem::decode(&value).ok_or(NOT_A_LIST)?;
            let Key::Snapshot { name } = key else { return Err(NOT_A_LIST) };
            let mut state = self.state();
            let is_known = item.tree.generation <= state.root.generation;
            let snapshot = Snapshot { name, tree: Tree::on_disk(item.tree) };
            let old = state.snapshots.by_number.insert(item.number, snapshot);
            if old.is_some() || item.number >= state.snapshots.next || !is_known {
                return Err(NOT_A_LIST);
            }
        }
        Ok(())
    }

    /// Makes the file system as it is now a snapshot. It is durable when this succeeds.
    pub(super) async fn take_snapshot(&self, name: &[u8]) -> Result<(), CowError> {
        if !is_name(name) || name.len() > name_max(self.geometry.block_size_bytes) {
            return Err(CowError::NameLength);
        }
        self.find_free().await?;
        let guard = self.durable.acquire().await;
        let taken = self.take_alone(name).await;
        drop(guard);
        taken
    }

    async fn take_alone(&self, name: &[u8]) -> Result<(), CowError> {
        let needed = |store: &Self| {
            let state = store.state();
            let room = state.reserved + state.dirty + store.slack() + 2 * SNAPSHOT_LEVELS;
            (state.free_count() < room, state.commit_frees())
        };
        {
            let state = self.state();
            if state.snapshots.find(name).is_some() {
                return Err(CowError::EntryExists);
            }
            let is_full = state.snapshots.by_number.len() >= SNAPSHOTS_MAX;
            if is_full || state.snapshots.next >= SNAPSHOT_END {
                return Err(CowError::NoSpace);
            }
        }
        if let (true, _) = needed(self) {
            self.finish_discards().await;
        }
        if let (true, true) = needed(self) {
            self.commit_alone(None).await?;
            self.finish_discards().await;
        }
        if let (true, _) = needed(self) {
            return Err(CowError::NoSpace);
        }
        self.commit_alone(Some(ListChange::Take(Bytes::copy_from_slice(name)))).await
    }

    /// Deletes a snapshot, durably when this succeeds. Its blocks are free then, as far as nothing
    /// else uses them.
    pub(super) async fn delete_snapshot(&self, name: &[u8]) -> Result<(), CowError> {
        self.find_free().await?;
        let guard = self.durable.acquire().await;
        let deleted = if self.state().snapshots.find(name).is_some() {
            self.commit_alone(Some(ListChange::Drop(Bytes::copy_from_slice(name)))).await
        } else {
            Err(CowError::NoEntry)
        };
        drop(guard);
        deleted
    }

    /// Frees what only deleted snapshots used. What cannot be read stays in use until the next
    /// mount counts again. The caller holds `durable`.
    pub(super) async fn end_snapshots(&self) {
        loop {
            let Some(tree) = self.state().snapshots.ended.last().cloned() else { return };
            if self.end_tree(&tree).await.is_err() {
                return;
            }
            self.state().snapshots.ended.pop();
        }
    }

    /// The snapshots there are, by name, and the number of each one's root directory.
    pub(super) fn snapshots(&self) -> Vec<(Bytes, u64)> {
        let state = self.state();
        let snapshots = state.snapshots.by_number.iter();
        let mut named: Vec<(Bytes, u64)> = snapshots
            .map(|(number, snapshot)| (snapshot.name.clone(), number_in(*number, ROOT_INO)))
            .collect();
        named.sort();
        named
    }

    /// The tree of the snapshot that a file is of, and its number there; `None` if it is of the
    /// live tree.
    pub(super) fn snapshot_of(&self, file: u64) -> Result<Option<(Tree, u64)>, CowError> {
        let (number, ino) = split(file);
        if number == 0 {
            return Ok(None);
        }
        let state = self.state();
        let snapshot = state.snapshots.by_number.get(&number).ok_or(CowError::NoInode(file))?;
        Ok(Some((snapshot.tree.clone(), ino)))
    }

    /// Asks about a file: of the live tree, or of a snapshot.
    pub(super) async fn ask_file<T>(
        &self,
        file: u64,
        question: impl Fn(&Tree, u64) -> Found<T>,
    ) -> Result<T, CowError> {
        let (number, ino) = split(file);
        if number == 0 {
            return self.ask_live(|tree| question(tree, ino)).await;
        }
        loop {
            let snapshot = self.state().snapshots.by_number.get(&number).cloned();
            let tree = snapshot.ok_or(CowError::NoInode(file))?.tree;
            let missing = match question(&tree, ino) {
                Ok(found) => return Ok(found),
                Err(missing) => missing,
            };
            if let Err(error) = Box::pin(self.load(&missing)).await {
                // The snapshot may have been deleted, and the node written over since.
                if self.state().snapshots.by_number.contains_key(&number) {
                    return Err(error);
                }
            }
        }
    }
}

//! A transaction: changes of the tree that take effect together, or not at all.
//!
//! It works on a version of the tree of its own; finishing it makes that version the live one.
//! Its changes are also kept in order, for the intent log.

use std::ops::Range;

use bytes::Bytes;

use crate::cow::COOKIE_FIRST;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::EntryItem;
use crate::cow::EntryTarget;
use crate::cow::Inode;
use crate::cow::Kind;
use crate::cow::Reuse;
use crate::cow::Times;
use crate::cow::format::Generation;
use crate::cow::format::item::INO_END;
use crate::cow::format::item::ItemKind;
use crate::cow::format::item::Key;
use crate::cow::format::item::is_name;
use crate::cow::format::item::symlink_part_size_bytes;
use crate::cow::format::node::Record;
use crate::cow::objects;
use crate::cow::objects::Deed;
use crate::cow::read;
use crate::cow::store::Freed;
use crate::cow::tree::Edit;
use crate::cow::tree::Tree;
use crate::cow::unlogged::Changed;
use crate::device::BlockNo;
use crate::sim::TaskLockGuard;

/// Records that are read at a time when many are removed.
pub(super) const SCAN_RECORDS: usize = 64;

/// Changes under way. One at a time; dropped without [`Transaction::finish`], nothing happened.
#[derive(Debug)]
#[must_use = "a transaction that is not finished changes nothing"]
pub struct Transaction {
    pub(super) cow: Cow,
    /// No tree is frozen and no other transaction begins while this is held.
    quiet: TaskLockGuard,
    pub(super) tree: Tree,
    /// What was settled when it began.
    pub(super) settled: Tree,
    epoch: u64,
    changes: Vec<Changed>,
    pub(super) freed: Freed,
    /// Blocks that have one use more, as often as that is.
    pub(super) shared: Vec<BlockNo>,
    /// What it did to content, in order.
    pub(super) records: Vec<objects::Record>,
    /// Is the intent log to be told of it?
    pub(super) is_logged: bool,
    /// Blocks that it took.
    taken: Taken,
    dirty: i64,
    next_ino: u64,
    /// Does it need space for good? Others may use what is kept back for removing.
    pub(super) grows: bool,
}

/// What a snapshot holds is not changed.
fn check_writable(key: &Key) -> Result<(), CowError> {
    if key.ino() >= INO_END { Err(CowError::ReadOnly) } else { Ok(()) }
}

/// A transaction as it was at a moment.
pub(super) struct Mark {
    tree: Tree,
    changes: usize,
    nodes: usize,
    blocks: usize,
    records: usize,
    dirty: i64,
}

/// Blocks that a transaction took; dropped, they are free again.
#[derive(Debug)]
struct Taken {
    cow: Cow,
    blocks: Vec<BlockNo>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(free) = &mut self.cow.store().state().free {
            self.blocks.drain(..).for_each(|block| free.give_back(block));
        }
    }
}

impl Transaction {
    pub(super) async fn begin(cow: &Cow) -> Result<Self, CowError> {
        let store = cow.store();
        store.find_free().await?;
        store.relieve().await;
        let quiet = store.quiet.acquire().await;
        let state = store.state();
        Ok(Self {
            cow: cow.clone(),
            quiet,
            tree: state.live.clone(),
            settled: state.objects.settled().clone(),
            epoch: state.epoch,
            changes: Vec::new(),
            freed: Freed::default(),
            shared: Vec::new(),
            records: Vec::new(),
            is_logged: true,
            taken: Taken { cow: cow.clone(), blocks: Vec::new() },
            dirty: 0,
            next_ino: state.next_ino,
            grows: false,
        })
    }

    fn changed(&mut self, edit: Edit, changed: Changed) {
        self.dirty += edit.dirty;
        self.freed.nodes.extend(edit.replaced);
        self.changes.push(changed);
    }

    pub(super) async fn put(&mut self, key: &Key, value: Bytes) -> Result<(), CowError> {
        check_writable(key)?;
        let key = key.encode();
        let record = Record::new(&key, &value);
        let put = self.cow.store().put(&mut self.tree, record, self.epoch);
        let (edit, was_there) = put.await?;
        self.changed(edit, Changed { key, value: Some(value), was_there });
        Ok(())
    }

    /// Takes a record away; one that is not there need not be.
    pub(super) async fn delete(&mut self, key: &Key) -> Result<(), CowError> {
        check_writable(key)?;
        let key = key.encode();
        let deleted = self.cow.store().delete(&mut self.tree, &key, self.epoch);
        if let Some(edit) = deleted.await? {
            self.changed(edit, Changed { key, value: None, was_there: true });
        }
        Ok(())
    }

    /// What a key says, as this transaction sees it.
    pub(super) async fn get<T>(
        &self,
        key: &[u8],
        decode: impl Fn(Option<&[u8]>) -> T,
    ) -> Result<T, CowError> {
        self.cow.store().ask(&self.tree, |tree| tree.get(key).map(&decode)).await
    }

    /// The inode of that number, as this transaction sees it.
    pub async fn inode(&self, ino: u64) -> Result<Option<Inode>, CowError> {
        self.get(&Key::of_inode(ino), read::inode).await?
    }

    /// Writes an inode.
    pub async fn put_inode(&mut self, ino: u64, inode: &Inode) -> Result<(), CowError> {
        self.put(&Key::Inode { ino }, inode.encode()).await
    }

    /// Makes an inode without names (link count 0) and without content. `parent` is kept for
    /// directories.
    pub async fn create_inode(
        &mut self,
        kind: Kind,
        parent: u64,
        times: Times,
    ) -> Result<u64, CowError> {
        let ino = self.next_ino;
        self.next_ino = ino.checked_add(1).ok_or(CowError::NoSpace)?;
        if ino >= INO_END {
            return Err(CowError::NoSpace);
        }
        self.grows = true;
        let (parent, next_cookie) = match kind {
            Kind::Directory => (parent, COOKIE_FIRST),
            Kind::Regular | Kind::Symlink => (0, 0),
        };
        let inode = Inode {
            kind,
            link_count: 0,
            size_bytes: 0,
            times,
            parent,
            next_cookie,
            is_compressed: false,
            is_nocow: false,
            mode: kind.mode(),
        };
        self.put_inode(ino, &inode).await?;
        Ok(ino)
    }

    /// Where a name leads, as this transaction sees it.
    pub async fn lookup(&self, dir: u64, name: &[u8]) -> Result<Option<EntryTarget>, CowError> {
        self.get(&Key::of_name(dir, name), read::target).await?
    }

    /// Does the directory have no names, as this transaction sees it?
    pub async fn is_empty(&self, dir: u64) -> Result<bool, CowError> {
        Ok(self.scan(dir, ItemKind::Entry, 1).await?.is_empty())
    }

    async fn scan(
        &self,
        ino: u64,
        kind: ItemKind,
        max: usize,
    ) -> Result<Vec<(Key, Bytes)>, CowError> {
        let (from, to) = (Key::start(ino, kind), Key::end(ino, kind));
        let question = |tree: &Tree| tree.range(&from, &to, max);
        let records = self.cow.store().ask(&self.tree, question).await?;
        records.into_iter().map(read::record).collect()
    }

    /// Adds a name that is not there, with a fresh cookie. Link counts are the caller's.
    pub async fn insert_entry(
        &mut self,
        dir: u64,
        name: &[u8],
        ino: u64,
        kind: Kind,
    ) -> Result<u64, CowError> {
        if !is_name(name) || name.len() > self.cow.name_max() {
            return Err(CowError::NameLength);
        }
        if self.lookup(dir, name).await?.is_some() {
            return Err(CowError::EntryExists);
        }
        let mut inode = self.inode(dir).await?.ok_or(CowError::NoInode(dir))?;
        if inode.kind != Kind::Directory {
            return Err(CowError::NoInode(dir));
        }
        let cookie = inode.next_cookie;
        inode.next_cookie = cookie.checked_add(1).ok_or(CowError::NoSpace)?;
        self.grows = true;
        self.put_inode(dir, &inode).await?;
        self.put_entry(dir, name, EntryTarget { ino, kind, cookie }).await?;
        Ok(cookie)
    }

    async fn put_entry(
        &mut self,
        dir: u64,
        name: &[u8],
        target: EntryTarget,
    ) -> Result<(), CowError> {
        let name = Bytes::copy_from_slice(name);
        let EntryTarget { ino, kind, cookie } = target;
        let entry = EntryItem { cookie, name: name.clone(), ino, kind };
        self.put(&Key::Name { dir, name }, target.encode()).await?;
        self.put(&Key::Entry { dir, cookie }, entry.encode()).await
    }

    /// Makes a name that is there lead elsewhere; its cookie stays. Answers where it led.
    pub async fn replace_entry(
        &mut self,
        dir: u64,
        name: &[u8],
        ino: u64,
        kind: Kind,
    ) -> Result<EntryTarget, CowError> {
        let old = self.lookup(dir, name).await?.ok_or(CowError::NoEntry)?;
        self.put_entry(dir, name, EntryTarget { ino, kind, cookie: old.cookie }).await?;
        Ok(old)
    }

    /// Removes a name that is there. Answers where it led.
    pub async fn remove_entry(&mut self, dir: u64, name: &[u8]) -> Result<EntryTarget, CowError> {
        let old = self.lookup(dir, name).await?.ok_or(CowError::NoEntry)?;
        let name = Bytes::copy_from_slice(name);
        self.delete(&Key::Name { dir, name }).await?;
        self.delete(&Key::Entry { dir, cookie: old.cookie }).await?;
        Ok(old)
    }

    /// Says what a symbolic link leads to, and sets its inode's size.
    pub async fn set_symlink(&mut self, ino: u64, target: &[u8]) -> Result<(), CowError> {
        let mut inode = self.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        self.remove_all(ino, ItemKind::Symlink).await?;
        self.grows = true;
        let size = symlink_part_size_bytes(self.cow.geometry().block_size_bytes);
        for (part, bytes) in (0_u32..).zip(target.chunks(size)) {
            self.put(&Key::Symlink { ino, part }, Bytes::copy_from_slice(bytes)).await?;
        }
        inode.size_bytes = target.len() as u64;
        self.put_inode(ino, &inode).await
    }

    /// Gives an extended attribute of a file a value. `NoSpace` if name and value are longer than
    /// [`Cow::attribute_size_bytes_max`].
    pub async fn put_attribute(
        &mut self,
        ino: u64,
        name: &Bytes,
        value: Bytes,
    ) -> Result<(), CowError> {
        if name.len() + value.len() > self.cow.attribute_size_bytes_max() {
            return Err(CowError::NoSpace);
        }
        self.grows = true;
        self.put(&Key::Attribute { ino, name: name.clone() }, value).await
    }

    /// Removes an extended attribute of a file, if it is there.
    pub async fn remove_attribute(&mut self, ino: u64, name: &Bytes) -> Result<(), CowError> {
        self.delete(&Key::Attribute { ino, name: name.clone() }).await
    }

    /// The value of an extended attribute of a file, as this transaction sees it.
    pub async fn attribute(&self, ino: u64, name: &Bytes) -> Result<Option<Bytes>, CowError> {
        let key = Key::Attribute { ino, name: name.clone() }.encode();
        self.get(&key, |value| value.map(Bytes::copy_from_slice)).await
    }

    async fn remove_all(&mut self, ino: u64, kind: ItemKind) -> Result<(), CowError> {
        loop {
            let found = self.scan(ino, kind, SCAN_RECORDS).await?;
            if found.is_empty() {
                return Ok(());
            }
            for (key, _) in found {
                self.delete(&key).await?;
            }
        }
    }

    /// Notes that a file has no name and is to be removed when nobody has it open.
    pub async fn add_orphan(&mut self, ino: u64) -> Result<(), CowError> {
        self.put(&Key::Orphan { ino }, Bytes::new()).await
    }

    /// Takes a file from the list of orphans.
    pub async fn remove_orphan(&mut self, ino: u64) -> Result<(), CowError> {
        self.delete(&Key::Orphan { ino }).await
    }

    /// Removes an inode with its content, its target, its attributes and its mark as an orphan.
    pub async fn remove_inode(&mut self, ino: u64) -> Result<(), CowError> {
        self.truncate_extents(ino, 0).await?;
        self.remove_all(ino, ItemKind::Symlink).await?;
        self.remove_all(ino, ItemKind::Attribute).await?;
        self.remove_orphan(ino).await?;
        self.delete(&Key::Inode { ino }).await
    }

    /// The target of a symbolic link, as this transaction sees it.
    pub async fn symlink_target(&self, ino: u64) -> Result<Bytes, CowError> {
        let question = |tree: &Tree| read::symlink_target(tree, ino);
        self.cow.store().ask(&self.tree, question).await
    }

    /// Notes what was done to blocks of a file.
    pub(super) fn note(&mut self, ino: u64, deed: Deed, blocks: Range<u64>) {
        self.records.push(objects::Record { ino, deed, blocks });
    }

    /// Takes blocks, with as much left as its nodes and what was promised to others may need.
    pub(super) fn take(&mut self, count: u64) -> Result<Vec<BlockNo>, CowError> {
        self.grows = true;
        let store = self.cow.store();
        let slack = store.slack();
        let mut state = store.state();
        let dirty = state.dirty.saturating_add_signed(self.dirty);
        if state.free_count() < count.saturating_add(dirty + slack + state.reserved) {
            return Err(CowError::NoSpace);
        }
        let blocks = state.free.as_mut().and_then(|free| free.take(count));
        drop(state);
        let blocks = blocks.ok_or(CowError::NoSpace)?;
        self.taken.blocks.extend(&blocks);
        Ok(blocks)
    }

    /// Number of the commit that makes it durable, or of an earlier one.
    pub(super) fn birth(&self) -> Generation {
        self.cow.store().state().generation_next
    }

    /// A moment of the transaction.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            tree: self.tree.clone(),
            changes: self.changes.len(),
            nodes: self.freed.nodes.len(),
            blocks: self.freed.blocks.len(),
            records: self.records.len(),
            dirty: self.dirty,
        }
    }

    /// What was changed since then was not; nothing was taken or shared since.
    pub(super) fn go_back(&mut self, mark: Mark) {
        self.tree = mark.tree;
        self.changes.truncate(mark.changes);
        self.freed.nodes.truncate(mark.nodes);
        self.freed.blocks.truncate(mark.blocks);
        self.records.truncate(mark.records);
        self.dirty = mark.dirty;
    }

    /// Could a commit hold the changes, as things are?
    pub(super) fn fits(&self) -> bool {
        let state = self.cow.store().state();
        state.free_count() >= state.next_commit().saturating_add_signed(self.dirty)
    }

    /// Lets the changes take effect, all at once. `NoSpace` if no commit could hold them: then
    /// nothing happened.
    pub async fn finish(mut self) -> Result<(), CowError> {
        let store = self.cow.store();
        let slack = store.slack();
        let mut state = store.state();
        let dirty = state.dirty.saturating_add_signed(self.dirty);
        let least = state.next_commit().saturating_add_signed(self.dirty);
        let needed = if self.grows { dirty + slack + state.reserved } else { least };
        if !self.changes.is_empty() {
            if state.free_count() < needed {
                return Err(CowError::NoSpace);
            }
            assert_eq!(state.epoch, self.epoch, "no tree is frozen within a transaction");
            state.live = self.tree;
            state.dirty = dirty;
            state.next_ino = self.next_ino;
            self.shared.into_iter().for_each(|block| state.shares.add(block));
            match store.policy.reuse {
                Reuse::WhenStable => state.freed.append(self.freed),
                Reuse::AtOnce => state.settle(self.freed),
            }
            self.taken.blocks.clear();
            let freed_ranges = store.policy.freed_ranges;
            self.records.iter().for_each(|record| state.objects.note(record, freed_ranges));
            if self.is_logged {
                self.changes.into_iter().for_each(|changed| state.unlogged.note(changed));
            }
            state.uncommitted = true;
        }
        drop(state);
        drop(self.quiet);
        Ok(())
    }
}

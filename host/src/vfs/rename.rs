//! `rename`.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::call::At;
use crate::call::Errno;
use crate::call::Right;
use crate::call::Value;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Kind;
use crate::cow::ROOT_INO;
use crate::cow::Transaction;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::inodes::Removal;
use crate::vfs::resolve::Last;
use crate::vfs::resolve::LastLink;
use crate::vfs::resolve::Place;
use crate::vfs::snapshot::changeable;

/// One step of a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RenameStep {
    /// What the new name led to loses it.
    RemoveTarget,
    /// The new name leads to the file.
    PlaceTarget,
    /// The old name is gone.
    RemoveSource,
    /// What was done so far becomes durable, whatever comes of the rest.
    Commit,
}

/// The new name is replaced and the old one removed in one transaction [CRASH-06].
pub const RENAME_ATOMIC: &[RenameStep] = &[RenameStep::PlaceTarget, RenameStep::RemoveSource];

/// Two transactions: between them, both names are there.
pub const RENAME_SOURCE_LATER: &[RenameStep] =
    &[RenameStep::PlaceTarget, RenameStep::Commit, RenameStep::RemoveSource];

/// Two transactions: between them, the new name is not there.
pub const RENAME_TARGET_FIRST: &[RenameStep] = &[
    RenameStep::RemoveTarget,
    RenameStep::Commit,
    RenameStep::PlaceTarget,
    RenameStep::RemoveSource,
];

/// A rename that may be done.
#[derive(Debug)]
struct Rename {
    ino: u64,
    kind: Kind,
    from: (u64, Bytes),
    to: (u64, Bytes),
    replaced: Option<(u64, Kind)>,
}

/// The name at the end of a path.
pub(super) fn name_of(place: &Place) -> Result<Bytes, Errno> {
    match &place.last {
        Last::Name(name, _) => Ok(name.clone()),
        Last::Here | Last::Parent => Err(Errno::Busy),
    }
}

impl ReferenceVfs {
    pub(super) async fn rename(
        &self,
        call: &Call<'_>,
        from: &At,
        to: &At,
        replace: bool,
    ) -> Outcome<Value> {
        let _names = self.names.acquire().await;
        let from = self.resolve(call, from, LastLink::AlwaysKept).await?;
        let to = self.resolve(call, to, LastLink::AlwaysKept).await?;
        if let Some(rename) = self.permitted(&from, &to, replace).await? {
            let moved = (rename.from.0, rename.ino, rename.kind);
            self.check_move(call, moved, rename.to.0).await?;
            self.apply(&rename).await?;
        }
        Ok(Value::Done)
    }

    /// What is to be done; nothing, if both names lead to the same file.
    async fn permitted(&self, from: &Place, to: &Place, replace: bool) -> Outcome<Option<Rename>> {
        let (from_name, to_name) = (name_of(from)?, name_of(to)?);
        if !Cow::is_same_tree(from.dir, to.dir) {
            return Err(Errno::CrossDevice.into());
        }
        let (ino, kind) = from.existing()?;
        changeable(from.dir)?;
        // Also where both names lead to one file.
        if !replace && to.target()?.is_some() {
            return Err(Errno::Exists.into());
        }
        let is_directory = kind == Kind::Directory;
        if to.has_slash && !is_directory {
            return Err(Errno::NotDirectory.into());
        }
        let replaced = to.target()?;
        if is_directory && self.is_within(to.dir, ino).await? {
            return Err(Errno::Invalid.into());
        }
        self.check_linked(to.dir).await?;
        match replaced {
            Some((there, _)) if there == ino => return Ok(None),
            Some((there, Kind::Directory)) if is_directory => {
                if !self.cow.entries(there, 0, 1).await?.is_empty() {
                    return Err(Errno::NotEmpty.into());
                }
            }
            Some((_, Kind::Directory)) => return Err(Errno::IsDirectory.into()),
            Some(_) if is_directory => return Err(Errno::NotDirectory.into()),
            Some(_) | None => {}
        }
        let (from, to) = ((from.dir, from_name), (to.dir, to_name));
        Ok(Some(Rename { ino, kind, from, to, replaced }))
    }

    /// Fails if the permission bits deny that a file moves from one directory to another. A
    /// directory that gets another parent is changed itself.
    pub(super) async fn check_move(
        &self,
        call: &Call<'_>,
        (from, ino, kind): (u64, u64, Kind),
        to: u64,
    ) -> Outcome<()> {
        self.check_right(call, from, Right::Write).await?;
        self.check_right(call, to, Right::Write).await?;
        if kind == Kind::Directory && from != to {
            self.check_right(call, ino, Right::Write).await?;
        }
        Ok(())
    }

    /// Is a directory another, or somewhere beneath it?
    pub(super) async fn is_within(&self, dir: u64, ancestor: u64) -> Outcome<bool> {
        let (mut here, mut seen) = (dir, BTreeSet::new());
        while here != ancestor {
            // Only a damaged medium has directories in a ring.
            if here == ROOT_INO || !seen.insert(here) {
                return Ok(false);
            }
            here = self.cow.inode(here).await?.ok_or(Errno::NoEntry)?.parent;
        }
        Ok(true)
    }

    async fn apply(&self, rename: &Rename) -> Outcome<()> {
        let now = self.sim.now_nanos();
        let removal = match rename.replaced {
            Some((ino, _)) => Some(self.prepare_removal(ino).await?),
            None => None,
        };
        let mut transaction = self.cow.begin().await?;
        for step in self.policy.rename {
            if *step == RenameStep::Commit {
                transaction.finish().await?;
                self.cow.commit().await?;
                transaction = self.cow.begin().await?;
            }
            self.apply_step(&mut transaction, *step, rename, removal.as_ref(), now).await?;
        }
        transaction.finish().await?;
        if let Some(removal) = removal {
            self.removed(removal, now);
        }
        if rename.kind == Kind::Regular {
            self.cache.set_times(rename.ino, |times| times.change_nanos = now);
        }
        Ok(())
    }

    async fn apply_step(
        &self,
        transaction: &mut Transaction,
        step: RenameStep,
        rename: &Rename,
        removal: Option<&Removal>,
        now: u64,
    ) -> Outcome<()> {
        let (dir, name) = &rename.to;
        match step {
            RenameStep::Commit => {}
            RenameStep::RemoveTarget => {
                if let Some(removal) = removal {
                    transaction.remove_entry(*dir, name).await?;
                    removal.apply(transaction, now).await?;
                }
            }
            RenameStep::PlaceTarget => {
                if transaction.lookup(*dir, name).await?.is_some() {
                    transaction.replace_entry(*dir, name, rename.ino, rename.kind).await?;
                    if let Some(removal) = removal {
                        removal.apply(transaction, now).await?;
                    }
                } else {
                    transaction.insert_entry(*dir, name, rename.ino, rename.kind).await?;
                }
                let inode = transaction.inode(rename.ino).await?;
                let mut inode = inode.ok_or(CowError::NoInode(rename.ino))?;
                inode.times.change_nanos = now;
                if rename.kind == Kind::Directory {
                    inode.parent = *dir;
                }
                transaction.put_inode(rename.ino, &inode).await?;
                self.touch_directory(transaction, *dir, now).await?;
            }
            RenameStep::RemoveSource => {
                transaction.remove_entry(rename.from.0, &rename.from.1).await?;
                self.touch_directory(transaction, rename.from.0, now).await?;
            }
        }
        Ok(())
    }
}

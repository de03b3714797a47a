//! Snapshots: a frozen copy of the whole tree, read-only, and durable when its call answers.
//!
//! A snapshot holds everything that was acknowledged before it froze, and nothing that began later:
//! names and content do not change while what is dirty is written back. Its files have numbers of
//! their own, so that whatever reads a file reads one of a snapshot too, through pages of its own.

use bytes::Bytes;

use crate::call::Errno;
use crate::call::Ino;
use crate::call::OpenOptions;
use crate::call::Testimony;
use crate::call::Value;
use crate::cow::Cow;
use crate::cow::Kind;
use crate::sim::Point;
use crate::vfs::Call;
use crate::vfs::Failure;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::kind_of;

impl ReferenceVfs {
    /// Is the name one that a snapshot can have?
    fn snapshot_name(&self, name: &Bytes) -> Result<(), Errno> {
        let is_reserved = name.is_empty() || *name == b"."[..] || *name == b".."[..];
        if is_reserved || name.contains(&b'/') || name.contains(&0) {
            return Err(Errno::Invalid);
        }
        if name.len() > self.cow.name_max() { Err(Errno::NameTooLong) } else { Ok(()) }
    }

    pub(super) async fn take_snapshot(&self, call: &Call<'_>, name: &Bytes) -> Outcome<Value> {
        self.snapshot_name(name)?;
        let _names = self.names.acquire().await;
        if self.snapshot_root(name).is_ok() {
            return Err(Errno::Exists.into());
        }
        let _changes = self.cache.hold_changes().await;
        self.wait_for_changes().await;
        self.sim.point(Point::SnapFlush).await;
        let taken = self.flush_and_freeze(name).await;
        if let Err(Failure::Errno(errno)) = &taken {
            self.witness.say(Testimony::Failed { errno: *errno, file: None });
        }
        taken?;
        // Before anything can change again: whatever took effect earlier is in the snapshot.
        call.takes_effect();
        Ok(Value::Done)
    }

    async fn flush_and_freeze(&self, name: &Bytes) -> Outcome<()> {
        self.cache.flush_files().await?;
        // What could not be written back is not beneath: a snapshot would have older bytes.
        if let Some(errno) = self.cache.lost_errno() {
            return Err(errno.into());
        }
        self.cow.take_snapshot(name).await?;
        Ok(())
    }

    pub(super) async fn open_snapshot(&self, call: &Call<'_>, name: &Bytes) -> Outcome<Value> {
        self.snapshot_name(name)?;
        if !self.handles().has_room(call.caller.process) {
            return Err(Errno::TooManyOpen.into());
        }
        let names = self.names.acquire().await;
        let root = self.snapshot_root(name)?;
        if !self.hold(root, Kind::Directory).await? {
            return Err(Errno::NoEntry.into());
        }
        call.takes_effect();
        let options = OpenOptions { read: true, ..OpenOptions::default() };
        match self.new_handle(call, root, Kind::Directory, &options) {
            Ok(handle) => {
                let (kind, ino) = (kind_of(Kind::Directory), Some(Ino(root)));
                Ok(Value::Handle { handle, kind, ino })
            }
            Err(errno) => {
                drop(names);
                self.release(root).await?;
                Err(errno.into())
            }
        }
    }

    /// A snapshot of which something is open or mapped stays.
    pub(super) async fn delete_snapshot(&self, call: &Call<'_>, name: &Bytes) -> Outcome<Value> {
        self.snapshot_name(name)?;
        let _names = self.names.acquire().await;
        let root = self.snapshot_root(name)?;
        let _ending = self.end_tree(root)?;
        let deleted = self.cow.delete_snapshot(name).await;
        self.told(deleted)?;
        call.takes_effect();
        Ok(Value::Done)
    }

    fn snapshot_root(&self, name: &Bytes) -> Result<u64, Errno> {
        let snapshots = self.cow.snapshots();
        let found = snapshots.into_iter().find(|(there, _)| there == name);
        found.map(|(_, root)| root).ok_or(Errno::NoEntry)
    }
}

/// Nothing of a snapshot can be changed.
pub(super) fn changeable(ino: u64) -> Result<(), Errno> {
    if Cow::is_in_snapshot(ino) { Err(Errno::ReadOnly) } else { Ok(()) }
}

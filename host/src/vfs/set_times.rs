//! `utimensat` and `futimens`. Times of regular files reach the medium with their next writeback.

use crate::call::At;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::TimeChange;
use crate::call::Value;
use crate::cow::CowError;
use crate::cow::Kind;
use crate::cow::Times;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::resolve::LastLink;
use crate::vfs::snapshot::changeable;

fn changed(old_nanos: u64, change: TimeChange, now: u64) -> u64 {
    match change {
        TimeChange::Keep => old_nanos,
        TimeChange::Now => now,
        TimeChange::At(nanos) => nanos,
    }
}

impl ReferenceVfs {
    pub(super) async fn set_times(
        &self,
        call: &Call<'_>,
        at: &At,
        follow: bool,
        access: TimeChange,
        modify: TimeChange,
    ) -> Outcome<Value> {
        let place = self.resolve(call, at, LastLink::followed_if(follow)).await?;
        let (ino, kind) = place.existing()?;
        if !self.hold(ino, kind).await? {
            return Err(Errno::NoEntry.into());
        }
        let set = self.set_times_held(ino, kind, access, modify).await;
        self.release(ino).await?;
        set.map(|()| Value::Done)
    }

    pub(super) async fn set_times_handle(
        &self,
        handle: HandleId,
        access: TimeChange,
        modify: TimeChange,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        let kind = match description.kind {
            FileKind::Regular => Kind::Regular,
            FileKind::Directory => Kind::Directory,
            FileKind::Symlink => Kind::Symlink,
        };
        self.set_times_held(description.ino, kind, access, modify).await?;
        Ok(Value::Done)
    }

    async fn set_times_held(
        &self,
        ino: u64,
        kind: Kind,
        access: TimeChange,
        modify: TimeChange,
    ) -> Outcome<()> {
        changeable(ino)?;
        let now = self.sim.now_nanos();
        let change = |times: &mut Times| {
            times.access_nanos = changed(times.access_nanos, access, now);
            times.modify_nanos = changed(times.modify_nanos, modify, now);
            times.change_nanos = now;
        };
        if kind == Kind::Regular {
            self.cache.set_times(ino, change);
            return Ok(());
        }
        let mut transaction = self.cow.begin().await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        change(&mut inode.times);
        transaction.put_inode(ino, &inode).await?;
        transaction.finish().await?;
        Ok(())
    }
}

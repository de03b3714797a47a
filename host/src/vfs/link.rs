//! `link`: one more name for a file that is no directory.
//!
//! Invariant V-1: a link count is the number of names; directories form a tree.

use crate::call::At;
use crate::call::Errno;
use crate::call::Value;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Kind;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::resolve::LastLink;

impl ReferenceVfs {
    pub(super) async fn link(
        &self,
        call: &Call<'_>,
        from: &At,
        follow: bool,
        to: &At,
    ) -> Outcome<Value> {
        let _names = self.names.acquire().await;
        let source = self.resolve(call, from, LastLink::followed_if(follow)).await?.existing();
        let (ino, kind) = source?;
        let place = self.resolve(call, to, LastLink::AlwaysKept).await?;
        let name = self.free_name(call, &place).await?;
        if !Cow::is_same_tree(ino, place.dir) {
            return Err(Errno::CrossDevice.into());
        }
        if kind == Kind::Directory {
            return Err(Errno::NotPermitted.into());
        }
        if place.has_slash {
            return Err(Errno::NoEntry.into());
        }
        let now = self.sim.now_nanos();
        let mut transaction = self.cow.begin().await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        inode.link_count = inode.link_count.checked_add(1).ok_or(Errno::TooManyLinks)?;
        inode.times.change_nanos = now;
        transaction.put_inode(ino, &inode).await?;
        transaction.insert_entry(place.dir, &name, ino, kind).await?;
        self.touch_directory(&mut transaction, place.dir, now).await?;
        transaction.finish().await?;
        self.cache.set_times(ino, |times| times.change_nanos = now);
        Ok(Value::Done)
    }
}

//! `FS_IOC_SETFLAGS` with or without `FS_NOCOW_FL`: is content written again where it is?
//!
//! As on btrfs it can be said of an empty file alone, and not together with compression.

use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Value;
use crate::cow::CowError;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::snapshot::changeable;

impl ReferenceVfs {
    pub(super) async fn set_no_cow(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        on: bool,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        if description.kind != FileKind::Regular {
            // A directory would pass it on to what is made in it.
            return if on { Err(Errno::Invalid.into()) } else { Ok(Value::Done) };
        }
        let ino = description.ino;
        changeable(ino)?;
        let _content = self.lock_content(ino).await;
        let mut transaction = self.cow.begin().await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        if inode.is_nocow == on {
            return Ok(Value::Done);
        }
        if inode.is_compressed || self.cache.size_bytes(ino)? > 0 {
            return Err(Errno::Invalid.into());
        }
        // What is set aside beyond the end would be of the other kind.
        transaction.truncate_extents(ino, 0).await?;
        inode.is_nocow = on;
        transaction.put_inode(ino, &inode).await?;
        transaction.finish().await?;
        call.takes_effect();
        let now = self.sim.now_nanos();
        self.cache.set_times(ino, |times| times.change_nanos = now);
        Ok(Value::Done)
    }
}

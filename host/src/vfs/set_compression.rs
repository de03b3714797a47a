//! `FS_IOC_SETFLAGS` with or without `FS_COMPR_FL`: is what is written from now on compressed?
//!
//! The mark is the file's, and durable like its other attributes. What was written before stays
//! as it is.

use crate::call::Errno;
use crate::call::FileKind;
use crate::call::Halt;
use crate::call::HandleId;
use crate::call::Value;
use crate::cow::CowError;
use crate::vfs::Call;
use crate::vfs::Failure;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::snapshot::changeable;

impl ReferenceVfs {
    pub(super) async fn set_compression(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        on: bool,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        match description.kind {
            FileKind::Regular => {}
            FileKind::Directory | FileKind::Symlink => {
                let what = "compression of what is made in a directory";
                return Err(Failure::Halt(Halt::Unsupported(what)));
            }
        }
        let ino = description.ino;
        changeable(ino)?;
        let mut transaction = self.cow.begin().await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        if on && inode.is_nocow {
            return Err(Errno::Invalid.into());
        }
        inode.is_compressed = on;
        transaction.put_inode(ino, &inode).await?;
        transaction.finish().await?;
        call.takes_effect();
        self.cache.set_transformed(ino, on);
        let now = self.sim.now_nanos();
        self.cache.set_times(ino, |times| times.change_nanos = now);
        Ok(Value::Done)
    }
}

//! `stat` and `fstat`.

use crate::call::At;
use crate::call::HandleId;
use crate::call::Ino;
use crate::call::Mode;
use crate::call::Stat;
use crate::call::Value;
use crate::cow::CowError;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::kind_of;
use crate::vfs::resolve::LastLink;

impl ReferenceVfs {
    pub(super) async fn stat(&self, call: &Call<'_>, at: &At, follow: bool) -> Outcome<Value> {
        let (ino, _) = self.resolve(call, at, LastLink::followed_if(follow)).await?.existing()?;
        self.stat_ino(ino).await
    }

    pub(super) async fn stat_handle(&self, handle: HandleId) -> Outcome<Value> {
        let ino = self.description(handle)?.ino;
        self.stat_ino(ino).await
    }

    async fn stat_ino(&self, ino: u64) -> Outcome<Value> {
        let mut inode = self.cow.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        self.cache.overlay(ino, &mut inode);
        Ok(Value::Stat(Stat {
            ino: Ino(ino),
            kind: kind_of(inode.kind),
            mode: Some(Mode::new(inode.mode.into())),
            link_count: u64::from(inode.link_count),
            size_bytes: inode.size_bytes,
            access_nanos: inode.times.access_nanos,
            modify_nanos: inode.times.modify_nanos,
            change_nanos: inode.times.change_nanos,
        }))
    }
}

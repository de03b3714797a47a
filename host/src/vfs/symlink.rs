//! `symlink`.

use bytes::Bytes;

use crate::call::At;
use crate::call::Errno;
use crate::call::Value;
use crate::cow::Kind;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::resolve::LastLink;
use crate::vfs::resolve::PATH_BYTES_MAX;

impl ReferenceVfs {
    pub(super) async fn symlink(&self, call: &Call<'_>, target: &Bytes, at: &At) -> Outcome<Value> {
        if target.is_empty() {
            return Err(Errno::NoEntry.into());
        }
        if target.len() > PATH_BYTES_MAX {
            return Err(Errno::NameTooLong.into());
        }
        if target.contains(&0) {
            return Err(Errno::Invalid.into());
        }
        let _names = self.names.acquire().await;
        let place = self.resolve(call, at, LastLink::AlwaysKept).await?;
        let name = self.free_name(call, &place).await?;
        if place.has_slash {
            return Err(Errno::NoEntry.into());
        }
        let mut transaction = self.cow.begin().await?;
        let ino = self.create(&mut transaction, place.dir, &name, (Kind::Symlink, None)).await?;
        transaction.set_symlink(ino, target).await?;
        transaction.finish().await?;
        Ok(Value::Done)
    }
}

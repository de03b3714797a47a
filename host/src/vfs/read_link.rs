//! `readlink`.

use crate::call::At;
use crate::call::Errno;
use crate::call::Value;
use crate::cow::Kind;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::resolve::LastLink;

impl ReferenceVfs {
    pub(super) async fn read_link(&self, call: &Call<'_>, at: &At) -> Outcome<Value> {
        let (ino, kind) = self.resolve(call, at, LastLink::Kept).await?.existing()?;
        if kind != Kind::Symlink {
            return Err(Errno::Invalid.into());
        }
        Ok(Value::Target(self.cow.symlink_target(ino).await?))
    }
}

//! `unlink`. A file that is open stays until its last handle is closed.

use crate::call::At;
use crate::call::Errno;
use crate::call::Value;
use crate::cow::Kind;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::resolve::Last;
use crate::vfs::resolve::LastLink;

impl ReferenceVfs {
    pub(super) async fn unlink(&self, call: &Call<'_>, at: &At) -> Outcome<Value> {
        let _names = self.names.acquire().await;
        let place = self.resolve(call, at, LastLink::AlwaysKept).await?;
        let (ino, kind) = place.existing()?;
        match &place.last {
            // EISDIR is Linux's answer, where POSIX has EPERM.
            Last::Name(..) if kind == Kind::Directory => Err(Errno::IsDirectory.into()),
            Last::Here | Last::Parent => Err(Errno::IsDirectory.into()),
            Last::Name(name, _) => {
                self.remove_name(call, place.dir, name, ino).await?;
                Ok(Value::Done)
            }
        }
    }
}

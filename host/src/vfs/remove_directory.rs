//! `rmdir`.

use crate::call::At;
use crate::call::Errno;
use crate::call::Right;
use crate::call::Value;
use crate::cow::Kind;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::resolve::Last;
use crate::vfs::resolve::LastLink;
use crate::vfs::snapshot::changeable;

impl ReferenceVfs {
    pub(super) async fn remove_directory(&self, call: &Call<'_>, at: &At) -> Outcome<Value> {
        let _names = self.names.acquire().await;
        let place = self.resolve(call, at, LastLink::AlwaysKept).await?;
        let (ino, kind) = place.existing()?;
        let name = match &place.last {
            Last::Name(name, _) => name.clone(),
            Last::Here => return Err(Errno::Invalid.into()),
            Last::Parent => return Err(Errno::NotEmpty.into()),
        };
        if kind != Kind::Directory {
            return Err(Errno::NotDirectory.into());
        }
        if !self.cow.entries(ino, 0, 1).await?.is_empty() {
            return Err(Errno::NotEmpty.into());
        }
        self.remove_name(call, place.dir, &name, ino).await?;
        Ok(Value::Done)
    }

    /// Removes a name, and the file if it was its last. The caller holds the names.
    pub(super) async fn remove_name(
        &self,
        call: &Call<'_>,
        dir: u64,
        name: &[u8],
        ino: u64,
    ) -> Outcome<()> {
        changeable(dir)?;
        self.check_right(call, dir, Right::Write).await?;
        let now = self.sim.now_nanos();
        let removal = self.prepare_removal(ino).await?;
        let mut transaction = self.cow.begin().await?;
        transaction.remove_entry(dir, name).await?;
        self.touch_directory(&mut transaction, dir, now).await?;
        removal.apply(&mut transaction, now).await?;
        transaction.finish().await?;
        self.removed(removal, now);
        Ok(())
    }
}

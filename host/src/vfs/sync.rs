//! `fsync`, `fdatasync` and `syncfs`.

use std::ops::Range;

use crate::cache::SyncError;
use crate::cache::SyncScope;
use crate::cache::errno_of;
use crate::cache::is_power_off;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Testimony;
use crate::call::Value;
use crate::cow::CowError;
use crate::sim::Point;
use crate::vfs::Call;
use crate::vfs::DirectorySync;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::handles::Description;

impl ReferenceVfs {
    pub(super) async fn fsync(&self, call: &Call<'_>, handle: HandleId) -> Outcome<Value> {
        self.sync_handle(call, handle, SyncScope::Full).await
    }

    pub(super) async fn fdatasync(&self, call: &Call<'_>, handle: HandleId) -> Outcome<Value> {
        self.sync_handle(call, handle, SyncScope::Data).await
    }

    async fn sync_handle(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        scope: SyncScope,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        if let Some(answer) = self.cache.left_out() {
            return Ok(answer.map(|()| Value::Done)?);
        }
        match description.kind {
            FileKind::Regular => self.sync_file(call, &description, scope, 0..u64::MAX).await?,
            FileKind::Directory | FileKind::Symlink => self.sync_directory().await?,
        }
        Ok(Value::Done)
    }

    /// Makes a part of a file durable, and collects what its description is owed; nothing, where
    /// syncs are left out.
    pub(super) async fn sync_file(
        &self,
        call: &Call<'_>,
        description: &Description,
        scope: SyncScope,
        range: Range<u64>,
    ) -> Outcome<()> {
        if self.cache.left_out().is_some() {
            return Ok(());
        }
        let ino = description.ino;
        self.cache.begin_sync(ino, &mut description.position().cursor)?;
        self.told(self.cache.sync_range(ino, scope, range).await)?;
        self.cache.collect(ino, &mut description.position().cursor, call.began)?;
        Ok(())
    }

    /// The log keeps the order of all names: a directory is durable when the log is.
    async fn sync_directory(&self) -> Outcome<()> {
        if self.policy.directory_sync == DirectorySync::Ignored {
            return Ok(());
        }
        self.sim.point(Point::SyncStart).await;
        self.told(self.cow.sync_log().await)?;
        Ok(())
    }

    /// Says that an attempt to make things durable failed, so that its error has a cause.
    pub(super) fn told(&self, synced: Result<(), CowError>) -> Outcome<()> {
        match synced {
            Err(error) if !is_power_off(&error) && error != CowError::Suspended => {
                let errno = errno_of(&error);
                self.witness.say(Testimony::Failed { errno, file: None });
                Err(errno.into())
            }
            other => Ok(other?),
        }
    }

    pub(super) async fn sync_all(&self) -> Outcome<Value> {
        if let Some(answer) = self.cache.left_out() {
            return Ok(answer.map(|()| Value::Done)?);
        }
        match self.cache.sync_all().await {
            Err(SyncError::Cow(error)) => self.told(Err(error))?,
            synced => synced?,
        }
        Ok(Value::Done)
    }
}

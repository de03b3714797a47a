//! `chmod`, and what permission bits deny. Every process runs as the owner of every file, so that
//! the owner's three bits decide; to the host nothing is denied. What is open stays open.

use crate::call::At;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Mode;
use crate::call::OpenOptions;
use crate::call::ProcessId;
use crate::call::Right;
use crate::call::Value;
use crate::cow::CowError;
use crate::cow::Kind;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::resolve::LastLink;
use crate::vfs::snapshot::changeable;

/// Who prepares and surveys.
const HOST: ProcessId = ProcessId(0);

impl ReferenceVfs {
    pub(super) async fn set_mode(
        &self,
        call: &Call<'_>,
        at: &At,
        follow: bool,
        mode: Mode,
    ) -> Outcome<Value> {
        let place = self.resolve(call, at, LastLink::followed_if(follow)).await?;
        let (ino, kind) = place.existing()?;
        if kind == Kind::Symlink {
            return Err(Errno::NotSupported.into());
        }
        if !self.hold(ino, kind).await? {
            return Err(Errno::NoEntry.into());
        }
        let set = self.set_mode_held(call, ino, mode).await;
        self.release(ino).await?;
        set
    }

    pub(super) async fn set_mode_handle(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        mode: Mode,
    ) -> Outcome<Value> {
        let ino = self.description(handle)?.ino;
        self.set_mode_held(call, ino, mode).await
    }

    async fn set_mode_held(&self, call: &Call<'_>, ino: u64, mode: Mode) -> Outcome<Value> {
        changeable(ino)?;
        let now = self.sim.now_nanos();
        let mut transaction = self.cow.begin().await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        inode.mode = mode.bits();
        inode.times.change_nanos = now;
        transaction.put_inode(ino, &inode).await?;
        transaction.finish().await?;
        call.takes_effect();
        self.cache.set_times(ino, |times| times.change_nanos = now);
        Ok(Value::Done)
    }

    /// Fails if the bits of a file deny this to the caller. What is gone denies nothing: whoever
    /// goes on finds that out.
    pub(super) async fn check_right(&self, call: &Call<'_>, ino: u64, right: Right) -> Outcome<()> {
        if call.caller.process == HOST {
            return Ok(());
        }
        match self.cow.inode(ino).await? {
            Some(inode) if !Mode::new(inode.mode.into()).allows(right) => Err(Errno::Access.into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Fails if the bits of a file deny what it is opened for.
    pub(super) async fn check_open(
        &self,
        call: &Call<'_>,
        ino: u64,
        options: &OpenOptions,
    ) -> Outcome<()> {
        if options.read {
            self.check_right(call, ino, Right::Read).await?;
        }
        if options.write || options.truncate {
            self.check_right(call, ino, Right::Write).await?;
        }
        Ok(())
    }
}

//! `mkdir`, and what all operations share that add or remove names.

use bytes::Bytes;

use crate::call::At;
use crate::call::Errno;
use crate::call::Mode;
use crate::call::Right;
use crate::call::Value;
use crate::cow::CowError;
use crate::cow::Kind;
use crate::cow::Times;
use crate::cow::Transaction;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::resolve::Last;
use crate::vfs::resolve::LastLink;
use crate::vfs::resolve::Place;
use crate::vfs::snapshot::changeable;

impl ReferenceVfs {
    pub(super) async fn make_directory(
        &self,
        call: &Call<'_>,
        at: &At,
        mode: Option<Mode>,
    ) -> Outcome<Value> {
        let _names = self.names.acquire().await;
        let place = self.resolve(call, at, LastLink::AlwaysKept).await?;
        let name = self.free_name(call, &place).await?;
        let mut transaction = self.cow.begin().await?;
        self.create(&mut transaction, place.dir, &name, (Kind::Directory, mode)).await?;
        transaction.finish().await?;
        Ok(Value::Done)
    }

    /// The name of a place where nothing is, in a directory that is still there.
    pub(super) async fn free_name(&self, call: &Call<'_>, place: &Place) -> Outcome<Bytes> {
        let name = match &place.last {
            Last::Name(name, None) => name.clone(),
            Last::Name(_, Some(_)) | Last::Here | Last::Parent => return Err(Errno::Exists.into()),
        };
        self.check_linked(place.dir).await?;
        self.check_right(call, place.dir, Right::Write).await?;
        Ok(name)
    }

    /// Nothing is made in a directory that was removed, or is of a snapshot.
    pub(super) async fn check_linked(&self, dir: u64) -> Outcome<()> {
        match self.cow.inode(dir).await? {
            Some(inode) if inode.link_count > 0 => Ok(changeable(dir)?),
            Some(_) | None => Err(Errno::NoEntry.into()),
        }
    }

    /// Makes a file with one name.
    pub(super) async fn create(
        &self,
        transaction: &mut Transaction,
        dir: u64,
        name: &[u8],
        (kind, mode): (Kind, Option<Mode>),
    ) -> Outcome<u64> {
        let now = self.sim.now_nanos();
        let times = Times { access_nanos: now, modify_nanos: now, change_nanos: now };
        let ino = transaction.create_inode(kind, dir, times).await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        inode.link_count = 1;
        inode.mode = mode.map_or(inode.mode, Mode::bits);
        transaction.put_inode(ino, &inode).await?;
        transaction.insert_entry(dir, name, ino, kind).await?;
        self.touch_directory(transaction, dir, now).await?;
        Ok(ino)
    }

    /// Notes that names of a directory changed.
    pub(super) async fn touch_directory(
        &self,
        transaction: &mut Transaction,
        dir: u64,
        now: u64,
    ) -> Outcome<()> {
        let mut inode = transaction.inode(dir).await?.ok_or(CowError::NoInode(dir))?;
        inode.times.modify_nanos = now;
        inode.times.change_nanos = now;
        transaction.put_inode(dir, &inode).await?;
        Ok(())
    }
}

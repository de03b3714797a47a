//! `openunnamed`: a file without a name, an orphan from its start. `linkhandle` gives an open file
//! one more name, or its first.

use crate::call::At;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Ino;
use crate::call::OpenOptions;
use crate::call::Right;
use crate::call::Value;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Kind;
use crate::cow::Times;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::resolve::LastLink;

impl ReferenceVfs {
    pub(super) async fn open_unnamed(
        &self,
        call: &Call<'_>,
        at: &At,
        options: &OpenOptions,
    ) -> Outcome<Value> {
        if !options.write || options.create {
            return Err(Errno::Invalid.into());
        }
        if !self.handles().has_room(call.caller.process) {
            return Err(Errno::TooManyOpen.into());
        }
        let ino = self.create_unnamed(call, at, options).await?;
        call.takes_effect();
        match self.new_handle(call, ino, Kind::Regular, options) {
            Ok(handle) => {
                Ok(Value::Handle { handle, kind: FileKind::Regular, ino: Some(Ino(ino)) })
            }
            Err(errno) => {
                self.release(ino).await?;
                Err(errno.into())
            }
        }
    }

    /// Makes the file and holds it.
    async fn create_unnamed(
        &self,
        call: &Call<'_>,
        at: &At,
        options: &OpenOptions,
    ) -> Outcome<u64> {
        let _names = self.names.acquire().await;
        let (dir, kind) = self.resolve(call, at, LastLink::Followed).await?.existing()?;
        if kind != Kind::Directory {
            return Err(Errno::NotDirectory.into());
        }
        self.check_linked(dir).await?;
        self.check_right(call, dir, Right::Write).await?;
        self.check_right(call, dir, Right::Search).await?;
        let now = self.sim.now_nanos();
        let times = Times { access_nanos: now, modify_nanos: now, change_nanos: now };
        let mut transaction = self.cow.begin().await?;
        let ino = transaction.create_inode(Kind::Regular, dir, times).await?;
        if let Some(mode) = options.mode {
            let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
            inode.mode = mode.bits();
            transaction.put_inode(ino, &inode).await?;
        }
        transaction.add_orphan(ino).await?;
        transaction.finish().await?;
        // Nobody else knows its number, so that nobody can be removing it.
        self.hold(ino, Kind::Regular).await?;
        self.set_unnamed(ino, !options.exclusive);
        Ok(ino)
    }

    pub(super) async fn link_handle(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        to: &At,
    ) -> Outcome<Value> {
        let _names = self.names.acquire().await;
        let description = self.description(handle)?;
        let ino = description.ino;
        let place = self.resolve(call, to, LastLink::AlwaysKept).await?;
        let name = self.free_name(call, &place).await?;
        if !Cow::is_same_tree(ino, place.dir) {
            return Err(Errno::CrossDevice.into());
        }
        if description.kind == FileKind::Directory {
            return Err(Errno::NotPermitted.into());
        }
        if place.has_slash {
            return Err(Errno::NoEntry.into());
        }
        let now = self.sim.now_nanos();
        let mut transaction = self.cow.begin().await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        let is_first = inode.link_count == 0;
        if is_first && !self.is_linkable(ino) {
            return Err(Errno::NoEntry.into());
        }
        inode.link_count = inode.link_count.checked_add(1).ok_or(Errno::TooManyLinks)?;
        inode.times.change_nanos = now;
        transaction.put_inode(ino, &inode).await?;
        transaction.insert_entry(place.dir, &name, ino, Kind::Regular).await?;
        if is_first {
            transaction.remove_orphan(ino).await?;
        }
        self.touch_directory(&mut transaction, place.dir, now).await?;
        transaction.finish().await?;
        if is_first {
            self.set_named(ino);
        }
        self.cache.set_times(ino, |times| times.change_nanos = now);
        Ok(Value::Done)
    }
}

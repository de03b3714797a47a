//! `open`.

use crate::call::At;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Ino;
use crate::call::OpenOptions;
use crate::call::Right;
use crate::call::Value;
use crate::cow::Kind;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::handles::Description;
use crate::vfs::handles::Position;
use crate::vfs::kind_of;
use crate::vfs::resolve::Last;
use crate::vfs::resolve::LastLink;
use crate::vfs::resolve::Place;
use crate::vfs::snapshot::changeable;

/// How often a name may lead to a file that is removed while it is being opened.
const TRIES_MAX: u32 = 64;

/// May what was found be opened like this?
fn permitted(kind: Kind, place: &Place, options: &OpenOptions) -> Result<(), Errno> {
    if options.create && options.exclusive {
        return Err(Errno::Exists);
    }
    match kind {
        Kind::Symlink if options.directory => Err(Errno::NotDirectory),
        Kind::Symlink => Err(Errno::Loop),
        Kind::Regular if options.directory || place.has_slash => Err(Errno::NotDirectory),
        Kind::Regular => Ok(()),
        Kind::Directory if options.write || options.create || options.truncate => {
            Err(Errno::IsDirectory)
        }
        Kind::Directory => Ok(()),
    }
}

impl ReferenceVfs {
    pub(super) async fn open(
        &self,
        call: &Call<'_>,
        at: &At,
        options: &OpenOptions,
    ) -> Outcome<Value> {
        if options.create && options.directory {
            return Err(Errno::Invalid.into());
        }
        if !self.handles().has_room(call.caller.process) {
            return Err(Errno::TooManyOpen.into());
        }
        let (ino, kind, is_new) = self.find_and_hold(call, at, options).await?;
        call.takes_effect();
        if options.truncate && kind == Kind::Regular && !is_new {
            let content = self.lock_content(ino).await;
            let cut = self.cache.truncate(ino, 0).await;
            drop(content);
            if let Err(error) = cut {
                self.release(ino).await?;
                return Err(error.into());
            }
        }
        match self.new_handle(call, ino, kind, options) {
            Ok(handle) => Ok(Value::Handle { handle, kind: kind_of(kind), ino: Some(Ino(ino)) }),
            Err(errno) => {
                self.release(ino).await?;
                Err(errno.into())
            }
        }
    }

    pub(super) fn new_handle(
        &self,
        call: &Call<'_>,
        ino: u64,
        kind: Kind,
        options: &OpenOptions,
    ) -> Result<HandleId, Errno> {
        let cursor = self.cache.error_cursor(ino);
        let position = Position { offset: 0, status: options.status, cursor };
        let may = [options.read, options.write];
        let owner = call.caller.process;
        self.handles().insert(Description::new(ino, kind_of(kind), owner, may, position))
    }

    /// Finds the file, or makes it, and holds it. The last part of the answer is whether it is new.
    async fn find_and_hold(
        &self,
        call: &Call<'_>,
        at: &At,
        options: &OpenOptions,
    ) -> Outcome<(u64, Kind, bool)> {
        let is_followed = options.follow && !(options.create && options.exclusive);
        let last_link = LastLink::followed_if(is_followed);
        for _ in 0..TRIES_MAX {
            // Whoever may add a name keeps others from changing names until it is there.
            let names = if options.create { Some(self.names.acquire().await) } else { None };
            let place = self.resolve(call, at, last_link).await?;
            if let Some((ino, kind)) = place.target()? {
                permitted(kind, &place, options)?;
                if options.write || options.truncate {
                    changeable(ino)?;
                }
                self.check_open(call, ino, options).await?;
                if self.hold(ino, kind).await? {
                    return Ok((ino, kind, false));
                }
                // It is being removed: wait until its name is gone, and look again.
                drop(names);
                drop(self.names.acquire().await);
                continue;
            }
            if !options.create {
                return Err(Errno::NoEntry.into());
            }
            let ino = self.create_regular(call, &place, options).await?;
            if self.hold(ino, Kind::Regular).await? {
                return Ok((ino, Kind::Regular, true));
            }
        }
        Err(Errno::NoEntry.into())
    }

    async fn create_regular(
        &self,
        call: &Call<'_>,
        place: &Place,
        options: &OpenOptions,
    ) -> Outcome<u64> {
        let name = match &place.last {
            Last::Name(name, _) if !place.has_slash => name,
            Last::Name(..) | Last::Here | Last::Parent => return Err(Errno::IsDirectory.into()),
        };
        self.check_linked(place.dir).await?;
        self.check_right(call, place.dir, Right::Write).await?;
        let mut transaction = self.cow.begin().await?;
        let kind = (Kind::Regular, options.mode);
        let ino = self.create(&mut transaction, place.dir, name, kind).await?;
        transaction.finish().await?;
        Ok(ino)
    }

    /// The handle's directory.
    pub(super) fn directory_ino(&self, handle: HandleId) -> Result<u64, Errno> {
        let description = self.description(handle)?;
        match description.kind {
            FileKind::Directory => Ok(description.ino),
            FileKind::Regular | FileKind::Symlink => Err(Errno::NotDirectory),
        }
    }
}

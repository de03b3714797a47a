//! Each request as wasi-common's preview1 functions serve it, on its directories and files.

use std::io::IoSlice;
use std::io::IoSliceMut;
use std::io::SeekFrom;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use wasi_common::SystemTimeSpec;
use wasi_common::WasiDir;
use wasi_common::WasiFile;
use wasi_common::dir::OpenResult;
use wasi_common::dir::ReaddirCursor;
use wasi_common::file::Advice;
use wasi_common::file::FdFlags;
use wasi_common::file::FileType;
use wasi_common::file::Filestat;
use wasi_common::file::OFlags;

use crate::call::AllocateMode;
use crate::call::At;
use crate::call::Caller;
use crate::call::DirectoryEntry;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::Halt;
use crate::call::HandleId;
use crate::call::Ino;
use crate::call::Lock;
use crate::call::Mode;
use crate::call::OpenOptions;
use crate::call::Path;
use crate::call::Reply;
use crate::call::Request;
use crate::call::Right;
use crate::call::Stat;
use crate::call::StatusFlags;
use crate::call::TimeChange;
use crate::call::Value;
use crate::call::Whence;
use crate::subject::directory::DirectorySubject;
use crate::subject::directory::Open;
use crate::subject::directory::errors::Failure;
use crate::subject::directory::ready;

type Outcome = Result<Value, Failure>;

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
    Other,
}

fn text(path: &Path) -> Result<&str, Failure> {
    std::str::from_utf8(path).map_err(|_| Errno::IllegalSequence.into())
}

fn kind(file_type: &FileType) -> Result<FileKind, Failure> {
    match file_type {
        FileType::RegularFile => Ok(FileKind::Regular),
        FileType::Directory => Ok(FileKind::Directory),
        FileType::SymbolicLink => Ok(FileKind::Symlink),
        FileType::Unknown
        | FileType::BlockDevice
        | FileType::CharacterDevice
        | FileType::SocketDgram
        | FileType::SocketStream
        | FileType::Pipe => {
            Err(Halt::Unsupported("a file that is no regular file, directory or link").into())
        }
    }
}

/// Is nothing denied that what is made without permission bits grants? The host decides the bits.
fn is_plain(mode: Option<Mode>, made: Mode) -> Result<(), Failure> {
    let mode = mode.unwrap_or(made);
    let rights = [Right::Read, Right::Write, Right::Search];
    match rights.into_iter().all(|right| mode.allows(right) || !made.allows(right)) {
        true => Ok(()),
        false => Err(Halt::Unsupported("permission bits on a host directory").into()),
    }
}

fn stat(filestat: &Filestat) -> Outcome {
    // A time before the epoch, or none, is the epoch.
    let [access, modify, change] = [filestat.atim, filestat.mtim, filestat.ctim].map(|time| {
        time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .and_then(|since| u64::try_from(since.as_nanos()).ok())
            .unwrap_or(0)
    });
    Ok(Value::Stat(Stat {
        ino: Ino(filestat.inode),
        kind: kind(&filestat.filetype)?,
        mode: None,
        link_count: filestat.nlink,
        size_bytes: filestat.size,
        access_nanos: access,
        modify_nanos: modify,
        change_nanos: change,
    }))
}

fn time(change: TimeChange) -> Option<SystemTimeSpec> {
    match change {
        TimeChange::Keep => None,
        TimeChange::Now => Some(SystemTimeSpec::SymbolicNow),
        TimeChange::At(nanos) => Some(SystemTimeSpec::Absolute(
            cap_std::time::SystemClock::UNIX_EPOCH + Duration::from_nanos(nanos),
        )),
    }
}

fn flags(status: StatusFlags) -> FdFlags {
    let mut flags = FdFlags::empty();
    flags.set(FdFlags::APPEND, status.append);
    flags.set(FdFlags::DSYNC, status.data_sync);
    flags.set(FdFlags::SYNC, status.sync);
    flags.set(FdFlags::RSYNC, status.read_sync);
    flags.set(FdFlags::NONBLOCK, status.nonblocking);
    flags
}

impl DirectorySubject {
    /// One request, from its start to its answer.
    pub(super) fn serve(&self, caller: Caller, request: Request) -> Reply {
        match self.answer(caller, request) {
            Ok(value) => Ok(Ok(value)),
            Err(Failure::Errno(errno)) => Ok(Err(errno)),
            Err(Failure::Halt(halt)) => Err(halt),
        }
    }

    fn answer(&self, caller: Caller, request: Request) -> Outcome {
        match request {
            Request::Open { at, options } => self.open_at(caller, &at, &options),
            Request::Close { handle } => self.close(handle),
            Request::Stat { at, follow } => {
                let directory = self.directory(at.directory)?;
                stat(&ready(directory.get_path_filestat(text(&at.path)?, follow))?)
            }
            Request::SetTimes { at, follow, access, modify } => {
                let (directory, path) = (self.directory(at.directory)?, text(&at.path)?);
                ready(directory.set_times(path, time(access), time(modify), follow))?;
                Ok(Value::Done)
            }
            Request::ReadDirectory { handle, cookie, count_max } => {
                self.read_directory(handle, cookie, count_max)
            }
            Request::MakeDirectory { at, mode } => self.make_directory(&at, mode),
            Request::RemoveDirectory { at } => {
                self.at(&at, |directory, path| ready(directory.remove_dir(path)))
            }
            Request::Unlink { at } => {
                self.at(&at, |directory, path| ready(directory.unlink_file(path)))
            }
            Request::Symlink { target, at } => {
                let target = text(&target)?;
                self.at(&at, |directory, path| ready(directory.symlink(target, path)))
            }
            Request::Rename { replace: false, .. } | Request::Exchange { .. } => {
                Err(Halt::Unsupported("renameat2 on a host directory").into())
            }
            Request::Rename { from, to, replace: true } => {
                let target = self.directory(to.directory)?;
                let to = text(&to.path)?;
                self.at(&from, |directory, from| ready(directory.rename(from, &*target, to)))
            }
            Request::SetMode { .. } | Request::SetModeHandle { .. } => {
                Err(Halt::Unsupported("chmod on a host directory").into())
            }
            Request::OpenUnnamed { .. } | Request::LinkHandle { .. } => {
                Err(Halt::Unsupported("O_TMPFILE on a host directory").into())
            }
            Request::Link { follow: true, .. } => Err(Errno::Invalid.into()),
            Request::Link { from, follow: false, to } => {
                let target = self.directory(to.directory)?;
                let to = text(&to.path)?;
                self.at(&from, |directory, from| ready(directory.hard_link(from, &*target, to)))
            }
            Request::ReadLink { at } => self.read_link(&at),
            Request::SyncAll => Err(Halt::Unsupported("syncfs of a host directory").into()),
            // Nobody has a lock to lose by it.
            Request::Lock(Lock::CloseDuplicate { .. }) => Ok(Value::Done),
            Request::Lock(_) => Err(Halt::Unsupported("locks on a host directory").into()),
            Request::Memory(_) => Err(Halt::Unsupported("mmap on a host directory").into()),
            Request::CopyRange { .. }
            | Request::CloneRange { .. }
            | Request::DedupeRange { .. }
            | Request::Attribute(_)
            | Request::Manage(_) => {
                Err(Halt::Unsupported("an extension on a host directory").into())
            }
            Request::Read { .. }
            | Request::Write { .. }
            | Request::Seek { .. }
            | Request::StatHandle { .. }
            | Request::SetTimesHandle { .. }
            | Request::Truncate { .. }
            | Request::Allocate { .. }
            | Request::Advise { .. }
            | Request::Fsync { .. }
            | Request::Fdatasync { .. }
            | Request::SetStatusFlags { .. } => self.answer_of_handle(request),
        }
    }

    fn answer_of_handle(&self, request: Request) -> Outcome {
        match request {
            Request::Read { handle, offset, len } => {
                self.file(handle, Use::Read, |file| read(file, offset, len))
            }
            Request::Write { handle, offset, data } => {
                self.file(handle, Use::Write, |file| write(file, offset, &data))
            }
            Request::Seek { handle, offset, whence } => {
                self.file(handle, Use::Other, |file| seek(file, offset, whence))
            }
            Request::StatHandle { handle } => match self.open_of(handle)? {
                Open::Directory(directory) => stat(&ready(directory.get_filestat())?),
                Open::File { .. } => {
                    self.file(handle, Use::Other, |file| stat(&ready(file.get_filestat())?))
                }
            },
            Request::SetTimesHandle { handle, access, modify } => {
                self.set_times(handle, time(access), time(modify))
            }
            Request::Truncate { handle, size_bytes } => {
                self.change(handle, |file| ready(file.set_filestat_size(size_bytes)))
            }
            // Its descriptor is looked up first, and then refused.
            Request::Allocate { handle, mode: AllocateMode::Extend, .. } => {
                self.file(handle, Use::Other, |_| Err(Errno::NotSupported.into()))
            }
            Request::Allocate { .. } => {
                Err(Halt::Unsupported("fallocate with a mode on a host directory").into())
            }
            Request::Advise { handle } => {
                self.change(handle, |file| ready(file.advise(0, 0, Advice::Normal)))
            }
            Request::Fsync { handle } => self.change(handle, |file| ready(file.sync())),
            Request::Fdatasync { handle } => self.change(handle, |file| ready(file.datasync())),
            Request::SetStatusFlags { handle, status } => {
                self.change(handle, |file| ready(file.set_fdflags(flags(status))))
            }
            Request::Open { .. }
            | Request::Close { .. }
            | Request::Stat { .. }
            | Request::SetTimes { .. }
            | Request::SetMode { .. }
            | Request::SetModeHandle { .. }
            | Request::ReadDirectory { .. }
            | Request::MakeDirectory { .. }
            | Request::RemoveDirectory { .. }
            | Request::Unlink { .. }
            | Request::Rename { .. }
            | Request::Exchange { .. }
            | Request::OpenUnnamed { .. }
            | Request::LinkHandle { .. }
            | Request::Link { .. }
            | Request::Symlink { .. }
            | Request::ReadLink { .. }
            | Request::SyncAll
            | Request::CopyRange { .. }
            | Request::CloneRange { .. }
            | Request::DedupeRange { .. }
            | Request::Attribute(_)
            | Request::Lock(_)
            | Request::Memory(_)
            | Request::Manage(_) => unreachable!("requests of names are answered above"),
        }
    }

    fn make_directory(&self, at: &At, mode: Option<Mode>) -> Outcome {
        is_plain(mode, Mode::DIRECTORY)?;
        self.at(at, |directory, path| ready(directory.create_dir(path)))
    }

    fn open_of(&self, handle: HandleId) -> Result<Open, Failure> {
        self.find(handle).ok_or_else(|| Errno::BadFile.into())
    }

    fn close(&self, handle: HandleId) -> Outcome {
        // The root is open from the start and closed by nobody.
        if handle != HandleId::ROOT && !self.remove(handle) {
            return Err(Errno::BadFile.into());
        }
        Ok(Value::Done)
    }

    fn directory(&self, handle: HandleId) -> Result<Arc<dyn WasiDir>, Failure> {
        match self.open_of(handle)? {
            Open::Directory(directory) => Ok(directory),
            // Of all calls only an open says that it is no directory.
            Open::File { .. } => Err(Errno::BadFile.into()),
        }
    }

    /// Does something to a file. To wasi-common a directory is no file, whatever is asked.
    fn file(
        &self,
        handle: HandleId,
        purpose: Use,
        then: impl FnOnce(&mut dyn WasiFile) -> Outcome,
    ) -> Outcome {
        let Open::File { file, is_readable, is_writable } = self.open_of(handle)? else {
            return Err(Errno::BadFile.into());
        };
        let is_permitted = match purpose {
            Use::Read => is_readable,
            Use::Write => is_writable,
            Use::Other => true,
        };
        if !is_permitted {
            return Err(Errno::BadFile.into());
        }
        then(&mut **file.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(
        &self,
        handle: HandleId,
        then: impl FnOnce(&mut dyn WasiFile) -> Result<(), wasi_common::Error>,
    ) -> Outcome {
        self.file(handle, Use::Other, |file| {
            then(file)?;
            Ok(Value::Done)
        })
    }

    /// Does something to a name.
    fn at(
        &self,
        at: &At,
        then: impl FnOnce(&dyn WasiDir, &str) -> Result<(), wasi_common::Error>,
    ) -> Outcome {
        then(&*self.directory(at.directory)?, text(&at.path)?)?;
        Ok(Value::Done)
    }

    fn open_at(&self, caller: Caller, at: &At, options: &OpenOptions) -> Outcome {
        let Open::Directory(directory) = self.open_of(at.directory)? else {
            return Err(Errno::NotDirectory.into());
        };
        is_plain(options.mode, Mode::FILE)?;
        if options.status.direct {
            return Err(Halt::Unsupported("O_DIRECT on a host directory").into());
        }
        let mut open_flags = OFlags::empty();
        open_flags.set(OFlags::CREATE, options.create);
        open_flags.set(OFlags::EXCLUSIVE, options.exclusive);
        open_flags.set(OFlags::TRUNCATE, options.truncate);
        open_flags.set(OFlags::DIRECTORY, options.directory);
        let (is_readable, is_writable) = (options.read, options.write);
        let opened = ready(directory.open_file(
            options.follow,
            text(&at.path)?,
            open_flags,
            is_readable,
            is_writable,
            flags(options.status),
        ))?;
        let (open, kind) = match opened {
            OpenResult::File(file) => {
                let kind = kind(&ready(file.get_filetype())?)?;
                let file = Arc::new(Mutex::new(file));
                (Open::File { file, is_readable, is_writable }, kind)
            }
            OpenResult::Dir(directory) => (Open::Directory(directory.into()), FileKind::Directory),
        };
        Ok(Value::Handle { handle: self.add(caller.process, open), kind, ino: None })
    }

    fn set_times(
        &self,
        handle: HandleId,
        access: Option<SystemTimeSpec>,
        modify: Option<SystemTimeSpec>,
    ) -> Outcome {
        match self.open_of(handle)? {
            Open::Directory(directory) => {
                ready(directory.set_times(".", access, modify, false))?;
                Ok(Value::Done)
            }
            Open::File { .. } => self.change(handle, |file| ready(file.set_times(access, modify))),
        }
    }

    fn read_directory(&self, handle: HandleId, cookie: u64, count_max: u32) -> Outcome {
        let directory = self.directory(handle)?;
        let mut entries = Vec::new();
        for entry in ready(directory.readdir(ReaddirCursor::from(cookie)))?.take(count_max as usize)
        {
            let entry = entry?;
            entries.push(DirectoryEntry {
                next_cookie: u64::from(entry.next),
                ino: Ino(entry.inode),
                kind: kind(&entry.filetype)?,
                name: entry.name.into_bytes().into(),
            });
        }
        Ok(Value::Entries(entries))
    }

    fn read_link(&self, at: &At) -> Outcome {
        let target = ready(self.directory(at.directory)?.read_link(text(&at.path)?))?;
        let target = target.into_os_string().into_string().map_err(|_| Errno::IllegalSequence)?;
        Ok(Value::Target(target.into_bytes().into()))
    }
}

fn read(file: &mut dyn WasiFile, offset: Option<u64>, len: u32) -> Outcome {
    let mut buffer = vec![0; len as usize];
    let slices = &mut [IoSliceMut::new(&mut buffer)];
    let count = match offset {
        Some(offset) => ready(file.read_vectored_at(slices, offset))?,
        None => ready(file.read_vectored(slices))?,
    };
    buffer.truncate(usize::try_from(count).map_err(|_| Errno::Overflow)?);
    Ok(Value::Data(buffer.into()))
}

fn write(file: &mut dyn WasiFile, offset: Option<u64>, data: &Bytes) -> Outcome {
    let slices = &[IoSlice::new(data)];
    let count = match offset {
        Some(offset) => ready(file.write_vectored_at(slices, offset))?,
        None => ready(file.write_vectored(slices))?,
    };
    Ok(Value::Count(u32::try_from(count).map_err(|_| Errno::Overflow)?))
}

fn seek(file: &mut dyn WasiFile, offset: i64, whence: Whence) -> Outcome {
    let from = match whence {
        Whence::Set => SeekFrom::Start(u64::try_from(offset).map_err(|_| Errno::Invalid)?),
        Whence::Current => SeekFrom::Current(offset),
        Whence::End => SeekFrom::End(offset),
        Whence::Data | Whence::Hole => {
            return Err(Halt::Unsupported("SEEK_DATA and SEEK_HOLE on a host directory").into());
        }
    };
    Ok(Value::Offset(ready(file.seek(from))?))
}

//! Open file descriptions.
//!
//! Invariant V-2: an open handle keeps its file, named or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cache::CloseReports;
use crate::cache::ErrorCursor;
use crate::cache::SyncBegan;
use crate::cache::Writer;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::ProcessId;
use crate::call::StatusFlags;
use crate::call::Value;
use crate::cow::ROOT_INO;
use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use crate::sim::TaskLock;
use crate::vfs::Call;
use crate::vfs::CloseTurn;
use crate::vfs::Failure;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

/// What of a description can change while it is open.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position {
    pub offset: u64,
    pub status: StatusFlags,
    pub cursor: ErrorCursor,
}

/// An open file description.
#[derive(Debug)]
pub(super) struct Description {
    pub ino: u64,
    pub kind: FileKind,
    pub owner: ProcessId,
    pub read: bool,
    pub write: bool,
    position: WorldMutex<Position>,
    /// Held by whoever uses the offset, so that it moves as if calls came one by one.
    pub turn: TaskLock,
}

impl Description {
    pub(super) fn new(
        ino: u64,
        kind: FileKind,
        owner: ProcessId,
        [read, write]: [bool; 2],
        position: Position,
    ) -> Self {
        let turn = TaskLock::default();
        Self { ino, kind, owner, read, write, position: WorldMutex::new(position), turn }
    }

    pub(super) fn position(&self) -> WorldGuard<'_, Position> {
        self.position.lock()
    }

    /// Who writes through it, as the cache numbers descriptions.
    pub(super) fn writer(&self) -> Writer {
        self.position().cursor.writer()
    }

    /// The description as one of a regular file that may be read.
    pub(super) fn readable(&self) -> Result<u64, Errno> {
        match self.kind {
            FileKind::Directory => Err(Errno::IsDirectory),
            FileKind::Regular if self.read => Ok(self.ino),
            FileKind::Regular | FileKind::Symlink => Err(Errno::BadFile),
        }
    }

    /// The description as one of a regular file that may be written.
    pub(super) fn writable(&self) -> Result<u64, Errno> {
        match self.kind {
            FileKind::Directory => Err(Errno::IsDirectory),
            FileKind::Regular if self.write => Ok(self.ino),
            FileKind::Regular | FileKind::Symlink => Err(Errno::BadFile),
        }
    }
}

/// Every open description. Numbers are never used again.
#[derive(Debug)]
pub(super) struct Handles {
    open: BTreeMap<HandleId, Arc<Description>>,
    next: u64,
    counts: BTreeMap<ProcessId, u32>,
    count_max: u32,
}

impl Handles {
    pub(super) fn new(count_max: u32) -> Self {
        let (host, root) = (ProcessId(0), HandleId::ROOT);
        let may = [true, false];
        let description =
            Description::new(ROOT_INO, FileKind::Directory, host, may, Position::default());
        let open = BTreeMap::from([(root, Arc::new(description))]);
        Self { open, next: root.0 + 1, counts: BTreeMap::new(), count_max }
    }

    pub(super) fn has_room(&self, process: ProcessId) -> bool {
        self.counts.get(&process).is_none_or(|count| *count < self.count_max)
    }

    pub(super) fn insert(&mut self, description: Description) -> Result<HandleId, Errno> {
        if !self.has_room(description.owner) {
            return Err(Errno::TooManyOpen);
        }
        *self.counts.entry(description.owner).or_default() += 1;
        let handle = HandleId(self.next);
        self.next += 1;
        self.open.insert(handle, Arc::new(description));
        Ok(handle)
    }

    pub(super) fn get(&self, handle: HandleId) -> Result<Arc<Description>, Errno> {
        self.open.get(&handle).cloned().ok_or(Errno::BadFile)
    }

    fn remove(&mut self, handle: HandleId) -> Result<Arc<Description>, Errno> {
        let description = self.open.remove(&handle).ok_or(Errno::BadFile)?;
        if let Some(count) = self.counts.get_mut(&description.owner) {
            *count = count.saturating_sub(1);
        }
        Ok(description)
    }

    fn of_process(&self, process: ProcessId) -> Vec<HandleId> {
        let owned = self.open.iter().filter(|(handle, description)| {
            description.owner == process && **handle != HandleId::ROOT
        });
        owned.map(|(handle, _)| *handle).collect()
    }
}

impl ReferenceVfs {
    pub(super) fn handles(&self) -> WorldGuard<'_, Handles> {
        self.handles.lock()
    }

    pub(super) fn description(&self, handle: HandleId) -> Result<Arc<Description>, Errno> {
        self.handles().get(handle)
    }

    /// `close`. The root stays open, for it belongs to nobody.
    pub(super) async fn close(&self, call: &Call<'_>, handle: HandleId) -> Outcome<Value> {
        if handle == HandleId::ROOT {
            return Ok(Value::Done);
        }
        let flushed = match self.policy.close_turn {
            CloseTurn::GivesUpFirst => None,
            CloseTurn::FlushesFirst => {
                let description = self.description(handle)?;
                Some(self.flush_closed(&description, call.began).await?)
            }
        };
        let description = self.handles().remove(handle)?;
        self.unlock_closed(description.ino, call.caller.process, Some(handle));
        call.takes_effect();
        let flushed = match flushed {
            None => self.flush_closed(&description, call.began).await,
            Some(()) => Ok(()),
        };
        self.release(description.ino).await?;
        flushed.map(|()| Value::Done)
    }

    /// What a close tells of the file that it lets go of.
    async fn flush_closed(&self, description: &Description, began: SyncBegan) -> Outcome<()> {
        let is_file = description.kind == FileKind::Regular;
        if !is_file || self.cache.close_reports() == CloseReports::Never {
            return Ok(());
        }
        let ino = description.ino;
        self.cache.begin_sync(ino, &mut description.position().cursor)?;
        Box::pin(self.cache.write_back(ino)).await?;
        self.cache.collect(ino, &mut description.position().cursor, began)?;
        Ok(())
    }

    /// Closes what a process had open, and says in `closed` what that was.
    pub(super) async fn close_all(
        &self,
        process: ProcessId,
        closed: &mut Vec<(u64, HandleId)>,
    ) -> Outcome<()> {
        let handles = self.handles().of_process(process);
        let began = self.cache.began();
        for handle in handles {
            let removed = self.handles().remove(handle);
            if let Ok(description) = removed {
                closed.push((description.ino, handle));
                // Nobody is there to be told.
                if let Err(Failure::Halt(halt)) = self.flush_closed(&description, began).await {
                    return Err(Failure::Halt(halt));
                }
                self.release(description.ino).await?;
            }
        }
        Ok(())
    }

    /// `fcntl(F_SETFL)`.
    pub(super) fn set_status_flags(&self, handle: HandleId, status: StatusFlags) -> Outcome<Value> {
        self.description(handle)?.position().status = status;
        Ok(Value::Done)
    }

    /// `posix_fadvise`.
    pub(super) fn advise(&self, handle: HandleId) -> Outcome<Value> {
        match self.description(handle)?.kind {
            FileKind::Regular => Ok(Value::Done),
            FileKind::Directory | FileKind::Symlink => Err(Errno::BadFile.into()),
        }
    }
}

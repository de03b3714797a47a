//! The reference file system as its callers see it: paths, handles, links.
//!
//! Flow: [`ReferenceVfs::call`] lets the world be as unkind as the law allows, then hands the
//! request to the file of its operation; what may be answered is decided there before anything
//! changes.
//!
//! Order of waiting: a description's turn, the names, the hold of all changes, a file's content,
//! its writeback, the transaction of the file system. Who holds one waits only for those to the
//! right of it.
//!
//! Reading does not change the time of last access, as under `noatime`.

mod allocate;
mod attributes;
mod background;
mod clone_range;
mod copy_range;
mod drop_caches;
mod exchange;
mod flock;
mod handles;
mod inodes;
mod link;
mod load;
mod locks;
mod make_directory;
mod map;
mod open;
mod protect;
mod read;
mod read_directory;
mod read_link;
mod record_lock;
mod remove_directory;
mod rename;
mod resolve;
mod seek;
mod set_compression;
mod set_mode;
mod set_no_cow;
mod set_times;
mod snapshot;
mod space;
mod stat;
mod stopped;
mod store;
mod symlink;
mod sync;
mod sync_mapping;
mod sync_range;
#[cfg(test)]
mod tests;
mod truncate;
mod unlink;
mod unmap;
mod unnamed;
mod write;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

pub use exchange::EXCHANGE_ATOMIC;
pub use exchange::EXCHANGE_IN_TWO;
pub use exchange::ExchangeStep;
pub use locks::LockEnd;
pub use rename::RENAME_ATOMIC;
pub use rename::RENAME_SOURCE_LATER;
pub use rename::RENAME_TARGET_FIRST;
pub use rename::RenameStep;

use crate::cache::CachePolicy;
use crate::cache::PageCache;
use crate::cache::SyncBegan;
use crate::cache::SyncError;
use crate::cache::errno_of;
use crate::cache::is_power_off;
use crate::call::Answer;
use crate::call::Caller;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::Halt;
use crate::call::Lock;
use crate::call::Manage;
use crate::call::MappingId;
use crate::call::Memory;
use crate::call::ProcessId;
use crate::call::Reply;
use crate::call::ReplyFuture;
use crate::call::Request;
use crate::call::Testimony;
use crate::call::Value;
use crate::call::Vfs;
use crate::call::Witness;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Kind;
use crate::mutex::WorldMutex;
use crate::sim::Point;
use crate::sim::Sim;
use crate::sim::TaskLock;
use crate::sim::Waiting;
use crate::vfs::copy_range::Asked;
use crate::vfs::handles::Handles;
use crate::vfs::inodes::Inodes;
use crate::vfs::locks::Locks;
use crate::vfs::map::Mapped;

/// The largest offset at which a file can end.
pub const FILE_SIZE_BYTES_MAX: u64 = i64::MAX as u64;

/// What `fsync` of a directory does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DirectorySync {
    /// Its names are durable afterwards.
    Synced,
    /// It succeeds and does nothing.
    Ignored,
}

/// When a close gives the description up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseTurn {
    /// First: whatever comes then, it is closed.
    GivesUpFirst,
    /// After the file was written back, where a close does that: if that fails, it stays open.
    FlushesFirst,
}

/// What is held to the limit of a file's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SizeLimit {
    /// Every call that makes a file longer.
    EveryCall,
    /// Writes, truncation and copies through memory. A clone is no write, and nor is an
    /// allocation.
    WritesAlone,
}

/// What a clone or a copy into a file does that is open for synchronous writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloneSync {
    /// It is durable when it returns, as a write is.
    Durable,
    /// The flags are a matter of writes alone (D-82).
    Forgotten,
}

/// Which changes of content wait while a snapshot is made, from its flush until it is frozen. What
/// has not reached the file system beneath when it is frozen is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SnapshotHold {
    /// All.
    All,
    /// Not writes. A direct one is in the snapshot, and one through the cache before it is not
    /// (D-28).
    NotWrites,
    /// Neither writes nor truncation: the new size is in the snapshot, and what was written through
    /// the cache before is not (D-30).
    NotTruncation,
}

/// What the operations are assembled from. The default is correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VfsPolicy {
    /// The steps of a rename.
    pub rename: &'static [RenameStep],
    /// The steps of an exchange of two names.
    pub exchange: &'static [ExchangeStep],
    /// What `fsync` of a directory does.
    pub directory_sync: DirectorySync,
    /// When a close gives the description up.
    pub close_turn: CloseTurn,
    /// What a clone into a file does that is open for synchronous writes.
    pub clone_sync: CloneSync,
    /// What waits while a snapshot is made.
    pub snapshot_hold: SnapshotHold,
    /// No file is made longer than this, as by `setrlimit(RLIMIT_FSIZE)`.
    pub file_size_bytes_max: u64,
    /// What is held to that.
    pub size_limit: SizeLimit,
    /// Handles that one process can have open.
    pub open_handles_max: u32,
    /// What ends a lock, besides its release.
    pub lock_end: LockEnd,
    /// Pieces that one process's locks on bytes can be in.
    pub record_locks_max: usize,
    /// Parts that one process's mappings can be in.
    pub mapped_parts_max: usize,
    /// Size of a page of memory; a block of the file system may be larger.
    pub memory_page_bytes: u64,
    /// How much time passes with each call.
    pub tick_nanos: u64,
}

impl Default for VfsPolicy {
    fn default() -> Self {
        Self {
            rename: RENAME_ATOMIC,
            exchange: EXCHANGE_ATOMIC,
            directory_sync: DirectorySync::Synced,
            close_turn: CloseTurn::GivesUpFirst,
            clone_sync: CloneSync::Durable,
            snapshot_hold: SnapshotHold::All,
            file_size_bytes_max: FILE_SIZE_BYTES_MAX,
            size_limit: SizeLimit::EveryCall,
            open_handles_max: 1024,
            lock_end: LockEnd::WithDescriptor,
            record_locks_max: 1024,
            mapped_parts_max: 65_530,
            memory_page_bytes: 4096,
            tick_nanos: 1_000,
        }
    }
}

/// Why an operation did not succeed: news for the guest, or the end of the run. They never mix.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    Errno(Errno),
    /// The device failed, which is said.
    Device(Errno),
    Halt(Halt),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<CowError> for Failure {
    fn from(error: CowError) -> Self {
        let errno = errno_of(&error);
        if is_power_off(&error) {
            Self::Halt(Halt::Crashed)
        } else if error == CowError::Suspended {
            Self::Halt(Halt::Suspended)
        } else if matches!(error, CowError::Device(_)) {
            Self::Device(errno)
        } else {
            Self::Errno(errno)
        }
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Cow(error) => error.into(),
            SyncError::Owed(errno) => Self::Errno(errno),
        }
    }
}

/// What came of an operation, or of a part of one.
type Outcome<T> = Result<T, Failure>;

/// A call under way.
#[derive(Debug)]
struct Call<'a> {
    caller: Caller,
    /// What had failed when it was made: a sync is told of all that fails until it answers.
    began: SyncBegan,
    witness: &'a Witness,
    has_said: AtomicBool,
}

impl Call<'_> {
    /// Says that the call takes effect now; only the first time counts.
    fn takes_effect(&self) {
        if !self.has_said.swap(true, Ordering::Relaxed) {
            self.witness.say(Testimony::Committed { call: self.caller.call });
        }
    }
}

/// The reference stack. Clones are the same stack.
#[derive(Debug, Clone)]
pub struct ReferenceVfs {
    cow: Cow,
    cache: PageCache,
    sim: Sim,
    witness: Witness,
    policy: VfsPolicy,
    handles: Arc<WorldMutex<Handles>>,
    inodes: Arc<WorldMutex<Inodes>>,
    mapped: Arc<WorldMutex<Mapped>>,
    /// Held by whoever changes names.
    names: TaskLock,
    locks: Arc<WorldMutex<Locks>>,
    /// A lock was released.
    lock_news: Waiting,
}

impl ReferenceVfs {
    /// The stack over a mounted file system.
    #[must_use]
    pub fn new(
        cow: Cow,
        sim: Sim,
        witness: Witness,
        policy: VfsPolicy,
        cache_policy: CachePolicy,
    ) -> Self {
        let cache = PageCache::new(cow.clone(), sim.clone(), witness.clone(), cache_policy);
        Self {
            cow,
            cache,
            sim,
            witness,
            policy,
            handles: Arc::new(WorldMutex::new(Handles::new(policy.open_handles_max))),
            inodes: Arc::default(),
            mapped: Arc::default(),
            names: TaskLock::default(),
            locks: Arc::default(),
            lock_news: Waiting::default(),
        }
    }

    /// The page cache, for audits.
    #[must_use]
    pub fn cache(&self) -> &PageCache {
        &self.cache
    }

    /// The file system beneath, for audits.
    #[must_use]
    pub fn cow(&self) -> &Cow {
        &self.cow
    }

    /// A process is gone: its mappings, its handles and its locks go with it. The locks go last,
    /// and nothing waits after that: whoever gets one gets it from a process that has ended.
    async fn end_all(&self, process: ProcessId) -> Outcome<()> {
        let unmapped = self.unmap_all(process).await;
        let mut closed = Vec::new();
        let ended = match unmapped {
            Ok(()) => self.close_all(process, &mut closed).await,
            Err(failure) => Err(failure),
        };
        self.unlock_ended(process, &closed);
        ended
    }

    async fn answer(&self, caller: Caller, request: Request) -> Reply {
        self.sim.advance_nanos(self.policy.tick_nanos);
        self.disturb(caller.process);
        let began = self.cache.began();
        self.sim.point(Point::CallStart).await;
        if self.is_interrupted(caller.process, &request) {
            return Ok(Err(Errno::Interrupted));
        }
        let witness = &self.witness;
        let call = Call { caller, began, witness, has_said: AtomicBool::new(false) };
        let outcome = match self.stopped(&request) {
            Some(errno) => Err(Failure::Device(errno)),
            None => self.dispatch(&call, request).await,
        };
        let answer: Answer = match outcome {
            Ok(value) => Ok(value),
            Err(Failure::Errno(errno)) => Err(errno),
            Err(Failure::Device(errno)) => {
                self.witness.say(Testimony::Failed { errno, file: None });
                Err(errno)
            }
            Err(Failure::Halt(halt)) => return Err(halt),
        };
        call.takes_effect();
        self.sim.point(Point::CallEnd).await;
        Ok(answer)
    }

    /// The state of a call is made anew for each, and is as large as the largest that is not boxed:
    /// those are what most calls ask.
    async fn dispatch(&self, call: &Call<'_>, request: Request) -> Outcome<Value> {
        match request {
            Request::Open { at, options } => Box::pin(self.open(call, &at, &options)).await,
            Request::Close { handle } => self.close(call, handle).await,
            Request::Read { handle, offset, len } => self.read(call, handle, offset, len).await,
            Request::Write { handle, offset, data } => self.write(call, handle, offset, data).await,
            Request::Seek { handle, offset, whence } => {
                self.seek(call, handle, offset, whence).await
            }
            Request::Stat { at, follow } => self.stat(call, &at, follow).await,
            Request::StatHandle { handle } => self.stat_handle(handle).await,
            Request::SetTimes { at, follow, access, modify } => {
                Box::pin(self.set_times(call, &at, follow, access, modify)).await
            }
            Request::SetTimesHandle { handle, access, modify } => {
                Box::pin(self.set_times_handle(handle, access, modify)).await
            }
            Request::SetMode { at, follow, mode } => {
                Box::pin(self.set_mode(call, &at, follow, mode)).await
            }
            Request::SetModeHandle { handle, mode } => {
                Box::pin(self.set_mode_handle(call, handle, mode)).await
            }
            Request::Truncate { handle, size_bytes } => {
                Box::pin(self.truncate(handle, size_bytes)).await
            }
            Request::Allocate { handle, offset, len, mode } => {
                Box::pin(self.allocate(call, handle, [offset, len], mode)).await
            }
            Request::CopyRange { .. }
            | Request::CloneRange { .. }
            | Request::DedupeRange { .. } => Box::pin(self.dispatch_share(call, request)).await,
            Request::Attribute(asked) => Box::pin(self.dispatch_attribute(call, asked)).await,
            Request::Advise { handle } => self.advise(handle),
            Request::Fsync { handle } => Box::pin(self.fsync(call, handle)).await,
            Request::Fdatasync { handle } => Box::pin(self.fdatasync(call, handle)).await,
            Request::SetStatusFlags { handle, status } => self.set_status_flags(handle, status),
            Request::ReadDirectory { handle, cookie, count_max } => {
                Box::pin(self.read_directory(handle, cookie, count_max)).await
            }
            Request::MakeDirectory { at, mode } => {
                Box::pin(self.make_directory(call, &at, mode)).await
            }
            Request::RemoveDirectory { at } => Box::pin(self.remove_directory(call, &at)).await,
            Request::Unlink { at } => Box::pin(self.unlink(call, &at)).await,
            Request::Rename { from, to, replace } => {
                Box::pin(self.rename(call, &from, &to, replace)).await
            }
            Request::Exchange { from, to } => Box::pin(self.exchange(call, &from, &to)).await,
            Request::Link { from, follow, to } => {
                Box::pin(self.link(call, &from, follow, &to)).await
            }
            Request::OpenUnnamed { at, options } => {
                Box::pin(self.open_unnamed(call, &at, &options)).await
            }
            Request::LinkHandle { handle, to } => {
                Box::pin(self.link_handle(call, handle, &to)).await
            }
            Request::Symlink { target, at } => Box::pin(self.symlink(call, &target, &at)).await,
            Request::ReadLink { at } => Box::pin(self.read_link(call, &at)).await,
            Request::SyncAll => Box::pin(self.sync_all()).await,
            Request::Lock(asked) => Box::pin(self.dispatch_lock(call, asked)).await,
            Request::Memory(asked) => Box::pin(self.dispatch_memory(call, asked)).await,
            Request::Manage(asked) => Box::pin(self.dispatch_manage(call, asked)).await,
        }
    }

    async fn dispatch_share(&self, call: &Call<'_>, request: Request) -> Outcome<Value> {
        if let Request::CopyRange { from, from_offset, to, to_offset, len } = request {
            let (from, to) = ((from, from_offset), (to, to_offset));
            self.copy_range(call, Asked { from, to, len }).await
        } else if let Request::CloneRange { from, from_offset, len, to, to_offset } = request {
            let sides = self.sides((from, from_offset), (to, to_offset))?;
            self.clone_range(call, &sides, len).await
        } else if let Request::DedupeRange { from, from_offset, len, to, to_offset } = request {
            let sides = self.sides((from, from_offset), (to, to_offset))?;
            self.dedupe_range(call, &sides, len).await
        } else {
            unreachable!("a request from one file to another is one of these")
        }
    }

    async fn dispatch_lock(&self, call: &Call<'_>, asked: Lock) -> Outcome<Value> {
        match asked {
            Lock::Whole { handle, kind, wait } => self.flock(call, handle, kind, wait).await,
            Lock::Record { handle, kind, start, len, wait, owner } => {
                self.record_lock(call, handle, (kind, owner), [start, len], wait).await
            }
            Lock::Test { handle, kind, start, len, owner } => {
                self.test_lock(call, handle, (kind, owner), [start, len])
            }
            Lock::CloseDuplicate { handle } => self.close_duplicate(call, handle),
        }
    }

    async fn dispatch_memory(&self, call: &Call<'_>, asked: Memory) -> Outcome<Value> {
        match asked {
            Memory::Map { handle, offset, len, access, sharing } => {
                self.map(call, handle, offset..offset.saturating_add(len), access, sharing).await
            }
            Memory::Unmap { mapping, offset, len } => self.unmap(mapping, offset, len).await,
            Memory::Protect { mapping, offset, len, access } => {
                self.protect(mapping, offset, len, access)
            }
            Memory::Store { mapping, offset, data } => {
                self.store(call, mapping, offset, &data).await
            }
            Memory::Load { mapping, offset, len } => self.load(mapping, offset, len).await,
            Memory::SyncMapping { mapping, offset, len, wait, invalidate: _ } => {
                self.sync_mapping(call, mapping, offset, len, wait).await
            }
        }
    }

    async fn dispatch_manage(&self, call: &Call<'_>, asked: Manage) -> Outcome<Value> {
        match asked {
            Manage::Snapshot { name } => self.take_snapshot(call, &name).await,
            Manage::OpenSnapshot { name } => self.open_snapshot(call, &name).await,
            Manage::DeleteSnapshot { name } => self.delete_snapshot(call, &name).await,
            Manage::SetCompression { handle, on } => self.set_compression(call, handle, on).await,
            Manage::SetNoCow { handle, on } => self.set_no_cow(call, handle, on).await,
            Manage::SyncRange { handle, offset, len, wait } => {
                self.sync_range(handle, [offset, len], wait).await
            }
            Manage::DropCaches => self.drop_caches().await,
            Manage::Space => self.space().await,
        }
    }
}

impl Vfs for ReferenceVfs {
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_> {
        Box::pin(self.answer(caller, request))
    }

    fn take_stale(&self, process: ProcessId) -> Vec<(MappingId, Range<u64>)> {
        self.cache.take_stale(process)
    }

    fn take_barred(&self, process: ProcessId) -> Option<Vec<(MappingId, Range<u64>)>> {
        self.cache.take_barred(process)
    }

    fn end_process(&self, process: ProcessId) -> ReplyFuture<'_> {
        Box::pin(async move {
            match self.end_all(process).await {
                Ok(()) => Ok(Ok(Value::Done)),
                Err(Failure::Errno(errno) | Failure::Device(errno)) => Ok(Err(errno)),
                Err(Failure::Halt(halt)) => Err(halt),
            }
        })
    }
}

fn kind_of(kind: Kind) -> FileKind {
    match kind {
        Kind::Regular => FileKind::Regular,
        Kind::Directory => FileKind::Directory,
        Kind::Symlink => FileKind::Symlink,
    }
}

//! Programs of a few operations on a few names: what fuzzing generates.
//!
//! Flow: bytes -> [`Program`] (arbitrary) -> requests on a tiny stack whose chance comes from
//! the rest of the bytes -> crash, recovery, survey -> oracle.

use arbitrary::Arbitrary;
use arbitrary::Unstructured;
use bytes::Bytes;

use crate::call;
use crate::call::At;
use crate::call::HandleId;
use crate::call::MappingId;
use crate::call::OpenOptions;
use crate::call::Request;
use crate::call::StatusFlags;
use crate::check::mapped::MAPPING_COUNT;
use crate::check::mapped::MappedOperation;
use crate::check::shared::SharedOperation;
use crate::device::Class;
use crate::device::DeviceError;
use crate::device::FailCount;
use crate::device::Fault;
use crate::device::FaultRule;
use crate::sim::mix;

/// Lengths of writes from which on their bytes are noise.
const NOISE_FROM: u8 = 192;

/// Handles that a program can have open at once.
const SLOT_COUNT: usize = 4;

/// One of a few names, so that operations meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum Name {
    /// `a`
    A,
    /// `b`
    B,
    /// `c`
    C,
    /// The directory `d`.
    D,
    /// The directory `e`.
    E,
    /// `d/a`
    DirA,
    /// `d/b`
    DirB,
    /// `e/a`
    OtherA,
}

impl Name {
    pub(super) fn at(self) -> At {
        let path: &'static [u8] = match self {
            Self::A => b"a",
            Self::B => b"b",
            Self::C => b"c",
            Self::D => b"d",
            Self::E => b"e",
            Self::DirA => b"d/a",
            Self::DirB => b"d/b",
            Self::OtherA => b"e/a",
        };
        At { directory: HandleId::ROOT, path: Bytes::from_static(path) }
    }
}

/// How a file is opened by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum Mode {
    /// Read and write what is there.
    Update,
    /// Make it if it is not there.
    Create,
    /// Make it, or fail.
    Exclusive,
    /// Make it, or cut it to nothing.
    Truncate,
    /// Append, making it if needed.
    Append,
    /// Each write is followed by `fdatasync`.
    DataSync,
    /// Each write is followed by `fsync`.
    Sync,
    /// A directory, to sync or list it.
    Directory,
}

impl Mode {
    pub(super) fn options(self) -> OpenOptions {
        let status = StatusFlags {
            append: self == Self::Append,
            data_sync: self == Self::DataSync,
            sync: self == Self::Sync,
            ..StatusFlags::default()
        };
        OpenOptions {
            read: true,
            write: self != Self::Directory,
            create: !matches!(self, Self::Update | Self::Directory),
            exclusive: self == Self::Exclusive,
            truncate: self == Self::Truncate,
            directory: self == Self::Directory,
            follow: true,
            status,
            mode: None,
        }
    }
}

/// One operation. Offsets and lengths are small, so that ranges overlap and cross blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum Operation {
    /// `open` into a slot, closing what was there.
    Open(u8, Name, Mode),
    /// `close`.
    Close(u8),
    /// `pwrite` of so many sixteenths of a block.
    WriteAt(u8, u8, u8),
    /// `write` at the description's offset.
    Write(u8, u8),
    /// `pread`.
    ReadAt(u8, u8, u8),
    /// `ftruncate`.
    Truncate(u8, u8),
    /// `fsync`.
    Fsync(u8),
    /// `fdatasync`.
    Fdatasync(u8),
    /// `fsync` of the root directory.
    FsyncRoot,
    /// `fstat`; of some slots `fchmod`.
    StatHandle(u8),
    /// `stat`.
    Stat(Name),
    /// `readdir` of a slot.
    List(u8),
    /// `mkdir`.
    MakeDirectory(Name),
    /// `rmdir`.
    RemoveDirectory(Name),
    /// `unlink`.
    Unlink(Name),
    /// `rename`.
    Rename(Name, Name),
    /// `renameat2`, which replaces nothing.
    RenameNew(Name, Name),
    /// `renameat2`, of two names.
    Exchange(Name, Name),
    /// `link`.
    Link(Name, Name),
    /// `open` of a file without a name into a slot; may it ever be linked?
    OpenUnnamed(u8, bool),
    /// `link` of the file in a slot.
    LinkHandle(u8, Name),
    /// `symlink`.
    Symlink(Name, Name),
    /// `syncfs`.
    SyncAll,
    /// Background writeback of everything.
    Flush,
    /// Clean pages are dropped.
    Evict,
    /// Writes of the device fail from now on: of which class and which, how many and how.
    FailWrites(u8, u8),
    /// Something about mapped memory, or beyond POSIX.
    Mapped(MappedOperation),
    /// Something about holes, copies, clones and room.
    Shared(SharedOperation),
}

/// Operations, then a crash, and more operations after recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// What happens before the crash.
    pub before: Vec<Operation>,
    /// What happens after recovery.
    pub after: Vec<Operation>,
}

/// More operations of one part are not taken from the bytes.
const OPERATION_COUNT_MAX: usize = 40;

impl<'a> Arbitrary<'a> for Program {
    /// The first byte says how many operations come before the crash. A list that asks before
    /// each element whether there is one more, as lists usually do, is short nearly always. Half of
    /// the programs are mostly about mapped memory, begin with a mapping, and store often; half are
    /// much about clones and holes, and begin with two files; some are both.
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let count = bytes.int_in_range(1..=OPERATION_COUNT_MAX)?;
        let flavour: u8 = bytes.arbitrary()?;
        let (is_mapped, is_shared) = (flavour & 1 == 1, flavour & 2 == 2);
        let mut part = |count: usize| {
            let mut operations = Vec::new();
            if is_shared {
                operations.extend(SharedOperation::prepare(bytes)?);
            }
            if is_mapped {
                operations.extend(MappedOperation::prepare(bytes)?);
            }
            while operations.len() < count && !bytes.is_empty() {
                let first = if is_shared { 0 } else { 1 };
                let last = if is_mapped { 3 } else { 1 };
                operations.push(match bytes.int_in_range(first..=last)? {
                    0 => Operation::Shared(bytes.arbitrary()?),
                    1 => bytes.arbitrary()?,
                    2 => Operation::Mapped(bytes.arbitrary()?),
                    _ => Operation::Mapped(MappedOperation::store(bytes)?),
                });
            }
            Ok(operations)
        };
        Ok(Self { before: part(count)?, after: part(OPERATION_COUNT_MAX)? })
    }
}

/// What an operation asks of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A request; the handle it answers goes into the slot, if there is one.
    Request(Request, Option<usize>),
    /// A mapping; it goes into the slot.
    Map(Request, usize),
    /// The slot's handle is closed, then this is asked.
    Replace(HandleId, Request, usize),
    /// Background writeback.
    Flush,
    /// Eviction.
    Evict,
    /// A fault of the device.
    Fail(FaultRule),
    /// Nothing: there is no handle in the slot.
    Nothing,
}

/// A fault that ends by itself, most often of file data and soon.
fn fail_rule(which: u8, how: u8) -> FaultRule {
    let class = match which % 8 {
        0..=3 => Some(Class::Data),
        4 => Some(Class::Log),
        5 => Some(Class::Tree),
        6 => Some(Class::Root),
        _ => None,
    };
    let error = if how & 4 == 0 { DeviceError::Io } else { DeviceError::NoSpace };
    FaultRule {
        class,
        nth: u64::from(which / 8 % 4) + 1,
        count: FailCount::Times(u64::from(how % 4) + 1),
        ..FaultRule::once(Fault::WriteError(error))
    }
}

/// `fstat`, or what a quarter of the slots mean beside their handle: `fchmod`. Most often no bit of
/// the owner's is taken: programs are to go on.
fn status(handle: HandleId, slot: u8) -> Request {
    const CHANGES_FROM: u8 = 192;
    let Some(bits) = slot.checked_sub(CHANGES_FROM) else { return Request::StatHandle { handle } };
    let denied = u32::from(bits / SLOT_COUNT as u8).saturating_sub(8);
    let mode = call::Mode::new(0o700 & !(denied << 6) | u32::from(bits));
    Request::SetModeHandle { handle, mode }
}

fn rename(from: Name, to: Name, replace: bool) -> Request {
    Request::Rename { from: from.at(), to: to.at(), replace }
}

/// The handles a program has open.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    /// The handle of each slot.
    pub handles: [Option<HandleId>; SLOT_COUNT],
    /// The mapping of each slot.
    pub mappings: [Option<MappingId>; MAPPING_COUNT],
    written: u64,
}

impl Slots {
    pub(super) fn index(slot: u8) -> usize {
        usize::from(slot) % SLOT_COUNT
    }

    pub(super) fn open(&mut self, open: Request, index: usize) -> Asked {
        match self.handles[index].take() {
            Some(handle) => Asked::Replace(handle, open, index),
            None => Asked::Request(open, Some(index)),
        }
    }

    /// Any open handle will do: an operation on an empty slot would test nothing.
    pub(super) fn handle(&self, slot: u8) -> Option<HandleId> {
        let open: Vec<HandleId> = self.handles.iter().flatten().copied().collect();
        open.get(usize::from(slot) % open.len().max(1)).copied()
    }

    pub(super) fn with(&self, slot: u8, request: impl FnOnce(HandleId) -> Request) -> Asked {
        let asked = |handle| Asked::Request(request(handle), None);
        self.handle(slot).map_or(Asked::Nothing, asked)
    }

    /// Bytes that no other write of the program has: foreign bytes are recognised. Those of a
    /// quarter of the writes do not get smaller where a file is compressed.
    pub(super) fn data(&mut self, sixteenths: u8, block_size_bytes: u32) -> Bytes {
        self.written += 1;
        let len = (u32::from(sixteenths % 48) + 1) * (block_size_bytes / 16);
        let tag = self.written.to_le_bytes();
        let regular = |at: u32| tag[at as usize % 2] ^ (at as u8).rotate_left(3);
        let noise = |at: u32| (mix(self.written << 32 | u64::from(at)) >> 24) as u8;
        if sixteenths >= NOISE_FROM {
            (0..len).map(noise).collect()
        } else {
            (0..len).map(regular).collect()
        }
    }

    /// What `operation` asks, on blocks of that size.
    pub fn ask(&mut self, operation: Operation, block_size_bytes: u32) -> Asked {
        use Operation as O;
        let offset = |units: u8| u64::from(units % 64) * u64::from(block_size_bytes / 16);
        let plain = |request| Asked::Request(request, None);
        match operation {
            O::Open(slot, name, mode) => {
                let index = Self::index(slot);
                let open = Request::Open { at: name.at(), options: mode.options() };
                self.open(open, index)
            }
            O::OpenUnnamed(slot, linkable) => {
                let at = At { directory: HandleId::ROOT, path: Bytes::from_static(b".") };
                let options = OpenOptions { exclusive: !linkable, ..Mode::Update.options() };
                self.open(Request::OpenUnnamed { at, options }, Self::index(slot))
            }
            O::LinkHandle(slot, name) => {
                self.with(slot, |handle| Request::LinkHandle { handle, to: name.at() })
            }
            O::Close(slot) => match self.handles[Self::index(slot)].take() {
                Some(handle) => plain(Request::Close { handle }),
                None => Asked::Nothing,
            },
            O::WriteAt(slot, at, len) => {
                let data = self.data(len, block_size_bytes);
                let offset = Some(offset(at));
                self.with(slot, |handle| Request::Write { handle, offset, data })
            }
            O::Write(slot, len) => {
                let data = self.data(len, block_size_bytes);
                self.with(slot, |handle| Request::Write { handle, offset: None, data })
            }
            O::ReadAt(slot, at, len) => {
                let (offset, len) = (Some(offset(at)), u32::from(len) * (block_size_bytes / 16));
                self.with(slot, |handle| Request::Read { handle, offset, len })
            }
            O::Truncate(slot, at) => {
                let size_bytes = offset(at);
                self.with(slot, |handle| Request::Truncate { handle, size_bytes })
            }
            O::Fsync(slot) => self.with(slot, |handle| Request::Fsync { handle }),
            O::Fdatasync(slot) => self.with(slot, |handle| Request::Fdatasync { handle }),
            O::FsyncRoot => plain(Request::Fsync { handle: HandleId::ROOT }),
            O::StatHandle(slot) => self.with(slot, |handle| status(handle, slot)),
            O::Stat(name) => plain(Request::Stat { at: name.at(), follow: true }),
            O::List(slot) => {
                let list = |handle| Request::ReadDirectory { handle, cookie: 0, count_max: 64 };
                self.with(slot, list)
            }
            O::MakeDirectory(name) => plain(Request::MakeDirectory { at: name.at(), mode: None }),
            O::RemoveDirectory(name) => plain(Request::RemoveDirectory { at: name.at() }),
            O::Unlink(name) => plain(Request::Unlink { at: name.at() }),
            O::Rename(from, to) => plain(rename(from, to, true)),
            O::RenameNew(from, to) => plain(rename(from, to, false)),
            O::Exchange(from, to) => plain(Request::Exchange { from: from.at(), to: to.at() }),
            O::Link(from, to) => {
                plain(Request::Link { from: from.at(), follow: false, to: to.at() })
            }
            O::Symlink(target, name) => {
                plain(Request::Symlink { target: target.at().path, at: name.at() })
            }
            O::SyncAll => plain(Request::SyncAll),
            O::Flush => Asked::Flush,
            O::Evict => Asked::Evict,
            O::FailWrites(which, how) => Asked::Fail(fail_rule(which, how)),
            O::Mapped(operation) => self.ask_mapped(operation, block_size_bytes),
            O::Shared(operation) => self.ask_shared(operation, block_size_bytes),
        }
    }
}

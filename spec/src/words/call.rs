//! What can be asked and answered: values only.
//!
//! A path is resolved beneath the directory of its handle: `..` and symbolic links never lead
//! above it, an absolute path is refused ([`Errno::NotCapable`]).

use bytes::Bytes;

use crate::words::Attribute;
use crate::words::Errno;
use crate::words::HeldLock;
use crate::words::Lock;
use crate::words::Manage;
use crate::words::MappingId;
use crate::words::Memory;
use crate::words::Mode;
use crate::words::Signal;

/// A process. Process 0 is whoever prepared the file system before the others began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

/// An open file description. Numbers are never reused in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandleId(pub u64);

impl HandleId {
    /// The root directory; open from the start, closed by nobody.
    pub const ROOT: Self = Self(0);
}

/// Number of an event in a trace, from 1, dense. A call is known by the step at which it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(pub u64);

/// The identity of a file within a file system (`st_ino`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ino(pub u64);

/// A path as the caller spelt it: bytes, relative to a handle.
pub type Path = Bytes;

/// How a file is opened (POSIX `open`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are POSIX's flags, and independent")]
pub struct OpenOptions {
    /// May the handle read?
    pub read: bool,
    /// May the handle write?
    pub write: bool,
    /// Is the file made if it is not there (`O_CREAT`)?
    pub create: bool,
    /// Must the file not be there (`O_EXCL`)?
    pub exclusive: bool,
    /// Is a regular file cut to nothing (`O_TRUNC`)?
    pub truncate: bool,
    /// Must it be a directory (`O_DIRECTORY`)?
    pub directory: bool,
    /// Is a symbolic link at the end of the path followed (not `O_NOFOLLOW`)?
    pub follow: bool,
    /// The status flags of the new description.
    pub status: StatusFlags,
    /// The permission bits of a file that is made; [`Mode::FILE`] if absent.
    pub mode: Option<Mode>,
}

/// Flags of an open file description that can change while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are POSIX's flags, and independent")]
pub struct StatusFlags {
    /// Does each write go to the end of the file (`O_APPEND`)?
    pub append: bool,
    /// Is each write followed by what `fdatasync` does (`O_DSYNC`)?
    pub data_sync: bool,
    /// Is each write followed by what `fsync` does (`O_SYNC`)?
    pub sync: bool,
    /// Is each read preceded by what the sync flags say (`O_RSYNC`)?
    pub read_sync: bool,
    /// `O_NONBLOCK`; kept and reported, without effect on files.
    pub nonblocking: bool,
    /// Do reads and writes go past the cache (`O_DIRECT`)? Set by `open` alone.
    pub direct: bool,
}

/// The origin of a seek.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whence {
    /// From the start of the file.
    Set,
    /// From the current offset.
    Current,
    /// From the end of the file.
    End,
    /// To the next byte of data from an absolute offset on (`SEEK_DATA`).
    Data,
    /// To the next byte of a hole from an absolute offset on; the end is one (`SEEK_HOLE`).
    Hole,
}

/// What `fallocate` does with a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllocateMode {
    /// There is room for it; the file grows to hold it (`posix_fallocate`, mode 0).
    Extend,
    /// There is room for it; the size stays (`FALLOC_FL_KEEP_SIZE`).
    KeepSize,
    /// It becomes a hole; the size stays (`FALLOC_FL_PUNCH_HOLE`).
    PunchHole,
    /// It reads as zeros, with room; the file grows to hold it (`FALLOC_FL_ZERO_RANGE`).
    ZeroRange,
    /// It reads as zeros, with room; the size stays.
    ZeroRangeKeepSize,
    /// It goes, and what follows moves down (`FALLOC_FL_COLLAPSE_RANGE`).
    CollapseRange,
    /// What follows moves up, and a hole is put there (`FALLOC_FL_INSERT_RANGE`).
    InsertRange,
}

/// What happens to a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeChange {
    /// It stays (`UTIME_OMIT`).
    Keep,
    /// It becomes the present (`UTIME_NOW`).
    Now,
    /// It becomes this, in nanoseconds since the Unix epoch.
    At(u64),
}

/// What kind of thing a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// What `stat` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Which file it is.
    pub ino: Ino,
    /// What kind of file it is.
    pub kind: FileKind,
    /// Its permission bits, where the subject tells.
    pub mode: Option<Mode>,
    /// Number of names.
    pub link_count: u64,
    /// Bytes of content; of a symbolic link, of its target.
    pub size_bytes: u64,
    /// Last access, in nanoseconds since the Unix epoch.
    pub access_nanos: u64,
    /// Last change of content, in nanoseconds since the Unix epoch.
    pub modify_nanos: u64,
    /// Last change of anything, in nanoseconds since the Unix epoch.
    pub change_nanos: u64,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Where a scan goes on after this entry; stable while the entry exists.
    pub next_cookie: u64,
    /// Which file it is.
    pub ino: Ino,
    /// What kind of file it is.
    pub kind: FileKind,
    /// The name: one component.
    pub name: Bytes,
}

/// Whose path: a directory's handle, and a path beneath it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The directory the path starts from.
    pub directory: HandleId,
    /// The path, relative.
    pub path: Path,
}

/// One call of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `openat`; answers [`Value::Handle`].
    Open {
        /// What to open.
        at: At,
        /// How.
        options: OpenOptions,
    },
    /// `close`.
    Close {
        /// The handle, gone afterwards whatever the answer.
        handle: HandleId,
    },
    /// `read`, or `pread` if `offset` is given; answers [`Value::Data`].
    Read {
        /// The file.
        handle: HandleId,
        /// Where; the description's own offset if absent.
        offset: Option<u64>,
        /// At most so many bytes.
        len: u32,
    },
    /// `write`, or `pwrite` if `offset` is given; answers [`Value::Count`].
    Write {
        /// The file.
        handle: HandleId,
        /// Where; the description's own offset if absent. Ignored under `append` (POSIX leaves
        /// it open, Linux appends).
        offset: Option<u64>,
        /// The bytes, gathered.
        data: Bytes,
    },
    /// `lseek`; answers [`Value::Offset`].
    Seek {
        /// The file.
        handle: HandleId,
        /// Relative to `whence`.
        offset: i64,
        /// The origin.
        whence: Whence,
    },
    /// `fstatat`; answers [`Value::Stat`].
    Stat {
        /// Of what.
        at: At,
        /// Is a symbolic link at the end followed?
        follow: bool,
    },
    /// `fstat`; answers [`Value::Stat`].
    StatHandle {
        /// Of what.
        handle: HandleId,
    },
    /// `utimensat`.
    SetTimes {
        /// Of what.
        at: At,
        /// Is a symbolic link at the end followed?
        follow: bool,
        /// New time of last access.
        access: TimeChange,
        /// New time of last modification.
        modify: TimeChange,
    },
    /// `futimens`.
    SetTimesHandle {
        /// Of what.
        handle: HandleId,
        /// New time of last access.
        access: TimeChange,
        /// New time of last modification.
        modify: TimeChange,
    },
    /// `fchmodat`.
    SetMode {
        /// Of what.
        at: At,
        /// Is a symbolic link at the end followed?
        follow: bool,
        /// The new permission bits.
        mode: Mode,
    },
    /// `fchmod`.
    SetModeHandle {
        /// Of what.
        handle: HandleId,
        /// The new permission bits.
        mode: Mode,
    },
    /// `ftruncate`.
    Truncate {
        /// The file.
        handle: HandleId,
        /// Its new size.
        size_bytes: u64,
    },
    /// `fallocate`.
    Allocate {
        /// The file.
        handle: HandleId,
        /// Start of the range.
        offset: u64,
        /// Length of the range, above 0.
        len: u64,
        /// What happens to it.
        mode: AllocateMode,
    },
    /// `copy_file_range`; answers [`Value::Count`]: 0 at the end of the source, and fewer bytes
    /// than asked for at any time.
    CopyRange {
        /// The source.
        from: HandleId,
        /// Where in it; the description's own offset if absent.
        from_offset: Option<u64>,
        /// The destination.
        to: HandleId,
        /// Where in it; the description's own offset if absent.
        to_offset: Option<u64>,
        /// At most so many bytes.
        len: u64,
    },
    /// `ioctl(FICLONERANGE)`; all of the range, or an error.
    CloneRange {
        /// The source.
        from: HandleId,
        /// Where in it.
        from_offset: u64,
        /// How much; 0 is to the end of the source.
        len: u64,
        /// The destination.
        to: HandleId,
        /// Where in it.
        to_offset: u64,
    },
    /// `ioctl(FIDEDUPERANGE)` of one destination: if the bytes are the same they are stored once;
    /// answers [`Value::Same`].
    DedupeRange {
        /// The source.
        from: HandleId,
        /// Where in it.
        from_offset: u64,
        /// How much.
        len: u64,
        /// The destination.
        to: HandleId,
        /// Where in it.
        to_offset: u64,
    },
    /// `posix_fadvise`: checked, without effect.
    Advise {
        /// The file.
        handle: HandleId,
    },
    /// `fsync`, of a file or a directory.
    Fsync {
        /// Of what.
        handle: HandleId,
    },
    /// `fdatasync`, of a file or a directory.
    Fdatasync {
        /// Of what.
        handle: HandleId,
    },
    /// `fcntl(F_SETFL)`.
    SetStatusFlags {
        /// Of what.
        handle: HandleId,
        /// The new flags.
        status: StatusFlags,
    },
    /// `readdir` from a cookie on; answers [`Value::Entries`]. `.` and `..` are entries. Cookie 0
    /// is the start.
    ReadDirectory {
        /// The directory.
        handle: HandleId,
        /// Where to go on.
        cookie: u64,
        /// At most so many entries.
        count_max: u32,
    },
    /// `mkdirat`.
    MakeDirectory {
        /// The new directory.
        at: At,
        /// Its permission bits; [`Mode::DIRECTORY`] if absent.
        mode: Option<Mode>,
    },
    /// `unlinkat(AT_REMOVEDIR)`.
    RemoveDirectory {
        /// The directory, empty.
        at: At,
    },
    /// `unlinkat`.
    Unlink {
        /// The name.
        at: At,
    },
    /// `renameat`; `renameat2(RENAME_NOREPLACE)`.
    Rename {
        /// The old name.
        from: At,
        /// The new name.
        to: At,
        /// May the new name be there? Then it is replaced.
        replace: bool,
    },
    /// `renameat2(RENAME_EXCHANGE)`.
    Exchange {
        /// One name.
        from: At,
        /// The other.
        to: At,
    },
    /// `linkat`.
    Link {
        /// The existing name.
        from: At,
        /// Is a symbolic link at its end followed?
        follow: bool,
        /// The new name.
        to: At,
    },
    /// `openat(O_TMPFILE)`; answers [`Value::Handle`].
    OpenUnnamed {
        /// The directory in whose file system the file is made.
        at: At,
        /// With `exclusive` it can never be linked; `create`, `truncate` and `directory` are unset.
        options: OpenOptions,
    },
    /// `linkat(AT_EMPTY_PATH)`: a name for an open file.
    LinkHandle {
        /// The file; it need not have a name.
        handle: HandleId,
        /// The new name.
        to: At,
    },
    /// `symlinkat`.
    Symlink {
        /// What the link says: any bytes.
        target: Bytes,
        /// The new name.
        at: At,
    },
    /// `readlinkat`; answers [`Value::Target`].
    ReadLink {
        /// The link.
        at: At,
    },
    /// `syncfs`: everything acknowledged so far.
    SyncAll,
    /// About extended attributes.
    Attribute(Attribute),
    /// About locks.
    Lock(Lock),
    /// About mapped memory.
    Memory(Memory),
    /// What POSIX does not have.
    Manage(Manage),
}

/// What a call can do to what others see, or to what outlives a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It changes names, content or attributes.
    Changes,
    /// It makes durable what others changed.
    Syncs,
    /// It looks, or changes what is nobody's promise: a description, times, advice.
    Looks,
}

impl Call {
    /// What the call can do. That a write through `O_SYNC` syncs as well is its description's
    /// matter. What is not modelled yet changes nothing that is.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Open { options, .. } if options.create || options.truncate => Role::Changes,
            Self::Attribute(asked) if asked.changes() => Role::Changes,
            Self::Write { .. }
            | Self::Truncate { .. }
            | Self::Allocate { .. }
            | Self::CopyRange { .. }
            | Self::CloneRange { .. }
            | Self::MakeDirectory { .. }
            | Self::RemoveDirectory { .. }
            | Self::Unlink { .. }
            | Self::Rename { .. }
            | Self::Exchange { .. }
            | Self::Link { .. }
            | Self::LinkHandle { .. }
            | Self::Symlink { .. }
            | Self::SetMode { .. }
            | Self::SetModeHandle { .. }
            | Self::Memory(Memory::Store { .. }) => Role::Changes,
            Self::Fsync { .. }
            | Self::Fdatasync { .. }
            | Self::SyncAll
            | Self::Memory(Memory::SyncMapping { .. }) => Role::Syncs,
            Self::Open { .. }
            | Self::OpenUnnamed { .. }
            | Self::Close { .. }
            | Self::Read { .. }
            | Self::Seek { .. }
            | Self::Stat { .. }
            | Self::StatHandle { .. }
            | Self::SetTimes { .. }
            | Self::SetTimesHandle { .. }
            | Self::Advise { .. }
            | Self::SetStatusFlags { .. }
            | Self::ReadDirectory { .. }
            | Self::ReadLink { .. }
            | Self::DedupeRange { .. }
            | Self::Attribute(_)
            | Self::Lock(_)
            | Self::Memory(_)
            | Self::Manage(_) => Role::Looks,
        }
    }

    /// Can it change names or content?
    #[must_use]
    pub fn changes(&self) -> bool {
        self.role() == Role::Changes
    }

    /// Does it make durable what others changed?
    #[must_use]
    pub fn is_sync(&self) -> bool {
        self.role() == Role::Syncs
    }
}

/// What a call that succeeded answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing more to say.
    Done,
    /// A new open file description.
    Handle {
        /// Its number.
        handle: HandleId,
        /// What kind of file it is.
        kind: FileKind,
        /// Which file it is, where the subject tells; a caller of `open` is told by `fstat` only.
        ino: Option<Ino>,
    },
    /// Bytes that were read; fewer than asked for at the end of the file, or by adversity.
    Data(Bytes),
    /// Number of bytes written.
    Count(u32),
    /// The new offset.
    Offset(u64),
    /// Facts about a file.
    Stat(Stat),
    /// Names; fewer than asked for only at the end of the directory.
    Entries(Vec<DirectoryEntry>),
    /// What a symbolic link says.
    Target(Bytes),
    /// Were the bytes the same?
    Same(bool),
    /// The value of an extended attribute.
    AttributeValue(Bytes),
    /// The names of the extended attributes, sorted.
    AttributeNames(Vec<Bytes>),
    /// The lock that is in the way, if one is.
    Lock(Option<HeldLock>),
    /// A new mapping.
    Mapping(MappingId),
    /// The access was not made: the process gets this.
    Signal(Signal),
    /// How much fits, in blocks.
    Space {
        /// Size of a block.
        block_size_bytes: u32,
        /// Blocks of the file system.
        block_count: u64,
        /// Blocks that are free.
        free_count: u64,
    },
}

/// What the caller was told.
pub type Outcome = Result<Value, Errno>;

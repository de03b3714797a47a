//! Reads a call and its outcome: the operation's name, then its arguments in their order.

use crate::trace::cursor::Cursor;
use crate::trace::cursor::decimal;
use crate::trace::error::ParseError;
use crate::trace::parse::ino;
use crate::words::Access;
use crate::words::AllocateMode;
use crate::words::At;
use crate::words::Attribute;
use crate::words::Call;
use crate::words::DirectoryEntry;
use crate::words::FileKind;
use crate::words::HandleId;
use crate::words::HeldLock;
use crate::words::Lock;
use crate::words::LockKind;
use crate::words::LockOwner;
use crate::words::Manage;
use crate::words::MappingId;
use crate::words::Memory;
use crate::words::Mode;
use crate::words::OpenOptions;
use crate::words::Outcome;
use crate::words::Pid;
use crate::words::SetAttribute;
use crate::words::Sharing;
use crate::words::Signal;
use crate::words::Stat;
use crate::words::StatusFlags;
use crate::words::TimeChange;
use crate::words::Value;
use crate::words::Whence;

const CALL_EXPECTED: &str = "the name of an operation such as open or write";
const OUTCOME_EXPECTED: &str = "ok, handle, data, count, offset, stat, entries, target, \
     same, attribute, attributes, lock, mapping, signal, space or error with an errno";

/// One call, after its process.
pub(crate) fn call(cursor: &mut Cursor<'_>) -> Result<Call, ParseError> {
    let column = cursor.start();
    match cursor.word(CALL_EXPECTED)? {
        "open" => Ok(Call::Open { at: at(cursor)?, options: open_options(cursor)? }),
        "stat" => Ok(Call::Stat { at: at(cursor)?, follow: cursor.takes("follow") }),
        "utimens" => set_times(cursor),
        "mkdir" => Ok(Call::MakeDirectory { at: at(cursor)?, mode: mode_if_any(cursor)? }),
        "chmod" => set_mode(cursor),
        "rmdir" => Ok(Call::RemoveDirectory { at: at(cursor)? }),
        "unlink" => Ok(Call::Unlink { at: at(cursor)? }),
        "rename" => {
            let (from, to) = (at(cursor)?, at(cursor)?);
            Ok(Call::Rename { from, to, replace: !cursor.takes("noreplace") })
        }
        "exchange" => Ok(Call::Exchange { from: at(cursor)?, to: at(cursor)? }),
        "link" => {
            let from = at(cursor)?;
            let follow = cursor.takes("follow");
            Ok(Call::Link { from, follow, to: at(cursor)? })
        }
        "openunnamed" => Ok(Call::OpenUnnamed { at: at(cursor)?, options: open_options(cursor)? }),
        "linkhandle" => Ok(Call::LinkHandle { handle: handle(cursor)?, to: at(cursor)? }),
        "symlink" => Ok(Call::Symlink { target: cursor.bytes()?, at: at(cursor)? }),
        "readlink" => Ok(Call::ReadLink { at: at(cursor)? }),
        "syncfs" => Ok(Call::SyncAll),
        "snapshot" => Ok(Call::Manage(Manage::Snapshot { name: cursor.bytes()? })),
        "opensnapshot" => Ok(Call::Manage(Manage::OpenSnapshot { name: cursor.bytes()? })),
        "deletesnapshot" => Ok(Call::Manage(Manage::DeleteSnapshot { name: cursor.bytes()? })),
        "dropcaches" => Ok(Call::Manage(Manage::DropCaches)),
        "statfs" => Ok(Call::Manage(Manage::Space)),
        name => {
            if let Some(asked) = attribute(cursor, name)? {
                return Ok(Call::Attribute(asked));
            }
            if let Some(shared) = shares(cursor, name)? {
                return Ok(shared);
            }
            if let Some(asked) = memory(cursor, name)? {
                return Ok(Call::Memory(asked));
            }
            if let Some(asked) = lock(cursor, name)? {
                return Ok(Call::Lock(asked));
            }
            call_of_handle(cursor, name)?.ok_or_else(|| cursor.expected_at(column, CALL_EXPECTED))
        }
    }
}

/// A call whose first argument is a handle; nothing if there is no such operation.
fn call_of_handle(cursor: &mut Cursor<'_>, name: &str) -> Result<Option<Call>, ParseError> {
    let known = match name {
        "close" => Call::Close { handle: handle(cursor)? },
        "read" => Call::Read {
            handle: handle(cursor)?,
            offset: offset_if_any(cursor)?,
            len: cursor.small_number("", "a number of bytes below 2^32")?,
        },
        "write" => Call::Write {
            handle: handle(cursor)?,
            offset: offset_if_any(cursor)?,
            data: cursor.bytes()?,
        },
        "seek" => {
            Call::Seek { handle: handle(cursor)?, offset: signed(cursor)?, whence: whence(cursor)? }
        }
        "fstat" => Call::StatHandle { handle: handle(cursor)? },
        "futimens" => Call::SetTimesHandle {
            handle: handle(cursor)?,
            access: time(cursor, "access=", "access= with keep, now or nanoseconds")?,
            modify: time(cursor, "modify=", "modify= with keep, now or nanoseconds")?,
        },
        "fchmod" => Call::SetModeHandle { handle: handle(cursor)?, mode: permissions(cursor)? },
        "truncate" => Call::Truncate {
            handle: handle(cursor)?,
            size_bytes: cursor.number("", "a size in bytes")?,
        },
        "allocate" => Call::Allocate {
            handle: handle(cursor)?,
            offset: cursor.number("@", "an offset such as @0")?,
            len: cursor.number("", "a number of bytes")?,
            mode: mode(cursor),
        },
        "advise" => Call::Advise { handle: handle(cursor)? },
        "fsync" => Call::Fsync { handle: handle(cursor)? },
        "fdatasync" => Call::Fdatasync { handle: handle(cursor)? },
        "setflags" => {
            Call::SetStatusFlags { handle: handle(cursor)?, status: status_flags(cursor) }
        }
        "readdir" => Call::ReadDirectory {
            handle: handle(cursor)?,
            cookie: cursor.number("@", "a cookie such as @0")?,
            count_max: cursor.small_number("", "a number of entries below 2^32")?,
        },
        "compression" => {
            let (handle, on) = (handle(cursor)?, on_or_off(cursor)?);
            Call::Manage(Manage::SetCompression { handle, on })
        }
        "nocow" => {
            let (handle, on) = (handle(cursor)?, on_or_off(cursor)?);
            Call::Manage(Manage::SetNoCow { handle, on })
        }
        "syncrange" => Call::Manage(Manage::SyncRange {
            handle: handle(cursor)?,
            offset: offset(cursor)?,
            len: cursor.number("", "a number of bytes")?,
            wait: cursor.takes("wait"),
        }),
        _ => return Ok(None),
    };
    Ok(Some(known))
}

fn on_or_off(cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
    cursor.one_of("on or off", |word| match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    })
}

fn mode(cursor: &mut Cursor<'_>) -> AllocateMode {
    let words = [
        ("keepsize", AllocateMode::KeepSize),
        ("punch", AllocateMode::PunchHole),
        ("zero", AllocateMode::ZeroRange),
        ("zerokeepsize", AllocateMode::ZeroRangeKeepSize),
        ("collapse", AllocateMode::CollapseRange),
        ("insert", AllocateMode::InsertRange),
    ];
    let named = words.into_iter().find(|(word, _)| cursor.takes(word));
    named.map_or(AllocateMode::Extend, |(_, mode)| mode)
}

/// A call from one file to another; nothing if there is no such operation.
fn shares(cursor: &mut Cursor<'_>, name: &str) -> Result<Option<Call>, ParseError> {
    if name == "copyrange" {
        return Ok(Some(Call::CopyRange {
            from: handle(cursor)?,
            from_offset: offset_if_any(cursor)?,
            to: handle(cursor)?,
            to_offset: offset_if_any(cursor)?,
            len: cursor.number("", "a number of bytes")?,
        }));
    }
    if !["clonerange", "deduperange"].contains(&name) {
        return Ok(None);
    }
    let (from, from_offset) = (handle(cursor)?, offset(cursor)?);
    let len = cursor.number("", "a number of bytes")?;
    let (to, to_offset) = (handle(cursor)?, offset(cursor)?);
    Ok(Some(match name {
        "clonerange" => Call::CloneRange { from, from_offset, len, to, to_offset },
        _ => Call::DedupeRange { from, from_offset, len, to, to_offset },
    }))
}

/// A call about extended attributes; nothing if there is no such operation.
fn attribute(cursor: &mut Cursor<'_>, name: &str) -> Result<Option<Attribute>, ParseError> {
    let known = match name {
        "getattribute" => Attribute::Get { handle: handle(cursor)?, name: cursor.bytes()? },
        "listattributes" => Attribute::List { handle: handle(cursor)? },
        "setattribute" => Attribute::Set {
            handle: handle(cursor)?,
            name: cursor.bytes()?,
            value: cursor.bytes()?,
            how: match (cursor.takes("create"), cursor.takes("replace")) {
                (true, _) => SetAttribute::Create,
                (false, true) => SetAttribute::Replace,
                (false, false) => SetAttribute::Any,
            },
        },
        "removeattribute" => Attribute::Remove { handle: handle(cursor)?, name: cursor.bytes()? },
        _ => return Ok(None),
    };
    Ok(Some(known))
}

/// A call about mapped memory; nothing if there is no such operation.
fn memory(cursor: &mut Cursor<'_>, name: &str) -> Result<Option<Memory>, ParseError> {
    let known = match name {
        "mmap" => Memory::Map {
            handle: handle(cursor)?,
            offset: offset(cursor)?,
            len: cursor.number("", "a number of bytes")?,
            access: access(cursor),
            sharing: cursor.one_of("shared or private", |word| match word {
                "shared" => Some(Sharing::Shared),
                "private" => Some(Sharing::Private),
                _ => None,
            })?,
        },
        "munmap" => Memory::Unmap {
            mapping: mapping(cursor)?,
            offset: offset(cursor)?,
            len: cursor.number("", "a number of bytes")?,
        },
        "mprotect" => Memory::Protect {
            mapping: mapping(cursor)?,
            offset: offset(cursor)?,
            len: cursor.number("", "a number of bytes")?,
            access: access(cursor),
        },
        "store" => Memory::Store {
            mapping: mapping(cursor)?,
            offset: offset(cursor)?,
            data: cursor.bytes()?,
        },
        "load" => Memory::Load {
            mapping: mapping(cursor)?,
            offset: offset(cursor)?,
            len: cursor.small_number("", "a number of bytes below 2^32")?,
        },
        "msync" => Memory::SyncMapping {
            mapping: mapping(cursor)?,
            offset: offset(cursor)?,
            len: cursor.number("", "a number of bytes")?,
            wait: cursor.takes("wait"),
            invalidate: cursor.takes("invalidate"),
        },
        _ => return Ok(None),
    };
    Ok(Some(known))
}

/// A call about locks; nothing if there is no such operation.
fn lock(cursor: &mut Cursor<'_>, name: &str) -> Result<Option<Lock>, ParseError> {
    let known = match name {
        "flock" => Lock::Whole {
            handle: handle(cursor)?,
            kind: lock_kind_or_none(cursor)?,
            wait: cursor.takes("wait"),
        },
        "lock" => Lock::Record {
            handle: handle(cursor)?,
            kind: lock_kind_or_none(cursor)?,
            start: offset(cursor)?,
            len: cursor.number("", "a number of bytes")?,
            wait: cursor.takes("wait"),
            owner: lock_owner(cursor),
        },
        "testlock" => Lock::Test {
            handle: handle(cursor)?,
            kind: lock_kind(cursor)?,
            start: offset(cursor)?,
            len: cursor.number("", "a number of bytes")?,
            owner: lock_owner(cursor),
        },
        "closeduplicate" => Lock::CloseDuplicate { handle: handle(cursor)? },
        _ => return Ok(None),
    };
    Ok(Some(known))
}

fn lock_owner(cursor: &mut Cursor<'_>) -> LockOwner {
    match cursor.takes("description") {
        true => LockOwner::Description,
        false => LockOwner::Process,
    }
}

fn lock_kind_or_none(cursor: &mut Cursor<'_>) -> Result<Option<LockKind>, ParseError> {
    cursor.one_of("shared, exclusive or unlock", |word| match word {
        "shared" => Some(Some(LockKind::Shared)),
        "exclusive" => Some(Some(LockKind::Exclusive)),
        "unlock" => Some(None),
        _ => None,
    })
}

fn lock_kind(cursor: &mut Cursor<'_>) -> Result<LockKind, ParseError> {
    cursor.one_of("shared or exclusive", |word| match word {
        "shared" => Some(LockKind::Shared),
        "exclusive" => Some(LockKind::Exclusive),
        _ => None,
    })
}

fn held_lock(cursor: &mut Cursor<'_>) -> Result<Option<HeldLock>, ParseError> {
    if cursor.takes("none") {
        return Ok(None);
    }
    Ok(Some(HeldLock {
        process: match cursor.takes("description") {
            true => None,
            false => {
                let expected = "none, description, or a process such as p1";
                Some(Pid(cursor.small_number("p", expected)?))
            }
        },
        kind: lock_kind(cursor)?,
        start: offset(cursor)?,
        len: cursor.number("", "a number of bytes")?,
    }))
}

fn mapping(cursor: &mut Cursor<'_>) -> Result<MappingId, ParseError> {
    Ok(MappingId(cursor.number("m", "a mapping such as m1")?))
}

fn offset(cursor: &mut Cursor<'_>) -> Result<u64, ParseError> {
    cursor.number("@", "an offset such as @0")
}

fn access(cursor: &mut Cursor<'_>) -> Access {
    Access { read: cursor.takes("read"), write: cursor.takes("write") }
}

/// What a call was told, after its step.
pub(crate) fn outcome(cursor: &mut Cursor<'_>) -> Result<Outcome, ParseError> {
    let column = cursor.start();
    let value = match cursor.word(OUTCOME_EXPECTED)? {
        "error" => return Ok(Err(cursor.errno()?)),
        "ok" => Value::Done,
        "handle" => Value::Handle {
            handle: handle(cursor)?,
            kind: kind(cursor)?,
            ino: match cursor.is_next("ino=") {
                true => Some(ino(cursor)?),
                false => None,
            },
        },
        "data" => Value::Data(cursor.bytes()?),
        "count" => Value::Count(cursor.small_number("", "a number of bytes below 2^32")?),
        "offset" => Value::Offset(cursor.number("", "an offset in bytes")?),
        "stat" => Value::Stat(stat(cursor)?),
        "entries" => Value::Entries(entries(cursor)?),
        "target" => Value::Target(cursor.bytes()?),
        "same" => Value::Same(cursor.one_of("yes or no", |word| match word {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        })?),
        "attribute" => Value::AttributeValue(cursor.bytes()?),
        "attributes" => {
            let mut names = Vec::new();
            while !cursor.is_at_end() {
                names.push(cursor.bytes()?);
            }
            Value::AttributeNames(names)
        }
        "lock" => Value::Lock(held_lock(cursor)?),
        "mapping" => Value::Mapping(mapping(cursor)?),
        "signal" => Value::Signal(cursor.one_of("SIGBUS or SIGSEGV", |word| match word {
            "SIGBUS" => Some(Signal::Bus),
            "SIGSEGV" => Some(Signal::Segv),
            _ => None,
        })?),
        "space" => Value::Space {
            block_size_bytes: cursor.small_number("block=", "a size such as block=4096")?,
            block_count: cursor.number("blocks=", "a number such as blocks=512")?,
            free_count: cursor.number("free=", "a number such as free=100")?,
        },
        _ => return Err(cursor.expected_at(column, OUTCOME_EXPECTED)),
    };
    Ok(Ok(value))
}

fn stat(cursor: &mut Cursor<'_>) -> Result<Stat, ParseError> {
    Ok(Stat {
        ino: ino(cursor)?,
        kind: kind(cursor)?,
        link_count: cursor.number("links=", "a link count such as links=1")?,
        size_bytes: cursor.number("size=", "a size such as size=4096")?,
        access_nanos: cursor.number("access=", "a time such as access=0")?,
        modify_nanos: cursor.number("modify=", "a time such as modify=0")?,
        change_nanos: cursor.number("change=", "a time such as change=0")?,
        mode: mode_if_any(cursor)?,
    })
}

fn entries(cursor: &mut Cursor<'_>) -> Result<Vec<DirectoryEntry>, ParseError> {
    let mut entries = Vec::new();
    while !cursor.is_at_end() {
        entries.push(DirectoryEntry {
            next_cookie: cursor.number("@", "a cookie such as @1")?,
            ino: ino(cursor)?,
            kind: kind(cursor)?,
            name: cursor.bytes()?,
        });
    }
    Ok(entries)
}

fn set_times(cursor: &mut Cursor<'_>) -> Result<Call, ParseError> {
    Ok(Call::SetTimes {
        at: at(cursor)?,
        follow: cursor.takes("follow"),
        access: time(cursor, "access=", "access= with keep, now or nanoseconds")?,
        modify: time(cursor, "modify=", "modify= with keep, now or nanoseconds")?,
    })
}

fn set_mode(cursor: &mut Cursor<'_>) -> Result<Call, ParseError> {
    Ok(Call::SetMode {
        at: at(cursor)?,
        follow: cursor.takes("follow"),
        mode: permissions(cursor)?,
    })
}

pub(crate) fn mode_if_any(cursor: &mut Cursor<'_>) -> Result<Option<Mode>, ParseError> {
    if !cursor.is_next("mode=") {
        return Ok(None);
    }
    permissions(cursor).map(Some)
}

fn permissions(cursor: &mut Cursor<'_>) -> Result<Mode, ParseError> {
    cursor.one_of("permission bits such as mode=0644", |word| {
        let digits = word.strip_prefix("mode=").filter(|digits| digits.len() == 4)?;
        let is_octal = digits.bytes().all(|digit| (b'0'..b'8').contains(&digit));
        let bits = u32::from_str_radix(digits, 8).ok().filter(|_| is_octal)?;
        Some(Mode::new(bits))
    })
}

fn time(
    cursor: &mut Cursor<'_>,
    prefix: &str,
    expected: &'static str,
) -> Result<TimeChange, ParseError> {
    cursor.one_of(expected, |word| match word.strip_prefix(prefix)? {
        "keep" => Some(TimeChange::Keep),
        "now" => Some(TimeChange::Now),
        nanos => decimal(nanos).map(TimeChange::At),
    })
}

fn open_options(cursor: &mut Cursor<'_>) -> Result<OpenOptions, ParseError> {
    Ok(OpenOptions {
        read: cursor.takes("read"),
        write: cursor.takes("write"),
        create: cursor.takes("create"),
        exclusive: cursor.takes("exclusive"),
        truncate: cursor.takes("truncate"),
        directory: cursor.takes("directory"),
        follow: cursor.takes("follow"),
        status: status_flags(cursor),
        mode: mode_if_any(cursor)?,
    })
}

fn status_flags(cursor: &mut Cursor<'_>) -> StatusFlags {
    StatusFlags {
        append: cursor.takes("append"),
        data_sync: cursor.takes("dsync"),
        sync: cursor.takes("sync"),
        read_sync: cursor.takes("rsync"),
        nonblocking: cursor.takes("nonblock"),
        direct: cursor.takes("direct"),
    }
}

fn at(cursor: &mut Cursor<'_>) -> Result<At, ParseError> {
    Ok(At { directory: handle(cursor)?, path: cursor.bytes()? })
}

fn handle(cursor: &mut Cursor<'_>) -> Result<HandleId, ParseError> {
    Ok(HandleId(cursor.number("h", "a handle such as h5")?))
}

fn offset_if_any(cursor: &mut Cursor<'_>) -> Result<Option<u64>, ParseError> {
    if !cursor.is_next("@") {
        return Ok(None);
    }
    cursor.number("@", "an offset such as @0").map(Some)
}

fn signed(cursor: &mut Cursor<'_>) -> Result<i64, ParseError> {
    cursor.one_of("an offset such as 10 or -10", |word| {
        decimal(word.strip_prefix('-').unwrap_or(word)).and_then(|_| word.parse().ok())
    })
}

fn kind(cursor: &mut Cursor<'_>) -> Result<FileKind, ParseError> {
    cursor.one_of("regular, directory or symlink", |word| match word {
        "regular" => Some(FileKind::Regular),
        "directory" => Some(FileKind::Directory),
        "symlink" => Some(FileKind::Symlink),
        _ => None,
    })
}

fn whence(cursor: &mut Cursor<'_>) -> Result<Whence, ParseError> {
    cursor.one_of("set, current, end, data or hole", |word| match word {
        "set" => Some(Whence::Set),
        "current" => Some(Whence::Current),
        "end" => Some(Whence::End),
        "data" => Some(Whence::Data),
        "hole" => Some(Whence::Hole),
        _ => None,
    })
}

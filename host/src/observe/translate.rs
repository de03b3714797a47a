//! The stack's words in the spec's words.
//!
//! By `match` without a wildcard, so that a new request does not compile until somebody has
//! decided what it means.

use crashproof_spec::words;

use crate::call;

/// A process.
#[must_use]
pub fn process(process: call::ProcessId) -> words::Pid {
    words::Pid(process.0)
}

/// A request.
#[must_use]
pub fn request(request: &call::Request) -> words::Call {
    use call::Request as R;
    use words::Call as C;
    match request {
        R::Open { at: target, options: how } => C::Open { at: at(target), options: options(*how) },
        R::Close { handle: h } => C::Close { handle: handle(*h) },
        R::Read { handle: h, offset, len } => {
            C::Read { handle: handle(*h), offset: *offset, len: *len }
        }
        R::Write { handle: h, offset, data } => {
            C::Write { handle: handle(*h), offset: *offset, data: data.clone() }
        }
        R::Seek { handle: h, offset, whence: from } => {
            C::Seek { handle: handle(*h), offset: *offset, whence: whence(*from) }
        }
        R::Stat { at: target, follow } => C::Stat { at: at(target), follow: *follow },
        R::StatHandle { handle: h } => C::StatHandle { handle: handle(*h) },
        R::SetTimes { at: target, follow, access, modify } => {
            set_times(target, *follow, *access, *modify)
        }
        R::SetTimesHandle { handle: h, access, modify } => {
            C::SetTimesHandle { handle: handle(*h), access: time(*access), modify: time(*modify) }
        }
        R::SetMode { at: target, follow, mode } => set_mode(target, *follow, *mode),
        R::SetModeHandle { handle: h, mode } => set_mode_of(*h, *mode),
        R::Truncate { handle: h, size_bytes } => {
            C::Truncate { handle: handle(*h), size_bytes: *size_bytes }
        }
        R::Allocate { handle: h, offset, len, mode } => {
            C::Allocate { handle: handle(*h), offset: *offset, len: *len, mode: allocate(*mode) }
        }
        R::CopyRange { from, from_offset, to, to_offset, len } => {
            copy_range(*from, *from_offset, *to, *to_offset, *len)
        }
        R::CloneRange { from, from_offset, len, to, to_offset } => {
            clone_range(*from, *from_offset, *len, *to, *to_offset)
        }
        R::DedupeRange { from, from_offset, len, to, to_offset } => {
            dedupe_range(*from, *from_offset, *len, *to, *to_offset)
        }
        R::Advise { handle: h } => C::Advise { handle: handle(*h) },
        R::Fsync { handle: h } => C::Fsync { handle: handle(*h) },
        R::Fdatasync { handle: h } => C::Fdatasync { handle: handle(*h) },
        R::SetStatusFlags { handle: h, status } => {
            C::SetStatusFlags { handle: handle(*h), status: flags(*status) }
        }
        R::ReadDirectory { handle: h, cookie, count_max } => {
            C::ReadDirectory { handle: handle(*h), cookie: *cookie, count_max: *count_max }
        }
        R::MakeDirectory { at: target, mode } => make_directory(target, *mode),
        R::RemoveDirectory { at: target } => C::RemoveDirectory { at: at(target) },
        R::Unlink { at: target } => C::Unlink { at: at(target) },
        R::Rename { from, to, replace } => {
            C::Rename { from: at(from), to: at(to), replace: *replace }
        }
        R::Exchange { from, to } => C::Exchange { from: at(from), to: at(to) },
        R::Link { from, follow, to } => C::Link { from: at(from), follow: *follow, to: at(to) },
        R::OpenUnnamed { at: target, options: how } => {
            C::OpenUnnamed { at: at(target), options: options(*how) }
        }
        R::LinkHandle { handle: h, to } => C::LinkHandle { handle: handle(*h), to: at(to) },
        R::Symlink { target, at: name } => C::Symlink { target: target.clone(), at: at(name) },
        R::ReadLink { at: name } => C::ReadLink { at: at(name) },
        R::SyncAll => C::SyncAll,
        R::Attribute(asked) => C::Attribute(attribute(asked)),
        R::Lock(asked) => C::Lock(lock(asked)),
        R::Memory(asked) => C::Memory(memory(asked)),
        R::Manage(asked) => C::Manage(manage(asked)),
    }
}

fn set_times(
    target: &call::At,
    follow: bool,
    access: call::TimeChange,
    modify: call::TimeChange,
) -> words::Call {
    words::Call::SetTimes { at: at(target), follow, access: time(access), modify: time(modify) }
}

fn set_mode(target: &call::At, follow: bool, mode: call::Mode) -> words::Call {
    words::Call::SetMode { at: at(target), follow, mode: permissions(mode) }
}

fn set_mode_of(of: call::HandleId, mode: call::Mode) -> words::Call {
    words::Call::SetModeHandle { handle: handle(of), mode: permissions(mode) }
}

fn make_directory(target: &call::At, mode: Option<call::Mode>) -> words::Call {
    words::Call::MakeDirectory { at: at(target), mode: mode.map(permissions) }
}

fn copy_range(
    from: call::HandleId,
    from_offset: Option<u64>,
    to: call::HandleId,
    to_offset: Option<u64>,
    len: u64,
) -> words::Call {
    let (from, to) = (handle(from), handle(to));
    words::Call::CopyRange { from, from_offset, to, to_offset, len }
}

fn clone_range(
    from: call::HandleId,
    from_offset: u64,
    len: u64,
    to: call::HandleId,
    to_offset: u64,
) -> words::Call {
    let (from, to) = (handle(from), handle(to));
    words::Call::CloneRange { from, from_offset, len, to, to_offset }
}

fn dedupe_range(
    from: call::HandleId,
    from_offset: u64,
    len: u64,
    to: call::HandleId,
    to_offset: u64,
) -> words::Call {
    let (from, to) = (handle(from), handle(to));
    words::Call::DedupeRange { from, from_offset, len, to, to_offset }
}

/// An answer.
pub fn answer(answer: &call::Answer) -> words::Outcome {
    match answer {
        Ok(told) => Ok(value(told)),
        Err(why) => Err(errno(*why)),
    }
}

fn value(value: &call::Value) -> words::Value {
    use call::Value as V;
    use words::Value as W;
    match value {
        V::Done => W::Done,
        V::Handle { handle: h, kind: k, ino: which } => {
            W::Handle { handle: handle(*h), kind: kind(*k), ino: which.map(ino) }
        }
        V::Data(bytes) => W::Data(bytes.clone()),
        V::Count(count) => W::Count(*count),
        V::Offset(offset) => W::Offset(*offset),
        V::Stat(facts) => W::Stat(stat(*facts)),
        V::Entries(entries) => W::Entries(entries.iter().map(entry).collect()),
        V::Target(target) => W::Target(target.clone()),
        V::Same(same) => W::Same(*same),
        V::AttributeValue(value) => W::AttributeValue(value.clone()),
        V::AttributeNames(names) => W::AttributeNames(names.clone()),
        V::Lock(held) => W::Lock(held.map(held_lock)),
        V::Mapping(id) => W::Mapping(mapping(*id)),
        V::Signal(call::Signal::Bus) => W::Signal(words::Signal::Bus),
        V::Signal(call::Signal::Segv) => W::Signal(words::Signal::Segv),
        V::Space { block_size_bytes, block_count, free_count } => W::Space {
            block_size_bytes: *block_size_bytes,
            block_count: *block_count,
            free_count: *free_count,
        },
    }
}

fn attribute(asked: &call::Attribute) -> words::Attribute {
    use call::Attribute as R;
    use words::Attribute as C;
    match asked {
        R::Get { handle: h, name } => C::Get { handle: handle(*h), name: name.clone() },
        R::List { handle: h } => C::List { handle: handle(*h) },
        R::Set { handle: h, name, value, how } => C::Set {
            handle: handle(*h),
            name: name.clone(),
            value: value.clone(),
            how: match how {
                call::SetAttribute::Any => words::SetAttribute::Any,
                call::SetAttribute::Create => words::SetAttribute::Create,
                call::SetAttribute::Replace => words::SetAttribute::Replace,
            },
        },
        R::Remove { handle: h, name } => C::Remove { handle: handle(*h), name: name.clone() },
    }
}

fn allocate(mode: call::AllocateMode) -> words::AllocateMode {
    use call::AllocateMode as R;
    use words::AllocateMode as C;
    match mode {
        R::Extend => C::Extend,
        R::KeepSize => C::KeepSize,
        R::PunchHole => C::PunchHole,
        R::ZeroRange => C::ZeroRange,
        R::ZeroRangeKeepSize => C::ZeroRangeKeepSize,
        R::CollapseRange => C::CollapseRange,
        R::InsertRange => C::InsertRange,
    }
}

fn lock(asked: &call::Lock) -> words::Lock {
    use call::Lock as R;
    use words::Lock as C;
    match asked {
        R::Whole { handle: h, kind, wait } => {
            C::Whole { handle: handle(*h), kind: kind.map(lock_kind), wait: *wait }
        }
        R::Record { handle: h, kind, start, len, wait, owner } => C::Record {
            handle: handle(*h),
            kind: kind.map(lock_kind),
            start: *start,
            len: *len,
            wait: *wait,
            owner: lock_owner(*owner),
        },
        R::Test { handle: h, kind, start, len, owner } => C::Test {
            handle: handle(*h),
            kind: lock_kind(*kind),
            start: *start,
            len: *len,
            owner: lock_owner(*owner),
        },
        R::CloseDuplicate { handle: h } => C::CloseDuplicate { handle: handle(*h) },
    }
}

fn lock_owner(owner: call::LockOwner) -> words::LockOwner {
    match owner {
        call::LockOwner::Process => words::LockOwner::Process,
        call::LockOwner::Description => words::LockOwner::Description,
    }
}

fn lock_kind(kind: call::LockKind) -> words::LockKind {
    match kind {
        call::LockKind::Shared => words::LockKind::Shared,
        call::LockKind::Exclusive => words::LockKind::Exclusive,
    }
}

fn held_lock(held: call::HeldLock) -> words::HeldLock {
    let call::HeldLock { process: holder, kind, start, len } = held;
    words::HeldLock { process: holder.map(process), kind: lock_kind(kind), start, len }
}

fn memory(asked: &call::Memory) -> words::Memory {
    use call::Memory as R;
    use words::Memory as C;
    match asked {
        R::Map { handle: h, offset, len, access: allowed, sharing: whose } => C::Map {
            handle: handle(*h),
            offset: *offset,
            len: *len,
            access: access(*allowed),
            sharing: sharing(*whose),
        },
        R::Unmap { mapping: m, offset, len } => {
            C::Unmap { mapping: mapping(*m), offset: *offset, len: *len }
        }
        R::Protect { mapping: m, offset, len, access: allowed } => C::Protect {
            mapping: mapping(*m),
            offset: *offset,
            len: *len,
            access: access(*allowed),
        },
        R::Store { mapping: m, offset, data } => {
            C::Store { mapping: mapping(*m), offset: *offset, data: data.clone() }
        }
        R::Load { mapping: m, offset, len } => {
            C::Load { mapping: mapping(*m), offset: *offset, len: *len }
        }
        R::SyncMapping { mapping: m, offset, len, wait, invalidate } => C::SyncMapping {
            mapping: mapping(*m),
            offset: *offset,
            len: *len,
            wait: *wait,
            invalidate: *invalidate,
        },
    }
}

fn manage(asked: &call::Manage) -> words::Manage {
    use call::Manage as R;
    use words::Manage as C;
    match asked {
        R::Snapshot { name } => C::Snapshot { name: name.clone() },
        R::OpenSnapshot { name } => C::OpenSnapshot { name: name.clone() },
        R::DeleteSnapshot { name } => C::DeleteSnapshot { name: name.clone() },
        R::SetCompression { handle: h, on } => C::SetCompression { handle: handle(*h), on: *on },
        R::SetNoCow { handle: h, on } => C::SetNoCow { handle: handle(*h), on: *on },
        R::SyncRange { handle: h, offset, len, wait } => {
            C::SyncRange { handle: handle(*h), offset: *offset, len: *len, wait: *wait }
        }
        R::DropCaches => C::DropCaches,
        R::Space => C::Space,
    }
}

fn mapping(mapping: call::MappingId) -> words::MappingId {
    words::MappingId(mapping.0)
}

fn access(access: call::Access) -> words::Access {
    let call::Access { read, write } = access;
    words::Access { read, write }
}

fn sharing(sharing: call::Sharing) -> words::Sharing {
    match sharing {
        call::Sharing::Shared => words::Sharing::Shared,
        call::Sharing::Private => words::Sharing::Private,
    }
}

/// Permission bits.
#[must_use]
pub fn permissions(mode: call::Mode) -> words::Mode {
    words::Mode::new(mode.bits().into())
}

/// Facts about a file.
#[must_use]
pub fn stat(stat: call::Stat) -> words::Stat {
    words::Stat {
        ino: ino(stat.ino),
        kind: kind(stat.kind),
        mode: stat.mode.map(permissions),
        link_count: stat.link_count,
        size_bytes: stat.size_bytes,
        access_nanos: stat.access_nanos,
        modify_nanos: stat.modify_nanos,
        change_nanos: stat.change_nanos,
    }
}

fn entry(entry: &call::DirectoryEntry) -> words::DirectoryEntry {
    words::DirectoryEntry {
        next_cookie: entry.next_cookie,
        ino: ino(entry.ino),
        kind: kind(entry.kind),
        name: entry.name.clone(),
    }
}

/// What a subject said about itself.
#[must_use]
pub fn testimony(testimony: &call::Testimony) -> words::Testimony {
    use call::Testimony as T;
    use words::Testimony as W;
    match testimony {
        T::Committed { call } => W::Committed { call: words::Step(call.0) },
        T::Lost { file, range, errno: why, seen } => W::Lost {
            file: ino(*file),
            range: range.clone(),
            errno: errno(*why),
            seen: seen.map(|call| words::Step(call.0)),
        },
        T::Resolved { file, range } => W::Resolved { file: ino(*file), range: range.clone() },
        T::Failed { errno: why, file } => W::Failed { errno: errno(*why), file: file.map(ino) },
        T::Evicted { file, range } => W::Evicted { file: ino(*file), range: range.clone() },
    }
}

fn at(at: &call::At) -> words::At {
    words::At { directory: handle(at.directory), path: at.path.clone() }
}

fn handle(handle: call::HandleId) -> words::HandleId {
    words::HandleId(handle.0)
}

fn ino(ino: call::Ino) -> words::Ino {
    words::Ino(ino.0)
}

fn kind(kind: call::FileKind) -> words::FileKind {
    match kind {
        call::FileKind::Regular => words::FileKind::Regular,
        call::FileKind::Directory => words::FileKind::Directory,
        call::FileKind::Symlink => words::FileKind::Symlink,
    }
}

fn options(options: call::OpenOptions) -> words::OpenOptions {
    words::OpenOptions {
        read: options.read,
        write: options.write,
        create: options.create,
        exclusive: options.exclusive,
        truncate: options.truncate,
        directory: options.directory,
        follow: options.follow,
        status: flags(options.status),
        mode: options.mode.map(permissions),
    }
}

fn flags(status: call::StatusFlags) -> words::StatusFlags {
    let call::StatusFlags { append, data_sync, sync, read_sync, nonblocking, direct } = status;
    words::StatusFlags { append, data_sync, sync, read_sync, nonblocking, direct }
}

fn whence(whence: call::Whence) -> words::Whence {
    match whence {
        call::Whence::Set => words::Whence::Set,
        call::Whence::Current => words::Whence::Current,
        call::Whence::End => words::Whence::End,
        call::Whence::Data => words::Whence::Data,
        call::Whence::Hole => words::Whence::Hole,
    }
}

fn time(time: call::TimeChange) -> words::TimeChange {
    match time {
        call::TimeChange::Keep => words::TimeChange::Keep,
        call::TimeChange::Now => words::TimeChange::Now,
        call::TimeChange::At(nanos) => words::TimeChange::At(nanos),
    }
}

/// Why a request failed.
#[must_use]
pub fn errno(errno: call::Errno) -> words::Errno {
    use call::Errno as E;
    use words::Errno as W;
    match errno {
        E::Access => W::Access,
        E::Again => W::Again,
        E::BadFile => W::BadFile,
        E::Busy => W::Busy,
        E::Deadlock => W::Deadlock,
        E::Exists => W::Exists,
        E::FileTooBig => W::FileTooBig,
        E::IllegalSequence => W::IllegalSequence,
        E::Interrupted => W::Interrupted,
        E::Invalid => W::Invalid,
        E::Io => W::Io,
        E::IsDirectory => W::IsDirectory,
        E::Loop => W::Loop,
        E::TooManyOpen => W::TooManyOpen,
        E::TooManyLinks => W::TooManyLinks,
        E::NameTooLong => W::NameTooLong,
        E::NoEntry => W::NoEntry,
        E::NoLocks => W::NoLocks,
        E::NoMemory => W::NoMemory,
        E::NoSpace => W::NoSpace,
        E::NotDirectory => W::NotDirectory,
        E::NotEmpty => W::NotEmpty,
        E::NotSupported => W::NotSupported,
        E::NoAddress => W::NoAddress,
        E::NoDevice => W::NoDevice,
        E::Overflow => W::Overflow,
        E::NotPermitted => W::NotPermitted,
        E::BrokenPipe => W::BrokenPipe,
        E::ReadOnly => W::ReadOnly,
        E::IllegalSeek => W::IllegalSeek,
        E::CrossDevice => W::CrossDevice,
        E::NotCapable => W::NotCapable,
        E::NoAttribute => W::NoAttribute,
        E::TooBig => W::TooBig,
    }
}

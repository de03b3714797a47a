//! The text form of a trace: one line an event, a survey several; `spec/docs/trace-format.md`.
//!
//! F-1: what is written here, [`crate::trace::parse`] reads back as itself.

use std::fmt;
use std::fmt::Write;

use crate::trace::CrashKind;
use crate::trace::Event;
use crate::trace::quoted::Quoted;
use crate::words::Access;
use crate::words::AllocateMode;
use crate::words::At;
use crate::words::Attribute;
use crate::words::Call;
use crate::words::DirectoryEntry;
use crate::words::FileKind;
use crate::words::Found;
use crate::words::FoundKind;
use crate::words::HandleId;
use crate::words::HeldLock;
use crate::words::Lock;
use crate::words::LockKind;
use crate::words::LockOwner;
use crate::words::Manage;
use crate::words::Memory;
use crate::words::Mode;
use crate::words::OpenOptions;
use crate::words::Outcome;
use crate::words::SetAttribute;
use crate::words::Sharing;
use crate::words::Signal;
use crate::words::Stat;
use crate::words::StatusFlags;
use crate::words::Step;
use crate::words::Survey;
use crate::words::Testimony;
use crate::words::TimeChange;
use crate::words::Value;
use crate::words::Whence;

/// The first line of every trace. The number is the version of the form.
pub const HEADER: &str = "crashproof-trace 1";

/// One event as text, without a line break at its end.
#[must_use]
pub fn fmt_event(event: &Event, step: Step) -> String {
    let mut text = String::new();
    write_event(&mut text, event, step).expect("writing to a String cannot fail");
    text
}

/// Writes a trace as it happens, an event at a time.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    last: Step,
}

impl<W: Write> Writer<W> {
    /// Writes the first line.
    pub fn new(mut out: W) -> Result<Self, fmt::Error> {
        writeln!(out, "{HEADER}")?;
        Ok(Self { out, last: Step(0) })
    }

    /// Writes the next event and tells its step.
    pub fn event(&mut self, event: &Event) -> Result<Step, fmt::Error> {
        let step = Step(self.last.0.saturating_add(1));
        write_event(&mut self.out, event, step)?;
        self.out.write_char('\n')?;
        self.last = step;
        Ok(step)
    }

    /// Writes a remark, each line of it as a comment.
    pub fn comment(&mut self, text: &str) -> fmt::Result {
        text.lines().try_for_each(|line| writeln!(self.out, "# {line}"))
    }

    /// What has been written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Writes one event, without a line break at its end.
pub fn write_event(out: &mut impl Write, event: &Event, step: Step) -> fmt::Result {
    write!(out, "{} ", step.0)?;
    match event {
        Event::Called { process, call } => {
            write!(out, "call p{} ", process.0)?;
            write_call(out, call)
        }
        Event::Answered { call, outcome } => {
            write!(out, "answer {} ", call.0)?;
            write_outcome(out, outcome)
        }
        Event::Exited { process } => write!(out, "exit p{}", process.0),
        Event::Testified(testimony) => {
            out.write_str("testimony ")?;
            write_testimony(out, testimony)
        }
        Event::Crashed(CrashKind::Process(process)) => write!(out, "crash process p{}", process.0),
        Event::Crashed(CrashKind::Kernel) => out.write_str("crash kernel"),
        Event::Crashed(CrashKind::Power) => out.write_str("crash power"),
        Event::Surveyed(Ok(survey)) => write_survey(out, survey),
        Event::Surveyed(Err(why)) => write!(out, "survey failed {}", Quoted(why.as_bytes())),
    }
}

/// Writes one call: the operation's name, then its arguments.
pub fn write_call(out: &mut impl Write, call: &Call) -> fmt::Result {
    match call {
        Call::Open { at, options } => {
            write!(out, "open {}", AtText(at))?;
            write_open_options(out, *options)
        }
        Call::Close { handle } => write!(out, "close h{}", handle.0),
        Call::Read { handle, offset, len } => {
            write!(out, "read h{}{} {len}", handle.0, OffsetText(*offset))
        }
        Call::Write { handle, offset, data } => {
            write!(out, "write h{}{} {}", handle.0, OffsetText(*offset), Quoted(data))
        }
        Call::Seek { handle, offset, whence } => {
            write!(out, "seek h{} {offset} {}", handle.0, whence_name(*whence))
        }
        Call::Stat { at, follow } => write!(out, "stat {}{}", AtText(at), follow_text(*follow)),
        Call::StatHandle { handle } => write!(out, "fstat h{}", handle.0),
        Call::SetTimes { .. }
        | Call::SetTimesHandle { .. }
        | Call::SetMode { .. }
        | Call::SetModeHandle { .. } => write_setting(out, call),
        Call::Truncate { handle, size_bytes } => write!(out, "truncate h{} {size_bytes}", handle.0),
        Call::Allocate { handle, offset, len, mode } => {
            write!(out, "allocate h{} @{offset} {len}{}", handle.0, mode_text(*mode))
        }
        Call::CopyRange { from, from_offset, to, to_offset, len } => {
            let (from_offset, to_offset) = (OffsetText(*from_offset), OffsetText(*to_offset));
            write!(out, "copyrange h{}{from_offset} h{}{to_offset} {len}", from.0, to.0)
        }
        Call::CloneRange { from, from_offset, len, to, to_offset } => {
            write!(out, "clonerange h{} @{from_offset} {len} h{} @{to_offset}", from.0, to.0)
        }
        Call::DedupeRange { from, from_offset, len, to, to_offset } => {
            write!(out, "deduperange h{} @{from_offset} {len} h{} @{to_offset}", from.0, to.0)
        }
        Call::Advise { handle } => write!(out, "advise h{}", handle.0),
        Call::Fsync { handle } => write!(out, "fsync h{}", handle.0),
        Call::Fdatasync { handle } => write!(out, "fdatasync h{}", handle.0),
        Call::SetStatusFlags { handle, status } => write_new_status(out, *handle, *status),
        Call::ReadDirectory { handle, cookie, count_max } => {
            write!(out, "readdir h{} @{cookie} {count_max}", handle.0)
        }
        Call::MakeDirectory { at, mode } => {
            write!(out, "mkdir {}{}", AtText(at), ModeText(*mode))
        }
        Call::RemoveDirectory { at } => write!(out, "rmdir {}", AtText(at)),
        Call::Unlink { at } => write!(out, "unlink {}", AtText(at)),
        Call::Rename { from, to, replace } => {
            write!(out, "rename {} {}", AtText(from), AtText(to))?;
            out.write_str(if *replace { "" } else { " noreplace" })
        }
        Call::Exchange { from, to } => write!(out, "exchange {} {}", AtText(from), AtText(to)),
        Call::Link { from, follow, to } => {
            write!(out, "link {}{} {}", AtText(from), follow_text(*follow), AtText(to))
        }
        Call::OpenUnnamed { at, options } => {
            write!(out, "openunnamed {}", AtText(at))?;
            write_open_options(out, *options)
        }
        Call::LinkHandle { handle, to } => write!(out, "linkhandle h{} {}", handle.0, AtText(to)),
        Call::Symlink { target, at } => write!(out, "symlink {} {}", Quoted(target), AtText(at)),
        Call::ReadLink { at } => write!(out, "readlink {}", AtText(at)),
        Call::SyncAll => out.write_str("syncfs"),
        Call::Attribute(asked) => write_attribute(out, asked),
        Call::Lock(asked) => write_lock(out, asked),
        Call::Memory(asked) => write_memory(out, asked),
        Call::Manage(asked) => write_manage(out, asked),
    }
}

/// Writes what a call was told.
pub fn write_outcome(out: &mut impl Write, outcome: &Outcome) -> fmt::Result {
    match outcome {
        Err(errno) => write!(out, "error {}", errno.name()),
        Ok(Value::Done) => out.write_str("ok"),
        Ok(Value::Handle { handle, kind, ino }) => {
            write!(out, "handle h{} {}", handle.0, kind_name(*kind))?;
            ino.map_or(Ok(()), |ino| write!(out, " ino={}", ino.0))
        }
        Ok(Value::Data(bytes)) => write!(out, "data {}", Quoted(bytes)),
        Ok(Value::Count(count)) => write!(out, "count {count}"),
        Ok(Value::Offset(offset)) => write!(out, "offset {offset}"),
        Ok(Value::Stat(stat)) => write_stat(out, stat),
        Ok(Value::Entries(entries)) => {
            out.write_str("entries")?;
            entries.iter().try_for_each(|entry| write_entry(out, entry))
        }
        Ok(Value::Target(target)) => write!(out, "target {}", Quoted(target)),
        Ok(Value::Same(true)) => out.write_str("same yes"),
        Ok(Value::Same(false)) => out.write_str("same no"),
        Ok(Value::AttributeValue(value)) => write!(out, "attribute {}", Quoted(value)),
        Ok(Value::AttributeNames(names)) => {
            out.write_str("attributes")?;
            names.iter().try_for_each(|name| write!(out, " {}", Quoted(name)))
        }
        Ok(Value::Lock(None)) => out.write_str("lock none"),
        Ok(Value::Lock(Some(held))) => {
            let HeldLock { process, kind, start, len } = held;
            out.write_str("lock ")?;
            match process {
                Some(process) => write!(out, "p{}", process.0)?,
                None => out.write_str("description")?,
            }
            write!(out, " {} @{start} {len}", lock_name(Some(*kind)))
        }
        Ok(Value::Mapping(mapping)) => write!(out, "mapping m{}", mapping.0),
        Ok(Value::Signal(Signal::Bus)) => out.write_str("signal SIGBUS"),
        Ok(Value::Signal(Signal::Segv)) => out.write_str("signal SIGSEGV"),
        Ok(Value::Space { block_size_bytes, block_count, free_count }) => {
            write!(out, "space block={block_size_bytes} blocks={block_count} free={free_count}")
        }
    }
}

/// A call that sets times or permission bits.
fn write_setting(out: &mut impl Write, call: &Call) -> fmt::Result {
    if let Call::SetTimes { at, follow, access, modify } = call {
        write!(out, "utimens {}{}", AtText(at), follow_text(*follow))?;
        write_times(out, *access, *modify)?;
    } else if let Call::SetTimesHandle { handle, access, modify } = call {
        write!(out, "futimens h{}", handle.0)?;
        write_times(out, *access, *modify)?;
    } else if let Call::SetMode { at, follow, mode } = call {
        write!(out, "chmod {}{}{}", AtText(at), follow_text(*follow), ModeText(Some(*mode)))?;
    } else if let Call::SetModeHandle { handle, mode } = call {
        write!(out, "fchmod h{}{}", handle.0, ModeText(Some(*mode)))?;
    }
    Ok(())
}

fn write_times(out: &mut impl Write, access: TimeChange, modify: TimeChange) -> fmt::Result {
    write!(out, " access={} modify={}", TimeText(access), TimeText(modify))
}

fn write_new_status(out: &mut impl Write, handle: HandleId, status: StatusFlags) -> fmt::Result {
    write!(out, "setflags h{}", handle.0)?;
    write_status(out, status)
}

fn write_attribute(out: &mut impl Write, asked: &Attribute) -> fmt::Result {
    match asked {
        Attribute::Get { handle, name } => {
            write!(out, "getattribute h{} {}", handle.0, Quoted(name))
        }
        Attribute::List { handle } => write!(out, "listattributes h{}", handle.0),
        Attribute::Set { handle, name, value, how } => {
            write!(out, "setattribute h{} {} {}", handle.0, Quoted(name), Quoted(value))?;
            out.write_str(match how {
                SetAttribute::Any => "",
                SetAttribute::Create => " create",
                SetAttribute::Replace => " replace",
            })
        }
        Attribute::Remove { handle, name } => {
            write!(out, "removeattribute h{} {}", handle.0, Quoted(name))
        }
    }
}

fn mode_text(mode: AllocateMode) -> &'static str {
    match mode {
        AllocateMode::Extend => "",
        AllocateMode::KeepSize => " keepsize",
        AllocateMode::PunchHole => " punch",
        AllocateMode::ZeroRange => " zero",
        AllocateMode::ZeroRangeKeepSize => " zerokeepsize",
        AllocateMode::CollapseRange => " collapse",
        AllocateMode::InsertRange => " insert",
    }
}

fn write_lock(out: &mut impl Write, asked: &Lock) -> fmt::Result {
    match asked {
        Lock::Whole { handle, kind, wait } => {
            write!(out, "flock h{} {}", handle.0, lock_name(*kind))?;
            write_flags(out, &[(*wait, "wait")])
        }
        Lock::Record { handle, kind, start, len, wait, owner } => {
            write!(out, "lock h{} {} @{start} {len}", handle.0, lock_name(*kind))?;
            let is_its_own = *owner == LockOwner::Description;
            write_flags(out, &[(*wait, "wait"), (is_its_own, "description")])
        }
        Lock::Test { handle, kind, start, len, owner } => {
            write!(out, "testlock h{} {} @{start} {len}", handle.0, lock_name(Some(*kind)))?;
            write_flags(out, &[(*owner == LockOwner::Description, "description")])
        }
        Lock::CloseDuplicate { handle } => write!(out, "closeduplicate h{}", handle.0),
    }
}

fn lock_name(kind: Option<LockKind>) -> &'static str {
    match kind {
        Some(LockKind::Shared) => "shared",
        Some(LockKind::Exclusive) => "exclusive",
        None => "unlock",
    }
}

fn write_memory(out: &mut impl Write, asked: &Memory) -> fmt::Result {
    match asked {
        Memory::Map { handle, offset, len, access, sharing } => {
            write!(out, "mmap h{} @{offset} {len}", handle.0)?;
            write_access(out, *access)?;
            out.write_str(match sharing {
                Sharing::Shared => " shared",
                Sharing::Private => " private",
            })
        }
        Memory::Unmap { mapping, offset, len } => {
            write!(out, "munmap m{} @{offset} {len}", mapping.0)
        }
        Memory::Protect { mapping, offset, len, access } => {
            write!(out, "mprotect m{} @{offset} {len}", mapping.0)?;
            write_access(out, *access)
        }
        Memory::Store { mapping, offset, data } => {
            write!(out, "store m{} @{offset} {}", mapping.0, Quoted(data))
        }
        Memory::Load { mapping, offset, len } => write!(out, "load m{} @{offset} {len}", mapping.0),
        Memory::SyncMapping { mapping, offset, len, wait, invalidate } => {
            write!(out, "msync m{} @{offset} {len}", mapping.0)?;
            write_flags(out, &[(*wait, "wait"), (*invalidate, "invalidate")])
        }
    }
}

fn write_manage(out: &mut impl Write, asked: &Manage) -> fmt::Result {
    match asked {
        Manage::Snapshot { name } => write!(out, "snapshot {}", Quoted(name)),
        Manage::OpenSnapshot { name } => write!(out, "opensnapshot {}", Quoted(name)),
        Manage::DeleteSnapshot { name } => write!(out, "deletesnapshot {}", Quoted(name)),
        Manage::SetCompression { handle, on } => {
            write!(out, "compression h{}", handle.0)?;
            out.write_str(if *on { " on" } else { " off" })
        }
        Manage::SetNoCow { handle, on } => {
            write!(out, "nocow h{}", handle.0)?;
            out.write_str(if *on { " on" } else { " off" })
        }
        Manage::SyncRange { handle, offset, len, wait } => {
            write!(out, "syncrange h{} @{offset} {len}", handle.0)?;
            write_flags(out, &[(*wait, "wait")])
        }
        Manage::DropCaches => out.write_str("dropcaches"),
        Manage::Space => out.write_str("statfs"),
    }
}

fn write_access(out: &mut impl Write, access: Access) -> fmt::Result {
    let Access { read, write } = access;
    write_flags(out, &[(read, "read"), (write, "write")])
}

/// Writes a statement of the subject about itself.
pub fn write_testimony(out: &mut impl Write, testimony: &Testimony) -> fmt::Result {
    match testimony {
        Testimony::Committed { call } => write!(out, "committed {}", call.0),
        Testimony::Lost { file, range, errno, seen } => {
            write!(out, "lost ino={} {}..{} {}", file.0, range.start, range.end, errno.name())?;
            seen.map_or(Ok(()), |seen| write!(out, " seen={}", seen.0))
        }
        Testimony::Resolved { file, range } => {
            write!(out, "resolved ino={} {}..{}", file.0, range.start, range.end)
        }
        Testimony::Failed { errno, file } => {
            write!(out, "failed {}", errno.name())?;
            file.map_or(Ok(()), |file| write!(out, " ino={}", file.0))
        }
        Testimony::Evicted { file, range } => {
            write!(out, "evicted ino={} {}..{}", file.0, range.start, range.end)
        }
        Testimony::Lied => out.write_str("lied"),
        Testimony::Audit { clause, evidence } => {
            let (clause, evidence) = (clause.as_bytes(), evidence.as_bytes());
            write!(out, "audit {} {}", Quoted(clause), Quoted(evidence))
        }
    }
}

fn write_survey(out: &mut impl Write, survey: &Survey) -> fmt::Result {
    out.write_str("survey\n")?;
    for (path, found) in &survey.names {
        out.write_str("  ")?;
        write_found(out, path, found)?;
        out.write_char('\n')?;
    }
    out.write_str("  end")
}

fn write_found(out: &mut impl Write, path: &[u8], found: &Found) -> fmt::Result {
    let what = match found.kind {
        FoundKind::Regular { .. } => "file",
        FoundKind::Directory => "directory",
        FoundKind::Symlink { .. } => "symlink",
        FoundKind::Unreadable { .. } => "unreadable",
    };
    write!(out, "{what} {} ino={} links={}", Quoted(path), found.ino.0, found.link_count)?;
    write!(out, "{}", ModeText(found.mode))?;
    for (name, value) in &found.attributes {
        write!(out, " attribute {} {}", Quoted(name), Quoted(value))?;
    }
    match &found.kind {
        FoundKind::Regular { size_bytes, content } => {
            write!(out, " size={size_bytes}")?;
            match content {
                Ok(content) => content
                    .pieces
                    .iter()
                    .try_for_each(|(at, bytes)| write!(out, " @{at} {}", Quoted(bytes))),
                Err(errno) => write!(out, " error {}", errno.name()),
            }
        }
        FoundKind::Directory => Ok(()),
        FoundKind::Symlink { target } => write!(out, " target {}", Quoted(target)),
        FoundKind::Unreadable { errno } => write!(out, " error {}", errno.name()),
    }
}

fn write_stat(out: &mut impl Write, stat: &Stat) -> fmt::Result {
    write!(out, "stat ino={} {} links={}", stat.ino.0, kind_name(stat.kind), stat.link_count)?;
    write!(out, " size={} access={}", stat.size_bytes, stat.access_nanos)?;
    write!(out, " modify={} change={}", stat.modify_nanos, stat.change_nanos)?;
    write!(out, "{}", ModeText(stat.mode))
}

fn write_entry(out: &mut impl Write, entry: &DirectoryEntry) -> fmt::Result {
    let (cookie, kind) = (entry.next_cookie, kind_name(entry.kind));
    write!(out, " @{cookie} ino={} {kind} {}", entry.ino.0, Quoted(&entry.name))
}

fn write_open_options(out: &mut impl Write, options: OpenOptions) -> fmt::Result {
    let OpenOptions { read, write, create, exclusive, truncate, directory, follow, status, mode } =
        options;
    let flags = [
        (read, "read"),
        (write, "write"),
        (create, "create"),
        (exclusive, "exclusive"),
        (truncate, "truncate"),
        (directory, "directory"),
        (follow, "follow"),
    ];
    write_flags(out, &flags)?;
    write_status(out, status)?;
    write!(out, "{}", ModeText(mode))
}

fn write_status(out: &mut impl Write, status: StatusFlags) -> fmt::Result {
    let StatusFlags { append, data_sync, sync, read_sync, nonblocking, direct } = status;
    let flags = [
        (append, "append"),
        (data_sync, "dsync"),
        (sync, "sync"),
        (read_sync, "rsync"),
        (nonblocking, "nonblock"),
        (direct, "direct"),
    ];
    write_flags(out, &flags)
}

fn write_flags(out: &mut impl Write, flags: &[(bool, &str)]) -> fmt::Result {
    let set = flags.iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, name)| name).try_for_each(|name| write!(out, " {name}"))
}

/// The word for a kind of file.
#[must_use]
pub fn kind_name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Regular => "regular",
        FileKind::Directory => "directory",
        FileKind::Symlink => "symlink",
    }
}

fn whence_name(whence: Whence) -> &'static str {
    match whence {
        Whence::Set => "set",
        Whence::Current => "current",
        Whence::End => "end",
        Whence::Data => "data",
        Whence::Hole => "hole",
    }
}

fn follow_text(follow: bool) -> &'static str {
    if follow { " follow" } else { "" }
}

struct AtText<'a>(&'a At);

impl fmt::Display for AtText<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "h{} {}", self.0.directory.0, Quoted(&self.0.path))
    }
}

struct OffsetText(Option<u64>);

impl fmt::Display for OffsetText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |offset| write!(out, " @{offset}"))
    }
}

struct ModeText(Option<Mode>);

impl fmt::Display for ModeText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |mode| write!(out, " mode={:04o}", mode.bits()))
    }
}

struct TimeText(TimeChange);

impl fmt::Display for TimeText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TimeChange::Keep => out.write_str("keep"),
            TimeChange::Now => out.write_str("now"),
            TimeChange::At(nanos) => write!(out, "{nanos}"),
        }
    }
}

//! A file system that notes what it is asked and answers the same always.

use std::sync::Mutex;

use bytes::Bytes;
use crashproof::call::Attribute;
use crashproof::call::Caller;
use crashproof::call::DirectoryEntry;
use crashproof::call::FileKind;
use crashproof::call::Halt;
use crashproof::call::HandleId;
use crashproof::call::Ino;
use crashproof::call::Lock;
use crashproof::call::Manage;
use crashproof::call::MappingId;
use crashproof::call::Memory;
use crashproof::call::Mode;
use crashproof::call::ProcessId;
use crashproof::call::ReplyFuture;
use crashproof::call::Request;
use crashproof::call::Stat;
use crashproof::call::Value;
use crashproof::call::Vfs;
use crashproof::sim::Point;
use crashproof::sim::Sim;

/// What was asked, by whom, in order.
pub(crate) struct Notebook {
    sim: Sim,
    notes: Mutex<Vec<(ProcessId, Request)>>,
    /// The call, counted from one, at which the run is over.
    halt_at: Option<usize>,
    /// Whose calls are never answered, and whose end never ends.
    parked: Option<ProcessId>,
}

impl Notebook {
    pub(crate) fn new(sim: &Sim) -> Self {
        Self { sim: sim.clone(), notes: Mutex::default(), halt_at: None, parked: None }
    }

    pub(crate) fn halting_at(sim: &Sim, call: usize) -> Self {
        Self { halt_at: Some(call), ..Self::new(sim) }
    }

    pub(crate) fn parking(self, process: ProcessId) -> Self {
        Self { parked: Some(process), ..self }
    }

    pub(crate) fn notes(&self) -> Vec<(ProcessId, Request)> {
        self.notes.lock().expect("one thread").clone()
    }

    fn note(&self, caller: Caller, request: &Request) -> usize {
        let mut notes = self.notes.lock().expect("one thread");
        notes.push((caller.process, request.clone()));
        notes.len()
    }
}

fn entry(cookie: u64, name: &'static str) -> DirectoryEntry {
    let name = Bytes::from_static(name.as_bytes());
    DirectoryEntry { next_cookie: cookie, ino: Ino(cookie), kind: FileKind::Regular, name }
}

fn answer_of_attribute(asked: &Attribute) -> Value {
    match asked {
        Attribute::Get { .. } => Value::AttributeValue(Bytes::from_static(b"value")),
        Attribute::List { .. } => Value::AttributeNames(vec![Bytes::from_static(b"user.a")]),
        Attribute::Set { .. } | Attribute::Remove { .. } => Value::Done,
    }
}

const STAT: Stat = Stat {
    ino: Ino(1),
    kind: FileKind::Regular,
    mode: Some(Mode::FILE),
    link_count: 1,
    size_bytes: 0,
    access_nanos: 0,
    modify_nanos: 0,
    change_nanos: 0,
};

fn answer(request: &Request, call: usize) -> Value {
    match request {
        Request::Open { .. } => {
            Value::Handle { handle: HandleId(call as u64), kind: FileKind::Regular, ino: None }
        }
        Request::Read { len, .. } => Value::Data(vec![b'x'; *len as usize].into()),
        Request::Write { data, .. } => Value::Count(data.len() as u32),
        Request::Seek { .. } => Value::Offset(7),
        Request::Stat { .. } | Request::StatHandle { .. } => Value::Stat(STAT),
        Request::ReadDirectory { .. } => Value::Entries(vec![entry(1, "one"), entry(2, "two")]),
        Request::ReadLink { .. } => Value::Target(Bytes::from_static(b"target")),
        Request::Close { .. }
        | Request::SetTimes { .. }
        | Request::SetTimesHandle { .. }
        | Request::SetMode { .. }
        | Request::SetModeHandle { .. }
        | Request::Truncate { .. }
        | Request::Allocate { .. }
        | Request::Advise { .. }
        | Request::Fsync { .. }
        | Request::Fdatasync { .. }
        | Request::SetStatusFlags { .. }
        | Request::MakeDirectory { .. }
        | Request::RemoveDirectory { .. }
        | Request::Unlink { .. }
        | Request::Rename { .. }
        | Request::Exchange { .. }
        | Request::OpenUnnamed { .. }
        | Request::LinkHandle { .. }
        | Request::Link { .. }
        | Request::Symlink { .. }
        | Request::CloneRange { .. }
        | Request::SyncAll => Value::Done,
        Request::CopyRange { .. } => Value::Count(0),
        Request::DedupeRange { .. } => Value::Same(false),
        Request::Attribute(attribute) => answer_of_attribute(attribute),
        Request::Lock(lock) => match lock {
            Lock::Test { .. } => Value::Lock(None),
            Lock::Whole { .. } | Lock::Record { .. } | Lock::CloseDuplicate { .. } => Value::Done,
        },
        Request::Memory(memory) => match memory {
            Memory::Map { .. } => Value::Mapping(MappingId(call as u64)),
            Memory::Load { len, .. } => Value::Data(vec![b'x'; *len as usize].into()),
            Memory::Unmap { .. }
            | Memory::Protect { .. }
            | Memory::Store { .. }
            | Memory::SyncMapping { .. } => Value::Done,
        },
        Request::Manage(manage) => match manage {
            Manage::OpenSnapshot { .. } => Value::Handle {
                handle: HandleId(call as u64),
                kind: FileKind::Directory,
                ino: None,
            },
            Manage::Space => Value::Space { block_size_bytes: 512, block_count: 64, free_count: 7 },
            Manage::Snapshot { .. }
            | Manage::DeleteSnapshot { .. }
            | Manage::SetCompression { .. }
            | Manage::SetNoCow { .. }
            | Manage::SyncRange { .. }
            | Manage::DropCaches => Value::Done,
        },
    }
}

impl Vfs for Notebook {
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_> {
        Box::pin(async move {
            self.sim.point(Point::CallStart).await;
            let call = self.note(caller, &request);
            if self.parked == Some(caller.process) {
                std::future::pending::<()>().await;
            }
            if self.halt_at.is_some_and(|halt_at| call >= halt_at) {
                return Err(Halt::Crashed);
            }
            Ok(Ok(answer(&request, call)))
        })
    }

    fn end_process(&self, process: ProcessId) -> ReplyFuture<'_> {
        Box::pin(async move {
            if self.parked == Some(process) {
                std::future::pending::<()>().await;
            }
            Ok(Ok(Value::Done))
        })
    }
}

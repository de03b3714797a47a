//! Who does a workload: each operation with what it depends on, as calls of one process.

mod deeds;

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::call::At;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::Halt;
use crate::call::HandleId;
use crate::call::OpenOptions;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::StatusFlags;
use crate::call::Value;
use crate::call::Vfs;
use crate::check::ace::AceName;
use crate::check::ace::AceOperation;
use crate::check::ace::Persistence;
use crate::check::ace::Placed;
use crate::check::ace::Workload;
use crate::observe::Recorder;

const CALLER: Caller = Caller { process: ProcessId(1), call: CallId(0) };

/// Blocks of content that a file gets that an operation needs content in.
const FIRST_BLOCKS: u64 = 2;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    /// Which of [`Actor::files`].
    File(usize),
    Symlink,
}

/// What is known of a file, whatever its names are.
#[derive(Debug, Clone, Copy, Default)]
struct File {
    size_bytes: u64,
    has_attribute: bool,
}

/// Does workloads. It knows what there is from what succeeded, and never asks.
pub(in crate::check) struct Actor<'a> {
    recorder: &'a Recorder,
    block_size_bytes: u64,
    /// By path, below the root.
    nodes: BTreeMap<&'static str, Node>,
    /// What came below another name by a rename of its directory: paths that no operation names.
    strays: Vec<(String, Node)>,
    files: Vec<File>,
    open: BTreeMap<&'static str, HandleId>,
    written: u8,
    has_snapshot: bool,
    errors: u64,
}

/// Read and write.
fn options(create: bool, exclusive: bool) -> OpenOptions {
    OpenOptions {
        read: true,
        write: true,
        create,
        exclusive,
        truncate: false,
        directory: false,
        follow: true,
        status: StatusFlags::default(),
        mode: None,
    }
}

fn at(path: &str) -> At {
    At { directory: HandleId::ROOT, path: Bytes::copy_from_slice(path.as_bytes()) }
}

type Done = Result<(), Halt>;

impl<'a> Actor<'a> {
    /// On an empty file system.
    pub(in crate::check) fn new(recorder: &'a Recorder, block_size_bytes: u32) -> Self {
        Self {
            recorder,
            block_size_bytes: u64::from(block_size_bytes),
            nodes: BTreeMap::new(),
            strays: Vec::new(),
            files: Vec::new(),
            open: BTreeMap::new(),
            written: 0,
            has_snapshot: false,
            errors: 0,
        }
    }

    /// Does a workload.
    ///
    /// # Errors
    /// If the file system is no more there.
    pub(in crate::check) async fn run(&mut self, workload: &Workload) -> Done {
        for (operation, persistence) in &workload.operations {
            self.perform(*operation).await?;
            self.persist(*persistence).await?;
        }
        Ok(())
    }

    /// How many calls were answered with an error.
    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    /// One call; `None` is an error, which the oracle judges.
    async fn ask(&mut self, request: Request) -> Result<Option<Value>, Halt> {
        let answer = self.recorder.call(CALLER, request).await?;
        self.errors += u64::from(answer.is_err());
        Ok(answer.ok())
    }

    async fn perform(&mut self, operation: AceOperation) -> Done {
        use AceOperation as O;
        match operation {
            O::Create(name) => self.create(name).await,
            O::MakeDirectory(name) => self.make_directory(name).await,
            O::Allocate(name, mode, placed) => self.allocate(name, mode, placed).await,
            O::Write(name, placed) => {
                let handle = self.content_for(name, placed).await?;
                let (offset, len) = self.place(name, placed);
                self.write(name, handle, offset, len).await
            }
            O::WriteDirect(name, placed) => self.write_direct(name, placed).await,
            O::WriteMapped(name, placed) => {
                let handle = self.content_for(name, placed).await?;
                let (offset, len) = self.place(name, placed);
                self.store(name, handle, (offset, len), len).await
            }
            O::WriteMappedRanged(name) => {
                let handle = self.content(name).await?;
                let len = self.size(name).min(FIRST_BLOCKS * self.block_size_bytes);
                self.store(name, handle, (0, len), self.block_size_bytes).await
            }
            O::Link(from, to) => self.link(from, to).await,
            O::Unlink(name) => {
                self.file(name).await?;
                self.unlink(name.path()).await
            }
            O::Remove(name) => {
                self.file(name).await?;
                self.close(name.path()).await?;
                self.unlink(name.path()).await
            }
            O::Rename(from, to) => self.rename(from, to).await,
            O::SetAttribute(name) => {
                let handle = self.file(name).await?;
                self.set_attribute(name, handle).await
            }
            O::RemoveAttribute(name) => self.remove_attribute(name).await,
            O::Truncate(name, aligned) => self.truncate(name, aligned).await,
            O::Symlink(target, name) => self.symlink(target, name).await,
            O::RemoveDirectory(name) => {
                self.directory(name).await?;
                self.empty(name.path()).await?;
                self.remove_directory(name.path()).await
            }
            O::Clone(from, to) => self.clone(from, to).await,
            O::Snapshot => self.snapshot().await,
        }
    }

    async fn persist(&mut self, persistence: Persistence) -> Done {
        match persistence {
            Persistence::Nothing => Ok(()),
            Persistence::Sync => self.ask(Request::SyncAll).await.map(drop),
            Persistence::Fsync(name) => {
                let handle = if name.is_directory() {
                    self.open_directory(name).await?
                } else {
                    self.file(name).await?
                };
                self.ask(Request::Fsync { handle }).await.map(drop)
            }
        }
    }
}

/// What operations depend on.
impl Actor<'_> {
    fn file_of(&mut self, name: AceName, change: impl FnOnce(&mut File)) {
        if let Some(Node::File(number)) = self.nodes.get(name.path()) {
            change(&mut self.files[*number]);
        }
    }

    fn size(&self, name: AceName) -> u64 {
        match self.nodes.get(name.path()) {
            Some(Node::File(number)) => self.files[*number].size_bytes,
            Some(Node::Directory | Node::Symlink) | None => 0,
        }
    }

    fn grow(&mut self, name: AceName, to: u64) {
        self.file_of(name, |file| file.size_bytes = file.size_bytes.max(to));
    }

    /// The range of an operation.
    fn place(&self, name: AceName, placed: Placed) -> (u64, u64) {
        let (size, block) = (self.size(name), self.block_size_bytes);
        match placed {
            Placed::Append => (size, 2 * block),
            Placed::Inside => (block / 2, block),
            Placed::Across => (size.saturating_sub(block / 2), block),
            Placed::Start => (0, block),
        }
    }

    /// The directory is there, and those above it.
    async fn directory(&mut self, name: AceName) -> Done {
        let mut missing = Vec::new();
        let mut here = name;
        while here != AceName::Root {
            missing.push(here);
            here = here.parent();
        }
        for directory in missing.into_iter().rev() {
            let path = directory.path();
            if self.nodes.get(path) == Some(&Node::Directory) {
                continue;
            }
            if self.ask(Request::MakeDirectory { at: at(path), mode: None }).await?.is_some() {
                self.nodes.insert(path, Node::Directory);
            }
        }
        Ok(())
    }

    async fn parents(&mut self, name: AceName) -> Done {
        self.directory(name.parent()).await
    }

    async fn open_directory(&mut self, name: AceName) -> Result<HandleId, Halt> {
        if name == AceName::Root {
            return Ok(HandleId::ROOT);
        }
        self.directory(name).await?;
        if let Some(handle) = self.open.get(name.path()) {
            return Ok(*handle);
        }
        let options = OpenOptions { write: false, directory: true, ..options(false, false) };
        self.open(name.path(), options).await
    }

    /// An open handle; where opening failed, one that no process has.
    async fn open(&mut self, path: &'static str, options: OpenOptions) -> Result<HandleId, Halt> {
        match self.ask(Request::Open { at: at(path), options }).await? {
            Some(Value::Handle { handle, .. }) => {
                self.open.insert(path, handle);
                Ok(handle)
            }
            Some(_) | None => Ok(HandleId(u64::MAX)),
        }
    }

    /// The file is there and open.
    async fn file(&mut self, name: AceName) -> Result<HandleId, Halt> {
        let path = name.path();
        if let Some(handle) = self.open.get(path) {
            return Ok(*handle);
        }
        self.parents(name).await?;
        if self.nodes.get(path) == Some(&Node::Symlink) {
            self.unlink(path).await?;
        }
        let handle = self.open(path, options(true, false)).await?;
        if !self.nodes.contains_key(path) {
            self.made(path);
        }
        Ok(handle)
    }

    fn made(&mut self, path: &'static str) {
        self.nodes.insert(path, Node::File(self.files.len()));
        self.files.push(File::default());
    }

    /// The file is there and open, and not empty.
    async fn content(&mut self, name: AceName) -> Result<HandleId, Halt> {
        let handle = self.file(name).await?;
        if self.size(name) == 0 {
            self.write(name, handle, 0, FIRST_BLOCKS * self.block_size_bytes).await?;
        }
        Ok(handle)
    }

    async fn content_for(&mut self, name: AceName, placed: Placed) -> Result<HandleId, Halt> {
        match placed {
            Placed::Append => self.file(name).await,
            Placed::Inside | Placed::Across | Placed::Start => self.content(name).await,
        }
    }

    async fn close(&mut self, path: &str) -> Done {
        match self.open.remove(path) {
            Some(handle) => self.ask(Request::Close { handle }).await.map(drop),
            None => Ok(()),
        }
    }

    async fn unlink(&mut self, path: &'static str) -> Done {
        if self.ask(Request::Unlink { at: at(path) }).await?.is_some() {
            self.nodes.remove(path);
            // What is open has no name any more.
            self.close(path).await?;
        }
        Ok(())
    }

    async fn remove_directory(&mut self, path: &'static str) -> Done {
        self.close(path).await?;
        if self.ask(Request::RemoveDirectory { at: at(path) }).await?.is_some() {
            self.nodes.remove(path);
        }
        Ok(())
    }

    /// There is no file and no link of that name.
    async fn clear(&mut self, path: &'static str) -> Done {
        if self.nodes.contains_key(path) {
            self.close(path).await?;
            self.unlink(path).await?;
        }
        Ok(())
    }

    /// There is nothing in the directory.
    async fn empty(&mut self, path: &'static str) -> Done {
        let below = format!("{path}/");
        let (gone, strays) = std::mem::take(&mut self.strays)
            .into_iter()
            .partition(|(at, _)| at.starts_with(&below));
        self.strays = strays;
        let named = self.nodes.iter().filter(|(at, _)| at.starts_with(&below));
        let mut gone: Vec<(String, Node)> = gone;
        gone.extend(named.map(|(path, node)| ((*path).to_owned(), *node)));
        // What is below comes first.
        gone.sort_by(|one, other| other.0.cmp(&one.0));
        for (path, node) in gone {
            self.close(&path).await?;
            let request = match node {
                Node::Directory => Request::RemoveDirectory { at: at(&path) },
                Node::File(_) | Node::Symlink => Request::Unlink { at: at(&path) },
            };
            if self.ask(request).await?.is_some() {
                self.nodes.retain(|known, _| *known != path);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

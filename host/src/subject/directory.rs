//! A directory of the host, as a stock WASI host would serve it.
//!
//! What wasi-common does to a guest is the point of this subject, and is not repaired: an fsync of
//! a directory is EBADF, preallocation and synchronous writes are not supported, a name that is
//! not UTF-8 is EILSEQ. Nothing outside of the directory is reached. There are no crashes here.
//!
//! Two things are not wasi-common's: the descriptor table, and reads of several buffers, of which
//! it fills the first.

mod errors;
mod requests;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use wasi_common::WasiDir;
use wasi_common::WasiFile;

use crate::call::Caller;
use crate::call::HandleId;
use crate::call::ProcessId;
use crate::call::ReplyFuture;
use crate::call::Request;
use crate::call::Value;
use crate::call::Vfs;

/// What a handle leads to.
#[derive(Clone)]
enum Open {
    File { file: Arc<Mutex<Box<dyn WasiFile>>>, is_readable: bool, is_writable: bool },
    Directory(Arc<dyn WasiDir>),
}

struct Entry {
    owner: ProcessId,
    open: Open,
}

struct Handles {
    entries: BTreeMap<HandleId, Entry>,
    next: u64,
}

/// A file system that passes every request to a directory of the host.
pub struct DirectorySubject {
    handles: Mutex<Handles>,
}

impl std::fmt::Debug for DirectorySubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectorySubject").finish_non_exhaustive()
    }
}

impl DirectorySubject {
    /// Serves a directory.
    ///
    /// # Errors
    /// If it cannot be opened as one.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let root = cap_std::fs::Dir::open_ambient_dir(path, cap_std::ambient_authority())?;
        Ok(Self::new(root))
    }

    /// Serves a directory that is open.
    #[must_use]
    pub fn new(root: cap_std::fs::Dir) -> Self {
        let root = wasi_common::sync::dir::Dir::from_cap_std(root);
        let open = Open::Directory(Arc::new(root));
        let entries = BTreeMap::from([(HandleId::ROOT, Entry { owner: ProcessId(0), open })]);
        Self { handles: Mutex::new(Handles { entries, next: HandleId::ROOT.0 + 1 }) }
    }

    fn handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, handle: HandleId) -> Option<Open> {
        self.handles().entries.get(&handle).map(|entry| entry.open.clone())
    }

    fn add(&self, owner: ProcessId, open: Open) -> HandleId {
        let mut handles = self.handles();
        let handle = HandleId(handles.next);
        handles.next += 1;
        handles.entries.insert(handle, Entry { owner, open });
        handle
    }

    fn remove(&self, handle: HandleId) -> bool {
        self.handles().entries.remove(&handle).is_some()
    }
}

impl Vfs for DirectorySubject {
    fn call(&self, caller: Caller, request: Request) -> ReplyFuture<'_> {
        Box::pin(async move { self.serve(caller, request) })
    }

    fn end_process(&self, process: ProcessId) -> ReplyFuture<'_> {
        Box::pin(async move {
            let is_kept = |handle: &HandleId, entry: &mut Entry| {
                *handle == HandleId::ROOT || entry.owner != process
            };
            self.handles().entries.retain(is_kept);
            Ok(Ok(Value::Done))
        })
    }
}

/// The output of a future that never waits, as those of wasi-common's synchronous files.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("synchronous files do not wait"),
    }
}

#[cfg(test)]
mod tests;

//! The survey: walks a file system by ordinary requests and says what is there.
//!
//! Files are read a piece at a time, as long as the subject's own pieces, so that what the
//! subject shares with the trace is shared with the survey.

use bytes::Bytes;
use crashproof_spec::words::Content;
use crashproof_spec::words::Errno;
use crashproof_spec::words::Found;
use crashproof_spec::words::FoundKind;
use crashproof_spec::words::Ino;
use crashproof_spec::words::Survey;

use crate::call;
use crate::call::At;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::OpenOptions;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Value;
use crate::call::Vfs;
use crate::observe::translate;

/// More names than this in one file system are not surveyed.
const NAME_COUNT_MAX: usize = 1 << 20;
/// Longer paths than this are not followed; a cycle of directories ends here.
const PATH_SIZE_BYTES_MAX: usize = 4096;
const ENTRY_COUNT_MAX: u32 = 1024;

/// Walks everything beneath the root, reading files in pieces of `piece_size_bytes`.
///
/// # Errors
/// If the root cannot be looked at, or there is more than a survey holds.
pub async fn survey_tree(vfs: &dyn Vfs, piece_size_bytes: u32) -> Result<Survey, String> {
    let walker = Walker { vfs, piece_size_bytes };
    let mut survey = Survey::default();
    let mut open = vec![Bytes::new()];
    let root = walker.look(&Bytes::new()).await;
    survey.names.insert(Bytes::new(), root);
    while let Some(path) = open.pop() {
        let names = match walker.list(&path).await {
            Ok(names) => names,
            Err(why) => {
                let found = survey.names.get_mut(&path).ok_or("a listed name vanished")?;
                found.kind = FoundKind::Unreadable { errno: why };
                continue;
            }
        };
        for name in names {
            let below = join(&path, &name);
            if below.len() > PATH_SIZE_BYTES_MAX {
                return Err(format!("a path is longer than {PATH_SIZE_BYTES_MAX} bytes"));
            }
            let found = walker.look(&below).await;
            if found.kind == FoundKind::Directory {
                open.push(below.clone());
            }
            survey.names.insert(below, found);
            if survey.names.len() > NAME_COUNT_MAX {
                return Err(format!("there are more than {NAME_COUNT_MAX} names"));
            }
        }
    }
    Ok(survey)
}

fn join(directory: &Bytes, name: &Bytes) -> Bytes {
    if directory.is_empty() {
        return name.clone();
    }
    Bytes::from([directory, &b"/"[..], name].concat())
}

struct Walker<'a> {
    vfs: &'a dyn Vfs,
    piece_size_bytes: u32,
}

impl Walker<'_> {
    async fn ask(&self, request: Request) -> Result<Value, Errno> {
        let caller = Caller { process: ProcessId(0), call: CallId(0) };
        match self.vfs.call(caller, request).await {
            Ok(answer) => answer.map_err(translate::errno),
            // A survey asks only for what every subject models.
            Err(_halt) => Err(Errno::NotSupported),
        }
    }

    /// What a path leads to. A name that cannot be looked at is found unreadable.
    async fn look(&self, path: &Bytes) -> Found {
        match self.try_look(path).await {
            Ok(found) => found,
            Err(errno) => {
                Found { ino: Ino(0), link_count: 0, kind: FoundKind::Unreadable { errno } }
            }
        }
    }

    async fn try_look(&self, path: &Bytes) -> Result<Found, Errno> {
        let request = if path.is_empty() {
            Request::StatHandle { handle: HandleId::ROOT }
        } else {
            Request::Stat { at: at(path), follow: false }
        };
        let Value::Stat(stat) = self.ask(request).await? else { return Err(Errno::NotSupported) };
        let kind = match stat.kind {
            FileKind::Directory => FoundKind::Directory,
            FileKind::Symlink => {
                let told = self.ask(Request::ReadLink { at: at(path) }).await?;
                let Value::Target(target) = told else { return Err(Errno::NotSupported) };
                FoundKind::Symlink { target }
            }
            FileKind::Regular => FoundKind::Regular {
                size_bytes: stat.size_bytes,
                content: self.read(path, stat.size_bytes).await,
            },
        };
        Ok(Found { ino: Ino(stat.ino.0), link_count: stat.link_count, kind })
    }

    async fn open(&self, path: &Bytes, directory: bool) -> Result<HandleId, Errno> {
        let options = OpenOptions { read: true, directory, ..OpenOptions::default() };
        let told = self.ask(Request::Open { at: at(path), options }).await?;
        let Value::Handle { handle, .. } = told else { return Err(Errno::NotSupported) };
        Ok(handle)
    }

    async fn read(&self, path: &Bytes, size_bytes: u64) -> Result<Content, Errno> {
        let handle = self.open(path, false).await?;
        let content = self.read_handle(handle, size_bytes).await;
        self.ask(Request::Close { handle }).await?;
        content
    }

    async fn read_handle(&self, handle: HandleId, size_bytes: u64) -> Result<Content, Errno> {
        let mut content = Content::default();
        let mut offset = 0;
        while offset < size_bytes {
            let request =
                Request::Read { handle, offset: Some(offset), len: self.piece_size_bytes };
            let Value::Data(piece) = self.ask(request).await? else {
                return Err(Errno::NotSupported);
            };
            if piece.is_empty() {
                break;
            }
            let at = offset;
            offset += piece.len() as u64;
            content.pieces.insert(at, piece);
        }
        Ok(content)
    }

    async fn list(&self, path: &Bytes) -> Result<Vec<Bytes>, Errno> {
        let handle = if path.is_empty() { HandleId::ROOT } else { self.open(path, true).await? };
        let names = self.list_handle(handle).await;
        if handle != HandleId::ROOT {
            self.ask(Request::Close { handle }).await?;
        }
        names
    }

    async fn list_handle(&self, handle: HandleId) -> Result<Vec<Bytes>, Errno> {
        let (mut names, mut cookie) = (Vec::new(), 0);
        loop {
            let count_max = ENTRY_COUNT_MAX;
            let request = Request::ReadDirectory { handle, cookie, count_max };
            let Value::Entries(entries) = self.ask(request).await? else {
                return Err(Errno::NotSupported);
            };
            let Some(last) = entries.last() else { return Ok(names) };
            // A directory that does not move on would be listed for ever.
            if last.next_cookie == cookie || names.len() > NAME_COUNT_MAX {
                return Err(Errno::Io);
            }
            cookie = last.next_cookie;
            let own = |entry: &call::DirectoryEntry| entry.name == "." || entry.name == "..";
            names.extend(entries.into_iter().filter(|entry| !own(entry)).map(|entry| entry.name));
        }
    }
}

fn at(path: &Bytes) -> At {
    At { directory: HandleId::ROOT, path: path.clone() }
}

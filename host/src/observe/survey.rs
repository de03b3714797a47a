//! The survey: walks a file system by ordinary requests and says what is there. Where the subject
//! knows what differs from one that was walked already, only that is walked, by the same requests.
//!
//! Files are read a piece at a time, as long as the subject's own pieces, so that what the
//! subject shares with the trace is shared with the survey.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use crashproof_spec::words::Content;
use crashproof_spec::words::Errno;
use crashproof_spec::words::Found;
use crashproof_spec::words::FoundKind;
use crashproof_spec::words::Ino;
use crashproof_spec::words::Survey;
use imbl::OrdMap;
use imbl::OrdSet;

use crate::call;
use crate::call::At;
use crate::call::Attribute;
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

/// A survey, with the names of each file.
#[derive(Debug, Clone, Default)]
pub struct Walked {
    /// What was found.
    pub survey: Survey,
    names: OrdSet<(Ino, Bytes)>,
}

/// What may not be as it was in an earlier survey, in the numbers of the subject.
#[derive(Debug, Clone, Default)]
pub struct Changed {
    /// Files, with the ranges of their content.
    pub files: BTreeMap<Ino, Vec<Range<u64>>>,
    /// Names, by directory, with the cookies after which the directory listed it, or does: none
    /// if it lists it as it did.
    pub names: BTreeMap<(Ino, Bytes), BTreeSet<u64>>,
}

impl Walked {
    fn insert(&mut self, path: Bytes, found: Found) -> Result<(), String> {
        self.names.insert((found.ino, path.clone()));
        self.survey.names.insert(path, found);
        if self.survey.names.len() > NAME_COUNT_MAX {
            return Err(format!("there are more than {NAME_COUNT_MAX} names"));
        }
        Ok(())
    }

    /// Forgets a path, and all below it.
    fn remove(&mut self, path: &Bytes) {
        let below: Bytes = [&path[..], &b"/"[..]].concat().into();
        let names = self.survey.names.range(below.clone()..).map(|(path, _)| path);
        let below = names.take_while(|path| path.starts_with(&below)).cloned();
        for path in below.chain([path.clone()]).collect::<Vec<_>>() {
            if let Some(found) = self.survey.names.remove(&path) {
                self.names.remove(&(found.ino, path));
            }
        }
    }

    fn paths(&self, ino: Ino) -> Vec<Bytes> {
        let from = self.names.range((ino, Bytes::new())..);
        from.take_while(|(of, _)| *of == ino).map(|(_, path)| path.clone()).collect()
    }
}

/// Walks everything beneath the root, reading files in pieces of `piece_size_bytes`.
///
/// # Errors
/// If the root cannot be looked at, or there is more than a survey holds.
pub async fn survey_tree(vfs: &dyn Vfs, piece_size_bytes: u32) -> Result<Walked, String> {
    let walker =
        Walker { vfs, piece_size_bytes, known: None, lacks_attributes: AtomicBool::new(false) };
    let mut walked = Walked::default();
    walker.walk(&mut walked, Bytes::new()).await?;
    Ok(walked)
}

/// Walks what may not be as it was in an earlier survey; nothing, if it has to be walked whole.
pub async fn survey_changes(
    vfs: &dyn Vfs,
    piece_size_bytes: u32,
    was: &Walked,
    changed: &Changed,
) -> Option<Walked> {
    let (known, lacks_attributes) = (Some((was, changed)), AtomicBool::new(false));
    let walker = Walker { vfs, piece_size_bytes, known, lacks_attributes };
    let mut walked = was.clone();
    for ((directory, name), cookies) in &changed.names {
        // A directory that is new is walked whole where it is listed.
        for parent in walked.paths(*directory) {
            let path = join(&parent, name);
            let is_listed = if cookies.is_empty() {
                walked.survey.names.contains_key(&path)
            } else {
                walker.is_listed(&parent, name, cookies).await.ok()?
            };
            walked.remove(&path);
            if is_listed {
                walker.walk(&mut walked, path).await.ok()?;
            }
        }
    }
    for ino in changed.files.keys() {
        for path in walked.paths(*ino) {
            let found = walker.try_look(&path).await.ok().filter(|found| found.ino == *ino)?;
            walked.survey.names.insert(path, found);
        }
    }
    Some(walked)
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
    /// An earlier survey, and in what this one may differ.
    known: Option<(&'a Walked, &'a Changed)>,
    /// Did the subject say that it has no extended attributes?
    lacks_attributes: AtomicBool,
}

impl Walker<'_> {
    /// Walks everything from a path on, that is listed and was not looked at.
    async fn walk(&self, walked: &mut Walked, from: Bytes) -> Result<(), String> {
        let mut open = vec![from];
        while let Some(path) = open.pop() {
            if path.len() > PATH_SIZE_BYTES_MAX {
                return Err(format!("a path is longer than {PATH_SIZE_BYTES_MAX} bytes"));
            }
            let mut found = self.look(&path).await;
            if path.is_empty() || found.kind == FoundKind::Directory {
                match self.list(&path).await {
                    Ok(names) => open.extend(names.iter().map(|name| join(&path, name))),
                    Err(why) => found.kind = FoundKind::Unreadable { errno: why },
                }
            }
            walked.insert(path, found)?;
        }
        Ok(())
    }

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
                let kind = FoundKind::Unreadable { errno };
                let (ino, attributes) = (Ino(0), OrdMap::new());
                Found { ino, link_count: 0, mode: None, attributes, kind }
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
            FileKind::Regular => {
                let size_bytes = stat.size_bytes;
                let known = match self.held(Ino(stat.ino.0)) {
                    Some(held) => self.read_changes(path, size_bytes, held).await.ok(),
                    None => None,
                };
                let content = match known {
                    Some(content) => Ok(content),
                    None => self.read(path, size_bytes).await,
                };
                FoundKind::Regular { size_bytes, content }
            }
        };
        let attributes = self.attributes(path, stat.kind).await?;
        let (ino, link_count) = (Ino(stat.ino.0), stat.link_count);
        let mode = stat.mode.map(translate::permissions);
        Ok(Found { ino, link_count, mode, attributes, kind })
    }

    /// The extended attributes of what is at a path; none where the subject has none, or where
    /// nobody can open it.
    async fn attributes(
        &self,
        path: &Bytes,
        kind: FileKind,
    ) -> Result<OrdMap<Bytes, Bytes>, Errno> {
        if kind == FileKind::Symlink || self.lacks_attributes.load(Ordering::Relaxed) {
            return Ok(OrdMap::new());
        }
        if path.is_empty() {
            return self.attributes_of(HandleId::ROOT).await;
        }
        let Ok(handle) = self.open(path, kind == FileKind::Directory).await else {
            return Ok(OrdMap::new());
        };
        let found = self.attributes_of(handle).await;
        self.ask(Request::Close { handle }).await?;
        found
    }

    async fn attributes_of(&self, handle: HandleId) -> Result<OrdMap<Bytes, Bytes>, Errno> {
        let mut found = OrdMap::new();
        let names = match self.ask(Request::Attribute(Attribute::List { handle })).await {
            Ok(Value::AttributeNames(names)) => names,
            Ok(_) | Err(Errno::NotSupported) => {
                self.lacks_attributes.store(true, Ordering::Relaxed);
                return Ok(found);
            }
            Err(errno) => return Err(errno),
        };
        for name in names {
            let asked = Attribute::Get { handle, name: name.clone() };
            let told = self.ask(Request::Attribute(asked)).await?;
            let Value::AttributeValue(value) = told else { return Err(Errno::NotSupported) };
            found.insert(name, value);
        }
        Ok(found)
    }

    /// What a file held in an earlier survey, and where that may have changed.
    fn held(&self, ino: Ino) -> Option<(u64, Content, &[Range<u64>])> {
        let (was, changed) = self.known?;
        let path = was.paths(ino).into_iter().next()?;
        match &was.survey.names.get(&path)?.kind {
            FoundKind::Regular { size_bytes, content: Ok(content) } => {
                let ranges = changed.files.get(&ino).map_or(&[][..], Vec::as_slice);
                Some((*size_bytes, content.clone(), ranges))
            }
            FoundKind::Regular { .. }
            | FoundKind::Directory
            | FoundKind::Symlink { .. }
            | FoundKind::Unreadable { .. } => None,
        }
    }

    /// Reads what may not be as it was: these ranges, and all from the smaller size on.
    async fn read_changes(
        &self,
        path: &Bytes,
        size_bytes: u64,
        (size_before, mut content, ranges): (u64, Content, &[Range<u64>]),
    ) -> Result<Content, Errno> {
        let piece_size = u64::from(self.piece_size_bytes);
        let first = |offset: u64| offset - offset % piece_size;
        let mut stale: BTreeSet<u64> = BTreeSet::new();
        for range in ranges {
            let end = range.end.min(size_bytes);
            stale.extend((first(range.start)..end).step_by(self.piece_size_bytes as usize));
        }
        if size_before != size_bytes {
            let from = first(size_before.min(size_bytes));
            let gone = content.pieces.range(from..).map(|(at, _)| *at).collect::<Vec<_>>();
            for at in gone {
                content.pieces.remove(&at);
            }
            stale.extend((from..size_bytes).step_by(self.piece_size_bytes as usize));
        }
        if stale.is_empty() {
            return Ok(content);
        }
        let handle = self.open(path, false).await?;
        for at in stale {
            let piece = self.piece(handle, at).await?;
            if piece.len() as u64 != piece_size.min(size_bytes - at) {
                return Err(Errno::NotSupported);
            }
            content.pieces.insert(at, piece);
        }
        self.ask(Request::Close { handle }).await?;
        Ok(content)
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
            let piece = self.piece(handle, offset).await?;
            if piece.is_empty() {
                break;
            }
            let at = offset;
            offset += piece.len() as u64;
            content.pieces.insert(at, piece);
        }
        Ok(content)
    }

    async fn piece(&self, handle: HandleId, offset: u64) -> Result<Bytes, Errno> {
        let request = Request::Read { handle, offset: Some(offset), len: self.piece_size_bytes };
        let Value::Data(piece) = self.ask(request).await? else { return Err(Errno::NotSupported) };
        Ok(piece)
    }

    /// Does a directory list a name after one of these cookies?
    async fn is_listed(
        &self,
        path: &Bytes,
        name: &Bytes,
        cookies: &BTreeSet<u64>,
    ) -> Result<bool, Errno> {
        let handle = if path.is_empty() { HandleId::ROOT } else { self.open(path, true).await? };
        let mut is_listed = false;
        for cookie in cookies {
            let request = Request::ReadDirectory { handle, cookie: *cookie, count_max: 1 };
            let Value::Entries(entries) = self.ask(request).await? else {
                return Err(Errno::NotSupported);
            };
            is_listed |= entries.first().is_some_and(|entry| entry.name == *name);
        }
        if handle != HandleId::ROOT {
            self.ask(Request::Close { handle }).await?;
        }
        Ok(is_listed)
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

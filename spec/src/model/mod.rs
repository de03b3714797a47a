//! What there is, as far as calls and answers tell: files, names, handles; and of each, what is
//! promised to be durable.

mod attributes;
mod compact;
mod difference;
mod extents;
mod given_up;
mod locks;
mod mappings;
mod modes;
mod moments;
mod names;
mod regular;
mod resolve;
mod sweep;

use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use imbl::OrdSet;

use crate::words::FileKind;
use crate::words::HandleId;
use crate::words::Ino;
use crate::words::MappingId;
use crate::words::Pid;
use crate::words::StatusFlags;
use crate::words::Step;

pub(crate) use attributes::AttributeChange;
pub(crate) use attributes::Attributes;
pub(crate) use difference::difference;
pub(crate) use extents::Extents;
pub(crate) use extents::Origin;
pub(crate) use extents::Placed;
pub(crate) use extents::Promise;
pub(crate) use extents::Run;
pub(crate) use extents::differs;
pub(crate) use extents::index;
pub(crate) use given_up::AllGivenUp;
pub(crate) use given_up::GivenUp;
pub(crate) use locks::Extent;
pub(crate) use locks::Locks;
pub(crate) use locks::Owner;
pub(crate) use mappings::Mapping;
pub(crate) use modes::Denial;
pub(crate) use modes::Modes;
pub(crate) use modes::ordinary;
pub(crate) use moments::Copied;
pub(crate) use moments::Copies;
pub(crate) use moments::Moments;
pub(crate) use moments::Past;
pub(crate) use moments::Peer;
pub(crate) use moments::TOO_DEEP;
pub(crate) use moments::was_since;
pub(crate) use names::Bound;
pub(crate) use names::Edit;
pub(crate) use names::Name;
pub(crate) use names::NameOp;
pub(crate) use names::Names;
pub(crate) use regular::Change;
pub(crate) use regular::Effect;
pub(crate) use regular::MEMORY_PAGE_BYTES;
pub(crate) use regular::Reach;
pub(crate) use regular::Regular;
pub(crate) use regular::common;
pub(crate) use regular::overlaps;
pub(crate) use regular::resized;
pub(crate) use regular::subtract;
pub(crate) use resolve::Place;
pub(crate) use resolve::resolve;

/// A file of the model; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId(pub(crate) u64);

impl FileId {
    pub(crate) const ROOT: Self = Self(0);
}

/// What a file is.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// Shared, so that a change of one file copies no other.
    Regular(Arc<Regular>),
    Directory(Directory),
    Symlink(Bytes),
}

/// A directory.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) entries: OrdMap<Bytes, FileId>,
    pub(crate) parent: FileId,
    pub(crate) subdirectories: u64,
    /// When it was last synced.
    pub(crate) synced: Option<Step>,
}

/// A file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) node: Node,
    /// Known once somebody was told.
    pub(crate) ino: Option<Ino>,
    /// Number of names; of a directory 0 or 1.
    pub(crate) names: u64,
    /// Number of handles, and of mappings.
    pub(crate) handles: u64,
    /// One path it had, for reports.
    pub(crate) path: Bytes,
    /// The last operation on its names, by order; 0 if none.
    pub(crate) named_at: u64,
    pub(crate) attributes: Arc<Attributes>,
    /// Was it made to get its first name later?
    pub(crate) is_linkable: bool,
}

/// A scan of a directory from its start.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    /// What has to appear: there at the start, and not touched since.
    pub(crate) due: OrdMap<Bytes, FileId>,
    /// What has appeared.
    pub(crate) seen: OrdSet<Bytes>,
    /// What has changed since the start: it may appear, or not.
    pub(crate) touched: OrdSet<Bytes>,
    /// Where it goes on.
    pub(crate) cookie: u64,
}

/// An open file description.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) file: FileId,
    pub(crate) process: Pid,
    pub(crate) opened: Step,
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) status: StatusFlags,
    /// Unknown after a failed call that may have moved it.
    pub(crate) offset: Option<u64>,
    pub(crate) scan: Option<Scan>,
    /// Failures up to here had been seen by somebody when it was opened.
    pub(crate) errors_seen_until: Step,
    /// When the last sync of it was called that told of a failure.
    pub(crate) told: Option<Step>,
}

/// Everything there is.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) files: OrdMap<FileId, File>,
    pub(crate) handles: OrdMap<HandleId, Handle>,
    /// Those of late whose close failed.
    pub(crate) given_up: AllGivenUp,
    pub(crate) mappings: OrdMap<MappingId, Arc<Mapping>>,
    /// The greatest number that a mapping had.
    pub(crate) last_mapping: MappingId,
    pub(crate) locks: Locks,
    pub(crate) inos: OrdMap<Ino, FileId>,
    pub(crate) names: Names,
    /// Names of which more than their creation is told by a lookup.
    pub(crate) lookups: OrdMap<(FileId, Bytes), &'static str>,
    pub(crate) order: u64,
    pub(crate) next_file: u64,
    /// Who makes the call that is judged.
    pub(crate) actor: Pid,
    /// Does one of the calls that overlap change permission bits?
    pub(crate) are_modes_in_doubt: bool,
    /// The last write: whose bytes may have ended up elsewhere.
    pub(crate) last_write: Option<(FileId, Bytes)>,
}

impl Model {
    pub(crate) fn new() -> Self {
        let mut model = Self {
            files: OrdMap::new(),
            handles: OrdMap::new(),
            given_up: AllGivenUp::default(),
            mappings: OrdMap::new(),
            last_mapping: MappingId(0),
            locks: Locks::default(),
            inos: OrdMap::new(),
            names: Names::default(),
            lookups: OrdMap::new(),
            order: 0,
            next_file: 1,
            actor: Pid(0),
            are_modes_in_doubt: false,
            last_write: None,
        };
        model.files.insert(FileId::ROOT, File::new(Node::directory(FileId::ROOT), Bytes::new()));
        model.open_root();
        model
    }

    pub(crate) fn open_root(&mut self) {
        self.handles.insert(
            HandleId::ROOT,
            Handle {
                file: FileId::ROOT,
                process: Pid(0),
                opened: Step(0),
                read: true,
                write: false,
                status: StatusFlags::default(),
                offset: Some(0),
                scan: None,
                errors_seen_until: Step(0),
                told: None,
            },
        );
    }

    pub(crate) fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    pub(crate) fn file(&self, id: FileId) -> &File {
        self.files.get(&id).expect("M-2: a name or a handle keeps its file")
    }

    pub(crate) fn file_mut(&mut self, id: FileId) -> &mut File {
        self.files.get_mut(&id).expect("M-2: a name or a handle keeps its file")
    }

    pub(crate) fn regular(&self, id: FileId) -> Option<&Regular> {
        match &self.files.get(&id)?.node {
            Node::Regular(regular) => Some(regular),
            Node::Directory(_) | Node::Symlink(_) => None,
        }
    }

    /// A version of a regular file that stays as it is.
    pub(crate) fn shared_regular(&self, id: FileId) -> Option<Arc<Regular>> {
        match &self.files.get(&id)?.node {
            Node::Regular(regular) => Some(Arc::clone(regular)),
            Node::Directory(_) | Node::Symlink(_) => None,
        }
    }

    pub(crate) fn regular_mut(&mut self, id: FileId) -> Option<&mut Regular> {
        match &mut self.files.get_mut(&id)?.node {
            Node::Regular(regular) => Some(Arc::make_mut(regular)),
            Node::Directory(_) | Node::Symlink(_) => None,
        }
    }

    pub(crate) fn attributes_mut(&mut self, id: FileId) -> &mut Attributes {
        Arc::make_mut(&mut self.file_mut(id).attributes)
    }

    pub(crate) fn directory(&self, id: FileId) -> Option<&Directory> {
        match &self.files.get(&id)?.node {
            Node::Directory(directory) => Some(directory),
            Node::Regular(_) | Node::Symlink(_) => None,
        }
    }

    pub(crate) fn directory_mut(&mut self, id: FileId) -> Option<&mut Directory> {
        match &mut self.files.get_mut(&id)?.node {
            Node::Directory(directory) => Some(directory),
            Node::Regular(_) | Node::Symlink(_) => None,
        }
    }

    pub(crate) fn new_file(&mut self, node: Node, path: Bytes) -> FileId {
        let id = FileId(self.next_file);
        self.next_file += 1;
        self.files.insert(id, File::new(node, path));
        id
    }

    /// An operation on names takes effect: all its edits, at once.
    pub(crate) fn rename_edits(&mut self, op: NameOp) {
        let order = self.next_order();
        for edit in &op.edits {
            self.edit(edit, order);
        }
        let gone: Vec<FileId> = op.edits.iter().filter_map(|edit| edit.before).collect();
        self.names.log.insert(order, op);
        for file in gone {
            self.collect(file);
        }
    }

    fn edit(&mut self, edit: &Edit, order: u64) {
        if let Some(before) = edit.before {
            self.unbind(edit, before, order);
        }
        if let Some(after) = edit.after {
            self.bind(edit, after, order);
        }
        self.lookups.remove(&(edit.directory, edit.name.clone()));
        for handle in self.scans_of(edit.directory) {
            let scan = self.handles.get_mut(&handle).and_then(|handle| handle.scan.as_mut());
            if let Some(scan) = scan {
                scan.due.remove(&edit.name);
                scan.touched.insert(edit.name.clone());
            }
        }
    }

    fn scans_of(&self, directory: FileId) -> Vec<HandleId> {
        if self.file(directory).handles == 0 && directory != FileId::ROOT {
            return Vec::new();
        }
        self.handles
            .iter()
            .filter(|(_, handle)| handle.file == directory && handle.scan.is_some())
            .map(|(id, _)| *id)
            .collect()
    }

    fn unbind(&mut self, edit: &Edit, before: FileId, order: u64) {
        let is_directory = self.directory(before).is_some();
        if let Some(directory) = self.directory_mut(edit.directory) {
            directory.entries.remove(&edit.name);
            directory.subdirectories -= u64::from(is_directory);
        }
        let file = self.file_mut(before);
        file.names -= 1;
        file.named_at = order;
    }

    fn bind(&mut self, edit: &Edit, after: FileId, order: u64) {
        let path = self.path_of(edit.directory, &edit.name);
        let is_directory = self.directory(after).is_some();
        if let Some(directory) = self.directory_mut(edit.directory) {
            directory.entries.insert(edit.name.clone(), after);
            directory.subdirectories += u64::from(is_directory);
        }
        if let Some(moved) = self.directory_mut(after) {
            moved.parent = edit.directory;
        }
        let file = self.file_mut(after);
        file.names += 1;
        file.named_at = order;
        file.path = path;
    }

    /// A name was found after a crash: it is there, and durable.
    pub(crate) fn bind_found(
        &mut self,
        directory: FileId,
        name: Bytes,
        file: FileId,
        promise: Promise,
    ) {
        let edit = Edit { directory, name: name.clone(), before: None, after: Some(file) };
        self.bind(&edit, file, 0);
        let bound = Bound { file: Some(file), promise: Some(promise) };
        self.names.durable.insert((directory, name), bound);
    }

    pub(crate) fn path_of(&self, directory: FileId, name: &[u8]) -> Bytes {
        let base = &self.file(directory).path;
        if base.is_empty() {
            return Bytes::copy_from_slice(name);
        }
        [base, &b"/"[..], name].concat().into()
    }

    /// Bytes of changes that no sync covers, and how many changes and files there are.
    pub(crate) fn unsynced(&self) -> (u64, u64) {
        let (mut bytes, mut count) = (0, self.names.log.len() + self.files.len());
        bytes += self.names.log.values().map(NameOp::size_bytes).sum::<u64>();
        for file in self.files.values() {
            count += file.attributes.log.len();
            bytes += file.attributes.log.values().map(AttributeChange::size_bytes).sum::<u64>();
            let Node::Regular(regular) = &file.node else { continue };
            // What a failed write may have brought is kept as well.
            count += regular.log.len() + regular.maybes.len();
            let changes = regular.log.values().chain(regular.maybes.values());
            bytes += changes.map(Change::size_bytes).sum::<u64>();
        }
        (bytes, count as u64)
    }

    /// A path for a report.
    pub(crate) fn path_text(&self, file: FileId) -> String {
        let path = self.files.get(&file).map(|file| file.path.clone()).unwrap_or_default();
        if path.is_empty() { ".".to_owned() } else { String::from_utf8_lossy(&path).into_owned() }
    }

    pub(crate) fn open(&mut self, id: HandleId, handle: Handle) {
        self.file_mut(handle.file).handles += 1;
        self.handles.insert(id, handle);
    }

    pub(crate) fn close(&mut self, id: HandleId) {
        if id == HandleId::ROOT {
            return;
        }
        if let Some(handle) = self.handles.remove(&id) {
            self.file_mut(handle.file).handles -= 1;
            self.locks.close_description(handle.file, id);
            self.collect(handle.file);
        }
    }

    /// A process is gone, and with it its handles, its mappings and its locks.
    pub(crate) fn end_process(&mut self, process: Pid) {
        let handles = self.handles.iter().filter(|(_, handle)| handle.process == process);
        let handles: Vec<HandleId> = handles.map(|(id, _)| *id).collect();
        handles.into_iter().for_each(|handle| self.close(handle));
        let mappings = self.mappings.iter().filter(|(_, mapping)| mapping.process == process);
        let mappings: Vec<MappingId> = mappings.map(|(id, _)| *id).collect();
        mappings.into_iter().for_each(|mapping| self.unmap(mapping));
        self.locks.end_process(process);
        self.given_up.end_process(process);
    }

    /// A file that is open no more, and that no crash can bring back, is forgotten by number.
    pub(super) fn collect(&mut self, id: FileId) {
        let Some(file) = self.files.get(&id) else { return };
        if file.names == 0
            && file.handles == 0
            && let Some(ino) = file.ino
            && self.inos.get(&ino) == Some(&id)
        {
            self.inos.remove(&ino);
        }
    }
}

/// The same version, as far as it matters to what a crash may leave of the file itself; what may be
/// left of its names is another matter.
impl PartialEq for File {
    fn eq(&self, other: &Self) -> bool {
        let is_alike = Arc::ptr_eq(&self.attributes, &other.attributes);
        is_alike
            && match (&self.node, &other.node) {
                (Node::Regular(one), Node::Regular(two)) => Arc::ptr_eq(one, two),
                (Node::Symlink(one), Node::Symlink(two)) => one == two,
                (Node::Directory(_), Node::Directory(_)) => true,
                (Node::Regular(_) | Node::Symlink(_) | Node::Directory(_), _) => false,
            }
    }
}

impl File {
    pub(crate) fn new(node: Node, path: Bytes) -> Self {
        let (attributes, is_linkable) = (Attributes::made(kind_of(&node)), false);
        let attributes = Arc::new(attributes);
        Self { node, ino: None, names: 0, handles: 0, path, named_at: 0, attributes, is_linkable }
    }

    pub(crate) fn kind(&self) -> FileKind {
        kind_of(&self.node)
    }
}

fn kind_of(node: &Node) -> FileKind {
    match node {
        Node::Regular(_) => FileKind::Regular,
        Node::Directory(_) => FileKind::Directory,
        Node::Symlink(_) => FileKind::Symlink,
    }
}

impl Node {
    pub(crate) fn directory(parent: FileId) -> Self {
        Self::Directory(Directory {
            entries: OrdMap::new(),
            parent,
            subdirectories: 0,
            synced: None,
        })
    }
}

//! The names that there should be, and what they lead to. It says which calls should succeed, and
//! not with which error the others fail.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::content::Content;

/// A file, a directory or a symbolic link.
pub(super) type NodeId = usize;

const ROOT: NodeId = 0;

/// Symbolic links that one path may lead through.
const LINKS_MAX: usize = 40;

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Directory(BTreeMap<String, NodeId>),
    File(Content),
    Symlink(String),
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The file's number, once a stat told it.
    pub(super) number: Option<u64>,
    /// The time of modification, where it was set and nothing has changed it since.
    pub(super) modified: Option<u64>,
    /// Was it stored to through a mapping since the last sync? Its time changes later then.
    pub(super) is_stored: bool,
    /// May it be given its first name?
    pub(super) is_nameable: bool,
}

/// Where a path leads.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) directory: NodeId,
    pub(super) name: String,
    pub(super) node: Option<NodeId>,
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
}

fn new_node(kind: Kind) -> Node {
    Node { kind, number: None, modified: None, is_stored: false, is_nameable: false }
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = new_node(Kind::Directory(BTreeMap::new()));
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[&id]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).expect("a node lives as long as something refers to it")
    }

    /// The bytes of a regular file.
    pub(super) fn content(&self, id: NodeId) -> &Content {
        match &self.node(id).kind {
            Kind::File(content) => content,
            Kind::Directory(_) | Kind::Symlink(_) => unreachable!("no regular file"),
        }
    }

    /// The bytes of a regular file, to compare or to change them.
    pub(super) fn content_mut(&mut self, id: NodeId) -> &mut Content {
        match &mut self.node_mut(id).kind {
            Kind::File(content) => content,
            Kind::Directory(_) | Kind::Symlink(_) => unreachable!("no regular file"),
        }
    }

    pub(super) fn add(&mut self, kind: Kind) -> NodeId {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, new_node(kind));
        id
    }

    /// The names in a directory; nothing, if it is none.
    pub(super) fn entries(&self, id: NodeId) -> Option<&BTreeMap<String, NodeId>> {
        match &self.node(id).kind {
            Kind::Directory(entries) => Some(entries),
            Kind::File(_) | Kind::Symlink(_) => None,
        }
    }

    fn entries_mut(&mut self, id: NodeId) -> &mut BTreeMap<String, NodeId> {
        match &mut self.node_mut(id).kind {
            Kind::Directory(entries) => entries,
            Kind::File(_) | Kind::Symlink(_) => unreachable!("no directory"),
        }
    }

    pub(super) fn is_file(&self, id: NodeId) -> bool {
        matches!(self.node(id).kind, Kind::File(_))
    }

    pub(super) fn is_directory(&self, id: NodeId) -> bool {
        self.entries(id).is_some()
    }

    /// Every regular file.
    pub(super) fn files(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied().filter(|&id| self.is_file(id))
    }

    fn is_empty(&self, id: NodeId) -> bool {
        self.entries(id).is_some_and(BTreeMap::is_empty)
    }

    /// How many names a file has.
    pub(super) fn link_count(&self, id: NodeId) -> usize {
        let directories = self.nodes.keys().filter_map(|&node| self.entries(node));
        directories.flat_map(BTreeMap::values).filter(|&&entry| entry == id).count()
    }

    /// Every name that there is, and what it leads to.
    pub(super) fn names(&self) -> Vec<(String, NodeId)> {
        let mut names = Vec::new();
        let mut pending = vec![(String::new(), ROOT)];
        while let Some((prefix, directory)) = pending.pop() {
            for (name, &node) in self.entries(directory).into_iter().flatten() {
                let path = format!("{prefix}{name}");
                if self.is_directory(node) {
                    pending.push((format!("{path}/"), node));
                }
                names.push((path, node));
            }
        }
        names
    }

    /// Walks a path; the last component need not be there. Nothing, if the walk fails.
    pub(super) fn resolve(&self, path: &str, follow: bool) -> Option<Place> {
        let mut pending: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let (mut directory, mut links) = (ROOT, 0);
        loop {
            let name = pending.pop()?;
            let is_last = pending.is_empty();
            let node = self.entries(directory)?.get(&name).copied();
            match node.map(|node| &self.node(node).kind) {
                Some(Kind::Symlink(target)) if follow || !is_last => {
                    links += 1;
                    if links > LINKS_MAX {
                        return None;
                    }
                    pending.extend(target.rsplit('/').map(str::to_owned));
                }
                _ if is_last => return Some(Place { directory, name, node }),
                _ => directory = node?,
            }
        }
    }

    /// What a path leads to, if anything.
    pub(super) fn found(&self, path: &str, follow: bool) -> Option<NodeId> {
        self.resolve(path, follow)?.node
    }

    /// The names in the directory of that path, or of the root.
    pub(super) fn listed(&self, path: &str) -> Option<&BTreeMap<String, NodeId>> {
        let root = (path == "/").then_some(ROOT);
        self.entries(root.or_else(|| self.found(path, true))?)
    }

    /// A place for a new name, if it is free.
    pub(super) fn free(&self, path: &str) -> Option<Place> {
        self.resolve(path, false).filter(|place| place.node.is_none())
    }

    /// Gives a node a name; it takes the place of what had that name.
    pub(super) fn put(&mut self, place: &Place, node: NodeId) {
        self.entries_mut(place.directory).insert(place.name.clone(), node);
        self.node_mut(node).is_nameable = false;
    }

    pub(super) fn remove(&mut self, place: &Place) {
        self.entries_mut(place.directory).remove(&place.name);
    }

    /// Is a node a directory, or somewhere in another?
    fn is_within(&self, node: NodeId, ancestor: NodeId) -> bool {
        let below = self.entries(ancestor);
        node == ancestor
            || below.is_some_and(|names| names.values().any(|&next| self.is_within(node, next)))
    }

    /// The two places of a rename that should succeed.
    pub(super) fn renamed(&self, from: &str, to: &str, replaces: bool) -> Option<[Place; 2]> {
        let (from, to) = (self.resolve(from, false)?, self.resolve(to, false)?);
        let node = from.node?;
        if to.node.is_some() && !replaces || self.is_within(to.directory, node) {
            return None;
        }
        let fits = match to.node {
            Some(there) if there == node => true,
            Some(there) if self.is_directory(node) => self.is_empty(there),
            Some(there) => !self.is_directory(there),
            None => true,
        };
        fits.then_some([from, to])
    }

    /// A rename that was done.
    pub(super) fn rename(&mut self, [from, to]: &[Place; 2]) {
        if let Some(node) = from.node
            && to.node != from.node
        {
            self.remove(from);
            self.put(to, node);
        }
    }

    /// The two places of an exchange that should succeed.
    pub(super) fn exchanged(&self, one: &str, other: &str) -> Option<[Place; 2]> {
        let (one, other) = (self.resolve(one, false)?, self.resolve(other, false)?);
        let is_ring = self.is_within(other.directory, one.node?)
            || self.is_within(one.directory, other.node?);
        let fits = one.node == other.node || !is_ring;
        fits.then_some([one, other])
    }

    /// An exchange that was done.
    pub(super) fn exchange(&mut self, [one, other]: &[Place; 2]) {
        if let (Some(first), Some(second)) = (one.node, other.node) {
            self.put(one, second);
            self.put(other, first);
        }
    }

    /// A directory that may be removed.
    pub(super) fn removable_directory(&self, path: &str) -> Option<Place> {
        self.resolve(path, false).filter(|place| place.node.is_some_and(|node| self.is_empty(node)))
    }

    /// A name that may be unlinked.
    pub(super) fn removable_file(&self, path: &str) -> Option<Place> {
        let is_other = |node: NodeId| !self.is_directory(node);
        self.resolve(path, false).filter(|place| place.node.is_some_and(is_other))
    }

    /// Something has changed the file's bytes, and the time of it.
    pub(super) fn touch(&mut self, id: NodeId) {
        self.node_mut(id).modified = None;
    }

    /// Forgets what has no name and is not among `held`.
    pub(super) fn collect(&mut self, held: &BTreeSet<NodeId>) {
        let named: BTreeSet<NodeId> = self.names().into_iter().map(|(_, node)| node).collect();
        self.nodes.retain(|id, _| *id == ROOT || held.contains(id) || named.contains(id));
    }
}

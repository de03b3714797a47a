//! Operations on names.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io;

use crashproof_guest::attributes;
use crashproof_guest::file;

use super::Description;
use super::Exerciser;
use super::OPEN_FILES_MAX;
use super::Open;
use super::content::Content;
use super::expect;
use super::tree::Kind;
use super::tree::NodeId;
use super::tree::Place;
use crate::abi;
use crate::sync_directory;

pub(super) const OPERATION_COUNT: u64 = 20;

/// How a file is opened.
#[derive(Debug, Clone, Copy)]
enum Way {
    ToWrite { creates: bool },
    Truncating { creates: bool },
    Appending,
    CreatingNew,
    DataSync,
    FullSync,
    ToRead,
    Direct,
}

impl Way {
    fn open(self, name: &str) -> io::Result<File> {
        let mut options = File::options();
        options.read(true);
        match self {
            Self::ToWrite { creates } => {
                options.write(true).create(creates).truncate(false).open(name)
            }
            Self::Truncating { creates } => {
                options.write(true).create(creates).truncate(true).open(name)
            }
            Self::Appending => options.append(true).create(true).open(name),
            Self::CreatingNew => options.write(true).create_new(true).open(name),
            Self::DataSync => abi::open(name, abi::CREATE, abi::DATA_SYNC),
            Self::FullSync => abi::open(name, abi::CREATE, abi::SYNC),
            Self::ToRead => options.open(name),
            Self::Direct => abi::open(name, 0, abi::DIRECT),
        }
    }

    fn creates(self) -> bool {
        match self {
            Self::ToWrite { creates } | Self::Truncating { creates } => creates,
            Self::Appending | Self::CreatingNew | Self::DataSync | Self::FullSync => true,
            Self::ToRead | Self::Direct => false,
        }
    }
}

impl Exerciser {
    pub(super) fn on_names(&mut self, operation: u64) -> io::Result<()> {
        let (name, other) = (self.name(), self.name());
        match operation {
            0..=3 => self.open(name),
            4..=5 => self.rename(name, other, 0),
            6 => self.link(name, other),
            7 => self.unlink(name),
            8 => self.make_directory(name),
            9 => self.remove_directory(name),
            10 => self.make_symlink(other, name),
            11 => self.compare_status(name, true),
            12 => self.list("d"),
            13 => self.sync_directory("d"),
            14 => self.rename(name, other, file::NO_REPLACE),
            15 => self.rename(name, other, file::EXCHANGE),
            16 => self.read_link(name),
            17 => self.compare_status(name, false),
            18 => self.open_unnamed(),
            _ => self.sync_directory("/"),
        }
    }

    pub(super) fn open(&mut self, name: &str) -> io::Result<()> {
        let creates = self.draws.below(4) != 0;
        let way = match self.draws.below(9) {
            0 => Way::Truncating { creates },
            1 => Way::Appending,
            2 => Way::CreatingNew,
            3 => Way::DataSync,
            4 => Way::FullSync,
            5 => Way::ToRead,
            _ => Way::ToWrite { creates },
        };
        self.open_by(name, way)
    }

    /// Opens a file past the cache. One that is empty is written in place from now on, unless it
    /// is compressed.
    pub(super) fn open_direct(&mut self) -> io::Result<()> {
        let name = self.name();
        self.open_by(name, Way::Direct)?;
        let position = self.open.len() - 1;
        self.block_size(position)?;
        if self.tree.content(self.node_of(position)).len() > 0 {
            return Ok(());
        }
        attributes::set_flags(&self.open[position].file, attributes::IN_PLACE)
    }

    fn open_by(&mut self, name: &str, way: Way) -> io::Result<()> {
        let is_new = matches!(way, Way::CreatingNew);
        let place = self.tree.resolve(name, !is_new);
        let found = place.as_ref().and_then(|place| place.node);
        let should = match found {
            Some(_) if is_new => false,
            Some(node) => self.tree.is_file(node) || matches!(way, Way::ToRead),
            None => place.is_some() && way.creates(),
        };
        let answer = way.open(name);
        expect("open", should, &answer);
        let node = match (&answer, place) {
            (Ok(_), Some(Place { node: Some(node), .. })) => node,
            (Ok(_), Some(place)) => {
                let node = self.tree.add(Kind::File(Content::empty(self.does_revert)));
                self.tree.put(&place, node);
                if let (true, Ok(file)) = (self.is_in_place, &answer) {
                    let marked = attributes::set_flags(file, attributes::IN_PLACE);
                    expect("write in place", true, &marked);
                }
                node
            }
            (Err(_), _) | (_, None) => return self.open_failed(way, found, answer.map(drop)),
        };
        if !self.tree.is_file(node) {
            return Ok(()); // A directory, that was opened to be read.
        }
        if matches!(way, Way::Truncating { .. }) {
            self.resized(node, 0);
        }
        let is_writable = !matches!(way, Way::ToRead);
        self.opened(answer?, node, is_writable);
        if let Some(open) = self.open.last() {
            let description = &mut self.descriptions[open.description];
            description.is_append = matches!(way, Way::Appending);
            description.is_direct = matches!(way, Way::Direct);
        }
        Ok(())
    }

    /// A truncation may have been half done.
    fn open_failed(
        &mut self,
        way: Way,
        found: Option<NodeId>,
        answer: io::Result<()>,
    ) -> io::Result<()> {
        if let (Way::Truncating { .. }, Some(node), Err(error)) = (way, found, &answer)
            && self.tree.is_file(node)
            && error.kind() != io::ErrorKind::Interrupted
            && let Some((path, _)) = self.tree.names().into_iter().find(|(_, other)| *other == node)
        {
            let file = crate::uninterrupted(|| File::open(&path))?;
            self.learn(&file, node)?;
        }
        answer
    }

    /// A further descriptor, in the place of the oldest if there are many.
    fn opened(&mut self, file: File, node: NodeId, is_writable: bool) {
        let description = self.descriptions.len();
        let (offset, lock, is_append, is_direct) = (0, None, false, false);
        let new = Description { node, offset, is_append, is_direct, is_writable, lock };
        self.descriptions.push(new);
        self.add_open(Open { file, description });
    }

    pub(super) fn add_open(&mut self, open: Open) {
        if self.open.len() == OPEN_FILES_MAX {
            self.open.remove(0);
        }
        self.open.push(open);
        self.collect();
    }

    fn open_unnamed(&mut self) -> io::Result<()> {
        let directory = if self.draws.below(2) == 0 { "." } else { "d" };
        let is_nameable = self.draws.below(4) != 0;
        let found = self.tree.found(directory, true);
        let should = directory == "." || found.is_some_and(|node| self.tree.is_directory(node));
        let flags = if is_nameable { 0 } else { abi::EXCLUSIVE };
        let answer = abi::open(directory, flags, abi::UNNAMED);
        expect("open of a file without a name", should, &answer);
        let file = answer?;
        let node = self.tree.add(Kind::File(Content::empty(self.does_revert)));
        self.tree.node_mut(node).is_nameable = is_nameable;
        self.opened(file, node, true);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str, flags: i32) -> io::Result<()> {
        let places = match flags {
            file::EXCHANGE => self.tree.exchanged(from, to),
            _ => self.tree.renamed(from, to, flags != file::NO_REPLACE),
        };
        let answer = match flags {
            0 => fs::rename(from, to),
            _ => file::rename(from, to, flags),
        };
        expect("rename", places.is_some(), &answer);
        answer?;
        match places {
            Some(places) if flags == file::EXCHANGE => self.tree.exchange(&places),
            Some(places) => self.tree.rename(&places),
            None => {}
        }
        self.collect();
        Ok(())
    }

    fn link(&mut self, from: &str, to: &str) -> io::Result<()> {
        let source = self.tree.found(from, false).filter(|&node| !self.tree.is_directory(node));
        let target = self.tree.free(to);
        let answer = abi::link(from, to);
        expect("link", source.is_some() && target.is_some(), &answer);
        answer?;
        if let (Some(node), Some(place)) = (source, target) {
            self.tree.put(&place, node);
        }
        Ok(())
    }

    fn unlink(&mut self, name: &str) -> io::Result<()> {
        let place = self.tree.removable_file(name);
        let answer = fs::remove_file(name);
        expect("unlink", place.is_some(), &answer);
        answer?;
        self.removed(place);
        Ok(())
    }

    fn removed(&mut self, place: Option<Place>) {
        if let Some(place) = place {
            self.tree.remove(&place);
        }
        self.collect();
    }

    pub(super) fn make_directory(&mut self, name: &str) -> io::Result<()> {
        let place = self.tree.free(name);
        let answer = fs::create_dir(name);
        expect("mkdir", place.is_some(), &answer);
        answer?;
        if let Some(place) = place {
            let node = self.tree.add(Kind::Directory(Default::default()));
            self.tree.put(&place, node);
        }
        Ok(())
    }

    fn remove_directory(&mut self, name: &str) -> io::Result<()> {
        let place = self.tree.removable_directory(name);
        let answer = fs::remove_dir(name);
        expect("rmdir", place.is_some(), &answer);
        answer?;
        self.removed(place);
        Ok(())
    }

    fn make_symlink(&mut self, target: &str, name: &str) -> io::Result<()> {
        let place = self.tree.free(name);
        let answer = abi::symlink(target, name);
        expect("symlink", place.is_some(), &answer);
        answer?;
        if let Some(place) = place {
            let node = self.tree.add(Kind::Symlink(target.to_owned()));
            self.tree.put(&place, node);
        }
        Ok(())
    }

    fn read_link(&mut self, name: &str) -> io::Result<()> {
        let found = self.tree.found(name, false).map(|node| &self.tree.node(node).kind);
        let target = match found {
            Some(Kind::Symlink(target)) => Some(target),
            Some(Kind::Directory(_) | Kind::File(_)) | None => None,
        };
        let answer = fs::read_link(name);
        expect("readlink", target.is_some(), &answer);
        let told = answer?;
        assert_eq!(told.to_str(), target.map(String::as_str), "a link leads elsewhere");
        Ok(())
    }

    /// What a stat tells of a path.
    pub(super) fn compare_status(&mut self, name: &str, follow: bool) -> io::Result<()> {
        let found = self.tree.found(name, follow);
        let answer = abi::status_of(name, follow);
        expect("stat", found.is_some(), &answer);
        let status = answer?;
        if let Some(node) = found {
            self.compare_with(node, &status);
        }
        Ok(())
    }

    pub(super) fn compare_with(&mut self, node: NodeId, status: &abi::Status) {
        let kept = self.tree.node(node);
        let (kind, size) = match &kept.kind {
            Kind::Directory(_) => (abi::KIND_DIRECTORY, None),
            Kind::File(content) => (abi::KIND_FILE, Some(content.len())),
            Kind::Symlink(target) => (abi::KIND_SYMLINK, Some(target.len())),
        };
        assert_eq!(status.kind, kind, "the kind of a file");
        if let Some(size) = size {
            assert_eq!(status.size, size as u64, "the size of a file");
            assert_eq!(status.links, self.tree.link_count(node) as u64, "names of a file");
        }
        if let Some(modified) = kept.modified {
            assert_eq!(status.modified, modified, "a time that was set");
        }
        let number = *self.tree.node_mut(node).number.get_or_insert(status.number);
        assert_eq!(status.number, number, "the number of a file");
    }

    /// Lists a directory.
    pub(super) fn list(&mut self, name: &str) -> io::Result<()> {
        let found = self.tree.listed(name);
        let answer = fs::read_dir(name);
        expect("opendir", found.is_some(), &answer);
        let mut told = BTreeSet::new();
        for entry in answer? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            told.insert(name);
        }
        let names: BTreeSet<String> =
            found.into_iter().flatten().map(|(name, _)| name).cloned().collect();
        // Others may have names of their own in the root: the file with a model apart, processes.
        let is_right = if name == "/" { told.is_superset(&names) } else { told == names };
        assert!(is_right, "{name} has the names {told:?}, and not {names:?}");
        Ok(())
    }

    fn sync_directory(&mut self, name: &str) -> io::Result<()> {
        let found = self.tree.found(name, true);
        let should = name == "/"
            || found.is_some_and(|node| !matches!(self.tree.node(node).kind, Kind::Symlink(_)));
        let answer = sync_directory(name);
        expect("fsync of a directory", should, &answer);
        if let (Ok(()), Some(node)) = (&answer, found)
            && self.tree.is_file(node)
        {
            self.note_sync(node, &Ok(()));
        }
        answer
    }
}

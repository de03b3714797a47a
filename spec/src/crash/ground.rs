//! What a survey was found to mean, so that one that is like it is judged by what differs.

use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use imbl::OrdSet;

use crate::crash::content::Known;
use crate::model::File;
use crate::model::FileId;
use crate::model::Names;
use crate::model::Node;
use crate::violation::LostEffect;
use crate::words::FoundKind;
use crate::words::Ino;
use crate::words::Survey;

/// A survey that nothing is wrong with, and the obligations that it was judged by. The default is
/// an empty one, that everything differs from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ground {
    pub(super) survey: Survey,
    pub(super) files: OrdMap<FileId, File>,
    pub(super) names: Names,
    pub(super) reading: Reading,
}

/// What each name was found to mean, and what follows for files and numbers. Shared between
/// surveys that are alike.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// Which directory was found at which path, and where each was found.
    pub(super) places: OrdMap<Bytes, FileId>,
    pub(super) found_directories: OrdMap<FileId, Bytes>,
    /// Which files each path may mean, and the other way round; not of directories.
    pub(super) meanings: OrdSet<(Bytes, FileId)>,
    meant: OrdSet<(FileId, Bytes)>,
    /// Which file each path was taken for, and the other way round.
    pub(super) taken: OrdMap<Bytes, FileId>,
    takers: OrdSet<(FileId, Bytes)>,
    /// The names of each number; not of directories.
    pub(super) numbered: OrdSet<(Ino, Bytes)>,
    /// Which number each file has, where only one file may have it, and the other way round.
    pub(super) numbers: OrdMap<FileId, Ino>,
    pub(super) owners: OrdMap<Ino, FileId>,
    /// Which unsynced bytes were lost of a file, and its first name.
    pub(super) lost: OrdMap<FileId, (Bytes, Arc<[LostEffect]>)>,
}

impl Reading {
    /// A directory was found; false if it was found elsewhere too.
    pub(super) fn place(&mut self, path: &Bytes, directory: FileId) -> bool {
        self.places.insert(path.clone(), directory);
        self.found_directories.insert(directory, path.clone()).is_none_or(|other| other == *path)
    }

    /// Any of `files` may have been found.
    pub(super) fn may_mean(&mut self, path: &Bytes, files: impl Iterator<Item = FileId>) {
        for file in files {
            self.meanings.insert((path.clone(), file));
            self.meant.insert((file, path.clone()));
        }
    }

    /// The path goes on as this file.
    pub(super) fn take(&mut self, path: &Bytes, file: FileId) {
        self.taken.insert(path.clone(), file);
        self.takers.insert((file, path.clone()));
    }

    /// Forgets what a path means; tells which file it was taken for.
    pub(super) fn forget(&mut self, path: &Bytes, number: Option<Ino>) -> Option<FileId> {
        if let Some(directory) = self.places.remove(path)
            && self.found_directories.get(&directory) == Some(path)
        {
            self.found_directories.remove(&directory);
        }
        let files: Vec<FileId> = self.files_meant_by(path).collect();
        for file in files {
            self.meanings.remove(&(path.clone(), file));
            self.meant.remove(&(file, path.clone()));
        }
        if let Some(ino) = number {
            self.numbered.remove(&(ino, path.clone()));
        }
        let file = self.taken.remove(path)?;
        self.takers.remove(&(file, path.clone()));
        Some(file)
    }

    pub(super) fn files_meant_by(&self, path: &Bytes) -> impl Iterator<Item = FileId> + use<'_> {
        let all = (path.clone(), FileId(0))..=(path.clone(), FileId(u64::MAX));
        self.meanings.range(all).map(|(_, file)| *file)
    }

    /// The paths that may mean a file.
    pub(super) fn names_meaning(&self, file: FileId) -> impl Iterator<Item = &Bytes> {
        names(&self.meant, file)
    }

    /// The paths that were taken for a file, in order.
    pub(super) fn names_taken_for(&self, file: FileId) -> impl Iterator<Item = &Bytes> {
        names(&self.takers, file)
    }

    /// The paths that a number was found at, in order.
    pub(super) fn names_of(&self, ino: Ino) -> impl Iterator<Item = &Bytes> {
        names(&self.numbered, ino)
    }
}

fn names<K: Ord + Copy>(set: &OrdSet<(K, Bytes)>, key: K) -> impl Iterator<Item = &Bytes> {
    set.range((key, Bytes::new())..).take_while(move |(of, _)| *of == key).map(|(_, path)| path)
}

impl Ground {
    /// The version of a file that a path was found to agree with.
    pub(super) fn known(&self, path: &Bytes, file: FileId) -> Option<Known<'_>> {
        self.reading.meanings.get(&(path.clone(), file))?;
        let FoundKind::Regular { size_bytes: size, content: Ok(content) } =
            &self.survey.names.get(path)?.kind
        else {
            return None;
        };
        match &self.files.get(&file)?.node {
            Node::Regular(regular) => Some(Known { regular, size: *size, content }),
            Node::Directory(_) | Node::Symlink(_) => None,
        }
    }
}

//! What a path leads to, beneath the directory it starts from.

use bytes::Bytes;

use crate::model::Denial;
use crate::model::FileId;
use crate::model::Model;
use crate::model::Node;
use crate::words::At;
use crate::words::Errno;
use crate::words::Right;

const LINKS_MAX: usize = 40;
const PATH_LEN_MAX: usize = 4095;
const NAME_LEN_MAX: usize = 255;

/// Where a path leads: an entry of a directory, which may not be there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The directory in which the last name is looked up.
    pub(crate) directory: FileId,
    /// The last name; absent if the path ends in `.` or `..`, or is the directory itself.
    pub(crate) name: Option<Bytes>,
    /// What is there.
    pub(crate) file: Option<FileId>,
    /// Does the path end in a slash?
    pub(crate) slash: bool,
    /// May a directory on the way have denied the search?
    pub(crate) may_be_denied: bool,
}

/// A path that leads nowhere, and what may be said of it.
pub(crate) type Resolved = Result<Place, Vec<Errno>>;

struct Walk<'a> {
    model: &'a Model,
    /// The directories from the start of the path down.
    stack: Vec<FileId>,
    links: usize,
    may_be_denied: bool,
}

/// Follows a path. With `follow`, a symbolic link at its end is followed as well.
pub(crate) fn resolve(model: &Model, at: &At, follow: bool) -> Resolved {
    let Some(handle) = model.handles.get(&at.directory) else {
        return Err(vec![Errno::BadFile]);
    };
    if model.directory(handle.file).is_none() {
        return Err(vec![Errno::NotDirectory, Errno::BadFile]);
    }
    if at.path.contains(&0) {
        return Err(vec![Errno::Invalid, Errno::IllegalSequence, Errno::NoEntry]);
    }
    if at.path.len() > PATH_LEN_MAX {
        return Err(vec![Errno::NameTooLong, Errno::NoEntry, Errno::NotDirectory]);
    }
    let mut walk = Walk { model, stack: vec![handle.file], links: 0, may_be_denied: false };
    match walk.path(&at.path, follow) {
        Ok(place) => Ok(Place { may_be_denied: walk.may_be_denied, ..place }),
        Err(mut errnos) => {
            errnos.extend(walk.may_be_denied.then_some(Errno::Access));
            Err(errnos)
        }
    }
}

impl Walk<'_> {
    fn path(&mut self, path: &Bytes, follow: bool) -> Resolved {
        if path.is_empty() {
            return Err(vec![Errno::NoEntry, Errno::Invalid]);
        }
        if path.starts_with(b"/") {
            return Err(vec![Errno::NotCapable, Errno::NotPermitted]);
        }
        let slash = path.ends_with(b"/");
        let names: Vec<Bytes> = path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .map(|name| path.slice_ref(name))
            .collect();
        let mut place = self.here(slash);
        for (at, name) in names.iter().enumerate() {
            let last = at + 1 == names.len();
            place = self.step(name, last, follow || slash, slash)?;
            if !last {
                self.enter(&place)?;
            }
        }
        Ok(place)
    }

    fn here(&self, slash: bool) -> Place {
        let directory = *self.stack.last().expect("the start of the path is never left");
        let file = Some(directory);
        Place { directory, name: None, file, slash, may_be_denied: false }
    }

    fn enter(&mut self, place: &Place) -> Result<(), Vec<Errno>> {
        if place.name.is_none() {
            return Ok(());
        }
        let Some(file) = place.file else { return Err(vec![Errno::NoEntry]) };
        if self.model.directory(file).is_none() {
            return Err(vec![Errno::NotDirectory]);
        }
        self.stack.push(file);
        Ok(())
    }

    fn step(&mut self, name: &Bytes, last: bool, follow: bool, slash: bool) -> Resolved {
        let here = *self.stack.last().expect("the start of the path is never left");
        match self.model.denial(here, Right::Search) {
            Denial::No => {}
            Denial::Perhaps => self.may_be_denied = true,
            Denial::Yes => return Err(vec![Errno::Access]),
        }
        if name.as_ref() == b"." {
            return Ok(self.here(slash));
        }
        if name.as_ref() == b".." {
            self.stack.pop();
            if self.stack.is_empty() {
                return Err(vec![Errno::NotCapable, Errno::NotPermitted]);
            }
            return Ok(self.here(slash));
        }
        if name.len() > NAME_LEN_MAX {
            return Err(vec![Errno::NameTooLong]);
        }
        let directory = *self.stack.last().expect("the start of the path is never left");
        let entries =
            &self.model.directory(directory).expect("only directories are entered").entries;
        let file = entries.get(name).copied();
        if (!last || follow)
            && let Some(id) = file
            && let Node::Symlink(target) = &self.model.file(id).node
        {
            return self.link(&target.clone(), last, slash);
        }
        let (name, slash) = (Some(name.clone()), slash && last);
        Ok(Place { directory, name, file, slash, may_be_denied: false })
    }

    fn link(&mut self, target: &Bytes, last: bool, slash: bool) -> Resolved {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(vec![Errno::Loop]);
        }
        let mut place = self.path(target, true)?;
        place.slash |= slash && last;
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::HandleId;

    fn at(path: &'static str) -> At {
        At { directory: HandleId::ROOT, path: Bytes::from_static(path.as_bytes()) }
    }

    #[test]
    fn no_path_leads_above_its_start() {
        let model = Model::new();
        for path in ["..", "./..", "/", "/x"] {
            let errnos = resolve(&model, &at(path), true).expect_err("it leads above");
            assert!(errnos.contains(&Errno::NotCapable), "{path}");
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_a_place() {
        let place = resolve(&Model::new(), &at("x"), true).expect("the directory is there");
        assert_eq!((place.directory, place.file), (FileId::ROOT, None));
    }
}

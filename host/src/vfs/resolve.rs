//! From a path to a place: a directory, and the last component in it.
//!
//! Paths are bytes, relative, and stay beneath the directory of their handle: `..` above it, an
//! absolute path and an absolute symbolic link are refused with [`Errno::NotCapable`].

use bytes::Buf;
use bytes::Bytes;

use crate::call::At;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::Right;
use crate::cow::EntryTarget;
use crate::cow::Kind;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

/// Bytes in the longest path.
pub(super) const PATH_BYTES_MAX: usize = 4096;

/// Symbolic links that one path may lead through.
const LINKS_MAX: u32 = 40;

/// What happens to a symbolic link at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastLink {
    /// It is followed.
    Followed,
    /// It is the target itself, unless a slash follows.
    Kept,
    /// It is the target itself, whatever follows.
    AlwaysKept,
}

impl LastLink {
    pub(super) fn followed_if(follow: bool) -> Self {
        if follow { Self::Followed } else { Self::Kept }
    }
}

/// The last component of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Last {
    /// A name, and where it leads.
    Name(Bytes, Option<EntryTarget>),
    /// `.`, or what stands for the directory itself.
    Here,
    /// `..`; the place's directory is the parent already.
    Parent,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub dir: u64,
    pub last: Last,
    /// Does a slash follow, so that only a directory fits?
    pub has_slash: bool,
}

impl Place {
    /// What is there, if anything is.
    pub(super) fn target(&self) -> Result<Option<(u64, Kind)>, Errno> {
        let found = match &self.last {
            Last::Name(_, target) => target.as_ref().map(|target| (target.ino, target.kind)),
            Last::Here | Last::Parent => Some((self.dir, Kind::Directory)),
        };
        match found {
            Some((_, Kind::Regular | Kind::Symlink)) if self.has_slash => Err(Errno::NotDirectory),
            found => Ok(found),
        }
    }

    /// What is there.
    pub(super) fn existing(&self) -> Result<(u64, Kind), Errno> {
        self.target()?.ok_or(Errno::NoEntry)
    }
}

/// A walk under way.
#[derive(Debug)]
struct Walk {
    /// Directories from the handle's to the one above the present one.
    above: Vec<u64>,
    here: u64,
    /// What is still to be walked, from a component on; empty only if nothing is.
    rest: Bytes,
    /// What is to be walked after that, the next one last; none is empty.
    later: Vec<Bytes>,
    has_slash: bool,
    links: u32,
}

impl Walk {
    fn from(here: u64) -> Self {
        let (above, rest, later) = (Vec::new(), Bytes::new(), Vec::new());
        Self { above, here, rest, later, has_slash: false, links: 0 }
    }

    /// Puts a path in front of what is pending.
    fn push(&mut self, path: Bytes) -> Result<(), Errno> {
        match path.first() {
            None => return Err(Errno::NoEntry),
            Some(b'/') => return Err(Errno::NotCapable),
            Some(_) => {}
        }
        if self.is_at_end() {
            self.has_slash |= path.ends_with(b"/");
        } else {
            self.later.push(std::mem::take(&mut self.rest));
        }
        self.rest = path;
        Ok(())
    }

    /// Is no component left?
    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next component.
    fn next(&mut self) -> Option<Bytes> {
        if self.is_at_end() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'/');
        let Some(end) = end else {
            return Some(std::mem::replace(&mut self.rest, self.later.pop().unwrap_or_default()));
        };
        let component = self.rest.split_to(end);
        let slashes = self.rest.iter().take_while(|byte| **byte == b'/').count();
        self.rest.advance(slashes);
        if self.rest.is_empty() {
            self.rest = self.later.pop().unwrap_or_default();
        }
        Some(component)
    }

    /// Goes to the parent.
    fn ascend(&mut self) -> Result<(), Errno> {
        self.here = self.above.pop().ok_or(Errno::NotCapable)?;
        Ok(())
    }

    fn descend(&mut self, to: u64) {
        self.above.push(std::mem::replace(&mut self.here, to));
    }

    fn place(&self, last: Last) -> Place {
        Place { dir: self.here, last, has_slash: self.has_slash }
    }
}

impl ReferenceVfs {
    /// Walks a path, except that its last component need not be there.
    pub(super) async fn resolve(
        &self,
        call: &Call<'_>,
        at: &At,
        last_link: LastLink,
    ) -> Outcome<Place> {
        let directory = self.description(at.directory)?;
        if directory.kind != FileKind::Directory {
            return Err(Errno::NotDirectory.into());
        }
        if at.path.len() > PATH_BYTES_MAX {
            return Err(Errno::NameTooLong.into());
        }
        if at.path.contains(&0) {
            return Err(Errno::Invalid.into());
        }
        let mut walk = Walk::from(directory.ino);
        walk.push(at.path.clone())?;
        while let Some(component) = walk.next() {
            self.check_right(call, walk.here, Right::Search).await?;
            if let Some(place) = self.step(&mut walk, component, last_link).await? {
                return Ok(place);
            }
        }
        Ok(walk.place(Last::Here))
    }

    /// Walks one component; answers the place if it was the last.
    async fn step(
        &self,
        walk: &mut Walk,
        component: Bytes,
        last_link: LastLink,
    ) -> Outcome<Option<Place>> {
        let is_last = walk.is_at_end();
        match &component[..] {
            b"." => return Ok(is_last.then(|| walk.place(Last::Here))),
            b".." => {
                walk.ascend()?;
                return Ok(is_last.then(|| walk.place(Last::Parent)));
            }
            name if name.len() > self.cow.name_max() => return Err(Errno::NameTooLong.into()),
            _ => {}
        }
        let target = self.cow.lookup(walk.here, &component).await?;
        let is_kept = match last_link {
            LastLink::Followed => false,
            LastLink::Kept => is_last && !walk.has_slash,
            LastLink::AlwaysKept => is_last,
        };
        match target.as_ref().map(|target| (target.ino, target.kind)) {
            Some((ino, Kind::Symlink)) if !is_kept => {
                walk.links += 1;
                if walk.links > LINKS_MAX {
                    return Err(Errno::Loop.into());
                }
                walk.push(self.cow.symlink_target(ino).await?)?;
                Ok(None)
            }
            _ if is_last => Ok(Some(walk.place(Last::Name(component, target)))),
            Some((ino, Kind::Directory)) => {
                walk.descend(ino);
                Ok(None)
            }
            Some((_, Kind::Regular | Kind::Symlink)) => Err(Errno::NotDirectory.into()),
            None => Err(Errno::NoEntry.into()),
        }
    }
}

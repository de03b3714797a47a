//! The operations of bounded workloads, and the names that they are given.

use std::fmt;

use crate::call::AllocateMode;

/// A name that workloads use: two directories with two files each, and below the first one, where
/// that is asked for, one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AceName {
    /// The root.
    Root,
    /// `A`
    A,
    /// `B`
    B,
    /// `A/C`
    C,
    /// `foo`
    Foo,
    /// `bar`
    Bar,
    /// `A/foo`
    AFoo,
    /// `A/bar`
    ABar,
    /// `A/C/foo`
    CFoo,
    /// `A/C/bar`
    CBar,
}

use AceName as N;

impl AceName {
    /// The path; the root's is `.`.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Root => ".",
            Self::A => "A",
            Self::B => "B",
            Self::C => "A/C",
            Self::Foo => "foo",
            Self::Bar => "bar",
            Self::AFoo => "A/foo",
            Self::ABar => "A/bar",
            Self::CFoo => "A/C/foo",
            Self::CBar => "A/C/bar",
        }
    }

    /// The directory that it is in; the root's is the root.
    #[must_use]
    pub fn parent(self) -> Self {
        match self {
            Self::Root | Self::A | Self::B | Self::Foo | Self::Bar => Self::Root,
            Self::C | Self::AFoo | Self::ABar => Self::A,
            Self::CFoo | Self::CBar => Self::C,
        }
    }

    /// The other one of its kind beside it, or itself.
    #[must_use]
    pub fn sibling(self) -> Self {
        match self {
            Self::Root => Self::Root,
            Self::A => Self::B,
            Self::B => Self::A,
            Self::C => Self::C,
            Self::Foo => Self::Bar,
            Self::Bar => Self::Foo,
            Self::AFoo => Self::ABar,
            Self::ABar => Self::AFoo,
            Self::CFoo => Self::CBar,
            Self::CBar => Self::CFoo,
        }
    }

    /// Is it a directory's?
    #[must_use]
    pub fn is_directory(self) -> bool {
        match self {
            Self::Root | Self::A | Self::B | Self::C => true,
            Self::Foo | Self::Bar | Self::AFoo | Self::ABar | Self::CFoo | Self::CBar => false,
        }
    }

    /// The names that may be in it.
    #[must_use]
    pub fn children(self) -> &'static [Self] {
        match self {
            Self::Root => &[N::A, N::B, N::Foo, N::Bar],
            Self::A => &[N::C, N::AFoo, N::ABar],
            Self::C => &[N::CFoo, N::CBar],
            Self::B | Self::Foo | Self::Bar | Self::AFoo | Self::ABar | Self::CFoo | Self::CBar => {
                &[]
            }
        }
    }
}

/// Where in a file of some size an operation takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// Two blocks behind the end.
    Append,
    /// A block's length within the file, half a block behind its beginning.
    Inside,
    /// A block's length across the end.
    Across,
    /// The first block.
    Start,
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Append => "append",
            Self::Inside => "inside",
            Self::Across => "across",
            Self::Start => "start",
        })
    }
}

/// An operation with its parameters. What it depends on is seen to before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AceOperation {
    /// `open` with `O_CREAT | O_EXCL`.
    Create(AceName),
    /// `mkdir`.
    MakeDirectory(AceName),
    /// `fallocate`.
    Allocate(AceName, AllocateMode, Placed),
    /// `pwrite`.
    Write(AceName, Placed),
    /// `pwrite` through a description with `O_DIRECT`, which is closed then.
    WriteDirect(AceName, Placed),
    /// Stores to mapped memory, and an msync of them.
    WriteMapped(AceName, Placed),
    /// `link`.
    Link(AceName, AceName),
    /// `unlink` of a file that is open.
    Unlink(AceName),
    /// `unlink` of a file that is not open.
    Remove(AceName),
    /// `rename`.
    Rename(AceName, AceName),
    /// `fsetxattr`.
    SetAttribute(AceName),
    /// `fremovexattr`.
    RemoveAttribute(AceName),
    /// `ftruncate` to a block's end, or not.
    Truncate(AceName, bool),
    /// `symlink`.
    Symlink(AceName, AceName),
    /// `rmdir`.
    RemoveDirectory(AceName),
    /// Stores to two blocks of mapped memory, and an msync of the first one.
    WriteMappedRanged(AceName),
    /// `FICLONE`.
    Clone(AceName, AceName),
    /// A snapshot of everything.
    Snapshot,
}

impl AceOperation {
    /// The names among its parameters.
    #[must_use]
    pub fn names(self) -> [Option<AceName>; 2] {
        match self {
            Self::Create(name)
            | Self::MakeDirectory(name)
            | Self::Allocate(name, ..)
            | Self::Write(name, _)
            | Self::WriteDirect(name, _)
            | Self::WriteMapped(name, _)
            | Self::Unlink(name)
            | Self::Remove(name)
            | Self::SetAttribute(name)
            | Self::RemoveAttribute(name)
            | Self::Truncate(name, _)
            | Self::RemoveDirectory(name)
            | Self::WriteMappedRanged(name) => [Some(name), None],
            Self::Link(from, to)
            | Self::Rename(from, to)
            | Self::Symlink(from, to)
            | Self::Clone(from, to) => [Some(from), Some(to)],
            Self::Snapshot => [None, None],
        }
    }

    /// Does it persist what it does by itself, so that no choice is made after it?
    #[must_use]
    pub fn persists(self) -> bool {
        matches!(self, Self::WriteMapped(..))
    }
}

fn word(mode: AllocateMode) -> &'static str {
    match mode {
        AllocateMode::Extend => "extend",
        AllocateMode::KeepSize => "keep-size",
        AllocateMode::PunchHole => "punch-hole",
        AllocateMode::ZeroRange => "zero-range",
        AllocateMode::ZeroRangeKeepSize => "zero-range-keep-size",
        AllocateMode::CollapseRange => "collapse-range",
        AllocateMode::InsertRange => "insert-range",
    }
}

impl fmt::Display for AceOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(name) => write!(f, "creat {}", name.path()),
            Self::MakeDirectory(name) => write!(f, "mkdir {}", name.path()),
            Self::Allocate(name, mode, at) => {
                write!(f, "falloc {} {} {at}", name.path(), word(*mode))
            }
            Self::Write(name, at) => write!(f, "write {} {at}", name.path()),
            Self::WriteDirect(name, at) => write!(f, "dwrite {} {at}", name.path()),
            Self::WriteMapped(name, at) => write!(f, "mmapwrite {} {at}", name.path()),
            Self::Link(from, to) => write!(f, "link {} {}", from.path(), to.path()),
            Self::Unlink(name) => write!(f, "unlink {}", name.path()),
            Self::Remove(name) => write!(f, "remove {}", name.path()),
            Self::Rename(from, to) => write!(f, "rename {} {}", from.path(), to.path()),
            Self::SetAttribute(name) => write!(f, "fsetxattr {}", name.path()),
            Self::RemoveAttribute(name) => write!(f, "removexattr {}", name.path()),
            Self::Truncate(name, true) => write!(f, "truncate {} aligned", name.path()),
            Self::Truncate(name, false) => write!(f, "truncate {} unaligned", name.path()),
            Self::Symlink(to, name) => write!(f, "symlink {} {}", to.path(), name.path()),
            Self::RemoveDirectory(name) => write!(f, "rmdir {}", name.path()),
            Self::WriteMappedRanged(name) => write!(f, "mmapwrite {} msync-first", name.path()),
            Self::Clone(from, to) => write!(f, "clone {} {}", from.path(), to.path()),
            Self::Snapshot => f.write_str("snapshot"),
        }
    }
}

/// Which operations workloads are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// ACE's thirteen kinds.
    Ace,
    /// Of ACE's, those that change content: falloc, write, dwrite, mmapwrite, truncate.
    Data,
    /// Of ACE's, those that change names and attributes, and write.
    Metadata,
    /// As `Metadata`, with the directory `A/C` and its files.
    Nested,
    /// ACE's, and those beyond it.
    All,
}

impl Set {
    /// Every operation of the set, with every choice of its parameters.
    #[must_use]
    pub fn operations(self) -> Vec<AceOperation> {
        match self {
            Self::Ace => [metadata(PLAIN), data(PLAIN.0)].concat(),
            Self::Data => data(PLAIN.0),
            Self::Metadata => [metadata(PLAIN), writes(PLAIN.0)].concat(),
            Self::Nested => [metadata(NESTED), writes(NESTED.0)].concat(),
            Self::All => [metadata(PLAIN), data(PLAIN.0), beyond()].concat(),
        }
    }
}

/// The files that workloads begin with, those that they link and rename to, and the same of
/// directories. Two lists instead of one spare workloads that differ in names alone.
type Names = (&'static [AceName], &'static [AceName], &'static [AceName], &'static [AceName]);

const PLAIN: Names = (&[N::Foo, N::AFoo], &[N::Bar, N::ABar], &[N::A], &[N::B]);

const NESTED: Names =
    (&[N::Foo, N::AFoo, N::CFoo], &[N::Bar, N::ABar, N::CBar], &[N::A, N::C], &[N::B]);

const ALLOCATE_MODES: [AllocateMode; 5] = [
    AllocateMode::ZeroRange,
    AllocateMode::ZeroRangeKeepSize,
    AllocateMode::PunchHole,
    AllocateMode::KeepSize,
    AllocateMode::Extend,
];

const WRITTEN: [Placed; 3] = [Placed::Append, Placed::Inside, Placed::Across];

const WHOLE_BLOCKS: [Placed; 2] = [Placed::Append, Placed::Start];

fn writes(files: &[AceName]) -> Vec<AceOperation> {
    let write = |file: &AceName| WRITTEN.map(|at| AceOperation::Write(*file, at));
    files.iter().flat_map(write).collect()
}

fn data(files: &[AceName]) -> Vec<AceOperation> {
    let mut made = Vec::new();
    for file in files {
        for mode in ALLOCATE_MODES {
            made.extend(WRITTEN.map(|at| AceOperation::Allocate(*file, mode, at)));
        }
    }
    made.extend(writes(files));
    for file in files {
        made.extend(WHOLE_BLOCKS.map(|at| AceOperation::WriteDirect(*file, at)));
    }
    for file in files {
        made.extend(WHOLE_BLOCKS.map(|at| AceOperation::WriteMapped(*file, at)));
    }
    for file in files {
        made.extend([true, false].map(|aligned| AceOperation::Truncate(*file, aligned)));
    }
    made
}

/// Each pair of one of the names and another one of `to`.
fn pairs(names: &[AceName], to: &[AceName]) -> Vec<(AceName, AceName)> {
    let with = |from: &AceName| to.iter().map(|to| (*from, *to)).collect::<Vec<_>>();
    names.iter().flat_map(with).filter(|(from, to)| from != to).collect()
}

fn metadata((files, others, directories, other_directories): Names) -> Vec<AceOperation> {
    let all = [files, others].concat();
    let mut made = Vec::new();
    made.extend(files.iter().map(|file| AceOperation::Create(*file)));
    made.extend(directories.iter().map(|name| AceOperation::MakeDirectory(*name)));
    let to_others = pairs(&all, others);
    made.extend(to_others.iter().map(|(from, to)| AceOperation::Link(*from, *to)));
    made.extend(all.iter().map(|file| AceOperation::Unlink(*file)));
    made.extend(all.iter().map(|file| AceOperation::Remove(*file)));
    made.extend(to_others.iter().map(|(from, to)| AceOperation::Rename(*from, *to)));
    let directories = [directories, other_directories].concat();
    let moves = pairs(&directories, other_directories);
    made.extend(moves.iter().map(|(from, to)| AceOperation::Rename(*from, *to)));
    made.extend(files.iter().map(|file| AceOperation::SetAttribute(*file)));
    made.extend(files.iter().map(|file| AceOperation::RemoveAttribute(*file)));
    made
}

fn beyond() -> Vec<AceOperation> {
    let (files, others, directories, other_directories) = PLAIN;
    let to_others = pairs(&[files, others].concat(), others);
    let mut made = Vec::new();
    made.extend(to_others.iter().map(|(from, to)| AceOperation::Symlink(*from, *to)));
    let directories = [directories, other_directories].concat();
    made.extend(directories.iter().map(|name| AceOperation::RemoveDirectory(*name)));
    made.extend(files.iter().map(|file| AceOperation::WriteMappedRanged(*file)));
    made.extend(to_others.iter().map(|(from, to)| AceOperation::Clone(*from, *to)));
    made.push(AceOperation::Snapshot);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ace_has_seventy_six_operations_and_we_have_more() {
        let count = |set: Set| set.operations().len();
        assert_eq!(count(Set::Ace), 76);
        assert_eq!(count(Set::All), 76 + 6 + 2 + 2 + 6 + 1);
        assert_eq!(count(Set::Data) + count(Set::Metadata), 76 + 6, "write is in both");
        let mut texts: Vec<String> =
            Set::All.operations().iter().map(ToString::to_string).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 93, "each has a text of its own");
    }
}

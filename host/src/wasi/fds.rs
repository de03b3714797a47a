//! The file descriptors of one process.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::StatusFlags;
use crate::wasi::errno::AbiErrno;
use crate::wasi::rights;
use crate::wasi::rights::Rights;

/// What a descriptor leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Stdin,
    Stdout,
    Stderr,
    /// An open file description of the file system.
    Handle {
        handle: HandleId,
        kind: FileKind,
    },
}

/// One descriptor. The flags of its description live in each that leads to it.
#[derive(Debug, Clone)]
pub(super) struct Descriptor {
    pub(super) target: Target,
    pub(super) rights: Rights,
    pub(super) status: StatusFlags,
    /// The name under which the host gave it, if it did.
    pub(super) preopen: Option<Bytes>,
}

impl Descriptor {
    fn leads_to(&self, handle: HandleId) -> bool {
        match self.target {
            Target::Handle { handle: own, .. } => own == handle,
            Target::Stdin | Target::Stdout | Target::Stderr => false,
        }
    }
}

/// Descriptors by number; a new one takes the lowest number that is free.
#[derive(Debug)]
pub(super) struct FdTable {
    open: BTreeMap<u32, Descriptor>,
    /// Where free numbers led whose close failed: whether that is still open only the file system
    /// knows.
    failed: BTreeMap<u32, HandleId>,
    open_max: u32,
}

impl FdTable {
    /// Standard input, output and error, then the directories that the host gives. These exist
    /// whatever the limit.
    pub(super) fn new(preopens: &[(Bytes, HandleId)], open_max: u32) -> Self {
        let stdio = |target, base| Descriptor {
            target,
            rights: Rights::new(base, 0),
            status: StatusFlags::default(),
            preopen: None,
        };
        let directories = preopens.iter().map(|(name, handle)| Descriptor {
            target: Target::Handle { handle: *handle, kind: FileKind::Directory },
            rights: Rights::new(rights::DIRECTORY, rights::INHERITED),
            status: StatusFlags::default(),
            preopen: Some(name.clone()),
        });
        let first = [
            stdio(Target::Stdin, rights::STDIN),
            stdio(Target::Stdout, rights::STDOUT),
            stdio(Target::Stderr, rights::STDOUT),
        ];
        let open = (0..).zip(first.into_iter().chain(directories)).collect();
        Self { open, failed: BTreeMap::new(), open_max }
    }

    pub(super) fn get(&self, fd: u32) -> Result<&Descriptor, AbiErrno> {
        self.open.get(&fd).ok_or(AbiErrno::Badf)
    }

    pub(super) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, AbiErrno> {
        self.open.get_mut(&fd).ok_or(AbiErrno::Badf)
    }

    /// The lowest free number, if one more may be open.
    pub(super) fn vacant(&self) -> Result<u32, AbiErrno> {
        if self.open.len() >= self.open_max as usize {
            return Err(AbiErrno::Mfile);
        }
        let taken = (0..).zip(self.open.keys()).take_while(|(free, fd)| free == *fd);
        Ok(taken.map(|(_, fd)| fd + 1).last().unwrap_or(0))
    }

    /// Opens a descriptor at a number that [`FdTable::vacant`] gave.
    pub(super) fn insert(&mut self, fd: u32, descriptor: Descriptor) {
        self.failed.remove(&fd);
        let before = self.open.insert(fd, descriptor);
        assert!(before.is_none(), "a vacant number leads nowhere");
    }

    pub(super) fn remove(&mut self, fd: u32) -> Result<Descriptor, AbiErrno> {
        self.open.remove(&fd).ok_or(AbiErrno::Badf)
    }

    /// The close of what a number led to failed. The number is free.
    pub(super) fn close_failed(&mut self, fd: u32, handle: HandleId) {
        self.failed.insert(fd, handle);
    }

    /// Where a free number led whose close failed, if so: it is closed again.
    pub(super) fn take_failed(&mut self, fd: u32) -> Option<HandleId> {
        self.failed.remove(&fd)
    }

    /// Does another descriptor lead to the open file description?
    pub(super) fn is_shared(&self, handle: HandleId) -> bool {
        self.open.values().any(|open| open.leads_to(handle))
    }

    /// Sets the flags of an open file description.
    pub(super) fn set_status(&mut self, handle: HandleId, status: StatusFlags) {
        for open in self.open.values_mut().filter(|open| open.leads_to(handle)) {
            open.status = status;
        }
    }

    /// Moves `from` over `to`, which must be open; returns what `to` was.
    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Result<Option<Descriptor>, AbiErrno> {
        self.get(to)?;
        if from == to {
            return Ok(None);
        }
        let moved = self.remove(from)?;
        Ok(self.open.insert(to, moved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(open_max: u32) -> FdTable {
        FdTable::new(&[(Bytes::from_static(b"/"), HandleId::ROOT)], open_max)
    }

    #[test]
    fn a_new_descriptor_takes_the_lowest_free_number() {
        let mut fds = table(8);
        assert_eq!(fds.vacant(), Ok(4));
        fds.remove(0).expect("standard input is open");
        fds.remove(2).expect("standard error is open");
        assert_eq!(fds.vacant(), Ok(0));
        let directory = fds.get(3).expect("the preopen is open").clone();
        fds.insert(0, directory);
        assert_eq!(fds.vacant(), Ok(2));
    }

    #[test]
    fn a_number_whose_close_failed_is_free_and_is_closed_again_until_it_is_given_out() {
        let mut fds = table(8);
        let directory = fds.remove(3).expect("the preopen is open");
        fds.close_failed(3, HandleId::ROOT);
        assert!(fds.get(3).is_err());
        assert_eq!(fds.take_failed(3), Some(HandleId::ROOT));
        assert_eq!(fds.take_failed(3), None);
        fds.close_failed(3, HandleId::ROOT);
        assert_eq!(fds.vacant(), Ok(3));
        fds.insert(3, directory);
        assert_eq!(fds.take_failed(3), None);
    }

    #[test]
    fn a_full_table_has_no_vacant_number() {
        assert_eq!(table(4).vacant(), Err(AbiErrno::Mfile));
    }

    #[test]
    fn renumbering_needs_both_descriptors_and_changes_nothing_without_them() {
        let mut fds = table(8);
        assert!(fds.renumber(3, 9).is_err());
        assert!(fds.renumber(9, 3).is_err());
        assert!(fds.renumber(3, 3).expect("both are open").is_none());
        let replaced = fds.renumber(3, 0).expect("both are open").expect("it was open");
        assert_eq!(replaced.target, Target::Stdin);
        assert!(fds.get(3).is_err());
    }
}

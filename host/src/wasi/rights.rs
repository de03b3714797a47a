//! Rights of a file descriptor.
//!
//! Preview1 lets a guest give rights up, and wasi-libc masks what it asks for by what a directory
//! passes on. So directories pass on everything, what was given up stays given up, and what was
//! merely not asked for is not held against the guest: whether a handle reads or writes is the
//! file system's to say.

macro_rules! rights {
    ($($name:ident = $bit:literal,)*) => {
        $(pub(super) const $name: u64 = 1 << $bit;)*
    };
}

rights! {
    FD_DATASYNC = 0,
    FD_READ = 1,
    FD_SEEK = 2,
    FD_FDSTAT_SET_FLAGS = 3,
    FD_SYNC = 4,
    FD_TELL = 5,
    FD_WRITE = 6,
    FD_ADVISE = 7,
    FD_ALLOCATE = 8,
    PATH_CREATE_DIRECTORY = 9,
    PATH_CREATE_FILE = 10,
    PATH_LINK_SOURCE = 11,
    PATH_LINK_TARGET = 12,
    PATH_OPEN = 13,
    FD_READDIR = 14,
    PATH_READLINK = 15,
    PATH_RENAME_SOURCE = 16,
    PATH_RENAME_TARGET = 17,
    PATH_FILESTAT_GET = 18,
    PATH_FILESTAT_SET_SIZE = 19,
    PATH_FILESTAT_SET_TIMES = 20,
    FD_FILESTAT_GET = 21,
    FD_FILESTAT_SET_SIZE = 22,
    FD_FILESTAT_SET_TIMES = 23,
    PATH_SYMLINK = 24,
    PATH_REMOVE_DIRECTORY = 25,
    PATH_UNLINK_FILE = 26,
    POLL_FD_READWRITE = 27,
}

/// What a regular file can be asked for.
pub(super) const FILE: u64 = FD_DATASYNC
    | FD_READ
    | FD_SEEK
    | FD_FDSTAT_SET_FLAGS
    | FD_SYNC
    | FD_TELL
    | FD_WRITE
    | FD_ADVISE
    | FD_ALLOCATE
    | FD_FILESTAT_GET
    | FD_FILESTAT_SET_SIZE
    | FD_FILESTAT_SET_TIMES
    | POLL_FD_READWRITE;

/// What a directory can be asked for.
pub(super) const DIRECTORY: u64 = FD_DATASYNC
    | FD_FDSTAT_SET_FLAGS
    | FD_SYNC
    | PATH_CREATE_DIRECTORY
    | PATH_CREATE_FILE
    | PATH_LINK_SOURCE
    | PATH_LINK_TARGET
    | PATH_OPEN
    | FD_READDIR
    | PATH_READLINK
    | PATH_RENAME_SOURCE
    | PATH_RENAME_TARGET
    | PATH_FILESTAT_GET
    | PATH_FILESTAT_SET_SIZE
    | PATH_FILESTAT_SET_TIMES
    | FD_FILESTAT_GET
    | FD_FILESTAT_SET_TIMES
    | PATH_SYMLINK
    | PATH_REMOVE_DIRECTORY
    | PATH_UNLINK_FILE
    | POLL_FD_READWRITE;

/// What a directory passes on.
pub(super) const INHERITED: u64 = FILE | DIRECTORY;

/// What standard input can be asked for. Without seek and tell it is a terminal to wasi-libc.
pub(super) const STDIN: u64 = FD_READ | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE;

/// What standard output can be asked for.
pub(super) const STDOUT: u64 = FD_WRITE | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE;

/// The rights that are asked of one file descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rights {
    /// Reported as held.
    pub(super) base: u64,
    /// Reported as passed on.
    pub(super) inheriting: u64,
    given_up: u64,
}

impl Rights {
    /// The rights a descriptor starts with.
    pub(super) fn new(base: u64, inheriting: u64) -> Self {
        Self { base, inheriting, given_up: 0 }
    }

    /// Was none of these given up?
    pub(super) fn allow(&self, needed: u64) -> bool {
        self.given_up & needed == 0
    }

    /// Gives rights up; refuses to take any.
    pub(super) fn narrow(&mut self, base: u64, inheriting: u64) -> bool {
        if base & !self.base != 0 || inheriting & !self.inheriting != 0 {
            return false;
        }
        self.given_up |= self.base & !base;
        (self.base, self.inheriting) = (base, inheriting);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_given_up_are_never_taken_back() {
        let mut rights = Rights::new(FD_READ | FD_WRITE, 0);
        assert!(rights.allow(FD_READ));
        assert!(rights.narrow(FD_WRITE, 0));
        assert!(!rights.allow(FD_READ));
        assert!(rights.allow(FD_WRITE));
        assert!(!rights.narrow(FD_READ | FD_WRITE, 0));
        assert!(!rights.allow(FD_READ));
    }
}

//! What wasi-common says went wrong, in the words of the call seam.

use wasi_common::snapshots::preview_1::types::Errno as HostErrno;

use crate::call::Errno;
use crate::call::Halt;

/// Why a request has no value.
#[derive(Debug)]
pub(super) enum Failure {
    /// The guest is told.
    Errno(Errno),
    /// The seam has no word for it.
    Halt(Halt),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Halt> for Failure {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

impl From<wasi_common::Error> for Failure {
    fn from(error: wasi_common::Error) -> Self {
        match error.downcast() {
            Ok(errno) => meaning(errno).map_or_else(
                || Halt::Unsupported("an error of the host that has no word here").into(),
                Self::Errno,
            ),
            // wasi-common makes the guest trap.
            Err(_) => {
                Halt::Unsupported("an error of the host that preview1 has no word for").into()
            }
        }
    }
}

/// Every errno of the seam that preview1 has a name for, by that name. The other errnos of preview1
/// have no word.
const WORDS: [(HostErrno, Errno); 33] = [
    (HostErrno::Acces, Errno::Access),
    (HostErrno::Again, Errno::Again),
    (HostErrno::Badf, Errno::BadFile),
    (HostErrno::Busy, Errno::Busy),
    (HostErrno::Deadlk, Errno::Deadlock),
    (HostErrno::Exist, Errno::Exists),
    (HostErrno::Fbig, Errno::FileTooBig),
    (HostErrno::Ilseq, Errno::IllegalSequence),
    (HostErrno::Intr, Errno::Interrupted),
    (HostErrno::Inval, Errno::Invalid),
    (HostErrno::Io, Errno::Io),
    (HostErrno::Isdir, Errno::IsDirectory),
    (HostErrno::Loop, Errno::Loop),
    (HostErrno::Mfile, Errno::TooManyOpen),
    (HostErrno::Mlink, Errno::TooManyLinks),
    (HostErrno::Nametoolong, Errno::NameTooLong),
    (HostErrno::Noent, Errno::NoEntry),
    (HostErrno::Nolck, Errno::NoLocks),
    (HostErrno::Nomem, Errno::NoMemory),
    (HostErrno::Nospc, Errno::NoSpace),
    (HostErrno::Notdir, Errno::NotDirectory),
    (HostErrno::Notempty, Errno::NotEmpty),
    (HostErrno::Notsup, Errno::NotSupported),
    (HostErrno::Nxio, Errno::NoAddress),
    (HostErrno::Nodev, Errno::NoDevice),
    (HostErrno::Overflow, Errno::Overflow),
    (HostErrno::Perm, Errno::NotPermitted),
    (HostErrno::Pipe, Errno::BrokenPipe),
    (HostErrno::Rofs, Errno::ReadOnly),
    (HostErrno::Spipe, Errno::IllegalSeek),
    (HostErrno::Xdev, Errno::CrossDevice),
    (HostErrno::Notcapable, Errno::NotCapable),
    (HostErrno::TooBig, Errno::TooBig),
];

fn meaning(errno: HostErrno) -> Option<Errno> {
    WORDS.iter().find(|(host, _)| *host == errno).map(|(_, errno)| *errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_of_the_seam_but_the_extension_s_own_has_one_name_at_the_host() {
        let mut named: Vec<Errno> = WORDS.iter().map(|(_, errno)| *errno).collect();
        named.sort_unstable();
        let mut all = Errno::ALL.to_vec();
        all.retain(|errno| *errno != Errno::NoAttribute);
        all.sort_unstable();
        assert_eq!(named, all);
    }
}

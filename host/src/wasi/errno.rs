//! The numbers by which preview1 names errors.
//!
//! Invariant W-2: every errno has a number in the ABI, and every case of the ABI's list is decided.

use crate::call::Errno;

macro_rules! abi_errnos {
    ($($variant:ident = $number:literal => $meaning:expr,)*) => {
        /// Preview1's `errno`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        #[expect(missing_docs, reason = "the names are the ABI's own")]
        pub enum AbiErrno {
            $($variant = $number,)*
        }

        impl AbiErrno {
            /// Every case of the ABI's list, in the order of the numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What it means at the call seam; nothing for success and for what no file system
            /// answers here.
            #[must_use]
            pub fn meaning(self) -> Option<Errno> {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

abi_errnos! {
    Success = 0 => None,
    TooBig = 1 => Some(Errno::TooBig),
    Acces = 2 => Some(Errno::Access),
    Addrinuse = 3 => None,
    Addrnotavail = 4 => None,
    Afnosupport = 5 => None,
    Again = 6 => Some(Errno::Again),
    Already = 7 => None,
    Badf = 8 => Some(Errno::BadFile),
    Badmsg = 9 => None,
    Busy = 10 => Some(Errno::Busy),
    Canceled = 11 => None,
    Child = 12 => None,
    Connaborted = 13 => None,
    Connrefused = 14 => None,
    Connreset = 15 => None,
    Deadlk = 16 => Some(Errno::Deadlock),
    Destaddrreq = 17 => None,
    Dom = 18 => None,
    Dquot = 19 => None,
    Exist = 20 => Some(Errno::Exists),
    Fault = 21 => None,
    Fbig = 22 => Some(Errno::FileTooBig),
    Hostunreach = 23 => None,
    Idrm = 24 => None,
    Ilseq = 25 => Some(Errno::IllegalSequence),
    Inprogress = 26 => None,
    Intr = 27 => Some(Errno::Interrupted),
    Inval = 28 => Some(Errno::Invalid),
    Io = 29 => Some(Errno::Io),
    Isconn = 30 => None,
    Isdir = 31 => Some(Errno::IsDirectory),
    Loop = 32 => Some(Errno::Loop),
    Mfile = 33 => Some(Errno::TooManyOpen),
    Mlink = 34 => Some(Errno::TooManyLinks),
    Msgsize = 35 => None,
    Multihop = 36 => None,
    Nametoolong = 37 => Some(Errno::NameTooLong),
    Netdown = 38 => None,
    Netreset = 39 => None,
    Netunreach = 40 => None,
    Nfile = 41 => None,
    Nobufs = 42 => None,
    Nodev = 43 => Some(Errno::NoDevice),
    Noent = 44 => Some(Errno::NoEntry),
    Noexec = 45 => None,
    Nolck = 46 => Some(Errno::NoLocks),
    Nolink = 47 => None,
    Nomem = 48 => Some(Errno::NoMemory),
    Nomsg = 49 => None,
    Noprotoopt = 50 => None,
    Nospc = 51 => Some(Errno::NoSpace),
    Nosys = 52 => None,
    Notconn = 53 => None,
    Notdir = 54 => Some(Errno::NotDirectory),
    Notempty = 55 => Some(Errno::NotEmpty),
    Notrecoverable = 56 => None,
    Notsock = 57 => None,
    Notsup = 58 => Some(Errno::NotSupported),
    Notty = 59 => None,
    Nxio = 60 => Some(Errno::NoAddress),
    Overflow = 61 => Some(Errno::Overflow),
    Ownerdead = 62 => None,
    Perm = 63 => Some(Errno::NotPermitted),
    Pipe = 64 => Some(Errno::BrokenPipe),
    Proto = 65 => None,
    Protonosupport = 66 => None,
    Prototype = 67 => None,
    Range = 68 => None,
    Rofs = 69 => Some(Errno::ReadOnly),
    Spipe = 70 => Some(Errno::IllegalSeek),
    Srch = 71 => None,
    Stale = 72 => None,
    Timedout = 73 => None,
    Txtbsy = 74 => None,
    Xdev = 75 => Some(Errno::CrossDevice),
    Notcapable = 76 => Some(Errno::NotCapable),
    // The extension's own: preview1 has no number for it.
    Nodata = 77 => Some(Errno::NoAttribute),
}

impl AbiErrno {
    /// The number a guest sees.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }
}

impl From<Errno> for AbiErrno {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::Access => Self::Acces,
            Errno::Again => Self::Again,
            Errno::BadFile => Self::Badf,
            Errno::Busy => Self::Busy,
            Errno::Deadlock => Self::Deadlk,
            Errno::Exists => Self::Exist,
            Errno::FileTooBig => Self::Fbig,
            Errno::IllegalSequence => Self::Ilseq,
            Errno::Interrupted => Self::Intr,
            Errno::Invalid => Self::Inval,
            Errno::Io => Self::Io,
            Errno::IsDirectory => Self::Isdir,
            Errno::Loop => Self::Loop,
            Errno::TooManyOpen => Self::Mfile,
            Errno::TooManyLinks => Self::Mlink,
            Errno::NameTooLong => Self::Nametoolong,
            Errno::NoEntry => Self::Noent,
            Errno::NoLocks => Self::Nolck,
            Errno::NoMemory => Self::Nomem,
            Errno::NoSpace => Self::Nospc,
            Errno::NotDirectory => Self::Notdir,
            Errno::NotEmpty => Self::Notempty,
            Errno::NotSupported => Self::Notsup,
            Errno::NoAddress => Self::Nxio,
            Errno::NoDevice => Self::Nodev,
            Errno::Overflow => Self::Overflow,
            Errno::NotPermitted => Self::Perm,
            Errno::BrokenPipe => Self::Pipe,
            Errno::ReadOnly => Self::Rofs,
            Errno::IllegalSeek => Self::Spipe,
            Errno::CrossDevice => Self::Xdev,
            Errno::NotCapable => Self::Notcapable,
            Errno::NoAttribute => Self::Nodata,
            Errno::TooBig => Self::TooBig,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_survives_the_way_to_the_guest_and_back() {
        for errno in Errno::ALL.iter().copied() {
            assert_eq!(AbiErrno::from(errno).meaning(), Some(errno), "W-2: {}", errno.name());
        }
    }

    #[test]
    fn the_list_is_the_abi_s_and_one_more_and_has_no_gap() {
        for (number, errno) in AbiErrno::ALL.iter().enumerate() {
            assert_eq!(usize::from(errno.number()), number);
        }
        assert_eq!(AbiErrno::ALL.len(), 78);
    }
}

//! Why a request failed, in POSIX's words.

macro_rules! errnos {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a request failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Errno {
            $(#[doc = $name] $(#[$doc])* $variant,)*
        }

        impl Errno {
            /// Every errno.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// POSIX's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

errnos! {
    Access = "EACCES",
    Again = "EAGAIN",
    BadFile = "EBADF",
    Busy = "EBUSY",
    Deadlock = "EDEADLK",
    Exists = "EEXIST",
    FileTooBig = "EFBIG",
    IllegalSequence = "EILSEQ",
    Interrupted = "EINTR",
    Invalid = "EINVAL",
    Io = "EIO",
    IsDirectory = "EISDIR",
    Loop = "ELOOP",
    TooManyOpen = "EMFILE",
    TooManyLinks = "EMLINK",
    NameTooLong = "ENAMETOOLONG",
    NoEntry = "ENOENT",
    NoLocks = "ENOLCK",
    NoMemory = "ENOMEM",
    NoSpace = "ENOSPC",
    NotDirectory = "ENOTDIR",
    NotEmpty = "ENOTEMPTY",
    NotSupported = "ENOTSUP",
    NoAddress = "ENXIO",
    NoDevice = "ENODEV",
    Overflow = "EOVERFLOW",
    NotPermitted = "EPERM",
    BrokenPipe = "EPIPE",
    ReadOnly = "EROFS",
    IllegalSeek = "ESPIPE",
    CrossDevice = "EXDEV",
    NotCapable = "ENOTCAPABLE",
    NoAttribute = "ENODATA",
    TooBig = "E2BIG",
}

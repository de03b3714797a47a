//! Permission bits of a file.

/// What may be done to a file or a directory by whoever owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// To read it, or to list it.
    Read,
    /// To write it, or to change its names.
    Write,
    /// To look for names in it.
    Search,
}

/// Permission bits as `chmod` takes them: twelve. The owner's three decide, since every process
/// runs as the owner of every file; the others are kept and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u16);

impl Mode {
    /// Of a file that is made without one.
    pub const FILE: Self = Self(0o666);
    /// Of a directory that is made without one, and of every symbolic link.
    pub const DIRECTORY: Self = Self(0o777);

    /// The permission bits of a number; the others are dropped.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Self((bits & 0o7777) as u16)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Has the owner this right?
    #[must_use]
    pub const fn allows(self, right: Right) -> bool {
        let bit = match right {
            Right::Read => 0o400,
            Right::Write => 0o200,
            Right::Search => 0o100,
        };
        self.0 & bit != 0
    }
}

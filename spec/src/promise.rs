//! Profiles: which promises a subject makes. Data, not code: `spec/profiles`, one file each.

use std::fmt;

use serde::Deserialize;

/// How demanding the reading is. A clause above the chosen level is not enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// What the standard says.
    Posix,
    /// What programs on Linux have come to rely on.
    Linux,
    /// What a careful reader would want.
    Strict,
}

/// The promises of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promises {
    /// How the profile is called.
    pub name: String,
    /// Do changes of names survive a crash as a prefix of their history [CRASH-05]?
    pub ordered_namespace: bool,
    /// Does a sync of a file make its names durable as well [DUR-DIR-02]?
    pub file_sync_covers_names: bool,
    /// No file is made longer than this, by whatever call [LIM-06]. Nothing: nobody says so. It is
    /// of the machine, and no key of a profile.
    #[serde(skip)]
    pub file_size_bytes_max: Option<u64>,
    /// What is promised about failures.
    pub error: ErrorPromise,
}

/// Who is owed the report of a failed writeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observers {
    /// Whoever syncs the file.
    Everyone,
    /// Each description that was open when it happened.
    OpenAtError,
    /// One who syncs the file, whoever is first.
    FirstWaiter,
    /// Whose own sync it was that failed; nobody, if it was in the background.
    Waiter,
    /// The description that the lost bytes were written through, and no other [ERR-REPORT-11].
    Writer,
}

/// What ends the reports of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClearRule {
    /// The lost range was rewritten and the new bytes are durable, or it was removed.
    SupersededAndStable,
    /// One report for each description.
    PerDescriptionCursor,
    /// One report.
    FirstReport,
    /// Nobody has the file open any more.
    LastClose,
    /// Nothing, for a description that was told; it has to be opened again.
    Reopen,
    /// The file system is mounted again: until then no sync of any file succeeds [ERR-STICKY-04].
    Remount,
}

/// What success of a sync says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Syncs {
    /// That what it covers is durable.
    Durable,
    /// Nothing but that no failure was told: syncs are left out.
    Void,
}

/// Which sync tells of a failure that it met itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportTime {
    /// That one.
    SameSync,
    /// The next one: that one may say success.
    NextSync,
}

/// What a read finds after a failed writeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterFailure {
    /// The new bytes, or an error.
    KeepsNew,
    /// The new bytes as long as they are cached; the old ones afterwards.
    MayRevertAfterEviction,
    /// The new bytes or the old ones, from the failure on.
    MayRevert,
}

/// What becomes of bytes that could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unwritten {
    /// They are given up, and a failure is told.
    Lost,
    /// They are still due, and success means that they were written [ERR-RETRY-01].
    Due,
    /// They are still due, and callers wait for the device instead of being told of a failure
    /// [ERR-SUSP-01].
    WaitedFor,
}

/// What `syncfs` tells of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncfsReport {
    /// Nothing.
    Silent,
    /// That some file failed since it last told so [ERR-REPORT-06].
    Once,
    /// That something is lost, as long as it is.
    Always,
}

/// May the file system stop when records of its own could not be written?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stops {
    /// No.
    Never,
    /// It may take no change any more (EROFS).
    ReadOnly,
    /// It may answer nothing any more (EIO, which needs a cause under every profile).
    Shutdown,
}

/// What is promised about failures of writeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPromise {
    /// Who is owed a report.
    pub observers: Observers,
    /// What ends the reports.
    pub clear: ClearRule,
    /// When a sync tells of its own failure.
    pub report: ReportTime,
    /// What reads find.
    pub after_failure: AfterFailure,
    /// What becomes of what could not be written.
    pub unwritten: Unwritten,
    /// Is a failure that nobody has seen reported to whoever opens the file next?
    pub unseen_reaches_next_opener: bool,
    /// Is it still reported once nobody holds the file and memory was short?
    pub survives_inode_eviction: bool,
    /// What `syncfs` tells.
    pub syncfs: SyncfsReport,
    /// What follows where more than a file's bytes could not be written.
    pub stops: Stops,
    /// What success of a sync says.
    pub syncs: Syncs,
}

impl ErrorPromise {
    /// Does every sync fail while a range is lost, whoever was told before [ERR-STICKY-01]?
    pub(crate) fn is_sticky(&self) -> bool {
        self.clear == ClearRule::SupersededAndStable && !self.retries()
    }

    /// Is what could not be written still due?
    pub(crate) fn retries(&self) -> bool {
        match self.unwritten {
            Unwritten::Lost => false,
            Unwritten::Due | Unwritten::WaitedFor => true,
        }
    }

    /// Which key's value cannot be had beside the others, and why.
    fn conflict(&self) -> Option<(&'static str, &'static str)> {
        let (clears, why): (&[ClearRule], _) = match self.observers {
            Observers::Everyone => (
                &[ClearRule::SupersededAndStable, ClearRule::LastClose, ClearRule::Remount],
                "with these observers it is \"superseded-and-stable\", \"last-close\" or \
                 \"remount\"",
            ),
            Observers::OpenAtError => (
                &[ClearRule::PerDescriptionCursor, ClearRule::Reopen],
                "with these observers it is \"per-description-cursor\" or \"reopen\"",
            ),
            Observers::Waiter if self.retries() => (
                &[ClearRule::SupersededAndStable, ClearRule::LastClose],
                "with these observers, and what is still due, it is \"superseded-and-stable\" or \
                 \"last-close\"",
            ),
            Observers::FirstWaiter | Observers::Waiter => {
                (&[ClearRule::FirstReport], "with these observers it is \"first-report\"")
            }
            Observers::Writer => (
                &[ClearRule::PerDescriptionCursor],
                "with these observers it is \"per-description-cursor\"",
            ),
        };
        let ends = [ClearRule::SupersededAndStable, ClearRule::LastClose];
        if !clears.contains(&self.clear) {
            return Some(("clear", why));
        }
        if self.retries() && !ends.contains(&self.clear) {
            return Some(("unwritten", "what is still due is told of until it is written"));
        }
        if self.report == ReportTime::NextSync && self.clear != ClearRule::PerDescriptionCursor {
            return Some(("report", "next-sync needs clear = \"per-description-cursor\""));
        }
        if self.observers == Observers::Writer && self.report == ReportTime::NextSync {
            return Some(("report", "with observers = \"writer\" it is \"same-sync\""));
        }
        if self.observers == Observers::Writer && self.unseen_reaches_next_opener {
            return Some(("unseen_reaches_next_opener", "with observers = \"writer\" it is false"));
        }
        if self.clear == ClearRule::LastClose && self.survives_inode_eviction {
            return Some(("survives_inode_eviction", "nothing survives the last close"));
        }
        None
    }
}

/// Why a text is not a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileError {
    /// The file, or how the text was called.
    pub file: String,
    /// What is wrong: line, column, key and what was expected.
    pub why: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "profile {}: {}", self.file, self.why)
    }
}

impl std::error::Error for ProfileError {}

macro_rules! embedded {
    ($($name:literal)*) => {
        /// The profiles of this program: name and text.
        const EMBEDDED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../profiles/", $name, ".toml"))),)*];

        impl Promises {
            /// The profiles of this program, the default first.
            pub const NAMES: &[&str] = &[$($name,)*];
        }
    };
}

embedded! {
    "strict-sticky"
    "strict-retry"
    "linux-flags"
    "linux-errseq-4.13"
    "linux-errseq-4.17"
    "linux-5.8"
    "ext4-ordered"
    "ext4-data-journal"
    "xfs"
    "xfs-before-5.19"
    "btrfs-before-6.6"
    "openbsd-vnode"
    "freebsd-redirty"
    "illumos-redirty"
    "zfs-wait"
    "zfs-continue"
    "gluster-forget"
    "gluster-resync"
    "qemu-file-posix"
    "overlay-volatile"
    "nfs-context"
}

impl Promises {
    /// The text of the profile with this name.
    #[must_use]
    pub fn text(name: &str) -> Option<&'static str> {
        EMBEDDED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// The profile with this name; none if there is no such profile.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let text = Self::text(name)?;
        Some(Self::from_toml(name, text).expect("each embedded profile is read by a test here"))
    }

    /// Reads a profile; `file` is what an error calls it.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, ProfileError> {
        let refused = |why: String| ProfileError { file: file.to_owned(), why };
        let read: Self = toml::from_str(text)
            .map_err(|error| refused(error.to_string().trim_end().to_owned()))?;
        read.checked(file, text)
    }

    /// These promises, if no two of them contradict each other; `text` is what they were read from.
    ///
    /// # Errors
    /// With the line of the value that is to be changed.
    pub fn checked(self, file: &str, text: &str) -> Result<Self, ProfileError> {
        let refused = |why: String| ProfileError { file: file.to_owned(), why };
        if self.name.is_empty() {
            return Err(refused("name is empty".to_owned()));
        }
        let Some((key, why)) = self.error.conflict() else { return Ok(self) };
        Err(refused(format!("line {}: {key}: {why}", line_of(text, key))))
    }

    /// A lost range is an error of every sync, until it is superseded and durable, or removed.
    #[must_use]
    pub fn strict_sticky() -> Self {
        Self {
            name: "strict-sticky".to_owned(),
            ordered_namespace: true,
            file_sync_covers_names: true,
            file_size_bytes_max: None,
            error: ErrorPromise {
                observers: Observers::Everyone,
                clear: ClearRule::SupersededAndStable,
                report: ReportTime::SameSync,
                after_failure: AfterFailure::KeepsNew,
                unwritten: Unwritten::Lost,
                unseen_reaches_next_opener: true,
                survives_inode_eviction: true,
                syncfs: SyncfsReport::Always,
                stops: Stops::Never,
                syncs: Syncs::Durable,
            },
        }
    }
}

/// The line on which a key of the promises about errors stands, counted from 1.
fn line_of(text: &str, key: &str) -> usize {
    let is_key = |line: &str| {
        line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let mut lines = text.lines().enumerate().skip_while(|(_, line)| !line.ends_with("error]"));
    lines.find(|(_, line)| is_key(line)).map_or(1, |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_of_this_program_is_read_under_its_own_name() {
        for name in Promises::NAMES.iter().copied() {
            assert_eq!(Promises::named(name).map(|promises| promises.name).as_deref(), Some(name));
        }
        assert_eq!(Promises::named("fat12"), None);
    }

    #[test]
    fn the_file_says_what_the_program_assumes() {
        assert_eq!(Promises::named("strict-sticky"), Some(Promises::strict_sticky()));
    }

    #[test]
    fn promises_that_contradict_each_other_are_refused_with_their_line() {
        let sound = EMBEDDED[0].1;
        let line = |key: &str| line_of(sound, key);
        for (from, to, key) in [
            ("observers = \"everyone\"", "observers = \"open-at-error\"", "clear"),
            ("report = \"same-sync\"", "report = \"next-sync\"", "report"),
            (
                "clear = \"superseded-and-stable\"",
                "clear = \"last-close\"",
                "survives_inode_eviction",
            ),
            ("observers = \"everyone\"", "observers = \"writer\"", "clear"),
        ] {
            let text = sound.replacen(from, to, 1);
            assert_ne!(text, sound);
            let message = Promises::from_toml("mine.toml", &text).expect_err(to).to_string();
            let place = format!("profile mine.toml: line {}: {key}: ", line(key));
            assert!(message.starts_with(&place), "{place}: {message}");
        }
    }

    #[test]
    fn a_refusal_names_file_and_key() {
        let sound = EMBEDDED[0].1;
        let cases = [
            ("observers =", "observes =", "unknown field `observes`"),
            ("\"everyone\"\n\n", "\"nobody\"\n\n", "unknown variant `nobody`"),
            ("survives_inode_eviction = true", "", "missing field `survives_inode_eviction`"),
            ("ordered_namespace = true", "ordered_namespace = 1", "invalid type: integer `1`"),
            ("name = \"strict-sticky\"", "name = \"\"", "name is empty"),
        ];
        for (from, to, expected) in cases {
            let text = sound.replacen(from, to, 1);
            let message = Promises::from_toml("mine.toml", &text).expect_err(to).to_string();
            assert!(message.starts_with("profile mine.toml: "), "{message}");
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
}

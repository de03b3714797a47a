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
}

/// What ends the reports of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClearRule {
    /// The lost range was rewritten and the new bytes are durable, or it was removed.
    SupersededAndStable,
    /// One report for each description.
    PerDescriptionCursor,
}

/// What a read finds after a failed writeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterFailure {
    /// The new bytes, or an error.
    KeepsNew,
    /// The new bytes as long as they are cached; the old ones afterwards.
    MayRevertAfterEviction,
}

/// What is promised about failures of writeback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPromise {
    /// Who is owed a report.
    pub observers: Observers,
    /// What ends the reports.
    pub clear: ClearRule,
    /// What reads find.
    pub after_failure: AfterFailure,
    /// Is a failure that nobody has seen reported to whoever opens the file next?
    pub unseen_reaches_next_opener: bool,
    /// Is it still reported once nobody holds the file and memory was short?
    pub survives_inode_eviction: bool,
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

/// The profiles of this program: name and text.
const EMBEDDED: [(&str, &str); 2] = [
    ("strict-sticky", include_str!("../profiles/strict-sticky.toml")),
    ("linux-errseq-4.17", include_str!("../profiles/linux-errseq-4.17.toml")),
];

impl Promises {
    /// The profiles of this program, the default first.
    pub const NAMES: [&str; EMBEDDED.len()] = [EMBEDDED[0].0, EMBEDDED[1].0];

    /// The profile with this name; none if there is no such profile.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (file, text) = EMBEDDED.into_iter().find(|(known, _)| *known == name)?;
        Some(Self::from_toml(file, text).expect("each embedded profile is read by a test here"))
    }

    /// Reads a profile; `file` is what an error calls it.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, ProfileError> {
        let refused = |why: String| ProfileError { file: file.to_owned(), why };
        let read: Self = toml::from_str(text)
            .map_err(|error| refused(error.to_string().trim_end().to_owned()))?;
        if read.name.is_empty() {
            return Err(refused("name is empty".to_owned()));
        }
        Ok(read)
    }

    /// A lost range is an error of every sync, until it is superseded and durable, or removed.
    #[must_use]
    pub fn strict_sticky() -> Self {
        Self {
            name: "strict-sticky".to_owned(),
            ordered_namespace: true,
            file_sync_covers_names: true,
            error: ErrorPromise {
                observers: Observers::Everyone,
                clear: ClearRule::SupersededAndStable,
                after_failure: AfterFailure::KeepsNew,
                unseen_reaches_next_opener: true,
                survives_inode_eviction: true,
            },
        }
    }

    /// Linux since 4.17: a failure is reported once to each description, then forgotten.
    #[must_use]
    pub fn linux_errseq_4_17() -> Self {
        Self {
            name: "linux-errseq-4.17".to_owned(),
            ordered_namespace: true,
            file_sync_covers_names: true,
            error: ErrorPromise {
                observers: Observers::OpenAtError,
                clear: ClearRule::PerDescriptionCursor,
                after_failure: AfterFailure::MayRevertAfterEviction,
                unseen_reaches_next_opener: true,
                survives_inode_eviction: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_of_this_program_is_read_under_its_own_name() {
        for name in Promises::NAMES {
            assert_eq!(Promises::named(name).map(|promises| promises.name).as_deref(), Some(name));
        }
        assert_eq!(Promises::named("fat12"), None);
    }

    #[test]
    fn the_files_say_what_the_program_assumes() {
        assert_eq!(Promises::named("strict-sticky"), Some(Promises::strict_sticky()));
        assert_eq!(Promises::named("linux-errseq-4.17"), Some(Promises::linux_errseq_4_17()));
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

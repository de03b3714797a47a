//! The catalogue of clauses: what is promised, by whom it is said, and from what it is decided.
//!
//! The clauses are data in `spec/clauses`, one file a group. A clause that is not `enforced` is
//! never reported as held.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::promise::Level;

/// The files of the catalogue, in its order.
const FILES: [(&str, &str); 14] = [
    ("namespace.toml", include_str!("../clauses/namespace.toml")),
    ("lock.toml", include_str!("../clauses/lock.toml")),
    ("data.toml", include_str!("../clauses/data.toml")),
    ("mapping.toml", include_str!("../clauses/mapping.toml")),
    ("seek.toml", include_str!("../clauses/seek.toml")),
    ("copy.toml", include_str!("../clauses/copy.toml")),
    ("attribute.toml", include_str!("../clauses/attribute.toml")),
    ("size.toml", include_str!("../clauses/size.toml")),
    ("durability.toml", include_str!("../clauses/durability.toml")),
    ("crash.toml", include_str!("../clauses/crash.toml")),
    ("error.toml", include_str!("../clauses/error.toml")),
    ("allocation.toml", include_str!("../clauses/allocation.toml")),
    ("redundancy.toml", include_str!("../clauses/redundancy.toml")),
    ("limits.toml", include_str!("../clauses/limits.toml")),
];

/// What a clause can apply to: the operations of a trace, those still to come, and a crash.
pub const OPERATIONS: [&str; 34] = [
    "allocate",
    "chmod",
    "clone",
    "close",
    "collapse",
    "copy",
    "crash",
    "dedupe",
    "exchange",
    "fdatasync",
    "flock",
    "fsync",
    "link",
    "lock",
    "map",
    "mkdir",
    "msync",
    "open",
    "punch",
    "read",
    "readdir",
    "rename",
    "rmdir",
    "seek",
    "setflags",
    "snapshot",
    "stat",
    "symlink",
    "sync-range",
    "syncfs",
    "truncate",
    "unlink",
    "write",
    "xattr",
];

/// Where a clause binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// At this level and above: what the standard says.
    Posix,
    /// At this level and above: what programs on Linux rely on.
    Linux,
    /// At this level alone: the strict reading.
    Strict,
    /// At no level: only under a profile that promises it.
    Profile,
}

impl Binding {
    /// The lowest level at which the clause is enforced; none if only a profile promises it.
    #[must_use]
    pub fn level(self) -> Option<Level> {
        match self {
            Self::Posix => Some(Level::Posix),
            Self::Linux => Some(Level::Linux),
            Self::Strict => Some(Level::Strict),
            Self::Profile => None,
        }
    }

    /// The word in the catalogue.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Posix => "posix",
            Self::Linux => "linux",
            Self::Strict => "strict",
            Self::Profile => "profile",
        }
    }
}

/// What must be seen before a clause can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// What calls were told.
    Answers,
    /// What was found after a crash.
    Survey,
    /// What the subject says about itself.
    Testimony,
    /// What only the subject's owner can see.
    Audit,
}

impl Evidence {
    /// The word in the catalogue.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::Survey => "survey",
            Self::Testimony => "testimony",
            Self::Audit => "audit",
        }
    }
}

/// One promise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    /// How it is cited.
    pub id: String,
    /// What is promised.
    pub statement: String,
    /// Where it binds.
    pub level: Binding,
    /// Who says so.
    pub sources: Vec<String>,
    /// The operations it is about, each one of [`OPERATIONS`].
    pub applies_to: Vec<String>,
    /// What it is decided from: more than one means that each can show a breach.
    pub decided_from: Vec<Evidence>,
    /// Known breaches: bugs, tests of them, profiles that do not promise it.
    pub violated_by: Vec<String>,
    /// Does it say what is *not* promised, so that the judge must stay silent?
    pub guard: bool,
    /// Does the oracle judge it?
    pub enforced: bool,
    /// What is lacking, if it does not.
    #[serde(default)]
    pub lacking: Option<String>,
}

/// Clauses that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What they are about.
    #[serde(rename = "group")]
    pub title: String,
    /// In the order of the file.
    #[serde(rename = "clause")]
    pub clauses: Vec<Clause>,
}

/// All clauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    groups: Vec<Group>,
    /// Where each id is: its group, and its place in the group.
    places: BTreeMap<String, (usize, usize)>,
}

/// Why a text is not a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: CatalogueProblem,
}

/// What is wrong with a file of clauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueProblem {
    /// It is not TOML, a key is unknown or missing, or a word is not one of those known; the
    /// text names line, column and key.
    Form(String),
    /// The clause has an id that is not capitals, digits and dashes with a number at the end.
    Id(String),
    /// The clause is there a second time.
    Twice(String),
    /// The clause applies to something that is not an operation.
    Operation(String, String),
    /// The clause lacks this: a statement, a source, an operation or evidence.
    Empty(String, &'static str),
}

static EMBEDDED: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::parse(FILES).expect("the embedded catalogue is parsed by a test of this file")
});

impl Catalogue {
    /// The catalogue of this program.
    #[must_use]
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// Reads a catalogue from files, each a name and a text.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, CatalogueError> {
        let mut catalogue = Self { groups: Vec::new(), places: BTreeMap::new() };
        for (file, text) in files {
            let added = group(text).and_then(|group| catalogue.add(group));
            added.map_err(|problem| CatalogueError { file: file.to_owned(), problem })?;
        }
        Ok(catalogue)
    }

    /// The clause with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Clause> {
        let (group, place) = self.places.get(id)?;
        self.groups.get(*group)?.clauses.get(*place)
    }

    /// The groups, in a fixed order.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The clauses, group by group, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &Clause> {
        self.groups.iter().flat_map(|group| &group.clauses)
    }

    fn add(&mut self, group: Group) -> Result<(), CatalogueProblem> {
        for (place, clause) in group.clauses.iter().enumerate() {
            check(clause)?;
            let at = (self.groups.len(), place);
            if self.places.insert(clause.id.clone(), at).is_some() {
                return Err(CatalogueProblem::Twice(clause.id.clone()));
            }
        }
        self.groups.push(group);
        Ok(())
    }
}

fn group(text: &str) -> Result<Group, CatalogueProblem> {
    toml::from_str(text).map_err(|error| CatalogueProblem::Form(error.to_string()))
}

fn check(clause: &Clause) -> Result<(), CatalogueProblem> {
    let id = || clause.id.clone();
    if !is_id(&clause.id) {
        return Err(CatalogueProblem::Id(id()));
    }
    let empty = [
        (clause.statement.is_empty(), "statement"),
        (clause.sources.is_empty(), "sources"),
        (clause.applies_to.is_empty(), "applies_to"),
        (clause.decided_from.is_empty(), "decided_from"),
    ];
    if let Some((_, key)) = empty.into_iter().find(|(is_empty, _)| *is_empty) {
        return Err(CatalogueProblem::Empty(id(), key));
    }
    let unknown = clause.applies_to.iter().find(|name| !OPERATIONS.contains(&name.as_str()));
    match unknown {
        Some(name) => Err(CatalogueProblem::Operation(id(), name.clone())),
        None => Ok(()),
    }
}

/// Is it words of capitals joined by dashes, with a number of two digits at the end?
fn is_id(id: &str) -> bool {
    let Some((words, number)) = id.rsplit_once('-') else { return false };
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_number = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && words.split('-').all(is_word)
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "clauses/{}: {}", self.file, self.problem)
    }
}

impl fmt::Display for CatalogueProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(why) => out.write_str(why.trim_end()),
            Self::Id(id) => write!(out, "clause {id:?}: an id is like DUR-FSYNC-01"),
            Self::Twice(id) => write!(out, "clause {id} is there a second time"),
            Self::Operation(id, name) => write!(out, "clause {id}: {name:?} is no operation"),
            Self::Empty(id, key) => write!(out, "clause {id}: {key} is empty"),
        }
    }
}

impl std::error::Error for CatalogueError {}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = r#"
group = "One"
[[clause]]
id = "NS-ONE-01"
statement = "A name is a name."
level = "posix"
sources = ["POSIX.1-2024 open"]
applies_to = ["open"]
decided_from = ["answers"]
violated_by = []
guard = false
enforced = true
"#;

    fn refusal(text: &str) -> String {
        Catalogue::parse([("x.toml", text)]).expect_err("it is not sound").to_string()
    }

    #[test]
    fn the_embedded_catalogue_is_sound_and_whole() {
        let catalogue = Catalogue::parse(FILES).expect("it is sound");
        assert_eq!(catalogue.iter().count(), 189);
        let of = |level: Binding| catalogue.iter().filter(|clause| clause.level == level).count();
        assert_eq!(of(Binding::Posix), 58);
        assert_eq!(of(Binding::Linux), 75);
        assert_eq!(of(Binding::Strict), 51);
        assert_eq!(of(Binding::Profile), 5);
        assert_eq!(catalogue.iter().filter(|clause| clause.guard).count(), 6);
    }

    #[test]
    fn every_clause_is_found_by_its_id_and_nothing_else_is() {
        let catalogue = Catalogue::embedded();
        for clause in catalogue.iter() {
            assert_eq!(catalogue.get(&clause.id), Some(clause));
        }
        assert_eq!(catalogue.get("NS-NONE-01"), None);
    }

    #[test]
    fn a_refusal_names_file_and_clause() {
        assert!(Catalogue::parse([("x.toml", SOUND)]).is_ok());
        let cases = [
            ("\"NS-ONE-01\"", "\"ns-1\"", "clauses/x.toml: clause \"ns-1\": an id is like"),
            ("[\"open\"]", "[\"fly\"]", "clause NS-ONE-01: \"fly\" is no operation"),
            ("[\"open\"]", "[]", "clause NS-ONE-01: applies_to is empty"),
            ("\"A name is a name.\"", "\"\"", "clause NS-ONE-01: statement is empty"),
            ("\"posix\"", "\"windows\"", "unknown variant `windows`"),
            ("guard", "gaurd", "unknown field `gaurd`"),
            ("guard = false", "", "missing field `guard`"),
            ("group", "=", "TOML parse error at line 2"),
        ];
        for (from, to, expected) in cases {
            let message = refusal(&SOUND.replacen(from, to, 1));
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn a_clause_that_is_there_twice_is_refused() {
        let twice = Catalogue::parse([("x.toml", SOUND), ("y.toml", SOUND)]);
        let message = twice.expect_err("it is there twice").to_string();
        assert_eq!(message, "clauses/y.toml: clause NS-ONE-01 is there a second time");
    }
}

//! Scenario files: processes, faults and actions of a world, as TOML.
//!
//! Example:
//!
//! ```toml
//! profile = "strict-sticky"
//! seed = 1
//! fs-size = "1M"
//! legs = 2
//!
//! [[process]]
//! guest = "crash_append_log"
//! args = ["5"]
//!
//! [[fault]]
//! fail-write = "data:2"
//!
//! [[action]]
//! on-line = "evict"
//! do = "evict"
//! ```

use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use crate::check::Act;
use crate::check::Action;
use crate::cli::args::Size;
use crate::cli::faults;
use crate::cli::faults::MemoryEntry;
use crate::device::FaultDraft;
use crate::device::FaultPlan;
use crate::device::FaultRule;
use crate::device::ThinPool;

/// A scenario as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// The profile, if the scenario names one.
    pub(super) profile: Option<String>,
    /// The seed of a run that was given none: what happens by turns is not seen in a calm one.
    pub(super) seed: Option<u64>,
    /// The size of the file system of a run that was given none, as for `--fs-size`.
    #[serde(rename = "fs-size")]
    fs_size: Option<String>,
    /// The legs of the mirror of a run that was given none, as for `--legs`.
    pub(super) legs: Option<u32>,
    /// Further processes.
    #[serde(default, rename = "process")]
    pub(super) processes: Vec<ProcessEntry>,
    /// Faults of the device.
    #[serde(default, rename = "fault")]
    faults: Vec<Spanned<FaultDraft>>,
    /// The thin pool that the device is in.
    pool: Option<ThinPool>,
    /// How short memory is.
    pub(super) memory: Option<MemoryEntry>,
    /// What the faults are, once they are read.
    #[serde(skip)]
    rules: Vec<FaultRule>,
    /// What happens when a guest prints a line.
    #[serde(default, rename = "action")]
    pub(super) actions: Vec<ActionEntry>,
}

/// A further process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessEntry {
    /// A built-in guest or a path.
    pub(super) guest: String,
    /// Its arguments.
    #[serde(default)]
    pub(super) args: Vec<String>,
}

/// What happens when a guest prints a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ActionEntry {
    /// The line, whole.
    #[serde(rename = "on-line")]
    pub(super) on_line: String,
    /// `evict`, `flush`, `commit` or `heal`.
    #[serde(rename = "do")]
    pub(super) act: ActName,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ActName {
    /// Clean pages are dropped.
    Evict,
    /// Background writeback of every dirty page.
    Flush,
    /// The same, and a commit.
    Commit,
    /// The device's faults end.
    Heal,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// A message with the place in the text, or with the fault that cannot be read.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut scenario: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        scenario.rules = faults::rules(text, &scenario.faults)?;
        scenario.memory.as_ref().map_or(Ok(None), MemoryEntry::bytes)?;
        scenario.fs_size()?;
        Ok(scenario)
    }

    /// The size of the file system, if the scenario has one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn fs_size(&self) -> Result<Option<Size>, String> {
        let parse = |text: &String| {
            Size::from_str(text).map_err(|error| format!("fs-size = \"{text}\": {error}"))
        };
        self.fs_size.as_ref().map(parse).transpose()
    }

    /// The faults.
    pub(super) fn fault_plan(&self) -> FaultPlan {
        FaultPlan { rules: self.rules.clone(), pool: self.pool, random_max: 0 }
    }

    /// The actions.
    #[must_use]
    pub(super) fn actions(&self) -> Vec<Action> {
        let translate = |entry: &ActionEntry| Action {
            on_line: entry.on_line.clone(),
            act: match entry.act {
                ActName::Evict => Act::Evict,
                ActName::Flush => Act::Flush,
                ActName::Commit => Act::Commit,
                ActName::Heal => Act::Heal,
            },
        };
        self.actions.iter().map(translate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_reads_and_nonsense_is_refused_with_its_place() {
        let text =
            "[[fault]]\nfail-write = \"data:2\"\n[[action]]\non-line = \"e\"\ndo = \"evict\"";
        let scenario = Scenario::parse(text).expect("the example of this page");
        assert_eq!(scenario.actions(), [Action { on_line: "e".to_owned(), act: Act::Evict }]);
        let refused = Scenario::parse("[[fault]]\nfail = 1").expect_err("there is no such key");
        assert!(refused.contains("line 2"), "{refused}");
        assert!(Scenario::parse("[[fault]]\nfail-write = \"x\"").is_err());
    }

    #[test]
    fn a_scenario_may_say_how_large_the_file_system_is() {
        let scenario = Scenario::parse("fs-size = \"512K\"").expect("a size");
        assert_eq!(scenario.fs_size(), Ok(Some(Size(512 << 10))));
        let refused = Scenario::parse("fs-size = \"some\"").expect_err("it is no size");
        assert!(refused.contains("fs-size"), "{refused}");
    }
}

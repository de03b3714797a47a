//! A share of a report: what one shard has to say, and what joins all of them.
//!
//! Flow: a command makes a [`Share`]; alone, as the whole, it is joined to a [`Report`]; of a shard
//! it is written into a [`Part`], and [`join`] makes of all parts the report of the whole.
//!
//! a report is made of its shares in one place each, whether it has one or many, so that the
//! bytes are the same.

mod seeds;
mod states;
mod workloads;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::report::Report;

pub use seeds::SeedsShare;
pub use states::Found;
pub use states::StatesShare;
pub use states::What;
pub use workloads::WorkloadsShare;

/// The version of the form of a part.
const FORM: u32 = 1;

/// What all shards of a whole have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whole {
    /// The version of the program.
    pub crashproof: String,
    /// The command that does all of it.
    pub command: String,
    /// The files that it reads, and a hash of the content of each.
    pub files: BTreeMap<String, String>,
}

/// What a shard writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    form: u32,
    /// What it is a part of.
    pub whole: Whole,
    /// Which shard, from 1.
    pub shard: u32,
    /// How many there are.
    pub of: u32,
    /// What it has to say.
    pub share: Share,
}

/// What a shard has to say, by what was split.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    /// Crashes of one run.
    States(Box<StatesShare>),
    /// Bounded workloads.
    Workloads(Box<WorkloadsShare>),
    /// Runs of one workload, each under a seed of its own.
    Seeds(Box<SeedsShare>),
}

impl Share {
    /// What it says by itself.
    ///
    /// # Errors
    /// If what it says is not possible.
    pub fn report(self) -> Result<Report, String> {
        Self::join(vec![self])
    }

    /// What all of them say together, in the order of their shards.
    fn join(shares: Vec<Self>) -> Result<Report, String> {
        let (mut states, mut workloads, mut seeds) = (Vec::new(), Vec::new(), Vec::new());
        for share in shares {
            match share {
                Self::States(share) => states.push(*share),
                Self::Workloads(share) => workloads.push(*share),
                Self::Seeds(share) => seeds.push(*share),
            }
        }
        match (states.is_empty(), workloads.is_empty(), seeds.is_empty()) {
            (false, true, true) => states::join(states),
            (true, false, true) => workloads::join(workloads),
            (true, true, false) => seeds::join(seeds),
            _ => Err("the shards were split in different ways".to_owned()),
        }
    }
}

impl Part {
    /// What the shard of that number, from 1, has to say.
    #[must_use]
    pub fn new(whole: Whole, shard: u32, of: u32, share: Share) -> Self {
        Self { form: FORM, whole, shard, of, share }
    }

    /// Reads what a shard wrote.
    ///
    /// # Errors
    /// With the place and what is wrong there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let version = serde_json::from_str::<Form>(text);
        let form = version.map_err(|error| format!("this is no part of a report: {error}"))?.form;
        if form != FORM {
            return Err(format!("its form has the version {form}, and {FORM} is known"));
        }
        let part: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if !(1..=part.of).contains(&part.shard) {
            return Err(format!("there is no shard {} of {}", part.shard, part.of));
        }
        Ok(part)
    }
}

/// What is looked at first.
#[derive(Deserialize)]
struct Form {
    form: u32,
}

/// Joins the parts of all shards, each with the name of its file, in any order.
///
/// # Errors
/// If they are not all the parts of one whole, with the files that show it.
pub fn join(mut parts: Vec<(String, Part)>) -> Result<Report, String> {
    parts.sort_by_key(|(_, part)| part.shard);
    let Some((first_name, first)) = parts.first() else {
        return Err("there are no parts to merge".to_owned());
    };
    for (name, part) in &parts {
        belongs(&first.whole, &part.whole).map_err(|why| format!("{first_name}, {name}: {why}"))?;
        if part.of != first.of {
            return Err(format!(
                "{first_name}, {name}: one is of {} shards, the other of {}",
                first.of, part.of
            ));
        }
    }
    for pair in parts.windows(2) {
        let [(one, part), (other, next)] = pair else { continue };
        if part.shard == next.shard {
            return Err(format!("{one}, {other}: both are shard {}", part.shard));
        }
    }
    if parts.len() as u64 != u64::from(first.of) {
        let mut numbers = 1..=first.of;
        let mut there = parts.iter().map(|(_, part)| part.shard);
        let missing = numbers.find(|number| there.next() != Some(*number)).unwrap_or(first.of);
        return Err(format!("shard {missing} of {} is missing", first.of));
    }
    let crashproof = first.whole.crashproof.clone();
    if crashproof != env!("CARGO_PKG_VERSION") {
        return Err(format!(
            "{first_name}: written by crashproof {crashproof}, and this is {}",
            env!("CARGO_PKG_VERSION")
        ));
    }
    Share::join(parts.into_iter().map(|(_, part)| part.share).collect())
}

/// Are both parts of one whole?
fn belongs(one: &Whole, other: &Whole) -> Result<(), String> {
    if one.crashproof != other.crashproof {
        let (one, other) = (&one.crashproof, &other.crashproof);
        return Err(format!("one was written by crashproof {one}, the other by {other}"));
    }
    if one.command != other.command {
        let (one, other) = (&one.command, &other.command);
        return Err(format!("one is a part of `{one}`, the other of `{other}`"));
    }
    if one.files != other.files {
        let names = one.files.keys().chain(other.files.keys());
        let mut differing = names.filter(|name| one.files.get(*name) != other.files.get(*name));
        let name = differing.next().map_or("a file", String::as_str);
        return Err(format!("`{name}` was not the same for both"));
    }
    Ok(())
}

/// Adds counts of the same things. Counts of a file that was not written by a shard may be any.
fn add_counts(all: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (what, count) in more {
        let sum = all.entry(what.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
}

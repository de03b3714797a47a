//! Fault plans, as TOML: what the device does wrong, and how short memory is.
//!
//! Example:
//!
//! ```toml
//! random = 3
//!
//! [pool]
//! blocks = 200
//! when-full = "queue"
//!
//! [memory]
//! bytes = "64K"
//! evict-every = 10
//!
//! [[fault]]
//! fault = "write-error"
//! class = "data"
//! offset = "0..4096"
//! nth = 2
//! times = "until-healed"
//! ```

use std::num::NonZeroU64;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use crate::cli::args::Size;
use crate::device::FaultDraft;
use crate::device::FaultPlan;
use crate::device::FaultRule;
use crate::device::ThinPool;

/// How short memory is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MemoryEntry {
    /// More cached bytes are written back and evicted.
    bytes: Option<String>,
    /// Before every so many calls of the guests, whatever is clean is evicted.
    pub(super) evict_every: Option<NonZeroU64>,
}

impl MemoryEntry {
    /// The cached bytes.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(super) fn bytes(&self) -> Result<Option<u64>, String> {
        let parse = |text: &String| {
            let size = Size::from_str(text).map(|size| size.0);
            size.map_err(|error| format!("memory: bytes = \"{text}\": {error}"))
        };
        self.bytes.as_ref().map(parse).transpose()
    }
}

/// A plan as it was written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PlanFile {
    #[serde(default)]
    random: u64,
    pool: Option<ThinPool>,
    memory: Option<MemoryEntry>,
    #[serde(default, rename = "fault")]
    faults: Vec<Spanned<FaultDraft>>,
}

/// The rules that were written in `text`.
///
/// # Errors
/// With the line of the one that makes no sense.
pub(super) fn rules(text: &str, drafts: &[Spanned<FaultDraft>]) -> Result<Vec<FaultRule>, String> {
    let rule = |draft: &Spanned<FaultDraft>| {
        let before = text.get(..draft.span().start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        draft.get_ref().rule().map_err(|why| format!("line {line}: fault: {why}"))
    };
    drafts.iter().map(rule).collect()
}

/// Reads a plan.
///
/// # Errors
/// A message with the line.
pub(super) fn parse(text: &str) -> Result<(FaultPlan, MemoryEntry), String> {
    let file: PlanFile = toml::from_str(text).map_err(|error| error.to_string())?;
    let rules = rules(text, &file.faults)?;
    let memory = file.memory.unwrap_or_default();
    memory.bytes()?;
    Ok((FaultPlan { rules, pool: file.pool, random_max: file.random }, memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_this_page_reads() {
        let page = include_str!("faults.rs");
        let example = page.lines().filter_map(|line| line.strip_prefix("//!"));
        let example: Vec<&str> = example.skip_while(|line| *line != " ```toml").skip(1).collect();
        let text = example.join("\n").replace(" ```", "");
        let (plan, memory) = parse(&text).expect("the example");
        assert_eq!((plan.random_max, plan.rules.len()), (3, 1));
        assert_eq!(plan.pool.map(|pool| pool.blocks), Some(200));
        assert_eq!(memory.bytes(), Ok(Some(64 << 10)));
        let rule = "write-error class=data offset=0..4096 nth=2 times=until-healed";
        assert_eq!(plan.rules[0].to_string(), rule);
    }

    #[test]
    fn nonsense_is_refused_with_line_key_and_what_is_allowed() {
        let cases = [
            ("[[fault]]\nfaults = 1", "line 2", "expected one of `fault`"),
            ("[[fault]]\nfault = \"fire\"", "line 2", "`lying-flush`"),
            ("[pool]\nblocks = -1", "line 2", "blocks"),
            ("[pool]\nblocks = 1\nwhen-full = \"wait\"", "line 3", "`fail` or `queue`"),
            ("\n[[fault]]\nclass = \"data\"", "line 2", "write-error, torn-write"),
            ("\n[[fault]]\nfault = \"lying-flush\"\nclass = \"data\"", "line 2", "class"),
            ("[[fault]]\nfault = \"write-error\"\nclass = \"log\"\nobject = 1", "line 1", "data"),
            ("[[fault]]\nfault = \"read-error\"\nsteps = 1", "line 1", "goes with latency"),
            ("[[fault]]\nfault = \"latency\"", "line 1", "from 1 to 1000"),
            ("[[fault]]\nfault = \"read-error\"\ntimes = \"always\"", "line 1", "until-healed"),
            ("[[fault]]\nfail-write = \"disk:1\"", "line 1", "data, tree, log, root or any"),
            ("[[fault]]\nfail-write = \"data:1\"\nnth = 2", "line 1", "no other key"),
            ("[memory]\nevict-every = 0", "line 2", "nonzero"),
            ("[memory]\nbytes = \"much\"", "memory", "much"),
        ];
        for (text, place, allowed) in cases {
            let why = parse(text).expect_err(text);
            assert!(why.contains(place) && why.contains(allowed), "{text}: {why}");
        }
    }
}

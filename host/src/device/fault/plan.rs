//! What a device does wrong: rules, a thin pool, and what is left to chance.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::device::fault::rule::FaultRule;

/// What a thin pool does with a write for which it has no block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It fails, for lack of space.
    #[default]
    Fail,
    /// It waits until the pool grows; after a while it fails all the same (dm-thin's
    /// `no_space_timeout`).
    Queue,
}

/// Fewer physical blocks than the device says that it has (dm-thin).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ThinPool {
    /// How many there are, those among them that hold something already. A discard gives its
    /// blocks back.
    pub blocks: u64,
    /// What becomes of a write that needs one more.
    #[serde(default)]
    pub when_full: WhenFull,
}

/// What a device does wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// What chosen requests meet with. Of several that choose a request the first holds; latencies
    /// add up.
    pub rules: Vec<FaultRule>,
    /// The pool beneath, if there is one.
    pub pool: Option<ThinPool>,
    /// So many further faults at most; which requests meet with which is left to chance.
    pub random_max: u64,
}

impl From<Vec<FaultRule>> for FaultPlan {
    fn from(rules: Vec<FaultRule>) -> Self {
        Self { rules, ..Self::default() }
    }
}

/// What is asked of a device that is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultOrder {
    /// A rule, from now on.
    Add(FaultRule),
    /// The pool has this shape now; what held something holds it.
    Pool(ThinPool),
    /// The pool has so many more blocks.
    Grow(u64),
    /// Every fault ends.
    Heal,
}

impl FromStr for FaultOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let count =
            |text: &str| text.parse().map_err(|_| format!("`{text}` is not a number of blocks"));
        Ok(match words[..] {
            ["heal"] => Self::Heal,
            ["grow", blocks] => Self::Grow(count(blocks)?),
            ["pool", blocks] => {
                Self::Pool(ThinPool { blocks: count(blocks)?, when_full: WhenFull::Fail })
            }
            ["pool", blocks, "queue"] => {
                Self::Pool(ThinPool { blocks: count(blocks)?, when_full: WhenFull::Queue })
            }
            _ => Self::Add(text.parse()?),
        })
    }
}

impl fmt::Display for FaultOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(rule) => rule.fmt(f),
            Self::Pool(ThinPool { blocks, when_full: WhenFull::Fail }) => {
                write!(f, "pool {blocks}")
            }
            Self::Pool(ThinPool { blocks, when_full: WhenFull::Queue }) => {
                write!(f, "pool {blocks} queue")
            }
            Self::Grow(blocks) => write!(f, "grow {blocks}"),
            Self::Heal => f.write_str("heal"),
        }
    }
}

//! Failing writes: a device that refuses chosen writes of the device below it.
//!
//! Fault model: a refused write has no effect, and its error is told when it completes. Reads,
//! flushes and discards are not touched. Writes are chosen by what they are for and by their
//! number, never by a path.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;

use crate::device::Class;
use crate::device::Completion;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::Geometry;
use crate::device::Request;
use crate::device::RequestId;
use crate::sim::Sim;
use crate::sim::Site;

/// How many of the chosen writes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailCount {
    /// So many, one after the other.
    Times(u64),
    /// All, until the device is healed.
    UntilHealed,
}

/// Which writes fail, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailRule {
    /// Only writes of this class; any if absent.
    pub class: Option<Class>,
    /// The first that fails, counted from 1 among the writes of the class.
    pub nth: u64,
    /// How many fail.
    pub count: FailCount,
    /// What they are told.
    pub error: DeviceError,
}

impl FromStr for FailRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rule, error) = match text.split_once('=') {
            None | Some((_, "eio")) => (text.trim_end_matches("=eio"), DeviceError::Io),
            Some((rule, "enospc")) => (rule, DeviceError::NoSpace),
            Some((_, other)) => return Err(format!("`{other}` is not eio or enospc")),
        };
        let (class, which) =
            rule.split_once(':').ok_or_else(|| format!("`{rule}` is not CLASS:NTH"))?;
        let class = match class {
            "data" => Some(Class::Data),
            "tree" => Some(Class::Tree),
            "log" => Some(Class::Log),
            "root" => Some(Class::Root),
            "any" => None,
            other => return Err(format!("`{other}` is not data, tree, log, root or any")),
        };
        let number = |text: &str| {
            text.parse()
                .ok()
                .filter(|number: &u64| *number > 0)
                .ok_or_else(|| format!("`{text}` is not a number above 0"))
        };
        let (nth, count) = if let Some(nth) = which.strip_suffix("..") {
            (number(nth)?, FailCount::UntilHealed)
        } else if let Some((nth, count)) = which.split_once('x') {
            (number(nth)?, FailCount::Times(number(count)?))
        } else {
            (number(which)?, FailCount::Times(1))
        };
        Ok(Self { class, nth, count, error })
    }
}

impl fmt::Display for FailRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Some(Class::Data) => "data",
            Some(Class::Tree) => "tree",
            Some(Class::Log) => "log",
            Some(Class::Root) => "root",
            None => "any",
        };
        write!(f, "{class}:{}", self.nth)?;
        match self.count {
            FailCount::Times(1) => {}
            FailCount::Times(count) => write!(f, "x{count}")?,
            FailCount::UntilHealed => f.write_str("..")?,
        }
        if self.error == DeviceError::NoSpace {
            f.write_str("=enospc")?;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<FailRule>,
    counts: [u64; 5],
    failed: BTreeMap<RequestId, DeviceError>,
    next: u64,
}

/// A device whose chosen writes fail.
pub struct Faulty {
    below: Arc<dyn Device>,
    sim: Sim,
    state: Mutex<State>,
}

/// Numbers of refused requests, apart from those of the device below.
const REFUSED_FROM: u64 = 1 << 63;

impl Faulty {
    /// A device that fails the writes of `below` that `rules` choose. Where no rule does, the
    /// chooser may ([`Site::WriteFails`]).
    #[must_use]
    pub fn new(below: Arc<dyn Device>, rules: Vec<FailRule>, sim: Sim) -> Self {
        Self { below, sim, state: Mutex::new(State { rules, ..State::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule. Its writes are counted from now on.
    pub fn add(&self, rule: FailRule) {
        let mut state = self.lock();
        let nth = rule.nth.saturating_add(state.counts[slot(rule.class)]);
        state.rules.push(FailRule { nth, ..rule });
    }

    /// Ends every fault.
    pub fn heal(&self) {
        self.lock().rules.clear();
    }

    fn refusal(&self, class: Class) -> Option<DeviceError> {
        let mut state = self.lock();
        state.counts[slot(Some(class))] += 1;
        state.counts[slot(None)] += 1;
        let counts = state.counts;
        let hit = |rule: &&FailRule| {
            let matches = rule.class.is_none_or(|chosen| chosen == class);
            let number = counts[slot(rule.class)];
            let end = match rule.count {
                FailCount::Times(count) => rule.nth.saturating_add(count),
                FailCount::UntilHealed => u64::MAX,
            };
            matches && (rule.nth..end).contains(&number)
        };
        let ruled = state.rules.iter().find(hit).map(|rule| rule.error);
        drop(state);
        ruled.or_else(|| self.sim.happens(Site::WriteFails).then_some(DeviceError::Io))
    }
}

fn slot(class: Option<Class>) -> usize {
    match class {
        Some(Class::Data) => 0,
        Some(Class::Tree) => 1,
        Some(Class::Log) => 2,
        Some(Class::Root) => 3,
        None => 4,
    }
}

impl Device for Faulty {
    fn geometry(&self) -> Geometry {
        self.below.geometry()
    }

    fn submit(&self, request: Request) -> RequestId {
        let class = match &request {
            Request::Write { origin, .. } => Some(origin.class),
            Request::Read { .. } | Request::Flush | Request::Discard { .. } => None,
        };
        match class.and_then(|class| self.refusal(class)) {
            None => self.below.submit(request),
            Some(error) => {
                let mut state = self.lock();
                let id = RequestId(REFUSED_FROM + state.next);
                state.next += 1;
                state.failed.insert(id, error);
                id
            }
        }
    }

    fn poll(&self, id: RequestId, cx: &mut Context<'_>) -> Poll<Completion> {
        let refused = self.lock().failed.remove(&id);
        match refused {
            Some(error) => Poll::Ready(Err(error)),
            None => self.below.poll(id, cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_back_as_itself() {
        for text in ["data:2", "log:1x3", "any:4..", "tree:1=enospc", "root:7..=enospc"] {
            assert_eq!(text.parse::<FailRule>().expect("well formed").to_string(), text);
        }
        for text in ["data", "data:0", "data:2x", "disk:1", "data:1=boom"] {
            assert!(text.parse::<FailRule>().is_err(), "{text}");
        }
    }
}

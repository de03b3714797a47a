//! A rule as somebody wrote it, before anybody asked whether it makes sense.

use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;

use crate::device::BlockNo;
use crate::device::DeviceError;
use crate::device::fault::rule::FailCount;
use crate::device::fault::rule::Fault;
use crate::device::fault::rule::FaultKind;
use crate::device::fault::rule::FaultRule;
use crate::device::fault::rule::class_named;

/// The longest latency, in steps.
const STEPS_MAX: u32 = 1000;

/// How often a fault is met: a number, or a word.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Times {
    Count(u64),
    Word(String),
}

/// A rule as it was written. What is absent is the default of its kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FaultDraft {
    fault: Option<FaultKind>,
    /// The short form, in place of everything else.
    fail_write: Option<String>,
    class: Option<String>,
    object: Option<u64>,
    offset: Option<String>,
    blocks: Option<String>,
    leg: Option<u32>,
    nth: Option<u64>,
    times: Option<Times>,
    error: Option<String>,
    sectors: Option<u16>,
    to: Option<u64>,
    steps: Option<u32>,
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number that fits"))
}

fn positive(text: &str) -> Result<u64, String> {
    let above = text.parse().ok().filter(|number: &u64| *number > 0);
    above.ok_or_else(|| format!("`{text}` is not a number above 0"))
}

fn range(key: &str, text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{key} = \"{text}\": a range such as 0..4096 is wanted");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let (start, end) = (start.parse().map_err(|_| wrong())?, end.parse().map_err(|_| wrong())?);
    if start >= end {
        return Err(format!("{key} = \"{text}\": the range is empty"));
    }
    Ok(start..end)
}

impl FaultDraft {
    fn of(fault: FaultKind) -> Self {
        Self {
            fault: Some(fault),
            fail_write: None,
            class: None,
            object: None,
            offset: None,
            blocks: None,
            leg: None,
            nth: None,
            times: None,
            error: None,
            sectors: None,
            to: None,
            steps: None,
        }
    }

    /// `CLASS:NTH`, `CLASS:NTHxCOUNT` or `CLASS:NTH..`, perhaps with `=enospc`: writes that fail.
    pub(super) fn short(class: &str, which: &str) -> Result<Self, String> {
        let (which, error) = match which.split_once('=') {
            None => (which, None),
            Some((which, error)) => (which, Some(error.to_owned())),
        };
        let (nth, times) = if let Some(nth) = which.strip_suffix("..") {
            (positive(nth)?, Times::Word("until-healed".to_owned()))
        } else if let Some((nth, count)) = which.split_once('x') {
            (positive(nth)?, Times::Count(positive(count)?))
        } else {
            (positive(which)?, Times::Count(1))
        };
        let class = Some(class.to_owned());
        let (nth, times) = (Some(nth), Some(times));
        Ok(Self { class, nth, times, error, ..Self::of(FaultKind::WriteError) })
    }

    /// `KIND KEY=VALUE ...`
    pub(super) fn long(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        let names = FaultKind::ALL.map(FaultKind::name).join(", ");
        let kind = FaultKind::ALL.into_iter().find(|kind| kind.name() == name);
        let expected =
            || format!("`{name}` is neither CLASS:NTH nor one of the kinds of faults: {names}");
        let mut draft = Self::of(kind.ok_or_else(expected)?);
        for word in words {
            let (key, value) =
                word.split_once('=').ok_or_else(|| format!("`{word}` is not KEY=VALUE"))?;
            let text = Some(value.to_owned());
            match key {
                "class" => draft.class = text,
                "object" => draft.object = Some(number(value)?),
                "offset" => draft.offset = text,
                "blocks" => draft.blocks = text,
                "leg" => draft.leg = Some(number(value)?),
                "nth" => draft.nth = Some(number(value)?),
                "times" => {
                    let count = value.parse().map(Times::Count);
                    draft.times = Some(count.unwrap_or_else(|_| Times::Word(value.to_owned())));
                }
                "error" => draft.error = text,
                "sectors" => draft.sectors = Some(number(value)?),
                "to" => draft.to = Some(number(value)?),
                "steps" => draft.steps = Some(number(value)?),
                other => {
                    return Err(format!(
                        "`{other}` is none of class, object, offset, blocks, leg, nth, times, \
                         error, sectors, to, steps"
                    ));
                }
            }
        }
        Ok(draft)
    }

    /// The rule, if what was written goes together.
    ///
    /// # Errors
    /// With the key that is to be changed, and what it may be.
    pub fn rule(&self) -> Result<FaultRule, String> {
        if let Some(short) = &self.fail_write {
            let rest = Self { fail_write: None, ..self.clone() };
            let nothing = Self { fault: None, ..Self::of(FaultKind::WriteError) };
            if rest != nothing {
                return Err("fail-write: no other key goes with it".to_owned());
            }
            let (class, which) =
                short.split_once(':').ok_or_else(|| format!("`{short}` is not CLASS:NTH"))?;
            let draft = Self::short(class, which);
            return draft
                .and_then(|draft| draft.rule())
                .map_err(|why| format!("fail-write: {why}"));
        }
        let Some(kind) = self.fault else {
            let names = FaultKind::ALL.map(FaultKind::name).join(", ");
            return Err(format!("fault: it is missing; one of {names} is wanted"));
        };
        self.keys_go_together(kind)?;
        let fault = match kind {
            FaultKind::WriteError => Fault::WriteError(match self.error.as_deref() {
                None | Some("eio") => DeviceError::Io,
                Some("enospc") => DeviceError::NoSpace,
                Some(other) => return Err(format!("`{other}` is not eio or enospc")),
            }),
            FaultKind::TornWrite => match self.sectors.unwrap_or(1) {
                0 => return Err("sectors = 0: nothing of it is there: write-error".to_owned()),
                sectors => Fault::TornWrite(sectors),
            },
            FaultKind::MisdirectedWrite => Fault::MisdirectedWrite(self.to.map(BlockNo)),
            FaultKind::ReadError => Fault::ReadError,
            FaultKind::FlushError => Fault::FlushError,
            FaultKind::DroppingFlush => Fault::DroppingFlush,
            FaultKind::LyingFlush => Fault::LyingFlush,
            FaultKind::LinkLoss => Fault::LinkLoss,
            FaultKind::Latency => match self.steps {
                Some(steps @ 1..=STEPS_MAX) => Fault::Latency(steps),
                Some(_) | None => return Err(format!("steps: from 1 to {STEPS_MAX} are wanted")),
            },
        };
        let count = match &self.times {
            None => FailCount::Times(1),
            Some(Times::Count(0)) => return Err("times = 0: that is no fault".to_owned()),
            Some(Times::Count(count)) => FailCount::Times(*count),
            Some(Times::Word(word)) if word == "until-healed" => FailCount::UntilHealed,
            Some(Times::Word(word)) => {
                return Err(format!("times = \"{word}\": a number or \"until-healed\" is wanted"));
            }
        };
        let nth = self.nth.unwrap_or(1);
        if nth == 0 {
            return Err("nth = 0: they are counted from 1".to_owned());
        }
        let ranged = |key: &str, text: &Option<String>| {
            text.as_deref().map(|text| range(key, text)).transpose()
        };
        Ok(FaultRule {
            fault,
            class: self.class.as_deref().map_or(Ok(None), class_named)?,
            object: self.object,
            offset: ranged("offset", &self.offset)?,
            blocks: ranged("blocks", &self.blocks)?,
            leg: self.leg,
            nth,
            count,
        })
    }

    /// No key says what faults of this kind do not have.
    fn keys_go_together(&self, kind: FaultKind) -> Result<(), String> {
        let only_of = |key: &str, is_there: bool, owners: &[FaultKind]| {
            if !is_there || owners.contains(&kind) {
                return Ok(());
            }
            let owners: Vec<&str> = owners.iter().map(|owner| owner.name()).collect();
            let (kind, owners) = (kind.name(), owners.join(" and "));
            Err(format!("{key}: {kind} has none; it goes with {owners}"))
        };
        only_of("error", self.error.is_some(), &[FaultKind::WriteError])?;
        only_of("sectors", self.sectors.is_some(), &[FaultKind::TornWrite])?;
        only_of("to", self.to.is_some(), &[FaultKind::MisdirectedWrite])?;
        only_of("steps", self.steps.is_some(), &[FaultKind::Latency])?;
        let selectors = [
            ("class", self.class.is_some()),
            ("object", self.object.is_some()),
            ("offset", self.offset.is_some()),
            ("blocks", self.blocks.is_some()),
            ("leg", self.leg.is_some()),
        ];
        for (key, is_there) in selectors {
            if is_there && !kind.is_of_blocks() {
                return Err(format!("{key}: {} is not of blocks", kind.name()));
            }
        }
        let is_of_file = self.object.is_some() || self.offset.is_some();
        let is_other = self.class.as_deref().is_some_and(|class| class != "data" && class != "any");
        if is_of_file && is_other {
            return Err("object and offset: only data belongs to a file".to_owned());
        }
        Ok(())
    }
}

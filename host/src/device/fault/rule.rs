//! Rules of faults: which requests they choose, and what becomes of those.
//!
//! A rule is written in two ways, a line of words and a table of TOML; both are read into a
//! [`FaultDraft`], and what a draft may say is decided here, once.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;

use crate::device::BlockNo;
use crate::device::Class;
use crate::device::DeviceError;
use crate::device::MirrorLayout;
use crate::device::Origin;
use crate::device::Request;
use crate::device::fault::draft::FaultDraft;

/// How many of the chosen requests fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailCount {
    /// So many, one after the other.
    Times(u64),
    /// All, until the device is healed.
    UntilHealed,
}

/// What becomes of a request that a rule chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The write has no effect, and its error is told when it completes.
    WriteError(DeviceError),
    /// As an error of the medium, but the first so many sectors of the write are there.
    TornWrite(u16),
    /// The write completes, and went to another block: the next one if none is named.
    MisdirectedWrite(Option<BlockNo>),
    /// The read tells an error of the medium.
    ReadError,
    /// The flush fails. What it should have made durable is still in the device's cache.
    FlushError,
    /// The flush fails, and what it should have made durable is gone from the device's cache.
    DroppingFlush,
    /// The flush completes and makes nothing durable.
    LyingFlush,
    /// The request fails, whatever it is.
    LinkLoss,
    /// The request completes so many steps later; others may overtake it.
    Latency(u32),
}

/// A kind of fault, as plans call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// [`Fault::WriteError`]
    WriteError,
    /// [`Fault::TornWrite`]
    TornWrite,
    /// [`Fault::MisdirectedWrite`]
    MisdirectedWrite,
    /// [`Fault::ReadError`]
    ReadError,
    /// [`Fault::FlushError`]
    FlushError,
    /// [`Fault::DroppingFlush`]
    DroppingFlush,
    /// [`Fault::LyingFlush`]
    LyingFlush,
    /// [`Fault::LinkLoss`]
    LinkLoss,
    /// [`Fault::Latency`]
    Latency,
}

impl Fault {
    /// What kind of fault it is.
    #[must_use]
    pub fn kind(self) -> FaultKind {
        match self {
            Self::WriteError(_) => FaultKind::WriteError,
            Self::TornWrite(_) => FaultKind::TornWrite,
            Self::MisdirectedWrite(_) => FaultKind::MisdirectedWrite,
            Self::ReadError => FaultKind::ReadError,
            Self::FlushError => FaultKind::FlushError,
            Self::DroppingFlush => FaultKind::DroppingFlush,
            Self::LyingFlush => FaultKind::LyingFlush,
            Self::LinkLoss => FaultKind::LinkLoss,
            Self::Latency(_) => FaultKind::Latency,
        }
    }
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::WriteError,
        Self::TornWrite,
        Self::MisdirectedWrite,
        Self::ReadError,
        Self::FlushError,
        Self::DroppingFlush,
        Self::LyingFlush,
        Self::LinkLoss,
        Self::Latency,
    ];

    /// Its name in a plan.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WriteError => "write-error",
            Self::TornWrite => "torn-write",
            Self::MisdirectedWrite => "misdirected-write",
            Self::ReadError => "read-error",
            Self::FlushError => "flush-error",
            Self::DroppingFlush => "dropping-flush",
            Self::LyingFlush => "lying-flush",
            Self::LinkLoss => "link-loss",
            Self::Latency => "latency",
        }
    }

    /// Are its requests reads or writes of blocks alone?
    pub(super) fn is_of_blocks(self) -> bool {
        match self {
            Self::WriteError
            | Self::TornWrite
            | Self::MisdirectedWrite
            | Self::ReadError
            | Self::Latency => true,
            Self::FlushError | Self::DroppingFlush | Self::LyingFlush | Self::LinkLoss => false,
        }
    }
}

/// Which requests meet with a fault, and which fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// What becomes of them.
    pub fault: Fault,
    /// Only requests of blocks of this class; any if absent. A block that is read is of the class
    /// that was written there last.
    pub class: Option<Class>,
    /// Only data of the file with this number.
    pub object: Option<u64>,
    /// Only data of these bytes of a file.
    pub offset: Option<Range<u64>>,
    /// Only these blocks of the device.
    pub blocks: Option<Range<u64>>,
    /// Only requests of this leg of a mirror, from 0; requests of the mirror if absent.
    pub leg: Option<u32>,
    /// The first that meets with it, counted from 1 among those that the rule could choose since
    /// it was made.
    pub nth: u64,
    /// How many do.
    pub count: FailCount,
}

impl FaultRule {
    /// The next request that `fault` can be of, once.
    #[must_use]
    pub fn once(fault: Fault) -> Self {
        Self {
            fault,
            class: None,
            object: None,
            offset: None,
            blocks: None,
            leg: None,
            nth: 1,
            count: FailCount::Times(1),
        }
    }

    /// The rule as the device has it that holds the legs of a mirror, one behind the other.
    #[must_use]
    pub fn on_legs(self, layout: &MirrorLayout) -> Self {
        let Some(leg) = self.leg else { return self };
        let of_leg = layout.blocks_of_leg(leg);
        let at = |block: u64| of_leg.start.saturating_add(block).min(of_leg.end);
        let blocks = match &self.blocks {
            Some(blocks) => at(blocks.start)..at(blocks.end),
            None => of_leg.clone(),
        };
        let fault = match self.fault {
            Fault::MisdirectedWrite(Some(to)) => {
                let to = to.0 % layout.leg().block_count.max(1);
                Fault::MisdirectedWrite(Some(BlockNo(at(to))))
            }
            Fault::WriteError(_)
            | Fault::TornWrite(_)
            | Fault::MisdirectedWrite(None)
            | Fault::ReadError
            | Fault::FlushError
            | Fault::DroppingFlush
            | Fault::LyingFlush
            | Fault::LinkLoss
            | Fault::Latency(_) => self.fault,
        };
        Self { fault, blocks: Some(blocks), ..self }
    }

    /// Could the rule choose this request? `origin` is what was written last to a block that is
    /// read.
    pub(super) fn could_choose(
        &self,
        request: &Request,
        origin: Option<Origin>,
        block_size_bytes: u64,
    ) -> bool {
        let is_of_kind = match (self.fault, request) {
            (Fault::LinkLoss | Fault::Latency(_), _)
            | (
                Fault::WriteError(_) | Fault::TornWrite(_) | Fault::MisdirectedWrite(_),
                Request::Write { .. },
            )
            | (Fault::ReadError, Request::Read { .. })
            | (Fault::FlushError | Fault::DroppingFlush | Fault::LyingFlush, Request::Flush) => {
                true
            }
            (
                Fault::WriteError(_)
                | Fault::TornWrite(_)
                | Fault::MisdirectedWrite(_)
                | Fault::ReadError
                | Fault::FlushError
                | Fault::DroppingFlush
                | Fault::LyingFlush,
                _,
            ) => false,
        };
        is_of_kind && self.selects(request, origin, block_size_bytes)
    }

    fn selects(&self, request: &Request, read: Option<Origin>, block_size_bytes: u64) -> bool {
        let (block, origin) = match request {
            Request::Write { block, origin, .. } => (Some(*block), Some(*origin)),
            Request::Read { block } => (Some(*block), read),
            Request::Discard { .. } | Request::Flush => (None, None),
        };
        let data = origin.filter(|origin| origin.class == Class::Data);
        let meets = |wanted: &Range<u64>| {
            data.is_some_and(|of| {
                of.offset < wanted.end && wanted.start < of.offset.saturating_add(block_size_bytes)
            })
        };
        let is_of = |wanted: &u64| data.is_some_and(|of| of.object == *wanted);
        let is_in = |wanted: &Range<u64>| block.is_some_and(|block| wanted.contains(&block.0));
        self.class.is_none_or(|class| origin.is_some_and(|origin| origin.class == class))
            && self.object.as_ref().is_none_or(is_of)
            && self.offset.as_ref().is_none_or(meets)
            && self.blocks.as_ref().is_none_or(is_in)
    }
}

fn class_name(class: Option<Class>) -> &'static str {
    match class {
        Some(Class::Data) => "data",
        Some(Class::Tree) => "tree",
        Some(Class::Log) => "log",
        Some(Class::Root) => "root",
        None => "any",
    }
}

/// A class by its name; none is any.
pub(super) fn class_named(name: &str) -> Result<Option<Class>, String> {
    match name {
        "data" => Ok(Some(Class::Data)),
        "tree" => Ok(Some(Class::Tree)),
        "log" => Ok(Some(Class::Log)),
        "root" => Ok(Some(Class::Root)),
        "any" => Ok(None),
        other => Err(format!("`{other}` is not data, tree, log, root or any")),
    }
}

impl FaultRule {
    /// Can the short form say it?
    fn short_error(&self) -> Option<DeviceError> {
        let is_of_all = self.object.is_none() && self.offset.is_none() && self.blocks.is_none();
        let is_short = is_of_all && self.leg.is_none();
        match self.fault {
            Fault::WriteError(error) if is_short => Some(error),
            Fault::WriteError(_)
            | Fault::TornWrite(_)
            | Fault::MisdirectedWrite(_)
            | Fault::ReadError
            | Fault::FlushError
            | Fault::DroppingFlush
            | Fault::LyingFlush
            | Fault::LinkLoss
            | Fault::Latency(_) => None,
        }
    }

    fn fmt_long(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.fault.kind().name())?;
        if self.class.is_some() {
            write!(f, " class={}", class_name(self.class))?;
        }
        if let Some(object) = self.object {
            write!(f, " object={object}")?;
        }
        for (key, range) in [("offset", &self.offset), ("blocks", &self.blocks)] {
            if let Some(Range { start, end }) = range {
                write!(f, " {key}={start}..{end}")?;
            }
        }
        if let Some(leg) = self.leg {
            write!(f, " leg={leg}")?;
        }
        match self.fault {
            Fault::WriteError(DeviceError::NoSpace) => f.write_str(" error=enospc")?,
            Fault::TornWrite(sectors) => write!(f, " sectors={sectors}")?,
            Fault::MisdirectedWrite(Some(to)) => write!(f, " to={}", to.0)?,
            Fault::Latency(steps) => write!(f, " steps={steps}")?,
            Fault::WriteError(_)
            | Fault::MisdirectedWrite(None)
            | Fault::ReadError
            | Fault::FlushError
            | Fault::DroppingFlush
            | Fault::LyingFlush
            | Fault::LinkLoss => {}
        }
        if self.nth != 1 {
            write!(f, " nth={}", self.nth)?;
        }
        match self.count {
            FailCount::Times(1) => Ok(()),
            FailCount::Times(count) => write!(f, " times={count}"),
            FailCount::UntilHealed => f.write_str(" times=until-healed"),
        }
    }
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = self.short_error() else { return self.fmt_long(f) };
        write!(f, "{}:{}", class_name(self.class), self.nth)?;
        match self.count {
            FailCount::Times(1) => {}
            FailCount::Times(count) => write!(f, "x{count}")?,
            FailCount::UntilHealed => f.write_str("..")?,
        }
        if error == DeviceError::NoSpace {
            f.write_str("=enospc")?;
        }
        Ok(())
    }
}

/// Reads `CLASS:NTH`, the short form, or `KIND KEY=VALUE ...`, as in a table of a plan.
impl FromStr for FaultRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let draft = match text.split_once(':') {
            Some((class, which)) => FaultDraft::short(class, which)?,
            None => FaultDraft::long(text)?,
        };
        draft.rule()
    }
}

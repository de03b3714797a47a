//! Of what kind a failure was, and of what kind it is told [ERR-REPORT-10].
//!
//! A write is not asked: it may lack room, or its source may have failed, and neither is said.

use crate::model::FileId;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::promise::ClearRule;
use crate::promise::Stops;
use crate::violation::Violation;
use crate::words::Errno;

/// The kinds of some failures. Errors of other kinds are not compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    io: bool,
    no_space: bool,
}

impl Kinds {
    pub(crate) fn has_no_space(self) -> bool {
        self.no_space
    }

    pub(crate) fn add(&mut self, errno: Errno) {
        self.io |= errno == Errno::Io;
        self.no_space |= errno == Errno::NoSpace;
    }

    fn and(self, other: Self) -> Self {
        Self { io: self.io || other.io, no_space: self.no_space || other.no_space }
    }

    /// The only kind, if it is another one than that of this error.
    fn only_other(self, errno: Errno) -> Option<Errno> {
        match (self.io, self.no_space) {
            (true, false) if errno == Errno::NoSpace => Some(Errno::Io),
            (false, true) if errno == Errno::Io => Some(Errno::NoSpace),
            _ => None,
        }
    }
}

/// A sync failed, of a file or of all: was there a failure of that kind?
pub(crate) fn is_kept(judge: &mut Judge, frame: &Frame, file: Option<FileId>, errno: Errno) {
    let error = judge.promises.error;
    // A file system that stopped answers nothing else.
    if !judge.testifies || error.stops == Stops::Shutdown {
        return;
    }
    let is_of_all = error.clear == ClearRule::Remount || frame.overlapped;
    let of_file = file.and_then(|file| judge.model.regular(file)).map(|file| file.lost_kinds);
    let lost = match of_file.filter(|_| !is_of_all && judge.floating.is_empty()) {
        Some(lost) => lost,
        None => judge.lost_kinds,
    };
    let known = judge.failed_kinds.and(lost);
    // Where both failed, or neither, either may be told.
    if known.io == known.no_space {
        return;
    }
    judge.exercise("ERR-REPORT-10");
    let Some(right) = known.only_other(errno) else { return };
    let subject = file.map_or_else(|| ".".to_owned(), |file| judge.model.path_text(file));
    let lost = file.and_then(|file| judge.model.regular(file)?.lost.iter().next());
    let chain = lost
        .map(|lost| (lost.step, format!("the subject gave up writing it: {}", lost.errno.name())));
    judge.report(Violation {
        clause: "ERR-REPORT-10",
        also: Vec::new(),
        step: frame.step(),
        subject,
        observed: errno.name().to_owned(),
        allowed: vec![format!("{}: nothing failed otherwise", right.name())],
        chain: chain.into_iter().collect(),
    });
}

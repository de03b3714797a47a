//! Which answers of a call are permitted.

use bytes::Bytes;

use crate::model::Denial;
use crate::model::FileId;
use crate::model::Place;
use crate::ops::Frame;
use crate::ops::Judge;
use crate::promise::Stops;
use crate::words::Errno;
use crate::words::Outcome;
use crate::words::Right;

/// Which answers are permitted.
#[derive(Debug)]
pub(crate) struct Permitted {
    /// If there are any, success is not permitted.
    must: Vec<Errno>,
    may: Vec<Errno>,
    /// The clause that is broken by any other answer.
    pub(crate) clause: &'static str,
    subject: Subject,
}

/// What a call is about. Its text is made where something is told of it: most answers are
/// permitted.
#[derive(Debug)]
enum Subject {
    File(FileId),
    Path(Bytes),
}

impl Subject {
    fn text(&self, judge: &Judge) -> String {
        match self {
            Self::File(file) => judge.model.path_text(*file),
            Self::Path(path) => String::from_utf8_lossy(path).into_owned(),
        }
    }
}

/// Errors that need no cause in the model.
const CAUSELESS: &[Errno] = &[
    Errno::Interrupted,
    Errno::Io,
    Errno::NoMemory,
    Errno::NoSpace,
    Errno::TooManyOpen,
    Errno::NotSupported,
];

/// A name of this length is allowed everywhere (`_POSIX_NAME_MAX`).
const NAME_LEN_SURE: usize = 14;
/// A path of this length is allowed everywhere (`_POSIX_PATH_MAX`).
const PATH_LEN_SURE: usize = 255;

impl Permitted {
    fn new(clause: &'static str, subject: Subject) -> Self {
        Self { must: Vec::new(), may: Vec::new(), clause, subject }
    }

    /// Of a call on a file.
    pub(crate) fn of(clause: &'static str, file: FileId) -> Self {
        Self::new(clause, Subject::File(file))
    }

    /// Of a call on a path.
    pub(crate) fn path(clause: &'static str, path: &Bytes) -> Self {
        let longest = path.split(|byte| *byte == b'/').map(<[u8]>::len).max().unwrap_or(0);
        let long = longest > NAME_LEN_SURE || path.len() > PATH_LEN_SURE;
        Self::new(clause, Subject::Path(path.clone()))
            .may(long, &[Errno::NameTooLong])
            .may(std::str::from_utf8(path).is_err(), &[Errno::IllegalSequence, Errno::Invalid])
    }

    /// Under this condition one of these errors has to be answered.
    pub(crate) fn must(mut self, condition: bool, errnos: &[Errno]) -> Self {
        if condition {
            self.must.extend_from_slice(errnos);
        }
        self
    }

    /// As `must`; another answer breaks this clause.
    pub(crate) fn must_by(
        mut self,
        condition: bool,
        errnos: &[Errno],
        clause: &'static str,
    ) -> Self {
        if condition {
            self.must.extend_from_slice(errnos);
            self.clause = clause;
        }
        self
    }

    /// Under this condition another answer breaks this clause.
    pub(crate) fn about(mut self, condition: bool, clause: &'static str) -> Self {
        if condition {
            self.clause = clause;
        }
        self
    }

    /// Under this condition these errors may be answered.
    pub(crate) fn may(mut self, condition: bool, errnos: &[Errno]) -> Self {
        if condition {
            self.may.extend_from_slice(errnos);
        }
        self
    }

    /// A lookup of a name that is there is about whatever happened to the name last.
    pub(crate) fn looked_up(self, judge: &Judge, place: &Result<Place, Vec<Errno>>) -> Self {
        let clause = place.as_ref().ok().and_then(|place| {
            let name = place.name.clone().filter(|_| place.file.is_some())?;
            if judge.renames {
                return Some("NS-RENAME-01");
            }
            judge.model.lookups.get(&(place.directory, name)).copied()
        });
        self.about(clause.is_some(), clause.unwrap_or("NS-CREATE-01"))
    }

    /// What a path that leads nowhere requires.
    pub(crate) fn resolved(self, place: &Result<Place, Vec<Errno>>) -> Self {
        match place {
            Ok(place) => self.may(place.may_be_denied, &[Errno::Access]),
            Err(errnos) if errnos[..] == [Errno::Access] => self.must_by(true, errnos, "MODE-02"),
            Err(errnos) => self.must(true, errnos),
        }
    }

    /// What the permission bits of a file require of whoever wants this.
    pub(crate) fn granted(self, judge: &Judge, file: FileId, right: Right) -> Self {
        match judge.model.denial(file, right) {
            Denial::No => self,
            Denial::Perhaps => self.may(true, &[Errno::Access]),
            Denial::Yes => self.must_by(true, &[Errno::Access], "MODE-02"),
        }
    }

    /// What a directory requires of whoever changes a name in it.
    pub(crate) fn renames_in(self, judge: &Judge, directory: FileId) -> Self {
        self.granted(judge, directory, Right::Write).granted(judge, directory, Right::Search)
    }

    fn allows(&self, errno: Errno) -> bool {
        self.must.contains(&errno) || self.may.contains(&errno) || CAUSELESS.contains(&errno)
    }

    fn describe(&self) -> String {
        if self.must.is_empty() {
            return "success, or an error with a cause".to_owned();
        }
        let names: Vec<&str> = self.must.iter().map(|errno| errno.name()).collect();
        names.join(" or ")
    }
}

impl Judge {
    /// Judges an answer; true if it is a success that may take effect.
    pub(crate) fn settle(
        &mut self,
        frame: &Frame,
        permitted: &Permitted,
        outcome: &Outcome,
    ) -> bool {
        self.exercise(permitted.clause);
        let may_stop = self.promises.error.stops != Stops::Never && self.has_failed;
        let observed = match outcome {
            Ok(_) if permitted.must.is_empty() => return true,
            Err(Errno::ReadOnly) if may_stop => return false,
            Err(errno) if permitted.allows(*errno) => {
                if *errno == Errno::Io {
                    let subject = permitted.subject.text(self);
                    self.failed_without_cause(frame, &subject, "EIO");
                }
                return false;
            }
            Ok(_) => "answered success".to_owned(),
            Err(errno) => format!("answered {}", errno.name()),
        };
        let subject = permitted.subject.text(self);
        self.broken(frame, permitted.clause, subject, observed, permitted.describe());
        false
    }

    /// A call failed as if the medium had, of a subject that says when something fails.
    pub(crate) fn failed_without_cause(&mut self, frame: &Frame, subject: &str, what: &str) {
        if self.testifies && !self.has_failed {
            self.exercise("ERR-FALSE-01");
            let observed = format!("{what}, and nothing failed before");
            self.broken(frame, "ERR-FALSE-01", subject.to_owned(), observed, "no error".to_owned());
        }
    }
}

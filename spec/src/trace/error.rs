//! Why a text is not a trace: where, what was expected, what stood there.

use std::fmt;

use crate::trace::quoted::Quoted;
use crate::trace::text::HEADER;
use crate::words::Step;

/// Why a text is not a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: u64,
    /// The byte in the line, from 1.
    pub column: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The first line is not that of a trace of this version.
    Header,
    /// Something else stands here.
    Expected {
        /// What would have been right.
        expected: &'static str,
        /// What stands there, cut short; nothing at the end of the line.
        found: Vec<u8>,
    },
    /// The step is not the one after the last.
    StepNotNext {
        /// The one after the last.
        next: Step,
    },
    /// The survey names this path twice.
    NamedTwice,
    /// The survey names this attribute of a file twice.
    AttributeTwice,
    /// A piece of a file's content is empty, overlaps the one before it, or ends beyond 2^64.
    PieceMisplaced,
    /// The line is longer than the limit.
    LineTooLong,
    /// There are more events than the limit.
    TooManyEvents,
    /// A survey has more names than the limit.
    TooManyNames,
    /// Counts make more bytes out of byte strings than the limit.
    TooManyBytes,
    /// The text ends within a survey.
    SurveyNotEnded,
}

impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}, column {}: {}", self.line, self.column, self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => write!(out, "expected `{HEADER}` as the first line"),
            Self::Expected { expected, found } if found.is_empty() => {
                write!(out, "expected {expected}, found the end of the line")
            }
            Self::Expected { expected, found } => {
                write!(out, "expected {expected}, found {}", Quoted(found))
            }
            Self::StepNotNext { next } => write!(out, "expected step {}", next.0),
            Self::NamedTwice => out.write_str("the survey names this path a second time"),
            Self::AttributeTwice => {
                out.write_str("the survey names this attribute of the file a second time")
            }
            Self::PieceMisplaced => out.write_str(
                "a piece of content is empty, overlaps the one before it, or ends beyond 2^64",
            ),
            Self::LineTooLong => out.write_str("the line is longer than the limit"),
            Self::TooManyEvents => out.write_str("there are more events than the limit"),
            Self::TooManyNames => out.write_str("the survey has more names than the limit"),
            Self::TooManyBytes => {
                out.write_str("counts make more bytes out of strings than the limit")
            }
            Self::SurveyNotEnded => out.write_str("the text ends within a survey: expected `end`"),
        }
    }
}

impl std::error::Error for ParseError {}

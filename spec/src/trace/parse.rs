//! Reads the text form of a trace, strictly: a line at a time, within limits, never a panic.
//!
//! Empty lines and lines whose first mark is `#` say nothing. Steps must be dense; the rest of
//! O-1 is checked in [`crate::trace::wellformed`].

use bytes::Bytes;
use imbl::OrdMap;

use crate::trace::CrashKind;
use crate::trace::Event;
use crate::trace::cursor::Cursor;
use crate::trace::error::ParseError;
use crate::trace::error::Problem;
use crate::trace::parse_call::call;
use crate::trace::parse_call::mode_if_any;
use crate::trace::parse_call::outcome;
use crate::trace::text::HEADER;
use crate::words::Content;
use crate::words::Found;
use crate::words::FoundKind;
use crate::words::Ino;
use crate::words::Pid;
use crate::words::Step;
use crate::words::Survey;
use crate::words::Testimony;

/// How much a trace may ask of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a line.
    pub line_bytes_max: usize,
    /// Events of a trace.
    pub event_count_max: u64,
    /// Names of one survey.
    pub name_count_max: usize,
    /// Bytes that counts make out of byte strings (`"a"*4096`), all together.
    pub run_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes_max: 1 << 28,
            event_count_max: 1 << 32,
            name_count_max: 1 << 22,
            run_bytes_max: 1 << 30,
        }
    }
}

/// Reads a trace line by line.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    bytes_left: u64,
    line_no: u64,
    has_header: bool,
    last: Step,
    survey: Option<Survey>,
}

impl Parser {
    /// A reader that has read nothing.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            bytes_left: limits.run_bytes_max,
            line_no: 0,
            has_header: false,
            last: Step(0),
            survey: None,
        }
    }

    /// Reads the next line, without its line break; answers the event that it completes.
    pub fn line(&mut self, line: &str) -> Result<Option<(Step, Event)>, ParseError> {
        self.line_no = self.line_no.saturating_add(1);
        if line.len() > self.limits.line_bytes_max {
            return Err(self.problem(Problem::LineTooLong));
        }
        if !self.has_header {
            self.has_header = line == HEADER;
            return if self.has_header { Ok(None) } else { Err(self.problem(Problem::Header)) };
        }
        let mut cursor = Cursor::new(self.line_no, line, self.bytes_left);
        if cursor.is_at_end() || cursor.is_next("#") {
            return Ok(None);
        }
        let event = match self.survey.take() {
            Some(survey) => self.survey_line(&mut cursor, survey)?,
            None => self.event_line(&mut cursor)?,
        };
        self.bytes_left = cursor.bytes_left();
        Ok(event.map(|event| (self.last, event)))
    }

    /// Is the text whole, now that it is over?
    pub fn end(&self) -> Result<(), ParseError> {
        if !self.has_header {
            return Err(ParseError { line: 1, column: 1, problem: Problem::Header });
        }
        match self.survey {
            Some(_) => Err(self.problem(Problem::SurveyNotEnded)),
            None => Ok(()),
        }
    }

    fn event_line(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<Event>, ParseError> {
        let at = cursor.start();
        let step = Step(cursor.number("", "the number of a step")?);
        let next = Step(self.last.0.saturating_add(1));
        if step != next {
            return Err(cursor.problem_at(at, Problem::StepNotNext { next }));
        }
        if step.0 > self.limits.event_count_max {
            return Err(cursor.problem_at(at, Problem::TooManyEvents));
        }
        let event = event(cursor)?;
        cursor.end()?;
        self.last = step;
        if event.is_none() {
            self.survey = Some(Survey::default());
        }
        Ok(event)
    }

    fn survey_line(
        &mut self,
        cursor: &mut Cursor<'_>,
        mut survey: Survey,
    ) -> Result<Option<Event>, ParseError> {
        if cursor.takes("end") {
            cursor.end()?;
            return Ok(Some(Event::Surveyed(Ok(survey))));
        }
        let at = cursor.start();
        let (path, found) = found(cursor)?;
        cursor.end()?;
        if survey.names.len() >= self.limits.name_count_max {
            return Err(cursor.problem_at(at, Problem::TooManyNames));
        }
        if survey.names.insert(path, found).is_some() {
            return Err(cursor.problem_at(at, Problem::NamedTwice));
        }
        self.survey = Some(survey);
        Ok(None)
    }

    fn problem(&self, problem: Problem) -> ParseError {
        ParseError { line: self.line_no, column: 1, problem }
    }
}

/// Reads a whole trace.
pub fn parse(text: &str) -> Result<Vec<Event>, ParseError> {
    events(text.lines(), Limits::default()).map(|item| item.map(|(_, event)| event)).collect()
}

/// Reads a trace as its lines come; nothing comes after an error.
pub fn events<'a, I>(lines: I, limits: Limits) -> Events<I::IntoIter>
where
    I: IntoIterator<Item = &'a str>,
{
    Events { lines: lines.into_iter(), parser: Some(Parser::new(limits)) }
}

/// The events of a trace, as its lines come.
#[derive(Debug)]
pub struct Events<I> {
    lines: I,
    /// Absent once the text is over, or wrong.
    parser: Option<Parser>,
}

impl<'a, I: Iterator<Item = &'a str>> Iterator for Events<I> {
    type Item = Result<(Step, Event), ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut parser = self.parser.take()?;
        for line in self.lines.by_ref() {
            match parser.line(line) {
                Ok(None) => {}
                Ok(Some(event)) => {
                    self.parser = Some(parser);
                    return Some(Ok(event));
                }
                Err(error) => return Some(Err(error)),
            }
        }
        parser.end().err().map(Err)
    }
}

/// The event after its step; nothing where a survey begins.
fn event(cursor: &mut Cursor<'_>) -> Result<Option<Event>, ParseError> {
    const EXPECTED: &str = "call, answer, exit, testimony, crash or survey";
    let at = cursor.start();
    let event = match cursor.word(EXPECTED)? {
        "call" => Event::Called { process: pid(cursor)?, call: call(cursor)? },
        "answer" => Event::Answered { call: step(cursor)?, outcome: outcome(cursor)? },
        "exit" => Event::Exited { process: pid(cursor)? },
        "testimony" => Event::Testified(testimony(cursor)?),
        "crash" => Event::Crashed(crash(cursor)?),
        "survey" if cursor.takes("failed") => Event::Surveyed(Err(cursor.string()?)),
        "survey" => return Ok(None),
        _ => return Err(cursor.expected_at(at, EXPECTED)),
    };
    Ok(Some(event))
}

fn crash(cursor: &mut Cursor<'_>) -> Result<CrashKind, ParseError> {
    const EXPECTED: &str = "process, kernel or power";
    let at = cursor.start();
    match cursor.word(EXPECTED)? {
        "process" => Ok(CrashKind::Process(pid(cursor)?)),
        "kernel" => Ok(CrashKind::Kernel),
        "power" => Ok(CrashKind::Power),
        _ => Err(cursor.expected_at(at, EXPECTED)),
    }
}

fn testimony(cursor: &mut Cursor<'_>) -> Result<Testimony, ParseError> {
    const EXPECTED: &str = "committed, lost, resolved, failed, evicted, lied or audit";
    let at = cursor.start();
    match cursor.word(EXPECTED)? {
        "committed" => Ok(Testimony::Committed { call: step(cursor)? }),
        "lost" => Ok(Testimony::Lost {
            file: ino(cursor)?,
            range: range(cursor)?,
            errno: cursor.errno()?,
            seen: match cursor.is_next("seen=") {
                true => Some(Step(cursor.number("seen=", "a step such as seen=5")?)),
                false => None,
            },
        }),
        "resolved" => Ok(Testimony::Resolved { file: ino(cursor)?, range: range(cursor)? }),
        "failed" => Ok(Testimony::Failed {
            errno: cursor.errno()?,
            file: cursor.is_next("ino=").then(|| ino(cursor)).transpose()?,
        }),
        "evicted" => Ok(Testimony::Evicted { file: ino(cursor)?, range: range(cursor)? }),
        "lied" => Ok(Testimony::Lied),
        "audit" => Ok(Testimony::Audit { clause: cursor.string()?, evidence: cursor.string()? }),
        _ => Err(cursor.expected_at(at, EXPECTED)),
    }
}

fn found(cursor: &mut Cursor<'_>) -> Result<(Bytes, Found), ParseError> {
    const EXPECTED: &str = "file, directory, symlink, unreadable or end";
    let at = cursor.start();
    let what = cursor.word(EXPECTED)?;
    if !["file", "directory", "symlink", "unreadable"].contains(&what) {
        return Err(cursor.expected_at(at, EXPECTED));
    }
    let path = cursor.bytes()?;
    let ino = ino(cursor)?;
    let link_count = cursor.number("links=", "a link count such as links=1")?;
    let mode = mode_if_any(cursor)?;
    let attributes = found_attributes(cursor)?;
    let kind = match what {
        "file" => found_file(cursor)?,
        "directory" => FoundKind::Directory,
        "symlink" => {
            cursor.keyword("target")?;
            FoundKind::Symlink { target: cursor.bytes()? }
        }
        _ => {
            cursor.keyword("error")?;
            FoundKind::Unreadable { errno: cursor.errno()? }
        }
    };
    Ok((path, Found { ino, link_count, mode, attributes, kind }))
}

fn found_attributes(cursor: &mut Cursor<'_>) -> Result<OrdMap<Bytes, Bytes>, ParseError> {
    let mut attributes = OrdMap::new();
    loop {
        let at = cursor.start();
        if !cursor.takes("attribute") {
            return Ok(attributes);
        }
        if attributes.insert(cursor.bytes()?, cursor.bytes()?).is_some() {
            return Err(cursor.problem_at(at, Problem::AttributeTwice));
        }
    }
}

fn found_file(cursor: &mut Cursor<'_>) -> Result<FoundKind, ParseError> {
    let size_bytes = cursor.number("size=", "a size such as size=4096")?;
    if cursor.takes("error") {
        return Ok(FoundKind::Regular { size_bytes, content: Err(cursor.errno()?) });
    }
    let mut pieces = OrdMap::new();
    let mut free_from = Some(0);
    while !cursor.is_at_end() {
        let at = cursor.start();
        let offset = cursor.number("@", "an offset such as @0")?;
        let bytes = cursor.bytes()?;
        let end = u64::try_from(bytes.len()).ok().and_then(|len| offset.checked_add(len));
        if bytes.is_empty() || end.is_none() || free_from.is_none_or(|free| offset < free) {
            return Err(cursor.problem_at(at, Problem::PieceMisplaced));
        }
        free_from = end;
        pieces.insert(offset, bytes);
    }
    Ok(FoundKind::Regular { size_bytes, content: Ok(Content { pieces }) })
}

fn pid(cursor: &mut Cursor<'_>) -> Result<Pid, ParseError> {
    Ok(Pid(cursor.small_number("p", "a process such as p1")?))
}

fn step(cursor: &mut Cursor<'_>) -> Result<Step, ParseError> {
    Ok(Step(cursor.number("", "the step of a call")?))
}

pub(crate) fn ino(cursor: &mut Cursor<'_>) -> Result<Ino, ParseError> {
    Ok(Ino(cursor.number("ino=", "a file such as ino=7")?))
}

fn range(cursor: &mut Cursor<'_>) -> Result<std::ops::Range<u64>, ParseError> {
    cursor.one_of("a range such as 0..4096", |word| {
        let (start, end) = word.split_once("..")?;
        let range = number(start)?..number(end)?;
        if range.start <= range.end { Some(range) } else { None }
    })
}

fn number(text: &str) -> Option<u64> {
    crate::trace::cursor::decimal(text)
}

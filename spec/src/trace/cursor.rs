//! A line of a trace, read from left to right; every failure names its column.

use bytes::Bytes;

use crate::trace::error::ParseError;
use crate::trace::error::Problem;
use crate::words::Errno;

/// Where reading has come to in one line.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    line_no: u64,
    text: &'a [u8],
    at: usize,
    /// So many bytes may still be made by counts; the others are no more than the text.
    bytes_left: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(line_no: u64, text: &'a str, bytes_left: u64) -> Self {
        Self { line_no, text: text.as_bytes(), at: 0, bytes_left }
    }

    /// How many bytes may still be made by counts.
    pub(crate) fn bytes_left(&self) -> u64 {
        self.bytes_left
    }

    /// Is there nothing more?
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.skip_spaces();
        self.at == self.text.len()
    }

    /// The line must be over.
    pub(crate) fn end(&mut self) -> Result<(), ParseError> {
        if self.is_at_end() { Ok(()) } else { Err(self.expected("the end of the line")) }
    }

    /// The next word, up to a space.
    pub(crate) fn word(&mut self, expected: &'static str) -> Result<&'a str, ParseError> {
        let word = self.peek();
        if word.is_empty() {
            return Err(self.expected(expected));
        }
        let Ok(text) = std::str::from_utf8(word) else { return Err(self.expected(expected)) };
        self.at += word.len();
        Ok(text)
    }

    /// Takes the next word if it is this one.
    pub(crate) fn takes(&mut self, word: &str) -> bool {
        let is_next = self.peek() == word.as_bytes();
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    /// The next word must be this one.
    pub(crate) fn keyword(&mut self, word: &'static str) -> Result<(), ParseError> {
        if self.takes(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    /// The next word is looked up; it stays where it is if it is not known.
    pub(crate) fn one_of<T>(
        &mut self,
        expected: &'static str,
        known: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ParseError> {
        let start = self.start();
        let word = self.word(expected)?;
        known(word).ok_or_else(|| self.expected_at(start, expected))
    }

    /// Does the next word start like this?
    pub(crate) fn is_next(&mut self, prefix: &str) -> bool {
        self.peek().starts_with(prefix.as_bytes())
    }

    /// A number after a prefix: `@4096`, `h5`, `ino=7`.
    pub(crate) fn number(
        &mut self,
        prefix: &str,
        expected: &'static str,
    ) -> Result<u64, ParseError> {
        self.one_of(expected, |word| decimal(word.strip_prefix(prefix)?))
    }

    /// A number that fits 32 bits, after a prefix.
    pub(crate) fn small_number(
        &mut self,
        prefix: &str,
        expected: &'static str,
    ) -> Result<u32, ParseError> {
        self.one_of(expected, |word| decimal(word.strip_prefix(prefix)?)?.try_into().ok())
    }

    /// The name of an errno.
    pub(crate) fn errno(&mut self) -> Result<Errno, ParseError> {
        self.one_of("an errno such as EIO", |word| {
            Errno::ALL.iter().copied().find(|errno| errno.name() == word)
        })
    }

    /// A byte string that is text.
    pub(crate) fn string(&mut self) -> Result<String, ParseError> {
        let start = self.start();
        let bytes = self.bytes()?;
        String::from_utf8(bytes.into()).map_err(|_| self.expected_at(start, "text in UTF-8"))
    }

    /// A byte string: quoted parts, each perhaps with a count, joined by `+`.
    pub(crate) fn bytes(&mut self) -> Result<Bytes, ParseError> {
        self.skip_spaces();
        let mut bytes = Vec::new();
        loop {
            self.part(&mut bytes)?;
            if self.text.get(self.at) != Some(&b'+') {
                break;
            }
            self.at += 1;
        }
        match self.text.get(self.at) {
            None | Some(b' ') => Ok(bytes.into()),
            Some(_) => Err(self.expected("a space, `+` or `*` after a string")),
        }
    }

    fn part(&mut self, bytes: &mut Vec<u8>) -> Result<(), ParseError> {
        let start = self.at;
        if self.text.get(self.at) != Some(&b'"') {
            return Err(self.expected("a string in quotes"));
        }
        self.at += 1;
        let part = self.quoted()?;
        if self.text.get(self.at) != Some(&b'*') {
            bytes.extend_from_slice(&part);
            return Ok(());
        }
        let times = self.times()?;
        if part.is_empty() {
            return Err(self.expected_at(start, "a string to repeat"));
        }
        let len = u64::try_from(part.len()).unwrap_or(u64::MAX).saturating_mul(times);
        let left = self.bytes_left.checked_sub(len);
        self.bytes_left = left.ok_or_else(|| self.problem_at(start, Problem::TooManyBytes))?;
        (0..times).for_each(|_| bytes.extend_from_slice(&part));
        Ok(())
    }

    /// The rest of a quoted part, after its opening quote.
    fn quoted(&mut self) -> Result<Vec<u8>, ParseError> {
        let mut bytes = Vec::new();
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(bytes);
                }
                Some(b'\\') => bytes.push(self.escape()?),
                Some(byte @ b' '..=b'~') => {
                    bytes.push(*byte);
                    self.at += 1;
                }
                Some(_) => return Err(self.expected("printable ASCII or an escape")),
                None => return Err(self.expected("a closing quote")),
            }
        }
    }

    fn escape(&mut self) -> Result<u8, ParseError> {
        const EXPECTED: &str = "one of the escapes \\n \\t \\\\ \\\" \\xNN";
        let (byte, len) = match self.text.get(self.at + 1) {
            Some(b'n') => (b'\n', 2),
            Some(b't') => (b'\t', 2),
            Some(b'\\') => (b'\\', 2),
            Some(b'"') => (b'"', 2),
            Some(b'x') => {
                let digits = self.text.get(self.at + 2..self.at + 4).and_then(hex);
                (digits.ok_or_else(|| self.expected(EXPECTED))?, 4)
            }
            Some(_) | None => return Err(self.expected(EXPECTED)),
        };
        self.at += len;
        Ok(byte)
    }

    /// The count of a part, from its `*` on.
    fn times(&mut self) -> Result<u64, ParseError> {
        self.at += 1;
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.text[self.at..self.at + digits]).ok();
        let times = text.and_then(decimal).filter(|times| *times > 0);
        let times = times.ok_or_else(|| self.expected("a count above 0 after `*`"))?;
        self.at += digits;
        Ok(times)
    }

    /// Something else was expected here.
    pub(crate) fn expected(&mut self, expected: &'static str) -> ParseError {
        let at = self.start();
        self.expected_at(at, expected)
    }

    /// Something else was expected at a column that [`Cursor::start`] gave.
    pub(crate) fn expected_at(&self, at: usize, expected: &'static str) -> ParseError {
        const FOUND_LEN_MAX: usize = 32;
        let rest = self.text.get(at..).unwrap_or_default();
        let found = match rest.first() {
            Some(b'"' | b'\\' | b'+' | b'*' | b' ') => &rest[..1],
            Some(_) => word_of(rest),
            None => &[],
        };
        let found = &found[..found.len().min(FOUND_LEN_MAX)];
        self.problem_at(at, Problem::Expected { expected, found: found.to_vec() })
    }

    pub(crate) fn problem_at(&self, at: usize, problem: Problem) -> ParseError {
        let column = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
        ParseError { line: self.line_no, column, problem }
    }

    /// Where the next word starts.
    pub(crate) fn start(&mut self) -> usize {
        self.skip_spaces();
        self.at
    }

    fn peek(&mut self) -> &'a [u8] {
        self.skip_spaces();
        word_of(&self.text[self.at..])
    }

    fn skip_spaces(&mut self) {
        self.at += self.text[self.at..].iter().take_while(|byte| **byte == b' ').count();
    }
}

fn word_of(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    &text[..end]
}

/// A number in decimal digits alone: no sign, no spaces.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits { text.parse().ok() } else { None }
}

fn hex(digits: &[u8]) -> Option<u8> {
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_hex)?;
    u8::from_str_radix(text, 16).ok()
}

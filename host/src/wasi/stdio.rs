//! Standard input, output and error of a process.
//!
//! Output is a character device, so that C programs flush it by the line; each complete line of
//! standard output is what the world saw, and is told at once.

use bytes::Buf;
use bytes::Bytes;

/// Who is told each complete line of standard output, without its newline.
pub type LineSink = Box<dyn FnMut(&[u8]) + Send>;

/// What a process wrote, within a bound.
pub(super) struct Output {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    told: usize,
    on_line: Option<LineSink>,
    bytes_max: usize,
}

impl Output {
    pub(super) fn new(on_line: Option<LineSink>, bytes_max: usize) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), told: 0, on_line, bytes_max }
    }

    fn has_room(&self, len: usize) -> bool {
        self.stdout.len() + self.stderr.len() + len <= self.bytes_max
    }

    /// Adds to standard output and tells the lines it completes; false if it is too much.
    pub(super) fn write_stdout(&mut self, data: &[u8]) -> bool {
        if !self.has_room(data.len()) {
            return false;
        }
        let mut search_from = self.stdout.len();
        self.stdout.extend_from_slice(data);
        while let Some(len) = self.stdout[search_from..].iter().position(|byte| *byte == b'\n') {
            let end = search_from + len;
            if let Some(on_line) = &mut self.on_line {
                on_line(&self.stdout[self.told..end]);
            }
            self.told = end + 1;
            search_from = self.told;
        }
        true
    }

    /// Tells a whole line, ended by a newline, whatever of another line came before it; false if it
    /// is too much.
    pub(super) fn write_line(&mut self, line: &[u8]) -> bool {
        if !self.has_room(line.len()) {
            return false;
        }
        self.stdout.splice(self.told..self.told, line.iter().copied());
        self.told += line.len();
        if let Some(on_line) = &mut self.on_line {
            on_line(line.strip_suffix(b"\n").unwrap_or(line));
        }
        true
    }

    /// Adds to standard error; false if it is too much.
    pub(super) fn write_stderr(&mut self, data: &[u8]) -> bool {
        let has_room = self.has_room(data.len());
        if has_room {
            self.stderr.extend_from_slice(data);
        }
        has_room
    }
}

/// What a process can still read from standard input.
#[derive(Debug)]
pub(super) struct Input(pub(super) Bytes);

impl Input {
    pub(super) fn read(&mut self, len_max: usize) -> Bytes {
        self.0.split_to(len_max.min(self.0.remaining()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn complete_lines_are_told_once_however_they_are_cut() {
        let text = b"a\n\nbc\nrest";
        for cut in 0..=text.len() {
            let lines = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&lines);
            let on_line: LineSink =
                Box::new(move |line| seen.lock().expect("one thread").push(line.to_vec()));
            let mut output = Output::new(Some(on_line), 100);
            assert!(output.write_stdout(&text[..cut]));
            assert!(output.write_stdout(&text[cut..]));
            assert_eq!(*lines.lock().expect("one thread"), [b"a".to_vec(), vec![], b"bc".to_vec()]);
            assert_eq!(output.stdout, text);
        }
    }

    #[test]
    fn output_beyond_the_bound_is_refused_whole() {
        let mut output = Output::new(None, 4);
        assert!(output.write_stdout(b"abc"));
        assert!(!output.write_stderr(b"de"));
        assert!(output.write_stderr(b"d"));
        assert!(!output.write_stdout(b"e"));
        assert_eq!((output.stdout.len(), output.stderr.len()), (3, 1));
    }
}

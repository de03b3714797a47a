//! An append-only log, after Redis: every change is a command at the end of one file, as text and
//! without a checksum; values are answered from memory.
//!
//! - A change: the command is appended; with `appendfsync always` the file is synced.
//! - Opening: the commands are carried out again. A file that ends within a command is cut there
//!   (`aof-load-truncated yes`); anything else that is no command keeps the store closed.
//! - A failed append is cut off again, and told. A failed sync: see [`SyncPolicy`].

use std::fs::File;
use std::io;

use crate::abi;
use crate::stores::Change;
use crate::stores::Rows;
use crate::stores::Store;
use crate::stores::damaged;
use crate::stores::ended;

const LOG_NAME: &str = "appendonly.aof";

/// When the file is synced, and what a failure does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// With each change. A failure ends the store (Redis 7 exits).
    Always,
    /// With [`Store::tidy`]. A failure ends the store: Redis 7 takes no change until a sync
    /// succeeds, which after a failure says nothing; here it takes none until it is opened again.
    EverySecond,
    /// With each change, and what the sync answers is not looked at (Redis 5.0.7).
    AlwaysIgnoring,
}

/// An open log.
#[derive(Debug)]
pub struct LogStore {
    file: File,
    policy: SyncPolicy,
    rows: Rows,
    size_bytes: u64,
    has_ended: bool,
}

impl LogStore {
    /// Opens the log, or makes it.
    ///
    /// # Errors
    /// What the file system answered, or that it is no log.
    pub fn open(policy: SyncPolicy) -> io::Result<Self> {
        let is_new = !std::fs::exists(LOG_NAME)?;
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(LOG_NAME)?;
        if is_new {
            file.sync_all()?;
            crate::sync_directory("/")?;
        }
        let bytes = std::fs::read(LOG_NAME)?;
        let (mut rows, mut rest) = (Rows::new(), bytes.as_slice());
        loop {
            match command(rest) {
                Command::Whole { words, size_bytes } => {
                    carry_out(&mut rows, &words)?;
                    rest = &rest[size_bytes..];
                }
                Command::Torn => break,
                Command::Damaged => return Err(damaged("this is no command")),
            }
        }
        let size_bytes = (bytes.len() - rest.len()) as u64;
        if !rest.is_empty() {
            file.set_len(size_bytes)?;
        }
        Ok(Self { file, policy, rows, size_bytes, has_ended: false })
    }

    fn end(&mut self, error: io::Error) -> io::Error {
        self.has_ended = true;
        error
    }
}

impl Store for LogStore {
    fn rows(&mut self) -> io::Result<Rows> {
        Ok(self.rows.clone())
    }

    fn change(&mut self, change: Change<'_>) -> io::Result<()> {
        if self.has_ended {
            return Err(ended());
        }
        let words = match change.value {
            Some(value) => vec![b"SET".as_slice(), change.key, value],
            None => vec![b"DEL".as_slice(), change.key],
        };
        let bytes = encode(&words);
        if let Err(error) = abi::write_all_at(&self.file, &bytes, self.size_bytes) {
            // What there is of the command is cut off; if that fails, opening does it.
            let _ = self.file.set_len(self.size_bytes);
            return Err(self.end(error));
        }
        self.size_bytes += bytes.len() as u64;
        match self.policy {
            SyncPolicy::EverySecond => {}
            SyncPolicy::Always => {
                if let Err(error) = abi::sync_data(&self.file) {
                    return Err(self.end(error));
                }
            }
            SyncPolicy::AlwaysIgnoring => {
                let _ = abi::sync_data(&self.file);
            }
        }
        carry_out(&mut self.rows, &words)
    }

    fn tidy(&mut self) -> io::Result<()> {
        match self.policy {
            SyncPolicy::EverySecond => match abi::sync_data(&self.file) {
                Err(error) => Err(self.end(error)),
                Ok(()) => Ok(()),
            },
            SyncPolicy::Always | SyncPolicy::AlwaysIgnoring => Ok(()),
        }
    }
}

/// What stands at the start of some bytes.
enum Command<'a> {
    Whole { words: Vec<&'a [u8]>, size_bytes: usize },
    Torn,
    Damaged,
}

fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(*word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// Takes `sign`, a number and the end of the line: what follows, or why not.
fn number<'a>(sign: u8, bytes: &'a [u8]) -> Result<(usize, &'a [u8]), Command<'a>> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        let could_go_on = bytes.first().is_none_or(|first| *first == sign) && bytes.len() < 24;
        return Err(if could_go_on { Command::Torn } else { Command::Damaged });
    };
    let digits = bytes[..end].strip_prefix(&[sign]);
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    number.map(|number| (number, &bytes[end + 2..])).ok_or(Command::Damaged)
}

fn command(bytes: &[u8]) -> Command<'_> {
    let parsed = || {
        let (count, mut rest) = number(b'*', bytes)?;
        let mut words = Vec::new();
        for _ in 0..count {
            let (len, after) = number(b'$', rest)?;
            let word = after.get(..len).ok_or(Command::Torn)?;
            // As the original does: two bytes are passed over, whatever they are.
            rest = after.get(len + 2..).ok_or(Command::Torn)?;
            words.push(word);
        }
        Ok((words, bytes.len() - rest.len()))
    };
    match parsed() {
        Ok((words, size_bytes)) => Command::Whole { words, size_bytes },
        Err(other) => other,
    }
}

fn carry_out(rows: &mut Rows, words: &[&[u8]]) -> io::Result<()> {
    match words {
        [b"SET", key, value] => drop(rows.insert(key.to_vec(), value.to_vec())),
        [b"DEL", key] => drop(rows.remove(*key)),
        _ => return Err(damaged("this command is not known")),
    }
    Ok(())
}

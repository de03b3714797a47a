//! What the guest programs share: the calls of preview1 that std does not reach, the two durable
//! things a program does (a file, a directory), how it says what came of a call, and the data
//! structures of those that have a verifier.
//!
//! Nothing here knows whether an answer is right.
pub mod abi;
pub mod btree;
pub mod draws;
pub mod exerciser;
pub mod linked;
pub mod log;
pub mod mapped_log;
pub mod shelf;
pub mod stores;
pub mod tagged;
pub mod volume;

use std::fmt::Display;
use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// Syncs the directory `path`, so that the names in it survive power loss. [DUR-DIR-01]
///
/// # Errors
/// What the file system answered.
pub fn sync_directory(path: &str) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Syncs the directory `path` as portable programs do: a host that syncs no directories at all
/// (stock preview1 hosts answer EBADF) is told of on standard error, and no reason to stop.
///
/// # Errors
/// What the file system answered, if it does sync directories.
pub fn sync_directory_if_offered(path: &str) -> io::Result<()> {
    match sync_directory(path) {
        Err(error) if error.raw_os_error() == Some(abi::BAD_DESCRIPTOR) => {
            eprintln!("this host does not sync directories; going on");
            Ok(())
        }
        answer => answer,
    }
}

/// Creates or replaces `path` with `content` and syncs it, but not its name.
///
/// # Errors
/// What the file system answered.
pub fn write_and_sync(path: &str, content: &[u8]) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    abi::write_all_at(&file, content, 0)?;
    file.sync_all()?;
    Ok(file)
}

/// One word for what came of a call: `ok`, or `error` and the number preview1 gave.
#[must_use]
pub fn told<T>(answer: &io::Result<T>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => match error.raw_os_error() {
            Some(number) => format!("error {number}"),
            None => "error".to_owned(),
        },
    }
}

/// Notes what a step was told; the oracle judges it from the trace.
pub fn note<T>(step: &str, answer: io::Result<T>) -> Option<T> {
    println!("{step}: {}", told(&answer));
    answer.ok()
}

/// Makes a file, or empties it, to read and write.
#[must_use]
pub fn create(name: &str) -> Option<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    note(name, options.open(name))
}

/// Reads every regular file below a directory, as it is met.
///
/// # Errors
/// What the file system answered.
pub fn read_below(directory: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            read_below(&entry.path(), found)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path())?;
            found.push((entry.path(), bytes));
        }
    }
    Ok(())
}

/// Ends the program as a real one would that cannot go on: a message, and a code that is not zero.
pub fn give_up(doing: &str, why: &dyn Display) -> ! {
    eprintln!("{doing}: {why}");
    std::process::exit(1)
}

/// The numbers that follow `word` on complete lines of standard input.
#[must_use]
pub fn numbers_after(word: &str) -> Vec<u64> {
    let mut found = Vec::new();
    for line in acknowledged_lines() {
        let number: Option<u64> = line.strip_prefix(word).and_then(|rest| rest.trim().parse().ok());
        found.extend(number);
    }
    found
}

/// The lines that the program under test had printed before the crash.
#[must_use]
pub fn acknowledged_lines() -> Vec<String> {
    io::stdin().lines().map_while(Result::ok).collect()
}

/// The argument at `position` (0 is the first after the program's name) as a number.
#[must_use]
pub fn number_argument(position: usize, otherwise: u64) -> u64 {
    std::env::args().nth(position + 1).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Asks again where a call was interrupted before it did anything.
///
/// # Errors
/// Any other.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

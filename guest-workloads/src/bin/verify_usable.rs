//! Uses a file system after it was recovered: what was there stays, whatever is cut and written.
//!
//! 1. Reads every file.
//! 2. Of each in turn, at most 4: punches every other block, syncs the file system, and writes a
//!    new file until there is no more room, at most 1 MiB. [CRASH-01, ALLOC-02]
//! 3. Drops caches and reads all of them again; removes the new file. [COPY-04, DATA-ISO-01]
//!
//! Takes no notice of what was printed before the crash, and leaves it to the checker to say
//! whether it reads what it should. A file system of at most 1 MiB is filled to the last block, so
//! that whatever counts as free is used.

use std::fs;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guests as guest;

const PUNCHED_FILES_MAX: usize = 4;
const BLOCK_BYTES: u64 = 4096;
const PIECE_BYTES: usize = 32 << 10;
const FILLED_BYTES_MAX: usize = 1 << 20;
const TRIES_MAX: usize = 5;
/// The name of the new file.
const FILLER: &str = "verify-usable";

/// Writes until there is no more room. Some is kept back until what was written before has found
/// its place: so each time that there is none, a sync is followed by another try.
fn fill(filler: &mut File, mark: u8) -> io::Result<()> {
    let piece = vec![mark; PIECE_BYTES];
    let (mut done, mut tries) = (0, 0);
    while done < FILLED_BYTES_MAX && tries < TRIES_MAX {
        match filler.write(&piece) {
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                filler.sync_all()?;
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Another file gets blocks of this one.
fn use_room_of(path: &Path, mark: u8) -> io::Result<()> {
    let punched = File::options().read(true).write(true).open(path)?;
    let size_bytes = punched.metadata()?.len();
    let punch = file::PUNCH_HOLE | file::KEEP_SIZE;
    for at in (0..size_bytes).step_by(2 * BLOCK_BYTES as usize) {
        file::fallocate(&punched, punch, at, BLOCK_BYTES)?;
    }
    file::sync_all_files(&punched)?;
    let mut filler = File::create(FILLER)?;
    fill(&mut filler, mark)?;
    filler.sync_all()
}

/// A full file system is no finding.
fn unless_full(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::StorageFull => Ok(()),
        Ok(()) | Err(_) => done,
    }
}

fn use_up() -> io::Result<()> {
    let mut found = Vec::new();
    guest::read_below(Path::new("."), &mut found)?;
    let mut paths: Vec<PathBuf> = found.into_iter().map(|(path, _)| path).collect();
    paths.sort();
    for (punched, mark) in paths.iter().take(PUNCHED_FILES_MAX).zip(b'A'..) {
        unless_full(use_room_of(punched, mark))?;
        machine::drop_caches()?;
        for path in &paths {
            fs::read(path)?;
        }
        match fs::remove_file(FILLER) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => unless_full(removed)?,
        }
    }
    Ok(())
}

fn main() {
    if let Err(error) = use_up() {
        guest::give_up("using what was recovered", &error);
    }
}

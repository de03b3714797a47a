//! A file that is changed while another process writes it back, drops caches and takes snapshots.
//!
//! The scenario of this name adds that process. Arguments: the pattern, and how many turns (60).
//!
//! - `stores`: a few stores into one page of a mapping at once; every eighth turn an msync.
//!   [MAP-03, MAP-12, DUR-MSYNC-01]
//! - `writes`: a write into one page, then one across its end into the next. [DATA-RW-01,
//!   DATA-RW-03, MAP-04]
//! - `appends`: the file grows by a write to its new last byte, and what is new is stored through
//!   a mapping. [MAP-02, MAP-07]
//! - `direct`: a write through the cache into one block, then one past it into the next. [SNAP-02]
//! - `cuts`: a write through the cache, then the file is cut behind it, to another size each turn.
//!   [SNAP-02]
//! - `press`: the other process. Begins writeback, then drops caches, or takes a snapshot, reads
//!   the file in it and deletes it, by turns. [SNAP-01, SNAP-03]
//! - `look`: beside any program. Takes a snapshot, reads in it whatever has a name outside, and
//!   deletes it. [SNAP-01, SNAP-02]
//! - `flush`: beside any program. Begins to write back whatever has a name, then writes to a file
//!   of its own, and syncs that. [RED-01, RED-05]
//!
//! The others read the file after each turn or at their end, and at their end without caches.

use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guest::mapping::PAGE_SIZE_BYTES;
use crashproof_guest::snapshot;
use crashproof_guest::snapshot::Snapshot;
use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::draws::Draws;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;

const NAME: &str = "pressed";
const PAGE_COUNT: usize = 6;
const SIZE_BYTES: usize = PAGE_COUNT * PAGE_SIZE_BYTES;

fn open() -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    guest::uninterrupted(|| options.open(NAME))
}

fn mapped(file: &File) -> io::Result<Mapping> {
    guest::uninterrupted(|| Mapping::shared(file, 0, SIZE_BYTES, Access::READ_WRITE))
}

/// Reads the file, however much there is of it.
fn read_all(file: &File) -> io::Result<()> {
    abi::read_full_at(file, &mut vec![0; SIZE_BYTES], 0).map(drop)
}

fn mark(turn: u64, at: usize) -> u8 {
    b'a' + u8::try_from((turn + at as u64) % 26).unwrap_or(0)
}

fn stores(file: &File, turns: u64, draws: &mut Draws) -> io::Result<()> {
    abi::write_all_at(file, &[b'.'; SIZE_BYTES], 0)?;
    let mapping = mapped(file)?;
    for turn in 1..=turns {
        let page = draws.index(PAGE_COUNT) * PAGE_SIZE_BYTES;
        for _ in 0..6 {
            let at = page + draws.index(PAGE_SIZE_BYTES - 100);
            mapping.store(at, &[mark(turn, at); 100]);
        }
        if turn.is_multiple_of(8) {
            let synced = guest::uninterrupted(|| mapping.sync(0, SIZE_BYTES));
            println!("{turn}: {}", guest::told(&synced));
        }
        read_all(file)?;
    }
    mapping.unmap()
}

fn writes(file: &File, turns: u64, draws: &mut Draws) -> io::Result<()> {
    abi::write_all_at(file, &[b'.'; SIZE_BYTES], 0)?;
    for turn in 1..=turns {
        let end = (1 + draws.index(PAGE_COUNT - 1)) * PAGE_SIZE_BYTES;
        let before = end - 100 - draws.index(PAGE_SIZE_BYTES - 100);
        abi::write_all_at(file, &[mark(turn, 0); 100], before as u64)?;
        let across = end - 1 - draws.index(200);
        abi::write_all_at(file, &[mark(turn, 7); 300], across as u64)?;
        read_all(file)?;
    }
    Ok(())
}

fn appends(file: &File, turns: u64, draws: &mut Draws) -> io::Result<()> {
    let mapping = mapped(file)?;
    let mut end = 0;
    for turn in 1..=turns {
        if end + 2 * PAGE_SIZE_BYTES > SIZE_BYTES {
            guest::uninterrupted(|| file.set_len(0))?;
            end = 0;
        }
        for _ in 0..3 {
            let grown = end + 1 + draws.index(PAGE_SIZE_BYTES / 2);
            abi::write_all_at(file, &[mark(turn, grown)], grown as u64 - 1)?;
            mapping.store(end, &vec![mark(turn, end); grown - end]);
            end = grown;
        }
        read_all(file)?;
    }
    mapping.unmap()
}

fn direct(file: &File, turns: u64) -> io::Result<()> {
    let past = guest::uninterrupted(|| abi::open(NAME, 0, abi::DIRECT))?;
    for turn in 0..turns {
        let at = 2 * (turn % (PAGE_COUNT as u64 / 2)) * PAGE_SIZE_BYTES as u64;
        if at == 0 {
            guest::uninterrupted(|| file.set_len(0))?;
        }
        let bytes = [mark(turn, 0); PAGE_SIZE_BYTES];
        abi::write_all_at(file, &bytes, at)?;
        abi::write_all_at(&past, &bytes, at + PAGE_SIZE_BYTES as u64)?;
    }
    Ok(())
}

fn cuts(file: &File, turns: u64) -> io::Result<()> {
    for turn in 1..=turns {
        let bytes = [mark(turn, 0); PAGE_SIZE_BYTES];
        abi::write_all_at(file, &bytes, 0)?;
        guest::uninterrupted(|| file.set_len(PAGE_SIZE_BYTES as u64 + turn))?;
        abi::write_all_at(file, &bytes, PAGE_SIZE_BYTES as u64)?;
    }
    Ok(())
}

fn press(turns: u64) -> io::Result<()> {
    let file = open()?;
    for turn in 1..=turns {
        guest::uninterrupted(|| file::write_range_back(&file, 0, 0))?;
        if turn.is_multiple_of(2) {
            let name = format!("at-{turn}");
            guest::uninterrupted(|| snapshot::create(&name))?;
            guest::uninterrupted(|| read_all(&Snapshot::open(&name)?.file(NAME)?))?;
            guest::uninterrupted(|| snapshot::delete(&name))?;
        } else {
            guest::uninterrupted(machine::drop_caches)?;
        }
    }
    Ok(())
}

/// The regular files below a directory, as long as they are there.
fn find(directory: &Path, found: &mut Vec<String>) {
    let Ok(entries) = guest::uninterrupted(|| fs::read_dir(directory)) else { return };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => find(&path, found),
            Ok(kind) if kind.is_file() => {
                let name = path.strip_prefix("/").unwrap_or(&path);
                found.push(name.to_string_lossy().into_owned());
            }
            Ok(_) | Err(_) => {}
        }
    }
}

fn look(turns: u64) -> io::Result<()> {
    for turn in 1..=turns {
        let name = format!("seen-{turn}");
        guest::uninterrupted(|| snapshot::create(&name))?;
        let inside = guest::uninterrupted(|| Snapshot::open(&name))?;
        let mut paths = Vec::new();
        find(Path::new("/"), &mut paths);
        for path in paths {
            // What is new has no file in the snapshot.
            let Ok(mut file) = guest::uninterrupted(|| inside.file(&path)) else { continue };
            file.read_to_end(&mut Vec::new())?;
        }
        drop(inside);
        guest::uninterrupted(|| snapshot::delete(&name))?;
    }
    Ok(())
}

/// Whoever changes a page while it is under writeback has to write it back again: nothing waits.
fn flush(turns: u64) -> io::Result<()> {
    let own = open()?;
    for turn in 1..=turns {
        let mut paths = Vec::new();
        find(Path::new("/"), &mut paths);
        for path in paths {
            // What is new may be gone already.
            if let Ok(file) = guest::uninterrupted(|| File::open(Path::new("/").join(&path))) {
                guest::uninterrupted(|| file::write_range_back(&file, 0, 0))?;
            }
        }
        abi::write_all_at(&own, &[mark(turn, 0); 8], 8 * turn)?;
        guest::uninterrupted(|| own.sync_all())?;
    }
    Ok(())
}

fn main() {
    let pattern = std::env::args().nth(1).unwrap_or_default();
    let turns = guest::number_argument(1, 60);
    let run = || -> io::Result<()> {
        match pattern.as_str() {
            "press" => return press(turns),
            "look" => return look(turns),
            "flush" => return flush(turns),
            _ => {}
        }
        let file = open()?;
        let mut draws = Draws::new(turns);
        match pattern.as_str() {
            "writes" => writes(&file, turns, &mut draws)?,
            "appends" => appends(&file, turns, &mut draws)?,
            "direct" => direct(&file, turns)?,
            "cuts" => cuts(&file, turns)?,
            _ => stores(&file, turns, &mut draws)?,
        }
        guest::uninterrupted(machine::drop_caches)?;
        read_all(&file)
    };
    if let Err(error) = run() {
        guest::give_up(&pattern, &error);
    }
}

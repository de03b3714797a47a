//! Seed 000: LevelDB's old writer appends through a mapped window while a flush compresses the
//! same page.
//!
//! The scenario of this name adds a second process, which takes snapshots. Arguments: what to do
//! (`write` or `watch`), then words and `word=number` in any order.
//!
//! `write`:
//! 1. Creates `db`, asks for compression, syncs the directory. [DUR-DIR-01]
//! 2. `records` times (120): appends a record of 300 to 3,000 bytes, drawn from `draw` (1),
//!    through a mapped window of 64 KiB, which doubles: record ends lie within pages. [MAP-01]
//! 3. Every `sync` records (7): msync of what is new, then prints `synced BYTES`: these must
//!    survive, also where a flush had begun when they were stored. [MAP-03, MAP-12,
//!    DUR-MSYNC-01, DUR-FDS-01]
//! 4. Every `pressure` records (9): begins writeback, drops caches, and reads the end of the log.
//!    [MAP-04]
//! 5. Every `snapshot` records (0, never): takes a snapshot by itself.
//! 6. Closes as LevelDB does, drops caches, reads all. [MAP-05, MAP-02]
//!
//! `watch`: `snapshots` times (6) takes a snapshot, reads the log in it, and deletes the one
//! before; drops caches between. [SNAP-01, SNAP-03, SNAP-04]
//!
//! Controls, with which a run must not show what the defects show: `plain` asks for no compression,
//! `write-calls` appends by write. `random` makes records that do not compress.

use crashproof_guest::attributes;
use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guest::snapshot;
use crashproof_guest::snapshot::Snapshot;
use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::draws::Draws;
use crashproof_guests::mapped_log;
use crashproof_guests::mapped_log::LOG_NAME;
use crashproof_guests::mapped_log::MappedLog;
use crashproof_guests::note;
use std::fs::File;
use std::io;
use std::io::Write;
use std::thread;
use std::time::Duration;

/// The value of `word=number` among the arguments.
fn number(word: &str, otherwise: u64) -> u64 {
    let value = |text: String| text.strip_prefix(word)?.strip_prefix('=')?.parse().ok();
    std::env::args().find_map(value).unwrap_or(otherwise)
}

fn says(word: &str) -> bool {
    std::env::args().any(|text| text == word)
}

/// The log, and how it is written.
enum Log {
    Mapped(MappedLog),
    Written(File),
}

impl Log {
    fn create() -> io::Result<Self> {
        let file =
            File::options().read(true).write(true).create(true).truncate(true).open(LOG_NAME)?;
        if !says("plain") {
            attributes::set_flags(&file, attributes::COMPRESSED)?;
        }
        guest::sync_directory("/")?;
        let is_written = says("write-calls");
        Ok(if is_written { Self::Written(file) } else { Self::Mapped(MappedLog::new(file)) })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Mapped(log) => log.append(bytes),
            Self::Written(file) => file.write_all(bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::Mapped(log) => log.sync(),
            Self::Written(file) => abi::sync_data(file),
        }
    }

    fn file(&self) -> &File {
        match self {
            Self::Mapped(log) => log.file(),
            Self::Written(file) => file,
        }
    }

    fn close(self) -> io::Result<()> {
        match self {
            Self::Mapped(log) => log.close(),
            Self::Written(_) => Ok(()),
        }
    }
}

/// What memory pressure does to the end of the log, and a reader who comes after it.
fn press(log: &Log, end: u64) -> io::Result<()> {
    let from = end.saturating_sub(8192);
    file::write_range_back(log.file(), from, 0)?;
    machine::drop_caches()?;
    abi::read_full_at(log.file(), &mut [0; 8192], from).map(drop)
}

fn write() -> io::Result<()> {
    let (draw, is_random) = (number("draw", 1), says("random"));
    println!("draw {draw}{}", if is_random { " random" } else { "" });
    let mut draws = Draws::new(draw);
    let (sync, pressure, snapshots) =
        (number("sync", 7), number("pressure", 9), number("snapshot", 0));
    let is_turn = |every: u64, turn: u64| every != 0 && turn.is_multiple_of(every);
    let mut log = Log::create()?;
    let mut end = 0;
    for turn in 1..=number("records", 120) {
        let record = mapped_log::record(turn, is_random, &mut draws);
        log.append(&record)?;
        end += record.len() as u64;
        if is_turn(snapshots, turn) {
            note("snapshot", snapshot::create(&format!("w{turn}")));
        }
        if is_turn(sync, turn) && note("sync", log.sync()).is_some() {
            println!("synced {end}");
        }
        if is_turn(pressure, turn) {
            note("pressure", press(&log, end));
        }
    }
    note("close", log.close());
    note("drop caches", machine::drop_caches());
    note("read all", std::fs::read(LOG_NAME));
    Ok(())
}

/// Reads the log in a snapshot, if it was there.
fn look(name: &str) -> io::Result<u64> {
    let log = Snapshot::open(name)?.file(LOG_NAME)?;
    let mut size_bytes = 0;
    let mut buffer = vec![0; 65_536];
    loop {
        match abi::read_full_at(&log, &mut buffer, size_bytes)? {
            0 => return Ok(size_bytes),
            count => size_bytes += count as u64,
        }
    }
}

fn watch() {
    for turn in 1..=number("snapshots", 6) {
        let name = format!("s{turn}");
        note("snapshot", snapshot::create(&name));
        if let Some(size_bytes) = note("read it", look(&name)) {
            println!("{name} has {size_bytes} bytes");
        }
        note("drop caches", machine::drop_caches());
        if turn > 1 {
            let before = format!("s{}", turn - 1);
            note("read the one before", look(&before));
            note("delete it", snapshot::delete(&before));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn main() {
    if says("watch") {
        watch();
    } else if let Err(error) = write() {
        guest::give_up("seed_000_leveldb_mmap", &error);
    }
}

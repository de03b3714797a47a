//! All operations on few names, and on mapped memory, in an order drawn from a seed.
//!
//! 1. Arguments: seed (1), count (300), and `files` or `mapped` for one half alone. The draws are
//!    its own, so that one seed is one program; `random` takes a seed of the system's random bytes.
//! 2. Each turn draws an operation, a name of six and an offset: opens, reads, writes, truncates,
//!    renames, exchanges, links, unlinks, makes and removes directories, lists, duplicates, locks,
//!    syncs files and directories.
//!    Few names and small offsets make collisions common. [NS-*, DATA-*, TRUNC-*, DUR-*]
//! 3. Or an operation on one more file that nobody else uses: stores and copies in a mapping of it,
//!    msync, reads and writes, truncation, syncs, snapshots, compression, memory pressure. All
//!    views of it are compared with a model, and a difference is a trap. [MAP-*, DUR-MSYNC-01,
//!    SNAP-01, SNAP-04]
//! 4. Prints each operation with what it was told. What no sync covered may be lost anywhere.

use crashproof_guest::file;
use crashproof_guest::locks;
use crashproof_guest::locks::Kind;
use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::draws;
use crashproof_guests::draws::Draws;
use crashproof_guests::modelled;
use crashproof_guests::modelled::Modelled;
use std::collections::VecDeque;
use std::fs;
use std::fs::File;
use std::io;

const NAMES: [&str; 6] = ["f", "g", "d", "d/f", "d/g", "d/e"];
const OPEN_FILES_MAX: usize = 4;
const OFFSET_MAX: u64 = 12_000;
const SIZE_MAX: u64 = 5_000;

/// One of the names.
fn name(draws: &mut Draws) -> &'static str {
    NAMES[draws.index(NAMES.len())]
}

struct Exerciser {
    draws: Draws,
    open: VecDeque<File>,
}

impl Exerciser {
    fn open(&mut self, name: &str) -> io::Result<()> {
        let mut options = File::options();
        options.read(true).write(true).create(self.draws.below(4) != 0);
        let file = match self.draws.below(8) {
            0 => options.truncate(true).open(name)?,
            1 => File::options().read(true).append(true).create(true).open(name)?,
            2 => File::options().read(true).write(true).create_new(true).open(name)?,
            3 => abi::open(name, abi::CREATE, abi::DATA_SYNC)?,
            _ => options.truncate(false).open(name)?,
        };
        if self.open.len() == OPEN_FILES_MAX {
            self.open.pop_front();
        }
        self.open.push_back(file);
        Ok(())
    }

    /// One operation on an open file, or an open if there is none.
    fn on_file(&mut self, operation: u64) -> io::Result<()> {
        let (offset, size) = (self.draws.below(OFFSET_MAX), self.draws.below(SIZE_MAX));
        let mark = b'a' + u8::try_from(self.draws.below(26)).unwrap_or(0);
        let chosen = self.draws.below(OPEN_FILES_MAX as u64);
        let position = usize::try_from(chosen).unwrap_or(0) % self.open.len().max(1);
        let Some(file) = self.open.get(position) else { return self.open("f") };
        let mut bytes = vec![mark; usize::try_from(size).unwrap_or(0)];
        match operation {
            0..=2 => abi::write_all_at(file, &bytes, offset),
            3..=4 => abi::read_at(file, &mut bytes, offset).map(drop),
            5 => file.set_len(offset),
            6 => abi::sync_data(file),
            7 => abi::allocate(file, offset, size + 1),
            8 => {
                let same = file::duplicate(file)?;
                abi::write_all_at(&same, &bytes, offset)
            }
            9 => self.lock(position, offset, size),
            _ => file.sync_all(),
        }
    }

    /// Takes a lock or lets go of it; nobody else is there to be in its way but other descriptors.
    fn lock(&mut self, position: usize, offset: u64, size: u64) -> io::Result<()> {
        let kind = if self.draws.below(2) == 0 { Kind::Shared } else { Kind::Exclusive };
        let chosen = self.draws.below(5);
        let file = &self.open[position];
        match chosen {
            0 => locks::try_lock_shared(file),
            1 => locks::try_lock_exclusive(file),
            2 => locks::unlock(file),
            3 => locks::try_lock_range(file, kind, offset, size),
            _ => locks::unlock_range(file, offset, size),
        }
    }

    fn on_names(&mut self, operation: u64) -> io::Result<()> {
        let (name, other) = (name(&mut self.draws), name(&mut self.draws));
        match operation {
            0..=3 => self.open(name),
            4..=5 => fs::rename(name, other),
            6 => abi::link(name, other),
            7 => fs::remove_file(name),
            8 => fs::create_dir(name),
            9 => fs::remove_dir(name),
            10 => abi::symlink(other, name),
            11 => fs::metadata(name).map(drop),
            12 => fs::read_dir("d")?.try_for_each(|entry| entry.map(drop)),
            13 => guest::sync_directory("d"),
            14 => file::rename(name, other, file::NO_REPLACE),
            15 => file::rename(name, other, file::EXCHANGE),
            _ => guest::sync_directory("/"),
        }
    }
}

/// Which kind of operation comes next, of those that were asked for.
fn kind(what: &str, draws: &mut Draws) -> u64 {
    match what {
        "files" => draws.below(2),
        "mapped" => 2,
        _ => draws.below(4).min(2),
    }
}

fn main() {
    let seed = match std::env::args().nth(1).as_deref() {
        Some("random") => draws::random_seed(),
        _ => guest::number_argument(0, 1),
    };
    let count = guest::number_argument(1, 300);
    let what = std::env::args().nth(3).unwrap_or_default();
    let mut modelled = None;
    let mut exerciser = Exerciser { draws: Draws::new(seed), open: VecDeque::new() };
    println!("seed {seed}");
    println!("mkdir d: {}", guest::told(&fs::create_dir("d")));
    for turn in 1..=count {
        let (kind, answer) = match kind(&what, &mut exerciser.draws) {
            0 => {
                let operation = exerciser.draws.below(12);
                (format!("file {operation}"), exerciser.on_file(operation))
            }
            1 => {
                let operation = exerciser.draws.below(17);
                (format!("name {operation}"), exerciser.on_names(operation))
            }
            _ => {
                let operation = exerciser.draws.below(modelled::OPERATION_COUNT);
                let answer = on_modelled(&mut modelled, seed, operation, &mut exerciser.draws);
                (format!("modelled {operation}"), answer)
            }
        };
        println!("{turn} {kind}: {}", guest::told(&answer));
    }
}

/// One operation on the file that nobody else uses, which is created by the first.
fn on_modelled(
    modelled: &mut Option<Modelled>,
    seed: u64,
    operation: u64,
    draws: &mut Draws,
) -> io::Result<()> {
    let file = match modelled.take() {
        Some(file) => file,
        None => Modelled::create(&format!("modelled-{seed}"))?,
    };
    modelled.insert(file).operate(operation, draws)
}

//! Pages that change while they are written to the legs of a mirror, after dm-raid1 (seed 001).
//!
//! A file is written in place. Its pages are changed while another process, which the scenario of
//! this name adds, begins to write them back, and syncs a file of its own: the mirror flushes its
//! legs and calls their regions clean. A crash comes before the pages are written again. Arguments:
//! `volume`, `change`, `return`, `repair` or `flush`, and how many turns (12).
//!
//! - `volume`: the file is a toy volume. Each turn adds an object to it: its bit in the map of used
//!   blocks, its entry in the table, its block. Where the legs differ in the map, a repair that
//!   reads the first one finds nothing amiss; when that is lost, a block is given away twice.
//! - `change`: one page is stored to through a mapping, the other one written.
//! - `return`: a leg is lost and comes back; which, is a further argument (0). [RED-06, RED-07]
//! - `repair`: what one leg (0) is to get of a file that is copied on write goes elsewhere. Reads
//!   and a scrub find it, and the other leg is lost then. [RED-08, RED-10]
//! - `flush`: the other process.
//!
//! Nothing of that is promised. Whatever a read finds after a crash, a read from the other
//! leg has to find as well. [RED-01, RED-05, RSTAB-01]

use crashproof_guest::attributes;
use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guest::mapping::PAGE_SIZE_BYTES;
use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::volume::Volume;
use std::fs::File;
use std::io;
use std::thread;

const NAME: &str = "legs";
const PAGE_COUNT: usize = 2;
const PAUSE_STEPS: u32 = 6;
const SIZE_BYTES: usize = PAGE_COUNT * PAGE_SIZE_BYTES;

fn open(name: &str) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    guest::uninterrupted(|| options.open(name))
}

/// Lets the other process get on with its writeback: what is changed meanwhile is what counts.
fn pause() {
    (0..PAUSE_STEPS).for_each(|_| thread::yield_now());
}

fn change(turns: u64) -> io::Result<()> {
    let file = open(NAME)?;
    guest::uninterrupted(|| attributes::set_flags(&file, attributes::IN_PLACE))?;
    abi::write_all_at(&file, &[b'.'; SIZE_BYTES], 0)?;
    guest::uninterrupted(|| file.sync_all())?;
    guest::sync_directory("/")?;
    println!("the file is durable");
    let mapping =
        guest::uninterrupted(|| Mapping::shared(&file, 0, SIZE_BYTES, Access::READ_WRITE))?;
    for turn in 1..=turns {
        let mark = b'a' + u8::try_from(turn % 26).unwrap_or(0);
        let stored = turn as usize % PAGE_COUNT;
        mapping.store(stored * PAGE_SIZE_BYTES + 8, &[mark; 8]);
        let written = (PAGE_COUNT - 1 - stored) * PAGE_SIZE_BYTES;
        abi::write_all_at(&file, &[mark; 8], written as u64 + 8)?;
        abi::read_full_at(&file, &mut [0; 16], 0)?;
        pause();
    }
    mapping.unmap()
}

fn volume(turns: u64) -> io::Result<()> {
    let volume = Volume::create(open(NAME)?)?;
    guest::sync_directory("/")?;
    println!("the volume is durable");
    for _ in 0..turns {
        volume.add()?;
        volume.blocks()?;
        pause();
    }
    Ok(())
}

/// What is written while a leg is lost is read when it is there again. [RED-07]
fn return_leg(turns: u64, leg: u64) -> io::Result<()> {
    let file = open("returned")?;
    guest::uninterrupted(|| attributes::set_flags(&file, attributes::IN_PLACE))?;
    for turn in 0..turns {
        for (fault, mark) in [("lose-leg", b'a'), ("return-leg", b'A')] {
            abi::write_all_at(&file, &[mark; PAGE_SIZE_BYTES], turn * PAGE_SIZE_BYTES as u64)?;
            guest::uninterrupted(|| file.sync_all())?;
            machine::fault(&format!("{fault}:{leg}"))?;
        }
        guest::uninterrupted(machine::drop_caches)?;
        abi::read_full_at(&file, &mut [0; SIZE_BYTES], 0)?;
    }
    // The leg has all of it when this is durable.
    abi::write_all_at(&file, &[b'z'; PAGE_SIZE_BYTES], turns * PAGE_SIZE_BYTES as u64)?;
    guest::uninterrupted(|| file.sync_all())?;
    guest::uninterrupted(machine::drop_caches)?;
    abi::read_full_at(&file, &mut [0; SIZE_BYTES], 0)?;
    Ok(())
}

fn repair(turns: u64, leg: u64) -> io::Result<()> {
    let file = open("repaired")?;
    let other = 1 - leg.min(1);
    for turn in 0..turns {
        machine::fault(&format!("misdirected-write class=data leg={leg}"))?;
        abi::write_all_at(&file, &[b'r'; PAGE_SIZE_BYTES], turn * PAGE_SIZE_BYTES as u64)?;
        guest::uninterrupted(|| file.sync_all())?;
        if turn % 2 == 0 {
            guest::uninterrupted(machine::drop_caches)?;
            abi::read_full_at(&file, &mut [0; SIZE_BYTES], 0)?;
        }
    }
    machine::fault("heal")?;
    machine::fault("scrub")?;
    machine::fault(&format!("lose-leg:{other}"))?;
    guest::uninterrupted(machine::drop_caches)?;
    let mut all = vec![0; turns as usize * PAGE_SIZE_BYTES];
    abi::read_full_at(&file, &mut all, 0)?;
    Ok(())
}

fn flush(turns: u64) -> io::Result<()> {
    let (file, other) = (open(NAME)?, open("other")?);
    for turn in 1..=turns {
        guest::uninterrupted(|| file::write_range_back(&file, 0, 0))?;
        abi::write_all_at(&other, &[b'o'; 8], 8 * turn)?;
        guest::uninterrupted(|| other.sync_all())?;
    }
    Ok(())
}

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let turns = guest::number_argument(1, 12);
    let done = match what.as_str() {
        "flush" => flush(turns),
        "change" => change(turns),
        "repair" => repair(turns, guest::number_argument(2, 0)),
        "return" => return_leg(turns, guest::number_argument(2, 0)),
        _ => volume(turns),
    };
    if let Err(error) = done {
        guest::give_up("seed_001_mirror_legs", &error);
    }
}

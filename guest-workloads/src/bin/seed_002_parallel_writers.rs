//! Seed 002: many writers on a file system with little room, so that blocks are soon used again.
//!
//! The scenario of this name makes the file system small and adds processes that do the same, each
//! to a file of its own. Arguments: the name of this one (`a`), then words and `word=number`.
//!
//! 1. `rounds` times (30): writes a block of its file, all of it a tag that names writer, block
//!    and round, directly to the device. [DATA-ISO-01, DATA-DIO-01, ALLOC-01]
//! 2. Now and then fdatasync, and now and then unlinks the file and begins it anew.
//! 3. Every fifth round drops caches and reads the file. At the end reads it, drops caches, reads
//!    it. [DATA-ISO-01, DATA-RW-01]
//! 4. After an fdatasync prints `synced NAME`: a file of that name holds blocks of this writer
//!    alone.
//!
//! Where it reads another writer's tag it says so. `buffered` writes through the cache.

use crashproof_guest::machine;
use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::draws::Draws;
use crashproof_guests::tagged;
use crashproof_guests::tagged::BLOCK_SIZE_BYTES;
use crashproof_guests::uninterrupted;
use std::fs::File;
use std::io;

const BLOCK_COUNT: usize = 6;

/// The value of `word=number` among the arguments.
fn number(word: &str, otherwise: u64) -> u64 {
    let value = |text: String| text.strip_prefix(word)?.strip_prefix('=')?.parse().ok();
    std::env::args().find_map(value).unwrap_or(otherwise)
}

fn says(word: &str) -> bool {
    std::env::args().any(|text| text == word)
}

fn begin(name: &str) -> io::Result<File> {
    let flags = if says("buffered") { 0 } else { abi::DIRECT };
    uninterrupted(|| abi::open(name, abi::CREATE | abi::TRUNCATE, flags))
}

/// Reads the file, block by block, and says what is not this writer's.
fn look(name: &str, own: &str) -> io::Result<()> {
    let bytes = uninterrupted(|| std::fs::read(name))?;
    for (place, block) in bytes.chunks(BLOCK_SIZE_BYTES).enumerate() {
        if !tagged::is_of(block, own) {
            println!("block {place} of {name} is not its own");
        }
    }
    Ok(())
}

fn write(own: &str) -> io::Result<()> {
    let name = tagged::name(own);
    let mut draws = Draws::new(own.bytes().map(u64::from).sum());
    let mut file = begin(&name)?;
    for round in 1..=number("rounds", 30) {
        let place = draws.index(BLOCK_COUNT);
        let at = (place * BLOCK_SIZE_BYTES) as u64;
        abi::write_all_at(&file, &tagged::block(own, round), at)?;
        if draws.below(4) == 0 {
            uninterrupted(|| abi::sync_data(&file))?;
            println!("synced {own}");
        }
        if draws.below(10) == 0 {
            drop(file);
            uninterrupted(|| std::fs::remove_file(&name))?;
            file = begin(&name)?;
        }
        if round.is_multiple_of(5) {
            uninterrupted(machine::drop_caches)?;
            look(&name, own)?;
        }
    }
    look(&name, own)?;
    uninterrupted(machine::drop_caches)?;
    look(&name, own)
}

fn main() {
    let own = std::env::args().nth(1).unwrap_or_else(|| "a".to_owned());
    if let Err(error) = write(&own) {
        guest::give_up(&own, &error);
    }
}

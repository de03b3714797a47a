//! A file whose older contents are kept as clones, each synced before the file changes again.
//!
//! 1. Creates `current` with 4 blocks and syncs it and its directory. [DUR-FSYNC-01, DUR-DIR-01]
//! 2. N times (first argument, 3): clones it to `kept-I`, syncs the clone and the directory and
//!    prints `kept I`: the clone survives, with what `current` held. [COPY-08] Then writes one
//!    block of `current`, syncs it, and prints `changed I`. [DUR-FSYNC-01] No clone changes by
//!    that. [COPY-04]
//!
//! After a crash the clones may be known from the intent log alone: their blocks have as many uses
//! as before.

use std::fs::File;
use std::io;

use crashproof_guest::file;
use crashproof_guests as guest;
use crashproof_guests::abi;

const BLOCK_BYTES: usize = 4096;
const BLOCK_COUNT: u64 = 4;

fn create(name: &str) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(true).open(name)
}

fn keep(count: u64) -> io::Result<()> {
    let current = create("current")?;
    for (block, mark) in (0..BLOCK_COUNT).zip(b'a'..) {
        abi::write_all_at(&current, &[mark; BLOCK_BYTES], block * BLOCK_BYTES as u64)?;
    }
    current.sync_all()?;
    guest::sync_directory("/")?;
    for (number, mark) in (1..=count).zip(b'0'..) {
        let kept = create(&format!("kept-{number}"))?;
        file::clone(&current, &kept)?;
        kept.sync_all()?;
        guest::sync_directory("/")?;
        println!("kept {number}");
        let at = number % BLOCK_COUNT * BLOCK_BYTES as u64;
        abi::write_all_at(&current, &[mark; BLOCK_BYTES], at)?;
        current.sync_all()?;
        println!("changed {number}");
    }
    Ok(())
}

fn main() {
    if let Err(error) = keep(guest::number_argument(0, 3)) {
        guest::give_up("crash_clone_kept", &error);
    }
}

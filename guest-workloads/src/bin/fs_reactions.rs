//! The two workloads of "Can Applications Recover from fsync Failures?" (USENIX ATC 2020, section
//! 3), each with one write that the device refuses.
//!
//! Arguments: a workload and what the device refuses, once: `data`, `log` or `tree`.
//!
//! `update`, the single-block update:
//! 1. Writes two blocks of A and syncs; prints `sleep`, on which the file system commits.
//! 2. Asks for the fault, writes B over the second block, syncs twice: `fsync 1`, `fsync 2`.
//!    [ERR-REPORT-01, ERR-STICKY-01, ERR-CLAIM-01]
//! 3. Reads the second block: `read`. Prints `sleep` again.
//! 4. Makes a file: `create`. Prints `evict`, and reads once more: `evicted`. [RSTAB-01, RSTAB-02]
//!
//! `append`, the multi-block append:
//! 1. Writes a block of A and syncs; prints `sleep`.
//! 2. Asks for the fault, appends a block of B, syncs twice. Ends here.
//!
//! `append-on` does the same, then appends a block of C and syncs: `fsync 3`.
//!
//! It goes on whatever it is told, as the programs of the study did.

use crashproof_guest::machine;
use crashproof_guests as guest;
use crashproof_guests::abi;
use std::fs::File;
use std::io;

const BLOCK_SIZE_BYTES: usize = 4096;

fn block(letter: u8) -> [u8; BLOCK_SIZE_BYTES] {
    [letter; BLOCK_SIZE_BYTES]
}

fn sync(ordinal: u32, file: &File) {
    println!("fsync {ordinal}: {}", guest::told(&file.sync_all()));
}

/// What the second block is read as.
fn read(file: &File) -> String {
    let mut bytes = block(0);
    match abi::read_full_at(file, &mut bytes, BLOCK_SIZE_BYTES as u64) {
        Err(error) => guest::told::<()>(&Err(error)),
        Ok(_) if bytes == block(b'A') => "A".to_owned(),
        Ok(_) if bytes == block(b'B') => "B".to_owned(),
        Ok(_) => "mixed".to_owned(),
    }
}

fn prepare(blocks: usize) -> io::Result<File> {
    let file = guest::write_and_sync("f", &block(b'A').repeat(blocks))?;
    guest::sync_directory_if_offered("/")?;
    println!("sleep");
    Ok(file)
}

fn update(refused: &str) -> io::Result<()> {
    let file = prepare(2)?;
    machine::fault(&format!("{refused}:1"))?;
    abi::write_all_at(&file, &block(b'B'), BLOCK_SIZE_BYTES as u64)?;
    sync(1, &file);
    sync(2, &file);
    println!("read: {}", read(&file));
    println!("sleep");
    println!("create: {}", guest::told(&File::create("after")));
    println!("evict");
    println!("evicted: {}", read(&file));
    Ok(())
}

fn append(refused: &str, goes_on: bool) -> io::Result<()> {
    let file = prepare(1)?;
    machine::fault(&format!("{refused}:1"))?;
    abi::write_all_at(&file, &block(b'B'), BLOCK_SIZE_BYTES as u64)?;
    sync(1, &file);
    sync(2, &file);
    if goes_on {
        abi::write_all_at(&file, &block(b'C'), 2 * BLOCK_SIZE_BYTES as u64)?;
        sync(3, &file);
    }
    Ok(())
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let workload = arguments.next().unwrap_or_default();
    let refused = arguments.next().unwrap_or_default();
    let done = match workload.as_str() {
        "update" => update(&refused),
        "append" => append(&refused, false),
        "append-on" => append(&refused, true),
        _ => guest::give_up("fs_reactions", &"give update, append or append-on, and what fails"),
    };
    if let Err(error) = done {
        println!("stopped: {}", guest::told::<()>(&Err(error)));
    }
}

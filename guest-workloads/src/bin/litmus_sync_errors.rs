//! The short histories that tell error profiles apart: L1, L2, L7, L17.
//!
//! Argument: one of the names, or `all` (default): then each on its own file, in this order. The
//! scenario of this name is for `all`: it fails the device's data writes 2, 4, 6 and 9, which are
//! the second blocks below, and runs the flusher on each line `flush`.
//!
//! Each history first writes a block of A, syncs it and the directory (one data write), then
//! writes a block of B whose background writeback fails, prints `flush`, and then:
//! - L1: fsync. [ERR-REPORT-01]
//! - L2: fsync, and fsync again on a healthy device. [ERR-STICKY-01, ERR-STICKY-02, ERR-CLAIM-01]
//! - L7: fsync, write the same range again, fsync. [ERR-FALSE-02]
//! - L17: B is a second block after A; fsync, truncate B away, fsync. [ERR-FALSE-02, TRUNC-01]
//!
//! What each fsync was told is printed as `L2 fsync 1: ok`; nothing is judged here.

use crashproof_guests as guest;
use crashproof_guests::abi;
use std::fs::File;
use std::io;

const BLOCK_SIZE_BYTES: usize = 4096;
const HISTORIES: [&str; 4] = ["L1", "L2", "L7", "L17"];

/// A durable block of A, then a block of B at `offset` that the flusher is told to write.
fn after_failed_flush(name: &str, offset: u64) -> io::Result<File> {
    let file = guest::write_and_sync(name, &[b'A'; BLOCK_SIZE_BYTES])?;
    guest::sync_directory_if_offered("/")?;
    abi::write_all_at(&file, &[b'B'; BLOCK_SIZE_BYTES], offset)?;
    println!("flush");
    Ok(file)
}

fn sync(name: &str, ordinal: u32, file: &File) {
    println!("{name} fsync {ordinal}: {}", guest::told(&file.sync_all()));
}

fn history(name: &str) -> io::Result<()> {
    let offset = if name == "L17" { BLOCK_SIZE_BYTES as u64 } else { 0 };
    let file = after_failed_flush(name, offset)?;
    sync(name, 1, &file);
    match name {
        "L2" => sync(name, 2, &file),
        "L7" => {
            abi::write_all_at(&file, &[b'C'; BLOCK_SIZE_BYTES], offset)?;
            sync(name, 2, &file);
        }
        "L17" => {
            file.set_len(offset)?;
            sync(name, 2, &file);
        }
        _ => {}
    }
    Ok(())
}

fn main() {
    let chosen = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    if chosen != "all" && !HISTORIES.contains(&chosen.as_str()) {
        guest::give_up("litmus_sync_errors", &"give L1, L2, L7, L17 or all");
    }
    for name in HISTORIES.into_iter().filter(|&name| chosen == "all" || chosen == name) {
        if let Err(error) = history(name) {
            println!("{name} stopped: {}", guest::told::<()>(&Err(error)));
        }
    }
}

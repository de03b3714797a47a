//! Seed 004, first form: what an fsync after a failed fsync means for a disk image.
//!
//! The scenario of this name makes the second write of file data to the device fail, and evicts
//! the cache on the line `evict`.
//!
//! 1. Writes one block of A, syncs file and directory: A is durable. [DUR-FSYNC-01]
//! 2. Writes B over it. Its writeback will fail.
//! 3. Syncs: prints what it was told as `fsync 1`. [ERR-REPORT-01]
//! 4. Syncs again, with no write between: `fsync 2`. [ERR-STICKY-01, ERR-CLAIM-01]
//! 5. Prints `evict`, then reads: `read A`, `read B`, `read mixed` or the error.
//!    [RSTAB-01, RSTAB-02]
//! 6. Writes B once more and syncs, on a healthy device: `fsync 3`. [ERR-FALSE-02]
//!
//! It goes on whatever it is told, as a virtual machine would that was resumed.

use crashproof_guests as guest;
use crashproof_guests::abi;
use std::fs::File;
use std::io;

const BLOCK_SIZE_BYTES: usize = 4096;

fn read(file: &File) -> io::Result<String> {
    let mut block = vec![0; BLOCK_SIZE_BYTES];
    let read = abi::read_full_at(file, &mut block, 0)?;
    Ok(match block.get(..read) {
        Some(bytes) if bytes.iter().all(|&byte| byte == b'A') => "A".to_owned(),
        Some(bytes) if bytes.iter().all(|&byte| byte == b'B') => "B".to_owned(),
        Some(_) | None => "mixed".to_owned(),
    })
}

fn prepare() -> io::Result<File> {
    let file = guest::write_and_sync("disk", &[b'A'; BLOCK_SIZE_BYTES])?;
    guest::sync_directory_if_offered("/")?;
    Ok(file)
}

fn main() {
    let file = match prepare() {
        Ok(file) => file,
        Err(error) => guest::give_up("preparing the disk", &error),
    };
    println!("A is durable");
    let block = [b'B'; BLOCK_SIZE_BYTES];
    println!("write 1: {}", guest::told(&abi::write_all_at(&file, &block, 0)));
    println!("fsync 1: {}", guest::told(&file.sync_all()));
    println!("fsync 2: {}", guest::told(&file.sync_all()));
    println!("evict");
    match read(&file) {
        Ok(found) => println!("read {found}"),
        Err(error) => println!("read {}", guest::told::<()>(&Err(error))),
    }
    println!("write 2: {}", guest::told(&abi::write_all_at(&file, &block, 0)));
    println!("fsync 3: {}", guest::told(&file.sync_all()));
}

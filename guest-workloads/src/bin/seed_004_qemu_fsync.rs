//! Seed 004: what an fsync after a failed fsync means for a disk image, as QEMU keeps one.
//!
//! The scenario of this name makes the second write of file data to the device fail, and evicts
//! the cache on the line `evict`. The argument says by what the machine syncs again, once it was
//! stopped by the first failure (`werror=stop`) and resumed:
//! - `resume` (default): the same descriptor.
//! - `second`: another description, opened before the failure.
//! - `dup`: another descriptor of the same description.
//! - `msync`: a mapping of the same description.
//! - `rewrite`: the same descriptor, after the write was done again.
//! - `direct`: the image was opened with O_DIRECT, as with `cache=none`: the write itself is told,
//!   and nothing was acknowledged that a sync could owe.
//!
//! 1. Writes one block of A, syncs file and directory: A is durable. [DUR-FSYNC-01]
//! 2. Writes B over it. Its writeback will fail: `write 1`. [DATA-ERR-01]
//! 3. Syncs: prints what it was told as `fsync 1`. [ERR-REPORT-01]
//! 4. Syncs again: `fsync 2`. [ERR-STICKY-01, ERR-CLAIM-01, ERR-FALSE-02, DUR-MSYNC-01]
//! 5. Prints `evict`, then reads: `read A`, `read B`, `read mixed` or the error.
//!    [RSTAB-01, RSTAB-02]
//! 6. Writes B once more and syncs, on a healthy device: `fsync 3`. [ERR-FALSE-02]
//!
//! It goes on whatever it is told, as a virtual machine would that was resumed.

use crashproof_guest::file;
use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guests as guest;
use crashproof_guests::abi;
use std::fs::File;
use std::io;

const BLOCK_SIZE_BYTES: usize = 4096;
const FORMS: &str = "resume, second, dup, msync, rewrite or direct";

/// By what the second sync is made.
enum Again {
    Same { rewrites: bool },
    Other(File),
    Mapped(Mapping),
}

fn read(file: &File) -> io::Result<String> {
    let mut block = vec![0; BLOCK_SIZE_BYTES];
    let read = abi::read_full_at(file, &mut block, 0)?;
    Ok(match block.get(..read) {
        Some(bytes) if bytes.iter().all(|&byte| byte == b'A') => "A".to_owned(),
        Some(bytes) if bytes.iter().all(|&byte| byte == b'B') => "B".to_owned(),
        Some(_) | None => "mixed".to_owned(),
    })
}

fn prepare(form: &str) -> io::Result<(File, Again)> {
    let file = guest::write_and_sync("disk", &[b'A'; BLOCK_SIZE_BYTES])?;
    guest::sync_directory_if_offered("/")?;
    let again = match form {
        "second" => Again::Other(File::options().read(true).write(true).open("disk")?),
        "dup" => Again::Other(file::duplicate(&file)?),
        "msync" => Again::Mapped(Mapping::shared(&file, 0, BLOCK_SIZE_BYTES, Access::READ_WRITE)?),
        "direct" => {
            return Ok((abi::open("disk", 0, abi::DIRECT)?, Again::Same { rewrites: false }));
        }
        "resume" => Again::Same { rewrites: false },
        "rewrite" => Again::Same { rewrites: true },
        other => guest::give_up("choosing a form", &format!("{other} is not {FORMS}")),
    };
    Ok((file, again))
}

/// What the machine is told once it was resumed.
fn resume(file: &File, again: &Again, block: &[u8]) -> io::Result<()> {
    match again {
        Again::Same { rewrites } => {
            if *rewrites {
                abi::write_all_at(file, block, 0)?;
            }
            file.sync_all()
        }
        Again::Other(other) => other.sync_all(),
        Again::Mapped(mapping) => mapping.sync(0, BLOCK_SIZE_BYTES),
    }
}

fn main() {
    let form = std::env::args().nth(1).unwrap_or_else(|| "resume".to_owned());
    let (file, again) = match prepare(&form) {
        Ok(prepared) => prepared,
        Err(error) => guest::give_up("preparing the disk", &error),
    };
    println!("A is durable");
    let block = [b'B'; BLOCK_SIZE_BYTES];
    println!("write 1: {}", guest::told(&abi::write_all_at(&file, &block, 0)));
    println!("fsync 1: {}", guest::told(&file.sync_all()));
    println!("fsync 2: {}", guest::told(&resume(&file, &again, &block)));
    println!("evict");
    match read(&file) {
        Ok(found) => println!("read {found}"),
        Err(error) => println!("read {}", guest::told::<()>(&Err(error))),
    }
    println!("write 2: {}", guest::told(&abi::write_all_at(&file, &block, 0)));
    println!("fsync 3: {}", guest::told(&file.sync_all()));
}

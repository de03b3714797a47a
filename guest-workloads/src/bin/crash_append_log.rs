//! A log that appends a record, syncs it, and then says so.
//!
//! 1. Creates `log` for appending and syncs the directory, so that its name survives.
//!    [DUR-DIR-01]
//! 2. N times (first argument, 20): appends record I, prints `wrote I`, which promises nothing,
//!    syncs the file, prints `record I`, which promises that record I survives.
//!    [APP-01, DUR-FSYNC-01] Without the sync the record may be lost, in part or whole. With
//!    `fdatasync` as second argument, the sync is that one. [DUR-FDS-01]

use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::log;
use std::fs::File;
use std::io;
use std::io::Write;

fn append(records: u64, is_data_only: bool) -> io::Result<()> {
    let mut file = File::options().append(true).create(true).open(log::LOG_NAME)?;
    guest::sync_directory_if_offered("/")?;
    for number in 1..=records {
        file.write_all(&log::record(number))?;
        println!("wrote {number}");
        if is_data_only {
            abi::sync_data(&file)?
        } else {
            file.sync_all()?
        }
        println!("record {number}");
    }
    Ok(())
}

fn main() {
    let is_data_only = std::env::args().nth(2).is_some_and(|how| how == "fdatasync");
    if let Err(error) = append(guest::number_argument(0, 20), is_data_only) {
        guest::give_up("crash_append_log", &error);
    }
}

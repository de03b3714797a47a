//! Locks: every operation on them. The first argument names this process, and files of its own; a
//! second process may do the same at the same time.
//!
//! 1. Locks of open files: shared and exclusive, refused and converted, released by name and by
//!    close. [LOCK-FILE-01 to LOCK-FILE-03]
//! 2. Locks on bytes: cut, joined and tested, refused where the file is not open for it, released
//!    by a close of any descriptor. [LOCK-REC-01 to LOCK-REC-06]
//! 3. Adds to a number in a file that the processes share, each time under a lock that it waits
//!    for: by turns one of an open file and one on bytes.
//! 4. Locks two bytes one after the other, the second process in the other order, so that each may
//!    wait for the other; who is told so lets go. [LOCK-REC-05]
//!
//! What is written is lost unless it was synced before a crash. Locks leave nothing to lose.

use std::fs::File;
use std::io;

use crashproof_guest::file;
use crashproof_guest::locks;
use crashproof_guest::locks::Kind;
use crashproof_guests::abi;
use crashproof_guests::note;
use crashproof_guests::uninterrupted;

const ROUNDS: u64 = 6;

fn open(name: &str) -> io::Result<File> {
    uninterrupted(|| File::options().read(true).write(true).create(true).truncate(false).open(name))
}

fn of_open_files(name: &str) -> io::Result<()> {
    let (one, two) = (open(name)?, open(name)?);
    note("lock shared", uninterrupted(|| locks::lock_shared(&one)));
    note("lock shared beside it", locks::try_lock_shared(&two));
    note("convert beside a reader", locks::try_lock_exclusive(&two));
    note("convert alone", uninterrupted(|| locks::lock_exclusive(&one)));
    note("lock beside a writer", locks::try_lock_shared(&two));
    let more = file::duplicate(&one)?;
    drop(one);
    note("lock while a duplicate is open", locks::try_lock_exclusive(&two));
    drop(more);
    note("lock after the last close", locks::try_lock_exclusive(&two));
    note("unlock", locks::unlock(&two));
    note("unlock again", locks::unlock(&two));
    Ok(())
}

fn on_bytes(name: &str) -> io::Result<()> {
    let file = open(name)?;
    note("lock all", locks::try_lock_range(&file, Kind::Exclusive, 0, 0));
    note("let go of a part", locks::unlock_range(&file, 10, 10));
    note("convert a part", locks::try_lock_range(&file, Kind::Shared, 5, 20));
    note("test", locks::test_range(&file, Kind::Exclusive, 0, 0));
    note("join", uninterrupted(|| locks::lock_range(&file, Kind::Exclusive, 0, 30)));
    note("close another descriptor", open(name).map(drop));
    note("test", locks::test_range(&file, Kind::Exclusive, 0, 0));
    let reader = uninterrupted(|| File::open(name))?;
    note("lock what is only read", locks::try_lock_range(&reader, Kind::Exclusive, 0, 1));
    note("lock it shared", locks::try_lock_range(&reader, Kind::Shared, 0, 1));
    note("lock beyond all files", locks::try_lock_range(&file, Kind::Exclusive, 1 << 62, 1 << 62));
    Ok(())
}

fn add_one(file: &File) -> io::Result<()> {
    let mut number = [0; 8];
    let count = uninterrupted(|| abi::read_full_at(file, &mut number, 0))?;
    let number = if count == 8 { u64::from_le_bytes(number) } else { 0 };
    println!("counted to {}", number + 1);
    uninterrupted(|| abi::write_all_at(file, &(number + 1).to_le_bytes(), 0))
}

fn counting() -> io::Result<()> {
    let (file, byte) = (open("number")?, 1000);
    for round in 0..ROUNDS {
        note("wait for the file", uninterrupted(|| locks::lock_exclusive(&file)));
        let bytes = uninterrupted(|| locks::lock_range(&file, Kind::Exclusive, byte, 1));
        note("wait for a byte of it", bytes);
        note("add", add_one(&file));
        if round % 2 == 0 {
            note("sync", uninterrupted(|| file.sync_all()));
        }
        note("let go of the byte", locks::unlock_range(&file, byte, 1));
        note("let go of the file", locks::unlock(&file));
    }
    Ok(())
}

fn crossing(order: [u64; 2]) -> io::Result<()> {
    let file = open("crossing")?;
    for _ in 0..ROUNDS {
        for byte in order {
            note("wait", uninterrupted(|| locks::lock_range(&file, Kind::Exclusive, byte, 1)));
            // What is said of the other takes time, in which it comes to its own lock.
            note("test", locks::test_range(&file, Kind::Exclusive, 0, 0));
        }
        note("let go", locks::unlock_range(&file, 0, 0));
    }
    Ok(())
}

fn main() {
    let own = std::env::args().nth(1).unwrap_or_else(|| "first".to_owned());
    note("own files", of_open_files(&own));
    note("own bytes", on_bytes(&own));
    note("files of both", of_open_files("both"));
    note("bytes of both", on_bytes("both"));
    note("counting", counting());
    let order = if own == "second" { [1, 0] } else { [0, 1] };
    note("crossing", crossing(order));
    println!("end");
}

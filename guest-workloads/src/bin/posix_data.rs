//! Data: every operation on bytes and sizes, then syncs.
//!
//! 1. Writes and reads at offsets, in one and several buffers; reads at and past the end.
//!    [DATA-RW-01 to DATA-RW-05]
//! 2. Overwrites, across and inside blocks, through two descriptions of one file. [DATA-RW-02]
//! 3. Leaves holes, truncates down and up, and reads zeros. [DATA-RW-04, TRUNC-01]
//! 4. Appends, with two descriptions in turn. [APP-01, APP-02]
//! 5. Allocates. [FALLOC-02]
//! 6. Writes through O_SYNC and O_DSYNC: durable on return. [DUR-OSYNC-01]
//! 7. Sets times, asks for sizes, syncs data only and all. [DUR-FDS-01, DUR-FSYNC-01,
//!    DUR-FSYNC-02]
//!
//! What was written without a sync may be lost up to the end of step 7.

use crashproof_guests as guest;
use crashproof_guests::abi;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::time::Duration;
use std::time::SystemTime;

/// Notes what a step was told; the oracle judges it from the trace.
fn note<T>(step: &str, answer: io::Result<T>) -> Option<T> {
    println!("{step}: {}", guest::told(&answer));
    answer.ok()
}

/// Bytes that differ from block to block and from call to call.
fn pattern(mark: u8, size_bytes: usize) -> Vec<u8> {
    (0..size_bytes).map(|at| mark.wrapping_add((at / 64 % 16) as u8)).collect()
}

fn open(name: &str) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(name)
}

fn reads(file: &File, offsets: &[u64]) {
    let mut buffer = vec![0; 3000];
    for &offset in offsets {
        note("pread", abi::read_at(file, &mut buffer, offset));
    }
}

fn offsets() -> io::Result<()> {
    let mut file = open("offsets")?;
    note("write at the offset", file.write_all(&pattern(b'a', 5000)));
    note("pwrite inside", abi::write_at(&file, &pattern(b'b', 700), 100));
    note("pwrite across a block", abi::write_at(&file, &pattern(b'c', 600), 3900));
    note("pwrite nothing", abi::write_at(&file, &[], 10));
    let (first, second) = (pattern(b'd', 33), pattern(b'e', 4096));
    note("pwrite of three", abi::write_vectored_at(&file, &[&first, &[], &second], 7000));
    reads(&file, &[0, 90, 3890, 4999, 6999, 11_128, 11_129, 20_000]);
    let (mut front, mut back) = ([0; 10], [0; 5000]);
    note("pread into two", abi::read_vectored_at(&file, &mut [&mut front, &mut back], 50));
    note("seek from the end", file.seek(SeekFrom::End(-100)));
    note("read to the end", file.read(&mut vec![0; 400]));
    note("read at the end", file.read(&mut vec![0; 400]));
    note("seek past the end", file.seek(SeekFrom::Current(1000)));
    note("seek before the start", file.seek(SeekFrom::Current(-1_000_000)));
    note("write there", file.write_all(&pattern(b'f', 50)));
    reads(&file, &[11_000]);
    Ok(())
}

fn overwrites() -> io::Result<()> {
    let one = open("overwrites")?;
    let two = open("overwrites")?;
    for (turn, mark) in (b'A'..=b'P').enumerate() {
        let file = if turn % 2 == 0 { &one } else { &two };
        let offset = (turn as u64 * 1531) % 9000;
        note("overwrite", abi::write_all_at(file, &pattern(mark, 900 + turn * 173), offset));
        reads(if turn % 2 == 0 { &two } else { &one }, &[offset, offset / 2]);
        if turn % 5 == 4 {
            note("fdatasync through the other", abi::sync_data(&two));
        }
    }
    note("read by one that only writes", {
        let writer = File::options().write(true).open("overwrites")?;
        abi::read_at(&writer, &mut [0; 8], 0)
    });
    note("write by one that only reads", abi::write_at(&File::open("overwrites")?, b"x", 0));
    Ok(())
}

fn holes() -> io::Result<()> {
    let file = open("holes")?;
    note("write far out", abi::write_all_at(&file, &pattern(b'h', 100), 300_000));
    reads(&file, &[0, 150_000, 298_000]);
    note("write in the hole", abi::write_all_at(&file, &pattern(b'i', 5000), 100_000));
    reads(&file, &[98_000, 104_900]);
    note("truncate inside a block", file.set_len(102_345));
    note("truncate up", file.set_len(200_000));
    reads(&file, &[102_000, 150_000, 199_990]);
    note("fsync", file.sync_all());
    note("truncate to nothing", file.set_len(0));
    note("truncate up again", file.set_len(8192));
    reads(&file, &[0, 4096]);
    note("truncate to the same size", file.set_len(8192));
    note("truncate one that only reads", File::open("holes")?.set_len(0));
    Ok(())
}

fn appends() -> io::Result<()> {
    let mut one = File::options().append(true).create(true).open("appends")?;
    let mut two = File::options().read(true).append(true).open("appends")?;
    for turn in 0..12_u8 {
        let file = if turn % 3 == 0 { &mut two } else { &mut one };
        note("append", file.write_all(&pattern(b'0' + turn, 777)));
    }
    note("seek to the start", two.rewind());
    note("read from there", two.read(&mut [0; 1000]));
    note("append after a seek", two.write_all(b"at the end all the same"));
    note("switch append off", abi::set_flags(&two, 0));
    note("seek to the start", two.rewind());
    note("write over the start", two.write_all(b"over"));
    note("switch append on", abi::set_flags(&two, abi::APPEND));
    note("append once more", two.write_all(b"end"));
    note("fdatasync", abi::sync_data(&one));
    Ok(())
}

fn allocation() -> io::Result<()> {
    let file = open("allocated")?;
    note("write", abi::write_all_at(&file, &pattern(b'k', 1000), 0));
    note("allocate past the end", abi::allocate(&file, 500, 20_000));
    reads(&file, &[0, 900, 19_000]);
    note("write in it", abi::write_all_at(&file, &pattern(b'l', 3000), 10_000));
    note("allocate nothing", abi::allocate(&file, 0, 0));
    note("fsync", file.sync_all());
    Ok(())
}

fn synchronous_writes() {
    for (name, flags) in [("all-sync", abi::SYNC), ("data-sync", abi::DATA_SYNC)] {
        let created = abi::open(name, abi::CREATE | abi::TRUNCATE, flags);
        let Some(file) = note("open", created) else { continue };
        let named = note("sync its name", guest::sync_directory("/")).is_some();
        for turn in 0..4 {
            let bytes = pattern(b'p', 2000);
            if note("write", abi::write_all_at(&file, &bytes, turn * 1500)).is_some() && named {
                println!("{name} {turn} is durable");
            }
        }
    }
}

fn sizes_and_times() -> io::Result<()> {
    let file = open("offsets")?;
    note("fstat", file.metadata());
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    note("set its time", file.set_modified(time));
    note("fsync", file.sync_all());
    note("fsync with nothing to do", file.sync_all());
    note("fsync through one that only reads", File::open("overwrites")?.sync_all());
    note("fsync the holes", File::open("holes")?.sync_all());
    guest::sync_directory("/")
}

fn main() {
    note("offsets", offsets());
    note("overwrites", overwrites());
    note("holes", holes());
    note("appends", appends());
    note("allocation", allocation());
    synchronous_writes();
    note("sizes and times", sizes_and_times());
    println!("end");
}

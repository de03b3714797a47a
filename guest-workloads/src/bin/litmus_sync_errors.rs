//! The short histories that tell error profiles apart, L1 to L18.
//!
//! Argument: one of the names, or `all` (default): then each on a file of its own, in order.
//!
//! Each begins alike: a block of A that is durable, then a block of B over it whose writeback the
//! device refuses once. The program asks for that fault itself, and has B written back in the
//! background (`sync_file_range`, which waits for nothing and tells nothing). Then:
//! - L1: fsync. [ERR-REPORT-01, ERR-REPORT-02]
//! - L2: fsync, and fsync again. [ERR-STICKY-01, ERR-STICKY-02, ERR-CLAIM-01]
//! - L3: two descriptions were open at the failure; fsync of each. [ERR-REPORT-02]
//! - L4: a new description, nobody was told; its fsync. [ERR-REPORT-03]
//! - L5: fsync of the first, a new description, its fsync. [ERR-STICKY-01]
//! - L6: close, eviction, a new description, its fsync. [ERR-REPORT-04]
//! - L7: B is written again; fsync, and fsync again. [ERR-FALSE-02]
//! - L8: fsync by each of two descriptors of one description. [ERR-STICKY-02]
//! - L9: a description that only reads was open; its fsync. [ERR-REPORT-02]
//! - L10: syncfs, whatever it answers; then fsync. [ERR-REPORT-05]
//! - L11: syncfs. [ERR-REPORT-06]
//! - L12: fsync of another file. [ERR-FALSE-01]
//! - L13: the file is removed, a new one made; fsync of that. [ERR-FALSE-01]
//! - L14: msync by a mapping of the description, then fsync of it. [ERR-STICKY-01, DUR-MSYNC-01]
//! - L15: read, eviction, read. [RSTAB-01, RSTAB-02]
//! - L16: close. [ERR-CLOSE-01]
//! - L17: B was a second block; it is cut off; fsync, and fsync again. [ERR-FALSE-02, TRUNC-01]
//! - L18: no background: the device refuses every write from B on; fsync three times.
//!   [ERR-STICKY-01, ERR-STICKY-02]
//!
//! What each call was told is printed in one line, as `L2: E,0`: E is an error, 0 success; A, B and
//! Z, which is zeros, are what was read. Nothing is judged here.

use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guests as guest;
use crashproof_guests::abi;
use std::fs;
use std::fs::File;
use std::io;

const BLOCK_SIZE_BYTES: usize = 4096;
const COUNT: u32 = 18;

fn told<T>(answer: &io::Result<T>) -> &'static str {
    if answer.is_ok() { "0" } else { "E" }
}

fn sync(file: &File) -> &'static str {
    told(&file.sync_all())
}

fn twice(file: &File) -> String {
    format!("{},{}", sync(file), sync(file))
}

fn reopen(name: &str) -> io::Result<File> {
    File::options().read(true).write(true).open(name)
}

/// A durable block of A.
fn durable(name: &str) -> io::Result<File> {
    let file = guest::write_and_sync(name, &[b'A'; BLOCK_SIZE_BYTES])?;
    guest::sync_directory_if_offered("/")?;
    Ok(file)
}

/// B at `offset`, that the device refuses once, in the background.
fn fail(file: &File, offset: usize) -> io::Result<()> {
    machine::fault("data:1")?;
    abi::write_all_at(file, &[b'B'; BLOCK_SIZE_BYTES], offset as u64)?;
    file::write_range_back(file, 0, 0)
}

fn failed(name: &str) -> io::Result<File> {
    let file = durable(name)?;
    fail(&file, 0)?;
    Ok(file)
}

fn read(file: &File) -> &'static str {
    let mut block = vec![0; BLOCK_SIZE_BYTES];
    match abi::read_full_at(file, &mut block, 0) {
        Err(_) => "E",
        Ok(read) => match block.get(..read) {
            Some(bytes) if bytes.iter().all(|&byte| byte == b'A') => "A",
            Some(bytes) if bytes.iter().all(|&byte| byte == b'B') => "B",
            Some(bytes) if bytes.iter().all(|&byte| byte == 0) => "Z",
            Some(_) | None => "mixed",
        },
    }
}

/// Two descriptions were open at the failure.
fn two(name: &str, write: bool) -> io::Result<[File; 2]> {
    let file = durable(name)?;
    let second = File::options().read(true).write(write).open(name)?;
    fail(&file, 0)?;
    Ok([file, second])
}

fn opened_later(name: &str) -> io::Result<String> {
    let file = failed(name)?;
    let late = reopen(name)?;
    let told = sync(&late).to_owned();
    drop(file);
    Ok(told)
}

fn opened_after_report(name: &str) -> io::Result<String> {
    let file = failed(name)?;
    let _ = file.sync_all();
    Ok(sync(&reopen(name)?).to_owned())
}

fn opened_after_eviction(name: &str) -> io::Result<String> {
    drop(failed(name)?);
    machine::drop_caches()?;
    Ok(sync(&reopen(name)?).to_owned())
}

fn rewritten(name: &str) -> io::Result<String> {
    let file = failed(name)?;
    // Where the file system refuses writes until it was able to write, it is asked to.
    if abi::write_all_at(&file, &[b'B'; BLOCK_SIZE_BYTES], 0).is_err() {
        file::write_range_back(&file, 0, 0)?;
        abi::write_all_at(&file, &[b'B'; BLOCK_SIZE_BYTES], 0)?;
    }
    Ok(twice(&file))
}

fn duplicated(name: &str) -> io::Result<String> {
    let file = failed(name)?;
    let second = file::duplicate(&file)?;
    Ok(format!("{},{}", sync(&file), sync(&second)))
}

fn unrelated(name: &str) -> io::Result<String> {
    let other = durable(&format!("{name}-other"))?;
    let file = failed(name)?;
    let told = sync(&other).to_owned();
    drop(file);
    Ok(told)
}

fn replaced(name: &str) -> io::Result<String> {
    drop(failed(name)?);
    fs::remove_file(name)?;
    machine::drop_caches()?;
    let new = File::options().read(true).write(true).create_new(true).open(name)?;
    Ok(sync(&new).to_owned())
}

fn mapped(name: &str) -> io::Result<String> {
    let file = durable(name)?;
    let mapping = Mapping::shared(&file, 0, BLOCK_SIZE_BYTES, Access::READ_WRITE)?;
    fail(&file, 0)?;
    let first = told(&mapping.sync(0, BLOCK_SIZE_BYTES));
    Ok(format!("{first},{}", sync(&file)))
}

fn read_around_eviction(name: &str) -> io::Result<String> {
    let file = failed(name)?;
    let before = read(&file);
    machine::drop_caches()?;
    Ok(format!("{before},{}", read(&file)))
}

fn cut_off(name: &str) -> io::Result<String> {
    let file = durable(name)?;
    fail(&file, BLOCK_SIZE_BYTES)?;
    file.set_len(BLOCK_SIZE_BYTES as u64)?;
    Ok(twice(&file))
}

fn still_failing(name: &str) -> io::Result<String> {
    let file = durable(name)?;
    machine::fault("data:1..")?;
    abi::write_all_at(&file, &[b'B'; BLOCK_SIZE_BYTES], 0)?;
    Ok(format!("{},{}", twice(&file), sync(&file)))
}

fn history(number: u32, name: &str) -> io::Result<String> {
    Ok(match number {
        1 => sync(&failed(name)?).to_owned(),
        2 => twice(&failed(name)?),
        3 => two(name, true)?.each_ref().map(sync).join(","),
        4 => opened_later(name)?,
        5 => opened_after_report(name)?,
        6 => opened_after_eviction(name)?,
        7 => rewritten(name)?,
        8 => duplicated(name)?,
        9 => sync(&two(name, false)?[1]).to_owned(),
        10 => {
            let file = failed(name)?;
            let _ = file::sync_all_files(&file);
            sync(&file).to_owned()
        }
        11 => told(&file::sync_all_files(&failed(name)?)).to_owned(),
        12 => unrelated(name)?,
        13 => replaced(name)?,
        14 => mapped(name)?,
        15 => read_around_eviction(name)?,
        16 => told(&abi::close(failed(name)?)).to_owned(),
        17 => cut_off(name)?,
        _ => still_failing(name)?,
    })
}

fn main() {
    let chosen = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    let mut known = false;
    for number in 1..=COUNT {
        let name = format!("L{number}");
        if chosen != "all" && chosen != name {
            continue;
        }
        known = true;
        match history(number, &name) {
            Ok(told) => println!("{name}: {told}"),
            Err(error) => println!("{name}: stopped, {}", guest::told::<()>(&Err(error))),
        }
    }
    if !known {
        guest::give_up("litmus_sync_errors", &"give L1 to L18, or all");
    }
}

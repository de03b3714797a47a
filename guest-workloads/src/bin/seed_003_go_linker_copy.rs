//! Seed 003: Go's linker writes its output through a mapping, and `cp` copies it at once.
//!
//! The scenario of this name adds a process that writes in bulk, so that transactions are under
//! pressure, and a searcher. Arguments: what to do, then words and `word=number` in any order.
//!
//! `seek`, `clone`, `range`: `files` times (8)
//! 1. Makes a sparse file of 64 KiB or 4 MiB by truncation, maps it, stores 1 to 8 pages at random
//!    places, unmaps it and closes it. [TRUNC-01, MAP-05]
//! 2. Copies it: data between holes as SEEK_DATA and SEEK_HOLE tell them [SEEK-01 to SEEK-06], by
//!    a clone, or by copy_file_range. [COPY-01, COPY-02]
//! 3. Reads both, drops caches, reads both again, and says whether they are equal. [COPY-01]
//! 4. Syncs the copy and its name, then prints `copied NUMBER`: it must survive. [DUR-FSYNC-01,
//!    COPY-08]
//!
//! `append` and `search`, side by side: one writes the first block of a new file, the other asks
//! where its data is as soon as the file is there, and copies what it was told. [SEEK-02, SEEK-06]
//!
//! `bulk`: `turns` times (6) writes 256 KiB to a file of its own, which it cuts now and then.
//!
//! Controls: `write-calls` writes the pages by calls, so that no dirt is a mapping's alone;
//! `synced` syncs the file before it is copied.

use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::linked;
use crashproof_guests::linked::Output;
use crashproof_guests::linked::PAGE_SIZE_BYTES;
use crashproof_guests::uninterrupted;
use std::fs::File;
use std::io;
use std::thread;
use std::time::Duration;

/// The error number for a search that finds nothing more.
const NO_MORE: i32 = 60;

/// How often the searcher looks for a file before it gives up.
const LOOKS_MAX: u64 = 100;

/// The value of `word=number` among the arguments.
fn number(word: &str, otherwise: u64) -> u64 {
    let value = |text: String| text.strip_prefix(word)?.strip_prefix('=')?.parse().ok();
    std::env::args().find_map(value).unwrap_or(otherwise)
}

fn says(word: &str) -> bool {
    std::env::args().any(|text| text == word)
}

fn create(name: &str) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    uninterrupted(|| options.open(name))
}

/// The linker.
fn link(name: &str, output: &Output) -> io::Result<()> {
    let file = create(name)?;
    uninterrupted(|| file.set_len(output.size_bytes as u64))?;
    if says("write-calls") {
        for &(page, mark) in &output.pages {
            let at = (page * PAGE_SIZE_BYTES) as u64;
            abi::write_all_at(&file, &[mark; PAGE_SIZE_BYTES], at)?;
        }
    } else {
        let access = Access::READ_WRITE;
        let mapping = uninterrupted(|| Mapping::shared(&file, 0, output.size_bytes, access))?;
        for &(page, mark) in &output.pages {
            mapping.fill(page * PAGE_SIZE_BYTES, PAGE_SIZE_BYTES, mark);
        }
        mapping.unmap()?;
    }
    if says("synced") { uninterrupted(|| file.sync_all()) } else { Ok(()) }
}

/// Where the next data is, if there is more.
fn data_after(file: &File, offset: u64) -> io::Result<Option<u64>> {
    match uninterrupted(|| file::seek_data(file, offset)) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.raw_os_error() == Some(NO_MORE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Copies what is between the holes, as sparse-aware programs do.
fn copy_by_seek(from: &File, to: &File) -> io::Result<()> {
    let size_bytes = from.metadata()?.len();
    uninterrupted(|| to.set_len(size_bytes))?;
    let mut end = 0;
    while let Some(start) = data_after(from, end)? {
        end = uninterrupted(|| file::seek_hole(from, start))?;
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
        let count = abi::read_full_at(from, &mut bytes, start)?;
        abi::write_all_at(to, &bytes[..count], start)?;
    }
    Ok(())
}

fn copy_by_range(from: &File, to: &File) -> io::Result<()> {
    let mut done = 0;
    loop {
        match uninterrupted(|| file::copy_range(from, done, to, done, 1 << 30))? {
            0 => return Ok(()),
            more => done += more,
        }
    }
}

fn copy(way: &str, from: &File, to: &File) -> io::Result<()> {
    match way {
        "clone" => uninterrupted(|| file::clone(from, to)),
        "range" => copy_by_range(from, to),
        _ => copy_by_seek(from, to),
    }
}

/// Reads both, and says whether they are equal.
fn compare(number: u64) -> io::Result<()> {
    let source = std::fs::read(linked::source_name(number))?;
    let copied = std::fs::read(linked::copy_name(number))?;
    if source != copied {
        let place = source.iter().zip(&copied).position(|(one, other)| one != other);
        println!("copy {number} differs from {place:?}");
    }
    Ok(())
}

fn link_and_copy(way: &str, number: u64) -> io::Result<()> {
    let name = linked::source_name(number);
    link(&name, &Output::new(number))?;
    let from = uninterrupted(|| File::open(&name))?;
    let to = create(&linked::copy_name(number))?;
    copy(way, &from, &to)?;
    compare(number)?;
    uninterrupted(machine::drop_caches)?;
    compare(number)?;
    uninterrupted(|| to.sync_all())?;
    uninterrupted(|| guest::sync_directory("/"))?;
    println!("copied {number}");
    Ok(())
}

/// Writes the first block of new files.
fn append() -> io::Result<()> {
    for turn in 1..=number("files", 8) {
        let file = create(&format!("first-{turn}"))?;
        abi::write_all_at(&file, &[b'1'; PAGE_SIZE_BYTES], 0)?;
        if turn.is_multiple_of(2) {
            uninterrupted(|| file::write_range_back(&file, 0, 0))?;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Copies each of these files as soon as it has a size.
fn search() -> io::Result<()> {
    for turn in 1..=number("files", 8) {
        let name = format!("first-{turn}");
        let mut looks = 0;
        let from = loop {
            match File::open(&name) {
                Ok(file) if file.metadata()?.len() > 0 => break file,
                Ok(_) | Err(_) if looks < LOOKS_MAX => looks += 1,
                Ok(_) | Err(_) => return Ok(()),
            }
            thread::sleep(Duration::from_micros(50));
        };
        for _ in 0..3 {
            let to = create(&format!("copy-{turn}"))?;
            copy_by_seek(&from, &to)?;
            let mut bytes = [0; PAGE_SIZE_BYTES];
            abi::read_full_at(&from, &mut bytes, 0)?;
            abi::read_full_at(&to, &mut bytes, 0)?;
        }
    }
    Ok(())
}

/// Writes much, so that there is more dirt than transactions have room for.
fn bulk(own: &str) -> io::Result<()> {
    let file = create(&format!("bulk-{own}"))?;
    for turn in 0..number("turns", 6) {
        let mark = b'A' + u8::try_from(turn % 26).unwrap_or(0);
        abi::write_all_at(&file, &vec![mark; 256 << 10], (turn % 4) * (256 << 10))?;
        uninterrupted(|| file::write_range_back(&file, 0, 0))?;
        if turn % 3 == 2 {
            uninterrupted(|| file.set_len(4096))?;
        }
    }
    Ok(())
}

fn main() {
    let what = std::env::args().nth(1).unwrap_or_else(|| "clone".to_owned());
    let done = match what.as_str() {
        "append" => append(),
        "search" => search(),
        "bulk" => bulk(&std::env::args().nth(2).unwrap_or_default()),
        way => (1..=number("files", 8)).try_for_each(|number| link_and_copy(way, number)),
    };
    if let Err(error) = done {
        guest::give_up(&what, &error);
    }
}

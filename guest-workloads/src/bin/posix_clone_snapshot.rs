//! Clones, copies, dedupe and snapshots: what shares blocks, and what changes on one side of them.
//!
//! 1. Clones a file, and ranges of it: into a new file, over old bytes, within itself, an odd tail.
//!    Then writes, cuts and punches either side. [COPY-02 to COPY-07, COPY-11]
//! 2. Clones what is only in memory: written, stored in a mapping, cut and written again. [COPY-01,
//!    COPY-11]
//! 3. Copies ranges: to odd places, to the end of the source and beyond it. [COPY-01, COPY-02,
//!    COPY-06]
//! 4. Dedupes equal and different ranges. [DEDUP-01]
//! 5. Takes snapshots of files that share blocks; writes on; reads them by every way; deletes one.
//!    [SNAP-01 to SNAP-07]
//! 6. The same with a file that is written in place: neither a snapshot nor a clone sees what is
//!    written later. [SNAP-04, COPY-11]
//! 7. Calls that must fail: overlaps, odd offsets, destinations opened to be read or to append.
//!    [COPY-07, COPY-10]
//! 8. Syncs a destination, and clones to one that is written synchronously. [COPY-08, COPY-09]
//!
//! With `compressed` as its argument it does this instead: clones parts of a compressed file, once
//! more and in another order, to another file and within itself; takes a snapshot; reads all of it,
//! whole and by the page. [COPY-01, COPY-04, DATA-RW-01, SNAP-04]

use crashproof_guest::attributes;
use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guest::mapping::PAGE_SIZE_BYTES;
use crashproof_guest::snapshot;
use crashproof_guest::snapshot::Snapshot;
use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::create;
use crashproof_guests::note;
use crashproof_guests::uninterrupted;
use std::fs::File;
use std::io;

const PAGE: u64 = PAGE_SIZE_BYTES as u64;
const PUNCH: i32 = file::PUNCH_HOLE | file::KEEP_SIZE;

/// A clone of the whole file: what follows it uses its size.
fn clone_whole(from: &File, to: &File) -> io::Result<()> {
    uninterrupted(|| file::clone(from, to))
}

/// A file of so many bytes, each page of other letters.
fn filled(name: &str, size_bytes: usize) -> Option<File> {
    let file = create(name)?;
    let mark = name.bytes().next().unwrap_or(b'a');
    let bytes: Vec<u8> = (0..size_bytes).map(|at| mark + (at / PAGE_SIZE_BYTES) as u8).collect();
    note("fill", abi::write_all_at(&file, &bytes, 0))?;
    Some(file)
}

/// Reads all of it.
fn look(file: &File) {
    let mut bytes = vec![0; 16 * PAGE_SIZE_BYTES];
    note("read", abi::read_full_at(file, &mut bytes, 0));
}

fn look_at(files: &[&File]) {
    files.iter().for_each(|file| look(file));
    note("drop caches", machine::drop_caches());
    files.iter().for_each(|file| look(file));
}

fn clones() -> Option<()> {
    let one = filled("A one", 4 * PAGE_SIZE_BYTES + 100)?;
    note("fsync", one.sync_all());
    let other = filled("a other", 6 * PAGE_SIZE_BYTES)?;
    note("clone over old bytes", file::clone_range(&one, PAGE, 2 * PAGE, &other, 3 * PAGE));
    look_at(&[&one, &other]);
    note("write to the clone", abi::write_all_at(&other, b"own", 3 * PAGE + 10));
    note("write to the source", abi::write_all_at(&one, b"changed", 2 * PAGE - 3));
    look_at(&[&one, &other]);
    let whole = create("whole")?;
    note("clone", clone_whole(&one, &whole));
    note("stat", whole.metadata());
    note("cut the source", one.set_len(PAGE + 5));
    note("punch the clone", file::fallocate(&whole, PUNCH, 0, PAGE));
    look_at(&[&one, &whole]);
    note("clone once more", clone_whole(&other, &whole));
    note("clone in one file", file::clone_range(&other, 0, 2 * PAGE, &other, 4 * PAGE));
    note("clone beyond the end", file::clone_range(&other, 0, PAGE, &one, 8 * PAGE));
    look_at(&[&one, &other, &whole]);
    let clones: Vec<File> = (0..5).filter_map(|number| create(&format!("many-{number}"))).collect();
    for clone in &clones {
        note("clone", clone_whole(&other, clone));
    }
    note("unlink the source", std::fs::remove_file("a other"));
    for (clone, number) in clones.iter().zip(0..) {
        note("write", abi::write_all_at(clone, b"one of many", number * PAGE));
        look(clone);
    }
    note("fsync", clones.first()?.sync_all())
}

fn clones_of_dirt() -> Option<()> {
    let one = create("dirt")?;
    note("lengthen", one.set_len(8 * PAGE));
    let access = Access::READ_WRITE;
    let mapping = note("mmap", Mapping::shared(&one, 0, 8 * PAGE_SIZE_BYTES, access))?;
    let clone = create("of dirt")?;
    let target = note("mmap", Mapping::shared(&clone, 0, 8 * PAGE_SIZE_BYTES, access))?;
    for turn in 1..5 {
        mapping.fill(turn * PAGE_SIZE_BYTES, 300, b'0' + turn as u8);
        note("write", abi::write_all_at(&one, b"written", 5 * PAGE));
        note("clone", clone_whole(&one, &clone));
        let mut read = vec![0; 8 * PAGE_SIZE_BYTES];
        if let Some(count) = note("read", abi::read_full_at(&clone, &mut read, 0)) {
            assert!(target.bytes(0, count) == read[..count], "memory and file differ");
        }
        target.fill(turn * PAGE_SIZE_BYTES + 100, 50, b'x');
        look_at(&[&one, &clone]);
    }
    note("cut", one.set_len(2 * PAGE));
    note("lengthen", one.set_len(8 * PAGE));
    note("clone over what was cut", file::clone_range(&clone, PAGE, 3 * PAGE, &one, 3 * PAGE));
    note("write over a clone", abi::write_all_at(&one, b"over", 4 * PAGE));
    look_at(&[&one, &clone]);
    note("munmap", target.unmap());
    note("munmap", mapping.unmap())
}

fn copies() -> Option<()> {
    let one = filled("Copied", 5 * PAGE_SIZE_BYTES + 10)?;
    let other = create("of copied")?;
    for (from, to, size_bytes) in [
        (0, 0, 2 * PAGE),
        (100, 2 * PAGE + 7, PAGE),
        (5 * PAGE, 4 * PAGE, PAGE),
        (6 * PAGE, 0, 100),
        (PAGE, 9 * PAGE, 3 * PAGE),
    ] {
        note("copy", file::copy_range(&one, from, &other, to, size_bytes));
        look(&other);
    }
    note("copy in one file", file::copy_range(&one, 0, &one, 3 * PAGE, 2 * PAGE));
    look_at(&[&one, &other]);
    Some(())
}

fn dedupes() -> Option<()> {
    let one = filled("Double", 4 * PAGE_SIZE_BYTES)?;
    let other = filled("Double too", 4 * PAGE_SIZE_BYTES)?;
    note("dedupe", file::dedupe_range(&one, 0, 2 * PAGE, &other, 0));
    note("write", abi::write_all_at(&other, b"different", 3 * PAGE + 20));
    note("dedupe of others", file::dedupe_range(&one, 2 * PAGE, 2 * PAGE, &other, 2 * PAGE));
    look_at(&[&one, &other]);
    note("write to one", abi::write_all_at(&one, b"one", 5));
    look_at(&[&one, &other]);
    note("fsync", other.sync_all())
}

fn look_into(name: &str) {
    let Some(snapshot) = note("open it", Snapshot::open(name)) else { return };
    for name in ["rewritten", "shared", "sharing"] {
        let Some(frozen) = note(name, snapshot.file(name)) else { continue };
        look(&frozen);
        note("where is data", file::seek_data(&frozen, 0));
        let Some(mapping) =
            note("mmap", Mapping::shared(&frozen, 0, PAGE_SIZE_BYTES, Access::READ))
        else {
            continue;
        };
        let mut read = vec![0; PAGE_SIZE_BYTES];
        if let Some(count) = note("read", abi::read_full_at(&frozen, &mut read, 0)) {
            assert!(mapping.bytes(0, count) == read[..count], "a snapshot has two faces");
        }
        let Some(copied) = create("from a snapshot") else { continue };
        note("copy", file::copy_range(&frozen, 0, &copied, 0, 4 * PAGE));
        look(&copied);
    }
}

fn snapshots() -> Option<()> {
    let rewritten = create("rewritten")?;
    note("fill", abi::write_all_at(&rewritten, &[b'i'; 4 * PAGE_SIZE_BYTES], 0));
    let shared = filled("shared", 4 * PAGE_SIZE_BYTES)?;
    note("fsync", rewritten.sync_all());
    let sharing = create("sharing")?;
    note("clone", clone_whole(&shared, &sharing));
    for name in ["first", "second"] {
        note("snapshot", snapshot::create(name));
        for (file, mark) in [(&rewritten, b'1'), (&shared, b'2'), (&sharing, b'3')] {
            note("write", abi::write_all_at(file, &[mark; 5000], 100));
        }
        note("fsync", rewritten.sync_all());
        look_into(name);
        note("drop caches", machine::drop_caches());
        look_into("first");
    }
    note("the end of the first", snapshot::delete("first"));
    note("write", abi::write_all_at(&shared, &[b'9'; 3 * PAGE_SIZE_BYTES], 0));
    note("syncfs", file::sync_all_files(&shared));
    look_into("second");
    look_at(&[&rewritten, &shared, &sharing]);
    Some(())
}

/// The file of that name in a snapshot, read as it is on the medium.
fn look_frozen(name: &str, inside: &str) -> Option<()> {
    let snapshot = note("open it", Snapshot::open(name))?;
    let frozen = note(inside, snapshot.file(inside))?;
    note("drop caches", machine::drop_caches());
    look(&frozen);
    Some(())
}

fn in_place() -> Option<()> {
    let file = create("in place")?;
    note("write in place", attributes::set_flags(&file, attributes::IN_PLACE));
    note("fill", abi::write_all_at(&file, &[b'i'; 4 * PAGE_SIZE_BYTES], 0));
    note("fsync", file.sync_all());
    note("snapshot", snapshot::create("unmoved"));
    note("write", abi::write_all_at(&file, &[b'1'; 5000], 100));
    note("fsync", file.sync_all());
    look_frozen("unmoved", "in place");
    let clone = create("placed")?;
    note("write in place", attributes::set_flags(&clone, attributes::IN_PLACE));
    note("clone", file::clone(&file, &clone));
    note("write to the source", abi::write_all_at(&file, &[b'2'; 5000], 3000));
    note("write to the clone", abi::write_all_at(&clone, &[b'3'; 3000], 12_000));
    note("syncfs", file::sync_all_files(&file));
    look_at(&[&file, &clone]);
    look_frozen("unmoved", "in place");
    note("its end", snapshot::delete("unmoved"))
}

/// Reads all of it, by the page and whole, each as it is on the medium.
fn look_by_pages(file: &File) {
    note("drop caches", machine::drop_caches());
    for page in 0..8 {
        note("read a page", abi::read_full_at(file, &mut [0; PAGE_SIZE_BYTES], page * PAGE));
    }
    note("drop caches", machine::drop_caches());
    look(file);
}

fn compressed() -> Option<()> {
    let one = create("Packed")?;
    note("compress", attributes::set_flags(&one, attributes::COMPRESSED));
    let letters = |at: usize| b'a' + (at / PAGE_SIZE_BYTES) as u8;
    let bytes: Vec<u8> = (0..8 * PAGE_SIZE_BYTES).map(letters).collect();
    note("fill", abi::write_all_at(&one, &bytes, 0));
    note("fsync", one.sync_all());
    let other = create("of packed")?;
    for (from, count, to) in [(0, 2, 0), (0, 2, 2), (6, 1, 4), (5, 1, 5), (2, 2, 6)] {
        let (from, count, to) = (from * PAGE, count * PAGE, to * PAGE);
        note("clone", file::clone_range(&one, from, count, &other, to));
    }
    look_by_pages(&other);
    note("clone in one file", file::clone_range(&one, PAGE, 2 * PAGE, &one, 4 * PAGE));
    look_by_pages(&one);
    note("snapshot", snapshot::create("packed"));
    note("write", abi::write_all_at(&one, &[b'0'; PAGE_SIZE_BYTES], 3 * PAGE));
    note("write", abi::write_all_at(&other, &[b'1'; PAGE_SIZE_BYTES], 0));
    for name in ["Packed", "of packed"] {
        look_frozen("packed", name)?;
    }
    look_by_pages(&one);
    look_by_pages(&other);
    note("its end", snapshot::delete("packed"))
}

fn refusals() -> Option<()> {
    let one = filled("Refused", 4 * PAGE_SIZE_BYTES + 10)?;
    let other = filled("refused", 4 * PAGE_SIZE_BYTES)?;
    note("clone of an overlap", file::clone_range(&one, 0, 2 * PAGE, &one, PAGE));
    note("clone of a part", file::clone_range(&one, 10, PAGE, &other, 0));
    note("clone to an odd place", file::clone_range(&one, 0, PAGE, &other, 10));
    note("clone of an odd length", file::clone_range(&one, 0, 100, &other, 0));
    note("clone of the tail into the middle", file::clone_range(&one, 4 * PAGE, 10, &other, 0));
    note("clone beyond the source", file::clone_range(&one, 4 * PAGE, 2 * PAGE, &other, 0));
    note("copy of an overlap", file::copy_range(&one, 0, &one, 100, PAGE));
    let readable = note("open to be read", File::open("refused"))?;
    note("clone into it", file::clone_range(&one, 0, PAGE, &readable, 0));
    note("copy into it", file::copy_range(&one, 0, &readable, 0, PAGE));
    let appending = note("open to append", File::options().append(true).open("refused"))?;
    note("clone into it", file::clone_range(&one, 0, PAGE, &appending, 0));
    note("copy into it", file::copy_range(&one, 0, &appending, 0, PAGE));
    let directory = note("open a directory", File::open("/"))?;
    note("clone of it", clone_whole(&directory, &other));
    look_at(&[&one, &other]);
    Some(())
}

fn syncs() -> Option<()> {
    let one = filled("Synced", 3 * PAGE_SIZE_BYTES)?;
    let clone = create("clone")?;
    note("fsync", clone.sync_all());
    note("sync of the directory", guest::sync_directory("/"));
    note("clone", clone_whole(&one, &clone));
    note("fsync of the clone", clone.sync_all());
    let synchronous = note("open", abi::open("synchronous", abi::CREATE, abi::SYNC))?;
    note("sync of the directory", guest::sync_directory("/"));
    note("clone", file::clone_range(&one, 0, 2 * PAGE, &synchronous, PAGE));
    note("copy", file::copy_range(&one, 50, &synchronous, 10, 100));
    note("fdatasync of the source", abi::sync_data(&one))
}

fn main() {
    let all = [clones, clones_of_dirt, copies, dedupes, snapshots, in_place, refusals, syncs];
    let is_compressed = std::env::args().nth(1).is_some_and(|what| what == "compressed");
    let parts: &[fn() -> Option<()>] = if is_compressed { &[compressed] } else { &all };
    for part in parts {
        if part().is_none() {
            println!("a part stopped");
        }
    }
    note("sync of the directory", guest::sync_directory("/"));
}

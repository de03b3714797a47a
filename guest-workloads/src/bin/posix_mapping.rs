//! Mapped memory: every operation on it, and each view of a file against the others.
//!
//! 1. Two mappings and a descriptor of one file: stores, writes and loads in turn. [MAP-01,
//!    MAP-02]
//! 2. Memory of a mapping as the buffer of reads and writes, copies within it that overlap, a fill
//!    over pages. [MAP-01, MAP-02]
//! 3. Beyond the end of the file, in its last page: stores stay out of the file. [MAP-07]
//! 4. Truncates down and up again beneath a mapping. [MAP-13]
//! 5. Private mappings. [MAP-06]
//! 6. Unmaps a part, and all, without a sync; reads. [MAP-05]
//! 7. Closes and unlinks the file, and goes on using its mapping. [MAP-09]
//! 8. Changes what a mapping may be used for; maps other pages into one. [MAP-01]
//! 9. Calls that must fail: lengths, offsets, rights.
//! 10. Each kind of msync, then syncs of the file. Times change between a store and a sync.
//!     [DUR-MSYNC-01, DUR-MSYNC-02, DUR-FSYNC-02, MAP-10]
//!
//! Where the memory of a mapping holds other bytes than a read of the file returns, the program
//! ends with a trap: the oracle sees the read, and the host's loads, but not this memory.
//!
//! With an argument it ends as a real program would: `bus-store`, `bus-load` (beyond the last
//! page of the file, SIGBUS, [MAP-08]), `segv-store`, `segv-load` (against the protection). With
//! `holes` it asks where data and holes are around a store that no sync has seen. [SEEK-05]

use crashproof_guest::file;
use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guest::mapping::PAGE_SIZE_BYTES;
use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::note;
use std::fs;
use std::fs::File;

const PAGE: u64 = PAGE_SIZE_BYTES as u64;

/// Bytes that differ from each 64 to the next, and from call to call.
fn pattern(mark: u8, size_bytes: usize) -> Vec<u8> {
    (0..size_bytes).map(|at| mark.wrapping_add((at / 64 % 16) as u8)).collect()
}

/// A file of so many bytes, not synced.
fn file_of(name: &str, size_bytes: usize) -> Option<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    let file = note(name, options.open(name))?;
    note("fill it", abi::write_all_at(&file, &pattern(b'A', size_bytes), 0))?;
    Some(file)
}

fn map(file: &File, offset: u64, page_count: usize, access: Access) -> Option<Mapping> {
    note("mmap", Mapping::shared(file, offset, page_count * PAGE_SIZE_BYTES, access))
}

/// Reads the file and looks at the memory: both show the same, or the program traps.
fn agree(file: &File, mapping: &Mapping, at: usize, size_bytes: usize) {
    let mut read = vec![0; size_bytes];
    if let Some(count) = note("read", abi::read_full_at(file, &mut read, at as u64)) {
        assert_eq!(mapping.bytes(at, count), read[..count], "memory and file differ from {at}");
    }
}

fn views() -> Option<()> {
    let file = file_of("views", 3 * PAGE_SIZE_BYTES)?;
    let one = map(&file, 0, 3, Access::READ_WRITE)?;
    let other = map(&file, PAGE, 2, Access::READ)?;
    agree(&file, &one, 0, 3 * PAGE_SIZE_BYTES);
    one.store(PAGE_SIZE_BYTES - 10, &pattern(b'b', 300));
    agree(&file, &one, PAGE_SIZE_BYTES - 100, 500);
    agree_at(&file, &other, PAGE, 290);
    note("write under it", abi::write_all_at(&file, &pattern(b'c', 5000), 2000));
    agree(&file, &one, 1900, 5200);
    agree_at(&file, &other, PAGE, 3000);
    for (at, byte) in [(0, b'0'), (4095, b'1'), (4096, b'2'), (8191, b'3'), (12_287, b'4')] {
        one.store_byte(at, byte);
    }
    one.store_number(4088, u64::from_le_bytes(*b"numbered"));
    one.store_number(8189, u64::from_le_bytes(*b"oddplace"));
    agree(&file, &one, 0, 3 * PAGE_SIZE_BYTES);
    note("munmap", other.unmap());
    note("munmap", one.unmap())
}

/// As `agree`, for a mapping that begins at `offset` of the file.
fn agree_at(file: &File, mapping: &Mapping, offset: u64, size_bytes: usize) {
    let mut read = vec![0; size_bytes];
    if let Some(count) = note("read", abi::read_full_at(file, &mut read, offset)) {
        assert_eq!(mapping.bytes(0, count), read[..count], "memory and file differ at {offset}");
    }
}

fn buffers() -> Option<()> {
    let file = file_of("buffers", 2 * PAGE_SIZE_BYTES)?;
    let source = file_of("source", 6000)?;
    let mut one = map(&file, 0, 2, Access::READ_WRITE)?;
    note("read a file into it", abi::read_full_at(&source, one.memory(1000, 4000), 500));
    agree(&file, &one, 0, 2 * PAGE_SIZE_BYTES);
    note("read the same file into it", abi::read_full_at(&file, one.memory(6000, 1500), 900));
    agree(&file, &one, 0, 2 * PAGE_SIZE_BYTES);
    one.store(4000, &pattern(b'd', 200));
    note("write from it", abi::write_all_at(&source, one.memory(3900, 1000), 100));
    note("write from it to the same file", abi::write_all_at(&file, one.memory(3000, 3000), 3500));
    agree(&file, &one, 0, 2 * PAGE_SIZE_BYTES);
    one.copy_within(4000, 4030, 500);
    one.copy_within(4100, 4050, 700);
    one.fill(4090, 100, b'f');
    agree(&file, &one, 3900, 1000);
    note("munmap", one.unmap())
}

fn beyond_the_end() -> Option<()> {
    let file = file_of("tail", 5000)?;
    let one = map(&file, 0, 2, Access::READ_WRITE)?;
    assert_eq!(one.bytes(5000, 3000), vec![0; 3000], "the rest of the last page is not zero");
    one.store(4990, &pattern(b'x', 500));
    agree(&file, &one, 4900, 100);
    note("msync", one.sync(0, 2 * PAGE_SIZE_BYTES));
    note("lengthen by a write", abi::write_all_at(&file, b"end", 6000));
    let mut read = vec![0; 1100];
    note("read", abi::read_full_at(&file, &mut read, 4950));
    note("lengthen by truncation", file.set_len(3 * PAGE));
    agree(&file, &one, 4900, 2000);
    note("munmap", one.unmap())
}

fn truncation() -> Option<()> {
    let file = file_of("cut", 3 * PAGE_SIZE_BYTES)?;
    let one = map(&file, 0, 3, Access::READ_WRITE)?;
    one.store(5000, &pattern(b'y', 6000));
    if note("cut in a page", file.set_len(5100)).is_some() {
        agree(&file, &one, 4900, 200);
        assert_eq!(one.bytes(5100, 3000), vec![0; 3000], "what was cut off is still there");
    }
    if note("lengthen", file.set_len(3 * PAGE)).is_some() {
        agree(&file, &one, 0, 3 * PAGE_SIZE_BYTES);
    }
    one.store(9000, b"again");
    note("fdatasync", abi::sync_data(&file));
    agree(&file, &one, 8900, 200);
    note("munmap", one.unmap())
}

fn private() -> Option<()> {
    let file = file_of("private", 2 * PAGE_SIZE_BYTES)?;
    let own = note("mmap private", Mapping::private(&file, 0, 2 * PAGE_SIZE_BYTES, RW))?;
    let one = map(&file, 0, 2, Access::READ_WRITE)?;
    own.store(4000, &pattern(b'p', 200));
    agree(&file, &one, 3900, 400);
    assert_eq!(own.bytes(4000, 200), pattern(b'p', 200), "a private store was lost");
    one.store(4100, &pattern(b'q', 200));
    agree(&file, &one, 3900, 500);
    assert_eq!(own.bytes(4000, 200), pattern(b'p', 200), "a private store was lost");
    note("msync private", own.sync(0, 2 * PAGE_SIZE_BYTES));
    let readable = note("open to be read", File::open("private"))?;
    let copy = note("mmap private of it", Mapping::private(&readable, 0, PAGE_SIZE_BYTES, RW))?;
    copy.store(10, b"not in the file");
    note("munmap", copy.unmap());
    note("munmap", own.unmap());
    agree(&file, &one, 0, 2 * PAGE_SIZE_BYTES);
    note("munmap", one.unmap())
}

const RW: Access = Access::READ_WRITE;

fn unmapping() -> Option<()> {
    let file = file_of("unmapped", 4 * PAGE_SIZE_BYTES)?;
    let one = map(&file, 0, 4, RW)?;
    one.fill(100, 4 * PAGE_SIZE_BYTES - 200, b'u');
    note("munmap a page", one.unmap_part(PAGE_SIZE_BYTES, PAGE_SIZE_BYTES));
    one.store(0, b"before it");
    one.store(2 * PAGE_SIZE_BYTES, b"after it");
    agree(&file, &one, 0, PAGE_SIZE_BYTES);
    agree(&file, &one, 2 * PAGE_SIZE_BYTES, 2 * PAGE_SIZE_BYTES);
    note("msync over the gap", one.sync(0, 4 * PAGE_SIZE_BYTES));
    note("msync after it", one.sync(2 * PAGE_SIZE_BYTES, PAGE_SIZE_BYTES));
    one.store(3 * PAGE_SIZE_BYTES + 5, b"not synced");
    note("munmap", one.unmap());
    let again = map(&file, 0, 4, Access::READ)?;
    agree(&file, &again, 0, 4 * PAGE_SIZE_BYTES);
    note("munmap", again.unmap())
}

fn without_a_name() -> Option<()> {
    let file = file_of("gone", 2 * PAGE_SIZE_BYTES)?;
    let one = map(&file, 0, 2, RW)?;
    one.store(10, b"before");
    drop(file);
    println!("close");
    one.store(4094, b"across");
    note("unlink", fs::remove_file("gone"));
    one.store(20, b"after");
    note("the name anew", fs::write("gone", b"another file"));
    note("msync", one.sync(0, 2 * PAGE_SIZE_BYTES));
    assert_eq!(one.bytes(10, 15), *b"beforeAAAAafter", "the file behind a mapping is gone");
    assert_eq!(one.bytes(4094, 6), *b"across", "the file behind a mapping is gone");
    note("munmap", one.unmap())
}

fn protection() -> Option<()> {
    let file = file_of("protected", 3 * PAGE_SIZE_BYTES)?;
    let other = file_of("other", 3 * PAGE_SIZE_BYTES)?;
    let one = map(&file, 0, 3, Access::READ)?;
    agree(&file, &one, 0, 100);
    note("mprotect", one.protect(PAGE_SIZE_BYTES, PAGE_SIZE_BYTES, RW));
    one.store(PAGE_SIZE_BYTES + 7, &pattern(b'w', 900));
    note("mprotect", one.protect(PAGE_SIZE_BYTES, PAGE_SIZE_BYTES, Access::NONE));
    note("fsync", file.sync_all());
    note("mprotect", one.protect(0, 3 * PAGE_SIZE_BYTES, RW));
    agree(&file, &one, 0, 3 * PAGE_SIZE_BYTES);
    note("mmap fixed", one.replace(PAGE_SIZE_BYTES, &other, 2 * PAGE, PAGE_SIZE_BYTES, RW))?;
    one.store(PAGE_SIZE_BYTES - 3, b"two files");
    agree(&file, &one, 0, PAGE_SIZE_BYTES);
    let mut read = [0; 6];
    if note("read", abi::read_full_at(&other, &mut read, 2 * PAGE)) == Some(read.len()) {
        assert_eq!(one.bytes(PAGE_SIZE_BYTES, 6), read, "a fixed mapping shows another file");
    }
    note("madvise", one.advise(0, PAGE_SIZE_BYTES, 0));
    note("munmap", one.unmap())
}

fn refusals() -> Option<()> {
    let file = file_of("refused", 2 * PAGE_SIZE_BYTES)?;
    note("mmap of nothing", Mapping::shared(&file, 0, 0, RW));
    note("mmap at an odd offset", Mapping::shared(&file, 100, PAGE_SIZE_BYTES, RW));
    let readable = note("open to be read", File::open("refused"))?;
    note("mmap to be written", Mapping::shared(&readable, 0, PAGE_SIZE_BYTES, RW));
    let writable = note("open to be written", File::options().write(true).open("refused"))?;
    note("mmap of it", Mapping::shared(&writable, 0, PAGE_SIZE_BYTES, Access::READ));
    note("mmap private of it", Mapping::private(&writable, 0, PAGE_SIZE_BYTES, RW));
    let directory = note("open a directory", File::open("/"))?;
    note("mmap of it", Mapping::shared(&directory, 0, PAGE_SIZE_BYTES, Access::READ));
    let one =
        note("mmap to be read", Mapping::shared(&readable, 0, PAGE_SIZE_BYTES, Access::READ))?;
    note("mprotect to be written", one.protect(0, PAGE_SIZE_BYTES, RW));
    note("msync from an odd place", one.sync(10, 10));
    note("munmap a part of a page", one.unmap_part(0, 10));
    note("msync of what is not mapped", one.sync(0, PAGE_SIZE_BYTES));
    Some(())
}

fn syncs() -> Option<()> {
    let file = file_of("synced", 16 * PAGE_SIZE_BYTES)?;
    note("cut", file.set_len(0));
    note("lengthen", file.set_len(16 * PAGE));
    note("fsync", file.sync_all());
    note("sync of the directory", guest::sync_directory("/"));
    let one = map(&file, 0, 16, RW)?;
    one.store(5 * PAGE_SIZE_BYTES, b"data in a hole");
    note("stat", file.metadata());
    note("msync", one.sync(5 * PAGE_SIZE_BYTES, PAGE_SIZE_BYTES));
    note("stat", file.metadata());
    for (page, step) in [(1, "msync async"), (2, "msync invalidate"), (3, "msync")] {
        one.store(page * PAGE_SIZE_BYTES + 11, &pattern(b'0', 1000));
        let at = page * PAGE_SIZE_BYTES;
        match page {
            1 => note(step, one.sync_some_day(at, PAGE_SIZE_BYTES)),
            2 => note(step, one.sync_and_invalidate(at, PAGE_SIZE_BYTES)),
            _ => note(step, one.sync(at, 100)),
        };
    }
    note("fdatasync", abi::sync_data(&file));
    one.store(8 * PAGE_SIZE_BYTES - 4, b"two pages");
    note("fsync by another descriptor", File::open("synced").and_then(|file| file.sync_all()));
    one.store(9 * PAGE_SIZE_BYTES, b"and all files");
    note("syncfs", file::sync_all_files(&file));
    agree(&file, &one, 0, 16 * PAGE_SIZE_BYTES);
    note("munmap", one.unmap())
}

/// Asks for holes around what is only in the mapping.
fn holes() -> Option<()> {
    let file = file_of("sparse", 0)?;
    note("lengthen", file.set_len(16 * PAGE));
    let one = map(&file, 0, 16, RW)?;
    note("where is data", file::seek_data(&file, 0));
    one.store(5 * PAGE_SIZE_BYTES, b"data in a hole");
    for from in [0, 5 * PAGE + 1, 9 * PAGE] {
        note("where is data", file::seek_data(&file, from));
        note("where is a hole", file::seek_hole(&file, from));
    }
    note("munmap", one.unmap())
}

/// Ends with a signal, or says that it did not.
fn ends(how: &str) -> Option<()> {
    let file = file_of("signal", 5000)?;
    let one = map(&file, 0, 3, if how.starts_with("segv") { Access::READ } else { RW })?;
    println!("{how}");
    match how {
        "bus-store" => one.store(2 * PAGE_SIZE_BYTES, b"beyond"),
        "bus-load" => println!("{:?}", one.bytes(2 * PAGE_SIZE_BYTES, 1)),
        "segv-store" => one.store(100, b"read-only"),
        "segv-load" => {
            note("mprotect", one.protect(0, PAGE_SIZE_BYTES, Access::NONE));
            println!("{:?}", one.bytes(0, 1));
        }
        _ => guest::give_up("posix_mapping", &"give bus-store, bus-load, segv-store or segv-load"),
    }
    println!("no signal");
    Some(())
}

fn main() {
    if let Some(how) = std::env::args().nth(1) {
        if (if how == "holes" { holes() } else { ends(&how) }).is_none() {
            println!("it stopped");
        }
        return;
    }
    let parts = [
        views,
        buffers,
        beyond_the_end,
        truncation,
        private,
        unmapping,
        without_a_name,
        protection,
        refusals,
        syncs,
    ];
    for part in parts {
        if part().is_none() {
            println!("a part stopped");
        }
    }
    note("sync of the directory", guest::sync_directory("/"));
}

//! Holes and space: every way to ask for data and holes, every mode of fallocate, and what a read
//! shows afterwards.
//!
//! 1. Searches in files that are empty, all hole, sparse, full; from the end and beyond it.
//!    [SEEK-01 to SEEK-04]
//! 2. Searches right after writes, stores in a mapping, truncations, syncs, without caches.
//!    [SEEK-02, SEEK-05 to SEEK-07]
//! 3. Allocates, with and without a new size, then writes into what was allocated. [FALLOC-01,
//!    FALLOC-02, FALLOC-05]
//! 4. Punches holes and zeroes ranges: whole blocks, parts of them, beyond the end, under a
//!    mapping. [FALLOC-03]
//! 5. Collapses and inserts ranges. [FALLOC-04]
//! 6. Calls that must fail: odd offsets, ranges beyond the end, lengths of 0, files open to be
//!    read.
//! 7. Syncs each file, and punches once more, with a sync after it. [DUR-FSYNC-01]
//!
//! Where the memory of a mapping holds other bytes than a read of the file returns, the program
//! ends with a trap.

use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guest::mapping::PAGE_SIZE_BYTES;
use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::create;
use crashproof_guests::note;
use std::fs::File;

const PAGE: u64 = PAGE_SIZE_BYTES as u64;

/// A file of so many pages, of which page N is full of the Nth letter.
fn filled(name: &str, page_count: u8) -> Option<File> {
    let file = create(name)?;
    for page in 0..page_count {
        let bytes = [b'a' + page; PAGE_SIZE_BYTES];
        note("fill", abi::write_all_at(&file, &bytes, u64::from(page) * PAGE))?;
    }
    Some(file)
}

/// Reads all of it.
fn look(file: &File) {
    let mut bytes = vec![0; 20 * PAGE_SIZE_BYTES];
    note("read", abi::read_full_at(file, &mut bytes, 0));
    note("stat", file.metadata());
}

/// Asks for data and holes from a few places on.
fn search(file: &File, offsets: &[u64]) {
    for &offset in offsets {
        note("where is data", file::seek_data(file, offset));
        note("where is a hole", file::seek_hole(file, offset));
    }
}

fn searches() -> Option<()> {
    let empty = create("empty")?;
    search(&empty, &[0, 1, PAGE]);
    let hole = create("hole")?;
    note("lengthen", hole.set_len(9 * PAGE + 100));
    search(&hole, &[0, 5, 9 * PAGE, 9 * PAGE + 99, 9 * PAGE + 100, 1 << 40]);
    let full = filled("full", 3)?;
    search(&full, &[0, PAGE - 1, 3 * PAGE - 1, 3 * PAGE]);
    let sparse = create("sparse")?;
    note("lengthen", sparse.set_len(12 * PAGE));
    note("write a byte", abi::write_all_at(&sparse, b"x", 4 * PAGE + 7));
    search(&sparse, &[0, 4 * PAGE, 4 * PAGE + 8, 5 * PAGE, 11 * PAGE]);
    note("fsync", sparse.sync_all());
    search(&sparse, &[0, 4 * PAGE, 5 * PAGE]);
    note("drop caches", machine::drop_caches());
    search(&sparse, &[0, 4 * PAGE, 5 * PAGE]);
    note("write more", abi::write_all_at(&sparse, b"y", 8 * PAGE));
    search(&sparse, &[0, 5 * PAGE, 8 * PAGE + 1]);
    note("cut", sparse.set_len(4 * PAGE + 8));
    search(&sparse, &[0, 4 * PAGE, 4 * PAGE + 8]);
    note("begin writeback", file::write_range_back(&sparse, 0, 0));
    search(&sparse, &[0, 4 * PAGE]);
    look(&sparse);
    Some(())
}

fn mapped_searches() -> Option<()> {
    let file = create("mapped")?;
    note("lengthen", file.set_len(16 * PAGE));
    note("fsync", file.sync_all());
    let access = Access::READ_WRITE;
    let mapping = note("mmap", Mapping::shared(&file, 0, 16 * PAGE_SIZE_BYTES, access))?;
    for page in [5, 9, 2] {
        mapping.fill(page * PAGE_SIZE_BYTES + 100, 200, b'm');
        search(&file, &[0, 5 * PAGE + 1, 10 * PAGE]);
    }
    note("begin writeback", file::write_range_back(&file, 0, 0));
    mapping.fill(12 * PAGE_SIZE_BYTES, 10, b'n');
    search(&file, &[0, 10 * PAGE]);
    note("punch a stored page", file::fallocate(&file, PUNCH, 5 * PAGE, PAGE));
    search(&file, &[3 * PAGE]);
    let mut read = vec![0; 16 * PAGE_SIZE_BYTES];
    if let Some(count) = note("read", abi::read_full_at(&file, &mut read, 0)) {
        assert!(mapping.bytes(0, count) == read[..count], "memory and file differ");
    }
    note("munmap", mapping.unmap())?;
    search(&file, &[0, 5 * PAGE, 10 * PAGE]);
    note("drop caches", machine::drop_caches());
    search(&file, &[0, 5 * PAGE, 10 * PAGE]);
    look(&file);
    Some(())
}

const PUNCH: i32 = file::PUNCH_HOLE | file::KEEP_SIZE;

fn allocations() -> Option<()> {
    let file = filled("allocated", 2)?;
    note("allocate, longer", file::fallocate(&file, 0, PAGE, 3 * PAGE));
    look(&file);
    note("allocate, as long", file::fallocate(&file, file::KEEP_SIZE, 4 * PAGE, 4 * PAGE));
    look(&file);
    search(&file, &[0, 2 * PAGE, 4 * PAGE]);
    note("write into it", abi::write_all_at(&file, b"inside", 3 * PAGE - 3));
    note("write beyond the end", abi::write_all_at(&file, b"beyond", 6 * PAGE + 10));
    search(&file, &[0, 2 * PAGE, 4 * PAGE, 7 * PAGE]);
    note("fsync", file.sync_all());
    note("drop caches", machine::drop_caches());
    look(&file);
    let beyond = create("beyond")?;
    note("allocate", file::fallocate(&beyond, file::KEEP_SIZE, 0, 3 * PAGE));
    note("fsync", beyond.sync_all());
    look(&beyond);
    note("write", abi::write_all_at(&beyond, b"later", PAGE));
    note("fdatasync", abi::sync_data(&beyond));
    look(&beyond);
    Some(())
}

fn punches() -> Option<()> {
    let file = filled("punched", 8)?;
    note("fsync", file.sync_all());
    for (offset, size_bytes) in
        [(PAGE, PAGE), (3 * PAGE + 100, 50), (4 * PAGE - 10, PAGE + 20), (7 * PAGE + 9, 9 * PAGE)]
    {
        note("punch", file::fallocate(&file, PUNCH, offset, size_bytes));
        look(&file);
    }
    search(&file, &[0, PAGE, 4 * PAGE, 7 * PAGE]);
    note("write into a hole", abi::write_all_at(&file, b"filled", PAGE + 10));
    note("drop caches", machine::drop_caches());
    look(&file);
    let zeroed = filled("zeroed", 4)?;
    note("zero a part", file::fallocate(&zeroed, file::ZERO_RANGE, 100, 2 * PAGE));
    look(&zeroed);
    let keeping = file::ZERO_RANGE | file::KEEP_SIZE;
    note("zero over the end", file::fallocate(&zeroed, keeping, 3 * PAGE + 9, 3 * PAGE));
    look(&zeroed);
    note("zero beyond the end", file::fallocate(&zeroed, file::ZERO_RANGE, 5 * PAGE, 100));
    look(&zeroed);
    note("fsync", zeroed.sync_all());
    Some(())
}

fn moves() -> Option<()> {
    let file = filled("moved", 8)?;
    note("collapse", file::fallocate(&file, file::COLLAPSE_RANGE, PAGE, 2 * PAGE));
    look(&file);
    note("insert", file::fallocate(&file, file::INSERT_RANGE, 3 * PAGE, PAGE));
    look(&file);
    note("insert at the start", file::fallocate(&file, file::INSERT_RANGE, 0, PAGE));
    note("write into it", abi::write_all_at(&file, b"at the start", 5));
    note("fsync", file.sync_all());
    note("collapse the start", file::fallocate(&file, file::COLLAPSE_RANGE, 0, PAGE));
    note("cut", file.set_len(4 * PAGE + 77));
    note("insert before an odd end", file::fallocate(&file, file::INSERT_RANGE, 2 * PAGE, PAGE));
    look(&file);
    note("drop caches", machine::drop_caches());
    look(&file);
    note("fsync", file.sync_all());
    Some(())
}

fn refusals() -> Option<()> {
    let file = filled("refused", 3)?;
    note("a length of 0", file::fallocate(&file, 0, 0, 0));
    note("punch of nothing", file::fallocate(&file, PUNCH, 0, 0));
    note("collapse of a part", file::fallocate(&file, file::COLLAPSE_RANGE, 10, PAGE));
    note("collapse up to the end", file::fallocate(&file, file::COLLAPSE_RANGE, PAGE, 2 * PAGE));
    note("insert at an odd place", file::fallocate(&file, file::INSERT_RANGE, 10, PAGE));
    note("insert at the end", file::fallocate(&file, file::INSERT_RANGE, 3 * PAGE, PAGE));
    note("beyond any file", file::fallocate(&file, 0, i64::MAX as u64 - 10, 100));
    let readable = note("open to be read", File::open("refused"))?;
    note("allocate", file::fallocate(&readable, 0, 0, PAGE));
    note("punch", file::fallocate(&readable, PUNCH, 0, PAGE));
    look(&file);
    Some(())
}

fn syncs() -> Option<()> {
    for name in ["sparse", "mapped", "punched", "refused"] {
        let mut options = File::options();
        let file = note(name, options.read(true).write(true).open(name))?;
        note("fsync", file.sync_all());
        note("punch", file::fallocate(&file, PUNCH, 2 * PAGE, PAGE));
        note("fsync", file.sync_all());
    }
    note("sync of the directory", guest::sync_directory("/"))
}

fn main() {
    for part in [searches, mapped_searches, allocations, punches, moves, refusals, syncs] {
        if part().is_none() {
            println!("a part stopped");
        }
    }
}

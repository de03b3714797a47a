//! A device that is full until overwritten blocks are free again: what waits for them, and what
//! must not be lost meanwhile.

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::cache::WriteShortage;
use crate::call::Answer;
use crate::call::HandleId;
use crate::call::MappingId;
use crate::call::Memory;
use crate::call::Request;
use crate::call::Signal;
use crate::call::Value;
use crate::device::Geometry;
use crate::sim::Sim;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::World;
use crate::vfs::tests::formatted;

const PAGE: u64 = BLOCK as u64;
const PAGES: u64 = 40;

/// A world with a durable file of so many pages, on so many blocks.
fn world(block_count: u64, pages: u64, write_shortage: WriteShortage) -> (World, HandleId) {
    let geometry = Geometry { block_size_bytes: BLOCK as u32, block_count };
    let cache = CachePolicy { write_shortage, ..CachePolicy::default() };
    let world = World::with(formatted(geometry), Sim::calm(), VfsPolicy::default(), cache);
    let handle = world.file("f", &vec![b'.'; pages as usize * BLOCK]);
    assert_eq!(world.fsync(handle), Ok(()));
    (world, handle)
}

fn store(world: &World, mapping: MappingId, offset: u64, data: &'static [u8]) -> Answer {
    let data = Bytes::from_static(data);
    world.call(Request::Memory(Memory::Store { mapping, offset, data }))
}

/// Stores into each page and makes that durable, then writes `len` bytes into each page; answers
/// what is wrong in the end.
fn damage(block_count: u64, len: u64, write_shortage: WriteShortage) -> usize {
    let (world, handle) = world(block_count, PAGES, write_shortage);
    let mapping = world.map(handle, PAGES * PAGE);
    let mut expected = vec![b'.'; PAGES as usize * BLOCK];
    for page in 0..PAGES {
        assert_eq!(store(&world, mapping, page * PAGE + 1, b"s"), Ok(Value::Done));
        expected[page as usize * BLOCK + 1] = b's';
    }
    assert_eq!(world.msync(mapping, 0, PAGES * PAGE), Ok(()));
    for page in 0..PAGES {
        let data = vec![b'w'; len as usize];
        assert_eq!(world.write(handle, page * PAGE, &data), Ok(len as u32), "space comes back");
        expected[page as usize * BLOCK..][..len as usize].fill(b'w');
    }
    assert_eq!(world.fsync(handle), Ok(()));
    let after = World::of(world.disk.durable_image());
    let found = [world.content("f"), after.content("f")];
    let differs = |content: &Bytes| content.iter().zip(&expected).filter(|(a, b)| a != b).count();
    found.iter().map(|content| content.as_ref().map_or(usize::MAX, differs)).max().unwrap_or(0)
}

#[test]
fn a_write_that_waited_for_space_changes_nothing_but_its_bytes() {
    assert_eq!(damage(80, 1, WriteShortage::KeepsPages), 0);
}

#[test]
fn pages_that_count_as_not_read_are_zeroed_where_space_is_short_and_only_there() {
    let clears = WriteShortage::ClearsUptodate;
    assert!(damage(80, 1, clears) > 0, "D-07");
    assert_eq!(damage(512, 1, clears), 0, "D-07 with space to spare");
    assert_eq!(damage(80, PAGE, clears), 0, "D-07 with writes of whole pages");
}

#[test]
fn a_store_to_two_pages_ends_where_there_is_space_for_one() {
    let mut signals = 0;
    for pages in 2..40 {
        let (world, handle) = world(48, 2, WriteShortage::KeepsPages);
        // What is left of the device is filled, page by page, but not quite.
        let filler = world.file("g", b"");
        for page in 0..pages {
            let _ = world.write(filler, page * PAGE, &[b'g'; BLOCK]);
        }
        let _ = world.fsync(filler);
        let mapping = world.map(handle, 2 * PAGE);
        match store(&world, mapping, PAGE - 1, b"ss") {
            Ok(Value::Done) => {
                assert_eq!(world.read(handle, PAGE - 1, 2).as_deref(), Ok(&b"ss"[..]));
            }
            Ok(Value::Signal(Signal::Bus)) => {
                signals += 1;
                assert_eq!(world.read(handle, PAGE - 1, 2).as_deref(), Ok(&b".."[..]));
            }
            other => panic!("a store is done or a signal, not {other:?}"),
        }
    }
    assert!(signals > 0, "the device is full at some time");
}

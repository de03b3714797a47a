//! A device that is full until overwritten blocks are free again, and what waits for them.

use bytes::Bytes;

use crate::cache::CachePolicy;
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

#[test]
fn a_store_to_two_pages_ends_where_there_is_space_for_one() {
    let geometry = Geometry { block_size_bytes: BLOCK as u32, block_count: 48 };
    let mut signals = 0;
    for pages in 2..40 {
        let cache = CachePolicy::default();
        let world = World::with(formatted(geometry), Sim::calm(), VfsPolicy::default(), cache);
        let handle = world.file("f", &[b'.'; 2 * BLOCK]);
        assert_eq!(world.fsync(handle), Ok(()));
        // What is left of the device is filled, page by page, but not quite.
        let filler = world.file("g", b"");
        for page in 0..pages {
            let _ = world.write(filler, page * PAGE, &[b'g'; BLOCK]);
        }
        let _ = world.fsync(filler);
        let mapping = world.map(handle, 2 * PAGE);
        let data = Bytes::from_static(b"ss");
        match world.call(Request::Memory(Memory::Store { mapping, offset: PAGE - 1, data })) {
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

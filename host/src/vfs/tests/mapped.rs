//! Mapped memory, one process at a time.

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::call::Access;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::MappingId;
use crate::call::Memory;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Sharing;
use crate::call::Signal;
use crate::call::Value;
use crate::call::Vfs;
use crate::device::Geometry;
use crate::sim::Sim;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::DIRECTORY;
use crate::vfs::tests::EDIT;
use crate::vfs::tests::READ;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::formatted;

pub(super) const RW: Access = Access { read: true, write: true };
const RO: Access = Access { read: true, write: false };
const PAGE: u64 = BLOCK as u64;

impl World {
    pub(super) fn map_as(
        &self,
        handle: HandleId,
        offset: u64,
        len: u64,
        access: Access,
        sharing: Sharing,
    ) -> Result<MappingId, Errno> {
        let asked = Memory::Map { handle, offset, len, access, sharing };
        let Value::Mapping(mapping) = self.call(Request::Memory(asked))? else {
            panic!("mmap answers a mapping")
        };
        Ok(mapping)
    }

    pub(super) fn map(&self, handle: HandleId, len: u64) -> MappingId {
        self.map_as(handle, 0, len, RW, Sharing::Shared).expect("the file can be mapped")
    }

    pub(super) fn store(&self, mapping: MappingId, offset: u64, data: &[u8]) -> Result<(), Signal> {
        let data = Bytes::copy_from_slice(data);
        match self.call(Request::Memory(Memory::Store { mapping, offset, data })) {
            Ok(Value::Done) => Ok(()),
            Ok(Value::Signal(signal)) => Err(signal),
            other => panic!("a store answers a signal or nothing, not {other:?}"),
        }
    }

    pub(super) fn load(&self, mapping: MappingId, offset: u64, len: u32) -> Result<Bytes, Signal> {
        match self.call(Request::Memory(Memory::Load { mapping, offset, len })) {
            Ok(Value::Data(data)) => Ok(data),
            Ok(Value::Signal(signal)) => Err(signal),
            other => panic!("a load answers a signal or data, not {other:?}"),
        }
    }

    fn unmap(&self, mapping: MappingId, offset: u64, len: u64) -> Result<(), Errno> {
        self.done(Request::Memory(Memory::Unmap { mapping, offset, len }))
    }

    fn protect(&self, mapping: MappingId, offset: u64, access: Access) -> Result<(), Errno> {
        let asked = Memory::Protect { mapping, offset, len: PAGE, access };
        self.done(Request::Memory(asked))
    }

    pub(super) fn msync(&self, mapping: MappingId, offset: u64, len: u64) -> Result<(), Errno> {
        let (wait, invalidate) = (true, false);
        let asked = Memory::SyncMapping { mapping, offset, len, wait, invalidate };
        self.done(Request::Memory(asked))
    }

    fn stale(&self) -> Vec<(u64, u64)> {
        let stale = self.vfs.take_stale(ProcessId(self.process));
        stale.into_iter().map(|(_, range)| (range.start, range.end)).collect()
    }

    fn drop_caches(&self) {
        assert_eq!(self.done(Request::Manage(Manage::DropCaches)), Ok(()));
    }
}

#[test]
fn stores_and_writes_are_seen_by_reads_and_every_mapping_at_once() {
    let world = World::new();
    let handle = world.file("f", &[b'.'; 3 * BLOCK]);
    let (one, two) = (world.map(handle, 3 * PAGE), world.map(handle, 3 * PAGE));
    assert_eq!(world.store(one, 700, b"store"), Ok(()));
    assert_eq!(world.read(handle, 699, 7).as_deref(), Ok(&b".store."[..]));
    assert_eq!(world.load(two, 699, 7).as_deref(), Ok(&b".store."[..]));
    assert_eq!(world.write(handle, 702, b"WRITE"), Ok(5));
    assert_eq!(world.load(one, 699, 9).as_deref(), Ok(&b".stWRITE."[..]));
    // Across two blocks: all at one moment.
    assert_eq!(world.store(two, PAGE - 2, b"abcd"), Ok(()));
    assert_eq!(world.load(one, PAGE - 3, 6).as_deref(), Ok(&b".abcd."[..]));
}

#[test]
fn what_was_stored_outlives_the_mapping_the_handle_the_cache_and_the_machine() {
    let world = World::new();
    let handle = world.file("f", &[0; 2 * BLOCK]);
    let mapping = world.map(handle, 2 * PAGE);
    world.close(handle);
    assert_eq!(world.store(mapping, 5, b"first"), Ok(()));
    assert_eq!(world.unmap(mapping, 0, PAGE), Ok(()));
    assert_eq!(world.store(mapping, 5, b"x"), Err(Signal::Segv));
    assert_eq!(world.store(mapping, PAGE, b"second"), Ok(()));
    assert_eq!(world.unmap(mapping, PAGE, 1), Ok(()));
    assert_eq!(world.load(mapping, PAGE, 1), Err(Signal::Segv));
    world.flush();
    world.drop_caches();
    let world = world.remounted();
    let content = world.content("f").expect("it is there");
    assert_eq!(&content[5..10], b"first");
    assert_eq!(&content[BLOCK..BLOCK + 6], b"second");
}

#[test]
fn a_mapping_keeps_its_file_and_the_end_of_the_process_lets_it_go() {
    let world = World { process: 1, ..World::new() };
    let handle = world.file("f", b"alive");
    let mapping = world.map(handle, PAGE);
    world.close(handle);
    assert_eq!(world.unlink("f"), Ok(()));
    assert_eq!(world.load(mapping, 0, 5).as_deref(), Ok(&b"alive"[..]));
    assert_eq!(world.sim.block_on(world.vfs.end_process(ProcessId(1))), Ok(Ok(Value::Done)));
    assert_eq!(world.load(mapping, 0, 5), Err(Signal::Segv));
    let orphans = world.sim.block_on(world.vfs.cow().orphans());
    assert_eq!(orphans, Ok(Vec::new()), "V-2");
}

#[test]
fn msync_makes_its_range_durable_and_a_sync_of_any_kind_all_of_it() {
    for way in 0..4 {
        let world = World::new();
        let handle = world.file("f", &[b'.'; 2 * BLOCK]);
        assert_eq!(world.done(Request::SyncAll), Ok(()));
        let mapping = world.map(handle, 2 * PAGE);
        assert_eq!(world.store(mapping, 3, b"A"), Ok(()));
        assert_eq!(world.store(mapping, PAGE + 3, b"B"), Ok(()));
        let synced = match way {
            0 => world.msync(mapping, PAGE, PAGE),
            1 => world.fsync(handle),
            2 => world.done(Request::Fdatasync { handle }),
            _ => world.done(Request::SyncAll),
        };
        assert_eq!(synced, Ok(()));
        let after = World::of(world.disk.durable_image());
        let content = after.content("f").expect("it is there");
        assert_eq!(content[BLOCK + 3], b'B');
        assert_eq!(content[3] == b'A', way > 0, "msync covers its range alone");
        // What was written back is write-protected: the next store is not forgotten.
        assert_eq!(world.store(mapping, PAGE + 4, b"C"), Ok(()));
        assert_eq!(world.msync(mapping, 0, 2 * PAGE), Ok(()));
        let after = World::of(world.disk.durable_image());
        assert_eq!(after.content("f").map(|content| content[BLOCK + 4]), Ok(b'C'));
    }
}

#[test]
fn a_page_beyond_the_end_raises_the_bus_error_and_the_last_page_ends_in_zeros() {
    let world = World::new();
    let handle = world.file("f", b"end");
    let mapping = world.map(handle, 3 * PAGE);
    assert_eq!(world.load(mapping, 0, 6).as_deref(), Ok(&b"end\0\0\0"[..]));
    assert_eq!(world.store(mapping, PAGE, b"x"), Err(Signal::Bus));
    assert_eq!(world.load(mapping, PAGE - 1, 2), Err(Signal::Bus));
    // Beyond the end, in the last page: in memory, and nowhere else.
    assert_eq!(world.store(mapping, 4, b"scribble"), Ok(()));
    assert_eq!(world.load(mapping, 2, 4).as_deref(), Ok(&b"d\0sc"[..]));
    assert_eq!(world.stat("f").map(|stat| stat.size_bytes), Ok(3));
    assert_eq!(world.fsync(handle), Ok(()));
    for way in 0..3 {
        assert_eq!(world.store(mapping, 300, b"scribble"), Ok(()));
        assert_eq!(
            match way {
                0 => world.truncate(handle, 600),
                1 => world.write(handle, 599, b"x").map(drop),
                _ => world.write(handle, 310, b"x").map(drop),
            },
            Ok(())
        );
        assert_eq!(world.read(handle, 3, 307).as_deref(), Ok(&[0; 307][..]), "MAP-07");
        assert_eq!(world.truncate(handle, 3), Ok(()));
    }
    world.drop_caches();
    assert_eq!(world.content("f").as_deref(), Ok(&b"end"[..]));
}

#[test]
fn truncating_takes_pages_away_and_growing_brings_zeros() {
    let world = World::new();
    let handle = world.file("f", &[b'.'; 3 * BLOCK]);
    let mapping = world.map(handle, 3 * PAGE);
    assert_eq!(world.store(mapping, 2 * PAGE, b"far"), Ok(()));
    assert_eq!(world.store(mapping, 10, b"near"), Ok(()));
    assert_eq!(world.truncate(handle, 12), Ok(()));
    assert_eq!(world.store(mapping, 2 * PAGE, b"far"), Err(Signal::Bus));
    assert_eq!(world.truncate(handle, 3 * PAGE), Ok(()));
    assert_eq!(world.load(mapping, 9, 5).as_deref(), Ok(&b".ne\0\0"[..]));
    assert_eq!(world.load(mapping, 2 * PAGE, 3).as_deref(), Ok(&b"\0\0\0"[..]), "MAP-13");
    assert_eq!(world.store(mapping, 2 * PAGE, b"new"), Ok(()));
    let world = world.remounted();
    let content = world.content("f").expect("it is there");
    assert_eq!((&content[10..12], &content[2 * BLOCK..2 * BLOCK + 3]), (&b"ne"[..], &b"new"[..]));
}

#[test]
fn what_was_stored_beyond_the_end_goes_with_its_page_and_the_process_is_told() {
    let world = World::new();
    let handle = world.file("f", &[b'.'; 100]);
    let mapping = world.map(handle, PAGE);
    assert_eq!(world.store(mapping, 98, b"in, out"), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
    let _ = world.stale();
    world.drop_caches();
    assert_eq!(world.stale(), [(100, PAGE)], "or growth would show what is in no page [MAP-07]");
    assert_eq!(world.truncate(handle, PAGE), Ok(()));
    assert_eq!(world.load(mapping, 98, 7).as_deref(), Ok(&b"in\0\0\0\0\0"[..]));
}

#[test]
fn private_stores_stay_private() {
    let world = World::new();
    let handle = world.file("f", &[b'.'; 2 * BLOCK]);
    let reader = world.open("f", READ).expect("it is there");
    let private =
        world.map_as(reader, 0, 2 * PAGE, RW, Sharing::Private).expect("reading is enough");
    let shared = world.map(handle, 2 * PAGE);
    assert_eq!(world.store(private, 1, b"mine"), Ok(()));
    assert_eq!(world.store(shared, 1, b"ours"), Ok(()));
    assert_eq!(world.store(shared, PAGE, b"ours"), Ok(()));
    assert_eq!(world.load(private, 0, 6).as_deref(), Ok(&b".mine."[..]));
    assert_eq!(world.load(private, PAGE, 4).as_deref(), Ok(&b"ours"[..]), "not copied yet");
    world.drop_caches();
    assert_eq!(world.read(handle, 0, 6).as_deref(), Ok(&b".ours."[..]), "MAP-06");
}

#[test]
fn access_is_checked_when_mapping_protecting_loading_and_storing() {
    let world = World::new();
    let handle = world.file("f", &[b'.'; 2 * BLOCK]);
    let reader = world.open("f", READ).expect("it is there");
    let directory = world.open(".", DIRECTORY).expect("it is there");
    let shared = Sharing::Shared;
    assert_eq!(world.map_as(reader, 0, PAGE, RW, shared), Err(Errno::Access));
    assert_eq!(world.map_as(directory, 0, PAGE, RO, shared), Err(Errno::NoDevice));
    assert_eq!(world.map_as(HandleId(999), 0, PAGE, RO, shared), Err(Errno::BadFile));
    assert_eq!(world.map_as(handle, 1, PAGE, RO, shared), Err(Errno::Invalid));
    assert_eq!(world.map_as(handle, 0, 0, RO, shared), Err(Errno::Invalid));
    assert_eq!(world.map_as(handle, 0, FILE_SIZE_BYTES_MAX + 1, RO, shared), Err(Errno::Overflow));
    let writer = world.open("f", crate::call::OpenOptions { read: false, ..EDIT });
    let writer = writer.expect("it is there");
    assert_eq!(world.map_as(writer, 0, PAGE, RO, shared), Err(Errno::Access));
    let mapping = world.map_as(reader, 0, 2 * PAGE, RO, shared).expect("reading is enough");
    assert_eq!(world.store(mapping, 0, b"x"), Err(Signal::Segv));
    assert_eq!(world.protect(mapping, 0, RW), Err(Errno::Access));
    assert_eq!(world.protect(mapping, 4 * PAGE, RO), Err(Errno::NoMemory));
    let mapping = world.map(handle, 2 * PAGE);
    assert_eq!(world.store(mapping, 0, b"x"), Ok(()));
    assert_eq!(world.protect(mapping, 0, RO), Ok(()));
    assert_eq!(world.store(mapping, 0, b"y"), Err(Signal::Segv));
    assert_eq!(world.store(mapping, PAGE, b"y"), Ok(()));
    assert_eq!(world.protect(mapping, 0, RW), Ok(()));
    assert_eq!(world.store(mapping, 0, b"z"), Ok(()));
    assert_eq!(world.protect(mapping, 0, Access::default()), Ok(()));
    assert_eq!(world.load(mapping, 0, 1), Err(Signal::Segv));
    assert_eq!(world.msync(mapping, 4 * PAGE, PAGE), Err(Errno::NoMemory));
    assert_eq!(world.msync(mapping, 1, PAGE), Err(Errno::Invalid));
    assert_eq!(world.load(MappingId(999), 0, 1), Err(Signal::Segv));
    assert_eq!(world.content("f").map(|content| content.slice(..1)).as_deref(), Ok(&b"z"[..]));
}

#[test]
fn stale_is_what_others_changed_and_a_new_mapping_where_there_is_data() {
    let world = World::new();
    let handle = world.open("f", CREATE).expect("it can be made");
    let far = 1 << 30;
    assert_eq!(world.write(handle, 2 * PAGE, b"data"), Ok(4));
    assert_eq!(world.fsync(handle), Ok(()));
    world.drop_caches();
    assert_eq!(world.write(handle, far - 1, b"x"), Ok(1));
    let one = world.map(handle, far);
    assert_eq!(world.stale(), [(2 * PAGE, 3 * PAGE), (far - PAGE, far)]);
    assert_eq!(world.stale(), []);
    assert_eq!(world.store(one, 40, b"own"), Ok(()));
    assert_eq!(world.stale(), [], "its own stores it has");
    let two = world.map_as(handle, PAGE, 2 * PAGE, RW, Sharing::Shared).expect("it can be mapped");
    assert_eq!(world.stale(), [(PAGE, 2 * PAGE)], "what is mapped, where there is data");
    assert_eq!(world.write(handle, PAGE - 2, b"both"), Ok(4));
    assert_eq!(world.stale(), [(PAGE - 2, PAGE + 2), (0, 2)]);
    assert_eq!(world.store(two, 7, b"x"), Ok(()));
    assert_eq!(world.stale(), [(PAGE + 7, PAGE + 8)]);
    // What is cut is stale when it is there again, and costs what there was.
    assert_eq!(world.truncate(handle, PAGE + 3), Ok(()));
    assert_eq!(world.stale(), [(PAGE + 3, 2 * PAGE), (3, PAGE)]);
    assert_eq!(world.truncate(handle, far), Ok(()));
    assert_eq!(world.stale(), [(2 * PAGE, 3 * PAGE), (far - PAGE, far), (PAGE, 2 * PAGE)]);
    assert_eq!(world.vfs.take_stale(ProcessId(7)), []);
}

#[test]
fn what_cannot_be_loaded_is_told_when_it_changed() {
    let world = World::new();
    let barred = || {
        let told = world.vfs.take_barred(ProcessId(world.process))?;
        Some(told.into_iter().map(|(_, range)| (range.start, range.end)).collect::<Vec<_>>())
    };
    assert_eq!(barred(), None, "nothing is mapped");
    let handle = world.file("f", &[b'.'; BLOCK + 1]);
    let one = world.map(handle, 8 * PAGE);
    assert_eq!(barred(), Some(vec![(2 * PAGE, 8 * PAGE)]));
    assert_eq!(barred(), None);
    assert_eq!(world.write(handle, PAGE + 1, b"same page"), Ok(9));
    assert_eq!(world.store(one, 0, b"x"), Ok(()));
    assert_eq!(barred(), None, "the end moved within its page");
    assert_eq!(world.write(handle, 2 * PAGE, b"x"), Ok(1));
    assert_eq!(barred(), Some(vec![(3 * PAGE, 8 * PAGE)]));
    let far = world.map_as(handle, 4 * PAGE, 2 * PAGE, RW, Sharing::Private);
    let far = far.expect("it can be mapped");
    assert_eq!(barred(), Some(vec![(3 * PAGE, 8 * PAGE), (0, 2 * PAGE)]));
    assert_eq!(world.truncate(handle, 9 * PAGE), Ok(()));
    assert_eq!(barred(), Some(vec![]));
    assert_eq!(world.truncate(handle, 8 * PAGE), Ok(()));
    assert_eq!(barred(), None, "it ends where what is mapped does");
    assert_eq!(world.protect(one, 0, Access::default()), Ok(()));
    assert_eq!(barred(), Some(vec![(0, PAGE)]));
    assert_eq!(world.truncate(handle, 0), Ok(()));
    assert_eq!(barred(), Some(vec![(0, 8 * PAGE), (0, 2 * PAGE)]));
    assert_eq!(world.unmap(one, PAGE, PAGE), Ok(()));
    assert_eq!(barred(), Some(vec![(0, PAGE), (2 * PAGE, 8 * PAGE), (0, 2 * PAGE)]));
    assert_eq!(world.unmap(far, 0, 2 * PAGE), Ok(()));
    assert_eq!(barred(), None, "what is gone is not told");
}

#[test]
fn dirty_pages_of_a_mapping_are_not_evicted_and_the_cache_keeps_its_bound() {
    let cache = CachePolicy { cached_bytes_max: 3 * PAGE, ..CachePolicy::default() };
    let world = World::with(formatted(TINY), Sim::calm(), VfsPolicy::default(), cache);
    let handle = world.open("f", CREATE).expect("it can be made");
    assert_eq!(world.truncate(handle, 16 * PAGE), Ok(()));
    let mapping = world.map(handle, 16 * PAGE);
    for round in 0..3 {
        for page in 0..16 {
            let byte = [page as u8 + 16 * round];
            assert_eq!(world.store(mapping, page * PAGE + 1, &byte), Ok(()));
            world.vfs.evict_all();
        }
    }
    for page in 0..16 {
        let expected = Bytes::from(vec![0, page as u8 + 32]);
        assert_eq!(world.load(mapping, page * PAGE, 2), Ok(expected));
    }
    let world = world.remounted();
    let content = world.content("f").expect("it is there");
    assert!((0..16).all(|page| content[page * BLOCK + 1] == page as u8 + 32), "MAP-05");
}

#[test]
fn a_store_without_space_raises_the_bus_error_and_others_are_kept() {
    let geometry = Geometry { block_size_bytes: BLOCK as u32, block_count: 96 };
    let world = World::of(formatted(geometry));
    let handle = world.open("f", CREATE).expect("it can be made");
    let len = 128 * PAGE;
    assert_eq!(world.truncate(handle, len), Ok(()));
    let mapping = world.map(handle, len);
    let stored: Vec<bool> =
        (0..128).map(|page| world.store(mapping, page * PAGE, b"x").is_ok()).collect();
    let count = stored.iter().filter(|is_stored| **is_stored).count();
    assert!(count > 8 && count < 128, "MAP-11: {count}");
    assert_eq!(world.store(mapping, 127 * PAGE, b"x"), Err(Signal::Bus));
    assert_eq!(world.fsync(handle), Ok(()));
    let after = World::of(world.disk.durable_image());
    let content = after.content("f").expect("it is there");
    let kept: Vec<bool> = (0..128).map(|page| content[page * BLOCK] == b'x').collect();
    assert_eq!(kept, stored);
}

#[test]
fn msync_tells_of_what_was_lost_until_it_is_rewritten() {
    let world = World::new();
    let handle = world.file("f", &[b'.'; 2 * BLOCK]);
    assert_eq!(world.fsync(handle), Ok(()));
    let mapping = world.map(handle, 2 * PAGE);
    assert_eq!(world.store(mapping, 0, b"lost"), Ok(()));
    world.fail("data:1x1");
    assert_eq!(world.msync(mapping, 0, PAGE), Err(Errno::Io));
    assert_eq!(world.msync(mapping, 0, PAGE), Err(Errno::Io), "strict-sticky");
    assert_eq!(world.load(mapping, 0, 4).as_deref(), Ok(&b"lost"[..]), "RSTAB-02");
    assert_eq!(world.store(mapping, 0, b"kept"), Ok(()));
    assert_eq!(world.msync(mapping, 0, PAGE), Ok(()));
    let after = World::of(world.disk.durable_image());
    assert_eq!(after.content("f").map(|content| content.slice(..4)).as_deref(), Ok(&b"kept"[..]));
}

#[test]
fn the_parts_of_a_process_s_mappings_are_bounded() {
    let policy = VfsPolicy { mapped_parts_max: 3, ..VfsPolicy::default() };
    let world = World::with(formatted(TINY), Sim::calm(), policy, CachePolicy::default());
    let handle = world.file("f", &[b'.'; 8 * BLOCK]);
    let mapping = world.map(handle, 8 * PAGE);
    assert_eq!(world.unmap(mapping, PAGE, PAGE), Ok(()));
    assert_eq!(world.protect(mapping, 3 * PAGE, RO), Err(Errno::NoMemory));
    let one_more = world.map_as(handle, 0, PAGE, RO, Sharing::Shared);
    assert!(one_more.is_ok());
    let too_many = world.map_as(handle, 0, PAGE, RO, Sharing::Shared);
    assert_eq!(too_many, Err(Errno::NoMemory));
    assert_eq!(world.unmap(mapping, 4 * PAGE, PAGE), Err(Errno::NoMemory));
    assert_eq!(world.unmap(mapping, 0, 8 * PAGE), Ok(()));
}

#[test]
fn the_time_of_a_store_is_known_by_the_next_msync() {
    let world = World::new();
    let handle = world.file("f", b"data");
    let mapping = world.map(handle, PAGE);
    let before = world.stat_handle(handle).modify_nanos;
    world.sim.advance_nanos(1_000_000);
    assert_eq!(world.store(mapping, 0, b"x"), Ok(()));
    assert_eq!(world.msync(mapping, 0, PAGE), Ok(()));
    let after = world.stat_handle(handle).modify_nanos;
    assert!(after > before, "MAP-10");
    world.sim.advance_nanos(1_000_000);
    assert_eq!(world.store(mapping, 0, b"y"), Ok(()));
    assert!(world.stat_handle(handle).modify_nanos > after);
}

//! `SEEK_DATA` and `SEEK_HOLE`: dirty, mapped and committed data, and what is no data.

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::cache::SeekFlush;
use crate::call::Access;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Sharing;
use crate::call::Value;
use crate::call::Vfs;
use crate::call::Whence;
use crate::sim::Sim;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::READ;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::formatted;

const PAGE: u64 = BLOCK as u64;

impl World {
    fn seek_data(&self, handle: HandleId, offset: u64) -> Result<u64, Errno> {
        self.seek(handle, offset.cast_signed(), Whence::Data)
    }

    fn seek_hole(&self, handle: HandleId, offset: u64) -> Result<u64, Errno> {
        self.seek(handle, offset.cast_signed(), Whence::Hole)
    }

    /// The runs of data of a file, as a copier finds them.
    fn data(&self, handle: HandleId) -> Vec<(u64, u64)> {
        let mut runs = Vec::new();
        let mut at = 0;
        while let Ok(start) = self.seek_data(handle, at) {
            at = self.seek_hole(handle, start).expect("the end is a hole");
            runs.push((start, at));
        }
        runs
    }
}

fn world_with(seek_flush: SeekFlush) -> World {
    let cache = CachePolicy { seek_flush, ..CachePolicy::default() };
    World::with(formatted(TINY), Sim::calm(), VfsPolicy::default(), cache)
}

/// A file of six blocks with a store through a mapping in the third one, and a write in the last.
fn sparse(world: &World) -> HandleId {
    let handle = world.open("f", CREATE).expect("the file can be made");
    assert_eq!(world.truncate(handle, 6 * PAGE), Ok(()));
    let mapping = world.map(handle, 6 * PAGE);
    assert_eq!(world.store(mapping, 2 * PAGE + 9, b"x"), Ok(()));
    assert_eq!(world.write(handle, 5 * PAGE + 7, b"y"), Ok(1));
    handle
}

#[test]
fn what_is_dirty_or_mapped_is_data_and_the_end_is_a_hole() {
    let world = World::new();
    let handle = sparse(&world);
    for _ in 0..2 {
        assert_eq!(world.data(handle), [(2 * PAGE, 3 * PAGE), (5 * PAGE, 6 * PAGE)]);
        assert_eq!(world.seek_data(handle, 2 * PAGE + 30), Ok(2 * PAGE + 30));
        assert_eq!(world.seek_hole(handle, PAGE + 3), Ok(PAGE + 3));
        assert_eq!(world.seek_hole(handle, 6 * PAGE - 1), Ok(6 * PAGE));
        // The same when nothing is in memory.
        assert_eq!(world.fsync(handle), Ok(()));
        assert_eq!(world.done(Request::Manage(Manage::DropCaches)), Ok(()));
    }
}

#[test]
fn data_that_settled_and_data_that_is_dirty_beside_it_are_one_run() {
    let world = World::new();
    let handle = world.file("f", &[b's'; 2 * BLOCK]);
    assert_eq!(world.truncate(handle, 6 * PAGE), Ok(()));
    for (at, count, end) in [(2, 2, 4), (1, 1, 4), (4, 1, 5)] {
        assert_eq!(world.done(Request::SyncAll), Ok(()));
        let dirty = vec![b'd'; count * BLOCK];
        assert_eq!(world.write(handle, at * PAGE, &dirty), Ok(dirty.len() as u32));
        assert_eq!(world.data(handle), [(0, end * PAGE)]);
        assert_eq!(world.seek_hole(handle, PAGE + 9), Ok(end * PAGE));
    }
}

#[test]
fn beyond_the_last_data_there_is_no_data_and_beyond_the_end_no_hole() {
    let world = World::new();
    let handle = world.file("f", b"data");
    assert_eq!(world.truncate(handle, 3 * PAGE), Ok(()));
    assert_eq!(world.seek(handle, 3, Whence::Set), Ok(3));
    for offset in [PAGE as i64, 3 * PAGE as i64, i64::MAX, -1, i64::MIN] {
        assert_eq!(world.seek(handle, offset, Whence::Data), Err(Errno::NoAddress), "{offset}");
    }
    for offset in [3 * PAGE as i64, i64::MAX, -1, i64::MIN] {
        assert_eq!(world.seek(handle, offset, Whence::Hole), Err(Errno::NoAddress), "{offset}");
    }
    assert_eq!(world.seek(handle, 0, Whence::Current), Ok(3), "an error moves nothing");
    assert_eq!(world.seek_hole(handle, 0), Ok(PAGE));
    assert_eq!(world.seek(handle, 0, Whence::Current), Ok(PAGE));
    let empty = world.file("empty", b"");
    assert_eq!(world.seek_data(empty, 0), Err(Errno::NoAddress));
    assert_eq!(world.seek_hole(empty, 0), Err(Errno::NoAddress));
    assert_eq!(world.seek_data(HandleId::ROOT, 0), Err(Errno::BadFile));
}

#[test]
fn what_cannot_be_written_back_makes_all_of_the_file_data() {
    let world = World::new();
    let handle = sparse(&world);
    world.fail("data:1..");
    assert_eq!(world.data(handle), [(0, 6 * PAGE)]);
    world.faulty.heal();
    // The page of the write is rewritten, the other one is still lost.
    assert_eq!(world.write(handle, 5 * PAGE, &[b'z'; BLOCK]), Ok(BLOCK as u32));
    assert_eq!(world.fsync(handle), Err(Errno::Io));
    assert_eq!(world.data(handle), [(0, 6 * PAGE)]);
    assert_eq!(world.write(handle, 2 * PAGE, &[b'z'; BLOCK]), Ok(BLOCK as u32));
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.data(handle), [(2 * PAGE, 3 * PAGE), (5 * PAGE, 6 * PAGE)]);
}

#[test]
fn a_query_that_writes_nothing_back_takes_dirty_data_for_a_hole() {
    let world = world_with(SeekFlush::Nothing);
    let handle = sparse(&world);
    assert_eq!(world.data(handle), []);
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.data(handle), [(2 * PAGE, 3 * PAGE), (5 * PAGE, 6 * PAGE)]);
}

#[test]
fn a_query_that_looks_at_no_error_takes_lost_data_for_a_hole() {
    let world = world_with(SeekFlush::BestEffort);
    let handle = sparse(&world);
    world.fail("data:1..");
    assert_eq!(world.data(handle), []);
}

#[test]
fn a_file_of_a_snapshot_has_the_data_that_it_had() {
    let world = World::new();
    let handle = sparse(&world);
    let name = Bytes::from_static(b"s");
    assert_eq!(world.done(Request::Manage(Manage::Snapshot { name: name.clone() })), Ok(()));
    assert_eq!(world.write(handle, 0, b"later"), Ok(5));
    let Ok(Value::Handle { handle: root, .. }) =
        world.call(Request::Manage(Manage::OpenSnapshot { name }))
    else {
        panic!("the snapshot is there")
    };
    let frozen = world.open_at(root, "f", READ).expect("the file is in the snapshot");
    assert_eq!(world.data(frozen), [(2 * PAGE, 3 * PAGE), (5 * PAGE, 6 * PAGE)]);
    // Whoever maps it is told where its memory is not what the file has.
    let access = Access { read: true, write: false };
    let len = 6 * PAGE;
    let mapping = world.map_as(frozen, 0, len, access, Sharing::Shared).expect("it can be mapped");
    let mut stale = world.vfs.take_stale(ProcessId(world.process));
    stale.retain(|(id, _)| *id == mapping);
    assert_eq!(stale, [(mapping, 2 * PAGE..3 * PAGE), (mapping, 5 * PAGE..6 * PAGE)]);
}

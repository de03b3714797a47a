//! Files that are written in place.

use crate::call::AllocateMode;
use crate::call::Errno;
use crate::call::Manage;
use crate::call::Request;
use crate::call::Value;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::World;

fn set(world: &World, handle: crate::call::HandleId, on: bool) -> Result<(), Errno> {
    world.done(Request::Manage(Manage::SetNoCow { handle, on }))
}

fn free(world: &World) -> u64 {
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    match world.call(Request::Manage(Manage::Space)) {
        Ok(Value::Space { free_count, .. }) => free_count,
        other => panic!("statfs answers space, not {other:?}"),
    }
}

#[test]
fn an_empty_file_alone_can_be_marked_and_not_together_with_compression() {
    let world = World::new();
    let full = world.file("full", b"bytes");
    assert_eq!(set(&world, full, true), Err(Errno::Invalid));
    assert_eq!(set(&world, full, false), Ok(()), "it is not marked");
    let empty = world.file("empty", b"");
    assert_eq!(set(&world, empty, true), Ok(()));
    let compress = Request::Manage(Manage::SetCompression { handle: empty, on: true });
    assert_eq!(world.done(compress), Err(Errno::Invalid));
    assert_eq!(world.write(empty, 0, b"bytes"), Ok(5));
    assert_eq!(set(&world, empty, false), Err(Errno::Invalid), "it is not empty");
    assert_eq!(set(&world, empty, true), Ok(()), "it is marked already");
}

#[test]
fn a_marked_file_is_durable_after_a_sync_and_a_snapshot_of_it_stays() {
    let world = World::new();
    let handle = world.file("f", b"");
    assert_eq!(set(&world, handle, true), Ok(()));
    assert_eq!(world.write(handle, 0, &[b'1'; 3 * BLOCK]), Ok(3 * BLOCK as u32));
    let before = free(&world);
    assert_eq!(world.write(handle, BLOCK as u64, &[b'2'; BLOCK]), Ok(BLOCK as u32));
    assert_eq!(free(&world), before, "it is written where it was");
    let expected = [[b'1'; BLOCK], [b'2'; BLOCK], [b'1'; BLOCK]].concat();
    let after = World::of(world.disk.durable_image());
    assert_eq!(after.content("f").as_deref(), Ok(&expected[..]));
    let name = bytes::Bytes::from_static(b"s");
    assert_eq!(world.done(Request::Manage(Manage::Snapshot { name })), Ok(()));
    let ino = world.stat("f").expect("it is there").ino.0;
    let snapshot = world.vfs.cow().snapshots()[0].1 - crate::cow::ROOT_INO + ino;
    assert_eq!(world.write(handle, BLOCK as u64, &[b'3'; BLOCK]), Ok(BLOCK as u32));
    assert_eq!(world.fsync(handle), Ok(()));
    let kept = world.sim.block_on(world.vfs.cow().read_block(snapshot, 1)).expect("healthy");
    assert_eq!(kept.map(|bytes| bytes[0]), Some(b'2'));
}

#[test]
fn what_was_allocated_for_a_marked_file_can_be_written_on_a_full_device() {
    let world = World::new();
    let handle = world.file("f", b"");
    assert_eq!(set(&world, handle, true), Ok(()));
    let len = 8 * BLOCK as u64;
    let allocate = Request::Allocate { handle, offset: 0, len, mode: AllocateMode::Extend };
    assert_eq!(world.done(allocate), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
    let other = world.file("other", b"");
    let mut at = 0;
    while let Ok(count) = world.write(other, at, &[b'o'; BLOCK]) {
        at += u64::from(count);
    }
    assert!(at > 100 * BLOCK as u64, "only {at} bytes");
    for block in 0..8 {
        let written = world.write(handle, block * BLOCK as u64, &[b'k'; BLOCK]);
        assert_eq!(written, Ok(BLOCK as u32), "FALLOC-01: block {block}");
        assert_eq!(world.fsync(handle), Ok(()), "block {block}");
    }
    let after = World::of(world.disk.durable_image());
    assert_eq!(after.content("f").as_deref(), Ok(&[b'k'; 8 * BLOCK][..]));
}

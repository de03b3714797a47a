//! Files that are written in place.

use crate::cache::CachePolicy;
use crate::call::AllocateMode;
use crate::call::Errno;
use crate::call::Manage;
use crate::call::Request;
use crate::call::Value;
use crate::cow::CowPolicy;
use crate::cow::SYNC_ORDER;
use crate::cow::Sharing;
use crate::cow::SyncStep;
use crate::sim::Sim;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::crash::broken;
use crate::vfs::tests::crash::now;
use crate::vfs::tests::formatted;

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

/// What a crash did to a file that is written in place: states that break a promise.
#[derive(Debug, Default, PartialEq, Eq)]
struct Broken {
    /// A block is neither old nor new.
    torn: u32,
    /// What a sync had covered is not there.
    lost: u32,
    /// A snapshot is not what it was.
    thawed: u32,
}

/// Is each block full of one of the letters that it may have?
fn has(world: &World, allowed: &[&[u8]]) -> bool {
    world.content("f").is_ok_and(|content| {
        let mut blocks = content.chunks(BLOCK).zip(allowed);
        let is_one = |(block, allowed): (&[u8], &&[u8])| {
            allowed.iter().any(|letter| *block == vec![*letter; BLOCK])
        };
        content.len() == allowed.len() * BLOCK && blocks.all(is_one)
    })
}

/// Writes in place: what is there, what is set aside, and what a snapshot shares; crashes at every
/// write of the device.
fn crash_in_place(cow: CowPolicy) -> Broken {
    let policies = (VfsPolicy::default(), CachePolicy::default(), cow);
    let world = World::assembled(formatted(TINY), Sim::calm(), policies);
    let handle = world.file("f", b"");
    assert_eq!(set(&world, handle, true), Ok(()));
    let put = |block: u64, letter: u8, count: usize| {
        let written = world.write(handle, block * BLOCK as u64, &vec![letter; count * BLOCK]);
        assert_eq!(written, Ok((count * BLOCK) as u32));
    };
    put(0, b'a', 3);
    let (offset, len) = (3 * BLOCK as u64, BLOCK as u64);
    let allocate = Request::Allocate { handle, offset, len, mode: AllocateMode::Extend };
    assert_eq!(world.done(allocate), Ok(()));
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    let start = now(&world);
    put(0, b'b', 2);
    put(3, b'b', 1);
    assert_eq!(world.fsync(handle), Ok(()));
    let synced = now(&world);
    put(1, b'c', 1);
    world.flush();
    put(1, b'd', 2);
    assert_eq!(world.fsync(handle), Ok(()));
    let again = now(&world);
    let mut found = Broken::default();
    let all: [&[u8]; 4] = [b"ab", b"abcd", b"ad", b"\0b"];
    found.torn += broken(&world, start, |world| has(world, &all));
    found.lost += broken(&world, synced, |world| has(world, &[b"b", b"bcd", b"ad", b"b"]));
    found.lost += broken(&world, again, |world| has(world, &[b"b", b"d", b"d", b"b"]));
    let name = bytes::Bytes::from_static(b"s");
    assert_eq!(world.done(Request::Manage(Manage::Snapshot { name })), Ok(()));
    let taken = now(&world);
    put(0, b'e', 4);
    assert_eq!(world.fsync(handle), Ok(()));
    found.thawed += broken(&world, taken, |world| {
        let inside = world.enter("s").expect("it was taken");
        let kept = [[b'b'; BLOCK], [b'd'; BLOCK], [b'd'; BLOCK], [b'b'; BLOCK]].concat();
        world.content_in(inside, "f").is_ok_and(|content| content == kept)
    });
    let after = now(&world);
    found.torn += broken(&world, taken, |world| has(world, &[b"be", b"de", b"de", b"be"]));
    found.lost += broken(&world, after, |world| has(world, &[b"e", b"e", b"e", b"e"]));
    found
}

#[test]
fn a_block_that_is_written_in_place_is_old_or_new_after_a_crash_and_new_after_a_sync() {
    assert_eq!(crash_in_place(CowPolicy::default()), Broken::default());
}

#[test]
fn a_sync_without_a_flush_and_a_write_to_what_is_shared_are_noticed() {
    let sync_order = vec![SyncStep::WriteLog];
    let found = crash_in_place(CowPolicy { sync_order, ..CowPolicy::default() });
    assert!(found.lost > 0, "{found:?}");
    let sync_order = SYNC_ORDER[..2].to_vec();
    let found = crash_in_place(CowPolicy { sync_order, ..CowPolicy::default() });
    assert!(found.lost > 0, "{found:?}");
    let found = crash_in_place(CowPolicy { sharing: Sharing::Ignored, ..CowPolicy::default() });
    assert!(found.thawed > 0, "{found:?}");
}

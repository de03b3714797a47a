//! Files that are compressed: what they take on the medium, and what is read, lost and told.

use crate::cache::CachePolicy;
use crate::cache::TransformFallback;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::Request;
use crate::call::Testimony;
use crate::call::Value;
use crate::sim::Sim;
use crate::sim::mix;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::formatted;

/// Bytes that no codec makes smaller.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (mix(at) >> 16) as u8).collect()
}

fn world_of(transform_fallback: TransformFallback) -> World {
    let cache = CachePolicy { transform_fallback, ..CachePolicy::default() };
    World::with(formatted(TINY), Sim::calm(), VfsPolicy::default(), cache)
}

fn compressed(world: &World, content: &[u8]) -> HandleId {
    let handle = world.file("f", b"");
    assert_eq!(world.done(Request::Manage(Manage::SetCompression { handle, on: true })), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.write(handle, 0, content), Ok(content.len() as u32));
    handle
}

fn free(world: &World) -> u64 {
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    match world.call(Request::Manage(Manage::Space)) {
        Ok(Value::Space { free_count, .. }) => free_count,
        other => panic!("statfs answers space, not {other:?}"),
    }
}

/// Blocks that `content` takes in a file of its own.
fn taken(content: &[u8]) -> u64 {
    let world = World::new();
    let handle = compressed(&world, b"");
    let before = free(&world);
    assert_eq!(world.write(handle, 0, content), Ok(content.len() as u32));
    before - free(&world)
}

#[test]
fn what_compresses_takes_fewer_blocks_and_what_does_not_as_many_as_it_has() {
    assert_eq!(taken(&[b'r'; 16 * BLOCK]), 2, "a block for each extent");
    assert_eq!(taken(&noise(16 * BLOCK)), 16);
    assert_eq!(taken(&[b'r'; BLOCK]), 1, "nothing can be saved of one block");
    let mixed = [&noise(8 * BLOCK)[..], &[b'r'; 8 * BLOCK]].concat();
    assert_eq!(taken(&mixed), 9, "each extent for itself");
}

#[test]
fn either_is_there_after_power_loss_and_after_eviction() {
    for content in [vec![b'r'; 11 * BLOCK + 7], noise(11 * BLOCK + 7)] {
        let world = World::new();
        let handle = compressed(&world, &content);
        assert_eq!(world.write(handle, 3, b"over"), Ok(4));
        assert_eq!(world.fsync(handle), Ok(()));
        assert_eq!(world.write(handle, 5 * BLOCK as u64 - 2, b"later"), Ok(5));
        assert_eq!(world.fsync(handle), Ok(()));
        world.vfs.evict_all();
        let mut expected = content;
        expected[3..7].copy_from_slice(b"over");
        expected[5 * BLOCK - 2..5 * BLOCK + 3].copy_from_slice(b"later");
        assert_eq!(world.content("f").as_deref(), Ok(&expected[..]));
        let after = World::of(world.disk.durable_image());
        assert_eq!(after.content("f").as_deref(), Ok(&expected[..]));
    }
}

#[test]
fn a_refused_run_is_lost_with_all_of_its_pages_until_they_are_rewritten() {
    let world = World::new();
    let handle = compressed(&world, &[b'r'; 12 * BLOCK]);
    world.fail("data:1");
    assert_eq!(world.fsync(handle), Err(Errno::Io));
    let lost = world.said().into_iter().filter_map(|testimony| {
        if let Testimony::Lost { range, .. } = testimony {
            Some((range.start, range.end))
        } else {
            None
        }
    });
    assert_eq!(lost.collect::<Vec<_>>(), [(0, 8 * BLOCK as u64)], "the first extent, and no more");
    let after = World::of(world.disk.durable_image());
    assert!(after.content("f").is_ok_and(|content| content.len() <= 12 * BLOCK
        && content.iter().take(8 * BLOCK).all(|byte| *byte == 0)
        && content.iter().skip(8 * BLOCK).all(|byte| *byte == b'r')));
    assert_eq!(world.fsync(handle), Err(Errno::Io), "it stays lost");
    assert_eq!(world.content("f").as_deref(), Ok(&[b'r'; 12 * BLOCK][..]), "and pinned");
    assert_eq!(world.write(handle, 0, &[b's'; 8 * BLOCK]), Ok(8 * BLOCK as u32));
    assert_eq!(world.fsync(handle), Ok(()));
}

#[test]
fn pages_that_are_left_clean_are_missed_where_nothing_gets_smaller_and_only_there() {
    for (content, is_missed) in [(vec![b'r'; 4 * BLOCK], false), (noise(4 * BLOCK), true)] {
        let world = world_of(TransformFallback::LeavesClean);
        let handle = compressed(&world, &content);
        world.vfs.cache().watch_transitions();
        assert_eq!(world.fsync(handle), Ok(()), "a sync that says too much");
        assert_eq!(!world.vfs.cache().take_transitions().is_empty(), is_missed);
        assert_eq!(world.content("f").as_deref(), Ok(&content[..]), "it is still in memory");
        world.vfs.evict_all();
        assert_eq!(world.content("f").as_deref() != Ok(&content[..]), is_missed);
        let after = World::of(world.disk.durable_image());
        assert_eq!(after.content("f").as_deref() != Ok(&content[..]), is_missed);
    }
}

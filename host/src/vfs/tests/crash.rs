//! Power loss: what syncs promised is there, and companions that break the promise are noticed.

use crate::cache::CachePolicy;
use crate::cache::DataSyncScope;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Request;
use crate::device::StateBounds;
use crate::device::Walk;
use crate::sim::Sim;
use crate::vfs::DirectorySync;
use crate::vfs::EXCHANGE_ATOMIC;
use crate::vfs::EXCHANGE_IN_TWO;
use crate::vfs::ExchangeStep;
use crate::vfs::RENAME_SOURCE_LATER;
use crate::vfs::RENAME_TARGET_FIRST;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::formatted;

const BOUNDS: StateBounds = StateBounds { subset_count_max: 5, torn: false };

fn world_of(policy: VfsPolicy, cache: CachePolicy) -> World {
    World::with(formatted(TINY), Sim::calm(), policy, cache)
}

/// Counts the crash states from `start` on in which `check` finds a promise broken.
pub(super) fn broken(world: &World, start: usize, check: impl Fn(&World) -> bool) -> u32 {
    let history = world.disk.history();
    let mut walk = Walk::new(&history);
    let mut count = 0;
    for position in start..=history.len() {
        for state in walk.advance(position).states(&BOUNDS).states {
            count += u32::from(!check(&World::of(state.image)));
        }
    }
    count
}

pub(super) fn now(world: &World) -> usize {
    world.disk.history().len()
}

/// Writes a new file, syncs it and renames it over an old one; answers broken states.
fn rename_over(policy: VfsPolicy) -> u32 {
    let world = world_of(policy, CachePolicy::default());
    let old = world.file("f", &[b'o'; 700]);
    assert_eq!(world.fsync(old), Ok(()));
    let start = now(&world);
    let new = world.file("g", &[b'n'; 900]);
    assert_eq!(world.fsync(new), Ok(()));
    assert_eq!(world.rename("g", "f"), Ok(()));
    assert_eq!(world.fsync(HandleId::ROOT), Ok(()));
    let renamed = now(&world);
    let is_either = |content: &[u8]| content == [b'o'; 700] || content == [b'n'; 900];
    let during = broken(&world, start, |world| {
        let Ok(content) = world.content("f") else { return false };
        let is_new = content[..] == [b'n'; 900];
        is_either(&content) && !(is_new && world.stat("g").is_ok())
    });
    let after = broken(&world, renamed, |world| {
        world.content("f").is_ok_and(|content| content[..] == [b'n'; 900])
            && world.stat("g") == Err(Errno::NoEntry)
    });
    during + after
}

#[test]
fn a_rename_over_a_file_is_atomic_and_durable_after_its_directory_is_synced() {
    assert_eq!(rename_over(VfsPolicy::default()), 0);
}

#[test]
fn a_rename_in_two_steps_is_noticed() {
    for rename in [RENAME_SOURCE_LATER, RENAME_TARGET_FIRST] {
        assert!(rename_over(VfsPolicy { rename, ..VfsPolicy::default() }) > 0);
    }
}

/// Exchanges a file and a directory; answers states with neither the old names nor the new ones.
fn exchange(exchange: &'static [ExchangeStep]) -> u32 {
    let world = world_of(VfsPolicy { exchange, ..VfsPolicy::default() }, CachePolicy::default());
    world.file("f", &[b'f'; 700]);
    assert_eq!(world.mkdir("d"), Ok(()));
    world.file("d/g", b"inside");
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    let start = now(&world);
    assert_eq!(world.exchange("f", "d"), Ok(()));
    assert_eq!(world.fsync(HandleId::ROOT), Ok(()));
    let synced = now(&world);
    let is_old = |world: &World| {
        world.content("f").is_ok_and(|content| content[..] == [b'f'; 700])
            && world.content("d/g").is_ok()
    };
    let is_new = |world: &World| {
        world.content("d").is_ok_and(|content| content[..] == [b'f'; 700])
            && world.content("f/g").is_ok()
    };
    broken(&world, start, |world| is_old(world) || is_new(world)) + broken(&world, synced, is_new)
}

#[test]
fn an_exchange_is_atomic_and_durable_after_its_directory_is_synced() {
    assert_eq!(exchange(EXCHANGE_ATOMIC), 0);
}

#[test]
fn an_exchange_in_two_steps_is_noticed() {
    assert!(exchange(EXCHANGE_IN_TWO) > 0);
}

/// A file is written and synced without a name, then linked.
#[test]
fn a_file_without_a_name_is_whole_or_gone_after_a_crash() {
    let world = World::new();
    let start = now(&world);
    let handle = world.unnamed(false);
    assert_eq!(world.write(handle, 0, &[b'n'; 900]), Ok(900));
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.link_handle(handle, "f"), Ok(()));
    assert_eq!(world.fsync(HandleId::ROOT), Ok(()));
    let linked = now(&world);
    let is_whole = |world: &World| {
        let orphans = world.sim.block_on(world.vfs.cow().orphans());
        world.content("f").is_ok_and(|content| content[..] == [b'n'; 900])
            && orphans == Ok(Vec::new())
    };
    let is_gone = |world: &World| {
        let orphans = world.sim.block_on(world.vfs.cow().orphans());
        world.stat("f") == Err(Errno::NoEntry) && orphans == Ok(Vec::new())
    };
    assert_eq!(broken(&world, start, |world| is_whole(world) || is_gone(world)), 0);
    assert_eq!(broken(&world, linked, is_whole), 0);
}

#[test]
fn a_directory_sync_that_does_nothing_is_noticed() {
    let directory_sync = DirectorySync::Ignored;
    assert!(rename_over(VfsPolicy { directory_sync, ..VfsPolicy::default() }) > 0);
}

/// Appends and calls fdatasync; answers states without the appended bytes.
fn append_and_data_sync(cache: CachePolicy) -> u32 {
    let world = world_of(VfsPolicy::default(), cache);
    let handle = world.file("f", &[b'a'; 300]);
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.write(handle, 300, &[b'b'; 2 * BLOCK]), Ok(2 * BLOCK as u32));
    assert_eq!(world.done(Request::Fdatasync { handle }), Ok(()));
    let mut expected = vec![b'a'; 300];
    expected.resize(300 + 2 * BLOCK, b'b');
    let synced = now(&world);
    broken(&world, synced, |world| world.content("f").is_ok_and(|content| content == expected))
}

#[test]
fn fdatasync_makes_the_size_durable_that_is_needed_to_read_the_bytes() {
    assert_eq!(append_and_data_sync(CachePolicy::default()), 0);
}

#[test]
fn fdatasync_that_forgets_the_size_is_noticed() {
    let data_sync_scope = DataSyncScope::DataOnly;
    assert!(append_and_data_sync(CachePolicy { data_sync_scope, ..CachePolicy::default() }) > 0);
}

/// No crash on the way from a long file to a short and then a grown one shows bytes that a
/// truncate discarded behind bytes that came later.
#[test]
fn a_crash_never_brings_truncated_bytes_back_beyond_the_new_end() {
    let world = World::new();
    let handle = world.file("f", &[7; 1500]);
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.truncate(handle, 600), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
    let cut = now(&world);
    assert_eq!(world.truncate(handle, 1400), Ok(()));
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    let wrong = broken(&world, cut, |world| {
        let Ok(handle) = world.open("f", CREATE) else { return false };
        let grown = world.truncate(handle, 2000);
        let content = world.content("f").unwrap_or_default();
        grown.is_ok() && content[..600] == [7; 600] && content[600..].iter().all(|byte| *byte == 0)
    });
    assert_eq!(wrong, 0);
}

#[test]
fn a_crash_before_the_truncate_is_durable_leaves_the_long_file_or_the_short_one() {
    let world = World::new();
    let handle = world.file("f", &[7; 1500]);
    assert_eq!(world.fsync(handle), Ok(()));
    let start = now(&world);
    assert_eq!(world.truncate(handle, 600), Ok(()));
    assert_eq!(world.write(handle, 900, &[9; 10]), Ok(10));
    assert_eq!(world.fsync(handle), Ok(()));
    let mut regrown = vec![7; 600];
    regrown.resize(900, 0);
    regrown.resize(910, 9);
    let allowed = [vec![7; 1500], vec![7; 600], regrown];
    let wrong = broken(&world, start, |world| {
        world.content("f").is_ok_and(|content| allowed.iter().any(|may| content == may))
    });
    assert_eq!(wrong, 0);
}

#[test]
fn an_orphan_is_removed_by_the_next_mount() {
    let world = World::new();
    let handle = world.file("f", &[7; 1500]);
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.unlink("f"), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
    let world = World::of(world.disk.durable_image());
    assert_eq!(world.sim.block_on(world.vfs.cow().orphans()), Ok(Vec::new()));
    assert_eq!(world.stat("f"), Err(Errno::NoEntry));
}

#[test]
fn synchronous_writes_are_durable_when_they_return() {
    for (sync, data_sync) in [(true, false), (false, true)] {
        let world = World::new();
        let mut options = CREATE;
        options.status.sync = sync;
        options.status.data_sync = data_sync;
        let handle = world.open("f", options).expect("it can be made");
        assert_eq!(world.put(handle, None, &[b'x'; 700]), Ok(700));
        let content = World::of(world.disk.durable_image()).content("f");
        assert_eq!(content.as_deref(), Ok(&[b'x'; 700][..]));
    }
}

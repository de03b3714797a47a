//! Clones, copies and dedupe, and what of them power loss leaves.

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::cache::CloneFlush;
use crate::cache::ClonedPages;
use crate::cache::MapFlush;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::OpenOptions;
use crate::call::Request;
use crate::call::StatusFlags;
use crate::call::Value;
use crate::call::Whence;
use crate::sim::Sim;
use crate::vfs::CloneSync;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::APPEND;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::READ;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::crash::broken;
use crate::vfs::tests::crash::now;
use crate::vfs::tests::formatted;

const PAGE: u64 = BLOCK as u64;
/// A handle and an offset.
type Side = (HandleId, u64);

impl World {
    pub(super) fn clone_range(&self, from: Side, len: u64, to: Side) -> Result<(), Errno> {
        let ((from, from_offset), (to, to_offset)) = (from, to);
        self.done(Request::CloneRange { from, from_offset, len, to, to_offset })
    }

    pub(super) fn copy(&self, from: Side, to: Side, len: u64) -> Result<u32, Errno> {
        self.copy_at((from.0, Some(from.1)), (to.0, Some(to.1)), len)
    }

    fn copy_at(
        &self,
        (from, from_offset): (HandleId, Option<u64>),
        (to, to_offset): (HandleId, Option<u64>),
        len: u64,
    ) -> Result<u32, Errno> {
        let asked = Request::CopyRange { from, from_offset, to, to_offset, len };
        let Value::Count(count) = self.call(asked)? else { panic!("a copy answers a count") };
        Ok(count)
    }

    pub(super) fn dedupe(&self, from: Side, len: u64, to: Side) -> Result<bool, Errno> {
        let ((from, from_offset), (to, to_offset)) = (from, to);
        let asked = Request::DedupeRange { from, from_offset, len, to, to_offset };
        let Value::Same(same) = self.call(asked)? else { panic!("dedupe answers yes or no") };
        Ok(same)
    }

    fn free(&self) -> u64 {
        assert_eq!(self.done(Request::SyncAll), Ok(()));
        match self.call(Request::Manage(Manage::Space)) {
            Ok(Value::Space { free_count, .. }) => free_count,
            other => panic!("statfs answers numbers, not {other:?}"),
        }
    }
}

fn world(cache: CachePolicy, policy: VfsPolicy) -> World {
    World::with(formatted(TINY), Sim::calm(), policy, cache)
}

fn bytes(parts: &[(u8, usize)]) -> Bytes {
    parts.iter().flat_map(|(byte, count)| vec![*byte; *count]).collect::<Vec<u8>>().into()
}

#[test]
fn a_clone_has_what_was_dirty_or_mapped_and_each_side_then_changes_alone() {
    let world = World::new();
    let from = world.file("from", &bytes(&[(b'a', 2 * BLOCK), (b'b', 100)]));
    let mapping = world.map(from, 3 * PAGE);
    assert_eq!(world.store(mapping, PAGE + 7, b"mapped"), Ok(()));
    let to = world.file("to", &bytes(&[(b'o', BLOCK)]));
    assert_eq!(world.read(to, 0, 1).as_deref(), Ok(&b"o"[..]), "it is in memory");
    assert_eq!(world.clone_range((from, 0), 0, (to, 0)), Ok(()));
    let cloned = world.content("from").expect("it can be read");
    assert_eq!(world.content("to"), Ok(cloned.clone()));
    assert_eq!(world.write(from, 0, b"FROM"), Ok(4));
    assert_eq!(world.write(to, PAGE, b"TO"), Ok(2));
    let mut expected = cloned.to_vec();
    expected[BLOCK..BLOCK + 2].copy_from_slice(b"TO");
    for _ in 0..2 {
        assert_eq!(world.content("to").as_deref(), Ok(&expected[..]));
        assert_eq!(world.read(from, PAGE, 2).as_deref(), Ok(&b"aa"[..]));
        assert_eq!(world.done(Request::SyncAll), Ok(()));
        assert_eq!(world.done(Request::Manage(Manage::DropCaches)), Ok(()));
    }
}

#[test]
fn a_clone_takes_no_content_blocks_and_is_seen_by_every_mapping_of_the_destination() {
    let world = World::new();
    let from = world.file("from", &[b'a'; 6 * BLOCK]);
    let to = world.file("to", &[b'o'; 6 * BLOCK]);
    let mapping = world.map(to, 6 * PAGE);
    assert_eq!(world.load(mapping, 2 * PAGE, 1).as_deref(), Ok(&b"o"[..]));
    assert_eq!(world.store(mapping, 3 * PAGE, b"x"), Ok(()));
    let before = world.free();
    assert_eq!(world.clone_range((from, PAGE), 3 * PAGE, (to, 2 * PAGE)), Ok(()));
    assert_eq!(world.load(mapping, 2 * PAGE, 1).as_deref(), Ok(&b"a"[..]));
    assert_eq!(world.load(mapping, 3 * PAGE, 1).as_deref(), Ok(&b"a"[..]));
    assert_eq!(world.load(mapping, 5 * PAGE, 1).as_deref(), Ok(&b"o"[..]));
    assert_eq!(world.free(), before + 3, "what was replaced is free");
}

#[test]
fn a_clone_beyond_the_end_leaves_zeros_between() {
    let world = World::new();
    let from = world.file("from", &[b'a'; 700]);
    let to = world.file("to", &[b'o'; 700]);
    assert_eq!(world.truncate(to, 100), Ok(()));
    assert_eq!(world.clone_range((from, 0), 700, (to, 3 * PAGE)), Ok(()));
    let expected = bytes(&[(b'o', 100), (0, 3 * BLOCK - 100), (b'a', 700)]);
    assert_eq!(world.content("to"), Ok(expected.clone()));
    assert_eq!(world.truncate(to, 4 * PAGE + 300), Ok(()));
    let grown = bytes(&[(b'o', 100), (0, 3 * BLOCK - 100), (b'a', 700), (0, 112)]);
    assert_eq!(world.content("to"), Ok(grown.clone()));
    assert_eq!(world.remounted().content("to"), Ok(grown));
}

#[test]
fn what_cannot_be_cloned_as_a_whole_is_refused_and_changes_nothing() {
    let world = World::new();
    let from = world.file("from", &[b'a'; 700]);
    let to = world.file("to", &[b'o'; 3 * BLOCK]);
    let (append, reader) = (world.open("to", APPEND), world.open("to", READ));
    let (append, reader) = (append.expect("it opens"), reader.expect("it opens"));
    let odd = [
        ((from, 1), PAGE, (to, 0)),
        ((from, 0), PAGE, (to, 1)),
        ((from, 0), 100, (to, 0)),
        ((from, 0), 701, (to, 0)),
        ((from, PAGE), PAGE, (to, 0)),
        // An unaligned tail into the middle, and all of the source likewise.
        ((from, PAGE), 188, (to, 0)),
        ((from, 0), 0, (to, 0)),
        ((from, 701), 0, (to, 0)),
        ((from, 0), u64::MAX, (to, 0)),
        ((from, u64::MAX - 511), PAGE, (to, 0)),
        ((from, 0), PAGE, (to, u64::MAX - 511)),
        ((from, 0), PAGE, (to, 1 << 63)),
        ((to, 0), 2 * PAGE, (to, PAGE)),
        ((to, PAGE), 2 * PAGE, (to, 0)),
    ];
    for (from, len, to) in odd {
        assert_eq!(world.clone_range(from, len, to), Err(Errno::Invalid), "{from:?} {len} {to:?}");
    }
    for bad in [append, reader] {
        assert_eq!(world.clone_range((from, 0), 0, (bad, 0)), Err(Errno::BadFile));
        assert_eq!(world.copy((from, 0), (bad, 0), 10), Err(Errno::BadFile));
    }
    for (from, to) in [(HandleId::ROOT, to), (from, HandleId::ROOT)] {
        assert_eq!(world.clone_range((from, 0), 0, (to, 0)), Err(Errno::IsDirectory));
        assert_eq!(world.copy((from, 0), (to, 0), 1), Err(Errno::IsDirectory));
        assert_eq!(world.dedupe((from, 0), PAGE, (to, 0)), Err(Errno::IsDirectory));
    }
    world.close(reader);
    assert_eq!(world.clone_range((reader, 0), 0, (to, 0)), Err(Errno::BadFile));
    assert_eq!(world.content("to").as_deref(), Ok(&[b'o'; 3 * BLOCK][..]));
    assert_eq!(world.clone_range((to, 0), PAGE, (to, 2 * PAGE)), Ok(()), "nothing in common");
}

#[test]
fn a_copy_is_never_beyond_the_end_of_the_source_and_moves_the_offsets_it_used() {
    let world = World::new();
    let from = world.file("from", &bytes(&[(b'a', BLOCK), (b'b', 100)]));
    let to = world.file("to", b"");
    assert_eq!(world.seek(from, 5, Whence::Set), Ok(5));
    assert_eq!(world.copy_at((from, None), (to, Some(3)), 10), Ok(10));
    assert_eq!(world.seek(from, 0, Whence::Current), Ok(15));
    assert_eq!(world.content("to").as_deref(), Ok(&b"\0\0\0aaaaaaaaaa"[..]));
    // Two blocks are cloned, the last one as far as it goes.
    assert_eq!(world.copy((from, 0), (to, 0), u64::MAX), Ok(612));
    assert_eq!(world.content("to"), world.content("from"));
    assert_eq!(world.copy((from, 612), (to, 0), 5), Ok(0));
    assert_eq!(world.copy((from, 5000), (to, 0), 5), Ok(0));
    assert_eq!(world.copy((from, 0), (from, 100), 200), Err(Errno::Invalid));
    assert_eq!(world.copy((from, 0), (from, 100), 100), Ok(100));
    assert_eq!(world.copy((from, 1), (to, 0), u64::MAX), Err(Errno::Overflow));
    assert_eq!(world.copy((from, 1 << 63), (to, 0), 1), Err(Errno::Invalid));
    assert_eq!(world.copy((from, 0), (to, i64::MAX as u64), 1), Err(Errno::FileTooBig));
    // Whole blocks in the middle, and the rest by bytes.
    let wide = world.file("wide", &[b'w'; 3 * BLOCK]);
    assert_eq!(world.copy((from, 0), (wide, PAGE), 600), Ok(512));
    assert_eq!(world.copy((from, 512), (wide, 2 * PAGE), 88), Ok(88));
    let expected = world.read(from, 0, 600).expect("it can be read");
    assert_eq!(world.read(wide, PAGE, 600), Ok(expected));
    assert_eq!(world.read(wide, PAGE + 600, 1).as_deref(), Ok(&b"w"[..]));
}

#[test]
fn dedupe_shares_what_is_the_same_and_never_changes_a_byte() {
    let world = World::new();
    let one = world.file("one", &bytes(&[(b'a', 2 * BLOCK), (b'b', 50)]));
    let two = world.file("two", &bytes(&[(b'a', 2 * BLOCK), (b'b', 50)]));
    let before = world.free();
    assert_eq!(world.dedupe((one, 0), 2 * PAGE + 50, (two, 0)), Ok(true));
    assert_eq!(world.free(), before + 3);
    let mapping = world.map(two, 3 * PAGE);
    assert_eq!(world.store(mapping, 3, b"x"), Ok(()));
    assert_eq!(world.dedupe((one, 0), PAGE, (two, 0)), Ok(false));
    assert_eq!(world.read(one, 3, 1).as_deref(), Ok(&b"a"[..]));
    assert_eq!(world.read(two, 3, 1).as_deref(), Ok(&b"x"[..]));
    assert_eq!(world.dedupe((one, 0), 0, (two, 0)), Ok(true));
    for (len, at) in [(PAGE, 1), (3 * PAGE, 0), (u64::MAX, 0), (PAGE, u64::MAX - 511)] {
        assert_eq!(world.dedupe((one, 0), len, (two, at)), Err(Errno::Invalid), "{len} {at}");
    }
    assert_eq!(world.dedupe((two, 0), 2 * PAGE, (two, PAGE)), Err(Errno::Invalid));
    // Holes are not looked at, however many.
    for handle in [one, two] {
        assert_eq!(world.truncate(handle, 1 << 60), Ok(()));
    }
    assert_eq!(world.dedupe((one, PAGE), (1 << 60) - PAGE, (two, PAGE)), Ok(true));
}

#[test]
fn dedupe_of_a_part_of_a_block_changes_nothing_behind_it() {
    let world = World::new();
    let contents = [b'x', b'y'].map(|rest| bytes(&[(b'a', BLOCK + 100), (rest, BLOCK)]));
    let one = world.file("one", &contents[0]);
    let two = world.file("two", &contents[1]);
    let short = world.file("short", &contents[0][..BLOCK + 100]);
    for (from, to) in [(one, two), (two, one), (short, two), (two, short)] {
        assert_eq!(world.dedupe((from, 0), PAGE + 100, (to, 0)), Ok(true));
        assert_eq!(world.content("one").as_ref(), Ok(&contents[0]));
        assert_eq!(world.content("two").as_ref(), Ok(&contents[1]));
        assert_eq!(world.content("short").as_deref(), Ok(&contents[0][..BLOCK + 100]));
        assert_eq!(world.done(Request::Manage(Manage::DropCaches)), Ok(()));
    }
}

#[test]
fn what_a_clone_replaces_is_no_longer_lost() {
    let world = World::new();
    let from = world.file("from", &[b'a'; 2 * BLOCK]);
    let to = world.file("to", &[b'o'; 2 * BLOCK]);
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    world.fail("data:1..");
    assert_eq!(world.write(to, 0, &[b'l'; 2 * BLOCK]), Ok(2 * BLOCK as u32));
    assert_eq!(world.fsync(to), Err(Errno::Io));
    assert_eq!(world.clone_range((from, 0), PAGE, (to, 0)), Ok(()));
    assert_eq!(world.fsync(to), Err(Errno::Io), "the second block is still lost");
    assert_eq!(world.clone_range((from, PAGE), PAGE, (to, PAGE)), Ok(()));
    assert_eq!(world.fsync(to), Ok(()), "nothing of it is lost, and nothing is written");
    let after = World::of(world.disk.durable_image());
    assert_eq!(after.content("to").as_deref(), Ok(&[b'a'; 2 * BLOCK][..]));
}

#[test]
fn lost_bytes_are_copied_but_not_cloned() {
    let world = World::new();
    let from = world.file("from", &[b'a'; BLOCK]);
    world.fail("data:1..");
    world.flush();
    world.faulty.heal();
    let to = world.file("to", &[b'o'; BLOCK]);
    assert_eq!(world.clone_range((from, 0), 0, (to, 0)), Err(Errno::Io));
    assert_eq!(world.content("to").as_deref(), Ok(&[b'o'; BLOCK][..]));
    assert_eq!(world.copy((from, 0), (to, 0), PAGE), Ok(512));
    assert_eq!(world.content("to").as_deref(), Ok(&[b'a'; BLOCK][..]));
}

#[test]
fn a_clone_that_does_not_write_its_source_back_shows_what_was_there_before() {
    let world = world(
        CachePolicy { clone_flush: CloneFlush::DestinationAlone, ..CachePolicy::default() },
        VfsPolicy::default(),
    );
    let from = world.file("from", &[b'a'; BLOCK]);
    let to = world.file("to", b"");
    assert_eq!(world.clone_range((from, 0), PAGE, (to, 0)), Ok(()));
    assert_eq!(world.content("to").as_deref(), Ok(&[0; BLOCK][..]));
}

#[test]
fn what_was_stored_through_a_mapping_alone_is_not_seen_by_a_flush_of_what_calls_wrote() {
    for (map_flush, seen) in [(MapFlush::AllDirty, b's'), (MapFlush::WrittenAlone, 0)] {
        let policy = CachePolicy { map_flush, ..CachePolicy::default() };
        let world = world(policy, VfsPolicy::default());
        let from = world.file("from", &[b'w'; BLOCK]);
        assert_eq!(world.truncate(from, 3 * PAGE), Ok(()));
        let mapping = world.map(from, 3 * PAGE);
        assert_eq!(world.store(mapping, 2 * PAGE, &[b's'; BLOCK]), Ok(()));
        let data = if seen == 0 { Err(Errno::NoAddress) } else { Ok(2 * PAGE) };
        assert_eq!(world.seek(from, BLOCK as i64, Whence::Data), data);
        let to = world.file("to", b"");
        assert_eq!(world.clone_range((from, 0), 0, (to, 0)), Ok(()));
        let expected = bytes(&[(b'w', BLOCK), (0, BLOCK), (seen, BLOCK)]);
        assert_eq!(world.content("to"), Ok(expected), "what calls wrote is always there");
        assert_eq!(world.content("from").map(|bytes| bytes[2 * BLOCK]), Ok(b's'));
    }
}

#[test]
fn pages_that_outlive_a_clone_show_the_old_bytes() {
    let world = world(
        CachePolicy { cloned_pages: ClonedPages::Kept, ..CachePolicy::default() },
        VfsPolicy::default(),
    );
    let from = world.file("from", &[b'a'; BLOCK]);
    let to = world.file("to", &[b'o'; BLOCK]);
    assert_eq!(world.clone_range((from, 0), PAGE, (to, 0)), Ok(()));
    assert_eq!(world.content("to").as_deref(), Ok(&[b'o'; BLOCK][..]));
}

/// Clones over a durable file and syncs that; answers states that are neither, or forget the sync.
fn crash_of_a_clone(is_opened_synced: bool, clone_sync: CloneSync) -> u32 {
    let world = world(CachePolicy::default(), VfsPolicy { clone_sync, ..VfsPolicy::default() });
    let from = world.file("from", &bytes(&[(b'a', BLOCK), (b'b', 100)]));
    world.file("to", &[b'o'; BLOCK]);
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    let status = StatusFlags { sync: is_opened_synced, ..StatusFlags::default() };
    let to = world.open("to", OpenOptions { status, ..CREATE }).expect("it can be opened");
    let start = now(&world);
    assert_eq!(world.clone_range((from, 0), 0, (to, 0)), Ok(()));
    if !is_opened_synced {
        assert_eq!(world.fsync(to), Ok(()));
    }
    let synced = now(&world);
    let (old, new) = (vec![b'o'; BLOCK], bytes(&[(b'a', BLOCK), (b'b', 100)]));
    broken(&world, start, |world| world.content("to").is_ok_and(|now| now == old || now == new))
        + broken(&world, synced, |world| world.content("to").is_ok_and(|now| now == new))
}

#[test]
fn a_clone_is_atomic_and_durable_after_a_sync_or_for_a_handle_that_syncs() {
    assert_eq!(crash_of_a_clone(false, CloneSync::Durable), 0);
    assert_eq!(crash_of_a_clone(true, CloneSync::Durable), 0);
}

#[test]
fn a_clone_that_forgets_that_its_handle_syncs_is_noticed() {
    assert!(crash_of_a_clone(true, CloneSync::Forgotten) > 0);
}

//! `fallocate` and direct transfers.

use bytes::Bytes;

use crate::call::AllocateMode;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::OpenOptions;
use crate::call::Request;
use crate::call::Sharing;
use crate::call::StatusFlags;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::READ;
use crate::vfs::tests::World;
use crate::vfs::tests::crash::broken;
use crate::vfs::tests::crash::now;
use crate::vfs::tests::mapped::RW;

const PAGE: u64 = BLOCK as u64;
const MODES: [AllocateMode; 7] = [
    AllocateMode::Extend,
    AllocateMode::KeepSize,
    AllocateMode::PunchHole,
    AllocateMode::ZeroRange,
    AllocateMode::ZeroRangeKeepSize,
    AllocateMode::CollapseRange,
    AllocateMode::InsertRange,
];

impl World {
    pub(super) fn fallocate(
        &self,
        handle: HandleId,
        mode: AllocateMode,
        offset: u64,
        len: u64,
    ) -> Result<(), Errno> {
        self.done(Request::Allocate { handle, offset, len, mode })
    }

    pub(super) fn drop_all(&self) {
        assert_eq!(self.done(Request::SyncAll), Ok(()));
        assert_eq!(self.done(Request::Manage(Manage::DropCaches)), Ok(()));
    }
}

fn letters() -> Vec<u8> {
    (0..5 * BLOCK - 100).map(|at| b'a' + (at / 64 % 26) as u8).collect()
}

/// What a mode makes of a content, by the manual.
fn expected(mode: AllocateMode, content: &[u8], offset: usize, len: usize) -> Vec<u8> {
    let mut now = content.to_vec();
    let end = offset + len;
    match mode {
        AllocateMode::Extend => now.resize(now.len().max(end), 0),
        AllocateMode::KeepSize => {}
        AllocateMode::PunchHole | AllocateMode::ZeroRange | AllocateMode::ZeroRangeKeepSize => {
            if mode == AllocateMode::ZeroRange {
                now.resize(now.len().max(end), 0);
            }
            let end = end.min(now.len());
            now[offset.min(end)..end].fill(0);
        }
        AllocateMode::CollapseRange => drop(now.drain(offset..end)),
        AllocateMode::InsertRange => {
            now.splice(offset..offset, vec![0; len]);
        }
    }
    now
}

#[test]
fn every_mode_does_to_bytes_what_the_manual_says_also_where_they_are_dirty_or_mapped() {
    for mode in MODES {
        let is_shift = matches!(mode, AllocateMode::CollapseRange | AllocateMode::InsertRange);
        for (offset, len) in
            [(0, 512), (512, 1024), (100, 50), (500, 1100), (1024, 1436), (2000, 2000), (3000, 1)]
        {
            if is_shift && (offset % BLOCK != 0 || len % BLOCK != 0) {
                continue;
            }
            for is_durable in [false, true] {
                let world = World::new();
                let mut content = letters();
                let handle = world.file("f", &content);
                if is_durable {
                    world.drop_all();
                }
                let mapping = world.map(handle, 5 * PAGE);
                for at in [550, 1300, 2200] {
                    assert_eq!(world.store(mapping, at, b"!"), Ok(()));
                    content[at as usize] = b'!';
                }
                assert_eq!(world.fallocate(handle, mode, offset as u64, len as u64), Ok(()));
                let expected = expected(mode, &content, offset, len);
                let what = format!("{mode:?} {offset} {len} {is_durable}");
                assert_eq!(world.content("f").as_deref(), Ok(&expected[..]), "{what}");
                let byte = world.load(mapping, 1300, 1).expect("it is in the file");
                assert_eq!(byte[0], expected[1300], "{what}");
                world.drop_all();
                assert_eq!(world.content("f").as_deref(), Ok(&expected[..]), "{what}");
                let size = expected.len() as u64;
                assert_eq!(world.truncate(handle, size + 700), Ok(()));
                let grown = world.read(handle, size, 700).expect("it can be read");
                assert!(grown.iter().all(|byte| *byte == 0), "{what}");
                assert_eq!(
                    world.remounted().content("f").map(|now| now.len()),
                    Ok(expected.len() + 700)
                );
            }
        }
    }
}

/// As on Linux, what a private mapping had of pages that move is gone with them.
#[test]
fn a_private_copy_of_a_page_that_moved_is_gone_and_one_before_it_stays() {
    for (mode, shown) in [(AllocateMode::CollapseRange, 3), (AllocateMode::InsertRange, 1)] {
        let world = World::new();
        let content = letters();
        let handle = world.file("f", &content);
        let private = world.map_as(handle, 0, 5 * PAGE, RW, Sharing::Private);
        let private = private.expect("it can be mapped");
        for page in [0, 2] {
            assert_eq!(world.store(private, page * PAGE, b"?"), Ok(()));
        }
        assert_eq!(world.fallocate(handle, mode, PAGE, PAGE), Ok(()));
        let first = |page: u64| world.load(private, page * PAGE, 1).map(|bytes| bytes[0]);
        assert_eq!((first(0), first(2)), (Ok(b'?'), Ok(content[shown * BLOCK])), "{mode:?}");
    }
}

/// A store after a page moved makes it dirty again.
#[test]
fn a_store_to_a_page_that_moved_is_written_back() {
    for mode in [AllocateMode::CollapseRange, AllocateMode::InsertRange] {
        let world = World::new();
        let handle = world.file("f", &letters());
        let mapping = world.map(handle, 5 * PAGE);
        assert_eq!(world.store(mapping, 2 * PAGE, b"before"), Ok(()));
        assert_eq!(world.fallocate(handle, mode, PAGE, PAGE), Ok(()));
        assert!(world.content("f").is_ok(), "its pages are in memory again");
        assert_eq!(world.store(mapping, 2 * PAGE, b"AFTER!"), Ok(()));
        world.drop_all();
        let content = world.content("f").expect("it is there");
        assert_eq!(&content[2 * BLOCK..2 * BLOCK + 6], b"AFTER!", "{mode:?}");
    }
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let world = World::new();
    let handle = world.file("f", &letters());
    let size = 5 * PAGE - 100;
    for mode in MODES {
        assert_eq!(world.fallocate(handle, mode, 0, 0), Err(Errno::Invalid));
        for (offset, len) in [(u64::MAX, 1), (0, u64::MAX), (1, i64::MAX as u64), (1 << 63, 512)] {
            assert_eq!(world.fallocate(handle, mode, offset, len), Err(Errno::FileTooBig));
        }
        assert_eq!(world.fallocate(HandleId::ROOT, mode, 0, 512), Err(Errno::IsDirectory));
        let reader = world.open("f", READ).expect("it opens");
        assert_eq!(world.fallocate(reader, mode, 0, 512), Err(Errno::BadFile));
        world.close(reader);
        assert_eq!(world.fallocate(reader, mode, 0, 512), Err(Errno::BadFile));
    }
    let (collapse, insert) = (AllocateMode::CollapseRange, AllocateMode::InsertRange);
    for (mode, offset, len) in [
        (collapse, 1, 512),
        (collapse, 0, 100),
        (collapse, 4 * PAGE, PAGE),
        (collapse, 0, 1 << 40),
        (insert, 1, 512),
        (insert, 0, 100),
        (insert, 5 * PAGE, PAGE),
    ] {
        assert_eq!(world.fallocate(handle, mode, offset, len), Err(Errno::Invalid), "{mode:?}");
    }
    let most = (i64::MAX as u64 - 511) & !511;
    assert_eq!(world.fallocate(handle, insert, 0, most), Err(Errno::FileTooBig));
    for mode in [AllocateMode::Extend, AllocateMode::KeepSize, AllocateMode::ZeroRange] {
        assert_eq!(world.fallocate(handle, mode, size, 1 << 40), Err(Errno::NoSpace), "{mode:?}");
    }
    // Where nothing is, a hole may be as long as it likes.
    assert_eq!(world.fallocate(handle, AllocateMode::PunchHole, 1 << 50, 1 << 60), Ok(()));
    assert_eq!(world.content("f").as_deref(), Ok(&letters()[..]));
}

/// Reshapes a durable file and syncs it; answers states that the order of changes does not allow.
fn crash_of(mode: AllocateMode) -> u32 {
    let world = World::new();
    let old = letters();
    let handle = world.file("f", &old);
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    let start = now(&world);
    assert_eq!(world.fallocate(handle, mode, PAGE, 2 * PAGE), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
    let synced = now(&world);
    let new = expected(mode, &old, BLOCK, 2 * BLOCK);
    broken(&world, start, |world| world.content("f").is_ok_and(|now| now == old || now == new))
        + broken(&world, synced, |world| world.content("f").is_ok_and(|now| now == new))
}

#[test]
fn whole_blocks_are_reshaped_at_one_moment_and_durable_after_a_sync() {
    for mode in MODES {
        assert_eq!(crash_of(mode), 0, "{mode:?}");
    }
}

pub(super) fn direct(world: &World, path: &str) -> HandleId {
    let status = StatusFlags { direct: true, ..StatusFlags::default() };
    world.open(path, OpenOptions { status, ..CREATE }).expect("it can be opened")
}

#[test]
fn direct_and_cached_transfers_show_the_same_at_each_return() {
    let world = World::new();
    let cached = world.file("f", &letters());
    let handle = direct(&world, "f");
    assert_eq!(world.read(handle, 0, 8 * 512).as_deref(), Ok(&letters()[..]), "short at the end");
    let mapping = world.map(cached, 5 * PAGE);
    assert_eq!(world.load(mapping, PAGE, 1).map(|byte| byte[0]), Ok(letters()[BLOCK]));
    assert_eq!(world.store(mapping, 3 * PAGE, b"s"), Ok(()));
    assert_eq!(world.read(handle, 3 * PAGE, 512).map(|read| read[0]), Ok(b's'));
    assert_eq!(world.write(handle, PAGE, &[b'D'; 2 * BLOCK]), Ok(1024));
    assert_eq!(world.load(mapping, PAGE, 1).as_deref(), Ok(&b"D"[..]));
    assert_eq!(world.read(cached, 2 * PAGE, 1).as_deref(), Ok(&b"D"[..]));
    assert_eq!(world.write(handle, 4 * PAGE, &[b'E'; 2 * BLOCK]), Ok(1024));
    let mut expected = letters();
    expected[BLOCK..3 * BLOCK].fill(b'D');
    expected[3 * BLOCK] = b's';
    expected.truncate(4 * BLOCK);
    expected.resize(6 * BLOCK, b'E');
    assert_eq!(world.content("f").as_deref(), Ok(&expected[..]));
    assert_eq!(world.fsync(handle), Ok(()));
    let after = World::of(world.disk.durable_image());
    assert_eq!(after.content("f").as_deref(), Ok(&expected[..]));
}

#[test]
fn direct_transfers_are_of_whole_blocks_and_tell_errors_at_once() {
    let world = World::new();
    let handle = direct(&world, "f");
    assert_eq!(world.write(handle, 0, &[b'a'; BLOCK]), Ok(512));
    for (offset, len) in [(1, 512), (0, 100), (512, 513)] {
        assert_eq!(world.write(handle, offset, &vec![b'x'; len]), Err(Errno::Invalid));
        assert_eq!(world.read(handle, offset, len as u32), Err(Errno::Invalid));
    }
    assert_eq!(world.write(handle, 0, b""), Ok(0));
    world.fail("data:1..");
    assert_eq!(world.write(handle, 0, &[b'b'; 2 * BLOCK]), Err(Errno::Io));
    world.faulty.heal();
    assert_eq!(world.read(handle, 0, 1024), Ok(Bytes::from(vec![b'a'; BLOCK])));
    assert_eq!(world.fsync(handle), Ok(()), "nothing was lost that was acknowledged");
}

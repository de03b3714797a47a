//! Content, sizes, offsets and times.

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::cache::Truncation;
use crate::call::AllocateMode;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Request;
use crate::call::TimeChange;
use crate::call::Whence;
use crate::sim::Sim;
use crate::sim::mix;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::APPEND;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::DIRECTORY;
use crate::vfs::tests::EDIT;
use crate::vfs::tests::OpenOptions;
use crate::vfs::tests::READ;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::at;
use crate::vfs::tests::formatted;

fn drop_caches(world: &World) {
    world.flush();
    world.vfs.evict_all();
}

#[test]
fn reads_and_writes_share_one_offset() {
    let world = World::new();
    let handle = world.open("f", CREATE).expect("it can be made");
    assert_eq!(world.put(handle, None, b"hello "), Ok(6));
    assert_eq!(world.put(handle, None, b"world"), Ok(5));
    assert_eq!(world.get(handle, None, 9).as_deref(), Ok(&b""[..]));
    assert_eq!(world.seek(handle, -5, Whence::Current), Ok(6));
    assert_eq!(world.get(handle, None, 9).as_deref(), Ok(&b"world"[..]));
    assert_eq!(world.write(handle, 0, b"J"), Ok(1));
    assert_eq!(world.seek(handle, 0, Whence::Current), Ok(11), "pwrite moves no offset");
    assert_eq!(world.seek(handle, 2, Whence::End), Ok(13));
    assert_eq!(world.seek(handle, -1, Whence::Set), Err(Errno::Invalid));
    let most = FILE_SIZE_BYTES_MAX as i64;
    assert_eq!(world.seek(handle, most, Whence::Current), Err(Errno::Overflow));
    assert_eq!(world.content("f").as_deref(), Ok(&b"Jello world"[..]));
}

#[test]
fn append_goes_to_the_end_wherever_the_offset_is() {
    let world = World::new();
    let handle = world.open("f", APPEND).expect("it can be made");
    assert_eq!(world.put(handle, None, b"one"), Ok(3));
    assert_eq!(world.seek(handle, 0, Whence::Set), Ok(0));
    assert_eq!(world.put(handle, None, b"two"), Ok(3));
    assert_eq!(world.write(handle, 0, b"!"), Ok(1));
    assert_eq!(world.content("f").as_deref(), Ok(&b"onetwo!"[..]));
}

#[test]
fn directories_and_unsuited_handles_refuse_data() {
    let world = World::new();
    let root = world.open(".", DIRECTORY).expect("it is there");
    assert_eq!(world.read(root, 0, 1), Err(Errno::IsDirectory));
    assert_eq!(world.write(root, 0, b"x"), Err(Errno::IsDirectory));
    assert_eq!(world.seek(root, 0, Whence::Set), Err(Errno::BadFile));
    assert_eq!(world.truncate(root, 0), Err(Errno::Invalid));
    assert_eq!(world.fsync(root), Ok(()));
    let handle = world.file("f", b"x");
    let (reader, writer) =
        (world.open("f", READ), world.open("f", OpenOptions { read: false, ..EDIT }));
    let (reader, writer) = (reader.expect("it is there"), writer.expect("it is there"));
    assert_eq!(world.write(reader, 0, b"y"), Err(Errno::BadFile));
    assert_eq!(world.truncate(reader, 0), Err(Errno::Invalid));
    assert_eq!(world.read(writer, 0, 1), Err(Errno::BadFile));
    let scan = Request::ReadDirectory { handle, cookie: 0, count_max: 1 };
    assert_eq!(world.done(scan), Err(Errno::NotDirectory));
}

#[test]
fn what_was_never_written_reads_as_zero() {
    let world = World::new();
    let handle = world.file("f", b"start");
    let far = 1 << 40;
    assert_eq!(world.write(handle, far, b"end"), Ok(3));
    drop_caches(&world);
    assert_eq!(world.stat("f").map(|stat| stat.size_bytes), Ok(far + 3));
    assert_eq!(world.read(handle, 3, 4).as_deref(), Ok(&b"rt\0\0"[..]));
    assert_eq!(world.read(handle, far - 2, 9).as_deref(), Ok(&b"\0\0end"[..]));
    assert_eq!(world.read(handle, 5000, 1000).as_deref(), Ok(&[0; 1000][..]));
}

#[test]
fn the_file_size_limit_is_hit_exactly() {
    let world = World::new();
    let handle = world.open("f", CREATE).expect("it can be made");
    assert_eq!(world.write(handle, FILE_SIZE_BYTES_MAX, b"x"), Err(Errno::FileTooBig));
    assert_eq!(world.write(handle, u64::MAX, b"x"), Err(Errno::Invalid));
    assert_eq!(world.read(handle, u64::MAX, 1), Err(Errno::Invalid));
    assert_eq!(world.truncate(handle, u64::MAX), Err(Errno::FileTooBig));
    assert_eq!(world.write(handle, FILE_SIZE_BYTES_MAX - 2, b"abc"), Ok(2));
    assert_eq!(world.stat("f").map(|stat| stat.size_bytes), Ok(FILE_SIZE_BYTES_MAX));
    drop_caches(&world);
    assert_eq!(world.read(handle, FILE_SIZE_BYTES_MAX - 3, 9).as_deref(), Ok(&b"\0ab"[..]));
}

/// Shrinks into a block, then grows again in some way; the bytes between must be zero.
fn regrown(world: &World, handle: HandleId, way: u32) -> Bytes {
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.truncate(handle, 700), Ok(()));
    if way & 1 == 1 {
        drop_caches(world);
    }
    if way & 2 == 2 {
        assert_eq!(world.write(handle, 2000, b"end"), Ok(3));
    } else {
        assert_eq!(world.truncate(handle, 2003), Ok(()));
        assert_eq!(world.write(handle, 2000, b"end"), Ok(3));
    }
    if way & 4 == 4 {
        drop_caches(world);
    }
    world.content("f").expect("it is there")
}

#[test]
fn truncate_discards_for_good() {
    for way in 0..8 {
        let world = World::new();
        let handle = world.file("f", &[7; 2048]);
        let content = regrown(&world, handle, way);
        assert_eq!(content[..700], [7; 700]);
        assert_eq!(content[700..2000], [0; 1300], "way {way}");
        assert_eq!(&content[2000..], b"end");
        let world = world.remounted();
        assert_eq!(world.content("f"), Ok(content));
    }
}

#[test]
fn the_defect_that_keeps_old_bytes_is_visible() {
    let cache = CachePolicy { truncation: Truncation::KeepsOldBytes, ..CachePolicy::default() };
    let world = World::with(formatted(TINY), Sim::calm(), VfsPolicy::default(), cache);
    let handle = world.file("f", &[7; 2048]);
    assert!(regrown(&world, handle, 0)[700..2000].contains(&7));
}

#[test]
fn allocate_grows_and_changes_no_bytes() {
    let world = World::new();
    let handle = world.file("f", b"abc");
    let allocate = |offset, len| {
        world.done(Request::Allocate { handle, offset, len, mode: AllocateMode::Extend })
    };
    assert_eq!(allocate(1, 9), Ok(()));
    assert_eq!(world.content("f").as_deref(), Ok(&b"abc\0\0\0\0\0\0\0"[..]));
    assert_eq!(allocate(0, 1), Ok(()));
    assert_eq!(world.stat("f").map(|stat| stat.size_bytes), Ok(10));
    assert_eq!(allocate(0, 0), Err(Errno::Invalid));
    assert_eq!(allocate(1, u64::MAX - 1), Err(Errno::FileTooBig));
    assert_eq!(allocate(0, 1 << 40), Err(Errno::NoSpace));
    assert_eq!(world.stat("f").map(|stat| stat.size_bytes), Ok(10));
}

#[test]
fn a_full_disk_takes_what_fits_keeps_it_and_can_be_emptied() {
    let world = World::new();
    let handle = world.open("f", CREATE).expect("it can be made");
    let (mut size, mut round) = (0_u64, 0_u64);
    let full = loop {
        let data = [mix(round) as u8; 3 * BLOCK];
        match world.write(handle, size, &data) {
            Ok(count) => size += u64::from(count),
            Err(errno) => break errno,
        }
        round += 1;
        assert!(size < 256 * BLOCK as u64, "the disk has an end");
    };
    assert_eq!(full, Errno::NoSpace);
    assert!(size > 128 * BLOCK as u64, "most of the disk is for data: {size}");
    let content = world.content("f").expect("it is there");
    assert_eq!(content.len() as u64, size);
    assert_eq!(world.fsync(handle), Ok(()), "what was acknowledged has space");
    world.vfs.evict_all();
    assert_eq!(world.content("f").as_ref(), Ok(&content));
    assert_eq!(
        world.open("g", CREATE).and_then(|other| world.write(other, 0, &[1; BLOCK])),
        Err(Errno::NoSpace)
    );
    world.close(handle);
    assert_eq!(world.unlink("f"), Ok(()));
    let handle = world.open("g", CREATE).expect("it can be made");
    assert_eq!(world.write(handle, 0, &[1; 3 * BLOCK]), Ok(3 * BLOCK as u32));
    assert_eq!(world.fsync(handle), Ok(()));
}

#[test]
fn a_small_cache_holds_a_large_file() {
    let cache = CachePolicy { cached_bytes_max: 4 * BLOCK as u64, ..CachePolicy::default() };
    let world = World::with(formatted(TINY), Sim::calm(), VfsPolicy::default(), cache);
    let handle = world.open("f", CREATE).expect("it can be made");
    for number in 0..60 {
        let data = [number as u8; BLOCK];
        assert_eq!(world.write(handle, number * BLOCK as u64, &data), Ok(BLOCK as u32));
        assert!(world.vfs.dirty_page_count() <= 5);
    }
    for number in (0..60).rev() {
        let data = world.read(handle, number * BLOCK as u64, BLOCK as u32);
        assert_eq!(data.as_deref(), Ok(&[number as u8; BLOCK][..]));
    }
}

#[test]
fn times_change_with_what_they_describe() {
    let world = World::new();
    let handle = world.file("f", b"x");
    let made = world.stat("f").expect("it is there");
    assert_eq!(world.write(handle, 0, b"y"), Ok(1));
    let written = world.stat("f").expect("it is there");
    assert!(written.modify_nanos > made.modify_nanos);
    assert_eq!(written.access_nanos, made.access_nanos);
    let set = |access, modify| {
        world.done(Request::SetTimes { at: at("f"), follow: true, access, modify })
    };
    assert_eq!(set(TimeChange::At(5), TimeChange::Keep), Ok(()));
    let changed = world.stat("f").expect("it is there");
    assert_eq!((changed.access_nanos, changed.modify_nanos), (5, written.modify_nanos));
    assert!(changed.change_nanos > written.change_nanos);
    assert_eq!(set(TimeChange::Now, TimeChange::At(7)), Ok(()));
    let world = world.remounted();
    let kept = world.stat("f").expect("it is there");
    assert!(kept.access_nanos > written.access_nanos);
    assert_eq!(kept.modify_nanos, 7);
    let root = world.stat(".").expect("it is there");
    let (access, modify) = (TimeChange::At(1), TimeChange::At(2));
    let times = Request::SetTimesHandle { handle: HandleId::ROOT, access, modify };
    assert_eq!(world.done(times), Ok(()));
    let changed = world.stat(".").expect("it is there");
    assert_eq!((changed.access_nanos, changed.modify_nanos), (1, 2));
    assert!(changed.change_nanos >= root.change_nanos);
}

#[test]
fn a_write_of_nothing_changes_nothing() {
    let world = World::new();
    let handle = world.open("f", APPEND).expect("it can be made");
    assert_eq!(world.write(handle, 100, b""), Ok(0));
    assert_eq!(world.stat("f").map(|stat| stat.size_bytes), Ok(0));
}

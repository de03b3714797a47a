//! Snapshots as their callers see them.

use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::call::Access;
use crate::call::At;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::Memory;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Sharing;
use crate::call::Signal;
use crate::call::TimeChange;
use crate::call::Value;
use crate::call::Vfs;
use crate::cow::fsck;
use crate::device::StateBounds;
use crate::device::Walk;
use crate::sim::Seeded;
use crate::sim::Sim;
use crate::sim::Site;
use crate::sim::Unrest;
use crate::vfs::SnapshotHold;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::EDIT;
use crate::vfs::tests::READ;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::at;
use crate::vfs::tests::at_dir;
use crate::vfs::tests::formatted;
use crate::vfs::tests::mapped::RW;
use crate::vfs::tests::reshape::direct;

fn named(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}

fn snapshot(name: &str) -> Request {
    Request::Manage(Manage::Snapshot { name: named(name) })
}

impl World {
    pub(super) fn take(&self, name: &str) -> Result<(), Errno> {
        self.done(snapshot(name))
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), Errno> {
        self.done(Request::Manage(Manage::DeleteSnapshot { name: named(name) }))
    }

    pub(super) fn enter(&self, name: &str) -> Result<HandleId, Errno> {
        let opened = self.call(Request::Manage(Manage::OpenSnapshot { name: named(name) }))?;
        let Value::Handle { handle, kind: FileKind::Directory, .. } = opened else {
            panic!("a snapshot opens as a directory")
        };
        Ok(handle)
    }

    pub(super) fn content_in(&self, directory: HandleId, path: &str) -> Result<Bytes, Errno> {
        let handle = self.open_at(directory, path, READ)?;
        let content = self.read(handle, 0, u32::MAX);
        self.close(handle);
        content
    }
}

#[test]
fn a_snapshot_shows_what_was_acknowledged_before_it_and_nothing_later() {
    let world = World::new();
    assert_eq!(world.mkdir("d"), Ok(()));
    assert_eq!(world.symlink("d/f", "l"), Ok(()));
    let handle = world.file("d/f", &[b'w'; 700]);
    let mapping = world.map(handle, 700);
    assert_eq!(world.store(mapping, 5, b"stored"), Ok(()));
    assert_eq!(world.take("s"), Ok(()));
    assert_eq!(world.store(mapping, 5, b"LATER!"), Ok(()));
    assert_eq!(world.write(handle, 690, &[b'x'; 100]), Ok(100));
    assert_eq!(world.rename("d/f", "g"), Ok(()));
    assert_eq!(world.rmdir("d"), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
    let expected = [&b"wwwww"[..], b"stored", &[b'w'; 689]].concat();
    let check = |world: &World| {
        let inside = world.enter("s").expect("it was taken");
        assert_eq!(world.content_in(inside, "d/f").as_deref(), Ok(&expected[..]));
        assert_eq!(world.content_in(inside, "l").as_deref(), Ok(&expected[..]), "by a link");
        assert_eq!(world.content_in(inside, "g"), Err(Errno::NoEntry));
        assert_eq!(world.open_at(inside, "../g", READ), Err(Errno::NotCapable));
        let target = world.call(Request::ReadLink { at: at_dir(inside, "l") });
        assert_eq!(target, Ok(Value::Target(named("d/f"))));
        world.close(inside);
    };
    check(&world);
    let content = world.content("g").expect("it is there");
    assert_eq!(&content[5..11], b"LATER!");
    let world = world.remounted();
    check(&world);
}

#[test]
fn files_of_a_snapshot_have_numbers_of_their_own() {
    let world = World::new();
    let live = world.stat_handle(world.file("f", b"1")).ino;
    assert_eq!((world.take("s"), world.take("t")), (Ok(()), Ok(())));
    let mut seen = vec![live, world.stat_handle(HandleId::ROOT).ino];
    for name in ["s", "t"] {
        let inside = world.enter(name).expect("it was taken");
        let stat = |path: &str| {
            let asked = Request::Stat { at: at_dir(inside, path), follow: false };
            let Ok(Value::Stat(stat)) = world.call(asked) else { panic!("it is there") };
            stat
        };
        assert_eq!((stat("f").size_bytes, stat("f").link_count), (1, 1));
        let scan = Request::ReadDirectory { handle: inside, cookie: 0, count_max: 9 };
        let Ok(Value::Entries(entries)) = world.call(scan) else { panic!("a scan succeeds") };
        let numbers: Vec<_> = entries.iter().map(|entry| entry.ino).collect();
        assert_eq!(numbers, [stat(".").ino, stat(".").ino, stat("f").ino]);
        seen.extend([stat(".").ino, stat("f").ino]);
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "{seen:?}");
}

#[test]
fn every_change_through_a_snapshot_is_refused() {
    let world = World::new();
    assert_eq!((world.mkdir("d"), world.symlink("f", "l")), (Ok(()), Ok(())));
    world.file("f", &[b'1'; 600]);
    assert_eq!(world.take("s"), Ok(()));
    let inside = world.enter("s").expect("it was taken");
    let here = |path: &str| at_dir(inside, path);
    let refused = |request| assert_eq!(world.call(request), Err(Errno::ReadOnly));
    for options in [EDIT, CREATE] {
        assert_eq!(world.open_at(inside, "f", options), Err(Errno::ReadOnly));
    }
    assert_eq!(world.open_at(inside, "new", CREATE), Err(Errno::ReadOnly));
    refused(Request::MakeDirectory { at: here("new"), mode: None });
    refused(Request::Symlink { target: named("x"), at: here("new") });
    refused(Request::Unlink { at: here("f") });
    refused(Request::RemoveDirectory { at: here("d") });
    refused(Request::Rename { from: here("f"), to: here("new"), replace: true });
    refused(Request::Link { from: here("f"), follow: false, to: here("new") });
    refused(Request::Link { from: at("f"), follow: false, to: here("new") });
    let elsewhere = |request| assert_eq!(world.call(request), Err(Errno::CrossDevice));
    elsewhere(Request::Link { from: here("f"), follow: false, to: at("new") });
    elsewhere(Request::Rename { from: here("f"), to: at("new"), replace: true });
    elsewhere(Request::Rename { from: at("f"), to: here("new"), replace: true });
    let (access, modify) = (TimeChange::Now, TimeChange::At(7));
    for path in ["f", "d", "l"] {
        refused(Request::SetTimes { at: here(path), follow: false, access, modify });
    }
    let handle = world.open_at(inside, "f", READ).expect("it can be read");
    refused(Request::SetTimesHandle { handle, access, modify });
    refused(Request::Manage(Manage::SetCompression { handle, on: true }));
    assert_eq!(world.write(handle, 0, b"x"), Err(Errno::BadFile));
    assert_eq!(world.truncate(handle, 0), Err(Errno::Invalid));
    let shared = world.map_as(handle, 0, 600, RW, Sharing::Shared);
    assert_eq!(shared, Err(Errno::Access));
    // What changes nothing is permitted.
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.fsync(inside), Ok(()));
    let private = world.map_as(handle, 0, 600, RW, Sharing::Private).expect("its own copy");
    assert_eq!(world.store(private, 0, b"mine"), Ok(()));
    assert_eq!(world.content_in(inside, "f").as_deref(), Ok(&[b'1'; 600][..]));
    assert_eq!(world.content("f").as_deref(), Ok(&[b'1'; 600][..]));
    assert_eq!(world.said(), [], "nothing was lost, and nothing failed");
}

#[test]
fn names_are_checked_and_a_snapshot_in_use_stays() {
    let world = World::new();
    world.file("f", b"1");
    for (name, errno) in [("", Errno::Invalid), ("..", Errno::Invalid), ("a/b", Errno::Invalid)] {
        assert_eq!(world.take(name), Err(errno));
        assert_eq!(world.enter(name), Err(errno));
        assert_eq!(world.delete(name), Err(errno));
    }
    assert_eq!(world.take(&"n".repeat(129)), Err(Errno::NameTooLong));
    assert_eq!(world.enter("s"), Err(Errno::NoEntry));
    assert_eq!(world.delete("s"), Err(Errno::NoEntry));
    assert_eq!(world.take("s"), Ok(()));
    assert_eq!(world.take("s"), Err(Errno::Exists));
    let inside = world.enter("s").expect("it was taken");
    let handle = world.open_at(inside, "f", READ).expect("it is there");
    let access = Access { read: true, write: false };
    let mapping = world.map_as(handle, 0, 1, access, Sharing::Shared).expect("to be read");
    for open in [inside, handle] {
        assert_eq!(world.delete("s"), Err(Errno::Busy));
        world.close(open);
    }
    assert_eq!(world.delete("s"), Err(Errno::Busy), "it is mapped");
    let asked = Memory::Unmap { mapping, offset: 0, len: 1 };
    assert_eq!(world.done(Request::Memory(asked)), Ok(()));
    assert_eq!(world.load(mapping, 0, 1), Err(Signal::Segv));
    assert_eq!(world.delete("s"), Ok(()));
    assert_eq!(world.enter("s"), Err(Errno::NoEntry));
    assert_eq!(world.take("s"), Ok(()));
    assert_eq!(fsck::check(&world.disk.durable_image()), []);
}

#[test]
fn a_snapshot_survives_power_loss_from_its_answer_on_and_a_deleted_one_does_not_come_back() {
    let world = World::new();
    let handle = world.file("f", &[b'1'; 2 * BLOCK]);
    let started = world.disk.history().len();
    assert_eq!(world.take("s"), Ok(()));
    let taken = world.disk.history().len();
    assert_eq!(world.write(handle, 0, &[b'2'; 700]), Ok(700));
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.unlink("f"), Ok(()));
    let deleting = world.disk.history().len();
    assert_eq!(world.delete("s"), Ok(()));
    let deleted = world.disk.history().len();
    let history = world.disk.history();
    let mut walk = Walk::new(&history);
    let (mut kept, mut gone) = (0, 0);
    for position in started..=history.len() {
        let bounds = StateBounds { subset_count_max: 8, torn: true };
        for state in walk.advance(position).states(&bounds).states {
            assert_eq!(fsck::check(&state.image), [], "position {position}");
            let world = World::of(state.image);
            let inside = world.enter("s");
            match inside {
                Ok(inside) => {
                    let content = world.content_in(inside, "f");
                    assert_eq!(content.as_deref(), Ok(&[b'1'; 2 * BLOCK][..]), "at {position}");
                    assert!(position < deleted, "it came back at {position}");
                    kept += 1;
                }
                Err(errno) => {
                    assert_eq!(errno, Errno::NoEntry);
                    assert!(position < taken || position >= deleting, "lost at {position}");
                    gone += 1;
                }
            }
        }
    }
    assert!(kept > 10 && gone > 4, "{kept} and {gone} states");
}

#[test]
fn what_cannot_be_written_back_is_in_no_snapshot() {
    let world = World::new();
    let handle = world.file("f", &[b'1'; BLOCK]);
    world.fail("data:1");
    assert_eq!(world.take("s"), Err(Errno::Io));
    assert_eq!(world.enter("s"), Err(Errno::NoEntry));
    assert_eq!(world.take("s"), Err(Errno::Io), "the bytes are still lost");
    assert_eq!(world.write(handle, 0, &[b'2'; BLOCK]), Ok(BLOCK as u32));
    assert_eq!(world.fsync(handle), Ok(()), "they were rewritten");
    assert_eq!(world.take("s"), Ok(()));
    world.fail("root:1");
    assert_eq!(world.take("t"), Err(Errno::Io));
    assert_eq!(world.enter("t"), Err(Errno::NoEntry));
}

/// Changes two files in turn, `changes` times, so that the first is never behind the second and
/// never more than one ahead; snapshots are taken meanwhile. Answers what each of them shows.
fn cuts(seed: u64, changes: u8, stores: bool) -> Vec<(u8, u8)> {
    let unrest = [(Site::Preempt, Unrest::one_in(3)), (Site::CompletionDelay, Unrest::one_in(3))];
    let sim = Sim::new(Seeded::new(seed, &unrest));
    let (policy, cache) = (VfsPolicy::default(), CachePolicy::default());
    let world = World::with(formatted(TINY), sim.clone(), policy, cache);
    let files = ["a", "b"].map(|name| world.file(name, &[0; 2 * BLOCK]));
    let mappings = files.map(|file| world.map(file, BLOCK as u64));
    let (vfs, asked) = (world.vfs.clone(), Arc::new(Mutex::new(0)));
    let call = move |process: u32, request: Request| {
        let vfs = vfs.clone();
        let number = {
            let mut asked = asked.lock().expect("one thread");
            *asked += 1;
            *asked
        };
        let caller = Caller { process: ProcessId(process), call: CallId(number) };
        async move { vfs.call(caller, request).await.expect("the power stays on") }
    };
    let change = call.clone();
    sim.spawn(async move {
        for fill in 1..=changes {
            for which in 0..2 {
                let data = Bytes::from(vec![fill; 3]);
                let answer = if stores {
                    let mapping = mappings[which];
                    change(1, Request::Memory(Memory::Store { mapping, offset: 0, data })).await
                } else {
                    let (handle, offset) = (files[which], Some(0));
                    change(1, Request::Write { handle, offset, data }).await
                };
                assert!(answer.is_ok(), "{answer:?}");
            }
        }
    });
    sim.spawn(async move {
        for name in ["1", "2", "3"] {
            assert_eq!(call(2, snapshot(name)).await, Ok(Value::Done));
        }
    });
    sim.run_background();
    let shown = |name: &str| {
        let inside = world.enter(name).expect("it was taken");
        let first = |file: &str| world.content_in(inside, file).expect("it is there")[0];
        (first("a"), first("b"))
    };
    ["1", "2", "3"].map(shown).to_vec()
}

#[test]
fn a_snapshot_is_one_moment_also_while_others_write_and_store() {
    for stores in [false, true] {
        let mut within = 0;
        for seed in 0..150 {
            for (a, b) in cuts(seed, 12, stores) {
                assert!(a == b || a == b + 1, "seed {seed}, stores {stores}: {a} and {b}");
                within += u32::from(a > 0 && b < 12);
            }
        }
        assert!(within > 20, "stores {stores}: only {within} snapshots fell among the changes");
    }
}

/// What follows each write through the cache.
#[derive(Clone, Copy)]
enum Second {
    /// A write past the cache, to the next block.
    Direct,
    /// The file is cut, to another size each time; then it grows again.
    Cut,
}

const TURNS: u64 = 12;

/// The changes of one turn: the first is through the cache.
fn pair(second: Second, turn: u64, [cached, past]: [HandleId; 2]) -> Vec<Request> {
    let block = BLOCK as u64;
    let data = Bytes::from(vec![b'1' + turn as u8; BLOCK]);
    let write =
        |handle, offset| Request::Write { handle, offset: Some(offset), data: data.clone() };
    match second {
        Second::Direct => {
            let at = turn * 2 * block;
            vec![write(cached, at), write(past, at + block)]
        }
        Second::Cut => {
            let cut = Request::Truncate { handle: cached, size_bytes: block + 1 + turn };
            vec![write(cached, 0), cut, write(cached, block)]
        }
    }
}

/// Does a snapshot have a second without its first?
fn lacks_first(second: Second, content: &[u8]) -> bool {
    let turn_of = |byte: u8| u64::from(byte.wrapping_sub(b'1'));
    match second {
        Second::Direct => {
            content.chunks(2 * BLOCK).any(|pair| pair.len() > BLOCK && pair[0] < b'1')
        }
        Second::Cut => {
            let turn = (content.len() as u64).wrapping_sub(BLOCK as u64 + 1);
            turn < TURNS && turn_of(content[0]) != turn
        }
    }
}

/// Changes a file turn by turn. Answers whether a snapshot that was taken meanwhile has a second
/// change without its first.
fn is_torn(seed: u64, snapshot_hold: SnapshotHold, second: Second) -> bool {
    let unrest = [(Site::Preempt, Unrest::one_in(3)), (Site::CompletionDelay, Unrest::one_in(3))];
    let sim = Sim::new(Seeded::new(seed, &unrest));
    let policy = VfsPolicy { snapshot_hold, ..VfsPolicy::default() };
    let world = World::with(formatted(TINY), sim.clone(), policy, CachePolicy::default());
    let cached = world.file("f", b"");
    let past = direct(&world, "f");
    let vfs = world.vfs.clone();
    let call = move |process: u32, number: u64, request: Request| {
        let (vfs, process) = (vfs.clone(), ProcessId(process));
        let caller = Caller { process, call: CallId(u64::from(process.0) << 32 | number) };
        async move { vfs.call(caller, request).await.expect("the power stays on") }
    };
    let change = call.clone();
    sim.spawn(async move {
        for turn in 0..TURNS {
            for (number, request) in (0..).zip(pair(second, turn, [cached, past])) {
                let answer = change(1, 3 * turn + number, request).await;
                assert!(answer.is_ok(), "{answer:?}");
            }
        }
    });
    sim.spawn(async move {
        for (number, name) in (0..).zip(["1", "2", "3"]) {
            assert_eq!(call(2, number, snapshot(name)).await, Ok(Value::Done));
        }
    });
    sim.run_background();
    ["1", "2", "3"].into_iter().any(|name| {
        let inside = world.enter(name).expect("it was taken");
        let content = world.content_in(inside, "f").expect("it is there");
        lacks_first(second, &content)
    })
}

#[test]
fn a_snapshot_that_lets_writes_go_on_has_a_direct_one_without_what_was_written_before() {
    let torn = |hold| (0..100).filter(|seed| is_torn(*seed, hold, Second::Direct)).count();
    assert_eq!(torn(SnapshotHold::All), 0);
    assert!(torn(SnapshotHold::NotWrites) > 0);
}

#[test]
fn a_snapshot_that_lets_cuts_go_on_has_one_without_what_was_written_before() {
    let torn = |hold| (0..100).filter(|seed| is_torn(*seed, hold, Second::Cut)).count();
    assert_eq!(torn(SnapshotHold::All), 0);
    assert!(torn(SnapshotHold::NotTruncation) > 0);
}

#[test]
fn compression_is_an_attribute_and_space_is_told() {
    let world = World::new();
    let handle = world.file("f", &[b'1'; 3 * BLOCK]);
    let set = |on| world.done(Request::Manage(Manage::SetCompression { handle, on }));
    let marked = |world: &World| {
        let ino = world.stat("f").expect("it is there").ino.0;
        let inode = world.sim.block_on(world.vfs.cow().inode(ino)).expect("healthy");
        inode.expect("it is there").is_compressed
    };
    assert!(!marked(&world));
    assert_eq!(set(true), Ok(()));
    assert!(marked(&world));
    assert_eq!(world.write(handle, 5, b"x"), Ok(1));
    assert_eq!(world.fsync(handle), Ok(()));
    let Ok(Value::Space { block_size_bytes, block_count, free_count }) =
        world.call(Request::Manage(Manage::Space))
    else {
        panic!("statfs answers space")
    };
    assert_eq!((block_size_bytes, block_count), (BLOCK as u32, TINY.block_count));
    assert!((200..250).contains(&free_count), "{free_count}");
    let world = world.remounted();
    assert!(marked(&world));
    let handle = world.open("f", READ).expect("it is there");
    let off = Request::Manage(Manage::SetCompression { handle, on: false });
    assert_eq!(world.done(off), Ok(()), "an attribute, not content");
    assert!(!marked(&world));
    let everything = At { directory: HandleId::ROOT, path: named("f") };
    assert_eq!(world.done(Request::Unlink { at: everything }), Ok(()));
}

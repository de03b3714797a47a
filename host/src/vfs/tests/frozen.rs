//! The law of snapshots [SNAP-04]: every way to look at one shows the same for ever, whatever is
//! done outside it.

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::call::Access;
use crate::call::AllocateMode;
use crate::call::DirectoryEntry;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::MappingId;
use crate::call::Memory;
use crate::call::Mode;
use crate::call::OpenOptions;
use crate::call::Request;
use crate::call::SetAttribute;
use crate::call::Sharing as MappedAs;
use crate::call::Stat;
use crate::call::StatusFlags;
use crate::call::TimeChange;
use crate::call::Value;
use crate::call::Whence;
use crate::cow::CowPolicy;
use crate::cow::Sharing;
use crate::cow::fsck;
use crate::sim::Sim;
use crate::sim::mix;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::APPEND;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::EDIT;
use crate::vfs::tests::READ;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::at;
use crate::vfs::tests::at_dir;
use crate::vfs::tests::formatted;
use crate::vfs::tests::reshape::direct;

const PAGE: u64 = BLOCK as u64;
const RO: Access = Access { read: true, write: false };
/// How far files are looked at: beyond the end of each.
const LOOKED_AT: u32 = 8 * BLOCK as u32;

/// How the files are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    Plain,
    Packed,
    InPlace,
}

/// What is shown of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    entries: Vec<DirectoryEntry>,
    stats: Vec<Stat>,
    contents: Vec<Bytes>,
    /// Where data and holes are, from each block of `f` on.
    runs: Vec<Result<u64, Errno>>,
    attribute: Bytes,
    target: Value,
}

/// What was opened in the snapshot before anything changed.
struct Held {
    handle: HandleId,
    mapping: MappingId,
}

impl World {
    fn shown(&self, mapping: MappingId, len: u32) -> Bytes {
        self.load(mapping, 0, len).expect("it is in the file")
    }

    /// A file of a snapshot, by every way to read it; they agree.
    fn read_all_ways(&self, inside: HandleId, path: &str) -> Bytes {
        let handle = self.open_at(inside, path, READ).expect("it is in the snapshot");
        let whole = self.read(handle, 0, LOOKED_AT).expect("it can be read");
        let len = whole.len() as u32;
        let mut pieces = Vec::new();
        while let Ok(piece) = self.get(handle, None, 301)
            && !piece.is_empty()
        {
            pieces.extend_from_slice(&piece);
        }
        assert_eq!(pieces, whole, "{path} by pieces");
        let mapping = self.map_as(handle, 0, u64::from(len), RO, MappedAs::Shared);
        let mapping = mapping.expect("it can be mapped");
        assert_eq!(self.shown(mapping, len), whole, "{path}, mapped");
        let unmap = Memory::Unmap { mapping, offset: 0, len: u64::from(len) };
        assert_eq!(self.done(Request::Memory(unmap)), Ok(()));
        let status = StatusFlags { direct: true, ..StatusFlags::default() };
        let past = self.open_at(inside, path, OpenOptions { status, ..READ }).expect("as before");
        assert_eq!(self.read(past, 0, LOOKED_AT).as_ref(), Ok(&whole), "{path}, directly");
        for is_clone in [false, true] {
            let out = self.open("out", CREATE).expect("there is space");
            if is_clone {
                assert_eq!(self.clone_range((handle, 0), 0, (out, 0)), Ok(()));
            } else {
                let mut done = 0;
                while let Ok(count @ 1..) = self.copy((handle, done), (out, done), 1000) {
                    done += u64::from(count);
                }
            }
            assert_eq!(self.content("out").as_ref(), Ok(&whole), "{path}, clone: {is_clone}");
            self.close(out);
            assert_eq!(self.unlink("out"), Ok(()));
        }
        self.close(past);
        self.close(handle);
        whole
    }

    /// All that is shown of the snapshot.
    fn look(&self, held: Option<&Held>) -> Seen {
        let inside = self.enter("s").expect("it was taken");
        let directory = self.open_at(inside, "d", READ).expect("it is in the snapshot");
        let mut entries = Vec::new();
        for handle in [inside, directory] {
            let scan = Request::ReadDirectory { handle, cookie: 0, count_max: 99 };
            let Ok(Value::Entries(found)) = self.call(scan) else { panic!("a scan succeeds") };
            entries.extend(found);
        }
        let stat = |path: &str| {
            let asked = Request::Stat { at: at_dir(inside, path), follow: false };
            let Ok(Value::Stat(stat)) = self.call(asked) else { panic!("{path} is there") };
            stat
        };
        let stats = [".", "f", "g", "d", "d/h", "l"].map(stat).to_vec();
        let contents: Vec<Bytes> =
            ["f", "g", "d/h", "l"].map(|path| self.read_all_ways(inside, path)).to_vec();
        let file = self.open_at(inside, "f", READ).expect("it is in the snapshot");
        let mut runs = Vec::new();
        for block in 0..6 {
            let from = block * BLOCK as i64;
            runs.push(self.seek(file, from, Whence::Data));
            runs.push(self.seek(file, from, Whence::Hole));
        }
        let attribute = self.attribute(file, "user.a").expect("it has one");
        let target = self.call(Request::ReadLink { at: at_dir(inside, "l") }).expect("a link");
        [file, directory, inside].into_iter().for_each(|handle| self.close(handle));
        if let Some(held) = held {
            let len = contents[0].len() as u32;
            assert_eq!(self.read(held.handle, 0, LOOKED_AT).as_ref(), Ok(&contents[0]), "held");
            assert_eq!(self.shown(held.mapping, len), contents[0], "held mapping");
        }
        Seen { entries, stats, contents, runs, attribute, target }
    }

    /// Writes to every block that counts as free.
    fn use_all_room(&self) {
        let handle = self.open("filler", CREATE).expect("there is space");
        let mut at = 0;
        // Some room is kept back until what was written before has found its place.
        for _ in 0..4 {
            while let Ok(count) = self.write(handle, at, &[b'~'; 4 * BLOCK]) {
                at += u64::from(count);
            }
            assert_eq!(self.done(Request::SyncAll), Ok(()));
        }
        assert!(at > 100 * PAGE, "only {at} bytes");
        self.close(handle);
        assert_eq!(self.unlink("filler"), Ok(()));
        self.drop_all();
    }

    /// Changes the file that the name leads to now.
    fn edit(
        &self,
        path: &str,
        change: impl Fn(HandleId) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let handle = self.open(path, EDIT)?;
        let changed = change(handle);
        self.close(handle);
        changed
    }

    fn reshape(&self, mode: AllocateMode, offset: u64, len: u64) -> Result<(), Errno> {
        self.edit("f", |handle| self.fallocate(handle, mode, offset, len))
    }
}

fn put(world: &World, path: &str, offset: u64, len: usize) -> Result<(), Errno> {
    world.edit(path, |handle| world.write(handle, offset, &vec![b'!'; len]).map(drop))
}

/// From the first of two open files to the second.
fn between(
    world: &World,
    (from, to): (&str, &str),
    change: impl Fn(HandleId, HandleId) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let from = world.open(from, READ)?;
    let changed = world.edit(to, |to| change(from, to));
    world.close(from);
    changed
}

/// What it is, and how it is done.
type Change = (&'static str, fn(&World) -> Result<(), Errno>);

/// Whatever changes a file, a name, or what else a file has.
const CHANGES: &[Change] = &[
    ("write", |world| put(world, "f", 700, 900)),
    ("write a block", |world| put(world, "f", 0, BLOCK)),
    ("write into a hole", |world| put(world, "f", 3 * PAGE + 9, 20)),
    ("append", |world| {
        let handle = world.open("f", APPEND)?;
        let written = world.put(handle, None, &[b'+'; 800]);
        world.close(handle);
        written.map(drop)
    }),
    ("write directly", |world| {
        let handle = direct(world, "f");
        let written = world.write(handle, PAGE, &[b'D'; 2 * BLOCK]);
        world.close(handle);
        written.map(drop)
    }),
    ("store", |world| {
        world.edit("f", |handle| {
            let mapping = world.map(handle, 4 * PAGE);
            world.store(mapping, 600, b"stored").map_err(|_| Errno::Io)?;
            world.msync(mapping, 0, 4 * PAGE)
        })
    }),
    ("cut", |world| world.edit("f", |handle| world.truncate(handle, 600))),
    ("lengthen", |world| world.edit("f", |handle| world.truncate(handle, 3000))),
    ("cut by open", |world| {
        let handle = world.open("f", OpenOptions { truncate: true, ..EDIT })?;
        world.close(handle);
        Ok(())
    }),
    ("punch", |world| world.reshape(AllocateMode::PunchHole, 100, 1500)),
    ("zero", |world| world.reshape(AllocateMode::ZeroRange, PAGE, 2 * PAGE)),
    ("collapse", |world| world.reshape(AllocateMode::CollapseRange, PAGE, PAGE)),
    ("insert", |world| world.reshape(AllocateMode::InsertRange, PAGE, PAGE)),
    ("allocate", |world| world.reshape(AllocateMode::Extend, 2 * PAGE, 4 * PAGE)),
    ("clone over it", |world| {
        between(world, ("g", "f"), |g, f| world.clone_range((g, 0), PAGE, (f, 2 * PAGE)))
    }),
    ("clone of it, written to", |world| {
        between(world, ("f", "g"), |f, g| world.clone_range((f, 0), PAGE, (g, PAGE)))?;
        put(world, "g", PAGE + 7, 90)?;
        put(world, "f", 7, 90)
    }),
    ("copy over it", |world| {
        between(world, ("g", "f"), |g, f| world.copy((g, 10), (f, 600), 700).map(drop))
    }),
    ("dedupe, written to", |world| {
        between(world, ("g", "f"), |g, f| world.dedupe((g, 0), PAGE, (f, 0)).map(drop))?;
        put(world, "f", 0, 30)
    }),
    ("rename", |world| world.rename("f", "x")),
    ("rename over it", |world| world.rename("g", "f")),
    ("exchange", |world| world.exchange("f", "g")),
    ("unlink, and a new file", |world| {
        world.unlink("f")?;
        let handle = world.open("f", CREATE)?;
        let written = world.write(handle, 0, &[b'N'; 4 * BLOCK]);
        world.close(handle);
        written.map(drop)
    }),
    ("link", |world| world.link("f", "d/other")),
    ("the end of a directory", |world| {
        world.unlink("d/h")?;
        world.rmdir("d")
    }),
    ("another link", |world| {
        world.unlink("l")?;
        world.symlink("f", "l")
    }),
    ("set an attribute", |world| {
        world.edit("f", |handle| world.set(handle, "user.a", b"other", SetAttribute::Any))
    }),
    ("remove an attribute", |world| world.edit("f", |handle| world.unset(handle, "user.a"))),
    ("chmod", |world| {
        let mode = Mode::new(0o600);
        world.done(Request::SetMode { at: at("f"), follow: false, mode })
    }),
    ("utimens", |world| {
        let (access, modify) = (TimeChange::At(5), TimeChange::At(7));
        world.done(Request::SetTimes { at: at("f"), follow: false, access, modify })
    }),
    ("compress a copy", |world| {
        let handle = world.open("z", CREATE)?;
        world.close(handle);
        between(world, ("f", "z"), |f, z| {
            world.done(Request::Manage(Manage::SetCompression { handle: z, on: true }))?;
            world.copy((f, 0), (z, 0), 4 * PAGE).map(drop)
        })?;
        put(world, "z", 0, 2 * BLOCK)
    }),
    ("another snapshot", |world| {
        world.take("t")?;
        put(world, "f", 0, 2 * BLOCK)?;
        world.delete("t")
    }),
];

fn letters() -> Vec<u8> {
    (0..5 * BLOCK - 100).map(|at| b'a' + (at / 300) as u8).collect()
}

/// A snapshot of files of that kind, some of it dirty when it was taken.
fn world(stored: Stored, sharing: Sharing) -> World {
    let cow = CowPolicy { sharing, ..CowPolicy::default() };
    let policies = (VfsPolicy::default(), CachePolicy::default(), cow);
    let world = World::assembled(formatted(TINY), Sim::calm(), policies);
    let content = letters();
    for name in ["f", "g"] {
        let handle = world.open(name, CREATE).expect("there is space");
        let marked = match stored {
            Stored::Plain => Ok(()),
            Stored::Packed => {
                world.done(Request::Manage(Manage::SetCompression { handle, on: true }))
            }
            Stored::InPlace => world.done(Request::Manage(Manage::SetNoCow { handle, on: true })),
        };
        assert_eq!(marked, Ok(()));
        assert_eq!(world.write(handle, 0, &content), Ok(content.len() as u32));
        assert_eq!(world.fallocate(handle, AllocateMode::PunchHole, 3 * PAGE, PAGE), Ok(()));
        assert_eq!(world.set(handle, "user.a", b"value", SetAttribute::Any), Ok(()));
    }
    assert_eq!((world.mkdir("d"), world.symlink("d/h", "l")), (Ok(()), Ok(())));
    world.file("d/h", b"inside");
    world.drop_all();
    assert_eq!(put(&world, "f", 2 * PAGE, 5), Ok(()), "it is dirty");
    assert_eq!(world.take("s"), Ok(()));
    world
}

fn held(world: &World) -> Held {
    let inside = world.enter("s").expect("it was taken");
    let handle = world.open_at(inside, "f", READ).expect("it is in the snapshot");
    let mapping = world.map_as(handle, 0, 5 * PAGE, RO, MappedAs::Shared);
    Held { handle, mapping: mapping.expect("it can be mapped") }
}

/// Makes one change after the snapshot; answers whether the snapshot is still what it was, in
/// memory, on the medium once all that counts as free was written to, and after a mount.
fn stays(stored: Stored, sharing: Sharing, change: fn(&World) -> Result<(), Errno>) -> bool {
    let world = world(stored, sharing);
    let (held, first) = (held(&world), world.look(None));
    assert_eq!(change(&world), Ok(()));
    if sharing == Sharing::Ignored {
        // What is amiss is not shown alike by all ways.
        world.drop_all();
        let inside = world.enter("s").expect("it was taken");
        return world.content_in(inside, "f").as_ref() == Ok(&first.contents[0]);
    }
    let changed = world.look(Some(&held));
    world.drop_all();
    world.use_all_room();
    let cold = world.look(Some(&held));
    let world = world.remounted();
    let mounted = world.look(None);
    assert_eq!(fsck::check(&world.disk.durable_image()), []);
    [changed, cold, mounted].iter().all(|seen| *seen == first)
}

#[test]
fn no_change_outside_is_seen_in_a_snapshot_by_any_way_to_look_at_it() {
    for stored in [Stored::Plain, Stored::Packed, Stored::InPlace] {
        for (name, change) in CHANGES {
            assert!(stays(stored, Sharing::BrokenFirst, *change), "{stored:?}: {name}");
        }
    }
}

#[test]
fn many_changes_one_after_the_other_are_not_seen_either() {
    for seed in 0..24 {
        let stored = [Stored::Plain, Stored::Packed, Stored::InPlace][seed as usize % 3];
        let world = world(stored, Sharing::BrokenFirst);
        let (held, first) = (held(&world), world.look(None));
        let mut done = Vec::new();
        for step in 0..30 {
            for name in ["f", "g"] {
                if world.stat(name).is_err() {
                    let handle = world.file(name, &letters());
                    world.close(handle);
                }
            }
            let (name, change) = CHANGES[mix(mix(seed) ^ step) as usize % CHANGES.len()];
            // What makes no sense after those before is refused.
            if change(&world).is_ok() {
                done.push(name);
            }
            if step % 6 == 5 {
                assert_eq!(world.look(Some(&held)), first, "seed {seed}, {stored:?}: {done:?}");
                world.drop_all();
            }
        }
        world.use_all_room();
        assert_eq!(world.look(Some(&held)), first, "seed {seed}, {stored:?}: {done:?}");
        assert!(done.len() > 20, "seed {seed}: {done:?}");
        assert_eq!(world.remounted().look(None), first, "seed {seed}, {stored:?}: {done:?}");
    }
}

// The law is worth something only if it fails where it is broken.
#[test]
fn a_change_in_place_of_what_a_snapshot_shares_is_noticed() {
    let is_seen = |change: &&Change| !stays(Stored::InPlace, Sharing::Ignored, change.1);
    let noticed: Vec<&str> = CHANGES.iter().filter(is_seen).map(|(name, _)| *name).collect();
    assert!(noticed.contains(&"write a block"), "{noticed:?}");
    assert!(noticed.contains(&"store"), "{noticed:?}");
    assert!(!noticed.contains(&"rename"), "{noticed:?}");
}

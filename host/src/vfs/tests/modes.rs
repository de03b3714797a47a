//! Permission bits, asked by a process that owns every file.

use bytes::Bytes;

use crate::call::Attribute;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::Mode;
use crate::call::OpenOptions;
use crate::call::Request;
use crate::call::SetAttribute;
use crate::call::Value;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::DIRECTORY;
use crate::vfs::tests::EDIT;
use crate::vfs::tests::NEW;
use crate::vfs::tests::READ;
use crate::vfs::tests::World;
use crate::vfs::tests::at;
use crate::vfs::tests::at_dir;
use crate::vfs::tests::crash::broken;
use crate::vfs::tests::crash::now;

impl World {
    /// Of process 1, to which something may be denied.
    fn owned() -> Self {
        Self { process: 1, ..Self::new() }
    }

    fn chmod(&self, path: &str, mode: u32) -> Result<(), Errno> {
        self.done(Request::SetMode { at: at(path), follow: true, mode: Mode::new(mode) })
    }

    fn fchmod(&self, handle: HandleId, mode: u32) -> Result<(), Errno> {
        self.done(Request::SetModeHandle { handle, mode: Mode::new(mode) })
    }

    fn mode(&self, path: &str) -> Option<u16> {
        self.stat(path).expect("it is there").mode.map(Mode::bits)
    }
}

const WRITE: OpenOptions = OpenOptions { read: false, ..EDIT };

#[test]
fn a_file_is_made_with_the_bits_of_its_call_and_keeps_those_given_last() {
    let world = World::owned();
    let made = OpenOptions { mode: Some(Mode::new(0o4640)), ..NEW };
    let handle = world.open("f", made).expect("it is new");
    world.file("g", b"");
    assert_eq!(world.mkdir("d"), Ok(()));
    let mode = Some(Mode::new(0o1700));
    assert_eq!(world.done(Request::MakeDirectory { at: at("e"), mode }), Ok(()));
    assert_eq!(world.symlink("f", "l"), Ok(()));
    let modes = ["f", "g", "d", "e", "."].map(|path| world.mode(path));
    assert_eq!(modes, [0o4640, 0o666, 0o777, 0o1700, 0o777].map(Some));
    assert_eq!(world.fchmod(handle, 0o600), Ok(()));
    assert_eq!(world.chmod("l", 0o501), Ok(()), "the link is followed");
    assert_eq!(world.mode("f"), Some(0o501));
    let link = Request::SetMode { at: at("l"), follow: false, mode: Mode::new(0) };
    assert_eq!(world.done(link), Err(Errno::NotSupported));
    assert_eq!(world.chmod("none", 0o600), Err(Errno::NoEntry));
    assert_eq!(world.chmod("f/", 0o600), Err(Errno::NotDirectory));
    assert_eq!(world.write(handle, 0, &[1; 2 * BLOCK]), Ok(2 * BLOCK as u32));
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    world.close(handle);
    assert_eq!(world.fchmod(handle, 0o600), Err(Errno::BadFile));
    let world = World { process: 1, ..world.remounted() };
    assert_eq!([world.mode("f"), world.mode("e")], [0o501, 0o1700].map(Some));
}

#[test]
fn what_the_bits_of_a_file_deny_is_refused_and_what_is_open_goes_on() {
    let world = World::owned();
    let handle = world.file("f", b"content");
    assert_eq!(world.chmod("f", 0o477), Ok(()), "the owner's bits decide");
    assert_eq!(world.open("f", EDIT), Err(Errno::Access));
    assert_eq!(world.open("f", CREATE), Err(Errno::Access));
    let cut = OpenOptions { truncate: true, ..READ };
    assert_eq!(world.open("f", cut), Err(Errno::Access));
    world.close(world.open("f", READ).expect("it may be read"));
    assert_eq!(world.write(handle, 0, b"C"), Ok(1));
    assert_eq!(world.truncate(handle, 4), Ok(()));
    assert_eq!(world.chmod("f", 0o277), Ok(()));
    assert_eq!(world.open("f", READ), Err(Errno::Access));
    world.close(world.open("f", WRITE).expect("it may be written"));
    assert_eq!(world.read(handle, 0, 9), Ok(Bytes::from_static(b"Cont")));
    // Extended attributes of users ask the bits, whatever the description may do.
    let name = Bytes::from_static(b"user.a");
    let get = Request::Attribute(Attribute::Get { handle, name: name.clone() });
    assert_eq!(world.call(get), Err(Errno::Access));
    assert_eq!(world.chmod("f", 0o400), Ok(()));
    let (value, how) = (Bytes::new(), SetAttribute::Any);
    let set = Request::Attribute(Attribute::Set { handle, name: name.clone(), value, how });
    assert_eq!(world.done(set), Err(Errno::Access));
    let remove = Request::Attribute(Attribute::Remove { handle, name });
    assert_eq!(world.done(remove), Err(Errno::Access));
    let world = World { process: 0, ..world };
    world.close(world.open("f", EDIT).expect("nothing is denied to the host"));
}

#[test]
fn names_are_looked_for_and_changed_as_the_bits_of_directories_say() {
    let world = World::owned();
    for path in ["d", "d/e", "x"] {
        assert_eq!(world.mkdir(path), Ok(()));
    }
    let inside = world.file("d/f", b"");
    world.file("f", b"");
    assert_eq!(world.symlink("f", "d/l"), Ok(()));
    let held = world.open("d", DIRECTORY).expect("it is there");
    // Without write, names stay.
    assert_eq!(world.chmod("d", 0o500), Ok(()));
    let denied = Err(Errno::Access);
    assert_eq!(world.open("d/new", CREATE), denied.map(|()| HandleId::ROOT));
    assert_eq!(world.mkdir("d/new"), denied);
    assert_eq!(world.unlink("d/f"), denied);
    assert_eq!(world.rmdir("d/e"), denied);
    assert_eq!(world.rename("d/f", "g"), denied);
    assert_eq!(world.rename("f", "d/g"), denied);
    assert_eq!(world.rename("d/f", "d/f"), Ok(()), "nothing is changed");
    assert_eq!(world.exchange("d/f", "f"), denied);
    assert_eq!(world.link("f", "d/g"), denied);
    assert_eq!(world.link_handle(inside, "d/g"), denied);
    assert_eq!(world.symlink("f", "d/g"), denied);
    let options = OpenOptions { write: true, ..READ };
    let unnamed = Request::OpenUnnamed { at: at_dir(held, "."), options };
    assert_eq!(world.call(unnamed), Err(Errno::Access));
    assert!(world.stat("d/f").is_ok());
    world.close(world.open("d/f", EDIT).expect("its own bits decide"));
    // Without search, nothing is found, not even from a descriptor of the directory.
    assert_eq!(world.chmod("d", 0o600), Ok(()));
    assert_eq!(world.stat("d/f").map(|_| ()), denied);
    assert_eq!(world.stat("d/.").map(|_| ()), denied);
    assert_eq!(world.chmod("d/f", 0), denied);
    let from_held = Request::Stat { at: at_dir(held, "f"), follow: false };
    assert_eq!(world.call(from_held), Err(Errno::Access));
    assert_eq!(world.call(Request::ReadLink { at: at("d/l") }), Err(Errno::Access));
    assert_eq!(world.names("d"), [".", "..", "e", "f", "l"]);
    // Without read, it cannot be listed; who has it open lists it.
    assert_eq!(world.chmod("d", 0o300), Ok(()));
    assert_eq!(world.open("d", DIRECTORY), Err(Errno::Access));
    let list = Request::ReadDirectory { handle: held, cookie: 0, count_max: 9 };
    assert!(matches!(world.call(list), Ok(Value::Entries(entries)) if entries.len() == 5));
    assert_eq!(world.unlink("d/f"), Ok(()));
    // A directory that gets another parent is changed itself.
    assert_eq!(world.chmod("d/e", 0o500), Ok(()));
    assert_eq!(world.rename("d/e", "d/same"), Ok(()));
    assert_eq!(world.rename("d/same", "x/e"), denied);
    assert_eq!(world.exchange("d/same", "f"), denied);
}

#[test]
fn the_bits_of_a_snapshot_stay() {
    let world = World::owned();
    world.file("f", b"");
    let name = Bytes::from_static(b"s");
    assert_eq!(world.done(Request::Manage(Manage::Snapshot { name: name.clone() })), Ok(()));
    assert_eq!(world.chmod("f", 0), Ok(()));
    let opened = world.call(Request::Manage(Manage::OpenSnapshot { name }));
    let Ok(Value::Handle { handle: root, .. }) = opened else { panic!("it is there") };
    let frozen = world.open_at(root, "f", READ).expect("it may be read there");
    assert_eq!(world.stat_handle(frozen).mode.map(Mode::bits), Some(0o666));
    assert_eq!(world.fchmod(frozen, 0o600), Err(Errno::ReadOnly));
    assert_eq!(world.open("f", READ), Err(Errno::Access));
}

#[test]
fn bits_are_old_or_new_after_a_crash_and_new_after_a_sync() {
    let world = World::new();
    let handle = world.file("f", b"");
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    let start = now(&world);
    assert_eq!(world.fchmod(handle, 0o600), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
    let synced = now(&world);
    assert_eq!(world.chmod(".", 0o700), Ok(()));
    assert_eq!(world.fsync(HandleId::ROOT), Ok(()));
    let ended = now(&world);
    let modes = |world: &World| [world.mode("f"), world.mode(".")];
    let known = [[0o666, 0o777], [0o600, 0o777], [0o600, 0o700]].map(|modes| modes.map(Some));
    assert_eq!(broken(&world, start, |world| known.contains(&modes(world))), 0);
    assert_eq!(broken(&world, synced, |world| known[1..].contains(&modes(world))), 0);
    assert_eq!(broken(&world, ended, |world| modes(world) == known[2]), 0);
    assert!(broken(&world, start, |world| modes(world) == known[2]) > 0, "it took a sync");
}

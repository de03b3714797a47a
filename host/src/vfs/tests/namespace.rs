//! Names: what each operation answers, and what it leaves.

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::call::Answer;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Value;
use crate::call::Vfs;
use crate::sim::Sim;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::DIRECTORY;
use crate::vfs::tests::EDIT;
use crate::vfs::tests::NEW;
use crate::vfs::tests::OpenOptions;
use crate::vfs::tests::READ;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::at;
use crate::vfs::tests::at_dir;
use crate::vfs::tests::formatted;

fn populated() -> World {
    let world = World::new();
    assert_eq!(world.mkdir("dir"), Ok(()));
    let handle = world.file("dir/inner", b"inner");
    world.close(handle);
    let handle = world.file("file", b"file");
    world.close(handle);
    assert_eq!(world.mkdir("empty"), Ok(()));
    assert_eq!(world.symlink("file", "to_file"), Ok(()));
    assert_eq!(world.symlink("dir", "to_dir"), Ok(()));
    assert_eq!(world.symlink("nowhere", "dangling"), Ok(()));
    assert_eq!(world.symlink("ring", "ring"), Ok(()));
    assert_eq!(world.symlink("/file", "absolute"), Ok(()));
    assert_eq!(world.symlink("../file", "dir/up"), Ok(()));
    assert_eq!(world.symlink("../../file", "dir/too_far"), Ok(()));
    world
}

#[test]
fn paths_stay_beneath_their_directory() {
    let world = populated();
    let dir = world.open("dir", DIRECTORY).expect("it is there");
    assert_eq!(world.open("/file", READ), Err(Errno::NotCapable));
    assert_eq!(world.open("..", DIRECTORY), Err(Errno::NotCapable));
    assert_eq!(world.open("dir/../../file", READ), Err(Errno::NotCapable));
    assert_eq!(world.open("absolute", READ), Err(Errno::NotCapable));
    assert_eq!(world.open_at(dir, "../file", READ), Err(Errno::NotCapable));
    assert_eq!(world.open_at(dir, "up", READ), Err(Errno::NotCapable));
    assert_eq!(world.open("dir/too_far", READ), Err(Errno::NotCapable));
    assert_eq!(world.content("dir/up").as_deref(), Ok(&b"file"[..]));
    assert_eq!(world.content("./dir//.././file").as_deref(), Ok(&b"file"[..]));
}

#[test]
fn paths_are_bounded_and_checked() {
    let world = populated();
    let long_name = "n".repeat(world.vfs.cow().name_max() + 1);
    assert_eq!(world.open(&long_name, CREATE), Err(Errno::NameTooLong));
    assert_eq!(world.open(&"a/".repeat(2049), READ), Err(Errno::NameTooLong));
    assert_eq!(world.open("", READ), Err(Errno::NoEntry));
    assert_eq!(world.open("a\0b", CREATE), Err(Errno::Invalid));
    assert_eq!(world.open("ring", READ), Err(Errno::Loop));
    assert_eq!(world.open("file/x", READ), Err(Errno::NotDirectory));
    assert_eq!(world.open("none/x", CREATE), Err(Errno::NoEntry));
    assert_eq!(world.open_at(HandleId(99), "x", READ), Err(Errno::BadFile));
    let file = world.open("file", READ).expect("it is there");
    assert_eq!(world.open_at(file, "x", READ), Err(Errno::NotDirectory));
    let name = &long_name[1..];
    assert!(world.open(name, CREATE).is_ok());
    assert_eq!(world.stat(name).map(|stat| stat.kind), Ok(FileKind::Regular));
}

#[test]
fn names_are_bytes() {
    let world = World::new();
    let path = Bytes::from_static(b"\xff\xfe");
    let at = crate::call::At { directory: HandleId::ROOT, path };
    assert_eq!(world.done(Request::MakeDirectory { at: at.clone(), mode: None }), Ok(()));
    assert_eq!(world.done(Request::RemoveDirectory { at }), Ok(()));
}

#[test]
fn open_answers_as_its_flags_say() {
    let world = populated();
    let nofollow = OpenOptions { follow: false, ..READ };
    assert_eq!(world.open("file", NEW), Err(Errno::Exists));
    assert_eq!(world.open("dangling", NEW), Err(Errno::Exists));
    assert_eq!(world.open("dir", EDIT), Err(Errno::IsDirectory));
    assert_eq!(world.open("dir", CREATE), Err(Errno::IsDirectory));
    assert_eq!(world.open("file", DIRECTORY), Err(Errno::NotDirectory));
    assert_eq!(world.open("file/", READ), Err(Errno::NotDirectory));
    assert_eq!(world.open("new/", CREATE), Err(Errno::IsDirectory));
    assert_eq!(world.open("none", READ), Err(Errno::NoEntry));
    assert_eq!(world.open("to_file", nofollow), Err(Errno::Loop));
    let both = OpenOptions { directory: true, ..nofollow };
    assert_eq!(world.open("to_dir", both), Err(Errno::NotDirectory));
    assert!(world.open("to_dir/", both).is_ok());
    assert!(world.open("dir/", READ).is_ok());
    assert!(world.open("dangling", CREATE).is_ok(), "the link's target is made");
    assert_eq!(world.content("nowhere").as_deref(), Ok(&b""[..]));
    let truncate = OpenOptions { truncate: true, ..EDIT };
    assert!(world.open("file", truncate).is_ok());
    assert_eq!(world.content("file").as_deref(), Ok(&b""[..]));
}

#[test]
fn unlink_answers_and_removes() {
    let world = populated();
    assert_eq!(world.unlink("dir"), Err(Errno::IsDirectory));
    assert_eq!(world.unlink("dir/."), Err(Errno::IsDirectory));
    assert_eq!(world.unlink("none"), Err(Errno::NoEntry));
    assert_eq!(world.unlink("file/"), Err(Errno::NotDirectory));
    assert_eq!(world.unlink("to_dir/"), Err(Errno::NotDirectory));
    assert_eq!(world.unlink("dangling"), Ok(()));
    assert_eq!(world.unlink("file"), Ok(()));
    assert_eq!(world.stat("file"), Err(Errno::NoEntry));
}

#[test]
fn rmdir_answers_and_removes() {
    let world = populated();
    assert_eq!(world.rmdir("dir"), Err(Errno::NotEmpty));
    assert_eq!(world.rmdir("file"), Err(Errno::NotDirectory));
    assert_eq!(world.rmdir("to_dir"), Err(Errno::NotDirectory));
    assert_eq!(world.rmdir("dir/."), Err(Errno::Invalid));
    assert_eq!(world.rmdir("dir/.."), Err(Errno::NotEmpty));
    assert_eq!(world.rmdir("none"), Err(Errno::NoEntry));
    let empty = world.open("empty", DIRECTORY).expect("it is there");
    assert_eq!(world.rmdir("empty/"), Ok(()));
    assert_eq!(world.open_at(empty, "new", CREATE), Err(Errno::NoEntry));
    let made = world.done(Request::MakeDirectory { at: at_dir(empty, "new"), mode: None });
    assert_eq!(made, Err(Errno::NoEntry));
    assert_eq!(world.stat_handle(empty).link_count, 0);
}

#[test]
fn making_names_answers_as_posix_says() {
    let world = populated();
    assert_eq!(world.mkdir("file"), Err(Errno::Exists));
    assert_eq!(world.mkdir("dangling"), Err(Errno::Exists));
    assert_eq!(world.mkdir("."), Err(Errno::Exists));
    assert_eq!(world.mkdir("new/"), Ok(()));
    assert_eq!(world.symlink("", "x"), Err(Errno::NoEntry));
    assert_eq!(world.symlink("a", "file"), Err(Errno::Exists));
    assert_eq!(world.symlink("a", "x/"), Err(Errno::NoEntry));
    assert_eq!(world.link("dir", "x"), Err(Errno::NotPermitted));
    assert_eq!(world.link("none", "x"), Err(Errno::NoEntry));
    assert_eq!(world.link("file", "to_file"), Err(Errno::Exists));
    assert_eq!(world.link("file", "x/"), Err(Errno::NoEntry));
    assert_eq!(world.link("to_file", "x"), Ok(()));
    assert_eq!(world.stat("x").map(|stat| stat.kind), Ok(FileKind::Symlink));
}

#[test]
fn a_link_is_the_same_file_and_counts() {
    let world = populated();
    assert_eq!(world.link("file", "dir/also"), Ok(()));
    let (one, other) = (world.stat("file"), world.stat("dir/also"));
    assert_eq!(one, other);
    assert_eq!(one.map(|stat| stat.link_count), Ok(2));
    assert_eq!(world.unlink("file"), Ok(()));
    assert_eq!(world.stat("dir/also").map(|stat| stat.link_count), Ok(1));
    assert_eq!(world.content("dir/also").as_deref(), Ok(&b"file"[..]));
}

#[test]
fn rename_answers_as_posix_says() {
    let world = populated();
    assert_eq!(world.rename("none", "x"), Err(Errno::NoEntry));
    assert_eq!(world.rename("file", "dir"), Err(Errno::IsDirectory));
    assert_eq!(world.rename("dir", "file"), Err(Errno::NotDirectory));
    assert_eq!(world.rename("empty", "dir"), Err(Errno::NotEmpty));
    assert_eq!(world.rename("dir", "dir/sub"), Err(Errno::Invalid));
    assert_eq!(world.rename("file", "x/"), Err(Errno::NotDirectory));
    assert_eq!(world.rename("file/", "x"), Err(Errno::NotDirectory));
    assert_eq!(world.rename("dir/.", "x"), Err(Errno::Busy));
    assert_eq!(world.rename("file", "file"), Ok(()));
    assert_eq!(world.rename("dir", "dir"), Ok(()), "a directory onto itself is no change");
}

#[test]
fn rename_between_hard_links_changes_nothing() {
    let world = populated();
    assert_eq!(world.link("file", "also"), Ok(()));
    assert_eq!(world.rename("file", "also"), Ok(()));
    assert_eq!(world.content("file"), world.content("also"));
    assert_eq!(world.stat("file").map(|stat| stat.link_count), Ok(2));
}

#[test]
fn rename_replaces_files_and_empty_directories() {
    let world = populated();
    assert_eq!(world.rename("file", "dir/inner"), Ok(()));
    assert_eq!(world.stat("file"), Err(Errno::NoEntry));
    assert_eq!(world.content("dir/inner").as_deref(), Ok(&b"file"[..]));
    assert_eq!(world.rename("dir", "empty"), Ok(()));
    assert_eq!(world.content("empty/inner").as_deref(), Ok(&b"file"[..]));
    assert_eq!(world.mkdir("empty/deep"), Ok(()));
    assert_eq!(world.rename("empty/deep", "deep/"), Ok(()));
    assert_eq!(world.rename("empty", "deep/below"), Ok(()));
    assert_eq!(world.names("deep"), [".", "..", "below"]);
    assert_eq!(world.rename("deep", "deep/below/x"), Err(Errno::Invalid));
    let world = world.remounted();
    assert_eq!(world.content("deep/below/inner").as_deref(), Ok(&b"file"[..]));
    assert_eq!(world.content("deep/below/../below/up").as_deref(), Err(&Errno::NoEntry));
}

#[test]
fn read_link_answers_the_target_only_of_links() {
    let world = populated();
    let read = |path| world.call(Request::ReadLink { at: at(path) });
    assert_eq!(read("to_dir"), Ok(Value::Target(Bytes::from_static(b"dir"))));
    assert_eq!(read("file"), Err(Errno::Invalid));
    assert_eq!(read("to_dir/"), Err(Errno::Invalid));
    assert_eq!(read("none"), Err(Errno::NoEntry));
}

#[test]
fn a_scan_by_cookie_sees_each_name_once_whatever_its_pace() {
    let world = World::new();
    let names: Vec<String> = (0..20).map(|number| format!("name{number}")).collect();
    for name in &names {
        assert_eq!(world.mkdir(name), Ok(()));
    }
    let scan = |count_max: u32| {
        let (mut cookie, mut seen) = (0, Vec::new());
        loop {
            let handle = HandleId::ROOT;
            let next = world.call(Request::ReadDirectory { handle, cookie, count_max });
            let Ok(Value::Entries(entries)) = next else { panic!("a scan succeeds") };
            let Some(last) = entries.last() else { return seen };
            cookie = last.next_cookie;
            seen.extend(entries.into_iter().map(|entry| entry.name));
        }
    };
    let once = scan(1000);
    assert_eq!(once.len(), names.len() + 2);
    assert_eq!(once[..2], [&b"."[..], &b".."[..]]);
    for pace in [1, 2, 3, 7] {
        assert_eq!(scan(pace), once);
    }
    let handle = HandleId::ROOT;
    let end = world.call(Request::ReadDirectory { handle, cookie: u64::MAX, count_max: 1 });
    assert_eq!(end, Ok(Value::Entries(Vec::new())));
}

#[test]
fn an_unlinked_file_lives_until_its_last_handle_is_closed() {
    let world = World::new();
    let free = |world: &World| world.sim.block_on(world.vfs.cow().free_blocks());
    let first = world.file("f", &[1; 4096]);
    let second = world.open("f", READ).expect("it is there");
    assert_eq!(world.fsync(first), Ok(()));
    assert_eq!(world.unlink("f"), Ok(()));
    assert_eq!(world.stat("f"), Err(Errno::NoEntry));
    assert_eq!(world.stat_handle(first).link_count, 0);
    assert_eq!(world.write(first, 0, b"x"), Ok(1));
    world.close(first);
    assert_eq!(world.read(second, 0, 2).as_deref(), Ok(&b"x\x01"[..]));
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    let before = free(&world).expect("the disk is healthy");
    world.close(second);
    assert_eq!(world.done(Request::SyncAll), Ok(()));
    assert!(free(&world).expect("the disk is healthy") >= before + 8);
    let orphans = world.sim.block_on(world.vfs.cow().orphans());
    assert_eq!(orphans, Ok(Vec::new()));
}

#[test]
fn open_handles_are_bounded_and_go_with_their_process() {
    let policy = VfsPolicy { open_handles_max: 3, ..VfsPolicy::default() };
    let world = World::with(formatted(TINY), Sim::calm(), policy, CachePolicy::default());
    let opened: Vec<_> = (0..3).map(|_| world.open("f", CREATE)).collect();
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(world.open("g", CREATE), Err(Errno::TooManyOpen));
    assert_eq!(world.stat("g"), Err(Errno::NoEntry));
    assert_eq!(world.unlink("f"), Ok(()));
    let end = world.sim.block_on(world.vfs.end_process(ProcessId(0)));
    let ended: Answer = end.expect("the power stays on");
    assert_eq!(ended, Ok(Value::Done));
    let reused = world.open("g", CREATE).expect("there is room again");
    assert!(opened.iter().flatten().all(|handle| *handle < reused));
    assert_eq!(world.sim.block_on(world.vfs.cow().orphans()), Ok(Vec::new()));
}

#[test]
fn a_call_on_a_closed_handle_is_refused() {
    let world = World::new();
    let handle = world.file("f", b"x");
    world.close(handle);
    assert_eq!(world.done(Request::Close { handle }), Err(Errno::BadFile));
    assert_eq!(world.read(handle, 0, 1), Err(Errno::BadFile));
    assert_eq!(world.fsync(handle), Err(Errno::BadFile));
}

#[test]
fn a_rename_that_replaces_nothing_fails_over_any_name() {
    let world = World::new();
    world.file("a", b"a");
    world.file("b", b"b");
    assert_eq!(world.link("a", "same"), Ok(()));
    assert_eq!(world.mkdir("d"), Ok(()));
    for to in ["a", "b", "same", "d", "d/"] {
        assert_eq!(world.rename_new("a", to), Err(Errno::Exists), "{to}");
    }
    assert_eq!(world.rename_new("missing", "b"), Err(Errno::NoEntry));
    assert_eq!(world.rename_new("d", "d/below"), Err(Errno::Invalid));
    assert_eq!(world.rename_new("a", "d/a"), Ok(()));
    assert_eq!(world.content("d/a").as_deref(), Ok(&b"a"[..]));
    assert_eq!(world.stat("a"), Err(Errno::NoEntry));
}

#[test]
fn an_exchange_gives_each_name_the_other_s_file_whatever_its_kind() {
    let world = World::new();
    world.file("a", b"of a");
    assert_eq!(world.mkdir("d"), Ok(()));
    assert_eq!(world.mkdir("d/inner"), Ok(()));
    world.file("d/inner/f", b"inside");
    assert_eq!(world.symlink("a", "link"), Ok(()));
    assert_eq!(world.exchange("a", "d/inner"), Ok(()));
    assert_eq!(world.content("d/inner").as_deref(), Ok(&b"of a"[..]));
    assert_eq!(world.content("a/f").as_deref(), Ok(&b"inside"[..]));
    // `..` of the directory is where it is now.
    assert_eq!(world.content("a/../d/inner").as_deref(), Ok(&b"of a"[..]));
    assert_eq!(world.exchange("link", "d/inner"), Ok(()));
    assert_eq!(world.content("link").as_deref(), Ok(&b"of a"[..]));
    assert_eq!(world.exchange("a", "d"), Ok(()));
    assert_eq!(world.content("d/f").as_deref(), Ok(&b"inside"[..]));
    assert_eq!(world.stat("link").map(|stat| stat.link_count), Ok(1));
}

#[test]
fn what_cannot_be_exchanged_stays() {
    let world = World::new();
    world.file("a", b"a");
    assert_eq!(world.mkdir("d"), Ok(()));
    assert_eq!(world.mkdir("d/e"), Ok(()));
    world.file("d/e/f", b"f");
    let cases = [
        ("a", "missing", Errno::NoEntry),
        ("missing", "a", Errno::NoEntry),
        ("d", "d/e", Errno::Invalid),
        ("d/e/f", "d", Errno::Invalid),
        ("a/", "d", Errno::NotDirectory),
        ("a", "d/.", Errno::Busy),
    ];
    for (from, to, errno) in cases {
        assert_eq!(world.exchange(from, to), Err(errno), "{from} {to}");
    }
    assert_eq!(world.exchange("d", "d"), Ok(()));
    assert_eq!(world.link("a", "same"), Ok(()));
    assert_eq!(world.exchange("a", "same"), Ok(()));
    assert_eq!(world.stat("a").map(|stat| stat.link_count), Ok(2));
    assert_eq!(world.content("d/e/f").as_deref(), Ok(&b"f"[..]));
}

#[test]
fn a_file_without_a_name_gets_one_or_goes_with_its_last_handle() {
    let world = World::new();
    let orphans = || world.sim.block_on(world.vfs.cow().orphans()).map(|orphans| orphans.len());
    let gone = world.unnamed(false);
    assert_eq!(world.write(gone, 0, b"gone"), Ok(4));
    let handle = world.unnamed(false);
    assert_eq!(world.write(handle, 0, b"whole"), Ok(5));
    assert_eq!(orphans(), Ok(2));
    assert_eq!(world.link_handle(handle, "a"), Ok(()));
    assert_eq!(world.link_handle(handle, "a"), Err(Errno::Exists));
    assert_eq!(world.link_handle(handle, "b"), Ok(()));
    assert_eq!(world.stat("a").map(|stat| stat.link_count), Ok(2));
    assert_eq!(orphans(), Ok(1));
    world.close(gone);
    assert_eq!(orphans(), Ok(0));
    world.close(handle);
    assert_eq!(world.content("b").as_deref(), Ok(&b"whole"[..]));
}

#[test]
fn a_file_that_is_never_to_be_linked_and_one_that_lost_its_names_get_none() {
    let world = World::new();
    let handle = world.unnamed(true);
    assert_eq!(world.link_handle(handle, "a"), Err(Errno::NoEntry));
    let handle = world.unnamed(false);
    assert_eq!(world.link_handle(handle, "a"), Ok(()));
    assert_eq!(world.unlink("a"), Ok(()));
    assert_eq!(world.link_handle(handle, "a"), Err(Errno::NoEntry));
    assert_eq!(world.link_handle(HandleId::ROOT, "a"), Err(Errno::NotPermitted));
}

//! Names: every operation on them, with the errors a program meets, then syncs.
//!
//! 1. Creates files, exclusively and not; makes and removes directories. [NS-CREATE-01,
//!    NS-EXCL-01, NS-DIR-01]
//! 2. Renames: a new name, over a file, between two links of one file, over an empty and a full
//!    directory, of a directory into itself, of a missing name. [NS-RENAME-01 to NS-RENAME-03]
//! 3. Links and symbolic links: counts, reading them, dangling ones, a loop. [NS-LINK-01]
//! 4. Unlinks an open file and goes on using it. [NS-UNLINK-01, NS-UNLINK-02]
//! 5. Lists a directory while names come and go. [NS-READDIR-01]
//! 6. Walks paths with `.` and `..`, over files and too long names.
//! 7. Syncs what is left. All before the last line may be lost; then nothing. [DUR-DIR-01]

use crashproof_guests as guest;
use crashproof_guests::abi;
use crashproof_guests::note;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::Write;

fn creates() {
    note("create a", File::create("a"));
    note("create a again", File::create("a"));
    note("create a exclusively", File::create_new("a"));
    note("create b exclusively", File::create_new("b"));
    note("create in no directory", File::create("none/a"));
    note("create under a file", File::create("a/b"));
    note("open a missing file", File::open("missing"));
    note("mkdir d", fs::create_dir("d"));
    note("mkdir d again", fs::create_dir("d"));
    note("mkdir d/e", fs::create_dir("d/e"));
    note("rmdir d, which is full", fs::remove_dir("d"));
    note("rmdir a, which is a file", fs::remove_dir("a"));
    note("unlink d, which is a directory", fs::remove_file("d"));
    note("unlink a missing name", fs::remove_file("missing"));
    note("rmdir d/e", fs::remove_dir("d/e"));
    note("open d to be written", File::options().write(true).open("d"));
}

fn renames() {
    note("write a", fs::write("a", b"content of a"));
    note("write b", fs::write("b", b"content of b"));
    note("rename a to c", fs::rename("a", "c"));
    note("rename c over b", fs::rename("c", "b"));
    note("read b", fs::read("b"));
    note("rename b to itself", fs::rename("b", "b"));
    note("link b as b2", abi::link("b", "b2"));
    note("rename b over its own link", fs::rename("b", "b2"));
    note("stat b", fs::metadata("b"));
    note("stat b2", fs::metadata("b2"));
    note("rename a missing name", fs::rename("missing", "x"));
    note("mkdir full", fs::create_dir_all("full/inner"));
    note("mkdir empty", fs::create_dir("empty"));
    note("rename a file over a directory", fs::rename("b", "empty"));
    note("rename a directory over a file", fs::rename("empty", "b"));
    note("rename over a full directory", fs::rename("empty", "full"));
    note("rename over an empty directory", fs::rename("full", "empty"));
    note("rename into itself", fs::rename("empty", "empty/inner/below"));
    note("rename between directories", fs::rename("b2", "empty/inner/b2"));
    note("rename a directory up", fs::rename("empty/inner", "inner"));
    note("stat its file", fs::metadata("inner/b2"));
}

fn links() {
    note("write one", fs::write("one", b"linked"));
    note("link one as two", abi::link("one", "two"));
    note("link over a name", abi::link("one", "b"));
    note("link a directory", abi::link("d", "d2"));
    note("link a missing name", abi::link("missing", "m2"));
    note("unlink one", fs::remove_file("one"));
    note("read two", fs::read("two"));
    note("symlink to two", abi::symlink("two", "to-two"));
    note("readlink", fs::read_link("to-two"));
    note("read through it", fs::read("to-two"));
    note("lstat", fs::symlink_metadata("to-two"));
    note("symlink over a name", abi::symlink("two", "to-two"));
    note("symlink to nothing", abi::symlink("nothing", "dangling"));
    note("read through it", fs::read("dangling"));
    note("readlink of a file", fs::read_link("two"));
    note("symlink to a directory", abi::symlink("inner", "to-inner"));
    note("create through it", fs::write("to-inner/new", b"new"));
    note("loop, one half", abi::symlink("loop-b", "loop-a"));
    note("loop, other half", abi::symlink("loop-a", "loop-b"));
    note("read through the loop", fs::read("loop-a"));
    note("unlink half of the loop", fs::remove_file("loop-a"));
    note("rename a symlink", fs::rename("to-two", "to-two-2"));
}

fn unlinked_file() {
    let Some(mut file) = note(
        "create orphan",
        File::options().read(true).write(true).create(true).truncate(true).open("orphan"),
    ) else {
        return;
    };
    note("write orphan", file.write_all(b"before"));
    note("unlink orphan", fs::remove_file("orphan"));
    note("stat its name", fs::metadata("orphan"));
    note("write on", file.write_all(b" and after"));
    note("rewind", file.rewind());
    let mut text = Vec::new();
    note("read back", file.read_to_end(&mut text));
    note("create the name anew", fs::write("orphan", b"another"));
    note("fstat the old file", file.metadata());
    note("fsync the old file", file.sync_all());
}

fn listing() {
    note("mkdir list", fs::create_dir("list"));
    for number in 0..40 {
        note("fill", File::create(format!("list/name-{number:02}")));
    }
    let Some(entries) = note("readdir", fs::read_dir("list")) else { return };
    for (position, entry) in entries.enumerate() {
        let Some(entry) = note("entry", entry) else { break };
        if position % 4 == 1 {
            note("unlink it", fs::remove_file(entry.path()));
        }
        if position % 8 == 3 {
            note("add a name", File::create(format!("list/added-{position:02}")));
        }
        if position % 8 == 7 {
            note("rename it", fs::rename(entry.path(), format!("list/moved-{position:02}")));
        }
    }
    note("readdir of a file", fs::read_dir("two"));
    let count = note("readdir again", fs::read_dir("list")).map(Iterator::count);
    println!("entries: {count:?}");
}

fn paths() {
    note("stat .", fs::metadata("."));
    note("stat d/..", fs::metadata("d/.."));
    note("stat d/../two", fs::metadata("d/../two"));
    note("stat missing/../two", fs::metadata("missing/../two"));
    note("stat two/..", fs::metadata("two/.."));
    note("stat two/", fs::metadata("two/"));
    note("stat d/.", fs::metadata("d/."));
    note("rmdir d/.", fs::remove_dir("d/."));
    note("stat an empty name", fs::metadata(""));
    note("leave the root", fs::metadata("../outside"));
    note("create a name of 255 bytes", File::create("n".repeat(255)));
    note("create a name of 256 bytes", File::create("n".repeat(256)));
    note("create spaces and UTF-8", File::create("a name \u{e9}\u{4e2d}"));
}

fn main() {
    creates();
    renames();
    links();
    unlinked_file();
    listing();
    paths();
    let mut synced = true;
    for directory in ["list", "inner", "d", "empty", "/"] {
        synced &= note("sync a directory", guest::sync_directory(directory)).is_some();
    }
    println!("{}", if synced { "all names are durable" } else { "end" });
}

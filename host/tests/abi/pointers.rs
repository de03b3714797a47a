//! W-1 for every import: a call with a bad pointer has no effect.

use std::fmt::Write as _;

use crashproof::call::Halt;
use crashproof::guest::GuestEnd;
use crashproof::wasi::EXTENSION_IMPORTS;
use crashproof::wasi::EXTENSION_MODULE;
use crashproof::wasi::IMPORT_MODULE;
use crashproof::wasi::IMPORTS;

use crate::Guest;

/// An argument of an import, and what is good for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arg {
    /// A number.
    Small(u32),
    /// A long number.
    Long(u64),
    /// Where the import reads or writes, which is there.
    Pointer(u32),
    /// A length or a count of what the pointer before it names.
    Count(u32),
}

use Arg::Count as C;
use Arg::Long as L;
use Arg::Pointer as P;
use Arg::Small as S;

/// Descriptor 3 is a directory and 4 is the file that the guest opens first; a path is at 64, two
/// vectors are at 128, results go to 256 and beyond.
pub(crate) const CALLS: &[(&str, &[Arg])] = &[
    ("args_get", &[P(256), P(512)]),
    ("args_sizes_get", &[P(256), P(260)]),
    ("environ_get", &[P(256), P(512)]),
    ("environ_sizes_get", &[P(256), P(260)]),
    ("clock_res_get", &[S(0), P(256)]),
    ("clock_time_get", &[S(0), L(0), P(256)]),
    ("fd_fdstat_get", &[S(4), P(256)]),
    ("fd_filestat_get", &[S(4), P(256)]),
    ("fd_pread", &[S(4), P(128), C(2), L(0), P(256)]),
    ("fd_prestat_get", &[S(3), P(256)]),
    ("fd_prestat_dir_name", &[S(3), P(256), C(8)]),
    ("fd_pwrite", &[S(4), P(128), C(2), L(0), P(256)]),
    ("fd_read", &[S(4), P(128), C(2), P(256)]),
    ("fd_readdir", &[S(3), P(512), C(256), L(0), P(256)]),
    ("fd_seek", &[S(4), L(0), S(0), P(256)]),
    ("fd_tell", &[S(4), P(256)]),
    ("fd_write", &[S(4), P(128), C(2), P(256)]),
    ("path_create_directory", &[S(3), P(64), C(4)]),
    ("path_filestat_get", &[S(3), S(0), P(64), C(4), P(256)]),
    ("path_filestat_set_times", &[S(3), S(0), P(64), C(4), L(0), L(0), S(0)]),
    ("path_link", &[S(3), S(0), P(64), C(4), S(3), P(64), C(4)]),
    ("path_open", &[S(3), S(0), P(64), C(4), S(0), L(2), L(0), S(0), P(256)]),
    ("path_readlink", &[S(3), P(64), C(4), P(512), C(16), P(256)]),
    ("path_remove_directory", &[S(3), P(64), C(4)]),
    ("path_rename", &[S(3), P(64), C(4), S(3), P(64), C(4)]),
    ("fd_link", &[S(4), S(3), P(64), C(4)]),
    ("fd_stat_ext", &[S(4), P(256)]),
    ("path_chmod", &[S(3), S(0), P(64), C(4), S(0o600)]),
    ("path_stat_ext", &[S(3), S(0), P(64), C(4), P(256)]),
    ("path_rename2", &[S(3), P(64), C(4), S(3), P(64), C(4), S(1)]),
    ("path_symlink", &[P(64), C(4), S(3), P(64), C(4)]),
    ("path_unlink_file", &[S(3), P(64), C(4)]),
    ("poll_oneoff", &[P(1024), P(2048), C(1), P(256)]),
    ("random_get", &[P(256), C(8)]),
    ("fd_dup", &[S(4), P(256)]),
    ("fd_lock", &[S(4), S(5), S(0), L(0), L(1), P(256)]),
    ("fd_statfs", &[S(4), P(256)]),
    ("fd_copy_range", &[S(4), L(0), S(4), L(8), L(4), S(0), P(256)]),
    ("fd_dedupe_range", &[S(4), L(0), L(4), S(4), L(8), P(256)]),
    ("fd_xattr_get", &[S(4), P(64), C(4), P(512), C(16), P(256)]),
    ("fd_xattr_list", &[S(4), P(512), C(16), P(256)]),
    ("fd_xattr_remove", &[S(4), P(64), C(4)]),
    ("fd_xattr_set", &[S(4), P(64), C(4), P(512), C(16), S(0)]),
    ("fs_snapshot", &[P(64), C(4)]),
    ("fs_snapshot_delete", &[P(64), C(4)]),
    ("fs_snapshot_open", &[P(64), C(4), P(256)]),
];

/// Imports that are given no pointer, or look at none.
pub(crate) const WITHOUT_POINTERS: &[(&str, &[Arg])] = &[
    ("fd_advise", &[S(4), L(0), L(0), S(0)]),
    ("fd_allocate", &[S(4), L(0), L(1)]),
    ("fd_close", &[S(4)]),
    ("fd_datasync", &[S(4)]),
    ("fd_fdstat_set_flags", &[S(4), S(1)]),
    ("fd_fdstat_set_rights", &[S(4), L(0), L(0)]),
    ("fd_filestat_set_size", &[S(4), L(1)]),
    ("fd_filestat_set_times", &[S(4), L(0), L(0), S(0)]),
    ("fd_renumber", &[S(4), S(0)]),
    ("fd_sync", &[S(4)]),
    ("proc_raise", &[S(1)]),
    ("sched_yield", &[]),
    ("sock_accept", &[S(4), S(0), S(256)]),
    ("sock_recv", &[S(4), S(128), S(1), S(0), S(256), S(260)]),
    ("sock_send", &[S(4), S(128), S(1), S(0), S(256)]),
    ("sock_shutdown", &[S(4), S(0)]),
    ("fd_chmod", &[S(4), S(0o600)]),
    ("path_next_mode", &[S(0o600)]),
    ("fd_clone_range", &[S(4), L(0), L(4), S(4), L(8)]),
    ("fd_fallocate", &[S(4), S(0), L(0), L(1)]),
    ("fd_flags_set", &[S(4), S(4)]),
    ("fd_flock", &[S(4), S(1)]),
    ("fd_mmap", &[S(4), S(16384), S(8192), S(3), S(1), L(0)]),
    ("fd_sync_range", &[S(4), L(0), L(4), S(2)]),
    ("fd_syncfs", &[S(4)]),
    ("fs_drop_caches", &[]),
    ("mem_madvise", &[S(16384), S(4096), S(0)]),
    ("mem_mprotect", &[S(16384), S(4096), S(1)]),
    ("mem_msync", &[S(16384), S(4096), S(4)]),
    ("mem_munmap", &[S(16384), S(4096)]),
    ("note", &[S(1), L(2)]),
];

/// Imports that end the run, as nothing here answers them.
const UNSUPPORTED: &[(&str, &[Arg])] =
    &[("fd_flags_get", &[S(4), P(256)]), ("fs_fault", &[P(64), C(4)])];

fn all() -> impl Iterator<Item = &'static (&'static str, &'static [Arg])> {
    CALLS.iter().chain(WITHOUT_POINTERS).chain(UNSUPPORTED)
}

/// The module that an import comes from.
fn module(name: &str) -> &'static str {
    if IMPORTS.contains(&name) { IMPORT_MODULE } else { EXTENSION_MODULE }
}

/// Types of parameters, as WebAssembly text.
fn types(args: &[Arg]) -> String {
    let name = |arg: &Arg| if let L(_) = arg { " i64" } else { " i32" };
    args.iter().map(name).collect()
}

/// A call, as WebAssembly text.
fn call(name: &str, args: &[Arg]) -> String {
    let mut text = format!("(call ${name}");
    for arg in args {
        match arg {
            S(value) | P(value) | C(value) => write!(text, " (i32.const {value})"),
            L(value) => write!(text, " (i64.const {value})"),
        }
        .expect("a string takes all text");
    }
    text.push(')');
    text
}

/// A guest that opens a file, makes some calls, and exits with the errno of the last. Its memory
/// is one page.
pub(crate) fn guest(calls: &[(&str, Vec<Arg>)]) -> String {
    let (mut imports, mut body) = (String::new(), String::new());
    for (name, args) in all() {
        writeln!(
            imports,
            r#"  (import "{}" "{name}"
    (func ${name} (param{}) (result i32)))"#,
            module(name),
            types(args)
        )
        .expect("a string takes all text");
    }
    let open = [S(3), S(0), P(64), C(4), S(1), L(66), L(0), S(0), P(32)];
    let first = [("path_open", open.to_vec())];
    for (name, args) in first.iter().chain(calls) {
        writeln!(body, "    (local.set $errno {})", call(name, args))
            .expect("a string takes all text");
    }
    format!(
        r#"(module
{imports}
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "name")
  (data (i32.const 128) "\00\10\00\00\04\00\00\00\10\10\00\00\04\00\00\00")
  (data (i32.const 144) "\00\10\00\00\04\00\00\00\fc\ff\00\00\08\00\00\00")
  (func (export "_start") (local $errno i32)
{body}
    (call $proc_exit (local.get $errno))))"#
    )
}

/// The errno of a call, and how many requests it made.
fn outcome(name: &str, args: &[Arg]) -> (u32, usize) {
    let mut guest = Guest::from_text(&guest(&[(name, args.to_vec())]));
    guest.config.args = vec![b"program".as_slice().into()];
    guest.config.environ = vec![b"A=B".as_slice().into()];
    let (run, notes) = guest.run();
    let GuestEnd::Exited(errno) = run.end else { panic!("{name} ended its guest: {run:?}") };
    (errno, notes.len() - 1)
}

const FAULT: u32 = 21;

#[test]
fn every_import_is_called_with_good_pointers_without_a_fault() {
    for (name, args) in CALLS {
        let (errno, _) = outcome(name, args);
        assert_ne!(errno, FAULT, "{name}");
    }
}

#[test]
fn no_call_with_a_bad_pointer_has_an_effect() {
    for (name, args) in CALLS {
        for (index, arg) in args.iter().enumerate() {
            let Arg::Pointer(_) = arg else { continue };
            for bad in [65_536 - 1, 65_536, 0x8000_0000, u32::MAX] {
                let mut args = args.to_vec();
                args[index] = Arg::Pointer(bad);
                assert_eq!(outcome(name, &args), (FAULT, 0), "{name}, argument {index}: {bad}");
            }
        }
    }
}

#[test]
fn no_call_with_a_length_beyond_the_memory_has_an_effect() {
    const INVALID: u32 = 28;
    for (name, args) in CALLS {
        for (index, arg) in args.iter().enumerate() {
            let Arg::Count(_) = arg else { continue };
            for bad in [65_536, 0x2000_0001, u32::MAX] {
                let mut args = args.to_vec();
                args[index] = Arg::Count(bad);
                let (errno, requests) = outcome(name, &args);
                assert_eq!(requests, 0, "{name}, argument {index}: {bad}");
                assert!([FAULT, INVALID].contains(&errno), "{name}, argument {index}: {errno}");
            }
        }
    }
}

#[test]
fn a_vector_that_leaves_the_memory_refuses_the_whole_call() {
    for name in ["fd_read", "fd_write"] {
        let args = [S(4), P(144), C(2), P(256)];
        assert_eq!(outcome(name, &args), (FAULT, 0), "{name}");
    }
    for name in ["fd_pread", "fd_pwrite"] {
        let args = [S(4), P(144), C(2), L(0), P(256)];
        assert_eq!(outcome(name, &args), (FAULT, 0), "{name}");
    }
}

#[test]
fn what_nothing_answers_ends_the_run_with_the_name_of_the_call() {
    for (name, args) in UNSUPPORTED {
        let (run, notes) = Guest::from_text(&guest(&[(name, args.to_vec())])).run();
        let GuestEnd::Halted(Halt::Unsupported(what)) = run.end else { panic!("{name}: {run:?}") };
        assert!(what.contains(name), "{name}: {what}");
        assert_eq!(notes.len(), 1, "{name} asks nothing");
    }
}

/// The module's documentation names each import, with its parameters in their order.
#[test]
fn every_import_of_the_extension_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/extension.md");
    let text = std::fs::read_to_string(path).expect("the documentation is a file");
    assert!(text.contains(EXTENSION_MODULE));
    for name in EXTENSION_IMPORTS {
        let (_, args) = all().find(|(listed, _)| listed == name).expect("it is listed");
        let row = text.lines().find(|line| line.starts_with(&format!("| `{name}(")));
        let row = row.unwrap_or_else(|| panic!("`{name}` has no row"));
        let parameters = row.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        let parameters = parameters.expect("a row names the parameters").0;
        let kinds: Vec<bool> =
            parameters.split(", ").filter(|p| !p.is_empty()).map(|p| p.ends_with("i64")).collect();
        let expected: Vec<bool> = args.iter().map(|arg| matches!(arg, L(_))).collect();
        assert_eq!(kinds, expected, "{name}");
    }
}

#[test]
fn every_import_is_in_one_of_the_lists() {
    let mut listed: Vec<&str> = all().map(|(name, _)| *name).collect();
    listed.push("proc_exit");
    listed.sort_unstable();
    let mut served = [IMPORTS, EXTENSION_IMPORTS].concat();
    served.sort_unstable();
    assert_eq!(listed, served);
}

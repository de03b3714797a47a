//! Guests in C, built with the header and the object of `guest-workloads/c`.
//!
//! They need a compiler that `scripts/get-c-toolchain` gets; without one these tests say on
//! standard error that they were skipped.
#![cfg(feature = "wasm")]

use std::env;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The program that compiles for WASI, if there is one.
fn compiler() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CRASHPROOF_GUEST_CC") {
        return Some(PathBuf::from(named));
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    let found = cache.join("crashproof").join("c-toolchain").join("cc");
    if !found.exists() {
        eprintln!("SKIPPED: no C compiler for WASI; scripts/get-c-toolchain gets one");
        return None;
    }
    Some(found)
}

fn sources() -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.parent().expect("host is in the workspace").join("guest-workloads").join("c")
}

/// What a program is built with that uses the header and the object.
const WITH_HEADER: &[&str] =
    &["-I", "include", "-include", "crashproof_posix.h", "crashproof_posix.c"];
/// What a program is built with that has nothing but its libc.
const WITH_LIBC_ALONE: &[&str] = &["-D_WASI_EMULATED_MMAN", "-lwasi-emulated-mman"];

/// Builds the source called `name` as its users do; without a compiler, nothing.
fn built(name: &str, with: &[&str], folder: &Path) -> Option<PathBuf> {
    let module = folder.join(format!("{name}.wasm"));
    let output = Command::new(compiler()?)
        .current_dir(sources())
        .args(["-O2", "-Wall", "-Wextra", "-Werror"])
        .args(with)
        .arg(format!("{name}.c"))
        .arg("-o")
        .arg(&module)
        .output()
        .expect("the compiler is a program");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}.c does not build\n{complaint}");
    Some(module)
}

/// Runs the program and says what it printed if it ends otherwise than expected.
fn ends_with(words: &[&str], code: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_crashproof"))
        .args(words)
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("the program was built");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{shown}\n{complaint}");
    shown
}

/// Runs the program, which ends with success by its own word too.
fn succeeds(words: &[&str]) {
    let shown = ends_with(words, 0);
    assert!(shown.contains("exit code 0"), "{words:?}\n{shown}");
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a scratch folder")
}

#[test]
fn a_log_in_c_that_maps_and_syncs_is_accepted() {
    let folder = scratch();
    let Some(module) = built("mmap_log", WITH_HEADER, folder.path()) else { return };
    let module = module.to_str().expect("a scratch folder has a plain name");
    succeeds(&["run", module]);
    succeeds(&["run", module, "--seed", "5"]);
    succeeds(&["explore", module, "--", "8"]);
}

#[test]
fn locks_in_c_are_told_what_they_are_told_on_linux() {
    let folder = scratch();
    let Some(module) = built("locks", WITH_HEADER, folder.path()) else { return };
    let module = module.to_str().expect("a scratch folder has a plain name");
    succeeds(&["explore", module]);
    let output = Command::new(env!("CARGO_BIN_EXE_crashproof")).args(["run", module]).output();
    let said = output.expect("the program was built").stderr;
    let said = String::from_utf8_lossy(&said);
    let told: Vec<&str> = said.lines().filter_map(|line| line.rsplit(": ").next()).collect();
    let expected = [
        "ok", "ok", "error", "ok", "error", "ok", "ok", "ok", "ok", "taken", "taken", "ok", "error",
    ];
    assert_eq!(told, expected, "{said}");
}

#[test]
fn copies_in_c_by_holes_by_clones_and_by_ranges_are_the_same_as_their_source() {
    let folder = scratch();
    let Some(module) = built("sparse_copy", WITH_HEADER, folder.path()) else { return };
    let module = module.to_str().expect("a scratch folder has a plain name");
    succeeds(&["run", module]);
    succeeds(&["run", module, "--seed", "3"]);
    succeeds(&["explore", module]);
    let bytes = std::fs::read(module).expect("it was written");
    for name in ["fd_copy_range", "fd_clone_range", "fd_dedupe_range", "fd_fallocate"] {
        assert!(bytes.windows(name.len()).any(|part| part == name.as_bytes()), "{name}");
    }
}

#[test]
fn failed_calls_in_c_have_the_errno_of_the_manual_pages() {
    let folder = scratch();
    let Some(module) = built("errors", WITH_HEADER, folder.path()) else { return };
    let module = module.to_str().expect("a scratch folder has a plain name");
    succeeds(&["run", module]);
}

#[test]
fn permission_bits_in_c_are_made_told_and_deny() {
    let folder = scratch();
    let Some(module) = built("modes", WITH_HEADER, folder.path()) else { return };
    let module = module.to_str().expect("a scratch folder has a plain name");
    succeeds(&["run", module]);
    succeeds(&["run", module, "--seed", "3"]);
    succeeds(&["explore", module]);
}

#[test]
fn every_name_of_the_header_builds_in_sources_that_know_nothing_of_it() {
    let folder = scratch();
    let Some(module) = built("posix_names", WITH_HEADER, folder.path()) else { return };
    let bytes = std::fs::read(module).expect("it was written");
    let imports = |name: &str| bytes.windows(name.len()).any(|part| part == name.as_bytes());
    for name in ["fd_mmap", "mem_msync", "fd_copy_range", "fd_clone_range", "fd_lock", "fd_dup"] {
        assert!(imports(name), "it does not import {name}");
    }
}

#[test]
fn a_libc_that_emulates_mmap_is_recognised_and_its_lost_stores_are_told() {
    let folder = scratch();
    let Some(module) = built("plain_mmap", WITH_LIBC_ALONE, folder.path()) else { return };
    let module = module.to_str().expect("a scratch folder has a plain name");
    let shown = ends_with(&["run", module], 0);
    let told = "its libc emulates mmap: what it stored to shared mappings never reached a file";
    assert!(shown.contains(told), "{shown}");
}

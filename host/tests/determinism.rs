//! Same inputs, same bytes out: everything twice.
#![cfg(feature = "wasm")]

use std::path::Path;
use std::process::Command;

/// What a command prints, and what it writes.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    printed: Vec<u8>,
    complaint: Vec<u8>,
    files: Vec<Vec<u8>>,
}

/// Runs the program, which is to write a file for each of these options.
fn run(words: &str, options: &[&str]) -> Written {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_crashproof"));
    let (before, after) = words.split_once(" -- ").unwrap_or((words, ""));
    command.args(before.split_whitespace()).current_dir(folder.path());
    for option in options {
        command.arg(format!("--{option}")).arg(option);
    }
    if !after.is_empty() {
        command.arg("--").args(after.split_whitespace());
    }
    let output = command.env_remove("RUST_BACKTRACE").output().expect("the program was built");
    let read = |option: &&str| std::fs::read(folder.path().join(option)).unwrap_or_default();
    let files: Vec<Vec<u8>> = options.iter().map(read).collect();
    Written { printed: output.stdout, complaint: output.stderr, files }
}

fn twice(words: &str, options: &[&str]) {
    let first = run(words, options);
    assert!(!first.printed.is_empty() || !first.complaint.is_empty(), "{words}: nothing was said");
    assert_eq!(first, run(words, options), "{words}");
}

#[test]
fn every_guest_twice() {
    for guest in crashproof::guests::all() {
        for chance in ["", "--seed 5 --adversity"] {
            let words = format!("run {} --fuel 20000000 {chance}", guest.name);
            twice(&words, &["trace", "json"]);
        }
    }
}

#[test]
fn an_image_twice() {
    twice("run posix_exerciser --seed 5 --adversity --fs-size 2M", &["image"]);
}

#[test]
fn another_seed_is_another_run() {
    let with = |seed: u32| {
        run(&format!("run posix_exerciser --seed {seed} --adversity"), &["trace"]).files
    };
    assert_ne!(with(1), with(2), "chance is asked at all");
}

#[test]
fn several_processes_twice() {
    for seed in 1..4 {
        let words =
            format!("run posix_exerciser --also crash_append_log --seed {seed} --adversity");
        twice(&words, &["trace", "json"]);
    }
}

#[test]
fn every_exploration_twice() {
    for words in [
        "explore posix_exerciser --seed 7 -- 5 120",
        "explore crash_write_rename --torn-writes -- none",
        "explore crash_append_log --crash-kind process -- 3",
        "explore crash_append_log --crash-kind kernel -- 3",
        "explore crash_append_log --verify verify_append_log_greedy -- 3",
        "explore posix_namespace --defect root_before_tree",
    ] {
        twice(words, &["trace", "json"]);
    }
}

#[test]
fn the_record_twice() {
    let record = || {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let status = Command::new(env!("CARGO_BIN_EXE_crashproof"))
            .args(["conform", "--out", "out"])
            .current_dir(folder.path())
            .output()
            .expect("the program was built");
        let read = |name: &str| std::fs::read(folder.path().join("out").join(Path::new(name)));
        let [json, page] = ["report.json", "report.md"].map(|name| read(name).expect("written"));
        (status.stdout, json, page)
    };
    assert_eq!(record(), record());
}

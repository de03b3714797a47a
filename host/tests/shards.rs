//! Work that is split: what shards saw joins to the report of the whole, to the byte.
#![cfg(feature = "wasm")]

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use serde_json::Value;
use serde_json::json;

fn crashproof(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crashproof"))
        .args(words.iter().flat_map(|words| words.split_whitespace()))
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("the program was built")
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// What so many shards of a command wrote. What a guest is given comes after ` -- `.
fn parts(folder: &Path, words: &str, count: u32) -> Vec<String> {
    let (verb, rest) = words.split_once(' ').expect("a verb and its options");
    let part = |number| {
        let part = path(folder, &format!("{number}.json"));
        let done = crashproof(&[verb, &format!("--shard {number}/{count} --json {part}"), rest]);
        let code = done.status.code();
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!([Some(0), Some(1), Some(4)].contains(&code), "{words}: {complaint}");
        part
    };
    (1..=count).map(part).collect()
}

/// The whole and its merged shards say the same and end the same: with this code.
fn is_the_sum_of_its_shards(words: &str, code: i32) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (verb, rest) = words.split_once(' ').expect("a verb and its options");
    let (whole, merged) = (path(folder.path(), "whole"), path(folder.path(), "merged"));
    let expected = crashproof(&[verb, &format!("--json {whole}"), rest]);
    assert_eq!(expected.status.code(), Some(code), "{words}");
    let mut parts = parts(folder.path(), words, 3);
    // In which order they are given is nothing to them.
    parts.rotate_left(1);
    let joined = crashproof(&["merge", &parts.join(" "), "--json", &merged]);
    assert_eq!(joined.status.code(), Some(code), "{words}");
    assert_eq!(
        String::from_utf8_lossy(&joined.stdout),
        String::from_utf8_lossy(&expected.stdout),
        "{words}"
    );
    let bytes = |path: &str| std::fs::read(path).expect("it was written");
    assert!(bytes(&whole) == bytes(&merged), "{words}: the JSON differs");
}

/// A command with further options.
fn with_options(words: &str, options: &str) -> String {
    let (verb, rest) = words.split_once(' ').expect("a verb and its options");
    format!("{verb} {options} {rest}")
}

/// What a report says, but for what pruning spares.
fn without_costs(words: &str, code: i32) -> Value {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let (verb, rest) = words.split_once(' ').expect("a verb and its options");
    let file = path(folder.path(), "report");
    let done = crashproof(&[verb, &format!("--json {file}"), rest]);
    assert_eq!(done.status.code(), Some(code), "{words}");
    let text = std::fs::read_to_string(file).expect("it was written");
    let text = text.replace(" --no-pruning", "");
    let mut report: Value = serde_json::from_str(&text).expect("it is JSON");
    let account = report["account"].as_object_mut().expect("there is an account");
    let costs = "recovered deduplicated pruned pruned_unread judged verified verified_before";
    for cost in costs.split(' ') {
        assert!(account.remove(cost).is_some(), "{words}: {cost}");
    }
    // How often a clause was asked.
    for count in ["exercised", "passed_over"] {
        assert!(report.as_object_mut().expect("a report").remove(count).is_some(), "{count}");
    }
    report
}

#[test]
fn what_is_pruned_is_known_before() {
    let log = "explore crash_append_log --verify verify_append_log";
    for (words, code) in [
        ("ace --seq 1 --set all --torn-writes", 0),
        ("ace --seq 1 --lost-flush 2 --defect root_before_tree", 1),
        ("explore app_redb --verify verify_redb --subset-bound 12 -- 8", 0),
        ("explore posix_exerciser --seed 5 --torn-writes --subset-bound 12", 0),
        (&format!("{log} --lost-flush 2 --torn-writes -- 3"), 0),
        (&format!("{log} --subset-bound 14 --defect sync_without_flush -- 3"), 1),
        (&format!("{log}_greedy -- 3"), 1),
    ] {
        let whole = without_costs(&with_options(words, "--no-pruning"), code);
        assert!(without_costs(words, code) == whole, "{words}: they differ");
    }
}

/// What is said of all subsets, but for the subset that is named for a finding.
fn of_all_subsets(words: &str, code: i32) -> Value {
    let mut report = without_costs(words, code);
    assert_eq!(report["account"]["bounded"], 0, "{words}");
    for key in ["command", "workloads"] {
        report.as_object_mut().expect("a report").remove(key);
    }
    let account = report["account"].as_object_mut().expect("an account");
    account.remove("subset_bound");
    for finding in report["findings"].as_array_mut().expect("findings") {
        for key in ["crash", "replay"] {
            finding.as_object_mut().expect("a finding").remove(key);
        }
    }
    report
}

#[test]
fn few_states_stand_for_all_subsets() {
    let log = "explore crash_append_log --verify verify_append_log";
    for (words, code) in [
        ("ace --seq 1 --set all", 0),
        ("ace --seq 1 --set all --defect sync_without_flush", 1),
        ("explore app_redb --verify verify_redb -- 8", 0),
        ("explore posix_exerciser --seed 5", 0),
        ("explore posix_exerciser --seed 5 --defect log_before_content", 1),
        (&format!("{log} --defect sync_without_flush -- 3"), 1),
        (&format!("{log} --defect root_before_tree -- 3"), 0),
        (&format!("{log}_greedy -- 3"), 1),
    ] {
        let of = |options: &str| of_all_subsets(&with_options(words, options), code);
        let (few, all) = (of("--subset-bound 0"), of("--no-pruning --subset-bound 14"));
        assert!(few == all, "{words}: they differ");
    }
}

#[test]
fn bounded_workloads_are_the_sum_of_their_shards() {
    is_the_sum_of_its_shards("ace --seq 1 --set all --exhaustive", 0);
    is_the_sum_of_its_shards("ace --seq 1 --defect sync_without_flush", 1);
    is_the_sum_of_its_shards("ace --seq 1 --subset-bound 1 --exhaustive", 0);
    is_the_sum_of_its_shards("ace --seq 1 --subset-bound 1 --exhaustive --no-pruning", 4);
    is_the_sum_of_its_shards("ace --seq 1 --lost-flush 2 --torn-writes --subset-bound 2", 0);
    is_the_sum_of_its_shards("ace --seq 1 --recovery-depth 2 --defect log_ended_first", 1);
}

#[test]
fn the_crashes_of_a_run_are_the_sum_of_their_shards() {
    let log = "explore crash_append_log --verify verify_append_log";
    is_the_sum_of_its_shards(&format!("{log} -- 3"), 0);
    is_the_sum_of_its_shards("explore posix_mapping --exhaustive --subset-bound 1", 0);
    let bounded = "explore posix_mapping --exhaustive --subset-bound 1 --no-pruning";
    is_the_sum_of_its_shards(bounded, 4);
    is_the_sum_of_its_shards(&format!("{log} --torn-writes --subset-bound 2 -- 3"), 0);
    is_the_sum_of_its_shards(&format!("{log} --lost-flush 2 --torn-writes -- 3"), 0);
    is_the_sum_of_its_shards(&format!("{log} --defect sync_without_flush -- 3"), 1);
    is_the_sum_of_its_shards(&format!("{log}_greedy -- 3"), 1);
    is_the_sum_of_its_shards(&format!("{log} --crash-kind process -- 3"), 0);
    is_the_sum_of_its_shards(&format!("{log} --crash-kind kernel -- 3"), 0);
    let ended_first = "--recovery-depth 2 --defect log_ended_first";
    is_the_sum_of_its_shards(&format!("{log} {ended_first} -- 3"), 1);
    // More states than are judged at once, and a mirror beneath.
    is_the_sum_of_its_shards("explore posix_exerciser --legs 2 --seed 3 -- random 60 files", 0);
}

#[test]
fn the_runs_of_many_seeds_are_the_sum_of_their_shards() {
    let exerciser = "posix_exerciser --seed 1 --seeds 5";
    is_the_sum_of_its_shards(&format!("run {exerciser} --adversity -- random 60 files"), 0);
    is_the_sum_of_its_shards(&format!("explore {exerciser} -- random 20 files"), 0);
    let found = format!("explore {exerciser} --defect sync_without_log -- random 30 files");
    is_the_sum_of_its_shards(&found, 1);
    let fourth = "run seed_000_leveldb_mmap --defect D-02 --no-audits --seed 1 --seeds 9";
    is_the_sum_of_its_shards(fourth, 1);
}

fn refused(parts: &[String]) -> String {
    let output = crashproof(&["merge", &parts.join(" ")]);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{parts:?}: {complaint}");
    assert!(output.stdout.is_empty(), "{parts:?}");
    complaint
}

fn rewritten(part: &str, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let text = std::fs::read_to_string(part).expect("it was written");
    let mut value: Value = serde_json::from_str(&text).expect("it is JSON");
    change(&mut value);
    let path = PathBuf::from(part).with_file_name(name);
    std::fs::write(&path, value.to_string()).expect("the folder can be written to");
    path.display().to_string()
}

#[test]
fn shards_that_are_missing_doubled_or_of_something_else_are_refused_with_their_names() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let log = "explore crash_append_log";
    let p = parts(folder.path(), &format!("{log} -- 2"), 3);
    let of = |numbers: &[usize]| numbers.iter().map(|n| p[*n].clone()).collect::<Vec<_>>();
    let said = |parts: &[String], words: &str| {
        let complaint = refused(parts);
        assert!(complaint.contains(words), "{complaint}");
    };
    said(&of(&[0, 2]), "shard 2 of 3 is missing");
    said(&of(&[0, 1]), "shard 3 of 3 is missing");
    said(&of(&[0, 1, 1, 2]), "both are shard 2");
    said(&[p[0].clone(), path(folder.path(), "nothing")], "nothing");
    for (name, key, value, words) in [
        ("command", "command", json!("crashproof explore other"), "`crashproof explore other`"),
        ("version", "crashproof", json!("0.0.1"), "the other by 0.0.1"),
        ("files", "files", json!({"a.wasm": "00"}), "`a.wasm` was not the same for both"),
    ] {
        let other = rewritten(&p[1], name, |part| part["whole"][key] = value);
        said(&[p[0].clone(), other, p[2].clone()], words);
    }
    let old = |number: usize| {
        let change = |part: &mut Value| part["whole"]["crashproof"] = json!("0.0.1");
        rewritten(&p[number], &format!("old{number}"), change)
    };
    said(&[old(0), old(1), old(2)], "written by crashproof 0.0.1, and this is");
    let alone = rewritten(&p[1], "of", |part| part["of"] = json!(4));
    said(&[p[0].clone(), alone, p[2].clone()], "one is of 3 shards, the other of 4");
    let run = rewritten(&p[1], "run", |part| {
        part["share"]["states"]["run"]["decisions"] = json!("1");
    });
    said(&[p[0].clone(), run, p[2].clone()], "the shards saw different runs");
    let moments = rewritten(&p[1], "moments", |part| {
        part["share"]["states"]["account"]["moments"] = json!(1);
    });
    said(&[p[0].clone(), moments, p[2].clone()], "at different moments");
    let second = tempfile::tempdir().expect("a scratch folder");
    let ace = parts(second.path(), "ace --seq 1 --set data", 3);
    said(&[p[0].clone(), ace[1].clone(), p[2].clone()], "the other of `crashproof ace");
    let mixed = rewritten(&ace[1], "mixed", |part| {
        let text = std::fs::read_to_string(&p[1]).expect("it was written");
        let other: Value = serde_json::from_str(&text).expect("it is JSON");
        part["whole"] = other["whole"].clone();
    });
    said(&[p[0].clone(), mixed, p[2].clone()], "split in different ways");
}

#[test]
fn what_no_shard_wrote_is_refused_or_joined_but_breaks_nothing() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let p = parts(folder.path(), "explore crash_append_log --defect sync_without_log -- 2", 1);
    let text = std::fs::read_to_string(&p[0]).expect("it was written");
    let odd = path(folder.path(), "odd");
    let write = |text: &str| std::fs::write(&odd, text).expect("the folder can be written to");
    for cut in (0..text.len() - 2).step_by(97) {
        write(&text[..cut]);
        assert!(refused(std::slice::from_ref(&odd)).contains("odd"), "{cut}");
    }
    let deep = "[".repeat(100_000);
    for nonsense in ["{}", "null", "{\"form\": 9}", "{\"form\": 1}", deep.as_str()] {
        write(nonsense);
        assert!(refused(std::slice::from_ref(&odd)).contains("odd"));
    }
    for (shard, of) in [(0_u32, 1_u32), (2, 1), (1, 0), (1, u32::MAX)] {
        let change = |part: &mut Value| {
            (part["shard"], part["of"]) = (json!(shard), json!(of));
        };
        refused(&[rewritten(&p[0], "odd", change)]);
    }
    // Counts of which the sum is more than there can be.
    let many = |number: u32| {
        rewritten(&p[0], &format!("many{number}"), |part| {
            (part["shard"], part["of"]) = (json!(number), json!(2));
            let share = &mut part["share"]["states"];
            share["exercised"] = json!({"CRASH-01": u64::MAX});
            share["account"]["states"] = json!(u64::MAX);
            share["account"]["lost"] = json!({"all": u64::MAX});
            share["found"][0]["state_count"] = json!(u64::MAX);
        })
    };
    let joined = crashproof(&["merge", &[many(1), many(2)].join(" ")]);
    assert_eq!(joined.status.code(), Some(1), "{}", String::from_utf8_lossy(&joined.stderr));
}

//! Bounded workloads: every short sequence of operations, each crashed everywhere.

use std::process::Command;
use std::process::Output;

fn crashproof(words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crashproof"))
        .args(words.split(' '))
        .output()
        .expect("the program can be started")
}

fn ends_with(words: &str, code: i32) -> String {
    let output = crashproof(words);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "crashproof {words}\n{shown}\n{complaint}");
    shown
}

#[test]
fn every_workload_of_one_operation_is_accepted_at_every_crash_and_no_bound_is_hit() {
    for set in ["ace", "data", "metadata", "nested", "all"] {
        let shown = ends_with(&format!("ace --seq 1 --set {set} --exhaustive"), 0);
        assert!(shown.contains("never hit: every subset was tried"), "{shown}");
        assert!(shown.contains("; 0 show something wrong"), "{shown}");
        assert!(!shown.contains("answered with an error"), "{shown}");
    }
}

#[test]
fn the_same_workloads_say_the_same_however_many_threads_there_are() {
    let words = "ace --seq 1 --set all --json /dev/stdout";
    let once = crashproof(words);
    let again = Command::new(env!("CARGO_BIN_EXE_crashproof"))
        .args(words.split(' '))
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .expect("the program can be started");
    assert_eq!(once.status.code(), Some(0));
    assert!(once.stdout == again.stdout, "two reports differ");
}

#[test]
fn a_finding_names_its_workload_and_is_found_again_by_its_number() {
    let shown = ends_with("ace --seq 1 --defect sync_without_flush", 1);
    let replay = shown.lines().find_map(|line| line.trim().strip_prefix("replay"));
    let replay = replay.expect("a finding says how it is found again").trim();
    let words = replay.strip_prefix("crashproof ").expect("it is a command");
    let alone = ends_with(words, 1);
    let workload = |shown: &str| {
        let line = shown.lines().find(|line| line.trim().starts_with("workload "));
        line.map(ToOwned::to_owned)
    };
    assert_eq!(workload(&alone), workload(&shown));
    assert!(alone.contains("1 were done"), "{alone}");
}

#[test]
fn a_bound_that_was_hit_is_told_and_is_no_acceptance_where_all_was_asked_for() {
    let bounded = "ace --seq 1 --subset-bound 1 --no-pruning";
    let shown = ends_with(bounded, 0);
    assert!(shown.contains("hit at"), "{shown}");
    ends_with(&format!("{bounded} --exhaustive"), 4);
    // Where it is known what matters, a few states stand for all.
    ends_with("ace --seq 1 --subset-bound 1 --exhaustive", 0);
}

#[test]
fn what_a_lost_flush_breaks_is_the_devices_doing_and_is_noticed_or_old() {
    let shown = ends_with("ace --seq 1 --set all --lost-flush 2", 0);
    let broken = |clause: &str| shown.contains(&format!("    {clause}: broken in "));
    assert!(shown.contains("lost flush") && broken("DUR-DIR-02"), "{shown}");
    // Checksums: what is not as it was left is refused. No file here is written in place.
    assert!(broken("CRASH-01") && broken("CRASH-04") && !broken("CRASH-02"), "{shown}");
    assert!(!ends_with("ace --seq 1", 0).contains("lost flush"));
}

#[test]
fn torn_writes_are_survived_and_what_was_not_tried_of_them_is_told() {
    let shown = ends_with("ace --seq 1 --set all --torn-writes", 0);
    assert!(shown.contains("never hit: every subset was tried"), "{shown}");
    assert!(shown.contains("  torn      one write at a time"), "{shown}");
    ends_with("ace --seq 1 --torn-writes --exhaustive", 4);
}

#[test]
fn a_number_or_a_length_that_is_not_there_is_told_with_what_there_is() {
    for (words, said) in [
        ("ace --seq 1 --only 328", "0 to 327"),
        ("ace --seq 4", "1..=3"),
        ("ace --seq 1 --set odd", "metadata"),
        ("ace --seq 1 --defect odd", "odd"),
    ] {
        let output = crashproof(words);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}: {complaint}");
        assert!(complaint.contains(said), "{words}: {complaint}");
    }
}

/// What one operation and one sync can show, by answers and surveys alone. The others need more
/// operations, other processes, or a device that fails.
const SHOWN_BY_ONE_OPERATION: [&str; 11] = [
    "sync_without_flush",
    "flush_before_log",
    "log_before_content",
    "root_before_tree",
    "log_not_replayed",
    "directory_sync_ignored",
    "sync_without_log",
    "stale_lookup_skips_pages",
    "reuse_at_once",
    "clone_no_source_flush",
    "clones_not_logged",
];

#[test]
fn the_defects_that_one_operation_can_show_are_found_and_the_others_are_not() {
    let listed = ends_with("defects", 0);
    let names = listed.lines().filter(|line| !line.starts_with(' '));
    let names: Vec<&str> = names.filter_map(|line| line.split(' ').next()).collect();
    assert!(names.len() > 50, "{listed}");
    let found: Vec<&str> = names
        .into_iter()
        .filter(|name| {
            let words = format!("ace --seq 1 --set all --no-audits --defect {name}");
            match crashproof(&words).status.code() {
                Some(0) => false,
                Some(1) => true,
                code => panic!("crashproof {words}: {code:?}"),
            }
        })
        .collect();
    assert_eq!(found, SHOWN_BY_ONE_OPERATION);
}

/// What two operations can show and one cannot, each with a workload of the whole set that does.
const SHOWN_BY_TWO_OPERATIONS: [(&str, u64); 5] = [
    ("rename_in_two_steps", 780),
    ("truncate_keeps_bytes", 289_033),
    ("holes_not_logged", 128_357),
    ("sync_first_shard_only", 121_845),
    ("dirty_by_data_only", 351_510),
];

#[test]
fn the_defects_that_two_operations_can_show_are_found_by_them() {
    for (name, number) in SHOWN_BY_TWO_OPERATIONS {
        let workload = format!("ace --seq 2 --set all --no-audits --only {number}");
        let shown = ends_with(&format!("{workload} --defect {name}"), 1);
        assert!(shown.contains(&format!("--only {number}")), "{shown}");
        ends_with(&workload, 0);
    }
}

#[test]
fn whatever_one_request_of_the_device_is_refused_the_stack_keeps_its_promises() {
    for rule in ["data:1", "data:1=enospc", "data:1x3", "log:1", "tree:1", "root:1", "any:2"] {
        ends_with(&format!("ace --seq 1 --set all --exhaustive --fail-write {rule}"), 0);
    }
}

/// What one operation and one sync can show where the device refuses a request.
const SHOWN_WITH_A_REFUSED_WRITE: [(&str, &str, &str); 11] = [
    ("clean_on_error", "data:1", "ERR-STICKY-01"),
    ("report_once", "data:1", "ERR-STICKY-01"),
    ("queue_forgotten", "data:1", "ERR-REPORT-01"),
    ("syncfs_uses_up_errors", "data:1", "ERR-REPORT-01"),
    ("late_opener_untold", "data:1", "ERR-STICKY-01"),
    ("failure_told_late", "data:1", "ERR-REPORT-01"),
    ("syncfs_tells_nothing", "data:1", "ERR-REPORT-01"),
    ("no_space_told_as_io", "data:1=enospc", "ERR-REPORT-10"),
    ("syncfs_ignores_commit", "tree:1", "ERR-REPORT-07"),
    ("last_part_counts", "data:1", "ERR-REPORT-01"),
    ("tree_errors_forgotten", "tree:1", "CRASH-01"),
];

#[test]
fn the_defects_that_one_operation_can_show_with_a_refused_write_are_found() {
    for (name, rule, clause) in SHOWN_WITH_A_REFUSED_WRITE {
        let words = format!("ace --seq 1 --set all --no-audits --defect {name}");
        let shown = ends_with(&format!("{words} --fail-write {rule}"), 1);
        assert!(shown.starts_with(&format!("REJECTED  {clause}")), "{shown}");
        assert!(shown.contains(&format!("--fail-write {rule} ")), "{shown}");
        ends_with(&words, 0);
    }
    // One that takes two: a file is removed, and another comes to its place in memory.
    let words = "ace --seq 2 --set all --no-audits --only 123732 --fail-write data:1";
    ends_with(&format!("{words} --defect record_left_to_next_file"), 1);
    ends_with(words, 0);
}

#[test]
fn a_recovery_that_ends_elsewhere_if_it_is_cut_short_is_found_by_one_operation() {
    let words = "ace --seq 1 --no-audits --recovery-depth 2";
    let shown = ends_with(&format!("{words} --defect log_ended_first"), 1);
    assert!(shown.starts_with("REJECTED  CRASH-08"), "{shown}");
    ends_with("ace --seq 1 --no-audits --defect log_ended_first", 0);
    ends_with(words, 0);
}

//! The program as a user meets it: what it prints, and the code it ends with.
#![cfg(feature = "wasm")]

use std::path::Path;
use std::process::Command;
use std::process::Output;

/// Runs the program with words split at blanks.
fn crashproof(words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crashproof"))
        .args(words.split_whitespace())
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("the program was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the program and says what it printed if it ends otherwise than expected.
fn ends_with(words: &str, code: i32) -> String {
    let output = crashproof(words);
    let shown = text(&output.stdout);
    let complaint = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "crashproof {words}\n{shown}\n{complaint}");
    shown
}

#[test]
fn every_workload_is_accepted_on_the_clean_stack() {
    for guest in crashproof::guests::all() {
        let name = guest.name;
        let is_program = ["app_", "crash_", "litmus_", "posix_", "seed_", "sync_"];
        if is_program.iter().any(|family| name.starts_with(family)) {
            ends_with(&format!("run {name}"), 0);
        }
    }
}

#[test]
fn every_variant_of_the_rename_is_accepted_at_every_crash() {
    for variant in ["none", "file", "dir", "both"] {
        let words = format!("explore crash_write_rename --verify verify_write_rename -- {variant}");
        let shown = ends_with(&words, 0);
        assert!(shown.contains("explored"), "{shown}");
        if variant == "none" {
            assert!(shown.contains("lost, as allowed"), "{shown}");
        }
    }
}

#[test]
fn a_verifier_that_demands_too_much_is_a_finding_against_the_guest() {
    let words = "explore crash_append_log --verify verify_append_log_greedy -- 3";
    let shown = ends_with(words, 1);
    assert!(shown.contains("the file system kept its promises"), "{shown}");
    assert!(shown.contains("0 against the subject"), "{shown}");
    ends_with("explore crash_append_log --verify verify_append_log -- 3", 0);
}

#[test]
fn a_forgotten_sync_error_is_rejected_where_it_is_not_expected_and_accepted_where_it_is() {
    let shown =
        ends_with("run seed_004_qemu_fsync --profile linux-errseq-4.17 --expect strict-sticky", 1);
    assert!(shown.contains("ERR-STICKY-01") && shown.contains("ERR-CLAIM-01"), "{shown}");
    ends_with("run seed_004_qemu_fsync --profile strict-sticky", 0);
    ends_with("run seed_004_qemu_fsync --profile linux-errseq-4.17 --level linux", 0);
}

/// The second sync by other means: a false success is one by each of them, and what was written
/// again, or never acknowledged, is none.
#[test]
fn a_second_sync_of_a_disk_image_owes_what_the_first_did_by_whatever_means() {
    let stack = "run seed_004_qemu_fsync --profile linux-errseq-4.17 --expect strict-sticky --";
    for (form, first, second, read, code) in [
        ("second", "write 1: ok", "fsync 2: error", "read A", 1),
        ("dup", "write 1: ok", "fsync 2: ok", "read A", 1),
        ("msync", "write 1: ok", "fsync 2: ok", "read A", 1),
        ("rewrite", "write 1: ok", "fsync 2: ok", "read B", 0),
        ("direct", "write 1: error", "fsync 2: ok", "read A", 0),
    ] {
        let output = crashproof(&format!("{stack} {form}"));
        let (shown, printed) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{form}: {shown}");
        let is_false = code == 1 && second == "fsync 2: ok";
        assert_eq!(shown.contains("ERR-STICKY-01"), is_false, "{form}: {shown}");
        for line in [first, second, read] {
            assert!(printed.contains(line), "{form}, {line}: {printed}");
        }
        ends_with(&format!("run seed_004_qemu_fsync --profile strict-sticky -- {form}"), 0);
    }
}

/// Runs every defect, in its own workload and under the general exerciser, and every control.
#[test]
fn every_defect_is_caught_and_every_control_is_silent() {
    let shown = ends_with("defects --matrix", 0);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/defects.md");
    if std::env::var_os("BLESS").is_some_and(|asked| asked == "1") {
        std::fs::write(&path, &shown).expect("the checkout can be written to");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, shown, "{}: BLESS=1 writes it", path.display());
}

/// A run breaks this clause first, and its replay has the same findings and the same trace.
fn is_rejected_and_replays(run: &str, clause: &str) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let trace = |name: &str| folder.path().join(name);
    let shown = ends_with(&format!("run {run} --trace {}", trace("run").display()), 1);
    assert!(shown.starts_with(&format!("REJECTED  {clause} ")), "{shown}");
    assert!(shown.contains(&format!("crashproof replay {run}\n")), "{shown}");
    let again = ends_with(&format!("replay {run} --trace {}", trace("again").display()), 1);
    let findings = |text: &str| text.rsplit_once("\n\n").map(|(findings, _)| findings.to_owned());
    assert_eq!(findings(&shown), findings(&again));
    let bytes = |name: &str| std::fs::read(trace(name)).expect("it was written");
    assert_eq!(bytes("run"), bytes("again"));
}

#[test]
fn the_first_founding_bug_is_rejected_by_its_number_and_replays_byte_for_byte() {
    let run = "seed_000_leveldb_mmap --defect DEF-000";
    is_rejected_and_replays(run, "MAP-12");
    ends_with("run seed_000_leveldb_mmap", 0);
    let twin = ends_with(&format!("run {run} --mapping twin"), 1);
    assert!(twin.starts_with("REJECTED  MAP-12 "), "{twin}");
    ends_with("run seed_000_leveldb_mmap --mapping twin", 0);
}

#[test]
fn the_founding_bugs_of_shared_blocks_are_rejected_by_their_numbers_and_replay_byte_for_byte() {
    is_rejected_and_replays("seed_002_parallel_writers --defect DEF-002", "ALLOC-02");
    is_rejected_and_replays(
        "seed_002_parallel_writers --defect DEF-002 --no-audits",
        "ERR-FALSE-01",
    );
    ends_with("run seed_002_parallel_writers", 0);
    ends_with("explore seed_002_parallel_writers --verify verify_parallel_writers", 0);
    let both = "--defect DEF-003a --defect DEF-003b";
    is_rejected_and_replays(&format!("seed_003_go_linker_copy {both}"), "ERR-REPORT-09");
    is_rejected_and_replays(&format!("seed_003_go_linker_copy {both} --no-audits"), "COPY-01");
    ends_with("run seed_003_go_linker_copy", 0);
    // The flush fails, and does not lie.
    ends_with("run seed_003_go_linker_copy --defect DEF-003a", 0);
}

#[test]
fn the_founding_bug_of_mirrors_is_rejected_by_its_number_and_where_it_must_not_show_it_does_not() {
    let explored = |options: &str, code| {
        ends_with(
            &format!("explore seed_001_mirror_legs --verify verify_mirror_legs{options}"),
            code,
        )
    };
    let audited = explored(" --defect DEF-001", 1);
    // The audit of writes finds it in the run already, that of legs after the crash.
    assert!(audited.starts_with("REJECTED  RED-02 "), "{audited}");
    assert!(audited.contains("\nREJECTED  RED-01 "), "{audited}");
    let by_answers = explored(" --defect DEF-001 --no-audits", 1);
    assert!(by_answers.starts_with("REJECTED  RSTAB-01 "), "{by_answers}");
    // A leg is lost, and a block of the volume belongs to two of its objects.
    for shown in [audited, by_answers] {
        let twice = "verifier  fill the volume: granted twice: block ";
        assert!(shown.contains(twice), "{shown}");
    }
    explored("", 0);
    explored(" --defect DEF-001 --resync full --no-audits", 0);
    let returned = |options: &str, code| {
        ends_with(&format!("explore seed_001_mirror_legs{options} -- return 3 1"), code)
    };
    let without = returned(" --defect D-65 --no-audits --lose-leg each", 1);
    assert!(without.contains("RED-06") && without.contains("leg 0 was lost"), "{without}");
    let replay = without.lines().find_map(|line| line.trim().strip_prefix("replay    crashproof "));
    let replayed = ends_with(replay.expect("how to see it again"), 1);
    assert!(replayed.contains("RED-06"), "{replayed}");
    returned(" --lose-leg each", 0);
    ends_with("run seed_001_mirror_legs --defect DEF-001 --no-audits", 0);
}

#[test]
fn a_search_of_seeds_stops_at_the_first_that_is_rejected() {
    let shown = ends_with("run posix_pressure --defect D-24 --seed 1 --seeds 50 -- appends", 1);
    let tried = shown.lines().find_map(|line| line.trim().strip_prefix("schedules "));
    let tried: u64 = tried
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .expect("it says how many were tried");
    let again = format!("run posix_pressure --defect D-24 --seed {tried} -- appends");
    assert!(shown.contains(&again), "the last that was tried is the one: {shown}");
    ends_with(&again, 1);
    for seed in 1..tried {
        ends_with(&format!("run posix_pressure --defect D-24 --seed {seed} -- appends"), 0);
    }
}

#[test]
fn a_replay_shows_the_same_finding() {
    let shown = ends_with("explore crash_append_log --defect sync_without_flush -- 3", 1);
    let replay = shown
        .lines()
        .find_map(|line| line.trim().strip_prefix("replay"))
        .expect("a finding ends with its replay");
    let words = replay.trim().strip_prefix("crashproof ").expect("it is a command");
    let again = ends_with(words, 1);
    let finding = |text: &str| {
        let from = text.find("REJECTED").expect("a finding");
        text[from..].lines().next().expect("a line").to_owned()
    };
    assert_eq!(finding(&shown), finding(&again));
}

#[test]
fn several_processes_share_one_file_system() {
    let words = "run crash_append_log --also";
    let output = Command::new(env!("CARGO_BIN_EXE_crashproof"))
        .args(words.split_whitespace())
        .args(["posix_exerciser 3 60", "--seed", "11"])
        .output()
        .expect("the program was built");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

/// Why no answer breaks LIM-07, and an audit decides it: nothing is wrong here, and each of these
/// writes is made and answered during one `fsync`.
#[test]
fn a_sync_may_last_as_long_as_another_process_goes_on() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("trace");
    for turns in [20, 200] {
        let output = Command::new(env!("CARGO_BIN_EXE_crashproof"))
            .args(["run", "crash_append_log", "--also", &format!("posix_pressure writes {turns}")])
            .args(["--fail-write", "latency steps=1 times=until-healed", "--trace"])
            .arg(&path)
            .args(["--", "2"])
            .output()
            .expect("the program was built");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        let trace = std::fs::read_to_string(&path).expect("it was written");
        let step = |line: &str| line.split(' ').next().expect("a word").to_owned();
        let synced = trace.lines().find(|line| line.contains(" call p1 fsync "));
        let synced = step(synced.expect("the log is synced"));
        let during = trace.lines().skip_while(|line| step(line) != synced);
        let answer = format!(" answer {synced} ");
        let during = during.take_while(|line| !line.contains(&answer));
        let count = during.filter(|line| line.contains(" call p2 write ")).count();
        assert_eq!(count, 2 * turns + 1, "two a turn, and one before");
    }
}

#[test]
fn bad_input_is_named_and_ends_with_its_code() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let nonsense = folder.path().join("nonsense.wasm");
    std::fs::write(&nonsense, "not a module").expect("the folder is there");
    let nonsense = nonsense.display().to_string();
    for (words, code, part) in [
        ("run no_such_guest".to_owned(), 2, "no_such_guest"),
        (format!("run {nonsense}"), 2, "not a WebAssembly module"),
        ("run abi_unknown_import".to_owned(), 2, "it imports"),
        (format!("fsck {nonsense}"), 2, "nonsense.wasm"),
        (format!("trace judge {nonsense}"), 2, "line 1"),
        ("run posix_data --profile nonsense".to_owned(), 2, "nonsense"),
        (format!("run posix_data --scenario {nonsense}"), 2, "nonsense.wasm"),
        ("run posix_data --block-size 700".to_owned(), 2, "700"),
        ("run posix_data --fs-size 2K".to_owned(), 2, "file system"),
        ("run posix_data --defect nonsense".to_owned(), 2, "nonsense"),
        ("explore posix_data --lose-leg 0".to_owned(), 2, "--legs 2"),
        ("explore posix_data --legs 2 --lose-leg 2".to_owned(), 2, "2 legs, from 0"),
        (
            "explore posix_data --crash-kind process --legs 2 --lose-leg 1".to_owned(),
            2,
            "device goes on",
        ),
        ("explore posix_data --crash-kind process --torn-writes".to_owned(), 2, "device goes on"),
        ("explore posix_data --crash-kind kernel --lost-flush 1".to_owned(), 2, "keeps its power"),
        ("explore posix_data --crash-kind process --recovery-depth 2".to_owned(), 2, "goes on"),
        ("run abi_loops --fuel 100000".to_owned(), 4, ""),
        ("run abi_traps".to_owned(), 4, ""),
        ("run abi_recurses".to_owned(), 4, ""),
        ("spec show NO-SUCH-01".to_owned(), 2, "NO-SUCH-01"),
    ] {
        let output = crashproof(&words);
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words}\n{complaint}");
        assert!(complaint.contains(part), "{words}: {complaint}");
        assert!(!complaint.contains("panicked"), "{words}: {complaint}");
    }
}

#[test]
fn a_plan_of_faults_is_a_file_and_a_mistake_in_it_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("plan.toml").display().to_string();
    let plan = |text: &str| std::fs::write(&path, text).expect("the folder is there");
    plan("[[fault]]\nfault = \"write-error\"\nclass = \"data\"\nnth = 2\n");
    let words = format!("run posix_exerciser --faults {path} --level strict -- 1 300");
    assert_eq!(ends_with(&words, 0), ends_with(&words, 0));
    let defect = format!("run posix_exerciser --faults {path} --defect report_once --seed 1");
    let shown = ends_with(&format!("{defect} -- random 300 files"), 1);
    assert!(shown.contains(&format!("--faults {path}")), "{shown}");
    // A device that lies: what a crash leaves is nobody's broken word.
    plan("[[fault]]\nfault = \"lying-flush\"\ntimes = \"until-healed\"\n");
    let words = format!("explore crash_append_log --verify verify_append_log --faults {path} -- 3");
    let shown = ends_with(&words, 0);
    assert!(shown.contains("a medium left that had said what is not so"), "{shown}");
    plan("[memory]\nbytes = \"64K\"\nevict-every = 3\n[pool]\nblocks = 60\n");
    ends_with(&format!("run posix_exerciser --faults {path} -- 1 300"), 0);
    let seeded = "run posix_exerciser --random-faults 4 --seed 5 -- random 200 files";
    assert_eq!(ends_with(seeded, 0), ends_with(seeded, 0));
    for (written, part) in [
        ("\n[[fault]]\nfault = \"fire\"", "`lying-flush`"),
        ("\n[[fault]]\nfault = \"lying-flush\"\nblocks = \"1..2\"", "line 2: fault: blocks"),
        ("colour = \"red\"", "`random`"),
        ("random = 2", "--seed"),
    ] {
        plan(written);
        let output = crashproof(&format!("run posix_data --faults {path}"));
        let complaint = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(complaint.contains(part), "{part}: {complaint}");
    }
    let words = format!("run posix_data --faults {path} --subject dir:{}", folder.path().display());
    assert_eq!(crashproof(&words).status.code(), Some(2));
}

#[test]
fn files_are_mapped_only_where_a_block_is_a_page() {
    for size in ["512", "16384"] {
        let shown = ends_with(&format!("run posix_mapping --block-size {size}"), 4);
        assert!(shown.contains("fd_mmap where a block has not 4096 bytes"), "{shown}");
    }
}

#[test]
fn a_third_party_module_runs_by_its_path() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("somebody.wasm");
    let guest = crashproof::guests::named("posix_data").expect("it is built in");
    std::fs::write(&path, guest.wasm).expect("the folder is there");
    ends_with(&format!("run {}", path.display()), 0);
}

#[test]
fn an_image_that_a_run_left_is_whole_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("image");
    let words = format!("run posix_data --fs-size 1M --image {}", path.display());
    ends_with(&words, 0);
    ends_with(&format!("fsck {}", path.display()), 0);
    let mut raw = std::fs::read(&path).expect("it was written");
    let used: Vec<usize> = (8192..raw.len()).step_by(4096).filter(|at| raw[*at] != 0).collect();
    for at in used {
        raw[at] ^= 0xff;
    }
    std::fs::write(&path, raw).expect("the folder is there");
    ends_with(&format!("fsck {}", path.display()), 1);
}

#[test]
fn a_run_that_is_not_judged_is_undecided_and_its_trace_can_be_judged_later() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let record = |name: &str, more: &str, code| {
        let path = folder.path().join(name);
        let words = format!("run seed_004_qemu_fsync --profile linux-errseq-4.17{more} --trace ");
        let shown = ends_with(&format!("{words}{}", path.display()), code);
        (shown, std::fs::read(&path).expect("it was written"))
    };
    let (shown, unjudged) = record("unjudged", " --unjudged", 4);
    assert!(shown.contains("nothing was judged"), "{shown}");
    let (_, judged) = record("judged", " --no-audits --level linux", 0);
    assert!(unjudged == judged, "judging is no part of a trace");
    let trace = folder.path().join("unjudged");
    let shown = ends_with(&format!("trace judge {}", trace.display()), 1);
    assert!(shown.contains("ERR-STICKY-01"), "{shown}");
    ends_with("run posix_data --unjudged --seed 1 --seeds 3", 2);
}

#[test]
fn a_full_disk_is_told_to_the_guest_and_breaks_no_promise() {
    for words in ["run crash_append_log -- 400", "explore posix_exerciser -- 3 60 files"] {
        let (command, guest) = words.split_once(' ').expect("a command and a guest");
        let output = crashproof(&format!("{command} --fs-size 64K {guest}"));
        let (shown, complaint) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{words}\n{shown}\n{complaint}");
        // Errno 51 of preview1 is ENOSPC.
        assert!(
            complaint.contains("51"),
            "{words}: the guest met the end of the disk: {complaint}"
        );
    }
}

/// What is on the device before a sync of a directory that does nothing is on it afterwards too;
/// what was promised is not.
#[test]
fn a_sync_that_writes_nothing_is_a_moment_of_its_own() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let json = folder.path().join("json");
    let defect = "--defect directory_sync_ignored";
    let words = format!("explore crash_write_rename {defect} --json {} -- dir", json.display());
    ends_with(&words, 1);
    let report = std::fs::read_to_string(&json).expect("it was written");
    let report: serde_json::Value = serde_json::from_str(&report).expect("it is JSON");
    let shared = report["account"]["deduplicated"].as_u64().expect("a count");
    assert!(shared > 0, "equal contents share their recovery: {report}");
}

#[test]
fn a_killed_process_leaves_everything_that_was_acknowledged() {
    ends_with("explore crash_append_log --crash-kind process --verify verify_append_log -- 3", 0);
    ends_with("explore crash_append_log --crash-kind kernel --verify verify_append_log -- 3", 0);
}

#[test]
fn a_conformance_record_lists_nothing_as_held_that_nothing_exercised() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let out = folder.path().join("out");
    ends_with(&format!("conform --out {}", out.display()), 0);
    let json = std::fs::read_to_string(out.join("report.json")).expect("it was written");
    let record: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let clauses = record["clauses"].as_array().expect("a list of clauses");
    assert!(clauses.iter().any(|clause| clause["standing"] == "held"));
    for clause in clauses {
        let is_exercised = clause["exercised"].as_u64().expect("a count") > 0;
        assert!(clause["standing"] != "held" || is_exercised, "{clause}");
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_no_file_half_written() {
    let folder = tempfile::tempdir().expect("a folder for this test");
    let trace = folder.path().join("t.trace");
    let mut child = Command::new(env!("CARGO_BIN_EXE_crashproof"))
        .args(["run", "abi_loops", "--trace"])
        .arg(&trace)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program was built");
    let files = || std::fs::read_dir(folder.path()).expect("it is there").count();
    // The guest loops for ever: the trace is begun, and never ended.
    while files() == 0 {
        std::thread::yield_now();
    }
    let process = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &process]).status().expect("a Unix has kill");
    assert!(sent.success());
    assert_eq!(child.wait().expect("it was started").code(), Some(130));
    assert_eq!(files(), 0, "neither the trace nor what it was written to");
}

/// The words of a command that a report ends with, or a finding.
fn command_after<'a>(label: &str, shown: &'a str) -> &'a str {
    let line = shown.lines().find_map(|line| line.trim().strip_prefix(label));
    line.and_then(|rest| rest.trim().strip_prefix("crashproof ")).expect("it names a command")
}

#[test]
fn a_crash_in_the_middle_of_recovery_is_found_where_it_is_asked_for_and_replays() {
    let run = "crash_append_log --defect log_ended_first";
    ends_with(&format!("explore {run} -- 3"), 0);
    let shown = ends_with(&format!("explore {run} --recovery-depth 2 -- 3"), 1);
    assert!(shown.starts_with("REJECTED  CRASH-08 "), "{shown}");
    assert!(shown.contains("in its recovery, after device event "), "{shown}");
    let again = ends_with(command_after("replay", &shown), 1);
    assert!(again.starts_with("REJECTED  CRASH-08 "), "{again}");
    let shown = ends_with("explore crash_append_log --recovery-depth 3 -- 3", 0);
    assert!(shown.contains("depth 3: 0 recoveries that wrote"), "{shown}");
    let shown = ends_with("ace --seq 1 --recovery-depth 2 --defect log_ended_first", 1);
    assert!(shown.starts_with("REJECTED  CRASH-08 "), "{shown}");
    ends_with(command_after("replay", &shown), 1);
    let mirror = "explore seed_001_mirror_legs --verify verify_mirror_legs --recovery-depth 2";
    let shown = ends_with(mirror, 0);
    assert!(shown.contains("; bound hit at") && !shown.contains(": 0 recoveries"), "{shown}");
}

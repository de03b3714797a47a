//! Profiles of failed writes: each as behaviour and as expectation, and the tables made of them.
#![cfg(feature = "wasm")]

use std::path::Path;
use std::process::Command;

use crashproof::check::campaign::Campaign;
use crashproof::device::FaultPlan;
use crashproof::sim::mix;
use crashproof::subject::profile_named;
use crashproof::subject::profile_names;
use crashproof_spec::promise::Promises;
use crashproof_spec::promise::Stops;
use crashproof_spec::promise::Syncs;
use crashproof_spec::violation::Verdict;
use crashproof_spec::violation::Violation;

const PROGRAM_COUNT: u64 = 300;

fn crashproof(words: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crashproof"));
    command.args(words).output().expect("the program was built")
}

/// What a table prints is the page in `docs`.
fn is_pinned(table: &str) {
    let output = crashproof(&["table", table]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/{table}.md"));
    if std::env::var_os("BLESS").is_some_and(|asked| asked == "1") {
        std::fs::write(&path, &shown).expect("the checkout can be written to");
    }
    assert_eq!(output.status.code(), Some(0), "{complaint}\n{shown}");
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, shown, "{}: BLESS=1 writes it", path.display());
}

#[test]
fn every_cell_of_the_litmus_table_is_as_it_was() {
    is_pinned("litmus");
}

#[test]
fn every_stack_breaks_of_every_profile_what_it_did() {
    is_pinned("profiles");
}

#[test]
fn every_cell_of_the_reactions_of_file_systems_is_as_it_was() {
    is_pinned("fs-reactions");
}

#[test]
fn every_cell_of_what_applications_make_of_a_failed_write_is_as_it_was() {
    is_pinned("applications");
}

/// Words split at blanks; what was printed.
fn ends_with(words: &str, code: i32) -> String {
    let output = crashproof(&words.split(' ').collect::<Vec<_>>());
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "crashproof {words}\n{shown}\n{complaint}");
    shown
}

/// The stores that look at what a sync answers lose nothing that they called done, on a device that
/// is well, and whichever block it refuses.
#[test]
fn stores_that_heed_a_failed_sync_lose_nothing_at_any_crash() {
    let heeding =
        ["log", "log-everysec", "journal", "wal", "wal-panic", "wal-retry", "mapped", "merge"];
    for store in heeding {
        for fault in ["", " --fail-write data:4", " --fail-write data:7"] {
            ends_with(&format!("explore app_store --verify verify_store{fault} -- {store} 5"), 0);
        }
    }
}

#[test]
fn a_store_that_ignores_a_failed_sync_loses_what_it_called_done_and_it_is_its_own_fault() {
    let words = "explore app_store --verify verify_store --fail-write data:3 -- log-ignoring 5";
    let shown = ends_with(words, 1);
    assert!(shown.starts_with("REJECTED  the guest "), "{shown}");
    assert!(shown.contains("the file system kept its promises"), "{shown}");
    ends_with("explore app_store --verify verify_store -- log-ignoring 5", 0);
}

/// The guest traps where the answers are not those of the rules that it is given.
#[test]
fn reports_of_failed_writes_are_as_xfstests_requires_of_linux_and_otherwise_where_they_should_be() {
    let rules = [
        ("linux-5.8", "linux-5.8"),
        ("linux-errseq-4.17", "linux-4.17"),
        ("linux-errseq-4.13", "linux-4.13"),
        ("linux-flags", "linux-flags"),
        ("strict-sticky", "strict-sticky"),
    ];
    for (profile, rules) in rules {
        for number in ["441", "442", "484", "484-evicted", "487"] {
            let words = format!("run sync_error_reports --profile {profile} -- {number} {rules}");
            ends_with(&words, 0);
        }
    }
    for (profile, words) in [
        ("linux-flags", "441 linux-5.8"),
        ("strict-sticky", "441 linux-5.8"),
        ("linux-errseq-4.17", "484 linux-5.8"),
        ("linux-errseq-4.13", "487 linux-4.17"),
    ] {
        ends_with(&format!("run sync_error_reports --profile {profile} -- {words}"), 4);
    }
}

#[test]
fn a_profile_of_ones_own_is_a_file_and_a_mistake_in_it_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("mine.toml").display().to_string();
    let printed = crashproof(&["profiles", "linux-errseq-4.17"]).stdout;
    let text = String::from_utf8(printed).expect("a profile is text");
    std::fs::write(&path, &text).expect("the folder is there");
    let run = |words: &[&str]| crashproof(&[&["run", "seed_004_qemu_fsync"], words].concat());
    assert_eq!(run(&["--profile", &path]).status.code(), Some(0));
    let by_strict = run(&["--profile", &path, "--expect", "strict-sticky"]);
    let shown = String::from_utf8_lossy(&by_strict.stdout).into_owned();
    assert_eq!(by_strict.status.code(), Some(1), "{shown}");
    assert!(shown.contains("ERR-STICKY-01") && shown.contains("ERR-CLAIM-01"), "{shown}");
    for (from, to, part) in [
        ("clean-kept", "burnt", "`redirtied`"),
        (
            "description-cursor",
            "last-close",
            "clear: with these observers it is \"description-cursor\" or \"reopen\"",
        ),
        ("[oracle]", "[judge]", "unknown field `judge`"),
    ] {
        std::fs::write(&path, text.replacen(from, to, 1)).expect("the folder is there");
        let output = run(&["--profile", &path]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        for part in [part, "mine.toml", "line "] {
            assert!(complaint.contains(part), "{part}: {complaint}");
        }
    }
}

/// Bytes that a fuzzer could have made: those of `campaign.rs`.
fn bytes(seed: u64) -> Vec<u8> {
    let len = 64 + mix(seed) % 512;
    (0..len).map(|at| (mix(seed.wrapping_mul(0x1_0001) ^ mix(at)) >> 24) as u8).collect()
}

/// Schedules of the exerciser for each profile and each of its words.
const SCHEDULE_COUNT: usize = 4;

/// Which operations there are: most of them, those of files that are written in place, and a device
/// that is filled and freed.
const WORDS: [&str; 3] = ["all", "owned", "filled"];

/// The general exerciser on the stack of each profile, on a device that fails by chance. It takes
/// what it reads for true: old bytes may come back. Only a store that cannot have memory ends it.
#[test]
fn the_exerciser_finds_no_broken_promise_of_any_profile_whatever_fails() {
    let mut complaints = Vec::new();
    let profiles = profile_names().flat_map(|profile| WORDS.map(|word| (profile, word)));
    for (number, (profile, word)) in profiles.enumerate() {
        let (mut seed, end) = (1 + 1_000 * number, 1 + 1_000 * number + SCHEDULE_COUNT);
        while seed < end {
            let words = format!(
                "run posix_exerciser --profile {profile} --random-faults 4 --adversity --fs-size \
                 1M --seed {seed} --seeds {} -- random 300 {word} reverting",
                end - seed
            );
            let output = crashproof(&words.split(' ').collect::<Vec<_>>());
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            let again = shown.rsplit_once("--seed ").map(|(_, rest)| rest);
            let again = again.and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
            let is_short = output.status.code() == Some(4) && shown.contains("killed by SIGBUS");
            match (output.status.code(), again) {
                (Some(0), _) => seed = end,
                (_, Some(again)) if is_short => seed = again + 1,
                (code, _) => {
                    complaints.push(format!("{words}: {code:?}\n{shown}"));
                    seed = end;
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What a stack that forgets breaks of `strict-sticky`: it says success too early, tells of what is
/// over, and gives old bytes back. Nothing else may come of it.
const OF_FORGETTING: [&str; 6] =
    ["ERR-STICKY-01", "ERR-REPORT-01", "ERR-FALSE-02", "RSTAB-01", "RSTAB-02", "SEEK-02"];

/// Random programs on the stack of a profile: how many of them break its own promises, and how many
/// those of strict-sticky.
fn broken(profile: &str) -> (Vec<String>, u64) {
    let policies = profile_named(profile).expect("it is in the list");
    let expected = Promises::named(profile);
    let calm = Campaign { policies, expected, ..Campaign::default() };
    let faults = FaultPlan { random_max: 4, ..FaultPlan::default() };
    let failing = Campaign { faults, ..calm.clone() };
    let (mut own, mut strict) = (Vec::new(), 0);
    for seed in 1..=PROGRAM_COUNT {
        let campaign = if seed % 2 == 0 { &failing } else { &calm };
        let Some(execution) = campaign.execute(&bytes(seed)) else { continue };
        if let Some(violation) = execution.violations.first() {
            own.push(format!("{profile}, seed {seed}: {violation}"));
        }
        let reason = execution.undecided.first();
        own.extend(reason.map(|reason| format!("{profile}, seed {seed}: {reason}")));
        let verdict = execution.judged_by(Promises::strict_sticky());
        let Verdict::Rejected(violations) = verdict else { continue };
        strict += 1;
        // A file system that strict-sticky never lets stop.
        let is_stopped = |found: &Violation| {
            campaign.expected.as_ref().is_some_and(|own| own.error.stops != Stops::Never)
                && found.observed.contains("EROFS")
        };
        // Where syncs promise nothing, power loss breaks any promise of durability, and what comes
        // back in memory may be older than what a sync said to be durable. There one failure is
        // told of every file.
        let is_void = |found: &Violation| {
            campaign.expected.as_ref().is_some_and(|own| own.error.syncs == Syncs::Void)
                && (["DATA-RW-03", "MAP-02", "ERR-FALSE-01"].contains(&found.clause)
                    || found.clause.starts_with("DUR-")
                    || found.clause.starts_with("CRASH-"))
        };
        let is_other = |found: &&Violation| {
            !OF_FORGETTING.contains(&found.clause) && !is_stopped(found) && !is_void(found)
        };
        let other = violations.iter().find(is_other);
        own.extend(other.map(|found| format!("{profile}, seed {seed}, as strict-sticky: {found}")));
    }
    (own, strict)
}

#[test]
fn every_stack_keeps_its_own_promises_and_the_untruthful_break_those_of_strict_sticky() {
    let truthful = [
        "strict-sticky",
        "strict-retry",
        "freebsd-redirty",
        "illumos-redirty",
        "zfs-wait",
        "zfs-continue",
    ];
    let mut complaints = Vec::new();
    for profile in profile_names() {
        let (own, strict) = broken(profile);
        complaints.extend(own);
        if truthful.contains(&profile) != (strict == 0) {
            complaints.push(format!("{profile}: {strict} programs break strict-sticky"));
        }
    }
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

//! The generators of the fuzz targets, from fixed seeds: the clean stack is accepted, and each
//! defect is caught by a clause that it names.

use std::path::Path;

use crashproof::check::campaign::Campaign;
use crashproof::check::campaign::Execution;
use crashproof::check::campaign::survive_image;
use crashproof::sim::mix;

const CLEAN_COUNT: u64 = 10_000;
const DEFECT_COUNT: u64 = 40_000;

/// Bytes that a fuzzer could have made.
fn bytes(seed: u64) -> Vec<u8> {
    let len = 64 + mix(seed) % 512;
    (0..len).map(|at| (mix(seed.wrapping_mul(0x1_0001) ^ mix(at)) >> 24) as u8).collect()
}

fn executions(campaign: &Campaign, count: u64) -> impl Iterator<Item = (u64, Execution)> {
    (1..=count).filter_map(|seed| Some((seed, campaign.execute(&bytes(seed))?)))
}

#[test]
fn the_clean_stack_keeps_its_promises() {
    let mut executed = 0;
    for (seed, execution) in executions(&Campaign::default(), CLEAN_COUNT) {
        executed += 1;
        assert!(execution.violations.is_empty(), "seed {seed}: {execution:#?}");
        assert!(execution.undecided.is_empty(), "seed {seed}: {execution:#?}");
    }
    assert!(executed > CLEAN_COUNT / 2, "most bytes are a program: {executed}");
}

#[test]
fn every_defect_is_caught_by_a_clause_that_it_names() {
    // Races that are too rare here, and a device that is nearly full: `mapped_races` walks through
    // all schedules, `shortage` fills one.
    let not_here = [
        "write_cleans_pages",
        "stale_lookup_zeroes",
        "tail_zeroed_by_old_size",
        "failed_write_clears_uptodate",
        // Either alone does no harm.
        "writeback_gives_up",
        "page_errors_dropped",
        // What was freed too early has to be used again, and there is much that is free.
        "replay_counts_no_clones",
        // Seldom is a snapshot made between two changes of one file.
        "snapshot_lets_writes_go_on",
        "snapshot_lets_cuts_go_on",
        // Recoveries go through here.
        "log_ended_first",
        // There is no mirror here.
        "legs_read_live_pages",
        "region_clean_with_the_first_leg",
        "region_marked_unforced",
        "returning_leg_read_at_once",
        "last_write_ends_copying",
        "failed_copy_counts_as_done",
        "mirrored_copies_trusted",
        "first_copy_over_others",
        // Room set aside, stored to through a mapping while it is first written, and a crash.
        "checksum_of_another_version",
        // Compressed, cloned by parts and read at once from the medium: too rare in short programs.
        "batched_reads_go_on",
        // A failure that is closed over while memory is short; a tree block that is refused in a
        // syncfs.
        "forgotten_on_eviction",
        "syncfs_ignores_commit",
        // A flush that drops what is in the device's cache: faults by chance never do.
        "flush_failure_goes_on",
        // A close that tells errors: the profile here has none.
        "failed_close_keeps_descriptor",
        // No answer shows how long a sync lasts.
        "sync_chases_writers",
        // Files of these programs have one shard.
        "sync_first_shard_only",
        // A device that is full, and a limit: neither is here.
        "owned_space_asked_for",
        "write_fits_whole_or_not",
        "limit_of_writes_alone",
        "pending_frees_ignored",
    ];
    let mut missed = Vec::new();
    for defect in crashproof::subject::defects() {
        if not_here.contains(&defect.name) {
            continue;
        }
        let campaign = Campaign::with_defect(Some(defect.name)).expect("it is in the list");
        // Whatever an audit sees, answers and surveys must show as well.
        let campaign = Campaign { is_unaudited: true, ..campaign };
        let caught = executions(&campaign, DEFECT_COUNT).any(|(_, execution)| {
            execution.violations.iter().any(|found| {
                let broken = std::iter::once(&found.clause).chain(&found.also);
                broken.into_iter().any(|clause| defect.clauses.contains(clause))
            })
        });
        if !caught {
            missed.push((defect.name, defect.clauses));
        }
    }
    assert!(missed.is_empty(), "caught by no clause that it names: {missed:?}");
}

/// Seeds from which a fuzzer begins: from nothing it needs minutes to make programs of some length.
const CORPUS_COUNT: u64 = 128;

#[test]
fn the_fuzzers_corpus_is_made_by_the_generator_of_this_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/ops");
    for seed in 1..=CORPUS_COUNT {
        let path = folder.join(format!("seed-{seed:03}"));
        if std::env::var_os("BLESS").is_some_and(|asked| asked == "1") {
            std::fs::create_dir_all(&folder).expect("the checkout can be written to");
            std::fs::write(&path, bytes(seed)).expect("the checkout can be written to");
        }
        let kept = std::fs::read(&path).unwrap_or_default();
        assert_eq!(kept, bytes(seed), "{}: BLESS=1 writes it", path.display());
    }
}

#[test]
fn the_same_bytes_make_the_same_trace() {
    for seed in 1..50 {
        let run = || Campaign::default().execute(&bytes(seed)).map(|execution| execution.trace);
        assert_eq!(run(), run(), "seed {seed}");
    }
}

#[test]
fn no_medium_makes_the_stack_panic() {
    for seed in 1..200 {
        survive_image(&bytes(seed));
    }
}

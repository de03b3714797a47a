//! The litmus histories of failed writeback, by profile.

use std::task::Context;
use std::task::Waker;

use crate::cache::CachePolicy;
use crate::cache::ClearRule;
use crate::cache::CloseReports;
use crate::cache::ErrorPolicy;
use crate::cache::Observers;
use crate::cache::PageAfterFailure;
use crate::cache::SyncAllReports;
use crate::call::CallId;
use crate::call::Caller;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Ino;
use crate::call::ProcessId;
use crate::call::Request;
use crate::call::Testimony;
use crate::call::Vfs;
use crate::sim::Seeded;
use crate::sim::Sim;
use crate::sim::Site;
use crate::sim::Unrest;
use crate::sim::mix;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::EDIT;
use crate::vfs::tests::READ;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::formatted;
use crate::vfs::tests::reshape::direct;

const STRICT: ErrorPolicy = ErrorPolicy::STRICT_STICKY;
/// As Linux from 4.17 on.
const LINUX: ErrorPolicy = ErrorPolicy {
    observers: Observers::OpenAtErrorOrUnseen,
    clear_rule: ClearRule::DescriptionCursor,
    page_after_failure: PageAfterFailure::CleanKept,
    survives_eviction: false,
    sync_all: SyncAllReports::Never,
    ..STRICT
};

/// A file whose block holds stable A, and B in memory.
fn world(errors: ErrorPolicy) -> (World, HandleId) {
    let world = World::with_errors(errors);
    let handle = world.file("f", &[b'A'; BLOCK]);
    assert_eq!(world.fsync(handle), Ok(()));
    assert_eq!(world.write(handle, 0, &[b'B'; BLOCK]), Ok(BLOCK as u32));
    (world, handle)
}

/// The background flusher fails to write B; then the device is healthy again.
fn failed(errors: ErrorPolicy) -> (World, HandleId) {
    let (world, handle) = world(errors);
    world.fail("data:1..");
    world.flush();
    world.faulty.heal();
    (world, handle)
}

const E: Result<(), Errno> = Err(Errno::Io);

#[test]
fn l1_a_failure_found_in_the_background_is_told_by_the_next_sync() {
    for errors in [STRICT, LINUX] {
        let (world, handle) = failed(errors);
        assert_eq!(world.fsync(handle), E);
    }
}

/// What fails between the call and the sync's own work fails while its caller waits.
#[test]
fn a_waiter_is_told_of_what_fails_before_its_sync_begins_to_work() {
    let sim = Sim::new(Seeded::new(1, &[(Site::Preempt, Unrest::one_in(1))]));
    let errors = ErrorPolicy::QUEUE_FORGOTTEN;
    let cache = CachePolicy { errors, ..CachePolicy::default() };
    let world = World::with(formatted(TINY), sim, VfsPolicy::default(), cache);
    let handle = world.file("f", b"content");
    let caller = Caller { process: ProcessId(0), call: CallId(9) };
    world.fail("data:1..");
    let vfs = world.vfs.clone();
    world.sim.spawn(async move { vfs.flush_background().await.expect("the power stays on") });
    let mut sync = world.vfs.call(caller, Request::Fsync { handle });
    assert!(sync.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    world.sim.run_background();
    world.faulty.heal();
    assert!(matches!(world.sim.block_on(sync), Ok(Err(Errno::Io))));
    assert_eq!(world.fsync(handle), Ok(()), "that one was told");
}

#[test]
fn l16_a_close_that_fails_closes() {
    let (world, handle) = failed(ErrorPolicy { close: CloseReports::FlushThenReport, ..STRICT });
    let close = || world.call(Request::Close { handle }).map(drop);
    assert_eq!(close(), E);
    assert_eq!(close(), Err(Errno::BadFile));
    assert_eq!(world.fsync(handle), Err(Errno::BadFile));
}

#[test]
fn l2_a_second_sync_fails_under_strict_sticky_and_succeeds_under_errseq() {
    for (errors, second) in [(STRICT, E), (LINUX, Ok(()))] {
        let (world, handle) = failed(errors);
        assert_eq!(world.fsync(handle), E);
        assert_eq!(world.fsync(handle), second);
        assert_eq!(world.done(Request::Fdatasync { handle }), second);
    }
}

#[test]
fn l3_every_description_that_was_open_is_told() {
    for errors in [STRICT, LINUX] {
        let (world, first) = world(errors);
        let second = world.open("f", EDIT).expect("it is there");
        world.fail("data:1..");
        world.flush();
        world.faulty.heal();
        assert_eq!([world.fsync(first), world.fsync(second)], [E, E]);
    }
}

#[test]
fn l4_an_unseen_failure_is_told_to_the_next_opener() {
    for errors in [STRICT, LINUX] {
        let (world, handle) = failed(errors);
        world.close(handle);
        let late = world.open("f", EDIT).expect("it is there");
        assert_eq!(world.fsync(late), E);
    }
}

#[test]
fn l5_a_seen_failure_is_told_to_a_later_opener_under_strict_sticky_only() {
    for (errors, told) in [(STRICT, E), (LINUX, Ok(()))] {
        let (world, handle) = failed(errors);
        assert_eq!(world.fsync(handle), E);
        let late = world.open("f", EDIT).expect("it is there");
        assert_eq!(world.fsync(late), told);
    }
}

#[test]
fn l6_a_failure_outlives_the_inode_in_memory_under_strict_sticky_only() {
    for (errors, told) in [(STRICT, E), (LINUX, Ok(()))] {
        let (world, handle) = failed(errors);
        world.close(handle);
        world.vfs.evict_all();
        let late = world.open("f", EDIT).expect("it is there");
        assert_eq!(world.fsync(late), told);
    }
}

#[test]
fn l7_rewriting_the_lost_range_ends_it_on_a_healthy_device() {
    for errors in [STRICT, LINUX] {
        let (world, handle) = failed(errors);
        assert_eq!(world.fsync(handle), E);
        assert_eq!(world.write(handle, 0, &[b'C'; BLOCK]), Ok(BLOCK as u32));
        assert_eq!(world.fsync(handle), Ok(()));
        assert_eq!(world.fsync(handle), Ok(()));
        let image = world.disk.durable_image();
        assert_eq!(World::of(image).content("f").expect("it is there")[..], [b'C'; BLOCK]);
    }
}

#[test]
fn rewriting_a_part_of_the_lost_range_does_not_end_it() {
    let (world, handle) = failed(STRICT);
    assert_eq!(world.write(handle, 0, b"C"), Ok(1));
    assert_eq!(world.fsync(handle), E);
    assert_eq!(world.write(handle, 1, &[b'C'; BLOCK - 1]), Ok(BLOCK as u32 - 1));
    assert_eq!(world.fsync(handle), Ok(()));
}

#[test]
fn rewriting_exactly_what_was_written_ends_it() {
    let world = World::new();
    let handle = world.file("f", &[b'A'; 3 * BLOCK]);
    assert_eq!(world.fsync(handle), Ok(()));
    world.fail("data:1..");
    assert_eq!(world.write(handle, 500, b"twenty bytes of text"), Ok(20));
    assert_eq!(world.fsync(handle), E);
    world.faulty.heal();
    assert_eq!(world.write(handle, 500, b"other twenty letters"), Ok(20));
    assert_eq!(world.fsync(handle), Ok(()));
}

#[test]
fn l9_a_description_that_only_reads_is_told_too() {
    for errors in [STRICT, LINUX] {
        let (world, handle) = world(errors);
        let reader = world.open("f", READ).expect("it is there");
        world.fail("data:1..");
        world.flush();
        assert_eq!([world.fsync(reader), world.fsync(handle)], [E, E]);
    }
}

#[test]
fn l10_a_sync_of_everything_does_not_consume_the_error() {
    for (errors, all) in [(STRICT, E), (LINUX, Ok(()))] {
        let (world, handle) = failed(errors);
        assert_eq!(world.done(Request::SyncAll), all);
        assert_eq!(world.fsync(handle), E);
    }
}

#[test]
fn l12_another_file_is_told_nothing() {
    for errors in [STRICT, LINUX] {
        let (world, handle) = failed(errors);
        let other = world.file("g", b"fine");
        assert_eq!(world.fsync(other), Ok(()));
        assert_eq!(world.fsync(handle), E);
    }
}

#[test]
fn l15_reads_after_a_failure_are_stable_under_strict_sticky_and_revert_under_errseq() {
    for (errors, after) in [(STRICT, b'B'), (LINUX, b'A')] {
        let (world, handle) = failed(errors);
        assert_eq!(world.read(handle, 0, 1).as_deref(), Ok(&b"B"[..]));
        world.vfs.evict_all();
        assert_eq!(world.read(handle, 0, 1).as_deref(), Ok(&[after][..]));
    }
}

#[test]
fn l17_truncating_the_lost_range_away_ends_it() {
    let (world, handle) = failed(STRICT);
    assert_eq!(world.fsync(handle), E);
    assert_eq!(world.truncate(handle, 0), Ok(()));
    assert_eq!(world.fsync(handle), Ok(()));
}

#[test]
fn l18_a_device_that_stays_broken_fails_every_sync_under_strict_sticky() {
    for (errors, later) in [(STRICT, E), (LINUX, Ok(()))] {
        let (world, handle) = world(errors);
        world.fail("data:1..");
        assert_eq!(
            [world.fsync(handle), world.fsync(handle), world.fsync(handle)],
            [E, later, later]
        );
    }
}

#[test]
fn the_class_of_the_error_is_kept() {
    let (world, handle) = world(STRICT);
    world.fail("data:1..=enospc");
    assert_eq!(world.fsync(handle), Err(Errno::NoSpace));
}

#[test]
fn the_defects_are_told_once_and_one_of_them_forgets_the_bytes() {
    for (errors, after) in [(ErrorPolicy::CLEAN_ON_ERROR, b'A'), (ErrorPolicy::REPORT_ONCE, b'B')] {
        let (world, handle) = failed(errors);
        assert_eq!([world.fsync(handle), world.fsync(handle)], [E, Ok(())]);
        world.vfs.evict_all();
        assert_eq!(world.read(handle, 0, 1).as_deref(), Ok(&[after][..]));
    }
}

#[test]
fn testimony_names_the_range_when_it_is_lost_evicted_and_resolved() {
    let (world, handle) = failed(LINUX);
    let file = Ino(world.stat_handle(handle).ino.0);
    let range = 0..BLOCK as u64;
    let lost = |said: &Testimony| {
        let (whose, what) = (file, range.clone());
        matches!(said, Testimony::Lost { file, range, errno: Errno::Io, seen: Some(_) }
            if *file == whose && *range == what)
    };
    let said = world.said();
    assert!(said.len() == 1 && said.iter().all(lost), "the loss alone is told: {said:?}");
    world.vfs.evict_all();
    assert_eq!(world.said(), [Testimony::Evicted { file, range: range.clone() }]);
    assert_eq!(world.write(handle, 0, &[b'C'; BLOCK]), Ok(BLOCK as u32));
    world.flush();
    assert_eq!(world.said(), []);
    assert_eq!(world.fsync(handle), E);
    assert_eq!(world.said(), [Testimony::Resolved { file, range }]);
}

#[test]
fn a_direct_read_says_which_lost_bytes_it_drops_from_memory() {
    let (world, handle) = failed(LINUX);
    let file = Ino(world.stat_handle(handle).ino.0);
    assert_eq!(world.said().len(), 1, "the loss");
    let past = direct(&world, "f");
    assert_eq!(world.read(past, 0, BLOCK as u32).map(|read| read[0]), Ok(b'A'));
    let (said, evicted) = (world.said(), Testimony::Evicted { file, range: 0..BLOCK as u64 });
    assert!(!said.is_empty() && said.iter().all(|said| *said == evicted), "{said:?}");
}

#[test]
fn a_failed_log_write_fails_the_sync_and_the_next_one_makes_up_for_it() {
    let (world, handle) = world(STRICT);
    world.fail("any:1..");
    assert_eq!(world.fsync(handle), E);
    world.faulty.heal();
    assert_eq!(world.write(handle, 0, &[b'C'; BLOCK]), Ok(BLOCK as u32));
    assert_eq!(world.fsync(handle), Ok(()));
}

/// Random writes, truncates, failures, flushes and evictions of one file; answers how many syncs
/// said success although the durable file is another than the one that callers see.
fn false_claims(errors: ErrorPolicy, seed: u64) -> u32 {
    let world = World::with_errors(errors);
    let handle = world.file("f", &[b'A'; 3 * BLOCK]);
    assert_eq!(world.fsync(handle), Ok(()));
    let (mut random, mut claims) = (seed, 0);
    let mut below = |bound: u64| {
        random = mix(random.wrapping_add(1));
        random % bound
    };
    let mut expected = vec![b'A'; 3 * BLOCK];
    for _ in 0..40 {
        match below(8) {
            0 => world.fail("data:1.."),
            1 => world.faulty.heal(),
            2 => world.flush(),
            3 => world.vfs.evict_all(),
            4 => {
                let size = below(4 * BLOCK as u64);
                if world.truncate(handle, size).is_ok() {
                    expected.resize(size as usize, 0);
                }
            }
            5 => {
                if world.fsync(handle).is_ok() {
                    let content = World::of(world.disk.durable_image()).content("f");
                    claims += u32::from(content.as_deref() != Ok(&expected));
                }
            }
            _ => {
                let (offset, len) = (below(4 * BLOCK as u64) as usize, 1 + below(700) as usize);
                let data = vec![b'a' + below(26) as u8; len];
                assert_eq!(world.write(handle, offset as u64, &data), Ok(len as u32));
                expected.resize(expected.len().max(offset + len), 0);
                expected[offset..offset + len].copy_from_slice(&data);
            }
        }
        if errors.page_after_failure == PageAfterFailure::Pinned {
            assert!(world.content("f").is_ok_and(|content| content == expected), "seed {seed}");
        }
    }
    claims
}

#[test]
fn under_strict_sticky_a_sync_that_succeeds_made_everything_durable() {
    let claims: u32 = (0..150).map(|seed| false_claims(STRICT, mix(seed))).sum();
    assert_eq!(claims, 0);
}

#[test]
fn under_the_other_policies_a_sync_that_succeeds_may_be_wrong() {
    for errors in [LINUX, ErrorPolicy::CLEAN_ON_ERROR, ErrorPolicy::REPORT_ONCE] {
        let claims: u32 = (0..150).map(|seed| false_claims(errors, mix(seed))).sum();
        assert!(claims > 0);
    }
}

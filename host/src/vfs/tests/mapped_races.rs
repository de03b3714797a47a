//! Mapped stores, writes and reclaim while writeback is under way: nothing is forgotten, and each
//! policy that forgets something does so only where it should.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::cache::CachePolicy;
use crate::cache::ExtentLookup;
use crate::cache::FaultLock;
use crate::cache::PAGE_CAPTURED_FIRST;
use crate::cache::TailZeroing;
use crate::cache::TransformFallback;
use crate::cache::WriteLookup;
use crate::cache::WriteRetry;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::MappingId;
use crate::call::Memory;
use crate::call::Request;
use crate::sim::Sim;
use crate::sim::Site;
use crate::sim::mix;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::concurrent::Answers;
use crate::vfs::tests::concurrent::exhaust;
use crate::vfs::tests::concurrent::spawn;
use crate::vfs::tests::formatted;

const PAGE: u64 = BLOCK as u64;

/// What a process does while others flush and reclaim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Store(u64, u8),
    Write(u64, u8),
    /// A write of so many bytes.
    WriteLong(u64, u64, u8),
}

/// A race: what is done, on a file of what size, compressed or not, beside what.
#[derive(Debug, Clone, Copy)]
struct Race {
    policy: CachePolicy,
    size_bytes: u64,
    is_compressed: bool,
    /// What the file holds before; most of it stays.
    content: fn(u64) -> u8,
    /// Writeback runs so many times beside it.
    flush_count: u32,
    /// Is everything dropped that can be, again and again?
    has_reclaim: bool,
    acts: &'static [Act],
}

const PLAIN: fn(CachePolicy) -> Race = |policy| Race {
    policy,
    size_bytes: 2 * PAGE,
    is_compressed: false,
    content: |_| b'.',
    flush_count: 1,
    has_reclaim: false,
    acts: &[Act::Store(1, b'a'), Act::Store(2, b'b'), Act::Store(3, b'c')],
};

/// A race in a compressed file: two dirty pages of one extent can be packed.
const COMPRESSED: fn(CachePolicy) -> Race = |policy| Race {
    is_compressed: true,
    acts: &[
        Act::Store(1, b'a'),
        Act::Store(PAGE + 1, b'b'),
        Act::Store(2, b'c'),
        Act::Store(PAGE + 2, b'd'),
    ],
    ..PLAIN(policy)
};

/// Bytes that no codec makes smaller.
const NOISE: fn(u64) -> u8 = |at| (mix(at) >> 16) as u8;

/// The same, where the codec gives up.
const INCOMPRESSIBLE: fn(CachePolicy) -> Race =
    |policy| Race { content: NOISE, ..COMPRESSED(policy) };

fn request(act: Act, handle: HandleId, mapping: MappingId) -> Request {
    match act {
        Act::Store(offset, byte) => {
            Request::Memory(Memory::Store { mapping, offset, data: Bytes::from(vec![byte]) })
        }
        Act::Write(offset, byte) => request(Act::WriteLong(offset, 1, byte), handle, mapping),
        Act::WriteLong(offset, len, byte) => {
            let data = Bytes::from(vec![byte; len as usize]);
            Request::Write { handle, offset: Some(offset), data }
        }
    }
}

/// What the file should hold.
fn expected(race: &Race) -> Vec<u8> {
    let mut content: Vec<u8> = (0..race.size_bytes).map(race.content).collect();
    for act in race.acts {
        let (offset, len, byte) = match *act {
            Act::Store(offset, byte) | Act::Write(offset, byte) => (offset, 1, byte),
            Act::WriteLong(offset, len, byte) => (offset, len, byte),
        };
        let (start, end) = (offset as usize, (offset + len) as usize);
        content.resize(content.len().max(end), 0);
        content[start..end].fill(byte);
    }
    content
}

/// In how many schedules is something acknowledged not there after msync, or after eviction?
fn losses(race: Race) -> u32 {
    let (mut losses, blank) = (0, formatted(TINY));
    let sites = &[Site::Preempt, Site::Schedule];
    let count = exhaust(sites, 9, |sim: Sim| {
        let world = World::with(blank.clone(), sim.clone(), VfsPolicy::default(), race.policy);
        let content: Vec<u8> = (0..race.size_bytes).map(race.content).collect();
        let handle = world.file("f", &content);
        assert_eq!(world.fsync(handle), Ok(()));
        let on = race.is_compressed;
        assert_eq!(world.done(Request::Manage(Manage::SetCompression { handle, on })), Ok(()));
        let mapping = world.map(handle, 4 * PAGE);
        let mut touched = BTreeSet::new();
        for act in race.acts {
            // Pages that are stored to are writable and dirty when the race begins.
            if let Act::Store(offset, _) = *act
                && touched.insert(offset / PAGE)
            {
                let _ = world.call(request(*act, handle, mapping));
            }
        }
        let answers = Answers::default();
        let acts = race.acts.iter().map(|act| request(*act, handle, mapping));
        spawn(&world, 1, acts.collect(), &answers);
        for _ in 0..race.flush_count {
            let vfs = world.vfs.clone();
            sim.spawn(async move { vfs.flush_background().await.expect("the power stays on") });
        }
        if race.has_reclaim {
            spawn(&world, 2, vec![Request::Manage(Manage::DropCaches); 3], &answers);
        }
        world.sim.run_background();
        let is_there = answers.lock().expect("one thread").iter().all(|(_, answer)| answer.is_ok());
        assert!(is_there, "nothing fails here");
        assert_eq!(world.msync(mapping, 0, 4 * PAGE), Ok(()));
        let after = World::of(world.disk.durable_image());
        assert_eq!(world.done(Request::Manage(Manage::DropCaches)), Ok(()));
        let expected = expected(&race);
        let found = [after.content("f"), world.content("f")];
        losses += u32::from(found.iter().any(|content| content.as_deref() != Ok(&expected[..])));
    });
    assert!(count > 30, "the schedules differ: {count}");
    losses
}

/// Long enough a write to find one of its pages missing while another is in memory.
const ACROSS: &[Act] = &[Act::Write(1, b'w'), Act::WriteLong(PAGE - 2, PAGE + 4, b'l')];

/// A name, a policy that forgets, and a race that shows it.
type Case = (&'static str, CachePolicy, fn(CachePolicy) -> Race);

fn races() -> Vec<Case> {
    let good = CachePolicy::default();
    vec![
        ("DEF-000", CachePolicy { transformed_order: PAGE_CAPTURED_FIRST, ..good }, COMPRESSED),
        (
            "DEF-000b",
            CachePolicy { transform_fallback: TransformFallback::LeavesClean, ..good },
            INCOMPRESSIBLE,
        ),
        ("D-02", CachePolicy { fault_lock: FaultLock::Ignored, ..good }, PLAIN),
        ("D-12", CachePolicy { extent_lookup: ExtentLookup::BeforeLock, ..good }, |policy| Race {
            flush_count: 2,
            ..PLAIN(policy)
        }),
        ("D-24", CachePolicy { tail_zeroing: TailZeroing::InPageByOldSize, ..good }, |policy| {
            Race {
                size_bytes: PAGE + 10,
                acts: &[
                    Act::Store(PAGE, b'a'),
                    Act::Write(2 * PAGE, b'w'),
                    Act::Store(PAGE + 20, b'b'),
                ],
                ..PLAIN(policy)
            }
        }),
        ("D-11", CachePolicy { write_retry: WriteRetry::CleansPages, ..good }, |policy| Race {
            size_bytes: 3 * PAGE,
            flush_count: 0,
            has_reclaim: true,
            acts: ACROSS,
            ..PLAIN(policy)
        }),
        ("D-13", CachePolicy { write_lookup: WriteLookup::Once, ..good }, |policy| Race {
            size_bytes: 3 * PAGE,
            flush_count: 0,
            has_reclaim: true,
            acts: ACROSS,
            ..PLAIN(policy)
        }),
    ]
}

#[test]
fn nothing_is_forgotten_and_each_defect_forgets() {
    for (name, policy, race) in races() {
        assert_eq!(losses(race(CachePolicy::default())), 0, "{name}, when it is off");
        assert!(losses(race(policy)) > 0, "{name}");
    }
}

#[test]
fn the_defects_of_mapped_stores_are_silent_where_they_should_be() {
    let good = CachePolicy::default();
    let captured_first = CachePolicy { transformed_order: PAGE_CAPTURED_FIRST, ..good };
    assert_eq!(losses(PLAIN(captured_first)), 0, "DEF-000 without a transform");
    let writes: &[Act] = &[Act::Write(1, b'a'), Act::Write(2, b'b'), Act::Write(3, b'c')];
    let both = &[Act::Write(1, b'a'), Act::Write(PAGE + 1, b'b'), Act::Write(2, b'c')];
    let written = Race { acts: both, ..COMPRESSED(captured_first) };
    assert_eq!(losses(written), 0, "DEF-000 with write alone");
    // What the codec gave up is captured again, now behind the write-protection.
    assert_eq!(losses(INCOMPRESSIBLE(captured_first)), 0, "DEF-000 where the codec gives up");
    let left_clean = CachePolicy { transform_fallback: TransformFallback::LeavesClean, ..good };
    assert_eq!(losses(COMPRESSED(left_clean)), 0, "DEF-000b with what gets smaller");
    let plain = Race { is_compressed: false, ..INCOMPRESSIBLE(left_clean) };
    assert_eq!(losses(plain), 0, "DEF-000b without a transform");
    let faulting = CachePolicy { fault_lock: FaultLock::Ignored, ..good };
    assert_eq!(losses(Race { acts: writes, ..PLAIN(faulting) }), 0, "D-02 with write alone");
}

/// Two bring the same page into memory; who is slower does not undo what was stored meanwhile.
#[test]
fn a_store_is_not_lost_to_a_slower_read_of_the_same_page() {
    let blank = formatted(TINY);
    let sites = &[Site::Preempt, Site::Schedule, Site::CompletionDelay];
    let count = exhaust(sites, 8, |sim: Sim| {
        let cache = CachePolicy::default();
        let world = World::with(blank.clone(), sim, VfsPolicy::default(), cache);
        let handle = world.file("f", &[b'.'; BLOCK]);
        assert_eq!(world.fsync(handle), Ok(()));
        assert_eq!(world.done(Request::Manage(Manage::DropCaches)), Ok(()));
        let mapping = world.map(handle, PAGE);
        let answers = Answers::default();
        let read = Request::Read { handle, offset: Some(0), len: 4 };
        spawn(&world, 1, vec![read], &answers);
        spawn(&world, 2, vec![request(Act::Store(1, b'a'), handle, mapping)], &answers);
        world.sim.run_background();
        assert_eq!(world.read(handle, 0, 3).as_deref(), Ok(&b".a."[..]), "MAP-03");
    });
    assert!(count > 30, "the schedules differ: {count}");
}

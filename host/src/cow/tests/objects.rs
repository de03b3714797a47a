//! The object layer: what is clean, what is dirty, and what each policy makes of it.

use super::*;
use crate::cow::DirtyTest;
use crate::cow::FreedRanges;
use crate::cow::Logged;
use crate::cow::OverwrittenClone;
use crate::cow::RecordSearch;
use crate::cow::ReplayedUses;
use crate::cow::Reservation;
use crate::sim::Seeded;
use crate::sim::Site;
use crate::sim::Unrest;
use std::ops::Range;
use std::sync::Mutex;

struct World {
    sim: Sim,
    disk: Arc<Disk>,
    cow: Cow,
}

fn world(policy: CowPolicy) -> World {
    world_in(Sim::calm(), policy)
}

fn world_in(sim: Sim, policy: CowPolicy) -> World {
    let disk = Arc::new(Disk::new(empty_image(tiny(256)), sim.clone()));
    let mounting = Cow::mount(disk.clone(), sim.clone(), policy);
    let cow = sim.block_on(mounting).expect("a healthy disk");
    World { sim, disk, cow }
}

impl World {
    fn file(&self, name: &[u8], blocks: &[u64], fill: u8) -> u64 {
        let made = async {
            let ino = create(&self.cow, name).await?;
            write(&self.cow, ino, blocks, fill).await?;
            Ok::<u64, CowError>(ino)
        };
        self.sim.block_on(made).expect("there is space")
    }

    fn fill(&self, ino: u64, block: u64) -> Option<u8> {
        let bytes = self.sim.block_on(self.cow.read_block(ino, block)).expect("a healthy disk");
        bytes.map(|bytes| bytes[0])
    }

    /// Every run of data of a file.
    fn runs(&self, ino: u64) -> Vec<Range<u64>> {
        let (mut runs, mut at) = (Vec::new(), 0);
        while let Some(run) = self.next(ino, at) {
            at = run.end;
            runs.push(run);
        }
        runs
    }

    fn next(&self, ino: u64, at: u64) -> Option<Range<u64>> {
        self.sim.block_on(self.cow.next_data(ino, at)).expect("a healthy disk")
    }

    fn clone(&self, from: u64, to: u64, count: u64) {
        self.sim.block_on(clone(&self.cow, (from, 0), (to, 0), count)).expect("there is space");
    }

    /// The file system after power loss.
    fn again(&self, policy: CowPolicy) -> Self {
        let sim = Sim::calm();
        let disk = Arc::new(Disk::new(self.disk.durable_image(), sim.clone()));
        let cow = sim.block_on(Cow::mount(disk.clone(), sim.clone(), policy)).expect("healthy");
        Self { sim, disk, cow }
    }
}

#[test]
fn runs_of_data_are_the_same_before_and_after_the_group_syncs() {
    let world = world(CowPolicy::default());
    let ino = world.file(b"file", &[1, 2, 7, 8, 9, 30], 1);
    let expected = [1..3, 7..10, 30..31];
    assert!(world.cow.is_dirty(ino));
    assert_eq!(world.runs(ino), expected);
    assert_eq!(world.next(ino, 8), Some(8..10), "from within a run");
    world.sim.block_on(world.cow.settle());
    assert!(!world.cow.is_dirty(ino));
    assert_eq!(world.runs(ino), expected);
    let changed = async {
        truncate(&world.cow, ino, 9).await?;
        write(&world.cow, ino, &[3, 20], 2).await
    };
    world.sim.block_on(changed).expect("there is space");
    let expected = [1..4, 7..9, 20..21];
    assert_eq!(world.runs(ino), expected, "settled and newer runs are joined");
    world.sim.block_on(world.cow.sync_log()).expect("a healthy disk");
    assert!(!world.cow.is_dirty(ino));
    assert_eq!(world.runs(ino), expected);
    world.sim.block_on(world.cow.take_snapshot(b"s")).expect("there is space");
    world.sim.block_on(truncate(&world.cow, ino, 0)).expect("there is space");
    let inside = crate::cow::snapshot::number_in(1, ino);
    assert_eq!(world.runs(inside), expected, "of a snapshot");
    assert_eq!(world.runs(ino), []);
}

/// Two tasks, one that lets a group sync, one that asks, in many orders of their steps. Answers how
/// often the file seemed to have no data.
fn empty_answers(policy: &CowPolicy) -> u64 {
    let unrest = [(Site::Preempt, Unrest::one_in(2)), (Site::Schedule, Unrest::one_in(2))];
    let mut empty = 0;
    for seed in 0..60 {
        let world = world_in(Sim::new(Seeded::new(seed, &unrest)), policy.clone());
        let ino = world.file(b"file", &[0], 1);
        let answers = Arc::new(Mutex::new(0));
        let (cow, sim, counted) = (world.cow.clone(), world.sim.clone(), Arc::clone(&answers));
        world.sim.spawn(async move {
            for _ in 0..3 {
                let found = cow.next_data(ino, 0).await.expect("a healthy disk");
                *counted.lock().expect("one thread") += u64::from(found.is_none());
                sim.yield_now().await;
            }
        });
        world.sim.block_on(world.cow.settle());
        world.sim.run_background();
        empty += *answers.lock().expect("one thread");
        world.sim.abandon_tasks();
    }
    empty
}

#[test]
fn a_written_file_has_data_at_each_step_of_a_sync_unless_the_list_alone_is_asked() {
    assert_eq!(empty_answers(&CowPolicy::default()), 0);
    let list_only = CowPolicy { dirty_test: DirtyTest::ListOnly, ..CowPolicy::default() };
    assert!(empty_answers(&list_only) > 0, "DEF-003e");
}

#[test]
fn a_clone_of_what_is_dirty_is_whole_unless_clones_do_not_count() {
    for (dirty_test, expected) in
        [(DirtyTest::ListAndRecords, Some(1)), (DirtyTest::DataOnly, None)]
    {
        let world = world(CowPolicy { dirty_test, ..CowPolicy::default() });
        let one = world.file(b"one", &[0], 1);
        let [two, three] = [&b"two"[..], b"three"]
            .map(|name| world.sim.block_on(create(&world.cow, name)).expect("there is space"));
        world.sim.block_on(world.cow.settle());
        world.clone(one, two, 1);
        assert_eq!(world.runs(two).is_empty(), expected.is_none(), "DEF-003f");
        world.clone(two, three, 1);
        assert_eq!(world.fill(three, 0), expected, "DEF-003f");
    }
}

#[test]
fn a_record_of_one_block_is_found_unless_its_last_block_is_left_out() {
    let world = world(CowPolicy::default());
    let ino = world.file(b"file", &[4], 1);
    assert_eq!(world.next(ino, 0), Some(4..5));
    let policy = CowPolicy { record_search: RecordSearch::OffByOne, ..CowPolicy::default() };
    let world = world_in(Sim::calm(), policy);
    let ino = world.file(b"file", &[4], 1);
    assert_eq!(world.runs(ino), [], "D-38");
    world.sim.block_on(world.cow.settle());
    assert_eq!(world.next(ino, 0), Some(4..5), "a clean file is not searched");
}

#[test]
fn writing_replaces_a_clone_of_the_same_group_unless_its_record_stays() {
    for (overwritten_clone, fill) in [(OverwrittenClone::Replaced, 3), (OverwrittenClone::Stays, 1)]
    {
        let world = world(CowPolicy { overwritten_clone, ..CowPolicy::default() });
        let one = world.file(b"one", &[0, 1], 1);
        let two = world.file(b"two", &[0, 1], 2);
        world.sim.block_on(world.cow.settle());
        world.clone(one, two, 2);
        world.sim.block_on(write(&world.cow, two, &[1], 3)).expect("there is space");
        assert_eq!([world.fill(two, 0), world.fill(two, 1)], [Some(1), Some(fill)], "D-55");
        world.sim.block_on(world.cow.commit()).expect("a healthy disk");
        assert_eq!(world.sim.block_on(world.cow.audit_space()), Ok(Vec::new()));
        world.sim.block_on(write(&world.cow, two, &[1], 4)).expect("there is space");
        assert_eq!(world.fill(two, 1), Some(4), "in a later group it does");
    }
}

#[test]
fn a_clone_fills_what_an_earlier_group_freed_unless_that_is_remembered() {
    for (freed_ranges, fill) in
        [(FreedRanges::Superseded, Some(1)), (FreedRanges::OutliveClones, None)]
    {
        let world = world(CowPolicy { freed_ranges, ..CowPolicy::default() });
        let one = world.file(b"one", &[0, 1], 1);
        let two = world.file(b"two", &[0, 1], 2);
        world.sim.block_on(world.cow.commit()).expect("a healthy disk");
        world.sim.block_on(truncate(&world.cow, two, 0)).expect("there is space");
        world.sim.block_on(world.cow.sync_log()).expect("a healthy disk");
        assert_eq!(world.fill(two, 0), None);
        world.clone(one, two, 2);
        assert_eq!(world.fill(two, 0), fill, "D-57");
        world.sim.block_on(write(&world.cow, two, &[0], 3)).expect("there is space");
        assert_eq!(world.fill(two, 0), Some(3), "what is written is there");
        world.sim.block_on(world.cow.commit()).expect("a healthy disk");
        assert_eq!(world.fill(two, 1), Some(1), "until the commit");
    }
}

#[test]
fn replay_counts_the_uses_of_clones_unless_it_forgets_them() {
    for replayed_uses in [ReplayedUses::Counted, ReplayedUses::Forgotten] {
        let policy = CowPolicy { replayed_uses, ..CowPolicy::default() };
        let world = world(policy.clone());
        let one = world.file(b"one", &[0, 1], 1);
        let two = world.file(b"two", &[0, 1], 2);
        world.sim.block_on(world.cow.commit()).expect("a healthy disk");
        world.clone(one, two, 2);
        world.sim.block_on(world.cow.sync_log()).expect("a healthy disk");
        let world = world.again(policy);
        assert_eq!(world.fill(two, 1), Some(1));
        let found = world.sim.block_on(world.cow.audit_space()).expect("a healthy disk");
        assert_eq!(found.is_empty(), replayed_uses == ReplayedUses::Counted, "D-54: {found:?}");
        let unlinked = async {
            unlink(&world.cow, b"one").await?;
            world.cow.commit().await?;
            world.cow.free_blocks().await
        };
        let free = world.sim.block_on(unlinked).expect("a healthy disk");
        let all = free_blocks(world.disk.durable_image());
        match replayed_uses {
            ReplayedUses::Counted => assert_eq!(free, all),
            ReplayedUses::Forgotten => assert_eq!(free, all + 2, "D-54: both are freed too early"),
        }
    }
}

#[test]
fn a_sync_makes_clones_and_holes_durable_unless_the_log_is_not_told() {
    for logged in [Logged::All, Logged::NotClones, Logged::NotHoles] {
        let world = world(CowPolicy { logged, ..CowPolicy::default() });
        let one = world.file(b"one", &[0, 1], 1);
        let two = world.file(b"two", &[0, 1], 2);
        world.sim.block_on(world.cow.commit()).expect("a healthy disk");
        world.clone(one, two, 2);
        let punched = rearrange(&world.cow, one, 2, async |transaction| {
            transaction.remove_extents(one, 1..2).await
        });
        world.sim.block_on(punched).expect("there is space");
        world.sim.block_on(world.cow.sync_log()).expect("a healthy disk");
        let again = world.again(CowPolicy::default());
        let cloned = if logged == Logged::NotClones { 2 } else { 1 };
        assert_eq!(again.fill(two, 0), Some(cloned), "D-45");
        assert_eq!(again.fill(one, 1).is_some(), logged == Logged::NotHoles, "D-44");
    }
}

#[test]
fn a_group_takes_what_it_has_room_for_and_one_thing_whatever_its_size() {
    let policy = CowPolicy { group_dirty_bytes_max: 1000, ..CowPolicy::default() };
    let world = world(policy);
    let ask = |bytes| world.cow.reserve_in_group(bytes, true);
    assert_eq!(ask(600), Reservation::Granted);
    assert_eq!(ask(400), Reservation::Granted);
    assert_eq!(ask(1), Reservation::Restart);
    world.sim.block_on(world.cow.settle());
    assert_eq!(ask(5000), Reservation::Granted, "an empty group takes it");
    assert_eq!(ask(1), Reservation::Restart);
    world.sim.block_on(world.cow.commit()).expect("a healthy disk");
    world.file(b"file", &[0], 1);
    world.sim.block_on(world.cow.commit()).expect("a healthy disk");
    assert_eq!(ask(1), Reservation::Granted);
}

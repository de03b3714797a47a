//! Tasks that change, sync and commit at the same time, on a device that answers late.

use std::sync::Mutex;

use super::*;
use crate::cow::CommitStep;
use crate::cow::SyncStep;
use crate::device::StateBounds;
use crate::device::Walk;
use crate::sim::Seeded;
use crate::sim::Site;
use crate::sim::Unrest;

/// For each sync that succeeded: the position of the device's history, the task, and how many of
/// its files are there by promise.
type Promises = Arc<Mutex<Vec<(usize, u64, u64)>>>;

const FILES: u64 = 5;

fn file(task: u64, number: u64) -> Bytes {
    Bytes::from(format!("{task}-{number}"))
}

async fn make_files(cow: Cow, disk: Arc<Disk>, task: u64, promises: Promises) {
    for number in 0..FILES {
        let ino = create(&cow, &file(task, number)).await.expect("there is space");
        write(&cow, ino, &[0, 1], task as u8).await.expect("there is space");
        let durable = if (task + number).is_multiple_of(3) {
            cow.commit().await
        } else {
            cow.sync_log().await
        };
        durable.expect("a healthy disk");
        let promise = (disk.history().len(), task, number + 1);
        promises.lock().expect("one thread").push(promise);
    }
}

fn run(seed: u64, policy: CowPolicy) -> (Arc<Disk>, Promises) {
    let unrest = [(Site::Preempt, Unrest::one_in(3)), (Site::CompletionDelay, Unrest::one_in(2))];
    let sim = Sim::new(Seeded::new(seed, &unrest));
    let disk = Arc::new(Disk::new(empty_image(tiny(200)), sim.clone()));
    let cow = sim.block_on(Cow::mount(disk.clone(), sim.clone(), policy)).expect("healthy");
    let promises = Promises::default();
    for task in 1..=2 {
        sim.spawn(make_files(cow.clone(), disk.clone(), task, Arc::clone(&promises)));
    }
    sim.block_on(make_files(cow.clone(), disk.clone(), 0, Arc::clone(&promises)));
    sim.run_background();
    let files = sim.block_on(dump(&cow)).expect("a healthy disk").len();
    assert_eq!(files as u64, 3 * FILES, "every task ended");
    (disk, promises)
}

/// How many files of a task are there, whole but perhaps for the last; none is there without
/// those before it.
fn count(found: &Dump, task: u64) -> Option<u64> {
    let there = |number: &u64| found.contains_key(&file(task, *number));
    let count = (0..FILES).take_while(there).count() as u64;
    let gaps = (count..FILES).any(|number| there(&number));
    let whole = (0..count.saturating_sub(1)).all(|number| {
        found.get(&file(task, number)).is_some_and(|(_, content)| *content == [task as u8; 1024])
    });
    (!gaps && whole).then_some(count)
}

/// Crashes a run everywhere; counts the states that break a promise.
fn broken(seed: u64, policy: CowPolicy) -> u64 {
    let (disk, promises) = run(seed, policy);
    let promises = promises.lock().expect("one thread").clone();
    let history = disk.history();
    let mut walk = Walk::new(&history);
    let bounds = StateBounds { subset_count_max: 4, torn: false };
    let mut broken = 0;
    for position in 0..=history.len() {
        for state in walk.advance(position).states(&bounds).states {
            let kept = recovered(state.image).is_ok_and(|found| {
                (0..3).all(|task| {
                    let mine =
                        promises.iter().filter(|(at, who, _)| *at <= position && *who == task);
                    keeps(&found, task, mine.map(|(_, _, files)| *files).max().unwrap_or(0))
                })
            });
            broken += u64::from(!kept);
        }
    }
    broken
}

fn recovered(image: Image) -> Result<Dump, CowError> {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(image, sim.clone()));
    sim.block_on(async {
        let cow = Cow::mount(disk, sim.clone(), CowPolicy::default()).await?;
        cow.free_blocks().await?;
        dump(&cow).await
    })
}

fn keeps(found: &Dump, task: u64, promised: u64) -> bool {
    let synced = promised.checked_sub(1).map(|last| file(task, last));
    let whole = |name: Bytes| found.get(&name).is_some_and(|(_, content)| content.len() == 1024);
    count(found, task).is_some_and(|there| there >= promised) && synced.is_none_or(whole)
}

#[test]
fn each_task_finds_what_it_synced_however_the_tasks_interleave() {
    for seed in 0..12 {
        assert_eq!(broken(seed, CowPolicy::default()), 0, "seed {seed}");
    }
}

// The test above is worth something only if it fails on a sync without its barriers.
#[test]
fn tasks_that_sync_without_a_flush_are_caught() {
    let sync_order = vec![SyncStep::WriteLog];
    assert!(broken(1, CowPolicy { sync_order, ..CowPolicy::default() }) > 0);
    let commit_order = vec![CommitStep::WriteTree, CommitStep::WriteRoot, CommitStep::Flush];
    assert!(broken(1, CowPolicy { commit_order, ..CowPolicy::default() }) > 0);
}

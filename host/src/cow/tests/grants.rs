//! Writers side by side: no block is granted to two of them, nor before it may be.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::*;
use crate::cow::Discards;
use crate::cow::GRANT_CHECKED_FIRST;
use crate::cow::GRANT_UNREAD;
use crate::cow::Grant;
use crate::cow::Reuse;
use crate::device::Request;
use crate::device::perform;
use crate::sim::Seeded;
use crate::sim::Site;
use crate::sim::Unrest;
use crate::sim::mix;

const BLOCKS: u64 = 4;

/// Writes to a file of its own and reads back what it wrote; counts what is another's, or cannot
/// be read.
async fn write_and_read(cow: Cow, task: u64, wrong: Arc<Mutex<u64>>) {
    let Ok(ino) = create(&cow, &name(task)).await else { return };
    let mut filled = [None; BLOCKS as usize];
    for round in 0..30 {
        let random = mix(task << 32 | round);
        let (block, fill) = (random % BLOCKS, (task << 5 | round) as u8);
        let written = write(&cow, ino, &[block], fill).await.is_ok();
        if written {
            filled[block as usize] = Some(fill);
        }
        for (block, fill) in (0..).zip(filled) {
            let read = cow.read_block(ino, block).await;
            let is_mine = match (read, fill) {
                (Ok(Some(bytes)), Some(fill)) => bytes.iter().all(|byte| *byte == fill),
                (Ok(None), None) => true,
                (Ok(_) | Err(_), _) => false,
            };
            *wrong.lock().expect("one thread") += u64::from(!is_mine);
        }
        if random >> 8 & 7 == 0 && cow.commit().await.is_err() {
            return;
        }
    }
}

/// How many reads were wrong, and how often a block was granted while somebody had it.
fn run(seed: u64, tasks: u64, policy: CowPolicy) -> (u64, usize) {
    let unrest = [
        (Site::Preempt, Unrest::one_in(3)),
        (Site::CompletionDelay, Unrest::one_in(2)),
        (Site::DiscardErases, Unrest::one_in(8)),
    ];
    let sim = Sim::new(Seeded::new(seed, &unrest));
    let disk = Arc::new(Disk::new(empty_image(tiny(128)), sim.clone()));
    let cow = sim.block_on(Cow::mount(disk.clone(), sim.clone(), policy)).expect("healthy");
    cow.watch_grants();
    let wrong = Arc::new(Mutex::new(0));
    for task in 1..tasks {
        sim.spawn(write_and_read(cow.clone(), task, Arc::clone(&wrong)));
    }
    sim.block_on(write_and_read(cow.clone(), 0, Arc::clone(&wrong)));
    sim.run_background();
    let mut held = BTreeSet::new();
    let mut twice = 0;
    for grant in cow.take_grants() {
        match grant {
            Grant::Opened(block) => twice += usize::from(!held.insert(block)),
            Grant::GivenBack(block) | Grant::Released(block) => {
                held.remove(&block);
            }
            Grant::Found(_)
            | Grant::Used(_)
            | Grant::Stable(_)
            | Grant::Discarding(_)
            | Grant::Discarded(_)
            | Grant::Unwritten(_) => {}
        }
    }
    let wrong = *wrong.lock().expect("one thread");
    (wrong, twice)
}

/// Over some seeds: how many runs had a wrong read, and how many a block that two had.
fn runs(tasks: u64, policy: &CowPolicy) -> (usize, usize) {
    let of = (0..40).map(|seed| run(seed, tasks, policy.clone()));
    of.fold((0, 0), |(wrong, twice), run| {
        (wrong + usize::from(run.0 > 0), twice + usize::from(run.1 > 0))
    })
}

#[test]
fn no_block_has_two_writers_however_they_interleave() {
    assert_eq!(runs(3, &CowPolicy::default()), (0, 0));
}

#[test]
fn a_block_whose_slot_is_not_read_again_is_granted_twice_and_its_writer_reads_another_s() {
    for grant_order in [GRANT_UNREAD, GRANT_CHECKED_FIRST] {
        let broken = CowPolicy { grant_order, ..CowPolicy::default() };
        let (wrong, twice) = runs(3, &broken);
        assert!(wrong > 0 && twice > 0, "{grant_order:?}: {wrong} wrong, {twice} granted twice");
        assert_eq!(runs(1, &broken), (0, 0), "one writer: {grant_order:?}");
    }
}

/// Writes a block of a file again and again; counts the times that it cannot be read then.
fn overwrite(seed: u64, discards: Discards) -> u64 {
    let sim = Sim::new(Seeded::new(seed, &[(Site::DiscardErases, Unrest::one_in(64))]));
    let policy = CowPolicy { discards, ..CowPolicy::default() };
    let disk = Arc::new(Disk::new(empty_image(tiny(64)), sim.clone()));
    let cow = sim.block_on(Cow::mount(disk, sim.clone(), policy)).expect("healthy");
    let steps = async {
        let ino = create(&cow, b"f").await?;
        let mut wrong = 0;
        for step in 0..200 {
            write(&cow, ino, &[0], step).await?;
            let read = cow.read_block(ino, 0).await;
            wrong += u64::from(read != Ok(Some(Bytes::from(vec![step; 512]))));
            if step % 8 == 0 {
                // What cannot be read cannot be committed either.
                let _ = cow.commit().await;
            }
        }
        Ok::<_, CowError>(wrong)
    };
    // A transaction finds a tree that cannot be read.
    sim.block_on(steps).unwrap_or(1)
}

#[test]
fn a_block_that_is_granted_before_its_discard_is_over_loses_what_is_written_to_it() {
    let wrong = |discards| (0..40).filter(|seed| overwrite(*seed, discards) > 0).count();
    assert_eq!(wrong(Discards::Awaited), 0);
    assert_eq!(wrong(Discards::Never), 0);
    assert!(wrong(Discards::Overtaken) > 0);
}

#[test]
fn a_block_that_is_used_again_at_once_is_not_found_after_power_loss() {
    let lost = |reuse| {
        let sim = Sim::calm();
        let policy = CowPolicy { reuse, ..CowPolicy::default() };
        let disk = Arc::new(Disk::new(empty_image(tiny(128)), sim.clone()));
        let cow = sim.block_on(Cow::mount(disk.clone(), sim.clone(), policy)).expect("healthy");
        let steps = async {
            let ino = create(&cow, b"f").await?;
            write(&cow, ino, &[0], 1).await?;
            cow.commit().await?;
            // Each write frees the block of the one before it.
            for fill in 2..200 {
                write(&cow, ino, &[0], fill).await?;
            }
            Ok::<_, CowError>(ino)
        };
        let ino = sim.block_on(steps).expect("there is space");
        // Everything that was written is on the medium; no root names it.
        sim.block_on(perform(disk.as_ref(), Request::Flush)).expect("a healthy disk");
        let again: Arc<dyn Device> = Arc::new(Disk::new(disk.durable_image(), sim.clone()));
        let found = async {
            let cow = Cow::mount(again, sim.clone(), CowPolicy::default()).await?;
            cow.read_block(ino, 0).await
        };
        !sim.block_on(found).is_ok_and(|bytes| bytes.is_some())
    };
    assert!(!lost(Reuse::WhenStable));
    assert!(lost(Reuse::AtOnce));
}

//! Clones: what is shared, what a write changes, what is freed and when.

use super::*;
use crate::cow::fsck;
use crate::cow::snapshot::number_in;
use crate::sim::mix;

fn world(block_count: u64) -> (Sim, Arc<Disk>, Cow) {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(empty_image(tiny(block_count)), sim.clone()));
    let cow = mounted(&sim, disk.clone());
    (sim, disk, cow)
}

/// Commits; answers the blocks in use, which fsck and a new mount must see in the same way.
fn used(sim: &Sim, disk: &Disk, cow: &Cow) -> u64 {
    assert_eq!(sim.block_on(cow.audit_space()), Ok(Vec::new()), "before the commit");
    sim.block_on(cow.commit()).expect("a healthy disk");
    assert_eq!(sim.block_on(cow.audit_space()), Ok(Vec::new()), "after the commit");
    assert_eq!(fsck::check(&disk.durable_image()), []);
    let free = sim.block_on(cow.free_blocks()).expect("a healthy disk");
    assert_eq!(free, free_blocks(disk.durable_image()), "mounting counts the same uses");
    cow.geometry().block_count - free
}

/// The first byte of each block of a file, of a hole nothing.
fn fills(sim: &Sim, cow: &Cow, ino: u64, blocks: u64) -> Vec<Option<u8>> {
    let fill = |block| {
        let bytes = sim.block_on(cow.read_block(ino, block)).expect("a healthy disk");
        bytes.map(|bytes| bytes[0])
    };
    (0..blocks).map(fill).collect()
}

#[test]
fn a_clone_costs_its_names_and_each_side_changes_alone() {
    let (sim, disk, cow) = world(256);
    let made = async {
        let one = create(&cow, b"one").await?;
        let two = create(&cow, b"two").await?;
        write(&cow, one, &(0..40).collect::<Vec<u64>>(), 1).await?;
        pack(&cow, one, &[40, 41, 42], 2).await?;
        Ok::<_, CowError>((one, two))
    };
    let (one, two) = sim.block_on(made).expect("there is space");
    let alone = used(&sim, &disk, &cow);
    sim.block_on(clone(&cow, (one, 0), (two, 5), 44)).expect("there is space");
    let shared = used(&sim, &disk, &cow);
    assert!(shared < alone + 12, "{shared}: content is not copied");
    let expected = [vec![None; 5], vec![Some(1); 40], vec![Some(2); 3], vec![None]].concat();
    assert_eq!(fills(&sim, &cow, two, 49), expected);
    sim.block_on(write(&cow, two, &[5, 46], 9)).expect("there is space");
    sim.block_on(write(&cow, one, &[1, 41], 8)).expect("there is space");
    let before = [vec![Some(1), Some(8)], vec![Some(1); 38], vec![Some(2), Some(8), Some(2)]];
    assert_eq!(fills(&sim, &cow, one, 43), before.concat());
    let mut expected = expected;
    (expected[5], expected[46]) = (Some(9), Some(9));
    assert_eq!(fills(&sim, &cow, two, 49), expected);
    sim.block_on(unlink(&cow, b"one")).expect("there is space");
    used(&sim, &disk, &cow);
    assert_eq!(fills(&sim, &cow, two, 49), expected, "its blocks stay as long as one names them");
    sim.block_on(unlink(&cow, b"two")).expect("there is space");
    let (_, _, fresh) = world(256);
    let empty = 256 - sim.block_on(fresh.free_blocks()).expect("a healthy disk");
    assert_eq!(used(&sim, &disk, &cow), empty, "the last one frees them");
}

#[test]
fn a_file_may_name_a_block_many_times_even_in_one_extent() {
    let (sim, disk, cow) = world(128);
    let ino = sim.block_on(create(&cow, b"file")).expect("an empty disk");
    sim.block_on(write(&cow, ino, &[0], 1)).expect("an empty disk");
    sim.block_on(pack(&cow, ino, &[2, 3], 2)).expect("an empty disk");
    let alone = used(&sim, &disk, &cow);
    for (from, to, count) in [(0, 1, 1), (2, 4, 2), (0, 6, 2), (0, 8, 8), (1, 17, 16)] {
        sim.block_on(clone(&cow, (ino, from), (ino, to), count)).expect("there is space");
    }
    let now = used(&sim, &disk, &cow);
    assert!(now <= alone + 4, "{now}: the same content");
    let eight = [1, 1, 2, 2, 2, 2, 1, 1].map(Some);
    let expected = [&eight[..], &eight, &[None], &eight[1..], &eight, &[None]].concat();
    assert_eq!(fills(&sim, &cow, ino, 33), expected);
    for block in 0..33 {
        sim.block_on(write(&cow, ino, &[block], 7)).expect("there is space");
        assert_eq!(fills(&sim, &cow, ino, 33)[block as usize], Some(7));
        used(&sim, &disk, &cow);
    }
    assert_eq!(fills(&sim, &cow, ino, 33), vec![Some(7); 33]);
}

#[test]
fn what_a_clone_replaces_and_gives_up_within_one_group_is_freed_once() {
    let (sim, disk, cow) = world(128);
    let made = async {
        let one = create(&cow, b"one").await?;
        let two = create(&cow, b"two").await?;
        let three = create(&cow, b"three").await?;
        write(&cow, one, &[0, 1, 2], 1).await?;
        write(&cow, two, &[0, 1, 2], 2).await?;
        cow.commit().await?;
        clone(&cow, (one, 0), (two, 0), 3).await?;
        clone(&cow, (one, 0), (two, 0), 3).await?;
        clone(&cow, (two, 0), (three, 0), 3).await?;
        write(&cow, one, &[1], 3).await?;
        truncate(&cow, two, 1).await?;
        unlink(&cow, b"one").await?;
        Ok::<_, CowError>((two, three))
    };
    let (two, three) = sim.block_on(made).expect("there is space");
    used(&sim, &disk, &cow);
    assert_eq!(fills(&sim, &cow, two, 2), [Some(1), None]);
    assert_eq!(fills(&sim, &cow, three, 3), [Some(1); 3]);
    let unlinked = async {
        unlink(&cow, b"three").await?;
        unlink(&cow, b"two").await
    };
    sim.block_on(unlinked).expect("there is space");
    let (_, _, fresh) = world(128);
    let empty = 128 - sim.block_on(fresh.free_blocks()).expect("a healthy disk");
    assert_eq!(used(&sim, &disk, &cow), empty);
}

#[test]
fn a_file_of_a_snapshot_can_be_cloned_and_outlives_it() {
    let (sim, disk, cow) = world(128);
    let made = async {
        let ino = create(&cow, b"file").await?;
        write(&cow, ino, &[0, 9], 1).await?;
        cow.take_snapshot(b"s").await?;
        write(&cow, ino, &[0, 9], 2).await?;
        clone(&cow, (number_in(1, ino), 0), (ino, 10), 10).await?;
        cow.delete_snapshot(b"s").await?;
        let gone = clone(&cow, (number_in(1, ino), 0), (ino, 30), 10).await;
        assert_eq!(gone, Err(CowError::NoInode(number_in(1, ino))));
        Ok::<_, CowError>(ino)
    };
    let ino = sim.block_on(made).expect("there is space");
    used(&sim, &disk, &cow);
    let found = fills(&sim, &cow, ino, 20);
    assert_eq!([found[0], found[9], found[10], found[19]], [Some(2), Some(2), Some(1), Some(1)]);
}

#[test]
fn blocks_that_are_set_aside_read_as_zeros_and_are_no_data() {
    let (sim, disk, cow) = world(128);
    let ino = sim.block_on(create(&cow, b"file")).expect("an empty disk");
    sim.block_on(write(&cow, ino, &[3], 1)).expect("an empty disk");
    let before = used(&sim, &disk, &cow);
    let set_aside =
        async |transaction: &mut Transaction| transaction.put_unwritten(ino, 1..11).await;
    sim.block_on(rearrange(&cow, ino, 4, set_aside)).expect("there is space");
    assert_eq!(used(&sim, &disk, &cow), before + 9, "all but the one that is there");
    assert_eq!(fills(&sim, &cow, ino, 5), [None, None, None, Some(1), None]);
    let data = sim.block_on(cow.data_blocks(ino, 0..20)).expect("a healthy disk");
    assert_eq!(data, vec![3..4]);
    let too_many =
        async |transaction: &mut Transaction| transaction.put_unwritten(ino, 20..400).await;
    assert_eq!(sim.block_on(rearrange(&cow, ino, 4, too_many)), Err(CowError::NoSpace));
    assert_eq!(used(&sim, &disk, &cow), before + 9, "what failed took nothing");
    let other = sim.block_on(create(&cow, b"other")).expect("there is space");
    sim.block_on(clone(&cow, (ino, 0), (other, 0), 11)).expect("there is space");
    let data = sim.block_on(cow.data_blocks(other, 0..20)).expect("a healthy disk");
    assert_eq!(data, vec![3..4], "a clone has holes there");
    used(&sim, &disk, &cow);
    sim.block_on(unlink(&cow, b"other")).expect("there is space");
    sim.block_on(truncate(&cow, ino, 4)).expect("there is space");
    assert_eq!(used(&sim, &disk, &cow), before + 2);
}

/// Every block that a device write changes was free in the newest durable root and its snapshots.
#[test]
fn nothing_is_written_where_the_durable_root_reaches() {
    for seed in 0..20 {
        let (sim, disk, cow) = world(96);
        for number in 0..3 {
            let ino = sim.block_on(create(&cow, &name(number))).expect("an empty disk");
            sim.block_on(write(&cow, ino, &[0, 1, 2], 1)).expect("an empty disk");
        }
        sim.block_on(cow.commit()).expect("a healthy disk");
        let expected = |cow: &Cow| sim.block_on(dump(cow)).expect("a healthy disk");
        let before = expected(&cow);
        let generation = |cow: &Cow| cow.store().state().root.generation;
        let (root, mut compared) = (generation(&cow), 0);
        for step in 0..30_u64 {
            let random = mix(mix(seed) ^ step);
            let ino = |at: u64| before[&name(random >> at & 1)].0;
            let _ = sim.block_on(async {
                match random % 3 {
                    0 => write(&cow, ino(8), &[random >> 16 & 3], 2).await,
                    1 => clone(&cow, (ino(8), 0), (ino(9), 4 + (random >> 16 & 7)), 3).await,
                    _ => truncate(&cow, ino(8), random >> 16 & 3).await,
                }
            });
            // Until the next commit, which may come for want of space, all is found as it was.
            if generation(&cow) == root {
                let again = mounted(&sim, Arc::new(Disk::new(disk.cached_image(), sim.clone())));
                assert!(expected(&again) == before, "seed {seed}, step {step}");
                compared += 1;
            }
        }
        assert!(compared > 5, "seed {seed}: only {compared} states");
    }
}

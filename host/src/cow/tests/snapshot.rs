//! Snapshots: they never change, share what did not change, and free what only they used.

use super::*;
use crate::cow::SNAPSHOTS_MAX;
use crate::cow::fsck;
use crate::cow::snapshot::number_in;

fn world(block_count: u64) -> (Sim, Arc<Disk>, Cow) {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(empty_image(tiny(block_count)), sim.clone()));
    let cow = mounted(&sim, disk.clone());
    (sim, disk, cow)
}

/// Commits; answers the blocks in use, which a new mount and fsck must see in the same way.
fn used(sim: &Sim, disk: &Disk, cow: &Cow) -> u64 {
    sim.block_on(cow.commit()).expect("a healthy disk");
    let free = sim.block_on(cow.free_blocks()).expect("a healthy disk");
    assert_eq!(fsck::check(&disk.durable_image()), []);
    assert_eq!(free, free_blocks(disk.durable_image()), "mounting counts the same uses");
    let shares = cow.store().state().shares.clone();
    let again = mounted(sim, Arc::new(Disk::new(disk.durable_image(), sim.clone())));
    sim.block_on(again.free_blocks()).expect("C-3");
    assert_eq!(shares, again.store().state().shares, "mounting counts the same uses");
    cow.geometry().block_count - free
}

fn of_snapshot(dump: &Dump, name: &str) -> Dump {
    let prefix = format!("{name}/");
    let inside = dump.iter().filter(|(key, _)| key.starts_with(prefix.as_bytes()));
    inside.map(|(key, file)| (key.slice(prefix.len()..), file.clone())).collect()
}

#[test]
fn a_snapshot_shows_what_was_there_whatever_happens_to_the_live_tree() {
    let (sim, disk, cow) = world(256);
    let made = async {
        for number in 0..8 {
            let ino = create(&cow, &name(number)).await?;
            write(&cow, ino, &[0, 3], number as u8).await?;
            pack(&cow, ino, &[8, 9, 10], 7).await?;
        }
        cow.take_snapshot(b"s").await
    };
    sim.block_on(made).expect("there is space");
    let before = of_snapshot(&sim.block_on(dump(&cow)).expect("healthy"), "s");
    assert_eq!(before.len(), 9, "eight files, and the snapshot itself");
    let changed = async {
        for number in 0..8 {
            let ino = cow.lookup(ROOT_INO, &name(number)).await?.ok_or(CowError::NoEntry)?.ino;
            match number % 4 {
                0 => unlink(&cow, &name(number)).await?,
                1 => truncate(&cow, ino, 1).await?,
                2 => write(&cow, ino, &[0, 1, 9], 99).await?,
                _ => rename(&cow, &name(number), &name(number + 100)).await?,
            }
            cow.commit().await?;
        }
        Ok::<(), CowError>(())
    };
    sim.block_on(changed).expect("there is space");
    let after = of_snapshot(&sim.block_on(dump(&cow)).expect("healthy"), "s");
    assert!(before == after, "a snapshot never changes");
    used(&sim, &disk, &cow);
    let again = mounted(&sim, Arc::new(Disk::new(disk.durable_image(), sim.clone())));
    let found = of_snapshot(&sim.block_on(dump(&again)).expect("healthy"), "s");
    assert!(before == found, "and is the same after a mount");
}

#[test]
fn a_snapshot_costs_what_changes_and_deleting_it_frees_what_only_it_used() {
    let (sim, disk, cow) = world(256);
    let ino = sim.block_on(create(&cow, b"file")).expect("there is space");
    let blocks: Vec<u64> = (0..40).collect();
    sim.block_on(write(&cow, ino, &blocks, 1)).expect("there is space");
    let alone = used(&sim, &disk, &cow);
    sim.block_on(cow.take_snapshot(b"one")).expect("there is space");
    assert_eq!(used(&sim, &disk, &cow), alone + 1, "the list of snapshots is a node");
    sim.block_on(cow.take_snapshot(b"two")).expect("there is space");
    assert_eq!(used(&sim, &disk, &cow), alone + 1);
    sim.block_on(write(&cow, ino, &[0, 1, 2], 2)).expect("there is space");
    let changed = used(&sim, &disk, &cow);
    assert!((alone + 1 + 3..=alone + 1 + 3 + 4).contains(&changed), "content, and a path to it");
    sim.block_on(cow.delete_snapshot(b"one")).expect("it is there");
    assert_eq!(used(&sim, &disk, &cow), changed, "all of it is the other's too");
    sim.block_on(unlink(&cow, b"file")).expect("there is space");
    let kept = used(&sim, &disk, &cow);
    assert!(kept > 40, "the snapshot holds the content");
    sim.block_on(cow.delete_snapshot(b"two")).expect("it is there");
    let (_, _, fresh) = world(256);
    let empty = 256 - sim.block_on(fresh.free_blocks()).expect("a healthy disk");
    assert_eq!(used(&sim, &disk, &cow), empty, "the root directory is all that is left");
    assert_eq!(cow.snapshots(), []);
}

#[test]
fn names_of_snapshots_are_checked_and_their_number_is_bounded() {
    let (sim, disk, cow) = world(400);
    let take = |name: &[u8]| sim.block_on(cow.take_snapshot(name));
    let longest = vec![b'n'; cow.name_max()];
    assert_eq!(take(&longest), Ok(()));
    assert_eq!(take(&longest), Err(CowError::EntryExists));
    for wrong in [&b""[..], b".", b"..", b"a/b", b"a\0", &vec![b'n'; longest.len() + 1]] {
        assert_eq!(take(wrong), Err(CowError::NameLength));
    }
    for number in 1..SNAPSHOTS_MAX {
        let mut name = longest.clone();
        name[..2].copy_from_slice(format!("{number:02}").as_bytes());
        assert_eq!(take(&name), Ok(()), "{number}");
    }
    assert_eq!(take(b"one too many"), Err(CowError::NoSpace));
    used(&sim, &disk, &cow);
    assert_eq!(sim.block_on(cow.delete_snapshot(b"other")), Err(CowError::NoEntry));
    assert_eq!(sim.block_on(cow.delete_snapshot(&longest)), Ok(()));
    assert_eq!(sim.block_on(cow.delete_snapshot(&longest)), Err(CowError::NoEntry));
    assert_eq!(take(b"again"), Ok(()));
    for (name, _) in cow.snapshots() {
        assert_eq!(sim.block_on(cow.delete_snapshot(&name)), Ok(()));
    }
    used(&sim, &disk, &cow);
}

#[test]
fn numbers_of_snapshots_are_never_used_again() {
    let (sim, disk, cow) = world(64);
    for _ in 0..3 {
        sim.block_on(cow.take_snapshot(b"s")).expect("there is space");
        sim.block_on(cow.delete_snapshot(b"s")).expect("it is there");
    }
    let cow = mounted(&sim, Arc::new(Disk::new(disk.durable_image(), sim.clone())));
    sim.block_on(cow.take_snapshot(b"s")).expect("there is space");
    assert_eq!(cow.snapshots(), [(Bytes::from_static(b"s"), number_in(4, ROOT_INO))]);
}

#[test]
fn nothing_of_a_snapshot_can_be_changed_and_a_deleted_one_is_not_there() {
    let (sim, _disk, cow) = world(64);
    let ino = sim.block_on(create(&cow, b"file")).expect("there is space");
    sim.block_on(write(&cow, ino, &[0], 1)).expect("there is space");
    sim.block_on(cow.take_snapshot(b"s")).expect("there is space");
    let root = cow.snapshots()[0].1;
    let file = number_in(1, ino);
    assert!(Cow::is_in_snapshot(file) && !Cow::is_in_snapshot(ino));
    let directory = sim.block_on(cow.inode(root)).expect("healthy").expect("there");
    assert_eq!(directory.parent, root, "the parent of a snapshot's root is that root");
    let refused = async {
        let mut transaction = cow.begin().await?;
        let inode = transaction.inode(ino).await?.ok_or(CowError::NoEntry)?;
        let put = transaction.put_inode(file, &inode).await;
        let orphan = transaction.truncate_extents(file, 0).await;
        Ok::<_, CowError>((put, orphan, transaction.remove_orphan(ino).await))
    };
    let refused = sim.block_on(refused);
    assert_eq!(refused, Ok((Err(CowError::ReadOnly), Ok(()), Ok(()))), "nothing is there to cut");
    assert!(sim.block_on(write(&cow, file, &[0], 2)).is_err());
    assert_eq!(sim.block_on(cow.read_block(file, 0)), sim.block_on(cow.read_block(ino, 0)));
    sim.block_on(cow.delete_snapshot(b"s")).expect("it is there");
    assert_eq!(sim.block_on(cow.read_block(file, 0)), Err(CowError::NoInode(file)));
    assert_eq!(sim.block_on(cow.inode(root)), Err(CowError::NoInode(root)));
}

#[test]
fn on_a_full_device_a_snapshot_can_be_deleted_and_its_space_used() {
    let (sim, disk, cow) = world(128);
    let ino = sim.block_on(create(&cow, b"old")).expect("an empty disk");
    sim.block_on(write(&cow, ino, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 1)).expect("an empty disk");
    sim.block_on(cow.take_snapshot(b"s")).expect("an empty disk");
    let fill = |first: u64| {
        for number in first.. {
            let step = async {
                let ino = create(&cow, &name(number)).await?;
                write(&cow, ino, &[0, 1, 2], 1).await
            };
            match sim.block_on(step) {
                Ok(()) => {}
                Err(error) => {
                    assert_eq!(error, CowError::NoSpace);
                    return number;
                }
            }
        }
        first
    };
    let filled = fill(0);
    assert!(filled > 10, "only {filled} files");
    assert_eq!(sim.block_on(cow.take_snapshot(b"t")), Err(CowError::NoSpace));
    // What is removed stays in the snapshot, so that removing may lack space in the end.
    let _ = sim.block_on(unlink(&cow, b"old"));
    sim.block_on(cow.delete_snapshot(b"s")).expect("there is always space for it");
    assert!(fill(1000) > 1001, "the content of the snapshot is free");
    used(&sim, &disk, &cow);
}

/// A process that is killed within a call never polls it again.
#[test]
fn a_snapshot_that_is_dropped_half_way_is_there_whole_or_not_and_loses_no_block() {
    use crate::sim::Seeded;
    use crate::sim::Site;
    use crate::sim::Unrest;
    use std::task::Context;
    use std::task::Waker;
    for deletes in [false, true] {
        for polls in 0..30 {
            let sim = Sim::new(Seeded::new(7, &[(Site::CompletionDelay, Unrest::one_in(1))]));
            let disk = Arc::new(Disk::new(empty_image(tiny(96)), sim.clone()));
            let cow = mounted(&sim, disk.clone());
            let made = async {
                let ino = create(&cow, b"file").await?;
                write(&cow, ino, &[0, 1, 2], 1).await?;
                if deletes {
                    cow.take_snapshot(b"s").await?;
                    unlink(&cow, b"file").await?;
                }
                Ok::<(), CowError>(())
            };
            sim.block_on(made).expect("healthy");
            // What is not in memory must be read, which takes time.
            let cow = mounted(&sim, disk.clone());
            let mut context = Context::from_waker(Waker::noop());
            let mut doing: std::pin::Pin<Box<dyn Future<Output = Result<(), CowError>>>> =
                match deletes {
                    true => Box::pin(cow.delete_snapshot(b"s")),
                    false => Box::pin(cow.take_snapshot(b"s")),
                };
            let _ = (0..polls).any(|_| doing.as_mut().poll(&mut context).is_ready());
            drop(doing);
            sim.block_on(create(&cow, b"later")).expect("healthy");
            used(&sim, &disk, &cow);
        }
    }
}

/// A snapshot and the live tree that disagree about what a block is.
#[test]
fn fsck_sees_a_snapshot_whose_blocks_were_written_over() {
    let (sim, disk, cow) = world(96);
    let ino = sim.block_on(create(&cow, b"file")).expect("there is space");
    sim.block_on(write(&cow, ino, &[0], 1)).expect("there is space");
    sim.block_on(cow.take_snapshot(b"s")).expect("there is space");
    let at_snapshot = disk.durable_image();
    sim.block_on(write(&cow, ino, &[0], 2)).expect("there is space");
    sim.block_on(cow.commit()).expect("a healthy disk");
    let image = disk.durable_image();
    assert_eq!(fsck::check(&image), []);
    let old = |bytes: &Bytes| bytes.iter().all(|byte| *byte == 1);
    let (content, _) = at_snapshot.blocks().find(|(_, bytes)| old(bytes)).expect("it was written");
    let mut broken = image.clone();
    let bytes = Bytes::from(vec![3; 512]);
    broken.set(content, crate::device::Block::new(content, bytes));
    let problems = fsck::check(&broken);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].to_string().contains("in the snapshot \"s\""), "{}", problems[0]);
}

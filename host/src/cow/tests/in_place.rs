//! Content that is written in place: what stays where it is, and what is shared is not written.

use super::*;
use crate::cow::Misuse;
use crate::cow::Sharing;
use crate::cow::fsck;
use crate::cow::snapshot::number_in;
use crate::sim::Seeded;
use crate::sim::Site;
use crate::sim::Unrest;

struct World {
    sim: Sim,
    disk: Arc<Disk>,
    cow: Cow,
    ino: u64,
}

/// A file that is written in place, of two blocks.
fn world(sim: Sim, sharing: Sharing) -> World {
    let disk = Arc::new(Disk::new(empty_image(tiny(128)), sim.clone()));
    let policy = CowPolicy { sharing, ..CowPolicy::default() };
    let mounting = Cow::mount(disk.clone(), sim.clone(), policy);
    let cow = sim.block_on(mounting).expect("a healthy disk");
    let made = async {
        let ino = create(&cow, b"file").await?;
        set_nocow(&cow, ino).await?;
        write(&cow, ino, &[0, 1], 1).await?;
        cow.commit().await?;
        Ok::<u64, CowError>(ino)
    };
    let ino = sim.block_on(made).expect("an empty disk");
    World { sim, disk, cow, ino }
}

impl World {
    fn write(&self, ino: u64, block: u64, fill: u8) {
        self.sim.block_on(write(&self.cow, ino, &[block], fill)).expect("there is space");
    }

    fn fills(&self, ino: u64) -> [Option<u8>; 2] {
        [0, 1].map(|block| {
            let bytes = self.sim.block_on(self.cow.read_block(ino, block)).expect("healthy");
            bytes.map(|bytes| bytes[0])
        })
    }

    fn free(&self) -> u64 {
        self.sim.block_on(self.cow.free_blocks()).expect("a healthy disk")
    }

    fn is_sound(&self) {
        self.sim.block_on(self.cow.commit()).expect("a healthy disk");
        assert_eq!(self.sim.block_on(self.cow.audit_space()), Ok(Vec::new()));
        assert_eq!(fsck::check(&self.disk.durable_image()), []);
    }
}

#[test]
fn writing_again_takes_no_block_and_is_durable_with_the_next_sync() {
    let world = world(Sim::calm(), Sharing::BrokenFirst);
    let free = world.free();
    for fill in 2..20 {
        world.write(world.ino, 1, fill);
    }
    assert_eq!(world.fills(world.ino), [Some(1), Some(19)]);
    world.sim.block_on(world.cow.sync_log()).expect("a healthy disk");
    let found = world.disk.durable_image();
    let cow = mounted(&world.sim, Arc::new(Disk::new(found, world.sim.clone())));
    let bytes = world.sim.block_on(cow.read_block(world.ino, 1)).expect("healthy");
    assert_eq!(bytes.map(|bytes| bytes[511]), Some(19));
    world.is_sound();
    assert_eq!(world.free(), free);
}

#[test]
fn a_snapshot_and_a_clone_keep_their_bytes_unless_sharing_is_ignored() {
    for (sharing, kept) in [(Sharing::BrokenFirst, 1), (Sharing::Ignored, 2)] {
        let world = world(Sim::calm(), sharing);
        let other = world.sim.block_on(create(&world.cow, b"other")).expect("there is space");
        world.sim.block_on(set_nocow(&world.cow, other)).expect("there is space");
        world.sim.block_on(world.cow.take_snapshot(b"s")).expect("there is space");
        world.write(world.ino, 0, 2);
        assert_eq!(world.fills(number_in(1, world.ino)), [Some(kept), Some(1)], "D-29");
        let cloned = clone(&world.cow, (world.ino, 0), (other, 0), 2);
        world.sim.block_on(cloned).expect("there is space");
        world.write(world.ino, 0, 3);
        let kept = if sharing == Sharing::Ignored { 3 } else { 2 };
        assert_eq!(world.fills(other)[0], Some(kept), "D-29");
        assert_eq!(world.fills(world.ino), [Some(3), Some(1)]);
        world.is_sound();
    }
}

#[test]
fn what_is_no_longer_shared_is_written_in_place_again() {
    let world = world(Sim::calm(), Sharing::BrokenFirst);
    world.sim.block_on(world.cow.take_snapshot(b"s")).expect("there is space");
    world.write(world.ino, 0, 2);
    world.sim.block_on(world.cow.delete_snapshot(b"s")).expect("it is there");
    world.is_sound();
    let free = world.free();
    world.write(world.ino, 0, 3);
    world.write(world.ino, 1, 3);
    world.is_sound();
    assert_eq!(world.free(), free, "no snapshot has them any more");
}

#[test]
fn what_was_set_aside_can_be_written_on_a_full_device() {
    for is_nocow in [false, true] {
        let world = world(Sim::calm(), Sharing::BrokenFirst);
        let file = world.sim.block_on(create(&world.cow, b"aside")).expect("there is space");
        if is_nocow {
            world.sim.block_on(set_nocow(&world.cow, file)).expect("there is space");
        }
        let set_aside =
            async |transaction: &mut Transaction| transaction.put_unwritten(file, 0..16).await;
        world.sim.block_on(rearrange(&world.cow, file, 16, set_aside)).expect("there is space");
        world.sim.block_on(world.cow.commit()).expect("a healthy disk");
        let full = world.sim.block_on(create(&world.cow, b"full")).expect("there is space");
        let mut block = 0;
        while world.sim.block_on(write(&world.cow, full, &[block], 1)).is_ok() {
            block += 1;
        }
        assert!(block > 20, "only {block}");
        for block in 0..16 {
            world.write(file, block, 7);
        }
        assert_eq!(world.fills(file), [Some(7); 2]);
        world.is_sound();
    }
}

/// A snapshot that is taken beside writes of two blocks, one after the other, in many orders: it
/// never changes, and never has the second write without the first.
#[test]
fn a_snapshot_beside_writes_in_place_is_a_cut_and_stays_as_it_is() {
    let unrest = [
        (Site::Preempt, Unrest::one_in(2)),
        (Site::Schedule, Unrest::one_in(2)),
        (Site::CompletionDelay, Unrest::one_in(2)),
    ];
    let mut between = 0;
    for seed in 0..150 {
        let world = world(Sim::new(Seeded::new(seed, &unrest)), Sharing::BrokenFirst);
        let (cow, ino) = (world.cow.clone(), world.ino);
        world.sim.spawn(async move {
            for block in [0, 1, 0, 1] {
                write(&cow, ino, &[block], 2 + block as u8).await.expect("there is space");
            }
        });
        world.sim.block_on(world.cow.take_snapshot(b"s")).expect("there is space");
        let inside = number_in(1, ino);
        let first = world.fills(inside);
        world.sim.run_background();
        assert_eq!(world.fills(inside), first, "seed {seed}: it changed");
        assert!(first[1] == Some(1) || first[0] == Some(2), "seed {seed}: no cut");
        between += u32::from(first == [Some(2), Some(1)]);
        world.is_sound();
    }
    assert!(between > 0, "no snapshot came between two writes");
}

/// A process that is killed within a call never polls it again.
#[test]
fn a_write_in_place_that_is_dropped_half_way_keeps_its_block_until_the_next_commit() {
    use std::task::Context;
    use std::task::Waker;
    for polls in 0..12 {
        let sim = Sim::new(Seeded::new(7, &[(Site::CompletionDelay, Unrest::one_in(1))]));
        let world = world(sim, Sharing::BrokenFirst);
        let mut writing = Box::pin(write(&world.cow, world.ino, &[0, 1], 2));
        let mut context = Context::from_waker(Waker::noop());
        let _ = (0..polls).any(|_| writing.as_mut().poll(&mut context).is_ready());
        drop(writing);
        world.sim.block_on(unlink(&world.cow, b"file")).expect("there is space");
        let found = world.sim.block_on(world.cow.audit_space()).expect("a healthy disk");
        assert_eq!(found.iter().find(|found| found.what != Misuse::Lost), None);
        world.is_sound();
    }
}

#[test]
fn a_block_that_was_set_aside_and_whose_write_is_refused_still_reads_as_zeros() {
    use crate::device::Faulty;
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(empty_image(tiny(128)), sim.clone()));
    let rules = vec!["data:1".parse().expect("a rule")];
    let cow = mounted(&sim, Arc::new(Faulty::new(disk.clone(), rules, sim.clone())));
    let ino = sim.block_on(create(&cow, b"file")).expect("an empty disk");
    let set_aside =
        async |transaction: &mut Transaction| transaction.put_unwritten(ino, 0..2).await;
    sim.block_on(rearrange(&cow, ino, 2, set_aside)).expect("an empty disk");
    let payload = Payload::Owned(Bytes::from(vec![1; 512]));
    let content = [0, 1].map(|block| Content::Plain(block, payload.clone()));
    let writing = cow.write_content(ino, content.to_vec(), u64::MAX, Times::default());
    let written = sim.block_on(writing);
    assert!(matches!(written[..], [Err(CowError::Device(_)), Ok(())]), "{written:?}");
    let world = World { sim, disk, cow, ino };
    assert_eq!(world.fills(ino), [None, Some(1)]);
    world.is_sound();
}

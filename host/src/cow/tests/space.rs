//! Space: a full device can be emptied again, and nothing leaks.

use super::*;

#[test]
fn a_full_device_can_be_emptied_again_and_no_block_is_lost() {
    let sim = Sim::calm();
    let geometry = tiny(96);
    let disk = Arc::new(Disk::new(empty_image(geometry), sim.clone()));
    let cow = mounted(&sim, disk.clone());
    sim.block_on(cow.commit()).expect("a healthy disk");
    let free = sim.block_on(cow.free_blocks()).expect("a healthy disk");
    for round in 0..3 {
        let mut made = 0;
        loop {
            let step = async {
                cow.reserve(1).await?;
                let ino = create(&cow, &name(made)).await;
                let written = match ino {
                    Ok(ino) => write(&cow, ino, &[0], 1).await,
                    Err(error) => Err(error),
                };
                cow.unreserve(1);
                written
            };
            match sim.block_on(step) {
                Ok(()) => made += 1,
                Err(error) => {
                    assert_eq!(error, CowError::NoSpace);
                    break;
                }
            }
        }
        assert!(made > 10, "round {round}: only {made} files");
        let names: Vec<Bytes> = sim.block_on(dump(&cow)).expect("healthy").into_keys().collect();
        for name in names {
            sim.block_on(unlink(&cow, &name)).expect("removing is always possible");
        }
        sim.block_on(cow.commit()).expect("a healthy disk");
        // The root directory's node is all that is left.
        assert_eq!(sim.block_on(cow.free_blocks()).expect("healthy"), free, "round {round}");
        assert_eq!(free_blocks(disk.durable_image()), free, "round {round}");
    }
}

#[test]
fn what_was_reserved_can_be_written() {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(empty_image(tiny(128)), sim.clone()));
    let cow = mounted(&sim, disk);
    let ino = sim.block_on(create(&cow, b"file")).expect("an empty disk");
    let mut reserved = 0;
    while sim.block_on(cow.reserve(1)).is_ok() {
        reserved += 1;
    }
    assert!(reserved > 50, "only {reserved}");
    for block in 0..reserved {
        // Far apart, so that each needs an item of its own.
        sim.block_on(write(&cow, ino, &[block * 8], 1)).expect("it was reserved");
        cow.unreserve(1);
    }
    sim.block_on(cow.commit()).expect("the commit has space");
}

#[test]
fn orphans_outlive_a_crash_and_are_removed_with_their_content() {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(empty_image(tiny(64)), sim.clone()));
    let cow = mounted(&sim, disk.clone());
    let free = sim.block_on(cow.free_blocks()).expect("a healthy disk");
    let made = async {
        let ino = create(&cow, b"file").await?;
        write(&cow, ino, &[0, 1, 9], 1).await?;
        let mut transaction = cow.begin().await?;
        transaction.remove_entry(ROOT_INO, b"file").await?;
        transaction.add_orphan(ino).await?;
        transaction.finish().await?;
        cow.sync_log().await?;
        Ok::<u64, CowError>(ino)
    };
    let ino = sim.block_on(made).expect("a healthy disk");
    let disk = Arc::new(Disk::new(disk.durable_image(), sim.clone()));
    let cow = mounted(&sim, disk);
    assert_eq!(sim.block_on(cow.orphans()), Ok(vec![ino]));
    sim.block_on(cow.remove_orphans()).expect("a healthy disk");
    sim.block_on(cow.commit()).expect("a healthy disk");
    assert_eq!(sim.block_on(cow.orphans()), Ok(vec![]));
    assert_eq!(sim.block_on(cow.inode(ino)), Ok(None));
    assert_eq!(sim.block_on(cow.free_blocks()), Ok(free));
}

#[test]
fn long_targets_of_symbolic_links_are_kept_whole() {
    let sim = Sim::calm();
    let cow = mounted(&sim, Arc::new(Disk::new(empty_image(tiny(64)), sim.clone())));
    let target: Vec<u8> = (0..4095_u32).map(|number| b'a' + (number % 26) as u8).collect();
    let made = async {
        let mut transaction = cow.begin().await?;
        let ino = transaction.create_inode(Kind::Symlink, ROOT_INO, Times::default()).await?;
        transaction.set_symlink(ino, &target).await?;
        transaction.insert_entry(ROOT_INO, b"link", ino, Kind::Symlink).await?;
        transaction.finish().await?;
        cow.symlink_target(ino).await
    };
    assert_eq!(sim.block_on(made), Ok(Bytes::from(target.clone())));
}

#[test]
fn a_transaction_that_is_dropped_changes_nothing() {
    let sim = Sim::calm();
    let cow = mounted(&sim, Arc::new(Disk::new(empty_image(tiny(64)), sim.clone())));
    let dropped = async {
        let mut transaction = cow.begin().await?;
        transaction.insert_entry(ROOT_INO, b"name", 7, Kind::Regular).await
    };
    assert_eq!(sim.block_on(dropped), Ok(3));
    assert_eq!(sim.block_on(cow.lookup(ROOT_INO, b"name")), Ok(None));
    let made = sim.block_on(create(&cow, b"name")).expect("the lock was released");
    assert_eq!(made, 2);
}

#[test]
fn every_block_size_that_is_possible_holds_a_file_system() {
    for block_size_bytes in [512, 1024, 4096, 65536] {
        let geometry = Geometry { block_size_bytes, block_count: 64 };
        let sim = Sim::calm();
        let disk = Arc::new(Disk::new(empty_image(geometry), sim.clone()));
        let cow = mounted(&sim, disk.clone());
        let longest = vec![b'n'; cow.name_max()];
        let too_long = vec![b'n'; cow.name_max() + 1];
        let content = Bytes::from(vec![7; block_size_bytes as usize]);
        let made = async {
            let ino = create(&cow, &longest).await?;
            let short = Payload::Owned(content.slice(..1));
            let whole = Payload::Owned(content.clone());
            let blocks = vec![Content::Plain(0, whole), Content::Plain(1, short)];
            let size = u64::from(block_size_bytes) + 1;
            let written = cow.write_content(ino, blocks, size, Times::default()).await;
            written.into_iter().collect::<Result<(), CowError>>()?;
            cow.sync_log().await?;
            Ok::<u64, CowError>(ino)
        };
        let ino = sim.block_on(made).expect("a healthy disk");
        assert_eq!(sim.block_on(create(&cow, &too_long)), Err(CowError::NameLength));
        let cow = mounted(&sim, Arc::new(Disk::new(disk.durable_image(), sim.clone())));
        assert_eq!(sim.block_on(cow.read_block(ino, 0)), Ok(Some(content)));
        let tail = sim.block_on(cow.read_block(ino, 1)).expect("healthy").expect("content");
        assert!(tail[0] == 7 && tail[1..].iter().all(|byte| *byte == 0));
        let inode = sim.block_on(cow.inode(ino)).expect("healthy").expect("made before");
        assert_eq!(inode.size_bytes, u64::from(block_size_bytes) + 1);
    }
    for (block_size_bytes, block_count) in [(256, 64), (513, 64), (131_072, 64), (512, 7)] {
        let geometry = Geometry { block_size_bytes, block_count };
        let sim = Sim::calm();
        let disk = Disk::new(Image::new(geometry), sim.clone());
        assert_eq!(sim.block_on(format(&disk, &sim)), Err(CowError::Geometry(geometry)));
    }
}

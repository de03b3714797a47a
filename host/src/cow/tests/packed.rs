//! Content that is packed: what is read, what is freed, and what a failing device leaves.

use super::*;
use crate::cow::RunOffset;
use crate::cow::fsck;
use crate::device::FaultRule;
use crate::device::Faulty;

fn world(rules: Vec<FaultRule>) -> (Sim, Arc<Disk>, Cow, u64) {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(empty_image(tiny(96)), sim.clone()));
    let faulty = Arc::new(Faulty::new(disk.clone(), rules, sim.clone()));
    let cow = mounted(&sim, faulty);
    let ino = sim.block_on(create(&cow, b"file")).expect("an empty disk");
    (sim, disk, cow, ino)
}

async fn fills(cow: &Cow, ino: u64, blocks: u64) -> Vec<Option<u8>> {
    let mut fills = Vec::new();
    for block in 0..blocks {
        let bytes = cow.read_block(ino, block).await.expect("a healthy disk");
        assert!(bytes.as_ref().is_none_or(|bytes| bytes.len() == 512));
        fills.push(bytes.map(|bytes| bytes[0]));
    }
    fills
}

#[test]
fn eight_regular_blocks_take_one_and_overwriting_them_gives_it_back() {
    let (sim, disk, cow, ino) = world(Vec::new());
    let used = |cow: &Cow| {
        sim.block_on(cow.commit()).expect("a healthy disk");
        assert_eq!(fsck::check(&disk.durable_image()), []);
        96 - sim.block_on(cow.free_blocks()).expect("a healthy disk")
    };
    let empty = used(&cow);
    let all: Vec<u64> = (0..8).collect();
    sim.block_on(pack(&cow, ino, &all, 1)).expect("there is space");
    assert_eq!(used(&cow), empty + 1);
    assert_eq!(sim.block_on(fills(&cow, ino, 9)), [vec![Some(1); 8], vec![None]].concat());
    // A run stays until nothing of it is named.
    sim.block_on(write(&cow, ino, &all[..7], 2)).expect("there is space");
    assert_eq!(used(&cow), empty + 1 + 7);
    sim.block_on(pack(&cow, ino, &[6, 7], 3)).expect("there is space");
    assert_eq!(used(&cow), empty + 6 + 1);
    let expected = [vec![Some(2); 6], vec![Some(3); 2]].concat();
    assert_eq!(sim.block_on(fills(&cow, ino, 8)), expected);
    sim.block_on(truncate(&cow, ino, 7)).expect("there is space");
    assert_eq!(used(&cow), empty + 6 + 1);
    sim.block_on(truncate(&cow, ino, 6)).expect("there is space");
    assert_eq!(used(&cow), empty + 6);
    sim.block_on(pack(&cow, ino, &all, 4)).expect("there is space");
    sim.block_on(unlink(&cow, b"file")).expect("there is space");
    assert_eq!(used(&cow), empty);
}

#[test]
fn neighbours_of_one_run_are_read_together_and_each_from_its_place_in_it() {
    for (run_offset, expected) in
        [(RunOffset::OfEach, [1, 2, 1, 2, 7, 6, 5]), (RunOffset::OfFirst, [1, 2, 3, 4, 5, 6, 7])]
    {
        let sim = Sim::calm();
        let disk = Arc::new(Disk::new(empty_image(tiny(96)), sim.clone()));
        let policy = CowPolicy { run_offset, ..CowPolicy::default() };
        let cow = sim.block_on(Cow::mount(disk, sim.clone(), policy)).expect("a healthy disk");
        let ino = sim.block_on(create(&cow, b"file")).expect("an empty disk");
        let other = sim.block_on(create(&cow, b"other")).expect("an empty disk");
        let blocks: Vec<(u64, Bytes)> =
            (0..8).map(|block| (block, Bytes::from(vec![1 + block as u8; 512]))).collect();
        let run = Content::Packed(Packed::pack(&blocks, 512).expect("it is regular"));
        let written = sim.block_on(cow.write_content(ino, vec![run], 4096, Times::default()));
        assert_eq!(written, [Ok(())]);
        for (from, to, count) in [(0, 0, 2), (0, 2, 2), (6, 4, 1), (5, 5, 1), (4, 6, 1)] {
            sim.block_on(clone(&cow, (ino, from), (other, to), count)).expect("there is space");
        }
        let alone = sim.block_on(fills(&cow, other, 7));
        assert_eq!(alone, [1, 2, 1, 2, 7, 6, 5].map(Some), "one at a time");
        let mut together = Vec::new();
        while together.len() < 7 {
            let rest = together.len() as u64..7;
            let read = sim.block_on(cow.read_blocks(other, rest)).expect("a healthy disk");
            assert!(!read.is_empty());
            together.extend(read.iter().map(|bytes| bytes.as_ref().map_or(0, |bytes| bytes[0])));
        }
        assert_eq!(together, expected, "D-37: {run_offset:?}");
        let whole = sim.block_on(cow.read_blocks(ino, 0..9)).expect("a healthy disk");
        assert_eq!(whole.len(), 8, "a hole is in no run");
    }
}

#[test]
fn parts_of_one_extent_written_together_replace_each_other_in_order() {
    let (sim, disk, cow, ino) = world(Vec::new());
    let mut parts: Vec<Content> = Vec::new();
    let payload = |fill| Payload::Owned(Bytes::from(vec![fill; 512]));
    parts.push(Content::Plain(1, payload(1)));
    parts.extend(packed(&[0, 1, 2], 2).into_iter().map(|(_, part)| part));
    parts.push(Content::Plain(1, payload(3)));
    parts.extend(packed(&[0, 2], 4).into_iter().map(|(_, part)| part));
    let written = sim.block_on(cow.write_content(ino, parts, u64::MAX, Times::default()));
    assert_eq!(written, [Ok(()); 4]);
    assert_eq!(sim.block_on(fills(&cow, ino, 3)), [Some(4), Some(3), Some(4)]);
    sim.block_on(cow.commit()).expect("a healthy disk");
    assert_eq!(fsck::check(&disk.durable_image()), []);
    let free = sim.block_on(cow.free_blocks()).expect("a healthy disk");
    assert_eq!(free, free_blocks(disk.durable_image()), "what was replaced at once is free");
}

#[test]
fn a_run_is_refused_whole_and_the_rest_of_its_batch_is_kept() {
    let (sim, disk, cow, ino) = world(vec!["data:2".parse().expect("a rule")]);
    let payload = |fill| Payload::Owned(Bytes::from(vec![fill; 512]));
    let mut parts = vec![Content::Plain(0, payload(1))];
    parts.extend(packed(&[1, 2, 3], 2).into_iter().map(|(_, part)| part));
    parts.push(Content::Plain(4, payload(3)));
    let written = sim.block_on(cow.write_content(ino, parts, u64::MAX, Times::default()));
    assert!(matches!(written[..], [Ok(()), Err(CowError::Device(_)), Ok(())]), "{written:?}");
    let expected = [Some(1), None, None, None, Some(3)];
    assert_eq!(sim.block_on(fills(&cow, ino, 5)), expected);
    sim.block_on(cow.commit()).expect("a healthy disk");
    let free = sim.block_on(cow.free_blocks()).expect("a healthy disk");
    assert_eq!(free, free_blocks(disk.durable_image()), "a refused block is free");
}

#[test]
fn a_changed_byte_of_a_run_is_refused_by_reading_and_seen_by_fsck() {
    let (sim, disk, cow, ino) = world(Vec::new());
    sim.block_on(pack(&cow, ino, &[0, 1, 2], 7)).expect("there is space");
    sim.block_on(cow.commit()).expect("a healthy disk");
    let image = disk.durable_image();
    let mut seen = 0;
    for (block, bytes) in image.blocks() {
        // The codec's bytes of a block of sevens begin with a literal seven.
        if bytes[1] != 7 || bytes[500] != 0 {
            continue;
        }
        for at in 0..512 {
            let mut broken = bytes.to_vec();
            broken[at] ^= 1;
            let mut image = image.clone();
            image.set(block, crate::device::Block::new(block, Bytes::from(broken)));
            assert!(!fsck::check(&image).is_empty(), "byte {at}");
            let disk = Arc::new(Disk::new(image, sim.clone()));
            let cow = mounted(&sim, disk);
            let read = sim.block_on(cow.read_block(ino, 1));
            assert!(matches!(read, Err(CowError::Corrupt { .. })), "byte {at}: {read:?}");
        }
        seen += 1;
    }
    assert_eq!(seen, 1, "the run is one block");
}

#[test]
fn a_mark_to_compress_is_kept_with_the_inode() {
    let (sim, disk, cow, ino) = world(Vec::new());
    let marked = async {
        let mut transaction = cow.begin().await?;
        let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        inode.is_compressed = true;
        transaction.put_inode(ino, &inode).await?;
        transaction.finish().await?;
        cow.sync_log().await
    };
    sim.block_on(marked).expect("a healthy disk");
    let cow = mounted(&sim, Arc::new(Disk::new(disk.durable_image(), sim.clone())));
    let inode = sim.block_on(cow.inode(ino)).expect("healthy").expect("made before");
    assert!(inode.is_compressed);
}

//! What fsck passes, and what it sees.

use std::sync::Arc;

use super::*;
use crate::cow;
use crate::cow::Content;
use crate::cow::Cow;
use crate::cow::CowPolicy;
use crate::cow::Kind;
use crate::cow::ROOT_INO;
use crate::cow::Times;
use crate::device::Block;
use crate::device::Disk;
use crate::device::Payload;
use crate::sim::Sim;

const TINY: Geometry = Geometry { block_size_bytes: 512, block_count: 64 };
const TIMES: Times = Times { access_nanos: 1, modify_nanos: 1, change_nanos: 1 };

/// A file system with a directory, a file with content, a second name and a log.
fn example() -> Image {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(Image::new(TINY), sim.clone()));
    sim.block_on(async {
        cow::format(disk.as_ref(), &sim).await.expect("the disk is whole");
        let policy = CowPolicy::default();
        let cow = Cow::mount(disk.clone(), sim.clone(), policy).await.expect("just made");
        for name in [&b"a"[..], b"b"] {
            let mut change = cow.begin().await.expect("the disk is whole");
            let ino = change.create_inode(Kind::Regular, ROOT_INO, TIMES).await.expect("room");
            change.insert_entry(ROOT_INO, name, ino, Kind::Regular).await.expect("a fresh name");
            let mut inode = change.inode(ino).await.expect("whole").expect("just made");
            inode.link_count = 1;
            change.put_inode(ino, &inode).await.expect("room");
            change.finish().await.expect("the disk is whole");
            let content = Payload::Owned(Bytes::from(vec![name[0]; 512]));
            let written =
                cow.write_content(ino, vec![Content::Plain(0, content)], 512, TIMES).await;
            assert!(written.iter().all(Result::is_ok));
            // The first file is in the tree, the second in the log.
            match name {
                b"a" => cow.commit().await.expect("the disk is whole"),
                _ => cow.sync_log().await.expect("the disk is whole"),
            }
        }
    });
    disk.durable_image()
}

#[test]
fn a_whole_image_has_no_problem() {
    assert_eq!(check(&example()), []);
    assert_eq!(block_size_bytes(&example()), Some(512));
}

#[test]
fn a_changed_byte_of_a_node_or_of_content_is_seen() {
    let image = example();
    let root = |slot| Root::decode(&image.get(BlockNo(slot)).expect("a root slot"));
    let newest = [0, 1].into_iter().filter_map(root).max_by_key(|r| r.generation);
    let top = newest.expect("a root").tree.block;
    for at in [0, 100, 511] {
        let mut changed = image.clone();
        let mut block = image.get(top).expect("the top node").to_vec();
        block[at] ^= 1;
        changed.set(top, Block::new(top, Bytes::from(block)));
        assert!(!check(&changed).is_empty(), "byte {at} of the top node");
    }
}

#[test]
fn no_changed_byte_makes_fsck_panic() {
    let image = example();
    let blocks: Vec<(BlockNo, Bytes)> =
        image.blocks().map(|(block, bytes)| (block, bytes.clone())).collect();
    for (block, bytes) in blocks {
        for at in (0..bytes.len()).step_by(3) {
            let mut changed = image.clone();
            let mut content = bytes.to_vec();
            content[at] ^= 0x41;
            changed.set(block, Block::new(block, Bytes::from(content)));
            let _ = check(&changed);
        }
    }
}

/// A file system of so many files that its tree has several levels, and the same after one of them
/// was written again.
fn many() -> [Image; 2] {
    let geometry = Geometry { block_size_bytes: 512, block_count: 4096 };
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(Image::new(geometry), sim.clone()));
    let mut images = Vec::new();
    sim.block_on(async {
        cow::format(disk.as_ref(), &sim).await.expect("the disk is whole");
        let policy = CowPolicy::default();
        let cow = Cow::mount(disk.clone(), sim.clone(), policy).await.expect("just made");
        let mut first = None;
        for number in 0..150 {
            let mut change = cow.begin().await.expect("the disk is whole");
            let ino = change.create_inode(Kind::Regular, ROOT_INO, TIMES).await.expect("room");
            let name = format!("file{number}");
            let entry = change.insert_entry(ROOT_INO, name.as_bytes(), ino, Kind::Regular).await;
            entry.expect("a fresh name");
            let mut inode = change.inode(ino).await.expect("whole").expect("just made");
            inode.link_count = 1;
            change.put_inode(ino, &inode).await.expect("room");
            change.finish().await.expect("the disk is whole");
            first.get_or_insert(ino);
        }
        for byte in [1, 2] {
            let content = Payload::Owned(Bytes::from(vec![byte; 512]));
            let ino = first.expect("there are files");
            let written =
                cow.write_content(ino, vec![Content::Plain(0, content)], 512, TIMES).await;
            assert!(written.iter().all(Result::is_ok));
            cow.commit().await.expect("the disk is whole");
            images.push(disk.durable_image());
        }
    });
    images.try_into().expect("two commits")
}

#[test]
fn a_tree_of_several_levels_has_no_problem() {
    let [image, _] = many();
    assert_eq!(check(&image), []);
    let root = |slot| Root::decode(&image.get(BlockNo(slot)).expect("a root slot"));
    let newest = [0, 1].into_iter().filter_map(root).max_by_key(|r| r.generation);
    let top = image.get(newest.expect("a root").tree.block).expect("inside");
    let top = crate::cow::format::node::NodeBlock::decode(&top).expect("a node");
    assert!(top.level >= 2, "level {}", top.level);
}

/// Changes a byte of some blocks, one at a time, and checks the outcome as it is and by what
/// differs.
fn compare_changed(was: &Image, image: &Image, step: usize) -> u64 {
    let sound = Sound::check(was).expect("it is whole");
    let mut problem_count = 0;
    for (number, (block, bytes)) in image.blocks().enumerate().step_by(step) {
        let mut content = bytes.to_vec();
        content[number * 7 % bytes.len()] ^= 0x41;
        let mut changed = image.clone();
        changed.set(block, Block::new(block, Bytes::from(content)));
        let alone = check(&changed);
        let next = sound.check_next(&changed);
        assert_eq!(next.err().unwrap_or_default(), alone, "block {}", block.0);
        problem_count += u64::from(!alone.is_empty());
    }
    problem_count
}

#[test]
fn an_image_is_checked_alike_whatever_it_is_compared_with() {
    let [one, two] = many();
    assert!(compare_changed(&one, &one, 13) > 0);
    assert!(compare_changed(&one, &two, 13) > 0);
    assert!(compare_changed(&two, &one, 13) > 0);
    let small = example();
    assert!(compare_changed(&small, &small, 1) > 2);
}

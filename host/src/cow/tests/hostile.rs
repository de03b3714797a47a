//! Media that nobody wrote: mounting and using them fails, or works, but never panics.

use super::*;
use crate::cow::format::BlockPtr;
use crate::cow::format::log::LogBlock;
use crate::cow::format::log::PAYLOAD_AT;
use crate::cow::format::node::RECORDS_AT;
use crate::cow::format::root::Root;
use crate::device::Block;
use crate::device::BlockNo;
use crate::sim::mix;

/// A file system with content, holes, an inner node and a log.
fn busy_image() -> Image {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(empty_image(tiny(96)), sim.clone()));
    let cow = mounted(&sim, disk.clone());
    let made = async {
        for number in 0..6 {
            let ino = create(&cow, &name(number)).await?;
            write(&cow, ino, &[0, 3, 20], number as u8).await?;
        }
        let ino = create(&cow, b"packed").await?;
        pack(&cow, ino, &[0, 1, 2, 3], 9).await?;
        cow.commit().await?;
        unlink(&cow, &name(2)).await?;
        cow.sync_log().await?;
        create(&cow, b"logged").await?;
        cow.sync_log().await
    };
    sim.block_on(made).expect("a healthy disk");
    disk.durable_image()
}

/// Uses whatever is there.
fn use_it(image: Image) -> Result<(), CowError> {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(image, sim.clone()));
    sim.block_on(async {
        let cow = Cow::mount(disk, sim.clone(), CowPolicy::default()).await?;
        dump(&cow).await?;
        cow.remove_orphans().await?;
        create(&cow, b"fresh").await?;
        let ino = create(&cow, b"other").await?;
        write(&cow, ino, &[0, 1], 1).await?;
        cow.sync_log().await?;
        for (name, _) in dump(&cow).await? {
            unlink(&cow, &name).await?;
            cow.sync_log().await?;
        }
        cow.commit().await
    })
}

fn with(image: &Image, block: BlockNo, bytes: Vec<u8>) -> Image {
    let mut image = image.clone();
    image.set(block, Block::new(block, Bytes::from(bytes)));
    image
}

fn newest_root(image: &Image) -> (BlockNo, Root) {
    let slots = [0, 1].map(BlockNo).into_iter();
    let roots = slots.filter_map(|slot| Some((slot, Root::decode(&image.get(slot)?)?)));
    roots.max_by_key(|(_, root)| root.generation).expect("a mounted image has a root")
}

#[test]
fn the_example_is_sound() {
    assert_eq!(use_it(busy_image()), Ok(()));
}

#[test]
fn a_changed_byte_anywhere_never_panics() {
    let image = busy_image();
    let blocks: Vec<(BlockNo, Bytes)> =
        image.blocks().map(|(block, bytes)| (block, bytes.clone())).collect();
    let mut refused = 0;
    for (block, bytes) in blocks {
        for at in 0..bytes.len() {
            let mut broken = bytes.to_vec();
            broken[at] ^= 1 << (at % 8);
            refused += u32::from(use_it(with(&image, block, broken)).is_err());
        }
    }
    assert!(refused > 0, "checksums are checked");
}

/// Checksums do not protect against who can compute them: the top node is changed, and the root
/// made to name it.
#[test]
fn a_forged_top_node_never_panics() {
    let image = busy_image();
    let (slot, root) = newest_root(&image);
    let bytes = image.get(root.tree.block).expect("inside");
    for number in 0..20_000_u64 {
        let random = mix(number);
        let mut broken = bytes.to_vec();
        for change in 0..=random % 3 {
            let random = mix(random ^ change);
            broken[random as usize % 512] = (random >> 32) as u8;
        }
        let tree = BlockPtr { checksum: crc32c::crc32c(&broken), ..root.tree };
        let forged = with(&image, root.tree.block, broken);
        let forged = with(&forged, slot, Root { tree, ..root }.encode().to_vec());
        let _ = use_it(forged);
    }
}

/// As above for a tree of one leaf, whose items are all within reach.
#[test]
fn a_forged_leaf_never_panics() {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(empty_image(tiny(32)), sim.clone()));
    let cow = mounted(&sim, disk.clone());
    let made = async {
        let ino = create(&cow, b"a").await?;
        write(&cow, ino, &[0, 1], 3).await?;
        pack(&cow, ino, &[2, 3, 4], 4).await?;
        cow.commit().await
    };
    sim.block_on(made).expect("a healthy disk");
    let image = disk.durable_image();
    let (slot, root) = newest_root(&image);
    let bytes = image.get(root.tree.block).expect("inside");
    for at in RECORDS_AT..400 {
        for value in [0, 1, 2, 3, 7, 8, 31, 255] {
            let mut broken = bytes.to_vec();
            broken[at] = value;
            let tree = BlockPtr { checksum: crc32c::crc32c(&broken), ..root.tree };
            let forged = with(&image, root.tree.block, broken);
            let _ = use_it(with(&forged, slot, Root { tree, ..root }.encode().to_vec()));
        }
    }
}

#[test]
fn a_forged_log_never_panics() {
    let image = busy_image();
    let (_, root) = newest_root(&image);
    let bytes = image.get(root.log_head).expect("inside");
    let (log, _) = LogBlock::decode(&bytes).expect("the example has a log");
    for at in PAYLOAD_AT..PAYLOAD_AT + log.payload.len() {
        for value in [0, 1, 2, 3, 8, 64, 255] {
            let mut payload = log.payload.to_vec();
            payload[at - PAYLOAD_AT] = value;
            let (forged, _) = LogBlock { payload: Bytes::from(payload), ..log.clone() }.encode(512);
            let _ = use_it(with(&image, root.log_head, forged.to_vec()));
        }
    }
    for next in [root.log_head, root.tree.block, BlockNo(0), BlockNo(u64::MAX)] {
        let (forged, _) = LogBlock { next, ..log.clone() }.encode(512);
        let _ = use_it(with(&image, root.log_head, forged.to_vec()));
    }
}

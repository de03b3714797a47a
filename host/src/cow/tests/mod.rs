//! Tests of the file system as a whole, on blocks of 512 bytes, where rare paths are common.

mod clones;
mod concurrent;
mod copies;
mod crash;
mod grants;
mod hostile;
mod in_place;
mod model;
mod objects;
mod packed;
mod snapshot;
mod space;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::cow::CloneRange;
use crate::cow::Content;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::CowPolicy;
use crate::cow::Kind;
use crate::cow::Packed;
use crate::cow::ROOT_INO;
use crate::cow::Times;
use crate::cow::Transaction;
use crate::cow::extent_of;
use crate::cow::format;
use crate::device::Device;
use crate::device::Disk;
use crate::device::Geometry;
use crate::device::Image;
use crate::device::Payload;
use crate::sim::Sim;

/// Names of the root directory, and those of each snapshot behind the snapshot's name and a slash;
/// of each file its number and its content, of a hole zeros, and then its attributes.
type Dump = BTreeMap<Bytes, (u64, Vec<u8>)>;

fn tiny(block_count: u64) -> Geometry {
    Geometry { block_size_bytes: 512, block_count }
}

/// The image of an empty file system.
fn empty_image(geometry: Geometry) -> Image {
    let sim = Sim::calm();
    let disk = Disk::new(Image::new(geometry), sim.clone());
    sim.block_on(format(&disk, &sim)).expect("a healthy disk");
    disk.durable_image()
}

fn mounted(sim: &Sim, device: Arc<dyn Device>) -> Cow {
    let mounting = Cow::mount(device, sim.clone(), CowPolicy::default());
    sim.block_on(mounting).expect("a healthy disk")
}

fn name(number: u64) -> Bytes {
    let length = 1 + (number as usize * 37) % 100;
    let mut name = format!("{number}-").into_bytes();
    name.resize(length.max(name.len()), b'n');
    Bytes::from(name)
}

async fn create(cow: &Cow, name: &[u8]) -> Result<u64, CowError> {
    let mut transaction = cow.begin().await?;
    let ino = transaction.create_inode(Kind::Regular, ROOT_INO, Times::default()).await?;
    let mut inode = transaction.inode(ino).await?.expect("made just now");
    inode.link_count = 1;
    transaction.put_inode(ino, &inode).await?;
    transaction.insert_entry(ROOT_INO, name, ino, Kind::Regular).await?;
    transaction.finish().await?;
    Ok(ino)
}

async fn unlink(cow: &Cow, name: &[u8]) -> Result<(), CowError> {
    let mut transaction = cow.begin().await?;
    let entry = transaction.remove_entry(ROOT_INO, name).await?;
    transaction.remove_inode(entry.ino).await?;
    transaction.finish().await
}

/// Moves a name over another one, or to a place that is free.
async fn rename(cow: &Cow, from: &[u8], to: &[u8]) -> Result<(), CowError> {
    let mut transaction = cow.begin().await?;
    let entry = transaction.remove_entry(ROOT_INO, from).await?;
    match transaction.lookup(ROOT_INO, to).await? {
        Some(_) => {
            let old = transaction.replace_entry(ROOT_INO, to, entry.ino, entry.kind).await?;
            transaction.remove_inode(old.ino).await?;
        }
        None => {
            transaction.insert_entry(ROOT_INO, to, entry.ino, entry.kind).await?;
        }
    }
    transaction.finish().await
}

async fn truncate(cow: &Cow, ino: u64, blocks: u64) -> Result<(), CowError> {
    let mut transaction = cow.begin().await?;
    let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
    inode.size_bytes = blocks * 512;
    transaction.put_inode(ino, &inode).await?;
    transaction.truncate_extents(ino, blocks).await?;
    transaction.finish().await
}

/// From now on the file is written in place.
async fn set_nocow(cow: &Cow, ino: u64) -> Result<(), CowError> {
    let mut transaction = cow.begin().await?;
    let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
    inode.is_nocow = true;
    transaction.put_inode(ino, &inode).await?;
    transaction.finish().await
}

/// Clones blocks of a file to another one, which grows to hold them.
async fn clone(cow: &Cow, from: (u64, u64), to: (u64, u64), count: u64) -> Result<(), CowError> {
    let range = CloneRange {
        from: from.0,
        from_block: from.1,
        to: to.0,
        to_block: to.1,
        count,
        size_bytes: (to.1 + count) * 512,
        times: Times::default(),
    };
    cow.clone_range(range).await
}

/// A change of where the content of a file is, with the file's size in blocks afterwards.
async fn rearrange(
    cow: &Cow,
    ino: u64,
    blocks: u64,
    change: impl AsyncFnOnce(&mut Transaction) -> Result<(), CowError>,
) -> Result<(), CowError> {
    let mut transaction = cow.begin().await?;
    let mut inode = transaction.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
    inode.size_bytes = blocks * 512;
    transaction.put_inode(ino, &inode).await?;
    change(&mut transaction).await?;
    transaction.finish().await
}

async fn write(cow: &Cow, ino: u64, blocks: &[u64], fill: u8) -> Result<(), CowError> {
    let payload = Payload::Owned(Bytes::from(vec![fill; 512]));
    let plain = blocks.iter().map(|block| Content::Plain(*block, payload.clone()));
    let written = cow.write_content(ino, plain.collect(), u64::MAX, Times::default()).await;
    written.into_iter().collect()
}

/// Content as a compressing cache hands it down: what is of one extent is packed, if that saves
/// something. Each part comes with the blocks of the file that it holds.
fn packed(blocks: &[u64], fill: u8) -> Vec<(Vec<u64>, Content)> {
    let bytes = Bytes::from(vec![fill; 512]);
    let groups = blocks.chunk_by(|one, two| extent_of(*one) == extent_of(*two));
    let parts = groups.flat_map(|group| {
        let plain: Vec<_> = group.iter().map(|block| (*block, bytes.clone())).collect();
        match Packed::pack(&plain, 512) {
            Some(packed) => vec![(group.to_vec(), Content::Packed(packed))],
            None => plain
                .into_iter()
                .map(|(block, bytes)| (vec![block], Content::Plain(block, Payload::Owned(bytes))))
                .collect(),
        }
    });
    parts.collect()
}

async fn pack(cow: &Cow, ino: u64, blocks: &[u64], fill: u8) -> Result<(), CowError> {
    let content = packed(blocks, fill).into_iter().map(|(_, part)| part).collect();
    let written = cow.write_content(ino, content, u64::MAX, Times::default()).await;
    written.into_iter().collect()
}

async fn dump(cow: &Cow) -> Result<Dump, CowError> {
    let mut dump = Dump::new();
    dump_tree(cow, ROOT_INO, b"", &mut dump).await?;
    for (name, root) in cow.snapshots() {
        dump_tree(cow, root, &[&name[..], b"/"].concat(), &mut dump).await?;
    }
    Ok(dump)
}

async fn dump_tree(cow: &Cow, root: u64, prefix: &[u8], dump: &mut Dump) -> Result<(), CowError> {
    let numbers_before = root - ROOT_INO;
    if !prefix.is_empty() {
        dump.insert(Bytes::copy_from_slice(prefix), (ROOT_INO, Vec::new()));
    }
    for entry in cow.entries(root, 0, usize::MAX).await? {
        let target = cow.lookup(root, &entry.name).await?.ok_or(CowError::NoEntry)?;
        if (target.ino, target.cookie) != (entry.ino, entry.cookie) {
            return Err(CowError::NoEntry);
        }
        let inode = cow.inode(entry.ino).await?.ok_or(CowError::NoInode(entry.ino))?;
        let mut content = Vec::new();
        for block in 0..inode.size_bytes.div_ceil(512).min(1024) {
            match cow.read_block(entry.ino, block).await? {
                Some(bytes) => content.extend_from_slice(&bytes),
                None => content.extend_from_slice(&[0; 512]),
            }
        }
        for name in cow.attribute_names(entry.ino).await? {
            let value = cow.attribute(entry.ino, &name).await?.ok_or(CowError::NoEntry)?;
            content.extend_from_slice(&[&name[..], b"=", &value].concat());
        }
        let name = Bytes::from([prefix, &entry.name[..]].concat());
        dump.insert(name, (entry.ino - numbers_before, content));
    }
    Ok(())
}

/// Invariant C-3, seen from outside: a new mount finds the free blocks, and each has one use.
fn free_blocks(image: Image) -> u64 {
    let sim = Sim::calm();
    let cow = mounted(&sim, Arc::new(Disk::new(image, sim.clone())));
    sim.block_on(cow.free_blocks()).expect("C-3")
}

//! The file system against a map, under random operations, remounts and crashes of the kernel.

use std::collections::btree_map::Entry;

use super::*;
use crate::cow::fsck;
use crate::sim::mix;

/// What an operation of the walk does to the model.
struct Walk {
    sim: Sim,
    disk: Arc<Disk>,
    cow: Cow,
    model: Dump,
}

impl Walk {
    fn new(geometry: Geometry) -> Self {
        let sim = Sim::calm();
        let disk = Arc::new(Disk::new(empty_image(geometry), sim.clone()));
        let cow = mounted(&sim, disk.clone());
        Self { sim, disk, cow, model: Dump::new() }
    }

    fn pick(&self, random: u64) -> Option<Bytes> {
        let mut live = self.model.keys().filter(|name| !name.contains(&b'/'));
        let at = random as usize % live.clone().count().max(1);
        live.nth(at).cloned()
    }

    fn change(&mut self, random: u64) -> Result<(), CowError> {
        let fresh = name(random >> 32 & 63);
        let (cow, sim) = (self.cow.clone(), self.sim.clone());
        if (random >> 24).is_multiple_of(16) {
            return self.change_snapshot(b'a' + (random >> 28 & 3) as u8);
        }
        let old = self.pick(random >> 8);
        match (random % 12, old) {
            (0 | 1, _) | (_, None) => {
                if let Entry::Vacant(place) = self.model.entry(fresh.clone()) {
                    let ino = sim.block_on(create(&cow, &fresh))?;
                    place.insert((ino, Vec::new()));
                    if random >> 16 & 3 == 0 {
                        sim.block_on(set_nocow(&cow, ino))?;
                    }
                }
            }
            (2, Some(old)) => {
                sim.block_on(unlink(&cow, &old))?;
                self.model.remove(&old);
            }
            (3, Some(old)) if old != fresh => {
                sim.block_on(rename(&cow, &old, &fresh))?;
                let file = self.model.remove(&old).expect("picked from it");
                self.model.insert(fresh, file);
            }
            (4, Some(old)) => {
                let (ino, content) = self.model.get_mut(&old).expect("picked from it");
                let blocks = random >> 40 & 15;
                sim.block_on(truncate(&cow, *ino, blocks))?;
                content.resize(blocks as usize * 512, 0);
            }
            (8..=11, Some(old)) => return self.change_places(random, &old),
            (_, Some(old)) => {
                let (ino, content) = self.model.get_mut(&old).expect("picked from it");
                let first = random >> 40 & 15;
                let blocks: Vec<u64> = (first..=first + (random >> 48 & 3)).collect();
                let parts: Vec<(Vec<u64>, Content)> = if random >> 52 & 1 == 0 {
                    let payload = Payload::Owned(Bytes::from(vec![random as u8; 512]));
                    let plain = |block| (vec![block], Content::Plain(block, payload.clone()));
                    blocks.into_iter().map(plain).collect()
                } else {
                    packed(&blocks, random as u8)
                };
                let (blocks, parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                let writing = cow.write_content(*ino, parts, u64::MAX, Times::default());
                let written = sim.block_on(writing);
                let stored = blocks.iter().zip(&written).filter(|(_, result)| result.is_ok());
                for block in stored.flat_map(|(blocks, _)| blocks) {
                    let start = *block as usize * 512;
                    content.resize(content.len().max(start + 512), 0);
                    content[start..start + 512].fill(random as u8);
                }
                return written.into_iter().collect();
            }
        }
        Ok(())
    }

    /// Clones blocks, or removes, moves or sets some aside.
    fn change_places(&mut self, random: u64, old: &Bytes) -> Result<(), CowError> {
        let (cow, sim) = (self.cow.clone(), self.sim.clone());
        if random % 12 < 10 {
            return self.clone_blocks(random, old);
        }
        if random % 12 == 11 {
            let (ino, content) = self.model.get_mut(old).expect("picked from it");
            let (ino, size) = (*ino, content.len() as u64 / 512);
            let blocks = (random >> 40 & 15)..(random >> 44 & 31);
            let set_aside = rearrange(&cow, ino, size, async |transaction| {
                transaction.put_unwritten(ino, blocks).await
            });
            sim.block_on(set_aside)?;
            return Ok(());
        }
        let (ino, content) = self.model.get_mut(old).expect("picked from it");
        let (ino, size) = (*ino, content.len() as u64 / 512);
        let (from, to) = (random >> 40 & 15, random >> 44 & 15);
        match random >> 48 & 3 {
            0 | 1 if from < to => {
                let punched = rearrange(&cow, ino, size, async |transaction| {
                    transaction.remove_extents(ino, from..to).await
                });
                sim.block_on(punched)?;
                let end = (to as usize * 512).min(content.len());
                content[(from as usize * 512).min(end)..end].fill(0);
            }
            _ if from < to && to < size => {
                let by = from.cast_signed() - to.cast_signed();
                let collapsed = rearrange(&cow, ino, size - (to - from), async |tx| {
                    tx.shift_extents(ino, to, by).await
                });
                sim.block_on(collapsed)?;
                content.drain(from as usize * 512..to as usize * 512);
            }
            _ if from < size && size < 64 => {
                let by = to.cast_signed();
                let inserted = rearrange(&cow, ino, size + to, async |transaction| {
                    transaction.shift_extents(ino, from, by).await
                });
                sim.block_on(inserted)?;
                let at = from as usize * 512;
                content.splice(at..at, vec![0; to as usize * 512]);
            }
            _ => {}
        }
        Ok(())
    }

    fn clone_blocks(&mut self, random: u64, old: &Bytes) -> Result<(), CowError> {
        let (cow, sim) = (self.cow.clone(), self.sim.clone());
        let from = self.pick(random >> 16).expect("one was picked");
        let (first, to, count) = (random >> 40 & 15, random >> 44 & 15, 1 + (random >> 48 & 15));
        let overlap = first < to + count && to < first + count;
        let source = self.model[&from].clone();
        let (ino, content) = self.model.get_mut(old).expect("picked from it");
        if source.0 == *ino && overlap {
            return Ok(());
        }
        sim.block_on(clone(&cow, (source.0, first), (*ino, to), count))?;
        content.resize(content.len().max((to + count) as usize * 512), 0);
        let mut cloned = source.1;
        cloned.resize(cloned.len().max((first + count) as usize * 512), 0);
        let range = to as usize * 512..(to + count) as usize * 512;
        let source = first as usize * 512..(first + count) as usize * 512;
        content[range].copy_from_slice(&cloned[source]);
        Ok(())
    }

    /// Takes the snapshot of that name, or deletes it if it is there.
    fn change_snapshot(&mut self, name: u8) -> Result<(), CowError> {
        let prefix = [name, b'/'];
        let is_snapshots = |key: &Bytes| key.starts_with(&prefix);
        if self.model.keys().any(is_snapshots) {
            self.sim.block_on(self.cow.delete_snapshot(&[name]))?;
            self.model.retain(|key, _| !is_snapshots(key));
            return Ok(());
        }
        self.sim.block_on(self.cow.take_snapshot(&[name]))?;
        let live = self.model.iter().filter(|(key, _)| !key.contains(&b'/'));
        let mut snapshot: Dump = live
            .map(|(key, file)| (Bytes::from([&prefix[..], &key[..]].concat()), file.clone()))
            .collect();
        snapshot.insert(Bytes::copy_from_slice(&prefix), (ROOT_INO, Vec::new()));
        self.model.append(&mut snapshot);
        Ok(())
    }

    fn remount(&mut self) {
        let image = self.disk.cached_image();
        assert_eq!(fsck::check(&image), []);
        let free = free_blocks(image.clone());
        self.sim.block_on(self.cow.commit()).expect("a healthy disk");
        let known = self.sim.block_on(self.cow.free_blocks()).expect("a healthy disk");
        assert_eq!(known, free_blocks(self.disk.cached_image()), "mounting counts the same uses");
        assert!(known >= free || self.model.is_empty(), "a commit frees");
        self.disk = Arc::new(Disk::new(image, self.sim.clone()));
        self.cow = mounted(&self.sim, self.disk.clone());
    }

    fn check(&self) {
        assert_eq!(self.sim.block_on(self.cow.audit_space()), Ok(Vec::new()), "C-3");
        let found = self.sim.block_on(dump(&self.cow)).expect("a healthy disk");
        assert!(found == self.model, "the file system is the model");
    }
}

fn walk(seed: u64, geometry: Geometry, steps: u64) -> u64 {
    let mut walk = Walk::new(geometry);
    let mut refused = 0;
    for step in 0..steps {
        let random = mix(mix(seed) ^ step);
        match walk.change(random) {
            Ok(()) => {}
            Err(CowError::NoSpace) => refused += 1,
            Err(error) => panic!("step {step}: {error}"),
        }
        match random >> 56 & 15 {
            0 => walk.sim.block_on(walk.cow.commit()).expect("a healthy disk"),
            1..=3 => walk.sim.block_on(walk.cow.sync_log()).expect("a healthy disk"),
            4 => {
                walk.sim.block_on(walk.cow.sync_log()).expect("a healthy disk");
                walk.remount();
            }
            _ => {}
        }
        if step.is_multiple_of(16) {
            walk.check();
        }
    }
    walk.check();
    refused
}

#[test]
fn the_file_system_is_a_map_from_names_to_content() {
    for seed in 0..6 {
        assert_eq!(walk(seed, tiny(4096), 1500), 0, "there is space for all of it");
    }
}

#[test]
fn a_crowded_file_system_refuses_and_stays_a_map() {
    let refused: u64 = (0..6).map(|seed| walk(seed, tiny(150), 1500)).sum();
    assert!(refused > 0, "the device is too small for all of it");
}

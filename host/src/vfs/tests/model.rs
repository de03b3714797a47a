//! The stack against a model that is a map: random calls, evictions, flushes and remounts.

use std::collections::BTreeMap;

use crate::cache::CachePolicy;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::Request;
use crate::sim::Seeded;
use crate::sim::Sim;
use crate::sim::Site;
use crate::sim::Unrest;
use crate::sim::mix;
use crate::vfs::VfsPolicy;
use crate::vfs::tests::BLOCK;
use crate::vfs::tests::CREATE;
use crate::vfs::tests::TINY;
use crate::vfs::tests::World;
use crate::vfs::tests::formatted;

const NAMES: [&str; 4] = ["a", "b", "d/a", "d/b"];
const SIZE_MAX: u64 = 5 * BLOCK as u64;

/// A file system that is a map, with files by number so that links and open handles work.
#[derive(Debug, Clone, Default)]
struct Model {
    names: BTreeMap<&'static str, u64>,
    files: BTreeMap<u64, Vec<u8>>,
    open: Vec<(HandleId, u64)>,
    next: u64,
}

impl Model {
    fn write(&mut self, file: u64, offset: u64, data: &[u8]) {
        let content = self.files.entry(file).or_default();
        let (start, end) = (offset as usize, offset as usize + data.len());
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(data);
    }
}

/// Compares by length and first difference, so that a failure can be read.
fn assert_same(name: &str, found: Option<&[u8]>, expected: Option<&[u8]>) {
    assert_eq!(found.map(<[u8]>::len), expected.map(<[u8]>::len), "size of {name}");
    let pairs = found.into_iter().flatten().zip(expected.into_iter().flatten());
    let difference = pairs.enumerate().find(|(_, (found, expected))| found != expected);
    assert_eq!(difference, None, "first different byte of {name}, found and expected");
}

struct Run {
    world: World,
    model: Model,
    random: u64,
}

impl Run {
    fn below(&mut self, bound: u64) -> u64 {
        self.random = mix(self.random.wrapping_add(0x9E37_79B9));
        self.random % bound
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.below(NAMES.len() as u64) as usize]
    }

    fn open(&mut self) {
        let name = self.name();
        let Ok(handle) = self.world.open(name, CREATE) else { panic!("it can be made") };
        let next = self.model.next;
        let file = *self.model.names.entry(name).or_insert(next);
        if file == next {
            self.model.next += 1;
            self.model.files.insert(file, Vec::new());
        }
        self.model.open.push((handle, file));
        if self.model.open.len() > 4 {
            let (handle, _) = self.model.open.remove(0);
            self.world.close(handle);
        }
    }

    fn change_content(&mut self) {
        let Some((handle, file)) = self.model.open.last().copied() else { return };
        if self.below(4) == 0 {
            let size = self.below(SIZE_MAX);
            assert_eq!(self.world.truncate(handle, size), Ok(()));
            self.model.files.entry(file).or_default().resize(size as usize, 0);
            return;
        }
        let (offset, len) = (self.below(SIZE_MAX), 1 + self.below(2 * BLOCK as u64));
        // Of compressed files, the one gets smaller and the other does not.
        let (is_noise, fill) = (self.below(3) == 0, self.below(255));
        let byte = |at: u64| if is_noise { mix(fill << 32 | at) as u8 } else { fill as u8 + 1 };
        let data: Vec<u8> = (0..len).map(byte).collect();
        let count = self.world.write(handle, offset, &data).expect("there is space");
        self.model.write(file, offset, &data[..count as usize]);
    }

    fn check_content(&mut self) {
        let Some((handle, file)) = self.model.open.first().copied() else { return };
        let (offset, len) = (self.below(SIZE_MAX), self.below(3 * BLOCK as u64));
        let data = self.world.read(handle, offset, len as u32).expect("the disk is healthy");
        let content = &self.model.files[&file];
        let start = (offset as usize).min(content.len());
        let end = (start + len as usize).min(content.len());
        assert!(content[start..end].starts_with(&data), "no other bytes are read");
        if end > start {
            assert!(!data.is_empty(), "a read before the end answers something");
        }
    }

    fn change_names(&mut self) {
        let (from, to) = (self.name(), self.name());
        let source = self.model.names.get(from).copied();
        match self.below(3) {
            0 => {
                assert_eq!(self.world.unlink(from).is_ok(), source.is_some());
                self.model.names.remove(from);
            }
            1 => {
                assert_eq!(self.world.rename(from, to).is_ok(), source.is_some());
                let target = self.model.names.get(to).copied();
                if let Some(file) = source.filter(|_| source != target) {
                    self.model.names.remove(from);
                    self.model.names.insert(to, file);
                }
            }
            _ => {
                let may = source.is_some() && !self.model.names.contains_key(to);
                assert_eq!(self.world.link(from, to).is_ok(), may);
                if let Some(file) = source.filter(|_| may) {
                    self.model.names.insert(to, file);
                }
            }
        }
    }

    fn disturb(&mut self) {
        let which = self.below(8);
        match which {
            0 => self.world.flush(),
            1 => self.world.vfs.evict_all(),
            2 => assert_eq!(self.world.done(Request::SyncAll), Ok(())),
            3 => self.world.sim.run_background(),
            4 | 5 => {
                let Some((handle, _)) = self.model.open.last().copied() else { return };
                let request = Manage::SetCompression { handle, on: which == 4 };
                assert_eq!(self.world.done(Request::Manage(request)), Ok(()));
            }
            _ => {
                let Some((handle, _)) = self.model.open.last().copied() else { return };
                let request = if self.below(2) == 0 {
                    Request::Fsync { handle }
                } else {
                    Request::Fdatasync { handle }
                };
                assert_eq!(self.world.done(request), Ok(()));
            }
        }
    }

    fn check_all(&self) {
        for name in NAMES {
            let content = self.world.content(name).ok();
            let expected = self.model.names.get(name).map(|file| &self.model.files[file][..]);
            assert_same(name, content.as_deref(), expected);
            let Some(file) = self.model.names.get(name) else { continue };
            let link_count = self.model.names.values().filter(|other| *other == file).count();
            let stat = self.world.stat(name).expect("it is there");
            assert_eq!(stat.link_count, link_count as u64);
        }
    }

    fn remount(mut self) -> Self {
        for (handle, _) in std::mem::take(&mut self.model.open) {
            self.world.close(handle);
        }
        self.world.sim.run_background();
        let world = self.world.remounted();
        let random = self.random;
        Self { world, model: self.model, random }
    }
}

fn run(seed: u64, cached_bytes_max: u64) {
    let unrest = [
        (Site::FlusherWakes, Unrest::one_in(5)),
        (Site::ReclaimWakes, Unrest::one_in(7)),
        (Site::CommitterWakes, Unrest::one_in(9)),
        (Site::Preempt, Unrest::one_in(3)),
        (Site::Schedule, Unrest::one_in(3)),
        (Site::CompletionDelay, Unrest::one_in(4)),
    ];
    let sim = Sim::new(Seeded::new(seed, &unrest));
    let cache = CachePolicy { cached_bytes_max, batch_pages_max: 3, ..CachePolicy::default() };
    let mut world = World::with(formatted(TINY), sim, VfsPolicy::default(), cache);
    assert_eq!(world.mkdir("d"), Ok(()));
    world.process = 1;
    let mut run = Run { world, model: Model::default(), random: mix(seed) };
    for _ in 0..120 {
        match run.below(10) {
            0 | 1 => run.open(),
            2..=5 => run.change_content(),
            6 => run.check_content(),
            7 => run.change_names(),
            _ => run.disturb(),
        }
    }
    run.check_all();
    let run = run.remount();
    run.check_all();
}

#[test]
fn the_stack_does_what_a_map_does() {
    for seed in 0..150 {
        run(seed, 64 << 20);
    }
}

#[test]
fn the_stack_does_what_a_map_does_with_a_cache_of_three_pages() {
    for seed in 0..150 {
        run(seed, 3 * BLOCK as u64);
    }
}

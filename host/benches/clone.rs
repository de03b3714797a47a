//! What clones, snapshots and hole queries cost in the file system on the medium: a clone by the
//! items that it copies, a snapshot and a write after a clone by what changes, a hole query by
//! where it goes. Reported for a small and a large file or tree.

use std::sync::Arc;

use bytes::Bytes;
use crashproof::cow;
use crashproof::cow::CloneRange;
use crashproof::cow::Content;
use crashproof::cow::Cow;
use crashproof::cow::CowError;
use crashproof::cow::CowPolicy;
use crashproof::cow::Kind;
use crashproof::cow::ROOT_INO;
use crashproof::cow::Times;
use crashproof::device::Device;
use crashproof::device::Disk;
use crashproof::device::Geometry;
use crashproof::device::Image;
use crashproof::device::Payload;
use crashproof::sim::Sim;
use criterion::BatchSize;
use criterion::BenchmarkId;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;

const BLOCK: usize = 4096;

/// Items of content in a file: each of eight blocks, every second one a hole.
const ITEMS: [u64; 2] = [1_000, 100_000];

/// Files in a tree.
const FILES: [u64; 2] = [1_000, 100_000];

struct Mounted {
    sim: Sim,
    image: Image,
    cow: Cow,
}

fn mount(image: Image) -> Mounted {
    let sim = Sim::calm();
    let disk: Arc<dyn Device> = Arc::new(Disk::new(image.clone(), sim.clone()));
    let mounting = Cow::mount(disk, sim.clone(), CowPolicy::default());
    let cow = sim.block_on(mounting).expect("a healthy disk");
    Mounted { sim, image, cow }
}

/// A file system that `make` filled, and what it answered.
fn filled<T>(make: impl AsyncFnOnce(&Cow) -> Result<T, CowError>) -> (Mounted, T) {
    let geometry = Geometry { block_size_bytes: BLOCK as u32, block_count: 1 << 20 };
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(Image::new(geometry), sim.clone()));
    sim.block_on(cow::format(disk.as_ref(), &sim)).expect("a healthy disk");
    let device: Arc<dyn Device> = disk.clone();
    let mounting = Cow::mount(device, sim.clone(), CowPolicy::default());
    let cow = sim.block_on(mounting).expect("a healthy disk");
    let made = sim.block_on(async {
        let made = make(&cow).await?;
        cow.commit().await?;
        Ok::<T, CowError>(made)
    });
    (mount(disk.durable_image()), made.expect("there is space"))
}

async fn create(cow: &Cow, name: &str) -> Result<u64, CowError> {
    let mut transaction = cow.begin().await?;
    let ino = transaction.create_inode(Kind::Regular, ROOT_INO, Times::default()).await?;
    transaction.insert_entry(ROOT_INO, name.as_bytes(), ino, Kind::Regular).await?;
    transaction.finish().await?;
    Ok(ino)
}

async fn write(cow: &Cow, ino: u64, blocks: Vec<u64>) -> Result<(), CowError> {
    let payload = Payload::Owned(Bytes::from_static(&[7; BLOCK]));
    let content = blocks.into_iter().map(|block| Content::Plain(block, payload.clone())).collect();
    let written = cow.write_content(ino, content, u64::MAX, Times::default()).await;
    written.into_iter().collect()
}

/// A file of so many items with a hole in each, and an empty file.
fn sparse(items: u64) -> (Mounted, [u64; 2]) {
    filled(async |cow: &Cow| {
        let (one, two) = (create(cow, "one").await?, create(cow, "two").await?);
        for first in (0..items).step_by(1000) {
            let blocks = (first..items.min(first + 1000)).map(|item| 8 * item).collect();
            write(cow, one, blocks).await?;
        }
        Ok([one, two])
    })
}

fn range([from, to]: [u64; 2], blocks: u64) -> CloneRange {
    let (from_block, to_block, size_bytes) = (0, 0, blocks * BLOCK as u64);
    let times = Times::default();
    CloneRange { from, from_block, to, to_block, count: blocks, size_bytes, times }
}

fn seeks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seek_all");
    group.sample_size(10);
    for items in ITEMS {
        let (mounted, [one, _]) = sparse(items);
        let walk = async || {
            let (mut at, mut runs) = (0, 0);
            while let Some(run) = mounted.cow.next_data(one, at).await.expect("healthy") {
                at = run.end;
                runs += 1;
            }
            runs
        };
        group.bench_function(BenchmarkId::from_parameter(items), |bencher| {
            bencher.iter(|| assert_eq!(mounted.sim.block_on(walk()), items));
        });
    }
    group.finish();
}

fn clones(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("clone_file");
    group.sample_size(10);
    for items in ITEMS {
        let (ground, files) = sparse(items);
        let fresh = || {
            let mounted = mount(ground.image.clone());
            mounted.sim.block_on(mounted.cow.free_blocks()).expect("a healthy disk");
            mounted
        };
        group.bench_function(BenchmarkId::from_parameter(items), |bencher| {
            let clone = |mounted: Mounted| {
                let cloned = mounted.cow.clone_range(range(files, 8 * items));
                mounted.sim.block_on(cloned).expect("there is space");
                mounted
            };
            bencher.iter_batched(fresh, clone, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn overwrites(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("overwrite_after_clone");
    group.sample_size(10);
    for items in ITEMS {
        let (ground, files) = sparse(items);
        let cloned = ground.cow.clone_range(range(files, 8 * items));
        ground.sim.block_on(cloned).expect("there is space");
        ground.sim.block_on(ground.cow.commit()).expect("a healthy disk");
        let mut step = 0_u64;
        group.bench_function(BenchmarkId::from_parameter(items), |bencher| {
            bencher.iter(|| {
                step += 1;
                let block = 8 * (crashproof::sim::mix(step) % items);
                let written = write(&ground.cow, files[(step % 2) as usize], vec![block]);
                ground.sim.block_on(written).expect("there is space");
            });
        });
    }
    group.finish();
}

fn snapshots(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot_and_delete");
    group.sample_size(10);
    for files in FILES {
        let (mounted, first) = filled(async |cow: &Cow| {
            let first = create(cow, "0").await?;
            for number in 1..files {
                create(cow, &number.to_string()).await?;
            }
            Ok(first)
        });
        let step = async || {
            mounted.cow.take_snapshot(b"s").await?;
            write(&mounted.cow, first, vec![0]).await?;
            mounted.cow.delete_snapshot(b"s").await
        };
        mounted.sim.block_on(step()).expect("there is space");
        group.bench_function(BenchmarkId::from_parameter(files), |bencher| {
            bencher.iter(|| mounted.sim.block_on(step()).expect("there is space"));
        });
    }
    group.finish();
}

criterion_group!(benches, seeks, clones, overwrites, snapshots);
criterion_main!(benches);

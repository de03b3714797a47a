//! What mapped memory costs: a store, an msync, a first touch, mappings that nobody touches and
//! mappings of files that are mostly holes, all recorded and judged; and guests that map files.

mod ground;

use std::sync::Mutex;

use bytes::Bytes;
use crashproof::call::Access;
use crashproof::call::HandleId;
use crashproof::call::MappingId;
use crashproof::call::Memory;
use crashproof::call::Request;
use crashproof::call::Sharing;
use crashproof::call::Value;
use crashproof::check::world::World;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use ground::ask;
use ground::open;
use ground::world;

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// A store is announced by no more than this.
const ATOM: u64 = 64;

fn sized(world: &World, name: &'static str, size_bytes: u64) -> HandleId {
    let handle = open(world, name);
    ask(world, Request::Truncate { handle, size_bytes });
    handle
}

fn map(world: &World, handle: HandleId, len: u64) -> MappingId {
    let access = Access { read: true, write: true };
    let sharing = Sharing::Shared;
    let request = Request::Memory(Memory::Map { handle, offset: 0, len, access, sharing });
    let Value::Mapping(mapping) = ask(world, request) else {
        panic!("mmap answers a mapping");
    };
    mapping
}

fn unmap(world: &World, mapping: MappingId, len: u64) {
    ask(world, Request::Memory(Memory::Unmap { mapping, offset: 0, len }));
}

fn store(world: &World, mapping: MappingId, offset: u64, data: &Bytes) {
    let data = data.clone();
    ask(world, Request::Memory(Memory::Store { mapping, offset, data }));
}

fn msync(world: &World, mapping: MappingId, len: u64) {
    let (offset, wait, invalidate) = (0, true, false);
    let request = Memory::SyncMapping { mapping, offset, len, wait, invalidate };
    ask(world, Request::Memory(request));
}

fn stores(criterion: &mut Criterion) {
    let world = world();
    let handle = sized(&world, "f", MIB);
    let mapping = map(&world, handle, MIB);
    let (byte, atom) = (Bytes::from_static(b"x"), Bytes::from(vec![7; ATOM as usize]));
    let at = Mutex::new(0);
    let next = |step: u64| {
        let mut at = at.lock().expect("one thread");
        *at = (*at + step) % MIB;
        *at
    };
    criterion.bench_function("mapped store of 1 byte, msync every 64", |bencher| {
        let mut count = 0_u32;
        bencher.iter(|| {
            count += 1;
            store(&world, mapping, next(1), &byte);
            if count.is_multiple_of(64) {
                msync(&world, mapping, MIB);
            }
        });
    });
    criterion.bench_function("mapped store of 1 byte + msync of 1 MiB", |bencher| {
        bencher.iter(|| {
            store(&world, mapping, next(PAGE), &byte);
            msync(&world, mapping, MIB);
        });
    });
    criterion.bench_function("mapped stores of 1 MiB + msync", |bencher| {
        bencher.iter(|| {
            (0..MIB / ATOM).for_each(|number| store(&world, mapping, number * ATOM, &atom));
            msync(&world, mapping, MIB);
        });
    });
    criterion.bench_function("msync of 1 MiB, nothing stored", |bencher| {
        bencher.iter(|| msync(&world, mapping, MIB));
    });
}

/// A page of a new mapping: the first store faults, the second does not.
fn first_touch(criterion: &mut Criterion) {
    let byte = Bytes::from_static(b"x");
    let world = world();
    let handle = sized(&world, "f", 64 * PAGE);
    for stores_a_page in [0, 1, 2] {
        let name = format!("map, {stores_a_page} stores to each of 64 pages, msync, unmap");
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| {
                let mapping = map(&world, handle, 64 * PAGE);
                for number in 0..64 * stores_a_page {
                    store(&world, mapping, number % 64 * PAGE + number / 64, &byte);
                }
                msync(&world, mapping, 64 * PAGE);
                unmap(&world, mapping, 64 * PAGE);
            });
        });
    }
}

/// Costs follow data and change, not length.
fn lengths(criterion: &mut Criterion) {
    let byte = Bytes::from_static(b"x");
    for (name, size_bytes) in [("1 MiB", MIB), ("1 GiB", GIB)] {
        let world = world();
        let handle = sized(&world, "f", size_bytes);
        criterion.bench_function(&format!("map and unmap a hole of {name}"), |bencher| {
            bencher.iter(|| {
                let mapping = map(&world, handle, size_bytes);
                unmap(&world, mapping, size_bytes);
            });
        });
        let mapping = map(&world, handle, size_bytes);
        store(&world, mapping, size_bytes / 2, &byte);
        criterion.bench_function(
            &format!("store of 1 byte in a hole of {name} + msync"),
            |bench| {
                bench.iter(|| {
                    store(&world, mapping, size_bytes / 2, &byte);
                    msync(&world, mapping, size_bytes);
                });
            },
        );
    }
    for count in [0, 1000] {
        let world = world();
        let handle = sized(&world, "f", GIB);
        for _ in 0..count {
            map(&world, handle, GIB);
        }
        let other = sized(&world, "other", PAGE);
        let data = Bytes::from(vec![7; PAGE as usize]);
        let name = format!("write 4 KiB + fsync beside {count} mappings that nobody touches");
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| {
                let data = data.clone();
                ask(&world, Request::Write { handle: other, offset: Some(0), data });
                ask(&world, Request::Fsync { handle: other })
            });
        });
    }
}

/// Whole guests: what a store of theirs costs on its way, and a B-tree of 1,000 commits.
#[cfg(feature = "wasm")]
fn guests(criterion: &mut Criterion) {
    use crashproof::call::ProcessId;
    use crashproof::guest;

    const STORES: u64 = 10_000;
    let limits = guest::Limits::default();
    let engine = guest::Engine::new(guest::EngineOptions::from(&limits)).expect("it starts");
    for (place, address) in [("outside of", 1024), ("inside", 131_072)] {
        let text = format!(
            r#"(module
                 (import "crashproof_ext_v0" "fd_mmap"
                   (func $map (param i32 i32 i32 i32 i32 i64) (result i32)))
                 (import "wasi_snapshot_preview1" "path_open"
                   (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
                 (import "wasi_snapshot_preview1" "fd_filestat_set_size"
                   (func $size (param i32 i64) (result i32)))
                 (memory (export "memory") 4)
                 (data (i32.const 8) "f")
                 (func (export "_start") (local $left i32)
                   (drop (call $open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 1)
                     (i32.const 1) (i64.const 0x1fffffff) (i64.const 0) (i32.const 0)
                     (i32.const 16)))
                   (drop (call $size (i32.load (i32.const 16)) (i64.const 65536)))
                   (if (call $map (i32.load (i32.const 16)) (i32.const 131072)
                       (i32.const 65536) (i32.const 3) (i32.const 1) (i64.const 0))
                     (then unreachable))
                   (local.set $left (i32.const {STORES}))
                   (loop $again
                     (i32.store8 (i32.add (i32.const {address}) (local.get $left))
                       (local.get $left))
                     (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                     (br_if $again (local.get $left)))))"#
        );
        let bytes = wat::parse_str(&text).expect("the text above is a module");
        let module = guest::Module::load(&engine, &bytes).expect("a program");
        criterion.bench_function(
            &format!("a guest's {STORES} stores {place} its mapping"),
            |bench| {
                bench.iter(|| run(&module, ProcessId(1), &[], &limits));
            },
        );
    }
    let btree = crashproof::guests::named("app_mapped_btree").expect("it is built in");
    let module = guest::Module::load(&engine, btree.wasm).expect("a program");
    let mut group = criterion.benchmark_group("app_mapped_btree");
    group.sample_size(10);
    group.bench_function("1000 commits", |bencher| {
        bencher.iter(|| run(&module, ProcessId(1), &["app_mapped_btree", "1000"], &limits));
    });
    group.finish();
}

#[cfg(feature = "wasm")]
fn run(
    module: &crashproof::guest::Module,
    process: crashproof::call::ProcessId,
    args: &[&'static str],
    limits: &crashproof::guest::Limits,
) {
    use crashproof::guest;

    let world = world();
    let ground = guest::World { sim: world.sim.clone(), vfs: world.recorder.clone() };
    let mut config = guest::ProcessConfig::new(process);
    config.args = args.iter().map(|word| Bytes::from_static(word.as_bytes())).collect();
    config.preopens = vec![(Bytes::from_static(b"/"), world.preopen("/").expect("the root"))];
    let run = guest::run_one(&ground, module, config, limits);
    assert!(matches!(run.end, guest::GuestEnd::Exited(0)), "{:?}", run.end);
}

#[cfg(not(feature = "wasm"))]
fn guests(_criterion: &mut Criterion) {}

criterion_group!(benches, stores, first_touch, lengths, guests);
criterion_main!(benches);

//! fsck and mount are two readers of one format: what fsck passes, a mount shows as it was.

use std::collections::BTreeSet;

use bytes::Bytes;
use crashproof::call::At;
use crashproof::call::CallId;
use crashproof::call::Caller;
use crashproof::call::HandleId;
use crashproof::call::OpenOptions;
use crashproof::call::ProcessId;
use crashproof::call::Request;
use crashproof::call::Value;
use crashproof::call::Vfs;
use crashproof::check::recover::recover;
use crashproof::cow::fsck;
use crashproof::device::Block;
use crashproof::device::BlockNo;
use crashproof::device::FaultPlan;
use crashproof::device::Geometry;
use crashproof::device::Image;
use crashproof::device::Walk;
use crashproof::sim::Sim;
use crashproof::subject::Policies;
use crashproof::subject::Stack;
use crashproof::subject::StackPlan;

const SHAPE: Geometry = Geometry { block_size_bytes: 512, block_count: 64 };

fn plan() -> StackPlan {
    StackPlan { geometry: SHAPE, policies: Policies::default(), faults: FaultPlan::default() }
}

fn at(path: &'static str) -> At {
    At { directory: HandleId::ROOT, path: Bytes::from_static(path.as_bytes()) }
}

/// A directory, two files and a symbolic link: some in the tree, some in the log.
fn example() -> Stack {
    let sim = Sim::calm();
    let stack = sim.block_on(Stack::format(&plan(), &sim)).expect("room for it");
    let ask = |request| {
        let caller = Caller { process: ProcessId(1), call: CallId(1) };
        let reply = sim.block_on(stack.vfs.call(caller, request)).expect("nothing halts here");
        reply.expect("nothing fails here")
    };
    let file = |path, byte| {
        let options = OpenOptions { write: true, create: true, ..OpenOptions::default() };
        let Value::Handle { handle, .. } = ask(Request::Open { at: at(path), options }) else {
            panic!("open answers a handle");
        };
        let data = Bytes::from(vec![byte; 700]);
        ask(Request::Write { handle, offset: Some(0), data });
        handle
    };
    ask(Request::MakeDirectory { at: at("d"), mode: None });
    file("a", 1);
    ask(Request::SyncAll);
    let second = file("d/b", 2);
    ask(Request::Symlink { target: Bytes::from_static(b"d/b"), at: at("s") });
    ask(Request::Fsync { handle: second });
    stack
}

fn seen(image: &Image) -> String {
    format!("{:?}", recover(image, &plan()).survey())
}

/// Everything that a mount could show at some moment of the example.
fn moments(stack: &Stack) -> BTreeSet<String> {
    let history = stack.disk.history();
    let mut walk = Walk::new(&history);
    (0..=history.len()).map(|position| seen(&walk.advance(position).durable)).collect()
}

fn flipped(image: &Image, block: BlockNo, at: usize, mask: u8) -> Image {
    let mut bytes = image.get(block).expect("a block of the image").to_vec();
    bytes[at] ^= mask;
    let mut changed = image.clone();
    changed.set(block, Block::new(block, Bytes::from(bytes)));
    changed
}

/// Flips each byte of the image; counts the images that `reader` passes and a mount shows as
/// nothing that ever was.
fn unnoticed(stack: &Stack, reader: impl Fn(&Image) -> bool) -> usize {
    let (image, moments) = (stack.disk.durable_image(), moments(stack));
    let blocks: Vec<BlockNo> = image.blocks().map(|(block, _)| block).collect();
    let mut unnoticed = 0;
    for block in blocks {
        for at in 0..512 {
            let changed = flipped(&image, block, at, 1 << (at % 8));
            if reader(&changed) && !moments.contains(&seen(&changed)) {
                unnoticed += 1;
            }
        }
    }
    unnoticed
}

#[test]
fn every_changed_byte_is_reported_or_harmless() {
    let stack = example();
    assert_eq!(fsck::check(&stack.disk.durable_image()), []);
    assert_eq!(unnoticed(&stack, |image| fsck::check(image).is_empty()), 0);
}

// The test above is worth something only if a reader that looks at nothing fails it.
#[test]
fn a_reader_that_checks_nothing_lets_changed_bytes_pass() {
    assert!(unnoticed(&example(), |_| true) > 500);
}

#[test]
fn every_durable_moment_of_a_healthy_disk_is_whole() {
    let stack = example();
    let history = stack.disk.history();
    let mut walk = Walk::new(&history);
    for position in 0..=history.len() {
        assert_eq!(fsck::check(&walk.advance(position).durable), [], "position {position}");
    }
}

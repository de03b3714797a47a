//! Holds the stack to the words of `host/docs/fault-model.md`: survived, detected, out of reach.

use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use crashproof::call::Answer;
use crashproof::call::At;
use crashproof::call::CallId;
use crashproof::call::Caller;
use crashproof::call::Errno;
use crashproof::call::HandleId;
use crashproof::call::OpenOptions;
use crashproof::call::ProcessId;
use crashproof::call::Request;
use crashproof::call::Value;
use crashproof::call::Vfs;
use crashproof::cow;
use crashproof::cow::Cow;
use crashproof::cow::CowPolicy;
use crashproof::cow::Kind;
use crashproof::cow::ROOT_INO;
use crashproof::cow::Times;
use crashproof::device::Block;
use crashproof::device::Completion;
use crashproof::device::Device;
use crashproof::device::Disk;
use crashproof::device::FailRule;
use crashproof::device::Geometry;
use crashproof::device::Image;
use crashproof::device::Request as DeviceRequest;
use crashproof::device::RequestId;
use crashproof::device::StateBounds;
use crashproof::device::Walk;
use crashproof::sim::Sim;
use crashproof::subject::Policies;
use crashproof::subject::Stack;
use crashproof::subject::StackPlan;

const SHAPE: Geometry = Geometry { block_size_bytes: 1024, block_count: 256 };

fn plan(faults: &[&str]) -> StackPlan {
    let rule = |text: &&str| text.parse::<FailRule>().expect("a rule of this file");
    StackPlan {
        geometry: SHAPE,
        policies: Policies::default(),
        faults: faults.iter().map(rule).collect(),
    }
}

fn ask(stack: &Stack, sim: &Sim, request: Request) -> Answer {
    let caller = Caller { process: ProcessId(1), call: CallId(1) };
    sim.block_on(stack.vfs.call(caller, request)).expect("nothing halts here")
}

fn open(stack: &Stack, sim: &Sim) -> HandleId {
    let at = At { directory: HandleId::ROOT, path: Bytes::from_static(b"f") };
    let options = OpenOptions { read: true, write: true, create: true, ..OpenOptions::default() };
    let Ok(Value::Handle { handle, .. }) = ask(stack, sim, Request::Open { at, options }) else {
        panic!("open answers a handle");
    };
    handle
}

fn write(stack: &Stack, sim: &Sim, handle: HandleId, byte: u8) {
    let data = Bytes::from(vec![byte; 2048]);
    let written = ask(stack, sim, Request::Write { handle, offset: Some(0), data });
    assert_eq!(written, Ok(Value::Count(2048)));
}

fn read(stack: &Stack, sim: &Sim, handle: HandleId) -> Result<Bytes, Errno> {
    let told = ask(stack, sim, Request::Read { handle, offset: Some(0), len: 2048 })?;
    let Value::Data(bytes) = told else { panic!("a read answers data") };
    Ok(bytes)
}

#[test]
fn torn_writes_and_power_loss_are_survived() {
    let sim = Sim::calm();
    let stack = sim.block_on(Stack::format(&plan(&[]), &sim)).expect("room for it");
    let handle = open(&stack, &sim);
    write(&stack, &sim, handle, 1);
    assert_eq!(ask(&stack, &sim, Request::Fsync { handle }), Ok(Value::Done));
    let acknowledged = stack.disk.history().len();
    write(&stack, &sim, handle, 2);
    assert_eq!(ask(&stack, &sim, Request::Fsync { handle }), Ok(Value::Done));
    let history = stack.disk.history();
    let mut walk = Walk::new(&history);
    let bounds = StateBounds { subset_count_max: 8, torn: true };
    let mut torn = 0;
    for position in acknowledged..=history.len() {
        for state in walk.advance(position).states(&bounds).states {
            torn += 1;
            let after = Sim::calm();
            let found = after
                .block_on(Stack::mount(state.image, &plan(&[]), &after))
                .expect("recovery succeeds");
            let handle = open(&found, &after);
            let bytes = read(&found, &after, handle).expect("no checksum fails");
            // The two blocks may be of different writes: only their sync makes them one.
            assert!(bytes.len() == 2048 && bytes.iter().all(|byte| [1, 2].contains(byte)));
            if position == history.len() {
                assert!(bytes.iter().all(|byte| *byte == 2));
            }
        }
    }
    assert!(torn >= 12, "states were tried: {torn}");
}

#[test]
fn a_refused_write_of_any_class_is_told_and_what_is_told_durable_is() {
    for class in ["data", "log", "tree", "root", "any"] {
        for error in ["", "=enospc"] {
            let rule = format!("{class}:1x2{error}");
            let sim = Sim::calm();
            let stack = sim.block_on(Stack::format(&plan(&[&rule]), &sim)).expect("room");
            let handle = open(&stack, &sim);
            write(&stack, &sim, handle, 7);
            let mut told = Vec::new();
            for _ in 0..6 {
                // Rewriting is what ends a loss; a full sync writes tree and root.
                write(&stack, &sim, handle, 7);
                told.push(ask(&stack, &sim, Request::Fsync { handle }).is_ok());
                told.push(ask(&stack, &sim, Request::SyncAll).is_ok());
            }
            assert!(told.contains(&false), "{rule}: somebody is told: {told:?}");
            assert_eq!(told.last(), Some(&true), "{rule}: it ends: {told:?}");
            let after = Sim::calm();
            let image = stack.disk.durable_image();
            let found = after.block_on(Stack::mount(image, &plan(&[]), &after)).expect("whole");
            let handle = open(&found, &after);
            assert_eq!(read(&found, &after, handle), Ok(Bytes::from(vec![7; 2048])), "{rule}");
        }
    }
}

#[test]
fn a_changed_byte_is_an_error_and_never_another_byte() {
    let sim = Sim::calm();
    let stack = sim.block_on(Stack::format(&plan(&[]), &sim)).expect("room for it");
    let handle = open(&stack, &sim);
    write(&stack, &sim, handle, 9);
    assert_eq!(ask(&stack, &sim, Request::SyncAll), Ok(Value::Done));
    let image = stack.disk.durable_image();
    let blocks: Vec<_> = image.blocks().map(|(no, bytes)| (no, bytes.clone())).collect();
    let mut detected = 0;
    for (block, bytes) in blocks {
        let mut content = bytes.to_vec();
        content[17] ^= 4;
        let mut changed = image.clone();
        changed.set(block, Block::new(block, Bytes::from(content)));
        let after = Sim::calm();
        let Ok(found) = after.block_on(Stack::mount(changed, &plan(&[]), &after)) else {
            detected += 1;
            continue;
        };
        let at = At { directory: HandleId::ROOT, path: Bytes::from_static(b"f") };
        let options = OpenOptions { read: true, ..OpenOptions::default() };
        let Ok(Value::Handle { handle, .. }) = ask(&found, &after, Request::Open { at, options })
        else {
            detected += 1;
            continue;
        };
        match read(&found, &after, handle) {
            Ok(read) => assert!(read.iter().all(|byte| *byte == 9), "{block:?}"),
            Err(errno) => {
                detected += 1;
                assert_eq!(errno, Errno::Io);
            }
        }
    }
    assert!(detected >= 3, "tree and content are checked: {detected}");
}

/// A disk whose flushes do nothing.
struct Lying(Arc<Disk>);

impl Device for Lying {
    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn submit(&self, request: DeviceRequest) -> RequestId {
        if matches!(request, DeviceRequest::Flush) {
            return RequestId(u64::MAX);
        }
        self.0.submit(request)
    }

    fn poll(&self, id: RequestId, cx: &mut Context<'_>) -> Poll<Completion> {
        if id == RequestId(u64::MAX) {
            return Poll::Ready(Ok(Bytes::new()));
        }
        self.0.poll(id, cx)
    }
}

#[test]
fn a_lying_flush_is_out_of_reach() {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(Image::new(SHAPE), sim.clone()));
    sim.block_on(cow::format(disk.as_ref(), &sim)).expect("the disk is whole");
    let before = disk.durable_image();
    sim.block_on(async {
        let lying = Arc::new(Lying(Arc::clone(&disk)));
        let cow = Cow::mount(lying, sim.clone(), CowPolicy::default()).await.expect("just made");
        let times = Times { access_nanos: 1, modify_nanos: 1, change_nanos: 1 };
        let mut change = cow.begin().await.expect("whole");
        let ino = change.create_inode(Kind::Regular, ROOT_INO, times).await.expect("room");
        change.insert_entry(ROOT_INO, b"f", ino, Kind::Regular).await.expect("a fresh name");
        change.finish().await.expect("whole");
        cow.commit().await.expect("the device says that all is well");
    });
    assert_eq!(disk.durable_image().hash(), before.hash(), "and nothing of it is durable");
}

#[test]
fn the_page_names_every_fault_of_this_file() {
    let page = include_str!("../docs/fault-model.md");
    for fault in ["torn write", "power loss", "write error", "no space", "changed byte"] {
        assert!(page.contains(&format!("| {fault} |")), "{fault}");
    }
    assert!(page.contains("| lying flush |"));
}

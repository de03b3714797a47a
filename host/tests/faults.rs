//! Holds the stack to the words of `host/docs/fault-model.md`: survived, detected, out of reach.

use std::ops::Range;

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
use crashproof::check::campaign::Campaign;
use crashproof::cow::RecordFailure;
use crashproof::device::Block;
use crashproof::device::Fault;
use crashproof::device::FaultKind;
use crashproof::device::FaultPlan;
use crashproof::device::FaultRule;
use crashproof::device::Geometry;
use crashproof::device::StateBounds;
use crashproof::device::ThinPool;
use crashproof::device::Walk;
use crashproof::device::WhenFull;
use crashproof::sim::Sim;
use crashproof::sim::mix;
use crashproof::subject::Policies;
use crashproof::subject::Stack;
use crashproof::subject::StackPlan;
use crashproof::subject::profile_named;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::Event;
use crashproof_spec::words::Call;
use crashproof_spec::words::Manage;
use crashproof_spec::words::Testimony;

const SHAPE: Geometry = Geometry { block_size_bytes: 1024, block_count: 256 };

fn plan(faults: &[&str]) -> StackPlan {
    let rule = |text: &&str| text.parse::<FaultRule>().expect("a rule of this file");
    StackPlan {
        geometry: SHAPE,
        policies: Policies::default(),
        faults: faults.iter().map(rule).collect::<Vec<_>>().into(),
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

#[test]
fn a_lying_flush_is_out_of_reach_and_noted() {
    let sim = Sim::calm();
    let plan = plan(&["lying-flush times=until-healed"]);
    let stack = sim.block_on(Stack::format(&plan, &sim)).expect("room for it");
    let before = stack.disk.durable_image();
    let handle = open(&stack, &sim);
    write(&stack, &sim, handle, 9);
    assert_eq!(ask(&stack, &sim, Request::SyncAll), Ok(Value::Done));
    assert_eq!(stack.disk.durable_image().hash(), before.hash(), "nothing of it is durable");
    let history = stack.disk.history();
    assert!(Walk::new(&history).advance(history.len()).is_lied_to());
}

#[test]
fn a_misdirected_write_is_an_error_and_never_another_byte() {
    for rule in ["misdirected-write class=data", "misdirected-write class=data to=9"] {
        let sim = Sim::calm();
        let stack = sim.block_on(Stack::format(&plan(&[rule]), &sim)).expect("room for it");
        let handle = open(&stack, &sim);
        write(&stack, &sim, handle, 9);
        assert_eq!(ask(&stack, &sim, Request::Fsync { handle }), Ok(Value::Done), "it is lied to");
        stack.vfs.evict_all();
        assert_eq!(read(&stack, &sim, handle), Err(Errno::Io), "{rule}");
    }
}

#[test]
fn a_read_error_is_told_to_who_reads_and_passes() {
    let sim = Sim::calm();
    let stack = sim.block_on(Stack::format(&plan(&["read-error class=data"]), &sim)).expect("room");
    let handle = open(&stack, &sim);
    write(&stack, &sim, handle, 9);
    assert_eq!(ask(&stack, &sim, Request::Fsync { handle }), Ok(Value::Done));
    stack.vfs.evict_all();
    assert_eq!(read(&stack, &sim, handle), Err(Errno::Io));
    assert_eq!(read(&stack, &sim, handle), Ok(Bytes::from(vec![9; 2048])));
}

/// Every kind of rule, without its number.
const KINDS: [&str; 16] = [
    "write-error",
    "write-error class=data error=enospc",
    "write-error class=log",
    "write-error class=tree",
    "write-error class=root",
    "torn-write",
    "torn-write class=root",
    "misdirected-write",
    "misdirected-write class=tree",
    "read-error",
    "read-error class=data",
    "flush-error",
    "lying-flush",
    "link-loss",
    "latency steps=5",
    "latency class=data steps=40",
];

/// Bytes that a fuzzer could have made: those of `campaign.rs`.
fn bytes(seed: u64) -> Vec<u8> {
    let len = 64 + mix(seed) % 512;
    (0..len).map(|at| (mix(seed.wrapping_mul(0x1_0001) ^ mix(at)) >> 24) as u8).collect()
}

fn makes_in_place(event: &Event) -> bool {
    matches!(event, Event::Called { call: Call::Manage(Manage::SetNoCow { .. }), .. })
}

/// Programs that go on under a plan, until one breaks a promise: how many had errors, and how many
/// were lied to.
fn go_on(faults: &FaultPlan, seeds: Range<u64>, stack: &Policies) -> (u64, u64) {
    let (faults, policies) = (faults.clone(), stack.clone());
    let campaign = Campaign { faults, policies, ..Campaign::default() };
    let is_misdirected = |rule: &FaultRule| matches!(rule.fault, Fault::MisdirectedWrite(_));
    let is_misdirected = campaign.faults.rules.iter().any(is_misdirected);
    let (mut failed, mut lied) = (0, 0);
    for seed in seeds {
        let Some(execution) = campaign.execute(&bytes(seed)) else { continue };
        // What is written in place has no checksum: other bytes there are out of reach.
        if is_misdirected && execution.events.iter().any(makes_in_place) {
            continue;
        }
        let (broken, unknown) = (execution.violations.first(), execution.undecided.first());
        assert!(broken.is_none(), "{:?}, seed {seed}: {broken:?}", campaign.faults);
        assert!(unknown.is_none(), "{:?}, seed {seed}: {unknown:?}", campaign.faults);
        let is_error = |event: &&Event| matches!(event, Event::Answered { outcome: Err(_), .. });
        failed += u64::from(execution.events.iter().any(|event| is_error(&event)));
        lied += u64::from(execution.events.contains(&Event::Testified(Testimony::Lied)));
    }
    (failed, lied)
}

#[test]
fn programs_go_on_under_every_kind_of_fault_at_every_request() {
    let mut told = 0;
    for kind in KINDS {
        let mut lies = 0;
        for nth in 1..=24 {
            for times in ["1", "2", "until-healed"] {
                let rule = format!("{kind} nth={nth} times={times}").parse::<FaultRule>();
                let plan = FaultPlan::from(vec![rule.expect("a rule of this file")]);
                let (failed, lied) = go_on(&plan, nth * 3..nth * 3 + 3, &Policies::default());
                told += failed;
                lies += lied;
            }
        }
        let is_liar = kind.starts_with("lying") || kind.starts_with("misdirected");
        assert_eq!(lies > 0, is_liar, "{kind}: {lies}");
    }
    assert!(told > 1000, "{told}");
}

#[test]
fn programs_go_on_in_a_pool_that_is_too_small_and_under_faults_by_chance() {
    for blocks in 4..40 {
        for when_full in [WhenFull::Fail, WhenFull::Queue] {
            let pool = Some(ThinPool { blocks, when_full });
            let plan = FaultPlan { pool, ..FaultPlan::default() };
            go_on(&plan, blocks * 3..blocks * 3 + 3, &Policies::default());
        }
    }
    let plan = FaultPlan { random_max: 4, ..FaultPlan::default() };
    go_on(&plan, 1..200, &Policies::default());
}

/// Wherever the log or the tree cannot be written, a file system may stop; it never hangs.
#[test]
fn a_file_system_that_stops_goes_on_answering() {
    for profile in ["ext4-ordered", "xfs", "btrfs-before-6.6", "zfs-wait", "zfs-continue"] {
        let policies = profile_named(profile).expect("it is in the list");
        let expected = Promises::named(profile);
        for kind in KINDS {
            for nth in 1..=8 {
                let rule = format!("{kind} nth={nth} times=until-healed").parse::<FaultRule>();
                let faults = FaultPlan::from(vec![rule.expect("a rule of this file")]);
                let (policies, expected) = (policies.clone(), expected.clone());
                let campaign = Campaign { faults, policies, expected, ..Campaign::default() };
                let Some(execution) = campaign.execute(&bytes(nth)) else { continue };
                let broken = execution.violations.first();
                assert!(broken.is_none(), "{profile}, {:?}: {broken:?}", campaign.faults);
            }
        }
    }
}

/// How many programs break a promise of `xfs` on a device whose flush drops its cache.
fn broken_by_dropped_caches(policies: &Policies) -> u64 {
    let expected = Promises::named("xfs");
    let mut count = 0;
    for nth in 1..=24 {
        for seed in nth * 5..nth * 5 + 5 {
            let rule = format!("dropping-flush nth={nth}").parse::<FaultRule>();
            let faults = FaultPlan::from(vec![rule.expect("a rule of this file")]);
            let (policies, expected) = (policies.clone(), expected.clone());
            let campaign = Campaign { faults, policies, expected, ..Campaign::default() };
            let Some(execution) = campaign.execute(&bytes(seed)) else { continue };
            count += u64::from(!execution.violations.is_empty());
        }
    }
    count
}

/// What the second sync is told, and a read of what is on the medium, after a flush that dropped
/// the device's cache.
fn after_a_dropped_cache(policies: Policies) -> (Answer, Result<Bytes, Errno>) {
    let sim = Sim::calm();
    let plan = StackPlan { policies, ..plan(&["dropping-flush"]) };
    let stack = sim.block_on(Stack::format(&plan, &sim)).expect("room for it");
    let handle = open(&stack, &sim);
    write(&stack, &sim, handle, 9);
    assert_eq!(ask(&stack, &sim, Request::Fsync { handle }), Err(Errno::Io));
    let told = ask(&stack, &sim, Request::Fsync { handle });
    stack.vfs.evict_all();
    (told, read(&stack, &sim, handle))
}

#[test]
fn a_dropped_cache_is_detected_by_a_file_system_that_stops() {
    let mut policies = profile_named("xfs").expect("it is in the list");
    assert_eq!(broken_by_dropped_caches(&policies), 0);
    let stopped = (Err(Errno::Io), Err(Errno::Io));
    assert_eq!(after_a_dropped_cache(policies.clone()), stopped);
    policies.cow.flush_failure = RecordFailure::Continues;
    let (told, found) = after_a_dropped_cache(policies);
    assert_eq!((told, found.ok()), (Ok(Value::Done), None), "DEF-004f: success, and nothing there");
}

#[test]
fn the_page_names_every_fault_of_this_file() {
    let page = include_str!("../docs/fault-model.md");
    let faults = ["torn write", "power loss", "write error", "no space", "changed byte"];
    let others = ["read error", "flush error", "lying flush", "misdirected write", "link loss"];
    for fault in faults.iter().chain(&others).chain(&["dropped cache"]) {
        assert!(page.contains(&format!("| {fault} |")), "{fault}");
    }
    for kind in FaultKind::ALL {
        assert!(page.contains(&format!("| `{}` |", kind.name())), "{}", kind.name());
    }
}

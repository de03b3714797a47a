//! What each rule does, on a device of few blocks.

use super::*;
use crate::device::Class;
use crate::device::Disk;
use crate::device::Walk;
use crate::device::completion;
use crate::device::perform;
use crate::sim::Seeded;
use crate::sim::Unrest;
use std::sync::Mutex;

const SHAPE: Geometry = Geometry { block_size_bytes: 1024, block_count: 8 };
const RULES: [&str; 15] = [
    "data:2",
    "log:1x3",
    "any:4..",
    "tree:1=enospc",
    "root:7..=enospc",
    "write-error class=data object=3 offset=0..4096 nth=2 times=4",
    "write-error blocks=1..3 error=enospc times=until-healed",
    "torn-write sectors=1",
    "misdirected-write class=data",
    "misdirected-write to=5 nth=2",
    "read-error class=tree nth=3",
    "flush-error times=2",
    "lying-flush times=until-healed",
    "link-loss nth=5 times=7",
    "latency class=data steps=4 times=until-healed",
];

struct World {
    sim: Sim,
    disk: Arc<Disk>,
    faulty: Faulty,
}

fn world(orders: &[&str]) -> World {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(Image::new(SHAPE), sim.clone()));
    let faulty = Faulty::new(disk.clone(), FaultPlan::default(), sim.clone());
    let faulty = faulty.above(Image::new(SHAPE), disk.history());
    for order in orders {
        faulty.obey(order.parse().expect("an order of this file"));
    }
    World { sim, disk, faulty }
}

fn write_for(block: u64, byte: u8, origin: Origin) -> Request {
    let payload = Payload::Owned(Bytes::from(vec![byte; 1024]));
    Request::Write { block: BlockNo(block), payload, force_unit_access: false, origin }
}

fn write(block: u64, byte: u8) -> Request {
    write_for(block, byte, Origin { class: Class::Data, object: 3, offset: block * 1024 })
}

impl World {
    fn ask(&self, request: Request) -> Completion {
        self.sim.block_on(perform(&self.faulty, request))
    }

    fn read(&self, block: u64) -> Result<u8, DeviceError> {
        self.ask(Request::Read { block: BlockNo(block) }).map(|bytes| bytes[0])
    }
}

#[test]
fn a_rule_reads_back_as_itself() {
    for text in RULES {
        assert_eq!(text.parse::<FaultRule>().expect(text).to_string(), text);
    }
    for text in ["heal", "grow 7", "pool 3", "pool 3 queue", "data:2", "read-error"] {
        assert_eq!(text.parse::<FaultOrder>().expect(text).to_string(), text);
    }
    let nonsense = [
        "data",
        "data:0",
        "data:2x",
        "disk:1",
        "data:1=boom",
        "pool",
        "grow much",
        "read-error error=enospc",
        "torn-write sectors=0",
        "latency",
        "latency steps=0",
        "flush-error blocks=1..2",
        "write-error class=tree object=3",
        "write-error blocks=3..3",
        "write-error times=0",
        "write-error colour=red",
    ];
    for text in nonsense {
        assert!(text.parse::<FaultOrder>().is_err(), "{text}");
    }
}

#[test]
fn writes_fail_by_number_class_object_offset_and_block() {
    let of = |class, object, offset| Origin { class, object, offset };
    let requests = [
        write_for(0, 1, of(Class::Data, 3, 0)),
        write_for(1, 1, of(Class::Data, 3, 4096)),
        write_for(2, 1, of(Class::Data, 4, 0)),
        write_for(3, 1, of(Class::Tree, 0, 0)),
        write_for(3, 1, of(Class::Tree, 0, 0)),
    ];
    let failing = |rule: &str| -> Vec<usize> {
        let world = world(&[rule]);
        let failed = |request: &Request| world.ask(request.clone()).is_err();
        (0..requests.len()).filter(|at| failed(&requests[*at])).collect()
    };
    assert_eq!(failing("any:2x2"), [1, 2]);
    assert_eq!(failing("data:3.."), [2]);
    assert_eq!(failing("tree:2"), [4]);
    assert_eq!(failing("write-error object=3 times=until-healed"), [0, 1]);
    assert_eq!(failing("write-error object=3 offset=4000..4097"), [1]);
    assert!(failing("write-error offset=1024..4096").is_empty());
    assert_eq!(failing("write-error blocks=3..4 nth=2"), [4]);
}

#[test]
fn a_read_fails_by_what_was_written_and_the_write_stays() {
    let world = world(&["read-error object=3 times=2"]);
    world.ask(write_for(0, 7, Origin { class: Class::Tree, object: 0, offset: 0 })).expect("ok");
    world.ask(write(1, 8)).expect("a write");
    let told: Vec<_> = [0, 1, 1, 1].map(|block| world.read(block)).into();
    assert_eq!(told, [Ok(7), Err(DeviceError::Io), Err(DeviceError::Io), Ok(8)]);
}

#[test]
fn a_torn_write_is_refused_and_some_of_its_sectors_are_there() {
    let world = world(&["torn-write nth=2"]);
    world.ask(write(1, 1)).expect("the first");
    assert_eq!(world.ask(write(1, 2)), Err(DeviceError::Io));
    let found = world.ask(Request::Read { block: BlockNo(1) }).expect("a block");
    assert_eq!((found[511], found[512]), (2, 1));
}

#[test]
fn a_misdirected_write_is_in_another_block_and_noted_for_good() {
    let world = world(&["misdirected-write nth=2 to=5"]);
    world.ask(write(1, 1)).expect("the first");
    world.ask(write(1, 2)).expect("so it says");
    world.ask(Request::Flush).expect("a flush");
    assert_eq!([1, 5].map(|block| world.read(block)), [Ok(1), Ok(2)]);
    let history = world.disk.history();
    let mut walk = Walk::new(&history);
    assert!(!walk.advance(1).is_misplaced());
    assert!(walk.advance(history.len()).is_misplaced() && walk.advance(usize::MAX).is_lied_to());
}

#[test]
fn a_lying_flush_makes_nothing_durable_until_another_flush_does() {
    let world = world(&["lying-flush"]);
    world.ask(write(1, 1)).expect("a write");
    world.ask(Request::Flush).expect("so it says");
    assert_eq!(world.disk.durable_image().get(BlockNo(1)).expect("a block")[0], 0);
    let (history, position) = (world.disk.history(), world.disk.history().len());
    let mut walk = Walk::new(&history);
    let point = walk.advance(position);
    assert!(point.is_lied_to() && !point.is_misplaced());
    world.ask(Request::Flush).expect("a flush");
    assert!(!walk.advance(usize::MAX).is_lied_to());
    assert_eq!(world.disk.durable_image().get(BlockNo(1)).expect("a block")[0], 1);
}

#[test]
fn a_flush_that_fails_leaves_what_it_should_have_made_durable() {
    let world = world(&["flush-error"]);
    world.ask(write(1, 1)).expect("a write");
    assert_eq!(world.ask(Request::Flush), Err(DeviceError::Io));
    assert_eq!(world.read(1), Ok(1));
    assert_eq!(world.disk.durable_image().get(BlockNo(1)).expect("a block")[0], 0);
}

#[test]
fn a_link_is_lost_and_returns() {
    let world = world(&["link-loss nth=2 times=4"]);
    let discard = Request::Discard { block: BlockNo(1), count: 1 };
    let read = Request::Read { block: BlockNo(1) };
    let requests = [write(1, 1), write(1, 2), Request::Flush, discard, read.clone(), read];
    let told: Vec<bool> = requests.map(|request| world.ask(request).is_ok()).into();
    assert_eq!(told, [true, false, false, false, false, true]);
    assert_eq!(world.read(1), Ok(1));
}

#[test]
fn a_late_write_is_overtaken() {
    let world = world(&["latency steps=5"]);
    let order = Arc::new(Mutex::new(Vec::new()));
    world.sim.block_on(async {
        let faulty = &world.faulty;
        let (late, soon) = (faulty.submit(write(1, 1)), faulty.submit(write(1, 2)));
        completion(faulty, soon).await.expect("a write");
        order.lock().expect("one thread").push(world.disk.cached_image());
        completion(faulty, late).await.expect("a write");
    });
    let before = order.lock().expect("one thread").pop().expect("one image");
    assert_eq!(before.get(BlockNo(1)).expect("a block")[0], 2);
    assert_eq!(world.read(1), Ok(1), "what completes last is what is there");
}

#[test]
fn a_full_pool_fails_or_waits_and_grows_and_shrinks() {
    let world_full = world(&["pool 2"]);
    for block in [1, 2, 1] {
        world_full.ask(write(block, 1)).expect("a block of the pool");
    }
    assert_eq!(world_full.ask(write(3, 1)), Err(DeviceError::NoSpace));
    world_full.ask(Request::Discard { block: BlockNo(1), count: 1 }).expect("a discard");
    world_full.ask(write(3, 1)).expect("the block that was given back");
    assert_eq!(world_full.ask(write(4, 1)), Err(DeviceError::NoSpace));
    world_full.faulty.obey(FaultOrder::Grow(1));
    world_full.ask(write(4, 1)).expect("it grew");

    let queued = world(&["pool 1 queue"]);
    queued.ask(write(1, 1)).expect("the only block");
    queued.sim.block_on(async {
        let id = queued.faulty.submit(write(2, 2));
        let grow = async {
            queued.sim.yield_now().await;
            queued.faulty.obey(FaultOrder::Grow(1));
        };
        grow.await;
        completion(&queued.faulty, id).await.expect("it waited for the pool");
    });
    assert_eq!(queued.ask(write(3, 1)), Err(DeviceError::NoSpace), "nobody waits for ever");
}

#[test]
fn a_pool_counts_what_was_there_before_it() {
    let world = world(&[]);
    world.ask(write(1, 1)).expect("a write");
    world.faulty.obey("pool 1".parse().expect("a pool"));
    world.ask(write(1, 2)).expect("its block is there");
    assert_eq!(world.ask(write(2, 1)), Err(DeviceError::NoSpace));
    world.faulty.heal();
    world.ask(write(2, 1)).expect("healed");
}

#[test]
fn chance_lets_so_many_requests_fail_and_a_replay_the_same() {
    let run = |sim: Sim| {
        let disk = Arc::new(Disk::new(Image::new(SHAPE), sim.clone()));
        let plan = FaultPlan { random_max: 3, ..FaultPlan::default() };
        let faulty = Faulty::new(disk, plan, sim.clone());
        let ask = |at: u64| match at % 3 {
            0 => write(at % 8, at as u8),
            1 => Request::Read { block: BlockNo(at % 8) },
            _ => Request::Flush,
        };
        let told: Vec<bool> =
            (0..60).map(|at| sim.block_on(perform(&faulty, ask(at))).is_ok()).collect();
        (told, sim.decisions())
    };
    let mut failures = BTreeSet::new();
    for seed in 0..20 {
        let odds = [(Site::DeviceFault, Unrest::one_in(4))];
        let (told, decisions) = run(Sim::new(Seeded::new(seed, &odds)));
        let failed = told.iter().filter(|ok| !**ok).count();
        assert!(failed <= 3);
        failures.insert(failed);
        let again = run(Sim::new(decisions.replay()));
        assert_eq!((told, decisions), again);
    }
    assert!(failures.contains(&3) && failures.len() > 1, "{failures:?}");
}

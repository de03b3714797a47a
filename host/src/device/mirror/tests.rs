//! The mirror: legs that agree after any loss of power, and the defects that make them differ.

use super::*;
use crate::device::Disk;
use crate::device::FaultRule;
use crate::device::Faulty;
use crate::device::Geometry;
use crate::device::Image;
use crate::device::StateBounds;
use crate::device::Walk;
use crate::mutex::WorldMutex;
use crate::sim::Seeded;
use crate::sim::Sim;
use crate::sim::Site;
use crate::sim::Unrest;

const LEG: Geometry = Geometry { block_size_bytes: 512, block_count: 96 };
const ORIGIN: Origin = Origin { class: Class::Data, object: 1, offset: 0 };

fn layout() -> MirrorLayout {
    MirrorLayout::new(LEG, 2)
}

fn disk(sim: &Sim, image: Image) -> Arc<Disk> {
    Arc::new(Disk::new(image, sim.clone()))
}

fn blank() -> Image {
    Image::new(layout().whole())
}

fn open(sim: &Sim, below: Arc<dyn Device>, policy: MirrorPolicy) -> Mirror {
    sim.block_on(async {
        let mirror = Mirror::open(below, layout(), policy, sim.clone()).await?;
        mirror.settle().await.map(|()| mirror)
    })
    .expect("it can be read")
}

fn put(block: u64, byte: u8) -> Request {
    let bytes = Bytes::from(vec![byte; LEG.block_size_bytes as usize]);
    write(BlockNo(block), Payload::Owned(bytes), false, ORIGIN)
}

fn first_byte(sim: &Sim, mirror: &Mirror, block: u64) -> u8 {
    let read = perform(mirror, Request::Read { block: BlockNo(block) });
    sim.block_on(read).expect("it can be read")[0]
}

/// Every image that a loss of power could leave, at every event of a disk.
fn crash_images(disk: &Disk) -> Vec<Image> {
    let history = disk.history();
    let mut walk = Walk::new(&history);
    let bounds = StateBounds { subset_count_max: 6, torn: true };
    let mut images = Vec::new();
    for position in 0..=history.len() {
        let states = walk.advance(position).states(&bounds).states;
        images.extend(states.into_iter().map(|state| state.image));
    }
    images
}

fn recovered(image: &Image, policy: MirrorPolicy) -> Image {
    let sim = Sim::calm();
    let disk = disk(&sim, image.clone());
    drop(open(&sim, disk.clone(), policy));
    disk.durable_image()
}

/// Writes some blocks from several tasks at once, and flushes now and then. Answers the disk,
/// and what was flushed.
fn busy(seed: u64, policy: MirrorPolicy) -> (Arc<Disk>, BTreeMap<u64, u8>) {
    let unrest = [(Site::CompletionDelay, Unrest::one_in(2)), (Site::Schedule, Unrest::one_in(2))];
    let sim = Sim::new(Seeded::new(seed, &unrest));
    let below = disk(&sim, blank());
    let mirror = Arc::new(open(&sim, below.clone(), policy));
    let flushed = Arc::new(WorldMutex::new(BTreeMap::new()));
    for task in 0..3_u64 {
        let (mirror, flushed) = (Arc::clone(&mirror), Arc::clone(&flushed));
        sim.spawn(async move {
            for turn in 0..3_u8 {
                let (block, byte) = (31 * task + u64::from(turn % 2), 10 * task as u8 + turn + 1);
                perform(mirror.as_ref(), put(block, byte)).await.expect("it is healthy");
                perform(mirror.as_ref(), Request::Flush).await.expect("it is healthy");
                flushed.lock().insert(block, byte);
            }
        });
    }
    sim.run_background();
    let flushed = flushed.lock().clone();
    (below, flushed)
}

#[test]
fn legs_agree_and_are_called_clean_after_a_flush() {
    let sim = Sim::calm();
    let below = disk(&sim, blank());
    let mirror = open(&sim, below.clone(), MirrorPolicy::default());
    sim.block_on(perform(&mirror, put(5, 7))).expect("it is healthy");
    let said = || layout().said(&below.durable_image());
    assert_eq!(said().dirty, BTreeSet::from([1]), "before the legs are written");
    sim.block_on(perform(&mirror, Request::Flush)).expect("it is healthy");
    assert_eq!(said(), RegionLog::default());
    for leg in 0..2 {
        let view = layout().view(&below.durable_image(), leg);
        assert_eq!(view.get(BlockNo(5)).map(|bytes| bytes[0]), Some(7), "leg {leg}");
    }
    assert_eq!(first_byte(&sim, &mirror, 5), 7);
}

#[test]
fn after_any_loss_of_power_legs_agree_and_either_has_what_was_flushed() {
    for seed in 0..4 {
        let (below, _) = busy(seed, MirrorPolicy::default());
        for image in crash_images(&below) {
            assert_eq!(layout().disagreements(&image), Vec::new(), "seed {seed}");
            let whole = recovered(&image, MirrorPolicy::default());
            assert_eq!(layout().said(&whole), RegionLog::default());
            let views = [0, 1].map(|leg| layout().view(&whole, leg).hash());
            assert_eq!(views[0], views[1], "seed {seed}");
        }
    }
    for seed in 0..20 {
        let (below, flushed) = busy(seed, MirrorPolicy::default());
        for leg in 0..2 {
            let view = layout().view(&below.durable_image(), leg);
            for (block, byte) in &flushed {
                let found = view.get(BlockNo(*block)).map(|bytes| bytes[0]);
                assert_eq!(found, Some(*byte), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_region_that_is_clean_with_the_first_leg_disagrees_after_a_loss_of_power() {
    let policy =
        MirrorPolicy { clearing: RegionClearing::AfterFirstLeg, ..MirrorPolicy::default() };
    let disagree = |seed| {
        let images = crash_images(&busy(seed, policy).0);
        images.iter().any(|image| !layout().disagreements(image).is_empty())
    };
    assert!((0..20).any(disagree), "DEF-001b");
}

#[test]
fn a_mark_that_is_not_forced_may_come_after_what_it_covers() {
    let policy = MirrorPolicy { marking: RegionMarking::Answered, ..MirrorPolicy::default() };
    let disagree = |seed| {
        let images = crash_images(&busy(seed, policy).0);
        images.iter().any(|image| !layout().disagreements(image).is_empty())
    };
    assert!((0..4).any(disagree), "D-60");
}

/// A page that changes each time that it is captured.
struct Restless(WorldMutex<u8>);

impl crate::device::LivePage for Restless {
    fn capture(&self) -> Bytes {
        let mut count = self.0.lock();
        *count += 1;
        Bytes::from(vec![*count; LEG.block_size_bytes as usize])
    }
}

/// What a crash leaves after a flushed write of a page that changed meanwhile.
fn restless(policy: MirrorPolicy) -> Image {
    let sim = Sim::calm();
    let below = disk(&sim, blank());
    let mirror = open(&sim, below.clone(), policy);
    let page = Payload::Borrowed(Arc::new(Restless(WorldMutex::new(0))));
    for request in [write(BlockNo(5), page, false, ORIGIN), Request::Flush] {
        sim.block_on(perform(&mirror, request)).expect("it is healthy");
    }
    recovered(&below.durable_image(), policy)
}

#[test]
fn legs_that_capture_for_themselves_disagree_where_the_log_says_clean() {
    let each = MirrorPolicy { payload: LegPayload::EachLeg, ..MirrorPolicy::default() };
    assert_eq!(layout().disagreements(&restless(each)), vec![BlockNo(5)], "DEF-001");
    assert_eq!(layout().disagreements(&restless(MirrorPolicy::default())), Vec::new());
    let resynced = MirrorPolicy { resync: Resync::All, ..each };
    assert_eq!(layout().disagreements(&restless(resynced)), Vec::new(), "the control");
}

#[test]
fn a_leg_that_refuses_a_write_is_lost_and_stays_lost() {
    let sim = Sim::calm();
    let below = disk(&sim, blank());
    let rules = vec!["data:2".parse::<FaultRule>().expect("a rule")];
    let faulty = Arc::new(Faulty::new(below.clone(), rules, sim.clone()));
    let mirror = open(&sim, faulty.clone(), MirrorPolicy::default());
    assert_eq!(sim.block_on(perform(&mirror, put(5, 7))), Ok(Bytes::new()));
    assert_eq!(layout().said(&below.durable_image()).lost, BTreeSet::from([1]));
    assert_eq!(sim.block_on(perform(&mirror, put(5, 8))), Ok(Bytes::new()));
    sim.block_on(perform(&mirror, Request::Flush)).expect("it is healthy");
    assert_eq!(first_byte(&sim, &mirror, 5), 8);
    let again = open(&sim, disk(&sim, below.durable_image()), MirrorPolicy::default());
    assert_eq!(first_byte(&sim, &again, 5), 8);
    assert_eq!(again.lose(0), Err(DeviceError::OutOfRange), "it is the last");
    faulty.add("data:1..".parse().expect("a rule"));
    assert_eq!(sim.block_on(perform(&mirror, put(5, 9))), Err(DeviceError::Io));
    assert_eq!(first_byte(&sim, &mirror, 5), 8, "it had no effect");
}

/// What is read of a block that was changed while the first leg was lost, after it came back and
/// a flush; and the disk.
fn returned(policy: MirrorPolicy) -> (u8, Arc<Disk>) {
    let sim = Sim::calm();
    let below = disk(&sim, blank());
    let mirror = open(&sim, below.clone(), policy);
    sim.block_on(perform(&mirror, put(5, 7))).expect("it is healthy");
    assert_eq!(mirror.bring_back(0), Err(DeviceError::OutOfRange), "it is not lost");
    assert_eq!(mirror.lose(0), Ok(()));
    sim.block_on(perform(&mirror, put(5, 8))).expect("one leg is left");
    assert_eq!(mirror.bring_back(0), Ok(()));
    sim.block_on(perform(&mirror, put(6, 9))).expect("it is healthy");
    sim.block_on(perform(&mirror, Request::Flush)).expect("it is healthy");
    (first_byte(&sim, &mirror, 5), below)
}

#[test]
fn a_leg_that_comes_back_is_read_when_it_has_what_it_missed() {
    let (found, below) = returned(MirrorPolicy::default());
    assert_eq!(found, 8);
    let image = below.durable_image();
    assert_eq!(layout().said(&image), RegionLog::default(), "it is not lost any more");
    let views = [0, 1].map(|leg| layout().view(&image, leg).hash());
    assert_eq!(views[0], views[1]);
    for image in crash_images(&below) {
        let whole = recovered(&image, MirrorPolicy::default());
        assert_eq!(layout().disagreements(&whole), Vec::new());
    }
    let returning = |returning| MirrorPolicy { returning, ..MirrorPolicy::default() };
    assert_eq!(returned(returning(ReturningLeg::AtOnce)).0, 7, "D-95");
    // Block 6 is in the region of block 5, and was written since the leg came back.
    assert_eq!(returned(returning(ReturningLeg::LastWriteEndsCopying)).0, 7, "D-65");
}

#[test]
fn a_leg_that_comes_back_keeps_what_it_did_not_miss() {
    let sim = Sim::calm();
    let below = disk(&sim, blank());
    let legs = Faulty::of_legs(below.clone(), layout(), below.history(), sim.clone());
    let legs = Arc::new(legs);
    let mirror = open(&sim, legs.clone(), MirrorPolicy::default());
    legs.add("misdirected-write leg=1 to=50".parse().expect("a rule"));
    sim.block_on(perform(&mirror, put(6, 7))).expect("it is healthy");
    assert_eq!(mirror.lose(0), Ok(()));
    sim.block_on(perform(&mirror, put(5, 8))).expect("one leg is left");
    assert_eq!(first_byte(&sim, &mirror, 6), 0, "the other leg has it elsewhere");
    assert_eq!(mirror.bring_back(0), Ok(()));
    sim.block_on(perform(&mirror, Request::Flush)).expect("it is healthy");
    let view = layout().view(&below.durable_image(), 0);
    let found = [5, 6, 50].map(|block| view.get(BlockNo(block)).map(|bytes| bytes[0]));
    assert_eq!(found, [Some(8), Some(7), Some(0)], "block 6 was not copied over");
    // It was lost before this one was opened: what it missed is not known.
    assert_eq!(mirror.lose(0), Ok(()));
    sim.block_on(perform(&mirror, put(5, 9))).expect("one leg is left");
    let again = open(&sim, disk(&sim, below.cached_image()), MirrorPolicy::default());
    assert_eq!(again.bring_back(0), Ok(()));
    sim.block_on(perform(&again, Request::Flush)).expect("it is healthy");
    assert_eq!(first_byte(&sim, &again, 5), 9);
}

#[test]
fn a_leg_that_refuses_what_is_copied_to_it_is_lost_again() {
    let found = |copy_failure| {
        let sim = Sim::calm();
        let below = disk(&sim, blank());
        let legs = Faulty::of_legs(below.clone(), layout(), below.history(), sim.clone());
        let policy = MirrorPolicy { copy_failure, ..MirrorPolicy::default() };
        let legs = Arc::new(legs);
        let mirror = open(&sim, legs.clone(), policy);
        legs.add("write-error object=0 leg=0".parse().expect("a rule"));
        let asked = |request| sim.block_on(perform(&mirror, request)).expect("one leg is left");
        asked(put(5, 7));
        assert_eq!(mirror.lose(0), Ok(()));
        asked(put(5, 8));
        assert_eq!(mirror.bring_back(0), Ok(()));
        asked(Request::Flush);
        (first_byte(&sim, &mirror, 5), layout().said(&below.durable_image()).lost)
    };
    assert_eq!(found(CopyFailure::LosesLeg), (8, BTreeSet::from([0])));
    assert_eq!(found(CopyFailure::CountsAsDone), (7, BTreeSet::new()), "D-94");
}

#[test]
fn what_was_flushed_is_there_without_any_one_leg() {
    for seed in 0..8 {
        let (below, flushed) = busy(seed, MirrorPolicy::default());
        let image = below.durable_image();
        for leg in 0..2 {
            let without = layout().without(&image, leg).expect("one is left");
            assert!(layout().without(&without, 1 - leg).is_none(), "it is the last one");
            let sim = Sim::calm();
            let mirror = open(&sim, disk(&sim, without), MirrorPolicy::default());
            for (block, byte) in &flushed {
                assert_eq!(first_byte(&sim, &mirror, *block), *byte, "seed {seed}, leg {leg}");
            }
        }
    }
    assert!(layout().without(&blank(), 2).is_none(), "there is no such leg");
}

#[test]
fn any_leg_may_serve_a_read() {
    let unrest = [(Site::ReadLeg, Unrest::one_in(2))];
    let sim = Sim::new(Seeded::new(1, &unrest));
    let mirror = open(&sim, disk(&sim, blank()), MirrorPolicy::default());
    mirror.watch();
    (0..16).for_each(|block| assert_eq!(first_byte(&sim, &mirror, block), 0));
    let legs = mirror.take_events().into_iter().filter_map(|event| match event {
        LegEvent::Block { leg, deed: LegDeed::Read, .. } => Some(leg),
        LegEvent::Block { .. }
        | LegEvent::Ended { .. }
        | LegEvent::Logged { .. }
        | LegEvent::FlushBegan { .. }
        | LegEvent::Flushed { .. } => None,
    });
    assert_eq!(legs.collect::<BTreeSet<u32>>(), BTreeSet::from([0, 1]));
}

#[test]
fn the_other_leg_has_everything_when_one_is_lost() {
    let sim = Sim::calm();
    let below = disk(&sim, blank());
    let mirror = open(&sim, below.clone(), MirrorPolicy::default());
    sim.block_on(perform(&mirror, put(5, 7))).expect("it is healthy");
    assert_eq!(mirror.lose(0), Ok(()));
    assert_eq!(first_byte(&sim, &mirror, 5), 7);
    assert_eq!(mirror.lose(2), Err(DeviceError::OutOfRange));
    sim.block_on(perform(&mirror, put(5, 8))).expect("one leg is left");
    assert_eq!(layout().said(&below.durable_image()).lost, BTreeSet::from([0]));
    let beyond = Request::Read { block: BlockNo(LEG.block_count) };
    assert_eq!(sim.block_on(perform(&mirror, beyond)), Err(DeviceError::OutOfRange));
}

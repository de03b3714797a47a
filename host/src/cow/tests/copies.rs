//! A mirror one of whose legs has a wrong block: what is answered, and what is repaired.

use super::*;
use crate::cow::BadCopy;
use crate::cow::Mismatch;
use crate::device::BlockNo;
use crate::device::Faulty;
use crate::device::Mirror;
use crate::device::MirrorLayout;
use crate::device::MirrorPolicy;
use crate::device::Resync;

struct World {
    sim: Sim,
    disk: Arc<Disk>,
    legs: Arc<Faulty>,
    mirror: Arc<Mirror>,
    cow: Cow,
    ino: u64,
}

fn layout() -> MirrorLayout {
    MirrorLayout::new(tiny(96), 2)
}

fn world(bad_copy: BadCopy) -> World {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(Image::new(layout().whole()), sim.clone()));
    let legs = Faulty::of_legs(disk.clone(), layout(), disk.history(), sim.clone());
    let legs = Arc::new(legs);
    let policy = MirrorPolicy { leg_count: 2, ..MirrorPolicy::default() };
    let mirror = Mirror::open(legs.clone(), layout(), policy, sim.clone());
    let mirror = Arc::new(sim.block_on(mirror).expect("a healthy disk"));
    sim.block_on(format(mirror.as_ref(), &sim)).expect("a healthy disk");
    let policy = CowPolicy { bad_copy, ..CowPolicy::default() };
    let cow = Cow::mount(mirror.clone(), sim.clone(), policy);
    let cow = sim.block_on(cow).expect("it was made");
    let ino = sim.block_on(create(&cow, b"file")).expect("an empty disk");
    World { sim, disk, legs, mirror, cow, ino }
}

impl World {
    /// Writes blocks of the file; what leg 0 is to get of the first goes to block 90 of it.
    fn misdirect(&self, blocks: &[u64], is_packed: bool) {
        let rule = "misdirected-write class=data leg=0 to=90";
        self.legs.add(rule.parse().expect("a rule"));
        let done = match is_packed {
            true => self.sim.block_on(pack(&self.cow, self.ino, blocks, 7)),
            false => self.sim.block_on(write(&self.cow, self.ino, blocks, 7)),
        };
        done.expect("nobody knows");
        self.sim.block_on(self.cow.commit()).expect("nobody knows");
    }

    fn read(&self, block: u64) -> Result<Option<u8>, CowError> {
        let read = self.sim.block_on(self.cow.read_block(self.ino, block))?;
        Ok(read.map(|bytes| bytes[0]))
    }

    /// The blocks on which the legs differ, but for where the stray write went.
    fn differing(&self) -> Vec<BlockNo> {
        let image = self.disk.cached_image();
        let [one, other] = [0, 1].map(|leg| layout().view(&image, leg));
        let differs = |block: &BlockNo| one.get(*block) != other.get(*block);
        (0..90).map(BlockNo).filter(differs).collect()
    }
}

#[test]
fn a_wrong_copy_is_not_answered_and_is_repaired_by_a_read_or_a_scrub() {
    for is_packed in [false, true] {
        let world = world(BadCopy::Repaired);
        world.cow.watch_mismatches();
        world.misdirect(&[0, 1], is_packed);
        assert_eq!(world.differing().len(), 1, "the first leg has it elsewhere");
        assert_eq!(world.read(0), Ok(Some(7)));
        assert_eq!(world.differing(), [], "a read repairs it");
        world.misdirect(&[1, 0], is_packed);
        assert_eq!(world.differing().len(), 1);
        world.sim.block_on(world.cow.scrub()).expect("a healthy disk");
        assert_eq!(world.differing(), [], "a scrub repairs it");
        assert_eq!(world.mirror.lose(1), Ok(()));
        assert_eq!((world.read(0), world.read(1)), (Ok(Some(7)), Ok(Some(7))));
        assert_eq!(world.cow.take_mismatches(), []);
    }
}

#[test]
fn a_scrub_repairs_the_leg_that_no_read_looks_at() {
    let world = world(BadCopy::Repaired);
    let rule = "misdirected-write class=data leg=1 to=90";
    world.legs.add(rule.parse().expect("a rule"));
    world.sim.block_on(write(&world.cow, world.ino, &[0], 7)).expect("nobody knows");
    assert_eq!(world.read(0), Ok(Some(7)));
    assert_eq!(world.differing().len(), 1, "the first leg is right");
    world.sim.block_on(world.cow.scrub()).expect("a healthy disk");
    assert_eq!(world.differing(), []);
}

/// What a loss of power leaves now is mounted, all of it in doubt; then a leg is lost. The first
/// block of the file.
fn read_after_power_loss(world: &World, lost: u32) -> Option<u8> {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(world.disk.durable_image(), sim.clone()));
    let policy = MirrorPolicy { leg_count: 2, resync: Resync::All, ..MirrorPolicy::default() };
    let mirror = Mirror::open(disk.clone(), layout(), policy, sim.clone());
    let mirror = Arc::new(sim.block_on(mirror).expect("a healthy disk"));
    let cow = Cow::mount(mirror.clone(), sim.clone(), CowPolicy::default());
    let cow = sim.block_on(cow).expect("one leg has all of it");
    assert_eq!(layout().disagreements(&disk.durable_image()), [], "they were made equal");
    assert_eq!(mirror.lose(lost), Ok(()));
    let found = sim.block_on(cow.read_block(world.ino, 0)).expect("the other leg is whole");
    found.map(|bytes| bytes[0])
}

#[test]
fn what_went_elsewhere_on_a_leg_is_not_spread_after_a_loss_of_power() {
    for (leg, class) in [0, 1]
        .into_iter()
        .flat_map(|leg| ["data", "tree", "log", "root"].into_iter().map(move |class| (leg, class)))
    {
        let world = world(BadCopy::Repaired);
        world.sim.block_on(world.cow.commit()).expect("a healthy disk");
        let rule = format!("misdirected-write class={class} leg={leg} to=90");
        world.legs.add(rule.parse().expect("a rule"));
        world.sim.block_on(write(&world.cow, world.ino, &[0], 7)).expect("nobody knows");
        let synced = match class {
            "log" => world.sim.block_on(world.cow.sync_log()),
            _ => world.sim.block_on(world.cow.commit()),
        };
        synced.expect("nobody knows");
        assert_eq!(world.differing().len(), 1, "{class} of leg {leg} is elsewhere");
        for lost in [0, 1] {
            let found = read_after_power_loss(&world, lost);
            assert_eq!(found, Some(7), "{class} of leg {leg}, without leg {lost}");
        }
    }
}

#[test]
fn copies_that_are_trusted_or_spread_are_wrong() {
    let trusted = world(BadCopy::Trusted);
    trusted.cow.watch_mismatches();
    trusted.misdirect(&[0], false);
    assert_ne!(trusted.read(0), Ok(Some(7)), "RED-08");
    assert!(matches!(trusted.cow.take_mismatches()[..], [Mismatch::Read(_)]));
    let spread = world(BadCopy::FirstOverOthers);
    spread.misdirect(&[0], false);
    assert_eq!(spread.read(0), Ok(Some(7)));
    assert!(spread.read(0).is_err(), "RED-10: no copy is right any more");
}

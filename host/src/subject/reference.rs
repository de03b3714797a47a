//! The reference stack: disk, faults, file system, cache and vfs, put together.

use std::fmt;
use std::sync::Arc;

use crate::cache::CachePolicy;
use crate::cache::ErrorPolicy;
use crate::call::Witness;
use crate::cow;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::CowPolicy;
use crate::device::BlockNo;
use crate::device::Device;
use crate::device::Disk;
use crate::device::FaultOrder;
use crate::device::FaultPlan;
use crate::device::Faulty;
use crate::device::Geometry;
use crate::device::Image;
use crate::device::Mirror;
use crate::device::MirrorLayout;
use crate::device::MirrorPolicy;
use crate::sim::Sim;
use crate::vfs::ReferenceVfs;
use crate::vfs::VfsPolicy;

/// What the layers are assembled from. The default is correct.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// Of the file system on the medium.
    pub cow: CowPolicy,
    /// Of the page cache and its error ledger.
    pub cache: CachePolicy,
    /// Of the operations.
    pub vfs: VfsPolicy,
    /// Of the mirror beneath, if there is one.
    pub mirror: MirrorPolicy,
}

impl Policies {
    /// The correct stack, with errors reported so.
    #[must_use]
    pub fn reporting(errors: ErrorPolicy) -> Self {
        Self { cache: CachePolicy { errors, ..CachePolicy::default() }, ..Self::default() }
    }
}

/// A stack before it is built.
#[derive(Debug, Clone)]
pub struct StackPlan {
    /// The device's shape.
    pub geometry: Geometry,
    /// The layers.
    pub policies: Policies,
    /// The device's faults.
    pub faults: FaultPlan,
}

impl StackPlan {
    /// Where the legs of the mirror are, if there is one.
    fn mirror(&self) -> Option<MirrorLayout> {
        let leg_count = self.policies.mirror.leg_count;
        (leg_count > 1).then(|| MirrorLayout::new(self.geometry, leg_count))
    }

    /// What the file system sees of a medium: of a mirror, the leg that is read.
    #[must_use]
    pub fn view(&self, medium: &Image) -> Image {
        match self.mirror() {
            Some(layout) => layout.view(medium, layout.first_leg(medium)),
            None => medium.clone(),
        }
    }

    /// What the file system sees of a medium after it was mounted, if it saw `view` before: its
    /// recovery may have chosen another leg.
    #[must_use]
    pub fn view_mounted(&self, disk: &Disk, view: &Image) -> Image {
        match self.mirror() {
            Some(_) => self.view(&disk.cached_image()),
            None => view.clone(),
        }
    }

    /// The blocks on which the legs of a mirror do not agree, though its log says so.
    #[must_use]
    pub fn disagreements(&self, medium: &Image) -> Vec<BlockNo> {
        self.mirror().map(|layout| layout.disagreements(medium)).unwrap_or_default()
    }

    async fn device(
        &self,
        disk: &Arc<Disk>,
        sim: &Sim,
    ) -> Result<(Arc<dyn Device>, Option<Mirrored>), CowError> {
        let below: Arc<dyn Device> = disk.clone();
        let Some(layout) = self.mirror() else { return Ok((below, None)) };
        let legs = Faulty::of_legs(below, layout, disk.history(), sim.clone());
        let legs = Arc::new(legs);
        let mirror = Mirror::open(legs.clone(), layout, self.policies.mirror, sim.clone()).await;
        let mirror = Arc::new(mirror.map_err(CowError::Device)?);
        Ok((mirror.clone(), Some(Mirrored { mirror, layout, legs })))
    }

    /// Is there one copy of each block, and no other that it could be compared with?
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.mirror().is_none()
    }

    /// A medium that has lost a leg of its mirror. Nothing, if there is no such leg, it is lost
    /// already, or it is the last one.
    #[must_use]
    pub fn without_leg(&self, medium: &Image, leg: u32) -> Option<Image> {
        self.mirror()?.without(medium, leg)
    }
}

/// Why a stack could not be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountError {
    /// A new file system could not be written.
    Format(CowError),
    /// The file system could not be opened.
    Mount(CowError),
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(why) => write!(f, "make a file system: {why}"),
            Self::Mount(why) => write!(f, "mount the file system: {why}"),
        }
    }
}

impl std::error::Error for MountError {}

/// A mirror, and what goes wrong with one of its legs alone.
#[derive(Clone)]
pub struct Mirrored {
    /// The mirror.
    pub mirror: Arc<Mirror>,
    layout: MirrorLayout,
    legs: Arc<Faulty>,
}

/// The reference stack, mounted.
#[derive(Clone)]
pub struct Stack {
    /// The top: what guests call.
    pub vfs: Arc<ReferenceVfs>,
    /// The file system on the medium.
    pub cow: Cow,
    /// The faults, which can be changed while the stack runs.
    pub faulty: Arc<Faulty>,
    /// The mirror, if there is one.
    pub mirrored: Option<Mirrored>,
    /// The bottom: volatile cache and medium.
    pub disk: Arc<Disk>,
    /// Where the layers leave their testimony.
    pub witness: Witness,
}

impl Stack {
    /// An empty file system on a new device, mounted. The device's history begins after it was
    /// made, and so do the faults.
    ///
    /// # Errors
    /// If the device is too small, or its shape is none the file system can have.
    pub async fn format(plan: &StackPlan, sim: &Sim) -> Result<Self, MountError> {
        let medium = plan.mirror().map_or(plan.geometry, |layout| layout.whole());
        let blank = Arc::new(Disk::new(Image::new(medium), sim.clone()));
        let (device, _) = plan.device(&blank, sim).await.map_err(MountError::Format)?;
        cow::format(device.as_ref(), sim).await.map_err(MountError::Format)?;
        Self::mount(blank.durable_image(), plan, sim).await
    }

    /// The file system on `image`, recovered and mounted; the faults begin then.
    ///
    /// # Errors
    /// If it cannot be recovered.
    pub async fn mount(image: Image, plan: &StackPlan, sim: &Sim) -> Result<Self, MountError> {
        Self::mount_disk(Disk::new(image, sim.clone()), plan, sim).await
    }

    /// The file system on a disk that nothing was done with yet, recovered and mounted.
    ///
    /// # Errors
    /// If it cannot be recovered.
    pub async fn mount_disk(disk: Disk, plan: &StackPlan, sim: &Sim) -> Result<Self, MountError> {
        let start = plan.view(&disk.durable_image());
        let disk = Arc::new(disk);
        let (below, mirrored) = plan.device(&disk, sim).await.map_err(MountError::Mount)?;
        let faulty = Faulty::new(below, FaultPlan::default(), sim.clone());
        let faulty = Arc::new(faulty.above(start, disk.history()));
        let device: Arc<dyn Device> = faulty.clone();
        let policy = plan.policies.cow.clone();
        let cow = Cow::mount(device, sim.clone(), policy).await.map_err(MountError::Mount)?;
        let witness = Witness::default();
        let vfs = Arc::new(ReferenceVfs::new(
            cow.clone(),
            sim.clone(),
            witness.clone(),
            plan.policies.vfs,
            plan.policies.cache,
        ));
        let stack = Self { vfs, cow, faulty, mirrored, disk, witness };
        stack.arm(plan.faults.clone());
        Ok(stack)
    }

    fn arm(&self, plan: FaultPlan) {
        let (of_legs, rules) = plan.rules.into_iter().partition(|rule| rule.leg.is_some());
        self.faulty.arm(FaultPlan { rules, ..plan });
        if let Some(Mirrored { legs, .. }) = &self.mirrored {
            legs.arm(FaultPlan::from(of_legs));
        }
    }

    /// Does as is asked of the device; `false` if it names a leg that there is not.
    #[must_use]
    pub fn obey(&self, order: FaultOrder) -> bool {
        let mirrored = self.mirrored.as_ref();
        match order {
            FaultOrder::Add(rule) if rule.leg.is_some() => {
                let has = |of: &&Mirrored| rule.leg.is_some_and(|leg| leg < of.layout.leg_count());
                let found = mirrored.filter(has);
                found.inspect(|of| of.legs.add(rule.clone())).is_some()
            }
            FaultOrder::Heal => {
                self.heal();
                true
            }
            FaultOrder::Add(_) | FaultOrder::Grow(_) | FaultOrder::Pool(_) => {
                self.faulty.obey(order);
                true
            }
        }
    }

    /// Ends every fault.
    pub fn heal(&self) {
        self.faulty.heal();
        if let Some(Mirrored { legs, .. }) = &self.mirrored {
            legs.heal();
        }
    }

    /// Did a write to all copies go to another block since this was asked last? Where it was one
    /// leg's alone, another one has what was written.
    #[must_use]
    pub fn take_misplaced(&self) -> bool {
        self.faulty.take_misplaced()
    }
}

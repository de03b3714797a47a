//! What a crash left: mounted again, checked by fsck, walked.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crashproof_spec::words::Ino;
use crashproof_spec::words::Survey;
use crashproof_spec::words::Testimony;

use crate::audit;
use crate::check::footprint::Footprint;
use crate::cow::Changes;
use crate::cow::Inventory;
use crate::cow::fsck::Problem;
use crate::cow::fsck::Sound;
use crate::device::BlockNo;
use crate::device::Disk;
use crate::device::FaultPlan;
use crate::device::History;
use crate::device::Image;
use crate::observe::Changed;
use crate::observe::Walked;
use crate::observe::survey_changes;
use crate::observe::survey_tree;
use crate::sim::Sim;
use crate::subject::Stack;
use crate::subject::StackPlan;

/// A recovered file system, as seen by a walk and by fsck.
#[derive(Debug, Clone)]
pub struct Recovered {
    survey: Result<Survey, String>,
    problems: Vec<String>,
    counts: Option<Testimony>,
    is_counted: bool,
    legs: Option<Testimony>,
    /// What it wrote, if that was asked for and it wrote anything.
    writes: Option<History>,
    /// On which blocks all this depends, if that is known.
    footprint: Option<Arc<Footprint>>,
}

/// Counts of uses are looked at where no more blocks are in use: that costs all there is.
const COUNTED_BLOCKS_MAX: usize = 512;

/// Are counts of uses looked at in this image? That is not to depend on blocks where nobody looks.
fn is_small<E>(image: &Image, checked: &Result<Arc<Sound>, E>) -> bool {
    let used_count = match checked {
        Ok(sound) => sound.users().len() + sound.used_by_snapshots().len(),
        Err(_) => image.used_count(),
    };
    used_count <= COUNTED_BLOCKS_MAX
}

impl Recovered {
    /// What the walk found, or why there was nothing to walk.
    #[must_use = "a survey is what a crash is judged by"]
    pub fn survey(&self) -> Result<Survey, String> {
        self.survey.clone()
    }

    /// What fsck and the accounts of space said, as testimony: two more witnesses, on which the
    /// walk does not depend.
    #[must_use]
    pub fn audits(&self) -> Vec<Testimony> {
        let audit = |problem: &String| Testimony::Audit {
            clause: "CRASH-01".to_owned(),
            evidence: format!("fsck: {problem}"),
        };
        let others = self.counts.iter().chain(&self.legs).cloned();
        self.problems.iter().map(audit).chain(others).collect()
    }

    /// Is what was found, and what is said of it, the same?
    pub(super) fn ends_as(&self, other: &Self) -> bool {
        self.survey == other.survey && self.audits() == other.audits()
    }

    /// What recovery wrote to the device, if anything, and if that is watched.
    pub(super) fn writes(&self) -> Option<&History> {
        self.writes.as_ref()
    }

    /// On which blocks of the image what was found depends; nothing, if it may be all of them.
    pub(super) fn footprint(&self) -> Option<&Arc<Footprint>> {
        self.footprint.as_ref()
    }

    /// What nobody looked at, for its cost.
    #[must_use]
    pub fn unaudited(&self) -> Option<&'static str> {
        (!self.is_counted).then_some("counts of uses, with more than 512 blocks in use")
    }
}

/// Mounts `image` in a calm world without faults, surveys it and checks it.
#[must_use]
pub fn recover(image: &Image, plan: &StackPlan) -> Recovered {
    let (sim, plan) = (Sim::calm(), without_faults(plan));
    let (mut counted, mut legs, mut checked) = (None, None, None);
    let mut view = plan.view(image);
    let check = |view: &Image| Sound::check(view).map(Arc::new);
    let survey = sim.block_on(async {
        let stack = mount(image, &plan, &sim).await?;
        view = plan.view_mounted(&stack.disk, &view);
        if is_small(&view, checked.insert(check(&view))) {
            counted = audit::replay(&stack.cow).await;
        }
        legs = disagreement(&stack, &plan).await;
        let walked = survey_tree(stack.vfs.as_ref(), plan.geometry.block_size_bytes).await?;
        Ok(walked.survey)
    });
    let checked = checked.unwrap_or_else(|| check(&view));
    let is_counted = is_small(&view, &checked);
    let problems = problems(checked.err());
    let (writes, footprint) = (None, None);
    Recovered { survey, problems, counts: counted, is_counted, legs, writes, footprint }
}

/// What fsck found wrong, as it is told.
fn problems(found: Option<Vec<Problem>>) -> Vec<String> {
    found.iter().flatten().map(ToString::to_string).collect()
}

/// Whether the legs of a mirror agree, after its recovery, on what the file system uses.
async fn disagreement(stack: &Stack, plan: &StackPlan) -> Option<Testimony> {
    let differing = plan.disagreements(&stack.disk.durable_image());
    if differing.is_empty() {
        return None;
    }
    // What cannot be read, the survey tells.
    let used = stack.cow.used_blocks().await.ok()?;
    let mut differing = differing.into_iter().filter(|block| used.contains(block));
    let first = differing.next()?;
    let evidence =
        format!("INV-LEG: block {} differs between legs; {} more do", first.0, differing.count());
    Some(Testimony::Audit { clause: "RED-01".to_owned(), evidence })
}

fn without_faults(plan: &StackPlan) -> StackPlan {
    StackPlan { faults: FaultPlan::default(), ..plan.clone() }
}

async fn mount(image: &Image, plan: &StackPlan, sim: &Sim) -> Result<Stack, String> {
    Stack::mount(image.clone(), plan, sim).await.map_err(|why| why.to_string())
}

/// Recovers images that are like each other: what one has in common with the last one is neither
/// walked nor checked again. What is recovered does not depend on what came before.
pub struct Recovery {
    plan: StackPlan,
    watches_writes: bool,
    takes_footprints: bool,
    last: Mutex<Option<Arc<Sight>>>,
    sound: Mutex<Option<Arc<Sound>>>,
    footprint: Mutex<Option<Arc<Footprint>>>,
}

/// An image that was recovered.
struct Sight {
    image: Image,
    inventory: Inventory,
    walked: Walked,
}

impl Recovery {
    /// For images of this stack.
    #[must_use]
    pub fn new(plan: &StackPlan) -> Self {
        Self {
            plan: without_faults(plan),
            watches_writes: false,
            takes_footprints: false,
            last: Mutex::new(None),
            sound: Mutex::new(None),
            footprint: Mutex::new(None),
        }
    }

    /// It is found out as well on which blocks depends what is found, where that can be told: legs
    /// of a mirror are compared block by block, and where a recovery writes and is cut short, the
    /// next one may look at what it had not.
    #[must_use]
    pub fn taking_footprints(self) -> Self {
        Self { takes_footprints: self.plan.is_single(), ..self }
    }

    /// Is it found out on which blocks depends what is found?
    #[must_use]
    pub fn takes_footprints(&self) -> bool {
        self.takes_footprints
    }

    /// What is written while an image is recovered is kept as well.
    #[must_use]
    pub fn watching_writes(self, watches_writes: bool) -> Self {
        Self { watches_writes, ..self }
    }

    /// What fsck says: the image is sound, or what is wrong.
    fn check(&self, image: &Image) -> Result<Arc<Sound>, Vec<Problem>> {
        let was = lock(&self.sound).clone();
        let checked = match was {
            Some(was) => was.check_next(image),
            None => Sound::check(image),
        };
        let sound = checked.map(Arc::new);
        if let Ok(sound) = &sound {
            *lock(&self.sound) = Some(Arc::clone(sound));
        }
        sound
    }

    /// Mounts `image` in a calm world without faults, surveys it and checks it.
    #[must_use]
    pub fn recover(&self, image: &Image) -> Recovered {
        let sim = Sim::calm();
        let (mut counted, mut legs, mut writes) = (None, None, None);
        let (mut view, mut seen, mut checked) = (self.plan.view(image), None, None);
        let survey = sim.block_on(async {
            let disk = Disk::new(image.clone(), sim.clone()).watched();
            let stack = Stack::mount_disk(disk, &self.plan, &sim).await;
            let stack = stack.map_err(|why| why.to_string())?;
            view = self.plan.view_mounted(&stack.disk, &view);
            let (history, touched) = (stack.disk.history(), stack.disk.touched());
            // Who looks at what was recovered may write as well, later.
            writes = (self.watches_writes && !history.is_empty()).then(|| history.fork());
            if is_small(&view, checked.insert(self.check(&view))) {
                counted = audit::replay(&stack.cow).await;
            }
            legs = disagreement(&stack, &self.plan).await;
            let (survey, sight) = self.look(&stack, &view).await?;
            if let Some(sight) = sight {
                seen = Some((touched, sight.inventory.users().clone()));
                *lock(&self.last) = Some(Arc::new(sight));
            }
            Ok(survey)
        });
        let checked = checked.unwrap_or_else(|| self.check(&view));
        let is_counted = is_small(&view, &checked);
        let footprint = match (&checked, seen) {
            (Ok(sound), Some((touched, users))) if self.takes_footprints && writes.is_none() => {
                let was = lock(&self.footprint).clone();
                let next = Footprint::new(image, sound, touched, users, was.as_deref());
                let next = Arc::new(next);
                *lock(&self.footprint) = Some(Arc::clone(&next));
                Some(next)
            }
            _ => None,
        };
        let problems = problems(checked.err());
        Recovered { survey, problems, counts: counted, is_counted, legs, writes, footprint }
    }

    /// Walks a file system; what cannot be read whole is nothing to compare with.
    async fn look(&self, stack: &Stack, view: &Image) -> Result<(Survey, Option<Sight>), String> {
        let last = lock(&self.last).clone();
        if let Some(last) = last
            && let Some(sight) = self.compare(stack, view, &last).await
        {
            return Ok((sight.walked.survey.clone(), Some(sight)));
        }
        let block_size_bytes = self.plan.geometry.block_size_bytes;
        let walked = survey_tree(stack.vfs.as_ref(), block_size_bytes).await?;
        let (survey, inventory) = (walked.survey.clone(), stack.cow.inventory().await.ok());
        let sight = inventory.map(|inventory| Sight { image: view.clone(), inventory, walked });
        Ok((survey, sight))
    }

    /// Walks what may differ from what was seen; nothing, if all has to be walked.
    async fn compare(&self, stack: &Stack, image: &Image, was: &Sight) -> Option<Sight> {
        let blocks: Vec<BlockNo> = image.changed_since(&was.image).collect();
        let inventory = stack.cow.inventory_since(&was.inventory, &blocks).await;
        let (inventory, changes) = inventory.ok()?;
        let block_size_bytes = self.plan.geometry.block_size_bytes;
        let changed = translate(changes, u64::from(block_size_bytes));
        let walked =
            survey_changes(stack.vfs.as_ref(), block_size_bytes, &was.walked, &changed).await?;
        Some(Sight { image: image.clone(), inventory, walked })
    }
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the file system says of blocks and items, as a survey needs it.
fn translate(changes: Changes, block_size_bytes: u64) -> Changed {
    let mut changed = Changed::default();
    for (ino, blocks) in changes.content {
        let start = |block: u64| block.saturating_mul(block_size_bytes);
        let ranges = blocks.into_iter().map(|block| start(block)..start(block.saturating_add(1)));
        changed.files.insert(Ino(ino), ranges.collect());
    }
    for ino in changes.inodes {
        changed.files.entry(Ino(ino)).or_default();
    }
    for (directory, name) in changes.names {
        changed.names.entry((Ino(directory), name)).or_default();
    }
    for (directory, cookie, name) in changes.entries {
        let cookies = changed.names.entry((Ino(directory), name)).or_default();
        cookies.insert(cookie.saturating_sub(1));
    }
    changed
}

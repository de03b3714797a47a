//! Crash exploration: from one recorded run to every state that a crash could have left.
//!
//! Flow: moments (see [`crate::check::judge`]) and the device's history -> crash states -> equal
//! content recovers once, and so does what differs only where nothing looks (see
//! [`crate::check::footprint`]) -> each (what was found, moment) is judged -> findings and an
//! account.
//!
//! Of several shards each meets every state, and has those that are its own by what was found: so
//! what equal states share is shared within one shard, and what they count adds up to the whole.

mod answers;
mod contents;
mod verdicts;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;

use crashproof_spec::oracle::Ground;
use crashproof_spec::trace::CrashKind;

use crate::check::account::Account;
use crate::check::account::LostFlushAccount;
use crate::check::crash_at::CrashAt;
use crate::check::explore::contents::Content;
use crate::check::explore::contents::Contents;
use crate::check::explore::verdicts::Case;
use crate::check::explore::verdicts::Likeness;
use crate::check::explore::verdicts::Verdicts;
use crate::check::finding::CrashFault;
use crate::check::finding::CrashFinding;
use crate::check::finding::Met;
use crate::check::judge::Line;
use crate::check::judge::Moment;
use crate::check::recover::Recovery;
use crate::check::relapse;
use crate::check::relapse::Relapse;
use crate::check::relapse::Relapses;
use crate::check::shard::Shard;
use crate::check::verify::Verification;
use crate::check::verify::Verify;
use crate::device::CrashPoint;
use crate::device::CrashState;
use crate::device::CrashStates;
use crate::device::History;
use crate::device::Image;
use crate::device::StateBounds;
use crate::device::Survivors;
use crate::device::Walk;
use crate::subject::StackPlan;

/// What bounds the memory of an exploration. It changes what a state costs, and no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// Questions are answered in batches of so many; then the progress is told.
    batch_size: u64,
    /// A content that was not met in so many batches is forgotten, and recovered again if it comes
    /// back. The durable image is met at each position.
    batches_kept: u64,
}

const PACE: Pace = Pace { batch_size: 1024, batches_kept: 32 };

/// What is explored, beyond the run itself.
#[derive(Clone)]
pub struct ExplorePlan {
    /// How the run is cut short.
    pub crash: CrashKind,
    /// Which subsets of the unflushed writes are tried.
    pub bounds: StateBounds,
    /// How the recovered file system is opened.
    pub stack: StackPlan,
    /// Do audits of what was recovered testify?
    pub audited: bool,
    /// So many crashes in a row: 1 is the run's alone, with 2 recoveries are crashed as well.
    pub depth: u32,
    /// The legs of a mirror, each of which is lost in turn with each crash.
    pub lost_legs: Vec<u32>,
    /// So many of the flushes before a crash may have made nothing durable.
    pub lost_flushes: u32,
    /// Are states left out that differ from a judged one only where nothing looks?
    pub prunes: bool,
}

/// What an exploration found.
#[derive(Debug, Clone, Default)]
pub struct Exploration {
    /// What was covered.
    pub account: Account,
    /// What is wrong, in the order in which it was met.
    pub findings: Vec<CrashFinding>,
}

/// One state to be judged.
struct Question {
    /// Which one of its batch, those of other shards included.
    number: u64,
    moment: usize,
    position: usize,
    survivors: Survivors,
    stands_for: u64,
    lost_leg: Option<u32>,
    /// The hash of its content.
    content: u128,
    /// So many flushes had made nothing durable.
    lost_flushes: u32,
    /// Had the medium said what is not so?
    has_lied: bool,
}

impl Question {
    fn case(&self, content: &Content) -> Case {
        Case {
            moment: self.moment,
            key: content.key(),
            has_lost_flush: self.lost_flushes > 0,
            has_lied: self.has_lied,
        }
    }
}

/// States that are judged together.
#[derive(Default)]
struct Batch {
    number: u64,
    /// How many there are, those of other shards included.
    asked_count: u64,
    questions: Vec<Question>,
    /// The contents that were not met before, in order, each once.
    images: Vec<Image>,
    hashes: BTreeSet<u128>,
}

impl Batch {
    fn next(&mut self) -> Self {
        let next = Self { number: self.number + 1, ..Self::default() };
        std::mem::replace(self, next)
    }
}

/// A question, and what is to be judged.
type Asked = (Question, Arc<Content>);

/// Had the medium said what is not so, as far as a crash of this kind shows it?
pub(super) fn has_lied(point: &CrashPoint, kind: CrashKind) -> bool {
    match kind {
        CrashKind::Process(_) => false,
        CrashKind::Kernel => point.is_misplaced(),
        CrashKind::Power => point.is_lied_to(),
    }
}

/// Explores a recorded run.
pub struct Explorer<'a> {
    plan: &'a ExplorePlan,
    shard: Shard,
    pace: Pace,
    moments: &'a [Moment],
    lines: &'a [Line],
    verifier: Option<&'a dyn Verify>,
    contents: Contents,
    verdicts: Verdicts,
    /// Those whose recovery was crashed, and counted.
    crashed_again: BTreeSet<u128>,
    /// What the survey of some state meant that nothing was wrong with; others are compared with
    /// it. Which one it is changes what a verdict costs, never the verdict.
    ground: Mutex<Option<Ground>>,
    /// By key and lines. The first moment with both speaks for all: once the survey was
    /// judged, what is there is what was found.
    verified: BTreeMap<(u128, usize), Verification>,
    exploration: Exploration,
    known: BTreeMap<(u8, String), usize>,
}

impl<'a> Explorer<'a> {
    /// An exploration of the run that `moments` and `lines` were recorded of.
    #[must_use]
    pub fn new(
        plan: &'a ExplorePlan,
        moments: &'a [Moment],
        lines: &'a [Line],
        verifier: Option<&'a dyn Verify>,
    ) -> Self {
        let recovery = Recovery::new(&plan.stack).watching_writes(plan.depth > 1);
        let recovery = if plan.prunes { recovery.taking_footprints() } else { recovery };
        Self {
            plan,
            shard: Shard::WHOLE,
            pace: PACE,
            moments,
            lines,
            verifier,
            contents: Contents::new(recovery),
            verdicts: Verdicts::new(plan.lost_flushes > 0),
            crashed_again: BTreeSet::new(),
            ground: Mutex::new(None),
            verified: BTreeMap::new(),
            exploration: Exploration::default(),
            known: BTreeMap::new(),
        }
    }

    /// Only the contents of one shard are judged. Moments, and positions at which a bound was hit,
    /// are counted by each.
    #[must_use]
    pub fn of_shard(self, shard: Shard) -> Self {
        Self { shard, ..self }
    }

    /// Explores every moment, in order. `progress` is told how many moments are done.
    #[must_use]
    pub fn explore(mut self, history: &History, progress: &dyn Fn(usize)) -> Exploration {
        self.explore_all(history, progress);
        self.exploration
    }

    fn explore_all(&mut self, history: &History, progress: &dyn Fn(usize)) {
        self.exploration.account.torn_bounded_count = self.plan.bounds.torn.then_some(0);
        self.exploration.account.without_leg_count = (!self.plan.lost_legs.is_empty()).then_some(0);
        let flush_count = self.plan.lost_flushes;
        self.exploration.account.lost_flush =
            (flush_count > 0).then(|| LostFlushAccount { flush_count, ..Default::default() });
        let mut walk = Walk::new(history).losing(flush_count as usize);
        let mut batch = Batch::default();
        for (number, moment) in self.moments.iter().enumerate() {
            self.exploration.account.moment_count += 1;
            for position in moment.positions.clone() {
                self.ask(&mut walk, number, position, &mut batch);
                if batch.asked_count >= self.pace.batch_size {
                    self.answer(batch.next());
                    self.verdicts.close(number, &mut self.exploration);
                    self.forget(batch.number, number);
                    progress(number);
                }
            }
        }
        self.answer(batch);
        self.verdicts.close(usize::MAX, &mut self.exploration);
        progress(self.moments.len());
    }

    /// Judges one crash, at every moment that it falls into.
    #[must_use]
    pub fn explore_one(mut self, history: &History, at: &CrashAt) -> Exploration {
        let mut walk = Walk::new(history);
        let point = walk.advance(at.position);
        let has_lied = has_lied(point, self.plan.crash);
        let state = point.state(at.survivors.clone());
        let left = match at.lost_leg {
            Some(leg) => self.plan.stack.without_leg(&state.image, leg),
            None => Some(state.image),
        };
        let Some(image) = left else { return self.exploration };
        let content = Content::new(image);
        if !at.again.is_empty() {
            let recovery = Recovery::new(&self.plan.stack).watching_writes(true);
            let Some(relapses) = followed(&recovery, &content, at) else { return self.exploration };
            // What is asked for, and no other.
            content.relapses.get_or_init(|| relapses);
        }
        let falls_into = |moment: &Moment| moment.positions.contains(&at.position);
        let question = |moment| Question {
            number: 0,
            moment,
            position: at.position,
            survivors: at.survivors.clone(),
            stands_for: 1,
            lost_leg: at.lost_leg,
            content: content.image.hash(),
            lost_flushes: 0,
            has_lied,
        };
        let asked: Vec<Asked> = (0..self.moments.len())
            .filter(|number| falls_into(&self.moments[*number]))
            .map(|number| (question(number), Arc::clone(&content)))
            .collect();
        let account = &mut self.exploration.account;
        account.moment_count = asked.len() as u64;
        account.state_count = account.moment_count;
        account.without_leg_count = at.lost_leg.map(|_| account.state_count);
        account.recovered_count = 1;
        content.recovered(self.contents.recovery());
        for (question, content) in &asked {
            self.verdicts.meet(question.case(content), question.content, 1);
        }
        self.conclude(0, &asked);
        self.verdicts.close(usize::MAX, &mut self.exploration);
        self.exploration
    }

    fn ask(&mut self, walk: &mut Walk, moment: usize, position: usize, batch: &mut Batch) {
        walk.advance(position);
        self.ask_at(walk.point(), (moment, position, 0), batch);
        if self.plan.crash == CrashKind::Power {
            for (lost, point) in (1..).zip(walk.lost()) {
                self.ask_at(point, (moment, position, lost), batch);
            }
        }
    }

    /// The states that a crash could leave at a point. Where there are too many subsets to try each
    /// of them, a few states stand for all, if it is known on what depends what becomes of them.
    fn states(&mut self, point: &CrashPoint, is_lost: bool, batch: u64) -> CrashStates {
        let ExplorePlan { crash, bounds, .. } = *self.plan;
        if is_lost
            || crash != CrashKind::Power
            || !self.contents.prunes()
            || !point.has_many(&bounds)
        {
            return relapse::states(point, crash, &bounds);
        }
        let contents = &mut self.contents;
        point.covering_states(&bounds, |image| {
            let content = contents.look(image, batch);
            move |block| content.depends_on(block)
        })
    }

    /// Asks of the states that a crash could leave at a point: at a moment and a position, after so
    /// many flushes were lost.
    fn ask_at(
        &mut self,
        point: &CrashPoint,
        (moment, position, lost_flushes): (usize, usize, u32),
        batch: &mut Batch,
    ) {
        let has_lied = has_lied(point, self.plan.crash);
        let states = self.states(point, lost_flushes > 0, batch.number);
        self.exploration.account.count_bounds(&states, lost_flushes > 0);
        for CrashState { image, survivors, stands_for } in states.states {
            let left = |leg: &u32| Some((Some(*leg), self.plan.stack.without_leg(&image, *leg)?));
            // One thing at a time: no leg is lost after a flush that did nothing.
            let legs = self.plan.lost_legs.iter().filter(|_| lost_flushes == 0);
            let without: Vec<_> = legs.filter_map(left).collect();
            // What is wrong with all legs is told of all legs.
            for (lost_leg, image) in std::iter::once((None, image)).chain(without) {
                let number = batch.asked_count;
                batch.asked_count += 1;
                let content = image.hash();
                let survivors = survivors.clone();
                if !self.contents.prunes() && !self.shard.has(content) {
                    continue;
                }
                if self.contents.has(content) {
                    self.contents.touch(content, batch.number);
                } else if batch.hashes.insert(content) {
                    batch.images.push(image);
                }
                batch.questions.push(Question {
                    number,
                    moment,
                    position,
                    survivors,
                    stands_for,
                    lost_leg,
                    content,
                    lost_flushes,
                    has_lied,
                });
            }
        }
    }

    /// Recovers what was not met before, and takes what is to be judged: of what is this shard's
    /// own, nothing whose verdict is known. States after lost flushes have counts of their own.
    fn take(&mut self, batch: Batch) -> Vec<Asked> {
        self.contents.meet(batch.images, batch.number);
        let mut new = self.contents.take_new();
        new.retain(|key| self.shard.has(*key));
        let account = &mut self.exploration.account;
        account.recovered_count += new.len() as u64;
        let mut asked = Vec::new();
        for question in batch.questions {
            let Some(content) = self.contents.get(question.content) else { continue };
            let case = question.case(content);
            if !self.shard.has(case.key) {
                continue;
            }
            if question.lost_leg.is_some() {
                account.count_without_leg();
            }
            let stands_for = question.stands_for;
            let likeness = self.verdicts.meet(case, question.content, stands_for);
            if likeness == Likeness::New {
                asked.push((question, Arc::clone(content)));
            }
            if case.has_lost_flush {
                continue;
            }
            account.count_states(stands_for);
            match likeness {
                Likeness::New => account.shared_count += u64::from(!new.remove(&case.key)),
                Likeness::SameContent => account.repeated_count += 1,
                Likeness::SameSight => account.count_unread(1),
                Likeness::NotLost => {}
            }
            account.count_unread(stands_for - 1);
        }
        asked
    }

    /// Forgets contents that were not met for long before a batch, and what a verifier said of
    /// lines that have others behind them at this moment.
    fn forget(&mut self, batch: u64, moment: usize) {
        let oldest = batch.saturating_sub(self.pace.batches_kept);
        self.contents.forget(oldest);
        let printed = self.moments[moment].line_count;
        self.verified.retain(|(_, line_count), _| *line_count >= printed);
    }

    fn answer(&mut self, batch: Batch) {
        let number = batch.number;
        let asked = self.take(batch);
        self.conclude(number, &asked);
    }
}

impl Exploration {
    /// Adds what a crash showed, if it is not known. Returns its number.
    pub fn add(
        &mut self,
        known: &mut BTreeMap<(u8, String), usize>,
        what: CrashFault,
        met: Met,
        at: &CrashAt,
        line_count: usize,
    ) -> usize {
        let next = self.findings.len();
        let number = *known.entry(what.fingerprint()).or_insert(next);
        if number == next {
            let at = at.clone();
            self.findings.push(CrashFinding { what, met, at, line_count, state_count: 0 });
        }
        number
    }
}

/// The one crash of a recovery that is asked for; `None` if there is none.
fn followed(recovery: &Recovery, content: &Content, at: &CrashAt) -> Option<Relapses> {
    let first = content.recovered(recovery);
    let recovered = relapse::follow(recovery, first, &at.again)?;
    let relapse = Relapse { crashes: at.again.clone(), recovered };
    Some(Relapses { differing: vec![relapse], ..Relapses::default() })
}

#[cfg(test)]
mod tests;

//! Crash exploration: from one recorded run to every state that a crash could have left.
//!
//! Flow: moments (see [`crate::check::judge`]) and the device's history -> crash states -> equal
//! content recovers once, and so does what differs only where nothing looks (see
//! [`crate::check::footprint`]) -> each (what was found, moment) is judged -> findings and an
//! account.
//!
//! Of several shards each meets every state, and has those that are its own by what was found: so
//! what equal states share is shared within one shard, and what they count adds up to the whole.

mod contents;
mod verdicts;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

use crashproof_spec::clause::Catalogue;
use crashproof_spec::clause::Evidence;
use crashproof_spec::oracle::Ground;
use crashproof_spec::oracle::Oracle;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use crashproof_spec::violation::Violation;
use crashproof_spec::words::Testimony;
use rayon::prelude::*;

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
use crate::check::finding::LOSS_OF_A_LEG;
use crate::check::finding::Met;
use crate::check::judge::Line;
use crate::check::judge::Moment;
use crate::check::recover::Recovered;
use crate::check::recover::Recovery;
use crate::check::relapse;
use crate::check::relapse::Relapse;
use crate::check::relapse::RelapsePlan;
use crate::check::relapse::Relapses;
use crate::check::shard::Shard;
use crate::check::tally::Tally;
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

/// A moment's oracle after the crash. Calls that were under way are judged by then, which is the
/// same for all states of the moment.
struct Crashed {
    oracle: Oracle,
    violation_count: usize,
    tally: Tally,
}

impl Crashed {
    fn new(moment: &Moment, kind: CrashKind) -> Self {
        let mut oracle = moment.oracle.clone();
        let violation_count = oracle.violations().len();
        let tally = Tally::of(&oracle);
        oracle.event(&Event::Crashed(kind));
        Self { oracle, violation_count, tally }
    }
}

/// What the oracle said of one state.
#[derive(Default)]
struct Judged {
    violations: Vec<Violation>,
    /// The clauses that are broken because a flush was lost.
    by_device: Option<BTreeSet<&'static str>>,
    /// What it said where the recovery was crashed in turn.
    again: Vec<(Vec<CrashAt>, Violation)>,
    undecided: Vec<String>,
    lost: Vec<String>,
    tally: Tally,
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

    /// Judges and verifies in parallel; merges in order.
    fn conclude(&mut self, batch: u64, asked: &[Asked]) {
        let moments = asked.iter().map(|(question, _)| (question.moment, OnceLock::new()));
        let crashed: BTreeMap<usize, OnceLock<Crashed>> = moments.collect();
        let judge = |asked| self.judge(asked, &crashed);
        let judged: Vec<Judged> = asked.par_iter().map(judge).collect();
        for (asked, judged) in asked.iter().zip(judged) {
            let (question, content) = asked;
            let verdict = self.verdicts.of(question.case(content));
            (verdict.lost, verdict.by_device) = (judged.lost, judged.by_device);
            if verdict.by_device.is_some() {
                continue;
            }
            let account = &mut self.exploration.account;
            account.judged_count += 1;
            account.tally.add(&judged.tally);
            let met = Met([batch, 0, question.number]);
            // Of a state about which the medium had lied, recovery is not crashed.
            if let Some(relapses) = content.relapses.get().filter(|_| self.plan.depth > 1)
                && self.crashed_again.insert(content.key())
            {
                account.again.add(relapses);
            }
            for violation in judged.violations {
                self.found(asked, met, &[], CrashFault::Subject(violation));
            }
            for (again, violation) in judged.again {
                self.found(asked, met, &again, CrashFault::Subject(violation));
            }
            for reason in judged.undecided {
                self.found(asked, met, &[], CrashFault::Unknown(reason));
            }
        }
        self.verify(batch, asked);
    }

    /// An oracle after the crash, told what was found then.
    fn surveyed(&self, crashed: &Crashed, recovered: &Recovered, has_lied: bool) -> Oracle {
        let mut oracle = crashed.oracle.clone();
        if has_lied {
            oracle.event(&Event::Testified(Testimony::Lied));
        }
        let ground = || self.ground.lock().unwrap_or_else(PoisonError::into_inner);
        let compared_with = ground().clone();
        if let Some(ground) = compared_with {
            oracle.compare_with(ground);
        }
        oracle.event(&Event::Surveyed(recovered.survey()));
        if let Some(good) = oracle.ground() {
            *ground() = Some(good.clone());
        }
        oracle
    }

    fn judge(
        &self,
        (asked, content): &Asked,
        crashed: &BTreeMap<usize, OnceLock<Crashed>>,
    ) -> Judged {
        let recovered = content.recovered(self.contents.recovery());
        let crash = || Crashed::new(&self.moments[asked.moment], self.plan.crash);
        let crashed = crashed[&asked.moment].get_or_init(crash);
        let mut oracle = self.surveyed(crashed, recovered, asked.has_lied);
        if asked.lost_flushes > 0 {
            let broken = oracle.violations().skip(crashed.violation_count);
            let clauses = broken.map(|violation| violation.clause).collect();
            return Judged { by_device: Some(clauses), ..Judged::default() };
        }
        if self.plan.audited && !asked.has_lied {
            for testimony in recovered.audits() {
                oracle.event(&Event::Testified(testimony));
            }
        }
        let mut tally = Tally::of(&oracle).since(&crashed.tally);
        if self.plan.audited
            && let Some(what) = recovered.unaudited()
        {
            tally.passed_over.insert(what, 1);
        }
        // What an audit saw before the crash is told of the run.
        let before = self.moments[asked.moment].step;
        let is_new = |violation: &&Violation| was_answered(violation) || violation.step > before;
        let violations = oracle.violations().skip(crashed.violation_count).filter(is_new);
        let violations: Vec<Violation> = violations.cloned().collect();
        if asked.lost_leg.is_some() {
            tally.exercised.count(LOSS_OF_A_LEG);
        }
        let again = if asked.has_lied { Vec::new() } else { self.judge_again(content, &oracle) };
        Judged {
            violations,
            by_device: None,
            again,
            undecided: oracle.undecided().map(|reason| reason.what.to_owned()).collect(),
            lost: oracle.lost_allowed().map(|lost| lost.what.clone()).collect(),
            tally,
        }
    }

    /// Judges where crashes of a recovery ended, by an oracle that was told where it ends if it
    /// goes through.
    fn judge_again(&self, content: &Content, oracle: &Oracle) -> Vec<(Vec<CrashAt>, Violation)> {
        let Some(first) = content.recovered.get() else { return Vec::new() };
        let ExplorePlan { crash, bounds, depth, .. } = *self.plan;
        let plan = RelapsePlan { crash, bounds, depth };
        let crashed = || plan.crash(self.contents.recovery(), &content.image, first);
        let known = oracle.violations().len();
        let mut found = Vec::new();
        for Relapse { crashes, recovered } in &content.relapses.get_or_init(crashed).differing {
            let mut oracle = oracle.clone();
            oracle.event(&Event::Crashed(crash));
            oracle.event(&Event::Surveyed(recovered.survey()));
            for testimony in recovered.audits().into_iter().filter(|_| self.plan.audited) {
                oracle.event(&Event::Testified(testimony));
            }
            let violations = oracle.violations().skip(known).cloned();
            found.extend(violations.map(|violation| (crashes.clone(), violation)));
        }
        found
    }

    /// Runs the verifier on what was recovered. Its calls are judged if nothing was wrong before.
    fn verify_one(
        &self,
        verifier: &dyn Verify,
        (asked, content): &Asked,
        lines: &[Line],
    ) -> Verification {
        let recovered = content.recovered(self.contents.recovery());
        let crashed = Crashed::new(&self.moments[asked.moment], self.plan.crash);
        let oracle = self.surveyed(&crashed, recovered, asked.has_lied);
        let is_sound = !oracle.violations().any(was_answered) && oracle.undecided().len() == 0;
        verifier.verify(&content.image, lines, is_sound.then_some(oracle))
    }

    fn verify(&mut self, batch: u64, asked: &[Asked]) {
        let Some(verifier) = self.verifier else { return };
        // What a medium lost that lied is nobody's broken word.
        let is_owed = |(question, _): &&Asked| !question.has_lied && question.lost_flushes == 0;
        let moments = self.moments;
        let key =
            |(question, content): &Asked| (content.key(), moments[question.moment].line_count);
        let mut unknown: BTreeMap<(u128, usize), &Asked> = BTreeMap::new();
        for asked in asked.iter().filter(is_owed) {
            let key = key(asked);
            if self.verified.contains_key(&key) || unknown.contains_key(&key) {
                self.exploration.account.unverified_count += 1;
            } else {
                unknown.insert(key, asked);
            }
        }
        let unknown: Vec<_> = unknown.into_iter().collect();
        let verifications: Vec<Verification> = unknown
            .par_iter()
            .map(|((_, line_count), asked)| {
                self.verify_one(verifier, asked, &self.lines[..*line_count])
            })
            .collect();
        self.exploration.account.verified_count += verifications.len() as u64;
        for ((key, _), verification) in unknown.into_iter().zip(verifications) {
            self.verified.insert(key, verification);
        }
        for asked in asked.iter().filter(is_owed) {
            let faults = self.verified.get(&key(asked)).map(Verification::faults);
            for fault in faults.into_iter().flatten() {
                let met = Met([batch, 1, asked.0.number]);
                self.found(asked, met, &[], fault);
            }
        }
    }

    fn found(
        &mut self,
        (asked, content): &Asked,
        met: Met,
        again: &[CrashAt],
        mut what: CrashFault,
    ) {
        if let Some(leg) = asked.lost_leg {
            what.blame_loss(leg);
        }
        let Question { position, lost_leg, .. } = *asked;
        let (survivors, again) = (asked.survivors.clone(), again.to_vec());
        let at = CrashAt { position, survivors, lost_leg, again };
        let line_count = self.moments[asked.moment].line_count;
        let number = self.exploration.add(&mut self.known, what, met, &at, line_count);
        self.verdicts.of(asked.case(content)).findings.insert(number);
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

/// Is it about what was answered or found? What an audit alone can see says nothing of that.
fn was_answered(violation: &Violation) -> bool {
    let is_seen = |id| {
        Catalogue::embedded().get(id).is_none_or(|clause| clause.decided_from != [Evidence::Audit])
    };
    violation.clauses().any(is_seen)
}

#[cfg(test)]
mod tests;

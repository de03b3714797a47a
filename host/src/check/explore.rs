//! Crash exploration: from one recorded run to every state that a crash could have left.
//!
//! Flow: moments (see [`crate::check::judge`]) and the device's history -> crash states -> equal
//! content recovers once -> each (content, moment) is judged -> findings and an account.
//!
//! The key of a verdict is the content and the moment, never the content alone: between two
//! moments with equal content a promise may have been made, by an fsync that writes nothing.
//!
//! Of several shards each has the contents whose hash is its own, at every moment, so that what
//! equal content shares is shared within one shard: what they count adds up to the whole.

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
    batch_size: usize,
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
    lost_leg: Option<u32>,
    content: Arc<Content>,
    /// So many flushes had made nothing durable.
    lost_flushes: u32,
    /// Had the medium said what is not so?
    has_lied: bool,
}

/// States that are judged together.
#[derive(Default)]
struct Batch {
    number: u64,
    /// How many there are, those of other shards included.
    asked_count: usize,
    questions: Vec<Question>,
}

impl Batch {
    fn next(&mut self) -> Self {
        let next = Self { number: self.number + 1, ..Self::default() };
        std::mem::replace(self, next)
    }
}

/// Had the medium said what is not so, as far as a crash of this kind shows it?
pub(super) fn has_lied(point: &CrashPoint, kind: CrashKind) -> bool {
    match kind {
        CrashKind::Process(_) => false,
        CrashKind::Kernel => point.is_misplaced(),
        CrashKind::Power => point.is_lied_to(),
    }
}

/// One content of the device, and what became of it.
struct Content {
    image: Image,
    recovered: OnceLock<Recovered>,
    relapses: OnceLock<Relapses>,
}

impl Content {
    fn new(image: Image) -> Arc<Self> {
        Arc::new(Self { image, recovered: OnceLock::new(), relapses: OnceLock::new() })
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
    /// Each with the batch in which it was met last.
    contents: BTreeMap<u128, (u64, Arc<Content>)>,
    /// Those whose recovery was crashed, and counted.
    crashed_again: BTreeSet<u128>,
    recovery: Recovery,
    /// What the survey of some state meant that nothing was wrong with; others are compared with
    /// it. Which one it is changes what a verdict costs, never the verdict.
    ground: Mutex<Option<Ground>>,
    /// By content and lines. The first moment with both speaks for all: once the survey was
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
        Self {
            plan,
            shard: Shard::WHOLE,
            pace: PACE,
            moments,
            lines,
            verifier,
            contents: BTreeMap::new(),
            crashed_again: BTreeSet::new(),
            recovery: Recovery::new(&plan.stack).watching_writes(plan.depth > 1),
            ground: Mutex::new(None),
            verified: BTreeMap::new(),
            exploration: Exploration::default(),
            known: BTreeMap::new(),
        }
    }

    /// Only the contents of one shard are looked at. Moments, and positions at which a bound was
    /// hit, are counted by each.
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
                    self.answer(&batch.next());
                    self.forget(batch.number, number);
                    progress(number);
                }
            }
        }
        self.answer(&batch);
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
            self.recovery = Recovery::new(&self.plan.stack).watching_writes(true);
            let Some(relapses) = self.followed(&content, at) else { return self.exploration };
            // What is asked for, and no other.
            content.relapses.get_or_init(|| relapses);
        }
        let falls_into = |moment: &Moment| moment.positions.contains(&at.position);
        let questions: Vec<_> = (0..self.moments.len())
            .filter(|number| falls_into(&self.moments[*number]))
            .map(|moment| Question {
                number: 0,
                moment,
                position: at.position,
                survivors: at.survivors.clone(),
                lost_leg: at.lost_leg,
                content: Arc::clone(&content),
                lost_flushes: 0,
                has_lied,
            })
            .collect();
        let account = &mut self.exploration.account;
        account.moment_count = questions.len() as u64;
        account.state_count = account.moment_count;
        account.without_leg_count = at.lost_leg.map(|_| account.state_count);
        account.recovered_count = 1;
        self.answer(&Batch { questions, ..Batch::default() });
        self.exploration
    }

    fn ask(&mut self, walk: &mut Walk, moment: usize, position: usize, batch: &mut Batch) {
        walk.advance(position);
        let mut seen = BTreeSet::new();
        self.ask_at(walk.point(), (moment, position, 0), &mut seen, batch);
        if self.plan.crash == CrashKind::Power {
            for (lost, point) in (1..).zip(walk.lost()) {
                self.ask_at(point, (moment, position, lost), &mut seen, batch);
            }
        }
    }

    /// Asks of the states that a crash could leave at a point: at a moment and a position, after so
    /// many flushes were lost. What was seen there with fewer lost ones is not asked of again.
    fn ask_at(
        &mut self,
        point: &CrashPoint,
        (moment, position, lost_flushes): (usize, usize, u32),
        seen: &mut BTreeSet<u128>,
        batch: &mut Batch,
    ) {
        let has_lied = has_lied(point, self.plan.crash);
        let states = relapse::states(point, self.plan.crash, &self.plan.bounds);
        let account = &mut self.exploration.account;
        account.count_bounds(&states, lost_flushes > 0);
        for CrashState { image, survivors } in states.states {
            let left = |leg: &u32| Some((Some(*leg), self.plan.stack.without_leg(&image, *leg)?));
            // One thing at a time: no leg is lost after a flush that did nothing.
            let legs = self.plan.lost_legs.iter().filter(|_| lost_flushes == 0);
            let without: Vec<_> = legs.filter_map(left).collect();
            // What is wrong with all legs is told of all legs.
            for (lost_leg, image) in std::iter::once((None, image)).chain(without) {
                if lost_leg.is_some() && self.shard.has(image.hash()) {
                    self.exploration.account.count_without_leg();
                }
                let (is_new, survivors) = (seen.insert(image.hash()), survivors.clone());
                let is_counted = lost_flushes == 0;
                let Some((number, content)) = self.content(image, is_new, is_counted, batch) else {
                    continue;
                };
                batch.questions.push(Question {
                    number,
                    moment,
                    position,
                    survivors,
                    lost_leg,
                    content,
                    lost_flushes,
                    has_lied,
                });
            }
        }
    }

    /// What is to be judged of a state, and which one of its batch it is; nothing, if another
    /// shard has it, or it was asked at this position already. States after lost flushes have
    /// counts of their own.
    fn content(
        &mut self,
        image: Image,
        is_new: bool,
        is_counted: bool,
        batch: &mut Batch,
    ) -> Option<(u64, Arc<Content>)> {
        let (hash, account) = (image.hash(), &mut self.exploration.account);
        let is_own = self.shard.has(hash);
        let number = batch.asked_count as u64;
        batch.asked_count += usize::from(is_new);
        account.state_count += u64::from(is_own && is_counted);
        account.repeated_count += u64::from(is_own && !is_new && is_counted);
        if !is_own || !is_new {
            return None;
        }
        let known = self.contents.contains_key(&hash);
        account.shared_count += u64::from(known);
        account.recovered_count += u64::from(!known);
        let kept = self.contents.entry(hash).or_insert_with(|| (0, Content::new(image)));
        kept.0 = batch.number;
        Some((number, Arc::clone(&kept.1)))
    }

    /// Forgets contents that were not met for long before a batch, and what a verifier said of
    /// lines that have others behind them at this moment.
    fn forget(&mut self, batch: u64, moment: usize) {
        let oldest = batch.saturating_sub(self.pace.batches_kept);
        self.contents.retain(|_, (met, _)| *met >= oldest);
        let printed = self.moments[moment].line_count;
        self.verified.retain(|(_, line_count), _| *line_count >= printed);
    }

    /// Recovers, judges and verifies in parallel; merges in order.
    fn answer(&mut self, batch: &Batch) {
        let questions = &batch.questions;
        let moments = questions.iter().map(|asked| (asked.moment, OnceLock::new()));
        let crashed: BTreeMap<usize, OnceLock<Crashed>> = moments.collect();
        let judge = |asked| self.judge(asked, &crashed);
        let judged: Vec<Judged> = questions.par_iter().map(judge).collect();
        for (asked, judged) in questions.iter().zip(judged) {
            let account = &mut self.exploration.account;
            if let Some(clauses) = judged.by_device {
                account.add_lost_flush(&clauses);
                continue;
            }
            account.judged_count += 1;
            for lost in judged.lost {
                *account.lost.entry(lost).or_default() += 1;
            }
            account.tally.add(&judged.tally);
            let met = Met([batch.number, 0, asked.number]);
            // Of a state about which the medium had lied, recovery is not crashed.
            if let Some(relapses) = asked.content.relapses.get().filter(|_| self.plan.depth > 1)
                && self.crashed_again.insert(asked.content.image.hash())
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
        self.verify(batch);
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

    fn judge(&self, asked: &Question, crashed: &BTreeMap<usize, OnceLock<Crashed>>) -> Judged {
        let content = &asked.content;
        let recovered = content.recovered.get_or_init(|| self.recovery.recover(&content.image));
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
        let crashed = || plan.crash(&self.recovery, &content.image, first);
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

    /// The one crash of a recovery that is asked for; `None` if there is none.
    fn followed(&self, content: &Content, at: &CrashAt) -> Option<Relapses> {
        let first = content.recovered.get_or_init(|| self.recovery.recover(&content.image));
        let recovered = relapse::follow(&self.recovery, first, &at.again)?;
        let relapse = Relapse { crashes: at.again.clone(), recovered };
        Some(Relapses { differing: vec![relapse], ..Relapses::default() })
    }

    /// Runs the verifier on what was recovered. Its calls are judged if nothing was wrong before.
    fn verify_one(&self, verifier: &dyn Verify, asked: &Question, lines: &[Line]) -> Verification {
        let content = &asked.content;
        let recovered = content.recovered.get_or_init(|| self.recovery.recover(&content.image));
        let crashed = Crashed::new(&self.moments[asked.moment], self.plan.crash);
        let oracle = self.surveyed(&crashed, recovered, asked.has_lied);
        let is_sound = !oracle.violations().any(was_answered) && oracle.undecided().len() == 0;
        verifier.verify(&content.image, lines, is_sound.then_some(oracle))
    }

    fn verify(&mut self, batch: &Batch) {
        let Some(verifier) = self.verifier else { return };
        let questions = &batch.questions;
        let mut asked: BTreeMap<(u128, usize), &Question> = BTreeMap::new();
        // What a medium lost that lied is nobody's broken word.
        let is_owed = |question: &&Question| !question.has_lied && question.lost_flushes == 0;
        for question in questions.iter().filter(is_owed) {
            let line_count = self.moments[question.moment].line_count;
            let key = (question.content.image.hash(), line_count);
            if self.verified.contains_key(&key) || asked.contains_key(&key) {
                self.exploration.account.unverified_count += 1;
            } else {
                asked.insert(key, question);
            }
        }
        let asked: Vec<_> = asked.into_iter().collect();
        let verifications: Vec<Verification> = asked
            .par_iter()
            .map(|((_, line_count), question)| {
                self.verify_one(verifier, question, &self.lines[..*line_count])
            })
            .collect();
        self.exploration.account.verified_count += verifications.len() as u64;
        for ((key, _), verification) in asked.into_iter().zip(verifications) {
            self.verified.insert(key, verification);
        }
        for question in questions.iter().filter(is_owed) {
            let line_count = self.moments[question.moment].line_count;
            let key = (question.content.image.hash(), line_count);
            let faults = self.verified.get(&key).map(Verification::faults);
            for fault in faults.into_iter().flatten() {
                let met = Met([batch.number, 1, question.number]);
                self.found(question, met, &[], fault);
            }
        }
    }

    fn found(&mut self, asked: &Question, met: Met, again: &[CrashAt], mut what: CrashFault) {
        if let Some(leg) = asked.lost_leg {
            what.blame_loss(leg);
        }
        let Question { position, lost_leg, .. } = *asked;
        let (survivors, again) = (asked.survivors.clone(), again.to_vec());
        let at = CrashAt { position, survivors, lost_leg, again };
        let line_count = self.moments[asked.moment].line_count;
        self.exploration.add(&mut self.known, what, met, &at, line_count);
    }
}

impl Exploration {
    /// Adds what a crash showed, or counts it if it is known.
    pub fn add(
        &mut self,
        known: &mut BTreeMap<(u8, String), usize>,
        what: CrashFault,
        met: Met,
        at: &CrashAt,
        line_count: usize,
    ) {
        let fingerprint = what.fingerprint();
        if let Some(number) = known.get(&fingerprint) {
            self.findings[*number].state_count += 1;
            return;
        }
        known.insert(fingerprint, self.findings.len());
        let at = at.clone();
        self.findings.push(CrashFinding { what, met, at, line_count, state_count: 1 });
    }
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

//! What the oracle and the verifier say of crash states.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::PoisonError;

use crashproof_spec::clause::Catalogue;
use crashproof_spec::clause::Evidence;
use crashproof_spec::oracle::Oracle;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::trace::Event;
use crashproof_spec::violation::Violation;
use crashproof_spec::words::Testimony;
use rayon::prelude::*;

use crate::check::crash_at::CrashAt;
use crate::check::explore::Asked;
use crate::check::explore::ExplorePlan;
use crate::check::explore::Explorer;
use crate::check::explore::Question;
use crate::check::explore::contents::Content;
use crate::check::finding::CrashFault;
use crate::check::finding::LOSS_OF_A_LEG;
use crate::check::finding::Met;
use crate::check::judge::Line;
use crate::check::judge::Moment;
use crate::check::recover::Recovered;
use crate::check::relapse::Relapse;
use crate::check::relapse::RelapsePlan;
use crate::check::tally::Tally;
use crate::check::verify::Verification;
use crate::check::verify::Verify;

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

impl Explorer<'_> {
    /// Judges and verifies in parallel; merges in order.
    pub(super) fn conclude(&mut self, batch: u64, asked: &[Asked]) {
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

/// Is it about what was answered or found? What an audit alone can see says nothing of that.
pub(super) fn was_answered(violation: &Violation) -> bool {
    let is_seen = |id| {
        Catalogue::embedded().get(id).is_none_or(|clause| clause.decided_from != [Evidence::Audit])
    };
    violation.clauses().any(is_seen)
}

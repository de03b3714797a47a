//! A crash state that is compared with one that is like it is judged as if it were alone.

use crashproof_spec::oracle::Ground;
use crashproof_spec::words::Survey;

use super::*;
use crate::check::recover::Recovery;
use crate::device::FaultPlan;
use crate::device::History;
use crate::device::StateBounds;
use crate::sim::mix;

const PROGRAM_COUNT: u64 = 600;
const DEFECT_PROGRAM_COUNT: u64 = 150;
const BOUNDS: StateBounds = StateBounds { subset_count_max: 3, torn: true };

/// A run of a random program: the moments at which it could be cut short.
fn run(campaign: &Campaign, seed: u64) -> Option<(Vec<Moment>, History, StackPlan)> {
    let bytes: Vec<u8> = (0..400).map(|at| (mix(seed ^ mix(at)) >> 24) as u8).collect();
    let (program, chance) = split(&bytes)?;
    let sim = Sim::new(FromBytes::new(chance));
    let policies = campaign.policies.clone();
    let plan = StackPlan { geometry: TINY, policies, faults: FaultPlan::default() };
    let stack = sim.block_on(Stack::format(&plan, &sim)).ok()?;
    let table = Table::new(false, Promises::strict_sticky());
    let operations = [&program.before[..], &program.after].concat();
    table.run(&operations, &stack, &sim);
    let moments = lock(&table.kept).moments().to_vec();
    Some((moments, stack.disk.history(), plan))
}

/// All that an oracle says.
fn said(oracle: &Oracle) -> String {
    let violations: Vec<_> = oracle.violations().collect();
    let undecided: Vec<_> = oracle.undecided().collect();
    let lost: Vec<_> = oracle.lost_allowed().collect();
    let exercised: Vec<_> = oracle.exercised().iter().collect();
    format!("{violations:#?}\n{undecided:?}\n{lost:#?}\n{exercised:?}")
}

/// Judges a survey, compared with `ground`; then another, as if power failed once more.
fn judge(moment: &Moment, ground: Option<Ground>, surveys: [&Result<Survey, String>; 2]) -> Oracle {
    let mut oracle = moment.oracle.clone();
    if let Some(ground) = ground {
        oracle.compare_with(ground);
    }
    for survey in surveys {
        oracle.event(&Event::Crashed(CrashKind::Power));
        oracle.event(&Event::Surveyed(survey.clone()));
    }
    oracle
}

/// Judges every crash state of a program both ways; tells how many, and how many are rejected.
fn compare(campaign: &Campaign, seed: u64) -> [u64; 2] {
    let Some((moments, history, plan)) = run(campaign, seed) else { return [0; 2] };
    let mut walk = Walk::new(&history);
    let recovery = Recovery::new(&plan);
    let mut ground: Option<Ground> = None;
    let mut last: Result<Survey, String> = Ok(Survey::default());
    let mut counts = [0; 2];
    for moment in &moments {
        let states =
            moment.positions.clone().flat_map(|at| walk.advance(at).states(&BOUNDS).states);
        for state in states.collect::<Vec<_>>() {
            let what = format!("seed {seed}, {:?}, survivors {}", moment.step, state.survivors);
            let (recovered, next) = (recover(&state.image, &plan), recovery.recover(&state.image));
            let survey = recovered.survey();
            assert_eq!(
                (next.survey(), next.audits()),
                (survey.clone(), recovered.audits()),
                "{what}"
            );
            let alone = judge(moment, None, [&survey, &last]);
            let compared = judge(moment, ground.clone(), [&survey, &last]);
            assert_eq!(said(&compared), said(&alone), "{what}");
            let mut oracle = moment.oracle.clone();
            oracle.event(&Event::Crashed(CrashKind::Power));
            oracle.event(&Event::Surveyed(survey.clone()));
            ground = oracle.ground().cloned().or(ground);
            last = survey;
            counts = [counts[0] + 1, counts[1] + u64::from(oracle.violations().len() > 0)];
        }
    }
    counts
}

fn compare_all(campaign: &Campaign, seeds: std::ops::Range<u64>) -> [u64; 2] {
    let counts = seeds.map(|seed| compare(campaign, seed));
    counts.fold([0; 2], |sum, count| [sum[0] + count[0], sum[1] + count[1]])
}

#[test]
fn a_clean_stack_is_judged_alike() {
    let [judged, rejected] = compare_all(&Campaign::default(), 1..PROGRAM_COUNT);
    assert!(judged > 10 * PROGRAM_COUNT, "only {judged} states");
    assert_eq!(rejected, 0);
}

#[test]
fn a_broken_stack_is_judged_alike() {
    for (number, defect) in (0_u64..).zip(crate::subject::defects()) {
        let campaign = Campaign::with_defect(Some(defect.name)).expect("it is in the list");
        let first = 1_000 * (number + 1);
        compare_all(&campaign, first..first + DEFECT_PROGRAM_COUNT);
    }
}

#[test]
fn a_medium_that_was_changed_behind_its_back_is_recovered_alike() {
    let (_, history, plan) = run(&Campaign::default(), 3).expect("it is a program");
    let mut walk = Walk::new(&history);
    let image = walk.advance(history.len()).durable.clone();
    for (number, (block, bytes)) in image.blocks().enumerate() {
        let mut content = bytes.to_vec();
        content[number * 7 % bytes.len()] ^= 0x41;
        let mut changed = image.clone();
        changed.set(block, crate::device::Block::new(block, content.into()));
        let recovery = Recovery::new(&plan);
        let _ = recovery.recover(&image);
        let (next, alone) = (recovery.recover(&changed), recover(&changed, &plan));
        assert_eq!(next.survey(), alone.survey(), "block {}", block.0);
        assert_eq!(next.audits(), alone.audits(), "block {}", block.0);
    }
}

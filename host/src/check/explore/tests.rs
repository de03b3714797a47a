//! The exploration against brute force, on a device so small that everything can be tried.

use bytes::Bytes;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::Event;

use super::*;
use crate::check::account::Account;
use crate::check::account::AgainAccount;
use crate::check::ace::Actor;
use crate::check::ace::Bench;
use crate::check::ace::Set;
use crate::check::ace::Workload;
use crate::check::ace::Workloads;
use crate::check::explore::answers::was_answered;
use crate::check::recover::Recovered;
use crate::check::recover::recover;
use crate::check::world::Expectation;
use crate::cow::RECOVERY_COMMITS;
use crate::cow::RECOVERY_ENDS_LOG_FIRST;
use crate::cow::fsck::Sound;
use crate::device::Block;
use crate::device::BlockNo;
use crate::device::DeviceEvent;
use crate::device::Disk;
use crate::device::FaultPlan;
use crate::device::Geometry;
use crate::device::Survival;
use crate::device::Written;
use crate::observe::Notebook;
use crate::observe::Recorder;
use crate::observe::survey_tree;
use crate::sim::Sim;
use crate::subject::Policies;
use crate::subject::Stack;
use crate::subject::defect_named;

const TINY: Geometry = Geometry { block_size_bytes: 512, block_count: 96 };

/// All subsets of so many writes: no workload here has more of them unflushed.
const BOUND: u32 = 10;

fn stack(policies: Policies) -> StackPlan {
    StackPlan { geometry: TINY, policies, faults: FaultPlan::default() }
}

fn with_defect(name: &str) -> StackPlan {
    let mut policies = Policies::default();
    (defect_named(name).expect("it is in the list").apply)(&mut policies);
    stack(policies)
}

fn bench(stack: StackPlan, depth: u32) -> Bench {
    blank(stack, (depth, 0), false).expect("there is room for a file system")
}

/// A bench for crashes to a depth, after so many lost flushes, with torn writes or without.
fn blank(stack: StackPlan, crashes: (u32, u32), torn: bool) -> Result<Bench, String> {
    bounded(stack, crashes, BOUND, torn)
}

/// The same, which tries all subsets of no more than so many writes.
fn bounded(
    stack: StackPlan,
    crashes: (u32, u32),
    subset_count_max: u32,
    torn: bool,
) -> Result<Bench, String> {
    let expectation = Expectation {
        promises: Arc::new(Promises::strict_sticky()),
        level: Level::Strict,
        audited: true,
    };
    let bounds = StateBounds { subset_count_max, torn };
    Bench::new(stack, bounds, crashes, expectation)
}

/// Some of the workloads of one operation: every kind, on a small scale.
fn workloads() -> Vec<Workload> {
    Workloads::new(Set::All, 1).iter().step_by(5).collect()
}

/// What a medium holds, block by block.
type Medium = BTreeMap<u64, Bytes>;

/// What a crash at a position could leave, without the help of anything but the events.
fn media(history: &History, position: usize) -> Vec<Medium> {
    let start = history.start();
    let block_count = start.geometry().block_count;
    let mut durable: Medium =
        (0..block_count).filter_map(|n| Some((n, start.get(BlockNo(n))?))).collect();
    let mut unflushed: Vec<Written> = Vec::new();
    for number in 0..position {
        match history.event(number).expect("it happened") {
            DeviceEvent::Written(written) => {
                assert!(!written.forced, "nothing here forces a write");
                unflushed.push(written);
            }
            DeviceEvent::Flushed { until } => {
                let is_covered = |written: &Written| written.number < until;
                for written in unflushed.iter().filter(|written| is_covered(written)) {
                    durable.insert(written.block.0, written.content.bytes().clone());
                }
                unflushed.retain(|written| !is_covered(written));
            }
            DeviceEvent::Dropped => unflushed.clear(),
            DeviceEvent::Lied(_) => panic!("this device says what is so"),
        }
    }
    assert!(unflushed.len() <= BOUND as usize, "{} writes", unflushed.len());
    let subset = |bits: u32| {
        let mut medium = durable.clone();
        for (number, written) in unflushed.iter().enumerate() {
            if (bits >> number) & 1 == 1 {
                medium.insert(written.block.0, written.content.bytes().clone());
            }
        }
        medium
    };
    (0..1_u32 << unflushed.len()).map(subset).collect()
}

fn image(medium: &Medium) -> Image {
    let mut image = Image::new(TINY);
    for (number, bytes) in medium {
        let block = BlockNo(*number);
        image.set(block, Block::new(block, bytes.clone()));
    }
    image
}

/// What brute force finds: every state by itself, recovered and judged by looking at everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    state_count: u64,
    contents: BTreeSet<u128>,
    meanings: BTreeSet<String>,
    /// Findings, and in how many states each was seen.
    findings: BTreeMap<(u8, String), u64>,
    lost: BTreeMap<String, u64>,
}

/// Which states brute force judges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judges {
    Each,
    /// Only the first of each content, whatever was promised since.
    FirstOfContent,
}

fn by_brute_force(bench: &Bench, workload: &Workload, judges: Judges) -> Seen {
    let recorded = bench.record(workload).expect("the workload can be done");
    let plan = bench.plan();
    let mut seen = Seen::default();
    for moment in &recorded.judged.moments {
        for position in moment.positions.clone() {
            for medium in media(&recorded.history, position) {
                seen.state_count += 1;
                let image = image(&medium);
                let is_known = !seen.contents.insert(image.hash());
                if judges == Judges::FirstOfContent && is_known {
                    continue;
                }
                let recovered = recover(&image, &plan.stack);
                seen.meanings.insert(format!("{:?}", recovered.survey()));
                judge(&mut seen, moment, &recovered);
            }
        }
    }
    seen
}

fn judge(seen: &mut Seen, moment: &Moment, recovered: &Recovered) {
    let mut oracle = moment.oracle.clone();
    let known = oracle.violations().len();
    oracle.event(&Event::Crashed(CrashKind::Power));
    oracle.event(&Event::Surveyed(recovered.survey()));
    for testimony in recovered.audits() {
        oracle.event(&Event::Testified(testimony));
    }
    let violations = oracle.violations().skip(known);
    let violations = violations.filter(|v| was_answered(v) || v.step > moment.step).cloned();
    let findings: BTreeSet<_> = violations.map(|v| CrashFault::Subject(v).fingerprint()).collect();
    for finding in findings {
        *seen.findings.entry(finding).or_default() += 1;
    }
    for lost in oracle.lost_allowed() {
        *seen.lost.entry(lost.what.clone()).or_default() += 1;
    }
}

/// What the exploration finds, and its account.
fn by_exploration(bench: &Bench, workload: &Workload) -> (Seen, Account) {
    let recorded = bench.record(workload).expect("the workload can be done");
    let judged = &recorded.judged;
    let mut explorer = Explorer::new(bench.plan(), &judged.moments, &judged.lines, None);
    explorer.explore_all(&recorded.history, &|_| ());
    let account = &explorer.exploration.account;
    assert_eq!(account.bounded_count, 0);
    let meaning = |content: &Content| {
        format!("{:?}", content.recovered(explorer.contents.recovery()).survey())
    };
    let findings = explorer.exploration.findings.iter();
    let shared = account.shared_count + account.repeated_count + account.unread_count;
    assert_eq!(account.recovered_count + shared, account.state_count);
    assert_eq!(account.recovered_count + account.shared_count, account.judged_count);
    let seen = Seen {
        state_count: account.state_count,
        contents: explorer.contents.hashes().collect(),
        meanings: explorer.contents.distinct().map(meaning).collect(),
        findings: findings.map(|found| (found.what.fingerprint(), found.state_count)).collect(),
        lost: account.lost.clone(),
    };
    (seen, account.clone())
}

#[test]
fn the_exploration_finds_what_brute_force_finds() {
    let defects = ["sync_without_flush", "root_before_tree", "sync_without_log", "reuse_at_once"];
    let stacks = defects.map(with_defect).into_iter().chain([stack(Policies::default())]);
    let (mut state_count, mut rejected, mut unread_count) = (0, 0, 0);
    for stack in stacks {
        let covering = bounded(stack.clone(), (1, 0), 0, false).expect("there is room");
        let (pruning, thorough) = (bench(stack.clone(), 1), bench(stack, 1).without_pruning());
        for workload in workloads() {
            let seen = by_brute_force(&pruning, &workload, Judges::Each);
            state_count += seen.state_count;
            rejected += u32::from(!seen.findings.is_empty());
            let (pruned, of_pruned) = by_exploration(&pruning, &workload);
            assert_eq!(pruned, seen, "{workload}");
            unread_count += of_pruned.unread_count;
            let (covered, of_covered) = by_exploration(&covering, &workload);
            assert!(of_covered.judged_count <= of_pruned.judged_count, "{workload}");
            assert_eq!(covered, Seen { contents: covered.contents.clone(), ..seen.clone() });
            let (whole, of_whole) = by_exploration(&thorough, &workload);
            assert_eq!(whole, seen, "{workload}");
            assert_eq!(of_whole.unread_count, 0, "{workload}");
            assert_eq!(of_whole.recovered_count, seen.contents.len() as u64, "{workload}");
        }
    }
    assert!(state_count > 3000 && rejected > 20, "{state_count} states, {rejected} rejected");
    assert!(unread_count > 1000, "{unread_count} of {state_count}");
}

/// What is wrong, in how many states, and what was lost, as it may be.
fn said(exploration: &Exploration) -> (Vec<(String, u64)>, &BTreeMap<String, u64>) {
    let findings = exploration.findings.iter();
    let text = |found: &CrashFinding| format!("{:?}", found.what.fingerprint());
    let found = findings.map(|found| (text(found), found.state_count)).collect();
    (found, &exploration.account.lost)
}

#[test]
fn pruning_changes_no_verdict_whatever_the_defect() {
    let (mut rejected, mut unread_count) = (0, 0);
    for defect in crate::subject::defects() {
        for (depth, lost_flushes, step) in [(1, 0, 3), (1, 2, 5), (2, 0, 7)] {
            let stack = with_defect(defect.name);
            let Ok(bench) = blank(stack, (depth, lost_flushes), depth == 1) else { continue };
            for workload in Workloads::new(Set::All, 1).iter().step_by(step) {
                let ran = |bench: &Bench| bench.run(&workload).expect("the workload can be done");
                let (pruned, whole) = (ran(&bench), ran(&bench.clone().without_pruning()));
                let (of_pruned, of_whole) = (pruned.exploration, whole.exploration);
                assert_eq!(said(&of_pruned), said(&of_whole), "{}, {workload}", defect.name);
                let (pruned, whole) = (&of_pruned.account, &of_whole.account);
                assert_eq!(pruned.lost_flush, whole.lost_flush, "{}, {workload}", defect.name);
                assert_eq!(pruned.again, whole.again, "{}, {workload}", defect.name);
                assert_eq!(pruned.state_count, whole.state_count);
                unread_count += pruned.unread_count;
                rejected += u32::from(!of_pruned.findings.is_empty());
            }
        }
    }
    assert!(rejected > 200 && unread_count > 10_000, "{rejected} rejected, {unread_count} unread");
}

/// What a walk through all there is asks the device for is part of the footprint, and so is what a
/// verifier may ask for that goes on, also where the stack is not what it should be.
#[test]
fn nothing_that_is_read_is_left_out_of_a_footprint() {
    let defects = crate::subject::defects().map(|defect| defect.name);
    let (mut footprint_count, mut read_count) = (0, 0);
    for name in defects {
        let stack = with_defect(name);
        if !stack.is_single() {
            continue;
        }
        let bench = bench(stack.clone(), 1);
        let recovery = Recovery::new(&stack).taking_footprints();
        for workload in workloads().iter().step_by(7) {
            let Ok(recorded) = bench.record(workload) else { continue };
            for position in 0..=recorded.history.len() {
                for medium in media(&recorded.history, position) {
                    let image = image(&medium);
                    let recovered = recovery.recover(&image);
                    let Some(footprint) = recovered.footprint() else { continue };
                    let read = read_by_a_program(&image, &stack, workload);
                    read_count += read.len();
                    let unread: Vec<_> =
                        read.iter().filter(|block| !footprint.has(**block)).collect();
                    assert!(unread.is_empty(), "{name}, {workload}: {unread:?}");
                    footprint_count += 1;
                }
            }
        }
    }
    assert!(footprint_count > 1000 && read_count > 5000, "{footprint_count}, {read_count} blocks");
}

/// The blocks that are read while an image is mounted, all of it is looked at, and a program goes
/// on with it.
fn read_by_a_program(image: &Image, plan: &StackPlan, workload: &Workload) -> BTreeSet<BlockNo> {
    let sim = Sim::calm();
    sim.block_on(async {
        let disk = Disk::new(image.clone(), sim.clone()).watched();
        let stack = Stack::mount_disk(disk, plan, &sim).await.expect("it was mounted before");
        let walked = survey_tree(stack.vfs.as_ref(), plan.geometry.block_size_bytes).await;
        walked.expect("it was walked before");
        let notebook = Notebook::new(stack.witness.clone(), |_, _| ());
        let recorder = Recorder::new(stack.vfs.clone(), notebook);
        let mut actor = Actor::new(&recorder, plan.geometry.block_size_bytes);
        // What is there already is in its way now and then.
        let _ = actor.run(workload).await;
        stack.disk.touched().read
    })
}

#[test]
fn what_snapshots_use_is_part_of_a_footprint() {
    let bench = bench(stack(Policies::default()), 1);
    let recovery = Recovery::new(&bench.plan().stack).taking_footprints();
    let mut kept_count = 0;
    for workload in Workloads::new(Set::All, 2).iter().step_by(97) {
        let recorded = bench.record(&workload).expect("the workload can be done");
        let mut walk = Walk::new(&recorded.history);
        let image = walk.advance(recorded.history.len()).all_survive().states.remove(0).image;
        let sound = Sound::check(&image).expect("the file system is sound");
        let recovered = recovery.recover(&image);
        let footprint = recovered.footprint().expect("the file system is sound");
        for block in sound.used_by_snapshots() {
            assert!(footprint.has(*block), "{workload}: {block:?}");
            kept_count += u32::from(!sound.users().contains_key(block));
        }
    }
    assert!(kept_count > 20, "snapshots alone keep {kept_count} blocks");
}

#[test]
fn what_lies_where_nobody_looks_changes_nothing() {
    let geometry = Geometry { block_count: 2000, ..TINY };
    let bench = bench(StackPlan { geometry, ..stack(Policies::default()) }, 1);
    let recovery = Recovery::new(&bench.plan().stack).taking_footprints();
    for workload in workloads().iter().step_by(11) {
        let recorded = bench.record(workload).expect("the workload can be done");
        let mut walk = Walk::new(&recorded.history);
        let image = walk.advance(recorded.history.len()).durable.clone();
        let recovered = recovery.recover(&image);
        let footprint = recovered.footprint().expect("the file system is sound");
        let mut littered = image.clone();
        for block in (0..geometry.block_count).map(BlockNo).filter(|block| !footprint.has(*block)) {
            littered.set(block, Block::new(block, Bytes::from(vec![7; 512])));
        }
        assert!(littered.used_count() > 1500 && footprint.covers(&littered), "{workload}");
        let other = recovery.recover(&littered);
        assert_eq!(other.footprint().map(|other| other.key()), Some(footprint.key()));
        assert!(other.ends_as(&recovered), "{workload}");
        assert_eq!(other.unaudited(), recovered.unaudited(), "{workload}");
    }
}

#[test]
fn a_footprint_does_not_depend_on_what_was_looked_at_before() {
    let bench = bench(stack(Policies::default()), 1);
    let recovery = Recovery::new(&bench.plan().stack).taking_footprints();
    let (mut keys, mut covered) = (BTreeMap::new(), 0);
    for workload in workloads().iter().step_by(3) {
        let recorded = bench.record(workload).expect("the workload can be done");
        for position in 0..=recorded.history.len() {
            for medium in media(&recorded.history, position) {
                let image = image(&medium);
                let fresh = Recovery::new(&bench.plan().stack).taking_footprints();
                let (one, other) = (recovery.recover(&image), fresh.recover(&image));
                let (Some(one), Some(other)) = (one.footprint(), other.footprint()) else {
                    panic!("the file system is sound");
                };
                assert_eq!(one.key(), other.key(), "{workload}");
                assert!(one.covers(&image) && other.covers(&image));
                // Equal keys and only they are of images one of which covers the other.
                let known = keys.entry(one.key()).or_insert_with(|| Arc::clone(one));
                assert!(known.covers(&image), "{workload}");
                let covering = keys.values().filter(|known| known.covers(&image)).count();
                assert_eq!(covering, 1, "{workload}");
                covered += 1;
            }
        }
    }
    assert!(keys.len() > 30 && covered > 3 * keys.len(), "{} of {covered}", keys.len());
}

/// Contents that come back are recovered again, and are judged as before.
#[test]
fn what_is_forgotten_costs_time_and_no_verdict() {
    let (mut again, mut rejected) = (0, 0);
    for stack in [stack(Policies::default()), with_defect("sync_without_flush")] {
        let bench = bench(stack, 1);
        for workload in workloads() {
            let recorded = bench.record(&workload).expect("the workload can be done");
            let judged = &recorded.judged;
            let explored = |pace| {
                let explorer = Explorer::new(bench.plan(), &judged.moments, &judged.lines, None);
                Explorer { pace, ..explorer }.explore(&recorded.history, &|_| ())
            };
            let whole = explored(PACE);
            let forgetful = explored(Pace { batch_size: 1, batches_kept: 0 });
            let (of_whole, of_other) = (&whole.account, &forgetful.account);
            assert_eq!(of_whole.judged_count, of_other.judged_count, "{workload}");
            assert_eq!(of_whole.lost, of_other.lost, "{workload}");
            assert_eq!(of_whole.tally, of_other.tally, "{workload}");
            let found = |of: &Exploration| -> Vec<_> {
                let found = of.findings.iter();
                found.map(|found| (found.what.fingerprint(), found.state_count)).collect()
            };
            assert_eq!(found(&whole), found(&forgetful), "{workload}");
            again += of_other.recovered_count - of_whole.recovered_count;
            rejected += u32::from(!whole.findings.is_empty());
        }
    }
    assert!(again > 50 && rejected > 5, "{again} recovered again, {rejected} rejected");
}

/// Between two moments with equal content a promise was made: by an fsync that wrote nothing.
#[test]
fn who_judges_each_content_once_does_not_see_a_promise_that_an_fsync_made_and_did_not_keep() {
    let bench = bench(with_defect("sync_without_log"), 1);
    let mut lost = 0;
    for workload in workloads() {
        let of_content = by_brute_force(&bench, &workload, Judges::FirstOfContent);
        let (explored, _) = by_exploration(&bench, &workload);
        assert_eq!(of_content.contents, explored.contents);
        lost += u32::from(of_content.findings.is_empty() && !explored.findings.is_empty());
    }
    assert!(lost > 5, "in {lost} workloads it would have been lost");
}

fn explored(stack: StackPlan, depth: u32) -> (AgainAccount, BTreeSet<&'static str>) {
    let bench = bench(stack, depth);
    let (mut account, mut clauses) = (AgainAccount::default(), BTreeSet::new());
    for workload in workloads() {
        let outcome = bench.run(&workload).expect("the workload can be done");
        assert!(outcome.violations.is_empty() && outcome.undecided.is_empty(), "{workload}");
        let again = outcome.exploration.account.again;
        account.crashed_count += again.crashed_count;
        account.recovered_count += again.recovered_count;
        account.differing_count += again.differing_count;
        for found in outcome.exploration.findings {
            let CrashFault::Subject(violation) = found.what else { panic!("{:?}", found.what) };
            assert!(!found.at.again.is_empty(), "{workload}: {violation:?}");
            clauses.insert(violation.clause);
        }
    }
    (account, clauses)
}

fn recovering(order: &'static [crate::cow::RecoveryStep]) -> StackPlan {
    let mut policies = Policies::default();
    policies.cow.recovery_order = order;
    stack(policies)
}

#[test]
fn a_recovery_that_writes_may_be_cut_short_anywhere_and_again() {
    for depth in [2, 3] {
        let (account, clauses) = explored(recovering(RECOVERY_COMMITS), depth);
        assert!(account.crashed_count > 10 && account.recovered_count > 50, "{account:?}");
        assert_eq!((account.differing_count, clauses), (0, BTreeSet::new()));
    }
    let (nothing, _) = explored(stack(Policies::default()), 3);
    assert_eq!(nothing, AgainAccount::default(), "the reference recovers without a write");
}

#[test]
fn what_a_mirror_makes_equal_may_be_cut_short_anywhere_and_again() {
    let mut mirrored = stack(Policies::default());
    mirrored.policies.mirror.leg_count = 2;
    let (account, clauses) = explored(mirrored, 2);
    assert!(account.crashed_count > 10 && account.recovered_count > 10, "{account:?}");
    assert_eq!(clauses, BTreeSet::new());
}

#[test]
fn a_recovery_that_forgets_before_it_has_committed_is_found_at_depth_2_and_not_at_depth_1() {
    let (account, clauses) = explored(recovering(RECOVERY_ENDS_LOG_FIRST), 1);
    assert_eq!((account, clauses), (AgainAccount::default(), BTreeSet::new()));
    let (account, clauses) = explored(recovering(RECOVERY_ENDS_LOG_FIRST), 2);
    assert!(account.differing_count > 5, "{account:?}");
    assert_eq!(clauses, BTreeSet::from(["CRASH-08"]));
}

#[test]
fn a_crash_of_a_recovery_is_found_again_by_its_place() {
    let bench = bench(with_defect("log_ended_first"), 2);
    let workload = workloads().into_iter().find(|workload| {
        !bench.run(workload).expect("it can be done").exploration.findings.is_empty()
    });
    let workload = workload.expect("one of them shows it");
    let recorded = bench.record(&workload).expect("it can be done");
    let explorer = || {
        let judged = &recorded.judged;
        Explorer::new(bench.plan(), &judged.moments, &judged.lines, None)
    };
    let found = explorer().explore(&recorded.history, &|_| ()).findings.remove(0);
    let again = explorer().explore_one(&recorded.history, &found.at);
    let fingerprints: Vec<_> = again.findings.iter().map(|f| f.what.fingerprint()).collect();
    assert!(fingerprints.contains(&found.what.fingerprint()), "{again:?}");
    let elsewhere = CrashAt {
        position: 99,
        survivors: Survivors(vec![Survival::Whole]),
        lost_leg: None,
        again: Vec::new(),
    };
    let at = CrashAt { again: vec![elsewhere], ..found.at };
    assert_eq!(explorer().explore_one(&recorded.history, &at).account.judged_count, 0);
}

//! Power loss at every write and flush, with every subset of what was not flushed.
//!
//! The law: what is found is the state after some operation, no older than the last sync or
//! commit that succeeded and no newer than the operation that was under way.

use super::*;
use crate::cow::COMMIT_ORDER;
use crate::cow::CommitStep;
use crate::cow::Discards;
use crate::cow::RECOVERY_COMMITS;
use crate::cow::RECOVERY_ENDS_LOG_FIRST;
use crate::cow::RECOVERY_ORDER;
use crate::cow::RecoveryStep;
use crate::cow::SYNC_ORDER;
use crate::cow::SyncStep;
use crate::device::FaultRule;
use crate::device::Faulty;
use crate::device::StateBounds;
use crate::device::Walk;
use crate::sim::Seeded;
use crate::sim::Site;
use crate::sim::Unrest;
use crate::sim::mix;

/// What may be found from a position of the device's history on.
struct Moment {
    position: usize,
    /// The state that is durable by promise, and the newest that can be.
    promised: usize,
    newest: usize,
}

/// A program, run once, with every state that it went through.
struct Run {
    disk: Arc<Disk>,
    states: Vec<Dump>,
    moments: Vec<Moment>,
    refused: u32,
}

#[derive(Clone, Copy)]
enum Step {
    Create(u64),
    Write(u64, u64, u8),
    Pack(u64, u64, u8),
    /// All of a file to a place of another one.
    Clone(u64, u64, u64),
    /// Two blocks from this one on are gone, and what follows moves down.
    Collapse(u64, u64),
    /// What is from this block on moves up by two.
    Insert(u64, u64),
    /// An extended attribute has this value; 0 removes it.
    Attribute(u64, u8),
    SetAside(u64, u64),
    Rename(u64, u64),
    Truncate(u64, u64),
    Unlink(u64),
    Snapshot(u8),
    Delete(u8),
    Sync,
    Commit,
}

impl Step {
    /// Is everything durable when it succeeded?
    fn is_durable(self) -> bool {
        match self {
            Self::Sync | Self::Commit | Self::Snapshot(_) | Self::Delete(_) => true,
            Self::Create(_)
            | Self::Write(..)
            | Self::Pack(..)
            | Self::Clone(..)
            | Self::Collapse(..)
            | Self::Insert(..)
            | Self::Attribute(..)
            | Self::SetAside(..)
            | Self::Rename(..)
            | Self::Truncate(..)
            | Self::Unlink(_) => false,
        }
    }
}

const PROGRAM: [Step; 50] = [
    Step::Create(1),
    Step::Write(1, 0, 1),
    Step::Attribute(1, 1),
    Step::Sync,
    Step::Attribute(1, 2),
    Step::Write(1, 0, 2),
    Step::Write(1, 9, 3),
    Step::Sync,
    Step::Create(2),
    Step::Create(3),
    Step::Write(2, 0, 4),
    Step::Rename(2, 1),
    Step::Snapshot(1),
    Step::Sync,
    Step::Commit,
    Step::Truncate(1, 0),
    Step::Write(3, 2, 5),
    Step::Pack(3, 0, 8),
    Step::Sync,
    Step::Write(3, 1, 9),
    Step::Create(6),
    Step::Clone(3, 6, 1),
    Step::Sync,
    Step::Collapse(6, 1),
    Step::SetAside(6, 2),
    Step::Insert(6, 1),
    Step::Attribute(6, 3),
    Step::Sync,
    Step::Insert(6, 0),
    Step::Snapshot(2),
    Step::Snapshot(3),
    Step::Sync,
    Step::Unlink(3),
    Step::Sync,
    Step::Create(4),
    Step::Commit,
    Step::Unlink(6),
    Step::Write(4, 0, 6),
    Step::Attribute(4, 5),
    Step::Clone(4, 4, 3),
    Step::Commit,
    Step::Delete(1),
    Step::Sync,
    Step::Write(4, 0, 7),
    Step::Attribute(4, 0),
    Step::Sync,
    Step::Delete(3),
    Step::Rename(4, 5),
    Step::Delete(2),
    Step::Commit,
];

fn snapshot(number: u8) -> [u8; 2] {
    [b's', b'0' + number]
}

async fn perform(cow: &Cow, step: Step) -> Result<(), CowError> {
    let ino = async |number| {
        let target = cow.lookup(ROOT_INO, &name(number)).await?;
        Ok::<u64, CowError>(target.ok_or(CowError::NoEntry)?.ino)
    };
    match step {
        Step::Create(number) => create(cow, &name(number)).await.map(|_| ()),
        Step::Write(number, block, fill) => write(cow, ino(number).await?, &[block], fill).await,
        Step::Pack(number, block, fill) => {
            pack(cow, ino(number).await?, &[block, block + 1, block + 2], fill).await
        }
        Step::Clone(from, to, at) => {
            let (from, to) = (ino(from).await?, ino(to).await?);
            clone(cow, (from, 0), (to, at), 3).await
        }
        Step::Collapse(number, at) => {
            let ino = ino(number).await?;
            let inode = cow.inode(ino).await?.ok_or(CowError::NoEntry)?;
            let size = (inode.size_bytes / 512).saturating_sub(2);
            rearrange(cow, ino, size, async |tx| tx.shift_extents(ino, at + 2, -2).await).await
        }
        Step::Insert(number, at) => {
            let ino = ino(number).await?;
            let inode = cow.inode(ino).await?.ok_or(CowError::NoEntry)?;
            let size = inode.size_bytes / 512 + 2;
            rearrange(cow, ino, size, async |tx| tx.shift_extents(ino, at, 2).await).await
        }
        Step::Attribute(number, value) => {
            let (ino, name) = (ino(number).await?, Bytes::from_static(b"user.a"));
            let mut transaction = cow.begin().await?;
            match value {
                0 => transaction.remove_attribute(ino, &name).await?,
                value => transaction.put_attribute(ino, &name, vec![value; 9].into()).await?,
            }
            transaction.finish().await
        }
        Step::SetAside(number, at) => {
            let ino = ino(number).await?;
            rearrange(cow, ino, 6, async |tx| tx.put_unwritten(ino, at..at + 3).await).await
        }
        Step::Rename(from, to) => rename(cow, &name(from), &name(to)).await,
        Step::Truncate(number, blocks) => truncate(cow, ino(number).await?, blocks).await,
        Step::Snapshot(number) => cow.take_snapshot(&snapshot(number)).await,
        Step::Delete(number) => cow.delete_snapshot(&snapshot(number)).await,
        Step::Unlink(number) => unlink(cow, &name(number)).await,
        Step::Sync => cow.sync_log().await,
        Step::Commit => cow.commit().await,
    }
}

fn run(policy: CowPolicy, rules: Vec<FaultRule>) -> Run {
    run_program(&PROGRAM, policy, rules)
}

fn run_program(program: &[Step], policy: CowPolicy, rules: Vec<FaultRule>) -> Run {
    let sim = Sim::new(Seeded::new(7, &[(Site::DiscardErases, Unrest::one_in(4))]));
    let disk = Arc::new(Disk::new(empty_image(tiny(96)), sim.clone()));
    let faulty = Arc::new(Faulty::new(disk.clone(), rules, sim.clone()));
    let cow = sim.block_on(Cow::mount(faulty, sim.clone(), policy)).expect("reads work");
    let mut run = Run { disk, states: vec![Dump::new()], moments: Vec::new(), refused: 0 };
    let mut promised = 0;
    for step in program.iter().copied() {
        let position = run.disk.history().len();
        // While the operation is under way, its own state may be there already.
        run.moments.push(Moment { position, promised, newest: run.states.len() });
        let performed = sim.block_on(perform(&cow, step));
        run.refused += u32::from(performed.is_err());
        run.states.push(sim.block_on(dump(&cow)).expect("reads work"));
        assert_eq!(sim.block_on(cow.audit_space()), Ok(Vec::new()), "C-3");
        if performed.is_ok() && step.is_durable() {
            promised = run.states.len() - 1;
        }
    }
    let position = run.disk.history().len();
    run.moments.push(Moment { position, promised, newest: run.states.len() - 1 });
    run
}

/// Crashes the run at every position and in every way; counts the states found, and those that
/// break the law.
fn explore(run: &Run, recovery_order: &'static [RecoveryStep]) -> (u64, u64) {
    let history = run.disk.history();
    let bounds = StateBounds { subset_count_max: 8, torn: true };
    let (mut found, mut broken) = (0, 0);
    let mut walk = Walk::new(&history);
    for position in 0..=history.len() {
        let mut moments = run.moments.iter().rev();
        let moment = moments.find(|moment| moment.position <= position);
        let moment = moment.expect("the first moment is at the start");
        let allowed = &run.states[moment.promised..=moment.newest.min(run.states.len() - 1)];
        for state in walk.advance(position).states(&bounds).states {
            found += 1;
            let recovered = recovered(state.image, recovery_order);
            broken += u64::from(!recovered.is_ok_and(|dump| allowed.contains(&dump)));
        }
    }
    (found, broken)
}

fn recovered(image: Image, recovery_order: &'static [RecoveryStep]) -> Result<Dump, CowError> {
    let sim = Sim::calm();
    let disk = Arc::new(Disk::new(image, sim.clone()));
    let policy = CowPolicy { recovery_order, ..CowPolicy::default() };
    sim.block_on(async {
        let cow = Cow::mount(disk, sim.clone(), policy).await?;
        let dump = dump(&cow).await?;
        cow.free_blocks().await?;
        assert_eq!(cow.audit_space().await, Ok(Vec::new()), "C-3");
        Ok(dump)
    })
}

fn broken_by(policy: CowPolicy) -> u64 {
    explore(&run(policy, Vec::new()), RECOVERY_ORDER).1
}

/// Whether a recovery that ends the log first may be cut short is no question here.
#[test]
fn recoveries_that_write_find_the_same_if_they_go_through() {
    let run = run(CowPolicy::default(), Vec::new());
    for recovery_order in [RECOVERY_COMMITS, RECOVERY_ENDS_LOG_FIRST] {
        assert_eq!(explore(&run, recovery_order).1, 0, "{recovery_order:?}");
    }
}

#[test]
fn what_is_found_after_power_loss_is_a_state_since_the_last_sync() {
    let run = run(CowPolicy::default(), Vec::new());
    assert_eq!(run.refused, 0);
    let (found, broken) = explore(&run, RECOVERY_ORDER);
    assert!(found > 90, "only {found} states");
    assert_eq!(broken, 0, "of {found} states");
}

/// Operations by chance; those that make no sense at their place are refused.
fn random_program(seed: u64) -> Vec<Step> {
    let step = |number: u64| {
        let random = mix(mix(seed) ^ number);
        let (one, two) = (random >> 8 & 3, random >> 16 & 3);
        match random % 14 {
            0 | 1 => Step::Create(one),
            2 | 3 => Step::Write(one, two * 4, random as u8),
            4 => Step::Pack(one, two * 3, random as u8),
            5 if one != two && random >> 24 & 1 == 0 => Step::Rename(one, two),
            5 if one != two => Step::Clone(one, two, random >> 32 & 7),
            6 if random >> 24 & 3 == 0 => Step::Collapse(one, two),
            6 if random >> 24 & 3 == 1 => Step::SetAside(one, two),
            6 => Step::Truncate(one, two),
            7 => Step::Unlink(one),
            8 => Step::Commit,
            9 => Step::Snapshot(one as u8),
            10 => Step::Delete(one as u8),
            11 => Step::Insert(one, two),
            12 => Step::Attribute(one, two as u8),
            _ => Step::Sync,
        }
    };
    (0..60).map(step).collect()
}

#[test]
fn the_law_holds_for_programs_by_chance_and_with_failing_writes() {
    let mut states = 0;
    for seed in 0..40 {
        let rules = match seed % 4 {
            0 => vec![],
            1 => vec![format!("log:{}x2", 1 + seed % 5).parse().expect("a rule")],
            2 => vec![format!("tree:{}x3", 1 + seed % 7).parse().expect("a rule")],
            _ => vec![format!("root:{}x2", 1 + seed % 3).parse().expect("a rule")],
        };
        let run = run_program(&random_program(seed), CowPolicy::default(), rules);
        let (found, broken) = explore(&run, RECOVERY_ORDER);
        assert_eq!(broken, 0, "seed {seed}, of {found} states");
        states += found;
    }
    assert!(states > 3000, "only {states} states");
}

#[test]
fn one_log_block_makes_every_second_sync_a_commit_and_keeps_the_law() {
    assert_eq!(broken_by(CowPolicy { log_blocks_max: 1, ..CowPolicy::default() }), 0);
    assert_eq!(broken_by(CowPolicy { log_blocks_max: 0, ..CowPolicy::default() }), 0);
}

#[test]
fn a_write_that_fails_is_never_acknowledged_and_the_next_sync_tries_again() {
    for spec in ["data", "tree", "log", "root", "any"] {
        for ordinal in 1..=12 {
            let rule: FaultRule = format!("{spec}:{ordinal}").parse().expect("a rule");
            let run = run(CowPolicy::default(), vec![rule]);
            let (found, broken) = explore(&run, RECOVERY_ORDER);
            assert_eq!(broken, 0, "{spec}:{ordinal}, of {found} states");
        }
    }
}

// The laws above are worth something only if they fail on a file system that breaks them.

#[test]
fn a_commit_without_its_first_flush_is_caught() {
    use CommitStep::Flush;
    use CommitStep::WriteRoot;
    use CommitStep::WriteTree;
    let commit_order = vec![WriteTree, WriteRoot, Flush];
    assert!(broken_by(CowPolicy { commit_order, ..CowPolicy::default() }) > 0);
    let commit_order = vec![WriteRoot, Flush, WriteTree, Flush];
    assert!(broken_by(CowPolicy { commit_order, ..CowPolicy::default() }) > 0);
    let commit_order = COMMIT_ORDER[..3].to_vec();
    assert!(broken_by(CowPolicy { commit_order, ..CowPolicy::default() }) > 0);
}

#[test]
fn a_sync_without_a_flush_is_caught() {
    let sync_order = vec![SyncStep::WriteLog];
    assert!(broken_by(CowPolicy { sync_order, ..CowPolicy::default() }) > 0);
    let sync_order = SYNC_ORDER[..2].to_vec();
    assert!(broken_by(CowPolicy { sync_order, ..CowPolicy::default() }) > 0);
    let sync_order = SYNC_ORDER[1..].to_vec();
    assert!(broken_by(CowPolicy { sync_order, ..CowPolicy::default() }) > 0);
}

#[test]
fn discards_of_what_a_failed_commit_would_have_freed_are_caught() {
    let broken = |discards| -> u64 {
        let broken = |nth: u64| {
            let rule = format!("root:{nth}").parse().expect("a rule");
            let policy = CowPolicy { discards, ..CowPolicy::default() };
            explore(&run(policy, vec![rule]), RECOVERY_ORDER).1
        };
        (1..=6).map(broken).sum()
    };
    assert_eq!(broken(Discards::Awaited), 0);
    assert!(broken(Discards::AlsoAborted) > 0);
}

#[test]
fn a_recovery_that_ignores_the_log_is_caught() {
    assert!(explore(&run(CowPolicy::default(), Vec::new()), &[]).1 > 0);
}

/// Goes on after each crash, syncs, and crashes again.
#[test]
fn a_second_crash_after_recovery_keeps_what_the_second_life_synced() {
    let first = run(CowPolicy::default(), Vec::new());
    let history = first.disk.history();
    let mut walk = Walk::new(&history);
    let bounds = StateBounds { subset_count_max: 3, torn: false };
    for position in 0..=history.len() {
        for state in walk.advance(position).states(&bounds).states {
            let sim = Sim::calm();
            let disk = Arc::new(Disk::new(state.image, sim.clone()));
            let cow = mounted(&sim, disk.clone());
            let before = sim.block_on(dump(&cow)).expect("the law of the first crash");
            let second = async {
                create(&cow, b"second").await?;
                cow.sync_log().await?;
                create(&cow, b"third").await?;
                cow.sync_log().await
            };
            sim.block_on(second).expect("a healthy disk");
            let found = recovered(disk.durable_image(), RECOVERY_ORDER).expect("C-4");
            let kept = before.iter().all(|(name, file)| found.get(name) == Some(file));
            assert!(kept, "what the first life left, at {position}");
            assert_eq!(found.len(), before.len() + 2, "what the second life made, at {position}");
        }
    }
}

/// A process that is killed within a call never polls it again.
#[test]
fn a_sync_that_is_dropped_half_way_is_made_up_for_by_the_next() {
    use std::task::Context;
    use std::task::Waker;
    for log_blocks_max in [0, 64] {
        for polls in 0..40 {
            let sim = Sim::new(Seeded::new(7, &[(Site::CompletionDelay, Unrest::one_in(1))]));
            let disk = Arc::new(Disk::new(empty_image(tiny(96)), sim.clone()));
            let policy = CowPolicy { log_blocks_max, ..CowPolicy::default() };
            let cow = sim.block_on(Cow::mount(disk.clone(), sim.clone(), policy)).expect("healthy");
            let ino = sim.block_on(create(&cow, b"file")).expect("healthy");
            sim.block_on(write(&cow, ino, &[0], 1)).expect("healthy");
            let mut syncing = Box::pin(cow.sync_log());
            let mut context = Context::from_waker(Waker::noop());
            let ended = (0..polls).any(|_| syncing.as_mut().poll(&mut context).is_ready());
            drop(syncing);
            sim.block_on(create(&cow, b"later")).expect("healthy");
            sim.block_on(cow.sync_log()).expect("healthy");
            let found = recovered(disk.durable_image(), RECOVERY_ORDER).expect("C-4");
            assert_eq!(found.len(), 2, "{polls} polls, ended: {ended}");
            sim.block_on(cow.commit()).expect("healthy");
            let free = sim.block_on(cow.free_blocks()).expect("healthy");
            assert_eq!(free, free_blocks(disk.durable_image()), "{polls} polls: a block is lost");
        }
    }
}

#[test]
fn a_writeback_that_is_dropped_half_way_loses_no_block() {
    use std::task::Context;
    use std::task::Waker;
    for polls in 0..20 {
        let sim = Sim::new(Seeded::new(7, &[(Site::CompletionDelay, Unrest::one_in(1))]));
        let disk = Arc::new(Disk::new(empty_image(tiny(96)), sim.clone()));
        let cow = mounted(&sim, disk.clone());
        let ino = sim.block_on(create(&cow, b"file")).expect("healthy");
        let mut writing = Box::pin(write(&cow, ino, &[0, 1, 2], 1));
        let mut context = Context::from_waker(Waker::noop());
        let ended = (0..polls).any(|_| writing.as_mut().poll(&mut context).is_ready());
        drop(writing);
        sim.block_on(create(&cow, b"later")).expect("healthy");
        sim.block_on(cow.commit()).expect("healthy");
        let free = sim.block_on(cow.free_blocks()).expect("healthy");
        let found = free_blocks(disk.durable_image());
        assert_eq!(free, found, "{polls} polls, ended: {ended}");
    }
}

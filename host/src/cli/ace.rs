//! `crashproof ace`: bounded workloads, all of them, each crashed everywhere.

use std::sync::Arc;

use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use rayon::prelude::*;

use crate::check::ace::Bench;
use crate::check::ace::Outcome;
use crate::check::ace::Set;
use crate::check::ace::Workload;
use crate::check::ace::Workloads;
use crate::check::finding::CrashFault;
use crate::check::shard::Shard;
use crate::check::world::Expectation;
use crate::cli::Failure;
use crate::cli::args::ACE_SUBSET_BOUND;
use crate::cli::args::AceArguments;
use crate::cli::args::SetName;
use crate::cli::exit;
use crate::cli::plan;
use crate::cli::progress;
use crate::cli::shards;
use crate::device::FaultPlan;
use crate::device::Geometry;
use crate::device::StateBounds;
use crate::report;
use crate::report::AccountLines;
use crate::report::Finding;
use crate::report::Report;
use crate::report::share::Share;
use crate::report::share::WorkloadsShare;
use crate::subject::Policies;
use crate::subject::StackPlan;

/// Workloads are done in batches of so many, which bounds memory and paces the progress.
const BATCH_SIZE: usize = 1024;

/// Blocks as large as pages of memory, so that a part of a mapping can be synced alone; few of
/// them, for the files of a workload are small.
const GEOMETRY: Geometry = Geometry { block_size_bytes: 4096, block_count: 512 };

fn set(name: SetName) -> Set {
    match name {
        SetName::Ace => Set::Ace,
        SetName::Data => Set::Data,
        SetName::Metadata => Set::Metadata,
        SetName::Nested => Set::Nested,
        SetName::All => Set::All,
    }
}

/// Does every workload of a set and length, or one of them.
pub(super) fn ace(arguments: &AceArguments) -> Result<u8, Failure> {
    let workloads = Workloads::new(set(arguments.set), usize::from(arguments.seq));
    if arguments.list {
        workloads.iter().for_each(|workload| println!("{:>9}  {workload}", workload.number));
        return Ok(exit::ACCEPTED);
    }
    let share = Share::Workloads(Box::new(share_of(arguments, &workloads)?));
    shards::show(share, &whole_command(arguments), arguments.shard, arguments.json.as_deref())
}

/// The command that does all of it again.
fn whole_command(arguments: &AceArguments) -> String {
    let mut command = command(arguments);
    if arguments.exhaustive {
        command.push_str(" --exhaustive");
    }
    if let Some(number) = arguments.only {
        command.push_str(&format!(" --only {number}"));
    }
    command
}

fn bench(arguments: &AceArguments) -> Result<Bench, Failure> {
    let mut policies = Policies::default();
    plan::put(&arguments.defects, &mut policies)?;
    let faults = FaultPlan { rules: arguments.fail_writes.clone(), ..FaultPlan::default() };
    let stack = StackPlan { geometry: GEOMETRY, policies, faults };
    let bounds = StateBounds {
        subset_count_max: arguments.subset_bound,
        torn: arguments.states.torn_writes,
    };
    let expectation = Expectation {
        promises: Arc::new(Promises::strict_sticky()),
        level: Level::Strict,
        audited: !arguments.no_audits,
    };
    let crashes = (arguments.states.recovery_depth, arguments.states.lost_flush);
    let bench = Bench::new(stack, bounds, crashes, expectation).map_err(Failure)?;
    Ok(if arguments.states.no_pruning { bench.without_pruning() } else { bench })
}

/// The command that does the same, up to what is appended.
fn command(arguments: &AceArguments) -> String {
    let mut words = format!("crashproof ace --seq {}", arguments.seq);
    if arguments.set != SetName::Ace {
        words.push_str(&format!(" --set {}", format!("{:?}", arguments.set).to_lowercase()));
    }
    for defect in &arguments.defects {
        words.push_str(&format!(" --defect {defect}"));
    }
    for rule in &arguments.fail_writes {
        words.push_str(&format!(" --fail-write {}", plan::quoted(&rule.to_string())));
    }
    if arguments.no_audits {
        words.push_str(" --no-audits");
    }
    if arguments.subset_bound != ACE_SUBSET_BOUND {
        words.push_str(&format!(" --subset-bound {}", arguments.subset_bound));
    }
    words.push_str(&arguments.states.words());
    words
}

fn share_of(arguments: &AceArguments, workloads: &Workloads) -> Result<WorkloadsShare, Failure> {
    let bench = bench(arguments)?;
    let counted = workloads.count();
    let mut share = WorkloadsShare::new(begun(arguments), counted, arguments.exhaustive);
    if let Some(number) = arguments.only {
        let workload = workloads.get(number).ok_or_else(|| {
            Failure(format!(
                "--only {number}: there are the workloads 0 to {}, and some of them equal another \
                 (`--list` lists those that do not)",
                counted.saturating_sub(1)
            ))
        })?;
        add(&mut share, arguments, &workload, bench.run(&workload).map_err(Failure)?);
        return Ok(share);
    }
    let bar = progress::bar(counted, "doing workloads");
    let shard = arguments.shard.unwrap_or(Shard::WHOLE);
    let mut own = workloads.iter().skip(shard.skipped()).step_by(shard.count() as usize);
    loop {
        let batch: Vec<Workload> = own.by_ref().take(BATCH_SIZE).collect();
        let Some(last) = batch.last() else { break };
        bar.set_position(last.number);
        let outcomes: Vec<Result<Outcome, String>> =
            batch.par_iter().map(|workload| bench.run(workload)).collect();
        for (workload, outcome) in batch.iter().zip(outcomes) {
            add(&mut share, arguments, workload, outcome.map_err(Failure)?);
        }
    }
    bar.finish_and_clear();
    Ok(share)
}

/// What is said before any workload was done.
fn begun(arguments: &AceArguments) -> Report {
    let subject = if arguments.defects.is_empty() {
        "reference".to_owned()
    } else {
        format!("reference with {}", arguments.defects.join(", "))
    };
    let workload = format!("bounded workloads of {} operations", arguments.seq);
    let expectation = "strict-sticky, level strict".to_owned();
    Report::new(workload, subject, expectation, whole_command(arguments))
}

/// Adds what came of one workload.
fn add(
    share: &mut WorkloadsShare,
    arguments: &AceArguments,
    workload: &Workload,
    outcome: Outcome,
) {
    let account = &outcome.exploration.account;
    let lines = AccountLines::new(account, arguments.subset_bound);
    share.done(outcome.errors, lines.to_depth(arguments.states.recovery_depth, &account.again));
    share.count(&outcome.tally);
    share.count(&account.tally);
    let replay = format!("{} --only {}", command(arguments), workload.number);
    let violations = outcome.violations.iter();
    let mut found: Vec<Finding> =
        violations.map(|violation| report::from_violation(violation, replay.clone())).collect();
    let mut undecided = outcome.undecided;
    for crash in &outcome.exploration.findings {
        match (report::from_crash(crash, replay.clone()), &crash.what) {
            (Some(finding), _) => found.push(finding),
            (None, CrashFault::Unknown(why)) => undecided.push(why.clone()),
            (None, CrashFault::Subject(_) | CrashFault::Misled(..) | CrashFault::Guest(_)) => {}
        }
    }
    let named = |finding| Finding { workload: Some(workload.to_string()), ..finding };
    share.found(workload.number, found.into_iter().map(named).collect());
    for why in undecided {
        let doubt = format!("{why}: workload {}: {workload}", workload.number);
        share.doubted(workload.number, doubt);
    }
}

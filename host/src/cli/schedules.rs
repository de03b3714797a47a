//! `--seeds COUNT`: one workload under many seeds, until one is rejected.
//!
//! Seeds are tried in parallel and looked at in their order: the seed that is found is the lowest.

use indicatif::ProgressBar;
use rayon::prelude::*;

use crate::cli::Failure;
use crate::cli::args::WorldArguments;
use crate::cli::progress;
use crate::report::Report;
use crate::report::Schedules;
use crate::report::Verdict;

/// So many are tried at once, which bounds what is tried in vain after one that is rejected.
const BATCH_SIZE: u64 = 32;

/// Makes the report of each of `count` seeds, from the seed of `world` on. Answers the first one
/// that is rejected; if there is none, the first that is undecided; else what was judged in all.
///
/// # Errors
/// If a run could not begin.
pub(super) fn search(
    world: &WorldArguments,
    count: u64,
    report_of: impl Fn(&WorldArguments) -> Result<Report, Failure> + Sync,
) -> Result<Report, Failure> {
    let first = world.seed.unwrap_or(0);
    let bar = progress::bar(count, "trying seeds");
    let found = search_shown(world, first, count, &report_of, &bar);
    bar.finish_and_clear();
    found
}

fn search_shown(
    world: &WorldArguments,
    first: u64,
    count: u64,
    report_of: &(impl Fn(&WorldArguments) -> Result<Report, Failure> + Sync),
    bar: &ProgressBar,
) -> Result<Report, Failure> {
    let (mut accepted, mut undecided): (Option<Report>, Option<Report>) = (None, None);
    let mut tried = 0;
    while tried < count {
        let batch = (tried..count.min(tried + BATCH_SIZE)).into_par_iter();
        let reports = batch.map(|number| {
            let seed = first.checked_add(number);
            let seed =
                seed.ok_or_else(|| Failure("--seeds: there are no such seeds".to_owned()))?;
            report_of(&WorldArguments { seed: Some(seed), ..world.clone() })
        });
        for report in reports.collect::<Vec<_>>() {
            let mut report = report?;
            tried += 1;
            let schedules = Schedules { first_seed: first, tried };
            match report.verdict {
                Verdict::Rejected => {
                    report.schedules = Some(schedules);
                    return Ok(report);
                }
                Verdict::Undecided => undecided = undecided.or(Some(report)),
                Verdict::Accepted => add(&mut accepted, report),
            }
        }
        bar.set_position(tried);
    }
    let mut report = undecided
        .or(accepted)
        .ok_or_else(|| Failure("--seeds 0: at least one is wanted".to_owned()))?;
    report.schedules = Some(Schedules { first_seed: first, tried });
    if report.verdict == Verdict::Accepted {
        // What is said of all of them is said again by all of them.
        let of_all = format!("--seed {first} --seeds {tried}");
        report.command = report.command.replacen(&format!("--seed {first}"), &of_all, 1);
    }
    Ok(report)
}

/// What was judged in several runs is judged in all of them together.
fn add(all: &mut Option<Report>, report: Report) {
    let Some(all) = all else {
        *all = Some(report);
        return;
    };
    let counts =
        [(&mut all.exercised, report.exercised), (&mut all.passed_over, report.passed_over)];
    for (counts, more) in counts {
        for (what, count) in more {
            *counts.entry(what).or_default() += count;
        }
    }
    if let (Some(sum), Some(account)) = (&mut all.account, report.account) {
        sum.add(account);
    }
}

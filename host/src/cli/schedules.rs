//! `--seeds COUNT`: one workload under many seeds, until one is rejected.
//!
//! Seeds are tried in parallel and looked at in their order: the seed that is found is the lowest.

use indicatif::ProgressBar;
use rayon::prelude::*;

use crate::check::shard::Shard;
use crate::cli::Failure;
use crate::cli::args::WorldArguments;
use crate::cli::progress;
use crate::report::Report;
use crate::report::share::SeedsShare;
use crate::report::share::Share;

/// So many are tried at once, which bounds what is tried in vain after one that is rejected.
const BATCH_SIZE: usize = 32;

/// Makes the report of each of `count` seeds, from the seed of `world` on, or of those of one
/// shard, until one is rejected. The command is that of the first seed.
///
/// # Errors
/// If a run could not begin.
pub(super) fn search(
    world: &WorldArguments,
    count: u64,
    shard: Option<Shard>,
    command: &str,
    report_of: impl Fn(&WorldArguments) -> Result<Report, Failure> + Sync,
) -> Result<(Share, String), Failure> {
    let first = world.seed.unwrap_or(0);
    let shard = shard.unwrap_or(Shard::WHOLE);
    if count <= shard.skipped() as u64 {
        return Err(Failure(format!("--seeds {count}: there is none for shard {shard}")));
    }
    let of_all = format!("--seed {first} --seeds {count}");
    let command = command.replacen(&format!("--seed {first}"), &of_all, 1);
    let mut share = SeedsShare::new(first, count, command.clone());
    let bar = progress::bar(count, "trying seeds");
    let numbers = (shard.skipped() as u64..count).step_by(shard.count() as usize);
    let report_of = |number: u64| {
        let seed = first.checked_add(number);
        let seed = seed.ok_or_else(|| Failure("--seeds: there are no such seeds".to_owned()))?;
        report_of(&WorldArguments { seed: Some(seed), ..world.clone() })
    };
    let found = search_shown(&mut share, numbers, &report_of, &bar);
    bar.finish_and_clear();
    found.map(|()| (Share::Seeds(Box::new(share)), command))
}

fn search_shown(
    share: &mut SeedsShare,
    mut numbers: impl Iterator<Item = u64>,
    report_of: &(impl Fn(u64) -> Result<Report, Failure> + Sync),
    bar: &ProgressBar,
) -> Result<(), Failure> {
    loop {
        let batch: Vec<u64> = numbers.by_ref().take(BATCH_SIZE).collect();
        let Some(last) = batch.last() else { return Ok(()) };
        let reports = batch.par_iter().map(|number| report_of(*number));
        for (number, report) in batch.iter().zip(reports.collect::<Vec<_>>()) {
            share.add(*number, report?);
            if share.is_rejected() {
                return Ok(());
            }
        }
        bar.set_position(*last);
    }
}

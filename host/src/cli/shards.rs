//! What a command did, as the whole or as one of several shards: shown, and written.
//!
//! A shard shows what it saw itself, and writes what `crashproof merge` needs.

use std::path::Path;

use crate::check::shard::Shard;
use crate::cli::Failure;
use crate::cli::args::MergeArguments;
use crate::cli::code_of;
use crate::cli::files;
use crate::report;
use crate::report::Report;
use crate::report::share::Part;
use crate::report::share::Share;
use crate::report::share::Whole;
use crate::report::share::join;

/// Shows what was done, and writes it if it was asked for. The command does all shards of it.
pub(super) fn show(
    share: Share,
    command: &str,
    shard: Option<Shard>,
    json: Option<&Path>,
) -> Result<u8, Failure> {
    let Some(shard) = shard else {
        return shown(&share.report().map_err(Failure)?, json);
    };
    if let Some(path) = json {
        let whole = Whole {
            crashproof: env!("CARGO_PKG_VERSION").to_owned(),
            command: command.to_owned(),
            files: files::were_read(),
        };
        let part = Part::new(whole, shard.number(), shard.count(), share.clone());
        files::write(path, report::json(&part).as_bytes())?;
    }
    let mut report = share.report().map_err(Failure)?;
    report.workload.push_str(&format!(", shard {shard} alone"));
    if report.command == command {
        report.command = of_shard(command, shard);
    }
    shown(&report, None)
}

fn shown(report: &Report, json: Option<&Path>) -> Result<u8, Failure> {
    print!("{}", report::terminal(report));
    if let Some(path) = json {
        files::write(path, report::json(report).as_bytes())?;
    }
    Ok(code_of(report.verdict))
}

/// The command of a shard: the option comes after the first word, since what a guest is given
/// comes last.
fn of_shard(command: &str, shard: Shard) -> String {
    let words: Vec<&str> = command.splitn(3, ' ').collect();
    match words[..] {
        [program, verb, rest] => format!("{program} {verb} --shard {shard} {rest}"),
        _ => format!("{command} --shard {shard}"),
    }
}

/// Joins what shards wrote.
pub(super) fn merge(arguments: &MergeArguments) -> Result<u8, Failure> {
    let parts = arguments.parts.iter().map(|path| {
        let name = path.display().to_string();
        let part = Part::parse(&files::read_text(path)?);
        Ok((name.clone(), part.map_err(|why| Failure(format!("failed to read {name}: {why}")))?))
    });
    let parts = parts.collect::<Result<Vec<(String, Part)>, Failure>>()?;
    let report = join(parts).map_err(|why| Failure(format!("failed to merge: {why}")))?;
    shown(&report, arguments.json.as_deref())
}

//! The command line: typed arguments become a plan, the plan is done, a code is returned.
//!
//! Reports go to standard output, everything else to standard error. Nothing below this module
//! prints, exits or reads the environment.

mod ace;
pub mod args;
mod conform;
mod defects;
pub mod exit;
mod explore;
mod faults;
mod files;
mod fsck;
mod guests;
mod interrupt;
mod plan;
mod profile;
mod progress;
mod replay;
mod run;
mod scenario;
mod schedules;
mod shards;
mod spec;
mod table;
mod trace;

use std::fmt;

use args::Arguments;
use args::Command;

/// Why a command could not be done. Its message names the file and the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Does what was typed. Returns one of the codes of [`exit`].
#[must_use]
pub fn main(arguments: Arguments) -> u8 {
    interrupt::handle();
    let done = match arguments.command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Explore(arguments) => explore::explore(*arguments),
        Command::Ace(arguments) => ace::ace(&arguments),
        Command::Replay(arguments) => replay::replay(*arguments),
        Command::Conform(arguments) => conform::conform(&arguments),
        Command::Guests => Ok(guests::list()),
        Command::Defects(arguments) => defects::defects(&arguments),
        Command::Profiles(arguments) => profile::profiles(&arguments),
        Command::Table(arguments) => table::table(arguments.table),
        Command::Spec(command) => spec::spec(&command),
        Command::Fsck(arguments) => fsck::fsck(&arguments),
        Command::Trace(command) => trace::trace(&command),
        Command::Merge(arguments) => shards::merge(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("crashproof: {failure}");
            exit::USAGE
        }
    }
}

/// The exit code of a verdict.
fn code_of(verdict: crate::report::Verdict) -> u8 {
    match verdict {
        crate::report::Verdict::Accepted => exit::ACCEPTED,
        crate::report::Verdict::Undecided => exit::UNDECIDED,
        crate::report::Verdict::Rejected => exit::REJECTED,
    }
}

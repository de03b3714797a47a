//! The program: see `crashproof --help`.

use std::process::ExitCode;

use clap::Parser;
use crashproof::cli;
use mimalloc::MiMalloc;

/// Blocks and pages of 4 KiB come and go with each call.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let arguments = cli::args::Arguments::parse();
    // A panic is a bug of ours, and says so with a code of its own.
    let done = std::panic::catch_unwind(|| cli::main(arguments));
    ExitCode::from(done.unwrap_or(cli::exit::BUG))
}

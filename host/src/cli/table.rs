//! `crashproof table`: tables that are made of runs. No cell is written down anywhere else.

mod applications;
mod histories;
mod laboratory;
mod litmus;
mod profiles;
mod reactions;

use crate::cli::Failure;
use crate::cli::args::TableName;
use crate::cli::exit;

/// A table as Markdown, and what in it is not as it should be.
struct Page {
    text: String,
    holes: Vec<String>,
}

/// Prints a table. What is not as it should be is told on standard error as well.
pub(super) fn table(name: TableName) -> Result<u8, Failure> {
    let page = match name {
        TableName::Litmus => litmus::page()?,
        TableName::Profiles => profiles::page()?,
        TableName::FsReactions => reactions::page()?,
        TableName::Applications => applications::page()?,
    };
    print!("{}", page.text);
    page.holes.iter().for_each(|hole| eprintln!("crashproof: {hole}"));
    Ok(if page.holes.is_empty() { exit::ACCEPTED } else { exit::REJECTED })
}

/// A row of a table in Markdown.
fn row<'a>(first: &str, cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<&str> = cells.collect();
    format!("| {first} | {} |\n", cells.join(" | "))
}

/// The line below the head of a table in Markdown.
fn rule(count: usize) -> String {
    format!("|---|{}\n", "---|".repeat(count))
}

//! `crashproof table profiles`: a stack that behaves by one profile, judged by another.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crashproof_spec::promise::Promises;

use crate::cli::Failure;
use crate::cli::table::Page;
use crate::cli::table::histories;
use crate::cli::table::laboratory::clauses;
use crate::cli::table::row;
use crate::cli::table::rule;

const HEAD: &str = "\
# Each profile, judged by each other

`crashproof table profiles` wrote this page. Each row is a stack that behaves by one profile, each
column what is promised by one; a cell has the numbers of the litmus histories (`litmus.md`) where
the stack breaks what the column promises. The diagonal is empty: each stack keeps its own promises;
a number there is a hole, and the command ends with 1 then.

";

const BROKEN: &str = "
## The clauses

What is broken, by the profile that promises it: the clauses of all stacks together, and after each
the histories that break it.

";

/// The page.
pub(super) fn page() -> Result<Page, Failure> {
    let all = histories::all()?;
    let mut page = Page { text: HEAD.to_owned(), holes: Vec::new() };
    let names: Vec<&str> = all.iter().map(|histories| histories.profile).collect();
    let letters: Vec<String> = (1..=names.len()).map(|number| format!("({number})")).collect();
    page.text += &row("Behaves by \\ promised by", letters.iter().map(String::as_str));
    page.text += &rule(names.len());
    let mut broken: BTreeMap<&str, BTreeMap<&str, BTreeSet<usize>>> = BTreeMap::new();
    for (histories, letter) in all.iter().zip(&letters) {
        let mut cells = Vec::new();
        for expected in &names {
            let promises = Promises::named(expected)
                .ok_or_else(|| Failure(format!("{expected} is expected of nobody")))?;
            let mut breaking = Vec::new();
            for (number, finding) in (1..).zip(&histories.findings) {
                let found = clauses(&finding.judged_by(&promises));
                for clause in &found {
                    let of = broken.entry(expected).or_default();
                    of.entry(clause).or_default().insert(number);
                }
                if !found.is_empty() {
                    breaking.push(number.to_string());
                }
            }
            if *expected == histories.profile && !breaking.is_empty() {
                page.holes.push(format!("{expected} breaks its own: {}", breaking.join(" ")));
            }
            cells.push(breaking.join(" "));
        }
        let first = format!("{letter} {}", histories.profile);
        page.text += &row(&first, cells.iter().map(String::as_str));
    }
    page.text += BROKEN;
    for name in names {
        let Some(of) = broken.get(name) else { continue };
        let of = of.iter().map(|(clause, numbers)| {
            let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
            format!("{clause} ({})", numbers.join(" "))
        });
        page.text += &format!("- {name}: {}\n", of.collect::<Vec<_>>().join(", "));
    }
    Ok(page)
}

//! `crashproof table litmus`: L1 to L18 under every profile, beside what was published of them.

use crashproof_spec::promise::Promises;
use crashproof_spec::violation::Verdict;

use crate::cli::Failure;
use crate::cli::table::Page;
use crate::cli::table::histories;
use crate::cli::table::histories::COUNT;
use crate::cli::table::histories::Histories;
use crate::cli::table::laboratory::clauses;
use crate::cli::table::row;
use crate::cli::table::rule;

const HEAD: &str = "\
# Litmus histories of failed writes

`crashproof table litmus` wrote this page, by running `litmus_sync_errors` with each history on a
stack of each profile. What a history does stands at the top of
`guest-workloads/src/bin/litmus_sync_errors.rs`. E is an error, 0 success; A are the old bytes, B
the new ones and Z zeros, where not even the old ones came to the device; `blocks` is a call that
waits for a device which nobody heals (`ERR-SUSP-01`: nobody is told success meanwhile). A cell in
bold is one that its own profile does not allow: the command ends with 1 then.

";

const STRICT: &str = "
## What strict-sticky says of them

The same runs, judged by the promises of `strict-sticky`: which histories break which clauses, the
most specific first. A profile without a row keeps all of them here.

| Profile | Broken |
|---|---|
";

const PUBLISHED: &str = "
## Beside what is known of the systems

What the sources of the profiles say of the same histories, for the profiles of which they say it. A
cell that is empty is not told by them. In bold: differs, with the reason below.

";

/// What is known, in the order of the histories; empty where it is not.
const KNOWN: [(&str, [&str; COUNT]); 8] = [
    (
        "strict-sticky",
        [
            "E", "E,E", "E,E", "E", "E", "E", "0,0", "E,E", "E", "E", "E", "0", "0", "E,E", "B,B",
            "", "0,0", "E,E,E",
        ],
    ),
    (
        "freebsd-redirty",
        [
            "0", "0,0", "", "0", "0", "0", "0,0", "", "0", "0", "0", "0", "0", "", "B,B", "0",
            "0,0", "E,E,E",
        ],
    ),
    (
        "linux-flags",
        [
            "E", "E,0", "E,0", "E", "0", "0", "E,0", "E,0", "E", "E", "0", "0", "0", "E,0", "B,A",
            "0", "E,0", "E,0,0",
        ],
    ),
    (
        "linux-errseq-4.13",
        [
            "E", "E,0", "E,E", "0", "0", "0", "E,0", "E,0", "E", "E", "0", "0", "E", "E,0", "B,A",
            "0", "E,0", "E,0,0",
        ],
    ),
    (
        "linux-errseq-4.17",
        [
            "E", "E,0", "E,E", "E", "0", "0", "E,0", "E,0", "E", "E", "0", "0", "0", "E,0", "B,A",
            "0", "E,0", "E,0,0",
        ],
    ),
    (
        "openbsd-vnode",
        [
            "E", "E,E", "E,E", "E", "E", "0", "E,E", "E,E", "E", "E", "", "0", "0", "E,E", "", "0",
            "E,E", "E,E,E",
        ],
    ),
    (
        "overlay-volatile",
        [
            "E", "E,E", "E,E", "E", "E", "E", "E,E", "E,E", "E", "E", "E", "E", "E", "", "", "0",
            "E,E", "",
        ],
    ),
    (
        "nfs-context",
        [
            "E", "E,0", "E,0", "0", "0", "0", "", "", "0", "", "0", "0", "0", "", "", "E", "",
            "E,0,0",
        ],
    ),
];

/// Why a history differs from what is known: profile, number, reason.
const REASONS: [(&str, usize, &str); 1] = [(
    "linux-errseq-4.13",
    13,
    "Linux 4.13 told a new file the error of an old one, because the slot of an inode was used \
     again with its record (fixed by 829bc787c1a0). Here neither a number nor a record of a file \
     is ever used again.",
)];

/// The page.
pub(super) fn page() -> Result<Page, Failure> {
    let all = histories::all()?;
    let mut page = Page { text: HEAD.to_owned(), holes: Vec::new() };
    own(&all, &mut page)?;
    strict(&all, &mut page)?;
    published(&all, &mut page);
    Ok(page)
}

fn promises(name: &str) -> Result<Promises, Failure> {
    Promises::named(name).ok_or_else(|| Failure(format!("{name} is expected of nobody")))
}

fn numbers() -> Vec<String> {
    (1..=COUNT).map(|number| format!("L{number}")).collect()
}

/// What was told, each cell judged by the profile's own promises.
fn own(all: &[Histories], page: &mut Page) -> Result<(), Failure> {
    page.text += &row("Profile", numbers().iter().map(String::as_str));
    page.text += &rule(COUNT);
    for histories in all {
        let promises = promises(histories.profile)?;
        let mut cells = Vec::new();
        for number in 1..=COUNT {
            let told = histories.told(number);
            let verdict = histories.findings[number - 1].judged_by(&promises);
            let known = ["blocks"];
            let is_end = known.contains(&&*told) || told.chars().all(|c| "E0ABZ,".contains(c));
            if verdict == Verdict::Accepted && is_end {
                cells.push(told);
                continue;
            }
            let broken = clauses(&verdict).join(", ");
            page.holes.push(format!("{} L{number}: {told}: {broken}", histories.profile));
            cells.push(format!("**{told}: {broken}**"));
        }
        page.text += &row(histories.profile, cells.iter().map(String::as_str));
    }
    Ok(())
}

fn strict(all: &[Histories], page: &mut Page) -> Result<(), Failure> {
    page.text += STRICT;
    let strict = promises("strict-sticky")?;
    for histories in all {
        // In the order in which they are met.
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for (number, finding) in numbers().into_iter().zip(&histories.findings) {
            let broken = clauses(&finding.judged_by(&strict)).join(", ");
            match groups.iter_mut().find(|(known, _)| *known == broken) {
                _ if broken.is_empty() => {}
                Some((_, members)) => members.push(number),
                None => groups.push((broken, vec![number])),
            }
        }
        let told =
            groups.iter().map(|(broken, members)| format!("{}: {broken}", members.join(" ")));
        let told: Vec<String> = told.collect();
        if !told.is_empty() {
            page.text += &row(histories.profile, std::iter::once(told.join("; ").as_str()));
        }
    }
    Ok(())
}

fn published(all: &[Histories], page: &mut Page) {
    page.text += PUBLISHED;
    page.text += &row("Profile", numbers().iter().map(String::as_str));
    page.text += &rule(COUNT);
    let mut reasons = String::new();
    for (profile, known) in KNOWN {
        let Some(histories) = all.iter().find(|one| one.profile == profile) else { continue };
        let mut cells = Vec::new();
        for (number, known) in (1..).zip(known) {
            let told = histories.told(number);
            if known.is_empty() || known == told {
                cells.push(known.to_owned());
                continue;
            }
            cells.push(format!("**{known}**"));
            let reason = REASONS.iter().find(|(of, at, _)| (*of, *at) == (profile, number));
            match reason {
                Some((_, _, why)) => {
                    reasons +=
                        &format!("- {profile}, L{number}: {known} is told, {told} was seen. ");
                    reasons += why;
                    reasons.push('\n');
                }
                None => {
                    page.holes.push(format!("{profile} L{number}: {known} is told, not {told}"))
                }
            }
        }
        page.text += &row(profile, cells.iter().map(String::as_str));
    }
    page.text.push('\n');
    page.text += &reasons;
}

//! `crashproof table applications`: what small stores make of one refused write, after table 2 of
//! "Can Applications Recover from fsync Failures?" (USENIX ATC 2020), beside what was published.

mod published;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crashproof_spec::promise::Promises;
use crashproof_spec::violation::Verdict;
use rayon::prelude::*;

use crate::cli::Failure;
use crate::cli::table::Page;
use crate::cli::table::laboratory::Finding;
use crate::cli::table::laboratory::Laboratory;
use crate::cli::table::laboratory::clauses;
use crate::cli::table::row;
use crate::cli::table::rule;
use crate::subject::profile_names;

const HEAD: &str = "\
# What applications make of a failed write

`crashproof table applications` wrote this page. Eight small stores put one key while the device
refuses one block of file data, once: every block that the put writes in turn, for an update and for
an insertion; and, where the store has a checkpoint, every block that this writes after a put that
succeeded; it is made once more if it fails, and another put follows. Then they are asked what is
there. That is the method of section 4 of \"Can Applications Recover from fsync Failures?\" (USENIX
ATC 2020). The stores are described in `guest-workloads/src/stores/mod.rs`, the program in
`guest-workloads/src/bin/app_store.rs`.

| Sign | What an application does wrong |
|---|---|
| OV | old value: a put succeeded, and the value from before it is there |
| FF | false failure: a put failed, and its value is there |
| KC | key corruption: a key is there that was never put |
| VC | value corruption: a key has bytes that were never put |
| KNF | key not found: a put succeeded, or was durable before, and its key is not there |
| closed | the store says that it cannot be read. The study's table has no column for it |

| Sign | When it is seen |
|---|---|
| -/K, R/K | clean pages were kept, and the store goes on, or was closed and opened again |
| -/E, R/E | clean pages were evicted, and the same |
| \\*/E, \\*/K, R/\\*, -/\\*, all | both, or all four |
| P | after power loss instead. The study's table has nothing of it |

Every run is also judged by its own profile; one that breaks a promise of it ends the command with
1. So everything below is the application's, on a file system that did what it promises.

## Beside what was published

Under each store stands what was published of its original, in bold where it differs, with the
reason below. `closed` and P are not compared.

";

const EVERY_PROFILE: &str = "
## Under every profile

";

const GUEST: &str = "app_store";

/// A store, and how its put is made to lie across blocks.
struct Subject {
    name: &'static str,
    /// What is done while the device refuses a block.
    attempts: &'static [&'static str],
    /// Bytes of a value before it: the command of a log is cut by the end of a block within its
    /// key, within its value, before it, or not at all.
    pads: &'static [&'static str],
}

const PUTS: &[&str] = &["update", "insert"];
const PUTS_AND_CHECKPOINT: &[&str] = &["update", "insert", "tidy"];
const ANYWHERE: &[&str] = &["0"];
const ACROSS_BLOCKS: &[&str] = &["0", "3820", "3860", "3880"];

/// The stores, each beside its original in [`published`].
const SUBJECTS: [Subject; 8] = [
    Subject { name: "log-ignoring", attempts: PUTS, pads: ACROSS_BLOCKS },
    Subject { name: "log", attempts: PUTS, pads: ACROSS_BLOCKS },
    Subject { name: "mapped", attempts: PUTS, pads: ANYWHERE },
    Subject { name: "merge", attempts: PUTS_AND_CHECKPOINT, pads: ANYWHERE },
    Subject { name: "journal", attempts: PUTS, pads: ANYWHERE },
    Subject { name: "wal", attempts: PUTS_AND_CHECKPOINT, pads: ANYWHERE },
    Subject { name: "wal-panic", attempts: PUTS_AND_CHECKPOINT, pads: ANYWHERE },
    Subject { name: "wal-retry", attempts: PUTS_AND_CHECKPOINT, pads: ANYWHERE },
];

/// More blocks than any put writes.
const BLOCK_COUNT_MAX: usize = 40;

/// What is wrong, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    OldValue,
    FalseFailure,
    KeyCorruption,
    ValueCorruption,
    KeyNotFound,
    Closed,
}

/// When it is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    Kept,
    Evicted,
    RestartKept,
    RestartEvicted,
    PowerLoss,
}

/// Everything that was seen of one store under one profile.
type Seen = BTreeMap<Wrong, BTreeSet<When>>;

/// One attempt: its words for the guest, without what comes after it.
struct Attempt {
    store: usize,
    what: &'static str,
    words: String,
}

/// The page.
pub(super) fn page() -> Result<Page, Failure> {
    let laboratory = Laboratory::new(GUEST)?;
    let attempts = attempts(&laboratory)?;
    let profiles: Vec<&'static str> = profile_names().collect();
    let jobs: Vec<(&'static str, &Attempt)> =
        profiles.iter().flat_map(|profile| attempts.iter().map(|one| (*profile, one))).collect();
    let done = jobs
        .par_iter()
        .map(|(profile, attempt)| seen(&laboratory, profile, attempt))
        .collect::<Result<Vec<(Seen, Vec<String>)>, Failure>>()?;
    let mut page = Page { text: HEAD.to_owned(), holes: Vec::new() };
    let mut all: BTreeMap<(&str, usize), Seen> = BTreeMap::new();
    for ((profile, attempt), (found, holes)) in jobs.iter().zip(done) {
        let of = all.entry((profile, attempt.store)).or_default();
        for (wrong, when) in found {
            of.entry(wrong).or_default().extend(when);
        }
        page.holes.extend(holes);
    }
    published::compare(&all, &mut page);
    page.text += EVERY_PROFILE;
    page.text += &row("Profile", SUBJECTS.iter().map(|subject| subject.name));
    page.text += &rule(SUBJECTS.len());
    for profile in profiles {
        let cells: Vec<String> =
            (0..SUBJECTS.len()).map(|store| shown(&all[&(profile, store)], true)).collect();
        page.text += &row(profile, cells.iter().map(String::as_str));
    }
    Ok(page)
}

/// Every block that every attempt writes. How many those are is seen where a refused one is told
/// of.
fn attempts(laboratory: &Laboratory) -> Result<Vec<Attempt>, Failure> {
    let mut attempts = Vec::new();
    for (store, subject) in SUBJECTS.iter().enumerate() {
        let ways = |what| subject.pads.iter().map(move |pad| (what, *pad));
        for (what, pad) in subject.attempts.iter().copied().flat_map(ways) {
            for nth in 1.. {
                let words = format!("{} fault {what} {nth} {pad}", subject.name);
                if nth > BLOCK_COUNT_MAX {
                    return Err(Failure(format!("{words}: there are more blocks")));
                }
                if !laboratory.run("strict-sticky", &words, None)?.has_lost() {
                    break;
                }
                attempts.push(Attempt { store, what, words });
            }
        }
        if attempts.last().is_none_or(|last| last.store != store) {
            return Err(Failure(format!("{}: no block could be refused", subject.name)));
        }
    }
    Ok(attempts)
}

/// What is seen of one attempt, and what is not as it should be.
fn seen(
    laboratory: &Laboratory,
    profile: &str,
    attempt: &Attempt,
) -> Result<(Seen, Vec<String>), Failure> {
    let run = |then: &str| laboratory.run(profile, &format!("{}{then}", attempt.words), None);
    let promises = Promises::named(profile)
        .ok_or_else(|| Failure(format!("{profile} is expected of nobody")))?;
    let look = format!("{} look", SUBJECTS[attempt.store].name);
    let (cut, after) = laboratory.run_and_look(profile, &attempt.words, &look)?;
    let (kept, evicted) = (run(" restart")?, run(" evict restart-evicted")?);
    let (mut seen, mut holes) = (Seen::new(), Vec::new());
    for (finding, looks) in [
        (&kept, &[("now", When::Kept), ("restart", When::RestartKept)][..]),
        (&evicted, &[("evict", When::Evicted), ("restart-evicted", When::RestartEvicted)]),
    ] {
        let verdict = finding.judged_by(&promises);
        if verdict != Verdict::Accepted || finding.cut.is_some() {
            let broken = clauses(&verdict).join(", ");
            holes.push(format!("{profile}: {}: {:?}: {broken}", attempt.words, finding.cut));
        }
        for (word, when) in looks {
            let succeeded = has_succeeded(attempt.what, finding);
            note(&mut seen, attempt.what, succeeded, finding.said(word), *when);
        }
    }
    let succeeded = has_succeeded(attempt.what, &cut);
    note(&mut seen, attempt.what, succeeded, after.said("now"), When::PowerLoss);
    if seen.is_empty() && evicted.said("told").is_none() {
        holes.push(format!("{profile}: {}: nothing was told", attempt.words));
    }
    Ok((seen, holes))
}

/// Was the put told success? Before a checkpoint it was.
fn has_succeeded(what: &str, finding: &Finding) -> bool {
    what == "tidy" || finding.said("told") == Some("ok")
}

/// Compares what was found with what was told. Key 1 has version 1 from before, and key 2; an
/// update gives key 1 version 2, an insertion key 3 version 1.
fn note(seen: &mut Seen, what: &str, has_succeeded: bool, found: Option<&str>, when: When) {
    let mut add = |wrong: Wrong| seen.entry(wrong).or_default().extend([when]);
    let Some(found) = found.filter(|found| *found != "closed") else {
        add(Wrong::Closed);
        return;
    };
    let words: Vec<&str> = found.split(' ').collect();
    let new = if what == "insert" { ["1", "1", "1"] } else { ["2", "1", "-"] };
    for ((found, old), new) in words.iter().zip(["1", "1", "-"]).zip(new) {
        if *found == "x" {
            add(Wrong::ValueCorruption);
        } else if *found == "-" && (old != "-" || (new != "-" && has_succeeded)) {
            add(Wrong::KeyNotFound);
        } else if old != new && *found == new && !has_succeeded {
            add(Wrong::FalseFailure);
        } else if old != new && *found == old && has_succeeded {
            add(Wrong::OldValue);
        }
    }
    if words.last() != Some(&"0") {
        add(Wrong::KeyCorruption);
    }
}

/// A cell of a table, with what the study did not look at or without.
fn shown(seen: &Seen, with_all: bool) -> String {
    let mut parts = Vec::new();
    for (wrong, when) in seen {
        let sign = match wrong {
            Wrong::OldValue => "OV",
            Wrong::FalseFailure => "FF",
            Wrong::KeyCorruption => "KC",
            Wrong::ValueCorruption => "VC",
            Wrong::KeyNotFound => "KNF",
            Wrong::Closed if with_all => "closed",
            Wrong::Closed => continue,
        };
        let mut times = times(when);
        if with_all && when.contains(&When::PowerLoss) {
            times.push("P");
        }
        if !times.is_empty() {
            parts.push(format!("{sign} {}", times.join(" ")));
        }
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join("; ") }
}

/// The signs of the study for some of its four times.
fn times(when: &BTreeSet<When>) -> Vec<&'static str> {
    let four = [When::Kept, When::Evicted, When::RestartKept, When::RestartEvicted];
    match four.map(|one| when.contains(&one)) {
        [true, true, true, true] => vec!["all"],
        [false, true, false, true] => vec!["\\*/E"],
        [true, false, true, false] => vec!["\\*/K"],
        [false, false, true, true] => vec!["R/\\*"],
        [true, true, false, false] => vec!["-/\\*"],
        some => {
            let signs = ["-/K", "-/E", "R/K", "R/E"].into_iter().zip(some);
            signs.filter(|(_, is_seen)| *is_seen).map(|(sign, _)| sign).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(what: &str, has_succeeded: bool, found: &str) -> String {
        let mut seen = Seen::new();
        note(&mut seen, what, has_succeeded, Some(found), When::RestartEvicted);
        shown(&seen, true)
    }

    #[test]
    fn what_is_found_is_compared_with_what_was_told() {
        for (what, has_succeeded, found, expected) in [
            ("update", true, "2 1 - 0", "none"),
            ("update", true, "1 1 - 0", "OV R/E"),
            ("update", false, "1 1 - 0", "none"),
            ("update", false, "2 1 - 0", "FF R/E"),
            ("update", false, "x 1 - 0", "VC R/E"),
            ("update", false, "- 1 - 0", "KNF R/E"),
            ("insert", true, "1 1 1 0", "none"),
            ("insert", true, "1 1 - 0", "KNF R/E"),
            ("insert", false, "1 1 - 0", "none"),
            ("insert", false, "1 1 1 0", "FF R/E"),
            ("insert", true, "1 - 1 0", "KNF R/E"),
            ("insert", true, "1 1 - 1", "KC R/E; KNF R/E"),
            ("tidy", true, "1 1 - 0", "OV R/E"),
            ("tidy", true, "closed", "closed R/E"),
        ] {
            assert_eq!(cell(what, has_succeeded, found), expected, "{what}, {found}");
        }
    }

    #[test]
    fn times_have_the_signs_of_the_study() {
        let of = |when: &[When]| times(&when.iter().copied().collect()).join(" ");
        assert_eq!(of(&[When::Evicted, When::RestartEvicted]), "\\*/E");
        assert_eq!(of(&[When::RestartKept, When::RestartEvicted, When::PowerLoss]), "R/\\*");
        assert_eq!(of(&[When::Kept, When::RestartEvicted]), "-/K R/E");
        assert_eq!(of(&[When::PowerLoss]), "");
    }
}

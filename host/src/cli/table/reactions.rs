//! `crashproof table fs-reactions`: table 1 of "Can Applications Recover from fsync Failures?"
//! (USENIX ATC 2020), question by question, from runs, beside what was published.

use crashproof_spec::promise::Promises;
use crashproof_spec::trace::CrashKind;
use crashproof_spec::violation::Verdict;

use crate::cli::Failure;
use crate::cli::table::Page;
use crate::cli::table::laboratory::Finding;
use crate::cli::table::laboratory::Laboratory;
use crate::cli::table::laboratory::clauses;
use crate::cli::table::row;
use crate::cli::table::rule;

const HEAD: &str = "\
# What a failed write does to a file system

`crashproof table fs-reactions` wrote this page. It asks the questions of table 1 of \"Can
Applications Recover from fsync Failures?\" (USENIX ATC 2020) of the stack under four profiles, by
running `fs_reactions` with one write refused, and by what is found after power loss at its end.
Under each answer stands the published one, in bold where it differs; the reasons are below. Every
run is also judged by its own profile; one that breaks a promise of it ends the command with 1.

";

const NOT_ASKED: &str = "
Question 7 (is it in the system log?) and question 11 (does fsck help?) are not asked: this stack
has no system log, and its fsck changes nothing.
";

const GUEST: &str = "fs_reactions";

/// The columns: the profile, and the file system that the paper looked at.
const COLUMNS: [(&str, &str); 4] = [
    ("ext4-ordered", "ext4 ordered"),
    ("ext4-data-journal", "ext4 data=journal"),
    ("xfs", "XFS"),
    ("btrfs-before-6.6", "Btrfs"),
];

const BLOCK_SIZE_BYTES: usize = 4096;

/// The runs of one profile.
struct Runs {
    profile: &'static str,
    /// A block is updated; what is refused is data, then the log, then the tree.
    update: [Finding; 3],
    /// A block is appended, and the data is refused.
    append: Finding,
    /// And then another is appended.
    append_on: Finding,
}

impl Runs {
    fn new(laboratory: &Laboratory, profile: &'static str) -> Result<Self, Failure> {
        let run = |words: &str| laboratory.run(profile, words, Some(CrashKind::Power));
        Ok(Self {
            profile,
            update: [run("update data")?, run("update log")?, run("update tree")?],
            append: run("append data")?,
            append_on: run("append-on data")?,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Finding> {
        self.update.iter().chain([&self.append, &self.append_on])
    }
}

/// A question: its words, how a run answers it, and what was published for each column.
struct Question {
    words: &'static str,
    answer: fn(&Runs) -> String,
    published: [&'static str; COLUMNS.len()],
}

const QUESTIONS: [Question; 10] = [
    Question {
        words: "1. Which refused block makes fsync fail?",
        answer: failing_blocks,
        published: ["data, journal"; 4],
    },
    Question {
        words: "2. Is metadata persisted although data failed?",
        answer: persists_size,
        published: ["yes", "yes", "yes", "no"],
    },
    Question {
        words: "3. Are failed writes tried again?",
        answer: retries,
        published: ["no", "no", "metadata", "no"],
    },
    Question {
        words: "4. Is the page clean afterwards?",
        answer: is_clean,
        published: ["clean"; 4],
    },
    Question {
        words: "5. Does its content match the disk?",
        answer: matches_disk,
        published: ["no", "no", "no", "yes"],
    },
    Question {
        words: "6. Which fsync tells?",
        answer: which_tells,
        published: ["the one that fails", "the next", "the one that fails", "the one that fails"],
    },
    Question {
        words: "8. Which refused block makes it unavailable?",
        answer: stopping_blocks,
        published: ["journal", "journal", "journal, metadata", "journal, metadata"],
    },
    Question {
        words: "9. How is it unavailable?",
        answer: how_stopped,
        published: ["read-only", "read-only", "shutdown", "read-only"],
    },
    Question {
        words: "10a. What is in the file where the bytes were lost?",
        answer: left_behind,
        published: [
            "non-overwritten block",
            "non-overwritten block",
            "non-overwritten block",
            "hole",
        ],
    },
    Question {
        words: "10b. Where can that be?",
        answer: where_left,
        published: ["inside, at the end", "inside, at the end", "inside", "inside"],
    },
];

/// Why answers differ: words of the question, profiles, reason.
const REASONS: [(&str, &[&str], &str); 4] = [
    (
        "2.",
        &["xfs"],
        "The study counts times and sizes together. Here the size alone is looked at, and XFS does \
         not make a file longer by a failed append (question 10 of the study).",
    ),
    (
        "3.",
        &["ext4-ordered", "ext4-data-journal"],
        "A commit of this stack that failed is made again as a whole, in fresh blocks, by the next \
         one: a tree is never left half written. There is no profile for one that is.",
    ),
    (
        "3.",
        &["xfs"],
        "XFS tries a block of metadata several times before it shuts down. Here the first refusal \
         shuts it down: there is no profile for a number of attempts.",
    ),
    (
        "10a.",
        &["ext4-ordered", "ext4-data-journal", "xfs"],
        "The file systems of the study name a block before it is written, so that old bytes of the \
         device show in it. This stack copies on write: a block that was never written is never \
         named, and a lost range without an older version is a hole.",
    ),
];

/// The page.
pub(super) fn page() -> Result<Page, Failure> {
    let laboratory = Laboratory::new(GUEST)?;
    let columns = COLUMNS.iter().map(|(profile, _)| Runs::new(&laboratory, profile));
    let columns = columns.collect::<Result<Vec<Runs>, Failure>>()?;
    let mut page = Page { text: HEAD.to_owned(), holes: Vec::new() };
    for runs in &columns {
        check(runs, &mut page)?;
    }
    let heads: Vec<String> =
        COLUMNS.iter().map(|(profile, system)| format!("{profile} ({system})")).collect();
    page.text += &row("Question", heads.iter().map(String::as_str));
    page.text += &rule(COLUMNS.len());
    let mut met = [false; REASONS.len()];
    for question in &QUESTIONS {
        let answers: Vec<String> = columns.iter().map(question.answer).collect();
        page.text += &row(question.words, answers.iter().map(String::as_str));
        let mut cells = Vec::new();
        for ((answer, published), runs) in answers.iter().zip(question.published).zip(&columns) {
            if answer == published {
                cells.push(published.to_owned());
                continue;
            }
            cells.push(format!("**{published}**"));
            let reason = REASONS.iter().position(|(words, profiles, _)| {
                question.words.starts_with(words) && profiles.contains(&runs.profile)
            });
            match reason {
                Some(at) => met[at] = true,
                None => page.holes.push(format!(
                    "{}, {}: {answer}, published {published}",
                    question.words, runs.profile
                )),
            }
        }
        page.text += &row("published", cells.iter().map(String::as_str));
    }
    page.text += "\nWhy answers differ:\n\n";
    for ((words, profiles, why), is_met) in REASONS.iter().zip(met) {
        let profiles = profiles.join(", ");
        page.text += &format!("- {words} {profiles}: {why}\n");
        if !is_met {
            page.holes.push(format!("{words} {profiles}: nothing differs"));
        }
    }
    page.text += NOT_ASKED;
    Ok(page)
}

/// Every run came to its end, and kept the promises of its own profile.
fn check(runs: &Runs, page: &mut Page) -> Result<(), Failure> {
    let promises = Promises::named(runs.profile)
        .ok_or_else(|| Failure(format!("{} is expected of nobody", runs.profile)))?;
    for finding in runs.all() {
        let verdict = finding.judged_by(&promises);
        if verdict != Verdict::Accepted || finding.cut.is_some() {
            let broken = clauses(&verdict).join(", ");
            page.holes.push(format!("{}: {:?}: {broken}", runs.profile, finding.lines));
        }
    }
    Ok(())
}

fn fails(finding: &Finding, key: &str) -> bool {
    finding.said(key).is_some_and(|told| told.starts_with("error"))
}

/// The names of the study for what was refused.
fn blocks_where(runs: &Runs, is_so: impl Fn(&Finding) -> bool) -> String {
    let names = ["data", "journal", "metadata"];
    let chosen = names.into_iter().zip(&runs.update).filter(|(_, finding)| is_so(finding));
    let chosen: Vec<&str> = chosen.map(|(name, _)| name).collect();
    if chosen.is_empty() { "none".to_owned() } else { chosen.join(", ") }
}

fn failing_blocks(runs: &Runs) -> String {
    blocks_where(runs, |finding| fails(finding, "fsync 1") || fails(finding, "fsync 2"))
}

fn persists_size(runs: &Runs) -> String {
    let size = runs.append.recovered("f").map(|bytes| bytes.len());
    word(size.is_some_and(|size| size > BLOCK_SIZE_BYTES), ["yes", "no"])
}

/// Data: without another write, the second fsync makes it durable. Metadata: what was refused in
/// the background is written after all, so that the file system goes on and a new file is durable.
fn retries(runs: &Runs) -> String {
    let data = runs.update[0].recovered("f").is_some_and(|bytes| is_second(&bytes, b'B'));
    let metadata = !fails(&runs.update[2], "create");
    match (data, metadata) {
        (true, true) => "data, metadata",
        (true, false) => "data",
        (false, true) => "metadata",
        (false, false) => "no",
    }
    .to_owned()
}

fn is_clean(runs: &Runs) -> String {
    let stays = runs.update[0].said("evicted") == Some("B");
    word(stays, ["not evicted", "clean"])
}

fn matches_disk(runs: &Runs) -> String {
    let read = runs.update[0].said("read").and_then(|letter| letter.bytes().next());
    let disk = runs.update[0].recovered("f");
    let matches = disk.zip(read).is_some_and(|(bytes, letter)| is_second(&bytes, letter));
    word(matches, ["yes", "no"])
}

fn which_tells(runs: &Runs) -> String {
    let data = &runs.update[0];
    match (fails(data, "fsync 1"), fails(data, "fsync 2")) {
        (true, false) => "the one that fails",
        (false, true) => "the next",
        (true, true) => "each",
        (false, false) => "none",
    }
    .to_owned()
}

fn stopping_blocks(runs: &Runs) -> String {
    blocks_where(runs, |finding| fails(finding, "create"))
}

/// The errors of preview1: 69 is EROFS, 29 is EIO.
fn how_stopped(runs: &Runs) -> String {
    let refused = &runs.update[1];
    match (refused.said("create"), refused.said("evicted")) {
        (Some("error 69"), Some("A" | "B")) => "read-only",
        (Some("error 29"), Some("error 29")) => "shutdown",
        (Some("ok"), _) => "it is not",
        _ => "otherwise",
    }
    .to_owned()
}

fn left_behind(runs: &Runs) -> String {
    let found = runs.append_on.recovered("f");
    let second = found
        .and_then(|bytes| bytes.get(BLOCK_SIZE_BYTES..2 * BLOCK_SIZE_BYTES).map(<[u8]>::to_vec));
    match second {
        Some(bytes) if bytes.iter().all(|byte| *byte == 0) => "hole",
        Some(bytes) if bytes.iter().all(|byte| *byte == b'B') => "what was written",
        Some(_) => "non-overwritten block",
        None => "nothing",
    }
    .to_owned()
}

fn where_left(runs: &Runs) -> String {
    let is_left = |finding: &Finding| {
        let found = finding.recovered("f");
        found.is_some_and(|bytes| bytes.len() > BLOCK_SIZE_BYTES && !is_second(&bytes, b'B'))
    };
    match (is_left(&runs.append_on), is_left(&runs.append)) {
        (true, true) => "inside, at the end",
        (true, false) => "inside",
        (false, true) => "at the end",
        (false, false) => "nowhere",
    }
    .to_owned()
}

fn is_second(bytes: &[u8], letter: u8) -> bool {
    let second = bytes.get(BLOCK_SIZE_BYTES..2 * BLOCK_SIZE_BYTES);
    second.is_some_and(|second| second.iter().all(|byte| *byte == letter))
}

fn word(is_first: bool, words: [&str; 2]) -> String {
    words[usize::from(!is_first)].to_owned()
}

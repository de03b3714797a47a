//! Table 2 of "Can Applications Recover from fsync Failures?" (USENIX ATC 2020), and why the stores
//! of this project answer otherwise.

use std::collections::BTreeMap;

use crate::cli::table::Page;
use crate::cli::table::applications::SUBJECTS;
use crate::cli::table::applications::Seen;
use crate::cli::table::applications::shown;
use crate::cli::table::row;
use crate::cli::table::rule;

/// The columns: the profile, and the file system of the study.
const COLUMNS: [(&str, &str); 4] = [
    ("ext4-ordered", "ext4 ordered"),
    ("xfs", "XFS"),
    ("ext4-data-journal", "ext4 data=journal"),
    ("btrfs-before-6.6", "Btrfs"),
];

/// The originals, in the order of the stores: a name, and what was published for each column.
/// Redis 7 and PostgreSQL 11.1 were not looked at.
const ORIGINALS: [Option<(&str, [&str; COLUMNS.len()])>; SUBJECTS.len()] = [
    Some((
        "Redis 5.0.7",
        [
            "OV R/E; KC R/E; VC R/E; KNF R/E",
            "OV R/E; KC R/E; VC R/E; KNF R/E",
            "OV R/E; KC R/E; VC R/E; KNF R/E",
            "OV R/\\*; KNF R/\\*",
        ],
    )),
    None,
    Some(("LMDB 0.9.24", ["FF R/E", "FF R/E", "OV \\*/E; VC \\*/E", "none"])),
    Some(("LevelDB 1.22", ["FF R/K", "FF R/K", "OV R/E; KC \\*/E; VC \\*/E; KNF \\*/E", "none"])),
    Some((
        "SQLite 3.30.1, rollback",
        ["FF \\*/E; VC \\*/E", "FF \\*/E; VC \\*/E", "FF \\*/E; VC R/E; KNF R/E", "FF all"],
    )),
    Some(("SQLite 3.30.1, WAL", ["FF R/K", "FF R/K", "VC R/E; KNF R/E", "none"])),
    Some(("PostgreSQL 12.0", ["FF R/\\*", "FF R/\\*", "OV R/E; KNF R/E", "none"])),
    None,
];

/// Why answers differ: store, profiles, reason.
const REASONS: [(&str, &[&str], &str); 10] = [
    (
        "log-ignoring",
        &["ext4-ordered", "ext4-data-journal"],
        "Zeros stand where a block was lost, up to the size that was written. Within a value they \
         are a wrong value; anywhere else they are no command, and the store stays closed, as \
         Redis does. A key has 8 bytes here: a block that cuts it takes the rest of the command \
         as well. What the commands of the study looked like is not known here.",
    ),
    (
        "log-ignoring",
        &["xfs", "btrfs-before-6.6"],
        "The same. An append that failed does not make the file longer on the medium, but in \
         memory it is longer until power loss: only then are old values and lost keys seen (P).",
    ),
    (
        "mapped",
        &["ext4-ordered", "xfs"],
        "After a refused write of its meta record this store writes back what was there, as the \
         source of LMDB does. No block leaves the new tree behind. Which one did in the study is \
         not known here.",
    ),
    (
        "mapped",
        &["ext4-data-journal"],
        "A page of this tree holds keys and values: one that is lost takes the key with it, in \
         place of a wrong value.",
    ),
    (
        "merge",
        &["ext4-data-journal"],
        "A table has one block here. Where it is lost there are no entries, so that older values \
         show, with or without a restart, and no entry is read from half a table.",
    ),
    (
        "journal",
        &["ext4-ordered", "xfs", "btrfs-before-6.6"],
        "A refused block of the journal leaves the pages as they are. A refused page is written \
         again by the rollback, which syncs it. No block leaves anything behind. Which one did in \
         the study is not known here.",
    ),
    (
        "journal",
        &["ext4-data-journal"],
        "The put whose page is refused is told success, since the next sync tells: what is found \
         then is an old value, and no false failure.",
    ),
    (
        "wal",
        &["ext4-data-journal"],
        "A record of this log has a checksum with those before it: replay ends before one that is \
         not whole, and finds the old value in place of a wrong one. The head of the log has a \
         sync of its own: where it is refused, the sync of the records tells, which are durable; \
         that is the false failure.",
    ),
    (
        "wal-panic",
        &["ext4-ordered", "xfs"],
        "The restart is part of the put that fails, as PostgreSQL's server restarts itself: what \
         it leads to is there without a further one.",
    ),
    (
        "wal-panic",
        &["ext4-data-journal"],
        "The false failure is that of `wal`: the sync of the records tells of the head.",
    ),
];

/// Writes the table with what was published, and what differs without a reason as a hole.
pub(super) fn compare(all: &BTreeMap<(&str, usize), Seen>, page: &mut Page) {
    let heads: Vec<String> =
        COLUMNS.iter().map(|(profile, system)| format!("{profile} ({system})")).collect();
    page.text += &row("Store", heads.iter().map(String::as_str));
    page.text += &rule(COLUMNS.len());
    let mut met = [false; REASONS.len()];
    for (store, (subject, original)) in SUBJECTS.iter().zip(&ORIGINALS).enumerate() {
        let of = COLUMNS.map(|(profile, _)| &all[&(profile, store)]);
        let answers = of.map(|seen| shown(seen, true));
        page.text += &row(subject.name, answers.iter().map(String::as_str));
        let Some((original, published)) = original else { continue };
        let mut cells = Vec::new();
        for ((seen, published), (profile, _)) in of.iter().zip(published).zip(COLUMNS) {
            let answer = shown(seen, false);
            if answer == *published {
                cells.push((*published).to_owned());
                continue;
            }
            cells.push(format!("**{published}**"));
            let reason = REASONS.iter().position(|(name, profiles, _)| {
                *name == subject.name && profiles.contains(&profile)
            });
            match reason {
                Some(at) => met[at] = true,
                None => page
                    .holes
                    .push(format!("{}, {profile}: {answer}, published {published}", subject.name)),
            }
        }
        page.text += &row(original, cells.iter().map(String::as_str));
    }
    page.text += "\nWhy answers differ:\n\n";
    for ((name, profiles, why), is_met) in REASONS.iter().zip(met) {
        let profiles = profiles.join(", ");
        page.text += &format!("- {name}; {profiles}: {why}\n");
        if !is_met {
            page.holes.push(format!("{name}, {profiles}: nothing differs"));
        }
    }
}

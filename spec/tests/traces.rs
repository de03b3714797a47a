//! Both sides of each clause: `tests/traces/accepted` and `rejected`, a trace a file; and what
//! calls and answers cannot tell: `undecided`.
//!
//! A trace says in its comments under which profile and level it is judged, and which clause it
//! is about. Its name is the clause, then few words.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use crashproof_spec::ENFORCED;
use crashproof_spec::Oracle;
use crashproof_spec::clause::Catalogue;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::Event;
use crashproof_spec::trace::HEADER;
use crashproof_spec::trace::Writer;
use crashproof_spec::trace::parse;
use crashproof_spec::trace::wellformed;
use crashproof_spec::violation::Verdict;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces");

/// A trace of the collection, read.
struct Case {
    /// Folder and file, without its ending.
    name: String,
    clause: String,
    level: Level,
    promises: Promises,
    text: String,
    events: Vec<Event>,
}

/// What the comments at the start say under a key.
fn said<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let prefix = format!("# {key}: ");
    text.lines().find_map(|line| line.strip_prefix(&prefix))
}

fn level(word: &str) -> Option<Level> {
    match word {
        "posix" => Some(Level::Posix),
        "linux" => Some(Level::Linux),
        "strict" => Some(Level::Strict),
        _ => None,
    }
}

fn case(name: String, text: String) -> Case {
    let key = |key: &str| said(&text, key).unwrap_or_else(|| panic!("{name}: no `# {key}: `"));
    let clause = key("clause").to_owned();
    let level = level(key("level")).unwrap_or_else(|| panic!("{name}: not a level"));
    let promises = Promises::named(key("profile")).unwrap_or_else(|| panic!("{name}: no profile"));
    let size = said(&text, "file-size-max").map(|size| size.parse().expect("a number of bytes"));
    let promises = Promises { file_size_bytes_max: size, ..promises };
    let events = parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    Case { name, clause, level, promises, text, events }
}

/// The traces of one folder, in the order of their names.
fn cases(verdict: &str) -> Vec<Case> {
    let entries = fs::read_dir(format!("{FOLDER}/{verdict}")).expect("the folder is there");
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry.expect("the folder can be listed").path();
        if path.extension().is_some_and(|ending| ending == "trace") {
            let stem = path.file_stem().expect("it has an ending").to_string_lossy().into_owned();
            files.insert(stem, fs::read_to_string(&path).expect("the trace can be read"));
        }
    }
    files.into_iter().map(|(stem, text)| case(format!("{verdict}/{stem}"), text)).collect()
}

fn all() -> Vec<Case> {
    ["accepted", "rejected", "undecided"].into_iter().flat_map(cases).collect()
}

#[test]
fn every_trace_is_well_formed_and_in_the_writers_spelling() {
    for case in all() {
        wellformed::check(&case.events).unwrap_or_else(|why| panic!("{}: {why}", case.name));
        let mut writer = Writer::new(String::new()).expect("a String takes everything");
        for event in &case.events {
            writer.event(event).expect("a String takes everything");
        }
        let written = writer.into_inner();
        let said = case.text.lines().filter(|line| !line.starts_with('#'));
        assert!(written.lines().eq(said), "{}: the writer spells it otherwise", case.name);
        assert!(case.text.starts_with(HEADER), "{}", case.name);
    }
}

#[test]
fn every_trace_is_named_for_a_clause_of_the_catalogue() {
    for case in all() {
        assert!(Catalogue::embedded().get(&case.clause).is_some(), "{}", case.name);
        let (_, file) = case.name.split_once('/').expect("it starts with its folder");
        assert!(file.starts_with(&format!("{}-", case.clause)), "{}", case.name);
    }
}

fn judge(case: &Case) -> Oracle {
    let mut oracle = Oracle::new(Arc::new(case.promises.clone()), case.level);
    case.events.iter().for_each(|event| oracle.event(event));
    oracle
}

/// A verdict without CRASH-04: bytes of a file that is forgotten are not known for another's.
fn without_foreign(verdict: Verdict) -> Verdict {
    let Verdict::Rejected(mut violations) = verdict else { return verdict };
    for violation in &mut violations {
        let named = violation.clauses().filter(|clause| *clause != "CRASH-04");
        (violation.clause, violation.also) = ("", named.collect());
    }
    Verdict::Rejected(violations)
}

#[test]
fn no_verdict_depends_on_when_files_are_forgotten() {
    for case in all() {
        let mut forgetful = Oracle::new(Arc::new(case.promises.clone()), case.level);
        for event in &case.events {
            forgetful.forget();
            forgetful.event(event);
        }
        let (verdict, right) = (forgetful.verdict(), judge(&case).verdict());
        assert_eq!(without_foreign(verdict), without_foreign(right), "{}", case.name);
    }
}

/// The verdict as a person reads it.
fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accepted => "Accepted\n".to_owned(),
        Verdict::Rejected(violations) => {
            violations.iter().map(|violation| format!("Rejected {violation}\n")).collect()
        }
        Verdict::Undecided(reasons) => reasons
            .iter()
            .map(|reason| format!("Undecided at step {}: {}\n", reason.step.0, reason.what))
            .collect(),
    }
}

/// All that is wrong with the verdicts, in one message.
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} traces:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn every_trace_that_keeps_its_promises_is_accepted() {
    let mut complaints = Vec::new();
    for case in cases("accepted") {
        let verdict = judge(&case).verdict();
        if verdict != Verdict::Accepted {
            complaints.push(format!("{}: {}", case.name, told(&verdict)));
        }
    }
    none(&complaints);
}

/// Is a trace rejected by the clause that it is about?
fn is_caught(case: &Case, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Rejected(violations) => {
            violations.iter().any(|violation| violation.clauses().any(|id| id == case.clause))
        }
        Verdict::Accepted | Verdict::Undecided(_) => false,
    }
}

#[test]
fn every_trace_that_breaks_its_clause_is_rejected_by_it() {
    let mut complaints = Vec::new();
    for case in cases("rejected") {
        let verdict = judge(&case).verdict();
        if !is_caught(&case, &verdict) {
            complaints.push(format!("{}: {}", case.name, told(&verdict)));
        }
    }
    none(&complaints);
}

#[test]
fn every_trace_that_cannot_be_told_is_undecided() {
    let mut complaints = Vec::new();
    for case in cases("undecided") {
        let verdict = judge(&case).verdict();
        if !matches!(verdict, Verdict::Undecided(_)) {
            complaints.push(format!("{}: {}", case.name, told(&verdict)));
        }
    }
    none(&complaints);
}

#[test]
fn every_verdict_is_the_golden_one() {
    let mut complaints = Vec::new();
    for case in cases("rejected").into_iter().chain(cases("undecided")) {
        let path = format!("{FOLDER}/{}.verdict", case.name);
        let told = told(&judge(&case).verdict());
        if std::env::var_os("BLESS").is_some_and(|asked| asked == "1") {
            fs::write(&path, &told).expect("the verdict can be written");
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        if golden != told {
            complaints.push(format!("{}: expected\n{golden}found\n{told}", case.name));
        }
    }
    none(&complaints);
}

#[test]
fn every_verdict_is_the_same_twice() {
    for case in all() {
        assert_eq!(judge(&case).verdict(), judge(&case).verdict(), "{}", case.name);
    }
}

#[test]
fn every_enforced_clause_is_seen_from_both_sides() {
    let about = |verdict: &str| -> BTreeSet<String> {
        cases(verdict).into_iter().map(|case| case.clause).collect()
    };
    let (accepted, rejected) = (about("accepted"), about("rejected"));
    assert!(!ENFORCED.is_empty());
    let mut complaints = Vec::new();
    for id in ENFORCED {
        if !accepted.contains(*id) {
            complaints.push(format!("{id}: no accepted trace"));
        }
        if !rejected.contains(*id) {
            complaints.push(format!("{id}: no rejected trace"));
        }
    }
    none(&complaints);
}

#[test]
fn the_catalogue_marks_as_enforced_what_the_oracle_enforces() {
    for clause in Catalogue::embedded().iter() {
        // A guard is kept by silence: its accepted traces show it, and no rule can cite it.
        let is_kept = ENFORCED.contains(&clause.id.as_str())
            || (clause.guard && cases("accepted").iter().any(|case| case.clause == clause.id));
        assert_eq!(clause.enforced, is_kept, "{}", clause.id);
    }
}

//! Both sides of each clause: `tests/traces/accepted` and `rejected`, a trace a file.
//!
//! A trace says in its comments under which profile and level it is judged, and which clause it
//! is about. Its name is the clause, then few words.

use std::collections::BTreeMap;
use std::fs;

use crashproof_spec::clause::Catalogue;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::Event;
use crashproof_spec::trace::HEADER;
use crashproof_spec::trace::Writer;
use crashproof_spec::trace::parse;
use crashproof_spec::trace::wellformed;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces");

/// A trace of the collection, read.
struct Case {
    /// Folder and file, without its ending.
    name: String,
    clause: String,
    #[expect(dead_code, reason = "read when it is judged")]
    level: Level,
    #[expect(dead_code, reason = "read when it is judged")]
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
    assert!(!files.is_empty(), "{verdict}: no traces");
    files.into_iter().map(|(stem, text)| case(format!("{verdict}/{stem}"), text)).collect()
}

fn all() -> Vec<Case> {
    [cases("accepted"), cases("rejected")].into_iter().flatten().collect()
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

//! The oracle against the collection: what is accepted, and what is rejected by which clause.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use crashproof_spec::Oracle;
use crashproof_spec::promise::Level;
use crashproof_spec::promise::Promises;
use crashproof_spec::trace::parse;
use crashproof_spec::violation::Verdict;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces");

/// Traces and what the oracle says, by the name of the file.
fn judged(folder: &str) -> BTreeMap<String, (String, Verdict)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(format!("{FOLDER}/{folder}")).expect("the folder is there") {
        let path = entry.expect("the folder can be listed").path();
        if path.extension().is_none_or(|ending| ending != "trace") {
            continue;
        }
        let stem = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("the trace can be read");
        let said = |key: &str| {
            let prefix = format!("# {key}: ");
            text.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
        };
        let level = match said("level").as_str() {
            "posix" => Level::Posix,
            "linux" => Level::Linux,
            _ => Level::Strict,
        };
        let promises = Promises::named(&said("profile")).expect("the profile is embedded");
        let mut oracle = Oracle::new(Arc::new(promises), level);
        for event in parse(&text).expect("the trace can be read") {
            oracle.event(&event);
        }
        all.insert(stem, (said("clause"), oracle.verdict()));
    }
    all
}

#[test]
fn accepted_traces_are_accepted() {
    let mut wrong = String::new();
    for (name, (_, verdict)) in judged("accepted") {
        if verdict != Verdict::Accepted {
            wrong.push_str(&format!("{name}: {verdict:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn rejected_traces_are_rejected_by_their_clause() {
    let mut wrong = String::new();
    for (name, (clause, verdict)) in judged("rejected") {
        let fits = match &verdict {
            Verdict::Rejected(violations) => {
                violations.iter().any(|violation| violation.clauses().any(|id| id == clause))
            }
            Verdict::Accepted | Verdict::Undecided(_) => false,
        };
        if !fits {
            wrong.push_str(&format!("{name}: {verdict:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

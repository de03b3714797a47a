//! The rules that neither compiler nor clippy can check, run over the sources.
//!
//! Each rule is a function from a file to complaints, and has a companion that shows it
//! complaining.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Which modules of `host` each module may use. A new row is an architecture decision.
const MAY_USE: &[(&str, &[&str])] = &[
    ("mutex", &[]),
    ("sim", &["mutex"]),
    ("call", &["mutex"]),
    ("device", &["mutex", "sim"]),
    ("cow", &["device", "mutex", "sim"]),
    ("cache", &["call", "cow", "device", "mutex", "sim"]),
    ("vfs", &["cache", "call", "cow", "device", "mutex", "sim"]),
    ("audit", &["cache", "cow", "device", "spec"]),
    ("mapping", &["call"]),
    ("wasi", &["call", "mapping", "sim"]),
    ("guest", &["call", "mapping", "sim", "wasi"]),
    ("guests", &[]),
    ("subject", &["cache", "call", "cow", "device", "sim", "vfs"]),
    ("observe", &["call", "mutex", "spec"]),
    (
        "check",
        &["audit", "call", "cow", "device", "guest", "mutex", "observe", "sim", "spec", "subject"],
    ),
    ("report", &["check", "spec"]),
    ("cli", &["check", "cow", "device", "guest", "guests", "report", "sim", "spec", "subject"]),
];

/// Files that were longer than the rule when it was made; the numbers may only go down.
const LINES_MAX: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("host is in the workspace").to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn every_source() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["host", "spec", "fuzz", "guest-workloads"] {
        sources(&root().join(folder), &mut found);
    }
    let named = |path: PathBuf| {
        let name = path.strip_prefix(root()).expect("found beneath the root").to_string_lossy();
        let text = fs::read_to_string(&path).expect("a source is text");
        (name.into_owned(), text)
    };
    found.into_iter().map(named).collect()
}

fn module_of(file: &str) -> Option<&str> {
    let inside = file.strip_prefix("host/src/")?;
    let first = inside.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first)).filter(|name| !["lib", "main"].contains(name))
}

fn imports(text: &str) -> Vec<&str> {
    let mut used = Vec::new();
    for line in text.lines() {
        let code = line.split("//").next().unwrap_or_default();
        for part in code.split("crate::").skip(1) {
            used.push(part.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""));
        }
        if code.contains("crashproof_spec") {
            used.push("spec");
        }
    }
    used
}

fn import_complaints(file: &str, text: &str) -> Vec<String> {
    let Some(module) = module_of(file) else { return Vec::new() };
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{file}: `{module}` has no row in MAY_USE")];
    };
    let forbidden = |used: &&str| *used != module && !allowed.contains(used);
    let used: std::collections::BTreeSet<_> = imports(text).into_iter().filter(forbidden).collect();
    used.into_iter().map(|used| format!("{file}: `{module}` may not use `{used}`")).collect()
}

fn line_complaint(before: &str, line: &str, in_tests: bool) -> Option<&'static str> {
    let code = line.split("//").next().unwrap_or_default().trim();
    if !line.is_ascii() {
        return Some("sources are ASCII");
    }
    if line.chars().count() > 100 {
        return Some("a line has at most 100 columns");
    }
    if code.contains(concat!(".unw", "rap()")) && !in_tests {
        return Some("say why it cannot fail: expect(\"...\")");
    }
    let is_statement = !before.trim_end().ends_with('=');
    if is_statement && code.starts_with("matches!(") && code.ends_with(';') {
        return Some("a `matches!` that is a statement asserts nothing");
    }
    if line.contains(concat!("TO", "DO")) && !line.contains("(#") {
        return Some("names an open issue, or is not there");
    }
    None
}

fn file_complaints(file: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !text.starts_with("//!") {
        complaints.push(format!("{file}: begins with `//!`, what it is"));
    }
    let count = text.lines().count();
    if count > LINES_MAX {
        complaints.push(format!("{file}: {count} lines, at most {LINES_MAX}"));
    }
    let in_tests = file.contains("/tests/");
    let mut before = "";
    for (number, line) in text.lines().enumerate() {
        if let Some(why) = line_complaint(before, line, in_tests) {
            complaints.push(format!("{file}:{}: {why}", number + 1));
        }
        before = line;
    }
    complaints
}

#[test]
fn modules_use_only_what_they_may() {
    let complaints: Vec<_> =
        every_source().iter().flat_map(|(file, text)| import_complaints(file, text)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_forbidden_import_is_seen() {
    let seen = import_complaints("host/src/cow/root.rs", "use crate::vfs::Handle;\n");
    assert_eq!(seen, ["host/src/cow/root.rs: `cow` may not use `vfs`"]);
    let seen = import_complaints("host/src/cache/page.rs", "use crashproof_spec::words::Call;\n");
    assert_eq!(seen, ["host/src/cache/page.rs: `cache` may not use `spec`"]);
}

#[test]
fn every_file_keeps_the_simple_rules() {
    let complaints: Vec<_> =
        every_source().iter().flat_map(|(file, text)| file_complaints(file, text)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn a_broken_simple_rule_is_seen() {
    let long = "x".repeat(101);
    for bad in [long.as_str(), "a \u{e4}", "matches!(a, b);"] {
        assert!(line_complaint("", bad, false).is_some(), "{bad}");
    }
    assert!(line_complaint("", concat!("x.unw", "rap();"), false).is_some());
    assert_eq!(file_complaints("x.rs", "fn main() {}\n").len(), 1);
}

#[test]
fn the_spec_names_nothing_of_the_host() {
    for (file, text) in every_source() {
        if file.starts_with("spec/src/") {
            for word in ["crashproof::", "std::fs", "std::net", "std::env", "std::thread"] {
                assert!(!text.contains(word), "{file}: the spec is alone, and names `{word}`");
            }
        }
    }
}

#[test]
fn the_readme_fits_and_its_paths_exist() {
    let Ok(readme) = fs::read_to_string(root().join("README.md")) else {
        panic!("README.md is part of the project");
    };
    assert!(readme.lines().count() <= 120, "README.md has at most 120 lines");
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let local = !link.contains("://") && !link.starts_with('#');
        assert!(!local || root().join(link).exists(), "README.md names {link}");
    }
}

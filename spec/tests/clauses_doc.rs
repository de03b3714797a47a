//! `spec/docs/clauses.md` is printed from the catalogue; `BLESS=1` rewrites it.

use std::fmt::Write as _;

use crashproof_spec::clause::Catalogue;
use crashproof_spec::clause::Clause;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/clauses.md");

fn row(clause: &Clause) -> String {
    let judged = match (clause.enforced, clause.guard) {
        (false, _) => "no",
        (true, false) => "yes",
        (true, true) => "guard",
    };
    let sources = clause.sources.join("; ");
    let evidence: Vec<_> = clause.decided_from.iter().map(|evidence| evidence.name()).collect();
    format!(
        "| {} | {} | {judged} | {} | {} | {sources} |",
        clause.id,
        clause.level.name(),
        clause.statement,
        evidence.join(", "),
    )
}

fn printed(catalogue: &Catalogue) -> String {
    let mut text = String::from(
        "# Clauses\n\nPrinted from `spec/clauses`; a test compares. Level: where the clause \
         binds, or `profile` if\nonly a profile promises it. Judged: does the oracle enforce it; \
         a guard says what is not promised.\n",
    );
    for group in catalogue.groups() {
        write!(text, "\n## {}\n\n", group.title).expect("a String takes everything");
        text.push_str("| Id | Level | Judged | Statement | Decided from | Sources |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        for clause in &group.clauses {
            writeln!(text, "{}", row(clause)).expect("a String takes everything");
        }
        let lacking =
            |clause: &Clause| clause.lacking.as_ref().map(|what| (clause.id.clone(), what.clone()));
        let lacking: Vec<_> = group.clauses.iter().filter_map(lacking).collect();
        if !lacking.is_empty() {
            text.push_str("\nNot judged, because:\n\n");
        }
        for (id, what) in lacking {
            writeln!(text, "- {id}: {what}").expect("a String takes everything");
        }
    }
    text
}

#[test]
fn the_page_of_clauses_is_the_catalogue() {
    let printed = printed(Catalogue::embedded());
    if std::env::var_os("BLESS").is_some_and(|asked| asked == "1") {
        std::fs::write(PATH, &printed).expect("the page can be written");
    }
    let page = std::fs::read_to_string(PATH).expect("the page is there; BLESS=1 writes it");
    assert!(page == printed, "docs/clauses.md is not the catalogue; BLESS=1 rewrites it");
}

#[test]
fn every_clause_is_on_the_page_once() {
    let printed = printed(Catalogue::embedded());
    for clause in Catalogue::embedded().iter() {
        assert_eq!(printed.matches(&format!("| {} |", clause.id)).count(), 1, "{}", clause.id);
    }
}

#[test]
fn a_clause_that_is_judged_lacks_nothing() {
    let groups = ["Namespace visibility", "Data visibility", "Durability", "States after a crash"];
    for group in Catalogue::embedded().groups() {
        for clause in &group.clauses {
            assert!(!(clause.enforced && clause.lacking.is_some()), "{}", clause.id);
            if groups.contains(&group.title.as_str()) {
                assert_eq!(clause.enforced, clause.lacking.is_none(), "{}", clause.id);
            }
        }
    }
}

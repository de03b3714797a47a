//! Checks what `app_store` printed, given its lines on standard input, and prints what it finds.
//!
//! 1. Opens the store, which recovers it. That must succeed.
//! 2. A key has the value of its last change that was printed as done, or of one that was tried
//!    after it, whatever that was told; and so with deletions. There is no other key.
//! 3. Ends with 0, or with 1 and a message.

use crashproof_guests as guest;
use crashproof_guests::stores;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// A change that was tried.
struct Tried {
    number: u64,
    key: u64,
    deletes: bool,
}

fn tried(line: &str) -> Option<Tried> {
    let mut words = line.strip_prefix("trying ")?.split(' ');
    let deletes = words.next()? == "delete";
    Some(Tried { deletes, number: words.next()?.parse().ok()?, key: words.next()?.parse().ok()? })
}

/// What each key may hold: numbers of changes, none for a key that may not be there.
fn allowed(lines: &[String]) -> BTreeMap<u64, BTreeSet<Option<u64>>> {
    let tried: Vec<Tried> = lines.iter().filter_map(|line| tried(line)).collect();
    let done: BTreeSet<u64> =
        lines.iter().filter_map(|line| line.strip_prefix("done ")?.parse().ok()).collect();
    let mut allowed = BTreeMap::new();
    for change in &tried {
        let may: &mut BTreeSet<_> =
            allowed.entry(change.key).or_insert_with(|| BTreeSet::from([None]));
        if done.contains(&change.number) {
            may.clear();
        }
        may.insert((!change.deletes).then_some(change.number));
    }
    allowed
}

fn verify(lines: &[String]) -> Result<(), String> {
    let Some(name) = lines.iter().find_map(|line| line.strip_prefix("store ")) else {
        return Ok(());
    };
    let mut store = stores::open(name).map_err(|error| format!("opening: {error}"))?;
    let mut rows = store.rows().map_err(|error| format!("reading: {error}"))?;
    let newest = lines.len() as u64;
    for (key, may) in allowed(lines) {
        let found = rows.remove(stores::key(key).as_slice());
        let version = match &found {
            None => None,
            Some(value) => match stores::version(key, value, newest) {
                None => return Err(format!("key {key} has bytes that were never put")),
                version => version,
            },
        };
        let shown = |version: Option<u64>| version.map_or("nothing".to_owned(), |v| v.to_string());
        println!("key {key}: {}", shown(version));
        if !may.contains(&version) {
            let may: Vec<String> = may.into_iter().map(shown).collect();
            let may = may.join(" or ");
            return Err(format!("key {key} has {} and should have {may}", shown(version)));
        }
    }
    match rows.len() {
        0 => Ok(()),
        count => Err(format!("{count} keys were never put")),
    }
}

fn main() {
    if let Err(wrong) = verify(&guest::acknowledged_lines()) {
        guest::give_up("verify_store", &wrong);
    }
}

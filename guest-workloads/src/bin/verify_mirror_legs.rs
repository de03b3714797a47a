//! Reads every file from the first leg of a mirror, then from the next one.
//!
//! Whatever a read finds after a crash has to be there from the other leg as well, since nobody
//! wrote in between. Exit code 1 if it is not. [RED-05, RSTAB-01]

use crashproof_guest::machine;
use crashproof_guests as guest;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

fn read_leg(name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = Vec::new();
    match guest::read_below(Path::new("/"), &mut found) {
        Ok(()) => found.into_iter().collect(),
        Err(error) => guest::give_up(name, &error),
    }
}

fn main() {
    let first = read_leg("read the first leg");
    let lost = machine::drop_caches().and_then(|()| machine::fault("lose-leg:0"));
    if let Err(error) = lost {
        guest::give_up("lose the first leg", &error);
    }
    let second = read_leg("read the second leg");
    if let Some((path, _)) = first.iter().find(|(path, bytes)| second.get(*path) != Some(bytes)) {
        guest::give_up("read both legs", &format!("{} differs", path.display()));
    }
}

//! Ctrl-C: what is unfinished goes, what is finished stays whole.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::cli::exit;

/// Files that are being written, under the names that they have meanwhile.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// From now on Ctrl-C removes unfinished files and ends the program.
pub(super) fn handle() {
    // Without a handler the program ends as well; a hidden file may stay behind.
    ctrlc::set_handler(end).unwrap_or_default();
}

fn end() {
    let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    for path in unfinished.iter() {
        // What is not there any more has got its name: it is whole.
        std::fs::remove_file(path).unwrap_or_default();
    }
    eprintln!("crashproof: interrupted; no file was left half written");
    std::process::exit(i32::from(exit::INTERRUPTED));
}

/// A file is being written under this name.
pub(super) fn begun(path: &Path) {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
}

/// It has got its name, or is gone.
pub(super) fn ended(path: &Path) {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
}

//! `crashproof defects`.

use crate::cli::exit;
use crate::subject::DEFECTS;

/// Lists the defects that `--defect` knows.
pub(super) fn list() -> u8 {
    for defect in DEFECTS {
        println!("{}", defect.name);
        println!("  {}", defect.mechanism);
        println!("  caught by {}  ({})", defect.clauses.join(" or "), defect.source);
    }
    exit::ACCEPTED
}

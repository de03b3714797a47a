//! `crashproof defects`.

use crate::cli::exit;
use crate::subject::DEFECTS;

/// Lists the defects that `--defect` knows.
pub(super) fn list() -> u8 {
    for defect in DEFECTS {
        println!("{}", defect.name);
        println!("  {}", defect.mechanism);
        println!("  needs {}", defect.needs);
        println!("  caught by {}  ({})", defect.clauses.join(" or "), defect.source);
        if !defect.audit.is_empty() {
            println!("  audits may say {}", defect.audit.join(" or "));
        }
        println!("  silent in {}", defect.silent);
    }
    exit::ACCEPTED
}

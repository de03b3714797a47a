//! `crashproof guests`.

use crate::cli::exit;
use crate::guests;

/// Lists the built-in guests.
pub(super) fn list() -> u8 {
    let width = guests::all().iter().map(|guest| guest.name.len()).max().unwrap_or_default();
    for guest in guests::all() {
        println!("{:<width$}  {}", guest.name, guest.summary);
        if let Some(verifier) = guest.verifier {
            println!("{:<width$}  verified by {verifier}", "");
        }
    }
    exit::ACCEPTED
}

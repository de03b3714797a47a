//! Demands more than `crash_append_log` promised, given its lines on standard input.
//!
//! 1. Each record named by `wrote I` is demanded, though it was written and not yet synced.
//! 2. So some crash states fail it, and the finding is against the guest: the file system kept
//!    its promises, and this demand was covered by none of them. [DUR-FSYNC-01]

use crashproof_guests as guest;
use crashproof_guests::log;

fn main() {
    log::demand(&guest::numbers_after("wrote "));
}

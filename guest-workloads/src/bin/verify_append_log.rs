//! Checks what `crash_append_log` promised, given its lines on standard input.
//!
//! 1. Each record named by a line `record I` is whole in `log`.
//! 2. `wrote I` promises nothing, and bytes after the last promised record may be anything.

use crashproof_guests as guest;
use crashproof_guests::log;

fn main() {
    log::demand(&guest::numbers_after("record "));
}

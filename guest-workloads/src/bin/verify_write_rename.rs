//! Checks what `crash_write_rename` acknowledged, given its lines on standard input.
//!
//! 1. With no line, nothing is demanded.
//! 2. After `new is durable`, `f` is "new".
//! 3. After `old is durable` alone, `f` is "old" or "new"; once `replacing with unsynced data`
//!    was printed, `f` need only be there.

use crashproof_guests as guest;

fn main() {
    let lines = guest::acknowledged_lines();
    let said = |words: &str| lines.iter().any(|line| line == words);
    if !said("old is durable") {
        return;
    }
    let content = match std::fs::read("f") {
        Ok(content) => content,
        Err(error) => guest::give_up("reading f", &error),
    };
    let good = match (said("new is durable"), said("replacing with unsynced data")) {
        (true, _) => content == b"new",
        (false, true) => true,
        (false, false) => content == b"old" || content == b"new",
    };
    if !good {
        let found = String::from_utf8_lossy(&content).into_owned();
        guest::give_up("verify_write_rename", &format!("f holds {found:?}"));
    }
}

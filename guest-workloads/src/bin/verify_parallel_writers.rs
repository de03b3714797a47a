//! Checks that the files of `seed_002_parallel_writers` hold nothing but what their own writers
//! wrote.

use crashproof_guests as guest;
use crashproof_guests::tagged;
use crashproof_guests::tagged::BLOCK_SIZE_BYTES;
use std::collections::BTreeSet;
use std::io;

fn main() {
    let lines = guest::acknowledged_lines();
    let writers: BTreeSet<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("synced ")).collect();
    for writer in writers {
        let name = tagged::name(writer);
        match std::fs::read(&name) {
            Ok(bytes)
                if bytes.chunks(BLOCK_SIZE_BYTES).all(|block| tagged::is_of(block, writer)) => {}
            Ok(_) => guest::give_up(&name, &"a block is not its own"),
            // It may have been about to begin it anew.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => guest::give_up(&name, &error),
        }
    }
}

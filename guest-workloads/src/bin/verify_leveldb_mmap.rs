//! Checks what `seed_000_leveldb_mmap` acknowledged, given its lines on standard input.
//!
//! 1. `draw N` says which records it was appending; without such a line nothing is demanded.
//! 2. After `synced BYTES` the first BYTES of `db` are those of the records, in order. What comes
//!    after them may be anything: the log was longer than what was in it.

use crashproof_guests as guest;
use crashproof_guests::draws::Draws;
use crashproof_guests::mapped_log;

fn main() {
    let lines = guest::acknowledged_lines();
    let Some(draw) = lines.iter().find_map(|line| line.strip_prefix("draw ")) else { return };
    let (seed, kind) = draw.split_once(' ').unwrap_or((draw, ""));
    let mut draws = Draws::new(seed.parse().unwrap_or(0));
    let number = |line: &String| line.strip_prefix("synced ")?.parse::<usize>().ok();
    let Some(demanded) = lines.iter().filter_map(number).max() else { return };
    let found = match std::fs::read(mapped_log::LOG_NAME) {
        Ok(found) => found,
        Err(error) => guest::give_up("reading the log", &error),
    };
    let mut expected = Vec::new();
    let mut turn = 0;
    while expected.len() < demanded {
        turn += 1;
        expected.extend(mapped_log::record(turn, kind == "random", &mut draws));
    }
    expected.truncate(demanded);
    let differs = expected.iter().zip(&found).position(|(one, other)| one != other);
    if let Some(place) = differs {
        guest::give_up("checking the log", &format!("byte {place} of {demanded} is another"));
    }
    if found.len() < demanded {
        let short = format!("{} of {demanded} synced bytes are there", found.len());
        guest::give_up("checking the log", &short);
    }
}

//! All operations on few names, and on mapped memory, in an order drawn from a seed, each compared
//! with a model of the program's own.
//!
//! 1. Arguments: seed (1), count (300), and `files`, `mapped`, `views`, `ranges`, `modes`,
//!    `in-place`, `owned`, `legs`, `scrubbed`, `room` or `filled` for a part alone, or `all`, which
//!    is without the last seven. The draws are its own, so that one seed is one program; `random`
//!    takes a seed of the system's random bytes.
//! 2. `files`: opens in every way, with and without names, reads, writes, offsets that descriptors
//!    share, truncates, times, both kinds of locks; renames, exchanges, links, symbolic links,
//!    directories, stats, lists; syncs of files and directories. Few names and small offsets make
//!    collisions common. [NS-*, DATA-*, TRUNC-*, LOCK-*, DUR-*]
//! 3. `views`: the same files through shared and private mappings whose pages are protected,
//!    replaced and unmapped; snapshots of everything, memory pressure, syncfs. [MAP-*, SNAP-*]
//! 4. `mapped`: one more file that nobody else uses, under stores, msync, truncation, snapshots,
//!    compression. `room`: the same, where room is set aside for it first. [MAP-*, DUR-MSYNC-01,
//!    SNAP-01, SNAP-04, RED-09]
//! 5. `modes`: permission bits of files and directories, and what they deny. [MODE-*]
//! 6. `in-place`: `files` that are written in place, and a little of them again and again; `owned`:
//!    also allocated, shared, mapped and written past the cache. [FALLOC-*, LIM-*] `legs`:
//!    `in-place`, while a leg of the mirror is lost and comes back; `scrubbed`: `files`, while
//!    every leg is looked at and repaired. [RED-*] `filled`: `files`, while a quarter of the device
//!    is filled and freed again. [LIM-05]
//! 7. `reverting` as the fourth argument is for file systems that forget what they could not write,
//!    so that earlier bytes come back, told or not: what is read is taken for true, and the oracle
//!    alone judges it. [ERR-*]
//! 8. At the end looks at everything once more. Prints each operation with what it was told. What
//!    no sync covered may be lost anywhere.
//!
//! A read, a stat, a list, a mapping or a snapshot that is not what the model says is a trap.

use crashproof_guests as guest;
use crashproof_guests::draws;
use crashproof_guests::exerciser::Exerciser;

fn main() {
    let seed = match std::env::args().nth(1).as_deref() {
        Some("random") => draws::random_seed(),
        _ => guest::number_argument(0, 1),
    };
    let count = guest::number_argument(1, 300);
    let what = std::env::args().nth(3).unwrap_or_default();
    let does_revert = std::env::args().nth(4).as_deref() == Some("reverting");
    let mut exerciser = Exerciser::new(seed, does_revert);
    println!("seed {seed}");
    println!("mkdir d: {}", guest::told(&exerciser.begin()));
    for turn in 1..=count {
        let (operation, answer) = exerciser.turn(&what);
        println!("{turn} {operation}: {}", guest::told(&answer));
    }
    println!("end: {}", guest::told(&exerciser.finish()));
}

//! A B-tree in a mapped file, after LMDB, as an embedded database: N transactions, each
//! acknowledged.
//!
//! 1. Creates the database under a name for unfinished files, syncs it, renames it, syncs the
//!    directory, and keeps its mapping. [DUR-RENAME-02, DUR-DIR-01, MAP-09]
//! 2. N times (first argument, 1000): inserts four rows and overwrites one, by stores and copies
//!    within the mapping; syncs the new pages by msync; stores a meta record over the older of
//!    two; syncs that; and prints `commit I`. What was printed must survive; the transaction after
//!    it may be there or not, but whole. [DUR-MSYNC-01, MAP-01]

use crashproof_guests as guest;
use crashproof_guests::btree;
use crashproof_guests::btree::writer::Database;
use std::io;

fn commits(count: u64) -> io::Result<()> {
    let mut database = Database::create(256 + count / 2)?;
    for transaction in 1..=count {
        for key in btree::keys(transaction) {
            database.insert(key, &btree::value(key, transaction))?;
        }
        let newest = btree::value(btree::NEWEST_KEY, transaction);
        database.insert(btree::NEWEST_KEY, &newest)?;
        println!("commit {}", database.commit()?);
    }
    Ok(())
}

fn main() {
    if let Err(error) = commits(guest::number_argument(0, 1000)) {
        guest::give_up("app_mapped_btree", &error);
    }
}

//! The redb crate, unmodified, as an embedded database: N transactions, each acknowledged.
//!
//! 1. Creates the database under a name for unfinished files, closes it (redb syncs it), renames
//!    it and syncs the directory: redb's creation is not atomic, so a program that wants to find
//!    either no database or a whole one creates it like this. Until then all may be lost.
//!    [DUR-RENAME-02, DUR-DIR-01]
//! 2. N times (first argument, 100): inserts five keys, overwrites one row, commits, and prints
//!    `commit I`. What was printed must survive; the transaction after it may be there or not, but
//!    whole. [DUR-FSYNC-01, DUR-FDS-01]

use crashproof_guests as guest;
use crashproof_guests::shelf;
use redb::Database;
use std::io;

fn create() -> Result<(), redb::Error> {
    match std::fs::remove_file(shelf::UNFINISHED_NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    drop(Database::create(shelf::UNFINISHED_NAME)?);
    std::fs::rename(shelf::UNFINISHED_NAME, shelf::DATABASE_NAME)?;
    guest::sync_directory_if_offered("/")?;
    Ok(())
}

fn commit(database: &Database, transaction: u64) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    {
        let mut items = writing.open_table(shelf::ITEMS)?;
        for key in shelf::keys(transaction) {
            items.insert(key, shelf::value(key).as_slice())?;
        }
        let mut newest = writing.open_table(shelf::NEWEST)?;
        newest.insert(shelf::NEWEST_ROW, transaction)?;
    }
    writing.commit()?;
    Ok(())
}

fn run(transactions: u64) -> Result<(), redb::Error> {
    if !std::fs::exists(shelf::DATABASE_NAME)? {
        create()?;
    }
    let database = Database::open(shelf::DATABASE_NAME)?;
    for transaction in 1..=transactions {
        commit(&database, transaction)?;
        println!("commit {transaction}");
    }
    Ok(())
}

fn main() {
    if let Err(error) = run(guest::number_argument(0, 100)) {
        guest::give_up("app_redb", &error);
    }
}

//! Checks what `app_redb` acknowledged, given its lines on standard input.
//!
//! 1. With no database: true if and only if no commit was printed.
//! 2. Opens the database, which repairs it as redb sees fit, and has redb check its integrity.
//! 3. Each transaction is there whole or not at all, the newest row names the last one, and none
//!    is missing before it.
//! 4. Each printed commit is there. Ends with 0, or with 1 and a message.

use crashproof_guests as guest;
use crashproof_guests::shelf;
use redb::Database;
use redb::ReadableDatabase;
use redb::ReadableTableMetadata;
use redb::TableError;

/// The number of the newest transaction, or what is wrong.
fn newest_whole(database: &Database) -> Result<Result<u64, String>, redb::Error> {
    let reading = database.begin_read()?;
    let newest = match reading.open_table(shelf::NEWEST) {
        Ok(table) => table.get(shelf::NEWEST_ROW)?.map_or(0, |row| row.value()),
        Err(TableError::TableDoesNotExist(_)) => return Ok(Ok(0)),
        Err(error) => return Err(error.into()),
    };
    let items = reading.open_table(shelf::ITEMS)?;
    for key in (1..=newest).flat_map(shelf::keys) {
        let Some(found) = items.get(key)? else {
            return Ok(Err(format!("key {key} is missing, though {newest} was committed")));
        };
        if found.value() != shelf::value(key) {
            return Ok(Err(format!("key {key} has a wrong value")));
        }
    }
    if items.len()? != newest * shelf::KEYS_PER_TRANSACTION {
        return Ok(Err(format!("there are keys of no commit up to {newest}")));
    }
    Ok(Ok(newest))
}

fn verify(acknowledged: u64) -> Result<Result<(), String>, redb::Error> {
    if !std::fs::exists(shelf::DATABASE_NAME)? {
        let missing = format!("commit {acknowledged} was printed, and there is no database");
        return Ok(if acknowledged == 0 { Ok(()) } else { Err(missing) });
    }
    let mut database = Database::open(shelf::DATABASE_NAME)?;
    if !database.check_integrity()? {
        return Ok(Err("the database failed redb's integrity check".to_owned()));
    }
    let newest = match newest_whole(&database)? {
        Ok(newest) => newest,
        Err(wrong) => return Ok(Err(wrong)),
    };
    if newest < acknowledged {
        let lost = format!("commit {acknowledged} was printed, and {newest} is the newest");
        return Ok(Err(lost));
    }
    Ok(Ok(()))
}

fn main() {
    let acknowledged = guest::numbers_after("commit ").into_iter().max().unwrap_or(0);
    match verify(acknowledged) {
        Ok(Ok(())) => {}
        Ok(Err(wrong)) => guest::give_up("verify_redb", &wrong),
        Err(error) => guest::give_up("verify_redb", &error),
    }
}

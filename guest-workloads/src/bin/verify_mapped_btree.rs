//! Checks what `app_mapped_btree` acknowledged, given its lines on standard input.
//!
//! 1. With no database: true if and only if no commit was printed.
//! 2. The newer whole meta record names a tree of which each page is what it should be.
//! 3. Each transaction up to the newest is there, whole, and nothing else.
//! 4. Each printed commit is there. Ends with 0, or with 1 and a message.

use crashproof_guests as guest;
use crashproof_guests::btree;
use crashproof_guests::btree::reader;
use std::fs::File;
use std::io;

fn verify(acknowledged: u64) -> io::Result<Result<(), String>> {
    let file = match File::open(btree::DATABASE_NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let missing = format!("commit {acknowledged} was printed, and there is no database");
            return Ok(if acknowledged == 0 { Ok(()) } else { Err(missing) });
        }
        opened => opened?,
    };
    let (meta, rows) = match reader::newest(&file)? {
        Ok(found) => found,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let newest = meta.transaction;
    let mut expected = reader::Rows::new();
    for transaction in 1..=newest {
        expected.extend(btree::keys(transaction).map(|key| (key, value(key, transaction))));
    }
    if newest > 0 {
        expected.insert(btree::NEWEST_KEY, value(btree::NEWEST_KEY, newest));
    }
    Ok(if rows != expected {
        Err(format!("the rows are not those of the first {newest} commits"))
    } else if newest < acknowledged {
        Err(format!("commit {acknowledged} was printed, and {newest} is the newest"))
    } else {
        Ok(())
    })
}

fn value(key: u64, transaction: u64) -> Vec<u8> {
    btree::value(key, transaction).to_vec()
}

fn main() {
    let acknowledged = guest::numbers_after("commit ").into_iter().max().unwrap_or(0);
    match verify(acknowledged) {
        Ok(Ok(())) => {}
        Ok(Err(wrong)) => guest::give_up("verify_mapped_btree", &wrong),
        Err(error) => guest::give_up("verify_mapped_btree", &error),
    }
}

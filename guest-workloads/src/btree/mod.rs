//! The database of `app_mapped_btree`: a copy-on-write B-tree in a mapped file, after LMDB.
//!
//! Pages 0 and 1 each hold a meta record; the valid one with the higher transaction names the tree.
//! A transaction copies each page that it changes, stores to the copies, syncs them, and only then
//! stores its meta record over the older of the two, and syncs that. What it freed is used again
//! from the transaction after the next on: until then the other meta record may need it.

pub mod page;
pub mod reader;
pub mod writer;

/// Name of the database, in the first preopened directory.
pub const DATABASE_NAME: &str = "mapped.btree";

/// Name under which it is created, before it is whole.
pub const UNFINISHED_NAME: &str = "mapped.btree.new";

/// Rows inserted by each transaction.
const ROWS_PER_TRANSACTION: u64 = 4;

/// Key of the row that each transaction overwrites with its number.
pub const NEWEST_KEY: u64 = 0;

/// The keys of transaction `transaction`, counted from 1: all over the tree.
pub fn keys(transaction: u64) -> impl Iterator<Item = u64> {
    let first = transaction * ROWS_PER_TRANSACTION;
    // Odd, so that no two keys are equal, and none but the key of 0 is 0.
    (first..first + ROWS_PER_TRANSACTION).map(|row| row.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// The value of `key`, as transaction `transaction` writes it.
#[must_use]
pub fn value(key: u64, transaction: u64) -> [u8; page::VALUE_SIZE_BYTES] {
    let text = format!("key {key:016x} of transaction {transaction:08} .................");
    let mut value = [b'.'; page::VALUE_SIZE_BYTES];
    for (place, byte) in value.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
    value
}

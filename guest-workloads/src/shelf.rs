//! The database of `app_redb` and `verify_redb`: which keys a transaction inserts.

use redb::TableDefinition;

/// Name of the database, in the first preopened directory.
pub const DATABASE_NAME: &str = "app.redb";

/// Name under which the database is created, before it is whole.
pub const UNFINISHED_NAME: &str = "app.redb.new";

/// Keys inserted by each transaction.
pub const KEYS_PER_TRANSACTION: u64 = 5;

/// What the transactions insert.
pub const ITEMS: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("items");

/// One row, overwritten by each transaction: the number of the newest.
pub const NEWEST: TableDefinition<'static, &'static str, u64> = TableDefinition::new("newest");

/// The only row of [`NEWEST`].
pub const NEWEST_ROW: &str = "transaction";

/// The keys of transaction `transaction`, counted from 1.
pub fn keys(transaction: u64) -> impl Iterator<Item = u64> {
    (0..KEYS_PER_TRANSACTION).map(move |item| transaction * KEYS_PER_TRANSACTION + item)
}

/// The value of `key`: 40 to 100 bytes that name the key.
#[must_use]
pub fn value(key: u64) -> Vec<u8> {
    let mut bytes = format!("item {key} ").into_bytes();
    let size_bytes = 40 + usize::try_from(key % 61).unwrap_or(0);
    while bytes.len() < size_bytes {
        bytes.push(b'a' + u8::try_from((key + bytes.len() as u64) % 26).unwrap_or(0));
    }
    bytes
}

//! Five small stores of keys and values, each of which uses storage as a real one does: the order
//! of its writes and syncs, what it believes after a restart, and what it does when a sync fails.
//!
//! | Name | Original | A failed sync |
//! |---|---|---|
//! | `log` | Redis 7, `appendfsync always` | ends the store |
//! | `log-everysec` | Redis 7, `appendfsync everysec` | ends the store, when it is told |
//! | `log-ignoring` | Redis 5.0.7, `appendfsync always` | is not looked at |
//! | `journal` | SQLite, `journal_mode=DELETE`, `synchronous=EXTRA` | rolls back by the journal |
//! | `wal` | SQLite, `journal_mode=WAL`, `synchronous=FULL` | the transaction is not taken up |
//! | `wal-panic` | PostgreSQL 12 | restarts the store, which replays its log |
//! | `wal-retry` | PostgreSQL 11.1 | of a checkpoint: is tried again, without writing again |
//! | `mapped` | LMDB: pages mapped, meta written | of data: aborts; of meta: takes it back, ends |
//! | `merge` | LevelDB 1.22 | ends the store |
//!
//! Sources: `src/aof.c` of Redis; "Atomic Commit In SQLite", "Write-Ahead Logging", `pager.c` and
//! `wal.c` of SQLite; commit 9ccdd7f66e33 ("PANIC on fsync() failure") of PostgreSQL;
//! `mdb_txn_commit` and `mdb_env_write_meta` of LMDB; `doc/impl.md`, `db_impl.cc` and
//! `version_set.cc` of LevelDB. What is left out: everything that makes them fast, all locks, and
//! every format. Nothing is copied from them.

pub mod frame;
pub mod store_journal;
pub mod store_log;
pub mod store_mapped;
pub mod store_merge;
pub mod store_wal;
pub mod table;

use std::collections::BTreeMap;
use std::io;

use crate::stores::store_journal::JournalStore;
use crate::stores::store_log::LogStore;
use crate::stores::store_log::SyncPolicy;
use crate::stores::store_mapped::MappedStore;
use crate::stores::store_merge::MergeStore;
use crate::stores::store_wal::OnFailure;
use crate::stores::store_wal::WalStore;

/// Size of a key.
pub const KEY_SIZE_BYTES: usize = 8;

/// Size of a value. The log takes longer ones.
pub const VALUE_SIZE_BYTES: usize = crate::btree::page::VALUE_SIZE_BYTES;

/// The names of the stores.
pub const NAMES: [&str; 9] = [
    "log",
    "log-everysec",
    "log-ignoring",
    "journal",
    "wal",
    "wal-panic",
    "wal-retry",
    "mapped",
    "merge",
];

/// Keys and values, as a reader finds them: a key may have been made of damage.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is changed: a key is given a value, or deleted.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The key.
    pub key: &'a [u8; KEY_SIZE_BYTES],
    /// Its new value; none deletes it.
    pub value: Option<&'a [u8]>,
}

/// A store. Opening one recovers what is there, or makes it ([`open`]).
pub trait Store {
    /// The value of a key.
    ///
    /// # Errors
    /// What the file system answered, or that the store cannot be read.
    fn get(&mut self, key: &[u8; KEY_SIZE_BYTES]) -> io::Result<Option<Vec<u8>>> {
        Ok(self.rows()?.remove(key.as_slice()))
    }

    /// Every key and value.
    ///
    /// # Errors
    /// As for [`Store::get`].
    fn rows(&mut self) -> io::Result<Rows>;

    /// Makes a change; on success it is durable, unless the store syncs later ([`Store::tidy`]).
    ///
    /// # Errors
    /// What the file system answered: the change is there or not, as the original has it.
    fn change(&mut self, change: Change<'_>) -> io::Result<()>;

    /// Gives a key a value.
    ///
    /// # Errors
    /// As for [`Store::change`].
    fn put(&mut self, key: &[u8; KEY_SIZE_BYTES], value: &[u8]) -> io::Result<()> {
        self.change(Change { key, value: Some(value) })
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// As for [`Store::change`].
    fn delete(&mut self, key: &[u8; KEY_SIZE_BYTES]) -> io::Result<()> {
        self.change(Change { key, value: None })
    }

    /// Does once what the original does by itself from time to time: a sync, a checkpoint, a new
    /// table.
    ///
    /// # Errors
    /// What the file system answered.
    fn tidy(&mut self) -> io::Result<()>;
}

/// Opens the store of this name in the first preopened directory.
///
/// # Errors
/// What the file system answered, that the store cannot be read, or that there is none of the name.
pub fn open(name: &str) -> io::Result<Box<dyn Store>> {
    Ok(match name {
        "log" => Box::new(LogStore::open(SyncPolicy::Always)?),
        "log-everysec" => Box::new(LogStore::open(SyncPolicy::EverySecond)?),
        "log-ignoring" => Box::new(LogStore::open(SyncPolicy::AlwaysIgnoring)?),
        "journal" => Box::new(JournalStore::open()?),
        "wal" => Box::new(WalStore::open(OnFailure::Forgets)?),
        "wal-panic" => Box::new(WalStore::open(OnFailure::Restarts)?),
        "wal-retry" => Box::new(WalStore::open(OnFailure::Retries)?),
        "mapped" => Box::new(MappedStore::open()?),
        "merge" => Box::new(MergeStore::open()?),
        _ => return Err(io::ErrorKind::Unsupported.into()),
    })
}

/// Key number `number`.
#[must_use]
pub fn key(number: u64) -> [u8; KEY_SIZE_BYTES] {
    let text = format!("key-{number:04}");
    text.as_bytes().first_chunk().copied().unwrap_or([b'?'; KEY_SIZE_BYTES])
}

/// The value of a key in its version `version`: no two are equal.
#[must_use]
pub fn value(number: u64, version: u64) -> Vec<u8> {
    let mut text = format!("value of key {number:04}, version {version:08} ").into_bytes();
    text.resize(VALUE_SIZE_BYTES, b'.');
    text
}

/// The version of which this is the value.
#[must_use]
pub fn version(number: u64, found: &[u8], newest: u64) -> Option<u64> {
    (1..=newest).find(|version| value(number, *version) == found)
}

/// A store that cannot be read.
pub(crate) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A store that takes no change any more, until it is opened again.
pub(crate) fn ended() -> io::Error {
    io::Error::other("the store has ended")
}

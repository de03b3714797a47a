//! A shadow-paged B-tree in a mapped file, after LMDB: `crate::btree`, with what LMDB does when a
//! sync fails.
//!
//! - A change: pages are copied and stored to; they are synced by msync; the meta record is written
//!   over the older of two through a descriptor whose writes are durable when they return.
//! - Opening: the newer whole meta record names the tree.
//! - A failed sync of pages aborts the change: its pages are stored to again by a later one.
//! - A failed write of the meta record: what was there is written back through another descriptor,
//!   since what a read finds now is not known; then the store has ended.

use std::fs::File;
use std::io;

use crate::abi;
use crate::btree;
use crate::btree::page;
use crate::btree::reader;
use crate::btree::writer::Database;
use crate::stores::Change;
use crate::stores::Rows;
use crate::stores::Store;
use crate::stores::VALUE_SIZE_BYTES;
use crate::stores::damaged;
use crate::stores::ended;

/// Pages of the file.
const CAPACITY: u64 = 256;

/// An open tree.
#[derive(Debug)]
pub struct MappedStore {
    file: File,
    /// Of the same file; a write through it is durable when it returns.
    durable: File,
    database: Database,
    has_ended: bool,
}

impl MappedStore {
    /// Opens the tree, or makes it.
    ///
    /// # Errors
    /// What the file system answered, or that it cannot be read.
    pub fn open() -> io::Result<Self> {
        if !std::fs::exists(btree::DATABASE_NAME)? {
            drop(Database::create(CAPACITY)?);
        }
        let file = File::options().read(true).write(true).open(btree::DATABASE_NAME)?;
        let durable = abi::open(btree::DATABASE_NAME, 0, abi::DATA_SYNC)?;
        let database = Database::open(&file, CAPACITY)?;
        let database = database.ok_or_else(|| damaged("neither meta record is whole"))?;
        Ok(Self { file, durable, database, has_ended: false })
    }

    fn write_meta(&mut self) -> io::Result<()> {
        let (meta, place) = self.database.next_meta();
        let mut was = [0; page::META_SIZE_BYTES];
        abi::read_full_at(&self.file, &mut was, place)?;
        let bytes = meta.encode().map(u64::to_le_bytes).concat();
        if let Err(error) = abi::write_all_at(&self.durable, &bytes, place) {
            let _ = abi::write_all_at(&self.file, &was, place);
            self.has_ended = true;
            return Err(error);
        }
        self.database.take_up();
        Ok(())
    }
}

impl Store for MappedStore {
    fn rows(&mut self) -> io::Result<Rows> {
        let (_, rows) = reader::newest(&self.file)?.map_err(|wrong| damaged(&wrong))?;
        Ok(rows.into_iter().map(|(key, value)| (key.to_le_bytes().to_vec(), value)).collect())
    }

    fn change(&mut self, change: Change<'_>) -> io::Result<()> {
        if self.has_ended {
            return Err(ended());
        }
        let key = u64::from_le_bytes(*change.key);
        match change.value {
            Some(value) => {
                let mut full = [0; VALUE_SIZE_BYTES];
                let place = full.get_mut(..value.len());
                place.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(value);
                self.database.insert(key, &full)?;
            }
            None => self.database.remove(key)?,
        }
        if let Err(error) = self.database.sync_pages() {
            self.database.abort();
            return Err(error);
        }
        self.write_meta()
    }

    fn tidy(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The meta record takes no more than the sector that LMDB counts on.
const _: () = assert!(page::META_SIZE_BYTES <= 512);

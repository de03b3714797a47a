//! A write-ahead log with checkpoints, after SQLite and after PostgreSQL: new versions of pages
//! go to the end of a log, and to their place when there is time.
//!
//! - A change: its pages are appended as records, each with a checksum over those before it, the
//!   last of which commits; the log is synced.
//! - A checkpoint ([`Store::tidy`]): the log is synced, the newest pages are written to their place
//!   and synced. The log begins anew with the next change: its head, with another salt, voids the
//!   old records, and is synced first.
//! - Opening: the records up to the last that commits are the newest pages.
//! - A failed sync of the log: see [`OnFailure`]. A failed checkpoint leaves the log as it is.
//! - Pages that were read or written are kept in memory, as both originals do.

use std::fs::File;
use std::io;

use crashproof_guest::file;

use crate::abi;
use crate::btree::page::number;
use crate::stores::Change;
use crate::stores::Rows;
use crate::stores::Store;
use crate::stores::ended;
use crate::stores::frame;
use crate::stores::table;
use crate::stores::table::Page;
use crate::stores::table::Pages;

const TABLE_NAME: &str = "logged.db";
const LOG_NAME: &str = "logged.db-wal";
const NUMBER_SIZE_BYTES: usize = size_of::<u64>();

/// The salt stands in a record of its own at the start of the log.
const HEAD_SALT: u64 = 0;
const RECORDS_AT: usize = frame::HEAD_SIZE_BYTES + NUMBER_SIZE_BYTES;

/// What a failed sync does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The change is not taken up; the next one is written over it (SQLite).
    Forgets,
    /// The store is opened again at once: its log is synced, whatever that answers, replayed, and a
    /// checkpoint is made (PostgreSQL: PANIC, the restart of its server, and crash recovery).
    Restarts,
    /// A change is not taken up. A checkpoint is tried again by the next one, which syncs what is
    /// unsynced and writes nothing that was written: to the store its pages are clean (PostgreSQL
    /// before it panicked: "fsyncgate", D-71). There the checkpointer is another process than the
    /// writers, and opens the file when it syncs, after writeback has begun; so it does here.
    Retries,
}

/// An open table with its log.
#[derive(Debug)]
pub struct WalStore {
    on_failure: OnFailure,
    files: Files,
    /// The newest pages, of which those in `logged` are not in their place.
    kept: Pages,
    logged: Pages,
    /// Those that no checkpoint has written.
    unwritten: Pages,
    salt: u64,
    /// Where the next record goes, and what salts it.
    end: u64,
    next: u64,
    has_ended: bool,
}

#[derive(Debug)]
struct Files {
    table: File,
    log: File,
}

impl WalStore {
    /// Opens the table and replays its log, or makes both.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn open(on_failure: OnFailure) -> io::Result<Self> {
        if !std::fs::exists(LOG_NAME)? {
            let log = crate::write_and_sync(LOG_NAME, &head(1))?;
            crate::sync_directory("/")?;
            abi::close(log)?;
        }
        if !std::fs::exists(TABLE_NAME)? {
            table::create(TABLE_NAME)?;
        }
        let open = |name| File::options().read(true).write(true).open(name);
        let files = Files { table: open(TABLE_NAME)?, log: open(LOG_NAME)? };
        let mut store = Self {
            on_failure,
            files,
            kept: Pages::new(),
            logged: Pages::new(),
            unwritten: Pages::new(),
            salt: 0,
            end: RECORDS_AT as u64,
            next: 0,
            has_ended: false,
        };
        if on_failure == OnFailure::Restarts {
            // What this answers goes to a log of messages, and nowhere else.
            let _ = store.files.log.sync_all();
            let _ = store.files.table.sync_all();
        }
        store.replay(&std::fs::read(LOG_NAME)?)?;
        if on_failure == OnFailure::Restarts && !store.logged.is_empty() {
            store.checkpoint()?;
        }
        Ok(store)
    }

    fn replay(&mut self, log: &[u8]) -> io::Result<()> {
        let Some(salt) = frame::unframe(HEAD_SALT, log) else {
            // The log was beginning anew: its pages are all in their place. No old record has the
            // salt that it is given now.
            self.begin_anew(frame::checksum(&[log]));
            return Ok(());
        };
        self.begin_anew(number(salt, 0));
        let (mut pages, mut end) = (Pages::new(), RECORDS_AT);
        let records = log.get(RECORDS_AT..).unwrap_or_default();
        for (record, next) in frame::unframe_chain(self.salt, records) {
            let (commits, page) = (number(record, 0) == 1, number(record, NUMBER_SIZE_BYTES));
            pages.insert(page, record[2 * NUMBER_SIZE_BYTES..].to_vec());
            end += frame::HEAD_SIZE_BYTES + record.len();
            if commits {
                self.logged.append(&mut pages);
                (self.end, self.next) = (end as u64, next);
            }
        }
        self.kept.clone_from(&self.logged);
        self.unwritten.clone_from(&self.logged);
        Ok(())
    }

    /// In memory: the next record makes it so in the file.
    fn begin_anew(&mut self, salt: u64) {
        self.logged.clear();
        self.unwritten.clear();
        (self.salt, self.next, self.end) = (salt, salt, RECORDS_AT as u64);
    }

    fn checkpoint(&mut self) -> io::Result<()> {
        self.files.log.sync_all()?;
        match self.on_failure {
            OnFailure::Forgets | OnFailure::Restarts => {
                table::write_pages(&self.files.table, &self.logged)?;
                self.files.table.sync_all()?;
            }
            OnFailure::Retries => {
                table::write_pages(&self.files.table, &std::mem::take(&mut self.unwritten))?;
                file::write_range_back(&self.files.table, 0, 0)?;
                File::options().read(true).write(true).open(TABLE_NAME)?.sync_all()?;
            }
        }
        self.begin_anew(self.salt.wrapping_add(1));
        Ok(())
    }

    /// Appends the pages, durable; says where the next record goes, and with which salt.
    fn append(&mut self, pages: &Pages) -> io::Result<(u64, u64)> {
        let log = &self.files.log;
        if self.end == RECORDS_AT as u64 {
            // Durable before a record is: by the old head, what is left of old records is a prefix
            // of them.
            abi::write_all_at(log, &head(self.salt), 0)?;
            log.sync_all()?;
        }
        let (mut bytes, mut next) = (Vec::new(), self.next);
        for (position, (page, content)) in pages.iter().enumerate() {
            let commits = u64::from(position + 1 == pages.len());
            let record = [&commits.to_le_bytes(), &page.to_le_bytes(), content.as_slice()].concat();
            bytes.extend(frame::frame(next, &record));
            next = frame::next_salt(next, &record);
        }
        abi::write_all_at(log, &bytes, self.end)?;
        log.sync_all()?;
        Ok((self.end + bytes.len() as u64, next))
    }

    /// What is to be done after a failure, and then the failure itself.
    fn failed(&mut self, error: io::Error) -> io::Error {
        match self.on_failure {
            OnFailure::Forgets | OnFailure::Retries => {}
            OnFailure::Restarts => match Self::open(self.on_failure) {
                Ok(store) => *self = store,
                Err(_) => self.has_ended = true,
            },
        }
        error
    }
}

impl Store for WalStore {
    fn rows(&mut self) -> io::Result<Rows> {
        if self.has_ended {
            return Err(ended());
        }
        let Self { files, kept, .. } = self;
        table::rows(|page| read_kept(&files.table, kept, page))
    }

    fn change(&mut self, change: Change<'_>) -> io::Result<()> {
        if self.has_ended {
            return Err(ended());
        }
        let Self { files, kept, .. } = self;
        let pages = table::changed(change, |page| read_kept(&files.table, kept, page))?;
        match self.append(&pages) {
            Ok(end) => {
                (self.end, self.next) = end;
                self.kept.extend(pages.clone());
                self.unwritten.extend(pages.clone());
                self.logged.extend(pages);
                Ok(())
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn tidy(&mut self) -> io::Result<()> {
        if self.has_ended {
            return Err(ended());
        }
        self.checkpoint().map_err(|error| self.failed(error))
    }
}

fn read_kept(table: &File, kept: &mut Pages, page: u64) -> io::Result<Page> {
    if let Some(bytes) = kept.get(&page) {
        return Ok(bytes.clone());
    }
    let bytes = table::read_page(table, page)?;
    kept.insert(page, bytes.clone());
    Ok(bytes)
}

fn head(salt: u64) -> Vec<u8> {
    frame::frame(HEAD_SALT, &salt.to_le_bytes())
}

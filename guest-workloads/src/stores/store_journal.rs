//! A rollback journal, after SQLite: pages are changed in their place, once what they were is
//! durable in a journal.
//!
//! - A change: the journal is made, with what the pages were; it is synced; its header is given
//!   the count of records, and it and its name are synced; the pages are written and synced; the
//!   journal is removed, which commits, and its directory synced (`synchronous=EXTRA`).
//! - Opening: a journal that is there is *hot*: the records that its header counts and that are
//!   whole are written back, the file is cut to the size it had and synced, the journal removed.
//! - A failed sync of the journal: the journal is removed, nothing was changed.
//! - A failed write or sync of the pages: the journal is played back. If that fails as well, the
//!   store has ended, and the journal stays for who opens it next.
//! - Pages that were read or written are kept in memory, as the original's page cache does, until a
//!   failure.

use std::fs::File;
use std::io;

use crate::abi;
use crate::btree::page::number;
use crate::stores::Change;
use crate::stores::Rows;
use crate::stores::Store;
use crate::stores::ended;
use crate::stores::frame;
use crate::stores::table;
use crate::stores::table::PAGE_SIZE_BYTES;
use crate::stores::table::Page;
use crate::stores::table::Pages;

const TABLE_NAME: &str = "journaled.db";
const JOURNAL_NAME: &str = "journaled.db-journal";

/// The header takes a page, so that writing it again touches no record.
const RECORDS_AT: usize = PAGE_SIZE_BYTES;
const NUMBER_SIZE_BYTES: usize = size_of::<u64>();
const RECORD_SIZE_BYTES: usize = frame::HEAD_SIZE_BYTES + NUMBER_SIZE_BYTES + PAGE_SIZE_BYTES;
const SALT: u64 = 0;

/// An open table.
#[derive(Debug)]
pub struct JournalStore {
    file: File,
    kept: Pages,
    has_ended: bool,
}

impl JournalStore {
    /// Opens the table, rolling back what a hot journal names, or makes it.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn open() -> io::Result<Self> {
        if !std::fs::exists(TABLE_NAME)? {
            table::create(TABLE_NAME)?;
        }
        let file = File::options().read(true).write(true).open(TABLE_NAME)?;
        if std::fs::exists(JOURNAL_NAME)? {
            play_back(&file, &std::fs::read(JOURNAL_NAME)?)?;
            remove_journal()?;
        }
        Ok(Self { file, kept: Pages::new(), has_ended: false })
    }

    fn page(&mut self, page: u64) -> io::Result<Page> {
        read_kept(&self.file, &mut self.kept, page)
    }

    /// Makes the journal of what the pages were, durable.
    fn write_journal(&mut self, pages: &Pages) -> io::Result<File> {
        let page_count = self.file.metadata()?.len() / PAGE_SIZE_BYTES as u64;
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let journal = options.open(JOURNAL_NAME)?;
        let mut bytes = header(0, page_count);
        bytes.resize(RECORDS_AT, 0);
        let mut count = 0;
        for page in pages.keys().copied().filter(|page| *page < page_count) {
            let was = self.page(page)?;
            bytes.extend(frame::frame(SALT, &[&page.to_le_bytes(), was.as_slice()].concat()));
            count += 1;
        }
        abi::write_all_at(&journal, &bytes, 0)?;
        journal.sync_all()?;
        abi::write_all_at(&journal, &header(count, page_count), 0)?;
        journal.sync_all()?;
        crate::sync_directory("/")?;
        Ok(journal)
    }

    fn write_table(&self, pages: &Pages) -> io::Result<()> {
        table::write_pages(&self.file, pages)?;
        self.file.sync_all()
    }
}

impl Store for JournalStore {
    fn rows(&mut self) -> io::Result<Rows> {
        let Self { file, kept, .. } = self;
        table::rows(|page| read_kept(file, kept, page))
    }

    fn change(&mut self, change: Change<'_>) -> io::Result<()> {
        if self.has_ended {
            return Err(ended());
        }
        let Self { file, kept, .. } = self;
        let pages = table::changed(change, |page| read_kept(file, kept, page))?;
        let journal = match self.write_journal(&pages) {
            Ok(journal) => journal,
            Err(error) => {
                self.kept.clear();
                // The table is as it was: a journal that stays rolls nothing back.
                let _ = std::fs::remove_file(JOURNAL_NAME);
                return Err(error);
            }
        };
        if let Err(error) = self.write_table(&pages) {
            self.kept.clear();
            let undone = read_whole(&journal).and_then(|bytes| play_back(&self.file, &bytes));
            self.has_ended = undone.and_then(|()| remove_journal()).is_err();
            return Err(error);
        }
        self.kept.extend(pages);
        if let Err(error) = remove_journal() {
            self.has_ended = true;
            return Err(error);
        }
        Ok(())
    }

    fn tidy(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read_kept(file: &File, kept: &mut Pages, page: u64) -> io::Result<Page> {
    if let Some(bytes) = kept.get(&page) {
        return Ok(bytes.clone());
    }
    let bytes = table::read_page(file, page)?;
    kept.insert(page, bytes.clone());
    Ok(bytes)
}

fn read_whole(file: &File) -> io::Result<Vec<u8>> {
    let size_bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; size_bytes];
    abi::read_full_at(file, &mut bytes, 0)?;
    Ok(bytes)
}

fn remove_journal() -> io::Result<()> {
    std::fs::remove_file(JOURNAL_NAME)?;
    crate::sync_directory("/")
}

fn header(record_count: u64, page_count: u64) -> Vec<u8> {
    frame::frame(SALT, &[record_count.to_le_bytes(), page_count.to_le_bytes()].concat())
}

/// Writes back what the journal holds. One whose header is not whole was never needed.
fn play_back(file: &File, journal: &[u8]) -> io::Result<()> {
    let Some(head) = frame::unframe(SALT, journal) else { return Ok(()) };
    let (record_count, page_count) = (number(head, 0), number(head, NUMBER_SIZE_BYTES));
    if record_count == 0 {
        return Ok(());
    }
    let records = journal.get(RECORDS_AT..).unwrap_or_default();
    let mut pages = Pages::new();
    for place in records.chunks_exact(RECORD_SIZE_BYTES).take(record_count as usize) {
        let Some(content) = frame::unframe(SALT, place) else { break };
        pages.insert(number(content, 0), content[NUMBER_SIZE_BYTES..].to_vec());
    }
    table::write_pages(file, &pages)?;
    file.set_len(page_count * PAGE_SIZE_BYTES as u64)?;
    file.sync_all()
}

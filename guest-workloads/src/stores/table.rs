//! Keys and values in pages of one file, for the two stores after SQLite and the one after
//! PostgreSQL. They differ in how pages reach the file, and not in what a page holds.
//!
//! Page 0 is a header: a mark, and a counter of changes. Page 1 is the index: keys, and for each
//! the page of its value. Every other page holds one value. Nothing has a checksum, as in the
//! originals by default.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;

use crate::btree::page::number;
use crate::stores::Change;
use crate::stores::KEY_SIZE_BYTES;
use crate::stores::Rows;
use crate::stores::damaged;

/// Size of a page: that of a block.
pub const PAGE_SIZE_BYTES: usize = 4096;

/// A page.
pub type Page = Vec<u8>;

/// Pages by their number.
pub type Pages = BTreeMap<u64, Page>;

const MARK: &[u8; 8] = b"page tab";
const COUNTER_AT: usize = MARK.len();
const NUMBER_SIZE_BYTES: usize = size_of::<u64>();

const HEADER_PAGE: u64 = 0;
const INDEX_PAGE: u64 = 1;
const FIRST_VALUE_PAGE: u64 = 2;

const ENTRY_SIZE_BYTES: usize = KEY_SIZE_BYTES + NUMBER_SIZE_BYTES;
const ENTRY_COUNT_MAX: usize = (PAGE_SIZE_BYTES - NUMBER_SIZE_BYTES) / ENTRY_SIZE_BYTES;

/// The pages of a table without rows.
#[must_use]
pub fn empty() -> Pages {
    let mut header = MARK.to_vec();
    header.extend(0_u64.to_le_bytes());
    Pages::from([
        (HEADER_PAGE, filled(header, 0)),
        (INDEX_PAGE, filled(0_u64.to_le_bytes().to_vec(), 0)),
    ])
}

/// The keys and values. `page` reads a page: zeros beyond the end.
///
/// # Errors
/// What reading answered, or that a page cannot be one of a table.
pub fn rows(mut page: impl FnMut(u64) -> io::Result<Page>) -> io::Result<Rows> {
    is_table(&page(HEADER_PAGE)?)?;
    let mut rows = Rows::new();
    for (key, at) in index(&page(INDEX_PAGE)?)? {
        let value = page(at)?;
        let size_bytes = usize::try_from(number(&value, 0)).unwrap_or(usize::MAX);
        let value = value.get(NUMBER_SIZE_BYTES..).and_then(|rest| rest.get(..size_bytes));
        rows.insert(key, value.ok_or_else(|| damaged("no value is that long"))?.to_vec());
    }
    Ok(rows)
}

/// The pages that a change makes anew, of those that `page` reads.
///
/// # Errors
/// As for [`rows`], or that there is no room.
pub fn changed(
    change: Change<'_>,
    mut page: impl FnMut(u64) -> io::Result<Page>,
) -> io::Result<Pages> {
    let mut header = page(HEADER_PAGE)?;
    is_table(&header)?;
    let counter = number(&header, COUNTER_AT) + 1;
    header[COUNTER_AT..COUNTER_AT + NUMBER_SIZE_BYTES].copy_from_slice(&counter.to_le_bytes());
    let mut pages = Pages::from([(HEADER_PAGE, header)]);
    let mut index = index(&page(INDEX_PAGE)?)?;
    let known = index.iter().find(|(key, _)| key == change.key).map(|(_, at)| *at);
    match (change.value, known) {
        (Some(value), Some(at)) => drop(pages.insert(at, value_page(value, counter))),
        (Some(value), None) => {
            let taken: BTreeSet<u64> = index.iter().map(|(_, at)| *at).collect();
            let free = (FIRST_VALUE_PAGE..).find(|at| !taken.contains(at));
            let at = free.ok_or_else(|| damaged("no page is free"))?;
            index.push((change.key.to_vec(), at));
            pages.insert(at, value_page(value, counter));
            pages.insert(INDEX_PAGE, index_page(&index, counter)?);
        }
        (None, Some(_)) => {
            index.retain(|(key, _)| key != change.key);
            pages.insert(INDEX_PAGE, index_page(&index, counter)?);
        }
        (None, None) => {}
    }
    Ok(pages)
}

fn is_table(header: &[u8]) -> io::Result<()> {
    if header.starts_with(MARK) { Ok(()) } else { Err(damaged("this is no table")) }
}

fn value_page(value: &[u8], counter: u64) -> Page {
    let mut page = (value.len() as u64).to_le_bytes().to_vec();
    page.extend(value);
    filled(page, counter)
}

/// A page that begins so. Its rest is neither zeros nor what it was before: a reader could not tell
/// those from a page that was lost.
fn filled(mut page: Page, counter: u64) -> Page {
    page.resize(PAGE_SIZE_BYTES, counter.to_le_bytes()[0] | 0x80);
    page
}

fn index(page: &[u8]) -> io::Result<Vec<(Vec<u8>, u64)>> {
    let count = usize::try_from(number(page, 0)).unwrap_or(usize::MAX);
    if count > ENTRY_COUNT_MAX {
        return Err(damaged("no index is that long"));
    }
    let entries = page[NUMBER_SIZE_BYTES..].chunks_exact(ENTRY_SIZE_BYTES).take(count);
    Ok(entries
        .map(|entry| (entry[..KEY_SIZE_BYTES].to_vec(), number(entry, KEY_SIZE_BYTES)))
        .collect())
}

fn index_page(index: &[(Vec<u8>, u64)], counter: u64) -> io::Result<Page> {
    if index.len() > ENTRY_COUNT_MAX {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let mut page = (index.len() as u64).to_le_bytes().to_vec();
    for (key, at) in index {
        page.extend(key);
        page.extend(at.to_le_bytes());
    }
    Ok(filled(page, counter))
}

/// Reads a page of a file: zeros beyond its end.
///
/// # Errors
/// What the file system answered.
pub fn read_page(file: &std::fs::File, page: u64) -> io::Result<Page> {
    let mut bytes = vec![0; PAGE_SIZE_BYTES];
    crate::abi::read_full_at(file, &mut bytes, offset(page))?;
    Ok(bytes)
}

/// Writes pages to a file, in their order.
///
/// # Errors
/// What the file system answered.
pub fn write_pages(file: &std::fs::File, pages: &Pages) -> io::Result<()> {
    for (page, bytes) in pages {
        crate::abi::write_all_at(file, bytes, offset(*page))?;
    }
    Ok(())
}

fn offset(page: u64) -> u64 {
    page.saturating_mul(PAGE_SIZE_BYTES as u64)
}

/// Makes a file of pages under `name`, and syncs it: found after a crash whole, or not at all.
///
/// # Errors
/// What the file system answered.
pub fn create(name: &str) -> io::Result<()> {
    let unfinished = format!("{name}.new");
    let mut options = std::fs::File::options();
    let file = options.read(true).write(true).create(true).truncate(true).open(&unfinished)?;
    write_pages(&file, &empty())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, name)?;
    crate::sync_directory("/")
}

//! The reader: it believes nothing, and reads by plain reads what the writer stored by mapping.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use crate::abi;
use crate::btree::page;
use crate::btree::page::COUNT_AT;
use crate::btree::page::ENTRIES_AT;
use crate::btree::page::KIND_AT;
use crate::btree::page::Meta;
use crate::btree::page::PAGE_SIZE_BYTES;

/// The rows of a tree.
pub type Rows = BTreeMap<u64, Vec<u8>>;

/// What was found: the newest whole meta record, and its rows; or what is wrong.
pub type Found = Result<(Meta, Rows), String>;

/// No tree of this program is higher.
const DEPTH_MAX: usize = 8;

/// Reads the newest tree of the database in `file`.
///
/// # Errors
/// What the file system answered.
pub fn newest(file: &File) -> io::Result<Found> {
    let mut metas = Vec::new();
    for page in 0..page::META_PAGE_COUNT {
        metas.extend(Meta::decode(&read(file, page)?));
    }
    let Some(meta) = metas.into_iter().max_by_key(|meta| meta.transaction) else {
        return Ok(Err("neither meta record is whole".to_owned()));
    };
    let mut walk = Walk { file, meta, rows: Rows::new(), seen: BTreeSet::new() };
    if meta.root != 0
        && let Err(wrong) = walk.page(meta.root, 0..u64::MAX, 0)?
    {
        return Ok(Err(wrong));
    }
    Ok(Ok((meta, walk.rows)))
}

struct Walk<'a> {
    file: &'a File,
    meta: Meta,
    rows: Rows,
    seen: BTreeSet<u64>,
}

impl Walk<'_> {
    fn page(
        &mut self,
        page: u64,
        keys: std::ops::Range<u64>,
        depth: usize,
    ) -> io::Result<Result<(), String>> {
        let is_inside = (page::META_PAGE_COUNT..self.meta.page_count).contains(&page);
        if !is_inside || depth > DEPTH_MAX || !self.seen.insert(page) {
            return Ok(Err(format!("page {page} cannot be a page of the tree")));
        }
        let bytes = read(self.file, page)?;
        let (kind, count) = (page::number(&bytes, KIND_AT), page::number(&bytes, COUNT_AT));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let is_known = kind == page::LEAF || kind == page::BRANCH;
        if !is_known || count > page::entry_count_max(kind) {
            return Ok(Err(format!("page {page} has kind {kind} and {count} entries")));
        }
        let entries: Vec<(u64, &[u8])> = bytes[ENTRIES_AT..]
            .chunks_exact(page::entry_size_bytes(kind))
            .take(count)
            .map(|entry| (page::number(entry, 0), &entry[size_of::<u64>()..]))
            .collect();
        for (position, &(key, rest)) in entries.iter().enumerate() {
            let end = entries.get(position + 1).map_or(keys.end, |next| next.0);
            if key < keys.start || key >= end {
                return Ok(Err(format!("page {page} has its keys in a wrong order")));
            }
            if kind == page::LEAF {
                self.rows.insert(key, rest.to_vec());
            } else if let Err(wrong) = self.page(page::number(rest, 0), key..end, depth + 1)? {
                return Ok(Err(wrong));
            }
        }
        Ok(Ok(()))
    }
}

/// A page; beyond the end of the file it is zero.
fn read(file: &File, page: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; PAGE_SIZE_BYTES];
    abi::read_full_at(file, &mut bytes, page.saturating_mul(PAGE_SIZE_BYTES as u64))?;
    Ok(bytes)
}

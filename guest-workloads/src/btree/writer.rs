//! The writer: everything it changes, it changes by stores to the mapping.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;

use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;

use crate::btree::DATABASE_NAME;
use crate::btree::UNFINISHED_NAME;
use crate::btree::page;
use crate::btree::page::COUNT_AT;
use crate::btree::page::ENTRIES_AT;
use crate::btree::page::KIND_AT;
use crate::btree::page::Meta;
use crate::btree::page::PAGE_SIZE_BYTES;

/// An open database.
#[derive(Debug)]
pub struct Database {
    mapping: Mapping,
    /// How many pages the file has.
    capacity: u64,
    meta: Meta,
    /// The newest record that was committed.
    committed: Meta,
    /// Pages that neither meta record needs.
    free: Vec<u64>,
    /// Pages that this transaction replaced.
    replaced: Vec<u64>,
    /// Pages that this transaction may store to.
    own: BTreeSet<u64>,
}

/// What an insertion did to a page: its copy, and its new right neighbour with its lowest key.
struct Inserted {
    page: u64,
    split: Option<(u64, u64)>,
}

impl Database {
    /// Creates a database of at most `capacity` pages: found after a crash whole, or not at all.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn create(capacity: u64) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(UNFINISHED_NAME)?;
        file.set_len(capacity * PAGE_SIZE_BYTES as u64)?;
        let size_bytes = at(capacity);
        let mapping = Mapping::shared(&file, 0, size_bytes, Access::READ_WRITE)?;
        let meta = Meta { transaction: 0, root: 0, page_count: page::META_PAGE_COUNT };
        let database = Self::of(mapping, capacity, meta);
        database.store_meta();
        file.sync_all()?;
        std::fs::rename(UNFINISHED_NAME, DATABASE_NAME)?;
        crate::sync_directory("/")?;
        Ok(database)
    }

    /// Opens a database of `capacity` pages in `file`. Pages that were free are not found again.
    ///
    /// # Errors
    /// What the file system answered; none, if neither meta record is whole.
    pub fn open(file: &File, capacity: u64) -> io::Result<Option<Self>> {
        let mapping = Mapping::shared(file, 0, at(capacity), Access::READ_WRITE)?;
        let metas = (0..page::META_PAGE_COUNT)
            .filter_map(|page| Meta::decode(&mapping.bytes(at(page), page::META_SIZE_BYTES)));
        let newest = metas.max_by_key(|meta| meta.transaction);
        Ok(newest.map(|meta| Self::of(mapping, capacity, meta)))
    }

    fn of(mapping: Mapping, capacity: u64, meta: Meta) -> Self {
        let (free, replaced, own) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { mapping, capacity, meta, committed: meta, free, replaced, own }
    }

    /// Inserts a row, or overwrites it.
    ///
    /// # Errors
    /// If there is no page left.
    pub fn insert(&mut self, key: u64, value: &[u8; page::VALUE_SIZE_BYTES]) -> io::Result<()> {
        if self.meta.root == 0 {
            self.meta.root = self.new_page(page::LEAF)?;
        }
        let inserted = self.insert_below(self.meta.root, key, value)?;
        self.meta.root = inserted.page;
        if let Some((right_key, right)) = inserted.split {
            let root = self.new_page(page::BRANCH)?;
            self.insert_entry(root, 0, 0, &inserted.page.to_le_bytes());
            self.insert_entry(root, 1, right_key, &right.to_le_bytes());
            self.meta.root = root;
        }
        Ok(())
    }

    /// Removes a row, if it is there. No page is given up for it.
    ///
    /// # Errors
    /// If there is no page left.
    pub fn remove(&mut self, key: u64) -> io::Result<()> {
        if self.meta.root != 0 {
            self.meta.root = self.remove_below(self.meta.root, key)?;
        }
        Ok(())
    }

    fn remove_below(&mut self, page: u64, key: u64) -> io::Result<u64> {
        let page = self.writable(page)?;
        let position = self.position(page, key);
        let count = self.count(page);
        let is_there = position < count && self.key(page, position) == key;
        if self.kind(page) == page::LEAF {
            if is_there {
                let (to, from) = (self.entry_at(page, position), self.entry_at(page, position + 1));
                self.mapping.copy_within(from, to, self.entry_at(page, count) - from);
                self.set_count(page, count - 1);
            }
            return Ok(page);
        }
        let child_position = if is_there { position } else { position.saturating_sub(1) };
        let child_at = self.entry_at(page, child_position) + size_of::<u64>();
        let child = self.remove_below(self.mapping.load_number(child_at), key)?;
        self.mapping.store_number(child_at, child);
        Ok(page)
    }

    /// Makes the rows inserted since the last commit durable, all at once.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn commit(&mut self) -> io::Result<u64> {
        self.sync_pages()?;
        self.meta.transaction += 1;
        let meta_at = self.store_meta();
        self.mapping.sync(meta_at, PAGE_SIZE_BYTES)?;
        Ok(self.committed())
    }

    /// Makes the pages durable that the transaction stored to: the first half of a commit.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn sync_pages(&self) -> io::Result<()> {
        let mut pages = self.own.iter().copied().peekable();
        while let Some(first) = pages.next() {
            let mut end = first + 1;
            while pages.next_if_eq(&end).is_some() {
                end += 1;
            }
            self.mapping.sync(at(first), at(end - first))?;
        }
        Ok(())
    }

    /// The meta record that commits the transaction, and where in the file it goes.
    #[must_use]
    pub fn next_meta(&self) -> (Meta, u64) {
        let transaction = self.meta.transaction + 1;
        let place = at(transaction % page::META_PAGE_COUNT) as u64;
        (Meta { transaction, ..self.meta }, place)
    }

    /// The meta record of [`Database::next_meta`] is durable: the second half of a commit.
    pub fn take_up(&mut self) -> u64 {
        self.meta = self.next_meta().0;
        self.committed()
    }

    fn committed(&mut self) -> u64 {
        self.committed = self.meta;
        self.free.append(&mut self.replaced);
        self.own.clear();
        self.meta.transaction
    }

    /// Takes back what was inserted and removed since the last commit.
    pub fn abort(&mut self) {
        let page_count = self.committed.page_count;
        self.free.extend(self.own.iter().filter(|page| **page < page_count));
        self.replaced.clear();
        self.own.clear();
        self.meta = self.committed;
    }

    /// Stores the meta record to its page; says where that begins.
    fn store_meta(&self) -> usize {
        let page_at = at(self.meta.transaction % page::META_PAGE_COUNT);
        for (index, field) in self.meta.encode().into_iter().enumerate() {
            self.mapping.store_number(page_at + index * size_of::<u64>(), field);
        }
        page_at
    }

    fn insert_below(&mut self, page: u64, key: u64, value: &[u8]) -> io::Result<Inserted> {
        let page = self.writable(page)?;
        let position = self.position(page, key);
        if self.kind(page) == page::LEAF {
            if position < self.count(page) && self.key(page, position) == key {
                self.mapping.store(self.entry_at(page, position) + size_of::<u64>(), value);
                return Ok(Inserted { page, split: None });
            }
            return self.insert_or_split(page, position, key, value);
        }
        // The child whose keys begin at or below: the first one's begin at 0.
        let has_own_entry = position < self.count(page) && self.key(page, position) == key;
        let child_position = if has_own_entry { position } else { position.saturating_sub(1) };
        let child_at = self.entry_at(page, child_position) + size_of::<u64>();
        let inserted = self.insert_below(self.mapping.load_number(child_at), key, value)?;
        self.mapping.store_number(child_at, inserted.page);
        match inserted.split {
            None => Ok(Inserted { page, split: None }),
            Some((right_key, right)) => {
                self.insert_or_split(page, child_position + 1, right_key, &right.to_le_bytes())
            }
        }
    }

    fn insert_or_split(
        &mut self,
        page: u64,
        position: usize,
        key: u64,
        rest: &[u8],
    ) -> io::Result<Inserted> {
        let kind = self.kind(page);
        let count = self.count(page);
        if count < page::entry_count_max(kind) {
            self.insert_entry(page, position, key, rest);
            return Ok(Inserted { page, split: None });
        }
        let right = self.new_page(kind)?;
        let half = count / 2;
        let moved = (count - half) * page::entry_size_bytes(kind);
        self.mapping.copy_within(self.entry_at(page, half), self.entry_at(right, 0), moved);
        self.set_count(right, count - half);
        self.set_count(page, half);
        if position <= half {
            self.insert_entry(page, position, key, rest);
        } else {
            self.insert_entry(right, position - half, key, rest);
        }
        Ok(Inserted { page, split: Some((self.key(right, 0), right)) })
    }

    /// Moves the entries from `position` on up, and stores one there. There is room.
    fn insert_entry(&self, page: u64, position: usize, key: u64, rest: &[u8]) {
        let count = self.count(page);
        let entry_at = self.entry_at(page, position);
        let size_bytes = page::entry_size_bytes(self.kind(page));
        self.mapping.copy_within(entry_at, entry_at + size_bytes, (count - position) * size_bytes);
        self.mapping.store_number(entry_at, key);
        self.mapping.store(entry_at + size_of::<u64>(), rest);
        self.set_count(page, count + 1);
    }

    /// The first position whose key is not below `key`.
    fn position(&self, page: u64, key: u64) -> usize {
        let (mut low, mut high) = (0, self.count(page));
        while low < high {
            let middle = low.midpoint(high);
            if self.key(page, middle) < key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The page itself, if this transaction made it, or a copy.
    fn writable(&mut self, page: u64) -> io::Result<u64> {
        if self.own.contains(&page) {
            return Ok(page);
        }
        let kind = self.kind(page);
        let copy = self.new_page(kind)?;
        let size_bytes = self.count(page) * page::entry_size_bytes(kind);
        self.mapping.copy_within(self.entry_at(page, 0), self.entry_at(copy, 0), size_bytes);
        self.set_count(copy, self.count(page));
        self.replaced.push(page);
        Ok(copy)
    }

    /// An empty page.
    fn new_page(&mut self, kind: u64) -> io::Result<u64> {
        let page = match self.free.pop() {
            Some(page) => page,
            None if self.meta.page_count < self.capacity => {
                self.meta.page_count += 1;
                self.meta.page_count - 1
            }
            None => return Err(io::ErrorKind::StorageFull.into()),
        };
        self.own.insert(page);
        self.mapping.store_number(at(page) + KIND_AT, kind);
        self.set_count(page, 0);
        Ok(page)
    }

    fn kind(&self, page: u64) -> u64 {
        self.mapping.load_number(at(page) + KIND_AT)
    }

    fn count(&self, page: u64) -> usize {
        usize::try_from(self.mapping.load_number(at(page) + COUNT_AT)).unwrap_or(usize::MAX)
    }

    fn set_count(&self, page: u64, count: usize) {
        self.mapping.store_number(at(page) + COUNT_AT, count as u64);
    }

    fn key(&self, page: u64, position: usize) -> u64 {
        self.mapping.load_number(self.entry_at(page, position))
    }

    fn entry_at(&self, page: u64, position: usize) -> usize {
        at(page) + ENTRIES_AT + position * page::entry_size_bytes(self.kind(page))
    }
}

/// Where a page begins, or how many bytes so many pages have.
fn at(page: u64) -> usize {
    usize::try_from(page).unwrap_or(usize::MAX).saturating_mul(PAGE_SIZE_BYTES)
}

//! Mappings of files into processes' memory: what a page table keeps of them.
//!
//! For each page of a mapping there are two bits, as in a page table. `writable`: a store changes
//! the page at once, without a lock and without waiting. `dirty`: a store did, since the bits were
//! last folded into the page's own mark. A page without bits is one that was not touched.
//!
//! Invariant MP-1: where a mapping's bit says dirty, the page itself is dirty.
//!
//! A process's memory is a copy: what changes in a file is noted as stale in the mappings that
//! show it, until whoever runs the process asks.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;

use crate::cache::CachedFile;
use crate::cache::PageCache;
use crate::cache::Writer;
use crate::cache::pieces::Pieces;
use crate::cache::ranges::Ranges;
use crate::call::Access;
use crate::call::Errno;
use crate::call::MappingId;
use crate::call::ProcessId;
use crate::call::Sharing;
use crate::cow::CowError;

/// A mapping before it is made.
#[derive(Debug, Clone, Copy)]
pub struct NewMapping {
    /// Whose memory.
    pub owner: ProcessId,
    /// Which file; held by the caller while the mapping is.
    pub ino: u64,
    /// Where in the file it begins: a multiple of the page size.
    pub offset: u64,
    /// Its length.
    pub len: u64,
    /// What its process may do.
    pub access: Access,
    /// Whose the stores are.
    pub sharing: Sharing,
    /// The description that it is made through.
    pub by: Writer,
}

/// What a page table says of one page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PageBits {
    pub writable: bool,
    pub dirty: bool,
}

/// One mapping.
#[derive(Debug)]
pub(super) struct Mapping {
    pub owner: ProcessId,
    pub ino: u64,
    pub offset: u64,
    /// Where in the file it was, whole.
    hull: Range<u64>,
    pub sharing: Sharing,
    /// The description that it was made through.
    pub by: Writer,
    /// By offset in the mapping.
    pub pieces: Pieces,
    /// By page of the file.
    pub bits: BTreeMap<u64, PageBits>,
    /// Pages that a private mapping stored to, by page of the file.
    pub copies: BTreeMap<u64, Bytes>,
    /// Offsets in the file.
    pub stale: Ranges,
    /// Where loads were said to be barred from on; nothing if what may be done changed since.
    barred_from: Option<u64>,
}

impl Mapping {
    /// Where in the mapping a load raises a signal, if its file ends with that page.
    fn barred(&self, mapped_end: u64) -> Vec<Range<u64>> {
        let end = mapped_end.saturating_sub(self.offset);
        let mut barred = Ranges::default();
        for (piece, access) in self.pieces.iter() {
            let from = if may_load(access) { piece.start.max(end) } else { piece.start };
            if from < piece.end {
                barred.add(from..piece.end);
            }
        }
        barred.iter().collect()
    }

    /// Where in the file a range of the mapping is.
    pub(super) fn in_file(&self, range: &Range<u64>) -> Range<u64> {
        self.offset.saturating_add(range.start)..self.offset.saturating_add(range.end)
    }
}

/// Every mapping. Numbers are never used again.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    all: BTreeMap<MappingId, Mapping>,
    of_process: BTreeMap<ProcessId, BTreeSet<MappingId>>,
    next: u64,
}

impl Mappings {
    pub(super) fn get(&self, id: MappingId) -> Option<&Mapping> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: MappingId) -> Option<&mut Mapping> {
        self.all.get_mut(&id)
    }

    fn of(&self, process: ProcessId) -> impl Iterator<Item = MappingId> + '_ {
        self.of_process.get(&process).into_iter().flatten().copied()
    }

    /// Number of parts that a process's mappings are in.
    fn piece_count(&self, process: ProcessId) -> usize {
        self.of(process).filter_map(|id| self.get(id)).map(|mapping| mapping.pieces.len()).sum()
    }

    fn insert(&mut self, new: &NewMapping) -> MappingId {
        let id = MappingId(self.next);
        self.next += 1;
        let mut pieces = Pieces::default();
        pieces.set(0..new.len, Some(new.access));
        let mapping = Mapping {
            owner: new.owner,
            ino: new.ino,
            offset: new.offset,
            hull: new.offset..new.offset.saturating_add(new.len),
            sharing: new.sharing,
            by: new.by,
            pieces,
            bits: BTreeMap::new(),
            copies: BTreeMap::new(),
            stale: Ranges::default(),
            barred_from: None,
        };
        self.all.insert(id, mapping);
        self.of_process.entry(new.owner).or_default().insert(id);
        id
    }

    fn remove(&mut self, id: MappingId) {
        let Some(mapping) = self.all.remove(&id) else { return };
        if let Some(of_process) = self.of_process.get_mut(&mapping.owner) {
            of_process.remove(&id);
            if of_process.is_empty() {
                self.of_process.remove(&mapping.owner);
            }
        }
    }

    /// The file's bytes in a range are others now; the mapping of `by` made it so.
    pub(super) fn changed(&mut self, ids: &[MappingId], range: &Range<u64>, by: Option<MappingId>) {
        for id in ids.iter().filter(|id| by != Some(**id)) {
            if let Some(mapping) = self.all.get_mut(id) {
                let hull = &mapping.hull;
                mapping.stale.add(range.start.max(hull.start)..range.end.min(hull.end));
            }
        }
    }

    /// Folds the dirty bits of a page and write-protects it everywhere. Was any of them set?
    pub(super) fn protect(&mut self, ids: &[MappingId], page_no: u64) -> bool {
        let mut was_dirty = false;
        for id in ids {
            if let Some(mapping) = self.all.get_mut(id) {
                let bits = mapping.bits.remove(&page_no).unwrap_or_default();
                was_dirty |= bits.dirty;
            }
        }
        was_dirty
    }

    /// Does any mapping's bit say that the page is dirty?
    pub(super) fn is_dirty(&self, ids: &[MappingId], page_no: u64) -> bool {
        let bits = |id: &MappingId| self.all.get(id)?.bits.get(&page_no);
        ids.iter().filter_map(bits).any(|bits| bits.dirty)
    }

    /// The pages from one on are no part of the file any more, nor are private copies of them.
    pub(super) fn cut(&mut self, ids: &[MappingId], first: u64) {
        for id in ids {
            if let Some(mapping) = self.all.get_mut(id) {
                mapping.bits.split_off(&first);
                mapping.copies.split_off(&first);
            }
        }
    }
}

impl PageCache {
    /// Size of a page.
    #[must_use]
    pub fn page_size_bytes(&self) -> u64 {
        self.page_size_bytes
    }

    /// Makes a mapping. It is stale wherever the file has data.
    pub async fn map(&self, new: NewMapping) -> Result<MappingId, CowError> {
        let range = new.offset..new.offset.saturating_add(new.len);
        let id = {
            let mut state = self.lock();
            state.file(new.ino)?;
            let id = state.mappings.insert(&new);
            state.file(new.ino)?.mappings.push(id);
            id
        };
        // What changes from now on is noted: now what is there is collected, at leisure.
        let page_size = self.page_size_bytes;
        let pages = range.start / page_size..range.end.div_ceil(page_size);
        let stored = self.cow.data_blocks(new.ino, pages.clone()).await;
        let mut state = self.lock();
        let file = state.file(new.ino)?;
        let mut cached = Ranges::default();
        let is_data = |bytes: &Bytes| bytes.as_ptr() != self.zero_page.as_ptr();
        for (page_no, page) in file.pages.range(pages) {
            if is_data(&page.bytes) {
                cached.add(page_no..page_no + 1);
            }
        }
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                drop(state);
                self.unmap(id, 0..new.len);
                return Err(error);
            }
        };
        if let Some(mapping) = state.mappings.get_mut(id) {
            for pages in stored.into_iter().chain(cached.iter()) {
                let bytes = pages.start * page_size..pages.end.saturating_mul(page_size);
                mapping.stale.add(bytes.start.max(range.start)..bytes.end.min(range.end));
            }
        }
        Ok(id)
    }

    /// Ends a part of a mapping. What was stored there stays in the file's pages. Answers the file
    /// if nothing is left of the mapping; it holds the file no more.
    pub fn unmap(&self, id: MappingId, range: Range<u64>) -> Option<u64> {
        let mut state = self.lock();
        let state = &mut *state;
        let mapping = state.mappings.get_mut(id)?;
        mapping.pieces.set(range.clone(), None);
        mapping.barred_from = None;
        let in_file = mapping.in_file(&range);
        mapping.stale.take(in_file.clone());
        let page_size = self.page_size_bytes;
        let pages = in_file.start / page_size..in_file.end.div_ceil(page_size);
        let gone: Vec<(u64, PageBits)> =
            mapping.bits.range(pages.clone()).map(|(page_no, bits)| (*page_no, *bits)).collect();
        for (page_no, _) in &gone {
            mapping.bits.remove(page_no);
        }
        let copies: Vec<u64> = mapping.copies.range(pages).map(|(page_no, _)| *page_no).collect();
        for page_no in copies {
            mapping.copies.remove(&page_no);
        }
        let (ino, is_gone) = (mapping.ino, mapping.pieces.is_empty());
        let file = state.files.get_mut(&ino);
        if let Some(file) = file {
            fold(file, gone);
            if is_gone {
                file.mappings.retain(|other| *other != id);
            }
        }
        if is_gone {
            state.mappings.remove(id);
            return Some(ino);
        }
        None
    }

    /// Ends every mapping of a process. Answers the mappings, and the file of each.
    pub fn unmap_all(&self, process: ProcessId) -> Vec<(MappingId, u64)> {
        let ids: Vec<MappingId> = self.lock().mappings.of(process).collect();
        let gone = |id| Some((id, self.unmap(id, 0..u64::MAX)?));
        ids.into_iter().filter_map(gone).collect()
    }

    /// Changes what the process may do in a part of a mapping.
    pub fn protect_mapping(
        &self,
        id: MappingId,
        range: Range<u64>,
        access: Access,
    ) -> Result<(), Errno> {
        let mut state = self.lock();
        let mapping = state.mappings.get_mut(id).ok_or(Errno::NoMemory)?;
        if !mapping.pieces.all(&range, |_| true) {
            return Err(Errno::NoMemory);
        }
        mapping.pieces.set(range.clone(), Some(access));
        mapping.barred_from = None;
        let in_file = mapping.in_file(&range);
        let page_size = self.page_size_bytes;
        let pages = in_file.start / page_size..in_file.end.div_ceil(page_size);
        for (_, bits) in mapping.bits.range_mut(pages) {
            bits.writable = false;
        }
        Ok(())
    }

    /// Where in its file a range of a mapping is, if all of it is mapped.
    #[must_use]
    pub fn mapped(&self, id: MappingId, range: &Range<u64>) -> Option<Range<u64>> {
        let state = self.lock();
        let mapping = state.mappings.get(id)?;
        mapping.pieces.all(range, |_| true).then(|| mapping.in_file(range))
    }

    /// Whose the stores of a mapping are.
    #[must_use]
    pub fn sharing(&self, id: MappingId) -> Option<Sharing> {
        self.lock().mappings.get(id).map(|mapping| mapping.sharing)
    }

    /// Number of parts that the mappings of a mapping's process would be in if a range of it had
    /// that access.
    #[must_use]
    pub fn splits(&self, id: MappingId, range: &Range<u64>, access: Option<Access>) -> usize {
        let state = self.lock();
        let Some(mapping) = state.mappings.get(id) else { return 0 };
        let mut pieces = mapping.pieces.clone();
        let before = pieces.len();
        pieces.set(range.clone(), access);
        if pieces.len() <= before {
            return 0; // Giving something back is never refused.
        }
        state.mappings.piece_count(mapping.owner) + pieces.len() - before - 1
    }

    /// Number of parts that a process's mappings are in.
    #[must_use]
    pub fn mapped_piece_count(&self, process: ProcessId) -> usize {
        self.lock().mappings.piece_count(process)
    }

    /// Where mappings of a process show other bytes than when this was asked last. What it may not
    /// read, and pages beyond the end of the file, are kept for later.
    pub fn take_stale(&self, process: ProcessId) -> Vec<(MappingId, Range<u64>)> {
        let mut state = self.lock();
        let state = &mut *state;
        let ids: Vec<MappingId> = state.mappings.of(process).collect();
        let mut taken = Vec::new();
        for id in ids {
            let Some(mapping) = state.mappings.get_mut(id) else { continue };
            if mapping.stale.is_empty() {
                continue;
            }
            let Some(file) = state.files.get(&mapping.ino) else { continue };
            let (start, end) = (mapping.offset, self.mapped_end(file));
            let readable = mapping.pieces.iter().filter(|(_, access)| may_load(*access));
            let pieces: Vec<_> = readable.map(|(piece, _)| mapping.in_file(&piece)).collect();
            for piece in pieces {
                let ranges = mapping.stale.take(piece.start..piece.end.min(end)).into_iter();
                taken.extend(ranges.map(|range| (id, range.start - start..range.end - start)));
            }
        }
        taken
    }

    /// Where in mappings of a process a load raises a signal, if that is not what it was when this
    /// was asked last: what it may not read, and pages beyond the end of the file.
    pub fn take_barred(&self, process: ProcessId) -> Option<Vec<(MappingId, Range<u64>)>> {
        let mut state = self.lock();
        let state = &mut *state;
        let end_of = |mapping: &Mapping| {
            let end = state.files.get(&mapping.ino).map_or(0, |file| self.mapped_end(file));
            // Beyond the mapping, the end may be anywhere.
            end.clamp(mapping.hull.start, mapping.hull.end)
        };
        let of = |id| state.mappings.get(id).map(|mapping| (mapping.barred_from, end_of(mapping)));
        if state.mappings.of(process).all(|id| of(id).is_none_or(|(told, end)| told == Some(end))) {
            return None;
        }
        let ends = state.mappings.of(process).filter_map(|id| Some((id, of(id)?.1)));
        let ends: Vec<_> = ends.collect();
        let mut all = Vec::new();
        for (id, end) in ends {
            if let Some(mapping) = state.mappings.get_mut(id) {
                mapping.barred_from = Some(end);
                all.extend(mapping.barred(end).into_iter().map(|range| (id, range)));
            }
        }
        Some(all)
    }

    /// The end of the last page that has a byte of the file.
    pub(super) fn mapped_end(&self, file: &CachedFile) -> u64 {
        file.size_bytes.div_ceil(self.page_size_bytes).saturating_mul(self.page_size_bytes)
    }
}

/// May it be loaded from? As on most machines, what may be written may be read.
pub(super) fn may_load(access: Access) -> bool {
    access.read || access.write
}

/// The dirty bits of pages that leave a mapping become the pages' own.
fn fold(file: &mut CachedFile, bits: Vec<(u64, PageBits)>) {
    for (page_no, _) in bits.into_iter().filter(|(_, bits)| bits.dirty) {
        if let Some(page) = file.pages.get_mut(page_no) {
            page.dirty = true;
        }
    }
}

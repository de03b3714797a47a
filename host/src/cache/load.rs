//! Loads from mapped memory.

use std::ops::Range;

use bytes::Bytes;
use bytes::BytesMut;

use crate::cache::PageCache;
use crate::cache::is_power_off;
use crate::cache::mappings::may_load;
use crate::call::MappingId;
use crate::call::Signal;
use crate::cow::CowError;

/// What came of an attempt to load.
enum Attempt {
    Done(Bytes),
    Signal(Signal),
    /// The load cannot go on before these pages of the file are in memory.
    Missing {
        ino: u64,
        pages: Vec<u64>,
    },
}

impl PageCache {
    /// Loads bytes from a mapping, as they are at one moment, the last before the answer; or
    /// answers the signal that is raised instead.
    pub async fn load_mapped(
        &self,
        id: MappingId,
        offset: u64,
        len: u64,
    ) -> Result<Result<Bytes, Signal>, CowError> {
        let range = offset..offset.saturating_add(len);
        let mut loaded_from = None;
        loop {
            let (ino, pages) = match self.try_load(id, &range) {
                Attempt::Done(bytes) => {
                    if let Some(ino) = loaded_from {
                        self.balance_after_change(ino).await?;
                    }
                    return Ok(Ok(bytes));
                }
                Attempt::Signal(signal) => return Ok(Err(signal)),
                Attempt::Missing { ino, pages } => (ino, pages),
            };
            loaded_from = Some(ino);
            for page_no in pages {
                match self.load(ino, page_no).await {
                    Ok(()) => {}
                    Err(error) if is_power_off(&error) => return Err(error),
                    Err(error) => return Ok(Err(self.bus_error(&error))),
                }
            }
        }
    }

    fn try_load(&self, id: MappingId, range: &Range<u64>) -> Attempt {
        let state = self.lock();
        let Some(mapping) = state.mappings.get(id) else { return Attempt::Signal(Signal::Segv) };
        if !mapping.pieces.all(range, may_load) {
            return Attempt::Signal(Signal::Segv);
        }
        let in_file = mapping.in_file(range);
        let Some(file) = state.files.get(&mapping.ino) else { return Attempt::Signal(Signal::Bus) };
        if in_file.end > self.mapped_end(file) {
            return Attempt::Signal(Signal::Bus);
        }
        let page_size = self.page_size_bytes;
        let bytes_of = |page_no: u64| {
            let page = || file.pages.get(page_no).map(|page| &page.bytes);
            mapping.copies.get(&page_no).or_else(page)
        };
        let pages = in_file.start / page_size..in_file.end.div_ceil(page_size);
        let missing: Vec<u64> = pages.clone().filter(|no| bytes_of(*no).is_none()).collect();
        if !missing.is_empty() {
            return Attempt::Missing { ino: mapping.ino, pages: missing };
        }
        let part = |page_no: u64| {
            let in_page = self.page_range(page_no);
            let start = in_file.start.max(in_page.start) - in_page.start;
            let end = in_file.end.min(in_page.end) - in_page.start;
            bytes_of(page_no).map(|bytes| bytes.slice(start as usize..end as usize))
        };
        if pages.end - pages.start == 1 {
            return Attempt::Done(part(pages.start).unwrap_or_default());
        }
        let mut bytes = BytesMut::with_capacity((range.end - range.start) as usize);
        pages.filter_map(part).for_each(|part| bytes.extend_from_slice(&part));
        Attempt::Done(bytes.freeze())
    }
}

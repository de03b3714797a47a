//! Reading through the cache.

use std::ops::Range;

use bytes::Bytes;
use bytes::BytesMut;

use crate::cache::CachedFile;
use crate::cache::PageCache;
use crate::cache::page::Page;
use crate::cow::CowError;

impl PageCache {
    /// Reads up to `len` bytes, as they are at one moment: the last before the answer.
    pub async fn read(&self, ino: u64, offset: u64, len: u64) -> Result<Bytes, CowError> {
        loop {
            let range = {
                let mut state = self.lock();
                let file = state.file(ino)?;
                let range = offset..offset.saturating_add(len).min(file.size_bytes);
                if range.is_empty() {
                    return Ok(Bytes::new());
                }
                match self.assemble(file, &range) {
                    Some(bytes) => return Ok(bytes),
                    None => range,
                }
            };
            // Meanwhile others may be evicted, or the file cut: it is looked at again.
            Box::pin(self.load_all(ino, &range)).await?;
        }
    }

    /// Brings those pages of a range into memory that are not there.
    async fn load_all(&self, ino: u64, range: &Range<u64>) -> Result<(), CowError> {
        let page_size = self.page_size_bytes;
        let mut pages = range.start / page_size..range.end.div_ceil(page_size);
        while !pages.is_empty() {
            let is_there = self.lock().file(ino)?.pages.contains(pages.start);
            pages.start = match is_there {
                true => pages.start + 1,
                false => self.load_some(ino, pages.clone()).await?,
            };
        }
        Ok(())
    }

    /// The bytes of a range that is not empty, if every page of it is in memory.
    fn assemble(&self, file: &CachedFile, range: &Range<u64>) -> Option<Bytes> {
        let page_size = self.page_size_bytes;
        let (first, last) = (range.start / page_size, (range.end - 1) / page_size);
        let part = |page_no: u64| {
            let in_page = self.page_range(page_no);
            let start = range.start.max(in_page.start) - in_page.start;
            let end = range.end.min(in_page.end) - in_page.start;
            let page = file.pages.get(page_no)?;
            Some(page.bytes.slice(start as usize..end as usize))
        };
        if first == last {
            return part(first);
        }
        let mut bytes = BytesMut::with_capacity((range.end - range.start) as usize);
        for page_no in first..=last {
            bytes.extend_from_slice(&part(page_no)?);
        }
        Some(bytes.freeze())
    }

    /// Brings a page into memory.
    pub(super) async fn load(&self, ino: u64, page_no: u64) -> Result<(), CowError> {
        self.load_some(ino, page_no..page_no + 1).await.map(drop)
    }

    /// Brings the first of some pages into memory, with those behind it that are read with it.
    /// Answers the first page behind them.
    async fn load_some(&self, ino: u64, pages: Range<u64>) -> Result<u64, CowError> {
        let first = pages.start;
        loop {
            let generation = {
                let mut state = self.lock();
                let file = state.file(ino)?;
                if file.pages.contains(first) {
                    return Ok(first + 1);
                }
                file.generation
            };
            let read = self.cow.read_blocks(ino, pages.clone()).await;
            let mut state = self.lock();
            let file = state.file(ino)?;
            if file.pages.contains(first) {
                return Ok(first + 1); // Somebody was faster, and may have stored to it since.
            }
            if file.generation != generation {
                continue; // What was read may be older than what is there now.
            }
            let valid_end =
                if file.is_tail_clean { file.size_bytes } else { file.stored_size_bytes };
            let (mut behind, mut added) = (first, 0);
            for bytes in read? {
                let start = self.page_range(behind).start;
                let keep = valid_end.saturating_sub(start).min(self.page_size_bytes);
                file.pages.get_or_insert_with(behind, || {
                    added += 1;
                    let mut page = Page::clean(bytes.unwrap_or_else(|| self.zero_page.clone()));
                    page.cut(keep as usize);
                    page
                });
                behind += 1;
            }
            state.page_count += added;
            return Ok(behind);
        }
    }
}

//! Pages that are written back together.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::cache::PageCache;
use crate::cache::Writer;
use crate::cache::page::Page;
use crate::call::CallId;
use crate::cow::Content;

/// A page under writeback.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) page_no: u64,
    pub(super) payload: Bytes,
    /// The file's size when the page was locked.
    pub(super) old_size_bytes: u64,
    /// The acknowledged bytes in it that no capture had before.
    pub(super) ranges: Vec<Range<u64>>,
    /// The last call that had taken effect when they were taken.
    pub(super) seen: Option<CallId>,
    /// Who had written them.
    pub(super) writers: BTreeSet<Writer>,
    pub(super) was_dirty: bool,
    pub(super) was_written: bool,
    pub(super) reserved: bool,
}

impl Captured {
    /// Gives a page back what was taken from it; keeps a block that it has no use for.
    pub(super) fn put_back(&mut self, page: &mut Page) {
        page.writeback = false;
        page.dirty |= std::mem::take(&mut self.was_dirty);
        page.written |= std::mem::take(&mut self.was_written);
        if !page.reserved {
            page.reserved = std::mem::take(&mut self.reserved);
        }
    }
}

/// Pages that are written back together. Those that are left when it is dropped, because the power
/// failed or the call was given up, are dirty again: nothing is forgotten.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pub(super) cache: &'a PageCache,
    pub(super) ino: u64,
    pub(super) pages: VecDeque<Captured>,
    /// What is handed down, and of how many of the pages each part is, in their order.
    pub(super) parts: Vec<(Content, usize)>,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for captured in self.pages.drain(..) {
            self.cache.restore_page(self.ino, captured);
        }
    }
}

//! The pages of a file in memory, and which of them may be other than the medium.
//!
//! A sync asks for what is dirty, and most of a large file is clean: it looks only at pages that
//! somebody could have changed since they were found clean.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::ops::RangeBounds;

use crate::cache::page::Page;

/// Pages by number.
#[derive(Debug, Default)]
pub(super) struct Pages {
    all: BTreeMap<u64, Page>,
    /// Every page that is not clean, and some that are.
    touched: BTreeSet<u64>,
}

impl Pages {
    pub(super) fn get(&self, page_no: u64) -> Option<&Page> {
        self.all.get(&page_no)
    }

    pub(super) fn contains(&self, page_no: u64) -> bool {
        self.all.contains_key(&page_no)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// A page, to be changed.
    pub(super) fn get_mut(&mut self, page_no: u64) -> Option<&mut Page> {
        let page = self.all.get_mut(&page_no)?;
        self.touched.insert(page_no);
        Some(page)
    }

    /// A page, to be changed; a new one where there is none.
    pub(super) fn get_or_insert_with(
        &mut self,
        page_no: u64,
        new: impl FnOnce() -> Page,
    ) -> &mut Page {
        self.touched.insert(page_no);
        self.all.entry(page_no).or_insert_with(new)
    }

    pub(super) fn remove(&mut self, page_no: u64) -> Option<Page> {
        self.touched.remove(&page_no);
        self.all.remove(&page_no)
    }

    pub(super) fn range(
        &self,
        pages: impl RangeBounds<u64>,
    ) -> impl DoubleEndedIterator<Item = (u64, &Page)> {
        self.all.range(pages).map(|(page_no, page)| (*page_no, page))
    }

    /// The numbers of all pages, in order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.all.keys().copied()
    }

    /// Pages that are dirty or under writeback, in order.
    pub(super) fn unclean(&self) -> impl Iterator<Item = (u64, &Page)> {
        let touched = self.touched.iter().filter_map(|page_no| self.all.get_key_value(page_no));
        touched.map(|(page_no, page)| (*page_no, page)).filter(|(_, page)| !page.is_clean())
    }

    /// The numbers of dirty pages in a range of which `is_chosen` holds.
    pub(super) fn choose(
        &mut self,
        pages: &Range<u64>,
        is_chosen: impl Fn(&Page) -> bool,
    ) -> Vec<u64> {
        let Self { all, touched } = self;
        touched.retain(|page_no| all.get(page_no).is_some_and(|page| !page.is_clean()));
        let unclean = self.unclean().filter(|(page_no, page)| {
            pages.contains(page_no) && page.is_dirty() && is_chosen(page)
        });
        unclean.map(|(page_no, _)| page_no).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_is_unclean_is_found_and_what_became_clean_is_not() {
        let mut pages = Pages::default();
        for page_no in 0..6 {
            pages.get_or_insert_with(page_no, || Page::clean(Bytes::from_static(b"page")));
        }
        let numbers =
            |pages: &Pages| pages.unclean().map(|(page_no, _)| page_no).collect::<Vec<_>>();
        assert_eq!(numbers(&pages), [0_u64; 0]);
        for page_no in [4, 1, 3] {
            pages.get_mut(page_no).expect("it is there").dirty = true;
        }
        pages.get_mut(5).expect("it is there").writeback = true;
        assert_eq!(numbers(&pages), [1, 3, 4, 5]);
        assert_eq!(pages.choose(&(2..9), |_| true), [3, 4]);
        pages.get_mut(3).expect("it is there").dirty = false;
        assert_eq!(pages.choose(&(0..9), |_| true), [1, 4]);
        pages.remove(1);
        assert_eq!(numbers(&pages), [4, 5]);
        pages.get_mut(3).expect("it is there").dirty = true;
        assert_eq!(pages.choose(&(0..9), |page| !page.written), [3, 4]);
    }
}

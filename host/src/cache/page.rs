//! One page of a file in memory.
//!
//! Invariant P-1: a clean page outside the lost set equals what `cow` would return.

use bytes::Bytes;
use bytes::BytesMut;

use crate::device::is_zero;

/// What a write changes in one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Where in the page.
    pub at: usize,
    /// The new bytes.
    pub bytes: Bytes,
}

/// A page. Its bytes are shared: a capture, a read and a guest's own buffer may point at them, so
/// they are replaced, never changed in place, unless nobody else holds them.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// Exactly one page of bytes. Those beyond the end of the file are zero, or what was stored
    /// there through a mapping; they never leave memory.
    pub bytes: Bytes,
    /// Does it hold bytes that are still to be written back?
    pub dirty: bool,
    /// Did a call change it since it was captured? A dirty page of which that is not so was stored
    /// to through a mapping alone.
    pub written: bool,
    /// Is writeback preparing it? Who would write to it waits; a mapped store does not.
    pub locked: bool,
    /// Are captured bytes of it under way to the device?
    pub writeback: bool,
    /// Is a block set aside for it?
    pub reserved: bool,
    /// Does it hold what the file has? Of one that does not, a write zeroes what it leaves out.
    pub uptodate: bool,
}

impl Page {
    pub(super) fn clean(bytes: Bytes) -> Self {
        Self {
            bytes,
            dirty: false,
            written: false,
            locked: false,
            writeback: false,
            reserved: false,
            uptodate: true,
        }
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Is it dirty by more than stores through a mapping?
    pub(super) fn is_written(&self) -> bool {
        self.dirty && self.written
    }

    /// Does the medium, as far as the page knows, hold the same?
    pub(super) fn is_clean(&self) -> bool {
        !self.dirty && !self.locked && !self.writeback
    }

    /// Applies a change. One that covers the page shares the caller's bytes.
    pub(super) fn apply(&mut self, change: &Change) {
        if change.bytes.len() == self.bytes.len() {
            self.bytes = change.bytes.clone();
            return;
        }
        let mut bytes = match std::mem::take(&mut self.bytes).try_into_mut() {
            Ok(unshared) => unshared,
            Err(shared) => BytesMut::from(&shared[..]),
        };
        bytes[change.at..change.at + change.bytes.len()].copy_from_slice(&change.bytes);
        self.bytes = bytes.freeze();
    }

    /// Makes every byte from `at` on zero; answers whether one was not.
    pub(super) fn cut(&mut self, at: usize) -> bool {
        let has_other = !is_zero(&self.bytes[at..]);
        if has_other {
            let zeros = Bytes::from(vec![0; self.bytes.len() - at]);
            self.apply(&Change { at, bytes: zeros });
        }
        has_other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_does_not_change_bytes_that_somebody_else_holds() {
        let held = Bytes::from_static(b"abcd");
        let mut page = Page::clean(held.clone());
        page.apply(&Change { at: 1, bytes: Bytes::from_static(b"XY") });
        assert_eq!(held, "abcd");
        assert_eq!(page.bytes, "aXYd");
        page.cut(2);
        assert_eq!(page.bytes, "aX\0\0");
    }

    #[test]
    fn a_write_of_a_whole_page_shares_its_bytes() {
        let data = Bytes::from(vec![7; 4]);
        let mut page = Page::clean(Bytes::from_static(b"abcd"));
        page.apply(&Change { at: 0, bytes: data.clone() });
        assert_eq!(page.bytes.as_ptr(), data.as_ptr());
    }
}

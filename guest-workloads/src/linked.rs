//! What `seed_003_go_linker_copy` writes and its verifier expects: files with few pages of data at
//! random places, each of which a number determines.

use crate::draws::Draws;

/// Stores cover whole pages.
pub const PAGE_SIZE_BYTES: usize = 4096;

/// The file of that number: how long it is, and which pages are stored with which byte.
#[derive(Debug)]
pub struct Output {
    /// In bytes; all that is not stored is a hole.
    pub size_bytes: usize,
    /// Page numbers, and the byte of which the page is full.
    pub pages: Vec<(usize, u8)>,
}

impl Output {
    /// The file of that number: every fourth one is large.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let mut draws = Draws::new(number);
        let size_bytes: usize = if number.is_multiple_of(4) { 4 << 20 } else { 64 << 10 };
        let count = 1 + draws.index(8);
        let mut page = || {
            let mark = b'a' + u8::try_from(draws.below(26)).unwrap_or(0);
            (draws.index(size_bytes / PAGE_SIZE_BYTES), mark)
        };
        Self { size_bytes, pages: (0..count).map(|_| page()).collect() }
    }

    /// All of its bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.size_bytes];
        for &(page, mark) in &self.pages {
            bytes[page * PAGE_SIZE_BYTES..][..PAGE_SIZE_BYTES].fill(mark);
        }
        bytes
    }
}

/// What it is called before it is copied.
#[must_use]
pub fn source_name(number: u64) -> String {
    format!("x{number}")
}

/// What the copy is called.
#[must_use]
pub fn copy_name(number: u64) -> String {
    format!("y{number}")
}

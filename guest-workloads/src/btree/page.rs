//! What a page holds. Numbers are little-endian; pages are numbered from the file's start.

/// Size of a page.
pub const PAGE_SIZE_BYTES: usize = crashproof_guest::mapping::PAGE_SIZE_BYTES;

/// Size of a value.
pub const VALUE_SIZE_BYTES: usize = 56;

/// The two pages of meta records come first.
pub const META_PAGE_COUNT: u64 = 2;

/// A page of keys and values.
pub const LEAF: u64 = 1;

/// A page of keys and pages: a child's keys are not below its key, and below the next.
pub const BRANCH: u64 = 2;

// The header: kind, count of entries. Entries follow.
/// Where a page says what it is.
pub const KIND_AT: usize = 0;
/// Where a page says how many entries it has.
pub const COUNT_AT: usize = KIND_AT + size_of::<u64>();
/// Where the first entry is: it begins with its key.
pub const ENTRIES_AT: usize = COUNT_AT + size_of::<u64>();

/// Size of an entry of a page of that kind.
#[must_use]
pub fn entry_size_bytes(kind: u64) -> usize {
    size_of::<u64>() + if kind == LEAF { VALUE_SIZE_BYTES } else { size_of::<u64>() }
}

/// How many entries a page of that kind has room for.
#[must_use]
pub fn entry_count_max(kind: u64) -> usize {
    (PAGE_SIZE_BYTES - ENTRIES_AT) / entry_size_bytes(kind)
}

/// The number at `at`, or 0 beyond the end.
#[must_use]
pub fn number(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field.copied().map_or(0, u64::from_le_bytes)
}

/// A meta record: five numbers, of which the last is the checksum of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Which transaction wrote it.
    pub transaction: u64,
    /// The page of the tree's root; 0 for a tree without rows.
    pub root: u64,
    /// No page from here on was ever used.
    pub page_count: u64,
}

/// Size of an encoded meta record.
pub const META_SIZE_BYTES: usize = 5 * size_of::<u64>();

const MAGIC: u64 = u64::from_le_bytes(*b"mapbtree");

impl Meta {
    /// The numbers, in their order.
    #[must_use]
    pub fn encode(self) -> [u64; 5] {
        let fields = [MAGIC, self.transaction, self.root, self.page_count];
        let mut encoded = [0; 5];
        encoded[..4].copy_from_slice(&fields);
        encoded[4] = checksum(&fields);
        encoded
    }

    /// The record in `bytes`, if it is whole.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let field = |index: usize| number(bytes, index * size_of::<u64>());
        let meta = Self { transaction: field(1), root: field(2), page_count: field(3) };
        let stored = [0, 1, 2, 3, 4].map(field);
        (meta.encode() == stored).then_some(meta)
    }
}

/// FNV-1a.
fn checksum(fields: &[u64]) -> u64 {
    let bytes = fields.iter().flat_map(|field| field.to_le_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

//! What programs do with mapped memory, and what POSIX does not have.

use arbitrary::Arbitrary;
use arbitrary::Unstructured;

use crate::call::Access;
use crate::call::Manage;
use crate::call::MappingId;
use crate::call::Memory;
use crate::call::Request;
use crate::call::Sharing;
use crate::check::program::Asked;
use crate::check::program::Mode;
use crate::check::program::Name;
use crate::check::program::Operation;
use crate::check::program::Slots;

/// Mappings that a program can have at once.
pub(super) const MAPPING_COUNT: usize = 3;

/// Places of stores from which on they are at the border of two pages.
const ACROSS_FROM: u8 = 160;

/// A page of memory: all that a program's files have.
const PAGE_BYTES: u64 = 4096;

/// One operation on mapped memory, or beyond POSIX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum MappedOperation {
    /// `mmap` of a slot's file into a mapping's slot; shared and writable mostly.
    Map(u8, u8, u8),
    /// A store to mapped memory of so many bytes.
    Store(u8, u8, u8),
    /// A load from mapped memory.
    Load(u8, u8, u8),
    /// `msync`; waiting mostly.
    SyncMapping(u8, u8),
    /// `munmap` of all of a mapping.
    Unmap(u8),
    /// `mprotect`: read alone, or read and write.
    Protect(u8, u8),
    /// Compression of a slot's file begins, or ends.
    Compress(u8, bool),
    /// Whatever is clean is dropped, at scheduling points.
    DropCaches,
}

impl Slots {
    fn with_mapping(&self, slot: u8, asked: impl FnOnce(MappingId) -> Memory) -> Asked {
        let made: Vec<MappingId> = self.mappings.iter().flatten().copied().collect();
        match made.get(usize::from(slot) % made.len().max(1)) {
            Some(mapping) => Asked::Request(Request::Memory(asked(*mapping)), None),
            None => Asked::Nothing,
        }
    }

    /// What an operation on mapped memory asks.
    pub(super) fn ask_mapped(
        &mut self,
        operation: MappedOperation,
        block_size_bytes: u32,
    ) -> Asked {
        use MappedOperation as O;
        // Most of what there is lies in the first blocks.
        let place = |at: u8| u64::from(at % 96) * u64::from(block_size_bytes / 32);
        match operation {
            O::Map(slot, into, how) => {
                let (offset, len) = (0, PAGE_BYTES);
                let sharing = if how % 8 == 7 { Sharing::Private } else { Sharing::Shared };
                let access = Access { read: true, write: how % 8 != 6 };
                let map =
                    |handle| Request::Memory(Memory::Map { handle, offset, len, access, sharing });
                let into = usize::from(into) % MAPPING_COUNT;
                self.handle(slot).map_or(Asked::Nothing, |handle| Asked::Map(map(handle), into))
            }
            O::Store(slot, at, len) => {
                let data = self.data(0, block_size_bytes).slice(..1 + usize::from(len % 24));
                // Many cross into the next page: pages that are compressed together are dirty.
                let border = place(at).next_multiple_of(u64::from(block_size_bytes));
                let is_across = at >= ACROSS_FROM;
                let offset = if is_across {
                    border.saturating_sub(data.len() as u64 / 2)
                } else {
                    place(at)
                };
                self.with_mapping(slot, |mapping| Memory::Store { mapping, offset, data })
            }
            O::Load(slot, at, len) => {
                let (offset, len) = (place(at), 1 + u32::from(len) * 4);
                self.with_mapping(slot, |mapping| Memory::Load { mapping, offset, len })
            }
            O::SyncMapping(slot, how) => {
                let (offset, len) = (0, PAGE_BYTES);
                let (wait, invalidate) = (how % 4 != 0, how & 8 == 8);
                let sync = |mapping| Memory::SyncMapping { mapping, offset, len, wait, invalidate };
                self.with_mapping(slot, sync)
            }
            O::Unmap(slot) => match self.mappings[usize::from(slot) % MAPPING_COUNT].take() {
                Some(mapping) => {
                    let unmap = Memory::Unmap { mapping, offset: 0, len: PAGE_BYTES };
                    Asked::Request(Request::Memory(unmap), None)
                }
                None => Asked::Nothing,
            },
            O::Protect(slot, how) => {
                let (offset, len) = (0, PAGE_BYTES);
                let access = Access { read: true, write: how % 4 != 0 };
                let protect = |mapping| Memory::Protect { mapping, offset, len, access };
                self.with_mapping(slot, protect)
            }
            O::Compress(slot, on) => {
                self.with(slot, |handle| Request::Manage(Manage::SetCompression { handle, on }))
            }
            O::DropCaches => Asked::Request(Request::Manage(Manage::DropCaches), None),
        }
    }
}

impl MappedOperation {
    /// A store: what most races need several of.
    pub(super) fn store(bytes: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        Ok(Self::Store(bytes.arbitrary()?, bytes.arbitrary()?, bytes.arbitrary()?))
    }

    /// A file with a mapping, compressed or not: what races between stores and writeback need.
    pub(super) fn prepare(bytes: &mut Unstructured<'_>) -> arbitrary::Result<[Operation; 4]> {
        Ok([
            Operation::Open(0, Name::A, Mode::Create),
            Operation::WriteAt(0, 0, bytes.arbitrary()?),
            Operation::Mapped(Self::Compress(0, bytes.arbitrary()?)),
            Operation::Mapped(Self::Map(0, 0, 0)),
        ])
    }
}

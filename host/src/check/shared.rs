//! What programs do with holes, copies, clones and room.

use arbitrary::Arbitrary;
use arbitrary::Unstructured;
use bytes::Bytes;

use crate::call::AllocateMode;
use crate::call::Attribute;
use crate::call::HandleId;
use crate::call::Manage;
use crate::call::OpenOptions;
use crate::call::Request;
use crate::call::SetAttribute;
use crate::call::StatusFlags;
use crate::call::Whence;
use crate::check::program::Asked;
use crate::check::program::Mode;
use crate::check::program::Name;
use crate::check::program::Operation;
use crate::check::program::Slots;

/// Kinds from which on offsets and lengths are not multiples of a block.
const UNALIGNED_FROM: u8 = 192;
/// Blocks in which most of what a program has lies.
const BLOCK_COUNT: u8 = 6;

/// One operation beyond reading and writing. Most ranges are whole blocks, as clones have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub enum SharedOperation {
    /// `lseek` for data or a hole.
    Search(u8, u8, bool),
    /// `copy_file_range`, to a slot from a slot: where from, where to, how much.
    Copy(u8, u8, [u8; 3]),
    /// `ioctl(FICLONERANGE)`, likewise.
    Clone(u8, u8, [u8; 3]),
    /// `ioctl(FICLONE)`.
    CloneWhole(u8, u8),
    /// `ioctl(FIDEDUPERANGE)`.
    Dedupe(u8, u8, [u8; 3]),
    /// `fallocate`, in one of its modes: where, how much.
    Allocate(u8, u8, [u8; 2]),
    /// `open` for direct access into a slot.
    OpenDirect(u8, Name),
    /// `pwrite` of whole blocks.
    WriteBlocks(u8, u8, u8),
    /// A snapshot of everything, under one of two names; or the end of it.
    Snapshot(bool, bool),
    /// `FS_IOC_SETFLAGS`: an empty file is written in place from now on, or no more.
    NoCow(u8, bool),
    /// An extended attribute is set, looked for, listed or removed: which, and how.
    Attribute(u8, u8, u8),
}

fn attribute(handle: HandleId, which: u8, how: u8) -> Attribute {
    let name = Bytes::from_static([b"user.a", b"user.b"][usize::from(which % 2)]);
    match how % 8 {
        0 => Attribute::Get { handle, name },
        1 => Attribute::List { handle },
        2 => Attribute::Remove { handle, name },
        kind => {
            let how = match kind {
                3 => SetAttribute::Create,
                4 => SetAttribute::Replace,
                _ => SetAttribute::Any,
            };
            let value = vec![which; usize::from(which)].into();
            Attribute::Set { handle, name, value, how }
        }
    }
}

/// Lengths from which on `copy_file_range` uses the offsets of its descriptions.
const OWN_OFFSETS_FROM: u8 = 224;

/// A place in a file, and a length.
fn range(at: u8, len: u8, block_size_bytes: u32) -> (u64, u64) {
    let block = u64::from(block_size_bytes);
    if at >= UNALIGNED_FROM {
        return (u64::from(at % 64) * block / 16, (u64::from(len % 48) + 1) * block / 16);
    }
    (u64::from(at % BLOCK_COUNT) * block, (u64::from(len % 3) + 1) * block)
}

fn mode(which: u8) -> AllocateMode {
    match which % 8 {
        0 => AllocateMode::Extend,
        1 => AllocateMode::KeepSize,
        2 | 3 => AllocateMode::PunchHole,
        4 => AllocateMode::ZeroRange,
        5 => AllocateMode::ZeroRangeKeepSize,
        6 => AllocateMode::CollapseRange,
        _ => AllocateMode::InsertRange,
    }
}

impl Slots {
    fn between(
        &self,
        (from, to): (u8, u8),
        asked: impl FnOnce(HandleId, HandleId) -> Request,
    ) -> Asked {
        match (self.handle(from), self.handle(to)) {
            (Some(from), Some(to)) => Asked::Request(asked(from, to), None),
            _ => Asked::Nothing,
        }
    }

    /// What such an operation asks.
    pub(super) fn ask_shared(&mut self, operation: SharedOperation, block: u32) -> Asked {
        use SharedOperation as O;
        match operation {
            O::Search(slot, at, for_data) => {
                let whence = if for_data { Whence::Data } else { Whence::Hole };
                let offset = range(at, 0, block).0.cast_signed();
                self.with(slot, |handle| Request::Seek { handle, offset, whence })
            }
            O::Copy(to, from, [at, to_at, len_of]) => {
                let ((from_offset, len), (to_offset, _)) =
                    (range(at, len_of, block), range(to_at, 0, block));
                let is_placed = len_of < OWN_OFFSETS_FROM;
                let placed = |offset: u64| is_placed.then_some(offset);
                let (from_offset, to_offset) = (placed(from_offset), placed(to_offset));
                let copy = |from, to| Request::CopyRange { from, from_offset, to, to_offset, len };
                self.between((from, to), copy)
            }
            O::Clone(to, from, [at, to_at, len]) => {
                let ((from_offset, len), (to_offset, _)) =
                    (range(at, len, block), range(to_at, 0, block));
                let clone =
                    |from, to| Request::CloneRange { from, from_offset, len, to, to_offset };
                self.between((from, to), clone)
            }
            O::CloneWhole(to, from) => {
                let (from_offset, len, to_offset) = (0, 0, 0);
                let clone =
                    |from, to| Request::CloneRange { from, from_offset, len, to, to_offset };
                self.between((from, to), clone)
            }
            O::Dedupe(to, from, [at, to_at, len]) => {
                let ((from_offset, len), (to_offset, _)) =
                    (range(at, len, block), range(to_at, 0, block));
                let dedupe =
                    |from, to| Request::DedupeRange { from, from_offset, len, to, to_offset };
                self.between((from, to), dedupe)
            }
            O::Allocate(slot, which, [at, len]) => {
                let ((offset, len), mode) = (range(at, len, block), mode(which));
                self.with(slot, |handle| Request::Allocate { handle, offset, len, mode })
            }
            O::OpenDirect(slot, name) => {
                let status = StatusFlags { direct: true, ..StatusFlags::default() };
                let options = OpenOptions { status, ..Mode::Create.options() };
                self.open(Request::Open { at: name.at(), options }, Self::index(slot))
            }
            O::WriteBlocks(slot, at, count) => {
                let offset = Some(u64::from(at % BLOCK_COUNT) * u64::from(block));
                let data = self.data(16 * (count % 3 + 1) - 1, block);
                self.with(slot, |handle| Request::Write { handle, offset, data })
            }
            O::Snapshot(first, makes) => {
                let name = Bytes::from_static(if first { b"s" } else { b"t" });
                let asked =
                    if makes { Manage::Snapshot { name } } else { Manage::DeleteSnapshot { name } };
                Asked::Request(Request::Manage(asked), None)
            }
            O::NoCow(slot, on) => {
                self.with(slot, |handle| Request::Manage(Manage::SetNoCow { handle, on }))
            }
            O::Attribute(slot, which, how) => {
                self.with(slot, |handle| Request::Attribute(attribute(handle, which, how)))
            }
        }
    }
}

impl SharedOperation {
    /// Two files with bytes: what copies and clones need. One of some is written in place.
    pub(super) fn prepare(bytes: &mut Unstructured<'_>) -> arbitrary::Result<[Operation; 5]> {
        let is_in_place = bytes.ratio(1_u8, 4)?;
        Ok([
            Operation::Open(0, Name::A, Mode::Create),
            Operation::Shared(Self::NoCow(0, is_in_place)),
            Operation::Shared(Self::WriteBlocks(0, 0, bytes.arbitrary()?)),
            Operation::Open(1, Name::B, Mode::Create),
            Operation::Shared(Self::WriteBlocks(1, 0, bytes.arbitrary()?)),
        ])
    }
}

//! `mem_munmap`, `mem_mprotect`, `mem_madvise`: ranges of memory that may show several mappings.

use std::ops::Range;

use crate::call::Halt;
use crate::call::Memory;
use crate::call::Request;
use crate::mapping::Vacancy;
use crate::wasi::errno::AbiErrno;
use crate::wasi::ext::fd_mmap::decode_protection;
use crate::wasi::ext::fd_mmap::pages;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;

/// Ends whatever a range shows; what shows nothing is left alone.
pub(super) async fn unmap(frame: &mut Frame<'_>, range: &Range<u64>) -> Outcome {
    for piece in frame.looked_at().mapped.regions.pieces(range) {
        let (offset, len) = (piece.offset, piece.at.end - piece.at.start);
        let request = Memory::Unmap { mapping: piece.mapping, offset, len };
        frame.ask_done(Request::Memory(request)).await?;
        frame.process().mapped.regions.remove(&piece.at);
        frame.forget(&piece.at);
    }
    Ok(())
}

pub(super) async fn mem_munmap(frame: &mut Frame<'_>, address: u32, len: u32) -> Outcome {
    let range = pages(address, len)?;
    if len == 0 {
        return Err(AbiErrno::Inval.into());
    }
    let outcome = unmap(frame, &range).await;
    frame.set_hulls();
    outcome
}

pub(super) async fn mem_mprotect(
    frame: &mut Frame<'_>,
    address: u32,
    len: u32,
    protection: u32,
) -> Outcome {
    let range = pages(address, len)?;
    let access = decode_protection(protection)?;
    let mut next = range.start;
    for piece in frame.looked_at().mapped.regions.pieces(&range) {
        // As Linux has it: what comes before a gap is changed, what comes after is not.
        if piece.at.start != next {
            break;
        }
        next = piece.at.end;
        let (offset, len) = (piece.offset, piece.at.end - piece.at.start);
        let request = Memory::Protect { mapping: piece.mapping, offset, len, access };
        frame.ask_done(Request::Memory(request)).await?;
    }
    if next < range.end { Err(AbiErrno::Nomem.into()) } else { Ok(()) }
}

pub(super) async fn mem_madvise(
    frame: &mut Frame<'_>,
    address: u32,
    len: u32,
    advice: u32,
) -> Outcome {
    let range = pages(address, len)?;
    match advice {
        // Normal, random, sequential, will need: nothing that can be seen.
        0..=3 => {}
        // A private mapping forgets its stores, which nobody models.
        4 => return Err(Halt::Unsupported("mem_madvise with MADV_DONTNEED").into()),
        5.. => return Err(Halt::Unsupported("mem_madvise with this advice").into()),
    }
    let is_whole = len == 0 || frame.looked_at().mapped.regions.vacancy(&range) == Vacancy::Full;
    if is_whole { Ok(()) } else { Err(AbiErrno::Nomem.into()) }
}

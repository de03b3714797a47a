//! `mem_msync`.

use crate::call::Memory;
use crate::call::Request;
use crate::wasi::errno::AbiErrno;
use crate::wasi::ext::fd_mmap::pages;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;

const MS_ASYNC: u32 = 1;
const MS_INVALIDATE: u32 = 2;
const MS_SYNC: u32 = 4;

pub(super) async fn mem_msync(
    frame: &mut Frame<'_>,
    address: u32,
    len: u32,
    flags: u32,
) -> Outcome {
    let range = pages(address, len)?;
    let both = MS_ASYNC | MS_SYNC;
    if flags & !(both | MS_INVALIDATE) != 0 || flags & both == both {
        return Err(AbiErrno::Inval.into());
    }
    let (wait, invalidate) = (flags & MS_SYNC != 0, flags & MS_INVALIDATE != 0);
    let mut mapped = 0;
    for piece in frame.looked_at().mapped.regions.pieces(&range) {
        let len = piece.at.end - piece.at.start;
        mapped += len;
        let (mapping, offset) = (piece.mapping, piece.offset);
        let request = Memory::SyncMapping { mapping, offset, len, wait, invalidate };
        // As Linux has it: the first error is the answer, and nothing more is synced.
        frame.ask_done(Request::Memory(request)).await?;
    }
    // What is mapped was synced all the same.
    if mapped < range.end - range.start { Err(AbiErrno::Nomem.into()) } else { Ok(()) }
}

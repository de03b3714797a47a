//! `fd_mmap`: a range of the guest's memory shows a file.

use std::ops::Range;

use crate::call::Access;
use crate::call::Halt;
use crate::call::Memory;
use crate::call::Request;
use crate::call::Sharing;
use crate::call::Value;
use crate::mapping::PAGE_BYTES;
use crate::mapping::Piece;
use crate::mapping::Vacancy;
use crate::wasi::errno::AbiErrno;
use crate::wasi::ext::memory_ranges::unmap;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

const PROT_READ: u32 = 1;
const PROT_WRITE: u32 = 2;
const PROT_EXEC: u32 = 4;

const MAP_SHARED: u32 = 1;
const MAP_PRIVATE: u32 = 2;
const MAP_FIXED: u32 = 0x10;
/// `MAP_NORESERVE` and `MAP_POPULATE`, which ask for nothing that can be seen.
const MAP_WITHOUT_EFFECT: u32 = 0x4000 | 0x8000;

pub(super) fn decode_protection(protection: u32) -> Result<Access, Failure> {
    if protection & !(PROT_READ | PROT_WRITE | PROT_EXEC) != 0 {
        return Err(AbiErrno::Inval.into());
    }
    if protection & PROT_EXEC != 0 {
        return Err(Halt::Unsupported("mapped memory with PROT_EXEC").into());
    }
    // As on every machine that Linux runs on, what can be stored to can be loaded.
    let write = protection & PROT_WRITE != 0;
    Ok(Access { read: write || protection & PROT_READ != 0, write })
}

fn decode_sharing(flags: u32) -> Result<(Sharing, bool), Failure> {
    let sharing = match flags & (MAP_SHARED | MAP_PRIVATE) {
        MAP_SHARED => Sharing::Shared,
        MAP_PRIVATE => Sharing::Private,
        0 => return Err(AbiErrno::Inval.into()),
        _ => return Err(Halt::Unsupported("fd_mmap with MAP_SHARED_VALIDATE").into()),
    };
    if flags & !(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_WITHOUT_EFFECT) != 0 {
        return Err(Halt::Unsupported("fd_mmap with these flags").into());
    }
    Ok((sharing, flags & MAP_FIXED != 0))
}

/// The whole pages of a range that begins with one.
pub(super) fn pages(address: u32, len: u32) -> Result<Range<u64>, AbiErrno> {
    let start = u64::from(address);
    if !start.is_multiple_of(PAGE_BYTES) {
        return Err(AbiErrno::Inval);
    }
    Ok(start..start + u64::from(len).next_multiple_of(PAGE_BYTES))
}

pub(super) async fn fd_mmap(
    frame: &mut Frame<'_>,
    fd: u32,
    address: u32,
    len: u32,
    protection: u32,
    flags: u32,
    offset: u64,
) -> Outcome {
    let at = pages(address, len)?;
    let access = decode_protection(protection)?;
    let (sharing, is_fixed) = decode_sharing(flags)?;
    if len == 0 || !offset.is_multiple_of(PAGE_BYTES) || i64::try_from(offset).is_err() {
        return Err(AbiErrno::Inval.into());
    }
    if at.end > frame.bytes().len() as u64 {
        return Err(AbiErrno::Nomem.into());
    }
    let is_taken = frame.looked_at().mapped.regions.vacancy(&at) != Vacancy::Empty;
    if is_taken && !is_fixed {
        return Err(AbiErrno::Exist.into());
    }
    let writes = access.write && sharing == Sharing::Shared;
    let needed = rights::FD_READ | if writes { rights::FD_WRITE } else { 0 };
    let (handle, _) = frame.handle(fd, needed, AbiErrno::Nodev)?;
    if !frame.process().maps_files {
        return Err(Halt::Unsupported("fd_mmap where a block has not 4096 bytes").into());
    }
    let request = Memory::Map { handle, offset, len: at.end - at.start, access, sharing };
    let Value::Mapping(mapping) = frame.ask(Request::Memory(request)).await? else { unexpected() };
    // Mapped first, so that an error changes nothing.
    unmap(frame, &at).await?;
    frame.process().mapped.regions.insert(Piece { at: at.clone(), mapping, offset: 0 });
    frame.watch(&at);
    frame.set_hulls();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::process::End;

    #[test]
    fn a_range_is_whole_pages_from_a_page_on() {
        assert_eq!(pages(0, 0), Ok(0..0));
        assert_eq!(pages(4096, 1), Ok(4096..8192));
        assert_eq!(pages(0xffff_f000, 0xffff_ffff), Ok(0xffff_f000..0x1_ffff_f000));
        assert_eq!(pages(4095, 1), Err(AbiErrno::Inval));
    }

    #[test]
    fn what_is_not_modelled_ends_the_run_and_what_is_nonsense_is_an_errno() {
        let halts = |failure: Failure| matches!(failure, Failure::End(End::Halted(_)));
        assert!(decode_protection(PROT_EXEC).is_err_and(halts));
        assert!(decode_protection(8).is_err_and(|failure| !halts(failure)));
        assert!(decode_sharing(0).is_err_and(|failure| !halts(failure)));
        assert!(decode_sharing(3).is_err_and(halts));
        assert!(decode_sharing(MAP_SHARED | 0x20).is_err_and(halts));
        let fixed = decode_sharing(MAP_PRIVATE | MAP_FIXED).expect("it is decoded");
        assert_eq!(fixed, (Sharing::Private, true));
    }
}

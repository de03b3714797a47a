//! `path_open`.

use crate::call::FileKind;
use crate::call::OpenOptions;
use crate::call::Request;
use crate::call::Value;
use crate::wasi::abi;
use crate::wasi::errno::AbiErrno;
use crate::wasi::fd_stat::decode_status;
use crate::wasi::fds::Descriptor;
use crate::wasi::fds::Target;
use crate::wasi::frame::Failure;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::decode_lookup;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;
use crate::wasi::rights::Rights;

const READS: u64 = rights::FD_READ | rights::FD_READDIR;
const WRITES: u64 = rights::FD_WRITE | rights::FD_ALLOCATE | rights::FD_FILESTAT_SET_SIZE;

fn decode_options(
    lookup_flags: u32,
    open_flags: u32,
    base: u64,
    fd_flags: u32,
) -> Result<OpenOptions, Failure> {
    if open_flags & !abi::OPEN_ALL != 0 {
        return Err(AbiErrno::Inval.into());
    }
    Ok(OpenOptions {
        read: base & READS != 0,
        write: base & WRITES != 0,
        create: open_flags & abi::OPEN_CREATE != 0,
        exclusive: open_flags & abi::OPEN_EXCLUSIVE != 0,
        truncate: open_flags & abi::OPEN_TRUNCATE != 0,
        directory: open_flags & abi::OPEN_DIRECTORY != 0,
        follow: decode_lookup(lookup_flags)?,
        status: decode_status(fd_flags)?,
        mode: None,
    })
}

/// What must not have been given up at the directory.
fn needed(options: &OpenOptions, is_unnamed: bool) -> u64 {
    rights::PATH_OPEN
        | if options.create || is_unnamed { rights::PATH_CREATE_FILE } else { 0 }
        | if options.truncate { rights::PATH_FILESTAT_SET_SIZE } else { 0 }
}

/// The rights of what was opened. Passing on nothing means passing on everything: programs that
/// know nothing of rights ask for none.
fn granted(kind: FileKind, base: u64, inheriting: u64) -> Rights {
    match kind {
        FileKind::Regular | FileKind::Symlink => Rights::new(base & rights::FILE, 0),
        FileKind::Directory => {
            let inheriting = if inheriting == 0 { rights::INHERITED } else { inheriting };
            Rights::new(base & rights::DIRECTORY, inheriting & rights::INHERITED)
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the ABI has them")]
pub(super) async fn path_open(
    frame: &mut Frame<'_>,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    path_len: u32,
    open_flags: u32,
    base: u64,
    inheriting: u64,
    fd_flags: u32,
    result: u32,
) -> Outcome {
    let mode = frame.process().next_mode.take();
    let place = frame.place(result, 4)?;
    let is_unnamed = fd_flags & abi::FD_UNNAMED != 0;
    let mut options = decode_options(lookup_flags, open_flags, base, fd_flags & !abi::FD_UNNAMED)?;
    if is_unnamed {
        // As Linux has it: the path is a directory, and there is nothing to cut.
        (options.truncate, options.directory) = (false, false);
    }
    options.mode = mode.filter(|_| options.create || is_unnamed);
    let at = frame.at(fd, needed(&options, is_unnamed), path, path_len)?;
    let vacant = frame.process().fds.vacant()?;
    let opened = frame.ask(match is_unnamed {
        true => Request::OpenUnnamed { at, options },
        false => Request::Open { at, options },
    });
    let opened = opened.await?;
    let Value::Handle { handle, kind, .. } = opened else { unexpected() };
    let descriptor = Descriptor {
        target: Target::Handle { handle, kind },
        rights: granted(kind, base, inheriting),
        status: options.status,
        preopen: None,
    };
    frame.process().fds.insert(vacant, descriptor);
    frame.write(&place, &vacant.to_le_bytes());
    Ok(())
}

//! `fd_readdir`.
//!
//! Entries follow each other without gaps. The last one is cut where the buffer ends, which tells
//! the guest to ask again from the last cookie it saw whole; a buffer that is not full means the
//! end of the directory. So exactly as many entries are asked for as could fill the buffer.

use crate::call::DirectoryEntry;
use crate::call::Request;
use crate::call::Value;
use crate::wasi::abi;
use crate::wasi::abi::FileType;
use crate::wasi::errno::AbiErrno;
use crate::wasi::frame::Frame;
use crate::wasi::frame::Outcome;
use crate::wasi::frame::unexpected;
use crate::wasi::rights;

/// Entries that a buffer of this many bytes can show, if only in part.
fn count_max(buffer_bytes: u32) -> u32 {
    // A name has at least one byte.
    buffer_bytes / (abi::DIRENT_BYTES + 1) + 1
}

fn encode(entries: &[DirectoryEntry], bytes_max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        if bytes.len() >= bytes_max {
            break;
        }
        bytes.extend_from_slice(&entry.next_cookie.to_le_bytes());
        bytes.extend_from_slice(&entry.ino.0.to_le_bytes());
        // A name is a component of a path: below 4 GiB.
        bytes.extend_from_slice(&(entry.name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&[FileType::from(entry.kind) as u8, 0, 0, 0]);
        bytes.extend_from_slice(&entry.name);
    }
    bytes.truncate(bytes_max);
    bytes
}

pub(super) async fn fd_readdir(
    frame: &mut Frame<'_>,
    fd: u32,
    buffer: u32,
    buffer_len: u32,
    cookie: u64,
    used: u32,
) -> Outcome {
    let place = frame.place(buffer, buffer_len)?;
    let used = frame.place(used, 4)?;
    let (handle, _) = frame.handle(fd, rights::FD_READDIR, AbiErrno::Notdir)?;
    let request = Request::ReadDirectory { handle, cookie, count_max: count_max(buffer_len) };
    let Value::Entries(entries) = frame.ask(request).await? else { unexpected() };
    let bytes = encode(&entries, place.len());
    frame.write(&place, &bytes);
    // Not longer than the buffer.
    frame.write(&used, &(bytes.len() as u32).to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::call::FileKind;
    use crate::call::Ino;

    #[test]
    fn a_buffer_that_is_not_full_means_the_end_for_all_sizes() {
        let entry = |cookie| DirectoryEntry {
            next_cookie: cookie,
            ino: Ino(cookie),
            kind: FileKind::Regular,
            name: Bytes::from_static(b"x"),
        };
        let all: Vec<_> = (1..=5).map(entry).collect();
        for bytes_max in 0..200 {
            let asked = all.iter().take(count_max(bytes_max) as usize).cloned();
            let bytes = encode(&asked.collect::<Vec<_>>(), bytes_max as usize);
            assert_eq!(bytes.len(), (bytes_max as usize).min(5 * 25), "{bytes_max}");
        }
    }
}

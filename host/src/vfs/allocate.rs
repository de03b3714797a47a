//! `posix_fallocate`: the file becomes at least so long, and there is space for the range now.
//!
//! A copy-on-write file system cannot keep the space aside for good: every later write takes fresh
//! blocks. The promise that such writes never lack space is not made here.

use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Value;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    pub(super) async fn allocate(&self, handle: HandleId, offset: u64, len: u64) -> Outcome<Value> {
        let ino = self.description(handle)?.writable()?;
        if len == 0 {
            return Err(Errno::Invalid.into());
        }
        let end = offset.checked_add(len).filter(|end| *end <= FILE_SIZE_BYTES_MAX);
        let end = end.ok_or(Errno::FileTooBig)?;
        let _content = self.lock_content(ino).await;
        let size_bytes = self.cache.size_bytes(ino)?;
        if end <= size_bytes {
            return Ok(Value::Done);
        }
        let geometry = self.cow.geometry();
        let new_bytes = end - size_bytes.max(offset);
        let block_count = new_bytes.div_ceil(u64::from(geometry.block_size_bytes));
        if block_count > geometry.block_count {
            return Err(Errno::NoSpace.into());
        }
        self.cow.reserve(block_count).await?;
        self.cow.unreserve(block_count);
        self.cache.truncate(ino, end).await?;
        Ok(Value::Done)
    }
}

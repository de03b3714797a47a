//! `ftruncate`.

use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Value;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    pub(super) async fn truncate(&self, handle: HandleId, size_bytes: u64) -> Outcome<Value> {
        let description = self.description(handle)?;
        if description.kind != FileKind::Regular || !description.write {
            return Err(Errno::Invalid.into());
        }
        if size_bytes > FILE_SIZE_BYTES_MAX {
            return Err(Errno::FileTooBig.into());
        }
        let _content = self.lock_content_to_truncate(description.ino).await;
        let is_longer = size_bytes > self.cache.size_bytes(description.ino)?;
        if is_longer && size_bytes > self.policy.file_size_bytes_max {
            return Err(Errno::FileTooBig.into());
        }
        self.cache.truncate(description.ino, size_bytes).await?;
        Ok(Value::Done)
    }
}

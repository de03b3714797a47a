//! `sync_file_range`: writeback of a part of a file, of which nothing is promised.

use crate::cache::is_power_off;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Value;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    pub(super) async fn sync_range(
        &self,
        handle: HandleId,
        [offset, len]: [u64; 2],
        wait: bool,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        if description.kind != FileKind::Regular {
            return Err(Errno::IllegalSeek.into());
        }
        let end = offset.checked_add(len).filter(|end| *end <= FILE_SIZE_BYTES_MAX);
        let end = end.ok_or(Errno::Invalid)?;
        let end = if len == 0 { u64::MAX } else { end };
        match self.cache.write_back_range(description.ino, offset..end).await {
            Err(error) if is_power_off(&error) => Err(error.into()),
            // Who waits is told; a sync will tell all the same.
            Err(error) if wait => Err(error.into()),
            // The ledger has it, or the pages are still dirty: a sync will tell.
            Ok(()) | Err(_) => Ok(Value::Done),
        }
    }
}

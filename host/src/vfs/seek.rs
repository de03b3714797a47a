//! `lseek`.

use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Value;
use crate::call::Whence;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    pub(super) async fn seek(
        &self,
        handle: HandleId,
        offset: i64,
        whence: Whence,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        if description.kind != FileKind::Regular {
            return Err(Errno::BadFile.into());
        }
        let _turn = description.turn.acquire().await;
        let origin = match whence {
            Whence::Set => 0,
            Whence::Current => description.position().offset,
            Whence::End => self.cache.size_bytes(description.ino)?,
        };
        let target = i128::from(origin) + i128::from(offset);
        let target = u64::try_from(target).map_err(|_| Errno::Invalid)?;
        if target > FILE_SIZE_BYTES_MAX {
            return Err(Errno::Overflow.into());
        }
        description.position().offset = target;
        Ok(Value::Offset(target))
    }
}

//! `lseek`.

use crate::cache::Sought;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Value;
use crate::call::Whence;
use crate::vfs::Call;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::handles::Description;

impl ReferenceVfs {
    pub(super) async fn seek(
        &self,
        call: &Call<'_>,
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
            Whence::Data => {
                return Box::pin(self.seek_for(call, &description, offset, Sought::Data)).await;
            }
            Whence::Hole => {
                return Box::pin(self.seek_for(call, &description, offset, Sought::Hole)).await;
            }
        };
        let target = i128::from(origin) + i128::from(offset);
        let target = u64::try_from(target).map_err(|_| Errno::Invalid)?;
        if target > FILE_SIZE_BYTES_MAX {
            return Err(Errno::Overflow.into());
        }
        description.position().offset = target;
        Ok(Value::Offset(target))
    }

    /// To the next data or the next hole. The caller holds the description's turn.
    async fn seek_for(
        &self,
        call: &Call<'_>,
        description: &Description,
        offset: i64,
        sought: Sought,
    ) -> Outcome<Value> {
        let offset = u64::try_from(offset).map_err(|_| Errno::NoAddress)?;
        let _content = self.lock_content(description.ino).await;
        // What is found is true of this moment.
        call.takes_effect();
        let found = self.cache.seek(description.ino, offset, sought).await?;
        let target = found.ok_or(Errno::NoAddress)?;
        description.position().offset = target;
        Ok(Value::Offset(target))
    }
}

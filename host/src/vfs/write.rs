//! `write` and `pwrite`.

use bytes::Bytes;

use crate::cache::SyncScope;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::StatusFlags;
use crate::call::Value;
use crate::sim::Site;
use crate::vfs::Call;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::handles::Description;
use crate::vfs::read::TRANSFER_BYTES_MAX;

/// What a description syncs after each write.
pub(super) fn sync_scope(status: StatusFlags) -> Option<SyncScope> {
    match (status.sync, status.data_sync) {
        (true, _) => Some(SyncScope::Full),
        (false, true) => Some(SyncScope::Data),
        (false, false) => None,
    }
}

impl ReferenceVfs {
    pub(super) async fn write(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        offset: Option<u64>,
        data: Bytes,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        description.writable()?;
        if offset.is_some_and(|offset| offset > FILE_SIZE_BYTES_MAX) {
            return Err(Errno::Invalid.into());
        }
        if data.is_empty() {
            return Ok(Value::Count(0));
        }
        let len = data.len().min(TRANSFER_BYTES_MAX);
        let len = self.shorten(call.caller.process, Site::ShortWrite, len);
        let len = self.in_blocks(&description, len, data.len())?;
        let _turn = match offset {
            Some(_) => None,
            None => Some(description.turn.acquire().await),
        };
        let (start, count) =
            self.write_in_turn(call, &description, offset, data.slice(..len)).await?;
        let status = description.position().status;
        if let Some(scope) = sync_scope(status) {
            Box::pin(self.sync_file(call, &description, scope, 0..u64::MAX)).await?;
        }
        // As on Linux: a write that fails leaves the offset where it was, also if its bytes are
        // in the file and only their sync failed.
        if offset.is_none() {
            description.position().offset = start + count as u64;
        }
        let count = u32::try_from(count).map_err(|_| Errno::Overflow)?;
        Ok(Value::Count(count))
    }

    /// Is a direct transfer of whole blocks?
    pub(super) fn aligned(&self, offset: u64, len: u64) -> Result<(), Errno> {
        let is_even = |number: u64| number.is_multiple_of(self.cache.page_size_bytes());
        if is_even(offset) && is_even(len) { Ok(()) } else { Err(Errno::Invalid) }
    }

    /// A transfer that was shortened; a direct one has whole blocks, and one at least.
    pub(super) fn in_blocks(
        &self,
        description: &Description,
        len: usize,
        asked: usize,
    ) -> Result<usize, Errno> {
        if !description.position().status.direct {
            return Ok(len);
        }
        self.aligned(0, asked as u64)?;
        let block = self.cache.page_size_bytes() as usize;
        Ok((len - len % block).max(block).min(asked))
    }

    async fn write_in_turn(
        &self,
        call: &Call<'_>,
        description: &Description,
        offset: Option<u64>,
        data: Bytes,
    ) -> Outcome<(u64, usize)> {
        let ino = description.ino;
        self.cache.accepts_writes()?;
        let _content = self.lock_content_to_write(ino).await;
        let start = if description.position().status.append {
            self.cache.size_bytes(ino)?
        } else {
            offset.unwrap_or(description.position().offset)
        };
        // LIM-01: what fits below the limit is written; nothing fits at the limit.
        let room = self.policy.file_size_bytes_max.saturating_sub(start);
        if room == 0 {
            return Err(Errno::FileTooBig.into());
        }
        let fitting = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
        let count = if description.position().status.direct {
            self.aligned(start, fitting as u64)?;
            Box::pin(self.cache.write_direct(ino, start, &data.slice(..fitting))).await?
        } else {
            let (by, data) = (description.writer(), data.slice(..fitting));
            self.cache.write(ino, start, &data, by).await?
        };
        call.takes_effect();
        self.cache.balance_after_change(ino).await?;
        Ok((start, count))
    }
}

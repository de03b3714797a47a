//! `read` and `pread`.

use crate::cache::SyncScope;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Value;
use crate::sim::Site;
use crate::vfs::Call;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

/// No single transfer is longer, as on Linux.
pub(super) const TRANSFER_BYTES_MAX: usize = 0x7fff_f000;

impl ReferenceVfs {
    pub(super) async fn read(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        offset: Option<u64>,
        len: u32,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        let ino = description.readable()?;
        if offset.is_some_and(|offset| offset > FILE_SIZE_BYTES_MAX) {
            return Err(Errno::Invalid.into());
        }
        let status = description.position().status;
        if status.read_sync && (status.sync || status.data_sync) {
            let scope = if status.sync { SyncScope::Full } else { SyncScope::Data };
            Box::pin(self.sync_file(call, &description, scope, 0..u64::MAX)).await?;
        }
        let len = (len as usize).min(TRANSFER_BYTES_MAX);
        let asked = len;
        let len = self.shorten(call.caller.process, Site::ShortRead, len);
        let len = self.in_blocks(&description, len, asked)? as u64;
        let _turn = match offset {
            Some(_) => None,
            None => Some(description.turn.acquire().await),
        };
        let start = offset.unwrap_or(description.position().offset);
        let data = if status.direct {
            self.aligned(start, len)?;
            Box::pin(self.cache.read_direct(ino, start, len)).await?
        } else {
            self.cache.read(ino, start, len).await?
        };
        call.takes_effect();
        if offset.is_none() {
            description.position().offset = start + data.len() as u64;
        }
        self.cache.balance(ino).await?;
        Ok(Value::Data(data))
    }
}

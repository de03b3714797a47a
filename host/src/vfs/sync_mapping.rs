//! `msync`. The cache is one: what `MS_INVALIDATE` asks for holds at any time.

use crate::cache::SyncScope;
use crate::call::Errno;
use crate::call::MappingId;
use crate::call::Value;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    /// Without `wait` nothing begins, as on Linux: the flusher comes some day.
    pub(super) async fn sync_mapping(
        &self,
        call: &Call<'_>,
        mapping: MappingId,
        offset: u64,
        len: u64,
        wait: bool,
    ) -> Outcome<Value> {
        if len == 0 {
            return Ok(Value::Done);
        }
        let range = self.pages_of(offset, len)?;
        let in_file = self.cache.mapped(mapping, &range).ok_or(Errno::NoMemory)?;
        let description = self.mapped().get(&mapping).cloned().ok_or(Errno::NoMemory)?;
        if wait && let Some(answer) = self.cache.left_out() {
            answer?;
        } else if wait {
            self.sync_file(call, &description, SyncScope::Full, in_file).await?;
        }
        Ok(Value::Done)
    }
}

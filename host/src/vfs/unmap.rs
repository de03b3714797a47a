//! `munmap`. What was stored through a shared mapping stays in the file.

use std::ops::Range;

use crate::call::Errno;
use crate::call::MappingId;
use crate::call::ProcessId;
use crate::call::Value;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    pub(super) async fn unmap(&self, mapping: MappingId, offset: u64, len: u64) -> Outcome<Value> {
        let range = self.pages_of(offset, len)?;
        // POSIX: where nothing is mapped, nothing is to be done.
        if self.cache.splits(mapping, &range, None) >= self.policy.mapped_parts_max {
            return Err(Errno::NoMemory.into());
        }
        if let Some(ino) = self.cache.unmap(mapping, range) {
            self.mapped().remove(&mapping);
            self.release(ino).await?;
        }
        Ok(Value::Done)
    }

    /// What mapping, unmapping and protecting go by.
    pub(super) fn memory_page_bytes(&self) -> u64 {
        self.policy.memory_page_bytes.max(self.cache.page_size_bytes())
    }

    /// The pages that begin in a range of a mapping.
    pub(super) fn pages_of(&self, offset: u64, len: u64) -> Result<Range<u64>, Errno> {
        let page_size = self.memory_page_bytes();
        if len == 0 || !offset.is_multiple_of(page_size) {
            return Err(Errno::Invalid);
        }
        let len = len.div_ceil(page_size).saturating_mul(page_size);
        Ok(offset..offset.saturating_add(len))
    }

    pub(super) async fn unmap_all(&self, process: ProcessId) -> Outcome<()> {
        for (mapping, ino) in self.cache.unmap_all(process) {
            self.mapped().remove(&mapping);
            self.release(ino).await?;
        }
        Ok(())
    }
}

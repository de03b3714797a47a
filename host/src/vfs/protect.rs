//! `mprotect`.

use crate::call::Access;
use crate::call::Errno;
use crate::call::MappingId;
use crate::call::Value;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::map::may_map;

impl ReferenceVfs {
    pub(super) fn protect(
        &self,
        mapping: MappingId,
        offset: u64,
        len: u64,
        access: Access,
    ) -> Outcome<Value> {
        let range = self.pages_of(offset, len)?;
        let description = self.mapped().get(&mapping).cloned().ok_or(Errno::NoMemory)?;
        let sharing = self.cache.sharing(mapping).ok_or(Errno::NoMemory)?;
        may_map(&description, access, sharing)?;
        if self.cache.splits(mapping, &range, Some(access)) >= self.policy.mapped_parts_max {
            return Err(Errno::NoMemory.into());
        }
        self.cache.protect_mapping(mapping, range, access)?;
        Ok(Value::Done)
    }
}

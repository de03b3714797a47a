//! A load from mapped memory.

use crate::call::MappingId;
use crate::call::Value;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    pub(super) async fn load(&self, mapping: MappingId, offset: u64, len: u32) -> Outcome<Value> {
        let loaded = self.cache.load_mapped(mapping, offset, u64::from(len)).await?;
        Ok(loaded.map_or_else(Value::Signal, Value::Data))
    }
}

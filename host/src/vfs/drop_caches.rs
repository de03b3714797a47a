//! What is clean in memory is dropped.

use crate::call::Value;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    pub(super) async fn drop_caches(&self) -> Outcome<Value> {
        self.cache.reclaim().await;
        Ok(Value::Done)
    }
}

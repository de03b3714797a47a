//! `statfs`.

use crate::call::Value;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    pub(super) async fn space(&self) -> Outcome<Value> {
        let geometry = self.cow.geometry();
        let free_count = self.cow.free_blocks().await?;
        Ok(Value::Space {
            block_size_bytes: geometry.block_size_bytes,
            block_count: geometry.block_count,
            free_count,
        })
    }
}

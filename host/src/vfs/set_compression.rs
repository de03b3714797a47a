//! The compression attribute of a file.

use crate::call::HandleId;
use crate::call::Value;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    pub(super) fn set_compression(&self, handle: HandleId, on: bool) -> Outcome<Value> {
        let ino = self.description(handle)?.writable()?;
        self.cache.set_transformed(ino, on);
        Ok(Value::Done)
    }
}

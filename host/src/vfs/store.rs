//! A store to mapped memory. It takes effect, or raises a signal, and never fails.

use bytes::Bytes;

use crate::call::MappingId;
use crate::call::Value;
use crate::vfs::Call;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;

impl ReferenceVfs {
    pub(super) async fn store(
        &self,
        call: &Call<'_>,
        mapping: MappingId,
        offset: u64,
        data: &Bytes,
    ) -> Outcome<Value> {
        let signal = self.cache.store(mapping, offset, data, || call.takes_effect()).await?;
        Ok(signal.map_or(Value::Done, Value::Signal))
    }
}

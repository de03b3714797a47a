//! `copy_file_range`: whole blocks are cloned, other bytes are copied through memory.
//!
//! Both files keep their content until the copy is done, so that it is of one moment but for what
//! is stored through mappings. It may be short at any time, and is never beyond the end of the
//! source.

use std::sync::Arc;

use crate::cache::ClonePart;
use crate::cache::SyncError;
use crate::cache::Writer;
use crate::cache::is_power_off;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Value;
use crate::sim::Site;
use crate::vfs::Call;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::clone_range::Side;
use crate::vfs::clone_range::overlap;
use crate::vfs::clone_range::permitted;
use crate::vfs::handles::Description;
use crate::vfs::read::TRANSFER_BYTES_MAX;

/// So much is copied through memory in one call.
const COPY_BYTES_MAX: u64 = 1 << 20;

/// What is asked for: two handles, and where, if not at the description's own offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub from: (HandleId, Option<u64>),
    pub to: (HandleId, Option<u64>),
    pub len: u64,
}

impl ReferenceVfs {
    pub(super) async fn copy_range(&self, call: &Call<'_>, asked: Asked) -> Outcome<Value> {
        let from = self.description(asked.from.0)?;
        let to = self.description(asked.to.0)?;
        permitted(&from, &to)?;
        // In the order of the handles, so that two copies do not wait for each other.
        let mut turns: Vec<(HandleId, &Arc<Description>)> = Vec::new();
        for (handle, offset, description) in
            [(asked.from.0, asked.from.1, &from), (asked.to.0, asked.to.1, &to)]
        {
            if offset.is_none() {
                turns.push((handle, description));
            }
        }
        turns.sort_by_key(|(handle, _)| *handle);
        turns.dedup_by_key(|(handle, _)| *handle);
        let mut held = Vec::new();
        for (_, description) in turns {
            held.push(description.turn.acquire().await);
        }
        let at = asked.from.1.unwrap_or(from.position().offset);
        let onto = asked.to.1.unwrap_or(to.position().offset);
        let sides = [
            Side { description: Arc::clone(&from), offset: at },
            Side { description: Arc::clone(&to), offset: onto },
        ];
        let count = self.copy_in_turn(call, &sides, asked.len).await?;
        if count > 0 {
            self.sync_if_asked(call, &to).await?;
        }
        if asked.from.1.is_none() {
            from.position().offset = at + count;
        }
        if asked.to.1.is_none() {
            to.position().offset = onto + count;
        }
        Ok(Value::Count(u32::try_from(count).map_err(|_| Errno::Overflow)?))
    }

    async fn copy_in_turn(
        &self,
        call: &Call<'_>,
        [from, to]: &[Side; 2],
        len: u64,
    ) -> Outcome<u64> {
        if from.offset > FILE_SIZE_BYTES_MAX || to.offset > FILE_SIZE_BYTES_MAX {
            return Err(Errno::Invalid.into());
        }
        if from.offset.checked_add(len).is_none() || to.offset.checked_add(len).is_none() {
            return Err(Errno::Overflow.into());
        }
        let (source, target) = (from.description.ino, to.description.ino);
        let _contents = self.lock_contents(source, target).await;
        let left = self.cache.size_bytes(source)?.saturating_sub(from.offset).min(len);
        let (read, written) = (from.offset..from.offset + left, to.offset..to.offset + left);
        if source == target && overlap(&read, &written) {
            return Err(Errno::Invalid.into());
        }
        if left == 0 {
            return Ok(0);
        }
        let room = self.policy.file_size_bytes_max.saturating_sub(to.offset);
        if room == 0 {
            return Err(Errno::FileTooBig.into());
        }
        let len = left.min(room).min(TRANSFER_BYTES_MAX as u64);
        let len = usize::try_from(len).map_err(|_| Errno::Overflow)?;
        let len = self.shorten(call.caller.process, Site::ShortWrite, len) as u64;
        let (from_offset, to_offset, by) = (from.offset, to.offset, to.description.writer());
        let part = ClonePart { from: source, from_offset, len, to: target, to_offset };
        let count = match self.clone_blocks(part).await? {
            0 => self.copy_bytes(part, by).await?,
            count => count,
        };
        call.takes_effect();
        self.cache.balance_after_change(target).await?;
        Ok(count)
    }

    /// Clones as much as can be; answers how many bytes.
    async fn clone_blocks(&self, part: ClonePart) -> Outcome<u64> {
        let page_size = self.cache.page_size_bytes();
        let is_tail = part.from_offset + part.len == self.cache.size_bytes(part.from)?
            && part.to_offset + part.len >= self.cache.size_bytes(part.to)?;
        let len = if is_tail { part.len } else { part.len - part.len % page_size };
        let is_even =
            [part.from_offset, part.to_offset].iter().all(|at| at.is_multiple_of(page_size));
        if len == 0 || !is_even {
            return Ok(0);
        }
        match self.cache.clone_range(&ClonePart { len, ..part }).await {
            Ok(()) => Ok(len),
            Err(SyncError::Cow(error)) if is_power_off(&error) => Err(error.into()),
            // What cannot be shared may still be copied.
            Err(_) => Ok(0),
        }
    }

    /// Copies through memory; answers how many bytes.
    async fn copy_bytes(&self, part: ClonePart, by: Writer) -> Outcome<u64> {
        let len = part.len.min(COPY_BYTES_MAX);
        let data = self.cache.read(part.from, part.from_offset, len).await?;
        Ok(self.cache.write(part.to, part.to_offset, &data, by).await? as u64)
    }
}

//! `ioctl(FICLONERANGE)` and `ioctl(FIDEDUPERANGE)`: two files share what they have in common.

use std::ops::Range;
use std::sync::Arc;

use crate::cache::ClonePart;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::Value;
use crate::sim::TaskLockGuard;
use crate::vfs::Call;
use crate::vfs::CloneSync;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::handles::Description;
use crate::vfs::snapshot::changeable;
use crate::vfs::write::sync_scope;

/// A part of a file, by the description through which it is named.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub description: Arc<Description>,
    pub offset: u64,
}

/// Two files, of which one is read and the other written; both are open for it.
pub(super) fn permitted(from: &Description, to: &Description) -> Result<(), Errno> {
    for description in [from, to] {
        match description.kind {
            FileKind::Regular => {}
            FileKind::Directory => return Err(Errno::IsDirectory),
            FileKind::Symlink => return Err(Errno::Invalid),
        }
    }
    if !from.read || !to.write || to.position().status.append {
        return Err(Errno::BadFile);
    }
    Ok(())
}

/// A range of bytes that a file can have.
pub(super) fn range_of(offset: u64, len: u64) -> Result<Range<u64>, Errno> {
    let end = offset.checked_add(len).filter(|end| *end <= FILE_SIZE_BYTES_MAX);
    Ok(offset..end.ok_or(Errno::Invalid)?)
}

/// Have the two ranges a byte in common?
pub(super) fn overlap(one: &Range<u64>, two: &Range<u64>) -> bool {
    one.start.max(two.start) < one.end.min(two.end)
}

impl ReferenceVfs {
    /// The content locks of two files, or of one, in the order of their numbers.
    pub(super) async fn lock_contents(&self, one: u64, two: u64) -> Vec<TaskLockGuard> {
        let mut inos = vec![one.min(two), one.max(two)];
        inos.dedup();
        let locks: Vec<_> = inos.into_iter().map(|ino| self.content_lock(ino)).collect();
        loop {
            let mut guards = Vec::new();
            for lock in &locks {
                guards.push(lock.acquire().await);
            }
            let Some(held) = self.cache.changes_held() else { return guards };
            // Nobody waits for that with a lock in hand: who holds changes waits for the locks.
            drop(guards);
            drop(held.acquire().await);
        }
    }

    /// Two descriptions, in the order of the arguments.
    pub(super) fn sides(&self, from: (HandleId, u64), to: (HandleId, u64)) -> Outcome<[Side; 2]> {
        let side = |(handle, offset)| {
            self.description(handle).map(|description| Side { description, offset })
        };
        Ok([side(from)?, side(to)?])
    }

    /// `ioctl(FICLONERANGE)`.
    pub(super) async fn clone_range(
        &self,
        call: &Call<'_>,
        [from, to]: &[Side; 2],
        len: u64,
    ) -> Outcome<Value> {
        permitted(&from.description, &to.description)?;
        let (source, target) = (from.description.ino, to.description.ino);
        let guards = self.lock_contents(source, target).await;
        let size = self.cache.size_bytes(source)?;
        if from.offset > size {
            return Err(Errno::Invalid.into());
        }
        let len = if len == 0 { size - from.offset } else { len };
        if len == 0 {
            return Ok(Value::Done);
        }
        let (read, written) = (range_of(from.offset, len)?, range_of(to.offset, len)?);
        let is_tail = read.end == size && written.end >= self.cache.size_bytes(target)?;
        let ends = [read.start, written.start, if is_tail { 0 } else { len }];
        let is_even = ends.iter().all(|offset| offset.is_multiple_of(self.cache.page_size_bytes()));
        let overlaps = source == target && overlap(&read, &written);
        if read.end > size || !is_even || overlaps {
            return Err(Errno::Invalid.into());
        }
        self.may_reach(target, written.end)?;
        let (from_offset, to_offset) = (read.start, written.start);
        let part = ClonePart { from: source, from_offset, len, to: target, to_offset };
        self.cache.clone_range(&part).await?;
        call.takes_effect();
        drop(guards);
        self.sync_if_asked(call, &to.description).await?;
        Ok(Value::Done)
    }

    /// `ioctl(FIDEDUPERANGE)`.
    pub(super) async fn dedupe_range(
        &self,
        call: &Call<'_>,
        [from, to]: &[Side; 2],
        len: u64,
    ) -> Outcome<Value> {
        let (source, target) = (&from.description, &to.description);
        permitted(source, target)?;
        changeable(target.ino)?;
        let (read, written) = (range_of(from.offset, len)?, range_of(to.offset, len)?);
        let page_size = self.cache.page_size_bytes();
        let is_even = [read.start, written.start].iter().all(|at| at.is_multiple_of(page_size));
        if !is_even || source.ino == target.ino && overlap(&read, &written) {
            return Err(Errno::Invalid.into());
        }
        if len == 0 {
            return Ok(Value::Same(true));
        }
        let _contents = self.lock_contents(source.ino, target.ino).await;
        let sizes = [self.cache.size_bytes(source.ino)?, self.cache.size_bytes(target.ino)?];
        if read.end > sizes[0] || written.end > sizes[1] {
            return Err(Errno::Invalid.into());
        }
        let (from, to) = (source.ino, target.ino);
        let (from_offset, to_offset) = (read.start, written.start);
        let part = ClonePart { from, from_offset, len, to, to_offset };
        let same = self.cache.dedupe_range(&part).await?;
        call.takes_effect();
        Ok(Value::Same(same))
    }

    /// What a description that syncs each write does after one.
    pub(super) async fn sync_if_asked(
        &self,
        call: &Call<'_>,
        description: &Description,
    ) -> Outcome<()> {
        let status = description.position().status;
        if self.policy.clone_sync == CloneSync::Forgotten {
            return Ok(());
        }
        match sync_scope(status) {
            Some(scope) => self.sync_file(call, description, scope, 0..u64::MAX).await,
            None => Ok(()),
        }
    }
}

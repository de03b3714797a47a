//! `fallocate`: room for a range, holes, and ranges that come and go.
//!
//! Blocks that are set aside read as zeros until they are written. A file that is overwritten in
//! place keeps them for good; any other takes fresh blocks for each later write, so that the
//! promise that such writes never lack space is not made for it.

use std::ops::Range;

use crate::cache::Reshape;
use crate::cache::Writer;
use crate::call::AllocateMode;
use crate::call::Errno;
use crate::call::HandleId;
use crate::call::Value;
use crate::vfs::Call;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::SizeLimit;

impl ReferenceVfs {
    pub(super) async fn allocate(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        [offset, len]: [u64; 2],
        mode: AllocateMode,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        let ino = description.writable()?;
        let of = (ino, description.writer());
        if len == 0 {
            return Err(Errno::Invalid.into());
        }
        let end = offset.checked_add(len).filter(|end| *end <= FILE_SIZE_BYTES_MAX);
        let range = offset..end.ok_or(Errno::FileTooBig)?;
        match mode {
            AllocateMode::Extend => self.back(ino, &range, range.end).await?,
            AllocateMode::KeepSize => self.back(ino, &range, 0).await?,
            AllocateMode::PunchHole => self.zero(of, &range, false, 0).await?,
            AllocateMode::ZeroRange => self.zero(of, &range, true, range.end).await?,
            AllocateMode::ZeroRangeKeepSize => self.zero(of, &range, true, 0).await?,
            AllocateMode::CollapseRange => self.shift(ino, &range, Reshape::Collapse).await?,
            AllocateMode::InsertRange => self.shift(ino, &range, Reshape::Insert).await?,
        }
        call.takes_effect();
        Ok(Value::Done)
    }

    /// Can the device hold so much?
    fn check_room(&self, range: &Range<u64>) -> Result<(), Errno> {
        let geometry = self.cow.geometry();
        let len = range.end - range.start;
        match len.div_ceil(u64::from(geometry.block_size_bytes)) > geometry.block_count {
            true => Err(Errno::NoSpace),
            false => Ok(()),
        }
    }

    /// May a file be made so long?
    pub(super) fn may_reach(&self, ino: u64, end: u64) -> Outcome<()> {
        let limit = match self.policy.size_limit {
            SizeLimit::EveryCall => self.policy.file_size_bytes_max,
            SizeLimit::WritesAlone => FILE_SIZE_BYTES_MAX,
        };
        let is_within = end <= limit || end <= self.cache.size_bytes(ino)?;
        if is_within { Ok(()) } else { Err(Errno::FileTooBig.into()) }
    }

    async fn back(&self, ino: u64, range: &Range<u64>, size_bytes: u64) -> Outcome<()> {
        self.check_room(range)?;
        let _content = self.lock_content(ino).await;
        self.may_reach(ino, size_bytes)?;
        let (range, by) = (range.clone(), Writer::NOBODY);
        Ok(self.cache.reshape(ino, range, Reshape::Back, size_bytes, by).await?)
    }

    async fn zero(
        &self,
        (ino, by): (u64, Writer),
        range: &Range<u64>,
        is_backed: bool,
        size_bytes: u64,
    ) -> Outcome<()> {
        if is_backed {
            self.check_room(range)?;
        }
        let _content = self.lock_content(ino).await;
        self.may_reach(ino, size_bytes)?;
        let how = Reshape::Zero { is_backed };
        self.cache.reshape(ino, range.clone(), how, size_bytes, by).await?;
        Ok(self.cache.balance_after_change(ino).await?)
    }

    /// What follows a range moves down onto it, or up from it.
    async fn shift(&self, ino: u64, range: &Range<u64>, how: Reshape) -> Outcome<()> {
        let page_size = self.cache.page_size_bytes();
        if ![range.start, range.end].iter().all(|at| at.is_multiple_of(page_size)) {
            return Err(Errno::Invalid.into());
        }
        // A page that is stored to while it moves would not know where it belongs.
        let _held = self.cache.hold_changes().await;
        let _content = self.content_lock(ino).acquire().await;
        let size_bytes = self.cache.size_bytes(ino)?;
        let is_inside = match how {
            Reshape::Collapse => range.end < size_bytes,
            Reshape::Insert | Reshape::Zero { .. } | Reshape::Back => range.start < size_bytes,
        };
        if !is_inside {
            return Err(Errno::Invalid.into());
        }
        let is_room = size_bytes <= FILE_SIZE_BYTES_MAX - (range.end - range.start);
        if how == Reshape::Insert && !is_room {
            return Err(Errno::FileTooBig.into());
        }
        if how == Reshape::Insert {
            self.may_reach(ino, size_bytes + (range.end - range.start))?;
        }
        Ok(self.cache.reshape(ino, range.clone(), how, 0, Writer::NOBODY).await?)
    }
}

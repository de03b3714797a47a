//! `mmap`: a mapping holds its file, not the handle.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::cache::NewMapping;
use crate::call::Access;
use crate::call::Errno;
use crate::call::FileKind;
use crate::call::HandleId;
use crate::call::MappingId;
use crate::call::Sharing;
use crate::call::Value;
use crate::cow::Kind;
use crate::mutex::WorldGuard;
use crate::vfs::Call;
use crate::vfs::FILE_SIZE_BYTES_MAX;
use crate::vfs::Outcome;
use crate::vfs::ReferenceVfs;
use crate::vfs::handles::Description;

/// The description that each mapping was made through: it outlives its handle here, with what it
/// was told of errors.
pub(super) type Mapped = BTreeMap<MappingId, Arc<Description>>;

impl ReferenceVfs {
    pub(super) fn mapped(&self) -> WorldGuard<'_, Mapped> {
        self.mapped.lock()
    }

    pub(super) async fn map(
        &self,
        call: &Call<'_>,
        handle: HandleId,
        range: Range<u64>,
        access: Access,
        sharing: Sharing,
    ) -> Outcome<Value> {
        let description = self.description(handle)?;
        may_map(&description, access, sharing)?;
        if range.is_empty() || !range.start.is_multiple_of(self.memory_page_bytes()) {
            return Err(Errno::Invalid.into());
        }
        if range.end > FILE_SIZE_BYTES_MAX {
            return Err(Errno::Overflow.into());
        }
        let owner = call.caller.process;
        if self.cache.mapped_piece_count(owner) >= self.policy.mapped_parts_max {
            return Err(Errno::NoMemory.into());
        }
        let ino = description.ino;
        if !self.hold(ino, Kind::Regular).await? {
            return Err(Errno::BadFile.into()); // It was closed and removed meanwhile.
        }
        let len = range.end - range.start;
        let by = description.writer();
        let new = NewMapping { owner, ino, offset: range.start, len, access, sharing, by };
        match self.cache.map(new).await {
            Ok(id) => {
                self.mapped().insert(id, description);
                Ok(Value::Mapping(id))
            }
            Err(error) => {
                self.release(ino).await?;
                Err(error.into())
            }
        }
    }
}

/// May a mapping of this access be made, or be given it?
pub(super) fn may_map(
    description: &Description,
    access: Access,
    sharing: Sharing,
) -> Result<(), Errno> {
    match description.kind {
        FileKind::Directory | FileKind::Symlink => Err(Errno::NoDevice),
        // Whatever the access: a page is always read first.
        FileKind::Regular if !description.read => Err(Errno::Access),
        FileKind::Regular => match sharing {
            Sharing::Shared if access.write && !description.write => Err(Errno::Access),
            Sharing::Shared | Sharing::Private => Ok(()),
        },
    }
}

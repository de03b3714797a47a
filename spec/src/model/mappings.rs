//! Files in the memory of processes. A mapping keeps its file, as a handle does.

use std::ops::Range;
use std::sync::Arc;

use imbl::OrdMap;

use crate::model::Extents;
use crate::model::FileId;
use crate::model::Handle;
use crate::model::MEMORY_PAGE_BYTES;
use crate::model::Model;
use crate::words::Access;
use crate::words::HandleId;
use crate::words::MappingId;
use crate::words::Pid;
use crate::words::Sharing;

/// A part of a mapping, from its key on.
#[derive(Debug, Clone, Copy)]
struct Part {
    end: u64,
    access: Access,
}

/// A mapping of a file into the memory of a process.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    pub(crate) file: FileId,
    pub(crate) process: Pid,
    /// The handle that it was made through, as it was then.
    pub(crate) handle: (HandleId, Handle),
    /// Where in the file it begins.
    pub(crate) start: u64,
    pub(crate) sharing: Sharing,
    /// The newest change when it was made.
    pub(crate) made: u64,
    /// The size of the file when it was made.
    pub(crate) size_when_made: u64,
    /// What is still mapped, by offset in the mapping.
    parts: OrdMap<u64, Part>,
    /// What a private mapping was stored to, by offset in the file.
    pub(crate) own: Extents,
    /// From this offset in the file on, a cut may have dropped what was stored.
    pub(crate) own_until: u64,
}

impl Mapping {
    pub(crate) fn new(
        file: FileId,
        process: Pid,
        handle: (HandleId, Handle),
        start: u64,
        sharing: Sharing,
    ) -> Self {
        Self {
            file,
            process,
            handle,
            start,
            sharing,
            made: 0,
            size_when_made: 0,
            parts: OrdMap::new(),
            own: Extents::default(),
            own_until: u64::MAX,
        }
    }

    /// Maps a range of it, with this access, or not at all any more.
    pub(crate) fn set(&mut self, range: Range<u64>, access: Option<Access>) {
        let end = range.end.checked_next_multiple_of(MEMORY_PAGE_BYTES).unwrap_or(u64::MAX);
        self.cut(range.start);
        self.cut(end);
        let covered: Vec<u64> = self.parts.range(range.start..end).map(|(at, _)| *at).collect();
        for at in covered {
            match access {
                Some(access) => self.parts[&at].access = access,
                None => drop(self.parts.remove(&at)),
            }
        }
    }

    /// The whole of it, when it is made.
    pub(crate) fn begin(&mut self, len: u64, access: Access) {
        let end = len.checked_next_multiple_of(MEMORY_PAGE_BYTES).unwrap_or(u64::MAX);
        self.parts.insert(0, Part { end, access });
    }

    fn cut(&mut self, at: u64) {
        let Some((start, part)) = self.parts.get_prev(&at).map(|(start, part)| (*start, *part))
        else {
            return;
        };
        if start < at && at < part.end {
            self.parts.insert(start, Part { end: at, ..part });
            self.parts.insert(at, part);
        }
    }

    /// Is all of a range mapped, and may all of it be used so?
    pub(crate) fn permits(&self, range: &Range<u64>, may: impl Fn(Access) -> bool) -> bool {
        let mut at = range.start;
        while let Some((_, part)) = self.parts.get_prev(&at) {
            if part.end <= at || !may(part.access) {
                return false;
            }
            at = part.end;
            if at >= range.end {
                return true;
            }
        }
        false
    }

    /// Is nothing of it left?
    pub(crate) fn is_gone(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Model {
    pub(crate) fn map(&mut self, id: MappingId, mut mapping: Mapping) {
        mapping.made = self.order;
        mapping.size_when_made = self.regular(mapping.file).map_or(0, |regular| regular.size);
        self.file_mut(mapping.file).handles += 1;
        self.last_mapping = self.last_mapping.max(id);
        self.mappings.insert(id, Arc::new(mapping));
    }

    pub(crate) fn unmap(&mut self, id: MappingId) {
        if let Some(mapping) = self.mappings.remove(&id) {
            self.file_mut(mapping.file).handles -= 1;
            self.collect(mapping.file);
        }
    }

    pub(crate) fn mapping_mut(&mut self, id: MappingId) -> Option<&mut Mapping> {
        self.mappings.get_mut(&id).map(Arc::make_mut)
    }

    /// A file was cut: what private mappings stored beyond its end is there, or is not.
    pub(crate) fn cut_mappings(&mut self, file: FileId, size: u64) {
        let of_file = |mapping: &Arc<Mapping>| mapping.file == file && !mapping.own.is_empty();
        let ids: Vec<MappingId> =
            self.mappings.iter().filter(|(_, of)| of_file(of)).map(|(id, _)| *id).collect();
        for id in ids {
            if let Some(mapping) = self.mapping_mut(id) {
                mapping.own.forget(size..u64::MAX);
                mapping.own_until = mapping.own_until.min(size);
            }
        }
    }

    /// Is a file held by mappings alone?
    pub(crate) fn is_only_mapped(&self, file: FileId) -> bool {
        let known = self.file(file);
        let mapped = self.mappings.values().filter(|mapping| mapping.file == file).count() as u64;
        known.names == 0 && known.handles == mapped
    }
}

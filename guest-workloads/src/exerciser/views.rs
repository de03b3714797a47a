//! Mappings: shared and private, of several files, with pages that are protected, replaced and
//! unmapped.

use std::io;

use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guest::mapping::PAGE_SIZE_BYTES;

use super::Exerciser;
use super::SIZE_MAX;
use super::expect;
use super::size;
use super::tree::NodeId;
use super::tree::Tree;
use crate::draws::Draws;

pub(super) const OPERATION_COUNT: u64 = 20;

const VIEWS_MAX: usize = 3;
const PAGES_MAX: usize = 4;

/// What one page of a mapping shows.
#[derive(Debug, Clone)]
struct Page {
    node: NodeId,
    /// Where it begins in the file.
    offset: usize,
    access: Access,
    /// May it be made writable?
    is_writable: bool,
    /// The bytes that were stored here and nowhere else, if the mapping is private.
    own: Option<Vec<Option<u8>>>,
}

impl Page {
    /// How much of it is within the file.
    fn size(&self, tree: &Tree) -> usize {
        tree.content(self.node).len().saturating_sub(self.offset).min(PAGE_SIZE_BYTES)
    }
}

/// A mapping, and its pages as they should be; nothing, where they are unmapped.
#[derive(Debug)]
pub(super) struct View {
    mapping: Mapping,
    pages: Vec<Option<Page>>,
}

impl View {
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.pages.iter().flatten().map(|page| page.node)
    }

    /// The file was cut: private copies beyond its end are gone, and may be gone in its last page.
    pub(super) fn cut(&mut self, node: NodeId, new: usize) {
        for page in self.pages.iter_mut().flatten().filter(|page| page.node == node) {
            if page.offset + PAGE_SIZE_BYTES > new
                && let Some(own) = &mut page.own
            {
                own.fill(None);
            }
        }
    }

    /// Some pages, and where they begin and how long they are.
    fn pages(&self, draws: &mut Draws) -> (usize, usize) {
        let first = draws.index(self.pages.len());
        (first, 1 + draws.index(self.pages.len() - first))
    }

    /// A place within a page and the file, where that access is allowed.
    fn place(&self, tree: &Tree, draws: &mut Draws, access: Access) -> Option<(usize, usize)> {
        let number = draws.index(self.pages.len());
        let page = self.pages[number].as_ref()?;
        let room = page.size(tree);
        let may = page.access == Access::READ_WRITE || page.access == access;
        if !may || room == 0 {
            return None;
        }
        let at = draws.index(room);
        let count = 1 + draws.index((room - at).min(size(SIZE_MAX)));
        Some((number * PAGE_SIZE_BYTES + at, count))
    }
}

impl Exerciser {
    /// One operation on a mapping, or a new mapping if there is none.
    pub(super) fn on_views(&mut self, operation: u64) -> io::Result<()> {
        if self.views.is_empty() || operation == 0 {
            return self.map();
        }
        let position = self.draws.index(self.views.len());
        match operation {
            1..=7 => self.store(position),
            8..=9 => {
                self.compare_view(position);
                Ok(())
            }
            10 => self.copy_in_view(position),
            11..=13 => self.sync_view(position),
            14 => self.protect(position),
            15 => self.advise(position),
            16 => self.unmap_part(position),
            17 => self.replace(position),
            18 => self.unmap(position),
            _ => self.map(),
        }
    }

    /// Maps an open file, in the place of the oldest mapping if there are many.
    fn map(&mut self) -> io::Result<()> {
        if self.open.is_empty() {
            return self.open("f");
        }
        if self.views.len() == VIEWS_MAX {
            self.unmap(0)?;
        }
        let chosen = self.draws.index(self.open.len());
        let (first, count) = (self.draws.index(PAGES_MAX), 1 + self.draws.index(PAGES_MAX));
        let is_private = self.draws.below(3) == 0;
        let access = if self.draws.below(4) == 0 { Access::READ } else { Access::READ_WRITE };
        let open = &self.open[chosen];
        let description = &self.descriptions[open.description];
        let (offset, size_bytes) = ((first * PAGE_SIZE_BYTES) as u64, count * PAGE_SIZE_BYTES);
        let answer = match is_private {
            true => Mapping::private(&open.file, offset, size_bytes, access),
            false => Mapping::shared(&open.file, offset, size_bytes, access),
        };
        let is_writable = is_private || description.is_writable;
        expect("mmap", is_writable || access == Access::READ, &answer);
        let own = is_private.then(|| vec![None; PAGE_SIZE_BYTES]);
        let node = description.node;
        let page = |number| {
            let (offset, own) = ((first + number) * PAGE_SIZE_BYTES, own.clone());
            Some(Page { node, offset, access, is_writable, own })
        };
        let pages = (0..count).map(page).collect();
        self.views.push(View { mapping: answer?, pages });
        Ok(())
    }

    fn unmap(&mut self, position: usize) -> io::Result<()> {
        let view = self.views.remove(position);
        let answer = view.mapping.unmap();
        expect("munmap", true, &answer);
        self.collect();
        answer
    }

    fn store(&mut self, position: usize) -> io::Result<()> {
        let view = &self.views[position];
        let place = view.place(&self.tree, &mut self.draws, Access::READ_WRITE);
        let Some((at, count)) = place else { return Ok(()) };
        let mark = b'A' + u8::try_from(self.draws.below(26)).unwrap_or(0);
        if self.draws.below(2) == 0 {
            view.mapping.fill(at, count, mark);
        } else {
            view.mapping.store(at, &vec![mark; count]);
        }
        self.stored(position, at, &vec![mark; count]);
        Ok(())
    }

    /// Bytes are now in a page, and in its file if it is shared.
    fn stored(&mut self, position: usize, at: usize, bytes: &[u8]) {
        let (number, within) = (at / PAGE_SIZE_BYTES, at % PAGE_SIZE_BYTES);
        let Some(page) = &mut self.views[position].pages[number] else { return };
        match &mut page.own {
            Some(own) => {
                for (place, &byte) in own[within..].iter_mut().zip(bytes) {
                    *place = Some(byte);
                }
            }
            None => {
                let (node, place) = (page.node, page.offset + within);
                self.tree.content_mut(node).write(place, bytes);
                self.tree.touch(node);
                self.tree.node_mut(node).is_stored = true;
            }
        }
    }

    /// Copies from one page to another, or within one.
    fn copy_in_view(&mut self, position: usize) -> io::Result<()> {
        let view = &self.views[position];
        let from = view.place(&self.tree, &mut self.draws, Access::READ);
        let to = view.place(&self.tree, &mut self.draws, Access::READ_WRITE);
        let (Some((from, count)), Some((to, room))) = (from, to) else { return Ok(()) };
        let count = count.min(room);
        // What a private page shows where nothing was stored is not the model's to know, but it is
        // what is copied.
        let bytes = view.mapping.bytes(from, count);
        view.mapping.copy_within(from, to, count);
        self.stored(position, to, &bytes);
        self.compare_view(position);
        Ok(())
    }

    /// Holds every page that can be loaded against the model.
    pub(super) fn compare_view(&mut self, position: usize) {
        let view = &self.views[position];
        for (number, page) in view.pages.iter().enumerate() {
            let Some(page) = page.as_ref().filter(|page| page.access != Access::NONE) else {
                continue;
            };
            let count = page.size(&self.tree);
            let found = view.mapping.bytes(number * PAGE_SIZE_BYTES, count);
            match &page.own {
                None => self.tree.content_mut(page.node).compare("a mapping", page.offset, &found),
                Some(own) => {
                    let differs =
                        |(own, &byte): (&Option<u8>, &u8)| own.is_some_and(|own| own != byte);
                    let place = own.iter().zip(&found).position(differs);
                    assert!(place.is_none(), "a private store is lost, at {place:?}");
                }
            }
        }
    }

    fn sync_view(&mut self, position: usize) -> io::Result<()> {
        let view = &self.views[position];
        let (first, count) = view.pages(&mut self.draws);
        let (at, size_bytes) = (first * PAGE_SIZE_BYTES, count * PAGE_SIZE_BYTES);
        let answer = match self.draws.below(5) {
            0 => view.mapping.sync_some_day(at, size_bytes),
            1 => view.mapping.sync_and_invalidate(at, size_bytes),
            _ => view.mapping.sync(at, size_bytes),
        };
        let pages = &view.pages[first..first + count];
        expect("msync", pages.iter().all(Option::is_some), &answer);
        if answer.as_ref().is_err_and(super::is_refused_by_machine) {
            let nodes: Vec<NodeId> = view.nodes().collect();
            for node in nodes {
                self.note_sync(node, &Err(io::ErrorKind::Other.into()));
            }
        }
        answer
    }

    fn protect(&mut self, position: usize) -> io::Result<()> {
        let view = &mut self.views[position];
        let (first, count) = view.pages(&mut self.draws);
        let access = match self.draws.below(4) {
            0 => Access::NONE,
            1 => Access::READ,
            _ => Access::READ_WRITE,
        };
        let answer = view.mapping.protect(first * PAGE_SIZE_BYTES, count * PAGE_SIZE_BYTES, access);
        // Pages are changed in turn, up to the first that refuses.
        let mut should = true;
        for page in &mut view.pages[first..first + count] {
            match page {
                Some(page) if should && (page.is_writable || access != Access::READ_WRITE) => {
                    page.access = access;
                }
                Some(_) | None => should = false,
            }
        }
        expect("mprotect", should, &answer);
        answer
    }

    fn advise(&mut self, position: usize) -> io::Result<()> {
        let view = &self.views[position];
        let (first, count) = view.pages(&mut self.draws);
        let advice = i32::try_from(self.draws.below(4)).unwrap_or(0);
        let (at, size_bytes) = (first * PAGE_SIZE_BYTES, count * PAGE_SIZE_BYTES);
        let answer = view.mapping.advise(at, size_bytes, advice);
        expect("madvise", view.pages[first..first + count].iter().all(Option::is_some), &answer);
        answer
    }

    fn unmap_part(&mut self, position: usize) -> io::Result<()> {
        let view = &mut self.views[position];
        let (first, count) = view.pages(&mut self.draws);
        let answer = view.mapping.unmap_part(first * PAGE_SIZE_BYTES, count * PAGE_SIZE_BYTES);
        expect("munmap of a part", true, &answer);
        answer?;
        view.pages[first..first + count].fill(None);
        self.collect();
        Ok(())
    }

    /// Maps other pages of some open file over a part.
    fn replace(&mut self, position: usize) -> io::Result<()> {
        if self.open.is_empty() {
            return self.open("f");
        }
        let view = &mut self.views[position];
        let (first, count) = view.pages(&mut self.draws);
        let open = &self.open[self.draws.index(self.open.len())];
        let description = &self.descriptions[open.description];
        let from = self.draws.index(PAGES_MAX);
        let access = if self.draws.below(3) == 0 { Access::READ } else { Access::READ_WRITE };
        let (at, size_bytes) = (first * PAGE_SIZE_BYTES, count * PAGE_SIZE_BYTES);
        let offset = (from * PAGE_SIZE_BYTES) as u64;
        let answer = view.mapping.replace(at, &open.file, offset, size_bytes, access);
        let is_writable = description.is_writable;
        expect("mmap over a mapping", is_writable || access == Access::READ, &answer);
        // What was there is unmapped first, whatever comes of the rest; a file system that has
        // stopped may not come that far.
        if answer.as_ref().is_err_and(super::is_refused_by_machine) {
            view.mapping.unmap_part(at, size_bytes)?;
        }
        for (number, page) in view.pages[first..first + count].iter_mut().enumerate() {
            let (node, offset) = (description.node, (from + number) * PAGE_SIZE_BYTES);
            let own = None;
            *page = answer.is_ok().then_some(Page { node, offset, access, is_writable, own });
        }
        self.collect();
        answer
    }
}

//! Operations on open files.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use crashproof_guest::attributes;
use crashproof_guest::file;
use crashproof_guest::locks;
use crashproof_guest::locks::Kind;

use super::Description;
use super::Exerciser;
use super::OFFSET_MAX;
use super::Open;
use super::SIZE_MAX;
use super::expect;
use super::size;
use super::tree::NodeId;
use super::uninterrupted;
use crate::abi;

pub(super) const OPERATION_COUNT: u64 = 24;

/// A rewrite is shorter.
const REWRITTEN_MAX: u64 = 100;

/// Times are set to whole seconds below this, long before any that the system gives.
const SECONDS_MAX: u64 = 1_000_000;

/// Holds the answer of a call that moves bytes against the model; one that moves none may succeed
/// without looking, or look.
fn expect_moved(call: &str, should_succeed: bool, count: usize, answer: &io::Result<usize>) {
    if should_succeed || count > 0 {
        expect(call, should_succeed, answer);
    }
}

impl Exerciser {
    /// Writes a little over what some open file has, or opens one.
    pub(super) fn rewrite(&mut self) -> io::Result<()> {
        if self.open.is_empty() {
            return self.open("f");
        }
        let position = self.draws.index(self.open.len());
        let len = self.tree.content(self.node_of(position)).len() as u64;
        let (offset, count) = (self.draws.below(len.max(1)), size(self.draws.below(REWRITTEN_MAX)));
        let (offset, count) = self.rounded(position, offset, count)?;
        self.write_at(position, offset, count)
    }

    /// One operation on an open file, or an open if there is none.
    pub(super) fn on_file(&mut self, operation: u64) -> io::Result<()> {
        if self.open.is_empty() {
            return self.open("f");
        }
        let position = self.draws.index(self.open.len());
        let (offset, count) = (self.draws.below(OFFSET_MAX), size(self.draws.below(SIZE_MAX)));
        let (offset, count) = self.rounded(position, offset, count)?;
        match operation {
            0..=2 => self.write_at(position, offset, count),
            3..=4 => self.read_at(position, offset, count),
            5 => self.truncate(position, offset),
            6 => self.sync(position, abi::sync_data),
            7 => self.allocate(position, offset, count as u64 + 1),
            8 => self.duplicate(position),
            9 => self.lock(position, offset, count as u64),
            10 => self.write_on(position, count),
            11 => self.read_on(position, count),
            12 => self.seek(position, offset),
            13 => self.status(position),
            14 => self.set_append(position),
            15 => self.name_open(position),
            16 => self.close(position),
            17 => self.set_modified(position),
            18 => file::write_range_back(&self.open[position].file, offset, count as u64),
            19 => self.set_compression(position),
            _ => self.sync(position, File::sync_all),
        }
    }

    /// Whole blocks, most times, if the file was opened past the cache.
    fn rounded(&mut self, position: usize, at: u64, count: usize) -> io::Result<(u64, usize)> {
        if !self.description(position).is_direct || self.draws.below(8) == 0 {
            return Ok((at, count));
        }
        let block = self.block_size(position)?;
        Ok((at - at % block as u64, count.next_multiple_of(block)))
    }

    /// May so many bytes be read or written there?
    fn is_aligned(&self, position: usize, at: usize, count: usize) -> bool {
        let is_whole = |number: usize| number.is_multiple_of(self.block_size.max(1));
        !self.description(position).is_direct || is_whole(at) && is_whole(count)
    }

    pub(super) fn description(&self, position: usize) -> &Description {
        &self.descriptions[self.open[position].description]
    }

    pub(super) fn description_mut(&mut self, position: usize) -> &mut Description {
        &mut self.descriptions[self.open[position].description]
    }

    pub(super) fn node_of(&self, position: usize) -> NodeId {
        self.description(position).node
    }

    /// A buffer of one letter.
    fn buffer(&mut self, count: usize) -> Vec<u8> {
        vec![b'a' + u8::try_from(self.draws.below(26)).unwrap_or(0); count]
    }

    /// Something other than a call failed half way: it is known what the bytes may be.
    fn written(
        &mut self,
        position: usize,
        at: usize,
        bytes: &[u8],
        answer: io::Result<usize>,
    ) -> io::Result<usize> {
        let node = self.node_of(position);
        let is_aligned = self.is_aligned(position, at, bytes.len());
        let should = self.description(position).is_writable && is_aligned;
        expect_moved("write", should, bytes.len(), &answer);
        match &answer {
            Ok(count) => {
                assert!(*count <= bytes.len(), "more was written than was given");
                if *count > 0 {
                    self.tree.content_mut(node).write(at, &bytes[..*count]);
                    self.tree.touch(node);
                }
            }
            Err(error) if should && error.kind() != io::ErrorKind::Interrupted => {
                let told = uninterrupted(|| abi::status(&self.open[position].file))?;
                let old = self.tree.content(node).len();
                let new = size(told.size);
                assert!(new == old || new > old && new <= at + bytes.len(), "a size of {new}");
                self.tree.content_mut(node).may_have_written(at, bytes, new);
                self.tree.touch(node);
            }
            Err(_) => {}
        }
        answer
    }

    fn write_at(&mut self, position: usize, offset: u64, count: usize) -> io::Result<()> {
        let bytes = self.buffer(count);
        let mut done = 0;
        loop {
            // As on Linux, appending is stronger than the offset.
            let at = match self.description(position).is_append {
                true => self.tree.content(self.node_of(position)).len(),
                false => size(offset) + done,
            };
            let answer =
                abi::write_at(&self.open[position].file, &bytes[done..], offset + done as u64);
            let more = self.written(position, at, &bytes[done..], answer)?;
            done += more;
            if more == 0 || done == bytes.len() {
                return Ok(());
            }
        }
    }

    /// Writes at the descriptor's own offset.
    fn write_on(&mut self, position: usize, count: usize) -> io::Result<()> {
        let bytes = self.buffer(count);
        let at = match self.description(position).is_append {
            true => self.tree.content(self.node_of(position)).len(),
            false => size(self.description(position).offset),
        };
        let answer = (&self.open[position].file).write(&bytes);
        let written = self.written(position, at, &bytes, answer)?;
        if written > 0 {
            self.description_mut(position).offset = (at + written) as u64;
        }
        Ok(())
    }

    fn read_at(&mut self, position: usize, offset: u64, count: usize) -> io::Result<()> {
        let mut found = vec![0; count];
        let file = &self.open[position].file;
        if self.description(position).is_direct {
            // What is left of a short read need not be whole blocks.
            let answer = abi::read_at(file, &mut found, offset);
            let should = self.is_aligned(position, size(offset), count);
            expect_moved("a direct read", should, count, &answer);
            let content = self.tree.content_mut(self.node_of(position));
            content.compare("a direct read", size(offset), &found[..answer?]);
            return Ok(());
        }
        let read = abi::read_full_at(file, &mut found, offset)?;
        let content = self.tree.content_mut(self.node_of(position));
        content.compare_to_end("a read", size(offset), &found[..read], count);
        Ok(())
    }

    /// Reads all that an open file has.
    pub(super) fn compare_open(&mut self, position: usize) -> io::Result<()> {
        let block = self.block_size(position)?;
        let count = (self.tree.content(self.node_of(position)).len() + 100).next_multiple_of(block);
        self.read_at(position, 0, count)?;
        self.status(position)
    }

    /// Reads at the descriptor's own offset; less than asked for may come.
    fn read_on(&mut self, position: usize, count: usize) -> io::Result<()> {
        let mut found = vec![0; count];
        let offset = self.description(position).offset;
        let answer = (&self.open[position].file).read(&mut found);
        let should = self.is_aligned(position, size(offset), count);
        expect_moved("a read", should, count, &answer);
        let read = answer?;
        self.description_mut(position).offset += read as u64;
        let content = self.tree.content_mut(self.node_of(position));
        assert!(read > 0 || count == 0 || size(offset) >= content.len(), "a read ends early");
        content.compare("a read", size(offset), &found[..read]);
        Ok(())
    }

    fn seek(&mut self, position: usize, offset: u64) -> io::Result<()> {
        let (here, end) = {
            let description = self.description(position);
            (description.offset, self.tree.content(description.node).len() as u64)
        };
        let back = i64::try_from(offset / 2).unwrap_or(0);
        let (target, expected) = match self.draws.below(3) {
            0 => (SeekFrom::Start(offset), Some(offset)),
            1 => (SeekFrom::Current(-back), here.checked_sub(offset / 2)),
            _ => (SeekFrom::End(-back), end.checked_sub(offset / 2)),
        };
        let answer = (&self.open[position].file).seek(target);
        expect("seek", expected.is_some(), &answer);
        let told = answer?;
        assert_eq!(Some(told), expected, "an offset");
        self.description_mut(position).offset = told;
        Ok(())
    }

    fn truncate(&mut self, position: usize, new: u64) -> io::Result<()> {
        let (node, should) = (self.node_of(position), self.description(position).is_writable);
        let answer = self.open[position].file.set_len(new);
        expect("truncate", should, &answer);
        match answer {
            Ok(()) => self.resized(node, size(new)),
            Err(error) => return self.failed(position, error),
        }
        Ok(())
    }

    /// A call failed that may have done anything to the file, if it was not interrupted.
    pub(super) fn failed(&mut self, position: usize, error: io::Error) -> io::Result<()> {
        if self.description(position).is_writable && error.kind() != io::ErrorKind::Interrupted {
            let (node, again) =
                (self.node_of(position), file::duplicate(&self.open[position].file));
            self.tree.touch(node);
            self.learn(&again?, node)?;
        }
        Err(error)
    }

    /// The file was cut, or grew. Private copies of pages that lose their place are gone.
    pub(super) fn resized(&mut self, node: NodeId, new: usize) {
        if new < self.tree.content(node).len() {
            self.views.iter_mut().for_each(|view| view.cut(node, new));
        }
        self.tree.content_mut(node).resize(new);
        self.tree.touch(node);
    }

    fn allocate(&mut self, position: usize, offset: u64, count: u64) -> io::Result<()> {
        let (node, should) = (self.node_of(position), self.description(position).is_writable);
        let answer = abi::allocate(&self.open[position].file, offset, count);
        expect("allocate", should, &answer);
        match answer {
            Ok(()) => {
                let end = self.tree.content(node).len().max(size(offset + count));
                self.resized(node, end);
                Ok(())
            }
            Err(error) => self.failed(position, error),
        }
    }

    fn sync(&mut self, position: usize, sync: fn(&File) -> io::Result<()>) -> io::Result<()> {
        let answer = sync(&self.open[position].file);
        expect("sync", true, &answer);
        self.note_sync(self.node_of(position), &answer);
        answer
    }

    /// What a sync of a file's bytes, that did or did not succeed, says of them.
    pub(super) fn note_sync(&mut self, node: NodeId, answer: &io::Result<()>) {
        match answer {
            Ok(()) => {
                self.tree.content_mut(node).synced();
                self.tree.node_mut(node).is_stored = false;
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.tree.content_mut(node).sync_failed();
            }
            Err(_) => {}
        }
    }

    /// A further descriptor, with the offset of the first.
    fn duplicate(&mut self, position: usize) -> io::Result<()> {
        let answer = file::duplicate(&self.open[position].file);
        expect("dup", true, &answer);
        let description = self.open[position].description;
        self.add_open(Open { file: answer?, description });
        Ok(())
    }

    fn close(&mut self, position: usize) -> io::Result<()> {
        let closed = abi::close_insistently(self.open.remove(position).file);
        self.collect();
        closed
    }

    fn status(&mut self, position: usize) -> io::Result<()> {
        let answer = abi::status(&self.open[position].file);
        expect("fstat", true, &answer);
        self.compare_with(self.node_of(position), &answer?);
        Ok(())
    }

    fn set_append(&mut self, position: usize) -> io::Result<()> {
        let is_append = self.draws.below(2) == 0;
        // O_DIRECT cannot be set or cleared later.
        let direct = if self.description(position).is_direct { abi::DIRECT } else { 0 };
        let flags = direct | if is_append { abi::APPEND } else { 0 };
        let answer = abi::set_flags(&self.open[position].file, flags);
        expect("fcntl", true, &answer);
        answer?;
        self.description_mut(position).is_append = is_append;
        Ok(())
    }

    /// A further name for an open file, or its first.
    fn name_open(&mut self, position: usize) -> io::Result<()> {
        let (name, node) = (self.name(), self.node_of(position));
        let place = self.tree.free(name);
        let is_nameable = self.tree.node(node).is_nameable || self.tree.link_count(node) > 0;
        let answer = file::link(&self.open[position].file, name);
        expect("link of an open file", place.is_some() && is_nameable, &answer);
        answer?;
        if let Some(place) = place {
            self.tree.put(&place, node);
        }
        Ok(())
    }

    fn set_modified(&mut self, position: usize) -> io::Result<()> {
        let nanos = self.draws.below(SECONDS_MAX) * 1_000_000_000;
        let answer = abi::set_modified(&self.open[position].file, nanos);
        expect("futimens", true, &answer);
        answer?;
        let node = self.node_of(position);
        let node = self.tree.node_mut(node);
        // What was stored through a mapping may change the time as late as the next sync.
        node.modified = (!node.is_stored).then_some(nanos);
        Ok(())
    }

    fn set_compression(&mut self, position: usize) -> io::Result<()> {
        let flags = if self.draws.below(2) == 0 { attributes::COMPRESSED } else { 0 };
        attributes::set_flags(&self.open[position].file, flags)
    }

    /// Takes a lock or lets go of it. Only other open files of this process can be in the way, and
    /// only of locks of their own kind: locks on bytes are the process's.
    fn lock(&mut self, position: usize, offset: u64, count: u64) -> io::Result<()> {
        let kind = if self.draws.below(2) == 0 { Kind::Shared } else { Kind::Exclusive };
        let chosen = self.draws.below(6);
        let file = &self.open[position].file;
        match chosen {
            0 => self.lock_whole(position, None),
            1 => self.lock_whole(position, Some(Kind::Shared)),
            2 => self.lock_whole(position, Some(Kind::Exclusive)),
            3 => {
                let answer = locks::try_lock_range(file, kind, offset, count);
                let should = kind == Kind::Shared || self.description(position).is_writable;
                expect("a lock on bytes", should, &answer);
                answer
            }
            4 => {
                let answer = locks::test_range(file, kind, offset, count);
                expect("a test for locks", true, &answer);
                assert_eq!(answer?, None, "nobody else has a lock");
                Ok(())
            }
            _ => locks::unlock_range(file, offset, count),
        }
    }

    fn lock_whole(&mut self, position: usize, kind: Option<Kind>) -> io::Result<()> {
        let (own, node) = (self.open[position].description, self.node_of(position));
        let others = self.open.iter().filter(|open| open.description != own);
        let held = others.map(|open| &self.descriptions[open.description]);
        let is_in_the_way = held.filter(|other| other.node == node).any(|other| {
            other.lock == Some(Kind::Exclusive)
                || kind == Some(Kind::Exclusive) && other.lock.is_some()
        });
        let file = &self.open[position].file;
        let answer = match kind {
            None => locks::unlock(file),
            Some(Kind::Shared) => locks::try_lock_shared(file),
            Some(Kind::Exclusive) => locks::try_lock_exclusive(file),
        };
        let should = kind.is_none() || !is_in_the_way;
        expect("a lock on a file", should, &answer);
        let was = self.description(position).lock;
        self.description_mut(position).lock = match &answer {
            Ok(()) => kind,
            // A conversion that fails has let go of the old lock.
            Err(_) if !should && was != kind => None,
            Err(_) => was,
        };
        answer
    }
}

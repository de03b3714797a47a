//! One file whose bytes are known: operations on it by calls and through a mapping, in the manner
//! of fsx, each compared with a model of its own.
//!
//! The model is what the program may expect: nobody else uses the file, and calls do not fail. A
//! call that fails, other than by an interruption before it did anything, leaves the model to be
//! read anew from the file. A difference ends the program with a trap. Where lost bytes are
//! forgotten, the model takes what it reads for true, if it has the size that it should.

use std::collections::VecDeque;
use std::fs::File;
use std::io;

use crashproof_guest::attributes;
use crashproof_guest::file;
use crashproof_guest::machine;
use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guest::mapping::PAGE_SIZE_BYTES;
use crashproof_guest::snapshot;
use crashproof_guest::snapshot::Snapshot;

use crate::abi;
use crate::draws::Draws;
use crate::uninterrupted;

const SIZE_BYTES_MAX: usize = 40_000;
const STORE_SIZE_BYTES_MAX: usize = 3_000;
const SNAPSHOTS_MAX: usize = 2;

/// How many operations there are: [`OneFile::operate`] takes a number below it.
pub const OPERATION_COUNT: u64 = 25;

/// A part of the file that is mapped, shared.
#[derive(Debug)]
struct Window {
    mapping: Mapping,
    /// Where it begins in the file: a multiple of the page size.
    offset: usize,
}

/// The file and its model.
#[derive(Debug)]
pub struct OneFile {
    name: String,
    file: File,
    window: Option<Window>,
    bytes: Vec<u8>,
    snapshots: VecDeque<(String, Vec<u8>)>,
    snapshot_count: u64,
    is_compressed: bool,
    /// May it be earlier bytes at any time?
    does_revert: bool,
}

impl OneFile {
    /// An empty file of that name. With `does_revert` it is on a file system that forgets what it
    /// could not write.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn create(name: &str, does_revert: bool) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(name)?;
        Ok(Self {
            name: name.to_owned(),
            file,
            window: None,
            bytes: Vec::new(),
            snapshots: VecDeque::new(),
            snapshot_count: 0,
            is_compressed: false,
            does_revert,
        })
    }

    /// One operation.
    ///
    /// # Errors
    /// What the file system answered.
    ///
    /// # Panics
    /// If the file does not hold what was written to it.
    pub fn operate(&mut self, operation: u64, draws: &mut Draws) -> io::Result<()> {
        let answer = self.attempt(operation, draws);
        if answer.is_err() {
            self.learn()?;
        }
        answer
    }

    fn attempt(&mut self, operation: u64, draws: &mut Draws) -> io::Result<()> {
        match operation {
            0..=1 => self.write(draws),
            2 => self.compare_file(),
            3..=7 => self.store(draws),
            8 => self.compare_window(),
            9 => self.truncate(draws),
            10..=11 => self.sync_window(draws),
            12 => self.map(draws),
            13 => uninterrupted(|| self.file.sync_all()),
            14 => uninterrupted(|| abi::sync_data(&self.file)),
            15 => uninterrupted(|| file::sync_all_files(&self.file)),
            16 => self.copy_within(draws),
            17 => self.store_beyond(draws),
            18 => self.press(draws),
            19 => self.take_snapshot(),
            20 => self.look_at_snapshot(draws),
            21 => self.toggle_compression(),
            22 => self.transfer(draws),
            23 => self.append(draws),
            _ => self.reopen(),
        }
    }

    /// Punches a part out and sets room for it aside, so that it is next written in place.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn set_aside(&mut self, draws: &mut Draws) -> io::Result<()> {
        let answer = self.attempt_aside(draws);
        if answer.is_err() {
            self.learn()?;
        }
        answer
    }

    fn attempt_aside(&mut self, draws: &mut Draws) -> io::Result<()> {
        let at = draws.index(SIZE_BYTES_MAX / PAGE_SIZE_BYTES) * PAGE_SIZE_BYTES;
        let count = (1 + draws.index(3)) * PAGE_SIZE_BYTES;
        let hole = file::PUNCH_HOLE | file::KEEP_SIZE;
        uninterrupted(|| file::fallocate(&self.file, hole, at as u64, count as u64))?;
        let end = self.bytes.len().min(at + count);
        if at < end {
            self.bytes[at..end].fill(0);
        }
        uninterrupted(|| file::fallocate(&self.file, file::KEEP_SIZE, at as u64, count as u64))
    }

    /// The model as the file has it, after a call whose effect is not known.
    fn learn(&mut self) -> io::Result<()> {
        let size_bytes = index(self.file.metadata()?.len());
        let mut bytes = vec![0; size_bytes];
        abi::read_full_at(&self.file, &mut bytes, 0)?;
        self.bytes = bytes;
        Ok(())
    }

    fn write(&mut self, draws: &mut Draws) -> io::Result<()> {
        let at = draws.index(SIZE_BYTES_MAX - STORE_SIZE_BYTES_MAX);
        let bytes = drawn(draws);
        abi::write_all_at(&self.file, &bytes, at as u64)?;
        self.bytes.resize(self.bytes.len().max(at + bytes.len()), 0);
        self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }

    fn compare_file(&mut self) -> io::Result<()> {
        let mut found = vec![0; self.bytes.len() + 100];
        let count = abi::read_full_at(&self.file, &mut found, 0)?;
        same("a read", &mut self.bytes, &found[..count], self.does_revert);
        Ok(())
    }

    fn compare_window(&mut self) -> io::Result<()> {
        let Some(window) = &self.window else { return Ok(()) };
        let end = self.bytes.len().min(window.offset + window.mapping.size_bytes());
        if end > window.offset {
            let found = window.mapping.bytes(0, end - window.offset);
            let expected = &mut self.bytes[window.offset..end];
            same("the mapping", expected, &found, self.does_revert);
        }
        Ok(())
    }

    /// A place and a length within both the window and the file, if there is one.
    fn place(&self, draws: &mut Draws) -> Option<(&Window, usize, usize)> {
        let window = self.window.as_ref()?;
        let end = self.bytes.len().min(window.offset + window.mapping.size_bytes());
        let room = end.checked_sub(window.offset).filter(|&room| room > 0)?;
        let at = draws.index(room);
        let count = 1 + draws.index((room - at).min(STORE_SIZE_BYTES_MAX));
        Some((window, at, count))
    }

    fn store(&mut self, draws: &mut Draws) -> io::Result<()> {
        if self.window.is_none() {
            self.map(draws)?;
        }
        let Some((window, at, count)) = self.place(draws) else { return Ok(()) };
        let bytes = pattern(draws, count);
        let place = window.offset + at;
        if draws.below(4) == 0 {
            window.mapping.fill(at, count, bytes[0]);
            self.bytes[place..place + count].fill(bytes[0]);
        } else {
            window.mapping.store(at, &bytes);
            self.bytes[place..place + count].copy_from_slice(&bytes);
        }
        Ok(())
    }

    /// Stores into the last page, after the end: seen by nobody.
    fn store_beyond(&mut self, draws: &mut Draws) -> io::Result<()> {
        let Some(window) = &self.window else { return Ok(()) };
        let end = self.bytes.len();
        let page_end = end.next_multiple_of(PAGE_SIZE_BYTES);
        let covered = window.offset + window.mapping.size_bytes();
        if end >= window.offset && end < page_end && page_end <= covered {
            let at = end + draws.index(page_end - end);
            let count = 1 + draws.index(page_end - at);
            window.mapping.fill(at - window.offset, count, b'!');
        }
        Ok(())
    }

    fn copy_within(&mut self, draws: &mut Draws) -> io::Result<()> {
        let Some((window, from, count)) = self.place(draws) else { return Ok(()) };
        let room = (self.bytes.len() - window.offset).min(window.mapping.size_bytes());
        // Near enough to overlap, most times.
        let to = (from + draws.index(200)).min(room - count);
        window.mapping.copy_within(from, to, count);
        let (source, target) = (window.offset + from, window.offset + to);
        self.bytes.copy_within(source..source + count, target);
        Ok(())
    }

    /// Reads from the file into the mapping, or writes from it to the file.
    fn transfer(&mut self, draws: &mut Draws) -> io::Result<()> {
        let Some((window, at, count)) = self.place(draws) else { return Ok(()) };
        let place = window.offset + at;
        let other = draws.index(self.bytes.len());
        let count = count.min(self.bytes.len() - other);
        let is_read = draws.below(2) == 0;
        let Some(window) = &mut self.window else { return Ok(()) };
        let memory = window.mapping.memory(at, count);
        let (from, to) = if is_read { (other, place) } else { (place, other) };
        if from.abs_diff(to) < count {
            // The host may do these in parts, so that later parts see earlier ones.
            return Ok(());
        }
        if is_read {
            abi::read_full_at(&self.file, memory, other as u64)?;
        } else {
            abi::write_all_at(&self.file, memory, other as u64)?;
        }
        self.bytes.copy_within(from..from + count, to);
        Ok(())
    }

    fn truncate(&mut self, draws: &mut Draws) -> io::Result<()> {
        let size_bytes = draws.index(SIZE_BYTES_MAX);
        uninterrupted(|| self.file.set_len(size_bytes as u64))?;
        self.bytes.resize(size_bytes, 0);
        Ok(())
    }

    /// Appends a few times, as a log does whose writer asks for early writeback now and then.
    fn append(&mut self, draws: &mut Draws) -> io::Result<()> {
        if draws.below(4) == 0 {
            uninterrupted(|| file::write_range_back(&self.file, 0, 0))?;
        }
        for _ in 0..=draws.below(4) {
            self.grow(draws)?;
        }
        Ok(())
    }

    /// Makes the file longer, by its size or by writing its last byte, and stores to what is new.
    fn grow(&mut self, draws: &mut Draws) -> io::Result<()> {
        let end = self.bytes.len();
        let count = 1 + draws.index(STORE_SIZE_BYTES_MAX);
        if end + count > SIZE_BYTES_MAX {
            return Ok(());
        }
        if draws.below(2) == 0 {
            uninterrupted(|| self.file.set_len((end + count) as u64))?;
        } else {
            abi::write_all_at(&self.file, &[0], (end + count - 1) as u64)?;
        }
        self.bytes.resize(end + count, 0);
        if self.window.is_none() {
            self.map(draws)?;
        }
        let Some(window) = &self.window else { return Ok(()) };
        let covered = window.offset + window.mapping.size_bytes();
        if end >= window.offset && end < covered {
            let bytes = pattern(draws, count.min(covered - end));
            window.mapping.store(end - window.offset, &bytes);
            self.bytes[end..end + bytes.len()].copy_from_slice(&bytes);
        }
        Ok(())
    }

    /// Maps another part, up to a page that the file may not reach.
    fn map(&mut self, draws: &mut Draws) -> io::Result<()> {
        if let Some(window) = self.window.take() {
            window.mapping.unmap()?;
        }
        let page_count = SIZE_BYTES_MAX.div_ceil(PAGE_SIZE_BYTES);
        let first = draws.index(page_count);
        let count = 1 + draws.index(page_count - first);
        let (offset, size_bytes) = (first * PAGE_SIZE_BYTES, count * PAGE_SIZE_BYTES);
        let access = Access::READ_WRITE;
        let mapping =
            uninterrupted(|| Mapping::shared(&self.file, offset as u64, size_bytes, access))?;
        self.window = Some(Window { mapping, offset });
        Ok(())
    }

    fn sync_window(&self, draws: &mut Draws) -> io::Result<()> {
        let Some(window) = &self.window else { return Ok(()) };
        let first = draws.index(window.mapping.size_bytes() / PAGE_SIZE_BYTES);
        let at = first * PAGE_SIZE_BYTES;
        let size_bytes = 1 + draws.index(window.mapping.size_bytes() - at);
        let kind = draws.below(6);
        uninterrupted(|| match kind {
            0 => window.mapping.sync_some_day(at, size_bytes),
            1 => window.mapping.sync_and_invalidate(at, size_bytes),
            _ => window.mapping.sync(at, size_bytes),
        })
    }

    fn press(&mut self, draws: &mut Draws) -> io::Result<()> {
        let at = draws.below(SIZE_BYTES_MAX as u64);
        uninterrupted(|| file::write_range_back(&self.file, at, 0))?;
        uninterrupted(machine::drop_caches)?;
        self.compare_file()
    }

    fn take_snapshot(&mut self) -> io::Result<()> {
        self.snapshot_count += 1;
        let name = format!("{}-{}", self.name, self.snapshot_count);
        uninterrupted(|| snapshot::create(&name))?;
        self.snapshots.push_back((name, self.bytes.clone()));
        if self.snapshots.len() > SNAPSHOTS_MAX
            && let Some((oldest, _)) = self.snapshots.pop_front()
        {
            uninterrupted(|| snapshot::delete(&oldest))?;
        }
        Ok(())
    }

    fn look_at_snapshot(&mut self, draws: &mut Draws) -> io::Result<()> {
        if self.snapshots.is_empty() {
            return Ok(());
        }
        let position = draws.index(self.snapshots.len());
        let (name, bytes) = &mut self.snapshots[position];
        let frozen = uninterrupted(|| Snapshot::open(name)?.file(&self.name))?;
        let mut found = vec![0; bytes.len() + 100];
        let count = abi::read_full_at(&frozen, &mut found, 0)?;
        same("a snapshot", bytes, &found[..count], self.does_revert);
        Ok(())
    }

    fn toggle_compression(&mut self) -> io::Result<()> {
        self.is_compressed = !self.is_compressed;
        let flags = if self.is_compressed { attributes::COMPRESSED } else { 0 };
        uninterrupted(|| attributes::set_flags(&self.file, flags))
    }

    /// Another descriptor for the same file; the mapping stays.
    fn reopen(&mut self) -> io::Result<()> {
        let name = &self.name;
        self.file = uninterrupted(|| File::options().read(true).write(true).open(name))?;
        Ok(())
    }
}

/// A pattern of 1 to 3,000 bytes.
fn drawn(draws: &mut Draws) -> Vec<u8> {
    let count = 1 + draws.index(STORE_SIZE_BYTES_MAX);
    pattern(draws, count)
}

/// Bytes that compress, most times.
fn pattern(draws: &mut Draws, count: usize) -> Vec<u8> {
    let mark = u8::try_from(draws.below(200)).unwrap_or(0);
    let is_random = draws.below(5) == 0;
    let mut byte = |place: usize| {
        if is_random {
            u8::try_from(draws.below(256)).unwrap_or(0)
        } else {
            mark.wrapping_add((place / 64 % 8) as u8)
        }
    };
    (0..count).map(&mut byte).collect()
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Holds what some view shows against the model, or takes it for the model.
fn same(view: &str, expected: &mut [u8], found: &[u8], does_revert: bool) {
    if does_revert && expected.len() == found.len() {
        expected.copy_from_slice(found);
        return;
    }
    let differing = expected.iter().zip(found).position(|(one, other)| one != other);
    let (sizes, place) = ((expected.len(), found.len()), differing);
    assert!(expected == found, "{view} differs from {place:?}; expected and found size: {sizes:?}");
}

//! LevelDB's writer of before 2014 (`PosixMmapFile` of its version 1.14), step by step: appends
//! are copies into a mapped window of the file, and a sync is an msync of what is dirty in it.
//!
//! It is kept with its faults: a window that is unmapped with unsynced bytes only asks for an
//! fdatasync at the next sync, and what is to be synced is forgotten before the call that syncs it
//! has succeeded.

use std::fs::File;
use std::io;

use crashproof_guest::mapping::Access;
use crashproof_guest::mapping::Mapping;
use crashproof_guest::mapping::PAGE_SIZE_BYTES;

use crate::abi;
use crate::draws::Draws;

const WINDOW_SIZE_BYTES_MIN: usize = 64 << 10;
const WINDOW_SIZE_BYTES_MAX: usize = 1 << 20;

/// Name of the log, in the first preopened directory.
pub const LOG_NAME: &str = "db";

/// Record `turn` of a log: its number, then bytes that compress, unless they are to be random.
#[must_use]
pub fn record(turn: u64, is_random: bool, draws: &mut Draws) -> Vec<u8> {
    let size_bytes = 300 + draws.index(2700);
    let mut bytes = format!("record {turn} ").into_bytes();
    while bytes.len() < size_bytes {
        let place = bytes.len() as u64;
        let byte = if is_random { draws.below(256) } else { 97 + (turn + place / 64) % 26 };
        bytes.push(u8::try_from(byte).unwrap_or(0));
    }
    bytes
}

/// The writer.
#[derive(Debug)]
pub struct MappedLog {
    file: File,
    window: Option<Window>,
    /// Size of the next window.
    window_size_bytes: usize,
    /// Where the window begins in the file.
    file_offset: u64,
    /// Does the next sync owe an fdatasync, for windows that are mapped no longer?
    pending_sync: bool,
}

#[derive(Debug)]
struct Window {
    mapping: Mapping,
    /// Where the next byte goes.
    used: usize,
    /// Up to where all is synced.
    synced: usize,
}

impl MappedLog {
    /// Writes to `file`, which is empty.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self {
            file,
            window: None,
            window_size_bytes: WINDOW_SIZE_BYTES_MIN,
            file_offset: 0,
            pending_sync: false,
        }
    }

    /// The file that is written to.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            let mut window = match self.window.take() {
                Some(window) if window.used < window.mapping.size_bytes() => window,
                full => {
                    self.unmap(full)?;
                    self.map_next()?
                }
            };
            let count = left.len().min(window.mapping.size_bytes() - window.used);
            let (now, later) = left.split_at(count);
            window.mapping.store(window.used, now);
            window.used += count;
            self.window = Some(window);
            left = later;
        }
        Ok(())
    }

    /// Makes what was appended durable, as far as this writer cares.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn sync(&mut self) -> io::Result<()> {
        let mut answer = Ok(());
        if self.pending_sync {
            self.pending_sync = false;
            answer = abi::sync_data(&self.file);
        }
        if let Some(window) = &mut self.window
            && window.synced < window.used
        {
            let first = window.synced / PAGE_SIZE_BYTES * PAGE_SIZE_BYTES;
            let last = (window.used - 1) / PAGE_SIZE_BYTES * PAGE_SIZE_BYTES;
            window.synced = window.used;
            answer = window.mapping.sync(first, last - first + PAGE_SIZE_BYTES).and(answer);
        }
        answer
    }

    /// Cuts the file to what was appended. Syncs nothing.
    ///
    /// # Errors
    /// What the file system answered.
    pub fn close(mut self) -> io::Result<()> {
        let Some(window) = self.window.take() else { return Ok(()) };
        let unused = window.mapping.size_bytes() - window.used;
        self.unmap(Some(window))?;
        self.file.set_len(self.file_offset - unused as u64)
    }

    fn unmap(&mut self, window: Option<Window>) -> io::Result<()> {
        let Some(window) = window else { return Ok(()) };
        // Unsynced bytes, or a window that is not full: LevelDB asks the same question.
        self.pending_sync |= window.synced < window.mapping.size_bytes();
        self.file_offset += window.mapping.size_bytes() as u64;
        self.window_size_bytes = (self.window_size_bytes * 2).min(WINDOW_SIZE_BYTES_MAX);
        window.mapping.unmap()
    }

    fn map_next(&self) -> io::Result<Window> {
        let size_bytes = self.window_size_bytes;
        self.file.set_len(self.file_offset + size_bytes as u64)?;
        let mapping =
            Mapping::shared(&self.file, self.file_offset, size_bytes, Access::READ_WRITE)?;
        Ok(Window { mapping, used: 0, synced: 0 })
    }
}

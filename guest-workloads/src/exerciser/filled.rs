//! A part of the device is filled, and freed again.

use std::fs;
use std::fs::File;
use std::io;

use crashproof_guest::file;

use super::Exerciser;
use super::ONE_FILE;
use super::expect;
use super::size;
use super::uninterrupted;
use crate::abi;

/// Bytes of one write.
const PIECE_BYTES: usize = 16_384;

/// No more is filled, however large the device is.
const FILLED_BYTES_MAX: u64 = 1 << 22;

impl Exerciser {
    /// Fills a quarter of what was free once with a file, or with room for one. The file is that of
    /// the last time, cut to nothing, or a new one.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        let name = format!("{ONE_FILE}filler");
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        let file = uninterrupted(|| options.open(&name))?;
        let answer = file::space(&file);
        expect("statfs", true, &answer);
        let [block_size, _, free, ..] = answer?.numbers;
        self.free_bytes = self.free_bytes.max(free.saturating_mul(block_size));
        let len = (self.free_bytes / 4).min(FILLED_BYTES_MAX);
        if self.draws.below(4) == 0 {
            uninterrupted(|| abi::allocate(&file, 0, len))?;
        }
        let piece = [b'f'; PIECE_BYTES];
        for start in (0..size(len)).step_by(PIECE_BYTES) {
            let count = PIECE_BYTES.min(size(len) - start);
            abi::write_all_at(&file, &piece[..count], start as u64)?;
        }
        drop(file);
        if self.draws.below(2) == 0 { uninterrupted(|| fs::remove_file(&name)) } else { Ok(()) }
    }
}

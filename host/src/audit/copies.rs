//! Are checksums those of the bytes that they stand for, when these are read and when they are
//! written?

use crashproof_spec::words::Testimony;

use crate::cow::Cow;
use crate::cow::Mismatch;

/// An audit of what one file system reads and writes. It reports each fault once.
#[derive(Debug)]
pub struct CopiesAudit {
    cow: Cow,
    is_read_told: bool,
    is_write_told: bool,
}

impl CopiesAudit {
    /// Audits the file system from now on.
    #[must_use]
    pub fn new(cow: &Cow) -> Self {
        cow.watch_mismatches();
        Self { cow: cow.clone(), is_read_told: false, is_write_told: false }
    }

    /// What was found since the last time.
    pub fn take(&mut self) -> Vec<Testimony> {
        let found = self.cow.take_mismatches();
        found.into_iter().filter_map(|mismatch| self.told(mismatch)).collect()
    }

    fn told(&mut self, mismatch: Mismatch) -> Option<Testimony> {
        let (is_told, clause, block, done) = match mismatch {
            Mismatch::Read(block) => (&mut self.is_read_told, "RED-08", block, "answered"),
            Mismatch::Written(block) => (&mut self.is_write_told, "RED-09", block, "written"),
        };
        let evidence = format!("block {} is {done} with bytes of another checksum", block.0);
        let is_new = !std::mem::replace(is_told, true);
        is_new.then(|| Testimony::Audit { clause: clause.to_owned(), evidence })
    }
}

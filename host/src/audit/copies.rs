//! Are checksums those of the bytes that they stand for, when these are read and when they are
//! written?

use crashproof_spec::words::Testimony;

use crate::cow::Cow;

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
        Self { cow: cow.clone(), is_read_told: false, is_write_told: false }
    }

    /// What was found since the last time.
    pub fn take(&mut self) -> Vec<Testimony> {
        let (read, written) = self.cow.take_mismatched();
        let read = read.filter(|_| !self.is_read_told);
        let written = written.filter(|_| !self.is_write_told);
        self.is_read_told |= read.is_some();
        self.is_write_told |= written.is_some();
        let told =
            |clause: &str, evidence| Testimony::Audit { clause: clause.to_owned(), evidence };
        let read = read.map(|block| {
            let what = format!("block {} is answered with bytes of another checksum", block.0);
            told("RED-08", what)
        });
        let written = written.map(|block| {
            let what = format!("block {} is written with bytes of another checksum", block.0);
            told("RED-09", what)
        });
        read.into_iter().chain(written).collect()
    }
}

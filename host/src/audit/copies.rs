//! Is something answered whose checksum is not right?

use crashproof_spec::words::Testimony;

use crate::cow::Cow;

/// An audit of what one file system reads. It reports once.
#[derive(Debug)]
pub struct CopiesAudit {
    cow: Cow,
    is_told: bool,
}

impl CopiesAudit {
    /// Audits the file system from now on.
    #[must_use]
    pub fn new(cow: &Cow) -> Self {
        Self { cow: cow.clone(), is_told: false }
    }

    /// What was found since the last time.
    pub fn take(&mut self) -> Option<Testimony> {
        let block = self.cow.take_unverified().filter(|_| !self.is_told)?;
        self.is_told = true;
        let evidence = format!("block {} is answered with bytes of another checksum", block.0);
        Some(Testimony::Audit { clause: "RED-08".to_owned(), evidence })
    }
}

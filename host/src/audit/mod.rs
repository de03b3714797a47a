//! Invariants that only the stack's owner can see, reported as testimony.
//!
//! An audit is one more witness: it may find a fault earlier than any answer shows it, and never
//! takes the place of a rule. Whatever it reports, answers and surveys must show as well, with
//! audits off.

mod allocation;
mod coverage;
mod space;

use crashproof_spec::words::Testimony;

pub use allocation::AllocationAudit;
pub use coverage::CoverageAudit;
pub use space::replay;
pub use space::space;

use crate::cache::PageCache;
use crate::cow::Cow;

/// Every audit of a stack.
#[derive(Debug)]
pub struct Audits {
    coverage: CoverageAudit,
    allocation: AllocationAudit,
}

impl Audits {
    /// Audits a page cache and the file system beneath it from now on.
    #[must_use]
    pub fn new(cache: &PageCache, cow: &Cow) -> Self {
        Self { coverage: CoverageAudit::new(cache), allocation: AllocationAudit::new(cow) }
    }

    /// What was found since the last time.
    pub fn take(&mut self) -> Vec<Testimony> {
        let mut found = self.coverage.take();
        found.append(&mut self.allocation.take());
        found
    }
}

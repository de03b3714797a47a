//! Invariants that only the stack's owner can see, reported as testimony.
//!
//! An audit is one more witness: it may find a fault earlier than any answer shows it, and never
//! takes the place of a rule. Whatever it reports, answers and surveys must show as well, with
//! audits off; but for LIM-07, since no trace tells how often a sync was let run.

mod allocation;
mod copies;
mod coverage;
mod legs;
mod space;

use std::sync::Arc;

use crashproof_spec::words::Testimony;

pub use allocation::AllocationAudit;
pub use copies::CopiesAudit;
pub use coverage::CoverageAudit;
pub use legs::LegsAudit;
pub use space::replay;
pub use space::space;

use crate::cache::PageCache;
use crate::cow::Cow;
use crate::device::Mirror;

/// Every audit of a stack.
pub struct Audits {
    cache: PageCache,
    cow: Cow,
    coverage: CoverageAudit,
    allocation: AllocationAudit,
    copies: CopiesAudit,
    legs: Option<LegsAudit>,
}

impl Audits {
    /// Audits a page cache, the file system beneath it, and the mirror beneath that, if there is
    /// one, from now on.
    #[must_use]
    pub fn new(cache: &PageCache, cow: &Cow, mirror: Option<&Arc<Mirror>>) -> Self {
        let (coverage, allocation) = (CoverageAudit::new(cache), AllocationAudit::new(cow));
        let copies = CopiesAudit::new(cow);
        let (cache, cow) = (cache.clone(), cow.clone());
        Self { cache, cow, coverage, allocation, copies, legs: mirror.map(LegsAudit::new) }
    }

    /// What was found since the last time.
    pub fn take(&mut self) -> Vec<Testimony> {
        // Each event asks, and nearly always nothing happened that an audit looks at.
        if self.cache.is_silent() && self.cow.is_silent() && self.legs.is_none() {
            return Vec::new();
        }
        let mut found = self.coverage.take();
        found.extend(self.allocation.take());
        found.extend(self.copies.take());
        found.extend(self.legs.iter_mut().flat_map(LegsAudit::take));
        found
    }
}

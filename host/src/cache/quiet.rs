//! A time in which no content changes, so that all of it can be written back as it is at one
//! moment: whoever is about to change some waits until it is over.
//!
//! A store to a page that is writable already waits for nothing, as always; but such a page is
//! dirty, and write-protected when it is written back. So what the file system beneath has at the
//! end is everything that was acknowledged until then.

use crate::cache::PageCache;
use crate::sim::TaskLock;
use crate::sim::TaskLockGuard;

impl PageCache {
    /// Keeps changes of content from beginning. Those under way are the caller's to wait for.
    pub async fn hold_changes(&self) -> TaskLockGuard {
        self.changes.acquire().await
    }

    /// What to wait for before content is changed, if changes are held.
    #[must_use]
    pub fn changes_held(&self) -> Option<TaskLock> {
        self.changes.try_acquire().is_none().then(|| self.changes.clone())
    }
}

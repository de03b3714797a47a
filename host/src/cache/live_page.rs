//! A page that the device reads itself, as it is then.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::cache::State;
use crate::cache::page::Page;
use crate::device;
use crate::mutex::WorldMutex;

/// A page of the cache, as long as it is there; then what was captured of it.
pub(super) struct LivePage {
    pub(super) state: Arc<WorldMutex<State>>,
    pub(super) ino: u64,
    pub(super) page_no: u64,
    pub(super) page_size_bytes: u64,
    pub(super) captured: Bytes,
}

impl fmt::Debug for LivePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {} of file {}", self.page_no, self.ino)
    }
}

impl device::LivePage for LivePage {
    fn capture(&self) -> Bytes {
        let state = self.state.lock();
        let found = state.files.get(&self.ino).and_then(|file| {
            let page = file.pages.get(self.page_no)?;
            let start = self.page_no.saturating_mul(self.page_size_bytes);
            let keep = file.size_bytes.saturating_sub(start).min(self.page_size_bytes);
            let mut copy = Page::clean(page.bytes.clone());
            copy.cut(keep as usize);
            Some(copy.bytes)
        });
        found.unwrap_or_else(|| self.captured.clone())
    }
}

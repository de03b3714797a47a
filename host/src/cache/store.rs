//! Stores to mapped memory.
//!
//! A store to a page whose writable bit is set changes the page at once: no lock, no waiting, and
//! nobody beneath is told. Only a write-protected page faults: the fault waits for the page's
//! writeback, sets a block aside, marks the page dirty and lets stores through again.

use bytes::Bytes;

use crate::cache::FaultLock;
use crate::cache::PageCache;
use crate::cache::errno_of;
use crate::cache::is_power_off;
use crate::cache::mappings::PageBits;
use crate::cache::page::Change;
use crate::cache::page::Page;
use crate::cache::write::Granted;
use crate::call::MappingId;
use crate::call::Sharing;
use crate::call::Signal;
use crate::call::Testimony;
use crate::cow::CowError;
use crate::sim::Point;
use crate::sim::TaskLock;

/// What came of an attempt to store.
enum Attempt {
    Done,
    Signal(Signal),
    /// The store cannot go on before this page of the file is made writable.
    Fault {
        page_no: u64,
    },
}

impl PageCache {
    /// Stores bytes at an offset of a mapping, all at one moment, and says when; or answers the
    /// signal that is raised instead.
    pub async fn store(
        &self,
        id: MappingId,
        offset: u64,
        data: &Bytes,
        takes_effect: impl Fn() + Send,
    ) -> Result<Option<Signal>, CowError> {
        let mut last_fault = None;
        // One for all faults of the store: its pages do not take the last block from each other.
        let mut granted = Granted::none(&self.cow);
        loop {
            let page_no = match self.try_store(id, offset, data) {
                Attempt::Done => break takes_effect(),
                Attempt::Signal(signal) => return Ok(Some(signal)),
                Attempt::Fault { page_no } => page_no,
            };
            match self.fault(id, page_no, &mut granted).await {
                Ok(()) => last_fault = Some(page_no),
                Err(error) if is_power_off(&error) => return Err(error),
                // MAP-11: a page that cannot be had, or has no space, is told at the store.
                Err(error) => return Ok(Some(self.bus_error(&error))),
            }
        }
        let ino = last_fault.and_then(|_| Some(self.lock().mappings.get(id)?.ino));
        match ino {
            Some(ino) => self.balance_after_change(ino).await.map(|()| None),
            None => Ok(None),
        }
    }

    /// The signal for a page that cannot be had; a failure of the device is its cause.
    pub(super) fn bus_error(&self, error: &CowError) -> Signal {
        if matches!(error, CowError::Device(_)) {
            self.witness.say(Testimony::Failed { errno: errno_of(error), file: None });
        }
        Signal::Bus
    }

    fn try_store(&self, id: MappingId, offset: u64, data: &Bytes) -> Attempt {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(mapping) = state.mappings.get(id) else { return Attempt::Signal(Signal::Segv) };
        let range = offset..offset.saturating_add(data.len() as u64);
        if !mapping.pieces.all(&range, |access| access.write) {
            return Attempt::Signal(Signal::Segv);
        }
        let (sharing, by, in_file) = (mapping.sharing, mapping.by, mapping.in_file(&range));
        let Some(file) = state.files.get_mut(&mapping.ino) else {
            return Attempt::Signal(Signal::Bus);
        };
        if in_file.end > self.mapped_end(file) {
            return Attempt::Signal(Signal::Bus);
        }
        let changes = self.split(in_file.start, data);
        for (page_no, _) in &changes {
            let is_ready = match sharing {
                Sharing::Private => mapping.copies.contains_key(page_no),
                Sharing::Shared => {
                    let bits = mapping.bits.get(page_no).copied().unwrap_or_default();
                    bits.writable && file.pages.contains(*page_no)
                }
            };
            if !is_ready {
                return Attempt::Fault { page_no: *page_no };
            }
        }
        match sharing {
            Sharing::Private => {
                let Some(mapping) = state.mappings.get_mut(id) else { return Attempt::Done };
                for (page_no, change) in &changes {
                    if let Some(copy) = mapping.copies.get_mut(page_no) {
                        change_copy(copy, change);
                    }
                }
            }
            Sharing::Shared => {
                for (page_no, change) in &changes {
                    if let Some(page) = file.pages.get_mut(*page_no) {
                        page.apply(change);
                    }
                    if let Some(mapping) = state.mappings.get_mut(id) {
                        mapping.bits.entry(*page_no).or_default().dirty = true;
                    }
                }
                let kept = in_file.start..in_file.end.min(file.size_bytes);
                self.note_unwritten(file, kept, by);
                state.mappings.changed(&file.mappings, &in_file, Some(id));
            }
        }
        Attempt::Done
    }

    /// Makes a page of a mapping writable, or a copy of it for a private mapping.
    async fn fault(
        &self,
        id: MappingId,
        page_no: u64,
        granted: &mut Granted<'_>,
    ) -> Result<(), CowError> {
        self.sim.point(Point::Fault).await;
        loop {
            let Some((ino, sharing)) = self.lock().mappings.get(id).map(|m| (m.ino, m.sharing))
            else {
                return Ok(()); // The mapping is gone: the next attempt tells.
            };
            self.load(ino, page_no).await?;
            if sharing == Sharing::Private {
                if self.copy_page(id, ino, page_no) {
                    return Ok(());
                }
                continue;
            }
            if let Some(busy) = self.busy(ino, page_no)? {
                if busy.try_acquire().is_some() {
                    // Nobody keeps the turn for what is under way: that goes on first (D-67).
                    self.sim.yield_now().await;
                } else {
                    drop(busy.acquire().await);
                }
                continue;
            }
            if granted.blocks == 0 && !self.is_reserved(ino, page_no)? {
                match self.grant(granted, 1, || ()).await {
                    Err(CowError::NoSpace) if self.grant_kept(ino, &[page_no], granted).await? => {}
                    granted => granted?,
                }
                continue; // Much may have happened meanwhile.
            }
            if self.make_writable(id, ino, page_no, granted)? {
                return Ok(());
            }
        }
    }

    /// The private copy of a page, as the page is now; `false` if it is not in memory.
    fn copy_page(&self, id: MappingId, ino: u64, page_no: u64) -> bool {
        let mut state = self.lock();
        let page = state.files.get(&ino).and_then(|file| file.pages.get(page_no));
        let Some(bytes) = page.map(|page| page.bytes.clone()) else { return false };
        if let Some(mapping) = state.mappings.get_mut(id) {
            mapping.copies.entry(page_no).or_insert(bytes);
        }
        true
    }

    /// What to wait for if changes are held, or the page is locked or under writeback.
    fn busy(&self, ino: u64, page_no: u64) -> Result<Option<TaskLock>, CowError> {
        if let Some(held) = self.changes_held() {
            return Ok(Some(held));
        }
        let mut state = self.lock();
        let file = state.file(ino)?;
        let Some(page) = file.pages.get(page_no) else { return Ok(None) };
        let is_locked = page.locked && self.policy.fault_lock == FaultLock::Waits;
        let preparing = is_locked.then(|| file.preparing.clone());
        Ok(preparing.or_else(|| page.writeback.then(|| file.writeback.clone())))
    }

    fn is_reserved(&self, ino: u64, page_no: u64) -> Result<bool, CowError> {
        let mut state = self.lock();
        Ok(state.file(ino)?.pages.get(page_no).is_some_and(|page| page.reserved))
    }

    /// Marks the page dirty and lets the mapping's stores through; `false` if it is not there.
    fn make_writable(
        &self,
        id: MappingId,
        ino: u64,
        page_no: u64,
        granted: &mut Granted<'_>,
    ) -> Result<bool, CowError> {
        let mut state = self.lock();
        let file = state.file(ino)?;
        let Some(page) = file.pages.get_mut(page_no) else { return Ok(false) };
        let is_locked = page.locked && self.policy.fault_lock == FaultLock::Waits;
        if is_locked || page.writeback || (granted.blocks == 0 && !page.reserved) {
            return Ok(false);
        }
        granted.blocks -= u64::from(!std::mem::replace(&mut page.reserved, true));
        page.dirty = true;
        // As on Linux, the time of a mapped change is the time of its first fault.
        file.times.modify_nanos = self.sim.now_nanos();
        file.times.change_nanos = file.times.modify_nanos;
        file.are_times_dirty = true;
        if let Some(mapping) = state.mappings.get_mut(id) {
            mapping.bits.insert(page_no, PageBits { writable: true, dirty: true });
        }
        Ok(true)
    }

    /// Keeps the cache within its bound. The change itself succeeded: what fails here stays dirty
    /// or is in the ledger, and a sync tells.
    pub(crate) async fn balance_after_change(&self, ino: u64) -> Result<(), CowError> {
        match self.balance(ino).await {
            Err(error) if is_power_off(&error) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn change_copy(copy: &mut Bytes, change: &Change) {
    let mut page = Page::clean(std::mem::take(copy));
    page.apply(change);
    *copy = page.bytes;
}

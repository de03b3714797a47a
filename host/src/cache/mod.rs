//! The page cache: content of files between the guest and the file system beneath.
//!
//! Flow: a write changes pages in memory and reserves space; [`PageCache::write_back`] captures
//! dirty pages and hands them down; a sync makes durable what was handed down and answers what
//! the error ledger owes. Size and times of a file live here while it is in use, and reach the
//! file system with the content that they describe.
//!
//! Order of waiting: a file's content lock (held by the caller), its writeback lock, then the
//! transaction of the file system.
//!
//! Architecture invariant: a page under writeback may be written to; nobody waits for it.

mod attributes;
mod clone;
mod direct;
mod error_policy;
mod errors;
mod evict;
mod live_page;
mod load;
mod mappings;
mod page;
mod pages;
mod pieces;
mod policy;
mod quiet;
mod ranges;
mod read;
mod reshape;
mod seek;
mod store;
mod sync;
mod transitions;
mod truncate;
mod write;
mod writeback;
mod writers;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;

pub use clone::ClonePart;
pub use error_policy::ClearRule;
pub use error_policy::CloseReports;
pub use error_policy::Conflict;
pub use error_policy::ErrorPolicy;
pub use error_policy::Observers;
pub use error_policy::PageAfterFailure;
pub use error_policy::ReportTime;
pub use error_policy::SizeAfterFailure;
pub use error_policy::Suspension;
pub use error_policy::SyncAllReports;
pub use error_policy::Syncs;
pub use errors::ErrorCursor;
pub use errors::SyncBegan;
pub use mappings::NewMapping;
pub use policy::CachePolicy;
pub use policy::CloneFlush;
pub use policy::ClonedPages;
pub use policy::CommitFailure;
pub use policy::DataSyncScope;
pub use policy::ExtentLookup;
pub use policy::FailureKind;
pub use policy::FaultLock;
pub use policy::GroupPressure;
pub use policy::MapFlush;
pub use policy::OwnedSpace;
pub use policy::PAGE_CAPTURED_FIRST;
pub use policy::PAGE_ORDER;
pub use policy::PageErrors;
pub use policy::PagePayload;
pub use policy::PageStep;
pub use policy::PartFailures;
pub use policy::RecycledRecord;
pub use policy::SHARD_BYTES;
pub use policy::SeekFlush;
pub use policy::SyncReach;
pub use policy::TailZeroing;
pub use policy::TransformFallback;
pub use policy::Truncation;
pub use policy::WriteFit;
pub use policy::WriteLookup;
pub use policy::WriteRetry;
pub use policy::WriteShortage;
pub use policy::WritebackEnd;
pub use policy::WritebackTurn;
pub use reshape::Reshape;
pub use seek::Sought;
pub use sync::SyncScope;
pub use transitions::Transition;
pub use transitions::TransitionStep;
pub use writers::Writer;

use crate::cache::errors::Ledger;
use crate::cache::mappings::Mappings;
use crate::cache::pages::Pages;
use crate::cache::ranges::Ranges;
use crate::cache::transitions::Transitions;
use crate::cache::writers::Writers;
use crate::call::Errno;
use crate::call::Ino;
use crate::call::MappingId;
use crate::call::Testimony;
use crate::call::Witness;
use crate::cow::Cow;
use crate::cow::CowError;
use crate::cow::Times;
use crate::device::DeviceError;
use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use crate::sim::Sim;
use crate::sim::TaskLock;

/// Why a sync did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncError {
    /// Content or its description could not be made durable just now.
    Cow(CowError),
    /// The ledger owes this error.
    Owed(Errno),
}

impl From<CowError> for SyncError {
    fn from(error: CowError) -> Self {
        Self::Cow(error)
    }
}

/// The errno that an error from beneath becomes.
#[must_use]
pub fn errno_of(error: &CowError) -> Errno {
    match error {
        CowError::NoSpace | CowError::Device(DeviceError::NoSpace) => Errno::NoSpace,
        CowError::Device(DeviceError::Io | DeviceError::OutOfRange | DeviceError::PowerOff)
        | CowError::Corrupt { .. }
        | CowError::Suspended
        | CowError::Geometry(_) => Errno::Io,
        CowError::GroupFull => Errno::Again,
        CowError::NoInode(_) | CowError::NoEntry => Errno::NoEntry,
        CowError::EntryExists => Errno::Exists,
        CowError::NameLength => Errno::NameTooLong,
        CowError::ReadOnly => Errno::ReadOnly,
    }
}

/// Is the power off, so that the run is over?
pub(crate) fn is_power_off(error: &CowError) -> bool {
    *error == CowError::Device(DeviceError::PowerOff)
}

/// One file in memory.
#[derive(Debug)]
struct CachedFile {
    pages: Pages,
    /// Acknowledged bytes that no writeback has captured yet.
    unwritten: Ranges,
    /// Who wrote them, where that matters.
    writers: Writers,
    /// The size that callers see.
    size_bytes: u64,
    /// The size in the file system beneath; never above `size_bytes`.
    stored_size_bytes: u64,
    /// Are the bytes beneath, from the stored size to the end of its block, zero or valid?
    is_tail_clean: bool,
    times: Times,
    /// Does the file system beneath have other times?
    are_times_dirty: bool,
    stored_access_nanos: u64,
    /// Pages whose writeback succeeded.
    writeback_count: u64,
    /// Changes whenever a read from beneath that began earlier could be stale.
    generation: u64,
    ledger: Ledger,
    /// Who holds the file in memory.
    users: u32,
    /// Its mappings.
    mappings: Vec<MappingId>,
    writeback: TaskLock,
    /// Pages that the writeback under way took of which the device refused none, if somebody
    /// watches.
    pass: Option<BTreeSet<u64>>,
    /// Is its content transformed on its way down?
    is_transformed: bool,
    /// Held by writeback while pages are locked.
    preparing: TaskLock,
}

impl CachedFile {
    fn is_clean(&self) -> bool {
        !self.are_times_dirty
            && self.size_bytes == self.stored_size_bytes
            && self.pages.unclean().next().is_none()
    }
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<u64, CachedFile>,
    /// Failed writebacks of any file that no sync of everything has told of, with the last error.
    untold: Option<Errno>,
    /// The last error of a failed writeback of any file.
    failed: Option<Errno>,
    mappings: Mappings,
    /// So many descriptions were given a number.
    writer_count: u64,
    page_count: u64,
    /// Where reclaim goes on: after this page of this file.
    reclaimed_to: (u64, u64),
    /// The record of the file whose place was given back last, where that is not reset.
    recycled: Option<Ledger>,
}

impl State {
    fn file(&mut self, ino: u64) -> Result<&mut CachedFile, CowError> {
        self.files.get_mut(&ino).ok_or(CowError::NoInode(ino))
    }
}

/// The page cache. Clones are the same cache.
#[derive(Debug, Clone)]
pub struct PageCache {
    cow: Cow,
    sim: Sim,
    witness: Witness,
    policy: CachePolicy,
    page_size_bytes: u64,
    zero_page: Bytes,
    loading: TaskLock,
    transitions: Transitions,
    /// Held while no change of content may begin.
    changes: TaskLock,
    /// So many writebacks failed, of any file.
    failures: Arc<AtomicU64>,
    state: Arc<WorldMutex<State>>,
}

impl PageCache {
    /// A cache over a mounted file system.
    #[must_use]
    pub fn new(cow: Cow, sim: Sim, witness: Witness, policy: CachePolicy) -> Self {
        let block_size_bytes = cow.geometry().block_size_bytes;
        Self {
            cow,
            sim,
            witness,
            policy,
            page_size_bytes: u64::from(block_size_bytes),
            zero_page: Bytes::from(vec![0; block_size_bytes as usize]),
            loading: TaskLock::default(),
            transitions: Transitions::default(),
            changes: TaskLock::default(),
            failures: Arc::default(),
            state: Arc::default(),
        }
    }

    fn lock(&self) -> WorldGuard<'_, State> {
        self.state.lock()
    }

    /// Notes what is amiss with pages that count as clean, from now on.
    pub fn watch_transitions(&self) {
        self.transitions.watch();
    }

    /// Was nothing noted since the last time?
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.transitions.is_empty()
    }

    /// What was noted since the last time.
    #[must_use]
    pub fn take_transitions(&self) -> Vec<Transition> {
        self.transitions.take()
    }

    /// Notes what became of a page, if somebody watches. `taken` is what the device took of it.
    fn note_transition(
        &self,
        file: &CachedFile,
        ino: u64,
        step: TransitionStep,
        (page_no, taken): (u64, Option<&Bytes>),
    ) {
        let Some(page) = file.pages.get(page_no) else { return };
        if page.dirty || !self.transitions.is_watched() {
            return;
        }
        let range = self.page_range(page_no);
        let forgotten: Vec<Range<u64>> = file
            .unwritten
            .within(&range)
            .into_iter()
            .filter(|range| !file.ledger.meets(range))
            .collect();
        let end = file.size_bytes.saturating_sub(range.start).min(self.page_size_bytes) as usize;
        let is_compared = forgotten.is_empty() && !page.writeback && !file.ledger.meets(&range);
        let differs = |taken: &Bytes| {
            if taken.as_ptr() == page.bytes.as_ptr() {
                return None;
            }
            let pairs = page.bytes.iter().zip(taken.iter()).take(end);
            let at = pairs.take_while(|(now, then)| now == then).count();
            (at < end.min(taken.len())).then_some(range.start + at as u64)
        };
        let differs_at = taken.filter(|_| is_compared).and_then(differs);
        self.transitions.note(Transition { step, ino, forgotten, differs_at });
    }

    /// Keeps a file in memory until [`PageCache::detach`].
    pub async fn attach(&self, ino: u64) -> Result<(), CowError> {
        // One task loads at a time: the inode that was read is still the newest when it enters.
        let _loading = self.loading.acquire().await;
        if let Some(file) = self.lock().files.get_mut(&ino) {
            file.users += 1;
            return Ok(());
        }
        let inode = self.cow.inode(ino).await?.ok_or(CowError::NoInode(ino))?;
        let file = CachedFile {
            pages: Pages::default(),
            unwritten: Ranges::default(),
            writers: Writers::default(),
            size_bytes: inode.size_bytes,
            stored_size_bytes: inode.size_bytes,
            // A snapshot is never written to.
            is_tail_clean: inode.size_bytes.is_multiple_of(self.page_size_bytes)
                || Cow::is_in_snapshot(ino),
            times: inode.times,
            are_times_dirty: false,
            stored_access_nanos: inode.times.access_nanos,
            generation: 0,
            writeback_count: 0,
            ledger: self.lock().recycled.take().unwrap_or_default(),
            users: 1,
            mappings: Vec::new(),
            is_transformed: inode.is_compressed,
            preparing: TaskLock::default(),
            writeback: TaskLock::default(),
            pass: None,
        };
        self.lock().files.insert(ino, file);
        Ok(())
    }

    /// Is what is written from now on transformed on its way down, as by compression?
    pub fn set_transformed(&self, ino: u64, is_transformed: bool) {
        if let Some(file) = self.lock().files.get_mut(&ino) {
            file.is_transformed = is_transformed;
        }
    }

    /// Lets go of a file; its pages stay until they are evicted.
    pub fn detach(&self, ino: u64) {
        let mut state = self.lock();
        let mut is_given_up = false;
        if let Some(file) = state.files.get_mut(&ino) {
            file.users = file.users.saturating_sub(1);
            if file.users == 0 {
                file.ledger.closed();
                let errors = &self.policy.errors;
                is_given_up = errors.retries() && errors.clear_rule == ClearRule::LastClose;
            }
        }
        if is_given_up {
            self.give_up_lost(&mut state, ino);
        }
        self.forget_if_idle(&mut state, ino);
    }

    /// The cursor of a description that is opened now.
    #[must_use]
    pub fn error_cursor(&self, ino: u64) -> ErrorCursor {
        let policy = &self.policy.errors;
        let mut state = self.lock();
        state.writer_count += 1;
        let by = Writer(state.writer_count);
        let file = state.files.get(&ino);
        file.map_or_else(ErrorCursor::default, |file| file.ledger.open_cursor(policy, by))
    }

    /// Bytes of a file wait to be written back, as a description wrote them.
    fn note_unwritten(&self, file: &mut CachedFile, range: Range<u64>, by: Writer) {
        if self.policy.errors.observers == Observers::Writer {
            file.writers.put(range.clone(), by);
        }
        file.unwritten.add(range);
    }

    /// Number of pages that are still to be written back.
    #[must_use]
    pub fn dirty_page_count(&self) -> u64 {
        let state = self.lock();
        let dirty = |file: &CachedFile| file.pages.unclean().filter(|(_, page)| page.dirty).count();
        state.files.values().map(dirty).sum::<usize>() as u64
    }

    /// Files with something that is still to be written back.
    fn dirty_files(&self) -> Vec<u64> {
        let state = self.lock();
        state.files.iter().filter(|(_, file)| !file.is_clean()).map(|(ino, _)| *ino).collect()
    }

    /// Is there anything for the flusher to do?
    #[must_use]
    pub fn has_dirty(&self) -> bool {
        self.lock().files.values().any(|file| {
            let has_unstored = file.size_bytes != file.stored_size_bytes;
            file.are_times_dirty || has_unstored || !file.unwritten.is_empty()
        })
    }

    fn page_range(&self, page_no: u64) -> Range<u64> {
        let start = page_no * self.page_size_bytes;
        start..start.saturating_add(self.page_size_bytes)
    }

    /// Says that bytes are no longer lost; of what is tried again nobody was told that it is.
    fn say_resolved(&self, ino: u64, ranges: Vec<Range<u64>>) {
        for range in ranges.into_iter().filter(|_| !self.policy.errors.retries()) {
            self.witness.say(Testimony::Resolved { file: Ino(ino), range });
        }
    }

    /// Drops a file from memory if nothing is left to remember of it.
    fn forget_if_idle(&self, state: &mut State, ino: u64) {
        self.forget(state, ino, |ledger, policy| ledger.is_owed(policy));
    }

    /// The same where memory is short: what is owed goes too, if the policy lets it.
    fn reclaim_if_idle(&self, state: &mut State, ino: u64) {
        self.forget(state, ino, |ledger, policy| ledger.must_stay(policy));
    }

    fn forget(&self, state: &mut State, ino: u64, stays: fn(&Ledger, &ErrorPolicy) -> bool) {
        let Some(file) = state.files.get(&ino) else { return };
        let is_idle = file.users == 0 && file.pages.is_empty() && file.is_clean();
        if is_idle && !stays(&file.ledger, &self.policy.errors) {
            for range in file.ledger.lost() {
                self.witness.say(Testimony::Evicted { file: Ino(ino), range });
            }
            self.give_back(state, ino);
        }
    }

    /// Takes a file out of memory: another one may have its place. Answers what its record was.
    fn give_back(&self, state: &mut State, ino: u64) -> Ledger {
        let ledger = state.files.remove(&ino).map(|file| file.ledger).unwrap_or_default();
        match self.policy.recycled_record {
            RecycledRecord::Reset => {}
            RecycledRecord::Kept => state.recycled = Some(ledger.clone()),
        }
        ledger
    }
}

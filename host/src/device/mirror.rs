//! A mirror: legs that hold the same blocks, and a log of the regions in which they may differ.
//!
//! Legs and log lie one behind the other on one device, so that a loss of power leaves any of their
//! unflushed writes, as on devices of their own; a flush covers all of them.
//!
//! D-3: before a write to any leg begins, its region is durably marked dirty. It is called clean
//! only when every leg holds the final version of every write to it, durably. After a loss of power
//! the legs are made equal where the log says dirty.
//!
//! Source: seed 001, the mirror of the device mapper (drivers/md/dm-raid1.c, dm-region-hash.c).

mod change;
mod copies;
mod journal;
mod layout;
mod log;
mod policy;
mod returning;
mod settle;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;

use crate::device::BlockNo;
use crate::device::Class;
use crate::device::Completion;
use crate::device::Copies;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::Geometry;
use crate::device::Origin;
use crate::device::Payload;
use crate::device::Request;
use crate::device::RequestId;
use crate::device::mirror::journal::Journal;
use crate::device::mirror::log::RegionLog;
use crate::device::perform;
use crate::mutex::WorldMutex;
use crate::sim::Sim;
use crate::sim::Site;
use crate::sim::TaskLock;

pub use journal::LegDeed;
pub use journal::LegEvent;
pub use layout::MirrorLayout;
pub use policy::CopyFailure;
pub use policy::LegPayload;
pub use policy::MirrorPolicy;
pub use policy::RegionClearing;
pub use policy::RegionMarking;
pub use policy::Resync;
pub use policy::ReturningLeg;

/// A mirror has at most so many legs: one bit each in the log.
pub const LEG_COUNT_MAX: u32 = 8;

/// What the log is written as.
const OF_LOG: Origin = Origin { class: Class::Log, object: 0, offset: 0 };

/// What makes legs equal.
const OF_RESYNC: Origin = Origin { class: Class::Data, object: 0, offset: 0 };

#[derive(Default)]
struct State {
    /// What the log is to say.
    log: RegionLog,
    /// Regions in which a loss of power may have left legs that differ.
    in_doubt: BTreeSet<u64>,
    /// What it is sure to say on the medium, or taken for it.
    durable: RegionLog,
    /// What was written of it and not forced, since the last flush.
    unforced: Option<RegionLog>,
    /// Writes under way, by region.
    writes: BTreeMap<u64, u32>,
    /// When the last write to a dirty region ended, in ended writes.
    last_end: BTreeMap<u64, u64>,
    ended: u64,
    /// Lost legs that came back: they are written, and not read yet. How many writes had ended by
    /// then.
    returning: BTreeMap<u32, u64>,
    /// What legs that were lost since the mirror was opened lack; of others nobody knows.
    missed: BTreeMap<u32, BTreeSet<u64>>,
}

impl State {
    /// A leg is neither read nor written any more, and lacks these blocks.
    fn lose(&mut self, leg: u32, blocks: Range<u64>) {
        self.returning.remove(&leg);
        if self.log.lost.insert(leg) {
            self.missed.insert(leg, BTreeSet::new());
        }
        self.miss(leg, blocks);
    }

    /// A lost leg lacks these blocks too.
    fn miss(&mut self, leg: u32, blocks: Range<u64>) {
        if let Some(missed) = self.missed.get_mut(&leg) {
            missed.extend(blocks);
        }
    }
}

/// What the requests share.
struct Legs {
    below: Arc<dyn Device>,
    layout: MirrorLayout,
    policy: MirrorPolicy,
    sim: Sim,
    /// Whose turn it is to write the log.
    logging: TaskLock,
    /// Whose turn it is to copy to legs that came back.
    copying: TaskLock,
    journal: Journal,
    state: WorldMutex<State>,
}

type Running = Pin<Box<dyn Future<Output = Completion> + Send>>;

#[derive(Default)]
struct Requests {
    running: BTreeMap<RequestId, Running>,
    next: u64,
}

/// A mirror.
pub struct Mirror {
    legs: Arc<Legs>,
    requests: WorldMutex<Requests>,
}

impl Mirror {
    /// The mirror on a device. Where its legs may differ, they do until [`Copies::settle`].
    ///
    /// # Errors
    /// What the device answers.
    pub async fn open(
        below: Arc<dyn Device>,
        layout: MirrorLayout,
        policy: MirrorPolicy,
        sim: Sim,
    ) -> Result<Self, DeviceError> {
        let read = Request::Read { block: layout.log() };
        let log = RegionLog::decode(&perform(below.as_ref(), read).await?);
        let in_doubt = match policy.resync {
            Resync::DirtyRegions => log.dirty.clone(),
            Resync::All => (0..=layout.region(BlockNo(layout.leg().block_count))).collect(),
        };
        let state = State { durable: log.clone(), log, in_doubt, ..State::default() };
        let (logging, copying) = (TaskLock::default(), TaskLock::default());
        let journal = Journal::default();
        let legs = Legs {
            below,
            layout,
            policy,
            sim,
            logging,
            copying,
            journal,
            state: WorldMutex::new(state),
        };
        Ok(Self { legs: Arc::new(legs), requests: WorldMutex::default() })
    }

    /// From now on a leg is neither read nor written. The log says so before the next write is
    /// answered: until then the leg is behind in nothing.
    ///
    /// # Errors
    /// [`DeviceError::OutOfRange`] if there is no such leg, or it is the last one.
    pub fn lose(&self, leg: u32) -> Result<(), DeviceError> {
        let legs = &self.legs;
        if leg >= legs.layout.leg_count || legs.present().iter().all(|left| *left == leg) {
            return Err(DeviceError::OutOfRange);
        }
        legs.state.lock().lose(leg, 0..0);
        Ok(())
    }

    /// A leg that was lost is there again: it is written from now on, and read when it has what it
    /// missed, which the next flush sees to.
    ///
    /// # Errors
    /// [`DeviceError::OutOfRange`] if it is not lost.
    pub fn bring_back(&self, leg: u32) -> Result<(), DeviceError> {
        self.legs.bring_back(leg)
    }

    /// Keeps what becomes of blocks from now on, for [`Mirror::take_events`].
    pub fn watch(&self) {
        self.legs.journal.watch();
        let said = self.legs.state.lock().durable.clone();
        self.legs.note_log(&said);
    }

    /// What became of blocks since the last time.
    #[must_use]
    pub fn take_events(&self) -> Vec<LegEvent> {
        self.legs.journal.take()
    }
}

impl Device for Mirror {
    fn geometry(&self) -> Geometry {
        self.legs.layout.leg()
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }

    fn drop_cache(&self) {
        self.legs.below.drop_cache();
    }

    fn submit(&self, request: Request) -> RequestId {
        let legs = Arc::clone(&self.legs);
        let running: Running = Box::pin(async move { legs.perform(request).await });
        let mut requests = self.requests.lock();
        let id = RequestId(requests.next);
        requests.next += 1;
        requests.running.insert(id, running);
        id
    }

    fn poll(&self, id: RequestId, cx: &mut Context<'_>) -> Poll<Completion> {
        // A completion is told once; who asks again asks for nothing.
        let Some(mut running) = self.requests.lock().running.remove(&id) else {
            return Poll::Ready(Err(DeviceError::OutOfRange));
        };
        let done = running.as_mut().poll(cx);
        if done.is_pending() {
            self.requests.lock().running.insert(id, running);
        }
        done
    }
}

impl Legs {
    /// The legs that are not lost, in order.
    fn present(&self) -> Vec<u32> {
        let state = self.state.lock();
        (0..self.layout.leg_count).filter(|leg| !state.log.lost.contains(leg)).collect()
    }

    /// The legs that are written: those that came back are, before they are read.
    fn written(&self) -> BTreeSet<u32> {
        let returning: Vec<u32> = self.state.lock().returning.keys().copied().collect();
        self.present().into_iter().chain(returning).collect()
    }

    async fn perform(&self, request: Request) -> Completion {
        let count = self.layout.leg().block_count;
        let (first, len) = match request {
            Request::Read { block } | Request::Write { block, .. } => (block.0, 1),
            Request::Discard { block, count } => (block.0, count),
            Request::Flush => (0, 0),
        };
        if first.checked_add(len).is_none_or(|end| end > count) {
            return Err(DeviceError::OutOfRange);
        }
        match request {
            Request::Read { block } => self.read(block).await,
            Request::Flush => self.flush().await,
            Request::Write { .. } | Request::Discard { .. } => {
                let last = BlockNo(first + len.saturating_sub(1));
                let regions = self.layout.region(BlockNo(first))..=self.layout.region(last);
                self.change(request, regions.collect()).await
            }
        }
    }

    /// From some leg; where it cannot be read, from the next one.
    async fn read(&self, block: BlockNo) -> Completion {
        let mut outcome = Err(DeviceError::Io);
        let mut legs = self.present();
        if !self.is_in_doubt(block) {
            // Which leg is idle is chance.
            let first = self.sim.choose(Site::ReadLeg, legs.len() as u32);
            legs.rotate_left(first as usize);
        }
        for leg in legs {
            self.journal.note(leg, block.0..block.0 + 1, LegDeed::Read);
            let block = self.layout.on_leg(leg, block);
            outcome = perform(self.below.as_ref(), Request::Read { block }).await;
            if outcome != Err(DeviceError::Io) {
                break;
            }
        }
        outcome
    }

    async fn flush(&self) -> Completion {
        self.catch_up().await?;
        let until = self.state.lock().ended;
        self.flush_below().await?;
        let is_cleaner = {
            let mut state = self.state.lock();
            let State { log, writes, last_end, .. } = &mut *state;
            let before = log.dirty.len();
            log.dirty.retain(|region| {
                writes.contains_key(region) || last_end.get(region).is_none_or(|end| *end > until)
            });
            last_end.retain(|region, _| log.dirty.contains(region));
            log.dirty.len() < before
        };
        if is_cleaner {
            let _turn = self.logging.acquire().await;
            self.put_log().await?;
        }
        Ok(Bytes::new())
    }

    /// Makes durable what legs and log have.
    async fn flush_below(&self) -> Result<(), DeviceError> {
        let unforced = self.state.lock().unforced.take();
        let flush = self.journal.flush_begins();
        perform(self.below.as_ref(), Request::Flush).await?;
        self.journal.push(LegEvent::Flushed { flush });
        unforced.iter().for_each(|log| self.note_log(log));
        Ok(())
    }

    /// Waits until the log says, on the medium, that these regions are dirty and which legs are
    /// lost.
    async fn write_log(&self, regions: &BTreeSet<u64>) -> Result<(), DeviceError> {
        let is_said = || {
            let state = self.state.lock();
            state.durable.says(regions, &state.log.lost)
        };
        if is_said() {
            return Ok(());
        }
        let _turn = self.logging.acquire().await;
        if is_said() { Ok(()) } else { self.put_log().await }
    }

    async fn put_log(&self) -> Result<(), DeviceError> {
        let log = {
            let mut state = self.state.lock();
            let log = state.log.clone();
            // What it is about to stop saying it is not sure to say any more.
            state.durable.dirty.retain(|region| log.dirty.contains(region));
            log
        };
        let payload = Payload::Owned(log.encode(self.layout.leg().block_size_bytes));
        let is_forced = self.policy.marking == RegionMarking::Forced;
        let putting = write(self.layout.log(), payload, is_forced, OF_LOG);
        perform(self.below.as_ref(), putting).await?;
        if is_forced {
            self.note_log(&log);
        } else {
            self.state.lock().unforced = Some(log.clone());
        }
        self.state.lock().durable = log;
        Ok(())
    }

    fn note_log(&self, log: &RegionLog) {
        let dirty = log.dirty.iter().map(|region| self.layout.blocks_of(*region)).collect();
        self.journal.push(LegEvent::Logged { dirty, lost: log.lost.clone() });
    }

    /// Writes to a leg what another one has; did it take it?
    async fn copy(&self, leg: u32, block: BlockNo, bytes: Bytes) -> Result<bool, DeviceError> {
        let to = self.layout.on_leg(leg, block);
        let copying = write(to, Payload::Owned(bytes.clone()), false, OF_RESYNC);
        match (perform(self.below.as_ref(), copying).await, self.policy.copy_failure) {
            (Ok(_), _) => {
                let deed = LegDeed::Copied { bytes };
                self.journal.push(LegEvent::Block { leg, block, deed });
                Ok(true)
            }
            (Err(DeviceError::PowerOff), _) => Err(DeviceError::PowerOff),
            (
                Err(DeviceError::Io | DeviceError::NoSpace | DeviceError::OutOfRange),
                CopyFailure::LosesLeg,
            ) => {
                self.state.lock().lose(leg, block.0..block.0 + 1);
                Ok(false)
            }
            (
                Err(DeviceError::Io | DeviceError::NoSpace | DeviceError::OutOfRange),
                CopyFailure::CountsAsDone,
            ) => Ok(true),
        }
    }
}

fn write(block: BlockNo, payload: Payload, force_unit_access: bool, origin: Origin) -> Request {
    Request::Write { block, payload, force_unit_access, origin }
}

#[cfg(test)]
mod tests;

//! A disk: an image under a volatile write cache.
//!
//! Fault model: a write takes effect in the cache, a flush that completes makes durable every
//! write that had completed when the flush was submitted; a forced write is durable when it
//! completes. A discard writes zeros to each of its blocks when the device gets to it, which may be
//! any time until it completes, and never. What power loss leaves is in `power.rs`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;

use crate::device::Block;
use crate::device::BlockNo;
use crate::device::Class;
use crate::device::Completion;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::DeviceEvent;
use crate::device::Geometry;
use crate::device::History;
use crate::device::Image;
use crate::device::Origin;
use crate::device::Request;
use crate::device::RequestId;
use crate::device::Written;
use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use crate::sim::Sim;
use crate::sim::Site;

/// A late completion comes after at most so many polls.
const DELAY_MAX: u32 = 3;

/// What the zeros are for that a discard writes.
const OF_DISCARDS: Origin = Origin { class: Class::Data, object: 0, offset: 0 };

struct Pending {
    request: Request,
    /// For a flush: number of the first write that it does not cover.
    covers_until: u64,
    delay: u32,
}

struct State {
    cached: Image,
    durable: Image,
    unflushed: Vec<Written>,
    write_count: u64,
    next: u64,
    pending: BTreeMap<RequestId, Pending>,
    /// Discards that the device did not get to yet.
    discards: VecDeque<RequestId>,
    powered: bool,
    touched: Option<Touched>,
}

/// Which blocks a device was asked for since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Those whose content was asked for before they were written.
    pub read: BTreeSet<BlockNo>,
    /// Those that were written.
    pub written: BTreeSet<BlockNo>,
}

/// A disk in memory.
pub struct Disk {
    geometry: Geometry,
    sim: Sim,
    history: History,
    state: WorldMutex<State>,
}

impl Disk {
    /// A disk whose medium holds `image`, and whose cache is empty.
    #[must_use]
    pub fn new(image: Image, sim: Sim) -> Self {
        let state = State {
            cached: image.clone(),
            durable: image.clone(),
            unflushed: Vec::new(),
            write_count: 0,
            next: 0,
            pending: BTreeMap::new(),
            discards: VecDeque::new(),
            powered: true,
            touched: None,
        };
        let geometry = image.geometry();
        Self { geometry, sim, history: History::new(image), state: WorldMutex::new(state) }
    }

    /// The same disk, which remembers from now on which blocks it was asked for.
    #[must_use]
    pub fn watched(self) -> Self {
        self.lock().touched = Some(Touched::default());
        self
    }

    /// Which blocks it was asked for since that was to be remembered.
    #[must_use]
    pub fn touched(&self) -> Touched {
        self.lock().touched.clone().unwrap_or_default()
    }

    fn lock(&self) -> WorldGuard<'_, State> {
        self.state.lock()
    }

    /// What happened to it so far.
    #[must_use]
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// What a loss of power now is sure to leave.
    #[must_use]
    pub fn durable_image(&self) -> Image {
        self.lock().durable.clone()
    }

    /// What a crash of the kernel now leaves: every completed write.
    #[must_use]
    pub fn cached_image(&self) -> Image {
        self.lock().cached.clone()
    }

    /// Cuts the power: nothing completes any more.
    pub fn power_off(&self) {
        self.lock().powered = false;
    }

    fn write(
        &self,
        state: &mut State,
        block: BlockNo,
        content: Block,
        forced: bool,
        origin: Origin,
    ) {
        let number = state.write_count;
        state.write_count += 1;
        state.cached.set(block, content.clone());
        if let Some(touched) = &mut state.touched {
            touched.written.insert(block);
        }
        let written = Written { number, block, content, forced, origin };
        if forced {
            force(state, &written);
        } else {
            state.unflushed.push(written.clone());
        }
        self.history.push(DeviceEvent::Written(written));
    }

    fn erase(&self, state: &mut State, block: BlockNo, count: u64) {
        let zeros = Bytes::from(vec![0; self.geometry.block_size_bytes as usize]);
        let end = block.0.saturating_add(count).min(self.geometry.block_count);
        for block in (block.0..end).map(BlockNo) {
            let content = Block::new(block, zeros.clone());
            self.write(state, block, content, false, OF_DISCARDS);
        }
    }

    /// The device may get to the oldest discard that it did not get to yet.
    fn work_on_discards(&self, state: &mut State) {
        if !state.discards.is_empty()
            && self.sim.happens(Site::DiscardErases)
            && let Some(oldest) = state.discards.pop_front()
            && let Some(Request::Discard { block, count }) =
                state.pending.get(&oldest).map(|pending| pending.request.clone())
        {
            self.erase(state, block, count);
        }
    }

    fn take_effect(&self, state: &mut State, id: RequestId, pending: Pending) -> Completion {
        match pending.request {
            Request::Read { block } => {
                if let Some(touched) = &mut state.touched
                    && !touched.written.contains(&block)
                {
                    touched.read.insert(block);
                }
                state.cached.get(block).ok_or(DeviceError::OutOfRange)
            }
            Request::Write { block, payload, force_unit_access, origin } => {
                let bytes = payload.capture();
                let fits = bytes.len() == self.geometry.block_size_bytes as usize;
                if block.0 >= self.geometry.block_count || !fits {
                    return Err(DeviceError::OutOfRange);
                }
                let content = Block::new(block, bytes);
                self.write(state, block, content, force_unit_access, origin);
                Ok(Bytes::new())
            }
            Request::Discard { block, count } => {
                let end = block.0.checked_add(count);
                if end.is_none_or(|end| end > self.geometry.block_count) {
                    return Err(DeviceError::OutOfRange);
                }
                if let Some(at) = state.discards.iter().position(|idle| *idle == id) {
                    state.discards.remove(at);
                    if self.sim.happens(Site::DiscardErases) {
                        self.erase(state, block, count);
                    }
                }
                Ok(Bytes::new())
            }
            Request::Flush => {
                let until = pending.covers_until;
                let kept = state.unflushed.partition_point(|written| written.number < until);
                for written in state.unflushed.drain(..kept) {
                    state.durable.set(written.block, written.content);
                }
                self.history.push(DeviceEvent::Flushed { until });
                Ok(Bytes::new())
            }
        }
    }
}

/// A forced write reaches the medium past older writes to its block, which it supersedes.
fn force(state: &mut State, written: &Written) {
    state.unflushed.retain(|older| older.block != written.block);
    state.durable.set(written.block, written.content.clone());
}

impl Device for Disk {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn drop_cache(&self) {
        let mut state = self.lock();
        state.cached = state.durable.clone();
        state.unflushed.clear();
        self.history.push(DeviceEvent::Dropped);
    }

    fn submit(&self, request: Request) -> RequestId {
        let delay = match request {
            // It is as late as whoever asks for its completion.
            Request::Discard { .. } => 0,
            Request::Read { .. } | Request::Write { .. } | Request::Flush => {
                self.sim.choose(Site::CompletionDelay, DELAY_MAX + 1)
            }
        };
        let mut state = self.lock();
        let id = RequestId(state.next);
        state.next += 1;
        self.work_on_discards(&mut state);
        if let Request::Discard { .. } = request {
            state.discards.push_back(id);
        }
        let covers_until = state.write_count;
        state.pending.insert(id, Pending { request, covers_until, delay });
        id
    }

    fn poll(&self, id: RequestId, cx: &mut Context<'_>) -> Poll<Completion> {
        let mut state = self.lock();
        if !state.powered {
            return Poll::Ready(Err(DeviceError::PowerOff));
        }
        let Some(mut pending) = state.pending.remove(&id) else {
            // A completion is told once; who asks again asks for nothing.
            return Poll::Ready(Err(DeviceError::OutOfRange));
        };
        if pending.delay > 0 {
            pending.delay -= 1;
            state.pending.insert(id, pending);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.take_effect(&mut state, id, pending))
    }
}

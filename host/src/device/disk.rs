//! A disk: an image under a volatile write cache.
//!
//! Fault model: a write takes effect in the cache, a flush that completes makes durable every
//! write that had completed when the flush was submitted; a forced write is durable when it
//! completes. What power loss leaves is in `power.rs`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;

use crate::device::Block;
use crate::device::Completion;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::DeviceEvent;
use crate::device::Geometry;
use crate::device::History;
use crate::device::Image;
use crate::device::Request;
use crate::device::RequestId;
use crate::device::Written;
use crate::sim::Sim;
use crate::sim::Site;

/// A late completion comes after at most so many polls.
const DELAY_MAX: u32 = 3;

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
    powered: bool,
}

/// A disk in memory.
pub struct Disk {
    geometry: Geometry,
    sim: Sim,
    history: History,
    state: Mutex<State>,
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
            powered: true,
        };
        let geometry = image.geometry();
        Self { geometry, sim, history: History::new(image), state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn take_effect(&self, state: &mut State, pending: Pending) -> Completion {
        match pending.request {
            Request::Read { block } => state.cached.get(block).ok_or(DeviceError::OutOfRange),
            Request::Write { block, payload, force_unit_access, origin } => {
                let bytes = payload.capture();
                let fits = bytes.len() == self.geometry.block_size_bytes as usize;
                if block.0 >= self.geometry.block_count || !fits {
                    return Err(DeviceError::OutOfRange);
                }
                let content = Block::new(block, bytes);
                let number = state.write_count;
                state.write_count += 1;
                state.cached.set(block, content.clone());
                let written = Written { number, block, content, forced: force_unit_access, origin };
                if force_unit_access {
                    force(state, &written);
                } else {
                    state.unflushed.push(written.clone());
                }
                self.history.push(DeviceEvent::Written(written));
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

    fn submit(&self, request: Request) -> RequestId {
        let delay = self.sim.choose(Site::CompletionDelay, DELAY_MAX + 1);
        let mut state = self.lock();
        let id = RequestId(state.next);
        state.next += 1;
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
        Poll::Ready(self.take_effect(&mut state, pending))
    }
}

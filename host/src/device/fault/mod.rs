//! Faults: a device around another that does wrong what its plan says.
//!
//! Fault model: each request is passed on, unless a rule, the pool or chance says otherwise. A
//! refused write has no effect, but for the sectors of one that is torn, and its error is told when
//! it completes. A flush that lies and a write that goes elsewhere are noted in the history of the
//! medium, so that nobody takes what a crash shows then for the doing of whoever wrote. Requests
//! are chosen by what they are for, where they go and their number, never by a path.

mod draft;
mod plan;
mod rule;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
pub use draft::FaultDraft;
pub use plan::FaultOrder;
pub use plan::FaultPlan;
pub use plan::ThinPool;
pub use plan::WhenFull;
pub use rule::FailCount;
pub use rule::Fault;
pub use rule::FaultKind;
pub use rule::FaultRule;

use crate::device::BlockNo;
use crate::device::Completion;
use crate::device::Copies;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::DeviceEvent;
use crate::device::Geometry;
use crate::device::History;
use crate::device::Image;
use crate::device::Lie;
use crate::device::MirrorLayout;
use crate::device::Origin;
use crate::device::Payload;
use crate::device::Request;
use crate::device::RequestId;
use crate::device::SECTOR_SIZE_BYTES;
use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use crate::sim::Sim;
use crate::sim::Site;

/// How long a request waits that chance makes late, in steps.
const RANDOM_LATENCY_STEPS: u32 = 3;

/// So long a write waits for a pool to grow, in steps.
const QUEUED_STEPS_MAX: u32 = 1000;

/// A request that does not go its usual way.
enum Odd {
    /// It is over.
    Over(Completion),
    /// It is below, and looked at only after so many steps.
    Late { id: RequestId, steps: u32 },
    /// It waits for the pool.
    Queued { request: Request, steps: u32 },
    /// What is in its block is being read, so that a part of it can stay.
    Tearing { id: RequestId, block: BlockNo, torn: Bytes, origin: Origin },
    /// What is torn is being written.
    Torn(RequestId),
}

struct Counted {
    rule: FaultRule,
    met: u64,
}

struct Pool {
    shape: ThinPool,
    used: BTreeSet<BlockNo>,
}

#[derive(Default)]
struct State {
    rules: Vec<Counted>,
    pool: Option<Pool>,
    random_left: u64,
    /// What was written last to each block.
    origins: BTreeMap<BlockNo, Origin>,
    odd: BTreeMap<RequestId, Odd>,
    next: u64,
}

/// A device with faults.
pub struct Faulty {
    below: Arc<dyn Device>,
    sim: Sim,
    medium: Option<History>,
    /// What the device held when it was made.
    start: Option<Image>,
    /// Where the legs of the mirror are that the device holds.
    legs: Option<MirrorLayout>,
    state: WorldMutex<State>,
    /// Did a write go to another block since somebody asked?
    is_misplaced: AtomicBool,
}

/// Numbers of the requests that do not go their usual way, apart from those of the device below.
const ODD_FROM: u64 = 1 << 63;

impl Faulty {
    /// A device that does to the requests of `below` what the plan says. Where no rule does, the
    /// chooser may let a write fail ([`Site::WriteFails`]).
    #[must_use]
    pub fn new(below: Arc<dyn Device>, plan: impl Into<FaultPlan>, sim: Sim) -> Self {
        let faulty = Self::healthy(below, sim);
        faulty.arm(plan.into());
        faulty
    }

    fn healthy(below: Arc<dyn Device>, sim: Sim) -> Self {
        Self {
            below,
            sim,
            medium: None,
            start: None,
            legs: None,
            state: WorldMutex::default(),
            is_misplaced: AtomicBool::new(false),
        }
    }

    /// A device that holds the legs of a mirror, of which rules name one. Nothing that no rule
    /// names goes wrong with a leg alone.
    #[must_use]
    pub fn of_legs(
        below: Arc<dyn Device>,
        layout: MirrorLayout,
        medium: History,
        sim: Sim,
    ) -> Self {
        Self { medium: Some(medium), legs: Some(layout), ..Self::healthy(below, sim) }
    }

    /// The same of a device that holds something, above a medium in whose history it is noted when
    /// the device lies.
    #[must_use]
    pub fn above(mut self, start: Image, medium: History) -> Self {
        self.start = Some(start);
        self.medium = Some(medium);
        self
    }

    fn lock(&self) -> WorldGuard<'_, State> {
        self.state.lock()
    }

    /// The plan holds from now on, in place of any other.
    pub fn arm(&self, plan: FaultPlan) {
        {
            let mut state = self.lock();
            state.rules.clear();
            (state.pool, state.random_left) = (None, plan.random_max);
        }
        plan.rules.into_iter().for_each(|rule| self.add(rule));
        plan.pool.into_iter().for_each(|pool| self.obey(FaultOrder::Pool(pool)));
    }

    /// Did a write go to another block since this was asked last?
    #[must_use]
    pub fn take_misplaced(&self) -> bool {
        // It is asked at each call, and nearly never so.
        self.is_misplaced.load(Ordering::Relaxed)
            && self.is_misplaced.swap(false, Ordering::Relaxed)
    }

    /// Adds a rule. Its requests are counted from now on.
    pub fn add(&self, rule: FaultRule) {
        let rule = match &self.legs {
            Some(layout) => rule.on_legs(layout),
            None => rule,
        };
        self.lock().rules.push(Counted { rule, met: 0 });
    }

    /// Ends every fault. What a pool has no block for any more stays without.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.rules.clear();
        (state.pool, state.random_left) = (None, 0);
    }

    /// Does as is asked.
    pub fn obey(&self, order: FaultOrder) {
        match order {
            FaultOrder::Add(rule) => self.add(rule),
            FaultOrder::Heal => self.heal(),
            FaultOrder::Grow(blocks) => {
                if let Some(pool) = &mut self.lock().pool {
                    pool.shape.blocks = pool.shape.blocks.saturating_add(blocks);
                }
            }
            FaultOrder::Pool(shape) => {
                let mut state = self.lock();
                let filled = self.start.iter().flat_map(|start| start.blocks());
                let filled = filled.map(|(block, _)| block);
                let written = state.origins.keys().copied().chain(filled);
                let known = state.pool.as_ref().map(|pool| pool.used.clone());
                let used = known.unwrap_or_else(|| written.collect());
                state.pool = Some(Pool { shape, used });
            }
        }
    }

    fn lied(&self, lie: Lie) {
        if let Some(medium) = &self.medium {
            medium.push(DeviceEvent::Lied(lie));
        }
    }

    /// What a request meets with, and how many steps late it is.
    fn choose(&self, request: &Request) -> (Option<Fault>, u32) {
        let block_size_bytes = u64::from(self.geometry().block_size_bytes);
        let (mut fault, mut late) = (None, 0);
        let mut state = self.lock();
        let origin = match request {
            Request::Read { block } => state.origins.get(block).copied(),
            Request::Write { .. } | Request::Flush | Request::Discard { .. } => None,
        };
        for Counted { rule, met } in &mut state.rules {
            if !rule.could_choose(request, origin, block_size_bytes) {
                continue;
            }
            *met += 1;
            let end = match rule.count {
                FailCount::Times(count) => rule.nth.saturating_add(count),
                FailCount::UntilHealed => u64::MAX,
            };
            if !(rule.nth..end).contains(met) {
                continue;
            }
            if let Fault::Latency(steps) = rule.fault {
                late += steps;
            } else {
                fault = fault.or(Some(rule.fault));
            }
        }
        let is_random = state.random_left > 0;
        drop(state);
        if self.legs.is_some() {
            return (fault, late);
        }
        if fault.is_none() && is_random {
            (fault, late) = self.random(request, late);
        }
        let is_write = matches!(request, Request::Write { .. });
        if fault.is_none() && is_write && self.sim.happens(Site::WriteFails) {
            fault = Some(Fault::WriteError(DeviceError::Io));
        }
        (fault, late)
    }

    /// What a request meets with by chance. Nothing of it makes what was promised void.
    fn random(&self, request: &Request, late: u32) -> (Option<Fault>, u32) {
        let faults: &[Fault] = match request {
            Request::Write { .. } => &[
                Fault::WriteError(DeviceError::Io),
                Fault::WriteError(DeviceError::NoSpace),
                Fault::TornWrite(1),
            ],
            Request::Read { .. } => &[Fault::ReadError],
            Request::Flush => &[Fault::FlushError],
            Request::Discard { .. } => return (None, late),
        };
        let count = faults.len() as u32;
        let chosen = self.sim.choose(Site::DeviceFault, count + 2);
        if chosen == 0 {
            return (None, late);
        }
        self.lock().random_left -= 1;
        match faults.get(chosen as usize - 1) {
            Some(fault) => (Some(*fault), late),
            None => (None, late + RANDOM_LATENCY_STEPS),
        }
    }

    /// Takes a block of the pool for a write; false if there is none.
    fn has_room(&self, request: &Request) -> bool {
        let mut state = self.lock();
        let Some(pool) = &mut state.pool else { return true };
        match request {
            Request::Write { block, .. } => {
                let has_room =
                    pool.used.contains(block) || (pool.used.len() as u64) < pool.shape.blocks;
                if has_room {
                    pool.used.insert(*block);
                }
                has_room
            }
            Request::Discard { block, count } => {
                let gone = block.0..block.0.saturating_add(*count);
                pool.used.retain(|used| !gone.contains(&used.0));
                true
            }
            Request::Read { .. } | Request::Flush => true,
        }
    }

    fn queues(&self) -> bool {
        let state = self.lock();
        state.pool.as_ref().is_some_and(|pool| pool.shape.when_full == WhenFull::Queue)
    }

    fn note_origin(&self, request: &Request) {
        if let Request::Write { block, origin, .. } = request {
            self.lock().origins.insert(*block, *origin);
        }
    }

    /// A request is odd from now on.
    fn odd(&self, odd: Odd) -> RequestId {
        let mut state = self.lock();
        let id = RequestId(ODD_FROM + state.next);
        state.next += 1;
        state.odd.insert(id, odd);
        id
    }

    /// Passes a request on, as late as it is.
    fn pass(&self, request: Request, late: u32) -> RequestId {
        if !self.has_room(&request) {
            if self.queues() {
                return self.odd(Odd::Queued { request, steps: QUEUED_STEPS_MAX });
            }
            return self.odd(Odd::Over(Err(DeviceError::NoSpace)));
        }
        self.note_origin(&request);
        let id = self.below.submit(request);
        if late == 0 { id } else { self.odd(Odd::Late { id, steps: late }) }
    }

    /// The block behind another; behind the last one, of a leg or of the device, the first.
    fn next_block(&self, block: BlockNo) -> BlockNo {
        let count = self.geometry().block_count.max(1);
        let within = match &self.legs {
            Some(layout) => layout.leg_around(block),
            None => 0..count,
        };
        let next = block.0.saturating_add(1);
        BlockNo(if within.contains(&next) { next } else { within.start })
    }

    fn misdirect(&self, request: Request, to: Option<BlockNo>, late: u32) -> RequestId {
        let Request::Write { block, payload, force_unit_access, origin } = request else {
            return self.pass(request, late);
        };
        let block = to.unwrap_or_else(|| self.next_block(block));
        self.lied(Lie::Place);
        self.is_misplaced.store(true, Ordering::Relaxed);
        self.pass(Request::Write { block, payload, force_unit_access, origin }, late)
    }

    fn tear(&self, request: Request, sectors: u16) -> RequestId {
        let Request::Write { block, payload, origin, .. } = request else {
            return self.pass(request, 0);
        };
        let bytes = payload.capture();
        let kept = (usize::from(sectors) * SECTOR_SIZE_BYTES).min(bytes.len());
        let torn = bytes.slice(..kept);
        let id = self.below.submit(Request::Read { block });
        self.odd(Odd::Tearing { id, block, torn, origin })
    }

    /// Goes on with a request; what it is next, if it is not over.
    fn go_on(&self, odd: Odd, cx: &mut Context<'_>) -> Result<Completion, Odd> {
        match odd {
            Odd::Over(completion) => Ok(completion),
            Odd::Late { id, steps: 0 } => match self.below.poll(id, cx) {
                Poll::Ready(completion) => Ok(completion),
                Poll::Pending => Err(Odd::Late { id, steps: 0 }),
            },
            Odd::Late { id, steps } => {
                cx.waker().wake_by_ref();
                Err(Odd::Late { id, steps: steps - 1 })
            }
            Odd::Queued { request, steps } => {
                cx.waker().wake_by_ref();
                if self.has_room(&request) {
                    self.note_origin(&request);
                    Err(Odd::Late { id: self.below.submit(request), steps: 0 })
                } else if steps == 0 {
                    Ok(Err(DeviceError::NoSpace))
                } else {
                    Err(Odd::Queued { request, steps: steps - 1 })
                }
            }
            Odd::Tearing { id, block, torn, origin } => match self.below.poll(id, cx) {
                Poll::Pending => Err(Odd::Tearing { id, block, torn, origin }),
                Poll::Ready(Err(error)) => Ok(Err(error)),
                Poll::Ready(Ok(old)) => {
                    let rest = old.get(torn.len()..).unwrap_or_default();
                    let payload = Payload::Owned(Bytes::from([&torn[..], rest].concat()));
                    let force_unit_access = false;
                    let write = Request::Write { block, payload, force_unit_access, origin };
                    cx.waker().wake_by_ref();
                    Err(Odd::Torn(self.below.submit(write)))
                }
            },
            Odd::Torn(id) => match self.below.poll(id, cx) {
                Poll::Pending => Err(Odd::Torn(id)),
                Poll::Ready(Err(DeviceError::PowerOff)) => Ok(Err(DeviceError::PowerOff)),
                Poll::Ready(_) => Ok(Err(DeviceError::Io)),
            },
        }
    }
}

impl Device for Faulty {
    fn geometry(&self) -> Geometry {
        self.below.geometry()
    }

    fn copies(&self) -> Option<&dyn Copies> {
        self.below.copies()
    }

    fn drop_cache(&self) {
        self.below.drop_cache();
    }

    fn submit(&self, request: Request) -> RequestId {
        let (fault, late) = self.choose(&request);
        match fault {
            None => self.pass(request, late),
            Some(Fault::WriteError(error)) => self.odd(Odd::Over(Err(error))),
            Some(Fault::ReadError | Fault::FlushError | Fault::LinkLoss) => {
                self.odd(Odd::Over(Err(DeviceError::Io)))
            }
            Some(Fault::DroppingFlush) => {
                self.below.drop_cache();
                self.odd(Odd::Over(Err(DeviceError::Io)))
            }
            Some(Fault::LyingFlush) => {
                self.lied(Lie::Flush);
                self.odd(Odd::Over(Ok(Bytes::new())))
            }
            Some(Fault::TornWrite(sectors)) => self.tear(request, sectors),
            Some(Fault::MisdirectedWrite(to)) => self.misdirect(request, to, late),
            Some(Fault::Latency(steps)) => self.pass(request, late + steps),
        }
    }

    fn poll(&self, id: RequestId, cx: &mut Context<'_>) -> Poll<Completion> {
        let Some(odd) = self.lock().odd.remove(&id) else { return self.below.poll(id, cx) };
        match self.go_on(odd, cx) {
            Ok(completion) => Poll::Ready(completion),
            Err(odd) => {
                self.lock().odd.insert(id, odd);
                Poll::Pending
            }
        }
    }
}

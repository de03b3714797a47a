//! Writes and discards, which go to every leg.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;

use crate::device::BlockNo;
use crate::device::Completion;
use crate::device::Device;
use crate::device::DeviceError;
use crate::device::Payload;
use crate::device::Request;
use crate::device::RequestId;
use crate::device::mirror::LegPayload;
use crate::device::mirror::Legs;
use crate::device::mirror::RegionClearing;
use crate::device::mirror::journal::LegDeed;
use crate::device::mirror::journal::LegEvent;
use crate::device::mirror::write;
use crate::sim::Point;
use crate::sim::Site;

/// A leg is later than another by at most so many steps.
const LEG_SKEW_MAX: u32 = 4;

impl Legs {
    /// A write or a discard, on every leg.
    pub(super) async fn change(&self, request: Request, regions: BTreeSet<u64>) -> Completion {
        self.begin(&regions);
        let marked = self.write_log(&regions).await;
        let changed = match marked {
            Ok(()) => self.change_legs(&request, &regions).await,
            Err(error) => Err(error),
        };
        if self.policy.clearing == RegionClearing::AfterAllLegs || marked.is_err() {
            self.end(&regions);
        }
        changed.map(|()| Bytes::new())
    }

    async fn change_legs(
        &self,
        request: &Request,
        regions: &BTreeSet<u64>,
    ) -> Result<(), DeviceError> {
        let below = self.below.as_ref();
        let (blocks, present) = (blocks_of(request), self.present());
        let mut under_way: Vec<(u32, RequestId)> = Vec::new();
        let (asked, written) = (self.for_each_leg(request), self.written());
        let number = self.journal.next_write();
        for leg in 0..self.layout.leg_count {
            if written.contains(&leg) {
                self.journal.note(leg, blocks.clone(), LegDeed::Asked);
                under_way.push((leg, below.submit(self.on_leg(leg, number, &asked))));
            } else {
                self.journal.note(leg, blocks.clone(), LegDeed::Missed);
                self.state.lock().miss(leg, blocks.clone());
            }
        }
        // Which leg is the first to get to it is the devices' affair.
        let first = self.sim.choose(Site::LegOrder, under_way.len() as u32);
        under_way.rotate_left(first as usize);
        let (mut failed, mut error) = (BTreeSet::new(), None);
        let mut is_first = true;
        while !under_way.is_empty() {
            // Between two legs there is time: each reads what the request brings when it writes it.
            self.sim.point(Point::LegRead).await;
            if !is_first {
                self.lag().await;
            }
            let (leg, outcome) = next_of(below, &mut under_way).await;
            match outcome {
                Ok(_) => self.journal.note(leg, blocks.clone(), LegDeed::Put),
                Err(DeviceError::PowerOff) => return Err(DeviceError::PowerOff),
                Err(why) => {
                    self.journal.note(leg, blocks.clone(), LegDeed::Refused);
                    failed.insert(leg);
                    error = Some(why);
                }
            }
            if std::mem::take(&mut is_first)
                && self.policy.clearing == RegionClearing::AfterFirstLeg
            {
                self.end(regions);
            }
        }
        self.journal.push(LegEvent::Ended { write: number });
        match error {
            None => Ok(()),
            Some(error) if present.iter().all(|leg| failed.contains(leg)) => {
                // Those that came back may have it, and are to be what the others are.
                let mut state = self.state.lock();
                let returning: Vec<u32> = state.returning.keys().copied().collect();
                returning.into_iter().for_each(|leg| state.miss(leg, blocks.clone()));
                Err(error)
            }
            // Nobody may rely on the others before the log says which leg is behind.
            Some(_) => {
                {
                    let mut state = self.state.lock();
                    failed.into_iter().for_each(|leg| state.lose(leg, blocks.clone()));
                }
                self.write_log(regions).await
            }
        }
    }

    /// Legs are devices of their own: one is later than another.
    async fn lag(&self) {
        for _ in 0..self.sim.choose(Site::LegSkew, LEG_SKEW_MAX + 1) {
            self.sim.yield_now().await;
        }
    }

    /// Has each leg captured what a write brings for itself, or all of them the same?
    fn for_each_leg(&self, request: &Request) -> Request {
        match (request, self.policy.payload) {
            (Request::Write { block, payload, force_unit_access, origin }, LegPayload::Once) => {
                let payload = Payload::Owned(payload.capture());
                write(*block, payload, *force_unit_access, *origin)
            }
            (Request::Write { .. }, LegPayload::EachLeg)
            | (Request::Read { .. } | Request::Flush | Request::Discard { .. }, _) => {
                request.clone()
            }
        }
    }

    fn on_leg(&self, leg: u32, number: u64, request: &Request) -> Request {
        let at = |block: &BlockNo| self.layout.on_leg(leg, *block);
        match request {
            Request::Read { block } => Request::Read { block: at(block) },
            Request::Write { block, payload, force_unit_access, origin } => {
                let payload = self.journal.witness(payload, number, leg, *block);
                write(at(block), payload, *force_unit_access, *origin)
            }
            Request::Discard { block, count } => {
                Request::Discard { block: at(block), count: *count }
            }
            Request::Flush => Request::Flush,
        }
    }

    /// A write to some regions begins: the log is to call them dirty.
    pub(super) fn begin(&self, regions: &BTreeSet<u64>) {
        let mut state = self.state.lock();
        state.log.dirty.extend(regions);
        for region in regions {
            *state.writes.entry(*region).or_insert(0) += 1;
        }
    }

    /// A write to some regions is done with: the next flush may call them clean.
    pub(super) fn end(&self, regions: &BTreeSet<u64>) {
        let mut state = self.state.lock();
        state.ended += 1;
        let ended = state.ended;
        for region in regions {
            state.last_end.insert(*region, ended);
            if let Some(count) = state.writes.get_mut(region) {
                *count -= 1;
                if *count == 0 {
                    state.writes.remove(region);
                }
            }
        }
    }
}

/// The first of some requests that completes.
async fn next_of(below: &dyn Device, under_way: &mut Vec<(u32, RequestId)>) -> (u32, Completion) {
    poll_fn(|cx| {
        for at in 0..under_way.len() {
            let (leg, id) = under_way[at];
            if let Poll::Ready(outcome) = below.poll(id, cx) {
                under_way.remove(at);
                return Poll::Ready((leg, outcome));
            }
        }
        Poll::Pending
    })
    .await
}

/// The blocks that a request changes.
fn blocks_of(request: &Request) -> std::ops::Range<u64> {
    match request {
        Request::Write { block, .. } => block.0..block.0 + 1,
        Request::Discard { block, count } => block.0..block.0 + count,
        Request::Read { .. } | Request::Flush => 0..0,
    }
}

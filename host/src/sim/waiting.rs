//! A place where tasks wait for what others may do, or may never do.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::task::Waker;

use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use crate::sim::Sim;

/// Every task waits: nobody is left who could end the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck;

/// Who waits for news of one kind. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    wakers: Arc<WorldMutex<Vec<Waker>>>,
}

impl Waiting {
    fn lock(&self) -> WorldGuard<'_, Vec<Waker>> {
        self.wakers.lock()
    }

    /// There is news: everyone who waits here looks again.
    pub fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.lock());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Sim {
    /// Waits until `attempt` gives something; it is asked now, and at each news. Who goes on first
    /// is the chooser's to say.
    ///
    /// # Errors
    /// If every task of the world waits. That is the tasks' own doing, as with the locks that
    /// programs take; a task that waits for the stack waits otherwise.
    pub async fn wait_until<T>(
        &self,
        place: &Waiting,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> Result<T, Stuck> {
        let before = self.stuck_count();
        poll_fn(|cx| {
            if let Some(found) = attempt() {
                return Poll::Ready(Ok(found));
            }
            if self.stuck_count() != before {
                return Poll::Ready(Err(Stuck));
            }
            place.lock().push(cx.waker().clone());
            self.be_patient(cx.waker());
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A task that waits for its turn, then gives the turn to another.
    async fn turn(sim: Sim, place: Waiting, whose: Arc<Mutex<u32>>, mine: u32) -> bool {
        let is_mine = || (*whose.lock().expect("one thread") == mine).then_some(());
        let waited = sim.wait_until(&place, is_mine).await;
        if waited.is_ok() {
            *whose.lock().expect("one thread") += 1;
            place.wake_all();
        }
        waited.is_ok()
    }

    #[test]
    fn whoever_waits_goes_on_at_the_news_that_it_waits_for() {
        let (sim, place, whose) = (Sim::calm(), Waiting::default(), Arc::default());
        for mine in [2, 1] {
            let (sim, place, whose) = (sim.clone(), place.clone(), Arc::clone(&whose));
            let task = turn(sim.clone(), place, whose, mine);
            sim.spawn(async move { assert!(task.await, "its turn comes") });
        }
        assert!(sim.block_on(turn(sim.clone(), place, Arc::clone(&whose), 0)));
        sim.run_background();
        assert_eq!(*whose.lock().expect("one thread"), 3);
    }

    #[test]
    fn a_wait_that_nobody_can_end_ends() {
        let (sim, place, whose) = (Sim::calm(), Waiting::default(), Arc::default());
        let other = turn(sim.clone(), place.clone(), Arc::clone(&whose), 7);
        sim.spawn(async move { assert!(!other.await, "nobody gives it the turn") });
        assert!(!sim.block_on(turn(sim.clone(), place.clone(), Arc::clone(&whose), 8)));
        sim.run_background();
        // The world goes on: a later wait may end well.
        assert!(sim.block_on(turn(sim.clone(), place, whose, 0)));
    }
}

//! Seam 3 and everything that depends on it: chance, time and the order of tasks.
//!
//! Flow: a layer asks [`Sim`] (`choose`, `point`, `now`); the [`Chooser`] answers; the answer
//! enters the [`DecisionLog`] before it has an effect.
//!
//! Architecture invariant: nothing outside this module holds a seed, a clock or a queue of who
//! runs next.

mod chooser;
mod executor;
mod lock;
mod log;
mod notices;
mod site;
mod waiting;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;

pub use chooser::Calm;
pub use chooser::Chooser;
pub use chooser::Exhaustive;
pub use chooser::FromBytes;
pub use chooser::Seeded;
pub use chooser::Unrest;
pub use chooser::mix;
pub use executor::Deadlock;
pub use executor::TaskFuture;
pub use lock::TaskLock;
pub use lock::TaskLockGuard;
pub use log::DecisionLog;
pub use log::MalformedLog;
pub use log::Replay;
pub use notices::Notices;
pub use site::Point;
pub use site::Site;
pub use waiting::Stuck;
pub use waiting::Waiting;

/// The first moment of every world, in nanoseconds since the Unix epoch: 2001-09-09T01:46:40Z.
pub const EPOCH_NANOS: u64 = 1_000_000_000_000_000_000;

struct State {
    chooser: Box<dyn Chooser>,
    log: DecisionLog,
    random: u64,
    preferred: bool,
    executor: executor::Executor,
}

/// What every call asks for stands beside the lock.
struct Source {
    state: WorldMutex<State>,
    is_calm: bool,
    now_nanos: AtomicU64,
    ready: Arc<executor::Ready>,
}

/// The one source of chance, time and order of a world. Clones are the same source.
#[derive(Clone)]
pub struct Sim(Arc<Source>);

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").finish_non_exhaustive()
    }
}

impl Sim {
    /// A world's source of chance that answers as `chooser` does.
    #[must_use]
    pub fn new(chooser: impl Chooser + 'static) -> Self {
        let ready = Arc::new(executor::Ready::default());
        let is_calm = chooser.is_calm();
        let state = State {
            chooser: Box::new(chooser),
            log: DecisionLog::default(),
            random: 0,
            preferred: false,
            executor: executor::Executor::new(Arc::clone(&ready)),
        };
        let now_nanos = AtomicU64::new(EPOCH_NANOS);
        Self(Arc::new(Source { state: WorldMutex::new(state), is_calm, now_nanos, ready }))
    }

    /// A world without surprises.
    #[must_use]
    pub fn calm() -> Self {
        Self::new(Calm)
    }

    fn lock(&self) -> WorldGuard<'_, State> {
        self.0.state.lock()
    }

    /// Number of tasks that could run instead of the one that is running.
    fn others(&self) -> usize {
        self.0.ready.count()
    }

    /// Asks a question with `arity` answers. A question with one answer is not asked.
    pub fn choose(&self, site: Site, arity: u32) -> u32 {
        let Some(arity) = NonZeroU32::new(arity).filter(|arity| arity.get() > 1) else {
            return 0;
        };
        if self.0.is_calm {
            return 0;
        }
        let mut state = self.lock();
        let answer = state.chooser.choose(site, arity);
        assert!(answer < arity.get(), "S-1: an answer is below the arity of its question");
        state.log.push(answer);
        answer
    }

    /// Is the answer to every question known to be no? What only makes a question need not be done.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.0.is_calm
    }

    /// Asks a question whose answers are no (calm) and yes.
    pub fn happens(&self, site: Site) -> bool {
        self.choose(site, 2) == 1
    }

    /// A place where another task may run first. Ready at once, and silent, if there is none.
    pub async fn point(&self, point: Point) {
        let _ = point; // Named for the reader and for traces of schedules; all points are alike.
        let others = self.others();
        if others == 0 {
            return;
        }
        let answer = self.choose(Site::Preempt, others as u32 + 1);
        if answer == 0 {
            return;
        }
        {
            let mut state = self.lock();
            state.executor.prefer(answer as usize - 1);
            state.preferred = true;
        }
        executor::YieldNow { yielded: false }.await;
    }

    /// Lets every other ready task run before this one goes on.
    pub async fn yield_now(&self) {
        executor::YieldNow { yielded: false }.await;
    }

    /// The current moment, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn now_nanos(&self) -> u64 {
        self.0.now_nanos.load(Ordering::Relaxed)
    }

    /// Lets time pass.
    pub fn advance_nanos(&self, nanos: u64) {
        // A world is one thread: nobody comes between.
        self.0.now_nanos.store(self.now_nanos().saturating_add(nanos), Ordering::Relaxed);
    }

    /// Fixes the stream of [`Sim::random_u64`].
    pub fn seed_random(&self, seed: u64) {
        self.lock().random = mix(seed);
    }

    /// The next random number for a guest that asks for one. Not a decision: guests' random
    /// bytes depend on the seed of the run alone.
    pub fn random_u64(&self) -> u64 {
        let mut state = self.lock();
        state.random = state.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(state.random)
    }

    /// The decisions so far.
    #[must_use]
    pub fn decisions(&self) -> DecisionLog {
        self.lock().log.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn two_tasks(sim: &Sim) -> Vec<u8> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = |who: u8| {
            let (sim, seen) = (sim.clone(), Arc::clone(&seen));
            async move {
                for _ in 0..2 {
                    seen.lock().expect("one thread").push(who);
                    sim.point(Point::CallStart).await;
                }
            }
        };
        sim.spawn(note(1));
        sim.block_on(note(0));
        sim.run_background();
        Arc::try_unwrap(seen).expect("both tasks ended").into_inner().expect("one thread")
    }

    #[test]
    fn calm_tasks_run_one_after_the_other_and_every_other_order_is_reached() {
        let mut walk = Arc::new(Mutex::new(Exhaustive::default()));
        let mut orders = std::collections::BTreeSet::new();
        struct Shared(Arc<Mutex<Exhaustive>>);
        impl Chooser for Shared {
            fn choose(&mut self, site: Site, arity: NonZeroU32) -> u32 {
                self.0.lock().expect("one thread").choose(site, arity)
            }
        }
        loop {
            let sim = Sim::new(Shared(Arc::clone(&walk)));
            orders.insert(two_tasks(&sim));
            drop(sim);
            let walk = Arc::get_mut(&mut walk).expect("the world is gone");
            if !walk.get_mut().expect("one thread").advance() {
                break;
            }
        }
        assert_eq!(orders.len(), 6, "all interleavings of two tasks of two steps: {orders:?}");
    }

    #[test]
    fn a_task_lock_serves_one_task_at_a_time() {
        let sim = Sim::new(Seeded::new(3, &[(Site::Preempt, Unrest::one_in(2))]));
        let (lock, inside) = (TaskLock::default(), Arc::new(Mutex::new(0)));
        for _ in 0..4 {
            let (sim2, lock, inside) = (sim.clone(), lock.clone(), Arc::clone(&inside));
            sim.spawn(async move {
                let guard = lock.acquire().await;
                *inside.lock().expect("one thread") += 1;
                sim2.point(Point::LockWait).await;
                assert_eq!(*inside.lock().expect("one thread"), 1, "one at a time");
                *inside.lock().expect("one thread") -= 1;
                drop(guard);
            });
        }
        sim.run_background();
        assert_eq!(sim.others(), 0);
    }
}

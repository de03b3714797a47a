//! The deterministic executor: cooperative tasks that switch only where [`Sim`] says so.
//!
//! Ownership of a world: a layer of the stack owns its state behind a mutex of its own, is shared
//! by `Arc`, and holds no lock across an await. So every future of the stack is `Send`, as
//! wasmtime's fibers demand, and because a world is one thread no lock is ever contended.
//!
//! Tasks are driven by [`Sim::block_on`] alone. One guest: its host function calls `block_on`
//! inline. Several guests: each is a task, and the check calls `block_on` once, around all.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;

use crate::mutex::WorldMutex;
use crate::sim::Sim;
use crate::sim::Site;

/// The future of a task that works in the background and answers nobody.
pub type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Number of a task; 0 is the one that `block_on` was called with.
type TaskNo = u64;

/// Who may run, in the order in which they became ready.
#[derive(Debug, Default)]
pub(super) struct Ready {
    queue: WorldMutex<Vec<TaskNo>>,
    /// How many they are: each call asks, and nearly always it is nobody.
    count: AtomicUsize,
}

impl Ready {
    /// How many may run.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<TaskNo>) -> T) -> T {
        let mut queue = self.queue.lock();
        let changed = change(&mut queue);
        self.count.store(queue.len(), Ordering::Relaxed);
        changed
    }

    fn add(&self, task: TaskNo) {
        self.change(|queue| {
            if !queue.contains(&task) {
                queue.push(task);
            }
        });
    }
}

struct TaskWaker {
    ready: Arc<Ready>,
    task: TaskNo,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.add(self.task);
    }
}

/// Tasks of one world.
pub(super) struct Executor {
    ready: Arc<Ready>,
    tasks: BTreeMap<TaskNo, (TaskFuture, Waker)>,
    next: TaskNo,
    nested: bool,
    /// Who waits for what may never come.
    patient: Vec<Waker>,
    /// How often every task waited, and these were told.
    stuck_count: u64,
}

impl Executor {
    pub(super) fn new(ready: Arc<Ready>) -> Self {
        Self {
            ready,
            tasks: BTreeMap::new(),
            next: 0,
            nested: false,
            patient: Vec::new(),
            stuck_count: 0,
        }
    }

    fn waker(&self, task: TaskNo) -> Waker {
        Waker::from(Arc::new(TaskWaker { ready: Arc::clone(&self.ready), task }))
    }

    pub(super) fn spawn(&mut self, future: TaskFuture) {
        self.next += 1;
        let task = self.next;
        let waker = self.waker(task);
        self.tasks.insert(task, (future, waker));
        self.ready.add(task);
    }

    /// Wakes those who wait for what may never come; says whether there were any.
    fn give_up(&mut self) -> bool {
        let patient = std::mem::take(&mut self.patient);
        self.stuck_count += 1;
        let were_any = !patient.is_empty();
        patient.into_iter().for_each(Waker::wake);
        were_any
    }

    /// Puts a ready task at the head of the queue.
    pub(super) fn prefer(&mut self, index: usize) {
        self.ready.change(|queue| {
            let task = queue.remove(index);
            queue.insert(0, task);
        });
    }
}

/// Every task waits, and nothing is left that could wake one: a bug of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlock;

impl Sim {
    /// Starts a task in the background. It runs while some `block_on` waits or preempts.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.lock().executor.spawn(Box::pin(future));
    }

    /// Drives `main` to its end, and other tasks whenever it waits or a scheduling point lets
    /// them run first.
    ///
    /// # Panics
    /// If every task waits (a deadlock of the stack), or if called from within itself.
    pub fn block_on<F: Future>(&self, main: F) -> F::Output {
        let mut main = pin!(main);
        // The calm road: nothing else is ready and the call does not wait. No waker is made.
        if self.others() == 0
            && let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            return output;
        }
        let main_waker = {
            let executor = &mut self.lock().executor;
            assert!(!executor.nested, "block_on is not called from within itself");
            executor.nested = true;
            executor.ready.add(0);
            executor.waker(0)
        };
        loop {
            let next = self.next_task();
            if next == 0 {
                let polled = main.as_mut().poll(&mut Context::from_waker(&main_waker));
                if let Poll::Ready(output) = polled {
                    let executor = &mut self.lock().executor;
                    executor.nested = false;
                    executor.ready.change(|queue| queue.retain(|task| *task != 0));
                    return output;
                }
            } else {
                self.step(next);
            }
        }
    }

    /// Runs background tasks until none is left or all of them wait for something outside.
    pub fn run_background(&self) {
        while let Some(next) = self.pop_ready() {
            self.step(next);
        }
    }

    /// Drops every task, wherever it stands. A task holds its world, and the world its tasks: who
    /// is done with a world calls this.
    pub fn abandon_tasks(&self) {
        let tasks = std::mem::take(&mut self.lock().executor.tasks);
        drop(tasks);
    }

    pub(super) fn stuck_count(&self) -> u64 {
        self.lock().executor.stuck_count
    }

    /// Remembers who waits for what may never come.
    pub(super) fn be_patient(&self, waker: &Waker) {
        let patient = &mut self.lock().executor.patient;
        if !patient.iter().any(|known| known.will_wake(waker)) {
            patient.push(waker.clone());
        }
    }

    fn pop_ready(&self) -> Option<TaskNo> {
        self.0.ready.change(|queue| if queue.is_empty() { None } else { Some(queue.remove(0)) })
    }

    fn next_task(&self) -> TaskNo {
        let preferred = std::mem::take(&mut self.lock().preferred);
        let mut ready = self.others();
        while ready == 0 {
            let goes_on = self.lock().executor.give_up();
            assert!(goes_on, "every task waits: {Deadlock:?}");
            ready = self.others();
        }
        if !preferred && ready > 1 {
            let choice = self.choose(Site::Schedule, ready as u32);
            self.lock().executor.prefer(choice as usize);
        }
        self.pop_ready().expect("the queue was not empty")
    }

    fn step(&self, task: TaskNo) {
        // The task is taken out while it runs, so that it may spawn others.
        let Some((mut future, waker)) = self.lock().executor.tasks.remove(&task) else {
            return; // Woken after its end.
        };
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.lock().executor.tasks.insert(task, (future, waker));
        }
    }
}

/// Waits once: the task becomes ready again at once, behind those that are ready.
pub(super) struct YieldNow {
    pub(super) yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

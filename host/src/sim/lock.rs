//! A lock that tasks wait for cooperatively; it may be held across an await.

use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::task::Waker;

#[derive(Debug, Default)]
struct State {
    held: bool,
    waiting: VecDeque<Waker>,
}

/// A mutual exclusion between tasks. The order of waiting is the order of being served, unless
/// the chooser runs another ready task first.
#[derive(Debug, Clone, Default)]
pub struct TaskLock {
    state: Arc<WorldMutex<State>>,
}

/// Releases its [`TaskLock`] when dropped.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct TaskLockGuard {
    lock: TaskLock,
}

impl TaskLock {
    fn state(&self) -> WorldGuard<'_, State> {
        self.state.lock()
    }

    /// Waits until the lock is free, and takes it.
    pub async fn acquire(&self) -> TaskLockGuard {
        poll_fn(|cx| {
            let mut state = self.state();
            if state.held {
                state.waiting.push_back(cx.waker().clone());
                return Poll::Pending;
            }
            state.held = true;
            Poll::Ready(())
        })
        .await;
        TaskLockGuard { lock: self.clone() }
    }

    /// Takes the lock if it is free.
    #[must_use]
    pub fn try_acquire(&self) -> Option<TaskLockGuard> {
        let mut state = self.state();
        if state.held {
            return None;
        }
        state.held = true;
        Some(TaskLockGuard { lock: self.clone() })
    }
}

impl Drop for TaskLockGuard {
    fn drop(&mut self) {
        let mut state = self.lock.state();
        state.held = false;
        // Everyone is woken and tries again: a waiter that was dropped cannot swallow the wake.
        for waker in state.waiting.drain(..) {
            waker.wake();
        }
    }
}

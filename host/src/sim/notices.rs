//! Facts for whoever audits a layer: what happened, and no judgement.

use crate::mutex::WorldGuard;
use crate::mutex::WorldMutex;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

#[derive(Debug)]
struct Place<T> {
    is_watched: AtomicBool,
    /// Is anything kept? Somebody asks at each call, and nearly always nothing is.
    is_left: AtomicBool,
    kept: WorldMutex<Vec<T>>,
}

/// Where facts are left if somebody wants them. Clones are the same place.
#[derive(Debug)]
pub struct Notices<T>(Arc<Place<T>>);

impl<T> Clone for Notices<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Notices<T> {
    fn default() -> Self {
        Self(Arc::new(Place {
            is_watched: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            kept: WorldMutex::default(),
        }))
    }
}

impl<T> Notices<T> {
    fn lock(&self) -> WorldGuard<'_, Vec<T>> {
        self.0.kept.lock()
    }

    /// Keeps facts from now on.
    pub fn watch(&self) {
        self.0.is_watched.store(true, Ordering::Relaxed);
    }

    /// Does anybody want them?
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.0.is_watched.load(Ordering::Relaxed)
    }

    /// Leaves a fact, which is made only if somebody wants it.
    pub fn note(&self, fact: impl FnOnce() -> T) {
        if self.is_watched() {
            let fact = fact();
            self.lock().push(fact);
            self.0.is_left.store(true, Ordering::Relaxed);
        }
    }

    /// Was nothing left since the last time?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.0.is_left.load(Ordering::Relaxed)
    }

    /// What was left since the last time, in order.
    #[must_use]
    pub fn take(&self) -> Vec<T> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut kept = self.lock();
        self.0.is_left.store(false, Ordering::Relaxed);
        std::mem::take(&mut kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_left_in_order_once_somebody_watches() {
        let notices = Notices::<u8>::default();
        notices.note(|| unreachable!("nobody wants it"));
        notices.watch();
        assert!(notices.take().is_empty());
        notices.clone().note(|| 1);
        notices.note(|| 2);
        assert_eq!([notices.take(), notices.take()], [vec![1, 2], vec![]]);
        notices.note(|| 3);
        assert_eq!(notices.take(), [3]);
    }
}
